"""uv's cache to ourselves: nobody is at work in it, those that come wait, and nobody waits for ever."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from uv_link_doctor.host.cache_lock import CacheBusyError, cache_lock, try_lock
from uv_link_doctor.host.claims import new_name

_POLITE_SECONDS = 1.0
"""Before newcomers are held back: as long as others share the lock by turns, it would never be free."""
_PAUSE = 0.05


@contextmanager
def alone(cache: Path, *, seconds: float, stop: Callable[[], bool], on_wait: Callable[[], None]) -> Iterator[None]:
    """Holds uv's lock exclusively, also where there is always some uv; raises CacheBusyError after so many seconds.

    Where no lock file can be made no uv can install either, so that nothing is held. Raises OSError for other trouble.
    """
    with ExitStack() as stack:
        try:
            politely = min(seconds, _POLITE_SECONDS)
            stack.enter_context(cache_lock(cache, exclusive=True, seconds=politely, stop=stop, on_wait=on_wait))
        except CacheBusyError:
            if stop() or seconds <= _POLITE_SECONDS:
                raise
            left = seconds - _POLITE_SECONDS
            held_back = False
            if os.link in os.supports_dir_fd:
                with suppress(OSError):  # A file system without hard links.
                    stack.enter_context(_queue(cache, left, stop))
                    held_back = True
            if not held_back:
                stack.enter_context(cache_lock(cache, exclusive=True, seconds=left, stop=stop))
        except OSError as error:
            unless_read_only(error)
        yield


def unless_read_only(error: OSError) -> None:
    """Raises what kept a lock file from being opened, but for a place in which nobody can write."""
    if error.errno not in {errno.EROFS, errno.EACCES, errno.EPERM}:
        raise error


@contextmanager
def _queue(cache: Path, seconds: float, stop: Callable[[], bool]) -> Iterator[None]:
    """Has newcomers find another file to wait at, until those that hold the old one have ended.

    The old one gets its name back, so that a uv which has held it all the time goes on being safe from a `cache clean`.
    """
    until = time.monotonic() + seconds
    ours, theirs = new_name(), new_name()
    with ExitStack() as stack:
        directory = _open(stack, os.fspath(cache), os.O_RDONLY | os.O_DIRECTORY)
        held = _open(stack, ".lock", os.O_RDWR, dir_fd=directory)
        queue = _open(stack, ours, os.O_RDWR | os.O_CREAT | os.O_EXCL, dir_fd=directory)
        stack.callback(_rename_quietly, theirs, ".lock", directory)
        try:
            os.fchmod(queue, 0o666)
            try_lock(queue, exclusive=True)
            os.link(".lock", theirs, src_dir_fd=directory, dst_dir_fd=directory)
            os.replace(ours, ".lock", src_dir_fd=directory, dst_dir_fd=directory)
        except BaseException:
            os.unlink(ours, dir_fd=directory)
            raise
        while not try_lock(held, exclusive=True):
            if time.monotonic() > until or stop():
                raise CacheBusyError(str(cache))
            time.sleep(_PAUSE)
        yield


def _open(stack: ExitStack, path: str, flags: int, *, dir_fd: int | None = None) -> int:
    handle = os.open(path, flags | os.O_CLOEXEC, 0o666, dir_fd=dir_fd)
    stack.callback(os.close, handle)
    return handle


def _rename_quietly(name: str, to: str, directory: int) -> None:
    with suppress(OSError):
        os.replace(name, to, src_dir_fd=directory, dst_dir_fd=directory)
