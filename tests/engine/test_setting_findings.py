"""What is said of settings without effect and of settings that uv refuses, word for word, and where it stands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from uv_link_doctor.engine.model import Manifest, Platform
from uv_link_doctor.engine.setting_findings import setting_findings
from uv_link_doctor.engine.settings import Invocation, effective
from uv_link_doctor.engine.toml_text import parse

ROOT, HOME = Path("/home/ana/app"), Path("/home/ana")
PROJECT, OUTER, MEMBER, SCRIPT = "pyproject.toml", "../uv.toml", "m/pyproject.toml", "s.py"
USER = "../.config/uv/uv.toml"
START = '[project]\nname = "app"\n\n[tool.uv]\n'
COPY = START + 'link-mode = "copy"\n'
HEADER, FIFTH = (PROJECT, 0), (PROJECT, 4)


@dataclass(frozen=True, kw_only=True)
class Case:
    """Files below the root (`..` leads to the home directory above it), and how uv is called there."""

    files: Mapping[str, str]
    arguments: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    directory: str = ""
    version: tuple[int, int, int] | None = (0, 13, 9)
    script: str | None = None
    own_option: bool = False


@dataclass(frozen=True)
class Said:
    id: str
    message: str
    why: str
    place: tuple[object, int]
    related: Sequence[tuple[object, int, str]] = ()


def found(case):
    texts = {ROOT / PROJECT: START, **{absolute(path): text for path, text in case.files.items()}}
    called = Invocation(
        directory=ROOT / case.directory,
        environ=case.environ,
        arguments=case.arguments,
        version=case.version,
        platform=Platform.LINUX,
        home=HOME,
        script=ROOT / case.script if case.script else None,
    )
    data = parse(texts[ROOT / PROJECT])
    assert isinstance(data, dict)
    manifest = Manifest(path=ROOT / PROJECT, text=texts[ROOT / PROJECT], data=data)
    settings = effective(ROOT, called, texts.get)
    return setting_findings(settings, manifest, ROOT, directory=called.directory, own_option=case.own_option)


def absolute(path: str) -> Path:
    return HOME / path.removeprefix("../") if path.startswith("../") else ROOT / path


def place(location):
    path = location.path
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path, location.range.start.line


IGNORED = "uv does not use this setting where it stands: "
CASES = {
    "a variable": (
        Case(files={PROJECT: COPY}, environ={"UV_LINK_MODE": "hardlink"}),
        Said(
            "setting-ignored:pyproject.toml:tool.uv.link-mode",
            IGNORED + '`link-mode = "copy"` in `pyproject.toml:5`; in force is `hardlink`, set by `UV_LINK_MODE`',
            "The variable `UV_LINK_MODE` comes before every file. Unset `UV_LINK_MODE`, and this setting counts.",
            FIFTH,
        ),
    ),
    "an option": (
        Case(files={"uv.toml": "\n cache-dir = '/c'", PROJECT: "[project]"}, arguments=("--cache-dir", "/d")),
        Said(
            "setting-ignored:uv.toml:cache-dir",
            IGNORED + '`cache-dir = "/c"` in `uv.toml:2`; in force is `/d`, set by `--cache-dir`',
            "The option `--cache-dir` comes before every file. Leave `--cache-dir` out, and this setting counts.",
            ("uv.toml", 1),
        ),
    ),
    "no cache at all": (
        Case(files={PROJECT: START + "cache-dir = 'c'\nno-cache = true\n"}),
        Said(
            "setting-ignored:pyproject.toml:tool.uv.cache-dir",
            IGNORED + '`cache-dir = "c"` in `pyproject.toml:5`; in force is `/tmp`, set in `pyproject.toml:6`',
            "With `no-cache` uv uses a fresh temporary directory for each run, and no `cache-dir`. "
            "Remove one of the two.",
            FIFTH,
            [(PROJECT, 5, "this is in force")],
        ),
    ),
    "masked": (
        Case(files={PROJECT: COPY, "uv.toml": "link-mode = 'clone'"}),
        Said(
            "setting-ignored:pyproject.toml:tool.uv.link-mode",
            IGNORED + '`link-mode = "copy"` in `pyproject.toml:5`; in force is `clone`, set in `uv.toml:1`',
            "A `uv.toml`, even an empty one, replaces the whole `[tool.uv]` table of the `pyproject.toml` beside it. "
            "Move the setting into the `uv.toml`.",
            FIFTH,
            [("uv.toml", 0, "this is in force")],
        ),
    ),
    "masked by an empty file": (
        Case(files={PROJECT: COPY, "uv.toml": "", USER: "link-mode = 'clone'"}),
        Said(
            "setting-ignored:pyproject.toml:tool.uv.link-mode",
            IGNORED + '`link-mode = "copy"` in `pyproject.toml:5`; '
            "in force is `clone`, set in `/home/ana/.config/uv/uv.toml:1`",
            "A `uv.toml`, even an empty one, replaces the whole `[tool.uv]` table of the `pyproject.toml` beside it. "
            "Move the setting into the `uv.toml`.",
            FIFTH,
            [("uv.toml", 0, "because of this, it has no effect"), (HOME / ".config/uv/uv.toml", 0, "this is in force")],
        ),
    ),
    "in a member": (
        Case(files={MEMBER: COPY}, directory="m"),
        Said(
            "setting-ignored:m/pyproject.toml:tool.uv.link-mode",
            IGNORED + '`link-mode = "copy"` in `m/pyproject.toml:5`; in force is `clone`, uv\'s default',
            "uv reads settings only at the root of a workspace, and passes over those of its members without a word. "
            "Write it into the `[tool.uv]` table, or the `uv.toml`, of `/home/ana/app`.",
            (MEMBER, 4),
        ),
    ),
    "not read": (
        Case(files={PROJECT: COPY}, environ={"UV_NO_CONFIG": "1"}),
        Said(
            "setting-ignored:pyproject.toml:tool.uv.link-mode",
            IGNORED + '`link-mode = "copy"` in `pyproject.toml:5`; in force is `clone`, uv\'s default',
            "The variable `UV_NO_CONFIG` keeps uv from reading this file at all. "
            "Unset `UV_NO_CONFIG`, and uv reads it again.",
            FIFTH,
        ),
    ),
    "above the root": (
        Case(files={OUTER: "link-mode = 'copy'", PROJECT: "[project]"}, arguments=("--no-config",)),
        Said(
            "setting-ignored:/home/ana/uv.toml:link-mode",
            IGNORED + '`link-mode = "copy"` in `/home/ana/uv.toml:1`; in force is `clone`, uv\'s default',
            "The option `--no-config` keeps uv from reading this file at all. "
            "Leave `--no-config` out, and uv reads it again.",
            HEADER,
        ),
    ),
    "a bad value in the table": (
        Case(files={PROJECT: START + "link-mode = 'Copy'\n"}, environ={"UV_CACHE_DIR": "/c"}),
        Said(
            "setting-invalid:pyproject.toml:tool.uv.link-mode",
            'uv does not accept the value of this setting: `link-mode = "Copy"` in `pyproject.toml:5` '
            "must be `clone`, `copy`, `hardlink`, `symlink` or `reflink`",
            "uv only warns, drops the whole `[tool.uv]` table and goes on without it: "
            "`link-mode` is `clone`, uv's default and `cache-dir` is `/c`, set by `UV_CACHE_DIR`.",
            FIFTH,
        ),
    ),
    "a bad value in a uv.toml": (
        Case(files={"uv.toml": "no-cache = 1", PROJECT: "[project]"}),
        Said(
            "setting-invalid:uv.toml:no-cache",
            "uv does not accept the value of this setting: `no-cache = 1` in `uv.toml:1` must be `true` or `false`",
            "uv stops over it before it does anything.",
            ("uv.toml", 0),
        ),
    ),
    "a bad value in the user's file": (
        Case(files={USER: "cache-dir = 1"}),
        Said(
            "setting-invalid:/home/ana/.config/uv/uv.toml:cache-dir",
            "uv does not accept the value of this setting: `cache-dir = 1` in `/home/ana/.config/uv/uv.toml:1` "
            "must be a string",
            "uv stops over it before it does anything.",
            HEADER,
            [(HOME / ".config/uv/uv.toml", 0, "it stands here")],
        ),
    ),
    "a misspelled key": (
        Case(files={PROJECT: START + "link_mode = 'copy'\n"}),
        Said(
            "setting-invalid:pyproject.toml:tool.uv.link_mode",
            "uv does not take this setting: `link_mode` in `pyproject.toml:5` is no setting of uv; `link-mode` is one",
            "uv only warns, drops the whole `[tool.uv]` table and goes on without it: "
            "`link-mode` is `clone`, uv's default and `cache-dir` is `/home/ana/.cache/uv`, uv's default.",
            FIFTH,
        ),
    ),
    "a key of a later release": (
        Case(files={PROJECT: START + "audit = {}\n"}, version=(0, 9, 30)),
        Said(
            "setting-invalid:pyproject.toml:tool.uv.audit",
            "uv does not take this setting: `audit` in `pyproject.toml:5` is no setting of uv 0.9.30 yet",
            "uv only warns, drops the whole `[tool.uv]` table and goes on without it: "
            "`link-mode` is `hardlink`, uv's default and `cache-dir` is `/home/ana/.cache/uv`, uv's default.",
            FIFTH,
        ),
    ),
    "a key that a uv.toml must not have": (
        Case(files={"uv.toml": "managed = true", PROJECT: "[project]"}),
        Said(
            "setting-invalid:uv.toml:managed",
            "uv does not take this setting: `managed` in `uv.toml:1` is not allowed in a `uv.toml`",
            "uv stops over it before it does anything.",
            ("uv.toml", 0),
        ),
    ),
    "a key that a script must not have": (
        Case(files={SCRIPT: "x\n# /// script\n# [tool.uv]\n# managed = 1\n# ///\n"}, script=SCRIPT),
        Said(
            "setting-invalid:s.py:tool.uv.managed",
            "uv does not take this setting: `managed` in `s.py:4` is not allowed in a script",
            "uv stops over it before it does anything.",
            (SCRIPT, 3),
        ),
    ),
    "no TOML": (
        Case(files={"uv.toml": "\n\nlink-mode = copy\n", PROJECT: "[project]"}),
        Said(
            "setting-invalid:uv.toml:toml",
            "uv cannot read its settings: `uv.toml:3` is not valid TOML: Invalid value",
            "uv stops over it before it does anything.",
            ("uv.toml", 2),
        ),
    ),
    "no TOML in a script": (
        Case(files={SCRIPT: "# /// script\n# a =\n# ///\n"}, script=SCRIPT),
        Said(
            "setting-invalid:s.py:toml",
            "uv cannot read its settings: `s.py:2` is not valid TOML: Invalid value",
            "uv stops over it before it does anything.",
            (SCRIPT, 1),
        ),
    ),
    "an empty variable": (
        Case(files={}, environ={"UV_CACHE_DIR": ""}),
        Said(
            "setting-invalid:UV_CACHE_DIR:UV_CACHE_DIR",
            'uv does not accept the value of this setting: `UV_CACHE_DIR = ""` must not be empty',
            "uv stops over it before it does anything. A variable without a value is not the same as none: unset it.",
            HEADER,
        ),
    ),
    "a bad option": (
        Case(files={}, arguments=("--link-mode=none",), version=(0, 7, 22)),
        Said(
            "setting-invalid:--link-mode:--link-mode",
            'uv does not accept the value of this setting: `--link-mode = "none"` '
            "must be `clone`, `copy`, `hardlink` or `symlink`",
            "uv stops over it before it does anything.",
            HEADER,
        ),
    ),
    "a file that is not there": (
        Case(files={}, environ={"UV_CONFIG_FILE": "/none"}),
        Said(
            "setting-invalid:UV_CONFIG_FILE:UV_CONFIG_FILE",
            'uv does not accept the value of this setting: `UV_CONFIG_FILE = "/none"` must name a file',
            "uv stops over it before it does anything.",
            HEADER,
        ),
    ),
}


@pytest.mark.parametrize(("case", "said"), CASES.values(), ids=CASES.keys())
def test_a_finding_says_what_where_and_what_instead(case, said):
    (finding,) = found(case)
    assert (finding.id, finding.message, finding.why) == (said.id, said.message, said.why)
    assert place(finding.location) == said.place
    assert tuple((*place(it.location), it.message) for it in finding.related) == tuple(said.related)
    assert said.id.startswith(finding.code)
    assert finding.severity == ("warning" if finding.code == "setting-ignored" else "error")


def test_a_table_that_is_dropped_takes_its_settings_with_it():
    text = START + "link-mode = 'copy'\ncache_dir = 'c'\n"
    refused, ignored = found(Case(files={PROJECT: text, OUTER: "link-mode = 'symlink'"}))
    assert refused.id == "setting-invalid:pyproject.toml:tool.uv.cache_dir"
    assert ignored.id == "setting-ignored:pyproject.toml:tool.uv.link-mode"
    assert ignored.why == (
        "uv rejects `tool.uv.cache_dir`, and then drops the whole table in which it stands; it only warns of that. "
        "Once that key is corrected, this setting counts."
    )
    assert [place(it.location) for it in ignored.related] == [(PROJECT, 5), (HOME / "uv.toml", 0)]


QUIET = {
    "nothing": Case(files={}),
    "a setting in force": Case(files={PROJECT: COPY}),
    "a user's file below the project's": Case(files={PROJECT: COPY, USER: "link-mode = 'clone'"}),
    "a user's file below a variable": Case(files={USER: "link-mode = 'clone'"}, environ={"UV_LINK_MODE": "copy"}),
    "a user's file nobody reads": Case(files={USER: "link-mode = 'copy'"}, environ={"UV_NO_CONFIG": "1"}),
    "a variable below an option": Case(files={}, arguments=("--link-mode", "copy"), environ={"UV_LINK_MODE": "clone"}),
    "the same value twice": Case(files={PROJECT: COPY}, environ={"UV_LINK_MODE": "copy"}),
    "the same value by another name": Case(
        files={PROJECT: START + "link-mode = 'reflink'"}, environ={"UV_LINK_MODE": "clone"}
    ),
    "the same directory": Case(files={PROJECT: START + "cache-dir = 'c'"}, environ={"UV_CACHE_DIR": "/home/ana/app/c"}),
    "an option of our own": Case(files={PROJECT: COPY}, arguments=("--link-mode", "clone"), own_option=True),
    "settings for uv pip": Case(files={PROJECT: COPY + "[tool.uv.pip]\nlink-mode = 'clone'\n"}),
    "a masked parent": Case(files={PROJECT: COPY, OUTER: "link-mode = 'clone'"}),
    "keys that a later uv may know": Case(files={PROJECT: COPY + "novelty = 1\n"}, version=(0, 14, 0)),
    "keys that the unknown uv may know": Case(files={PROJECT: COPY + "novelty = 1\n"}, version=None),
}


@pytest.mark.parametrize("case", QUIET.values(), ids=QUIET.keys())
def test_what_is_as_it_should_be_gets_no_finding(case):
    assert found(case) == ()
