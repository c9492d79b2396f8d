"""The block of a PEP 723 script: read as uv reads it, placed in the script, and changed without touching the rest."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uv_link_doctor.engine import scripts
from uv_link_doctor.engine.toml_text import locate, offset_at

BLOCKS = {
    # A script, and the TOML in it; None for none.
    "first": ("# /// script\n# a = 1\n# ///\nimport a\n", "a = 1\n"),
    "below": ("#!/bin/x\n\nx = 1\n# /// script\n# a = 1\n#\n# b = 2\n# ///", "a = 1\n\nb = 2\n"),
    "CRLF": ("# /// script\r\n# a = 1\r\n#\r\n# ///\r\n", "a = 1\r\n\r\n"),
    "indented": ("# /// script\n#   a = [\n#  1]\n# ///\n", "  a = [\n 1]\n"),
    "blank after the mark": ("# /// script\n# \n# a = 1\n# ///\n", "\na = 1\n"),
    "empty": ("# /// script\n# ///\n", ""),
    "closed twice": ("# /// script\n# a = 1\n# ///\n# b = 2\n# ///\n# c\n", "a = 1\n///\nb = 2\n"),
    "never closed": ("# /// script\n# a = 1\nx = 1\n# ///\n", None),
    "never closed at the end": ("# /// script\n# a = 1", None),
    "a line that is no such comment": ("# /// script\n#a = 1\n# ///\n", None),
    "not at the start of its line": ("  # /// script\n# a = 1\n# ///\n", None),
    "of another type": ("# /// other\n# a = 1\n# ///\n", None),
    "more in its line": ("# /// script x\n# a = 1\n# ///\n", None),
    "a byte order mark": ("\ufeff# /// script\n# a = 1\n# ///\n", None),
    "nothing": ("", None),
}


@pytest.mark.parametrize(("text", "toml"), BLOCKS.values(), ids=BLOCKS)
def test_the_block_is_what_stands_behind_the_marks(text, toml):
    found = scripts.block(text)
    assert (None if found is None else found.toml) == toml


def test_a_place_in_the_block_is_one_in_the_script():
    text = 'x = "é😀"\n# /// script\n# dependencies = [\n#   "é😀", "httpx", # why\n#\n#   "idna",\n# ]\n# ///\n'
    found = scripts.block(text)
    assert found is not None
    values = locate(found.toml).values
    shown = found.range_of(values["dependencies", 1])
    assert text[offset_at(text, shown.start) : offset_at(text, shown.end)] == '"httpx"'
    assert (shown.start.line, shown.start.character) == (3, len('#   "é😀", ') + 1)
    whole = found.span(values[("dependencies",)])
    assert text[whole.start : whole.end] == '[\n#   "é😀", "httpx", # why\n#\n#   "idna",\n# ]'


LINES = st.sampled_from(
    [
        *("", "# a comment é😀", "a = 1", 'dependencies = [\n  "httpx", # why\n]', "[tool.x]", "[tool.uv]", "b = 2"),
        *("[tool.uv.sources]", 'link-mode = "clone" # x', "tool.uv.link-mode = 'clone'", "tool = {uv = {}}", "[[c]]"),
    ]
)


@given(
    lines=st.lists(LINES, max_size=6),
    before=st.sampled_from(["", "#!/usr/bin/env python\n", "x = 1\n\n"]),
    after=st.sampled_from(["", "\nimport httpx\n", "# no part of it\n", "\n# /// other\n# ///\n"]),
    newline=st.sampled_from(["\n", "\r\n"]),
    blank=st.sampled_from(["#", "# "]),
)
def test_a_value_is_set_and_every_other_byte_stays(lines, before, after, newline, blank):
    toml = "".join(f"{line}\n" for line in lines)
    commented = "".join(f"# {line}\n" if line else f"{blank}\n" for line in toml.splitlines())
    text = f"{before}# /// script\n{commented}# ///\n{after}".replace("\n", newline)
    try:
        data = tomllib.loads(toml)
    except tomllib.TOMLDecodeError:
        return
    change = scripts.set_value(text, ("tool", "uv", "link-mode"), '"copy"')
    if change is None:
        return
    changed = change.apply(text)
    assert changed.startswith(text[: change.span.start])
    assert changed.endswith(text[change.span.end :])
    assert changed.count("\r") == (changed.count("\n") if newline == "\r\n" else 0)
    found = scripts.block(changed)
    assert found is not None
    told = tomllib.loads(found.toml)
    assert told["tool"]["uv"].pop("link-mode") == "copy"
    data.setdefault("tool", {}).setdefault("uv", {}).pop("link-mode", None)
    assert told == data
    assert change.new_text == '"copy"' or text[change.span.start : change.span.end] == ""


def test_nothing_can_be_set_without_a_block_or_where_no_insertion_does_it():
    assert scripts.set_value("import x\n", ("tool", "uv", "link-mode"), '"copy"') is None
    assert scripts.set_value("# /// script\n# tool = 1\n# ///\n", ("tool", "uv", "link-mode"), '"copy"') is None
