"""Runs one command to its end, line by line, and leaves no process of it behind."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from uv_link_doctor.engine.model import DoctorError, Transcript

STOP_STEPS = ("SIGINT", "SIGTERM", "SIGKILL")
"""uv has no handler of its own and dies of the first; a build backend below it may need the last."""
STEP_SECONDS = 0.4
"""How long each step may take: together well under the two seconds an editor grants after `exit`."""
_SILENCE_SECONDS = 1.0
_STDOUT, _STDERR = 1, 2


async def run(
    command: Sequence[str],
    *,
    cwd: Path,
    environ: Mapping[str, str],
    on_line: Callable[[str], None] | None = None,
    stop: asyncio.Event | None = None,
) -> Transcript:
    """What the command printed and how it ended; `on_line` gets each line of stderr as it comes.

    The command has a process group of its own, no stdin, and UTF-8 output whatever the locale (uv prints UTF-8 on
    Windows, too). Setting `stop` ends the group and returns what was printed so far; cancelling the task ends it
    as well. Raises DoctorError where the command cannot be started.
    """
    started = time.monotonic()
    loop = asyncio.get_running_loop()
    try:
        transport, child = await loop.subprocess_exec(
            lambda: _Child(on_line), *command, cwd=cwd, env=dict(environ), stdin=subprocess.DEVNULL, **_own_group()
        )
    except OSError as error:
        raise _not_started(command, cwd, error) from error
    try:
        await _either(child.exited, stop)
        if not child.exited.done():
            await _end_group(transport, child)
        # A grandchild may hold the pipes open after uv has ended: what it says no longer concerns this run.
        await asyncio.wait([child.silent], timeout=_SILENCE_SECONDS)
    finally:
        if not child.exited.done():
            await _end_group(transport, child)
        transport.close()
    return Transcript(
        command=tuple(command),
        exit_code=transport.get_returncode(),
        stdout=child.text(_STDOUT),
        stderr=child.text(_STDERR),
        seconds=time.monotonic() - started,
    )


class _Child(asyncio.SubprocessProtocol):
    """What a process has printed so far, and whether it has ended.

    asyncio's streams would not do: their `wait` returns only when the pipes are closed, too.
    """

    def __init__(self, on_line: Callable[[str], None] | None) -> None:
        loop = asyncio.get_running_loop()
        self.exited: asyncio.Future[None] = loop.create_future()
        self.silent: asyncio.Future[None] = loop.create_future()
        """Both pipes are at their end."""
        self._on_line = on_line
        self._chunks: dict[int, list[bytes]] = {_STDOUT: [], _STDERR: []}
        self._open = {_STDOUT, _STDERR}
        self._partial = b""

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        self._chunks[fd].append(data)
        if fd == _STDERR and self._on_line:
            *lines, self._partial = (self._partial + data).split(b"\n")
            for line in lines:
                self._on_line(line.decode(errors="replace").rstrip("\r"))

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:  # noqa: ARG002  (asyncio's signature)
        self._open.discard(fd)
        if fd == _STDERR and self._on_line and self._partial:
            self._on_line(self._partial.decode(errors="replace"))
        if not self._open and not self.silent.done():
            self.silent.set_result(None)

    def process_exited(self) -> None:
        if not self.exited.done():
            self.exited.set_result(None)

    def text(self, fd: int) -> str:
        return b"".join(self._chunks[fd]).decode(errors="replace")


async def _either(exited: asyncio.Future[None], stop: asyncio.Event | None) -> None:
    """Returns when the process has ended by itself, or as soon as `stop` is set."""
    if stop is None:
        await asyncio.wait([exited])
        return
    stopped = asyncio.ensure_future(stop.wait())
    try:
        waits: list[asyncio.Future[Any]] = [exited, stopped]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stopped.cancel()


async def _end_group(transport: asyncio.SubprocessTransport, child: _Child) -> None:
    """Ends the process and its children, the gentle way first; returns when the process is gone."""
    if sys.platform == "win32":
        # Unverified: CTRL_BREAK_EVENT reaches a process of its own group (Windows, GenerateConsoleCtrlEvent).
        transport.send_signal(signal.CTRL_BREAK_EVENT)
        await asyncio.wait([child.exited], timeout=STEP_SECONDS)
        if not child.exited.done():
            transport.kill()
            await asyncio.wait([child.exited])
        return
    for step in STOP_STEPS:
        if child.exited.done():
            break
        _signal_group(transport.get_pid(), signal.Signals[step])
        await asyncio.wait([child.exited], timeout=STEP_SECONDS)
    # The leader is gone; a build backend that ignored the signals is not.
    _signal_group(transport.get_pid(), signal.SIGKILL)


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        # Nobody is left in it (macOS says EPERM for a group of zombies).
        return


def _own_group() -> dict[str, Any]:
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return {"start_new_session": True}


def _not_started(command: Sequence[str], cwd: Path, error: OSError) -> DoctorError:
    if not cwd.is_dir():
        return DoctorError(f"the directory `{cwd}` no longer exists", "open the project where it is now")
    reason = error.strerror or str(error)
    return DoctorError(f"`{command[0]}` could not be started: {reason}", "check the setting `uvPath`, or reinstall uv")
