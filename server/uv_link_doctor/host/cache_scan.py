"""Which unpacked wheels of a cache are linked elsewhere, refuse a link, or are not what their RECORD says."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from uv_link_doctor.host import cache_sieve
from uv_link_doctor.host.cache import Entry, archives_of, entry_at, mark_of, names_in, trial_link
from uv_link_doctor.host.claims import new_name
from uv_link_doctor.host.mounts import mount_of
from uv_link_doctor.host.record import NOTHING, Promise, fits, keeps, record

_MANY = 100
"""Entries from which on further processes pay; one takes about as long to start as it takes to look at 15."""
_PROCESSES = 4
"""At most, this one among them."""
_TOLD_BY_STATUS = frozenset({"btrfs", "ext2", "ext3", "ext4", "f2fs", "tmpfs", "xfs"})
"""File systems that no sync client can put a mark into: they refuse links by owner, mode, and the number of them."""
_PATIENCE = 0.1
"""Seconds between two questions whether to stop."""


class Trouble(StrEnum):
    """What is wrong with an entry."""

    REFUSED = "refused"
    """Files of it take no further link; their contents may be sound."""
    DAMAGED = "damaged"
    """Files of it are missing, or others than its RECORD says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Troubled:
    """An entry, one thing that is wrong with it, and the files that this is wrong with."""

    package: str
    """Normalised; empty where nothing in the cache tells."""
    version: str
    """Empty where the entry itself does not tell."""
    path: Path
    """A directory in `archive-v0`."""
    trouble: Trouble
    files: tuple[str, ...]
    """Relative to `path`, as RECORD writes them; none where the whole `.dist-info` is missing."""
    os_error: int | None = None
    """The number with which the first of them was refused, or could not be read."""
    complete: bool = False
    """Whether every file was looked at, so that no other is in this trouble."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """An entry with files that have further names, mostly in environments: by itself a sign of health."""

    package: str
    version: str
    path: Path
    files: int
    """How many, of those that were looked at."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What is known of a cache's unpacked wheels; both numbers count what was looked at."""

    entries: int
    files: int
    linked: tuple[Linked, ...]
    troubled: tuple[Troubled, ...]
    """By package; an entry may come twice, with different trouble."""
    finished: bool
    """False where it was stopped, or something could not be looked at."""


def scan(cache: Path, *, complete: bool, hashes: bool = False, stop: Callable[[], bool] | None = None) -> Scan:
    """Looks at METADATA and RECORD of each unpacked wheel; with `complete` at every file, with `hashes` into each.

    uv links wheels whole and a repair does METADATA last, so that it speaks for the others unless something took over
    single files. The trial is a link in the cache that is removed at once. What was built from a source distribution is
    looked at, too; environments of `uvx`, which lie among the wheels, are not. `stop` is asked before each entry.

    Never raises an OSError: what cannot be looked at leaves `finished` False.
    """
    complete = complete or hashes
    try:
        archives = cache_sieve.archives_in(str(cache))
    except OSError:
        return Scan(entries=0, files=0, linked=(), troubled=(), finished=False)
    trials = Trials(cache)
    sound, stopped = _sound(cache, archives, trials.told_below, hashes=hashes, stop=stop) if complete else ({}, False)
    found: list[Linked | Troubled] = []
    entries = files = 0
    finished = True
    nameless: list[str] = []
    for archive in archives:
        counts = sound.get(archive)
        stopped = stopped or (counts is None and stop is not None and stop())
        if counts is None and stopped:
            continue
        entry = entry_at(archive)
        if entry is None:
            nameless.append(archive)
            continue
        try:
            if counts is not None:
                look = _Look(entry, complete=True, files=counts[0], linked=counts[1])
            else:
                look = _look(entry, trials, hashes=hashes) if complete else _glance(entry, trials)
        except OSError:
            finished = finished and not os.path.isdir(archive)  # noqa: PTH112  (uv may have removed it since)
            continue
        entries += 1
        files += look.files
        found += look.found()
    if nameless:
        found += _without_dist_info(cache, frozenset(nameless))
    return Scan(
        entries=entries,
        files=files,
        linked=tuple(sorted((it for it in found if isinstance(it, Linked)), key=_order)),
        troubled=tuple(sorted((it for it in found if isinstance(it, Troubled)), key=_order)),
        finished=finished and not stopped,
    )


