"""What remedies changed, kept with the project's state, so that it can be taken back: each step, the last first."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace
from pathlib import Path

from uv_link_doctor.engine.model import DoctorError, Remedy, RemedyKind, Span, TextEdit
from uv_link_doctor.host import Host, state
from uv_link_doctor.host.cache_move import Moved, MoveError, undo_move
from uv_link_doctor.project import find_manifest, subject_of


def note(subject: Path, host: Host, *steps: state.Step) -> None:
    """Adds steps of one remedy to a project's journal; raises DoctorError where that cannot be kept."""
    remembered = state.load(host.state, subject)
    save(replace(remembered, journal=(*remembered.journal, *steps)), host)


def save(remembered: state.ProjectState, host: Host) -> None:
    """Keeps a project's state; raises DoctorError."""
    try:
        state.save(host.state, remembered)
    except OSError as error:
        raise DoctorError(
            f"what was done cannot be remembered: `{host.state}` cannot be written ({error.strerror})",
            "check the permissions of that directory; the next run will not know of this one",
        ) from error


async def undo(path: Path, host: Host) -> str:
    """Takes back the last remedy that was applied to this project, and says what that was; raises DoctorError."""
    subject = subject_of(find_manifest(path, host.read_text), host.read_text)
    remembered = state.load(host.state, subject)
    if not remembered.journal:
        raise DoctorError(f"nothing to undo for `{subject}`", "only changes that `fix --apply` made can be undone")
    done = []
    while remembered.journal:
        *earlier, step = remembered.journal
        done.append(await _take_back(step, host))
        remembered = replace(remembered, journal=tuple(earlier))
        if step.path is None:
            remembered = replace(remembered, copy_because=None)
        save(remembered, host)
        if step.first:
            break
    return "; ".join(done)


async def _take_back(step: state.Step, host: Host) -> str:
    if step.path is None:
        return "our runs in this project use the link mode in force again"
    path = Path(step.path)
    if step.kind == RemedyKind.MOVE_CACHE and step.destination is not None:
        return await asyncio.to_thread(_move_back, step)
    if step.kind == RemedyKind.MOVE_ENVIRONMENT:
        return await asyncio.to_thread(_unlink_environment, path)
    if (text := host.read_text(path)) != step.after:
        raise DoctorError(f"`{path}` has been changed since", "take the setting out by hand, if it is still there")
    if step.before is None and text is not None:
        await asyncio.to_thread(path.unlink)
        return f"`{path}`, which there was none of, is gone again"
    await host.edit(path, TextEdit(Span(0, len(text or "")), step.before or ""))
    return f"`{path}` is as it was before"


def _move_back(step: state.Step) -> str:
    how, _, old = (step.how or "").partition(" ")
    moved = Moved(cache=Path(step.path or ""), destination=Path(step.destination or ""), how=how, old=old)  # type: ignore[arg-type]
    try:
        undo_move(moved)
    except MoveError as error:
        raise DoctorError(f"the cache cannot be moved back: {error}", "see to that, then undo once more") from error
    return f"uv's cache is in `{moved.cache}` again"


def _unlink_environment(path: Path) -> str:
    """Lets the project have an environment of its own again, which uv makes with the next install."""
    if path.is_symlink():
        path.unlink()
    return f"`{os.fspath(path)}` leads nowhere else any more; the next `uv sync` makes it anew"


def steps_of(remedy: Remedy, *steps: state.Step) -> tuple[state.Step, ...]:
    """The steps as those of one remedy."""
    return tuple(replace(step, kind=remedy.kind.value, first=index == 0) for index, step in enumerate(steps))
