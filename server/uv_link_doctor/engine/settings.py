"""Which link mode, cache directory and environment are in force, who set them, and which settings have no effect.

uv asks the command line, then the environment, then files, for each key by itself. Of the project's files the first
that counts from the workspace root upwards has a say, then the user's, then the system's (uv-settings, uv-dirs and
uv-cache of 0.4.18 to 0.13.9).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import takewhile
from pathlib import Path

from uv_link_doctor.engine import scripts
from uv_link_doctor.engine.model import (
    MANIFEST,
    Ignored,
    LinkMode,
    Origin,
    Platform,
    Position,
    Range,
    Rejected,
    Setting,
    Settings,
    Span,
)
from uv_link_doctor.engine.settings_schema import LINK_MODES, Fault, faults, value_fault
from uv_link_doctor.engine.toml_text import TomlPath, TomlProblem, locate, parse, range_of, set_value

ReadText = Callable[[Path], str | None]
"""The text of a file; None where there is none."""

_LINK_MODE, _CACHE_DIR, _NO_CACHE = "link-mode", "cache-dir", "no-cache"
_CONFIG_FILE, _NO_CONFIG = "config-file", "no-config"
_OPTIONS = {
    _LINK_MODE: ("--link-mode",),
    _CACHE_DIR: ("--cache-dir",),
    _NO_CACHE: ("--no-cache", "--no-cache-dir", "-n"),
    _CONFIG_FILE: ("--config-file",),
    _NO_CONFIG: ("--no-config",),
}
_SWITCHES = frozenset({_NO_CACHE, _NO_CONFIG})
_NO_SYSTEM_CONFIG = "UV_NO_SYSTEM_CONFIG"
_BOOLEANS = {
    **dict.fromkeys(("1", "true", "t", "yes", "y", "on"), "true"),
    **dict.fromkeys(("0", "false", "f", "no", "n", "off"), "false"),
}
_TOOL_UV = ("tool", "uv")
_UV_TOML = "uv.toml"
_STOPS = "uv refuses the value and stops"
_DEFAULT = Origin(kind="default")

_READS_SYSTEM_FILE = (0, 4, 26)
_CLONES_ON_LINUX = (0, 10, 5)
_MAY_SKIP_SYSTEM_FILE = (0, 11, 16)
_TAKES_NO_FOR_AN_ANSWER = (0, 13, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """How uv is called: all that decides besides the files."""

    directory: Path
    """Where uv is run, absolute; a relative cache directory counts from here, not from the file that names it."""
    environ: Mapping[str, str]
    arguments: Sequence[str] = ()
    """Those that uv gets, without the program."""
    version: tuple[int, int, int] | None = None
    """None, where nobody asked, counts as the newest."""
    platform: Platform
    home: Path
    pip: bool = False
    """It is a command of `uv pip`, or `uv venv`: these read the table `pip` of each file before the rest."""
    script: Path | None = None
    """The script that uv is to run or sync, absolute."""

    def since(self, version: tuple[int, int, int]) -> bool:
        """Whether uv is this version or a later one."""
        return self.version is None or self.version >= version


@dataclass(frozen=True, slots=True)
class SettingPlace:
    """A key in a file, for `toml_text.set_value`; in a script for `scripts.set_value`."""

    path: Path
    key: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Void:
    """Why a claim, or all of a file, has no effect, whatever else is set."""

    reason: str
    kind: str = "unread"
    by: Origin | None = None


@dataclass(frozen=True, slots=True)
class _Claim:
    """One place that gives a key a value."""

    value: str
    """As written."""
    origin: Origin
    void: _Void | None = None
    fault: str | None = None
    """What is wrong with the value."""


@dataclass(frozen=True, slots=True)
class _File:
    """A table of settings: a whole uv.toml, `[tool.uv]`, or that of a script."""

    kind: str
    path: Path
    key: tuple[str, ...]
    """Where in the file the table is."""
    text: str
    table: Mapping[str, object]
    faults: tuple[Fault, ...] = ()
    """For which uv refuses the table."""
    void: _Void | None = None

    @property
    def toml(self) -> str:
        """What of the text is TOML."""
        found = scripts.block(self.text) if self.kind == "script" else None
        return found.toml if found else self.text

    def origin(self, key: tuple[str, ...]) -> Origin:
        """The place of a key of this table."""
        path: TomlPath = (*self.key, *key)
        found = locate(self.toml)
        span = found.pair(path) or found.headers.get(path)
        place = self._range(span) if span else None
        line = place.start.line + 1 if place else None
        return Origin(kind=self.kind, path=self.path, key=".".join((*self.key, *key)), line=line, range=place)

    def _range(self, span: Span) -> Range:
        found = scripts.block(self.text) if self.kind == "script" else None
        return found.range_of(span) if found else range_of(self.text, span)

    def problem(self) -> Rejected | None:
        """Why it is no TOML; only a uv.toml or a script is asked, since a pyproject.toml is not only uv's."""
        problem = parse(self.toml)
        if not isinstance(problem, TomlProblem):
            return None
        found = scripts.block(self.text) if self.kind == "script" else None
        start = found.position(problem.position) if found else problem.position
        place = Range(start, Position(start.line, start.character + 1))
        origin = Origin(kind=self.kind, path=self.path, line=start.line + 1, range=place)
        return Rejected(origin=origin, value=None, fault=f"is not valid TOML: {problem.message}", stops=True)

    def rejections(self) -> Iterator[Rejected]:
        """What uv refuses in it."""
        if problem := self.problem():
            yield problem
        for fault in self.faults:
            yield Rejected(
                origin=self.origin(fault.key),
                value=_written(_at(self.table, fault.key)) if fault.of_value else None,
                fault=fault.says,
                stops=self.kind == "script" or not self.key,
            )


