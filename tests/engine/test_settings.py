"""Who set what, and what has no effect; that the values are uv's own is for test_settings_oracle to say."""

from dataclasses import replace
from pathlib import Path, PureWindowsPath
from typing import cast

import pytest

from uv_link_doctor.engine.model import Origin, Platform, Position, Range
from uv_link_doctor.engine.settings import (
    Invocation,
    SettingPlace,
    effective,
    file_in_force,
    overruling,
    place_for_cache_dir,
)
from uv_link_doctor.engine.toml_text import set_value

ROOT = Path("/home/ana/app")
HOME = Path("/home/ana")
USER = "/home/ana/.config/uv/uv.toml"


def called(
    *arguments: str, directory: Path = ROOT, version: tuple[int, int, int] | None = (0, 13, 9), **environ: str
) -> Invocation:
    return Invocation(
        directory=directory,
        environ=environ,
        arguments=arguments,
        version=version,
        platform=Platform.LINUX,
        home=HOME,
    )


def reader(files: dict[str, str]):
    return lambda path: files.get(str(path))


def shown(origin: Origin) -> tuple[str, str | None, str | None]:
    return origin.kind, None if origin.path is None else str(origin.path), origin.key


BOTH = 'link-mode = "copy"\ncache-dir = "c"\n'
PYPROJECT = "/home/ana/app/pyproject.toml"
ORIGINS = [
    # files, invocation, origin of the link mode
    ({}, called(), ("default", None, None)),
    ({PYPROJECT: "[tool.uv]\n" + BOTH}, called(), ("project", PYPROJECT, "tool.uv.link-mode")),
    ({"/home/ana/app/uv.toml": BOTH}, called(), ("project", "/home/ana/app/uv.toml", "link-mode")),
    ({"/home/ana/uv.toml": BOTH}, called(), ("parent", "/home/ana/uv.toml", "link-mode")),
    ({"/pyproject.toml": "[tool.uv]\n" + BOTH}, called(), ("parent", "/pyproject.toml", "tool.uv.link-mode")),
    ({USER: BOTH}, called(), ("user", USER, "link-mode")),
    ({"/etc/xdg/uv/uv.toml": BOTH, "/etc/uv/uv.toml": ""}, called(), ("system", "/etc/xdg/uv/uv.toml", "link-mode")),
    ({"/etc/uv/uv.toml": BOTH}, called(), ("system", "/etc/uv/uv.toml", "link-mode")),
    ({"/x/uv/uv.toml": BOTH}, called(XDG_CONFIG_DIRS="/w:/x"), ("system", "/x/uv/uv.toml", "link-mode")),
    ({"/x/uv/uv.toml": BOTH}, called(XDG_CONFIG_DIRS="/w::/x"), ("default", None, None)),
    ({USER: BOTH}, called(UV_LINK_MODE="clone"), ("environment", None, "UV_LINK_MODE")),
    ({USER: BOTH}, called("--link-mode", "clone"), ("command-line", None, "--link-mode")),
    ({USER: BOTH}, called("--", "--link-mode", "clone"), ("user", USER, "link-mode")),
    ({"/c.toml": BOTH, USER: BOTH}, called(UV_CONFIG_FILE="/c.toml"), ("environment", "/c.toml", "link-mode")),
]


@pytest.mark.parametrize(("files", "invocation", "expected"), ORIGINS)
def test_the_origin_names_who_set_the_value(files, invocation, expected):
    assert shown(effective(ROOT, invocation, reader(files)).link_mode.origin) == expected


def test_the_origin_is_the_whole_of_key_and_value():
    text = "\ufeff# é\r\n[tool]\r\nuv = { 'link-mode' = \"copy\" } # x\r\n"
    setting = effective(ROOT, called(), reader({PYPROJECT: text})).link_mode
    assert setting.origin.line == 3
    assert setting.origin.range == Range(Position(2, 7), Position(2, 27))


