"""The command line: reads arguments, calls the doctor, prints what it found, and ends with the contract's exit code."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

from uv_link_doctor import __version__, doctor, repair
from uv_link_doctor.engine import findings, report, text, transcript
from uv_link_doctor.engine.model import Code, DoctorError, Examination, LinkMode, Platform, Remedy, Verdict
from uv_link_doctor.host import Host, local_host
from uv_link_doctor.host.uv import find_uv
from uv_link_doctor.options import Options

OK, COULD_NOT = 0, 2

Command = Callable[[argparse.Namespace, Host], Coroutine[Any, Any, int]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    at = given.index("--") if "--" in given else len(given)
    options = _parser().parse_args(given[:at])
    options.uv_args = tuple(given[at + 1 :])
    if options.uv_args and options.command is not _sync:
        return _could_not(options, DoctorError("only `sync` takes arguments for uv after `--`", "leave them out"))
    try:
        command: Command | None = options.command
        if command is None:
            return _serve(options.tcp)
        code = asyncio.run(command(options, local_host()))
        sys.stdout.flush()
    except DoctorError as error:
        return _could_not(options, error)
    except KeyboardInterrupt:
        return _could_not(options, DoctorError("stopped", "nothing is left half-written; run it again when you like"))
    except BrokenPipeError:
        # Whoever read our output has had enough; Python would complain once more when it flushes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return COULD_NOT
    return code


def _serve(tcp: str | None) -> int:
    """The language server, over stdin and stdout, or for one client over TCP."""
    from uv_link_doctor.lsp.start import start  # noqa: PLC0415  (the other commands need no pygls, 0.4 s)

    return start(tcp)


async def _check(options: argparse.Namespace, host: Host) -> int:
    examination = await doctor.check(
        options.path, host, Options(), passive=options.passive, thorough=options.thorough, hashes=options.hashes
    )
    return _answer(options, examination)


async def _sync(options: argparse.Namespace, host: Host) -> int:
    uv_options = Options(sync_args=options.uv_args)
    stop = _stop_on_interrupt()
    examination = await doctor.examine(
        options.path, host, uv_options, link_mode=options.link_mode, on_line=_show_line, stop=stop
    )
    if not stop.is_set():
        examination = await doctor.look_at_files(examination, host, uv_options)
    return _answer(options, examination) if not stop.is_set() else max(_answer(options, examination), COULD_NOT)


async def _explain(options: argparse.Namespace, _: Host) -> int:
    return _answer(options, doctor.explain(_pasted(options.file), options.platform))


async def _fix(options: argparse.Namespace, host: Host) -> int:
    if options.undo:
        done = await repair.undo(options.path, host)
        print(json.dumps({"undone": done}) if options.json else f"Undone: {done}")
        return OK
    found = await doctor.check(options.path, host, Options())
    if any(finding.code is Code.UV_MISSING for finding in found.findings):
        return _answer(options, found)
    if not options.apply or not found.findings:
        _print(options, found)
        return OK
    remedies = [_offered(found, kind) for kind in options.apply]
    if options.dry_run:
        for remedy in remedies:
            _show_changes(remedy)
        return OK
    return await _apply(options, host, found, remedies)


async def _apply(options: argparse.Namespace, host: Host, found: Examination, remedies: Sequence[Remedy]) -> int:
    """Applies remedies of one examination in turn, each with the person's word, and shows what is left at the end."""
    stop = _stop_on_interrupt()
    after = found
    for remedy in remedies:
        if not (options.yes or _agreed(remedy)):
            raise DoctorError("nothing was changed", "answer `y` to go ahead")
        after = await repair.apply(found, remedy, host, Options(), on_line=_show_line, stop=stop)
    return _answer(options, after)


async def _demo(options: argparse.Namespace, host: Host) -> int:
    from uv_link_doctor.demo.story import demonstrate  # noqa: PLC0415  (only the demo needs FUSE and wheels)

    return await demonstrate(host, as_json=options.json)


# --- output -------------------------------------------------------------------------------


def _answer(options: argparse.Namespace, examination: Examination) -> int:
    """Prints an examination; returns its exit code."""
    missing = next((finding for finding in examination.findings if finding.code is Code.UV_MISSING), None)
    if missing is not None:
        if options.json:
            _print(options, examination)
        return _could_not(options, DoctorError(missing.message, missing.why), printed=True)
    _print(options, examination)
    return report.exit_code(examination)


def _print(options: argparse.Namespace, examination: Examination) -> None:
    if options.json:
        print(json.dumps(report.document(examination), ensure_ascii=False, indent=2))
        return
    colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    for line in text.lines(examination, directory=Path.cwd(), colour=colour):
        print(line)


def _could_not(options: argparse.Namespace, error: DoctorError, *, printed: bool = False) -> int:
    """Says in one sentence and a hint why a command could not do its work."""
    if getattr(options, "json", False) and not printed:
        found = (findings.problem(error, None),)
        print(json.dumps(report.document(Examination(verdict=Verdict.NOT_RUN, findings=found))))
    place = ""
    if error.location is not None:
        start = error.location.range.start
        place = f"{error.location.path}:{start.line + 1}:{start.character + 1}: "
    sys.stdout.flush()
    print(f"error: {place}{error.message}\nhint: {error.hint}", file=sys.stderr)
    return COULD_NOT


def _show_line(line: str) -> None:
    if transcript.shown(line):
        print(line, file=sys.stderr)