def files_of(archive: str) -> Iterator[os.DirEntry[str]]:
    """Every file of an entry, symbolic links left out; raises OSError."""
    directories = [archive]
    while directories:
        with os.scandir(directories.pop()) as children:
            for child in children:
                if child.is_file(follow_symlinks=False):
                    yield child
                elif child.is_dir(follow_symlinks=False):
                    directories.append(child.path)


class Trials:
    """Tries links to the files of one entry after the other, no more of them than the file system needs."""

    def __init__(self, cache: Path) -> None:
        self.told_below = 0
        """The number of names below which a file takes a link if another of its owner and mode did."""
        mount = mount_of(cache)
        if mount is not None and mount.filesystem in _TOLD_BY_STATUS:
            with suppress(OSError, AttributeError, ValueError):
                self.told_below = os.pathconf(cache, "PC_LINK_MAX")
        self._link = f"{cache}/{new_name()}"
        self._kinds: set[tuple[int, int, int]] = set()

    def refusal(self, path: str, status: os.stat_result) -> int | None:
        """The number that a link to this file is refused with; None where it is not."""
        kind = (status.st_uid, status.st_gid, status.st_mode)
        if kind in self._kinds and status.st_nlink < self.told_below:
            return None
        number = mark_of(Path(path)) if sys.platform != "linux" else None
        if number is None:
            number = trial_link(path, self._link)
        if number is None:
            self._kinds.add(kind)
        return number

    def refused(self, archive: str) -> Iterator[tuple[str, int]]:
        """The files of an entry, relative to it, that take no further link, and why; raises OSError."""
        for file in files_of(archive):
            number = self.refusal(file.path, _status(file))
            if number is not None:
                yield _relative(file.path, archive), number


def closer_look(*, hashes: bool) -> Callable[[str, Promise], bool] | None:
    """What the sieve has to ask about a file besides its status, if anything; the answer raises OSError."""
    if not hashes and sys.platform == "linux":
        return None
    return lambda path, promise: mark_of(Path(path)) is None and (not hashes or keeps(promise, path))


def _sound(
    cache: Path, archives: list[str], told_below: int, *, hashes: bool, stop: Callable[[], bool] | None
) -> tuple[dict[str, tuple[int, int]], bool]:
    """The plainly sound entries with the numbers of their files and of those linked, and whether it was stopped."""
    sieve = cache_sieve.Sieve(str(cache), told_below, closer_look(hashes=hashes))
    sound: dict[str, tuple[int, int]] = {}
    helpers = min(os.cpu_count() or 1, _PROCESSES) - 1 if len(archives) >= _MANY else 0
    with _queue() as queue, _programs(helpers, queue, cache, told_below, hashes=hashes) as programs:
        for archive in cache_sieve.taken_from(queue, archives):
            if stop is not None and stop():
                return sound, True
            if (counts := sieve.passed(archive)) is not None:
                sound[archive] = counts
        for program in programs:
            if (said := _said(program, stop)) is None:
                return sound, True
            sound |= {f"{cache}/{archive}": counts for archive, counts in cache_sieve.read(said).items()}
    return sound, False


@dataclass(slots=True)
class _Look:
    """What has been seen of one entry; names lead to the numbers with which the system refused."""

    entry: Entry
    complete: bool
    files: int = 0
    linked: int = 0
    refused: dict[str, int | None] = field(default_factory=dict)
    damaged: dict[str, int | None] = field(default_factory=dict)

    def found(self) -> Iterator[Linked | Troubled]:
        package, version, path = self.entry.package, self.entry.version, self.entry.path
        if self.linked:
            yield Linked(package=package, version=version, path=path, files=self.linked)
        for trouble, files in ((Trouble.REFUSED, self.refused), (Trouble.DAMAGED, self.damaged)):
            if files:
                yield Troubled(
                    package=package,
                    version=version,
                    path=path,
                    trouble=trouble,
                    files=tuple(files),
                    os_error=next((number for number in files.values() if number is not None), None),
                    complete=self.complete,
                )


