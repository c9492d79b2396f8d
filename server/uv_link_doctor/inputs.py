"""What an install depends on and what it makes, as values: where both are the same, a second run would do nothing."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path

from uv_link_doctor.engine import manifests
from uv_link_doctor.engine.model import MANIFEST, Kind, Manifest
from uv_link_doctor.options import Options

Stamp = tuple[int, int, int] | None
"""Time of change, size and number of a file; None: there is none."""


def inputs(
    manifest: Manifest, root: Path, members: Iterable[Path], environ: Mapping[str, str], options: Options
) -> object:
    """The manifest's parts that matter, the other files' contents, and the settings; as they are before a run.

    The parts come from the text, so that a comment or another tool's table changes nothing. `members` are the manifests
    of the workspace.
    """
    return (
        manifests.inputs_of(manifest),
        tuple(_content(path) for path in _files(manifest, root, members, environ)),
        sorted((name, value) for name, value in environ.items() if name.startswith("UV_") or name == "PATH"),
        options,
    )


def outputs(root: Path, environment: Path) -> object:
    """What tells the lockfile and the environment that a run leaves from others; as they are after it."""
    return _content(f"{root}/uv.lock"), _content(f"{environment}/pyvenv.cfg"), tuple(_installed(environment))


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
    for source in manifests.path_sources(manifest):
        place = manifest.path.parent / source
        yield from (str(place), *(f"{place}/{name}" for name in (MANIFEST, "setup.py", "setup.cfg")))


def _installed(environment: Path) -> Iterator[tuple[str, Stamp]]:
    """What changes when a package is put into the environment or taken out of it: names, and the stamp of each RECORD.

    The time of site-packages itself would not do: trial links, and Python's `__pycache__`, come and go there.
    """
    library = f"{environment}/{'Lib' if os.name == 'nt' else 'lib'}"
    for site in [library] if os.name == "nt" else [f"{library}/{name}" for name in _names(library)]:
        packages = f"{site}/site-packages"
        for name in _names(packages):
            if name != "__pycache__":
                yield name, _stamp(f"{packages}/{name}/RECORD") if name.endswith(".dist-info") else None


def _names(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))  # noqa: PTH208  (paths would cost more than the look)
    except OSError:
        return []


def _content(path: str) -> bytes | None:
    """What tells a file's content from another; None: there is none. Editors write anew what nobody has changed."""
    stamp = _stamp(path)
    return None if stamp is None else _digest(path, stamp)


_LARGE = 1 << 24
"""Bytes of a file that is no text that an editor saves: a wheel."""


@lru_cache(maxsize=1024)
def _digest(path: str, stamp: tuple[int, int, int]) -> bytes:
    """Remembered by the stamp: to read all files each time would cost more than uv's own look at them."""
    if stamp[1] > _LARGE:
        return repr(stamp).encode()
    try:
        return hashlib.blake2b(Path(path).read_bytes()).digest()
    except OSError:
        return b""


def _stamp(path: str) -> Stamp:
    try:
        status = os.stat(path)  # noqa: PTH116  (as above)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
