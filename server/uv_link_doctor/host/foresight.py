"""What Linux will say to a link, a clone, a symbolic link or a copy from uv's cache, told without writing anything.

Only what is certain: the rules of the kernel itself, which hold for every file system, and those of the few file
systems whose rules are known. What only a trial shows (a FUSE server, a network, a security module such as Landlock)
is left out.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from errno import EACCES, EINVAL, ENOSPC, EOPNOTSUPP, EPERM, EROFS, EXDEV
from itertools import islice
from pathlib import Path

from uv_link_doctor.engine.model import Operation, Trial
from uv_link_doctor.host.inodes import (
    APPEND,
    ENCRYPTED,
    IMMUTABLE,
    NOCOW,
    PROJECT_INHERIT,
    REALTIME_OR_DAX,
    Inode,
    inode_of,
)
from uv_link_doctor.host.mounts import Mount, landing_directory, mount_of, nearest_directory

_EXT = frozenset({"ext2", "ext3", "ext4"})
_FAT = frozenset({"exfat", "msdos", "vfat"})
"""They have neither hard nor symbolic links (no `link` and `symlink` in fs/fat/namei_vfat.c, fs/exfat/namei.c)."""
_KNOWN = _EXT | _FAT | {"btrfs", "overlay", "tmpfs", "xfs"}
_CLONES_BETWEEN_MOUNTS = (5, 18)
"""The first Linux in which a file is cloned to another mount of its file system (commit 9f5710bbfd30)."""
_NOBODY = 65534
"""Stands for an owner whom a container's user namespace does not know, and for whom other rules hold."""
_CAP_FOWNER = 1 << 3
"""Its bit in `CapEff` (linux/capability.h)."""
_ENTRIES, _FILES = 4, 2
"""How many of the cache's wheels are looked into, and how many files of each."""


def foresee(cache: Path, environment: Path) -> Trial:
    """What a trial between both would say, as far as that is certain; nothing is written. Never raises.

    It is told for the environment's site-packages; the nearest directory serves for one that does not exist. Numbers
    are those of link(2) and of the ioctl FICLONE, by the kernel's order of checks. A cache that takes no file gives
    `Operation.WRITE` alone.

    Where a trial knows but its own file, this looks at some of the cache's: those of another owner cannot be linked
    although a new one could (`protected_hardlinks`). A way is left out if they would not all fare the same.
    """
    works: dict[Operation, bool] = {}
    os_errors: dict[Operation, int] = {}
    if sys.platform == "linux":
        for operation, number in _answers(nearest_directory(cache), landing_directory(environment)).items():
            works[operation] = number == 0
            if number:
                os_errors[operation] = number
    return Trial(works, os_errors, foreseen=True)