def effective(root: Path, invocation: Invocation, read_text: ReadText) -> Settings:
    """The settings of the project whose workspace has the given root.

    With `--no-cache`, the cache directory is the one for temporary files: there uv makes a cache for the one run.
    A value over which uv stops (any invalid one, but for those in `[tool.uv]`) counts as not set.
    """
    files = tuple(_files(root, invocation, read_text))
    return Settings(
        link_mode=_link_mode(files, invocation),
        cache_dir=_cache_dir(files, invocation, read_text),
        environment=_environment(root, invocation, read_text),
        rejected=(*_rejected_words(invocation, read_text), *_rejected_in(files)),
    )


def file_in_force(root: Path, invocation: Invocation, read_text: ReadText) -> SettingPlace | None:
    """Where a `link-mode` takes effect for all who work on the project; None where `overruling` says why it would not.

    That is the table uv finds first, so that none is created that would hide a parent's settings from uv.
    """
    if overruling(root, invocation, read_text):
        return None
    if invocation.script:
        return SettingPlace(invocation.script, (*_TOOL_UV, _LINK_MODE))
    files = tuple(_files(root, invocation, read_text))
    winner = _first(_claims(_LINK_MODE, files, invocation))
    of_pip = winner is not None and (winner.origin.key or "").endswith(f"pip.{_LINK_MODE}")
    key = ("pip", _LINK_MODE) if of_pip else (_LINK_MODE,)
    for file in _project_files(root, invocation, read_text):
        if not file.key or not _other_faults(file):
            return SettingPlace(file.path, (*file.key, *key))
    return SettingPlace(root / MANIFEST, (*_TOOL_UV, *key))


def overruling(root: Path, invocation: Invocation, read_text: ReadText) -> str | None:
    """What leaves no file of the project a say in the link mode, in words: "the variable `UV_NO_CONFIG` is `1`"."""
    claim = _first(_given(_LINK_MODE, invocation))
    if claim is None and invocation.script is None:
        claim = _config_file(invocation) or _no_config(invocation)
    if claim is not None:
        if claim.origin.kind == "environment":
            key = claim.origin.key or ""
            return f"the variable `{key}` is `{invocation.environ[key]}`"
        return f"the option `{claim.origin.key}` is given"
    if invocation.script is None:
        found = tuple(_project_files(root, invocation, read_text))
        if found and all(file.key and _other_faults(file) for file in found):
            return f"uv rejects `{'.'.join(_other_faults(found[0])[0].key)}` in `{found[0].path}`"
    return None


def _other_faults(file: _File) -> tuple[Fault, ...]:
    """What would still be wrong with a table whose `link-mode` is put right."""
    return tuple(fault for fault in file.faults if fault.key[-1] != _LINK_MODE)


def _link_mode(files: Sequence[_File], invocation: Invocation) -> Setting:
    claims = _claims(_LINK_MODE, files, invocation)
    winner = _first(claims) or _Claim(_default_link_mode(invocation), _DEFAULT)
    return Setting(value=LINK_MODES[winner.value], origin=winner.origin, ignored=_ignored(claims, winner))


