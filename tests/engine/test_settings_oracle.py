"""uv is the oracle: what is said to be in force is what `uv sync --show-settings` and `uv cache dir` say."""

import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from uv_link_doctor.engine.model import LinkMode, Platform
from uv_link_doctor.engine.settings import Invocation, effective, file_in_force
from uv_link_doctor.engine.toml_text import set_value

PROJECT = '[project]\nname = "p"\nversion = "0"\n'
WORKSPACE = PROJECT + '[tool.uv.workspace]\nmembers = ["packages/*"]\n'
USER = "home/.config/uv/uv.toml"
SYSTEM = "etc/uv/uv.toml"


@dataclass(frozen=True)
class Layout:
    """Files below an empty directory, and how uv is called there; `{base}` in values is that directory."""

    files: Mapping[str, str]
    environ: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    directory: str = "p"
    root: str = "p"


def project(tables: str = "", **files: str) -> dict[str, str]:
    """A project in `p`, other files by a name in which `__` stands for a slash."""
    return {"p/pyproject.toml": PROJECT + tables, **{path.replace("__", "/"): text for path, text in files.items()}}


UV_TOML = 'link-mode = "symlink"\ncache-dir = "uv-toml"\n'
TOOL_UV = '[tool.uv]\nlink-mode = "copy"\ncache-dir = "tool-uv"\n'
OUTER = PROJECT.replace('"p"', '"outer"') + '[tool.uv]\nlink-mode = "copy"\ncache-dir = "outer"\n'
MEMBER = PROJECT.replace('"p"', '"m"')

