"""Settings that have no effect where they stand, and those that uv refuses, as findings on their own lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from uv_link_doctor.engine import manifests
from uv_link_doctor.engine.model import (
    FILE_START,
    Code,
    Finding,
    Ignored,
    Location,
    Manifest,
    Origin,
    Rejected,
    Related,
    Setting,
    Settings,
    Severity,
)
from uv_link_doctor.engine.words import PAGES

_WRITTEN_BY_SOMEONE_HERE = frozenset({"project", "parent", "script"})
"""A user's or a system's file gives way to everything by design."""
_ALIASES = {"reflink": "clone"}
_OUTSIDE_OF_FILES = frozenset({"environment", "command-line"})


def setting_findings(
    settings: Settings, manifest: Manifest, root: Path, *, directory: Path, own_option: bool = False
) -> tuple[Finding, ...]:
    """A finding for each setting that uv refuses, then for each that is ignored though somebody relies on it.

    Nothing is said of ordinary layers (a user's file gives way to the project's), nor of a value that is in force.
    `directory` is where uv is run. `own_option`: the doctor itself adds the `--link-mode` that wins, so that what it
    overrides is no mistake.
    """
    refused = [_invalid(rejected, settings, manifest, root) for rejected in settings.rejected]
    ignored = [
        _ignored(key, it, setting, manifest, root)
        for key, setting in (("link-mode", settings.link_mode), ("cache-dir", settings.cache_dir))
        for it in setting.ignored
        if _matters(it, setting, directory) and not (own_option and it.by and it.by.key == "--link-mode")
    ]
    return tuple({finding.id: finding for finding in (*refused, *ignored)}.values())


def with_settings(found: Sequence[Finding], about: Sequence[Finding]) -> tuple[Finding, ...]:
    """Both, the gravest first; what uv itself says of a setting that it refuses is left out."""
    invalid = [it for it in about if it.code is Code.SETTING_INVALID]
    refused = {_line(place) for it in invalid for place in (it.location, *(more.location for more in it.related))}
    rest = [
        it
        for it in found
        if it.code is not Code.SYNC_FAILED or it.location is None or _line(it.location) not in refused
    ]
    return tuple(sorted((*rest, *about), key=lambda it: list(Severity).index(it.severity)))


def _line(place: Location | None) -> tuple[Path, int] | None:
    return (place.path, place.range.start.line) if place else None


def _matters(ignored: Ignored, setting: Setting, directory: Path) -> bool:
    meant = {ignored.value, str(directory / ignored.value), _ALIASES.get(ignored.value)}
    if ignored.origin.kind not in _WRITTEN_BY_SOMEONE_HERE or setting.value in meant:
        return False
    if ignored.kind == "overridden":
        return ignored.by is not None and (ignored.by.kind in _OUTSIDE_OF_FILES or _switches_cache_off(ignored.by))
    return ignored.kind in {"unread", "dropped"}


def _switches_cache_off(origin: Origin) -> bool:
    return (origin.key or "").endswith("no-cache")


# --- setting-ignored ----------------------------------------------------------------------


def _ignored(key: str, ignored: Ignored, setting: Setting, manifest: Manifest, root: Path) -> Finding:
    where = _where(ignored.origin, root)
    decides = f"in force is `{setting.value}`, {_set_by(setting.origin, root)}"
    return Finding(
        id=f"{Code.SETTING_IGNORED.value}:{_shown(ignored.origin, root)}:{ignored.origin.key}",
        code=Code.SETTING_IGNORED,
        severity=Severity.WARNING,
        cause=None,
        message=f"{PAGES[Code.SETTING_IGNORED].what}: `{key} = {_quoted(ignored.value)}` in {where}; {decides}",
        why=" ".join(_reason(ignored, root)),
        location=_place(ignored.origin, manifest, root),
        related=tuple(_related(ignored, setting)),
    )


def _reason(ignored: Ignored, root: Path) -> Iterator[str]:
    """Why uv passes over it, and what would give it a say."""
    by, own = ignored.by, ignored.origin
    if by is None:
        yield "uv reads settings only at the root of a workspace, and passes over those of its members without a word."
        yield f"Write it into the `[tool.uv]` table, or the `uv.toml`, of `{root}`."
    elif ignored.kind == "dropped":
        yield f"uv rejects `{by.key}`, and then drops the whole table in which it stands; it only warns of that."
        yield "Once that key is corrected, this setting counts."
    elif by.kind in _OUTSIDE_OF_FILES and ignored.kind == "unread":
        yield f"{_named(by)} keeps uv from reading this file at all."
        yield _without(by, "uv reads it again")
    elif by.kind in _OUTSIDE_OF_FILES:
        yield f"{_named(by)} comes before every file."
        yield _without(by, "this setting counts")
    elif by.path == own.path or _switches_cache_off(by):
        yield "With `no-cache` uv uses a fresh temporary directory for each run, and no `cache-dir`."
        yield "Remove one of the two."
    else:
        yield "A `uv.toml`, even an empty one, replaces the whole `[tool.uv]` table of the `pyproject.toml` beside it."
        yield "Move the setting into the `uv.toml`."


def _named(by: Origin) -> str:
    return f"The variable `{by.key}`" if by.kind == "environment" else f"The option `{by.key}`"


def _without(by: Origin, effect: str) -> str:
    undo = f"Unset `{by.key}`" if by.kind == "environment" else f"Leave `{by.key}` out"
    return f"{undo}, and {effect}."


def _related(ignored: Ignored, setting: Setting) -> Iterator[Related]:
    """Who is to blame, then who decides instead, where they are in files."""
    by, winner = ignored.by, setting.origin
    if by is not None and by.path is not None and by.path != winner.path:
        yield Related(Location(by.path, by.range or FILE_START), "because of this, it has no effect")
    if winner.path is not None:
        yield Related(Location(winner.path, winner.range or FILE_START), "this is in force")


# --- setting-invalid ----------------------------------------------------------------------


def _invalid(rejected: Rejected, settings: Settings, manifest: Manifest, root: Path) -> Finding:
    origin = rejected.origin
    location = _place(origin, manifest, root)
    stands = Location(origin.path, origin.range or FILE_START) if origin.path else location
    return Finding(
        id=f"{Code.SETTING_INVALID.value}:{_shown(origin, root)}:{origin.key or 'toml'}",
        code=Code.SETTING_INVALID,
        severity=Severity.ERROR,
        cause=None,
        message=f"{_refusal(rejected, root)} {rejected.fault}",
        why=_consequence(rejected, settings, root),
        location=location,
        related=() if stands.path == location.path else (Related(stands, "it stands here"),),
    )


def _refusal(rejected: Rejected, root: Path) -> str:
    origin = rejected.origin
    if origin.key is None:
        return f"uv cannot read its settings: {_where(origin, root)}"
    key = origin.key.removeprefix("tool.uv.")
    where = f" in {_where(origin, root)}" if origin.path else ""
    if rejected.value is None:
        return f"uv does not take this setting: `{key}`{where}"
    return f"{PAGES[Code.SETTING_INVALID].what}: `{key} = {_quoted(rejected.value)}`{where}"


def _consequence(rejected: Rejected, settings: Settings, root: Path) -> str:
    if not rejected.stops:
        instead = " and ".join(
            f"`{key}` is `{setting.value}`, {_set_by(setting.origin, root)}"
            for key, setting in (("link-mode", settings.link_mode), ("cache-dir", settings.cache_dir))
        )
        return f"uv only warns, drops the whole `[tool.uv]` table and goes on without it: {instead}."
    if rejected.origin.kind == "environment" and rejected.value == "":
        return "uv stops over it before it does anything. A variable without a value is not the same as none: unset it."
    return "uv stops over it before it does anything."


# --- places and names ---------------------------------------------------------------------


def _place(origin: Origin, manifest: Manifest, root: Path) -> Location:
    if origin.path is not None and (origin.kind == "script" or origin.path.is_relative_to(root)):
        return Location(origin.path, origin.range or FILE_START)
    return manifests.header(manifest)


def _where(origin: Origin, root: Path) -> str:
    line = f":{origin.line}" if origin.line else ""
    return f"`{_shown(origin, root)}{line}`"


def _shown(origin: Origin, root: Path) -> str:
    """The file, from the root where it is below; else the variable or the option."""
    if origin.path is None:
        return origin.key or origin.kind
    return (origin.path.relative_to(root) if origin.path.is_relative_to(root) else origin.path).as_posix()


def _set_by(origin: Origin, root: Path) -> str:
    if origin.kind == "default":
        return "uv's default"
    if origin.path is not None:
        return f"set in {_where(origin, root)}"
    return f"set by `{origin.key}`"


def _quoted(value: str) -> str:
    return value if value in {"true", "false"} or value.isdigit() else f'"{value}"'
