"""Where every header, key and value of a TOML text stands, and the smallest edit that changes one of them.

`tomllib` says what a document means; a path here leads to the same value there. Paths name tables and keys, with an
index below every array: `("project", "dependencies", 2)`, `("package", 0, "name")`.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from uv_link_doctor.engine.model import Position, Range, Span, TextEdit

TomlPath = tuple[str | int, ...]

BYTE_ORDER_MARK = "\ufeff"
"""May open a file. Editors keep it out of their buffer, so no position counts it; offsets and spans do."""

_DEEPEST = 100
"""Longer paths are not followed into arrays and inline tables, so that no text can exhaust the stack."""

# So that no text takes more than linear time, characters are taken for good (`*+`), and no group can match the same
# text in two ways; groups are not possessive themselves: Python 3.11.0 to 3.11.4 matches those wrongly (gh-106052).
_BLANK = re.compile(r"(?:[ \t\r\n]++|#[^\n]*+)*")
_COMMA = re.compile(rf"{_BLANK.pattern}(?:,{_BLANK.pattern})?")
_BASIC = r'"[^"\\\n]*+(?:\\.[^"\\\n]*+)*"'
_LITERAL = r"'[^'\n]*+'"
_PART = rf"(?:[A-Za-z0-9_-]++|{_BASIC}|{_LITERAL})"
_KEY_PART = re.compile(_PART)
_KEY = rf"{_PART}(?:[ \t]*+\.[ \t]*+{_PART})*"
_KEY_AND_EQUALS = re.compile(rf"({_KEY})[ \t]*+=[ \t]*+")
_HEADER = re.compile(rf"(\[)?\[[ \t]*+({_KEY})[ \t]*+\](?(1)\])(?=[ \t]*+(?:#|\r?\n|\Z))")
_SIMPLE_VALUE = re.compile(
    rf'(?!"""){_BASIC}|(?!\'\'\'){_LITERAL}'
    r"|true\b|false\b|[+-]?(?:inf\b|nan\b|[0-9][0-9A-Za-z_.:+-]*+(?:(?<=-[0-9]{2})[ ][0-9]{2}:[0-9Z:.+-]++)?)"
)
# The closing quotes of a multi-line string may touch up to two quotes that belong to it.
_MULTILINE_STRING = re.compile(
    r'"""(?:[^"\\]++|\\[\s\S]|"(?!""))*"{3,5}+'
    r"|'''(?:[^']++|'(?!''))*'{3,5}+"
)
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_WHERE = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class TomlText:
    """The places `locate` found; spans are offsets into `text`, which may begin with a byte order mark."""

    text: str
    headers: Mapping[TomlPath, Span]
    """`[table]` and `[[table]]` with their brackets; the path of the latter ends in the index of its element."""
    keys: Mapping[TomlPath, Span]
    """A dotted key is one key: the whole of it stands under the path of the value it is given."""
    values: Mapping[TomlPath, Span]
    """What stands after each key, and each item of an array."""

    def pair(self, path: TomlPath) -> Span | None:
        """From the key to the end of its value; None for an item of an array and for what is not there."""
        if (key := self.keys.get(path)) and (value := self.values.get(path)):
            return Span(key.start, value.end)
        return None


@dataclass(frozen=True, slots=True)
class TomlProblem:
    """Why a text is not TOML, in tomllib's words, and where it noticed."""

    message: str
    position: Position


@lru_cache(maxsize=8)
def locate(text: str) -> TomlText:
    """The places of all that can be read; a line that is no TOML hides itself, not what follows."""
    return _Scan(text).document()


@lru_cache(maxsize=16)
def parse(text: str) -> dict[str, object] | TomlProblem:
    """What the document means; a byte order mark before it is no part of it.

    Remembered, since one save asks for the same few texts again and again: nobody may change the answer.
    """
    try:
        return tomllib.loads(text.removeprefix(BYTE_ORDER_MARK))
    except RecursionError:
        return TomlProblem("Arrays or inline tables are nested too deeply", Position(0, 0))
    except ValueError as error:  # Also of an integer of more digits than Python converts.
        return _problem(text, str(error))


def set_value(text: str, path: tuple[str, ...], literal: str) -> TextEdit | None:
    """The edit after which `path` has the value that `literal` writes, in the style in which `text` keeps that table.

    `text` is TOML. None where no single insertion can do it: `path` is a table already, or a step on the way to it
    is a value or an array of tables.
    """
    found = locate(text)
    if path in found.values:
        return TextEdit(found.values[path], literal)
    if any(other[: len(path)] == path for other in (*found.headers, *found.keys)):
        return None
    for depth in reversed(range(1, len(path))):
        ancestor = path[:depth]
        if (*ancestor, 0) in found.headers:
            return None
        if inline := found.values.get(ancestor):
            return _into_inline_table(text, inline, _pair(path[depth:], literal))
    if home := _home(found, path[:-1]):
        owner, end = home
        return _below(text, end, _pair(path[len(owner) :], literal))
    return _new_table(found, path, literal)