IGNORED = [
    # files, invocation, what is ignored of the link mode, and why
    (
        {PYPROJECT: "[tool.uv]\nlink-mode = 'copy'\n", USER: "link-mode = 'symlink'\n"},
        called(),
        [("symlink", USER, f"`{PYPROJECT}` comes first")],
    ),
    (
        {PYPROJECT: "[tool.uv]\nlink-mode = 'copy'\n"},
        called("--link-mode=clone", UV_LINK_MODE="hardlink"),
        [("hardlink", None, "`--link-mode` comes first"), ("copy", PYPROJECT, "`--link-mode` comes first")],
    ),
    (
        {PYPROJECT: "[tool.uv]\nlink-mode = 'copy'\n", "/home/ana/app/uv.toml": ""},
        called(),
        [("copy", PYPROJECT, "the `uv.toml` beside it replaces the whole `[tool.uv]` table")],
    ),
    (
        {PYPROJECT: "[tool.uv]\nlink-mode = 'Copy'\n"},
        called(),
        [("Copy", PYPROJECT, "uv rejects this `link-mode`, and with it the whole `[tool.uv]` table")],
    ),
    (
        {PYPROJECT: "[tool.uv]\nlink-mode = 'copy'\ncache-dir = 1\n"},
        called(),
        [("copy", PYPROJECT, "uv rejects this `cache-dir`, and with it the whole `[tool.uv]` table")],
    ),
    ({USER: "link-mode = ['copy']\n"}, called(), [("['copy']", USER, "uv refuses the value and stops")]),
    ({}, called("--link-mode=clone", UV_LINK_MODE="?"), [("?", None, "`--link-mode` comes first")]),
    ({}, called(UV_LINK_MODE=""), [("", None, "uv refuses the value and stops")]),
    (
        {PYPROJECT: "[tool.uv]\nlink-mode = 'copy'\n"},
        called(UV_NO_CONFIG="1"),
        [("copy", PYPROJECT, "`UV_NO_CONFIG` keeps uv from reading the file")],
    ),
    (
        {PYPROJECT: "[tool.uv]\nlink-mode = 'copy'\n", "/c": ""},
        called("--config-file", "/c"),
        [("copy", PYPROJECT, "`--config-file` keeps uv from reading the file")],
    ),
    (
        {"/home/ana/app/m/uv.toml": "link-mode = 'copy'\n"},
        called(directory=ROOT / "m"),
        [("copy", "/home/ana/app/m/uv.toml", "uv reads settings at the root of the workspace, not in its members")],
    ),
    ({"/home/ana/uv.toml": "link-mode = 'copy'", PYPROJECT: "[tool.uv]"}, called(), []),  # Not even looked for.
]


@pytest.mark.parametrize(("files", "invocation", "expected"), IGNORED)
def test_what_has_no_effect_says_why(files, invocation, expected):
    ignored = effective(ROOT, invocation, reader(files)).link_mode.ignored
    assert [(it.value, shown(it.origin)[1], it.reason) for it in ignored] == expected


def test_without_a_cache_the_temporary_directory_counts():
    files = {PYPROJECT: "[tool.uv]\ncache-dir = 'c'\n"}
    setting = effective(ROOT, called("-n", TMPDIR="/scratch"), reader(files)).cache_dir
    assert (setting.value, setting.origin.key) == ("/scratch", "-n")
    assert [(it.value, it.reason) for it in setting.ignored] == [("c", "`-n` comes first")]


@pytest.mark.parametrize(
    ("platform", "version", "expected"),
    [
        (Platform.LINUX, (0, 10, 4), "hardlink"),
        (Platform.LINUX, (0, 10, 5), "clone"),
        (Platform.LINUX, None, "clone"),
        (Platform.MACOS, (0, 4, 18), "clone"),
        (Platform.WINDOWS, None, "hardlink"),
    ],
)
def test_the_default_link_mode_depends_on_platform_and_version(platform, version, expected):
    invocation = Invocation(directory=ROOT, environ={}, version=version, platform=platform, home=HOME)
    assert effective(ROOT, invocation, reader({})).link_mode.value == expected


