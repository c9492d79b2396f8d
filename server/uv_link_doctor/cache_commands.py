"""Looks at uv's cache by itself, gives its files that take no further link fresh ones, and moves all of it."""

from __future__ import annotations

import argparse
import asyncio
import os
import shlex
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from time import monotonic
from typing import Any

from uv_link_doctor import journal
from uv_link_doctor.doctor import PLATFORM
from uv_link_doctor.engine import report, settings, toml_text
from uv_link_doctor.engine.cache_findings import cache_findings, why_refused
from uv_link_doctor.engine.causes import cause_of
from uv_link_doctor.engine.costs import size_words
from uv_link_doctor.engine.model import (
    MANIFEST,
    Cause,
    DoctorError,
    Examination,
    Finding,
    Manifest,
    Operation,
    Platform,
    Remedy,
    RemedyKind,
    Setting,
    Uv,
    Verdict,
)
from uv_link_doctor.engine.text import finding_lines
from uv_link_doctor.host import Host, cache_move, cache_repair, state
from uv_link_doctor.host.cache_copy import inside, weigh
from uv_link_doctor.host.cache_environments import names_that_break
from uv_link_doctor.host.cache_lock import CacheBusyError
from uv_link_doctor.host.cache_move import Moved, MoveError
from uv_link_doctor.host.cache_repair import Repaired
from uv_link_doctor.host.cache_scan import Scan, Trouble, Troubled, scan
from uv_link_doctor.host.mounts import nearest_directory
from uv_link_doctor.host.places import place, try_links
from uv_link_doctor.host.uv import find_uv
from uv_link_doctor.project import find_manifest, subject_of, workspace_root
from uv_link_doctor.terminal import agree, as_json, coloured, show_changes, stopped_by_signals, tell

OK, FINDINGS, COULD_NOT = 0, 1, 2

Stopped = Callable[[], bool]


async def cache_command(options: argparse.Namespace, host: Host) -> int:
    """Does what was asked for with the cache in force for the working directory, or the named one."""
    return await _ACTIONS[options.action](options, host, await _known(options, host))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    """A cache, and what decides that uv uses it."""

    cache: Path
    named: bool
    """On the command line; commands have to name it, too."""
    setting: Setting
    """The cache in force here."""
    environment: Path | None
    """Of the project here."""
    uv: Uv | None
    root: Path
    """From which uv looks for settings."""
    manifest: Manifest | None
    """Of the project here, if there is one."""
    invocation: settings.Invocation

    @property
    def in_force(self) -> bool:
        """Whether it is the cache that uv uses here."""
        return os.path.realpath(self.setting.value) == os.path.realpath(self.cache)

    @property
    def directory(self) -> Path | None:
        """The cache where commands have to name it."""
        return self.cache if self.named else None


async def _known(options: argparse.Namespace, host: Host) -> _Known:
    """Raises DoctorError where there is no cache."""
    here = Path.cwd()
    uv = await find_uv(None, host.environ, ask=True)
    try:
        manifest = find_manifest(here, host.read_text)
    except DoctorError:  # uv's cache needs no project, nor one that is without fault.
        manifest = None
    root = here if manifest is None else workspace_root(manifest, host.read_text)
    invocation = settings.Invocation(
        directory=here,
        environ=host.environ,
        version=uv.version if uv else None,
        platform=PLATFORM,
        home=Path(host.environ.get("HOME") or Path.home()),
    )
    found = settings.effective(root, invocation, host.read_text)
    key = found.cache_dir.origin.key or ""
    if options.cache_dir is None and key.lower().replace("_", "-").endswith("no-cache"):
        raise DoctorError(f"uv is told to use no cache: `{key}`", "name a cache with `--cache-dir`")
    cache = here / (options.cache_dir or found.cache_dir.value)
    _refuse_what_is_no_cache(cache, named=options.cache_dir is not None)
    environment = Path(found.environment.value) if found.environment and manifest else None
    return _Known(
        cache=cache,
        named=options.cache_dir is not None,
        setting=found.cache_dir,
        environment=environment,
        uv=uv,
        root=root,
        manifest=manifest,
        invocation=invocation,
    )