def string_span(text: str, value: Span) -> Span | None:
    """What stands between the quotes of a string; without the line end that TOML drops after opening `\"\"\"`.

    None for a value that is no string.
    """
    written = text[value.start : value.end]
    if written[:1] not in {'"', "'"}:
        return None
    if len(written) < len('""""""') or written[:3] not in {'"""', "'''"}:
        return Span(value.start + 1, value.end - 1)
    start = value.start + 3
    for line_end in ("\r\n", "\n"):
        if text.startswith(line_end, start):
            return Span(start + len(line_end), value.end - 3)
    return Span(start, value.end - 3)


# --- positions ----------------------------------------------------------------------------


def range_of(text: str, span: Span) -> Range:
    """The span as an editor counts it."""
    return Range(position_at(text, span.start), position_at(text, span.end))


def position_at(text: str, offset: int) -> Position:
    """The place of an offset in code points; lines end at LF and CRLF only, as TOML says and editors agree."""
    starts = _line_starts(text)
    line = max(bisect_right(starts, offset) - 1, 0)
    return Position(line, _utf16_length(text[starts[line] : offset]))


def offset_at(text: str, position: Position) -> int:
    """The reverse of `position_at`; a position past the end of its line, or of the text, is that end."""
    starts = _line_starts(text)
    if position.line >= len(starts):
        return len(text)
    start = starts[position.line]
    line = text[start : starts[position.line + 1]] if position.line + 1 < len(starts) else text[start:]
    line = line.removesuffix("\n").removesuffix("\r")
    if line.isascii():
        return start + min(position.character, len(line))
    units = 0
    for index, character in enumerate(line):
        units += 2 if character > "\uffff" else 1
        if units > position.character:
            return start + index
    return start + len(line)


@lru_cache(maxsize=8)
def _line_starts(text: str) -> tuple[int, ...]:
    """The first line starts after a byte order mark: so no position counts it."""
    return (len(BYTE_ORDER_MARK) * text.startswith(BYTE_ORDER_MARK), *(end.end() for end in re.finditer("\n", text)))


def _utf16_length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


# --- reading ------------------------------------------------------------------------------


class _UnreadableError(Exception):
    """No TOML from `at` on."""

    def __init__(self, at: int) -> None:
        self.at = at


class _Scan:
    """One walk through a text; each method takes the offset to read from and gives the offset after what it read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.headers: dict[TomlPath, Span] = {}
        self.keys: dict[TomlPath, Span] = {}
        self.values: dict[TomlPath, Span] = {}
        self.last_index: dict[TomlPath, int] = {}
        """Of each array of tables so far."""

    def document(self) -> TomlText:
        text = self.text
        table: TomlPath = ()
        at = self.past(_BLANK, len(BYTE_ORDER_MARK) if text.startswith(BYTE_ORDER_MARK) else 0)
        while at < len(text):
            try:
                if text[at] == "[":
                    table, end = self.header(at)
                else:
                    end = self.pair(table, at)
            except _UnreadableError as unreadable:
                end = self.next_line(at, unreadable.at)
            at = self.past(_BLANK, end)
        return TomlText(text, self.headers, self.keys, self.values)

    def next_line(self, start: int, stop: int) -> int:
        """The line at which to go on: that of `stop` itself if what began at `start` is an array left open above it."""
        if line := self.text.rfind("\n", start, stop) + 1:
            return line
        return self.text.find("\n", stop) + 1 or len(self.text)

    def header(self, at: int) -> tuple[TomlPath, int]:
        if not (match := _HEADER.match(self.text, at)):
            raise _UnreadableError(at)
        path: TomlPath = ()
        parts = _parts(match[2])
        for part in parts[:-1]:
            path = self.element((*path, part))
        path = (*path, parts[-1])
        if match[1]:
            self.last_index[path] = self.last_index.get(path, -1) + 1
        path = self.element(path)
        self.headers[path] = Span(at, match.end())
        return path, match.end()

    def element(self, path: TomlPath) -> TomlPath:
        """A table's own path, or that of the last element of an array of tables."""
        return (*path, self.last_index[path]) if path in self.last_index else path

    def pair(self, table: TomlPath, at: int) -> int:
        if not (match := _KEY_AND_EQUALS.match(self.text, at)):
            raise _UnreadableError(at)
        path = (*table, *_parts(match[1]))
        end = self.value(path, match.end())
        self.keys[path] = Span(at, match.end(1))
        return end

    def value(self, path: TomlPath, at: int) -> int:
        if simple := _SIMPLE_VALUE.match(self.text, at):
            end = simple.end()
        elif self.text.startswith("[", at):
            end = self.items("]", path, at)
        elif self.text.startswith("{", at):
            end = self.items("}", path, at)
        else:
            end = self.past(_MULTILINE_STRING, at)
        self.values[path] = Span(at, end)
        return end

    def items(self, closing: str, path: TomlPath, at: int) -> int:
        """An array or inline table; a comma may be missing, as it is while one is typed."""
        if len(path) > _DEEPEST:
            raise _UnreadableError(at)
        at, index = self.past(_BLANK, at + 1), 0
        while not self.text.startswith(closing, at):
            end = self.value((*path, index), at) if closing == "]" else self.pair(path, at)
            at, index = self.past(_COMMA, end), index + 1
        return at + 1

    def past(self, pattern: re.Pattern[str], at: int) -> int:
        if not (match := pattern.match(self.text, at)):
            raise _UnreadableError(at)
        return match.end()


