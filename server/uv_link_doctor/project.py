"""Finds what a path is installed from, a uv project as uv finds it, and reads it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path, PurePosixPath

from uv_link_doctor.engine import manifests, requirements_txt, scripts, toml_text
from uv_link_doctor.engine.model import MANIFEST, DoctorError, Kind, Location, Manifest, Range
from uv_link_doctor.engine.requirements_txt import Says

PYLOCK, REQUIREMENTS = "pylock.toml", "requirements.txt"

ReadText = Callable[[Path], str | None]

_TRIGGERS = re.compile(r"pyproject\.toml|uv\.lock|uv\.toml|pylock(\.[^.]+)?\.toml|requirements.*\.(txt|in)")
"""The names of the files whose save starts something (contract, section 6)."""
_MOST_INCLUDED = 64
"""How many files a requirements file may take in; what comes after is left to uv."""


def is_trigger(path: Path, read_text: ReadText) -> bool:
    """Whether a saved or opened file concerns us: by its name, or as a script that says what it needs."""
    if path.suffix != ".py":
        return _TRIGGERS.fullmatch(path.name) is not None
    try:
        return scripts.block(read_text(path) or "") is not None
    except DoctorError:  # Python allows other encodings than UTF-8; uv does not.
        return False


def find_manifest(path: Path, read_text: ReadText) -> Manifest:
    """What the path is installed from, read and understood: the path itself, or what the nearest directory upwards has.

    A pylock.toml or a requirements.txt counts for the directory it is in; for what is below it and for the other files
    beside it, only where there is no pyproject.toml at all.
    Raises DoctorError for a path that does not exist or belongs to no project, and for a manifest that does not parse,
    states a requirement that is none, or has nothing to install.
    """
    if not path.exists():
        raise DoctorError(f"no such file or directory: `{path}`", "name a project's directory or its `pyproject.toml`")
    path = Path(os.path.abspath(path))  # noqa: PTH100  (`resolve` would lose the name that an editor has for the file)
    directory = path if path.is_dir() else path.parent
    if directory != path and (kind := _kind(path, read_text)) is not None:
        return _read(path, kind, read_text)
    second = None
    for ancestor in (directory, *directory.parents):
        found = manifest_of(ancestor, read_text)
        if found is not None and (found.name == MANIFEST or ancestor == path):
            return _read(found, _kind(found, read_text) or Kind.UV, read_text)
        second = second or found
    if second is not None:
        return _read(second, _kind(second, read_text) or Kind.UV, read_text)
    raise DoctorError(
        f"`{directory}` is not in a uv project: there is no `{MANIFEST}` here or above",
        "name the project's directory, or make it one with `uv init`",
    )


def manifest_of(directory: Path, read_text: ReadText) -> Path | None:
    """What a directory as a whole is installed from; a pyproject.toml that is only for other tools gives way."""
    stated = read_text(directory / MANIFEST)
    other = next((path for name in (PYLOCK, REQUIREMENTS) if (path := directory / name).is_file()), None)
    if stated is None or (other is not None and _installs_nothing(toml_text.parse(stated))):
        return other
    return directory / MANIFEST


def _kind(path: Path, read_text: ReadText) -> Kind | None:
    """What a file is by its name, a script by its text; None for what nothing can be installed from."""
    if path.name == MANIFEST:
        return Kind.UV
    if not is_trigger(path, read_text) or path.name in {"uv.lock", "uv.toml"}:
        return None
    return {".py": Kind.SCRIPT, ".toml": Kind.PYLOCK}.get(path.suffix, Kind.REQUIREMENTS)


def _read(path: Path, kind: Kind, read_text: ReadText) -> Manifest:
    text = read_text(path)
    if text is None:
        raise DoctorError(f"no such file or directory: `{path}`", "name a project's directory or its `pyproject.toml`")
    if kind is Kind.REQUIREMENTS:
        manifest = _requirements_file(path, text, read_text, {path})
        _refuse_problems(manifest)
        return manifest
    return understood(path, text, kind)


@lru_cache(maxsize=16)
def understood(path: Path, text: str, kind: Kind = Kind.UV) -> Manifest:
    """The manifest in a text; raises DoctorError, with the place, where it cannot be installed from.

    Remembered, since one save looks at the same text three times.
    """
    block = scripts.block(text) if kind is Kind.SCRIPT else None
    data = toml_text.parse(block.toml if block else text)
    if isinstance(data, toml_text.TomlProblem):
        start = block.position(data.position) if block else data.position
        raise DoctorError(
            f"{'the block `# /// script` of ' if block else ''}`{path.name}` is not valid TOML: {data.message}",
            "nothing is run until it parses",
            Location(path, Range(start, replace(start, character=start.character + 1))),
        )
    manifest = Manifest(path=path, text=text, data=data, kind=kind)
    _refuse_problems(manifest)
    if kind is Kind.UV and _installs_nothing(data):
        raise DoctorError(
            f"`{path.name}` has no `[project]` table, so there is nothing to install",
            "add a `[project]` table, for instance with `uv init`",
            Location(path),
        )
    return manifest


def _refuse_problems(manifest: Manifest) -> None:
    for problem in manifests.problems(manifest):
        hint = "nothing is run until the file is" if manifest.kind is Kind.PYLOCK else _UNTIL_VALID
        raise DoctorError(problem.message, hint, problem.location)


_UNTIL_VALID = "nothing is run until the requirement is valid"


def _installs_nothing(data: Mapping[str, object] | toml_text.TomlProblem) -> bool:
    if isinstance(data, toml_text.TomlProblem):
        return False
    return not any(table in data for table in ("project", "dependency-groups")) and "uv" not in _table(data, "tool")


def _requirements_file(path: Path, text: str, read_text: ReadText, seen: set[Path]) -> Manifest:
    """A requirements file with all that it takes in, each file once; `seen` are the paths by now.

    Addresses, and paths with a variable in them, are left to uv.
    """
    taken: dict[Says, list[Manifest]] = {Says.INCLUDE: [], Says.CONSTRAINT: []}
    for entry in requirements_txt.entries(text):
        if entry.says not in taken or "://" in entry.value or "${" in entry.value or len(seen) > _MOST_INCLUDED:
            continue
        other = Path(os.path.normpath(path.parent / entry.value))
        if other in seen:
            continue
        seen.add(other)
        told = read_text(other)
        if told is None:
            place = Location(path, toml_text.range_of(text, entry.span))
            raise DoctorError(f"`{entry.value}` is not there: no file `{other}`", _UNTIL_THERE, place)
        of_toml = other.suffix == ".toml"  # uv takes the requirements of a pyproject.toml in this way, too.
        taken[entry.says].append(
            understood(other, told) if of_toml else _requirements_file(other, told, read_text, seen)
        )
    return Manifest(
        path=path,
        text=text,
        data={},
        kind=Kind.REQUIREMENTS,
        included=tuple(taken[Says.INCLUDE]),
        constraints=tuple(taken[Says.CONSTRAINT]),
    )


_UNTIL_THERE = "nothing is run until every file is there that it names"


def directory_of(manifest: Manifest) -> Path:
    """Where uv is run for it: the manifest's own directory.

    Of a requirements file or a pylock.toml, the nearest directory upwards that looks like a project's: pip and uv count
    paths such as `-e .` from there, and `requirements/dev.txt` is meant to be installed from the directory above.
    """
    directory = manifest.path.parent
    if manifest.kind.by_pip:
        for ancestor in (directory, *directory.parents):
            if any((ancestor / sign).exists() for sign in (".venv", ".git", MANIFEST)):
                return ancestor
    return directory


def subject_of(manifest: Manifest, read_text: ReadText) -> Path:
    """`Project.subject`, before there is one."""
    return workspace_root(manifest, read_text) if manifest.kind is Kind.UV else manifest.path


def workspace_root(manifest: Manifest, read_text: ReadText) -> Path:
    """The root of the workspace the project is a member of; its own directory where it is of none.

    uv looks no further than the first manifest above the project (uv-workspace, `find_workspace`; seen with 0.4.18,
    0.9.30 and 0.13.9 by `uv workspace dir`): that one has to name the project as a member and not exclude it. What is
    no uv project has the root of the one it lies in: there uv looks for settings, whatever its command.
    """
    directory = manifest.path.parent
    if manifest.kind is not Kind.UV:
        return _root_around(directory_of(manifest), read_text)
    if manifests.workspace_members(manifest.data) is not None:
        return directory
    for ancestor in _ancestors(directory):
        text = read_text(ancestor / MANIFEST)
        if text is None:
            continue
        data = toml_text.parse(text)
        globs = None if isinstance(data, toml_text.TomlProblem) else manifests.workspace_members(data)
        if globs is None:
            break
        parts = directory.resolve().relative_to(ancestor.resolve()).parts
        included = any(_matches(parts, pattern) for pattern in globs.members)
        excluded = any(_matches(parts, pattern) for pattern in globs.exclude)
        return ancestor if included and not excluded else directory
    return directory


def _root_around(directory: Path, read_text: ReadText) -> Path:
    """The root of the workspace that a directory lies in, itself where it lies in none."""
    for ancestor in (directory, *directory.parents):
        text = read_text(ancestor / MANIFEST)
        if text is None:
            continue
        data = toml_text.parse(text)
        if isinstance(data, toml_text.TomlProblem):
            break
        if "project" in data or manifests.workspace_members(data) is not None:
            return workspace_root(Manifest(path=ancestor / MANIFEST, text=text, data=data), read_text)
        break
    return directory


def _ancestors(directory: Path) -> Sequence[Path]:
    """What lies above a directory in uv's eyes, by the names by which we got there as far as these lead there.

    uv starts from its working directory, in which the system has resolved all links.
    """
    real = directory.resolve()
    if real == directory:
        return directory.parents
    named = {path.resolve(): path for path in reversed(directory.parents)}
    return [named.get(path, path) for path in real.parents]


def member_manifests(root: Path, read_text: ReadText) -> tuple[Path, ...]:
    """The manifests of a workspace, the root's first; of a single project, its own."""
    found = [root / MANIFEST]
    data = toml_text.parse(read_text(root / MANIFEST) or "")
    globs = None if isinstance(data, toml_text.TomlProblem) else manifests.workspace_members(data)
    for pattern in globs.members if globs else ():
        with suppress(ValueError, IndexError, NotImplementedError, OSError):  # Not a pattern below the root, as `.`.
            found += [path / MANIFEST for path in sorted(root.glob(pattern)) if (path / MANIFEST).is_file()]
    excluded = globs.exclude if globs else ()
    return tuple(
        path
        for path in dict.fromkeys(found)
        if not any(_matches(path.parent.relative_to(root).parts, pattern) for pattern in excluded)
    )


