"""`cache move`: the whole cache in another place, where uv finds it from then on."""

from __future__ import annotations

import argparse
import asyncio
import os
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from uv_link_doctor.cache_commands.answers import (
    FINDINGS,
    OK,
    Stopped,
    print_document,
    refuse_stopped,
)
from uv_link_doctor.cache_commands.known import Known
from uv_link_doctor.changes import is_unfinished, move_cache, write_cache_dir
from uv_link_doctor.engine import settings
from uv_link_doctor.engine.costs import size_words
from uv_link_doctor.engine.model import MANIFEST, DoctorError, Examination, Remedy, RemedyKind, Verdict
from uv_link_doctor.engine.remedies import need_the_old_path
from uv_link_doctor.host import Host, cache_move
from uv_link_doctor.host.cache_copy import inside, weigh
from uv_link_doctor.host.cache_environments import names_that_break, tool_environments
from uv_link_doctor.host.cache_move import Moved
from uv_link_doctor.host.homes import is_a_rename
from uv_link_doctor.host.mounts import is_mount_point, nearest_directory
from uv_link_doctor.host.places import place
from uv_link_doctor.project import subject_of
from uv_link_doctor.terminal import agree, show_changes, stopped_by_signals, tell


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """A move as it will be made."""

    old: Path
    new: Path
    subject: Path | None
    """Whose journal knows of it."""
    empty: bool
    """The contents stay behind; uv fills the new one as it needs it."""
    there: bool
    """The old path is a link to the new one already."""
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
        moved = await asyncio.to_thread(
            move_cache,
            ordered.old,
            ordered.new,
            host,
            subject=ordered.subject,
            tell=tell,
            stop=stop.is_set,
            empty=ordered.empty,
        )
        if ordered.place is not None:
            await write_cache_dir(ordered.place, ordered.new, host, subject=ordered.subject, first=moved is None)
    said = await _uv_says(host, known) if ordered.place is not None else None
    proven = said is None or Path(said) == ordered.new
    noted = moved is not None or ordered.place is not None
    lines = [*_result(ordered, moved, undoable=known.manifest is not None and noted)]
    if said is not None:
        lines.append(f"uv says that its cache is in `{said}`")
    if options.json:
        verdict = Verdict.HEALTHY if proven else Verdict.NOT_RUN
        print_document(
            Examination(verdict=verdict, uv=known.uv),
            _moving(ordered) | {"how": moved.how if moved else None, "old": moved.old if moved else "kept"},
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
    subject = subject_of(known.manifest, host.read_text) if known.manifest else None
    if not is_unfinished(old, new, host, subject=subject):
        _refuse_bad_destination(old, new, empty=options.empty)
    counting = _counting(known, new, host)
    overruling = None if counting else _overruling(known, new)
    there = cache_move.is_cache(new)
    price = [_USED if there else _REFILLED] if options.empty else [*_price(old, new, stop), *_breaking(known)]
    changes = [*price, *_reservations(new, host)]
    if counting is not None:
        changes.append(f"writes `cache-dir` to `{counting.path}`, so that uv finds it there")
    if overruling is not None:
        changes.append(overruling)
    title = f"Move uv's cache from `{old}` to"
    if options.empty:
        title = "Use the cache that is at" if there else "Begin an empty cache at"
    remedy = Remedy(
        id=RemedyKind.MOVE_CACHE.value,
        kind=RemedyKind.MOVE_CACHE,
        title=f"{title} `{new}`",
        preferred=True,
        changes=tuple(changes),
        command=(),
    )
    return _Plan(
        old=old,
        new=new,
        subject=subject,
        empty=options.empty,
        there=_is_there(old, new),
        place=counting,
        overruling=overruling,
        remedy=remedy,
    )


_USED = "uses the cache that is there already, and leaves the old one as it is"
_REFILLED = "leaves the old cache as it is; uv downloads into the new one what it needs"


def _refuse_bad_destination(old: Path, new: Path, *, empty: bool) -> None:
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
    if not empty and real_new != real_old and new.is_dir() and is_mount_point(Path(real_new)):
        message = f"`{new}` is where a file system is mounted, so that the cache cannot take its name"
        raise DoctorError(message, f"name a directory in it, such as `{new / 'uv'}`")
    try:
        taken = cache_move.is_taken(new, old)
    except OSError as error:
        raise DoctorError(f"`{new}` cannot be read: {error.strerror}", "check its permissions") from error
    if taken and cache_move.is_cache(new):
        if not empty:
            raise DoctorError(
                f"there is another cache at `{new}`", "`--empty` uses it, and leaves the old one as it is"
            )
    elif taken:
        raise DoctorError(f"there is something else at `{new}`", "name a place that does not exist, or is empty")


def _price(old: Path, new: Path, stop: Stopped) -> Iterator[str]:
    """What a move within a file system takes, or to another."""
    if _is_there(old, new):
        yield f"moves nothing: `{old}` is a link to it"
        return
    tell(f"Weighing `{old}`")
    real = Path(os.path.realpath(old))
    size = weigh(real, stop=stop)
    counted = f"{size.files} files, {size_words(size.size)}"
    if is_a_rename(real, new):
        yield f"renames it, {counted}; the old path becomes a link to the new place, for whoever still uses it"
        return
    free = place(nearest_directory(new), environ={}).free_bytes
    known = f", where {size_words(free)} are free" if free is not None else ""
    yield f"copies {counted}{known}; the old cache stays for whoever still uses it"


def _is_there(old: Path, new: Path) -> bool:
    return os.path.realpath(old) == os.path.realpath(new)


def _breaking(known: Known) -> list[str]:
    environments = [*tool_environments(known.invocation.environ), *filter(None, [known.environment])]
    return need_the_old_path([it.path for it in names_that_break(known.cache, environments)])


def _reservations(new: Path, host: Host) -> Iterator[str]:
    """What speaks against the destination."""
    where = place(new, environ=host.environ)
    if where.synced_by:
        yield f"careful: `{new}` lies in a folder that {where.synced_by} syncs, which spoils the files of a cache"
    if where.network:
        yield f"careful: `{new}` is on the network ({where.filesystem}), where a cache is slow and links may fail"


def _counting(known: Known, new: Path, host: Host) -> settings.SettingPlace | None:
    """Where the new place would count; None where another cache is in force, or this one by that name already."""
    if not known.in_force or Path(known.setting.value) == new:
        return None
    return settings.place_for_cache_dir(str(new), known.setting, known.root, known.invocation, host.read_text)


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


def _result(ordered: _Plan, moved: Moved | None, *, undoable: bool) -> Iterator[str]:
    """What was done, and the way back."""
    old = "linked" if ordered.there else moved.old if moved else "kept"
    yield f"uv's cache is in `{ordered.new}`"
    if old == "linked":
        yield f"`{ordered.old}` is a link to it now"
    elif old == "kept":
        yield f"the old one is still in `{ordered.old}`; `{_clean(ordered.old)}` removes it"
    if ordered.place is not None:
        yield f"`cache-dir` in `{ordered.place.path}` says so"
    elif ordered.overruling is not None:
        yield ordered.overruling
    if moved and moved.left_over is not None:
        yield f"`{moved.left_over}` could not be removed"
    if undoable:
        yield "`uv-link-doctor fix --undo` takes it back"
    elif old != "kept" and not ordered.there:
        back = shlex.join(("uv-link-doctor", "cache", "move", str(ordered.old), "--cache-dir", str(ordered.new)))
        yield f"`{back}` moves it back"
    elif ordered.place is not None:
        yield f"to go back to it, let `cache-dir` say `{ordered.old}` again"
    elif moved is not None and not ordered.there:
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
