"""What texts of uv say: recorded, reported and composed ones, and what must hold of any text.

`cases.jsonl` holds reported and recorded outputs of many versions, `live.jsonl` runs of four versions in known trouble,
`matrix.jsonl` those of others (`test_every_uv.py` makes it), `shapes.jsonl` what terminals, logs and people make of
such outputs, `wild.jsonl` more of that, `complaints.jsonl` recorded errors of other kinds.
Each line gives a text and what it says: `expect` the gravest failure (`other`: none), `then` the further ones,
`complaint` whether, or with which words and place, uv complains of something else, `installed` what it put in place.
"""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from time import process_time
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from kit.logs import KINDS, log

from uv_link_doctor.engine.model import Cause, Complaint, Failure, Operation, Outcome, Platform, Reading
from uv_link_doctor.engine.transcript import merge, read, shown

DATA = Path(__file__).parent.parent / "data" / "transcripts"
FIELDS = tuple(field.name for field in fields(Failure) if field.name != "message")


Case = dict[str, Any]

RECORDINGS = ("cases", "live", "matrix", "shapes", "wild", "complaints")


def cases(*names: str) -> list[Any]:
    texts = [(DATA / f"{name}.jsonl").read_text(encoding="utf-8") for name in names]
    lines = [line for text in texts for line in text.split("\n") if line]
    return [pytest.param(case, id=case["id"]) for case in map(json.loads, lines)]


def found(reading: Reading) -> list[Case]:
    return [{name: getattr(failure, name) for name in FIELDS} for failure in reading.failures]


# --- known texts ----------------------------------------------------------------------------


@pytest.mark.parametrize("told", [True, False], ids=["told", "untold"])
@pytest.mark.parametrize("case", cases(*RECORDINGS))
def test_a_text_says_what_it_is_known_to_say(case: Case, *, told: bool) -> None:
    platform = Platform(case["platform"]) if told and case["platform"] else None
    reading = read(case["text"], platform)
    if case["expect"]["outcome"] == "other":
        assert found(reading) == []
    else:
        assert found(reading)[0] == case["expect"]
    if "then" in case:
        assert found(reading)[1:] == case["then"]


@pytest.mark.parametrize("case", cases(*RECORDINGS))
def test_the_platform_shows_or_is_left_open(case: Case) -> None:
    if case["platform"] is not None:
        assert read(case["text"]).platform in {None, Platform(case["platform"])}


@pytest.mark.parametrize("case", cases("cases"))
def test_a_text_complains_of_something_else_or_of_nothing(case: Case) -> None:
    reports = re.search(r"^\W*(?:error\b.*:|[\u00d7x] )", case["text"], re.MULTILINE) is not None
    other = case["expect"]["outcome"] == "other"
    assert (read(case["text"]).complaint is not None) == (other and reports)


@pytest.mark.parametrize("case", cases("live", "shapes", "complaints"))
def test_a_complaint_keeps_uvs_words_and_place(case: Case) -> None:
    complaint = read(case["text"]).complaint
    expected = case.get("complaint")
    if isinstance(expected, dict):
        assert complaint == Complaint(**expected)
    else:
        assert (complaint is not None) == bool(expected)


@pytest.mark.parametrize("case", cases("live", "shapes"))
def test_what_was_installed_is_named(case: Case) -> None:
    assert [list(pair) for pair in read(case["text"]).installed] == case.get("installed", [])


def test_a_failure_keeps_uvs_words_unwrapped() -> None:
    text = (
        "error: Failed to install: six-1.16.0-py2.py3-none-any.whl\n"
        "       (six==1.16.0)\n"
        "  cause: failed to create directory `/a/.venv/lib`: Permission\n"
        "         denied (os error 13)\n"
    )
    (failure,) = read(text).failures
    assert failure.message == (
        "Failed to install: six-1.16.0-py2.py3-none-any.whl (six==1.16.0)\n"
        "failed to create directory `/a/.venv/lib`: Permission denied (os error 13)"
    )


