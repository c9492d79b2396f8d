"""How a command is typed into a terminal, in the syntax of the shell that runs there."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath


def typed(command: Iterable[str], *, directory: Path, variables: Mapping[str, str], terminal: str) -> str:
    """One line that runs the command in a directory with more variables; `terminal` is the shell's path or name.

    An empty value unsets a variable. An unknown shell is taken for one of POSIX. The variables stay behind in
    PowerShell's and cmd's session, which have no way to set one for a single command.
    """
    syntax = _SYNTAXES.get(PureWindowsPath(terminal).name.lower().removesuffix(".exe"), _POSIX)
    return syntax.join(str(directory), variables, " ".join(map(syntax.quote, command)))


@dataclass(frozen=True, slots=True)
class _Syntax:
    quote: Callable[[str], str]
    join: Callable[[str, Mapping[str, str], str], str]
    """From the directory, the variables and the quoted command."""


def _posix(directory: str, variables: Mapping[str, str], command: str) -> str:
    given = [f"{name}={shlex.quote(value)} " for name, value in variables.items() if value]
    unset = [f"-u {name} " for name, value in variables.items() if not value]
    return f"cd {shlex.quote(directory)} && {'env ' if unset else ''}{''.join([*unset, *given])}{command}"


def _fish(directory: str, variables: Mapping[str, str], command: str) -> str:
    given = [f"{name}={_fish_quote(value)} " for name, value in variables.items() if value]
    unset = [f"-u {name} " for name, value in variables.items() if not value]
    return f"cd {_fish_quote(directory)}; and {'env ' if variables else ''}{''.join([*unset, *given])}{command}"


def _fish_quote(word: str) -> str:
    """In fish's single quotes a backslash escapes a quote and itself."""
    return word if _PLAIN.fullmatch(word) else "'" + word.replace("\\", "\\\\").replace("'", "\\'") + "'"


def _powershell(directory: str, variables: Mapping[str, str], command: str) -> str:
    given = [
        f"$env:{name} = {_powershell_text(value)}; " if value else f"Remove-Item -ErrorAction Ignore Env:{name}; "
        for name, value in variables.items()
    ]
    return f"Set-Location -LiteralPath {_powershell_text(directory)}; {''.join(given)}& {command}"


def _powershell_quote(word: str) -> str:
    return word if _PLAIN_IN_POWERSHELL.fullmatch(word) else _powershell_text(word)


def _powershell_text(word: str) -> str:
    return "'" + word.replace("'", "''") + "'"


def _cmd(directory: str, variables: Mapping[str, str], command: str) -> str:
    given = "".join(f'set "{name}={value}" && ' for name, value in variables.items())
    return f'cd /d "{directory}" && {given}{command}'


def _cmd_quote(word: str) -> str:
    return word if _PLAIN_IN_CMD.fullmatch(word) else '"' + word.replace('"', '""') + '"'


def _nu(directory: str, variables: Mapping[str, str], command: str) -> str:
    hidden = "".join(f"hide-env --ignore-errors {name}; " for name, value in variables.items() if not value)
    given = ", ".join(f"{name}: {_nu_text(value)}" for name, value in variables.items() if value)
    call = f"with-env {{{given}}} {{ ^{command} }}" if given else f"^{command}"
    return f"cd {_nu_text(directory)}; {hidden}{call}"


def _nu_quote(word: str) -> str:
    return word if _PLAIN.fullmatch(word) else _nu_text(word)


def _nu_text(word: str) -> str:
    if "'" not in word:
        return f"'{word}'"
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


_PLAIN = re.compile(r"[\w@%+:,./-]+", re.ASCII)
_PLAIN_IN_POWERSHELL = re.compile(r"[\w+:./-]+", re.ASCII)
_PLAIN_IN_CMD = re.compile(r"[\w@+:.\\/-]+", re.ASCII)
_POSIX = _Syntax(shlex.quote, _posix)
_POWERSHELL = _Syntax(_powershell_quote, _powershell)
_SYNTAXES = {
    "fish": _Syntax(_fish_quote, _fish),
    "pwsh": _POWERSHELL,
    "powershell": _POWERSHELL,
    "cmd": _Syntax(_cmd_quote, _cmd),
    "nu": _Syntax(_nu_quote, _nu),
}