def _cache_dir(files: Sequence[_File], invocation: Invocation, read_text: ReadText) -> Setting:
    claims = _claims(_CACHE_DIR, files, invocation)
    if no_cache := _no_cache(files, invocation):
        value, winner = _temporary_directory(invocation), no_cache
    else:
        winner = _first(claims) or _Claim(str(_default_cache_dir(invocation, read_text)), _DEFAULT)
        value = invocation.directory / winner.value
    return Setting(value=str(value), origin=winner.origin, ignored=_ignored(claims, winner))


def _environment(root: Path, invocation: Invocation, read_text: ReadText) -> Setting | None:
    """Where the environment is: of a project by `uv sync`, else the one into which `uv pip` installs."""
    if invocation.script:
        return None
    claims = tuple(_environment_claims(invocation))
    if not (winner := _first(claims)):
        near = (invocation.directory, *invocation.directory.parents)
        found = (it for it in near if invocation.pip and read_text(it / ".venv" / "pyvenv.cfg") is not None)
        winner = _Claim(str(next(found, root) / ".venv"), _DEFAULT)
    base = root if winner.origin.key == "UV_PROJECT_ENVIRONMENT" else invocation.directory
    value = str(base / winner.value)
    ignored = (it for it in _ignored(claims, winner) if str(invocation.directory / it.value) != value)
    return Setting(value=value, origin=winner.origin, ignored=tuple(ignored))


def _environment_claims(invocation: Invocation) -> Iterator[_Claim]:
    """In uv's order; an empty variable counts as none."""
    unread: dict[str, str] = {}
    if invocation.pip:
        names = ["UV_PYTHON", "VIRTUAL_ENV", "CONDA_PREFIX"]
        unread = {"UV_PROJECT_ENVIRONMENT": "`uv pip` does not read it"}
        for position, word in enumerate(invocation.arguments):
            option, equals, value = word.partition("=")
            if option in {"--python", "-p"}:
                written = value if equals else "".join(invocation.arguments[position + 1 : position + 2])
                yield _Claim(written, Origin(kind="command-line", key=option))
    elif _is_active(invocation.arguments):
        names = ["VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT"]
    else:
        names = ["UV_PROJECT_ENVIRONMENT"]
        unread = {"VIRTUAL_ENV": "uv uses the active environment only with `--active`"}
    for name in (*names, *unread):
        if stated := invocation.environ.get(name):
            void = _Void(unread[name]) if name in unread else None
            yield _Claim(stated, Origin(kind="environment", key=name), void)


def _is_active(arguments: Sequence[str]) -> bool:
    """The last of the two options counts."""
    return [word for word in arguments if word in {"--active", "--no-active"}][-1:] == ["--active"]


def _ignored(claims: Iterable[_Claim], winner: _Claim) -> tuple[Ignored, ...]:
    first = _Void(f"{_name(winner)} comes first", "overridden", winner.origin)
    voids = ((claim, claim.void or first) for claim in claims if claim is not winner)
    return tuple(
        Ignored(value=claim.value, origin=claim.origin, reason=void.reason, kind=void.kind, by=void.by)
        for claim, void in voids
    )


# --- who claims what ----------------------------------------------------------------------


def _claims(key: str, files: Sequence[_File], invocation: Invocation) -> tuple[_Claim, ...]:
    """Every place that sets the key, in uv's order: for `uv pip`, the tables `pip` of all files come first."""
    plain = [_claim((key,), file, invocation) for file in files if key in file.table]
    of_pip = [_claim(("pip", key), file, invocation) for file in files if _at(file.table, ("pip", key)) is not None]
    if key != _LINK_MODE:
        of_pip = []
    elif not invocation.pip:
        unused = _Void("only `uv pip` and `uv venv` read this table", "elsewhere")
        of_pip = [replace(claim, void=claim.void or unused) for claim in of_pip]
    return (*_given(key, invocation), *of_pip, *plain)


def _first(claims: Iterable[_Claim]) -> _Claim | None:
    return next((claim for claim in claims if claim.void is None), None)


