"""What a text of uv says, whatever its version, terminal, log or language: link failures, another failure, or neither.

A text is cut into lines as they were printed, the lines are gathered into messages (what uv reports, and its causes,
unwrapped), and each message is a file that could not be placed, another complaint, or of no interest. All of it goes
forward through the text with a few lines in hand, so that a log of any size takes the same memory.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from functools import lru_cache
from itertools import chain, islice
from typing import Final

from uv_link_doctor.engine.causes import cause_of, in_cache, in_store
from uv_link_doctor.engine.model import Cause, Complaint, Failure, Operation, Outcome, Platform, Reading


def read(text: str | Iterable[str], platform: Platform | None = None) -> Reading:
    """The link failures of a text, whole or in pieces cut anywhere, merged, and what else went wrong in it.

    Numbers are read as those of `platform`; where it is None, each failure's own paths and words decide whose they
    are. What uv quotes of a build backend under `[stderr]` is no failure of uv. Linear in the length of the text.
    """
    lines = _Lines(text)
    failed: dict[Failure, None] = {}
    explained: set[str] = set()
    fallbacks: dict[object, _Fallback] = {}
    complaints: dict[str, _Message] = {}
    for message in _messages(lines):
        if message.level in {_Level.WARNING, _Level.LOG}:
            if fallback := _fallback(message):
                kind = (fallback.step.operation, fallback.os_error, bool(fallback.step.paths))
                if len(fallbacks) < _KINDS_AT_MOST:
                    fallbacks.setdefault(kind, fallback)
        elif failure := _failure(message, platform):
            failed[failure] = None
            if len(explained) < _KINDS_AT_MOST:
                explained.add(message.parts[0])
            if len(failed) > _KINDS_AT_MOST:
                failed = dict.fromkeys(merge(failed))
        elif message.level is _Level.ERROR and len(complaints) < _COMPLAINTS_AT_MOST:
            complaints.setdefault(message.parts[0], message)
    failures = merge([*failed, *_degraded(list(fallbacks.values()), platform)])
    complaint = _complaint(complaints.values(), explained)
    said = [failure.message for failure in failures] + ([complaint.message] if complaint else [])
    return Reading(
        platform=platform or next(filter(None, map(_platform_of, said)), None),
        failures=failures,
        complaint=complaint,
        installed=lines.installed(),
    )


_KINDS_AT_MOST: Final = 1_000
_COMPLAINTS_AT_MOST: Final = 50
"""Of what differs in a text that never ends, so much is kept; the failures beyond are merged as they come."""


def merge(failures: Iterable[Failure]) -> tuple[Failure, ...]:
    """One failure per (outcome, cause, operation), failed before degraded, otherwise in their order.

    One that covers several keeps the number and the words of the first, and of the package, the version and the paths
    what all share.
    """
    groups: dict[tuple[Outcome, Cause, Operation | None], Failure] = {}
    for failure in failures:
        key = (failure.outcome, failure.cause, failure.operation)
        groups[key] = _shared(groups[key], failure) if key in groups else failure
    return tuple(sorted(groups.values(), key=lambda failure: failure.outcome is not Outcome.FAILED))


def shown(line: str) -> bool:
    """Whether a line of a run of ours is for the user, and not one that uv logs because we asked for it."""
    return _LOGGED_FOR_US.match(_CODES.sub("", line)) is None


def waits(line: str) -> bool:
    """Whether uv says by this line that it waits for another uv to release the environment or the cache.

    Logged at `INFO` by `uv_fs` (0.7.22 to 0.13.9; 0.4.18 waits in silence).
    """
    return _WAITS.match(_CODES.sub("", line)) is not None


def _shared(one: Failure, other: Failure) -> Failure:
    """Two failures as one that covers both."""
    same_package = one.package == other.package
    return replace(
        one,
        package=one.package if same_package else None,
        version=one.version if same_package and one.version == other.version else None,
        source=one.source if one.source == other.source else None,
        target=one.target if one.target == other.target else None,
    )


# --- from a text to its lines ---------------------------------------------------------------

_CODES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]_P^][^\x07\x1b\r\n]{0,500}(?:\x07|\x1b\\))")
_TRACES_OF_CODES = re.compile(
    r"(?:(?:\^\[|←|\\(?:x1b|e|u001b|033))\[[\d;?]{0,40}[A-Za-z])"  # Codes that somebody made visible.
    r"|\[\d{1,3}(?:;\d{1,3}){0,9}m"  # Colours whose escape character got lost in a web page.
    r"|[\x00-\x08\x0b-\x1f\x7f\u200b\ufeff]"
)
_PREFIX = re.compile(
    r"""
    [ ]{0,3}>[ ]?                                                 # a quotation
    | ::[ ]                                                       # craft tools
    | \#?\d{1,4}[ ]\d{1,6}\.\d{1,3}[ ]                            # docker build: step and seconds
    | \d{1,6}\.\d{1,3}[ ]                                         # the same in its summary
    | \[(?!std(?:err|out)\][ ]?$)[^\]\[]{1,80}\]:?[ ]?                # a name, a level or a time in brackets
    | (?:\d{4}[-/]\d\d[-/]\d\d[T ])?\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?[ ]?
    | [A-Z][a-z]{2}[ ]{1,2}\d{1,2}[ ]\d\d:\d\d:\d\d[ ](?:[AP]M[ ])?(?:[\w.-]{1,64}[ ][\w./-]{1,64}(?:\[\d{1,9}\])?:[ ])?
    | [A-Za-z][\w./-]{0,63}[ ]{1,30}\|[ ]                         # docker compose
    | [^\t]{1,99}\t[^\t]{1,99}\t(?=\d{4}-)                        # gh run view: job and step
    | (?i:remote|stderr|stdout):?[ ](?:F[ ])?                     # git push, container logs
    | \#\#\[\w{1,20}\] | ::(?:error|warning)[^:]{0,200}::         # GitHub Actions
    | uvx?(?:\.exe)?[ ]:[ ]                                       # PowerShell
    | \*{1,3}(?=\S)                                               # bold text
    | [ ]{0,4}[●•⏺⎿└][ ]{1,3}                                     # agents and test runners
    """,
    re.VERBOSE,
)
_PREFIXES_AT_MOST: Final = 6
_PANEL = re.compile(r"[│┃](?P<inside>\s.*\s)[│┃]$")
_LINE_AT_MOST: Final = 16_000
"""Of a line only so many code points are read: no report of uv is longer."""

_QUOTED_END = re.compile(r"(?:\\r)?\\n(?=(?:Caused by|cause|error|warning|hint): |[\u00d7├╰│]|[ \t][ \t\u00d7├╰│])")
_CROSS: Final = "\N{MULTIPLICATION SIGN}"
_TREE: Final = ("├─▶", "╰─▶", _CROSS, "│")
_CODE_PAGES: Final = ("cp1252", "cp850", "cp437")
"""In which Windows reads the UTF-8 that uv writes to a pipe."""
_GARBLED: Final = ("Ã—", "â”", "├ù", "Ôò", "Ôö", "Γò", "Γö")


_BATCH: Final = 1 << 19
_RAW_LINE_AT_MOST: Final = 1 << 21
_KEPT: Final = 64
"""Lines of earlier batches that can be had again: more than any look ahead."""
_INSTALLED_AT_MOST: Final = 20_000


_INSTALLED = re.compile(r"(?<!\S)[+~] ([A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)==([^\s()]+)")


class _Lines:
    """The lines of a text as they were printed; what a carriage return lets overwrite is a line of its own.

    Lines have numbers from 0 on and are asked for in ascending order, except that the last few can be had again.
    """

    def __init__(self, text: str | Iterable[str]) -> None:
        self._batches = _batches(text)
        self._hand: list[str] = []
        self._first = 0
        self._told = self._told_before = False
        self._installed: dict[tuple[str, str], None] = {}

    def get(self, at: int) -> str | None:
        """One line; None beyond the end of the text."""
        while at - self._first >= len(self._hand):
            if not self._more():
                return None
        return self._hand[at - self._first]

    def some(self, at: int, number: int) -> Iterator[str]:
        """So many lines from one on, fewer at the end of the text."""
        for place in range(at, at + number):
            if (line := self.get(place)) is None:
                return
            yield line

    def telling(self, at: int) -> tuple[int, str] | None:
        """The next line, from this one on, that may open a message, and its number."""
        while True:
            if self._told or self._told_before:
                for place in range(max(at - self._first, 0), len(self._hand)):
                    line = self._hand[place]
                    if (
                        "ailed to " in line
                        or _CROSS in line
                        or "  x " in line
                        or (("error" in line or "warning" in line) and _LABELLED.search(line))
                    ):
                        return self._first + place, line
            at = self._first + len(self._hand)
            if not self._more():
                return None

    def installed(self) -> tuple[tuple[str, str], ...]:
        """What uv says, in the lines so far, it put in place, in its order."""
        return tuple(dict.fromkeys((_normalised(name), version) for name, version in self._installed))

    def _more(self) -> bool:
        """Takes the next lines in hand, of those before them only a few; False at the end of the text."""
        batch = next(self._batches, None)
        if batch is None:
            return False
        lines = batch.split("\n")
        if "==" in batch and len(self._installed) < _INSTALLED_AT_MOST:
            marked = (line for line in lines if "==" in line and ("+ " in line or "~ " in line))
            self._installed.update(dict.fromkeys((it[1], it[2]) for line in marked if (it := _INSTALLED.search(line))))
        kept = self._hand[-_KEPT:]
        self._first += len(self._hand) - len(kept)
        self._hand = kept + lines
        self._told, self._told_before = any(sign in batch for sign in _SIGNS), self._told
        return True


def _batches(text: str | Iterable[str]) -> Iterator[str]:
    """The text in parts of many whole lines each, without colours, all line ends alike and none at a part's own end."""
    rest = ""
    for piece in (text,) if isinstance(text, str) else text:
        for start in range(0, len(piece), _BATCH):
            rest += piece[start : start + _BATCH]
            # A carriage return at the very end may be half of a line end.
            end = rest.rfind("\n") + 1 or rest.rstrip("\r").rfind("\r") + 1
            if end:
                yield _printed(rest[:end]).removesuffix("\n")
                rest = rest[end:]
            else:
                rest = rest[:_RAW_LINE_AT_MOST]
    if rest:
        yield _printed(rest).removesuffix("\n")


