"""A uv that does as a test tells it, for what a real one does not do on demand: be slow, be deaf, still be running."""

from __future__ import annotations

import json
import shlex
import socket
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

Step = tuple[Literal["stdout", "stderr", "pause", "ignore", "child", "hold"], str | float]
"""One thing that the fake does:

* `("stdout", text)`, `("stderr", text)`: print at once; lone surrogates become the bytes they stand for;
* `("pause", seconds)`: let the reader fall idle;
* `("ignore", "SIGINT")`: from here on, note the signal and live on;
* `("child", "")`: leave a process in the group which ignores the same signals and keeps stdout and stderr open;
* `("hold", "")`: stay until the test lets go.
"""


@dataclass(frozen=True, slots=True)
class Answer:
    """What to do when all of `when` are among the arguments; of several that fit, the first counts."""

    when: Sequence[str] = ()
    steps: Sequence[Step] = ()
    exit_code: int = 0


@dataclass(frozen=True, slots=True)
class Invocation:
    """One start of the fake, as it saw itself."""

    arguments: list[str]
    directory: str
    environ: dict[str, str]
    process: int
    group: int
    stdin_is_null: bool


class FakeUv:
    """An executable named `uv`: it answers `--version` and, untold, does nothing and exits with 0.

    After `close` no process of it is left that waits for the test.
    """

    def __init__(self, folder: Path, answers: Sequence[Answer], version: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "uv"
        self._trace = folder / "uv.trace"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._waiting: list[Held] = []
        told = {
            "answers": [{"when": [*it.when], "steps": [*it.steps], "exit_code": it.exit_code} for it in answers],
            "port": self._listener.getsockname()[1],
            "trace": str(self._trace),
            "version": version,
        }
        orders = folder / "uv.json"
        orders.write_text(json.dumps(told), encoding="utf-8")
        # The shell's `exec` keeps the process and, unlike a `#!` line, bears spaces in the path of Python.
        program = [sys.executable, "-ISs", str(Path(__file__).with_name("fake_uv_program.py")), str(orders)]
        self.path.write_text(f'#!/bin/sh\nexec {shlex.join(program)} "$@"\n', encoding="utf-8")
        self.path.chmod(0o755)

    def invocations(self, *having: str) -> list[Invocation]:
        """Every start so far, the oldest first, whose arguments hold all of `having`."""
        starts = [Invocation(**entry) for entry in self._entries() if "arguments" in entry]
        return [start for start in starts if set(having) <= set(start.arguments)]

    def signals(self) -> list[str]:
        """The names of the signals ignored so far, in order."""
        return [entry["signal"] for entry in self._entries() if "signal" in entry]

    def held(self, timeout: float = 30) -> Held:
        """Wait until a fake has come to a `hold`, or a `child` has been made; they come in the order of the steps.

        Raises TimeoutError: none has.
        """
        self._listener.settimeout(timeout)
        connection, _address = self._listener.accept()
        self._waiting.append(Held(connection))
        return self._waiting[-1]

    def close(self) -> None:
        """Let go of all that wait, now and later."""
        for waiting in self._waiting:
            waiting.close()
        self._listener.close()

    def _entries(self) -> list[dict[str, Any]]:
        if not self._trace.exists():
            return []
        return [json.loads(line) for line in self._trace.read_text(encoding="utf-8").splitlines()]


class MakeFakeUv(Protocol):
    def __call__(self, *answers: Answer, version: str = "0.13.9") -> FakeUv:
        """Make another one, with answers of its own."""


class Held:
    """A running process of the fake, at the other end of a connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def release(self) -> None:
        """Let it go on from its `hold`; a child ends."""
        self._connection.sendall(b"\n")

    def gone(self, timeout: float = 30) -> bool:
        """Whether it has ended, within the time: the connection breaks with it."""
        self._connection.settimeout(timeout)
        try:
            return self._connection.recv(1) == b""
        except ConnectionResetError:
            return True
        except (TimeoutError, BlockingIOError):
            return False

    def close(self) -> None:
        self._connection.close()
