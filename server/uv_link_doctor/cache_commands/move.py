"""`cache move`: the whole cache in another place, where uv finds it from then on."""

from __future__ import annotations

import argparse
import asyncio
import os
import shlex
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from uv_link_doctor import journal
from uv_link_doctor.cache_commands.answers import (
    FINDINGS,
    OK,
    Stopped,
    pace,
    print_document,
    refuse_stopped,
    tell_of_waiting,
)
from uv_link_doctor.cache_commands.known import Known
from uv_link_doctor.engine import settings, toml_text
from uv_link_doctor.engine.costs import size_words
from uv_link_doctor.engine.model import MANIFEST, DoctorError, Examination, Remedy, RemedyKind, Verdict
from uv_link_doctor.host import Host, cache_move, state
from uv_link_doctor.host.cache_copy import inside, weigh
from uv_link_doctor.host.cache_environments import names_that_break
from uv_link_doctor.host.cache_move import Moved, MoveError
from uv_link_doctor.host.mounts import nearest_directory
from uv_link_doctor.host.places import place
from uv_link_doctor.project import subject_of
from uv_link_doctor.terminal import agree, show_changes, stopped_by_signals, tell


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """A move as it will be made."""

    old: Path
    new: Path
    empty: bool
    """The contents stay behind; uv fills the new one as it needs it."""
    place: settings.SettingPlace | None
    """Where the new place will be written; None where no file would count, or another cache is in force."""
    overruling: str | None
    """Why none is, in words."""
    remedy: Remedy


async def move_command(options: argparse.Namespace, host: Host, known: Known) -> int:
    """Plans, asks, moves, tells uv and hears from it; returns the exit code, raises DoctorError."""
    with stopped_by_signals() as stop:
        ordered = await asyncio.to_thread(_planned, options, host, known, stop.is_set)
        refuse_stopped(stop, "nothing was changed")
    if options.dry_run:
        if options.json:
            print_document(Examination(verdict=Verdict.NOT_RUN, uv=known.uv), _moving(ordered))
        else:
            show_changes(ordered.remedy)
        return OK
    agree(ordered.remedy, beforehand=options.yes)
    if options.yes:  # Else all of it stood above the question.
        for change in (ordered.remedy.title, *ordered.remedy.changes):
            tell(change)
    with stopped_by_signals() as stop:
        moved = await asyncio.to_thread(_moved, ordered, stop.is_set)
        undoable = _note(host, known, _step(moved))
        if ordered.place is not None:
            undoable = await _write(host, known, ordered, undoable=undoable)
    said = await _uv_says(host, known) if ordered.place is not None else None
    proven = said is None or Path(said) == ordered.new
    lines = [*_result(ordered, moved, undoable=undoable)]
    if said is not None:
        lines.append(f"uv says that its cache is in `{said}`")
    if options.json:
        verdict = Verdict.HEALTHY if proven else Verdict.NOT_RUN
        print_document(
            Examination(verdict=verdict, uv=known.uv), _moving(ordered) | {"how": moved.how, "old": moved.old}
        )
    else:
        print("\n".join(lines))
    if not proven:
        print(f"error: uv goes on using `{said}`", file=sys.stderr)
        print(f"hint: something comes before `{ordered.place and ordered.place.path}`", file=sys.stderr)
    return OK if proven else FINDINGS


def _planned(options: argparse.Namespace, host: Host, known: Known, stop: Stopped) -> _Plan:
    """What a move would do; raises DoctorError for a destination that will not do."""
    old, new = known.cache, Path(os.path.abspath(options.destination))  # noqa: PTH100  (a link stays the user's name)
    _refuse_bad_destination(old, new)
    counting = _counting(known, new, host)
    overruling = None if counting else _overruling(known, new)
    price = [_REFILLED] if options.empty else [*_price(old, new, stop), *_breaking(known)]
    changes = [*price, *_reservations(new, host)]
    if counting is not None:
        changes.append(f"writes `cache-dir` to `{counting.path}`, so that uv finds it there")
    if overruling is not None:
        changes.append(overruling)
    remedy = Remedy(
        id=RemedyKind.MOVE_CACHE.value,
        kind=RemedyKind.MOVE_CACHE,
        title=f"Begin an empty cache at `{new}`" if options.empty else f"Move uv's cache from `{old}` to `{new}`",
        preferred=True,
        changes=tuple(changes),
        command=(),
    )
    return _Plan(old=old, new=new, empty=options.empty, place=counting, overruling=overruling, remedy=remedy)


_REFILLED = "leaves the old cache as it is; uv downloads into the new one what it needs"


