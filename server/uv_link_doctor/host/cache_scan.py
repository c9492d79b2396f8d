"""Which unpacked wheels of a cache are linked elsewhere, refuse a link, or are not what their RECORD says."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import os
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path

from uv_link_doctor.host.cache import Entry, archives_of, entry_at, mark_of, names_in, trial_link
from uv_link_doctor.host.mounts import mount_of

_MANY = 400
"""Entries from which on a second process pays, which takes about as long to start as it takes to look at 60."""
_TOLD_BY_STATUS = frozenset({"btrfs", "ext2", "ext3", "ext4", "f2fs", "tmpfs", "xfs"})
"""File systems that no sync client can put a mark into: they refuse links by owner, mode, and the number of them."""
_PATIENCE = 0.1
"""Seconds between two questions whether to stop."""
_HASHES = frozenset({"sha256", "sha384", "sha512"})


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


_Answer = Callable[[Callable[[], bool] | None], Scan | None]
"""Waits for the other process unless told to stop; None where it has none, or has failed."""


Promise = tuple[str, str]
"""What RECORD says of a file, as it stands there: `sha256=` with a digest in URL-safe base 64, and the size."""


NOTHING: Promise = ("", "")
"""Of a file that RECORD does not have, or not with a hash."""


def scan(cache: Path, *, complete: bool, hashes: bool = False, stop: Callable[[], bool] | None = None) -> Scan:
    """Looks at METADATA and RECORD of each unpacked wheel; with `complete` at every file, with `hashes` into each.

    uv links wheels whole and a repair does METADATA last, so that it speaks for the others unless something took over
    single files. The trial is a link in the cache that is removed at once. What was built from a source distribution is
    looked at, too; environments of `uvx`, which lie among the wheels, are not. `stop` is asked before each entry.

    Never raises an OSError: what cannot be looked at leaves `finished` False.
    """
    complete = complete or hashes
    try:
        archives = _archives_in(cache)
    except OSError:
        return Scan(entries=0, files=0, linked=(), troubled=(), finished=False)
    if complete and len(archives) >= _MANY and (os.cpu_count() or 1) > 1:
        halves = [[it for it in archives if _half_of(it) == half] for half in (0, 1)]
        with _second_process(cache, hashes=hashes) as answer:
            ours = _scan(cache, halves[0], complete=True, hashes=hashes, stop=stop)
            parts = [ours, answer(stop) or _scan(cache, halves[1], complete=True, hashes=hashes, stop=stop)]
    else:
        parts = [_scan(cache, archives, complete=complete, hashes=hashes, stop=stop)]
    return Scan(
        entries=sum(part.entries for part in parts),
        files=sum(part.files for part in parts),
        linked=tuple(sorted((it for part in parts for it in part.linked), key=_order)),
        troubled=tuple(sorted((it for part in parts for it in part.troubled), key=_order)),
        finished=all(part.finished for part in parts),
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


def record(path: str) -> dict[str, Promise] | None:
    """What a RECORD promises, by name; None where it cannot be read as one, or is empty."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123  (thousands of them)
            text = file.read().decode()
    except (OSError, ValueError):
        return None
    if "\0" in text:  # A block that a crash left unwritten; no path has it.
        return None
    if '"' not in text:
        with suppress(ValueError):
            rows = (line.split(",") for line in text.replace("\r\n", "\n").split("\n") if line)
            return {name: (digest, size) for name, digest, size in rows} or None
    try:  # The same for all that people write, at three times the price.
        quoted = csv.reader(io.StringIO(text, newline=""))
        return {name: (digest, size) for name, digest, size, *_ in ([*row, "", ""] for row in quoted if row)} or None
    except csv.Error:
        return None


def keeps(promise: Promise, path: str) -> bool:
    """Whether a file's content has the promised hash, as far as there is one that we know; raises OSError."""
    algorithm, _, expected = promise[0].partition("=")
    if algorithm not in _HASHES:
        return True
    with open(path, "rb") as file:  # noqa: PTH123  (thousands of them)
        digest = hashlib.file_digest(file, algorithm).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=") == expected.rstrip("=")


