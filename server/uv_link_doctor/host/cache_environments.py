"""Which environments need uv's cache to stay at its path."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from uv_link_doctor.host.cache_copy import inside


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaking:
    """An environment that would not outlive the cache's old path."""

    path: Path
    why: Literal["inside", "linked"]
    """It lies in the cache (of a script, a tool, `uv run --with`, a build), or its files are links into the cache."""


def names_that_break(cache: Path, environments: Iterable[Path] = ()) -> tuple[Breaking, ...]:
    """The environments that need the cache's present path: those in it, and of those given, the linked ones.

    They go on working as long as a symbolic link is at the old path. Never raises.
    """
    found: list[Breaking] = []
    for pattern in ("environments-v*/*/pyvenv.cfg", "builds-v*/*/pyvenv.cfg", "archive-v*/*/pyvenv.cfg"):
        with suppress(OSError):
            found += [Breaking(path=it.parent, why="inside") for it in sorted(cache.glob(pattern))]
    real = os.path.realpath(cache)
    for environment in environments:
        if not inside(os.path.realpath(environment), real) and _linked_into(environment, real):
            found.append(Breaking(path=environment, why="linked"))
    return tuple(found)


def tool_environments(environ: Mapping[str, str]) -> Iterator[Path]:
    """The environments of `uv tool install`, where uv keeps them unless told otherwise (uv-tool, `tool_dir`)."""
    data = environ.get("APPDATA") if sys.platform == "win32" else environ.get("XDG_DATA_HOME")
    home = Path(environ.get("HOME") or Path.home())
    default = Path(data) / "uv" if data else home / ".local" / "share" / "uv"
    folder = Path(environ.get("UV_TOOL_DIR") or default / "tools")
    with suppress(OSError):
        yield from sorted(it.parent for it in folder.glob("*/pyvenv.cfg"))


def _linked_into(environment: Path, cache: str) -> bool:
    """Whether uv installed with `--link-mode=symlink`: it then links every file, so one of each package tells."""
    for pattern in ("lib/python*/site-packages/*.dist-info/METADATA", "Lib/site-packages/*.dist-info/METADATA"):
        with suppress(OSError):
            for file in environment.glob(pattern):
                if file.is_symlink() and inside(os.path.realpath(file), cache):
                    return True
    return False
