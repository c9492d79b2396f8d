"""What each command of the command line does, and how it says it."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from codecs import BOM_UTF16_BE, BOM_UTF16_LE, getincrementaldecoder
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from uv_link_doctor import doctor, journal, repair
from uv_link_doctor.cache_commands import cache_command
from uv_link_doctor.engine import findings, formats, report, text, transcript
from uv_link_doctor.engine.model import Code, DoctorError, Examination, LinkMode, Platform, Remedy, Severity, Verdict
from uv_link_doctor.engine.redact import redacted
from uv_link_doctor.engine.remedies import actions
from uv_link_doctor.host import Host, local_host
from uv_link_doctor.host.private import private_of
from uv_link_doctor.host.state import write_atomically
from uv_link_doctor.options import Options
from uv_link_doctor.reporting import sections_of
from uv_link_doctor.terminal import (
    agree,
    as_json,
    coloured,
    hand_over,
    show_changes,
    stopped_by_signals,
    working_directory,
)
from uv_link_doctor.terminal import tell as progress

OK, FINDINGS, COULD_NOT = 0, 1, 2


def run(options: argparse.Namespace) -> int:
    """Runs one command to its end; returns its exit code."""
    try:
        code = asyncio.run(COMMANDS[options.command](options, local_host()))
        sys.stdout.flush()
    except DoctorError as error:
        return could_not(options, error)
    except KeyboardInterrupt:
        return could_not(options, DoctorError("stopped", "nothing is left half-written; run it again when you like"))
    except BrokenPipeError:  # Whoever read our output has had enough.
        return COULD_NOT
    except OSError as error:
        if working_directory() is None:
            return could_not(options, DoctorError("the working directory was deleted", "change to one that is there"))
        message = f"the system refused: {error.strerror or error}"
        return could_not(options, DoctorError(message, f"see to `{error.filename}`" if error.filename else "try again"))
    return code


async def check(options: argparse.Namespace, host: Host) -> int:
    """Looks, and installs nothing."""
    examination = await doctor.check(
        options.path, host, Options(), passive=options.passive, thorough=options.thorough, hashes=options.hashes
    )
    return _answer(options, examination)


async def sync(options: argparse.Namespace, host: Host) -> int:
    """Installs, explains and verifies."""
    uv_options = Options(sync_args=options.uv_args)
    link_mode = LinkMode(options.link_mode) if options.link_mode else None
    with stopped_by_signals() as stop:
        examination = await doctor.examine(
            options.path, host, uv_options, link_mode=link_mode, on_line=_show_line, stop=stop
        )
        if not stop.is_set():
            examination = await doctor.look_at_files(examination, host, uv_options)
        return _ended(options, examination, stop)


async def explain(options: argparse.Namespace, _: Host) -> int:
    """Explains a pasted text."""
    platform = Platform(options.platform) if options.platform else None
    return _answer(options, doctor.explain(_pasted(options.file), platform))


async def fix(options: argparse.Namespace, host: Host) -> int:
    """Lists what would help, applies it, or takes it back."""
    if options.undo and options.dry_run:
        changes = journal.would_undo(options.path, host)
        lines = [f"would change: {change}" for change in changes]
        print(json.dumps({"schema": report.SCHEMA, "would_undo": changes}) if options.json else "\n".join(lines))
        return OK
    if options.undo:
        done = await journal.undo(options.path, host)
        print(json.dumps({"schema": report.SCHEMA, "undone": done}) if options.json else f"Undone: {done}")
        return OK
    found = await doctor.check(options.path, host, Options(), thorough=True)
    if any(finding.code is Code.UV_MISSING for finding in found.findings):
        return _answer(options, found)
    if not options.apply or not found.findings:
        _print(options, found)
        return OK
    remedies = [_offered(found, kind) for kind in options.apply]
    if not options.dry_run:
        return await _apply(options, host, found, remedies)
    if options.json:
        _print(options, found)
    else:
        for remedy in remedies:
            show_changes(remedy)
    return OK


async def _apply(options: argparse.Namespace, host: Host, found: Examination, remedies: Sequence[Remedy]) -> int:
    """Applies remedies of one examination in turn, once the person has agreed to all, and shows what is left."""
    for remedy in remedies:
        agree(remedy, beforehand=options.yes)
    after = found
    with stopped_by_signals() as stop:
        for remedy in remedies:
            if not stop.is_set():
                after = await repair.apply(found, remedy, host, Options(), on_line=_show_line, stop=stop)
        code = _ended(options, after, stop)
    # What is left of a fixed project are settings without effect, which no remedy is about.
    ignored = all(finding.code is Code.SETTING_IGNORED for finding in after.findings)
    return OK if code == FINDINGS and ignored and repair.is_proven(after) else code


async def tell(options: argparse.Namespace, host: Host) -> int:
    """Tells everything known about a project, without what is private; findings are no failure of it."""
    settings = Options()
    examination = await doctor.check(options.path, host, settings)
    private = private_of(host.environ, settings.environment)
    if options.json:
        content = as_json(redacted(report.document(examination), private))
    else:
        as_format = {"text": formats.as_text, "markdown": formats.as_markdown, "html": formats.as_html}
        costs = await doctor.measure(options.path, host, settings)
        content = as_format[options.format](redacted(sections_of(examination, host, settings, costs=costs), private))
    _hand_over(content, options.output)
    return OK


async def demo(options: argparse.Namespace, host: Host) -> int:
    """Shows the whole story on this machine."""
    from uv_link_doctor.demo.story import demonstrate  # noqa: PLC0415  (only the demo needs FUSE and wheels)

    return await demonstrate(host, as_json=options.json)


# --- output -------------------------------------------------------------------------------


def _answer(options: argparse.Namespace, examination: Examination) -> int:
    """Prints an examination; returns its exit code."""
    missing = next((finding for finding in examination.findings if finding.code is Code.UV_MISSING), None)
    if missing is not None:
        if options.json:
            _print(options, examination)
        return could_not(options, DoctorError(missing.message, missing.why), printed=True)
    _print(options, examination)
    return report.exit_code(examination)


def _ended(options: argparse.Namespace, examination: Examination, stop: asyncio.Event) -> int:
    """Prints the examination of a run; one that was stopped could not do its work, whatever it left."""
    code = _answer(options, examination)
    return max(code, COULD_NOT) if stop.is_set() else code


def _print(options: argparse.Namespace, examination: Examination) -> None:
    if options.json:
        options.answered = True  # There is one document, whatever ends us now.
        print(as_json(report.document(examination)))
        return
    for line in text.lines(examination, directory=working_directory(), colour=coloured()):
        print(line)


def _hand_over(content: str, output: Path | None) -> None:
    """Prints a report, or writes it to a file whole or not at all; raises DoctorError."""
    encoded = f"{content.rstrip()}\n".encode(errors="replace")  # Linux allows names that no encoding has.
    if output is None:
        print(encoded.decode(), end="")
        return
    try:
        if output.exists() and not output.is_file():
            output.write_bytes(encoded)  # A device or a pipe, whose place nothing may take.
        else:
            write_atomically(output, encoded)
    except OSError as error:
        hint = "name a file in a directory that exists and that you may write to"
        raise DoctorError(f"`{output}` cannot be written: {error.strerror}", hint) from error
    print(f"the report is in `{output}`", file=sys.stderr)


def could_not(options: argparse.Namespace, error: DoctorError, *, printed: bool = False) -> int:
    """Says in one sentence and a hint why a command could not do its work."""
    if getattr(options, "json", False) and not printed and not getattr(options, "answered", False):
        found = (replace(findings.problem(error, None), severity=Severity.ERROR),)  # In an editor it may be a hint.
        print(json.dumps(report.document(Examination(verdict=Verdict.NOT_RUN, findings=found))))
    place = ""
    if error.location is not None:
        start = error.location.range.start
        place = f"{error.location.path}:{start.line + 1}:{start.character + 1}: "
    hand_over()
    progress(f"error: {place}{error.message}\nhint: {error.hint}")
    return COULD_NOT


def _show_line(line: str) -> None:
    if transcript.shown(line):
        progress(line)


# --- input --------------------------------------------------------------------------------


def _offered(examination: Examination, kind: str) -> Remedy:
    """The remedy of a kind; raises DoctorError where it would not help."""
    offered = [remedy for finding in examination.findings for remedy in actions(finding.remedies)]
    for remedy in offered:
        if remedy.kind.value == kind:
            return remedy
    kinds = ", ".join(sorted({remedy.kind.value for remedy in offered}))
    hint = f"offered are: {kinds}" if kinds else "`uv-link-doctor fix` shows what is wrong"
    raise DoctorError(f"`{kind}` would not help here, so it is not offered", hint)


def _pasted(file: str) -> Iterator[str]:
    """A pasted text in pieces, from UTF-8, or from UTF-16 as PowerShell's `>` writes it; raises DoctorError."""
    decoder = None
    if file == "-" and sys.stdin is None:
        raise DoctorError("there is nothing to read: stdin is closed", "name a file, or let a pipe bring the text")
    try:
        with nullcontext(sys.stdin.buffer) if file == "-" else Path(file).open("rb") as stream:
            while raw := stream.read(_PIECE):
                if decoder is None:
                    decoder = getincrementaldecoder(_encoding(raw))(errors="replace")
                yield decoder.decode(raw)
    except OSError as error:
        raise DoctorError(f"`{file}` cannot be read: {error.strerror}", "name a file, or `-` for stdin") from error


def _encoding(raw: bytes) -> str:
    if raw.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return "utf-16"
    return "utf-16-le" if raw[1:2] == b"\0" else "utf-8-sig"


_PIECE = 1 << 19
"""Bytes of a text that are read at once."""


COMMANDS: dict[str, Callable[[argparse.Namespace, Host], Coroutine[Any, Any, int]]] = {
    "check": check,
    "sync": sync,
    "explain": explain,
    "fix": fix,
    "cache": cache_command,
    "report": tell,
    "demo": demo,
}
