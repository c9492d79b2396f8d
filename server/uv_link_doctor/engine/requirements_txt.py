"""What a requirements file says, line by line, and where: requirements, and the files it takes in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from uv_link_doctor.engine.model import Span
from uv_link_doctor.engine.toml_text import BYTE_ORDER_MARK


class Says(Enum):
    """What a line is for; options such as `--index-url` are for nothing of ours."""

    REQUIREMENT = "requirement"
    EDITABLE = "editable"
    INCLUDE = "include"
    CONSTRAINT = "constraint"


@dataclass(frozen=True, slots=True)
class Entry:
    """A line with all that continues it."""

    says: Says
    value: str
    """The requirement, or the path of a file, in one line and without comments and per-requirement options."""
    span: Span
    """Where that stands; over several lines where it does."""


_LINE = re.compile(r"(?:[^\\\r\n]++|\\\r?\n|\\|\r(?!\n))*")
"""A logical line: a backslash before its end continues it."""
_COMMENT_LINE = re.compile(r"[^\n]*")
_CONTINUATION = re.compile(r"\\\r?\n")
_END = re.compile(r"(?:^|(?<=\s))#|(?<=\s)--?[A-Za-z]")
"""What ends a requirement: a comment, or an option of its own (`--hash`, `--config-settings`)."""
_COMMENT = re.compile(r"(?:^|(?<=\s))#")
_OPTIONS = {
    Says.EDITABLE: ("--editable", "-e"),
    Says.INCLUDE: ("--requirement", "-r"),
    Says.CONSTRAINT: ("--constraint", "-c"),
}
_OPTION = {
    says: re.compile(rf"(?:{long}(?:\s*=\s*|\s+)|{short}(?:\s*=\s*|\s*))(?=\S)")
    for says, (long, short) in _OPTIONS.items()
}
_EGG = re.compile(r"#egg=([A-Za-z0-9._-]+)")
_WHEEL = re.compile(r"([A-Za-z0-9._]+)-[^/\\]+\.whl(?:[\s#?;[]|$)")
_PLACE = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:|[.~]|.*[/\\]|\S+\.(?:whl|zip|tar\.\w+|tgz|tbz)(?:\[|$)")


@lru_cache(maxsize=16)
def entries(text: str) -> tuple[Entry, ...]:
    """Everything of a requirements file that concerns an install's packages, in its order."""
    return tuple(_entries(text))


def is_place(value: str) -> bool:
    """Whether a requirement is a path or an address instead of a name; what is behind it, uv is left to judge."""
    return _PLACE.match(value) is not None or "${" in value


def name_of_place(value: str) -> str | None:
    """The package that a path or an address promises, by `#egg=` or the name of a wheel."""
    match = _EGG.search(value) or _WHEEL.search(value)
    return match[1] if match else None


def _entries(text: str) -> Iterator[Entry]:
    at = len(BYTE_ORDER_MARK) if text.startswith(BYTE_ORDER_MARK) else 0
    while at < len(text):
        if text[at] in " \t\r\n":
            at += 1
            continue
        # No backslash continues a comment.
        line = (_COMMENT_LINE if text[at] == "#" else _LINE).match(text, at)
        end = at if line is None else line.end()
        if entry := _entry(text, Span(at, end)):
            yield entry
        at = end + 1


def _entry(text: str, line: Span) -> Entry | None:
    # Continuations become as many blanks, so that offsets stay what they are.
    said = _CONTINUATION.sub(lambda found: " " * len(found[0]), text[line.start : line.end])
    if not said.startswith("-"):
        return _from(said, line, Says.REQUIREMENT, 0, _END)
    for says, option in _OPTION.items():
        if match := option.match(said):
            return _from(said, line, says, match.end(), _COMMENT if says is not Says.EDITABLE else _END)
    return None


def _from(said: str, line: Span, says: Says, start: int, ending: re.Pattern[str]) -> Entry | None:
    end = ending.search(said, start)
    value = said[start : end.start() if end else len(said)].rstrip()
    if not value.strip():
        return None
    start += len(value) - len(value.lstrip())
    value = value.strip()
    unquoted = value[1:-1] if says is not Says.REQUIREMENT and value[0] == value[-1] and value[0] in "\"'" else value
    return Entry(says, " ".join(unquoted.split()), Span(line.start + start, line.start + start + len(value)))
