"""The system call by which two names change places in one step, where there is one: Python has none."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

_AT_FDCWD = -100
_NO_EXCHANGE = frozenset({errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EISDIR, errno.ENOTDIR})
"""The last two: a FUSE file system that is not told of the flag tries to rename a directory over a link."""


def exchange(one: Path, other: Path) -> bool:
    """Lets two names change places in one step; False where the system or the file system cannot. Raises OSError.

    renameat2(2) with RENAME_EXCHANGE on Linux, renamex_np(2) with RENAME_SWAP on macOS (untried).
    """
    import ctypes  # noqa: PLC0415  (it takes its time to load)

    names = os.fsencode(one), os.fsencode(other)
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "linux":
            failed = library.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], 2)
        elif sys.platform == "darwin":
            failed = library.renamex_np(*names, 2)
        else:
            return False
    except (AttributeError, OSError, TypeError):
        return False
    if not failed:
        return True
    number = ctypes.get_errno()
    if number in _NO_EXCHANGE:
        return False
    raise OSError(number, os.strerror(number), os.fspath(one), None, os.fspath(other))
