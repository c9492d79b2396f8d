"""The TOML that a Python script carries in its comments (PEP 723): what it says, where, and how to change it."""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache

from uv_link_doctor.engine import toml_text
from uv_link_doctor.engine.model import Position, Range, Span, TextEdit

_OPENING = re.compile(r"^# /// script(?=\r?$)", re.MULTILINE)
_LINE = re.compile(r"#(?: (?P<toml>[^\n]*))?(?P<end>\r?\n|\Z)")
_CLOSING = "///"


@dataclass(frozen=True, slots=True)
class Block:
    """The `# /// script` block of a text."""

    text: str
    """The whole of the script."""
    header: Span
    """The line that opens the block."""
    toml: str
    """What stands behind the `# ` of its lines, with their line ends."""
    lines: tuple[tuple[int, int, int], ...]
    """Of each line, and at last of the one that closes the block: where it starts in `toml`, where what it says starts
    in `text`, and where its `#` stands there."""

    def span(self, within: Span) -> Span:
        """A piece of `toml` as it stands in the script; over several lines, with the `# ` between them."""
        return Span(self._offset(within.start), self._offset(within.end))

    def range_of(self, within: Span) -> Range:
        """The same as an editor counts it."""
        return toml_text.range_of(self.text, self.span(within))

    def position(self, within: Position) -> Position:
        """A position in `toml` as one in the script."""
        return toml_text.position_at(self.text, self._offset(toml_text.offset_at(self.toml, within)))

    def _offset(self, offset: int) -> int:
        start, place, _ = self.lines[bisect_right(self.lines, offset, key=lambda line: line[0]) - 1]
        return place + offset - start


@lru_cache(maxsize=8)
def block(text: str) -> Block | None:
    """The block of a script; None for a text without one, or with one that nothing closes, which uv passes over too.

    As in uv (uv-scripts), it ends at the last `# ///` of the comment that begins with its first line.
    """
    opening = _OPENING.search(text)
    if opening is None:
        return None
    found: list[tuple[str, int, int]] = []
    closing = None
    at = text.find("\n", opening.end()) + 1 or len(text)
    while at < len(text) and (line := _LINE.match(text, at)):
        said = (line["toml"] or "").removesuffix("\r")
        if said == _CLOSING:
            closing = len(found)
        found.append((said + _line_end(line[0]), at + len("# ") if line["toml"] is not None else at + 1, at))
        at = line.end()
    if closing is None:
        return None
    lines, length = [], 0
    for said, place, mark in found[: closing + 1]:
        lines.append((length, place, mark))
        length += len(said)
    toml = "".join(said for said, _, _ in found[:closing])
    return Block(text=text, header=Span(opening.start(), opening.end()), toml=toml, lines=tuple(lines))


def set_value(text: str, path: tuple[str, ...], literal: str) -> TextEdit | None:
    """As `toml_text.set_value`, in the script's block; None also for a script without one."""
    found = block(text)
    change = None if found is None else toml_text.set_value(found.toml, path, literal)
    if found is None or change is None:
        return None
    if "\n" not in change.new_text:
        return TextEdit(found.span(change.span), change.new_text)
    # What is more than a part of a line begins and ends with lines, so it goes before the `#` of the one it meets.
    mark = next(mark for start, _, mark in found.lines if start == change.span.start)
    newline = _line_end(text[found.header.start : text.find("\n", found.header.end) + 1])
    commented = (f"# {line}".rstrip() + newline for line in change.new_text.splitlines())
    return TextEdit(Span(mark, mark), "".join(commented))


def _line_end(line: str) -> str:
    return "\r\n" if line.endswith("\r\n") else "\n" if line.endswith("\n") else ""
