"""uv is the oracle in layouts nobody thought of: it answers as we do, and follows a change at the origin we name."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from uv_link_doctor.engine import scripts, toml_text
from uv_link_doctor.engine.model import LinkMode, Origin, Platform, Settings
from uv_link_doctor.engine.settings import Invocation, effective

PYPROJECT = '[project]\nname = "p"\nversion = "0"\n'
WORKSPACE = PYPROJECT + '[tool.uv.workspace]\nmembers = ["m"]\n'
MEMBER = '[project]\nname = "m"\nversion = "0"\n'
USER, SYSTEM, OTHER = "home/.config/uv/uv.toml", "etc/uv/uv.toml", "other.toml"
VERSIONS = [(0, 4, 18), (0, 7, 22), (0, 9, 30), (0, 13, 9)]
EACH = 130
"""Distinct layouts per version."""
DRAWN = EACH * 3 // 2
"""hypothesis repeats itself now and then."""


@dataclass(frozen=True)
class Layout:
    """Files below an empty directory, and how uv is called in `p` or `p/m` below it."""

    files: Mapping[str, str]
    environ: Mapping[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    directory: str = "p"
    command: str = "sync"

    def __hash__(self) -> int:
        return hash(repr(self))


# --- layouts ------------------------------------------------------------------------------


def one_in(number: int) -> st.SearchStrategy[bool]:
    """True that often; hypothesis prefers the ends of a range, so it is the middle that counts."""
    return st.integers(0, number - 1).map(lambda drawn: drawn == number // 2)


MODES = st.sampled_from([*(mode.value for mode in LinkMode), "reflink"])
CACHES = st.sampled_from(["c", "./d/e", "~/f", "{base}/g"])
NONSENSE = [
    *('link-mode = "Copy"', "link-mode = true", "cache-dir = 1", "no-cache = 'yes'", 'link_mode = "copy"'),
    *("offline = 'no'", "extra-index-url = 'x'", "concurrent-downloads = '3'", "pip = 1", "pip = { cache-dir = 'x' }"),
    *(
        "pip = { link-mode = 'Clone' }",
        "colour = 'red'",
        "exclude-newer-package = {}",
        "audit = {}",
        "config-settings = 1",
    ),
]
HARMLESS = [
    "offline = true",
    "no-progress-bars = []\n".removeprefix("no-progress-bars = []\n"),
    "find-links = []",
    "# x",
]


@st.composite
def tables(draw: st.DrawFn, *, broken: bool = True) -> list[str]:
    """The lines of a table of settings, `pip` last."""
    lines = [draw(st.sampled_from(HARMLESS))] if draw(st.booleans()) else []
    if not draw(one_in(3)):
        lines.append(f'link-mode = "{draw(MODES)}"')
    if draw(st.booleans()):
        lines.append(f'cache-dir = "{draw(CACHES)}"')
    if draw(one_in(10)):
        lines.append(f"no-cache = {draw(st.sampled_from(['true', 'false']))}")
    if broken and draw(one_in(5)):
        lines = [*lines, draw(st.sampled_from(NONSENSE))]
    lines = list({re.split(r"\s*=", line)[0]: line for line in draw(st.permutations(lines))}.values())
    if draw(one_in(4)) and not any(line.startswith("pip") for line in lines):
        lines.append(f'pip.link-mode = "{draw(MODES)}"')
    return lines


@st.composite
def uv_tomls(draw: st.DrawFn) -> str:
    text = "\n".join(draw(tables(broken=draw(one_in(5)))))
    return draw(st.sampled_from(["", "", "", "", "", "\n", "managed = true\n", "x = \n"])) + text


@st.composite
def manifests(draw: st.DrawFn, start: str) -> str:
    lines = draw(tables())
    kind = draw(st.sampled_from(["none", "header", "header", "header", "dotted", "inline", "sub"]))
    if kind == "header":
        return start + "[tool.uv]\n" + "\n".join(lines)
    if kind == "dotted":
        return "".join(f"tool.uv.{line}\n" for line in lines if "=" in line) + start
    if kind == "inline" and "workspace" not in start:
        return start + "[tool]\nuv = { " + ", ".join(line for line in lines if "=" in line) + " }\n"
    return start + ("[tool.uv.sources]\n" if kind == "sub" else "")


@st.composite
def environments(draw: st.DrawFn) -> dict[str, str]:
    rare, modes = one_in(7), [*(mode.value for mode in LinkMode), "reflink", "Copy", ""]
    drawn = {
        "UV_LINK_MODE": st.sampled_from(modes),
        "UV_CACHE_DIR": st.sampled_from(["v", "{base}/w", "~/x", ""]),
        "UV_NO_CACHE": st.sampled_from(["1", "true", "0", "", "perhaps"]),
        "UV_NO_CONFIG": st.sampled_from(["1", "on", "0", "", "2"]),
        "UV_CONFIG_FILE": st.sampled_from(["{base}/" + OTHER, "../" + OTHER, "../none.toml", ""]),
        "UV_NO_SYSTEM_CONFIG": st.sampled_from(["1", "0", ""]),
        "XDG_CONFIG_HOME": st.sampled_from(["{base}/xdg", "xdg", ""]),
        "XDG_CACHE_HOME": st.sampled_from(["{base}/cache", "cache", ""]),
    }
    return {name: draw(values) for name, values in drawn.items() if draw(rare)}


@st.composite
def option_lists(draw: st.DrawFn) -> tuple[str, ...]:
    rare = one_in(9)
    choices: list[st.SearchStrategy[tuple[str, ...]]] = [
        st.sampled_from([("--link-mode", "symlink"), ("--link-mode=hardlink",), ("--link-mode=none",)]),
        st.sampled_from([("--cache-dir", "o"), ("--cache-dir={base}/q",)]),
        st.sampled_from([("--no-cache",), ("-n",)]),
        st.just(("--no-config",)),
        st.sampled_from([("--config-file", "{base}/" + OTHER), ("--config-file=none.toml",)]),
    ]
    return tuple(word for words in choices if draw(rare) for word in draw(words))


@st.composite
def scripts_with_settings(draw: st.DrawFn) -> str:
    lines = [line for line in draw(tables()) if not line.startswith("pip")]
    block = ["# /// script", "# dependencies = []", *(f"# {line}" for line in ["[tool.uv]", *lines]), "# ///"]
    return "\n".join(["import this", *block, ""])


@st.composite
def layouts(draw: st.DrawFn, version: tuple[int, int, int]) -> Layout:
    commands = ["sync", "sync", "pip", "venv"] + (["script"] if version >= (0, 7) else [])
    command = draw(st.sampled_from(commands))
    member = draw(one_in(4))
    files = {"p/pyproject.toml": draw(manifests(WORKSPACE if member else PYPROJECT)), OTHER: draw(uv_tomls())}
    places = ["p/uv.toml", "uv.toml", USER, SYSTEM, "xdg/uv/uv.toml"]
    files |= {place: draw(uv_tomls()) for place in places if draw(one_in(4))}
    if draw(one_in(4)):
        files["pyproject.toml"] = draw(manifests(PYPROJECT.replace('"p"', '"outer"')))
    if member:
        files["p/m/pyproject.toml"] = draw(manifests(MEMBER))
        if draw(st.booleans()):
            files["p/m/uv.toml"] = draw(uv_tomls())
    if command == "script":
        files["s.py"] = draw(scripts_with_settings())
    return Layout(files, draw(environments()), draw(option_lists()), "p/m" if member else "p", command)


# --- what uv says -------------------------------------------------------------------------


@dataclass(frozen=True)
class InForce:
    link_mode: str
    cache_dir: str | None
    """None for `no-cache`, with which each run has its own."""


Ask = Callable[[Invocation], InForce | None]


def answers(uv: Path) -> Ask:
    """What is in force by uv's own account; None where it stops."""

    def run(called: Invocation, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [uv, *command], cwd=called.directory, env=called.environ, capture_output=True, text=True, check=False
        )

    def ask(called: Invocation) -> InForce | None:
        shown = run(called, *called.arguments, "--show-settings")
        if shown.returncode != 0:
            return None
        mode = re.search(r"^\s*link_mode: (\w+),", shown.stdout, re.MULTILINE)
        directory = re.search(r'cache_dir: (?:None|Some\(\s*"(.*)",?\s*\))', shown.stdout)
        assert mode
        assert directory
        if "no_cache: true" in shown.stdout:
            return InForce(mode[1].lower(), None)
        if directory[1] is not None:
            return InForce(mode[1].lower(), str(called.directory / directory[1]))
        environ = {name: value for name, value in called.environ.items() if not name.startswith("UV_")}
        default = run(replace(called, environ=environ), "cache", "dir", "--no-config").stdout.rstrip("\n")
        return InForce(mode[1].lower(), str(called.directory / default))

    return ask