def _refuse_bad_destination(old: Path, new: Path) -> None:
    """Raises DoctorError; what `move` itself refuses, too, is refused before anybody is asked."""
    real_old, real_new = os.path.realpath(old), os.path.realpath(new)
    if old == new or (inside(real_new, real_old) and real_new != real_old):
        raise DoctorError(f"`{new}` is the cache itself, or lies in it", "name a place outside")
    if inside(real_old, real_new) and real_old != real_new:
        raise DoctorError(f"the cache lies in `{new}`", "name a directory of its own, such as one below that")
    project = next((it for it in (new, *new.parents) if (it / MANIFEST).is_file()), None)
    if project is not None:
        message = f"`{new}` lies in the project `{project}`"
        raise DoctorError(message, "name a place outside of all projects: they share the cache")
    try:
        taken = os.path.lexists(new) and not (new / "CACHEDIR.TAG").exists() and not cache_move.is_empty_directory(new)
    except OSError as error:
        raise DoctorError(f"`{new}` cannot be read: {error.strerror}", "check its permissions") from error
    if taken:
        raise DoctorError(f"there is something else at `{new}`", "name a place that does not exist, or is empty")


def _price(old: Path, new: Path, stop: Stopped) -> Iterator[str]:
    """What a move within a file system takes, or to another."""
    tell(f"Weighing `{old}`")
    size = weigh(Path(os.path.realpath(old)), stop=stop)
    there = nearest_directory(new)
    counted = f"{size.files} files, {size_words(size.size)}"
    if there.stat().st_dev == old.stat().st_dev:
        yield f"renames it, {counted}; the old path becomes a link to the new place, for whoever still uses it"
        return
    free = place(there, environ={}).free_bytes
    known = f", where {size_words(free)} are free" if free is not None else ""
    yield f"copies {counted}{known}; the old cache stays for whoever still uses it"


_SHOWN = 5


def _breaking(known: Known) -> Iterator[str]:
    """The environments that would go with the old path."""
    environments = [*_tools(known.invocation.environ), *([known.environment] if known.environment else [])]
    found = [str(it.path) for it in names_that_break(known.cache, environments)]
    if found:
        named = ", ".join(f"`{it}`" for it in found[:_SHOWN])
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        yield f"environments that would break if the old path went away (it does not by this): {named}{more}"


def _tools(environ: Mapping[str, str]) -> Iterator[Path]:
    """The environments of `uv tool install`, where uv keeps them unless told otherwise (uv-tool, `tool_dir`)."""
    data = environ.get("APPDATA") if sys.platform == "win32" else environ.get("XDG_DATA_HOME")
    home = Path(environ.get("HOME") or Path.home())
    default = Path(data) / "uv" if data else home / ".local" / "share" / "uv"
    folder = Path(environ.get("UV_TOOL_DIR") or default / "tools")
    with suppress(OSError):
        yield from sorted(it.parent for it in folder.glob("*/pyvenv.cfg"))


def _reservations(new: Path, host: Host) -> Iterator[str]:
    """What speaks against the destination."""
    where = place(new, environ=host.environ)
    if where.synced_by:
        yield f"careful: `{new}` lies in a folder that {where.synced_by} syncs, which spoils the files of a cache"
    if where.network:
        yield f"careful: `{new}` is on the network ({where.filesystem}), where a cache is slow and links may fail"


def _counting(known: Known, new: Path, host: Host) -> settings.SettingPlace | None:
    """The user's own file, else the one that names the cache now; the first in which the new place would count."""
    if not known.in_force or Path(known.setting.value) == new:
        return None
    origin = known.setting.origin
    places = [settings.SettingPlace(settings.user_file(known.invocation), ("cache-dir",))]
    if origin.path is not None and origin.key is not None:
        places.append(settings.SettingPlace(origin.path, tuple(origin.key.split("."))))
    for it in places:
        if settings.would_count(it, str(new), known.root, known.invocation, host.read_text):
            return it
    return None


def _overruling(known: Known, new: Path) -> str | None:
    """Why no setting is written; None where it says so already."""
    if Path(known.setting.value) == new:
        return None
    if not known.in_force:
        return f"no setting changes: uv here uses `{known.setting.value}`"
    origin = known.setting.origin
    if origin.kind == "environment":
        return f"no setting changes, since the variable `{origin.key}` comes first: set it to `{new}`"
    return f"no setting changes, since no file would count: set `UV_CACHE_DIR` to `{new}`"


