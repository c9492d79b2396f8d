"""What remedies change beside a run: a setting, the cache's place, its files; noted first where it can be undone."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from time import monotonic

from uv_link_doctor import journal
from uv_link_doctor.engine import scripts, settings, toml_text
from uv_link_doctor.engine.model import DoctorError, RemedyKind
from uv_link_doctor.engine.settings import SettingPlace
from uv_link_doctor.host import Host, cache_move, cache_repair, state
from uv_link_doctor.host.cache_copy import stems_from
from uv_link_doctor.host.cache_move import Moved, MoveError
from uv_link_doctor.host.cache_repair import Repaired
from uv_link_doctor.host.cache_scan import Troubled
from uv_link_doctor.host.threads import in_thread


async def write_setting(
    place: SettingPlace,
    value: str,
    host: Host,
    *,
    kind: RemedyKind,
    subject: Path | None,
    first: bool = True,
    in_script: bool = False,
) -> bool:
    """Writes a setting of uv; True when it is on disk, False when an editor holds it.

    `subject` is whose journal knows of it, if anybody's; `first` says that a remedy begins with it, `in_script` that it
    goes into a script's own block. Raises DoctorError.
    """
    before = host.read_text(place.path)
    change = (scripts if in_script else toml_text).set_value(before or "", place.key, settings.quoted(value))
    if change is None:
        raise DoctorError(f"`{place.path}` cannot be changed in one place", f"set `{place.key[-1]}` by hand")
    after = change.apply(before or "")
    if after == before:
        return True  # By a predecessor who was killed.
    step = state.Step(kind=kind.value, path=str(place.path), before=before, after=after, first=first)
    with journal.noted(subject, host, step) if subject else nullcontext():
        try:
            if before is None:
                place.path.parent.mkdir(parents=True, exist_ok=True)
            await in_thread(state.clear_unfinished, place.path)
            on_disk = await host.edit(place.path, change)
        except OSError as error:
            raise DoctorError(f"`{place.path}` cannot be written: {error.strerror}", "check its permissions") from error
    if subject and not on_disk and first:
        journal.drop(subject, host, step)  # The editor's own undo takes it back.
    return on_disk


async def write_cache_dir(place: SettingPlace, home: Path, host: Host, *, subject: Path | None, first: bool) -> bool:
    """The same for where the cache is now; raises DoctorError."""
    try:
        return await write_setting(place, str(home), host, kind=RemedyKind.MOVE_CACHE, subject=subject, first=first)
    except DoctorError as error:
        message = f"the cache is in `{home}` now, but `cache-dir` could not be written: {error.message}"
        raise DoctorError(message, "set it yourself, or the variable `UV_CACHE_DIR`, to the new place") from error


def move_cache(
    cache: Path,
    destination: Path,
    host: Host,
    *,
    subject: Path | None,
    tell: Callable[[str], None],
    stop: Callable[[], bool],
    empty: bool = False,
) -> Moved | None:
    """Moves uv's cache, or (`empty`) begins one; None where a cache is in use there already, which nobody touches.

    `tell` gets a line about how far it is, once a second at most. Raises DoctorError.
    """
    cache, destination = cache_move.ends(cache, destination)
    step = _moving(cache, destination)
    before = journal.found(subject, host, step) if subject else None
    unfinished = before is not None
    if empty and cache_move.is_cache(destination) and not unfinished:
        return None
    if os.path.realpath(cache) == os.path.realpath(destination) and (before is None or before.how == journal.NOT_MOVED):
        step = replace(step, how=journal.NOT_MOVED)  # Somebody's own link leads there.
    with journal.noted(subject, host, step) if subject else nullcontext():
        try:
            if not unfinished:
                _refuse_taken(destination, cache)
            if empty and not cache_move.is_cache(destination):
                moved = cache_move.begin(cache, destination)
            else:
                moved = cache_move.move(cache, destination, on_step=_progress(tell), stop=stop)
        except MoveError as error:
            begun = empty and cache_move.is_cache(destination)
            if not (before and error.os_error == errno.EEXIST and (begun or stems_from(destination, cache))):
                raise _not_moved(error) from error
            # Before the kill; the old one has been used since.
            moved = Moved(cache=cache, destination=destination, how="copied", old="kept")
            if begun and not stems_from(destination, cache):
                step = replace(step, how=before.how or journal.NOT_MOVED)
    if subject:
        made = cache_move.made(destination)
        journal.note(subject, host, replace(step, how=step.how or f"{moved.how} {moved.old} {made}"))
    return moved


def is_unfinished(cache: Path, destination: Path, host: Host, *, subject: Path | None) -> bool:
    """Whether a predecessor has begun this move, by the journal; what is at the destination is ours then."""
    if subject is None:
        return False
    return journal.found(subject, host, _moving(*cache_move.ends(cache, destination))) is not None


def _moving(cache: Path, destination: Path) -> state.Step:
    return state.Step(kind=RemedyKind.MOVE_CACHE.value, path=str(cache), destination=str(destination))


def _refuse_taken(destination: Path, cache: Path) -> None:
    """Raises MoveError; also for a copy of this cache, which somebody may have made and is using."""
    try:
        taken = cache_move.is_taken(destination, cache)
    except OSError as error:
        raise cache_move.move_error(error, destination) from error
    if taken:
        raise MoveError("something else is at the destination", os_error=errno.EEXIST, path=destination)


def give_fresh_files(
    cache: Path,
    refused: Sequence[Troubled],
    *,
    tell: Callable[[str], None],
    stop: Callable[[], bool],
    seconds: float = cache_move.SECONDS_AT_MOST,
) -> Repaired:
    """Repairs the cache, and tells about it; `seconds` bound the wait for its lock. Raises CacheBusyError."""
    now_and_then = _paced(tell)

    def on_step(step: cache_repair.Step) -> None:
        now_and_then(f"Copying: {step.entries} of {step.of} package{'s' if step.of != 1 else ''}")

    return cache_repair.repair(
        cache, refused, seconds=seconds, on_wait=lambda: tell(_WAITS), on_step=on_step, stop=stop
    )


_WAITS = "Waiting until another uv releases the cache"
_SECONDS_BETWEEN = 1.0


def _paced(tell: Callable[[str], None]) -> Callable[[str], None]:
    """Tells of progress, but once a second at most."""
    last = monotonic()

    def now_and_then(line: str) -> None:
        nonlocal last
        if monotonic() - last >= _SECONDS_BETWEEN:
            last = monotonic()
            tell(line)

    return now_and_then


def _progress(tell: Callable[[str], None]) -> Callable[[cache_move.Step], None]:
    now_and_then = _paced(tell)

    def on_step(step: cache_move.Step) -> None:
        if step.phase == "waiting":
            tell(_WAITS)
        elif step.files:
            now_and_then(f"{step.phase.capitalize()}: {step.files}{f' of {step.of.files}' if step.of else ''} files")

    return on_step


def _not_moved(error: MoveError) -> DoctorError:
    where = f" at `{error.path}`" if error.path is not None else ""
    number = f" (os error {error.os_error})" if error.os_error else ""
    return DoctorError(f"the cache was not moved: {error}{number}{where}", "it is where it was, and whole")
