"""Which link mode and cache directory are in force for a project, who set them, and which settings have no effect.

uv asks the command line, then the environment, then files, for each key by itself. Of the project's files the first
that counts from the workspace root upwards has a say, then the user's, then the system's (uv-settings, uv-dirs and
uv-cache of 0.4.18 to 0.13.9).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import takewhile
from pathlib import Path

from uv_link_doctor.engine.model import Ignored, LinkMode, Origin, Platform, Setting, Settings
from uv_link_doctor.engine.toml_text import locate, parse, range_of

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
_BOOLEANS = {
    **dict.fromkeys(("1", "true", "t", "yes", "y", "on"), "true"),
    **dict.fromkeys(("0", "false", "f", "no", "n", "off"), "false"),
}
_LINK_MODES = {**{mode.value: mode for mode in LinkMode}, "reflink": LinkMode.CLONE}
_TOOL_UV = ("tool", "uv")
_STOPS = "uv refuses the value and stops"
_DEFAULT = Origin(kind="default")

_READS_SYSTEM_FILE = (0, 4, 26)
_KNOWS_REFLINK = (0, 9, 28)
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

    def since(self, version: tuple[int, int, int]) -> bool:
        """Whether uv is this version or a later one."""
        return self.version is None or self.version >= version


@dataclass(frozen=True, slots=True)
class SettingPlace:
    """A key in a file, for `toml_text.set_value`."""

    path: Path
    key: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Claim:
    """One place that gives a key a value."""

    value: str
    """As written."""
    origin: Origin
    void: str | None = None
    """Why it has no effect, whatever else is set."""


@dataclass(frozen=True, slots=True)
class _File:
    """A table of settings: a whole uv.toml, or `[tool.uv]`."""

    kind: str
    path: Path
    key: tuple[str, ...]
    """Where in the file the table is."""
    text: str
    table: Mapping[str, object]
    void: str | None = None
    """Why nothing in it has an effect."""


def effective(root: Path, invocation: Invocation, read_text: ReadText) -> Settings:
    """The settings of the project whose workspace has the given root.

    With `--no-cache`, the cache directory is the one for temporary files: there uv makes a cache for the one run.
    A value over which uv stops (any invalid one, but for those in `[tool.uv]`) counts as not set.
    """
    files = tuple(_files(root, invocation, read_text))
    return Settings(link_mode=_link_mode(files, invocation), cache_dir=_cache_dir(files, invocation, read_text))


def file_in_force(root: Path, invocation: Invocation, read_text: ReadText) -> SettingPlace | None:
    """Where a `link-mode` takes effect for all who work on the project; None while no file of the project is asked.

    That is the table uv finds first, so that none is created that would hide a parent's settings from uv.
    """
    if _config_file(invocation) or _no_config(invocation) or _first(_given(_LINK_MODE, invocation)):
        return None
    for file in _project_files(root, invocation, read_text):
        if not file.key or _rejected(file.table, invocation) in {None, _LINK_MODE}:
            return SettingPlace(file.path, (*file.key, _LINK_MODE))
    return SettingPlace(root / "pyproject.toml", (*_TOOL_UV, _LINK_MODE))


def _link_mode(files: Sequence[_File], invocation: Invocation) -> Setting:
    claims = _claims(_LINK_MODE, files, invocation)
    winner = _first(claims) or _Claim(_default_link_mode(invocation), _DEFAULT)
    return Setting(value=_LINK_MODES[winner.value], origin=winner.origin, ignored=_ignored(claims, winner))


def _cache_dir(files: Sequence[_File], invocation: Invocation, read_text: ReadText) -> Setting:
    claims = _claims(_CACHE_DIR, files, invocation)
    if no_cache := _no_cache(files, invocation):
        value, winner = _temporary_directory(invocation), no_cache
    else:
        winner = _first(claims) or _Claim(str(_default_cache_dir(invocation, read_text)), _DEFAULT)
        value = invocation.directory / winner.value
    return Setting(value=str(value), origin=winner.origin, ignored=_ignored(claims, winner))


def _ignored(claims: Iterable[_Claim], winner: _Claim) -> tuple[Ignored, ...]:
    return tuple(
        Ignored(value=claim.value, origin=claim.origin, reason=claim.void or f"{_name(winner)} comes first")
        for claim in claims
        if claim is not winner
    )


# --- who claims what ----------------------------------------------------------------------


def _claims(key: str, files: Sequence[_File], invocation: Invocation) -> tuple[_Claim, ...]:
    """Every place that sets the key, in uv's order."""
    return (*_given(key, invocation), *(_claim(key, file, invocation) for file in files if key in file.table))


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
    """What the command line and the environment say; uv does not even read the variable of an option that is given."""
    option, argument = _argument(key, invocation.arguments)
    if argument is not None:
        yield _stated(key, argument, Origin(kind="command-line", key=option), invocation)
    variable = f"UV_{key.upper().replace('-', '_')}"
    if (value := invocation.environ.get(variable)) is not None:
        claim = _stated(key, value, Origin(kind="environment", key=variable), invocation)
        yield claim if argument is None else replace(claim, void=f"`{option}` comes first")


def _stated(key: str, value: str, origin: Origin, invocation: Invocation) -> _Claim:
    """A claim in plain words; to set a variable to nothing is as wrong as any wrong value."""
    meaning = _BOOLEANS.get(value.lower()) if key in _SWITCHES else value
    return _Claim(meaning or value, origin, None if meaning and _is_valid(key, meaning, invocation) else _STOPS)


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