def fits(promise: Promise, size: int) -> bool:
    """Whether a file of so many bytes is as long as promised, if anything is."""
    return int(promise[1]) == size if promise[1].isdecimal() else True


class Trials:
    """Tries links to the files of one entry after the other, no more of them than the file system needs."""

    def __init__(self, cache: Path) -> None:
        mount = mount_of(cache)
        self._by_status = mount is not None and mount.filesystem in _TOLD_BY_STATUS
        self._link = f"{cache}/.uv-link-doctor-{os.urandom(8).hex()}"
        self._most = 1
        with suppress(OSError, AttributeError, ValueError):
            self._most = os.pathconf(cache, "PC_LINK_MAX")
        self._kinds: set[tuple[int, int, int]] = set()

    def refusal(self, path: str, status: os.stat_result) -> int | None:
        """The number that a link to this file is refused with; None where it is not."""
        kind = (status.st_uid, status.st_gid, status.st_mode)
        if self._by_status and kind in self._kinds and status.st_nlink < self._most:
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


def _archives_in(cache: Path) -> list[str]:
    with os.scandir(cache) as buckets:
        names = sorted(bucket.name for bucket in buckets if bucket.name.startswith("archive-v"))
    return [f"{cache}/{name}/{archive}" for name in names for archive in os.listdir(cache / name)]  # noqa: PTH208  (fast)


def _scan(
    cache: Path, archives: Iterable[str], *, complete: bool, hashes: bool, stop: Callable[[], bool] | None
) -> Scan:
    trials = Trials(cache)
    found: list[Linked | Troubled] = []
    entries = files = 0
    finished = True
    nameless: list[str] = []
    for archive in archives:
        if stop is not None and stop():
            finished = False
            break
        entry = entry_at(archive)
        if entry is None:
            nameless.append(archive)
            continue
        try:
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
        linked=tuple(it for it in found if isinstance(it, Linked)),
        troubled=tuple(it for it in found if isinstance(it, Troubled)),
        finished=finished,
    )


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


def _half_of(archive: str) -> int:
    """By name rather than by place in a list, so that both processes agree while entries come and go."""
    return zlib.crc32(os.fsencode(archive)) & 1


@contextmanager
def _second_process(cache: Path, *, hashes: bool) -> Iterator[_Answer]:
    """Another process that looks at its half, since threads take turns; yields the function that waits for it."""
    program = f"import sys; sys.path[:] = {sys.path!r}; from {__name__} import main; main(sys.argv[1:])"
    command = [sys.executable, "-I", "-S", "-c", program, str(cache), *(["hashes"] if hashes else [])]
    try:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="ascii"
        )
    except OSError:
        yield lambda _: None
        return

    def answer(stop: Callable[[], bool] | None) -> Scan | None:
        while True:
            try:
                said, _ = process.communicate(timeout=_PATIENCE)
            except subprocess.TimeoutExpired:
                if stop is not None and stop():
                    return None
            else:
                return _read(said) if process.returncode == 0 else None

    with process:
        try:
            yield answer
        finally:
            process.kill()


def main(arguments: Sequence[str]) -> None:
    """Looks at the second process's half of a cache, and prints what it found."""
    cache, hashes = Path(arguments[0]), "hashes" in arguments[1:]
    half = [archive for archive in _archives_in(cache) if _half_of(archive)]
    print(json.dumps(asdict(_scan(cache, half, complete=True, hashes=hashes, stop=None)), default=str))


def _read(said: str) -> Scan:
    found = json.loads(said)
    for it in (*found["linked"], *found["troubled"]):
        it["path"] = Path(it["path"])
    for it in found["troubled"]:
        it["trouble"], it["files"] = Trouble(it["trouble"]), tuple(it["files"])
    return Scan(
        entries=found["entries"],
        files=found["files"],
        linked=tuple(Linked(**it) for it in found["linked"]),
        troubled=tuple(Troubled(**it) for it in found["troubled"]),
        finished=found["finished"],
    )