def _record(line: str) -> str:
    """What a line of a log says that has an object of JSON for each (Docker's files, cloud logs); else the line."""
    try:
        data = json.loads(line)
    except (ValueError, RecursionError):
        return line
    said = next((data[key] for key in _SAID if isinstance(data.get(key), str)), None)
    return line if said is None else said.removesuffix("\n")


_SAID: Final = ("log", "message", "msg", "line", "text", "textPayload", "MESSAGE")
"""By which names such logs have what a program printed."""


def _unquoted(line: str) -> str:
    """A line, or the lines of uv that it quotes as JSON and the source code of programs do."""
    said, ends = _QUOTED_END.subn("\n", line)
    if ends and not _SINGLE_BACKSLASH.search(said):
        said = said.replace(2 * "\\", "\\")
    return _QUOTED_CHARACTER.sub(lambda found: chr(int(found[1], 16)), said) if ends else line


_SINGLE_BACKSLASH = re.compile(r"(?<!\\)(?:\\\\)*\\(?![\\nrtu\"'])")
_ENTITY = re.compile(r"&(?:gt|amp|quot|#\d\d|#x\w\w);")
_QUOTED_CHARACTER = re.compile(r"\\u([0-9a-f]{4})")


def _printed(text: str) -> str:
    """A text as it was meant for a reader: no colours, no bytes read in a wrong code page, one kind of line end."""
    if '{"' in text:
        text = "\n".join(_record(line) if line.startswith('{"') else line for line in text.split("\n"))
    if not text.isascii() and any(sign in text for sign in _GARBLED):
        for code_page in _CODE_PAGES:
            for mark in _TREE:
                text = text.replace(mark.encode().decode(code_page, errors="replace"), mark)
    if "\\n" in text:
        text = "\n".join(_unquoted(line) if "\\n" in line else line for line in text.split("\n"))
    if "\x1b" in text or "\N{SYMBOL FOR ESCAPE}" in text:
        text = _CODES.sub("", text.replace("\N{SYMBOL FOR ESCAPE}", "\x1b"))
    if "&" in text and _ENTITY.search(text):
        text = html.unescape(text)
    if "\r" in text:
        text = text.replace("\r\r\n", "\n").replace("\r\n", "\n").replace("\r", "\n")
    return text


