"""The system call by which two names change places in one step, where there is one: Python has none."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

_AT_FDCWD = -100
_NO_EXCHANGE = frozenset({errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EISDIR, errno.ENOTDIR})
"""The last two: a FUSE file system that is not told of the flag tries to rename a directory over a link."""


def exchange(one: Path | str, other: Path | str) -> bool:
    """Lets two names change places in one step; False where the system or the file system cannot. Raises OSError.

    renameat2(2) with RENAME_EXCHANGE on Linux, renamex_np(2) with RENAME_SWAP on macOS (untried). A FUSE file system
    that takes no notice of the flag may rename the one over the other, if both are files.
    """
    try:
        failed = _call()(os.fsencode(one), os.fsencode(other))
    except (AttributeError, OSError, TypeError):
        return False
    if not failed:
        return True
    import ctypes  # noqa: PLC0415  (it takes its time to load)

    number = ctypes.get_errno()
    if number in _NO_EXCHANGE:
        return False
    raise OSError(number, os.strerror(number), os.fspath(one), None, os.fspath(other))


@cache
def _call() -> Callable[[bytes, bytes], int]:
    """Raises AttributeError where the system has none; it takes longer to look it up than to call it."""
    import ctypes  # noqa: PLC0415  (as above)

    library = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "linux":
        renameat2 = library.renameat2
        return lambda one, other: int(renameat2(_AT_FDCWD, one, _AT_FDCWD, other, 2))
    renamex_np = library.renamex_np  # macOS alone has it.
    return lambda one, other: int(renamex_np(one, other, 2))
