"""Gives the files of uv's cache that take no further link a fresh inode with the same content, and downloads nothing.

A batch of files is copied into a directory of its own beside the archive, where no install looks, held against RECORD,
and brought to the disk by one call; only then does each copy take its file's name in one step. So a kill, a power cut
or a full disk at any moment leaves every name with the right content, and no name more in the archive. Other names of
the old file, those in a synced folder, keep the old one.
"""

from __future__ import annotations

import errno
import filecmp
import os
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from uv_link_doctor.host.cache import entry_at
from uv_link_doctor.host.cache_lock import cache_lock
from uv_link_doctor.host.cache_scan import Trials, Trouble, Troubled, os_error_of
from uv_link_doctor.host.cache_staging import flush, staging, sweep
from uv_link_doctor.host.exchange import exchange
from uv_link_doctor.host.record import NOTHING, Promise, fits, keeps, record

_FILES_AT_MOST = 4096
_BYTES_AT_MOST = 256 << 20
"""Of a batch: much for one call of the disk, little to do again after a kill."""
_SECONDS_OF_A_CALL = 0.3
"""That a system call which another process has begun may take to its end, also when many want the processor."""
_PIECE = 1 << 20
_BINARY, _NO_FOLLOW = getattr(os, "O_BINARY", 0), getattr(os, "O_NOFOLLOW", 0)
_THIS_FILE_ONLY = frozenset({errno.EACCES, errno.EPERM, errno.EBUSY, errno.ETXTBSY, errno.EISDIR, errno.ENOTDIR})
"""Numbers that keep one name from being replaced: a program has it open, its directory forbids it."""
_MODE = 0o644
"""What nearly all files of a cache have; nobody else gets into the directory for copies."""
_NO_RANGE = frozenset({errno.EXDEV, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF})
"""Numbers with which `copy_file_range` says that it is not for these files."""
_ENDS_ALL = frozenset(
    {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.ENOTCONN, errno.ESTALE, errno.ENODEV}
)
"""Numbers that speak of where a copy is written, or of a disk that is gone, whatever was read."""


class Did(StrEnum):
    """What a step was."""

    LOCKED = "locked"
    """uv's lock is held; nothing has changed."""
    SWEPT = "swept"
    """What dead predecessors left is gone."""
    OPENED = "opened"
    """The directory for copies is there."""
    COPIED = "copied"
    """One file, not yet verified."""
    VERIFIED = "verified"
    """A batch."""
    SYNCED = "synced"
    """A batch is on the disk."""
    REPLACED = "replaced"
    """One file."""
    CLOSED = "closed"
    """The directory for copies is gone."""


@dataclass(frozen=True, slots=True)
class Step:
    """How far a repair has come; told after each step."""

    did: Did
    file: Path | None
    entries: int
    """Begun so far."""
    of: int


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What ended a repair early; every file is as it was or repaired."""

    os_error: int
    """Windows' own number there."""
    path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """What a repair did; as far as it has not, another one goes on where it ended."""

    files: int
    """That have a fresh inode."""
    size: int
    """Their bytes: as much more is used on the disk, except where files share blocks."""
    entries: int
    """With such a file."""
    damaged: tuple[Troubled, ...]
    """Files whose content is not there, or not what RECORD says: not touched, `clean-package` is for them."""
    left: tuple[Troubled, ...]
    """Files that could not be replaced, each entry with the first number."""
    obstacle: Obstacle | None
    stopped: bool
    verifying: float
    """Seconds, of the whole."""