_ALIKE_AT_MOST: Final = 256
"""So many lines and messages are remembered with what they say: a log of a build that tries again repeats them."""


@lru_cache(_ALIKE_AT_MOST)
def _clean(line: str, prefix: re.Pattern[str] | None = None) -> str:
    """A line without what logs and quotations put before it or left of colours in it; its own indentation stays."""
    line = line[:_LINE_AT_MOST].replace("\xa0", " ")
    if _TRACES_OF_CODES.search(line):
        line = _TRACES_OF_CODES.sub("", line)
    line = _without_prefixes(f"{line.rstrip()} ").rstrip()  # An empty line has its prefix without the space after it.
    if prefix is not None and (found := prefix.match(line)):
        line = _without_prefixes(line[found.end() :])
    panel = _PANEL.match(line)
    return panel["inside"].rstrip() if panel else line


def _without_prefixes(line: str) -> str:
    for _ in range(_PREFIXES_AT_MOST):
        found = _PREFIX.match(line)
        if found is None:
            break
        line = line[found.end() :]
    return line


# --- from lines to messages -----------------------------------------------------------------


class _Level(Enum):
    """What kind of message a line opens."""

    ERROR = auto()
    WARNING = auto()
    LOG = auto()
    """A line of uv's log (`-v`, RUST_LOG): it may explain a failure, but none follows from it."""
    FRAGMENT = auto()
    """A cause whose report is cut off."""


@dataclass(frozen=True, slots=True)
class _Message:
    """One thing uv reports: its words and those of its causes, each unwrapped and without its label."""

    level: _Level
    parts: tuple[str, ...]

    @property
    def text(self) -> str:
        return "\n".join(self.parts)


@dataclass(frozen=True, slots=True)
class _Opening:
    """How a message begins."""

    level: _Level
    text: str
    prefix: re.Pattern[str] | None = None
    """Matches what an unknown log puts before its lines."""
    needs_arms: bool = False
    """The cross of an ASCII tree is a mere `x`, and one only if the tree follows."""


_SIGNS: Final = ("ailed to ", "error", "warning", _CROSS, "  x ", "==")
"""A text without any of these says nothing of interest."""
_LABELLED = re.compile(r"(?:error|warning)(?:[:\[^\\]|$)")
_REPORT = re.compile(r"\s*(?:(?P<level>error|warning):(?:\s|$)|\u00d7\s+|(?P<ascii>x)\s+(?=[A-Z]))(?P<text>.*)")
_REPORT_INSIDE = re.compile(
    r"(?<![\w(])(?:(?P<level>error|warning):\s(?=Failed\sto\s"
    r"(?:install|hardlink|clone|symlink|prepare|download|build|fetch|read)\b)|\u00d7\s+(?=Failed\sto\s)"
    r"|(?<=\s)(?P<ascii>x)\s{1,3}(?=Failed\sto\s)|(?=Failed\sto\sinstall:\s[^\n]{1,300}==))(?P<text>.*)"
)
_SPLIT_REPORT = re.compile(r"\s*:\s(?P<text>\S.*)")
_TARGET = r"(?:[a-z]\w*(?:::\w+)+\s+)?"
_LOG = re.compile(rf"\s*(?:\d+\.\d+s\s+(?:\d+ms\s+)?)?(?:TRACE|DEBUG|WARN)\s+{_TARGET}(?P<text>.*)")
_LOG_INSIDE = re.compile(rf"\b(?:TRACE|DEBUG|WARN)\s+{_TARGET}(?P<text>(?:Failed\sto|Retrying)\s.*)")
_CAUSE = re.compile(
    r"\s*(?:(?:Caused\sby|cause):(?:\s|$)|(?P<arm>[├╰└|`]?[─-]{1,2}(?:▶\ufe0f?|>|:arrow_forward:))\s?)(?P<text>.*)"
)
_ON_ONE_LINE = re.compile(r"\s(?:Caused by|cause): (?=[A-Z]|failed to )")
"""What a title or a log that has one line for all puts between a report and its causes."""
_FRAGMENT = re.compile(
    r"\s*(?P<text>(?:failed to (?:hardlink|copy|rename|symlink) file from|Failed to (?:reflink|clone)) .*)"
)
_WARNING_INSIDE = re.compile(
    r"(?P<text>Failed to (?:hardlink|clone|symlink) files; falling back to(?:$| full(?:$| copy.*)))"
)
_OPENINGS: Final = (
    (None, _REPORT.match),  # None: as its label says.
    (_Level.LOG, _LOG.match),
    (_Level.LOG, _LOG_INSIDE.search),
    (None, _REPORT_INSIDE.search),
    (_Level.FRAGMENT, _CAUSE.match),
    (_Level.FRAGMENT, _FRAGMENT.match),
    (_Level.WARNING, _WARNING_INSIDE.search),
)
_QUOTE = re.compile(r"(?P<indent>[\s│|]*)(?:\[std(?:err|out)\]|(?P<old>--- std(?:err|out)(?P<closed>:)?))$")
_OS_ERROR = re.compile(r"\(os error (?P<number>-?\d{1,10})\)")
_OS_ERROR_RETOLD = re.compile(r"\bos error (?P<number>\d{1,5})[.)]?$")
"""As people write it in prose."""
_LONG_LOGS: Final = (
    # How a line of the log begins that somebody may have wrapped, and how it ends.
    (re.compile(r"Failed to (?:hard ?link|symlink|clone) "), re.compile(r"falling back to|attempting to copy")),
    (re.compile(r"Retrying "), _OS_ERROR),
)

