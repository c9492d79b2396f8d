"""A copy of uv's cache that is as good as the cache: brought up to date in passes, the last of which finds nothing.

Paths are strings here: there are hundreds of thousands.
"""

from __future__ import annotations

import errno
import filecmp
import os
import shutil
import stat
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from uv_link_doctor.host.claims import OURS, remove_tree

_THREADS = 2
_BLOCK = 4096
_CHUNK = 1 << 20
_GRAINS = (100, 10**7, 10**9, 2 * 10**9)
_USER = os.geteuid() if hasattr(os, "geteuid") else None
_LEFT_BEHIND = (OURS, ".tmp")
"""At the cache's top: what a repair or a uv was at when it was killed (`uv cache prune` removes it, too)."""
_NO_SHARING = frozenset({errno.EXDEV, errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ETXTBSY, errno.EPERM})
"""With which copy_file_range(2) says that bytes must go through memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """What a cache comes to."""

    files: int
    size: int
    """In bytes, each file and directory in whole blocks."""


@dataclass(slots=True)
class Copying:
    """One copy in the making, over all its passes; threads share it."""

    cache: str
    copy: str
    stop: Callable[[], bool]
    distrust: bool = False
    """Whether the content of what is there already has to be compared."""
    ended: bool = False
    share: bool = True
    """Whether copy_file_range(2) works between the two."""
    roots: tuple[str, ...] = ()
    relinked: set[str] = field(default_factory=set)
    first: dict[int, str] = field(default_factory=dict)
    """By inode that has several names: the directory in which it was met first."""
    again: list[tuple[str, str, int]] = field(default_factory=list)
    """Its further names: directory, name, inode."""


def bring_up_to_date(work: Copying, *, distrust: bool, on_files: Callable[[int], None]) -> int:
    """Makes the copy the same as the cache; in how many things it was not.

    Looks at the names, kinds, sizes and times of everything, at contents only (`distrust`) where a predecessor, who may
    have been killed at any moment, made what is there. `on_files` hears how many files are done. Ends early where
    `work.stop` says so. Raises OSError.
    """
    work.distrust = distrust
    work.first, work.again = {}, []
    work.roots = roots_of(Path(work.cache), Path(work.copy))
    on_files(0)
    fresh = not os.path.isdir(work.copy)  # noqa: PTH112
    if fresh:
        os.mkdir(work.copy)  # noqa: PTH102
    top = _one_directory(work, "", fresh=fresh)
    files, changed = top.files, top.changed + fresh
    units: list[tuple[str, bool]] = []
    for bucket, is_fresh in top.below:
        level = _one_directory(work, bucket, fresh=is_fresh)
        files, changed = files + level.files, changed + level.changed
        units += level.below
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="move-cache") as pool:
        futures = [pool.submit(_whole_directory, work, *unit) for unit in units]
        try:
            for future in as_completed(futures):
                below = future.result()
                files, changed = files + below[0], changed + below[1]
                on_files(files)
        except BaseException:
            work.ended = True
            raise
    return changed + _link_again(work)


@dataclass(slots=True)
class _Level:
    """What came of one directory."""

    files: int = 0
    changed: int = 0
    below: list[tuple[str, bool]] = field(default_factory=list)
    """The directories in it, and whether each was made just now."""


def _whole_directory(work: Copying, directory: str, fresh: bool) -> tuple[int, int]:  # noqa: FBT001  (of a tuple)
    files = changed = 0
    level = [(directory, fresh)]
    while level:
        if work.ended or work.stop():
            break
        one = _one_directory(work, *level.pop())
        files, changed = files + one.files, changed + one.changed
        level += one.below
    return files, changed


def _one_directory(work: Copying, directory: str, fresh: bool) -> _Level:  # noqa: FBT001  (as above)
    """Everything in a directory but what is in the directories below it, which are made.

    What a uv at work removes meanwhile counts as a change, so that another pass takes it out of the copy, too.
    """
    try:
        return _one_that_is_there(work, directory, fresh=fresh)
    except FileNotFoundError:
        if not directory or os.path.lexists(f"{work.cache}/{directory}"):
            raise
        return _Level(changed=1)


def _one_that_is_there(work: Copying, directory: str, *, fresh: bool) -> _Level:
    source, target = (f"{work.cache}/{directory}", f"{work.copy}/{directory}") if directory else (work.cache, work.copy)
    done = _Level()
    own = os.lstat(source)
    here: set[int] = set()
    # What this run has copied of an unpacked wheel, which uv never changes, shows by the directory's time whether
    # anybody replaced a file since; names are compared in any case.
    settled = not fresh and not work.distrust and directory.startswith("archive-v") and _is_unchanged(own, target)
    there = {} if fresh else _entries_of(target)
    with os.scandir(source) as entries:
        for entry in entries:
            name = entry.name
            if not directory and name.startswith(_LEFT_BEHIND):
                continue
            old = there.pop(name, None)
            path, inner = f"{target}/{name}", f"{directory}/{name}" if directory else name
            if entry.is_symlink():
                done.changed += _unless_gone(entry, _copy_link, work, entry.path, path, inner, old)
            elif entry.is_dir(follow_symlinks=False):
                new = not (old and old.is_dir(follow_symlinks=False))
                if new:
                    _remove_entry(old)
                    os.mkdir(path, 0o700)  # noqa: PTH102
                done.below.append((inner, new))
            elif entry.is_file(follow_symlinks=False):
                done.files += 1
                if not (settled and old and old.is_file(follow_symlinks=False)):
                    done.changed += _unless_gone(entry, _file, work, entry, directory, here, old)
    for stray in there.values():
        _remove_entry(stray)
        done.changed += 1
    _settle_directory(target, own)
    return done


def _unless_gone(entry: os.DirEntry[str], copy: Callable[..., int], *arguments: object) -> int:
    """What it comes to to copy an entry; one change where there is none any more."""
    try:
        return copy(*arguments)
    except FileNotFoundError:
        if os.path.lexists(entry.path):
            raise
        return 1


def _file(work: Copying, entry: os.DirEntry[str], directory: str, here: set[int], old: os.DirEntry[str] | None) -> int:
    """Whether there was anything to do but for `_link_again`; `here` are the inodes of this directory."""
    about = entry.stat(follow_symlinks=False)
    if about.st_nlink > 1:
        if about.st_ino in here or work.first.setdefault(about.st_ino, directory) is not directory:
            work.again.append((directory, entry.name, about.st_ino))
            return 0
        here.add(about.st_ino)
    if old and _is_same(work, entry.path, about, old):
        return 0
    _remove_entry(old)
    target = f"{work.copy}/{directory}/{entry.name}" if directory else f"{work.copy}/{entry.name}"
    _copy_file(work, entry.path, target, about)
    return 1


def _link_again(work: Copying) -> int:
    """Gives the copy of a file that has several names in the cache the same names; for how many that was to be done."""
    changed = 0
    for directory, name, inode in work.again:
        first = work.first[inode]
        own = twin = None
        with suppress(FileNotFoundError), os.scandir(f"{work.cache}/{first}") as entries:
            own = os.lstat(f"{work.cache}/{directory}")
            twin = next((it.name for it in entries if it.inode() == inode), None)
        if own is None or twin is None:
            changed += 1  # Gone meanwhile; the next pass sees it.
            continue
        here = f"{work.copy}/{directory}"
        target = Path(here, name)
        if target.exists() and target.samefile(f"{work.copy}/{first}/{twin}"):
            continue
        delete(target)
        os.link(f"{work.copy}/{first}/{twin}", target)
        _settle_directory(here, own)
        changed += 1
    return changed


def _copy_file(work: Copying, source: str, target: str, about: os.stat_result) -> None:
    """Content, mode and owner, and last the times: whoever finds those right finds all of it."""
    if not hasattr(os, "copy_file_range"):
        shutil.copy2(source, target, follow_symlinks=False)
        return
    reading = os.open(source, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        mode = stat.S_IMODE(about.st_mode)
        writing = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            _fill(work, reading, writing, about.st_size)
            if mode & ~0o755:
                os.fchmod(writing, mode)  # The umask may have taken some of it away.
            if about.st_uid != _USER and _USER == 0:
                os.fchown(writing, about.st_uid, about.st_gid)
            os.utime(writing, ns=(about.st_atime_ns, about.st_mtime_ns))
        finally:
            os.close(writing)
    finally:
        os.close(reading)


def _fill(work: Copying, reading: int, writing: int, size: int) -> None:
    """Shares blocks where both ends can, lets the kernel copy where it can; a file that shrinks ends early."""
    done = 0
    while work.share and done < size:
        try:
            part = os.copy_file_range(reading, writing, size - done)
        except OSError as error:
            if done or error.errno not in _NO_SHARING:
                raise
            work.share = False
            break
        if not part:
            return
        done += part
    while done < size and (data := os.read(reading, min(size - done, _CHUNK))):
        done += len(data)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(writing, rest) :]


def _copy_link(work: Copying, source: str, target: str, inner: str, old: os.DirEntry[str] | None) -> int:
    """Whether there was anything to do."""
    leads_to = os.readlink(source)  # noqa: PTH115
    link = relative(leads_to, inner, work.roots)
    if link != leads_to:
        work.relinked.add(inner)
    if old and old.is_symlink() and os.readlink(target) == link:  # noqa: PTH115
        return 0
    _remove_entry(old)
    about = os.lstat(source)
    os.symlink(link, target)  # noqa: PTH211
    if about.st_uid != _USER and _USER == 0:
        os.lchown(target, about.st_uid, about.st_gid)
    if os.utime in os.supports_follow_symlinks:
        os.utime(target, ns=(about.st_atime_ns, about.st_mtime_ns), follow_symlinks=False)
    return 1


def _is_same(work: Copying, source: str, about: os.stat_result, old: os.DirEntry[str]) -> bool:
    if not old.is_file(follow_symlinks=False):
        return False
    there = old.stat(follow_symlinks=False)
    if there.st_size != about.st_size or not _same_time(about.st_mtime_ns, there.st_mtime_ns):
        return False
    return not work.distrust or filecmp.cmp(source, old.path, shallow=False)


def _same_time(wanted: int, kept: int) -> bool:
    """In nanoseconds; some file systems keep 100 of them, 10 ms, or whole seconds, or even ones."""
    return wanted == kept or any(kept % grain == 0 and abs(wanted - kept) < grain for grain in _GRAINS)


def _is_unchanged(own: os.stat_result, target: str) -> bool:
    return own.st_mtime_ns == os.lstat(target).st_mtime_ns


def _settle_directory(target: str, own: os.stat_result) -> None:
    there = os.lstat(target)
    if there.st_mode != own.st_mode:
        os.chmod(target, stat.S_IMODE(own.st_mode))  # noqa: PTH101
    if there.st_uid != own.st_uid and _USER == 0:
        os.chown(target, own.st_uid, own.st_gid)
    if there.st_mtime_ns != own.st_mtime_ns:
        os.utime(target, ns=(own.st_atime_ns, own.st_mtime_ns))


def _entries_of(directory: str) -> dict[str, os.DirEntry[str]]:
    with os.scandir(directory) as entries:
        return {entry.name: entry for entry in entries}


def _remove_entry(entry: os.DirEntry[str] | None) -> None:
    if entry is not None:
        delete(Path(entry.path))


def delete(path: Path) -> None:
    """Whatever has this name, if anything has."""
    if path.is_dir() and not path.is_symlink():
        remove_tree(os.fspath(path))
    else:
        path.unlink(missing_ok=True)


def roots_of(*caches: Path) -> tuple[str, ...]:
    """The paths by which absolute links may lead into a cache."""
    return tuple(dict.fromkeys(name for cache in caches for name in (os.fspath(cache), os.path.realpath(cache))))


def relative(target: str, inner: str, roots: Iterable[str]) -> str:
    """What a symbolic link at `inner`, a path within the cache, has to say so that it stays in a cache that moves."""
    if not os.path.isabs(target):  # noqa: PTH117
        return target
    for path in (target, os.path.realpath(target)):
        for root in roots:
            if inside(path, root):
                return os.path.relpath(path[len(root) + 1 :] or ".", os.path.dirname(inner) or ".")  # noqa: PTH120
    return target


def is_copy(cache: Path, copy: Path) -> bool:
    """Whether two caches have the same names, kinds, sizes and times throughout."""
    level = [""]
    while level:
        inner = level.pop()
        ours, theirs = _entries_of(f"{cache}/{inner}"), _entries_of(f"{copy}/{inner}")
        if not inner:
            ours = {name: it for name, it in ours.items() if not name.startswith(_LEFT_BEHIND)}
        if ours.keys() != theirs.keys():
            return False
        for name, entry in ours.items():
            about, there = entry.stat(follow_symlinks=False), theirs[name].stat(follow_symlinks=False)
            if stat.S_IFMT(about.st_mode) != stat.S_IFMT(there.st_mode):
                return False
            if entry.is_dir(follow_symlinks=False):
                level.append(f"{inner}/{name}" if inner else name)
            elif entry.is_file(follow_symlinks=False) and (
                about.st_size != there.st_size or not _same_time(about.st_mtime_ns, there.st_mtime_ns)
            ):
                return False
    return True


def stems_from(copy: Path, cache: Path) -> bool:
    """Whether a cache began as a copy of the other, whatever has come to both since: uv tags one when it makes it."""
    try:
        made, there = ((it / "CACHEDIR.TAG").stat().st_mtime_ns for it in (cache, copy))
    except OSError:
        return False
    return _same_time(made, there)


def weigh(cache: Path, *, stop: Callable[[], bool] | None = None) -> Size:
    """What would be copied; raises OSError."""
    files = size = 0
    level = [os.fspath(cache)]
    while level and not (stop and stop()):
        size += _BLOCK
        with suppress(FileNotFoundError), os.scandir(level.pop()) as entries:  # A uv at work has removed it.
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    level.append(entry.path)
                    continue
                with suppress(FileNotFoundError):
                    size += -(-entry.stat(follow_symlinks=False).st_size // _BLOCK) * _BLOCK
                    files += 1
    return Size(files=files, size=size)


def inside(path: str, root: str) -> bool:
    """Whether an absolute path is the other or below it, by the names alone."""
    return path == root or path.startswith(root.rstrip(os.sep) + os.sep)


def sync(path: Path) -> None:
    """Has everything on the file system of this directory written; raises the OSError of what could not be."""
    if sys.platform != "linux":
        getattr(os, "sync", lambda: None)()
        return
    import ctypes  # noqa: PLC0415  (as above)

    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(handle):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), os.fspath(path))
    finally:
        os.close(handle)
