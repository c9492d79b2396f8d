"""What remedies changed, kept with the project's state, so that it can be taken back: each step, the last first.

A step is kept before it is done. So a kill at any moment leaves a way back, and what is taken back may not have been
done, or only by half.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from uv_link_doctor.engine.model import DoctorError, RemedyKind, Span, TextEdit
from uv_link_doctor.host import Host, cache_move, environment_move, state
from uv_link_doctor.host.cache_copy import stems_from
from uv_link_doctor.host.cache_move import Moved, MoveError, undo_move
from uv_link_doctor.host.threads import in_thread
from uv_link_doctor.project import find_manifest, subject_of

NOT_MOVED = " "
"""The `how` of a step that moved no cache, since it was there already: nothing of it is to be taken back."""


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
    new = found(subject, host, step) is None

    def noting(remembered: state.ProjectState) -> state.ProjectState:
        earlier, last = _last_remedy(remembered.journal)
        known = tuple(replace(it, how=step.how) if _same(it, step) else it for it in last)
        return replace(remembered, journal=(*earlier, *known, *([step] if new else [])))

    change(subject, host, noting)
    return new


def found(subject: Path, host: Host, step: state.Step) -> state.Step | None:
    """This step as the last remedy of a project's journal has it, whatever has come of it; None where it has not."""
    _, last = _last_remedy(state.load(host.state, subject).journal)
    return next((it for it in last if _same(it, step)), None)


def drop(subject: Path, host: Host, step: state.Step) -> None:
    """Takes a step that was not done out of a project's journal; raises DoctorError."""

    def dropping(remembered: state.ProjectState) -> state.ProjectState:
        earlier, last = _last_remedy(remembered.journal)
        return replace(remembered, journal=(*earlier, *(it for it in last if not _same(it, step))))

    change(subject, host, dropping)


def change(subject: Path, host: Host, by: Callable[[state.ProjectState], state.ProjectState]) -> state.ProjectState:
    """Changes what is remembered of a project; raises DoctorError."""
    try:
        return state.change(host.state, subject, by)
    except OSError as error:
        raise DoctorError(
            f"what was done cannot be remembered: `{host.state}` cannot be written ({error.strerror})",
            "check the permissions of that directory; the next run will not know of this one",
        ) from error


async def undo(path: Path, host: Host) -> str:
    """Takes back the last remedy that was applied to this project, and says what that was; raises DoctorError."""
    subject, steps = _to_undo(path, host)
    done = []
    for step in steps:
        done.append(await _take_back(step, host))
        change(subject, host, partial(_without, step))
    return "; ".join(done)


def would_undo(path: Path, host: Host) -> tuple[str, ...]:
    """What `undo` would take back, each change in a sentence; changes nothing. Raises DoctorError."""
    return tuple(map(_in_words, _to_undo(path, host)[1]))


def _to_undo(path: Path, host: Host) -> tuple[Path, tuple[state.Step, ...]]:
    """Whose journal it is, and the steps of its last remedy, the last first."""
    subject = subject_of(find_manifest(path, host.read_text), host.read_text)
    _, last = _last_remedy(state.load(host.state, subject).journal)
    if not last:
        raise DoctorError(f"nothing to undo for `{subject}`", "only changes that `fix --apply` made can be undone")
    return subject, last[::-1]


def _without(step: state.Step, remembered: state.ProjectState) -> state.ProjectState:
    """The state when a step is taken back."""
    at = max((index for index, it in enumerate(remembered.journal) if it == step), default=len(remembered.journal))
    because = None if step.path is None else remembered.copy_because
    return replace(remembered, copy_because=because, journal=(*remembered.journal[:at], *remembered.journal[at + 1 :]))


def _in_words(step: state.Step) -> str:
    if step.path is None:
        return "our runs in this project use the link mode in force again"
    if step.kind == RemedyKind.MOVE_CACHE and step.destination is not None:
        how = step.how or _how(Path(step.path), Path(step.destination))
        if how == NOT_MOVED:
            return f"leaves uv's cache in `{step.destination}`, where it was before"
        kept = how.startswith("copied kept") and cache_move.is_still_there(Path(step.path), Path(step.destination))
        return (
            f"{'removes' if kept else 'moves'} uv's cache in `{step.destination}`{'' if kept else f' to `{step.path}`'}"
        )
    if step.kind == RemedyKind.MOVE_ENVIRONMENT:
        return f"`{step.path}` leads nowhere else any more, and `{step.destination}` is removed"
    return f"takes out of `{step.path}` what was written to it"


async def _take_back(step: state.Step, host: Host) -> str:
    if step.path is None:
        return "our runs in this project use the link mode in force again"
    path = Path(step.path)
    if step.kind == RemedyKind.MOVE_CACHE and step.destination is not None:
        return await in_thread(_move_back, step)
    if step.kind == RemedyKind.MOVE_ENVIRONMENT and step.destination is not None:
        return await in_thread(_bring_environment_back, path, Path(step.destination))
    return await _take_out(step, path, host)


async def _take_out(step: state.Step, path: Path, host: Host) -> str:
    """Takes out of a file what a step has written to it."""
    await in_thread(state.clear_unfinished, path)
    if (text := host.read_text(path)) == step.before:
        return f"`{path}` is as it was before"
    if text != step.after:
        kept = _taken_out(text or "", step)
        if kept is None:
            raise DoctorError(f"`{path}` has been changed since", "take the setting out by hand, if it is still there")
        if text is not None and kept != text:
            await host.edit(path, TextEdit(Span(0, len(text)), kept))
        return f"`{path}` has nothing of what was written to it any more"
    if step.before is None and text is not None:
        try:
            await in_thread(path.unlink)
        except OSError as error:
            raise DoctorError(f"`{path}` cannot be removed: {error.strerror}", "check its permissions") from error
        return f"`{path}`, which there was none of, is gone again"
    await host.edit(path, TextEdit(Span(0, len(text or "")), step.before or ""))
    return f"`{path}` is as it was before"


def _taken_out(text: str, step: state.Step) -> str | None:
    """A text that has been changed since without the lines that a step wrote, and with those that it replaced.

    None where that is not safe to say: they stand there otherwise, or there twice, or with new ones below their header.
    """
    before, after = ((it or "").splitlines(keepends=True) for it in (step.before, step.after))
    same = _alike(before, after)
    old, new = before[same:], after[same:]
    same = _alike(old[::-1], new[::-1])
    old, new = old[: len(old) - same], new[: len(new) - same]
    lines = text.splitlines(keepends=True)
    if not any(line in lines for line in new if _sets_something(line)):
        return text  # Somebody has taken it out.
    places = [at for at in range(len(lines)) if lines[at : at + len(new)] == new]
    if len(places) != 1:
        return None
    rest = lines[places[0] + len(new) :]
    below = next((line for line in rest if line.strip() and not line.startswith("#")), "[")
    if any(map(_is_header, new)) and not _is_header(below):
        return None
    return "".join((*lines[: places[0]], *old, *rest))


def _alike(one: list[str], other: list[str]) -> int:
    """How many lines both begin with."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (mine, theirs) in pairs if mine != theirs), min(len(one), len(other)))


def _sets_something(line: str) -> bool:
    return bool(line.strip()) and not _is_header(line)


def _is_header(line: str) -> bool:
    return line.lstrip("# \t").startswith("[")


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
    return "copied kept" if stems_from(destination, cache) else NOT_MOVED


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
