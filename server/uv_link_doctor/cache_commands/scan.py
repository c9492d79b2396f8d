"""`cache scan`: what cannot be linked any more, or is damaged."""

from __future__ import annotations

import argparse
import asyncio
import sys
from dataclasses import asdict

from uv_link_doctor.cache_commands.answers import COULD_NOT, FINDINGS, OK, many, print_document, refuse_stopped
from uv_link_doctor.cache_commands.known import Known
from uv_link_doctor.case import PLATFORM
from uv_link_doctor.engine.cache_findings import cache_findings
from uv_link_doctor.engine.model import Examination, Finding, Operation, Verdict
from uv_link_doctor.engine.text import finding_lines
from uv_link_doctor.host import Host
from uv_link_doctor.host.cache import taken_one_by_one
from uv_link_doctor.host.cache_scan import Scan, Trouble, Troubled, scan
from uv_link_doctor.host.places import place, try_links
from uv_link_doctor.terminal import coloured, stopped_by_signals, tell


async def scan_command(options: argparse.Namespace, _: Host, known: Known) -> int:
    """Looks as closely as it was asked to; returns the exit code, raises DoctorError."""
    filesystem = place(known.cache, environ=known.invocation.environ).filesystem
    complete = options.complete or options.hashes or taken_one_by_one(filesystem)
    with stopped_by_signals() as stop:
        tell(f"Looking at {'every file' if complete else 'each package'} of `{known.cache}`")
        found = await asyncio.to_thread(scan, known.cache, complete=complete, hashes=options.hashes, stop=stop.is_set)
        findings = await asyncio.to_thread(findings_of, found, known)
        refuse_stopped(stop, "nothing was changed; run it again when you like")
    return answer(options, known, found, findings, quick=not complete)


def findings_of(found: Scan, known: Known) -> tuple[Finding, ...]:
    """What a look at a cache found, explained."""
    refused, damaged = in_trouble(found, Trouble.REFUSED), in_trouble(found, Trouble.DAMAGED)
    # Where our own new file cannot be linked either, it is not for the files.
    links_work = not refused or try_links(known.cache, known.cache).works.get(Operation.HARDLINK) is not False
    return cache_findings(refused, damaged, platform=PLATFORM, links_work=links_work, directory=known.directory)


def in_trouble(found: Scan, trouble: Trouble) -> list[Troubled]:
    """The entries in this kind of trouble."""
    return [it for it in found.troubled if it.trouble is trouble]


def answer(
    options: argparse.Namespace,
    known: Known,
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
        print_document(Examination(verdict=verdict, findings=findings, uv=known.uv), cache | (more or {}))
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
    counted = f"{many(found.entries, 'package')} of the cache, {many(found.files, 'file')} looked at"
    linked = f"{many(len(found.linked), 'package')} linked into environments"
    return f"{counted}, {linked}: {'see above' if findings else 'nothing wrong was found'}"