COMMANDS = {
    "sync": ("sync",),
    "pip": ("pip", "install", "x"),
    "venv": ("venv",),
    "script": ("sync", "--script", "{base}/s.py"),
}


def written(layout: Layout, version: tuple[int, int, int], base: Path) -> Invocation:
    """The layout on disk, and how uv is called there."""
    shutil.rmtree(base, ignore_errors=True)
    (base / "home").mkdir(parents=True)
    for path, text in layout.files.items():
        (base / path).parent.mkdir(parents=True, exist_ok=True)
        (base / path).write_text(text.replace("{base}", str(base)), encoding="utf-8")
    environ = {"HOME": "{base}/home", "XDG_CONFIG_DIRS": "{base}/etc", **layout.environ}
    return Invocation(
        directory=base / layout.directory,
        environ={name: value.format(base=base) for name, value in environ.items()},
        arguments=tuple(word.format(base=base) for word in (*COMMANDS[layout.command], *layout.arguments)),
        version=version,
        platform=Platform.LINUX,
        home=base / "home",
        pip=layout.command in {"pip", "venv"},
        script=base / "s.py" if layout.command == "script" else None,
    )


def read_text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def as_we_say(ours: Settings) -> InForce:
    no_cache = (ours.cache_dir.origin.key or "").endswith(("-n", "no-cache", "NO_CACHE"))
    return InForce(ours.link_mode.value, None if no_cache else ours.cache_dir.value)


