"""An examination as lines for a person at a terminal."""

from __future__ import annotations

import os.path
import shlex
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path

from uv_link_doctor.engine.model import Examination, Finding, Remedy, Severity, Verdict
from uv_link_doctor.engine.remedies import actions
from uv_link_doctor.engine.words import CAUSES, CausePage

_WIDTH = 100
_COLOURS = {Severity.ERROR: "31", Severity.WARNING: "33", Severity.INFORMATION: "36", Severity.HINT: "36"}
_VERDICTS = {
    Verdict.HEALTHY: "Everything is in place",
    Verdict.DEGRADED: "Installed by copying: linking did not work here",
    Verdict.FAILED: "Not everything is in place",
    Verdict.NOT_A_LINK_FAILURE: "No link failure",
    Verdict.NOT_RUN: "Nothing was run",
}


def lines(examination: Examination, *, directory: Path | None = None, colour: bool = False) -> Iterator[str]:
    """The findings, the gravest first, then one line that sums up; paths are shown from `directory` where below it."""
    project = None if examination.project is None else examination.project.directory
    for finding in sorted(examination.findings, key=lambda finding: list(Severity).index(finding.severity)):
        yield from finding_lines(finding, directory=directory, project=project, colour=colour)
        if project is None and finding.cause is not None:
            yield from _page(CAUSES[finding.cause])
        yield ""
    yield summary(examination)


def finding_lines(
    finding: Finding, *, directory: Path | None = None, project: Path | None = None, colour: bool = False
) -> Iterator[str]:
    """One finding: what, where, why, the facts, and what would help; without a project, by the remedies' commands."""
    label = f"{finding.severity.value}[{finding.code.value}]"
    yield f"{_painted(label, _COLOURS[finding.severity], colour)}: {finding.message}"
    if finding.location:
        start = finding.location.range.start
        yield f"  --> {_shown(finding.location.path, directory)}:{start.line + 1}:{start.character + 1}"
    if finding.required_by:
        yield f"  required by: {', '.join(finding.required_by)}"
    if finding.why:
        yield from wrapped("  why: ", finding.why)
    for fact in finding.evidence:
        yield from wrapped("   - ", fact)
    for remedy in actions(finding.remedies):  # What only the person can do stands in the message.
        mark = " (preferred)" if remedy.preferred else ""
        yield from wrapped("  help: ", f"{remedy.title}{mark}")
        for change in remedy.changes:
            yield from wrapped("        ", change)
        yield f"        run: {shlex.join(command(remedy, directory, project))}"


def _page(page: CausePage) -> Iterator[str]:
    """What else is known of a cause, for a person who has only a text and no project to be looked at."""
    yield from wrapped("  costs: ", page.costs)
    yield "  what helps:"
    for number, sentence in enumerate(page.helps, start=1):
        yield from wrapped(f"   {number}. ", sentence)
    if page.does_not_help:
        yield "  what does not help:"
        for sentence in page.does_not_help:
            yield from wrapped("   - ", sentence)


def command(remedy: Remedy, directory: Path | None, project: Path | None) -> Sequence[str]:
    """What carries the remedy out from the directory the person is in; for a pasted text, uv's own command."""
    if project is None:
        return remedy.command
    place = [] if project == directory else [_shown(project, directory)]
    return ("uv-link-doctor", "fix", *place, "--apply", remedy.kind.value)


def summary(examination: Examination) -> str:
    """What an examination comes to, in one sentence without its period."""
    verification = examination.verification
    broken = () if verification is None else verification.broken
    text = _VERDICTS[examination.verdict]
    if examination.verdict is Verdict.NOT_A_LINK_FAILURE and examination.project is not None:
        text = "uv failed, but not for a link"
    if examination.verdict is Verdict.HEALTHY and not (verification and verification.verified):
        return "Nothing wrong was found; the environment could not be verified"
    if examination.verdict is Verdict.NOT_RUN and examination.transcript is not None:
        text = "uv did not finish"
    if broken:
        text += f"; incomplete: {', '.join(f'{package.package} ({package.missing} missing)' for package in broken)}"
    elif verification is not None and verification.verified:
        text += "; every installed package is complete"
    return text


def wrapped(first: str, text: str) -> Iterator[str]:
    """Lines of a paragraph, the first after `first` and the others below its end."""
    yield from textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=first,
        subsequent_indent=" " * len(first),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _shown(path: Path, directory: Path | None) -> str:
    if directory is not None and path.is_relative_to(directory):
        return os.path.relpath(path, directory)
    return str(path)


def _painted(text: str, code: str, colour: bool) -> str:  # noqa: FBT001
    return f"\x1b[1;{code}m{text}\x1b[0m" if colour else text