LAYOUTS = {
    "nothing": Layout(project()),
    "tool.uv": Layout(project(TOOL_UV)),
    "tool.uv, dotted": Layout({"p/pyproject.toml": "tool.uv.link-mode = 'copy'\n" + PROJECT}),
    "tool.uv, inline": Layout(project('[tool]\nuv = { link-mode = "copy" }\n')),
    "tool.uv, byte order mark": Layout({"p/pyproject.toml": "\ufeff" + PROJECT + TOOL_UV}),
    "uv.toml": Layout({**project(), "p/uv.toml": UV_TOML}),
    "uv.toml over tool.uv": Layout({**project(TOOL_UV), "p/uv.toml": UV_TOML}),
    "empty uv.toml over tool.uv": Layout({**project(TOOL_UV), "p/uv.toml": ""}),
    "parent's uv.toml": Layout({**project(), "uv.toml": UV_TOML}),
    "parent's tool.uv": Layout({**project(), "pyproject.toml": OUTER}),
    "parent's uv.toml over its tool.uv": Layout({**project(), "pyproject.toml": OUTER, "uv.toml": UV_TOML}),
    "tool.uv cuts the parent off": Layout({**project("[tool.uv]\nmanaged = true\n"), "uv.toml": UV_TOML}),
    "empty tool.uv cuts the parent off": Layout({**project("[tool.uv]\n"), "uv.toml": UV_TOML}),
    "tool.uv.sources cuts the parent off": Layout({**project("[tool.uv.sources]\n"), "uv.toml": UV_TOML}),
    "other tools do not": Layout({**project("[tool.ruff]\nline-length = 100\n"), "uv.toml": UV_TOML}),
    "a user's keys fill in": Layout({**project('[tool.uv]\nlink-mode = "copy"\n'), USER: UV_TOML}),
    "a user's file alone": Layout({**project(), USER: UV_TOML}),
    "a user's file elsewhere": Layout(
        {**project(), USER: UV_TOML, "c/uv/uv.toml": 'link-mode = "copy"\n'}, {"XDG_CONFIG_HOME": "{base}/c"}
    ),
    "a relative XDG_CONFIG_HOME": Layout({**project(), USER: UV_TOML}, {"XDG_CONFIG_HOME": "c"}),
    "a system's file alone": Layout({**project(), SYSTEM: UV_TOML}),
    "a user's keys before a system's": Layout({**project(), USER: 'link-mode = "copy"\n', SYSTEM: UV_TOML}),
    "no system's file": Layout({**project(), SYSTEM: UV_TOML}, {"UV_NO_SYSTEM_CONFIG": "yes"}),
    "the first system's file": Layout(
        {**project(), SYSTEM: UV_TOML, "b/uv/uv.toml": 'link-mode = "copy"\n'},
        {"XDG_CONFIG_DIRS": "{base}/a:{base}/b:{base}/etc"},
    ),
    "variables": Layout(project(TOOL_UV), {"UV_LINK_MODE": "clone", "UV_CACHE_DIR": "variable"}),
    "a variable's alias": Layout(project(), {"UV_LINK_MODE": "reflink"}),
    "alias in a file": Layout(project('[tool.uv]\nlink-mode = "reflink"\n')),
    "command line": Layout(
        project(TOOL_UV),
        {"UV_LINK_MODE": "clone", "UV_CACHE_DIR": "variable"},
        ("--link-mode", "hardlink", "--cache-dir={base}/line"),
    ),
    "config file": Layout(
        {**project(TOOL_UV), USER: UV_TOML, "c.toml": "link-mode = 'clone'"}, {"UV_CONFIG_FILE": "../c.toml"}
    ),
    "config file on the command line": Layout(
        {**project(TOOL_UV), "c.toml": "link-mode = 'clone'"}, {}, ("--config-file", "../c.toml")
    ),
    "config file and no config": Layout(
        {**project(TOOL_UV), "c.toml": "link-mode = 'clone'"}, {"UV_CONFIG_FILE": "../c.toml", "UV_NO_CONFIG": "1"}
    ),
    "no config": Layout({**project(TOOL_UV), USER: UV_TOML}, {"UV_NO_CONFIG": "true"}),
    "no config on the command line": Layout(project(TOOL_UV), {}, ("--no-config",)),
    "no config, switched off": Layout(project(TOOL_UV), {"UV_NO_CONFIG": "0"}),
    "no cache": Layout(project(TOOL_UV), {}, ("-n",)),
    "no cache by variable": Layout(project(TOOL_UV), {"UV_NO_CACHE": "on"}),
    "no cache by file": Layout(project("[tool.uv]\nno-cache = true\n"), {"UV_CACHE_DIR": "variable"}),
    "no cache by file, but not by variable": Layout(
        project("[tool.uv]\nno-cache = true\n"), {"UV_NO_CACHE": "0", "UV_CACHE_DIR": "variable"}
    ),
    "cache by a file that wins": Layout({**project("[tool.uv]\nno-cache = false\n"), USER: "no-cache = true\n"}),
    "relative cache from below": Layout({**project(TOOL_UV), "p/a/b/x": ""}, directory="p/a/b"),
    "no expansion": Layout(project('[tool.uv]\ncache-dir = "~/$HOME"\n')),
    "absolute cache": Layout(project(), {"UV_CACHE_DIR": "{base}/elsewhere"}),
    "XDG_CACHE_HOME": Layout(project(), {"XDG_CACHE_HOME": "{base}/xdg"}),
    "a relative XDG_CACHE_HOME": Layout(project(), {"XDG_CACHE_HOME": "xdg"}),
    "bad mode in tool.uv": Layout({**project(TOOL_UV.replace("copy", "Copy")), "uv.toml": UV_TOML}),
    "bad mode in tool.uv, no parent": Layout(project(TOOL_UV.replace("copy", "Copy"))),
    "bad mode in tool.uv under uv.toml": Layout({**project(TOOL_UV.replace("copy", "Copy")), "p/uv.toml": ""}),
    "bad cache-dir in tool.uv": Layout({**project("[tool.uv]\ncache-dir = 3\n"), "uv.toml": UV_TOML}),
    "bad no-cache in tool.uv": Layout({**project(TOOL_UV + "no-cache = 'yes'\n"), "uv.toml": UV_TOML}),
    "broken pyproject.toml": Layout({**project(TOOL_UV + "x =\n"), "uv.toml": UV_TOML}),
    "bad mode in uv.toml": Layout({**project(), "p/uv.toml": 'link-mode = "Copy"\n'}),
    "bad mode in a user's file": Layout({**project(TOOL_UV), USER: "link-mode = 1\n"}),
    "bad mode in a variable": Layout(project(TOOL_UV), {"UV_LINK_MODE": "Copy"}),
    "bad mode in a variable that is not read": Layout(project(), {"UV_LINK_MODE": "Copy"}, ("--link-mode", "copy")),
    "an empty variable": Layout(project(TOOL_UV), {"UV_LINK_MODE": ""}),
    "an empty cache variable": Layout(project(TOOL_UV), {"UV_CACHE_DIR": ""}),
    "bad mode on the command line": Layout(project(TOOL_UV), {}, ("--link-mode=none",)),
    "a member": Layout(
        {
            "p/pyproject.toml": WORKSPACE + "[tool.uv]\nlink-mode = 'hardlink'\n",
            "p/packages/m/pyproject.toml": MEMBER + TOOL_UV,
        },
        directory="p/packages/m",
    ),
    "a member with a uv.toml": Layout(
        {
            "p/pyproject.toml": WORKSPACE,
            "p/packages/m/pyproject.toml": MEMBER,
            "p/packages/m/uv.toml": UV_TOML,
            "uv.toml": UV_TOML,
        },
        directory="p/packages/m",
    ),
    "an excluded member": Layout(
        {
            "p/pyproject.toml": WORKSPACE + 'exclude = ["packages/m"]\n' + "[tool.uv]\nlink-mode = 'hardlink'\n",
            "p/packages/m/pyproject.toml": MEMBER,
        },
        directory="p/packages/m",
        root="p/packages/m",
    ),
}