def nearest_environment(directory: Path, root: Path) -> Path:
    """The environment that `uv pip` is to install into: the first `.venv` upwards as far as the root.

    Where there is none, the one that `uv venv` would make in the directory.
    """
    for ancestor in (directory, *directory.parents):
        found = ancestor / ".venv"
        if (found / "pyvenv.cfg").is_file() or found.is_file():  # uv takes a file that names an environment, too.
            return found
        if ancestor == root:
            break
    return directory / ".venv"


def lockfile_of(manifest: Manifest, root: Path) -> Path | None:
    """The uv.lock of a uv project, a script's own lock; None while there is none."""
    lock = {Kind.UV: root / "uv.lock", Kind.SCRIPT: manifest.path.with_name(f"{manifest.path.name}.lock")}
    path = lock.get(manifest.kind)
    return path if path is not None and path.is_file() else None


def may_install_on_save(manifest: Manifest, read_text: ReadText, *, chosen: bool) -> bool:
    """Whether a save of the manifest may install it (contract, section 6); else it is looked at.

    Of the files that `uv pip` installs only the one that a directory as a whole is installed from, and a
    requirements.txt only once its user has chosen that by installing it.
    """
    if not manifest.kind.by_pip:
        return True
    at_root = directory_of(manifest) == manifest.path.parent
    if manifest.kind is Kind.REQUIREMENTS:
        return chosen and at_root and manifest.path.name == REQUIREMENTS
    return at_root and manifest_of(manifest.path.parent, read_text) == manifest.path


def _matches(parts: tuple[str, ...], pattern: str) -> bool:
    """Whether a path below the root is one of a `members` glob, in which only `**` crosses a slash."""
    return _match_parts(parts, PurePosixPath(pattern).parts)


def _match_parts(parts: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_match_parts(parts[skipped:], pattern[1:]) for skipped in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _match_parts(parts[1:], pattern[1:])


def _table(data: Mapping[str, object], name: str) -> Mapping[str, object]:
    table = data.get(name)
    return table if isinstance(table, Mapping) else {}
