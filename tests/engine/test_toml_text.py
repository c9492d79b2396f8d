"""tomllib is the oracle: what is located means what tomllib reads there, and an edit changes what it says it does."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from uv_link_doctor.engine.model import Position, Range, Span, TextEdit
from uv_link_doctor.engine.toml_text import (
    TomlPath,
    TomlProblem,
    locate,
    offset_at,
    parse,
    position_at,
    range_of,
    set_value,
    string_span,
)

CONFLICT = "<" * 7 + " ours"

BOM = "\ufeff"
UNHURRIED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""A document is parsed once for every statement it gets."""
UV_LINK_MODE = ("tool", "uv", "link-mode")


# --- documents ----------------------------------------------------------------------------

KEYS = st.sampled_from(["tool", "uv", "a", '"uv"', "'a'", '"\\u0061"', '"a.b"', '"é😀"', '""', "1", "link-mode"])
SPACE = st.sampled_from(["", " ", "\t", "  "])
COMMENTS = st.sampled_from(["", "# plain", ' # "quoted" = [', "#😀", "# a\u2028b\x85c", "# ]"])
SCALARS = [
    *('"copy"', "'copy'", '""', "''", '"\\"#]"', '"é😀\\U0001F600"', "'\\'", '"a\u2028b"', '"\\\\"'),
    *('"""a\nb"""', '"""\n# no comment\n[x]\n"""', "'''\n'''", "'''''a'''''", '"""""a"""""', '"""\\"""\\\n  """'),
    *("true", "false", "0", "-1_000", "+0.5e-3", "0xAF", "inf", "-nan", "1979-05-27", "07:32:00.5"),
    *("1979-05-27T07:32:00Z", "1979-05-27 07:32:00-08:00"),
]


@st.composite
def dotted(draw: st.DrawFn) -> str:
    return draw(st.sampled_from([".", " . "])).join(draw(st.lists(KEYS, min_size=1, max_size=3)))