def _parts(key: str) -> tuple[str, ...]:
    if '"' not in key and "'" not in key:
        return tuple(part.strip(" \t") for part in key.split("."))
    return tuple(_unquoted(part) for part in _KEY_PART.findall(key))


def _unquoted(part: str) -> str:
    if part[0] not in {'"', "'"}:
        return part
    if part[0] == "'" or "\\" not in part:
        return part[1:-1]
    try:
        return str(tomllib.loads(f"key = {part}")["key"])
    except tomllib.TOMLDecodeError:
        return part[1:-1]


def _problem(text: str, words: str) -> TomlProblem:
    """From tomllib's message, which alone says where in all versions of Python; its columns count code points."""
    if not (match := _WHERE.fullmatch(words)):
        return TomlProblem(words, Position(0, 0))
    message, line, column = match.groups()
    offset = _line_starts(text)[int(line) - 1] + int(column) - 1 if line else len(text)
    return TomlProblem(message, position_at(text, offset))


# --- editing ------------------------------------------------------------------------------


def _into_inline_table(text: str, table: Span, pair: str) -> TextEdit | None:
    if text[table.start] != "{":
        return None
    start = table.start + 1
    if text[start : table.end - 1].strip():
        return _insert(start, f" {pair}," if text[start].isspace() else f" {pair}, ")
    return TextEdit(Span(start, table.end - 1), f" {pair} ")


def _home(found: TomlText, table: TomlPath) -> tuple[TomlPath, int] | None:
    """Where the keys of a table are written: under whose header, and the end of what a new key is to follow.

    A table that exists through dotted keys under another's header (or at the top) cannot be given one of its own.
    """
    if header := found.headers.get(table):
        return table, header.end
    home = None
    for path, key in found.keys.items():
        if path[: len(table)] == table:
            owner = path[: -len(_parts(found.text[key.start : key.end]))]
            if len(owner) < len(table) or not owner:
                home = owner, found.values[path].end
    return home


def _new_table(found: TomlText, path: TomlPath, literal: str) -> TextEdit:
    """Above what already stands of the table, be it only `[tool.uv.sources]`; else at the end."""
    text, table = found.text, path[:-1]
    newline = _newline(text)
    block = _pair(path[-1:], literal) + newline
    if table:
        block = f"[{_dotted(table)}]{newline}{block}"
    if following := [span.start for other, span in found.headers.items() if other[: len(table)] == table]:
        return _insert(_with_comment_above(found, min(following)), block + newline)
    return _insert(len(text), _gap(text, blank_line=bool(table)) + block)


def _below(text: str, offset: int, line: str) -> TextEdit:
    """`line` as a line of its own, below the one in which `offset` stands."""
    newline = _newline(text)
    if end := text.find("\n", offset) + 1:
        return _insert(end, line + newline)
    return _insert(len(text), newline + line + newline)


def _with_comment_above(found: TomlText, header: int) -> int:
    """The start of a header's line, or of the comment directly above it: the comment speaks of the header."""
    text = found.text
    spans = (*found.headers.values(), *found.values.values())
    floor = max((span.end for span in spans if span.end <= header), default=_line_starts(text)[0])
    start = _line_start(text, header)
    while start > floor:
        above = _line_start(text, start - 1)
        if above < floor or not text[above:start].lstrip().startswith("#"):
            break
        start = above
    return start


def _line_start(text: str, offset: int) -> int:
    return text.rfind("\n", 0, offset) + 1 or _line_starts(text)[0]


def _gap(text: str, *, blank_line: bool) -> str:
    """What separates the last line of a text from one that is added."""
    newline, rest = _newline(text), text.removeprefix(BYTE_ORDER_MARK)
    ended = not rest or rest.endswith("\n")
    return newline * ((not ended) + (blank_line and bool(rest) and not rest.endswith(("\n\n", "\n\r\n"))))


def _pair(keys: TomlPath, literal: str) -> str:
    return f"{_dotted(keys)} = {literal}"


def _dotted(keys: TomlPath) -> str:
    return ".".join(str(key) if _BARE_KEY.fullmatch(str(key)) else _quoted(str(key)) for key in keys)


def _quoted(key: str) -> str:
    return '"' + re.sub(r'["\\\x00-\x1f\x7f]', lambda match: f"\\u{ord(match[0]):04x}", key) + '"'


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def _insert(at: int, new_text: str) -> TextEdit:
    return TextEdit(Span(at, at), new_text)
