"""Finds the uv project a path belongs to, as uv finds it, and reads it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path, PurePosixPath

from uv_link_doctor.engine import manifests, toml_text
from uv_link_doctor.engine.model import MANIFEST, DoctorError, Location, Manifest, Range

TRIGGERS = (MANIFEST, "uv.lock", "uv.toml")
"""The files whose save starts a run."""

ReadText = Callable[[Path], str | None]


def find_manifest(path: Path, read_text: ReadText) -> Manifest:
    """The pyproject.toml of the project that holds the path: the nearest one upwards, read and understood.

    Raises DoctorError for a path that does not exist or belongs to no project, and for a manifest that is no TOML,
    states a requirement that is none, or has nothing to install.
    """
    if not path.exists():
        raise DoctorError(f"no such file or directory: `{path}`", "name a project's directory or its `pyproject.toml`")
    path = Path(os.path.abspath(path))  # noqa: PTH100  (`resolve` would lose the name that an editor has for the file)
    directory = path if path.is_dir() else path.parent
    for ancestor in (directory, *directory.parents):
        if (text := read_text(ancestor / MANIFEST)) is not None:
            return understood(ancestor / MANIFEST, text)
    raise DoctorError(
        f"`{directory}` is not in a uv project: there is no `{MANIFEST}` here or above",
        "name the project's directory, or make it one with `uv init`",
    )


@lru_cache(maxsize=16)
def understood(path: Path, text: str) -> Manifest:
    """The manifest in a text; raises DoctorError, with the place, where it cannot be installed from.

    Remembered, since one save looks at the same text three times.
    """
    data = toml_text.parse(text)
    if isinstance(data, toml_text.TomlProblem):
        raise DoctorError(
            f"`{path.name}` is not valid TOML: {data.message}",
            "nothing is run until it parses",
            Location(path, Range(data.position, replace(data.position, character=data.position.character + 1))),
        )
    manifest = Manifest(path=path, text=text, data=data)
    for problem in manifests.problems(manifest):
        raise DoctorError(problem.message, "nothing is run until the requirement is valid", problem.location)
    if not any(table in data for table in ("project", "dependency-groups")) and "uv" not in _table(data, "tool"):
        raise DoctorError(
            f"`{path.name}` has no `[project]` table, so there is nothing to install",
            "add a `[project]` table, for instance with `uv init`",
            Location(path),
        )
    return manifest


def workspace_root(manifest: Manifest, read_text: ReadText) -> Path:
    """The root of the workspace the project is a member of; its own directory where it is of none.

    uv looks no further than the first manifest above the project (uv-workspace, `find_workspace`; seen with 0.4.18,
    0.9.30 and 0.13.9 by `uv workspace dir`): that one has to name the project as a member and not exclude it.
    """
    directory = manifest.path.parent
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


def environment_path(root: Path, environ: Mapping[str, str], arguments: Sequence[str] = ()) -> Path:
    """Where `uv sync` puts the environment: `UV_PROJECT_ENVIRONMENT`, which counts from the root, else `.venv`.

    With `--active` among the arguments, an active environment comes before both (seen with 0.5.31 to 0.13.9).
    """
    active = environ.get("VIRTUAL_ENV") if "--active" in arguments else None
    return root / (active or environ.get("UV_PROJECT_ENVIRONMENT") or ".venv")


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
