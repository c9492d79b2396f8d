"""What Linux tells of a file or directory beyond stat(2), by ioctl(2) and without writing; elsewhere nothing."""

from __future__ import annotations

import os
import struct
import sys
from dataclasses import dataclass
from pathlib import Path

if sys.platform == "linux":
    import fcntl

# Bits of FS_IOC_GETFLAGS (linux/fs.h); chattr(1) calls the first two +i and +a, the fourth +C, the last +F.
IMMUTABLE, APPEND, ENCRYPTED, NOCOW, CASEFOLD = 0x10, 0x20, 0x800, 0x800000, 0x40000000

# Bits of FS_IOC_FSGETXATTR (linux/fs.h): what is made in such a directory gets its project id; files that xfs keeps
# on its realtime device (or will keep there) and files mapped straight from memory share blocks only with their like.
PROJECT_INHERIT, REALTIME_OR_DAX = 0x200, 0x1 | 0x100 | 0x8000

# Bits of the geometry of xfs (libxfs/xfs_fs.h).
_XFS_ASCII_CI, _XFS_REFLINK = 1 << 13, 1 << 20

# The two directions of an ioctl's number (asm-generic/ioctl.h), which these architectures encode the other way round.
_SWAPPED = sys.platform == "linux" and os.uname().machine.startswith(("alpha", "mips", "ppc", "sparc"))
_READ, _WRITE = (0x40000000, 0x80000000) if _SWAPPED else (0x80000000, 0x40000000)

FICLONE = _WRITE | 4 << 16 | 0x94 << 8 | 9
_GETFLAGS = _READ | struct.calcsize("l") << 16 | ord("f") << 8 | 1
_FSGETXATTR = _READ | 28 << 16 | ord("X") << 8 | 31
_XFS_FSGEOMETRY_V4 = _READ | 112 << 16 | ord("X") << 8 | 124
_BTRFS_INO_LOOKUP = _READ | _WRITE | 4096 << 16 | 0x94 << 8 | 18


@dataclass(frozen=True, slots=True, kw_only=True)
class Inode:
    """A fact is zero or None where the file system does not have it."""

    flags: int
    extended: int
    """The flags of FS_IOC_FSGETXATTR."""
    project: int
    subvolume: int | None
    """The id of the btrfs subvolume it is in."""
    xfs_reflink: bool | None
    """Whether this xfs was made to share blocks; None on other file systems."""
    xfs_ascii_ci: bool


def inode_of(path: Path) -> Inode | None:
    """The facts of a file or directory that we may read; None for any other."""
    if sys.platform != "linux":
        return None
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    try:
        flags = _ask(handle, _GETFLAGS, 8)
        extended = _ask(handle, _FSGETXATTR, 28)
        geometry = _ask(handle, _XFS_FSGEOMETRY_V4, 112)
        # With this id (BTRFS_FIRST_FREE_OBJECTID) anybody may ask, and the answer is the subvolume's.
        subvolume = _ask(handle, _BTRFS_INO_LOOKUP, 4096, struct.pack("=QQ", 0, 256))
    finally:
        os.close(handle)
    xfs = _number(geometry, 92) if geometry else None
    return Inode(
        flags=_number(flags, 0),
        extended=_number(extended, 0),
        project=_number(extended, 12),
        subvolume=struct.unpack_from("=Q", subvolume)[0] if subvolume else None,
        xfs_reflink=None if xfs is None else bool(xfs & _XFS_REFLINK),
        xfs_ascii_ci=bool((xfs or 0) & _XFS_ASCII_CI),
    )


def _ask(handle: int, request: int, size: int, question: bytes = b"") -> bytes | None:
    if sys.platform == "linux":
        buffer = bytearray(question.ljust(size, b"\0"))
        try:
            fcntl.ioctl(handle, request, buffer)
        except OSError:
            return None
        return bytes(buffer)
    return None


def _number(answer: bytes | None, offset: int) -> int:
    return int(struct.unpack_from("=I", answer, offset)[0]) if answer else 0
