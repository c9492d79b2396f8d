"""How a command meets the person who called it: what it shows, how it asks, and what ends it."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from uv_link_doctor.engine.model import DoctorError, Remedy


def agree(remedy: Remedy, *, beforehand: bool) -> None:
    """Asks on a terminal, unless the person has agreed beforehand; raises DoctorError for a no, and off a terminal."""
    if beforehand:
        return
    if sys.stdin is None or not sys.stdin.isatty():  # None: it was closed.
        raise DoctorError("nothing was changed: there is no terminal to ask on", "add `--yes` to agree beforehand")
    print(f"{remedy.title}:", file=sys.stderr)
    for change in remedy.changes:
        print(f"  - {change}", file=sys.stderr)
    print("Go ahead? [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
        raise DoctorError("nothing was changed", "answer `y` to go ahead")


def tell(line: str) -> None:
    """Prints a line that is not the answer; the work goes on also where nobody wants to read that any more."""
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        _give_up(sys.stderr)


@contextmanager
def open_streams() -> Iterator[None]:
    """Output that takes whatever is printed: also where it was closed, lacks a character, or its reader has gone."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123  (until our end)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        yield
    finally:
        hand_over()


def hand_over() -> None:
    """Writes what was printed so far, as far as anybody takes it."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            _give_up(stream)


def print_as_utf8() -> None:
    """For JSON, whatever the system's own encoding is; half of a character is printed as JSON writes it."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="backslashreplace")


def _give_up(stream: TextIO) -> None:
    """Nobody takes what is printed: Python would try once more at its end, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def show_changes(remedy: Remedy) -> None:
    """What a dry run prints."""
    print(f"{remedy.title} ({remedy.kind.value})")
    for change in remedy.changes:
        print(f"  would change: {change}")


@contextmanager
def stopped_by_signals() -> Iterator[asyncio.Event]:
    """An event that the first Ctrl-C or other end sets, so that what was stopped is looked at; a second one ends us."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]

    def let_go() -> None:
        with suppress(NotImplementedError):
            for number in numbers:
                loop.remove_signal_handler(number)

    def ended() -> None:
        stop.set()
        let_go()

    with suppress(NotImplementedError):  # Windows: Ctrl-C raises KeyboardInterrupt, and the run is ended by that.
        for number in numbers:
            loop.add_signal_handler(number, ended)
    try:
        yield stop
    finally:
        let_go()


def as_json(document: object) -> str:
    """A document as it is printed."""
    return json.dumps(document, ensure_ascii=False, indent=2)


def coloured() -> bool:
    """Whether what is printed is for somebody who sees colours."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def working_directory() -> Path | None:
    """Paths below it are shown from there; None where it was deleted, so that they are shown whole."""
    try:
        return Path.cwd()
    except OSError:
        return None