_LINES_AT_MOST: Final = 400
"""Of a message, what it quotes of other programs not counted."""
_RUN_ON_AT_MOST: Final = 40
_RUN_ON_UNTOLD_AT_MOST: Final = 4
"""Lines of a part that ran on without its indentation: where it tells of files, and where it does not."""
_PARTS_AT_MOST: Final = 64
_PART_AT_MOST: Final = 8_000


def _messages(lines: _Lines) -> Iterator[_Message]:
    """Every message that the lines hold, log lines that begin and end alike only once."""
    at = 0
    known: set[str] = set()
    while telling := lines.telling(at):
        here, line = telling
        at = here + 1
        # An install that falls back logs a line per package, and a large one would keep us busy with them.
        alike = line[:24] + line[-40:]
        if alike in known:
            continue
        opening = _opening(lines, here)
        if opening is None:
            continue
        if opening.level is _Level.LOG and len(known) < _KINDS_AT_MOST:
            known.add(alike)
        parts, at = _gather(lines, at, opening)
        if parts:
            joined = chain.from_iterable(_ON_ONE_LINE.split(" ".join(filter(None, part))) for part in parts)
            yield _Message(opening.level, tuple(part[:_PART_AT_MOST] for part in islice(joined, _PARTS_AT_MOST)))


def _opening(lines: _Lines, at: int) -> _Opening | None:
    """How the message begins that a line opens, if it opens one."""
    line = _clean(lines.get(at) or "")
    for level, look in _OPENINGS:
        if found := look(line):
            said = found.groupdict()
            return _Opening(
                level or (_Level.WARNING if said["level"] == "warning" else _Level.ERROR),
                found["text"],
                prefix=_alike(line[: found.start()]),
                needs_arms=bool(said.get("ascii")),
            )
    # PowerShell makes two records of a label and its text where uv writes them in two colours.
    if found := _SPLIT_REPORT.match(line):
        before = (_clean(lines.get(at - back) or "") for back in range(1, min(at, _RECORD_AT_MOST) + 1))
        if next((it.strip() for it in before if _kind(it) is not _Kind.GAP), "") == "error":
            return _Opening(_Level.ERROR, found["text"])
    return None


_RECORD_AT_MOST: Final = 8
"""Lines that PowerShell prints of where a program was called, between the two."""


def _alike(prefix: str) -> re.Pattern[str] | None:
    """Matches what stands before a message in the lines after it: the same words, whatever the numbers."""
    if not prefix.strip() or len(prefix) > 200:
        return None
    return re.compile(re.sub(r"\d+", r"\\d+", re.escape(prefix)))


_PROGRESS: Final = r"[\u2800-\u28ff] |[░▒▓█]{3,} \[\d+/\d+\]"


class _Kind(Enum):
    """What a line is to the message before it."""

    GAP = auto()
    """A blank line, or one that does not belong here and does not end the message either."""
    CAUSE = auto()
    ELSE = auto()
    """The beginning of something else."""
    QUOTE = auto()
    """The title of what another program said."""
    CARETS = auto()
    MORE = auto()
    """Indented: the rest of a wrapped line."""
    OTHER = auto()


_KINDS: Final = (
    (_Kind.GAP, re.compile(r"[ │|]*$")),
    (_Kind.CAUSE, _CAUSE),
    (
        _Kind.ELSE,
        re.compile(
            r"\s*(?:(?:error|warning|hint|help|note|tip):(?:\s|$)|\u00d7\s|[+~-]\s[A-Za-z0-9][\w.-]*==)"
            r"|\s{0,3}(?:x\s(?=[A-Z])|(?:Resolved|Prepared|Installed|Uninstalled|Audited|Checked|Downloaded|Downloading"
            r"|Building|Built|Updated|Updating|Using|Creating|Removed|Usage|Traceback)\b)"
            r"|\s*(?:\d+\.\d+s\s+)?(?:TRACE|DEBUG|INFO|WARN)\s"
            rf"|\s*(?:{_PROGRESS}).*\s(?:error|warning):\s"
            r"|.{0,200}\bFailed to install: .{1,300}=="
        ),
    ),
    (
        _Kind.GAP,
        re.compile(
            r"\s*(?:\+ .*|[^`]{1,260}:\d+ [^\W\d]{2,12}:\d+"  # What PowerShell adds to the first line on stderr …
            r"|(?:In|Au|En|No|Riga|所在|発生|위치|строка)[^ ]{0,20} .{0,260}:\s?\d+"  # … in other languages …
            rf"|(?:{_PROGRESS}).*)$"  # … and what uv overwrites.
        ),
    ),
    (_Kind.QUOTE, _QUOTE),
    (_Kind.CARETS, re.compile(r"\s*\^+$")),
    (_Kind.MORE, re.compile(r"[\s│|]")),
)
_SNIPPET = re.compile(r"\s*(?:\d+\s*)?\|(?:\s|$)")
_TOLD = re.compile(r"ailed to (?:hard|copy|rename|symlink|reflink|clone|create|remove|read|open|write)")


