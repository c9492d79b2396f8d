"""The shell: all that touches the machine, behind one small value."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from uv_link_doctor.engine.model import DoctorError, Places, TextEdit, Transcript
from uv_link_doctor.host.places import places as look_at_places
from uv_link_doctor.host.process import run
from uv_link_doctor.host.state import state_directory, write_atomically


class Run(Protocol):
    """Runs a command to its end; see `host.process.run`."""

    async def __call__(  # noqa: D102  (the class says it)
        self,
        command: Sequence[str],
        *,
        cwd: Path,
        environ: Mapping[str, str],
        on_line: Callable[[str], None] | None = None,
        stop: asyncio.Event | None = None,
    ) -> Transcript: ...


class LookAtPlaces(Protocol):
    """Looks at cache and environment; see `host.places.places`."""

    def __call__(  # noqa: D102  (as above)
        self, cache: Path, environment: Path, *, environ: Mapping[str, str], passive: bool
    ) -> Places: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """All that an examination may ask of the machine beyond looking at the project's own directories."""

    environ: Mapping[str, str]
    read_text: Callable[[Path], str | None]
    """A file's text with its line ends as they are; None where there is no such file. An editor answers with its open
    buffer. Raises DoctorError where the file is there and cannot be read."""
    edit: Callable[[Path, TextEdit], Awaitable[bool]]
    """Changes a file; True when the change is on disk, False when an editor holds it unsaved. Raises DoctorError."""
    run: Run
    state: Path
    """The directory in which projects are remembered."""
    places: LookAtPlaces = look_at_places
    """Both ends of a link; a server may remember what it was told. See `host.places.places`."""


def local_host() -> Host:
    """This machine, as a command line sees it."""
    return Host(environ=dict(os.environ), read_text=read_text, edit=edit, run=run, state=state_directory())


def read_text(path: Path) -> str | None:
    """The text of a file on disk, in UTF-8 as TOML demands, with its line ends as they are."""
    try:
        return path.read_bytes().decode()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except IsADirectoryError as error:
        raise DoctorError(f"`{path}` is a directory", "name a file, or the directory of a project") from error
    except UnicodeDecodeError as error:
        message = f"`{path}` is not UTF-8 text (byte {error.start})"
        raise DoctorError(message, "save it as UTF-8: TOML allows no other encoding") from error
    except OSError as error:
        raise DoctorError(f"`{path}` cannot be read: {error.strerror}", "check the file's permissions") from error


async def edit(path: Path, change: TextEdit) -> bool:
    """Writes a changed file in one step, with its mode, byte order mark and line ends as they are."""
    try:
        write_atomically(path, change.apply(read_text(path) or "").encode())
    except OSError as error:
        raise DoctorError(f"`{path}` cannot be written: {error.strerror}", "check the file's permissions") from error
    return True
