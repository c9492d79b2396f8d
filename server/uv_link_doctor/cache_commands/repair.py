"""`cache repair`: fresh files for what cannot be linked any more, and another look at all of it."""

from __future__ import annotations

import argparse
import asyncio
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from uv_link_doctor.cache_commands.answers import (
    COULD_NOT,
    OK,
    Stopped,
    many,
    refuse_stopped,
    system_says,
)
from uv_link_doctor.cache_commands.known import Known
from uv_link_doctor.cache_commands.scan import answer, findings_of, in_trouble
from uv_link_doctor.case import PLATFORM
from uv_link_doctor.changes import give_fresh_files
from uv_link_doctor.engine.cache_findings import why_refused
from uv_link_doctor.engine.causes import cause_of
from uv_link_doctor.engine.costs import size_words
from uv_link_doctor.engine.model import Cause, DoctorError, Finding, Operation, Remedy, RemedyKind
from uv_link_doctor.host import Host, cache_repair
from uv_link_doctor.host.cache_lock import CacheBusyError
from uv_link_doctor.host.cache_repair import Repaired
from uv_link_doctor.host.cache_scan import Scan, Trouble, Troubled, scan
from uv_link_doctor.terminal import agree, show_changes, stopped_by_signals, tell


async def repair_command(options: argparse.Namespace, _: Host, known: Known) -> int:
    """Asks, repairs and looks again; returns the exit code, raises DoctorError."""
    with stopped_by_signals() as stop:
        tell(f"Looking at every file of `{known.cache}`")
        found = await asyncio.to_thread(scan, known.cache, complete=True, stop=stop.is_set)
        findings = await asyncio.to_thread(findings_of, found, known)
        refuse_stopped(stop, _WHOLE)
    refreshable = [it for it in in_trouble(found, Trouble.REFUSED) if _remedies(findings, why_refused(it, PLATFORM))]
    remedy = _whole(_remedies(findings), refreshable)
    if options.dry_run and remedy is not None and not options.json:
        show_changes(remedy)
        return OK
    if options.dry_run:
        return COULD_NOT if answer(options, known, found, findings) == COULD_NOT else OK
    if remedy is None:
        await asyncio.to_thread(_clear_away, known.cache)
        return answer(options, known, found, findings)
    agree(remedy, beforehand=options.yes)
    with stopped_by_signals() as stop:
        done = await asyncio.to_thread(_fresh_files, known.cache, refreshable, stop.is_set)
        _refuse_unfinished(done)
        tell("Looking at every file again")
        found = await asyncio.to_thread(scan, known.cache, complete=True, stop=stop.is_set)
        found = _with_damaged(found, done.damaged)
        findings = await asyncio.to_thread(findings_of, found, known)
        refuse_stopped(stop, _WHOLE)
    for it in done.left:
        tell(f"{many(len(it.files), 'file')} of `{it.package}` cannot be replaced: {system_says(it.os_error)}")
    if not options.json:
        fresh = f"{many(done.files, 'file')} of {many(done.entries, 'package')}"
        print(f"Gave {fresh} a fresh copy of the same content, {size_words(done.size)}")
    repaired = {"entries": done.entries, "files": done.files, "size": done.size}
    return answer(options, known, found, findings, {"repaired": repaired})


_WHOLE = "the cache is whole; another `cache repair` goes on where this one ended"


def _remedies(findings: tuple[Finding, ...], cause: Cause | None = None) -> list[Remedy]:
    """Those that give files of the cache fresh ones, of all findings or of those with this cause."""
    of_cause = (finding for finding in findings if cause in {None, finding.cause})
    return [it for finding in of_cause for it in finding.remedies if it.kind is RemedyKind.REPAIR_CACHE]


def _whole(remedies: list[Remedy], entries: list[Troubled]) -> Remedy | None:
    """All of them as one, with what it comes to."""
    if not remedies:
        return None
    count = f"{many(sum(len(it.files) for it in entries), 'file')} of {many(len(entries), 'package')}"
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
    try:
        return give_fresh_files(cache, refused, tell=tell, stop=stop)
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
        raise DoctorError(f"stopped: {many(done.files, 'file')} fresh", _WHOLE)
    if done.obstacle is not None:
        number = done.obstacle.os_error
        cause = cause_of(platform=PLATFORM, operation=Operation.COPY, os_error=number)
        message = f"the repair ended early, at `{done.obstacle.path}`: {system_says(number)}"
        raise DoctorError(message, f"{_AGAINST.get(cause, 'see to that')}; {_WHOLE}")


_AGAINST = {
    Cause.NO_SPACE: "free some space there",
    Cause.READ_ONLY: "make the file system writable",
    Cause.PERMISSION: "use the account that owns the cache",
}
