"""Which directory stands for a path, and which mount of Linux it is on."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path

_ESCAPE = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One line of `/proc/self/mountinfo` (proc_pid_mountinfo(5))."""

    id: int
    """No hard link goes from one to another, be they mounts of one file system or of two."""
    volume: str
    """`major:minor` of the file system, the same for all its mounts; not the `st_dev` of files on btrfs."""
    mount_point: str
    filesystem: str
    device: str
    options: frozenset[str]
    """Of the mount and of its file system."""


def mount_of(directory: Path) -> Mount | None:
    """The mount a directory is on, by the kernel's own word; None where there is no such word."""
    if sys.platform != "linux":
        return None
    try:
        handle = os.open(directory, os.O_PATH | os.O_CLOEXEC)
        try:
            facts = Path(f"/proc/self/fdinfo/{handle}").read_text(encoding="ascii")
        finally:
            os.close(handle)
    except OSError:
        return None
    mount_id = re.search(r"^mnt_id:\s*(\d+)", facts, re.MULTILINE)
    return find_mount(mount_table(), int(mount_id[1])) if mount_id else None


def mount_table() -> str:
    """The text of `/proc/self/mountinfo`, which differs as soon as anything is mounted otherwise; empty if unknown."""
    try:
        return os.fsdecode(Path("/proc/self/mountinfo").read_bytes())
    except OSError:
        return ""


def find_mount(table: str, mount_id: int) -> Mount | None:
    """A mount by its id in the text of `/proc/self/mountinfo`; None where it is not, or its line is not understood."""
    line = re.search(rf"^{mount_id} .*$", table, re.MULTILINE)
    left, _, right = line[0].partition(" - ") if line else ("", "", "")
    mount, filesystem = left.split(" "), right.split(" ")
    if len(mount) < 6 or len(filesystem) < 3:
        return None
    return Mount(
        id=mount_id,
        volume=mount[2],
        mount_point=_unescaped(mount[4]),
        filesystem=filesystem[0],
        device=_unescaped(filesystem[1]),
        options=frozenset(mount[5].split(",")) | frozenset(_unescaped(filesystem[2]).split(",")),
    )


def is_mount_point(path: Path) -> bool:
    """Whether a file system, or a folder of one, is mounted there, so that nothing can take the path's name."""
    return not path.is_symlink() and (os.path.ismount(path) or mount_of(path) != mount_of(path.parent))


def nearest_directory(path: Path) -> Path:
    """The path itself or its nearest ancestor that is a directory, absolute, with symbolic links as they are."""
    path = path.absolute()
    for candidate in (path, *path.parents):
        if os.path.isdir(candidate):  # noqa: PTH112  (`Path.is_dir` raises where a parent may not be searched)
            return candidate
    return Path(path.anchor)


def landing_directory(environment: Path) -> Path:
    """Where the names of a package's files are made: an environment's site-packages, else as `nearest_directory`."""
    try:
        libraries = [*environment.glob("lib/python*/site-packages"), *environment.glob("Lib/site-packages")]
    except OSError:
        libraries = []
    return nearest_directory(libraries[0] if len(libraries) == 1 else environment)


def _unescaped(field: str) -> str:
    return _ESCAPE.sub(lambda escape: chr(int(escape[1], 8)), field)