@pytest.fixture(params=[(0, 4, 18), (0, 13, 9)], ids=["0.4.18", "0.13.9"])
def version(request):
    return request.param


@pytest.fixture
def uv(uv_binary, version):
    return uv_binary(".".join(map(str, version)))


@pytest.fixture(params=LAYOUTS.values(), ids=list(LAYOUTS))
def layout(request, tmp_path):
    for path, text in request.param.files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    (tmp_path / "home").mkdir(exist_ok=True)
    return request.param


@pytest.fixture
def called(layout, version, tmp_path):
    """How uv is called, by us and in our own eyes."""
    environ = {"HOME": "{base}/home", "XDG_CONFIG_DIRS": "{base}/etc", **layout.environ}
    return Invocation(
        directory=tmp_path / layout.directory,
        environ={name: value.format(base=tmp_path) for name, value in environ.items()},
        arguments=tuple(word.format(base=tmp_path) for word in layout.arguments),
        version=version,
        platform=Platform.LINUX,
        home=tmp_path / "home",
    )


@dataclass(frozen=True)
class InForce:
    link_mode: str
    cache_dir: Path | None
    """None for `--no-cache`."""


def as_uv_says(uv: Path, called: Invocation) -> InForce | None:
    """None where uv stops."""

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [uv, *command], cwd=called.directory, env=called.environ, capture_output=True, text=True, check=False
        )

    shown = run("sync", "--show-settings", *called.arguments)
    if shown.returncode != 0:
        return None
    mode = re.search(r"^\s*link_mode: (\w+),", shown.stdout, re.MULTILINE)
    directory = re.search(r'cache_dir: (?:None|Some\(\s*"(.*)",?\s*\))', shown.stdout)
    assert mode
    assert directory
    if re.search(r"no_cache: true", shown.stdout):
        return InForce(mode[1].lower(), None)
    if directory[1]:
        return InForce(mode[1].lower(), called.directory / directory[1])
    general = [word for word in called.arguments if not word.startswith("--link-mode") and word not in set(LinkMode)]
    return InForce(mode[1].lower(), called.directory / run("cache", "dir", *general).stdout.rstrip("\n"))