def _no_cache(files: Sequence[_File], invocation: Invocation) -> _Claim | None:
    """What turns the cache off; a plain no in the environment (`UV_NO_CACHE=0`) decides nothing for older versions."""
    claims = _claims(_NO_CACHE, files, invocation)
    if not invocation.since(_TAKES_NO_FOR_AN_ANSWER):
        claims = tuple(claim for claim in claims if claim.value == "true" or claim.origin.path)
    winner = _first(claims)
    return winner if winner and winner.value == "true" else None


def _name(claim: _Claim) -> str:
    return f"`{claim.origin.path or claim.origin.key}`"


def _given(key: str, invocation: Invocation) -> Iterator[_Claim]:
    """What the command line and the environment say.

    With `--link-mode` given, uv does not even read the variable; those of its global options it reads all the same.
    """
    option, argument = _argument(key, invocation.arguments)
    stated = Origin(kind="command-line", key=option)
    if argument is not None:
        yield _stated(key, argument, stated, invocation)
    variable = f"UV_{key.upper().replace('-', '_')}"
    if (value := invocation.environ.get(variable)) is not None:
        claim = _stated(key, value, Origin(kind="environment", key=variable), invocation)
        if argument is not None and (key == _LINK_MODE or claim.fault is None):
            claim = replace(claim, void=_Void(f"`{option}` comes first", "overridden", stated), fault=None)
        yield claim


def _stated(key: str, value: str, origin: Origin, invocation: Invocation) -> _Claim:
    """A claim in plain words; to set a variable to nothing is as wrong as any wrong value."""
    if not value:
        fault: str | None = "must not be empty"
    elif key in _SWITCHES:
        meaning = _BOOLEANS.get(value.lower())
        value, fault = meaning or value, None if meaning else "must be `true` or `false`"
    else:
        fault = value_fault(key, value, invocation.version)
    return _Claim(value, origin, _Void(_STOPS, "refused") if fault else None, fault)


def _argument(key: str, arguments: Sequence[str]) -> tuple[str, str | None]:
    """The option as it is spelled, and the value it is given."""
    spellings = _OPTIONS[key]
    for position, word in enumerate(arguments):
        if word == "--":
            break
        option, equals, value = word.partition("=")
        if option in spellings:
            if key in _SWITCHES:
                return option, "true"
            return option, value if equals else "".join(arguments[position + 1 : position + 2])
    return spellings[0], None


def _claim(key: tuple[str, ...], file: _File, invocation: Invocation) -> _Claim:
    value = _at(file.table, key)
    fault = value_fault(key[-1], value, invocation.version)
    void = file.void
    if fault and void is None:
        void = _Void(_STOPS, "refused")
    elif fault and void and void.kind == "dropped":
        void = replace(void, kind="refused")
    return _Claim(_written(value), file.origin(key), void, fault)


def _at(table: Mapping[str, object], key: tuple[str, ...]) -> object:
    value: object = table
    for step in key:
        value = value.get(step) if isinstance(value, Mapping) else None
    return value


