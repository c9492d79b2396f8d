"""What the doctor remembers of a project between runs: one small file in the user's state directory."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from glob import escape
from pathlib import Path

from uv_link_doctor.engine.model import DoctorError, Transcript
from uv_link_doctor.host.cache_lock import CacheBusyError, cache_lock

_UNFINISHED = ".uv-link-doctor-"
_KEPT_STDERR = 65536
"""Of the last failure's stderr, its end: more than any failure of uv takes, little enough to keep for each project."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One change that `fix --undo` takes back."""

    kind: str
    """The remedy that made it."""
    path: str | None = None
    """The file that was edited, or what was moved; None where only this state changed."""
    before: str | None = None
    """The file's text; None where there was none."""
    after: str | None = None
    destination: str | None = None
    """Where it was moved to; None where a file was edited."""
    how: str | None = None
    """Of a moved cache: how, and what its old path is now, as `host.cache_move.Moved` has them."""
    first: bool = True
    """Whether the remedy began with this step; one is taken back whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectState:
    """What is remembered of one project on this machine."""

    root: str
    copy_because: str | None = None
    """The cause for which our runs go on using copies here; None: they do not."""
    last_failure: Transcript | None = None
    """The last run that ended in a link failure, so that a later look can explain it again."""
    ended_well: bool = False
    """Whether uv has ended with 0 since then: it counts as installed what that left incomplete."""
    incomplete: tuple[str, ...] = ()
    """The packages that lacked files after the last run: uv sees no need to install them again."""
    journal: tuple[Step, ...] = ()
    """The oldest first."""
    chosen: bool = False
    """The user has installed it on purpose; saving a requirements.txt does so only then."""


def state_directory() -> Path:
    """Where the state lives: platformdirs' user state directory (`XDG_STATE_HOME` on Linux); raises DoctorError."""
    import platformdirs  # noqa: PLC0415  (5 ms that the answer to `initialize` need not wait for)

    with suppress(RuntimeError):  # A user whom the system does not know, as containers have them.
        found = platformdirs.user_state_path("uv-link-doctor", appauthor=False)
        if found.is_absolute():
            return found
    raise DoctorError("it is not known where your home directory is", "set the variable `HOME`")


def load(directory: Path, root: Path) -> ProjectState:
    """The state of the project at `root`, whatever path leads there; an unreadable or foreign file counts as none."""
    try:
        return _read(directory, root)
    except OSError:
        return ProjectState(root=os.path.realpath(root))


def _read(directory: Path, root: Path) -> ProjectState:
    """The same, but raises OSError for a file that is there and that we may not read."""
    root = Path(os.path.realpath(root))
    none = ProjectState(root=str(root))
    try:
        known = _state(json.loads(_file(directory, root).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, RecursionError):
        return none
    return known if known.root == str(root) else none


def save(directory: Path, state: ProjectState) -> None:
    """Writes the state whole or not at all (a temporary file, then a rename); raises OSError."""
    path = _file(directory, Path(state.root))
    if state == ProjectState(root=state.root):
        path.unlink(missing_ok=True)
        return
    if state.last_failure is not None:
        short = replace(state.last_failure, stdout="", stderr=state.last_failure.stderr[-_KEPT_STDERR:])
        state = replace(state, last_failure=short)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps(asdict(state), indent=1).encode(), private=True)


def change(directory: Path, root: Path, by: Callable[[ProjectState], ProjectState]) -> ProjectState:
    """Changes the state of a project as it is now, whoever has changed it since somebody looked; raises OSError.

    Processes take turns; one that does not get its turn in time, or where files have no locks, does without.
    """
    folder = directory / "projects"
    with ExitStack() as stack:
        with suppress(OSError, CacheBusyError):
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(cache_lock(folder, exclusive=True, seconds=_SECONDS_AT_MOST))
            clear_unfinished(_file(directory, Path(os.path.realpath(root))))
        changed = by(_read(directory, root))
        save(directory, changed)
    return changed


_SECONDS_AT_MOST = 2.0
"""To wait for who writes a few kilobytes."""


def write_atomically(path: Path, content: bytes, *, private: bool = False) -> None:
    """Replaces the file's content in one step, keeping its owner and mode; a kill leaves the old or the new.

    A new file is made as any program makes one, for nobody else's eyes if it is `private`. A symbolic link stays one:
    the file it leads to is replaced. Raises OSError.
    """
    path = path.resolve()
    before = path.stat() if path.exists() else None
    handle, temporary = _temporary(path, private=private or before is not None)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if before is not None:
            if hasattr(os, "chown"):
                try:
                    os.chown(temporary, before.st_uid, before.st_gid)
                except OSError:  # Ours then; its group may go on writing to it.
                    with suppress(OSError):
                        os.chown(temporary, -1, before.st_gid)
            Path(temporary).chmod(before.st_mode)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _temporary(path: Path, *, private: bool) -> tuple[int, str]:
    """An open file beside the path, and its name; raises OSError."""
    prefix = f".{path.name}{_UNFINISHED}"
    if private:
        return tempfile.mkstemp(dir=path.parent, prefix=prefix)
    temporary = str(path.parent / f"{prefix}{os.urandom(8).hex()}")
    return os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666), temporary


def clear_unfinished(path: Path) -> None:
    """Removes what killed writers of the file have left beside it; a living one would have to begin anew."""
    path = path.resolve()
    with suppress(OSError):
        for left in path.parent.glob(f".{escape(path.name)}{_UNFINISHED}*"):
            left.unlink()


def _file(directory: Path, root: Path) -> Path:
    return directory / "projects" / f"{hashlib.sha256(os.fsencode(root)).hexdigest()[:24]}.json"


def _state(data: object) -> ProjectState:
    """What `save` wrote; raises ValueError for anything else."""
    match data:
        case {
            "root": str(root),
            "copy_because": str() | None as cause,
            "last_failure": said,
            "journal": [*steps],
            **later,
        }:
            return ProjectState(
                root=root,
                copy_because=cause,
                last_failure=None if said is None else _transcript(said),
                journal=tuple(map(_step, steps)),
                chosen=later.get("chosen") is True,
                incomplete=_names(later.get("incomplete")),
                ended_well=later.get("ended_well") is True,
            )
    raise ValueError(data)


def _names(data: object) -> tuple[str, ...]:
    return tuple(map(str, data)) if isinstance(data, list) else ()


def _transcript(data: object) -> Transcript:
    match data:
        case {
            "command": [*command],
            "exit_code": int() | None as exit_code,
            "stdout": str(stdout),
            "stderr": str(stderr),
            "seconds": int() | float() as seconds,
        }:
            return Transcript(
                command=tuple(map(str, command)), exit_code=exit_code, stdout=stdout, stderr=stderr, seconds=seconds
            )
    raise ValueError(data)


def _step(data: object) -> Step:
    match data:
        case {
            "kind": str(kind),
            "path": str() | None as path,
            "before": str() | None as before,
            "after": str() | None as after,
            "destination": str() | None as destination,
            "how": str() | None as how,
            "first": bool(first),
        }:
            return Step(kind=kind, path=path, before=before, after=after, destination=destination, how=how, first=first)
    raise ValueError(data)
