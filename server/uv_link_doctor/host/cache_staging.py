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

from uv_link_doctor.host.claims import OURS, claim_new, forsaken, give_up


@contextmanager
def staging(cache: Path) -> Iterator[str]:
    """A directory for copies; raises OSError."""
    claim = claim_new(cache)
    try:
        yield str(claim.path)
    finally:
        give_up(claim)


def sweep(cache: Path) -> None:
    """Removes directories for copies whose owner is dead, and links that a dead one's trial left.

    A link of a living one may go as well: that has been made is all it had to show. Raises OSError where the cache
    cannot be listed.
    """
    for claim in forsaken(cache):
        give_up(claim)
    with os.scandir(cache) as children:
        for child in children:
            if child.name.startswith(OURS) and not child.is_dir(follow_symlinks=False):
                with suppress(OSError):  # Another user's.
                    os.unlink(child.path)  # noqa: PTH108  (a string as it is)


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