def _written(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


# --- what uv refuses ----------------------------------------------------------------------


def _rejected_words(invocation: Invocation, read_text: ReadText) -> Iterator[Rejected]:
    """Options and variables that uv refuses."""
    for key in _OPTIONS:
        for claim in _given(key, invocation):
            if claim.fault:
                yield Rejected(origin=claim.origin, value=claim.value, fault=claim.fault, stops=True)
    if (given := _config_file(invocation)) and read_text(invocation.directory / given.value) is None:
        yield Rejected(origin=given.origin, value=given.value, fault="must name a file", stops=True)
    no_system = invocation.environ.get(_NO_SYSTEM_CONFIG)
    looked_at = invocation.since(_MAY_SKIP_SYSTEM_FILE) and not (given or _no_config(invocation))
    if looked_at and no_system is not None and no_system.lower() not in _BOOLEANS:
        origin = Origin(kind="environment", key=_NO_SYSTEM_CONFIG)
        yield Rejected(origin=origin, value=no_system, fault="must be `true` or `false`", stops=True)


def _rejected_in(files: Iterable[_File]) -> Iterator[Rejected]:
    """What uv refuses in the files it reads."""
    for file in files:
        if file.void is None or file.void.kind == "dropped":
            yield from file.rejections()


# --- the files uv reads -------------------------------------------------------------------


def _files(root: Path, invocation: Invocation, read_text: ReadText) -> Iterator[_File]:
    """Every file that uv reads, or that looks as if it should, in uv's order."""
    if invocation.script:
        yield from _script(invocation.script, invocation, read_text)
    config_file = _config_file(invocation)
    if config_file:
        path = invocation.directory / config_file.value
        yield from _uv_toml(config_file.origin.kind, path, invocation, read_text)
    overruling = config_file or _no_config(invocation)
    for file in (
        *_project_files(root, invocation, read_text),
        *_member_files(root, invocation, read_text),
        *_uv_toml("user", user_file(invocation), invocation, read_text),
        *_system_file(invocation, read_text),
    ):
        if overruling:
            reason = f"{_name(overruling)} keeps uv from reading the file"
            file = replace(file, void=_Void(reason, by=overruling.origin))  # noqa: PLW2901  (one of two, then yielded)
        yield file


def _config_file(invocation: Invocation) -> _Claim | None:
    """What names one file to be read instead of all others."""
    return _first(_given(_CONFIG_FILE, invocation))


def _no_config(invocation: Invocation) -> _Claim | None:
    """What keeps uv from reading any file but that one."""
    winner = _first(_given(_NO_CONFIG, invocation))
    return winner if winner and winner.value == "true" else None


def _project_files(root: Path, invocation: Invocation, read_text: ReadText) -> Iterator[_File]:
    """From the root upwards to the first file that counts: a uv.toml, or a `[tool.uv]` that uv takes."""
    for directory in (root, *root.parents):
        kind = "project" if directory == root else "parent"
        of_uv = tuple(_uv_toml(kind, directory / _UV_TOML, invocation, read_text))
        yield from of_uv
        for file in _pyproject(kind, directory / MANIFEST, invocation, read_text):
            if of_uv:
                beside = Origin(kind=kind, path=of_uv[0].path)
                yield replace(
                    file, void=_Void("the `uv.toml` beside it replaces the whole `[tool.uv]` table", by=beside)
                )
            elif file.faults:
                key = file.faults[0].key
                reason = f"uv rejects this `{'.'.join(key)}`, and with it the whole `[tool.uv]` table"
                yield replace(file, void=_Void(reason, "dropped", file.origin(key)))
            else:
                yield file
                return
        if of_uv:
            return


def _member_files(root: Path, invocation: Invocation, read_text: ReadText) -> Iterator[_File]:
    """What stands below the root, down to where uv is run."""
    upwards = (invocation.directory, *invocation.directory.parents)
    void = _Void("uv reads settings at the root of the workspace, not in its members")
    for below in takewhile(root.__ne__, upwards if root in upwards else ()):
        for file in (
            *_uv_toml("project", below / _UV_TOML, invocation, read_text),
            *_pyproject("project", below / MANIFEST, invocation, read_text),
        ):
            yield replace(file, void=void)


def user_file(invocation: Invocation) -> Path:
    """The user's own uv.toml, whether or not it is there and is read."""
    home, environ = invocation.home, invocation.environ
    if invocation.platform is Platform.WINDOWS:
        directory = _absolute(environ.get("APPDATA"), home) or home / "AppData" / "Roaming"
    else:
        directory = _absolute(environ.get("XDG_CONFIG_HOME"), home) or home / ".config"
    return directory / "uv" / _UV_TOML


def would_count(place: SettingPlace, value: str, root: Path, invocation: Invocation, read_text: ReadText) -> bool:
    """Whether a link mode or cache directory would be in force for a project if it stood in this place."""
    before = read_text(place.path) or ""
    change = set_value(before, place.key, quoted(value)) if _is_text(value) else None
    if change is None:
        return False

    def changed(path: Path) -> str | None:
        return change.apply(before) if path == place.path else read_text(path)

    found = effective(root, invocation, changed)
    setting = found.link_mode if place.key[-1] == _LINK_MODE else found.cache_dir
    return setting.origin.path == place.path and setting.value == value


def place_for_cache_dir(
    home: str, known: Setting, root: Path, invocation: Invocation, read_text: ReadText
) -> SettingPlace | None:
    """Where this cache directory would be in force: the user's own file, else the one that names the `known` one."""
    places = [SettingPlace(user_file(invocation), (_CACHE_DIR,))]
    if known.origin.path is not None and known.origin.key is not None:
        places.append(SettingPlace(known.origin.path, tuple(known.origin.key.split("."))))
    return next((it for it in places if would_count(it, home, root, invocation, read_text)), None)


def _is_text(value: str) -> bool:
    """Whether a file can say it: Linux allows paths that no encoding has, which Python keeps as half characters."""
    return not any("\ud800" <= character <= "\udfff" for character in value)


def quoted(value: str) -> str:
    """A value as a TOML string, literal where it holds a backslash."""
    return f"'{value}'" if "\\" in value and "'" not in value else json.dumps(value, ensure_ascii=False)


def _system_file(invocation: Invocation, read_text: ReadText) -> Iterator[_File]:
    """The first there is, in versions of uv that read one, and unless a variable forbids it."""
    environ, path = invocation.environ, type(invocation.home)
    forbidden = _BOOLEANS.get(environ.get(_NO_SYSTEM_CONFIG, "").lower()) == "true"
    if not invocation.since(_READS_SYSTEM_FILE) or (forbidden and invocation.since(_MAY_SKIP_SYSTEM_FILE)):
        return
    if invocation.platform is Platform.WINDOWS:
        drive = environ.get("SYSTEMDRIVE")
        directories = [path(f"{drive}\\", "ProgramData")] if drive else []
    else:
        named = (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")
        directories = [path(directory) for directory in (*takewhile(bool, named), "/etc")]
    for directory in directories:
        if file := next(_uv_toml("system", directory / "uv" / _UV_TOML, invocation, read_text), None):
            yield file
            return


def _uv_toml(kind: str, path: Path, invocation: Invocation, read_text: ReadText) -> Iterator[_File]:
    text = read_text(path)
    if text is not None:
        table = _table(text, ()) or {}
        yield _File(kind, path, (), text, table, tuple(faults(table, "uv.toml", invocation.version)))


def _pyproject(kind: str, path: Path, invocation: Invocation, read_text: ReadText) -> Iterator[_File]:
    """Nothing for one without `[tool.uv]`, at which uv does not even stop."""
    text = read_text(path)
    if text is not None and (table := _table(text, _TOOL_UV)) is not None:
        yield _File(kind, path, _TOOL_UV, text, table, tuple(faults(table, kind, invocation.version)))


def _script(path: Path, invocation: Invocation, read_text: ReadText) -> Iterator[_File]:
    """The table in the block of the script, which uv reads whatever it is told of other files."""
    text = read_text(path)
    found = scripts.block(text) if text is not None else None
    if text is not None and found is not None:
        table = _table(found.toml, _TOOL_UV) or {}
        yield _File("script", path, _TOOL_UV, text, table, tuple(faults(table, "script", invocation.version)))


@lru_cache(maxsize=16)
def _table(text: str, key: tuple[str, ...]) -> Mapping[str, object] | None:
    """The table of a document; None where there is none, and for what is no TOML."""
    table: object = parse(text)
    for step in key:
        table = table.get(step) if isinstance(table, dict) else None
    return table if isinstance(table, dict) else None


# --- defaults -----------------------------------------------------------------------------


def _default_link_mode(invocation: Invocation) -> LinkMode:
    if invocation.platform is Platform.MACOS:
        return LinkMode.CLONE
    clones = invocation.platform is Platform.LINUX and invocation.since(_CLONES_ON_LINUX)
    return LinkMode.CLONE if clones else LinkMode.HARDLINK


def _default_cache_dir(invocation: Invocation, read_text: ReadText) -> Path:
    home, environ = invocation.home, invocation.environ
    if invocation.platform is Platform.WINDOWS:
        return (_absolute(environ.get("LOCALAPPDATA"), home) or home / "AppData" / "Local") / "uv" / "cache"
    old = home / "Library" / "Caches" / "uv"
    if invocation.platform is Platform.MACOS and read_text(old / "CACHEDIR.TAG") is not None:
        return old  # Where a cache was made before 0.3, uv goes on using it.
    return (_absolute(environ.get("XDG_CACHE_HOME"), home) or home / ".cache") / "uv"


def _temporary_directory(invocation: Invocation) -> Path:
    home, environ = invocation.home, invocation.environ
    if invocation.platform is Platform.WINDOWS:
        return type(home)(environ.get("TMP") or environ.get("TEMP") or home)
    return type(home)(environ.get("TMPDIR") or "/tmp")  # noqa: S108  (uv puts them there)


def _absolute(value: str | None, home: Path) -> Path | None:
    """A directory from the environment; a relative one does not count (XDG base directories)."""
    path = type(home)(value or "")
    return path if path.is_absolute() else None