def _claim(key: str, file: _File, invocation: Invocation) -> _Claim:
    value = file.table[key]
    span = locate(file.text).pair((*file.key, key))
    place = range_of(file.text, span) if span else None
    origin = Origin(
        kind=file.kind,
        path=file.path,
        key=".".join((*file.key, key)),
        line=place.start.line + 1 if place else None,
        range=place,
    )
    written = str(value).lower() if isinstance(value, bool) else str(value)
    return _Claim(written, origin, file.void or (None if _is_valid(key, value, invocation) else _STOPS))


def _is_valid(key: str, value: object, invocation: Invocation) -> bool:
    if key == _NO_CACHE:
        return isinstance(value, bool) or value in _BOOLEANS.values()
    if key == _LINK_MODE:
        known = isinstance(value, str) and value in _LINK_MODES
        return known and (value != "reflink" or invocation.since(_KNOWS_REFLINK))
    return isinstance(value, str)


def _rejected(table: Mapping[str, object], invocation: Invocation) -> str | None:
    """A key for whose value uv rejects the whole table; only our own keys are judged, `link-mode` last."""
    keys = (_CACHE_DIR, _NO_CACHE, _LINK_MODE)
    return next((key for key in keys if key in table and not _is_valid(key, table[key], invocation)), None)


# --- the files uv reads -------------------------------------------------------------------


def _files(root: Path, invocation: Invocation, read_text: ReadText) -> Iterator[_File]:
    """Every file that uv reads, or that looks as if it should, in uv's order."""
    config_file = _config_file(invocation)
    if config_file:
        yield from _uv_toml(config_file.origin.kind, invocation.directory / config_file.value, read_text)
    overruling = config_file or _no_config(invocation)
    for file in (
        *_project_files(root, invocation, read_text),
        *_member_files(root, invocation, read_text),
        *_user_file(invocation, read_text),
        *_system_file(invocation, read_text),
    ):
        yield replace(file, void=f"{_name(overruling)} keeps uv from reading the file") if overruling else file


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
        of_uv = tuple(_uv_toml(kind, directory / "uv.toml", read_text))
        of_project = tuple(_pyproject(kind, directory / "pyproject.toml", read_text))
        yield from of_uv
        for file in of_project:
            rejected = _rejected(file.table, invocation)
            if of_uv:
                yield replace(file, void="the `uv.toml` beside it replaces the whole `[tool.uv]` table")
            elif rejected:
                yield replace(file, void=f"uv rejects this `{rejected}`, and with it the whole `[tool.uv]` table")
            else:
                yield file
                return
        if of_uv:
            return


def _member_files(root: Path, invocation: Invocation, read_text: ReadText) -> Iterator[_File]:
    """What stands below the root, down to where uv is run."""
    upwards = (invocation.directory, *invocation.directory.parents)
    for below in takewhile(root.__ne__, upwards if root in upwards else ()):
        for file in (
            *_uv_toml("project", below / "uv.toml", read_text),
            *_pyproject("project", below / "pyproject.toml", read_text),
        ):
            yield replace(file, void="uv reads settings at the root of the workspace, not in its members")


def _user_file(invocation: Invocation, read_text: ReadText) -> Iterator[_File]:
    home, environ = invocation.home, invocation.environ
    if invocation.platform is Platform.WINDOWS:
        directory = _absolute(environ.get("APPDATA"), home) or home / "AppData" / "Roaming"
    else:
        directory = _absolute(environ.get("XDG_CONFIG_HOME"), home) or home / ".config"
    return _uv_toml("user", directory / "uv" / "uv.toml", read_text)


def _system_file(invocation: Invocation, read_text: ReadText) -> Iterator[_File]:
    """The first there is, in versions of uv that read one, and unless a variable forbids it."""
    environ, path = invocation.environ, type(invocation.home)
    forbidden = _BOOLEANS.get(environ.get("UV_NO_SYSTEM_CONFIG", "").lower()) == "true"
    if not invocation.since(_READS_SYSTEM_FILE) or (forbidden and invocation.since(_MAY_SKIP_SYSTEM_FILE)):
        return
    if invocation.platform is Platform.WINDOWS:
        drive = environ.get("SYSTEMDRIVE")
        directories = [path(f"{drive}\\", "ProgramData")] if drive else []
    else:
        named = (environ.get("XDG_CONFIG_DIRS") or "/etc/xdg").split(":")
        directories = [path(directory) for directory in (*takewhile(bool, named), "/etc")]
    for directory in directories:
        if file := next(_uv_toml("system", directory / "uv" / "uv.toml", read_text), None):
            yield file
            return


def _uv_toml(kind: str, path: Path, read_text: ReadText) -> Iterator[_File]:
    text = read_text(path)
    if text is not None:
        yield _File(kind, path, (), text, _table(text, ()) or {})


def _pyproject(kind: str, path: Path, read_text: ReadText) -> Iterator[_File]:
    """Nothing for one without `[tool.uv]`, at which uv does not even stop."""
    text = read_text(path)
    if text is not None and (table := _table(text, _TOOL_UV)) is not None:
        yield _File(kind, path, _TOOL_UV, text, table)


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
