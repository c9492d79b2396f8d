"""The settings a user gives the doctor, read from whatever a client sends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from uv_link_doctor.engine.model import Cause, Code


class OnSave(StrEnum):
    """What a saved file starts."""

    SYNC = "sync"
    CHECK = "check"
    OFF = "off"


class Trace(StrEnum):
    """How much of what uv prints goes to the client's log when all is well; a failed run is always logged."""

    OFF = "off"
    MESSAGES = "messages"
    VERBOSE = "verbose"


@dataclass(frozen=True, slots=True)
class Options:
    """The settings in force; the field names are those of `uvLinkDoctor.*` in Python's spelling."""

    on_save: OnSave = OnSave.SYNC
    uv_path: str | None = None
    sync_args: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables added to uv's environment; an empty value unsets one."""
    trace: Trace = Trace.OFF
    ignore: frozenset[str] = frozenset()
    """Codes and causes that are not shown."""
    passive: bool = False
    """No trial files."""
    trusted: bool = True
    """False: nothing is run and nothing is written."""


_NAMES_TO_IGNORE = frozenset(code.value for code in Code) | frozenset(cause.value for cause in Cause)


def read_options(data: object, *, trusted: bool = True) -> tuple[Options, tuple[str, ...]]:
    """The options in a client's `uvLinkDoctor` section, and a sentence for each value that is not usable.

    A bad value leaves its default in force; a name we do not know is another version's and is passed over.
    """
    if data is not None and not isinstance(data, Mapping):
        return Options(trusted=trusted), ("The settings `uvLinkDoctor` must be an object; the defaults are used.",)
    known: dict[str, object] = {"trusted": trusted}
    complaints = []
    for name, (field_name, read, expected) in _READERS.items():
        if (given := (data or {}).get(name)) is None:
            continue
        try:
            known[field_name] = read(given)
        except (ValueError, TypeError):
            complaints.append(f"The setting `uvLinkDoctor.{name}` must be {expected}; its default is used.")
    return Options(**known), tuple(complaints)  # type: ignore[arg-type]  # each reader gives its field's type


def _text(given: object) -> str | None:
    if not isinstance(given, str) or "\0" in given:
        raise TypeError
    return given.strip() or None


def _flag(given: object) -> bool:
    if not isinstance(given, bool):
        raise TypeError
    return given


def _texts(given: object) -> tuple[str, ...]:
    if not isinstance(given, list) or not all(isinstance(item, str) and "\0" not in item for item in given):
        raise TypeError
    return tuple(given)


def _variables(given: object) -> dict[str, str]:
    if not isinstance(given, Mapping):
        raise TypeError
    _texts([*given.values()])
    if any(not name or "=" in name for name in _texts([*given])):
        raise ValueError  # No system could hand such a variable on.
    return dict(given)


def _names(given: object) -> frozenset[str]:
    names = frozenset(_texts(given))
    if names - _NAMES_TO_IGNORE:
        raise ValueError
    return names


_READERS: dict[str, tuple[str, Callable[[object], object], str]] = {
    "onSave": ("on_save", lambda given: OnSave(str(given)), "`sync`, `check` or `off`"),
    "uvPath": ("uv_path", _text, "the path of a uv executable"),
    "syncArgs": ("sync_args", _texts, "a list of strings"),
    "environment": ("environment", _variables, "an object of strings"),
    "trace": ("trace", lambda given: Trace(str(given)), "`off`, `messages` or `verbose`"),
    "ignore": ("ignore", _names, "a list of codes and causes"),
    "passive": ("passive", _flag, "true or false"),
}
"""By the client's name: our field, how a value is read (ValueError or TypeError where it is not usable), its form."""