@pytest.mark.parametrize(
    "words",
    [
        "`RECORD` file is invalid",  # 0.13.9
        "RECORD file is invalid",  # 0.4.18 to 0.9.30
        "The wheel is invalid: Invalid Wheel-Version in `WHEEL` file: None",
    ],
)
def test_a_wheel_of_the_cache_that_is_no_wheel_any_more(words: str) -> None:
    text = f"error: Failed to install: six-1.16.0-py3-none-any.whl (six==1.16.0)\n  cause: {words}\n  cause: CSV\n"
    (failure,) = read(text).failures
    assert (failure.cause, failure.operation, failure.package) == (Cause.CORRUPT_CACHE_ENTRY, Operation.READ, "six")
    assert read(text).complaint is None
    assert not read(f"error: Failed to build `six`\n  cause: {words}\n").failures


@pytest.mark.parametrize(
    "prefix", ["#12 0.512 ", "app-1  | ", "2026-11-22T10:11:12.5Z stderr F ", "Nov 22 10:11:12 host uv[9]: "]
)
def test_a_line_with_nothing_but_a_prefix_is_an_empty_one(prefix: str) -> None:
    """So that what a build backend says, which stands below one, is known as its words."""
    text = """error: Failed to build `trap @ file:///srv/trap`
  cause: The build backend returned an error
  cause: Call to `backend.build_editable` failed (exit status: 1)

         [stderr]
         error: failed to hardlink file from /c/archive-v0/abc/x.py to /p/.venv/x.py: No (os error 1)
"""
    for lines in (text.splitlines(), [line.rstrip() for line in text.splitlines()]):
        reading = read("\n".join(f"{prefix}{line}".rstrip() for line in lines))
        assert reading.failures == ()
        assert reading.complaint is not None


@pytest.mark.parametrize("case", cases("cases"))
@pytest.mark.parametrize("key", ["log", "message"])
def test_a_log_with_an_object_for_each_line_says_what_its_lines_say(case: Case, key: str) -> None:
    lines = case["text"].splitlines(keepends=True)
    told = "".join(json.dumps({key: line, "stream": "stderr", "time": "2026-11-22T10:11:12Z"}) + "\n" for line in lines)
    platform = Platform(case["platform"])
    assert read(told, platform).failures == read(case["text"], platform).failures


def test_a_fallback_keeps_the_warning_and_the_log_line_that_explains_it() -> None:
    log = "Failed to hard link `/c/archive-v0/i/a.py` to `/v/a.py`: no (os error 18); falling back to copy"
    text = f"DEBUG {log}\nwarning: Failed to hardlink files; falling back to full copy. This may take longer.\n"
    (failure,) = read(text).failures
    assert failure.message.splitlines() == [
        "Failed to hardlink files; falling back to full copy. This may take longer.",
        log,
    ]


# --- merging --------------------------------------------------------------------------------

FAILURE = Failure(
    outcome=Outcome.FAILED,
    operation=Operation.HARDLINK,
    os_error=28,
    package="six",
    version="1.0",
    source="/c",
    target="/v",
    cause=Cause.NO_SPACE,
    message="first",
)
DEGRADED = replace(FAILURE, outcome=Outcome.DEGRADED)


@pytest.mark.parametrize(
    ("failures", "merged"),
    [
        pytest.param([], [], id="none"),
        pytest.param([DEGRADED, FAILURE], [FAILURE, DEGRADED], id="failed first"),
        pytest.param([FAILURE, replace(FAILURE, message="second", os_error=122)], [FAILURE], id="first words, number"),
        pytest.param(
            [FAILURE, replace(FAILURE, package="idna", source="/d")],
            [replace(FAILURE, package=None, version=None, source=None)],
            id="what differs is null",
        ),
        pytest.param(
            [FAILURE, replace(FAILURE, version="2.0")], [replace(FAILURE, version=None)], id="one package, two versions"
        ),
        pytest.param(
            [FAILURE, replace(FAILURE, operation=Operation.COPY)],
            [FAILURE, replace(FAILURE, operation=Operation.COPY)],
            id="other operation",
        ),
        pytest.param(
            [replace(FAILURE, cause=Cause.UNKNOWN), FAILURE],
            [replace(FAILURE, cause=Cause.UNKNOWN), FAILURE],
            id="other cause",
        ),
    ],
)
def test_failures_of_one_outcome_cause_and_operation_are_one(failures: list[Failure], merged: list[Failure]) -> None:
    assert merge(failures) == tuple(merged)
    assert merge(merge(failures)) == tuple(merged)


