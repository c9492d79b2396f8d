"""Finds the uv that would be used here, and its version."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from uv_link_doctor.engine.model import DoctorError, Uv
from uv_link_doctor.host.process import run

_VERSION = re.compile(r"\buv(?:-\w+)? (\d+)\.(\d+)\.(\d+)")
_ANSWER_SECONDS = 20.0
"""A cold start from a network home or behind a virus scanner is slow; a hang must not be forever."""

_versions: dict[tuple[str, int, int], tuple[int, int, int]] = {}
"""By path, time of change and size: a second save starts no process to learn what is known."""


async def find_uv(setting: str | None, environ: Mapping[str, str], *, ask: bool) -> Uv | None:
    """The uv named by the setting, else the first on PATH, else one where installers put it; None: there is none.

    A setting that names no executable finds nothing: another uv would not be the one that was asked for.
    `ask=False` starts nothing, so that the version stays unknown.
    """
    path, found_by = next(_executables(setting, environ), (None, ""))
    if path is None:
        return None
    return Uv(path=path, version=await _version(path, environ) if ask else None, found_by=found_by)


def _executables(setting: str | None, environ: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
    """Those of the candidates that can be run, absolute: a run has another working directory than we have."""
    for path, found_by in _candidates(setting, environ):
        if path is not None and os.access(path, os.X_OK) and Path(path).is_file():
            yield Path(path).absolute(), found_by


def _candidates(setting: str | None, environ: Mapping[str, str]) -> list[tuple[str | None, str]]:
    if setting:
        named = os.path.expanduser(setting)  # noqa: PTH111  (`Path` raises where there is no such user)
        return [(named if os.sep in named else shutil.which(named, path=environ.get("PATH", "")), "setting")]
    found: list[tuple[str | None, str]] = [(shutil.which("uv", path=environ.get("PATH", "")), "PATH")]
    found += [(str(directory / _EXECUTABLE), "known location") for directory in _known_locations(environ)]
    return found


_EXECUTABLE = "uv.exe" if sys.platform == "win32" else "uv"


def _known_locations(environ: Mapping[str, str]) -> list[Path]:
    """Where uv's installers and package managers put it: its documentation's "Installing uv"."""
    home = Path(environ.get("HOME") or environ.get("USERPROFILE") or Path.home())
    locations = [Path(environ["UV_INSTALL_DIR"])] if environ.get("UV_INSTALL_DIR") else []
    locations += [home / ".local" / "bin", home / ".cargo" / "bin"]
    if sys.platform == "win32":
        if local := environ.get("LOCALAPPDATA"):
            locations.append(Path(local) / "Microsoft" / "WinGet" / "Links")
        return [*locations, home / "scoop" / "shims"]
    return [*locations, Path("/opt/homebrew/bin"), Path("/usr/local/bin"), Path("/home/linuxbrew/.linuxbrew/bin")]


async def _version(path: Path, environ: Mapping[str, str]) -> tuple[int, int, int] | None:
    try:
        status = os.stat(path)  # noqa: PTH116  (one look at a local file; asyncio has no other)
        key = (str(path), status.st_mtime_ns, status.st_size)
        if key not in _versions:
            stop = asyncio.Event()
            timer = asyncio.get_running_loop().call_later(_ANSWER_SECONDS, stop.set)
            answer = await run([str(path), "--version"], cwd=path.parent, environ=environ, stop=stop)
            timer.cancel()
            match = _VERSION.match(answer.stdout) if answer.exit_code == 0 else None
            if match is None:
                return None  # Next time it may be quicker.
            _versions[key] = int(match[1]), int(match[2]), int(match[3])
        return _versions[key]
    except (OSError, DoctorError):
        return None
