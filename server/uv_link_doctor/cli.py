"""The command line's arguments, and the way from them to what they ask for."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, NoReturn

from uv_link_doctor import __version__
from uv_link_doctor.engine.model import DoctorError, LinkMode, Platform, RemedyKind
from uv_link_doctor.terminal import open_streams, print_as_utf8, tell


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit code."""
    with open_streams():
        return _run(list(sys.argv[1:] if arguments is None else arguments))


def _run(given: list[str]) -> int:
    """What a command needs is imported for it alone: the server starts sooner."""
    at = given.index("--") if "--" in given else len(given)
    options = _parser().parse_args(given[:at])
    options.uv_args = tuple(given[at + 1 :])
    if options.command == "report":
        options.json = options.json or options.format == "json"
    if options.json:
        print_as_utf8()
    if options.command == "server":
        return _serve(options.tcp)
    from uv_link_doctor import commands  # noqa: PLC0415

    _listen_to_interrupts()
    if options.uv_args and options.command != "sync":
        problem = DoctorError("only `sync` takes arguments for uv after `--`", "leave them out")
        return commands.could_not(options, problem)
    return commands.run(options)


def _serve(tcp: str | None) -> int:
    """The language server, over stdin and stdout, or for one client over TCP."""
    from uv_link_doctor.lsp.start import start  # noqa: PLC0415

    try:
        return start(tcp, _listen_to_interrupts)
    except DoctorError as error:
        tell(f"error: {error.message}\nhint: {error.hint}")
        return 2


def _listen_to_interrupts() -> None:
    """From here on Ctrl-C can be answered; see `__main__`."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class _Parser(argparse.ArgumentParser):
    """argparse, with errors in our form."""

    def error(self, message: str) -> NoReturn:
        if "--json" in sys.argv:
            from uv_link_doctor.commands import could_not  # noqa: PLC0415  (see `main`)

            hint = f"`{self.prog} -h` shows what there is"
            sys.exit(could_not(argparse.Namespace(json=True), DoctorError(message, hint)))
        tell(f"error: {message}\nhint: `{self.prog} -h` shows what there is")
        sys.exit(2)


class _Version(argparse.Action):
    """Prints our version and that of the uv that would be used."""

    def __call__(self, *_: Any, **__: Any) -> None:
        from uv_link_doctor.engine.report import version_text  # noqa: PLC0415  (see `main`)
        from uv_link_doctor.host.uv import find_uv  # noqa: PLC0415

        uv = asyncio.run(find_uv(None, os.environ, ask=True))
        found = f"uv {version_text(uv) or '(unknown version)'} ({uv.path})" if uv else "no uv found"
        print(f"uv-link-doctor {__version__}, {found}")
        sys.exit(0)


def _parser() -> _Parser:
    parser = _Parser(
        prog="uv-link-doctor",
        description="Explains why uv cannot place a package's files in an environment, and repairs it.",
        epilog="Example: uv-link-doctor demo",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print our version and uv's")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    def command(name: str, summary: str, example: str) -> _Parser:
        added = _add(commands, name, summary, example)
        added.set_defaults(command=name)
        added.add_argument("--json", action="store_true", help="print one JSON document on stdout")
        return added

    check = command("check", "look at a project and install nothing", "check --json")
    _add_path(check)
    check.add_argument("--passive", action="store_true", help="leave no trial file, not even for a moment")
    check.add_argument("--thorough", action="store_true", help="look at every file of every installed package")
    check.add_argument("--hashes", action="store_true", help="look at the files' contents, too")

    sync = command("sync", "run `uv sync`, explain its failures and verify the environment", "sync . -- --dev")
    _add_path(sync)
    sync.add_argument("--link-mode", choices=_values(LinkMode), metavar="MODE", help=", ".join(LinkMode))

    explain = command("explain", "explain pasted output of uv; touches nothing", "explain ci.log")
    explain.add_argument("file", nargs="?", default="-", metavar="FILE", help="a file, or `-` for stdin (default)")
    platforms = ", ".join(Platform)
    explain.add_argument("--platform", choices=_values(Platform), metavar="PLATFORM", help=platforms)

    fix = command("fix", "list or apply what would help, then run and verify", "fix --apply retry-copy")
    _add_path(fix)
    doings = fix.add_mutually_exclusive_group()
    doings.add_argument("--list", action="store_true", help="list what would help (default)")
    doings.add_argument(
        "--apply",
        nargs="+",
        default=[],
        choices=[kind.value for kind in RemedyKind if kind is not RemedyKind.ADVICE],
        metavar="KIND",
        help="apply these remedies, in this order",
    )
    _add_consent(fix)
    doings.add_argument("--undo", action="store_true", help="take back the last change that a remedy made here")

    _add_cache(_add(commands, "cache", "find, repair or move uv's cache by itself", "cache scan"))

    report = command("report", "tell everything known about a project, without what is private", "report -o report.md")
    _add_path(report)
    report.add_argument(
        "--format", choices=_FORMATS, default="text", metavar="FORMAT", help=f"{', '.join(_FORMATS)} (default: text)"
    )
    report.add_argument("-o", "--output", type=Path, metavar="FILE", help="write it to a file")

    command("demo", "make a project that fails to link on this machine, and repair it", "demo")

    server = command("server", "the language server", "server --stdio")
    server.add_argument("--stdio", action="store_true", help="speak over stdin and stdout (default)")
    server.add_argument("--tcp", metavar="HOST:PORT", help="listen for one client")
    return parser


def _add(commands: argparse._SubParsersAction[_Parser], name: str, summary: str, example: str) -> _Parser:
    epilog = f"Example: uv-link-doctor {example}"
    return commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.", epilog=epilog)


def _add_cache(cache: _Parser) -> None:
    actions = cache.add_subparsers(title="actions", metavar="ACTION", required=True)

    def action(name: str, summary: str, example: str) -> _Parser:
        added = _add(actions, name, summary, f"cache {example}")
        added.set_defaults(command="cache", action=name)
        added.add_argument("--cache-dir", type=Path, metavar="DIR", help="a cache (default: the one in force here)")
        added.add_argument("--json", action="store_true", help="print one JSON document on stdout")
        return added

    scan = action("scan", "find entries that cannot be linked, or are damaged", "scan --complete")
    scan.add_argument("--complete", action="store_true", help="look at every file, not only at the one that uv needs")
    scan.add_argument("--hashes", action="store_true", help="look at the files' contents, too")
    _add_consent(action("repair", "give the files that cannot be linked fresh ones", "repair --dry-run"))
    move = action("move", "move all of it, and let uv's setting say so", "move /data/uv-cache --dry-run")
    move.add_argument("destination", type=Path, metavar="DESTINATION", help="a place that does not exist, or is empty")
    move.add_argument("--empty", action="store_true", help="leave the contents behind, for uv to download as it needs")
    _add_consent(move)


def _add_consent(parser: _Parser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="show what would change and change nothing")
    parser.add_argument("--yes", action="store_true", help="do not ask; required off a terminal")


_FORMATS = ("text", "markdown", "json", "html")


def _values(choices: type[StrEnum]) -> list[str]:
    return [choice.value for choice in choices]


def _add_path(parser: _Parser) -> None:
    parser.add_argument("path", nargs="?", type=Path, default=Path(), metavar="PATH", help="a project (default: .)")