# --- what the user sees of our own runs -----------------------------------------------------


@pytest.mark.parametrize("case", cases("live"))
def test_only_what_we_made_uv_log_is_kept_from_the_user(case: Case) -> None:
    hidden = [line for line in case["text"].splitlines() if not shown(line)]
    assert all(line.startswith("DEBUG ") for line in hidden)
    if "-log-" in case["id"]:  # RUST_LOG was ours.
        assert not [line for line in case["text"].splitlines() if shown(line) and "DEBUG" in line]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "DEBUG Released lock at `/home/ana/app/.venv/.lock`",
        "DEBUG Failed to read the index",
        "warning: Failed to hardlink files; falling back to full copy.",
        "error: Failed to install: six-1.16.0-py2.py3-none-any.whl (six==1.16.0)",
    ],
)
def test_other_lines_are_for_the_user(line: str) -> None:
    assert shown(line)


def test_a_coloured_line_of_ours_is_kept_from_the_user() -> None:
    assert not shown("\x1b[34mDEBUG\x1b[0m Failed to reflink `/a` to `/b`: no (os error 95), falling back")


# --- whatever stands around a report --------------------------------------------------------


@dataclass(frozen=True)
class Report:
    """A report as uv composes it, each part with its first and its further margin, and the failure it tells of."""

    parts: tuple[tuple[str, str, str], ...]
    failure: Failure

    def text(self, width: int | None = None, *, indented: bool = True) -> str:
        lines: list[str] = []
        for first, further, words in self.parts:
            wrapper = textwrap.TextWrapper(width or len(words), break_long_words=False, break_on_hyphens=False)
            start, *rest = wrapper.wrap(words)
            lines += [first + start, *((further if indented else further.strip()) + line for line in rest)]
        return "\n".join(lines) + "\n"


CACHES = ["/home/ana/.cache/uv", "/srv/cache to keep/uv 1", r"C:\Users\ana\AppData\Local\uv\cache", r"\\?\D:\uv cache"]
TARGETS = ["/home/ana/app/.venv/lib/python3.12", "/srv/My Projects (2025) to ship/naïve 项目/.venv/lib/python3.12"]
TARGETS += [r"E:\Projekte\Mein Projekt\.venv\Lib", r"C:\Users\ana\OneDrive - Contoso, Inc\app\.venv\Lib"]
SAID = [("Invalid cross-device link", 18), ("Accès refusé.", 5), ("拒绝访问。", 5), ("Too many links", 31)]
SAID += [("OS Error 396 (FormatMessageW() returned error 317)", 396), ("Input/output error", 5)]
Frame = tuple[str, str, str, str, str, str]
TREE = ("  \N{MULTIPLICATION SIGN} ", "  │ ", "  ├─▶ ", "  │   ", "  ╰─▶ ", "      ")
ASCII_TREE = ("  x ", "  | ", "  |-> ", "  |   ", "  `-> ", "      ")
PLAIN = ("error: ", "       ", "  Caused by: ", " " * 13, "  Caused by: ", " " * 13)
NEWEST = ("error: ", "       ", "  cause: ", " " * 9, "  cause: ", " " * 9)


def path(root: str, *names: str) -> str:
    return ("\\" if "\\" in root else "/").join([root, *names])