@lru_cache(_ALIKE_AT_MOST)
def _kind(line: str) -> _Kind:
    return next((kind for kind, pattern in _KINDS if pattern.match(line)), _Kind.OTHER)


def _gather(lines: _Lines, at: int, opening: _Opening) -> tuple[list[list[str]], int]:
    """The pieces of each part of a message, lines from `at` on included where they belong to it; and the line after."""
    if opening.level is _Level.LOG:
        return _gather_log(lines, at, opening)
    parts = [[opening.text]]
    drawn = not opening.needs_arms
    closed = False
    end = at + _LINES_AT_MOST
    while at < end and (raw := lines.get(at)) is not None:
        line = _clean(raw, opening.prefix)
        if "TOML parse error" in parts[-1][0] and _SNIPPET.match(line):
            parts += ([words] for words in _explanation(lines, at, opening))
            break
        kind = _kind(line)
        match kind:
            case _Kind.CAUSE if cause := _CAUSE.match(line):
                drawn = drawn or cause["arm"] is not None
                parts.append([cause["text"]])
            case _Kind.QUOTE if quote := _QUOTE.match(line):
                last = _last_of_quote(lines, at, opening, quote)
                end += last - at
                at = last
            case _Kind.CARETS:
                del parts[-1][1:]  # What stands above them is an excerpt.
            case _Kind.MORE if not closed:
                parts[-1].append(line.strip(" \t│|"))
            case _Kind.OTHER if not closed and (run := _run_on(lines, at, opening, " ".join(parts[-1]), _OS_ERROR)):
                parts[-1] += run
                at += len(run) - 1
            case _Kind.ELSE | _Kind.OTHER:
                break
        closed = _closes(kind, line, closed=closed)
        at += 1
    return (parts if drawn else []), at


def _closes(kind: _Kind, line: str, *, closed: bool) -> bool:
    """Whether a part has ended with a line, so that nothing indented belongs to it any more."""
    if kind is _Kind.CAUSE:
        return False
    goes_on = kind in {_Kind.MORE, _Kind.OTHER} or (kind is _Kind.GAP and bool(line.strip(" │|")))
    return closed or not goes_on


def _gather_log(lines: _Lines, at: int, opening: _Opening) -> tuple[list[list[str]], int]:
    """The same for a line of the log, which is one line unless somebody wrapped it."""
    for begins, ends in _LONG_LOGS:
        if begins.match(opening.text) and not ends.search(opening.text):
            run = _run_on(lines, at, opening, opening.text, ends)
            return [[opening.text, *run]], at + len(run)
    return [[opening.text]], at


def _run_on(lines: _Lines, at: int, opening: _Opening, text: str, end: re.Pattern[str]) -> list[str]:
    """The lines that end a part whose indentation is lost: up to `end`, or to the next cause.

    None where neither comes soon: then they are somebody else's.
    """
    ended = end.search(text) is not None
    run: list[str] = []
    for line in (_clean(line, opening.prefix) for line in lines.some(at, _RUN_ON_AT_MOST)):
        kind = _kind(line)
        if kind is _Kind.CAUSE:
            return run
        if kind not in {_Kind.MORE, _Kind.OTHER}:
            break
        run.append(line.strip())
        so_far = " ".join([text[-200:], *run])
        if not ended and end.search(so_far):
            return run if len(run) <= _RUN_ON_UNTOLD_AT_MOST or _TOLD.search(so_far) else []
    return []


def _last_of_quote(lines: _Lines, at: int, opening: _Opening, quote: re.Match[str]) -> int:
    """The last line of what uv quotes of another program, whose errors are not uv's."""
    indent = len(quote["indent"])
    last = "---" if quote["closed"] else ""
    while (raw := lines.get(at + 1)) is not None:
        at += 1
        if quote["old"]:
            if _clean(raw, opening.prefix).strip() == last:
                return at
            continue
        if indent and raw[:indent].isspace():
            continue
        line = _clean(raw, opening.prefix)
        inside = len(line) - len(line.lstrip(" \t│|")) >= indent if indent else not line.startswith(("hint:", "help:"))
        if line.strip(" │|") and not inside:
            return at - 1
    return at + 1


def _explanation(lines: _Lines, at: int, opening: _Opening) -> Iterator[str]:
    """What a TOML error says after its excerpt, which begins at line `at`; uv indents it from 0.12.14 on only."""
    said = 0
    for line in (_clean(line, opening.prefix) for line in lines.some(at, 8)):
        if _SNIPPET.match(line):
            continue
        if not line.strip() or _kind(line) is _Kind.ELSE or said == 2:
            return
        said += 1
        yield line.strip()


# --- from messages to failures --------------------------------------------------------------

_FRAME: Final = "Failed to install: "
_READING_CACHE: Final = "Failed to read from the distribution cache"
_INVALID_WHEEL = re.compile(r"The wheel is invalid: |`?RECORD`? file is invalid")
_NO_PLACEMENT = re.compile(
    r"Failed to copy to: |Failed to install entrypoint|ailed to create (?:virtual environment|temporary virtualenv)"
    r"|Python minor version link|[\\/](?:bin|Scripts)[\\/]python[\d.]*(?:\.exe)?(?=[\s:`]|$)"
    r"|Cannot install into symlinked directory|directory entry escapes its destination"
)
"""Reports about interpreters, launchers and environments themselves, and the policy of uv 0.12.14 on links."""