TOOL_UV = ("tool", "uv", "link-mode")
SCRIPT = "/home/ana/s.py"
BLOCK = "# /// script\r\n# [tool.uv]\r\n# link-mode = 'copy' # é\r\n# ///\r\n"
WITH_PIP = {PYPROJECT: "[tool.uv]\nlink-mode = 'copy'\npip.link-mode = 'symlink'\n", USER: "pip.link-mode = 'clone'"}


def test_uv_pip_reads_the_tables_pip_of_all_files_first():
    by_pip = effective(ROOT, replace(called(), pip=True), reader(WITH_PIP)).link_mode
    assert (by_pip.value, by_pip.origin.key, by_pip.origin.line) == ("symlink", "tool.uv.pip.link-mode", 3)
    assert [(it.value, it.kind) for it in by_pip.ignored] == [("clone", "overridden"), ("copy", "overridden")]

    users = {**WITH_PIP, PYPROJECT: "[tool.uv]\nlink-mode = 'copy'\n"}
    assert shown(effective(ROOT, replace(called(), pip=True), reader(users)).link_mode.origin)[1] == USER
    place = file_in_force(ROOT, replace(called(), pip=True), reader(users))
    assert place == SettingPlace(Path(PYPROJECT), ("tool", "uv", "pip", "link-mode"))


def test_others_leave_the_tables_pip_alone():
    setting = effective(ROOT, called(), reader(WITH_PIP)).link_mode
    assert setting.value == "copy"
    expected = ("elsewhere", "only `uv pip` and `uv venv` read this table")
    assert [(it.kind, it.reason) for it in setting.ignored] == [expected, expected]


@pytest.mark.parametrize("arguments", [(), ("--no-config",), ("--config-file", "/c.toml")])
def test_a_script_speaks_for_itself(arguments):
    invocation = replace(called(*arguments), script=Path(SCRIPT))
    files = {SCRIPT: BLOCK, PYPROJECT: "[tool.uv]\nlink-mode = 'symlink'\n", "/c.toml": "link-mode = 'hardlink'"}
    settings = effective(ROOT, invocation, reader(files))
    assert settings.link_mode.value == "copy"
    assert shown(settings.link_mode.origin) == ("script", SCRIPT, "tool.uv.link-mode")
    assert settings.link_mode.origin.range == Range(Position(2, 2), Position(2, 20))
    assert settings.environment is None
    assert file_in_force(ROOT, invocation, reader(files)) == SettingPlace(Path(SCRIPT), TOOL_UV)


ENVIRONMENTS = [
    # invocation, the environment, who set it, and what is ignored for which reason
    (called(), "/home/ana/app/.venv", None, []),
    (called(UV_PROJECT_ENVIRONMENT="e"), "/home/ana/app/e", "UV_PROJECT_ENVIRONMENT", []),
    (called(UV_PROJECT_ENVIRONMENT="e", directory=ROOT / "m"), "/home/ana/app/e", "UV_PROJECT_ENVIRONMENT", []),
    (called(UV_PROJECT_ENVIRONMENT=""), "/home/ana/app/.venv", None, []),
    (
        called(VIRTUAL_ENV="/v"),
        "/home/ana/app/.venv",
        None,
        [("/v", "uv uses the active environment only with `--active`")],
    ),
    (called(VIRTUAL_ENV="/home/ana/app/.venv"), "/home/ana/app/.venv", None, []),
    (
        called("--active", VIRTUAL_ENV="/v", UV_PROJECT_ENVIRONMENT="e"),
        "/v",
        "VIRTUAL_ENV",
        [("e", "`VIRTUAL_ENV` comes first")],
    ),
    (called("--active", VIRTUAL_ENV="v", directory=ROOT / "m"), "/home/ana/app/m/v", "VIRTUAL_ENV", []),
    (called("--active", "--no-active", VIRTUAL_ENV="/home/ana/app/.venv"), "/home/ana/app/.venv", None, []),
    (
        replace(called(VIRTUAL_ENV="/v", UV_PROJECT_ENVIRONMENT="e"), pip=True),
        "/v",
        "VIRTUAL_ENV",
        [("e", "`uv pip` does not read it")],
    ),
    (
        replace(called("--python", ".venv", VIRTUAL_ENV="/v"), pip=True),
        "/home/ana/app/.venv",
        "--python",
        [("/v", "`--python` comes first")],
    ),
    (replace(called(directory=ROOT / "a/b"), pip=True), "/home/ana/app/.venv", None, []),
    (replace(called(directory=HOME / "a"), pip=True), "/home/ana/.venv", None, []),
]


