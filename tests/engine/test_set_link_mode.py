"""uv is the oracle: whatever a file looks like, one edit at the place in force gives uv the new link mode, no more."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from uv_link_doctor.engine import scripts
from uv_link_doctor.engine.model import LinkMode, Platform, Span, TextEdit
from uv_link_doctor.engine.settings import Invocation, effective, file_in_force
from uv_link_doctor.engine.toml_text import BYTE_ORDER_MARK, set_value

ENOUGH, DRAWN = 300, 450
"""How many different files are edited, and how many are drawn."""

SPACE = st.sampled_from(["", " ", "  ", "\t"])
COMMENTS = st.sampled_from(["", "", " # why", "#", ' # "link-mode" = [', "\t# é😀 ]"])
BLANK = st.sampled_from(["", "", "\n", "# a comment\n", "\n# [tool.uv]\n# link-mode = 'copy'\n\n"])
TOOL, UV, LINK_MODE = (st.sampled_from([it, it, f'"{it}"', f"'{it}'"]) for it in ("tool", "uv", "link-mode"))
VALUES = st.builds(lambda mode, quote: f"{quote}{mode.value}{quote}", st.sampled_from(LinkMode), st.sampled_from("\"'"))
OTHERS = [
    *("offline = true", "find-links = [ # none\n  # yet\n]", 'cache-dir = "é#\\t"', "extra-index-url = ['''\n#]''', ]"),
    *("config-settings = { a = 'b', c = ['d'] }", 'index-url = "https://example.org/\'[x]"', "find-links = []"),
]


@st.composite
def pairs(draw: st.DrawFn, prefix: str, *, lines: bool = True) -> list[str]:
    """`key = value` in any spelling, the link mode among them or not."""
    others = draw(st.lists(st.sampled_from([it for it in OTHERS if lines or "\n" not in it]), max_size=2))
    drawn = list({re.split(r"\s*=", it)[0]: prefix + it for it in others}.values())
    if draw(st.booleans()):
        drawn.insert(0, f"{prefix}{draw(LINK_MODE)}{draw(SPACE)}={draw(SPACE)}{draw(VALUES)}")
    return drawn


@st.composite
def tool_uv(draw: st.DrawFn) -> str:
    """What a pyproject.toml says of uv, in each way in which TOML lets one say it, after other tables."""
    style = draw(st.sampled_from(["none", "header", "header", "header", "dotted", "inline", "half", "below"]))
    tool, uv, gap = draw(TOOL), draw(UV), draw(SPACE)
    if style == "none":
        return ""
    if style == "inline":
        inside = f"{gap}{', '.join(draw(pairs('', lines=False)))}{gap}"
        return draw(st.sampled_from([f"[{tool}]\n{uv}{gap}={gap}{{{inside}}}", f"[{tool}]\n{uv} = {{{inside}}} # x"]))
    prefix = {"dotted": f"{uv}{gap}.{gap}", "half": f"{uv}."}.get(style, "")
    head = f"[{tool}]" if prefix else f"[{gap}{tool}{gap}.{gap}{uv}{gap}]"
    if style == "below":
        return f"{head[:-1].rstrip()}.sources]{draw(COMMENTS)}\n{draw(BLANK)}"
    lines = [f"{draw(SPACE)}{line}{draw(COMMENTS)}" for line in draw(pairs(prefix))]
    text = "\n".join([head + draw(COMMENTS), *(draw(BLANK) + line for line in lines)])
    if style == "header" and draw(st.booleans()):
        return text + f"\n{draw(BLANK)}[tool.uv.pip]\nstrict = true"
    return text


@st.composite
def pyprojects(draw: st.DrawFn) -> str:
    project = '[project]\nname = "p" # ours\nversion = "0"\n'
    ruff = draw(
        st.sampled_from(["", "[tool.ruff]\nline-length = 100 # [tool.uv]\n", '[[tool.x]]\na = """\n[tool.uv]\n"""\n'])
    )
    parts = draw(st.permutations([project, draw(tool_uv()) + "\n", ruff]))
    return draw(BLANK) + draw(BLANK).join(parts)


@st.composite
def uv_tomls(draw: st.DrawFn) -> str:
    lines = [f"{draw(BLANK)}{draw(SPACE)}{line}{draw(COMMENTS)}" for line in draw(pairs(""))]
    table = draw(st.sampled_from(["", "", "[pip]\nstrict = true\n", "# below\n[config-settings]\na = 'b'\n"]))
    if any("config-settings" in line for line in lines):
        table = ""
    return "\n".join([*lines, draw(BLANK) + table])


@st.composite
def scripted(draw: st.DrawFn) -> str:
    """A script whose block says little or much of uv."""
    inside = ["dependencies = []", *draw(tool_uv()).splitlines()]
    if draw(st.booleans()):
        inside = [line for line in inside if line]
    block = [
        "# /// script",
        *(f"# {line}".rstrip() for line in inside if "pip" not in line and "strict" not in line),
        "# ///",
    ]
    return "\n".join(["#!/usr/bin/env python", *block, "", "print('# ///')"])


@dataclass(frozen=True)
class Case:
    file: str
    """The one to be edited, of those below an empty directory."""
    files: tuple[tuple[str, bytes], ...]
    directory: str


@st.composite
def finished(draw: st.DrawFn, texts: st.SearchStrategy[str], *, mark: bool = True) -> bytes:
    """With the line ends, the mark and the end of a real file."""
    text = draw(texts)
    if draw(st.booleans()):
        text = text.rstrip("\n")
    if draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    return ((BYTE_ORDER_MARK if mark and draw(st.integers(0, 3)) == 2 else "") + text).encode()


@st.composite
def cases(draw: st.DrawFn) -> Case:
    plain = b'[project]\nname = "p"\nversion = "0"\n'
    workspace = b'[project]\nname = "p"\nversion = "0"\n[tool.uv.workspace]\nmembers = ["m"]\n'
    member = b'[project]\nname = "m"\nversion = "0"\n[tool.uv]\nlink-mode = "copy"\n'
    match draw(st.sampled_from(["project", "project", "uv.toml", "masking", "parent", "member", "script"])):
        case "project":
            return Case("p/pyproject.toml", (("p/pyproject.toml", draw(finished(pyprojects()))),), "p")
        case "uv.toml":
            return Case("p/uv.toml", (("p/uv.toml", draw(finished(uv_tomls()))), ("p/pyproject.toml", plain)), "p")
        case "masking":
            masked = draw(finished(pyprojects()))
            return Case("p/uv.toml", (("p/uv.toml", draw(finished(uv_tomls()))), ("p/pyproject.toml", masked)), "p")
        case "parent":
            return Case("uv.toml", (("uv.toml", draw(finished(uv_tomls()))), ("p/pyproject.toml", plain)), "p")
        case "member":
            files = (("p/pyproject.toml", workspace), ("p/m/pyproject.toml", member))
            return Case("p/uv.toml", (("p/uv.toml", draw(finished(uv_tomls()))), *files), "p/m")
        case _:
            script = draw(finished(scripted(), mark=False))
            return Case("p/s.py", (("p/s.py", script), ("p/pyproject.toml", plain)), "p")


def test_uv_has_the_new_link_mode_and_nothing_else_is_changed(uv_binary, tmp_path):
    uv, base = uv_binary("newest"), tmp_path / "layout"
    edited: set[bytes] = set()

    @settings(
        max_examples=DRAWN, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(cases())
    def edit(case: Case) -> None:
        called = written(case, base)
        before = as_uv_says(uv, called)
        assert before == effective(base / "p", called, read_text).link_mode.value, case
        place = file_in_force(base / "p", called, read_text)
        assert place is not None
        assert place.path == base / case.file
        wanted = "hardlink" if before == "symlink" else "symlink"
        old = dict(case.files)[case.file]
        text = old.decode()
        setter = scripts.set_value if called.script else set_value
        change = setter(text, place.key, f'"{wanted}"')
        assert change is not None
        place.path.write_bytes(change.apply(text).encode())
        assert as_uv_says(uv, called) == wanted

        new, span = change.apply(text), change.span
        assert new[: span.start] == text[: span.start]
        assert new[span.start + len(change.new_text) :] == text[span.end :]
        assert text[span.start : span.end].strip(" \t\"'") in {"", *LinkMode}, "nothing but the value goes"
        assert "\n" not in change.new_text or ("\r\n" in change.new_text) == ("\r\n" in text)
        back = TextEdit(Span(span.start, span.start + len(change.new_text)), text[span.start : span.end])
        assert back.apply(new).encode() == old
        edited.add(old)

    edit()
    assert len(edited) >= ENOUGH


def written(case: Case, base: Path) -> Invocation:
    shutil.rmtree(base, ignore_errors=True)
    (base / "home").mkdir(parents=True)
    for path, content in case.files:
        (base / path).parent.mkdir(parents=True, exist_ok=True)
        (base / path).write_bytes(content)
    script = base / case.file if case.file.endswith(".py") else None
    environ: Mapping[str, str] = {"HOME": str(base / "home"), "XDG_CONFIG_DIRS": str(base / "none")}
    return Invocation(
        directory=base / case.directory,
        environ=environ,
        arguments=("sync", "--script", str(script)) if script else ("sync",),
        platform=Platform.LINUX,
        home=base / "home",
        script=script,
    )


def as_uv_says(uv: Path, called: Invocation) -> str:
    command = [str(uv), *called.arguments, "--show-settings"]
    shown = subprocess.run(
        command, cwd=called.directory, env=called.environ, capture_output=True, text=True, check=False
    )
    assert shown.returncode == 0, shown.stderr
    mode = re.search(r"^\s*link_mode: (\w+),", shown.stdout, re.MULTILINE)
    assert mode
    return mode[1].lower()


def read_text(path: Path) -> str | None:
    return path.read_bytes().decode() if path.is_file() else None