def _moved(ordered: _Plan, stop: Stopped) -> Moved:
    """The move itself, told about on stderr; raises DoctorError."""
    paced = pace()

    def on_step(step: cache_move.Step) -> None:
        if step.phase == "waiting":
            tell_of_waiting()
        elif step.files:
            paced(f"{step.phase.capitalize()}: {step.files}{f' of {step.of.files}' if step.of else ''} files")

    try:
        if ordered.empty:
            return cache_move.begin(ordered.old, ordered.new)
        return cache_move.move(ordered.old, ordered.new, on_step=on_step, stop=stop)
    except MoveError as error:
        where = f" at `{error.path}`" if error.path is not None else ""
        number = f" (os error {error.os_error})" if error.os_error else ""
        message = f"the cache was not moved: {error}{number}{where}"
        raise DoctorError(message, "it is where it was, and whole") from error


async def _write(host: Host, known: Known, ordered: _Plan, *, undoable: bool) -> bool:
    """Writes where the cache is now; whether `fix --undo` can take all of it back. Raises DoctorError."""
    try:
        step = await _edited(host, ordered)
    except (DoctorError, OSError) as error:
        message = f"the cache is in `{ordered.new}` now, but `cache-dir` could not be written: {error}"
        raise DoctorError(message, "set it yourself, or the variable `UV_CACHE_DIR`, to the new place") from error
    return _note(host, known, step) and undoable


async def _edited(host: Host, ordered: _Plan) -> state.Step:
    """Raises DoctorError or OSError."""
    assert ordered.place is not None  # noqa: S101  (the caller has looked)
    path, key = ordered.place.path, ordered.place.key
    before = host.read_text(path)
    change = toml_text.set_value(before or "", key, settings.quoted(str(ordered.new)))
    if change is None:
        raise DoctorError(f"`{path}` cannot be changed in one place", "set `cache-dir` by hand")
    path.parent.mkdir(parents=True, exist_ok=True)
    await host.edit(path, change)
    after = change.apply(before or "")
    return state.Step(kind=RemedyKind.MOVE_CACHE.value, path=str(path), before=before, after=after, first=False)


def _step(moved: Moved) -> state.Step:
    return state.Step(
        kind=RemedyKind.MOVE_CACHE.value,
        path=str(moved.cache),
        destination=str(moved.destination),
        how=f"{moved.how} {moved.old}",
    )


def _note(host: Host, known: Known, step: state.Step) -> bool:
    """Keeps a step with the project here, for `fix --undo`; without a project there is nobody to undo it for."""
    if known.manifest is None:
        return False
    try:
        journal.note(subject_of(known.manifest, host.read_text), host, step)
    except DoctorError as error:
        tell(f"warning: {error.message}")
        return False
    return True


def _result(ordered: _Plan, moved: Moved, *, undoable: bool) -> Iterator[str]:
    """What was done, and the way back."""
    yield f"uv's cache is in `{ordered.new}`"
    if moved.old == "linked":
        yield f"`{ordered.old}` is a link to it now"
    elif moved.old == "kept":
        yield f"the old one is still in `{ordered.old}`; `{_clean(ordered.old)}` removes it"
    if ordered.place is not None:
        yield f"`cache-dir` in `{ordered.place.path}` says so"
    elif ordered.overruling is not None:
        yield ordered.overruling
    if moved.left_over is not None:
        yield f"`{moved.left_over}` could not be removed"
    if undoable:
        yield "`uv-link-doctor fix --undo` takes it back"
    elif moved.old != "kept":
        back = shlex.join(("uv-link-doctor", "cache", "move", str(ordered.old), "--cache-dir", str(ordered.new)))
        yield f"`{back}` moves it back"
    elif ordered.place is not None:
        yield f"to go back to it, let `cache-dir` say `{ordered.old}` again"
    else:
        yield f"`{_clean(ordered.new)}` removes the new one"


def _clean(cache: Path) -> str:
    """The command that removes a whole cache."""
    return shlex.join(("uv", "cache", "clean", "--cache-dir", str(cache)))


async def _uv_says(host: Host, known: Known) -> str | None:
    """Where uv itself has its cache; None where there is no uv to ask."""
    if known.uv is None:
        return None
    said = await host.run(
        (str(known.uv.path), "cache", "dir"), cwd=known.invocation.directory, environ={**host.environ, "NO_COLOR": "1"}
    )
    return said.stdout.strip() if said.exit_code == 0 else None


def _moving(ordered: _Plan) -> dict[str, object]:
    return {
        "path": str(ordered.old),
        "destination": str(ordered.new),
        "setting": str(ordered.place.path) if ordered.place else None,
        "changes": list(ordered.remedy.changes),
    }
