"""Where copies wait beside the archive until they are whole, and what processes that died have left there.

Such a directory lies at the top of the cache, where uv looks for nothing and `uv cache prune` removes it (0.4.18 to
0.13.9): with that lock which makes `prune` wait, never under the hands of a living process.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from uv_link_doctor.host.cache_lock import is_at, try_lock

_PREFIX = ".uv-link-doctor-"
"""Begins the names of all that we make in a cache; trial links have them, too."""
_OWNER = "owner"


@contextmanager
def staging(cache: Path) -> Iterator[str]:
    """A directory for copies whose owner lives: it holds a lock on a file in there, which ends with the process.

    Raises OSError.
    """
    while True:
        directory = f"{cache}/{_PREFIX}{os.urandom(8).hex()}"
        os.mkdir(directory, 0o700)  # noqa: PTH102  (it stays a string)
        handle = _owner(directory, os.O_CREAT)
        if handle is not None:  # No sweep came between the two steps.
            break
    try:
        yield directory
    finally:
        _clear(directory, handle)


def sweep(cache: Path) -> None:
    """Removes directories for copies whose owner is dead, and links that a dead one's trial left.

    A link of a living one may go as well: that has been made is all it had to show. Raises OSError where the cache
    cannot be listed.
    """
    with os.scandir(cache) as children:
        ours = [child for child in children if child.name.startswith(_PREFIX)]
    for child in ours:
        with suppress(OSError):  # Another user's.
            if not child.is_dir(follow_symlinks=False):
                os.unlink(child.path)  # noqa: PTH108  (a string as it is)
            elif (handle := _owner(child.path)) is not None:
                _clear(child.path, handle)
            else:
                os.rmdir(child.path)  # noqa: PTH106  (the same; it is empty, or has an owner)


def flush(directory: str) -> None:
    """Brings all that was written on a file system to the disk, six times faster than file by file; raises OSError."""
    if sys.platform == "linux":
        library = ctypes.CDLL(None, use_errno=True)
        handle = os.open(directory, os.O_RDONLY)
        try:
            if library.syncfs(handle):  # syncfs(2), also in musl
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), directory)
        finally:
            os.close(handle)
    elif sys.platform != "win32":
        os.sync()


def _owner(directory: str, create: int = 0) -> int | None:
    """The handle that makes a directory for copies ours; None where it is another's, or about to go."""
    path = Path(directory, _OWNER)
    try:
        handle = os.open(path, os.O_RDWR | create, 0o600)
    except FileNotFoundError:
        return None
    ours = False
    try:
        ours = try_lock(handle, exclusive=True) and is_at(handle, path)
    finally:
        if not ours:
            os.close(handle)
    return handle if ours else None


def _clear(directory: str, handle: int) -> None:
    """The owner's file goes last, so that a directory without one is empty; never raises an OSError."""
    with suppress(OSError), os.scandir(directory) as children:
        for child in children:
            if child.name != _OWNER:
                with suppress(OSError):
                    os.unlink(child.path)  # noqa: PTH108  (a string as it is)
    os.close(handle)  # Windows removes no file that is open.
    for remove, path in ((os.unlink, f"{directory}/{_OWNER}"), (os.rmdir, directory)):
        with suppress(OSError):
            remove(path)
