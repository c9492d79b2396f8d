"""uv's cache as one project needs it: the unpacked wheels of its packages, their weight, and which refuse a link."""

from __future__ import annotations

import csv
import errno
import os
import re
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from uv_link_doctor.engine.model import Refused, Weight
from uv_link_doctor.host.claims import new_name
from uv_link_doctor.host.record import fits, record
from uv_link_doctor.host.synced import is_placeholder, names_of

SECONDS_AT_MOST = 2.0
"""For trial links in one look: a slow file system must not hold a person up."""
_ENVIRONMENTS_AT_MOST = 200
_DIRECTORIES_AT_MOST = 2_000
_DEPTH_AT_MOST = 4
_DIST_INFO = re.compile(r"(?P<name>[^-]+)-(?P<version>[^-]+)\.dist-info$")
_NO_VERDICT = frozenset({errno.ENOENT, errno.EEXIST, errno.ENOSPC, errno.EDQUOT, errno.EROFS}) | (
    frozenset() if sys.platform == "win32" else frozenset({errno.EACCES})
)
"""Numbers that speak of the trial, or of the directory that takes no name, and not of the file."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An unpacked wheel of the cache."""

    package: str
    """Normalised."""
    version: str
    path: Path
    """A directory in `archive-v0`, with what will be in `site-packages`."""
    dist_info: str

    def files(self) -> Iterator[tuple[str, int]]:
        """Each file and its size as RECORD has them, those that go elsewhere than to `site-packages` left out."""
        with suppress(OSError, ValueError, csv.Error), (self.path / self.dist_info / "RECORD").open(newline="") as file:
            for row in csv.reader(file):
                if len(row) == 3 and not row[0].startswith(("/", "..")):
                    yield row[0], int(row[2] or 0)


@dataclass(frozen=True, slots=True)
class Stock:
    """What a cache holds of the packages of a project, listed once for all that one look asks about it."""

    wanted: Mapping[str, Collection[str]]
    """The versions of each normalised name, none for all."""
    entries: tuple[Entry, ...]

    def of(self, packages: Collection[str]) -> Stock:
        """What it holds of some of them."""
        return replace(self, entries=tuple(it for it in self.entries if it.package in packages))


def stock(cache: Path, wanted: Mapping[str, Collection[str]]) -> Stock:
    """The wanted packages, and the unpacked wheels of them; never raises."""
    return Stock(wanted, entries(cache, wanted))


def entries(cache: Path, wanted: Mapping[str, Collection[str]]) -> tuple[Entry, ...]:
    """The unpacked wheels of the wanted packages; `wanted` has the versions of each normalised name, none for all.

    What was built from a source distribution is not among them. Layout: `wheels-v*/pypi/NAME` or
    `wheels-v*/index/DIGEST/NAME` holds links to `archive-v*/ID`, on Windows files that name it (uv 0.4.18 to 0.13.9).
    Never raises.
    """
    found: dict[str, Entry] = {}
    for bucket in names_in(cache):
        if not bucket.startswith("wheels-v"):
            continue
        for kind in names_in(cache / bucket):
            sources = [cache / bucket / kind]
            if kind != "pypi":
                sources = [source / name for source in sources for name in names_in(source)]
            for source in sources:
                for name in wanted.keys() & names_in(source):
                    for archive in archives_of(cache, f"{source}/{name}"):
                        entry = entry_at(archive)
                        if entry and entry.package == name and (not wanted[name] or entry.version in wanted[name]):
                            found[archive] = entry
    return tuple(sorted(found.values(), key=lambda entry: (entry.package, entry.version, str(entry.path))))


def weigh(stock: Stock) -> Weight:
    """What the wanted packages come to, by the RECORDs of those that are in the cache; one entry counts per version."""
    packages: dict[tuple[str, str], Entry] = {}
    for entry in stock.entries:
        packages.setdefault((entry.package, entry.version), entry)
    each: dict[str, tuple[int, int]] = {}
    for (name, _), entry in packages.items():
        sizes = [size for _, size in entry.files()]
        files, size = each.get(name, (0, 0))
        each[name] = files + len(sizes), size + sum(sizes)
    return Weight(
        files=sum(files for files, _ in each.values()),
        size=sum(size for _, size in each.values()),
        packages=len(each),
        unknown=len(stock.wanted.keys() - each.keys()),
        each=each,
    )


def refused(
    cache: Path, found: Iterable[Entry], *, every_file: bool, named: Collection[str] = (), passive: bool = False
) -> tuple[Refused, ...]:
    """The entries that have a file which takes no further link: it carries a sync client's mark, or a trial shows it.

    The trial is a link within the cache that is removed at once; `passive` leaves it out. One file of each wheel is
    looked at, since uv links wheels whole, and those whose paths uv `named`; with `every_file`, each that has a second
    name already: a sync client takes one file after the other. Stops after `SECONDS_AT_MOST`. Never raises an OSError.
    """
    name = new_name()
    until = time.monotonic() + SECONDS_AT_MOST
    refusals: list[Refused] = []
    for entry in found:
        for file in _suspects(entry, named, every_file=every_file):
            if time.monotonic() > until:
                return tuple(refusals)
            number = mark_of(entry.path / file)
            if number is None and not passive:
                number = trial_link(f"{entry.path}/{file}", f"{cache}/{name}")
            if number is not None:
                path = entry.path / file
                refusals.append(Refused(entry.package, entry.version, path, Path(file), os_error=number))
                break
    return tuple(refusals)