def _show_changes(remedy: Remedy) -> None:
    print(f"{remedy.title} ({remedy.kind.value})")
    for change in remedy.changes:
        print(f"  would change: {change}")


# --- input --------------------------------------------------------------------------------


def _offered(examination: Examination, kind: str) -> Remedy:
    """The remedy of a kind; raises DoctorError where it would not help."""
    offered = [remedy for finding in examination.findings for remedy in finding.remedies]
    for remedy in offered:
        if remedy.kind.value == kind:
            return remedy
    kinds = ", ".join(sorted({remedy.kind.value for remedy in offered}))
    hint = f"offered are: {kinds}" if kinds else "`uv-link-doctor fix` shows what is wrong"
    raise DoctorError(f"`{kind}` would not help here, so it is not offered", hint)


def _agreed(remedy: Remedy) -> bool:
    """Asks on a terminal; raises DoctorError off one, where nobody could answer."""
    if not sys.stdin.isatty():
        raise DoctorError("nothing was changed: there is no terminal to ask on", "add `--yes` to agree beforehand")
    print(f"{remedy.title}:", file=sys.stderr)
    for change in remedy.changes:
        print(f"  - {change}", file=sys.stderr)
    print("Go ahead? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in {"y", "yes"}


def _pasted(file: str) -> str:
    """A pasted text, in UTF-8, or in UTF-16 as PowerShell's `>` writes it; raises DoctorError."""
    try:
        raw = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise DoctorError(f"`{file}` cannot be read: {error.strerror}", "name a file, or `-` for stdin") from error
    encoding = "utf-16" if raw[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig"
    return raw.decode(encoding, errors="replace")


def _stop_on_interrupt() -> asyncio.Event:
    """An event that the first Ctrl-C sets, so that what was stopped can still be looked at; the second one ends us."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def interrupted() -> None:
        stop.set()
        loop.remove_signal_handler(signal.SIGINT)

    with suppress(NotImplementedError):  # Windows: Ctrl-C raises KeyboardInterrupt, and the run is ended by that.
        loop.add_signal_handler(signal.SIGINT, interrupted)
    return stop


class _Parser(argparse.ArgumentParser):
    """argparse, with errors in our form."""

    def error(self, message: str) -> NoReturn:
        print(f"error: {message}\nhint: `{self.prog} -h` shows what there is", file=sys.stderr)
        sys.exit(COULD_NOT)


class _Version(argparse.Action):
    """Prints our version and that of the uv that would be used."""

    def __call__(self, *_: Any, **__: Any) -> None:
        uv = asyncio.run(find_uv(None, os.environ, ask=True))
        found = f"uv {report.version_text(uv) or '(unknown version)'} ({uv.path})" if uv else "no uv found"
        print(f"uv-link-doctor {__version__}, {found}")
        sys.exit(OK)


def _parser() -> _Parser:
    parser = _Parser(
        prog="uv-link-doctor",
        description="Explains why uv cannot place a package's files in an environment, and repairs it.",
        epilog="Example: uv-link-doctor demo",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print our version and uv's")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, run: Command | None, summary: str, example: str) -> _Parser:
        epilog = f"Example: uv-link-doctor {example}"
        added = commands.add_parser(
            name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.", epilog=epilog
        )
        added.set_defaults(command=run)
        added.add_argument("--json", action="store_true", help="print one JSON document on stdout")
        return added

    check = command("check", _check, "look at a project and install nothing", "check --json")
    _add_path(check)
    check.add_argument("--passive", action="store_true", help="leave no trial file, not even for a moment")
    check.add_argument("--thorough", action="store_true", help="look at every file of every installed package")
    check.add_argument("--hashes", action="store_true", help="look at the files' contents, too")

    sync = command("sync", _sync, "run `uv sync`, explain its failures and verify the environment", "sync . -- --dev")
    _add_path(sync)
    sync.add_argument("--link-mode", type=LinkMode, choices=list(LinkMode), metavar="MODE", help=", ".join(LinkMode))

    explain = command("explain", _explain, "explain pasted output of uv; touches nothing", "explain ci.log")
    explain.add_argument("file", nargs="?", default="-", metavar="FILE", help="a file, or `-` for stdin (default)")
    platforms = ", ".join(Platform)
    explain.add_argument("--platform", type=Platform, choices=list(Platform), metavar="PLATFORM", help=platforms)

    fix = command("fix", _fix, "list or apply what would help, then run and verify", "fix --apply retry-copy")
    _add_path(fix)
    fix.add_argument("--list", action="store_true", help="list what would help (default)")
    fix.add_argument("--apply", nargs="+", default=[], metavar="KIND", help="apply these remedies, in this order")
    fix.add_argument("--dry-run", action="store_true", help="show what would change and change nothing")
    fix.add_argument("--yes", action="store_true", help="do not ask; required off a terminal")
    fix.add_argument("--undo", action="store_true", help="take back the last change that a remedy made here")

    command("demo", _demo, "make a project that fails to link on this machine, and repair it", "demo")

    server = command("server", None, "the language server", "server --stdio")
    server.add_argument("--stdio", action="store_true", help="speak over stdin and stdout (default)")
    server.add_argument("--tcp", metavar="HOST:PORT", help="listen for one client")
    return parser


def _add_path(parser: _Parser) -> None:
    parser.add_argument("path", nargs="?", type=Path, default=Path(), metavar="PATH", help="a project (default: .)")