def repair(
    cache: Path,
    troubled: Iterable[Troubled],
    *,
    seconds: float = 60.0,
    on_wait: Callable[[], None] | None = None,
    on_step: Callable[[Step], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Repaired:
    """Replaces the refused files of the given entries: those named by a complete scan, else those that a trial shows.

    Owner, mode and times stay; extended attributes don't, since a sync client's mark is one. METADATA comes last of an
    entry, so that a quick scan finds what is half done. First it removes what dead predecessors left, also when nothing
    is in trouble. Holds uv's lock as an install does; `seconds` bound the wait for it. `stop` is asked before each
    copy; what a batch has copied is dropped then.

    Raises CacheBusyError, never an OSError.
    """
    work = _Work(cache, tuple(it for it in troubled if it.trouble is Trouble.REFUSED), on_step, stop)
    try:
        with cache_lock(cache, exclusive=False, seconds=seconds, stop=stop, on_wait=on_wait):
            work.tell(Did.LOCKED)
            sweep(cache)
            work.tell(Did.SWEPT)
            _repair(work)
    except OSError as error:
        path = error.filename if isinstance(error.filename, str | Path) else cache
        work.obstacle = Obstacle(os_error_of(error), Path(path))
    return work.result()


@dataclass(frozen=True, slots=True)
class _File:
    """To be replaced."""

    entry: Troubled
    name: str
    promise: Promise

    @property
    def path(self) -> str:
        return f"{self.entry.path}/{self.name}"


@dataclass(frozen=True, slots=True)
class _Copy:
    """Of a file, staged."""

    file: _File
    path: str
    size: int


@dataclass(slots=True)
class _Work:
    """What has been done so far."""

    cache: Path
    refused: tuple[Troubled, ...]
    on_step: Callable[[Step], None] | None
    stop: Callable[[], bool] | None
    begun: int = 0
    files: int = 0
    size: int = 0
    verifying: float = 0.0
    stopped: bool = False
    obstacle: Obstacle | None = None
    made: os.stat_result | None = None
    """What the first copy was when it was made: all have the same owner and mode then."""
    old: list[str] = field(default_factory=list)
    """The last batch's old files, where its copies were."""
    replaced: float = 0.0
    """When the last of them was, by the monotonic clock."""
    entries: set[Path] = field(default_factory=set)
    damaged: dict[Path, _Trouble] = field(default_factory=dict)
    left: dict[Path, _Trouble] = field(default_factory=dict)

    def tell(self, did: Did, file: str | None = None) -> None:
        if self.on_step is not None:
            self.on_step(Step(did, None if file is None else Path(file), self.begun, len(self.refused)))

    def result(self) -> Repaired:
        return Repaired(
            files=self.files,
            size=self.size,
            entries=len(self.entries),
            damaged=tuple(it.told(Trouble.DAMAGED) for it in self.damaged.values()),
            left=tuple(it.told(Trouble.REFUSED) for it in self.left.values()),
            obstacle=self.obstacle,
            stopped=self.stopped,
            verifying=self.verifying,
        )


@dataclass(slots=True)
class _Trouble:
    """What could not be repaired of an entry."""

    entry: Troubled
    files: list[str] = field(default_factory=list)
    os_error: int | None = None

    def told(self, trouble: Trouble) -> Troubled:
        return Troubled(
            package=self.entry.package,
            version=self.entry.version,
            path=self.entry.path,
            trouble=trouble,
            files=tuple(self.files),
            os_error=self.os_error,
        )


def _note(found: dict[Path, _Trouble], file: _File, os_error: int | None = None) -> None:
    trouble = found.setdefault(file.entry.path, _Trouble(file.entry))
    trouble.files.append(file.name)
    trouble.os_error = trouble.os_error or os_error


def _repair(work: _Work) -> None:
    """Raises OSError for what would end every other batch, too."""
    with staging(work.cache) as directory:
        work.tell(Did.OPENED)
        try:
            _in_batches(work, directory)
        finally:
            _let_go(work)
        os.stat(directory)  # noqa: PTH116  (where the disk was unplugged, entries only seemed to be removed)
    work.tell(Did.CLOSED)


def _in_batches(work: _Work, directory: str) -> None:
    batch: list[_Copy] = []
    room = _BYTES_AT_MOST
    for number, file in enumerate(_files(work)):
        if work.stop is not None and work.stop():
            work.stopped = True
            return
        copy = _copied(work, file, f"{directory}/{number}")
        if copy is None:
            continue
        batch.append(copy)
        room -= copy.size
        work.tell(Did.COPIED, file.path)
        if len(batch) == _FILES_AT_MOST or room <= 0:
            _finish(work, directory, batch)
            batch, room = [], _BYTES_AT_MOST
    if batch:
        _finish(work, directory, batch)


def _files(work: _Work) -> Iterator[_File]:
    """All that are to be replaced, METADATA last of each entry."""
    trials = Trials(work.cache)
    for refused in work.refused:
        work.begun += 1
        entry = entry_at(str(refused.path))
        recorded = "RECORD" if entry is None else f"{entry.dist_info}/RECORD"
        needed = _File(refused, recorded, NOTHING)
        try:
            os.stat(needed.path)  # noqa: PTH116  (a string as it is)
            names = refused.files
            if not refused.complete:
                names = tuple(name for name, _ in trials.refused(str(refused.path)))
        except OSError as error:
            _unread(work, needed, error)
            continue
        promised = record(needed.path)
        if promised is None:
            _note(work.damaged, needed)
            continue
        for name in sorted(names, key=lambda name: name.endswith(".dist-info/METADATA")):
            yield _File(refused, name, promised.get(name, NOTHING))


def _copied(work: _Work, file: _File, target: str) -> _Copy | None:
    """A copy with owner, mode and times; None where the file cannot be read. Raises OSError: it cannot be written."""
    # Before the file itself, so that a disk that was unplugged is not taken for a file that was removed.
    writing = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _BINARY, _MODE)
    reading = -1
    try:
        reading = os.open(file.path, os.O_RDONLY | _BINARY | _NO_FOLLOW)
        status = os.fstat(reading)
        if not stat.S_ISREG(status.st_mode) or not fits(file.promise, status.st_size):
            _note(work.damaged, file)
            return None
        _pour(reading, writing, status.st_size)
        _take_over(work, status, writing if os.chmod in os.supports_fd else target)
        if sys.platform == "win32":  # It has no call for all files at once.
            os.fsync(writing)
    except OSError as error:
        if error.errno in _ENDS_ALL:
            raise OSError(error.errno, error.strerror, target) from error
        _unread(work, file, error)
        return None
    finally:
        os.close(writing)
        if reading != -1:
            os.close(reading)
    return _Copy(file, target, status.st_size)


def _take_over(work: _Work, status: os.stat_result, copy: int | str) -> None:
    """Gives a copy the file's owner, mode and times, as far as it has others: each call is a write to the disk."""
    made = work.made = work.made or os.stat(copy)  # noqa: PTH116  (an open file)
    if sys.platform != "win32" and (made.st_uid, made.st_gid) != (status.st_uid, status.st_gid):
        try:
            os.chown(copy, status.st_uid, status.st_gid)
        except OSError:  # Ours then, and links to it can be made; those of the group may go on using it.
            with suppress(OSError):
                os.chown(copy, -1, status.st_gid)
    if made.st_mode != status.st_mode:
        os.chmod(copy, stat.S_IMODE(status.st_mode))  # noqa: PTH101  (the same)
    os.utime(copy, ns=(status.st_atime_ns, status.st_mtime_ns))


def _pour(reading: int, writing: int, size: int) -> None:
    """Lets the system copy, which shares blocks where the file system can."""
    if sys.platform == "linux":
        try:
            while size > 0 and (done := os.copy_file_range(reading, writing, size)):
                size -= done
        except OSError as error:
            if error.errno not in _NO_RANGE:
                raise
        # What is lacking, if anything, follows: both ends stand where the system stopped.
    while piece := os.read(reading, _PIECE) if size > 0 else b"":
        size -= len(piece)
        while piece:
            piece = piece[os.write(writing, piece) :]


def _finish(work: _Work, directory: str, batch: list[_Copy]) -> None:
    """Gives the sound copies of a batch their files' names; raises OSError for what ends all."""
    with ThreadPoolExecutor(1) as disk:  # It is busy while we compare.
        flushing = disk.submit(flush, directory)
        since = time.perf_counter()
        sound = [copy for copy in batch if _is_sound(work, copy)]
        work.verifying += time.perf_counter() - since
        work.tell(Did.VERIFIED)
        flushing.result()
    work.tell(Did.SYNCED)
    _let_go(work)
    for copy in sound:
        try:
            _change_places(work, copy)
        except OSError as error:
            if error.errno not in _THIS_FILE_ONLY and not (_is_gone(error) and os.path.exists(copy.path)):  # noqa: PTH110
                raise
            _unread(work, copy.file, error)
            continue
        work.files += 1
        work.size += copy.size
        work.entries.add(copy.file.entry.path)
        work.tell(Did.REPLACED, copy.file.path)


def _change_places(work: _Work, copy: _Copy) -> None:
    """Raises OSError. A file that has other names keeps those: to exchange costs the disk a write more."""
    if _has_no_other_name(copy.file.path) and exchange(copy.path, copy.file.path):
        work.old.append(copy.path)
        work.replaced = time.monotonic()
    else:
        os.replace(copy.path, copy.file.path)  # noqa: PTH105  (thousands of them)


def _let_go(work: _Work) -> None:
    """Removes the last batch's old files, if need be when nobody can be about to link them any more."""
    left = work.replaced + _SECONDS_OF_A_CALL - time.monotonic()
    if left > 0 and any(map(_has_no_other_name, work.old)):
        time.sleep(left)
    for old in work.old:
        with suppress(OSError):  # The directory is to be removed with all that is in it.
            os.unlink(old)  # noqa: PTH108  (thousands of them)
    work.old = []


def _has_no_other_name(file: str) -> bool:
    try:
        return os.lstat(file).st_nlink == 1
    except OSError:
        return False


def _is_sound(work: _Work, copy: _Copy) -> bool:
    """Whether the copy is what RECORD promises; where that promises nothing, what the file is."""
    status = os.stat(copy.path)  # noqa: PTH116  (thousands of them)
    if copy.file.promise[0]:
        same = status.st_size == copy.size and keeps(copy.file.promise, copy.path)
    else:
        try:
            same = filecmp.cmp(copy.path, copy.file.path, shallow=False)
        except OSError as error:
            _unread(work, copy.file, error)
            return False
    if not same:
        _note(work.damaged, copy.file)
    return same


def _unread(work: _Work, file: _File, error: OSError) -> None:
    """Takes down a file that cannot be read or replaced, unless uv has removed its entry."""
    if error.errno in _THIS_FILE_ONLY:
        _note(work.left, file, os_error_of(error))
    elif os.path.isdir(file.entry.path):  # noqa: PTH112  (`Path.is_dir` raises where a parent may not be searched)
        _note(work.damaged, file, os_error_of(error))


def _is_gone(error: OSError) -> bool:
    return error.errno in {errno.ENOENT, errno.ENOTDIR}