def lacks_files(entry: Entry) -> bool:
    """Whether files of an entry are missing, or not as long as its RECORD says; their contents are not read."""
    archive = str(entry.path)
    promised = record(f"{archive}/{entry.dist_info}/RECORD")
    if promised is None:
        return True
    for name, promise in promised.items():
        if name.startswith(("/", "..")) or name.endswith("/"):
            continue
        try:
            if not fits(promise, os.stat(f"{archive}/{name}").st_size):  # noqa: PTH116  (thousands of them)
                return True
        except FileNotFoundError:
            return True
        except OSError:  # Nobody can say.
            continue
    return False


def taken_one_by_one(filesystem: str | None) -> bool:
    """Whether something may take over single files of a cache there, so that one does not speak for its wheel.

    A sync client does; on Linux it would have to be a FUSE server. `filesystem` is the kernel's name of its type.
    """
    return sys.platform in {"win32", "darwin"} or (filesystem or "fuse").startswith("fuse")


def sharing(refusal: Refused, environments: Iterable[Path]) -> tuple[Path, ...]:
    """The environments in which the refused file has another of its names: Windows tells, elsewhere the inode does."""
    if names := names_of(refusal.file):
        return tuple(dict.fromkeys(it for name in names for it in name.parents if (it / "pyvenv.cfg").is_file()))
    try:
        status = refusal.file.stat()
    except OSError:
        return ()
    holding = []
    for environment in environments:
        for site in environment.glob("lib/python3*/site-packages"):
            with suppress(OSError):
                other = (site / refusal.name).stat()
                if (other.st_dev, other.st_ino) == (status.st_dev, status.st_ino):
                    holding.append(environment)
    return tuple(holding)


def environments_below(roots: Iterable[Path]) -> Iterator[Path]:
    """The virtual environments in some folders, as far as a short look finds them: nearest first, never all files."""
    level = [root for root in roots if root.is_absolute()]
    seen = found = 0
    for _ in range(_DEPTH_AT_MOST + 1):
        below: list[Path] = []
        for directory in level:
            seen += 1
            if seen > _DIRECTORIES_AT_MOST or found == _ENVIRONMENTS_AT_MOST:
                return
            if (directory / "pyvenv.cfg").is_file():
                found += 1
                yield directory
                continue
            with suppress(OSError), os.scandir(directory) as children:
                below += [Path(child) for child in children if child.is_dir(follow_symlinks=False)]
        level = sorted(below)


def _suspects(entry: Entry, named: Collection[str], *, every_file: bool) -> Iterator[str]:
    yield f"{entry.dist_info}/METADATA"
    for path in named:
        # By the entry's own name, which no other has: the cache may have been named by another path.
        _, found, file = path.replace("\\", "/").rpartition(f"/{entry.path.name}/")
        if found:
            yield file
    if every_file:
        for file, _ in entry.files():
            with suppress(OSError):
                if os.stat(f"{entry.path}/{file}").st_nlink > 1:  # noqa: PTH116  (thousands of them)
                    yield file


def mark_of(file: Path) -> int | None:
    """The number that the mark of a sync client on a file will mean for a link to it."""
    numbers = {"win32": 396, "darwin": 11}
    return numbers[sys.platform] if sys.platform in numbers and is_placeholder(file) else None


def trial_link(file: str, link: str) -> int | None:
    """The number with which the system refuses a link to the file; None where it does not, or where nobody can say."""
    try:
        os.link(file, link, follow_symlinks=False)
    except OSError as error:
        number = getattr(error, "winerror", None) or error.errno or 0
        return None if error.errno in _NO_VERDICT else number
    finally:
        with suppress(OSError):
            os.unlink(link)  # noqa: PTH108  (as above)
    return None


def archives_of(cache: Path, directory: str) -> Iterator[str]:
    """Where the links of a package lead; only the name counts, since old links are absolute and caches move."""
    for name in names_in(directory):
        target = ""
        with suppress(OSError, ValueError):
            if os.name == "nt":
                target = "" if name.endswith(_NO_LINKS) else Path(directory, name).read_text(encoding="utf-8")
            elif not name.endswith(_NO_LINKS):
                target = os.readlink(f"{directory}/{name}")  # noqa: PTH115  (strings: there are thousands)
        if found := _ARCHIVE.search(target):
            yield f"{cache}/{found[1]}/{found[2]}"


_NO_LINKS = (".rev", ".http", ".msgpack", ".lock")
_ARCHIVE = re.compile(r"(archive-v\d+)[\\/]([\w-]+)$")
_SEPARATORS = re.compile(r"[-_.]+")


def entry_at(archive: str) -> Entry | None:
    """The unpacked wheel in a directory of `archive-v0`, by its `.dist-info`; None where there is none."""
    for name in names_in(archive):
        if name.endswith(".dist-info") and (found := _DIST_INFO.match(name)):
            return Entry(_SEPARATORS.sub("-", found["name"]).lower(), found["version"], Path(archive), name)
    return None


def names_in(directory: Path | str) -> list[str]:
    """What a directory lists; nothing where it cannot be read."""
    try:
        return os.listdir(directory)  # noqa: PTH208  (names are all that is needed, of many directories)
    except OSError:
        return []