@st.composite
def reports(draw: st.DrawFn, frames: Sequence[Frame] = (TREE, ASCII_TREE, PLAIN, NEWEST)) -> Report:
    first, head, label, more, last, end = draw(st.sampled_from(frames))
    cache, target = draw(st.sampled_from(CACHES)), draw(st.sampled_from(TARGETS))
    said, number = draw(st.sampled_from(SAID))
    name = draw(st.sampled_from(["six.py", "naïve name.py", "a to b.py", ".l2s.x", "-7EITpbHt6ns", "py.typed"]))
    source = path(cache, "archive-v0", "-7EITpbHt6nsxWxo", name)
    target = path(target, "site-packages", name)
    frame = "Failed to install: foo_bar-1.0+cu128-py3-none-any.whl (foo-bar==1.0+cu128)"
    ends = (source, target) if draw(st.booleans()) else (target, source)
    verb, operation, shape = draw(
        st.sampled_from(
            [
                ("failed to hardlink file from {0} to {1}", Operation.HARDLINK, "link"),
                ("failed to symlink file from {0} to {1}", Operation.SYMLINK, "link"),
                ("failed to copy file from {0} to {1}", Operation.COPY, "copy"),
                ("Failed to clone `{0}` to `{1}`", Operation.CLONE, "own line"),
                ("Failed to reflink {0} to {1}", Operation.CLONE, "own line"),
            ]
        )
    )
    words = verb.format(*(ends if shape == "link" else (source, target)))
    os_text = f"{said} (os error {number})"
    causes = [words, os_text] if shape == "own line" or draw(st.booleans()) else [f"{words}: {os_text}"]
    above = ["Failed to build `demo @ file:///srv/demo`", "Failed to install build dependencies"]
    chain = [*(above if "> " in label or "▶" in label or draw(st.booleans()) else []), frame, *causes]
    margins = [(first, head), *[(label, more)] * (len(chain) - 2), (last, end)]
    return Report(
        parts=tuple((*margin, part) for margin, part in zip(margins, chain, strict=True)),
        failure=replace(
            FAILURE,
            operation=operation,
            os_error=number,
            package="foo-bar",
            version="1.0+cu128",
            source=source,
            target=target,
            cause=Cause.UNKNOWN,
            message="\n".join(chain),
        ),
    )


def assert_tells(text: str, report: Report) -> None:
    """The text tells of exactly the report's failure; what the number means is the business of other tests."""
    reading = read(text)
    assert [replace(failure, cause=Cause.UNKNOWN) for failure in reading.failures] == [report.failure]
    assert reading.complaint is None


@given(reports())
def test_a_report_is_read_as_uv_composes_it(report: Report) -> None:
    assert_tells(report.text(), report)


@given(report=reports(), width=st.integers(20, 140), indented=st.booleans())
def test_wrapping_changes_nothing(report: Report, width: int, *, indented: bool) -> None:
    assert_tells(report.text(width, indented=indented), report)


COLOURS = ["\x1b[1m", "\x1b[31m", "\x1b[38;5;208m", "\x1b[0m", "\x1b[2K", "\x1b]8;;https://example.org\x07", "␛[1;31m"]


@given(reports(), st.data())
def test_colours_change_nothing(report: Report, data: st.DataObject) -> None:
    pieces = re.split(r"(?<=[ :\n])", report.text(data.draw(st.none() | st.integers(60, 100))))
    colours = data.draw(st.lists(st.sampled_from(["", "", *COLOURS]), min_size=len(pieces), max_size=len(pieces)))
    assert_tells("".join(colour + piece for colour, piece in zip(colours, pieces, strict=True)), report)


PREFIXES = [
    "> ",
    ":: ",
    "[web] ",
    "[2025-02-04 19:49:50.325] [info] ",
    "2025-05-12T08:17:08.560Z ",
    "2025-05-12 08:17:08,560 ",
    "08:17:08 ",
    "May 12 08:17:08 host uv[1234]: ",
    "#14 1.234 ",
    "14 1.234 ",
    "0.345 ",
    "web-1  | ",
    "build\tInstall uv\t2025-05-12T08:17:08.5600000Z ",
    "remote: ",
    "stderr: ",
    "2025-05-12T08:17:08.560Z stderr F ",
    "##[error]",
]
UNKNOWN_PREFIXES = ["E   ", "job-3> ", "08:17:08 py311: ", "<stderr> ", "INFO  sync.py:12  "]


@given(reports(), st.sampled_from(PREFIXES), st.none() | st.integers(60, 100))
def test_known_prefixes_change_nothing(report: Report, prefix: str, width: int | None) -> None:
    text = "".join(prefix + line for line in report.text(width).splitlines(keepends=True))
    assert_tells(text, report)


