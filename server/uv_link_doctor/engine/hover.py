"""What a hover says of a setting or a requirement: the value in force, who set it, and what linking costs here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from uv_link_doctor.engine import manifests
from uv_link_doctor.engine.costs import mode_words, place_words, size_words
from uv_link_doctor.engine.model import (
    LinkMode,
    Operation,
    Origin,
    Places,
    Position,
    Project,
    Range,
    Requirement,
    Setting,
    Trial,
    Weight,
)
from uv_link_doctor.engine.toml_text import TomlText, locate, range_of

_SETTINGS = ("link-mode", "cache-dir")
_TABLES = (("tool", "uv"), ("tool", "uv", "pip"), (), ("pip",))
"""Where they can stand: in a pyproject.toml, in a uv.toml."""
_DEFAULTS = {
    "link-mode": "uv's default",
    "cache-dir": "uv's default place",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What was learnt of a project by earlier looks; None for what was not."""

    project: Project
    places: Places | None = None
    weight: Weight | None = None


def hover(path: Path, text: str, position: Position, known: Known) -> tuple[Range, str] | None:
    """The Markdown to show at a position (UTF-16) of a file, and what it is about; None for any other place.

    Looks nothing up: it says what is known already.
    """
    found = locate(text)
    for table in _TABLES:
        for key in _SETTINGS:
            span = found.pair((*table, key))
            if span and _holds(place := range_of(text, span), position):
                return place, _setting(key, known)
    header = _tool_uv(found, text)
    if header and _holds(header, position):
        return header, "\n\n".join(_setting(key, known) for key in _SETTINGS)
    if path == known.project.manifest.path:
        for requirement in manifests.requirements(known.project.manifest):
            if _holds(requirement.location.range, position):
                return requirement.location.range, "\n\n".join(_requirement(requirement, known))
    return None


def _holds(place: Range, position: Position) -> bool:
    start, end, here = ((it.line, it.character) for it in (place.start, place.end, position))
    return start <= here <= end


def _tool_uv(found: TomlText, text: str) -> Range | None:
    """The line `[tool.uv]`."""
    span = found.headers.get(("tool", "uv"))
    return range_of(text, span) if span else None


def _setting(key: str, known: Known) -> str:
    return "\n\n".join(_link_mode(known) if key == "link-mode" else _cache_dir(known))


def _link_mode(known: Known) -> Iterator[str]:
    setting = known.project.settings.link_mode
    yield f"**`link-mode`: `{setting.value}`**, {_set_by('link-mode', setting.origin)}"
    yield _links(known)
    trial = known.places.trial if known.places else Trial()
    modes = [f"- `{mode}` {mode_words(mode, trial, known.weight)}" for mode in LinkMode]
    yield "\n".join(["What each mode does with this cache and this environment:", "", *modes])
    yield from _ignored(setting)


def _cache_dir(known: Known) -> Iterator[str]:
    setting = known.project.settings.cache_dir
    yield f"**`cache-dir`: `{setting.value}`**, {_set_by('cache-dir', setting.origin)}"
    if known.places:
        cache, environment = known.places.cache, known.places.environment
        free = f", {size_words(cache.free_bytes)} free" if cache.free_bytes is not None else ""
        yield f"The cache is on {place_words(cache)}{free}, the environment on {place_words(environment)}."
    yield _links(known)
    yield from _ignored(setting)


def _requirement(requirement: Requirement, known: Known) -> Iterator[str]:
    mode = known.project.settings.link_mode
    size = (known.weight.each if known.weight else {}).get(requirement.name)
    weight = f" is {size[0]} files, {size_words(size[1])}, in uv's cache" if size else " is not known in uv's cache"
    yield f"`{requirement.name}`{weight}."
    yield f"It is installed with `link-mode` `{mode.value}`, {_set_by('link-mode', mode.origin)}. {_links(known)}"


def _links(known: Known) -> str:
    """Whether linking works between the two places, in one sentence."""
    works = known.places.trial.works if known.places else {}
    if not works:
        return "Whether linking works here has not been tried yet."
    ways = {Operation.HARDLINK: "hard links", Operation.CLONE: "clones"}
    good = [words for way, words in ways.items() if works.get(way)]
    if good:
        synced = known.places and known.places.environment.synced_by
        spoiled = f", but the folder is synced by {synced}, which spoils the cache" if synced else ""
        return f"Linking works here: {' and '.join(good)}{spoiled}."
    if any(works.get(way) is None for way in ways):
        return "Whether linking works here has not been tried yet."
    return "Linking does not work here: uv copies."


def _set_by(key: str, origin: Origin) -> str:
    if origin.kind == "default":
        return _DEFAULTS[key]
    if origin.path is None:
        return f"set by {'the variable' if origin.kind == 'environment' else 'the option'} `{origin.key}`"
    line = f":{origin.line}" if origin.line else ""
    return f"set in `{origin.path}{line}`"


def _ignored(setting: Setting) -> Iterator[str]:
    if setting.ignored:
        lines = [
            f"- `{it.value}` in `{it.origin.path or it.origin.key}{f':{it.origin.line}' if it.origin.line else ''}`: "
            f"{it.reason}"
            for it in setting.ignored
        ]
        yield "\n".join(["Set, but without an effect:", "", *lines])