def _refuse_what_is_no_cache(cache: Path, *, named: bool) -> None:
    """Raises DoctorError for what is not there, and for a directory that no uv has marked as its own."""
    if not os.path.lexists(cache):
        hint = "`uv cache dir` prints where it is" if named else "uv makes it with the first install"
        raise DoctorError(f"there is no cache at `{cache}`", hint)
    try:
        with os.scandir(cache) as children:
            marked = any(child.name == "CACHEDIR.TAG" or child.name.startswith("archive-v") for child in children)
    except OSError as error:
        message = f"the cache at `{cache}` cannot be read: {error.strerror}"
        raise DoctorError(message, "check that it is a directory, and its permissions") from error
    if not marked:
        raise DoctorError(f"`{cache}` is no cache of uv", "`uv cache dir` prints where that is")


# --- scan ---------------------------------------------------------------------------------


async def _scan(options: argparse.Namespace, _: Host, known: _Known) -> int:
    complete = options.complete or options.hashes or _one_by_one(known)
    with stopped_by_signals() as stop:
        tell(f"Looking at {'every file' if complete else 'each package'} of `{known.cache}`")
        found = await asyncio.to_thread(scan, known.cache, complete=complete, hashes=options.hashes, stop=stop.is_set)
        findings = await asyncio.to_thread(_findings, found, known)
        _refuse_stopped(stop, "nothing was changed; run it again when you like")
    return _answer(options, known, found, findings, quick=not complete)


def _one_by_one(known: _Known) -> bool:
    """Whether something may take over single files of a package, so that one does not speak for the others."""
    filesystem = place(known.cache, environ=known.invocation.environ).filesystem
    return PLATFORM is not Platform.LINUX or (filesystem or "fuse").startswith("fuse")


def _findings(found: Scan, known: _Known) -> tuple[Finding, ...]:
    refused, damaged = _in_trouble(found, Trouble.REFUSED), _in_trouble(found, Trouble.DAMAGED)
    # Where our own new file cannot be linked either, it is not for the files.
    links_work = not refused or try_links(known.cache, known.cache).works.get(Operation.HARDLINK) is not False
    return cache_findings(refused, damaged, platform=PLATFORM, links_work=links_work, directory=known.directory)


def _in_trouble(found: Scan, trouble: Trouble) -> list[Troubled]:
    return [it for it in found.troubled if it.trouble is trouble]


def _answer(
    options: argparse.Namespace,
    known: _Known,
    found: Scan,
    findings: tuple[Finding, ...],
    more: dict[str, object] | None = None,
    *,
    quick: bool = False,
) -> int:
    """Prints what was found in a cache; returns the exit code."""
    if options.json:
        cache = {
            "path": str(known.cache),
            "entries": found.entries,
            "files": found.files,
            "linked": len(found.linked),
            "finished": found.finished,
            "troubled": [asdict(it) | {"path": str(it.path)} for it in found.troubled],
        }
        verdict = Verdict.NOT_RUN if findings or not found.finished else Verdict.HEALTHY
        _print_document(Examination(verdict=verdict, findings=findings, uv=known.uv), cache | (more or {}))
    else:
        for finding in findings:
            for line in finding_lines(finding, colour=coloured()):
                print(line)
            print()
        print(_summary(found, findings))
        if quick:
            print("This was a look at what uv needs most of each package; `--complete` looks at every file")
    if not found.finished:
        # What was found is printed; what was not looked at may be worse.
        print("error: not everything in the cache could be looked at", file=sys.stderr)
        print("hint: check the permissions of what is in it", file=sys.stderr)
        return COULD_NOT
    return FINDINGS if findings else OK


def _summary(found: Scan, findings: tuple[Finding, ...]) -> str:
    counted = f"{_many(found.entries, 'package')} of the cache, {_many(found.files, 'file')} looked at"
    linked = f"{_many(len(found.linked), 'package')} linked into environments"
    return f"{counted}, {linked}: {'see above' if findings else 'nothing wrong was found'}"


# --- repair -------------------------------------------------------------------------------