@given(reports(frames=(TREE, PLAIN, NEWEST)), st.sampled_from(UNKNOWN_PREFIXES), st.none() | st.integers(60, 100))
def test_unknown_prefixes_change_nothing(report: Report, prefix: str, width: int | None) -> None:
    text = "".join(prefix + line for line in report.text(width).splitlines(keepends=True))
    assert_tells(text, report)


NOISE = [
    "",
    "Resolved 2 packages in 1ms\n",
    "DEBUG Failed to read `/a/archive-v0/b` (os error 2)\n",
    "⠙ Resolving...\r",
]
NOISE += [
    "░░░░░░░░░░░░░░░░░░░░ [0/3] Installing wheels...  \r\x1b[2K",
    "2025-05-12T08:17:08Z [x] closed\n",
    " - six==1.0\n",
]


@given(reports(), st.sampled_from(NOISE), st.sampled_from(NOISE), st.sampled_from(["\n", "\r\n", "\r", "\r\r\n"]))
def test_neighbours_and_line_ends_change_nothing(report: Report, before: str, after: str, line_end: str) -> None:
    assert_tells(before + report.text(70).replace("\n", line_end) + after, report)


@given(reports(), st.text(max_size=200), st.data())
def test_what_is_cut_off_after_the_failure_changes_nothing(report: Report, rest: str, data: st.DataObject) -> None:
    whole = report.text() + "hint: " + rest
    assert_tells(whole[: data.draw(st.integers(len(report.text()) - 1, len(whole)))].split("hint: ")[0], report)


@given(st.lists(reports(), min_size=1, max_size=4))
def test_several_reports_are_merged_as_their_failures_are(several: list[Report]) -> None:
    reading = read("".join(report.text() for report in several))
    alone = [failure for report in several for failure in read(report.text()).failures]
    assert reading.failures == merge(dict.fromkeys(alone))


# --- any text -------------------------------------------------------------------------------

WORDS = [
    "error:",
    "warning:",
    "\N{MULTIPLICATION SIGN}",
    "x ",
    "  Caused by:",
    "cause:",
    "├─▶",
    "╰─▶",
    "│",
    "|->",
    "`-> ",
    "DEBUG",
    "WARN ",
]
WORDS += [
    "Failed to install: a-1.whl (a==1)",
    "Failed to ",
    "failed to hardlink file from ",
    " to ",
    "`",
    "/archive-v0/",
]
WORDS += [
    "C:\\",
    "\\\\?\\",
    "(os error 18)",
    "(os error ",
    "[stderr]",
    "--- stderr:",
    "---",
    "\n",
    "\n",
    "\r",
    "\x1b[31m",
]
WORDS += [
    "TOML parse error at line 1, column 2",
    "  |",
    "1 | a",
    "  ^^^",
    "==",
    " + a==1",
    "falling back to copy",
    "    ",
]
WORDS += [
    "The wheel is invalid: ",
    "Failed to hardlink files; falling back to full copy",
    "Failed to parse: `",
    "> ",
    "]",
]
WORDS += [
    "failed to rename file from ",
    ".tmpA",
    "Failed to copy to `",
    "Failed to read from the distribution cache",
    ":",
]
TEXTS = st.text() | st.lists(st.sampled_from(WORDS) | st.text(max_size=3), max_size=60).map("".join)


@given(TEXTS, st.none() | st.sampled_from(Platform))
@example("error:\n", None)
@example("\x00" * 3, Platform.WINDOWS)
@example("error: Failed to install: \n  cause: failed to hardlink file from to to to\n", None)
@example("error: x\n  --- stderr:\n", None)
def test_no_text_is_too_strange(text: str, platform: Platform | None) -> None:
    reading = read(text, platform)
    assert platform is None or reading.platform is platform
    assert shown(text) in {True, False}
    for failure in reading.failures:
        assert failure.outcome in {Outcome.FAILED, Outcome.DEGRADED}
        assert failure.message


