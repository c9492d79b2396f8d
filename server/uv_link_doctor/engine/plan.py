"""The commands by which uv is asked and run, the environment they get, and what a dry run says they would do."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from uv_link_doctor.engine.model import Kind, LinkMode, Manifest, Transcript, Uv

OLDEST_UV = (0, 4, 18)
"""The oldest uv that the tests drive."""
_DRY_RUN = (0, 5, 0)
_DRY_RUN_JSON = (0, 7, 21)
_SYNCS_SCRIPTS = (0, 5, 31)
_FINDS_SCRIPTS = (0, 6, 10)
_READS_PYLOCK = (0, 6, 15)

_OF_SYNC = frozenset(
    {
        *("--frozen", "--locked", "--active", "--exact", "--inexact", "--all-extras", "--all-groups", "--dev"),
        *("--no-dev", "--only-dev", "--no-default-groups", "--all-packages", "--no-install-project", "--check"),
        *("--no-install-workspace", "--no-install-local", "--no-editable", "--system", "--user"),
    }
)
_OF_SYNC_WITH_VALUE = frozenset(
    {
        *("--extra", "--no-extra", "--group", "--no-group", "--only-group", "--package", "--no-install-package"),
        *("--output-format", "--python", "-p", "--target", "-t", "--prefix", "--project", "--directory", "--script"),
    }
)
"""Options that `uv pip install` does not know or that would lead it elsewhere, without and with a value."""

_LINK_MODE = re.compile(r"--link-mode(=.*)?")
_LINK_LOG = "uv_fs::link=debug,uv_install_wheel::linker=debug,install_wheel_rs::linker=debug,uv_fs=info"
"""Where uv logs a link it could not make: since 0.10.5, from 0.5 to 0.10.4, and before; a line for each package.
Last, where it says that it waits for another uv (not in 0.4)."""
_PRIVATE = re.compile(r"PYTHON[A-Z]*|VIRTUAL_ENV(_PROMPT)?|__PYVENV_LAUNCHER__|FORCE_COLOR|CLICOLOR(_FORCE)?|COLUMNS")
"""Variables that belong to the process we run in: an editor's server, a virtual environment, a terminal's width."""


def verb(manifest: Manifest, environment: Path | None = None) -> tuple[str, ...]:
    """The words after `uv` that install from a manifest, into its own environment and no other.

    `--python` comes before `VIRTUAL_ENV`, `CONDA_PREFIX`, `UV_PYTHON` and `UV_SYSTEM_PYTHON`, and before `system` in a
    file (seen with 0.7.22 and 0.13.9). It may be left out only where nothing is run: settings do not depend on it.
    """
    path = str(manifest.path)
    match manifest.kind:
        case Kind.UV:
            return ("sync",)
        case Kind.SCRIPT:
            return ("sync", "--script", path)
        case Kind.PYLOCK | Kind.REQUIREMENTS:
            into = () if environment is None else ("--python", str(environment))
            return ("pip", "install", *into, "-r", path)
        case _:
            assert_never(manifest.kind)


def too_old_for(kind: Kind, uv: Uv) -> str | None:
    """The oldest uv that installs such a project, dotted, where this one is older."""
    oldest = {Kind.SCRIPT: _SYNCS_SCRIPTS, Kind.PYLOCK: _READS_PYLOCK}.get(kind, OLDEST_UV)
    return ".".join(map(str, oldest)) if uv.version is not None and uv.version < oldest else None


def find_script_command(uv: Uv, script: Path) -> tuple[str, ...] | None:
    """The command that prints the Python of a script's environment, else another Python; None where uv has none."""
    if uv.version is None or uv.version < _FINDS_SCRIPTS:
        return None
    return (str(uv.path), "python", "find", "--script", str(script))


def script_environment(said: Transcript) -> str | None:
    """Where a `uv sync --script` says that the environment is: absolute, or relative to where it was run."""
    match = re.search(r"^(?:Creat|Us|Updat|Recreat|Replac)ing script environment at: (.+)$", said.stderr, re.MULTILINE)
    return match[1].rstrip() if match else None


def sync_command(
    uv: Path,
    *,
    verb: Sequence[str] = ("sync",),
    link_mode: LinkMode | None = None,
    reinstall: Sequence[str] = (),
    args: Sequence[str] = (),
) -> tuple[str, ...]:
    """The command that installs a project, keeping whatever else the user has put in its environment.

    `uv sync` is exact by default and uninstalls packages it does not know: only a caller's own `--exact`
    asks for that here. `args` are those of `uv sync`: what `uv pip install` does not know of them, or would take for
    the wish to install elsewhere, it does not get.
    """
    command = [str(uv), *verb]
    if "sync" not in verb:
        args = _for_pip(args)
    elif "--exact" not in args and "--inexact" not in args:
        command.append("--inexact")
    if link_mode is not None:
        command += ["--link-mode", link_mode.value]
        args = _without_link_mode(args)
    for package in reinstall:
        command += ["--reinstall-package", package]
    return (*command, *args)


def _for_pip(args: Sequence[str]) -> list[str]:
    """The arguments without those that are about uv projects, or about another environment."""
    kept = []
    words = iter(args)
    for word in words:
        option, equals, _ = word.partition("=")
        if option in _OF_SYNC_WITH_VALUE:
            if not equals:
                next(words, None)
        elif option not in _OF_SYNC:
            kept.append(word)
    return kept


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
        # A script need not have a lock.
        lock = (answer.get("lock") or {"action": "check" if answer.get("target") == "script" else None})["action"]
        idle = sync.get("changes") == [] and sync["action"] == "check" == lock
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