async def _repair(options: argparse.Namespace, _: Host, known: _Known) -> int:
    with stopped_by_signals() as stop:
        tell(f"Looking at every file of `{known.cache}`")
        found = await asyncio.to_thread(scan, known.cache, complete=True, stop=stop.is_set)
        findings = await asyncio.to_thread(_findings, found, known)
        _refuse_stopped(stop, _WHOLE)
    refreshable = [it for it in _in_trouble(found, Trouble.REFUSED) if _remedies(findings, why_refused(it, PLATFORM))]
    remedy = _whole(_remedies(findings), refreshable)
    if options.dry_run and remedy is not None and not options.json:
        show_changes(remedy)
        return OK
    if options.dry_run:
        return COULD_NOT if _answer(options, known, found, findings) == COULD_NOT else OK
    if remedy is None:
        await asyncio.to_thread(_clear_away, known.cache)
        return _answer(options, known, found, findings)
    agree(remedy, beforehand=options.yes)
    with stopped_by_signals() as stop:
        done = await asyncio.to_thread(_fresh_files, known.cache, refreshable, stop.is_set)
        _refuse_unfinished(done)
        tell("Looking at every file again")
        found = await asyncio.to_thread(scan, known.cache, complete=True, stop=stop.is_set)
        found = _with_damaged(found, done.damaged)
        findings = await asyncio.to_thread(_findings, found, known)
        _refuse_stopped(stop, _WHOLE)
    for it in done.left:
        tell(f"{_many(len(it.files), 'file')} of `{it.package}` cannot be replaced: {_system_says(it.os_error)}")
    if not options.json:
        fresh = f"{_many(done.files, 'file')} of {_many(done.entries, 'package')}"
        print(f"Gave {fresh} a fresh copy of the same content, {size_words(done.size)}")
    repaired = {"entries": done.entries, "files": done.files, "size": done.size}
    return _answer(options, known, found, findings, {"repaired": repaired})


_WHOLE = "the cache is whole; another `cache repair` goes on where this one ended"


def _remedies(findings: tuple[Finding, ...], cause: Cause | None = None) -> list[Remedy]:
    """Those that give files of the cache fresh ones, of all findings or of those with this cause."""
    of_cause = (finding for finding in findings if cause in {None, finding.cause})
    return [it for finding in of_cause for it in finding.remedies if it.kind is RemedyKind.REPAIR_CACHE]


def _whole(remedies: list[Remedy], entries: list[Troubled]) -> Remedy | None:
    """All of them as one, with what it comes to."""
    if not remedies:
        return None
    count = f"{_many(sum(len(it.files) for it in entries), 'file')} of {_many(len(entries), 'package')}"
    changes = [change for remedy in remedies for change in remedy.changes]
    changes.append(f"copies {count} within the cache, which takes their size once more")
    return replace(remedies[0], changes=tuple(changes))


def _with_damaged(found: Scan, damaged: tuple[Troubled, ...]) -> Scan:
    """A look at sizes, corrected by a repair that has read the files: what it found damaged, it cannot refresh."""
    known = {it.path for it in damaged}
    kept = (it for it in found.troubled if it.path not in known)
    return replace(found, troubled=(*kept, *damaged))


def _fresh_files(cache: Path, refused: list[Troubled], stop: Stopped) -> Repaired:
    """A repair that is told about on stderr; raises DoctorError where another uv keeps us out."""
    pace = _pace()

    def on_step(step: cache_repair.Step) -> None:
        pace(f"Copying: {step.entries} of {_many(step.of, 'package')}")

    try:
        return cache_repair.repair(cache, refused, on_wait=_tell_of_waiting, on_step=on_step, stop=stop)
    except CacheBusyError as error:
        if stop():
            raise DoctorError("stopped", "nothing was changed") from error
        message = f"the cache is in use: another program holds uv's lock on `{cache}`"
        raise DoctorError(message, "nothing was changed; let the other uv finish, then try again") from error


def _clear_away(cache: Path) -> None:
    """Removes what a repair left that was killed; whoever is in the way of that now is not next time."""
    with suppress(CacheBusyError):
        cache_repair.repair(cache, (), seconds=0)


def _refuse_unfinished(done: Repaired) -> None:
    """Raises DoctorError for a repair that did not come to its end."""
    if done.stopped:
        raise DoctorError(f"stopped: {_many(done.files, 'file')} fresh", _WHOLE)
    if done.obstacle is not None:
        number = done.obstacle.os_error
        cause = cause_of(platform=PLATFORM, operation=Operation.COPY, os_error=number)
        message = f"the repair ended early, at `{done.obstacle.path}`: {_system_says(number)}"
        raise DoctorError(message, f"{_AGAINST.get(cause, 'see to that')}; {_WHOLE}")


_AGAINST = {
    Cause.NO_SPACE: "free some space there",
    Cause.READ_ONLY: "make the file system writable",
    Cause.PERMISSION: "use the account that owns the cache",
}


# --- move ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """A move as it will be made."""

    old: Path
    new: Path
    place: settings.SettingPlace | None
    """Where the new place will be written; None where no file would count, or another cache is in force."""
    overruling: str | None
    """Why none is, in words."""
    remedy: Remedy