_PAIR = re.compile(
    r"ailed to (?P<verb>hardlink|copy|rename|symlink|softlink|reflink|clone|create symlink)"
    r"(?: (?:file|dir|directory))?(?: from)? (?!to[ :]|into[ :])(?P<paths>.+)"
)
_SINGLE = re.compile(
    r"(?:ailed to (?P<verb>copy to|create directory|create file|open file|query (?:metadata|permissions) [a-z]+ file"
    r"|read (?:directory|from file|symbolic link)|remove (?:directory|file)|write to file|flush file|sync file"
    r"|set permissions [a-z]+ file|set length of file|persist temporary file to)|IO error for operation on)"
    r" (?P<path>\S.*)"
)
_OPERATIONS: Final = {
    "hardlink": Operation.HARDLINK,
    "hard link": Operation.HARDLINK,
    "copy": Operation.COPY,
    "copy to": Operation.COPY,
    "rename": Operation.RENAME,
    "persist": Operation.RENAME,
    "symlink": Operation.SYMLINK,
    "softlink": Operation.SYMLINK,
    "create symlink": Operation.SYMLINK,
    "reflink": Operation.CLONE,
    "clone": Operation.CLONE,
    "create directory": Operation.CREATE_DIR,
    "create": Operation.WRITE,
    "write": Operation.WRITE,
    "flush": Operation.WRITE,
    "sync": Operation.WRITE,
    "set": Operation.WRITE,
    "open": Operation.READ,
    "query": Operation.READ,
    "read": Operation.READ,
    "remove": Operation.REMOVE,
}
"""What uv's words for it say, whole or by their first one; the words are those of fs-err and of uv's own errors."""
_LINKING: Final = frozenset({Operation.HARDLINK, Operation.CLONE, Operation.SYMLINK, Operation.COPY, Operation.RENAME})
_BARE = re.compile(r"[^:`\\]*\(os error -?\d+\)(?: at path \"(?P<path>[^\"]+)\")?(?: .{0,8})?$")


@dataclass(frozen=True, slots=True)
class _Step:
    """What uv did, with the paths it named; one path fills the side that it is on."""

    operation: Operation | None
    source: str | None = None
    target: str | None = None

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(path for path in (self.source, self.target) if path)


@dataclass(frozen=True, slots=True)
class _Placement:
    """What a report says of the file that was not placed."""

    at: int
    """The part that says it."""
    step: _Step
    cause: Cause | None = None
    """Where it is not for the number to say."""
    only: Cause | None = None
    """The one cause that makes it a placement: uv says too little otherwise."""