@pytest.mark.parametrize(("invocation", "value", "key", "ignored"), ENVIRONMENTS)
def test_the_environment_has_an_origin_too(invocation, value, key, ignored):
    files = reader({"/home/ana/app/.venv/pyvenv.cfg": "", "/home/ana/.venv/pyvenv.cfg": ""})
    setting = effective(ROOT, invocation, files).environment
    assert setting is not None
    assert (setting.value, setting.origin.key) == (value, key)
    assert [(it.value, it.reason) for it in setting.ignored] == ignored


OVERRULING = [
    ({}, called(), None),
    ({}, called(UV_LINK_MODE="copy"), "the variable `UV_LINK_MODE` is `copy`"),
    ({}, called("--link-mode=copy"), "the option `--link-mode` is given"),
    ({}, called(UV_NO_CONFIG="on"), "the variable `UV_NO_CONFIG` is `on`"),
    ({}, called("--config-file", "x"), "the option `--config-file` is given"),
    ({PYPROJECT: "[tool.uv]\nlink-mode = 1"}, called(), None),
    ({PYPROJECT: "[tool.uv]\noffline = 1"}, called(), f"uv rejects `offline` in `{PYPROJECT}`"),
    ({PYPROJECT: "[tool.uv]\noffline = 1", "/uv.toml": ""}, called(), None),
]


@pytest.mark.parametrize(("files", "invocation", "expected"), OVERRULING)
def test_what_leaves_no_file_a_say_is_named(files, invocation, expected):
    assert overruling(ROOT, invocation, reader(files)) == expected
    assert (file_in_force(ROOT, invocation, reader(files)) is None) == (expected is not None)


WINDOWS_HOME = r"C:\Users\ana"
WINDOWS = [
    ({}, {}, r"C:\Users\ana\AppData\Local\uv\cache", "hardlink"),
    ({"LOCALAPPDATA": r"D:\local"}, {}, r"D:\local\uv\cache", "hardlink"),
    ({"UV_CACHE_DIR": "c"}, {}, r"C:\Users\ana\app\c", "hardlink"),
    ({"UV_CACHE_DIR": r"E:\c"}, {}, r"E:\c", "hardlink"),
    ({}, {r"C:\Users\ana\AppData\Roaming\uv\uv.toml": BOTH}, r"C:\Users\ana\app\c", "copy"),
    ({"APPDATA": r"D:\r"}, {r"D:\r\uv\uv.toml": BOTH}, r"C:\Users\ana\app\c", "copy"),
    ({"SYSTEMDRIVE": "C:"}, {r"C:\ProgramData\uv\uv.toml": BOTH}, r"C:\Users\ana\app\c", "copy"),
    ({"UV_NO_CACHE": "1", "TEMP": r"C:\t"}, {}, r"C:\t", "hardlink"),
]


@pytest.mark.parametrize(("environ", "files", "cache_dir", "link_mode"), WINDOWS)
def test_windows_has_places_of_its_own(environ, files, cache_dir, link_mode):
    home = cast("Path", PureWindowsPath(WINDOWS_HOME))
    invocation = Invocation(directory=home / "app", environ=environ, platform=Platform.WINDOWS, home=home)
    settings = effective(home / "app", invocation, reader(files))
    assert (settings.cache_dir.value, settings.link_mode.value) == (cache_dir, link_mode)


def test_macos_keeps_a_cache_that_is_where_it_used_to_be():
    invocation = Invocation(directory=ROOT, environ={}, platform=Platform.MACOS, home=HOME)
    assert effective(ROOT, invocation, reader({})).cache_dir.value == "/home/ana/.cache/uv"
    old = reader({"/home/ana/Library/Caches/uv/CACHEDIR.TAG": ""})
    assert effective(ROOT, invocation, old).cache_dir.value == "/home/ana/Library/Caches/uv"


