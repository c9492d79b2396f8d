"""What the doctor remembers of a project between runs: one small file in the user's state directory."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from glob import escape
from pathlib import Path

from uv_link_doctor.engine.model import Transcript

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
    journal: tuple[Step, ...] = ()
    """The oldest first."""
    chosen: bool = False
    """The user has installed it on purpose; saving a requirements.txt does so only then."""


def state_directory() -> Path:
    """Where the state lives: platformdirs' user state directory (`XDG_STATE_HOME` on Linux)."""
    import platformdirs  # noqa: PLC0415  (5 ms that the answer to `initialize` need not wait for)

    return platformdirs.user_state_path("uv-link-doctor", appauthor=False)


def load(directory: Path, root: Path) -> ProjectState:
    """The state of the project at `root`, whatever path leads there; an unreadable or foreign file counts as none."""
    root = Path(os.path.realpath(root))
    try:
        known = _state(json.loads(_file(directory, root).read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError):
        return ProjectState(root=str(root))
    return known if known.root == str(root) else ProjectState(root=str(root))


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
    write_atomically(path, json.dumps(asdict(state), indent=1).encode())


def write_atomically(path: Path, content: bytes) -> None:
    """Replaces the file's content in one step, keeping its mode; a kill leaves the old or the new. Raises OSError.

    A symbolic link stays one: the file it leads to is replaced.
    """
    path = path.resolve()
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}{_UNFINISHED}")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            Path(temporary).chmod(path.stat().st_mode)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


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
            )
    raise ValueError(data)


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
