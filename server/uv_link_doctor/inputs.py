"""What an install depends on and what it makes, as values: where both are the same, a second run would do nothing."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from uv_link_doctor.engine import manifests
from uv_link_doctor.engine.model import MANIFEST, Kind, Manifest
from uv_link_doctor.options import Options

Stamp = tuple[int, int, int] | None
"""Time of change, size and number of a file; None: there is none."""


def inputs(
    manifest: Manifest, root: Path, members: Iterable[Path], environ: Mapping[str, str], options: Options
) -> object:
    """The manifest's parts that matter, the other files' stamps, and the settings; as they are before a run.

    The parts come from the text, so that a comment or another tool's table changes nothing; of other files a stamp has
    to do: reading them all would cost more than uv's own look at them. `members` are the manifests of the workspace.
    """
    return (
        manifests.inputs_of(manifest),
        tuple(_stamp(path) for path in _files(manifest, root, members, environ)),
        sorted((name, value) for name, value in environ.items() if name.startswith("UV_") or name == "PATH"),
        options,
    )


def outputs(root: Path, environment: Path) -> object:
    """The stamps of what a run writes, the lockfile and the environment; as they are after it."""
    return tuple(_stamp(path) for path in (f"{root}/uv.lock", *_environment_files(environment)))


def _files(manifest: Manifest, root: Path, members: Iterable[Path], environ: Mapping[str, str]) -> Iterator[str]:
    """Whatever uv reads from the root, the directories above it and the user's settings, besides the manifest."""
    yield f"{environ.get('XDG_CONFIG_HOME') or environ.get('HOME', '') + '/.config'}/uv/uv.toml"
    yield from (str(member) for member in members if member != manifest.path)
    if manifest.kind is Kind.SCRIPT:
        yield f"{manifest.path}.lock"
    for directory in (root, *root.parents):
        for name in ("uv.toml", ".python-version", MANIFEST):
            path = f"{directory}/{name}"
            if path != str(manifest.path):
                yield path


def _environment_files(environment: Path) -> Iterator[str]:
    """What changes when a package is put into the environment or taken out of it."""
    yield f"{environment}/pyvenv.cfg"
    library = environment / ("Lib" if os.name == "nt" else "lib")
    try:
        names = sorted(os.listdir(library))  # noqa: PTH208  (paths would cost more than the look)
    except OSError:
        return
    for name in names:
        yield f"{library}/{name}" if os.name == "nt" else f"{library}/{name}/site-packages"


def _stamp(path: str) -> Stamp:
    try:
        status = os.stat(path)  # noqa: PTH116  (as above)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