async def _move(options: argparse.Namespace, host: Host, known: _Known) -> int:
    with stopped_by_signals() as stop:
        ordered = await asyncio.to_thread(_planned, options, host, known, stop.is_set)
        _refuse_stopped(stop, "nothing was changed")
    if options.dry_run:
        if options.json:
            _print_document(Examination(verdict=Verdict.NOT_RUN, uv=known.uv), _moving(ordered))
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
        _print_document(
            Examination(verdict=verdict, uv=known.uv), _moving(ordered) | {"how": moved.how, "old": moved.old}
        )
    else:
        print("\n".join(lines))
    if not proven:
        print(f"error: uv goes on using `{said}`", file=sys.stderr)
        print(f"hint: something comes before `{ordered.place and ordered.place.path}`", file=sys.stderr)
    return OK if proven else FINDINGS


def _planned(options: argparse.Namespace, host: Host, known: _Known, stop: Stopped) -> _Plan:
    """What a move would do; raises DoctorError for a destination that will not do."""
    old, new = known.cache, Path(os.path.abspath(options.destination))  # noqa: PTH100  (a link stays the user's name)
    _refuse_bad_destination(old, new)
    counting = _counting(known, new, host)
    overruling = None if counting else _overruling(known, new)
    changes = [*_price(old, new, stop), *_breaking(known), *_reservations(new, host)]
    if counting is not None:
        changes.append(f"writes `cache-dir` to `{counting.path}`, so that uv finds it there")
    if overruling is not None:
        changes.append(overruling)
    remedy = Remedy(
        id=RemedyKind.MOVE_CACHE.value,
        kind=RemedyKind.MOVE_CACHE,
        title=f"Move uv's cache from `{old}` to `{new}`",
        preferred=True,
        changes=tuple(changes),
        command=(),
    )
    return _Plan(old=old, new=new, place=counting, overruling=overruling, remedy=remedy)


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


def _breaking(known: _Known) -> Iterator[str]:
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


def _counting(known: _Known, new: Path, host: Host) -> settings.SettingPlace | None:
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


def _overruling(known: _Known, new: Path) -> str | None:
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
    pace = _pace()

    def on_step(step: cache_move.Step) -> None:
        if step.phase == "waiting":
            _tell_of_waiting()
        elif step.files:
            pace(f"{step.phase.capitalize()}: {step.files}{f' of {step.of.files}' if step.of else ''} files")

    try:
        return cache_move.move(ordered.old, ordered.new, on_step=on_step, stop=stop)
    except MoveError as error:
        where = f" at `{error.path}`" if error.path is not None else ""
        number = f" (os error {error.os_error})" if error.os_error else ""
        message = f"the cache was not moved: {error}{number}{where}"
        raise DoctorError(message, "it is where it was, and whole") from error


async def _write(host: Host, known: _Known, ordered: _Plan, *, undoable: bool) -> bool:
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


def _note(host: Host, known: _Known, step: state.Step) -> bool:
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


async def _uv_says(host: Host, known: _Known) -> str | None:
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


# --- what they share ----------------------------------------------------------------------

_SHOWN = 5
_SECONDS_BETWEEN = 1.0


def _print_document(examination: Examination, cache: Mapping[str, object]) -> None:
    print(as_json(report.document(examination) | {"cache": cache}))


def _refuse_stopped(stop: asyncio.Event, hint: str) -> None:
    """Raises DoctorError where the person has asked for an end."""
    if stop.is_set():
        raise DoctorError("stopped before the end", hint)


def _tell_of_waiting() -> None:
    tell("Waiting until another uv releases the cache")


def _pace() -> Callable[[str], None]:
    """Tells of progress, but once a second at most."""
    last = monotonic()

    def now_and_then(line: str) -> None:
        nonlocal last
        if monotonic() - last >= _SECONDS_BETWEEN:
            last = monotonic()
            tell(line)

    return now_and_then


def _many(count: int, thing: str) -> str:
    return f"{count} {thing}" if count == 1 else f"{count} {thing}s"


def _system_says(number: int | None) -> str:
    """The system's own words for a number."""
    if number is None:
        return "the system does not say why"
    if sys.platform == "win32":
        import ctypes  # noqa: PLC0415  (it takes its time to load)

        return f"{ctypes.FormatError(number)} (os error {number})"
    return f"{os.strerror(number)} (os error {number})"


_ACTIONS: dict[str, Callable[[argparse.Namespace, Host, _Known], Coroutine[Any, Any, int]]] = {
    "scan": _scan,
    "repair": _repair,
    "move": _move,
}
