"""The commands by which uv is asked and run, the environment they get, and what a dry run says they would do."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from uv_link_doctor.engine.model import LinkMode, Transcript, Uv

OLDEST_UV = (0, 4, 18)
"""The oldest uv that the tests drive."""
_DRY_RUN = (0, 5, 0)
_DRY_RUN_JSON = (0, 7, 21)

_LINK_MODE = re.compile(r"--link-mode(=.*)?")
_LINK_LOG = "uv_fs::link=debug,uv_install_wheel::linker=debug,install_wheel_rs::linker=debug,uv_fs=info"
"""Where uv logs a link it could not make: since 0.10.5, from 0.5 to 0.10.4, and before; a line for each package.
Last, where it says that it waits for another uv (not in 0.4)."""
_PRIVATE = re.compile(r"PYTHON[A-Z]*|VIRTUAL_ENV(_PROMPT)?|__PYVENV_LAUNCHER__|FORCE_COLOR|CLICOLOR(_FORCE)?|COLUMNS")
"""Variables that belong to the process we run in: an editor's server, a virtual environment, a terminal's width."""


def sync_command(
    uv: Path, *, link_mode: LinkMode | None = None, reinstall: Sequence[str] = (), args: Sequence[str] = ()
) -> tuple[str, ...]:
    """The `uv sync` that installs a project, keeping whatever else the user has put in its environment.

    `uv sync` is exact by default and uninstalls packages it does not know: only a caller's own `--exact`
    asks for that here.
    """
    command = [str(uv), "sync"]
    if "--exact" not in args and "--inexact" not in args:
        command.append("--inexact")
    if link_mode is not None:
        command += ["--link-mode", link_mode.value]
        args = _without_link_mode(args)
    for package in reinstall:
        command += ["--reinstall-package", package]
    return (*command, *args)


def _without_link_mode(args: Sequence[str]) -> list[str]:
    """The arguments without their own link mode: uv refuses to be given two."""
    values = {at + 1 for at, argument in enumerate(args) if argument == "--link-mode"}
    return [argument for at, argument in enumerate(args) if at not in values and not _LINK_MODE.fullmatch(argument)]


def sync_environ(
    environ: Mapping[str, str], extra: Mapping[str, str], *, args: Sequence[str] = (), python_downloads: bool = True
) -> dict[str, str]:
    """The environment uv gets: the user's without what is private to us, and with output we can read.

    `VIRTUAL_ENV` stays where `--active` asks for it. An empty value of `extra` unsets the variable, since uv rejects
    empty ones ("a value is required", 0.4.18 to 0.13.9).
    """
    active = "--active" in args
    given = {
        name: value
        for name, value in environ.items()
        if not _PRIVATE.fullmatch(name) or (active and name == "VIRTUAL_ENV")
    }
    given |= extra
    log = given.get("RUST_LOG")
    given |= {
        "NO_COLOR": "1",
        "UV_NO_PROGRESS": "1",
        "UV_NO_WRAP": "1",
        "RUST_LOG": f"{log},{_LINK_LOG}" if log else _LINK_LOG,
    }
    if not python_downloads:
        given["UV_PYTHON_DOWNLOADS"] = "never"
    return {name: value for name, value in given.items() if value or name not in extra}


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """What a `uv sync` would do to the environment, as far as it needs the user's word."""

    recreates: bool = False
    """It would delete the environment, with all that is in it, and make a new one."""
    removes: tuple[str, ...] = ()
    """Packages that would be gone afterwards."""
    downloads_python: bool = False
    """It would download a Python, since none at hand fits."""
    idle: bool = False
    """uv has said in so many words that it would change nothing, neither the environment nor the lockfile."""


def dry_run_command(command: Sequence[str], uv: Uv) -> tuple[str, ...] | None:
    """The same command, only asking; None where this uv cannot be asked (before 0.5)."""
    if uv.version is None or uv.version < _DRY_RUN:
        return None
    json_output = ("--output-format", "json") if uv.version >= _DRY_RUN_JSON else ()
    return (*command, "--dry-run", *json_output)


def read_intent(dry_run: Transcript) -> Intent:
    """What a dry run announced, from its JSON (0.7.21 and later) or its sentences.

    A run that was not allowed to download a Python says by its failure that it needs one.
    """
    if dry_run.exit_code != 0:
        return Intent(downloads_python="No interpreter found for" in dry_run.stderr)
    idle = False
    try:
        answer = json.loads(dry_run.stdout)
        sync = answer["sync"]
        changes = [(change["action"], change["name"]) for change in sync.get("changes", ())]
        replaced = sync["action"] == "replace"
        # Since 0.9.20; before, it keeps silent about the packages.
        idle = sync.get("changes") == [] and sync["action"] == "check" == answer.get("lock", {}).get("action")
    except (ValueError, LookupError, TypeError, AttributeError):
        # 0.5 to 0.7.20 have no JSON; 0.5.31: "Would replace existing virtual environment at: .venv".
        changes, replaced = [], "Would replace" in dry_run.stderr
    if not changes:
        # Up to 0.9.19 the JSON names no packages, but the sentences on stderr do.
        signs = {"-": "uninstalled", "+": "installed", "~": "reinstalled"}
        changes = [
            (signs[sign], name) for sign, name in re.findall(r"^ ([-+~]) ([^\s=@]+)", dry_run.stderr, re.MULTILINE)
        ]
    kept = {name for action, name in changes if action != "uninstalled"}
    removed = {name for action, name in changes if action == "uninstalled"} - kept
    return Intent(recreates=replaced, removes=tuple(sorted(removed)), idle=idle)


def unasked_intent(environment_python: tuple[int, ...] | None, requires_python: str | None, pin: str | None) -> Intent:
    """What can be told without asking uv: it re-creates an environment whose Python no longer fits.

    `pin` is the text of `.python-version`. Only plain version numbers are compared; anything else is left to uv.
    """
    from packaging.specifiers import InvalidSpecifier, SpecifierSet  # noqa: PLC0415  (only for a uv before 0.5)

    if environment_python is None:
        return Intent()
    pinned = re.fullmatch(r"\s*(\d+(?:\.\d+)*)\s*", pin or "")
    if pinned and tuple(map(int, pinned[1].split("."))) != environment_python[: pinned[1].count(".") + 1]:
        return Intent(recreates=True)
    try:
        fits = SpecifierSet(requires_python or "").contains(".".join(map(str, environment_python)), prereleases=True)
    except InvalidSpecifier:
        fits = True
    return Intent(recreates=not fits)