def _glance(entry: Entry, trials: Trials) -> _Look:
    """At the files without which uv cannot use the entry; raises OSError."""
    look = _Look(entry, complete=False)
    for name in (f"{entry.dist_info}/RECORD", f"{entry.dist_info}/METADATA"):
        path = f"{entry.path}/{name}"
        try:
            status = os.stat(path)  # noqa: PTH116  (thousands of them)
        except FileNotFoundError:
            look.damaged[name] = None
            continue
        look.files += 1
        if not status.st_size:
            look.damaged[name] = None
        if name.endswith("METADATA"):
            look.linked = int(status.st_nlink > 1)
            if (number := trials.refusal(path, status)) is not None:
                look.refused[name] = number
    return look


def _look(entry: Entry, trials: Trials, *, hashes: bool) -> _Look:
    """At every file; raises OSError."""
    look = _Look(entry, complete=True)
    archive, metadata, recorded = str(entry.path), f"{entry.dist_info}/METADATA", f"{entry.dist_info}/RECORD"
    promised = record(f"{archive}/{recorded}") or {}
    if not promised:
        look.damaged[recorded] = None
    for needed in (metadata, recorded):
        promised.setdefault(needed, NOTHING)
    for file in files_of(archive):
        status = _status(file)
        name = _relative(file.path, archive)
        look.files += 1
        look.linked += status.st_nlink > 1
        number = trials.refusal(file.path, status)
        if number is not None:
            look.refused[name] = number
        promise = promised.pop(name, None)
        if promise is None:
            continue
        if not fits(promise, status.st_size) or (not status.st_size and name in (metadata, recorded)):
            look.damaged[name] = None
        elif hashes:
            try:
                if not keeps(promise, file.path):
                    look.damaged[name] = None
            except OSError as error:
                look.damaged[name] = os_error_of(error)
    # What goes elsewhere than to `site-packages`, and the directories that a careless build recorded, are no files.
    look.damaged |= {name: None for name in promised if not name.startswith(("/", "..")) and not name.endswith("/")}
    return look


def os_error_of(error: OSError) -> int:
    """The number as the system itself has it: on Windows its own rather than the one of C."""
    return getattr(error, "winerror", None) or error.errno or 0


def _without_dist_info(cache: Path, archives: frozenset[str]) -> Iterator[Troubled]:
    """Those of the nameless entries that uv would install: a link to them stands under a package's name."""
    for bucket in names_in(cache):
        if bucket.startswith("wheels-v"):
            for directory, _, _ in os.walk(cache / bucket):
                for archive in archives.intersection(archives_of(cache, directory)):
                    yield Troubled(
                        package=Path(directory).name,
                        version="",
                        path=Path(archive),
                        trouble=Trouble.DAMAGED,
                        files=(),
                        complete=True,
                    )


def _status(file: os.DirEntry[str]) -> os.stat_result:
    # Windows leaves the number of links out of what a directory lists.
    return os.stat(file.path) if sys.platform == "win32" else file.stat(follow_symlinks=False)  # noqa: PTH116  (below)


def _relative(path: str, archive: str) -> str:
    name = path[len(archive) + 1 :]
    return name.replace("\\", "/") if sys.platform == "win32" else name


def _order(found: Linked | Troubled) -> tuple[str, str, str]:
    return found.package, found.version, str(found.path)


@contextmanager
def _queue() -> Iterator[int]:
    """A pipe with the numbers of all shares of the work: whoever reads one has it."""
    queue, end = os.pipe()
    try:
        os.write(end, bytes(range(cache_sieve.SHARES)))
    finally:
        os.close(end)
    try:
        yield queue
    finally:
        os.close(queue)


@contextmanager
def _programs(
    number: int, queue: int, cache: Path, told_below: int, *, hashes: bool
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Further processes that take from the queue, since threads take turns; as many of them as can be started."""
    options = [str(cache), str(told_below), "hashes" if hashes else "", *sys.path]
    command = [sys.executable, "-I", "-S", cache_sieve.__file__, *options]
    with ExitStack() as stack:
        programs: list[subprocess.Popen[bytes]] = []
        with suppress(OSError):
            for _ in range(number):
                program = subprocess.Popen(command, stdin=queue, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
                stack.enter_context(program)
                stack.callback(program.kill)
                programs.append(program)
        yield programs


def _said(program: subprocess.Popen[bytes], stop: Callable[[], bool] | None) -> bytes | None:
    """Waits for a program's end; None where it was stopped, nothing where it failed."""
    while True:
        try:
            said, _ = program.communicate(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            if stop is not None and stop():
                return None
        else:
            return said if program.returncode == 0 else b""
