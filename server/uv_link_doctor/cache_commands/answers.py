"""How the commands for a cache tell of their work and print its end."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Mapping

from uv_link_doctor.engine import report
from uv_link_doctor.engine.model import DoctorError, Examination
from uv_link_doctor.terminal import as_json

OK, FINDINGS, COULD_NOT = 0, 1, 2
"""Exit codes."""

Stopped = Callable[[], bool]


def print_document(examination: Examination, cache: Mapping[str, object]) -> None:
    """Prints the contract's JSON with what is known of the cache."""
    print(as_json(report.document(examination) | {"cache": cache}))


def refuse_stopped(stop: asyncio.Event, hint: str) -> None:
    """Raises DoctorError where the person has asked for an end."""
    if stop.is_set():
        raise DoctorError("stopped before the end", hint)


def many(count: int, thing: str) -> str:
    """A number of things, as English has it."""
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def system_says(number: int | None) -> str:
    """The system's own words for a number."""
    if number is None:
        return "the system does not say why"
    if sys.platform == "win32":
        import ctypes  # noqa: PLC0415  (it takes its time to load)

        return f"{ctypes.FormatError(number)} (os error {number})"
    return f"{os.strerror(number)} (os error {number})"