def as_we_say(root: Path, called: Invocation) -> tuple[InForce, set[str]]:
    settings = effective(root, called, read_text)
    reasons = {ignored.reason for it in (settings.link_mode, settings.cache_dir) for ignored in it.ignored}
    no_cache = (settings.cache_dir.origin.key or "").endswith(("-n", "no-cache", "UV_NO_CACHE"))
    return InForce(settings.link_mode.value, None if no_cache else Path(settings.cache_dir.value)), reasons


def read_text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def test_what_is_in_force_is_what_uv_uses(layout, called, uv, tmp_path):
    theirs = as_uv_says(uv, called)
    ours, reasons = as_we_say(tmp_path / layout.root, called)
    if theirs is None:
        assert "uv refuses the value and stops" in reasons
    else:
        assert ours == theirs
        assert "uv refuses the value and stops" not in reasons


def test_the_file_in_force_is_where_an_edit_takes_effect(layout, called, uv, tmp_path):
    before = as_uv_says(uv, called)
    place = file_in_force(tmp_path / layout.root, called, read_text)
    if place is None:
        assert {name for name in called.environ if name.startswith("UV_")} | set(called.arguments)
        return
    text = read_text(place.path)
    assert text is not None, "no file is created"
    wanted = LinkMode.HARDLINK if before and before.link_mode == "symlink" else LinkMode.SYMLINK
    edit = set_value(text, place.key, f'"{wanted.value}"')
    assert edit is not None
    place.path.write_text(edit.apply(text), encoding="utf-8")
    after = as_uv_says(uv, called)
    if after and "bad cache-dir" not in str(layout):
        assert after.link_mode == wanted
        assert before is None or after.cache_dir == before.cache_dir or "Copy" in text


ENVIRONMENTS = [
    ({}, ()),
    ({"UV_PROJECT_ENVIRONMENT": "e"}, ()),
    ({"UV_PROJECT_ENVIRONMENT": "~/e"}, ()),
    ({"UV_PROJECT_ENVIRONMENT": ""}, ()),
    ({"VIRTUAL_ENV": "/v"}, ()),
    ({"VIRTUAL_ENV": "/v", "UV_PROJECT_ENVIRONMENT": "e"}, ("--active",)),
    ({"VIRTUAL_ENV": "v"}, ("--active",)),
    ({"VIRTUAL_ENV": "/v", "UV_PROJECT_ENVIRONMENT": "e"}, ("--active", "--no-active")),
    ({"VIRTUAL_ENV": "", "UV_PROJECT_ENVIRONMENT": "e"}, ("--active",)),
]


@pytest.mark.parametrize("uv_version", ["0.7.22", "newest"])
@pytest.mark.parametrize(("environ", "arguments"), ENVIRONMENTS)
def test_the_environment_is_where_uv_would_create_it(environ, arguments, uv_version, uv_binary, tmp_path):
    for path, text in {"pyproject.toml": WORKSPACE, "packages/m/pyproject.toml": MEMBER}.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    called = Invocation(
        directory=tmp_path / "packages/m",
        environ={"HOME": str(tmp_path), **environ},
        arguments=("sync", "--offline", "--dry-run", "--python", sys.executable, *arguments),
        platform=Platform.LINUX,
        home=tmp_path,
    )
    ran = subprocess.run(
        [uv_binary(uv_version), *called.arguments],
        cwd=called.directory,
        env=called.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    told = re.search(r"Would create project environment at: (.*)", ran.stderr)
    setting = effective(tmp_path, called, read_text).environment
    assert told
    assert setting
    assert setting.value == str(called.directory / told[1])
