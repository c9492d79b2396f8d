"""What remedies changed, kept with the project's state, so that it can be taken back: each step, the last first.

A step is kept before it is done. So a kill at any moment leaves a way back, and what is taken back may not have been
done, or only by half.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from uv_link_doctor.engine.model import DoctorError, RemedyKind, Span, TextEdit
from uv_link_doctor.host import Host, cache_move, environment_move, state
from uv_link_doctor.host.cache_copy import stems_from
from uv_link_doctor.host.cache_move import Moved, MoveError, undo_move
from uv_link_doctor.project import find_manifest, subject_of


@contextmanager
def noted(subject: Path, host: Host, step: state.Step) -> Iterator[None]:
    """Keeps a step that is about to be done, and drops it if that fails, unless a killed predecessor had begun it.

    Raises DoctorError where the journal cannot be kept.
    """
    new = note(subject, host, step)
    try:
        yield
    except Exception:
        if new:
            drop(subject, host, step)
        raise


def note(subject: Path, host: Host, step: state.Step) -> bool:
    """Adds a step to a project's journal; False where the last remedy has it, and at most `how` is new.

    So it is where a remedy is carried out again after a kill. Raises DoctorError.
    """
    remembered = state.load(host.state, subject)
    earlier, last = _last_remedy(remembered.journal)
    known = tuple(replace(it, how=step.how) if _same(it, step) else it for it in last)
    new = not any(_same(it, step) for it in last)
    save(replace(remembered, journal=(*earlier, *known, *([step] if new else []))), host)
    return new


def has(subject: Path, host: Host, step: state.Step) -> bool:
    """Whether the last remedy of a project's journal has this step, whatever has come of it."""
    return any(_same(it, step) for it in _last_remedy(state.load(host.state, subject).journal)[1])


def drop(subject: Path, host: Host, step: state.Step) -> None:
    """Takes a step that was not done out of a project's journal; raises DoctorError."""
    remembered = state.load(host.state, subject)
    earlier, last = _last_remedy(remembered.journal)
    save(replace(remembered, journal=(*earlier, *(it for it in last if not _same(it, step)))), host)


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
        return await asyncio.to_thread(_bring_environment_back, path, Path(step.destination or ""))
    await asyncio.to_thread(state.clear_unfinished, path)
    if (text := host.read_text(path)) == step.before:
        return f"`{path}` is as it was before"
    if text != step.after:
        raise DoctorError(f"`{path}` has been changed since", "take the setting out by hand, if it is still there")
    if step.before is None and text is not None:
        try:
            await asyncio.to_thread(path.unlink)
        except OSError as error:
            raise DoctorError(f"`{path}` cannot be removed: {error.strerror}", "check its permissions") from error
        return f"`{path}`, which there was none of, is gone again"
    await host.edit(path, TextEdit(Span(0, len(text or "")), step.before or ""))
    return f"`{path}` is as it was before"


def _move_back(step: state.Step) -> str:
    cache, destination = Path(step.path or ""), Path(step.destination or "")
    how, old, *made = (step.how or _how(cache, destination)).split(" ") or ("", "")
    if made and cache_move.is_cache(destination) and int(made[0]) != cache_move.made(destination):
        raise DoctorError(f"another cache is in `{destination}` now", "nothing was changed; move it by hand")
    moved = Moved(cache=cache, destination=destination, how=how, old=old)  # type: ignore[arg-type]
    try:
        if how:
            undo_move(moved)
    except MoveError as error:
        raise DoctorError(f"the cache cannot be moved back: {error}", "see to that, then undo once more") from error
    return f"uv's cache is in `{cache}` again"


def _how(cache: Path, destination: Path) -> str:
    """How far a move came that was killed before it could say so, as its `how`; nothing: the cache did not move."""
    if not cache.is_dir() or os.path.realpath(cache) == os.path.realpath(destination):
        return "renamed linked"
    return "copied kept" if stems_from(destination, cache) else " "


def _bring_environment_back(old: Path, new: Path) -> str:
    try:
        there = environment_move.take_back(old, new)
    except MoveError as error:
        raise DoctorError(f"`{old}` cannot be taken back: {error}", "end what uses it, then undo once more") from error
    nowhere = f"`{old}` leads nowhere else any more"
    return nowhere if there else f"{nowhere}; the next `uv sync` makes it anew"


def _last_remedy(journal: tuple[state.Step, ...]) -> tuple[tuple[state.Step, ...], tuple[state.Step, ...]]:
    """What came before the last remedy, and its steps."""
    begins = max((index for index, step in enumerate(journal) if step.first), default=0)
    return journal[:begins], journal[begins:]


def _same(one: state.Step, other: state.Step) -> bool:
    return replace(one, how=None) == replace(other, how=None)