def takes_back(directory: Path) -> bool:
    """Whether a file that is made in a directory can be removed again: not where it is append-only (`chattr +a`)."""
    inode = inode_of(directory)
    return not (inode and inode.flags & APPEND)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Directory:
    """Where files are to be placed; a refusal is the number of the error, 0 where there is none."""

    mount: Mount
    device: int
    inode: Inode | None
    entering: int
    """The refusal that comes before all others: of the way into it, or of a read-only mount."""
    writing: int
    """The refusal to make a name in it."""
    out_of_inodes: bool
    out_of_blocks: bool
    short_of_blocks: bool
    """No block is free for everybody; whether there is one for us is not sure, unless `out_of_blocks` says so."""

    @property
    def creating(self) -> int:
        """The refusal to make a new, empty file in it."""
        return self.entering or self.writing or (ENOSPC if self.out_of_inodes else 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """What is to be placed: a file of the cache, or one as it would be made there."""

    mount: Mount
    device: int
    inode: Inode | None
    nobodys: bool = False
    protected: bool = False
    """It belongs to somebody else, and `protected_hardlinks` forbids us a link to it."""
    reading: int = 0
    """The refusal to open it."""


def _answers(cache: Path, environment: Path) -> dict[Operation, int]:
    """The number of each way's error, 0 where it works; ways of which nothing certain is known are left out."""
    origin, target = _directory(cache), _directory(environment)
    if origin is None or target is None:
        return {}
    if number := origin.creating or (ENOSPC if origin.out_of_blocks else 0):
        return {Operation.WRITE: number}
    files = _files(cache, origin)
    answers = {}
    for way, answer in _WAYS.items():
        first, *others = {answer(file, target) for file in files}
        if first is not None and not others:
            answers[way] = first
    return answers


def _hardlink(file: _File, target: _Directory) -> int | None:
    """In the order of `do_linkat`, `may_linkat`, `vfs_link` (fs/namei.c) and then of the file system's own `link`."""
    return _first(
        (target.entering, target.entering),
        (file.mount.id != target.mount.id, EXDEV),
        (target.mount.filesystem not in _KNOWN or file.nobodys, None),
        (file.protected, EPERM),
        (target.writing, target.writing),
        (file.inode is None or target.inode is None, None),
        (_flags(file) & (IMMUTABLE | APPEND), EPERM),
        (target.mount.filesystem in _FAT, EPERM),
        # btrfs_link: another subvolume, each of which has an `st_dev` of its own.
        (target.mount.filesystem == "btrfs" and file.device != target.device, EXDEV),
        # fscrypt_prepare_link: an encrypted directory takes files of its own policy; which that is we do not compare.
        (_flags(target) & ENCRYPTED, None if _flags(file) & ENCRYPTED else EXDEV),
        # xfs_link, ext4_link.
        (target.inode and target.inode.extended & PROJECT_INHERIT and _project(file) != _project(target), EXDEV),
        # A new name is a new entry of the directory, which may have to grow.
        (target.short_of_blocks or target.out_of_inodes, None),
    )


def _clone(file: _File, target: _Directory) -> int | None:
    """As `vfs_clone_file_range` (fs/remap_range.c) and the file systems' own `remap_file_range` answer."""
    filesystem = target.mount.filesystem
    inodes = (file.inode, target.inode)
    return _first(
        (file.reading, file.reading),
        (target.creating, target.creating),
        (file.mount.volume != target.mount.volume, EXDEV),
        (file.mount.id != target.mount.id and _kernel() < _CLONES_BETWEEN_MOUNTS, None),
        (filesystem in _FAT or filesystem == "tmpfs", EOPNOTSUPP),
        (filesystem not in {*_EXT, "btrfs", "xfs"} or None in inodes, None),
        (_flags(target) & ENCRYPTED, None),
        (filesystem in _EXT, EOPNOTSUPP),
        # btrfs_remap_file_range_prep: both have checksums or both have none. The options decide it for new files only.
        (filesystem == "btrfs" and target.mount.options & {"nodatacow", "nodatasum"}, None),
        (filesystem == "btrfs" and (_flags(file) ^ _flags(target)) & NOCOW, EINVAL),
        # xfs_reflink_remap_prep.
        (any(inode and inode.xfs_reflink is False for inode in inodes), EOPNOTSUPP),
        (any(inode and inode.extended & REALTIME_OR_DAX for inode in inodes), None),
        (filesystem == "xfs" and not all(inode and inode.xfs_reflink for inode in inodes), None),
        (target.short_of_blocks, None),
    )


def _symlink(file: _File, target: _Directory) -> int | None:
    """As `vfs_symlink` (fs/namei.c) answers; a short one needs no block, so that nothing is said of a full disk."""
    return _first(
        (target.creating, target.creating),
        (not _both_known(file, target) or _flags(target) & ENCRYPTED, None),
        (target.mount.filesystem in _FAT, EPERM),
        (target.short_of_blocks, None),
    )


def _copy(file: _File, target: _Directory) -> int | None:
    return _first(
        (file.reading, file.reading),
        (target.creating, target.creating),
        (target.out_of_blocks, ENOSPC),
        (target.short_of_blocks, None),
        (not _both_known(file, target) or _flags(target) & ENCRYPTED, None),
    )


_WAYS: dict[Operation, Callable[[_File, _Directory], int | None]] = {
    Operation.HARDLINK: _hardlink,
    Operation.CLONE: _clone,
    Operation.SYMLINK: _symlink,
    Operation.COPY: _copy,
}


def _first(*checks: tuple[object, int | None]) -> int | None:
    """The answer of the first check that applies: a number, or None for "nobody knows"; 0 where none applies."""
    return next((answer for applies, answer in checks if applies), 0)


def _both_known(file: _File, target: _Directory) -> bool:
    return {file.mount.filesystem, target.mount.filesystem} <= _KNOWN


def _flags(it: _File | _Directory) -> int:
    return it.inode.flags if it.inode else 0


def _project(it: _File | _Directory) -> int:
    return it.inode.project if it.inode else 0


def _directory(path: Path) -> _Directory | None:
    mount = mount_of(path)
    if mount is None:
        return None
    try:
        status, space = os.stat(path), os.statvfs(path)  # noqa: PTH116  (beside statvfs, which Path has not)
    except OSError:
        return None
    known = mount.filesystem in _KNOWN
    short_of_blocks = space.f_blocks > 0 and space.f_bavail == 0
    read_only = EROFS if space.f_flag & os.ST_RDONLY else 0
    return _Directory(
        mount=mount,
        device=status.st_dev,
        inode=inode_of(path) if known else None,
        entering=(_refusal(path, os.X_OK) if known else 0) or read_only,
        writing=_refusal(path, os.W_OK) if known else 0,
        out_of_inodes=_counted(mount) and space.f_files > 0 and space.f_favail == 0,
        out_of_blocks=short_of_blocks and _counted(mount) and (space.f_bfree == 0 or not _has_reserve(mount)),
        short_of_blocks=short_of_blocks,
    )


def _counted(mount: Mount) -> bool:
    """Whether statvfs(3) is exact: btrfs estimates, and an overlay's numbers are those of the layer below it."""
    return mount.filesystem in _EXT or mount.filesystem in {"tmpfs", "xfs"}


def _has_reserve(mount: Mount) -> bool:
    """Whether we may be one of those for whom ext4 keeps blocks back: root, or whom `resuid` and `resgid` name."""
    return os.geteuid() == 0 or any(option.startswith(("resuid=", "resgid=")) for option in mount.options)


def _refusal(path: Path, mode: int) -> int:
    """The kernel's own word by access(2), with every rule it has for permissions: 0, or the number of the error.

    It asks for the real user and not the effective one, who is the same here: uv does not run with setuid.
    """
    if os.access(path, mode):
        return 0
    import ctypes  # noqa: PLC0415  (`os.access` keeps the number to itself; seldom asked)

    libc = ctypes.CDLL(None, use_errno=True)
    return ctypes.get_errno() or EACCES if libc.access(os.fsencode(path), mode) else 0


def _files(cache: Path, directory: _Directory) -> list[_File]:
    """Some files of the cache or, where there is none yet, one as it would be made."""
    found = list(_samples(cache, directory.mount)) if directory.mount.filesystem in _KNOWN else []
    return found or [_new_file(directory)]


def _new_file(directory: _Directory) -> _File:
    """A file of ours, with what it inherits of its directory (ext4's `EXT4_FL_INHERITED`, `xfs_get_initial_prid`)."""
    inode = directory.inode
    if inode is not None:
        project = inode.project if inode.extended & PROJECT_INHERIT else 0
        inode = replace(inode, flags=inode.flags & (ENCRYPTED | NOCOW), project=project)
    return _File(mount=directory.mount, device=directory.device, inode=inode)


def _samples(cache: Path, mount: Mount) -> Iterator[_File]:
    """Unpacked wheels lie in `archive-v0/<id>/` (uv-cache's `CacheBucket::Archive`)."""
    for bucket in _listed(cache, None):
        if bucket.name.startswith("archive-v"):
            for wheel in _listed(Path(bucket), _ENTRIES):
                for path in islice(_regular_files(wheel.path), _FILES):
                    yield from _file(path, mount)


def _listed(directory: Path, most: int | None) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as entries:
            return list(islice(entries, most))
    except OSError:
        return []


def _regular_files(wheel: str) -> Iterator[Path]:
    """One file of each directory of a wheel: in one directory one is like the other."""
    for folder, _, names in os.walk(wheel):
        yield from (Path(folder, name) for name in names[:1])


def _file(path: Path, mount: Mount) -> Iterator[_File]:
    try:
        status = path.lstat()
    except OSError:
        return
    if not stat.S_ISREG(status.st_mode):
        return
    # Another device may be another mount (of the cache's folder for wheels alone) or just a btrfs subvolume.
    yield _File(
        mount=mount_of(path) or mount,
        device=status.st_dev,
        inode=inode_of(path),
        nobodys=_NOBODY in {status.st_uid, status.st_gid} and os.geteuid() != _NOBODY,
        protected=_is_protected(path, status),
        reading=_refusal(path, os.R_OK),
    )


def _is_protected(path: Path, status: os.stat_result) -> bool:
    """Whether `may_linkat` (fs/namei.c) forbids a link to a regular file (proc_sys_fs(5), `protected_hardlinks`)."""
    if status.st_uid == os.geteuid():
        return False
    set_group = stat.S_ISGID | stat.S_IXGRP
    special = status.st_mode & stat.S_ISUID or status.st_mode & set_group == set_group
    if not special and not _refusal(path, os.R_OK | os.W_OK):
        return False
    capabilities = re.search(r"^CapEff:\s*([0-9a-f]+)", _text("/proc/self/status"), re.MULTILINE)
    capable = capabilities is None or int(capabilities[1], 16) & _CAP_FOWNER
    return not capable and _text("/proc/sys/fs/protected_hardlinks").strip() == "1"


def _text(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""


def _kernel() -> tuple[int, ...]:
    version = re.match(r"(\d+)\.(\d+)", os.uname().release)
    return (int(version[1]), int(version[2])) if version else (0, 0)