@lru_cache(_ALIKE_AT_MOST // 8)
def _failure(message: _Message, platform: Platform | None) -> Failure | None:
    """The file that could not be placed, if that is what a report is about."""
    platform = platform or _platform_of(message.text)
    parts = message.parts
    placement = None if _NO_PLACEMENT.search(message.text) else _placement(parts)
    if placement is None:
        return None
    step = placement.step
    told = parts[placement.at :]
    numbers = (found for look in (_OS_ERROR, _OS_ERROR_RETOLD) for part in told if (found := look.search(part)))
    number = next((int(found["number"]) for found in numbers), None)
    cause = placement.cause or cause_of(
        platform=platform, operation=step.operation, os_error=number, source=step.source, target=step.target
    )
    if (message.level is _Level.FRAGMENT and number is None) or placement.only not in {None, cause}:
        return None
    package, version = _package(parts[: placement.at + 1])
    return Failure(
        outcome=Outcome.FAILED,
        operation=step.operation,
        os_error=number,
        package=package,
        version=version,
        source=step.source,
        target=step.target,
        cause=cause,
        message=message.text,
    )


def _placement(parts: Sequence[str]) -> _Placement | None:
    """The placement that a chain of causes tells of.

    Under `Failed to install: …` everything is one; elsewhere only what uv does with an entry of its cache.
    """
    framed = [at for at, part in enumerate(parts) if _FRAME in part]
    first = framed[0] + 1 if framed else 0
    steps = {at: step for at in range(first, len(parts)) if (step := _step(parts[at]))}
    if steps:
        at, outer = next(iter(steps.items()))
        step = _agreed([step for step in steps.values() if step.operation is outer.operation])
        of_an_entry = step.operation is Operation.READ and step.source is not None and _READING_CACHE in parts[:at]
        in_business = step.operation in _LINKING or of_an_entry
        return _Placement(at, step) if framed or (in_business and any(map(in_cache, step.paths))) else None
    if framed and first < len(parts):
        return _unnamed_placement(first, parts[first])
    if framed and _OS_ERROR.search(parts[first - 1]):  # Somebody has left out what was done and where.
        return _Placement(first - 1, _Step(None))
    # Up to 0.5 uv made junctions in the cache, which exFAT cannot hold, and named no file when it could not.
    at = next((at for at in range(1, len(parts)) if parts[at - 1] == _READING_CACHE), 0)
    if at and _BARE.match(parts[at]):
        return _Placement(at, _Step(None), only=Cause.UNSUPPORTED_FILESYSTEM)
    return None


def _unnamed_placement(at: int, part: str) -> _Placement | None:
    """The placement below `Failed to install: …` where uv names no operation."""
    if _INVALID_WHEEL.match(part):
        return _Placement(at, _Step(Operation.READ), cause=Cause.CORRUPT_CACHE_ENTRY)
    bare = _BARE.match(part)
    if bare is None:
        return None
    if bare["path"]:  # The temporary file that something was to be written to.
        return _Placement(at, _Step(Operation.WRITE, *_side(bare["path"])))
    return _Placement(at, _Step(None))  # A symbolic link, up to uv 0.7.2, but it could be anything.


def _agreed(steps: Sequence[_Step]) -> _Step:
    """What several parts say of one operation: the outer one wins, the inner ones complete it."""
    return _Step(
        steps[0].operation,
        next((step.source for step in steps if step.source), None),
        next((step.target for step in steps if step.target), None),
    )


def _step(part: str) -> _Step | None:
    """What a part says uv did, or None where it says nothing of the kind."""
    if found := _PAIR.search(part):
        operation = _OPERATIONS[found["verb"]]
        pair = _pair(found["paths"])
        if pair:
            return _Step(operation, *_sides(operation, *pair))
        return _Step(operation) if _SHORTENED.match(found["paths"]) else None
    if found := _SINGLE.search(part):
        path, verb = _path(found["path"]), found["verb"] or "read"
        operation = _OPERATIONS.get(verb) or _OPERATIONS[verb.split()[0]]
        if operation is Operation.RENAME and not in_store(path):
            return None  # A launcher, which is made in place.
        return _Step(operation, None, path) if operation in _LINKING else _Step(operation, *_side(path))
    return None


_SHORTENED = re.compile(r"\.\.\.|\u2026|<")


def _pair(text: str) -> tuple[str, str] | None:
    """The two paths of `A to B`, where `to` and colons may stand in the paths, too."""
    text = text[:_PART_AT_MOST]
    if quoted := re.match(r"`([^`]+)` to `([^`]+)`", text):
        return quoted[1], quoted[2]
    whole = _path(text)
    splits = [
        (left, right)
        for body in dict.fromkeys((whole, text if "(os error" not in text else whole))
        for left, right in _splits(body)
    ]
    return max(splits, key=lambda split: _likeness(*split), default=None)


def _splits(text: str) -> Iterator[tuple[str, str]]:
    """Every way to read a text as `A to B`, 40 at most."""
    at = -1
    for _ in range(40):
        at = text.find(" to ", at + 1)
        if at < 0:
            return
        yield text[:at].strip("` "), text[at + 4 :].strip("` ")


_WINDOWS_ROOT = re.compile(r"[A-Za-z]:\\|\\\\")
_ROOTED = re.compile(r"[A-Za-z]:[\\/]|\\\\|/")
_SEPARATOR = re.compile(r"[\\/]")


def _likeness(left: str, right: str) -> tuple[int, int]:
    """How well two texts go together as the two ends of a placement: rooted both, with the same names at the end."""
    rooted = sum(_ROOTED.match(path) is not None for path in (left, right))
    ends = [[name for name in _SEPARATOR.split(path) if not name.startswith(".tmp")][::-1] for path in (left, right)]
    same = 0
    for one, other in zip(*ends, strict=False):
        if one != other:
            break
        same += 1
    return rooted, same


def _path(text: str) -> str:
    """The path that a text begins with, without what the system says of it."""
    if quoted := re.match(r"`([^`]+)`", text):
        return quoted[1]
    said = _OS_ERROR.search(text)
    end = said.start() if said else 0
    # No name of Windows can hold a colon.
    colon = text.find(": ") if _WINDOWS_ROOT.match(text) else text.rfind(": ", 0, end)
    if colon < 0:
        colon = text.rfind("... ", 0, end) + 3
    return (text[:colon] if colon > 3 else text).strip("`: ")


def _sides(operation: Operation, first: str, second: str) -> tuple[str, str]:
    """Two paths as source and target: uv 0.9.27 and later print those of links the other way round."""
    if operation is Operation.RENAME:
        swapped = ".tmp" in second and ".tmp" not in first
    else:
        swapped = _of_the_cache(second) > _of_the_cache(first)
    return (second, first) if swapped else (first, second)


def _of_the_cache(path: str) -> tuple[bool, bool, bool]:
    """How much speaks for a path as one of the cache: people shorten paths before they show them."""
    return in_store(path), in_cache(path), _CACHE_SHORTENED.search(path) is not None


_CACHE_SHORTENED = re.compile(r"(?:[\\/]uv[\\/]cache|[\\/]\.cache[\\/]uv|uv[ -]cache)[\\/>]?[\\/.\u2026>]*$")


def _side(path: str) -> tuple[str | None, str | None]:
    """One path on the side that it is on."""
    return (path, None) if in_store(path) else (None, path)


_NAME_BEFORE = re.compile(r"[A-Za-z0-9][\w.-]*$")
_VERSION = re.compile(r"[^\s()`'\",;]+")


def _package(parts: Sequence[str]) -> tuple[str | None, str | None]:
    """The nearest `name==version` above a placement."""
    for part in reversed(parts):
        before, _, after = part.partition("==")
        name, version = _NAME_BEFORE.search(before[-100:]), _VERSION.match(after)
        if name and version:
            return _normalised(name[0]), version[0]
    return None, None


def _normalised(name: str) -> str:
    return _SEPARATORS.sub("-", name).lower()


_SEPARATORS = re.compile(r"[-_.]+")


# --- from messages to fallbacks -------------------------------------------------------------

_WARNED = re.compile(
    r"Failed to (?P<verb>hardlink|clone|symlink) files; falling back to(?:$| full(?:$| copy\.?[^.]*\.?))"
)
_LOGGED = re.compile(
    r"Failed to (?P<verb>hard ?link|symlink|clone) `(?P<first>[^`]+)` to (?:temporary location )?`(?P<second>[^`]+)`"
    r"(?:: .*)?[,;] (?:attempting to copy|falling back to copy)"
)
_LOGGED_ONE = re.compile(
    r"Failed to (?P<verb>hardlink|symlink) `(?P<path>[^`]+)` to temp location, falling back to copy"
)
_WAITS = re.compile(r"INFO Waiting to acquire (?:\w+ )?lock for ")
_LOGGED_FOR_US = re.compile(
    r"DEBUG (?:Failed to (?:hard ?link|symlink|clone|reflink|update mtime) |Failed to open .{1,4000} to update mtime"
    r"|Extracting file |Extracted \d+ files |(?:No|Writing) (?:entrypoints|data|extra metadata|installer metadata"
    r"|record) |Installing data |Cloning |Cloned directory |File already exists \(|Hit link limit for )"
)
"""What the modules log that place files: `install_wheel_rs::linker`, `uv_install_wheel::linker`, `uv_fs::link`."""


@dataclass(frozen=True, slots=True)
class _Fallback:
    """One sign that uv copied instead of linking."""

    step: _Step
    os_error: int | None
    text: str


def _fallback(message: _Message) -> _Fallback | None:
    """What a warning or a log line says of a fallback to copies.

    A clone that gives way to hard links is none: every install on ext4 logs that.
    """
    text = message.parts[0]
    if message.level is _Level.WARNING:
        found = _WARNED.match(text)
        return _Fallback(_Step(_OPERATIONS[found["verb"]]), None, found[0]) if found else None
    if found := _LOGGED.match(text):
        operation = _OPERATIONS[found["verb"]]
        number = _OS_ERROR.search(text)
        step = _Step(operation, *_sides(operation, found["first"], found["second"]))
        return _Fallback(step, int(number["number"]) if number else None, text)
    if found := _LOGGED_ONE.match(text):
        return _Fallback(_Step(_OPERATIONS[found["verb"]], *_side(found["path"])), None, text)
    return None


def _degraded(fallbacks: Sequence[_Fallback], platform: Platform | None) -> Iterator[Failure]:
    """One failure for each operation and number that a warning and the log lines which belong to it tell of."""
    for operation in dict.fromkeys(fallback.step.operation for fallback in fallbacks):
        signs = [fallback for fallback in fallbacks if fallback.step.operation is operation]
        warning = next((sign.text for sign in signs if not sign.step.paths), None)
        logged = [sign for sign in signs if sign.step.paths] or signs
        telling = [sign for sign in logged if sign.os_error is not None] or logged[:1]
        first_with = {sign.os_error: sign for sign in reversed(telling)}
        for sign in reversed(first_with.values()):
            yield Failure(
                outcome=Outcome.DEGRADED,
                operation=operation,
                os_error=sign.os_error,
                package=None,
                version=None,
                source=sign.step.source,
                target=sign.step.target,
                cause=cause_of(
                    platform=platform or _platform_of(sign.text),
                    operation=operation,
                    os_error=sign.os_error,
                    source=sign.step.source,
                    target=sign.step.target,
                ),
                message="\n".join(dict.fromkeys(filter(None, (warning, sign.text)))),
            )


# --- other complaints, other facts ----------------------------------------------------------

_AFTERMATH = re.compile(r"exit(?:ed|s)?(?: with)? (?:code|status)|non-zero|failed on line")
_TOML = re.compile(r"TOML parse error at line (?P<line>\d{1,9}), column (?P<column>\d{1,9})")
_PARSED = re.compile(r"Failed to parse:? (?:`(?P<quoted>[^`]+)`|(?P<plain>\S.*\.(?:toml|lock|txt|in|py)))")
_PLACE = re.compile(r"(?P<path>[^`:]+\.(?:txt|in|toml|lock|py)):(?P<line>\d{1,9}):(?P<column>\d{1,9})$")
_FILE = re.compile(r"(?:in|at) `(?P<path>[^`]+\.(?:txt|in|toml|lock|py))`")

_WINDOWS = re.compile(
    r"(?<![A-Za-z])[A-Za-z]:[\\/](?![\\/])|\\\\[?\w]|\\(?:Lib|Scripts|site-packages)\\|win(?:32|_amd64|_arm64)\b"
)
_MACOS = re.compile(
    r"(?:^|[\s`\"])/(?:Users|Volumes|private|opt/homebrew)/|/\._|macosx_\d|\(os error (?:45|102)\)"
    r"|(?:Resource deadlock avoided|Connection refused) \(os error (?:11|61)\)"
)
_POSIX = re.compile(
    r"(?:^|[\s`\"])/[\w.]|linux"
    r"|(?:Operation not (?:permitted|supported)|No such file or directory|(?:Input/output|Unknown) error[ \d]*"
    r"|Cannot allocate memory|Permission denied|Device or resource busy|File exists|(?:Invalid c|C)ross-device link"
    r"|Not a directory|Is a directory|Invalid argument|Too many (?:open files|links)|Text file busy|File too large"
    r"|No space left on device|Read-only file system|File ?name too long|Function not implemented|Directory not empty"
    r"|Too many levels of symbolic links|No data available|Stale (?:NFS )?file handle|(?:Disk q|Q)uota exceeded"
    r"|Resource temporarily unavailable|Transport endpoint is not connected|Connection (?:refused|timed out))"
    r" \(os error"
)
"""POSIX systems never translate what they say of a number; Windows does, and says it in other words."""


def _complaint(messages: Iterable[_Message], explained: Collection[str]) -> Complaint | None:
    """The first report that is no link failure, and not the echo of one; `explained` are those that are, by a line."""
    for message in messages:
        first = message.parts[0]
        echo = first in explained or (explained and _AFTERMATH.search(first))
        if first and not echo:
            path, line, column = _place(message)
            return Complaint(message=message.text, path=path, line=line, column=column)
    return None


def _place(message: _Message) -> tuple[str | None, int | None, int | None]:
    """The file, line and column that a report names."""
    file = _PARSED.search(message.text) or _FILE.search(message.text)
    path = next(filter(None, file.groupdict().values())) if file else None
    if found := _TOML.search(message.text):
        return path, int(found["line"]), int(found["column"])
    last_words = (part.rsplit(" ", 1)[-1] for part in message.parts)
    if found := next(filter(None, map(_PLACE.match, last_words)), None):
        return found["path"], int(found["line"]), int(found["column"])
    return path, None, None


def _platform_of(text: str) -> Platform | None:
    """Whose paths, wheels and words a text has; a POSIX one is Linux's unless it shows macOS."""
    if _WINDOWS.search(text):
        return Platform.WINDOWS
    if _MACOS.search(text):
        return Platform.MACOS
    if _POSIX.search(text):
        return Platform.LINUX
    return Platform.WINDOWS if _OS_ERROR.search(text) else None