# --- the tests ----------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: ".".join(map(str, version)))
def test_uv_answers_as_we_do_and_follows_the_origin_we_name(version, uv_binary, tmp_path):
    ask = answers(uv_binary(".".join(map(str, version))))
    seen: set[Layout] = set()
    proven, stopped, dropped = set(), 0, 0

    @settings(
        max_examples=DRAWN, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(layouts(version))
    def agree(layout: Layout) -> None:
        nonlocal stopped, dropped
        seen.add(layout)
        called = written(layout, version, tmp_path / "layout")
        ours, theirs = effective(tmp_path / "layout/p", called, read_text), ask(called)
        stops = [it for it in ours.rejected if it.stops]
        assert (theirs is None) == bool(stops), (stops, layout)
        if theirs is None:
            stopped += 1
            return
        dropped += bool(ours.rejected)
        assert as_we_say(ours) == theirs
        for name in ("link_mode", "cache_dir"):
            origin = getattr(ours, name).origin
            if origin.kind != "default":
                prove(name, origin, called, ask, theirs)
                proven.add((name, origin.kind))

    agree()
    assert len(seen) >= EACH
    assert stopped > EACH // 20
    assert dropped > EACH // 40
    kinds = {"environment", "command-line", "project", "parent", "user"}
    assert {("link_mode", kind) for kind in kinds} <= proven


def prove(name: str, origin: Origin, called: Invocation, ask: Ask, before: InForce) -> None:
    """uv's answer follows another value at the place that is named."""
    off = name == "cache_dir" and before.cache_dir is None
    value = "symlink" if name == "link_mode" and before.link_mode != "symlink" else "hardlink"
    changed, undo = with_value(origin, "false" if off else value, called, off=off)
    try:
        after = ask(changed)
        assert after is not None, origin
        if not off:
            assert getattr(after, name) == (value if name == "link_mode" else str(called.directory / value)), origin
        elif after.cache_dir is None:
            # Another place switches the cache off as well: the chain of them has to end.
            following = effective(called.home.parent / "p", changed, read_text)
            assert following.cache_dir.origin != origin
            prove(name, following.cache_dir.origin, changed, ask, after)
    finally:
        undo()


def with_value(origin: Origin, value: str, called: Invocation, *, off: bool) -> tuple[Invocation, Callable[[], None]]:
    """uv called with another value at this place, or without the option or variable that switches the cache off."""
    key = origin.key or ""
    if origin.path is not None:
        path, text = origin.path, read_text(origin.path) or ""
        setter = scripts.set_value if origin.kind == "script" else toml_text.set_value
        edit = setter(text, tuple(key.split(".")), value if off else f'"{value}"')
        assert edit is not None
        assert toml_text.position_at(text, edit.span.start).line + 1 == origin.line
        path.write_text(edit.apply(text), encoding="utf-8")

        def undo() -> None:
            path.write_text(text, encoding="utf-8")

        return called, undo
    environ, words = dict(called.environ), list(called.arguments)
    if origin.kind == "environment":
        if off:
            del environ[key]
        else:
            environ[key] = value
    else:
        at = next(index for index, word in enumerate(words) if word.partition("=")[0] == key)
        if off:
            del words[at]
        elif "=" in words[at]:
            words[at] = f"{key}={value}"
        else:
            words[at + 1] = value
    return replace(called, environ=environ, arguments=tuple(words)), lambda: None
