"""What is really on disk in a virtual environment, held against what its packages' RECORDs name."""

from __future__ import annotations

import base64
import errno
import hashlib
import io
import ntpath
import os
import re
import stat
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from uv_link_doctor.engine.model import BrokenPackage, Verification

_MARKERS = ("INSTALLER", "METADATA", "RECORD")
_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG}
"""Errors that say that there is no such file; any other only says that it could not be looked at."""
_HASHES = {"sha256", "sha384", "sha512"}
_PYVENV_VERSION = re.compile(r"^\s*version(?:_info)?\s*=\s*(\d+)\.(\d+)\.(\d+)", re.MULTILINE | re.IGNORECASE)

Row = list[str]
"""A line of RECORD: path, hash, size; the last two may be empty or lacking."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """A `*.dist-info` directory: all that uv asks for to count a package as installed (its `installed.rs`)."""

    name: str
    """Normalised."""
    version: str
    site_packages: str
    dist_info: str
    """The name of the directory in `site_packages`; both are strings since a look joins them thousands of times."""


@dataclass(frozen=True, slots=True)
class Installed:
    """The packages uv counts as installed, by name."""

    distributions: tuple[Distribution, ...]
    complete: bool
    """False where there is no environment, or a directory of it could not be read."""


def verify(
    environment: Path,
    *,
    packages: Collection[str] | None = (),
    installer_expected: bool = True,
    hashes: bool = False,
) -> Verification:
    """Whether every installed package has its files: all of them for `packages`, INSTALLER, METADATA and RECORD else.

    `packages` are normalised names; None stands for all. A package that lacks one of the three is looked at whole,
    too. `installer_expected` is False where uv was told to write no INSTALLER (`UV_NO_INSTALLER_METADATA`); else its
    absence shows an interrupted install, since uv writes it and its own RECORD last (uv-install-wheel, `install.rs`).
    With `hashes`, a file whose size or content is not what RECORD says counts as missing.

    Never raises. Nothing is verified that could not be looked at: no environment, an unreadable directory, a package
    that was asked for and is not installed leave `verified` False, without anything broken.
    """
    found = installed(environment)
    asked = None if packages is None else frozenset(packages)
    markers = _MARKERS if installer_expected else _MARKERS[1:]
    broken: list[BrokenPackage] = []
    seen = found.complete and (asked is None or asked.issubset(d.name for d in found.distributions))
    suspects = _suspects(found.distributions, markers) if asked is not None else set()
    for distribution in found.distributions:
        if asked is None or distribution.name in asked or distribution in suspects:
            missing, unseen = _look(distribution, markers, hashes=hashes)
            seen = seen and not unseen
            if missing:
                broken.append(
                    BrokenPackage(package=distribution.name, version=distribution.version, missing=len(missing))
                )
    return Verification(verified=seen and not broken, broken=tuple(broken))


def installed(environment: Path) -> Installed:
    """The packages in an environment, without a look into their directories; never raises.

    Leftovers of pip (`~ich-15.0.0.dist-info`) are none, nor is a name without a version (uv's `installed.rs`).
    """
    sites, complete = _site_packages(followed(environment))
    distributions: list[Distribution] = []
    for site in sites:
        try:
            with os.scandir(site) as entries:
                distributions += [
                    Distribution(_normalised(name), version, site, entry.name)
                    for entry in entries
                    if entry.name.endswith(".dist-info") and not entry.name.startswith("~") and entry.is_dir()
                    for name, dash, version in [entry.name.removesuffix(".dist-info").partition("-")]
                    if dash
                ]
        except OSError:
            complete = False
    distributions.sort(key=lambda distribution: (distribution.name, distribution.version))
    return Installed(tuple(distributions), complete)


def followed(environment: Path) -> Path:
    """The environment itself, where `.venv` is a file that holds the path to it.

    uv 0.13 takes the path from the file's directory and strips one line end, nothing else.
    """
    if not os.path.isfile(environment):  # noqa: PTH113  (`Path.is_file` raises where a parent may not be searched)
        return environment
    try:
        text = environment.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return environment
    return environment if "\0" in text else environment.parent / text.removesuffix("\n")


def python(environment: Path) -> Path:
    """The environment's interpreter: where it is or, in an environment without one, would be on this platform."""
    environment = followed(environment)
    windows = environment / "Scripts" / "python.exe"
    # An environment made by Windows may be looked at from WSL.
    if sys.platform == "win32" or os.path.isfile(windows):  # noqa: PTH113  (see `followed`)
        return windows
    return environment / "bin" / "python"


def is_forsaken(environment: Path) -> bool:
    """Whether something is there, but no interpreter that works: its Python was removed, or it never was one."""
    environment = followed(environment)
    try:
        return any(os.scandir(environment)) and not os.path.isfile(python(environment))  # noqa: PTH113  (the same)
    except OSError:
        return False


def python_version(environment: Path) -> tuple[int, int, int] | None:
    """The interpreter's, as `pyvenv.cfg` says: `version_info` by uv and virtualenv, `version` by venv."""
    try:
        text = (followed(environment) / "pyvenv.cfg").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    match = _PYVENV_VERSION.search(text)
    return (int(match[1]), int(match[2]), int(match[3])) if match else None


def _site_packages(environment: Path) -> tuple[list[str], bool]:
    """Each site-packages directory once (`lib64` often is `lib`), and whether nothing kept us from finding them all."""
    sites: dict[tuple[int, int], str] = {}
    complete = True
    for lib in ("lib", "lib64", "Lib"):
        try:
            with os.scandir(environment / lib) as entries:
                versions = [entry.path for entry in entries]
        except OSError as error:
            complete = complete and error.errno in _ABSENT
            continue
        for parent in (environment / lib, *map(Path, versions)):
            site = parent / "site-packages"
            try:
                status = site.stat()
            except OSError as error:
                complete = complete and error.errno in _ABSENT
                continue
            sites.setdefault((status.st_dev, status.st_ino), str(site))
    return list(sites.values()), complete and bool(sites)


def _normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _suspects(distributions: Iterable[Distribution], markers: Iterable[str]) -> set[Distribution]:
    """The packages that seem to lack a marker; cheap, and settled by `_look`."""
    sites: dict[str, list[Distribution]] = {}
    for distribution in distributions:
        sites.setdefault(distribution.site_packages, []).append(distribution)
    suspects: set[Distribution] = set()
    for site, there_installed in sites.items():
        with _asking(site) as there:
            suspects.update(
                distribution
                for distribution in there_installed
                for marker in markers
                if not there(f"{distribution.dist_info}/{marker}")
            )
    return suspects


def _look(distribution: Distribution, markers: Iterable[str], *, hashes: bool) -> tuple[set[str], set[str]]:
    """The paths that a package lacks, and those that could not be looked at."""
    site, dist_info = distribution.site_packages, distribution.dist_info
    rows = _record(f"{site}/{dist_info}/RECORD")
    missing, unseen = _missing(site, [*(rows or ()), *([f"{dist_info}/{marker}"] for marker in markers)])
    if not rows and not unseen:
        # Unreadable, or cut off by a crash: a RECORD names itself at least.
        missing.add(f"{dist_info}/RECORD")
    if hashes:
        settled = missing | unseen
        for path, altered in _altered(site, [row for row in rows or () if row[0] not in settled]):
            (missing if altered else unseen).add(path)
    return missing, unseen


def _record(path: str) -> list[Row] | None:
    """The rows of a RECORD; None where it cannot be read as text and CSV."""
    try:
        with open(_reachable(path), "rb") as file:  # noqa: PTH123  (a third of the time of building a Path first)
            text = file.read().decode()
    except (OSError, ValueError):
        return None
    if "\0" in text:  # A block that a crash left unwritten; no path has it.
        return None
    if '"' in text:
        return _quoted(text)
    return [line.split(",") for line in text.replace("\r\n", "\n").split("\n") if line]


def _quoted(text: str) -> list[Row] | None:
    import csv  # noqa: PLC0415  (a millisecond that few environments need)

    try:
        return [row for row in csv.reader(io.StringIO(text, newline="")) if row]
    except csv.Error:
        return None


def _missing(site: str, rows: Sequence[Row]) -> tuple[set[str], set[str]]:
    """Of the files that rows of RECORD name, those that do not exist, and those that could not be looked at.

    A name that leads to something is taken for the file: to tell a directory in its place would double the look, and
    `hashes` opens the files anyway. What leads to nothing is looked at closely.
    """
    missing: set[str] = set()
    unseen: set[str] = set()
    with _asking(site) as there:
        doubtful = [row for row in rows if not there(row[0])]
    for row in doubtful:
        path = row[0]
        if path.endswith("/") or _is_bytecode(path):
            continue
        exists = _exists(_at(site, path), directory_too=not _hash(row))
        if exists is None:
            unseen.add(path)
        elif not exists:
            missing.add(path)
    return missing, unseen


@contextmanager
def _asking(site: str) -> Iterator[Callable[[str], bool]]:
    """A function that tells whether a path of RECORD leads to anything, relative to `site`.

    With the directory open, the system need not walk down to it for each of the thousands of files.
    """
    if os.access not in os.supports_dir_fd:  # Windows
        yield lambda path: os.path.exists(_at(site, path))  # noqa: PTH110  (see `_record`)
        return
    try:
        directory = os.open(site, os.O_RDONLY)
    except OSError:
        yield lambda _: False
        return
    try:
        yield lambda path: os.access(path, os.F_OK, dir_fd=directory)
    finally:
        os.close(directory)


def _exists(path: str, *, directory_too: bool) -> bool | None:
    """Whether a path leads to a file; None where nobody could say."""
    try:
        mode = os.stat(path).st_mode  # noqa: PTH116  (see `_record`)
    except OSError as error:
        return False if error.errno in _ABSENT else None
    except ValueError:
        return False
    # Only a file has a hash; without one it may be a directory that a careless build recorded.
    return stat.S_ISREG(mode) or (directory_too and stat.S_ISDIR(mode))


def _altered(site: str, rows: Iterable[Row]) -> Iterator[tuple[str, bool]]:
    """The paths whose size or content is not what RECORD says (True), or could not be read (False)."""
    for row in rows:
        algorithm, _, expected = _hash(row).partition("=")
        if algorithm not in _HASHES or _is_bytecode(row[0]):
            continue
        try:
            with open(_at(site, row[0]), "rb") as file:  # noqa: PTH123  (see `_record`)
                size = os.fstat(file.fileno()).st_size
                same = row[2:] in ([], [""], [str(size)])
                digest = hashlib.file_digest(file, algorithm).digest() if same else b""
        except (OSError, ValueError):
            yield row[0], False
            continue
        if base64.urlsafe_b64encode(digest).decode().rstrip("=") != expected.rstrip("="):
            yield row[0], True


def _hash(row: Row) -> str:
    return row[1] if len(row) > 1 else ""


def _is_bytecode(path: str) -> bool:
    """Whether it is a file that Python makes anew; pip records them and people delete them."""
    return path.endswith(".pyc") or "__pycache__/" in path


def _at(site: str, path: str) -> str:
    return _reachable(os.path.join(site, path))  # noqa: PTH118  (a Path for each directory would double the look)


def _reachable(path: str) -> str:
    """The path in a form in which Windows takes more than 260 characters, as Rust's library writes it for uv."""
    return verbatim(path) if sys.platform == "win32" and len(path) > _SHORT else path


_SHORT = 240
"""Characters: Windows refuses directories from 248 and files from 260 on."""


def verbatim(path: str) -> str:
    r"""An absolute Windows path with the prefix `\\?\`, after which Windows takes separators and dots literally."""
    path = ntpath.normpath(path)
    if path.startswith(("\\\\?\\", "\\\\.\\")):
        return path
    return f"\\\\?\\UNC{path[1:]}" if path.startswith("\\\\") else f"\\\\?\\{path}"