def arrays(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    separator = st.sampled_from([",", ", ", ",\n  ", " ,# ]\n"])
    return st.builds(
        lambda items, comma, opening, closing: "[" + opening + comma.join(items) + closing + "]",
        st.lists(values, max_size=3),
        separator,
        st.sampled_from(["", "\n", " # [\n"]),
        st.sampled_from(["", " ", "\n"]),
    )


def inline_tables(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    pair = st.builds(lambda key, gap, value: f"{key}{gap}={gap}{value}", dotted(), SPACE, values)
    return st.builds(lambda gap, pairs: "{" + gap + ", ".join(pairs) + gap + "}", SPACE, st.lists(pair, max_size=3))


VALUES = st.recursive(st.sampled_from(SCALARS), lambda inner: arrays(inner) | inline_tables(inner), max_leaves=5)
STATEMENTS = st.one_of(
    st.builds(lambda gap, key, value, comment: f"{gap}{key} ={gap}{value}{comment}", SPACE, dotted(), VALUES, COMMENTS),
    st.builds(lambda gap, key, comment: f"{gap}[{key}{gap}]{gap}{comment}", SPACE, dotted(), COMMENTS),
    st.builds(lambda key, gap: f"[[{gap}{key}]]{gap}", dotted(), SPACE),
    COMMENTS,
)


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Valid TOML: of the statements drawn, those that may follow what stands already."""
    text = ""
    for statement in draw(st.lists(STATEMENTS, max_size=8)):
        longer = f"{text}{statement}\n"
        if not isinstance(parse(longer), TomlProblem):
            text = longer
    if draw(st.booleans()):
        text = text.removesuffix("\n")
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    text = BOM + text if draw(st.booleans()) else text
    assume(not isinstance(parse(text), TomlProblem))  # A final backslash lost its line end.
    return text


def data_of(text: str) -> dict[str, Any]:
    data = parse(text)
    assert isinstance(data, dict), data
    return data


def everything(data: object, path: TomlPath = ()) -> Iterator[tuple[TomlPath, object]]:
    """Every value in the data below the root, tables included, by its path."""
    if path:
        yield path, data
    if isinstance(data, dict):
        for key, value in data.items():
            yield from everything(value, (*path, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from everything(value, (*path, index))


def same(one: object, other: object) -> bool:
    """Equality, but not-a-number is itself, and 1 is neither 1.0 nor true."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return repr(one) == repr(other)


# --- locate -------------------------------------------------------------------------------


@UNHURRIED
@given(documents())
def test_every_located_value_means_what_tomllib_reads_there(text):
    found = locate(text)
    values = dict(everything(data_of(text)))
    for path, span in found.values.items():
        assert same(tomllib.loads("it = " + text[span.start : span.end])["it"], values[path]), path


@pytest.mark.parametrize("scalar", SCALARS)
@pytest.mark.parametrize(
    ("before", "after", "path"),
    [
        ("a = ", "\nb = 1", ("a",)),
        ("a = ", " # c", ("a",)),
        ("a = [", ",\n1]", ("a", 0)),
        ("a = {b=", "}", ("a", "b")),
    ],
)
def test_a_value_is_located_whole(before, scalar, after, path):
    assert locate(before + scalar + after).values[path] == Span(len(before), len(before + scalar))


@UNHURRIED
@given(documents())
def test_every_value_is_located(text):
    found = locate(text)
    for path, value in everything(data_of(text)):
        is_written_in_pieces = isinstance(value, dict | list) and any(
            other[: len(path)] == path for other in (*found.headers, *found.keys) if len(other) > len(path)
        )
        assert path in found.values or path in found.headers or is_written_in_pieces, path


@UNHURRIED
@given(documents())
def test_every_key_and_header_stands_where_it_is_located(text):
    found = locate(text)
    for path, span in found.keys.items():
        names = data_path(text[span.start : span.end] + " = 0")
        assert path[-len(names) :] == tuple(names)
        assert found.pair(path) == Span(span.start, found.values[path].end)
    for path, span in found.headers.items():
        written = text[span.start : span.end]
        names = data_path(written)
        assert [step for step in path if isinstance(step, str)] == names
        assert written.startswith("[[") == isinstance(path[-1], int)


def data_path(statement: str) -> list[str]:
    """The keys down to the one value of a document with one statement."""
    data: object = tomllib.loads(statement)
    path = []
    while isinstance(data, dict | list) and data:
        if isinstance(data, list):
            data = data[0]
        else:
            ((key, data),) = data.items()
            path.append(key)
    return path


@given(st.text(max_size=80) | st.text('[]{}"=.#,\n\r\\a1 \ufeff' + "'", max_size=60))
def test_no_text_is_too_broken(text):
    found = locate(text)
    for span in (*found.headers.values(), *found.keys.values(), *found.values.values()):
        assert 0 <= span.start < span.end <= len(text)
    parse(text)
    set_value(text, UV_LINK_MODE, '"copy"')


@UNHURRIED
@given(documents(), st.data())
def test_a_line_of_nonsense_hides_only_itself(text, data):
    found = locate(text)
    line_starts = [text.find("\n", span.end) + 1 for span in found.headers.values()]
    at = data.draw(st.sampled_from([*filter(None, line_starts), len(BOM) * text.startswith(BOM)]))
    broken = text[:at] + "nonsense here\n" + text[at:]
    assert locate(broken).values.keys() == found.values.keys()


BROKEN = [
    ("a = 1\nb = \nc = 3\n", {("a",): "1", ("c",): "3"}),
    ("a = copy\nb = 2\n", {("b",): "2"}),
    ("a = 'x\nb = 2\n", {("b",): "2"}),
    ("[a\nb = 2\n", {("b",): "2"}),
    ("[[a]\nb = 2\n[c]\nd = 3", {("b",): "2", ("c", "d"): "3"}),
    ("a = [1, 2\n\n[b]\nc = 3\n", {("a", 0): "1", ("a", 1): "2", ("b", "c"): "3"}),
    ("a = [1, 2,\n\n[tool.b]\nc = 3\n", {("a", 0): "1", ("a", 1): "2", ("tool", "b", "c"): "3"}),
    ("a = [\n  'x'\n  'y',\n]\nb = 2\n", {("a", 0): "'x'", ("a", 1): "'y'", ("b",): "2"}),
    ("a = { b = 1\nc = 3\n", {("a", "b"): "1", ("a", "c"): "3"}),
    ('a = """\nb = 2\n', {("b",): "2"}),
    (f"{CONFLICT}\na = 1\n=======\na = 2\n>>>>>>> theirs\nb = 3\n", {("a",): "2", ("b",): "3"}),
    ("a = " + "[" * 5000 + "\nb = 2", {("b",): "2"}),
]


@pytest.mark.parametrize(("text", "readable"), BROKEN, ids=[text[:20] for text, _ in BROKEN])
def test_broken_text_keeps_what_can_be_read(text, readable):
    found = locate(text)
    scalars = {path: text[span.start : span.end] for path, span in found.values.items()}
    assert {path: value for path, value in scalars.items() if value[0] not in "[{"} == readable


HOSTILE = {
    "arrays left open": "a = [\n" * 20_000,
    "arrays in arrays": "a = [" + "[" * 100_000,
    "inline tables left open": "a = {\nb =\n" * 10_000,
    "an escaped quote": 'a = "' + '\\"' * 50_000,
    "an escaped quote in a multi-line string": 'a = """' + '\\"' * 50_000,
    "multi-line strings left open": 'a = """\n' * 12_000,
    "a dotted key": "a." * 50_000,
    "a header": "[" + "a." * 50_000,
    "an array that ends in nonsense": "a = [" + "1," * 50_000 + "x",
    "comments": "#\n" * 50_000,
    "arrays of tables": "[[a]]\n[[a.b]]\n" * 7_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_no_text_takes_more_than_linear_time(text):
    """Anything quadratic takes minutes with these, so no clock is needed to notice it."""
    assert locate(text).text is text


# --- positions ----------------------------------------------------------------------------

TEXTS = st.text(st.sampled_from("ab\n\r\f\u2028\x85é漢😀\ud83d"), max_size=30)


@given(st.sampled_from(["", BOM]), TEXTS)
def test_positions_are_those_of_an_editor(mark, body):
    """An editor holds the text without its mark, as UTF-16, and (here) ends lines at LF and CRLF."""
    text, units = mark + body, 0
    line = 0
    for index, character in enumerate(body):
        position = position_at(text, len(mark) + index)
        assert position == Position(line, units)
        inside_line_end = character == "\n" and body[index - 1 : index] == "\r"
        assert offset_at(text, position) == len(mark) + index - inside_line_end
        units += len(character.encode("utf-16-le", "surrogatepass")) // 2
        if character == "\n":
            line, units = line + 1, 0
    assert position_at(text, len(text)) == Position(line, units)


def test_the_mark_itself_and_places_outside_have_positions_too():
    assert position_at(BOM + "a", 0) == Position(0, 0)
    assert offset_at(BOM + "a", Position(0, 0)) == 1
    assert offset_at("é\r\nb", Position(0, 99)) == 1
    assert offset_at("a\r\nb", Position(0, 99)) == 1
    assert offset_at("a\r\nb", Position(9, 0)) == 4
    assert offset_at("😀", Position(0, 1)) == 0


def test_a_range_counts_utf16():
    text = 'a = ["😀", "b"]'
    assert range_of(text, locate(text).values["a", 1]) == Range(Position(0, 11), Position(0, 14))


# --- parse --------------------------------------------------------------------------------

PROBLEMS = [
    ("a = 1\nb = \n", "Invalid value", Position(1, 4)),
    (BOM + "a = ]", "Invalid value", Position(0, 4)),
    ("a = 1\r\nb\r\n", "Expected '=' after a key in a key/value pair", Position(1, 1)),
    ("a = 'é漢😀' x", "Expected newline or end of document after a statement", Position(0, 11)),
    ("a = [1, 2\n\n", "Unclosed array", Position(2, 0)),
    ("a = 1\na = 2\n", "Cannot overwrite a value", Position(1, 5)),
    ("a = " + "9" * 5000, "Exceeds the limit", Position(0, 0)),
]


@pytest.mark.parametrize(("text", "message", "position"), PROBLEMS)
def test_a_problem_stands_where_tomllib_noticed_it(text, message, position):
    problem = parse(text)
    assert isinstance(problem, TomlProblem)
    assert problem.message.startswith(message)
    assert " (at " not in problem.message
    assert problem.position == position


def test_nesting_that_exhausts_tomllib_is_a_problem_too():
    assert isinstance(parse("a = " + "[" * 100_000), TomlProblem)


def test_a_byte_order_mark_is_no_part_of_the_document():
    assert parse(BOM + "a = 1") == {"a": 1}


# --- string_span --------------------------------------------------------------------------

STRINGS = [
    ('"a"', "a"),
    ("''", ""),
    ('""', ""),
    ('"\\u0061"', "\\u0061"),
    ('"""a"""', "a"),
    ('"""\na\n"""', "a\n"),
    ("'''\r\na'''", "a"),
    ('""""a"""""', '"a""'),
    ('""""""', ""),
    ("12", None),
    ("[]", None),
]


@pytest.mark.parametrize(("literal", "content"), STRINGS)
def test_the_content_of_a_string_stands_between_its_quotes(literal, content):
    text = f"a = {literal} # '"
    span = string_span(text, locate(text).values["a",])
    assert (text[span.start : span.end] if span else None) == content


# --- set_value ----------------------------------------------------------------------------

EDITS = {
    "replaced": ('[tool.uv]\nlink-mode = "hardlink" # why\n', '[tool.uv]\nlink-mode = "copy" # why\n'),
    "replaced, dotted": ("tool.uv.link-mode = ''", 'tool.uv.link-mode = "copy"'),
    "replaced, inline": ("[tool]\nuv = {link-mode='x'}", '[tool]\nuv = {link-mode="copy"}'),
    "header": ("[tool.uv] # c\nmanaged = true\n", '[tool.uv] # c\nlink-mode = "copy"\nmanaged = true\n'),
    "header, last line": ("[tool.uv]", '[tool.uv]\nlink-mode = "copy"\n'),
    "header, CRLF": ("[tool.uv]\r\na = 1\r\n", '[tool.uv]\r\nlink-mode = "copy"\r\na = 1\r\n'),
    "header, quoted": ('[ tool . "uv" ]\n', '[ tool . "uv" ]\nlink-mode = "copy"\n'),
    "dotted under [tool]": (
        "[tool]\nuv.managed = true # c\nx = 1\n",
        '[tool]\nuv.managed = true # c\nuv.link-mode = "copy"\nx = 1\n',
    ),
    "dotted at the top": ("tool.uv.a = '''\n'''", "tool.uv.a = '''\n'''\ntool.uv.link-mode = \"copy\"\n"),
    "inline": ("tool = {uv = {a = 1}}", 'tool = {uv = { link-mode = "copy", a = 1}}'),
    "inline, empty": ("tool.uv = {  }", 'tool.uv = { link-mode = "copy" }'),
    "inline above": ("tool = { a = 1 }", 'tool = { uv.link-mode = "copy", a = 1 }'),
    "sub-table only": (
        "[a]\nb = 1\n\n# ours\n[tool.uv.sources]\nc = {path='.'}\n",
        "[a]\nb = 1\n\n[tool.uv]\nlink-mode = \"copy\"\n\n# ours\n[tool.uv.sources]\nc = {path='.'}\n",
    ),
    "array of tables below": (
        "[[tool.uv.index]]\nurl = 'x'\n",
        "[tool.uv]\nlink-mode = \"copy\"\n\n[[tool.uv.index]]\nurl = 'x'\n",
    ),
    "no comment but a string": (
        'a = """\n# b"""\n[tool.uv.x]\n',
        'a = """\n# b"""\n[tool.uv]\nlink-mode = "copy"\n\n[tool.uv.x]\n',
    ),
    "no table": ("[project]\nname = 'a'\n", "[project]\nname = 'a'\n\n[tool.uv]\nlink-mode = \"copy\"\n"),
    "no table, no line end": ("a = 1", 'a = 1\n\n[tool.uv]\nlink-mode = "copy"\n'),
    "no table, blank line": ("a = 1\r\n\r\n", 'a = 1\r\n\r\n[tool.uv]\r\nlink-mode = "copy"\r\n'),
    "empty": ("", '[tool.uv]\nlink-mode = "copy"\n'),
    "only a mark": (BOM, BOM + '[tool.uv]\nlink-mode = "copy"\n'),
}


@pytest.mark.parametrize(("before", "after"), EDITS.values(), ids=EDITS.keys())
def test_an_edit_follows_the_style_of_the_file(before, after):
    edit = set_value(before, UV_LINK_MODE, '"copy"')
    assert edit is not None
    assert edit.apply(before) == after
    assert set_value(after, UV_LINK_MODE, '"copy"') == TextEdit(locate(after).values[UV_LINK_MODE], '"copy"')


TOP_LEVEL_EDITS = [
    ("", 'link-mode = "copy"\n'),
    ("# mine", '# mine\nlink-mode = "copy"\n'),
    ("a = 1\n", 'a = 1\nlink-mode = "copy"\n'),
    ("a = [\n1]\n\n[pip]\nb = 1\n", 'a = [\n1]\nlink-mode = "copy"\n\n[pip]\nb = 1\n'),
    (BOM + "# for pip\r\n[pip]", BOM + 'link-mode = "copy"\r\n\r\n# for pip\r\n[pip]'),
    ("link-mode = 'clone'", 'link-mode = "copy"'),
]


@pytest.mark.parametrize(("before", "after"), TOP_LEVEL_EDITS)
def test_an_edit_of_the_top_level_stays_above_all_headers(before, after):
    edit = set_value(before, ("link-mode",), '"copy"')
    assert edit is not None
    assert edit.apply(before) == after


@pytest.mark.parametrize(
    "text",
    [
        "tool = 1",
        "tool.uv = []",
        "[[tool]]",
        "[[tool]]\n[tool.uv]",
        "[[tool.uv]]",
        "[tool.uv.link-mode]",
        "tool = [{}]",
    ],
)
def test_what_no_single_insertion_can_do_is_not_done(text):
    assert set_value(text, UV_LINK_MODE, '"copy"') is None


@given(
    documents(), st.lists(st.sampled_from(["tool", "uv", "a", "a.b", "é😀", "", "link-mode"]), min_size=1, max_size=4)
)
def test_an_edit_gives_the_edited_data_and_touches_nothing_else(text, steps):
    path = tuple(steps)
    expected: Any = copy.deepcopy(data_of(text))
    edit = set_value(text, path, '"edited"')
    table = expected
    for step in path[:-1]:
        table = table.setdefault(step, {}) if isinstance(table, dict) else None
    possible = isinstance(table, dict) and (path in locate(text).values or path[-1] not in table)
    assert (edit is not None) == possible
    if edit:
        replaced = text[edit.span.start : edit.span.end]
        table[path[-1]] = "edited"
        assert same(data_of(edit.apply(text)), expected)
        assert edit.span == locate(text).values.get(path) or not replaced.strip()