PLACES = [
    ({PYPROJECT: ""}, called(), SettingPlace(Path(PYPROJECT), TOOL_UV)),
    ({PYPROJECT: "[tool.uv]\n"}, called(), SettingPlace(Path(PYPROJECT), TOOL_UV)),
    ({PYPROJECT: "[tool.uv]\n", "/home/ana/app/uv.toml": ""}, called(), SettingPlace(ROOT / "uv.toml", ("link-mode",))),
    ({PYPROJECT: "", "/home/ana/uv.toml": ""}, called(), SettingPlace(HOME / "uv.toml", ("link-mode",))),
    (
        {PYPROJECT: "[tool.uv]", "/home/ana/app/uv.toml": "cache-dir = 1"},
        called(),
        SettingPlace(ROOT / "uv.toml", ("link-mode",)),
    ),
    ({PYPROJECT: "", "/pyproject.toml": "[tool.uv]"}, called(), SettingPlace(Path("/pyproject.toml"), TOOL_UV)),
    (
        {PYPROJECT: "[tool.uv]\nlink-mode = 'Copy'", "/home/ana/uv.toml": ""},
        called(),
        SettingPlace(Path(PYPROJECT), TOOL_UV),
    ),
    ({PYPROJECT: "[tool.uv]", USER: BOTH}, called(), SettingPlace(Path(PYPROJECT), TOOL_UV)),
    ({PYPROJECT: "[tool.uv]"}, called(UV_CACHE_DIR="/c", UV_NO_CONFIG="0"), SettingPlace(Path(PYPROJECT), TOOL_UV)),
    ({PYPROJECT: "[tool.uv]"}, called(UV_LINK_MODE="clone"), None),
    ({PYPROJECT: "[tool.uv]"}, called("--link-mode", "clone"), None),
    ({PYPROJECT: "[tool.uv]"}, called(UV_CONFIG_FILE="c.toml"), None),
    ({PYPROJECT: "[tool.uv]"}, called("--no-config"), None),
]


@pytest.mark.parametrize(("files", "invocation", "expected"), PLACES)
def test_the_file_in_force_is_the_one_uv_finds_first(files, invocation, expected):
    place = file_in_force(ROOT, invocation, reader(files))
    assert place == expected
    if place:
        edit = set_value(files[str(place.path)], place.key, '"copy"')
        assert edit
        files = {**files, str(place.path): edit.apply(files[str(place.path)])}
        setting = effective(ROOT, invocation, reader(files)).link_mode
        assert (setting.value, setting.origin.path) == ("copy", place.path)


OURS = "/home/ana/app/uv.toml"
CACHE_PLACES = [
    ({PYPROJECT: ""}, called(), SettingPlace(Path(USER), ("cache-dir",))),
    ({USER: BOTH}, called(), SettingPlace(Path(USER), ("cache-dir",))),
    ({PYPROJECT: "[tool.uv]\n" + BOTH}, called(), SettingPlace(Path(PYPROJECT), ("tool", "uv", "cache-dir"))),
    ({OURS: BOTH, USER: BOTH}, called(), SettingPlace(Path(OURS), ("cache-dir",))),
    ({"/c.toml": BOTH}, called(UV_CONFIG_FILE="/c.toml"), SettingPlace(Path("/c.toml"), ("cache-dir",))),
    ({USER: BOTH}, called(UV_CACHE_DIR="/c"), None),
    ({USER: BOTH}, called("--cache-dir", "/c"), None),
    ({USER: "cache-dir = {"}, called(), None),
]


@pytest.mark.parametrize(("files", "invocation", "expected"), CACHE_PLACES)
def test_another_cache_is_named_by_the_user_unless_somebody_comes_first(files, invocation, expected):
    known = effective(ROOT, invocation, reader(files)).cache_dir
    assert place_for_cache_dir("/mnt/cache", known, ROOT, invocation, reader(files)) == expected