PLACES = re.compile(
    r"\(os error|The wheel is invalid|RECORD`? file|ailed to (?:hard ?link|copy|rename|symlink|softlink|reflink"
    r"|clone|create|remove|read|open|write|flush|sync|set|query|persist)|IO error for operation on"
)


@given(TEXTS)
def test_without_a_number_and_a_verb_there_is_no_failure(text: str) -> None:
    assume(not PLACES.search(re.sub(r"\s+", " ", text)))
    assert read(text).failures == ()


@given(TEXTS)
def test_a_log_line_never_makes_a_failure_of_the_whole(text: str) -> None:
    log = "\n".join(f"DEBUG {line}" for line in re.split(r"[\r\n]", text.replace("\\n", "")) if line)
    assert Outcome.FAILED not in {failure.outcome for failure in read(log).failures}


@given(TEXTS | st.lists(reports(), max_size=3).map(lambda them: "\n".join(it.text(80) for it in them)), st.data())
def test_where_a_text_is_cut_into_pieces_changes_nothing(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=20)))
    pieces = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert read(pieces) == read(text)


@pytest.mark.parametrize("case", cases(*RECORDINGS))
def test_a_text_can_come_character_by_character(case: Case) -> None:
    assert read(iter(case["text"])) == read(case["text"])


# --- large texts ----------------------------------------------------------------------------

HOSTILE = {
    "one report that never ends": ("error: a\n", "    b\n"),
    "blank lines": ("error: a\n", "\n"),
    "excerpts": ("error: a\n", "   b\n  ^^^\n"),
    "quotes that never end": ("error: a\n", "--- stderr:\nb\n"),
    "a quote that never ends": ("error: a\n\n    [stderr]\n", "    error: b\n"),
    "lost indentation": ("error: failed to hardlink file from\n", "a\n"),
    "many ways to split": ("error: Failed to install: a\n  cause: failed to copy file from ", "/a to "),
    "many colons": ("error: Failed to install: a\n  cause: failed to copy file from /a to /b", ": a"),
    "one line": ("error: ", "x error: Failed to "),
    "brackets": ("", "[a] "),
    "spaces": ("error: ", " "),
    "dots": ("error: Failed to install: ", "a."),
    "backslashes": ("error: ", "\\n \\n"),
    "backticks": ("DEBUG Failed to hard link ", "`a` to "),
    "codes": ("", "\x1b]8;;a"),
    "progress": ("", "░░░ [0/3] Installing wheels...\r"),
    "labels": ("", "error: Failed to a\n"),
    "causes": ("error: a\n", "  cause: Failed to install: a==1\n"),
    "fragments": ("", "Caused by: failed to rename file from a to b (os error 1)\n"),
    "alike log lines": (
        "",
        "DEBUG Failed to hard link `/a/archive-v0/b` to `/c`: d (os error 18); falling back to copy\n",
    ),
}


@pytest.mark.parametrize("shape", HOSTILE.values(), ids=HOSTILE)
def test_reading_is_linear_in_the_text(shape: tuple[str, str]) -> None:
    start, again = shape

    def seconds(length: int) -> float:
        text = start + again * (length // len(again))
        begun = process_time()
        assert isinstance(read(text), Reading)
        return process_time() - begun

    seconds(1_000)
    assert seconds(1_600_000) < 1 + 10 * 4 * seconds(400_000)


ANY_OF_UVS_WORDS = re.compile(
    r"error:|warning:|\u00d7|[Cc]aused? ?(?:by)?:|[Ff]ailed to \w+|\(os error \d+\)|falling back to|─▶|DEBUG|WARN|=="
)


@pytest.mark.parametrize("kind", KINDS)
def test_reading_keeps_up_with_a_search_for_a_few_words(kind: str) -> None:
    text = "".join(log(kind, 3_000_000))

    def seconds(work: Callable[[], object]) -> float:
        begun = process_time()
        assert work()
        return process_time() - begun

    ours = min(seconds(lambda: read(text).failures) for _ in range(5))
    search = min(seconds(lambda: [found[0] for found in ANY_OF_UVS_WORDS.finditer(text)]) for _ in range(5))
    assert search / ours > 0.3
