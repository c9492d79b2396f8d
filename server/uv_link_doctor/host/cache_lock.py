"""uv's lock on its cache, taken as uv takes it: shared by whoever installs, exclusive for who removes or moves.

It is `<cache>/.lock`, by flock(2) or LockFileEx. Measured with uv: while another holds it shared, installs go on and
`uv cache clean` and `prune` wait (0.9.30, 0.13.9); while another holds it exclusively, all of them wait. 0.4.18 and
0.7.22 know no such lock, and their `prune` removes the file like anything in the cache that it does not know.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

if sys.platform != "win32":
    import fcntl

_PAUSE = 0.05
"""Seconds between two attempts: a lock that is asked for without waiting holds nobody up."""


class CacheBusyError(Exception):
    """Others have kept the lock for as long as we would wait, or we were told to stop waiting."""


@contextmanager
def cache_lock(
    cache: Path,
    *,
    exclusive: bool,
    seconds: float,
    stop: Callable[[], bool] | None = None,
    on_wait: Callable[[], None] | None = None,
) -> Iterator[None]:
    """Holds uv's lock until the block is left; `on_wait` is called once, when others hold it.

    `seconds` bound the wait: uv itself gives up after 300 (`UV_LOCK_TIMEOUT`), so a longer wait of ours would let it
    fail. Not to be held across a `fork`, whose child would hold it, too.

    Raises CacheBusyError, and OSError where the file cannot be opened or the file system knows no locks.
    """
    until = time.monotonic() + seconds
    waiting = False
    while (handle := _taken(cache / ".lock", exclusive=exclusive)) is None:
        if on_wait is not None and not waiting:
            on_wait()
        waiting = True
        if time.monotonic() >= until or (stop is not None and stop()):
            raise CacheBusyError(str(cache))
        time.sleep(_PAUSE)
    try:
        yield
    finally:
        os.close(handle)


def try_lock(handle: int, *, exclusive: bool) -> bool:
    """Whether the lock on an open file is now ours, until it is closed; asks once. Raises OSError but for a refusal."""
    if sys.platform == "win32":
        return _try_lock_file_ex(handle, exclusive=exclusive)
    try:
        fcntl.flock(handle, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def is_held(handle: int, path: Path, *, exclusive: bool) -> bool:
    """Whether the lock on an open file that still has this name is now ours; else it is closed. Raises OSError."""
    held = False
    try:
        held = try_lock(handle, exclusive=exclusive) and _is_at(handle, path)
    finally:
        if not held:
            os.close(handle)
    return held


def _is_at(handle: int, path: Path) -> bool:
    """Whether the open file is still the one that has this name."""
    try:
        there, ours = path.stat(), os.fstat(handle)
    except OSError:
        return False
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)


def _taken(path: Path, *, exclusive: bool) -> int | None:
    """A handle that holds the lock; None where others hold it, or have put another file in its place."""
    handle = _opened(path)
    return handle if is_held(handle, path, exclusive=exclusive) else None


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR)
    except FileNotFoundError:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        with suppress(OSError):
            path.chmod(0o666)  # As uv makes it, whatever the umask: others may use the cache, too.
        return handle
    except OSError as error:
        if error.errno not in {errno.EACCES, errno.EPERM, errno.EROFS}:
            raise
        return os.open(path, os.O_RDONLY)  # Locks need no permission to write.


def _try_lock_file_ex(handle: int, *, exclusive: bool) -> bool:
    """Unverified: `LockFileEx` (fileapi.h) on all of the file, as Rust's `File::try_lock` calls it.

    It gets LOCKFILE_FAIL_IMMEDIATELY, LOCKFILE_EXCLUSIVE_LOCK if so, and an OVERLAPPED of zeros; 33,
    ERROR_LOCK_VIOLATION, says that others hold it. Windows gives the lock back when the handle is closed.
    """
    if sys.platform == "win32":
        import ctypes  # noqa: PLC0415  (it takes its time to load, and Windows alone needs it)
        import msvcrt  # noqa: PLC0415  (the same)

        library = ctypes.WinDLL("kernel32", use_last_error=True)
        everything = 0xFFFFFFFF
        file = ctypes.c_void_p(msvcrt.get_osfhandle(handle))
        overlapped = ctypes.create_string_buffer(32)
        if library.LockFileEx(file, 1 | (2 if exclusive else 0), 0, everything, everything, overlapped):
            return True
        if ctypes.get_last_error() != 33:
            raise ctypes.WinError(ctypes.get_last_error())
    return False
