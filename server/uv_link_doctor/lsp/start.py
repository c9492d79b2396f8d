"""Starts the language server."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
from collections.abc import Callable
from json import JSONDecodeError

from uv_link_doctor.engine.model import DoctorError


def start(tcp: str | None, loaded: Callable[[], None]) -> int:
    """Serves over stdin and stdout, or one client at `HOST:PORT`, until the client ends it; raises DoctorError.

    `loaded` is told when all is there that takes its time.
    """
    # The protocol's 554 generated classes stay for good: collecting while they are made finds nothing, and costs a
    # tenth of the time to the answer to `initialize`.
    gc.disable()
    from uv_link_doctor.lsp.server import server  # noqa: PLC0415

    gc.enable()
    gc.freeze()
    loaded()
    _watch_processes_without_threads()
    for name in ("pygls.protocol.json_rpc", "pygls.server"):
        logging.getLogger(name).addFilter(_is_fault)
    if tcp is None:
        server.start_io()
        return 0
    host, _, port = tcp.rpartition(":")
    if not port.isdecimal() or int(port) > _LAST_PORT:  # The system would take another that is like it.
        raise DoctorError(f"cannot listen at `{tcp}`: there is no such port", "give a free `HOST:PORT`")
    try:
        server.start_tcp(host or "127.0.0.1", int(port))
    except (OverflowError, OSError) as error:
        raise DoctorError(f"cannot listen at `{tcp}`: {error}", "give a free `HOST:PORT`") from error
    return 0


_LAST_PORT = 65_535


def _watch_processes_without_threads() -> None:
    """Lets Linux say when a process has ended, as Python does by itself from 3.12 on.

    3.11 starts a thread for each process: a tenth of what a save costs us.
    """
    if sys.platform == "linux" and sys.version_info < (3, 12):
        try:
            os.close(os.pidfd_open(os.getpid()))
        except OSError:  # A kernel before 5.3, or a sandbox.
            return
        asyncio.set_child_watcher(asyncio.PidfdChildWatcher())


def _is_fault(record: logging.LogRecord) -> bool:
    """Whether a record is about a fault: an error that the client was answered with needs no traceback in its log."""
    from pygls.exceptions import JsonRpcException  # noqa: PLC0415

    if str(record.msg).startswith("Unable to deserialize message"):
        return False
    return not (record.exc_info and isinstance(record.exc_info[1], JsonRpcException | JSONDecodeError | UnicodeError))
