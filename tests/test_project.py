"""Which project a path belongs to: uv itself is the oracle for workspaces, and every refusal is one clear sentence."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from uv_link_doctor.engine.findings import problem
from uv_link_doctor.engine.model import DoctorError, Platform, Severity
from uv_link_doctor.engine.plan import sync_command
from uv_link_doctor.engine.settings import Invocation, effective
from uv_link_doctor.host import read_text
from uv_link_doctor.project import find_manifest, member_manifests, understood, workspace_root


def package(name: str) -> str:
    return f'[project]\nname = "{name}"\nversion = "0"\nrequires-python = ">=3.11"\n'


def workspace(members: str, exclude: str = "") -> str:
    """`[tool.uv.workspace]` with these globs, separated by spaces."""
    return f"[tool.uv.workspace]\nmembers = {members.split()}\nexclude = {exclude.split()}\n"


ROOT = package("root")
BARE = "[tool.ruff]\n"


@dataclass(frozen=True)
class Layout:
    """Manifests by directory, and the directories from which uv is asked."""

    manifests: Mapping[str, str]
    asked_from: tuple[str, ...]


def layout(*asked_from: str, **manifests: str) -> Layout:
    """Manifests by directory, in which `__` stands for a slash and `root` for the top."""
    texts = {name.replace("__", "/") if name != "root" else ".": text for name, text in manifests.items()}
    return Layout(texts, asked_from)


LAYOUTS = {
    "one project": layout(".", root=ROOT),
    "a sub-directory": layout("src/app", root=ROOT),
    "members by a glob": layout(
        ".", "m/a", "m/b", "m", root=ROOT + workspace("m/*"), m__a=package("a"), m__b=package("b")
    ),
    "a member's sub-directory": layout("m/a/src/a", root=ROOT + workspace("m/*"), m__a=package("a")),
    "a member by name": layout(".", "a", root=ROOT + workspace("a"), a=package("a"), b=package("b")),
    "none of the members": layout("b", root=ROOT + workspace("a"), a=package("a"), b=package("b")),
    "excluded": layout(".", "m/a", "m/x1", root=ROOT + workspace("m/*", "m/x*"), m__a=package("a"), m__x1=package("x")),
    "excluded by name, but not what is below": layout(
        ".", "m/x/y", "m/a", root=ROOT + workspace("m/a m/x/*", "m/x"), m__a=package("a"), m__x__y=package("y")
    ),
    "deeper than the glob": layout(
        ".", "m/a", "m/a/b", root=ROOT + workspace("m/*"), m__a=package("a"), m__a__b=package("b")
    ),
    "however deep": layout(
        *(".", "m/a/b/p", "m/p", "m/a/q"),
        root=ROOT + workspace("m/**/p"),
        m__a__b__p=package("b"),
        m__p=package("p"),
        m__a__q=package("q"),
    ),
    "at any depth from the root": layout(
        ".", "a", "m/a", root=ROOT + workspace("**/a"), a=package("a"), m__a=package("b")
    ),
    "sets and single characters": layout(
        *(".", "m/a", "m/c", "m/d", "q1"),
        root=ROOT + workspace("m/[ab] m/[!a-c] q?"),
        m__a=package("a"),
        m__c=package("c"),
        m__d=package("d"),
        q1=package("q"),
    ),
    "braces are plain characters": layout(".", "m/a", root=ROOT + workspace("m/{a,b}"), m__a=package("a")),
    "case counts": layout(".", "m/a", root=ROOT + workspace("M/*"), m__a=package("a")),
    "a glob with a dot and a slash": layout(".", "m/a", root=ROOT + workspace("./m/a/"), m__a=package("a")),
    "the root named as a member": layout(".", "a", root=ROOT + workspace(". a"), a=package("a")),
    "hidden": layout(".", "m/.a", root=ROOT + workspace("m/*"), **{"m__.a": package("a")}),
    "no members at all": layout(".", "a", root=ROOT + "[tool.uv.workspace]\n", a=package("a")),
    "a virtual root": layout(".", "a", "b", root=workspace("a"), a=package("a")),
    "a project between that is no member": layout(
        "m", "m/a", root=ROOT + workspace("m/*"), m=package("m"), m__a=package("a")
    ),
    "a manifest between that is no project": layout("m/a", root=ROOT + workspace("m/*"), m=BARE, m__a=package("a")),
    "a manifest above that is no project": layout("a", root=BARE, a=package("a")),
    "a workspace in a workspace": layout(
        "a", "a/b", root=ROOT + workspace("a"), a=package("a") + workspace("b"), a__b=package("b")
    ),
    "a workspace above a project above": layout(
        "a/b", "a", root=ROOT + workspace("a/b"), a=package("a"), a__b=package("b")
    ),
    "a directory without a manifest between": layout(
        "m/x/a", "m/x", "m", root=ROOT + workspace("m/x/a"), m__x__a=package("a")
    ),
    "a member outside the root": layout("r", "o", r=package("r") + workspace("../o"), o=package("o")),
}
CASES = [
    pytest.param(it, directory, id=f"{name}: {directory}")
    for name, it in LAYOUTS.items()
    for directory in it.asked_from
]


@pytest.fixture
def uv(uv_binary, tmp_path):
    """`uv(directory, *arguments)`: what the newest uv prints there."""

    def run(directory: Path, *arguments: str | Path) -> str:
        environ = {"HOME": str(tmp_path / "home"), "PATH": "/usr/bin:/bin"}
        said = subprocess.run(
            [uv_binary("newest"), *arguments], cwd=directory, env=environ, capture_output=True, text=True, check=False
        )
        assert said.returncode == 0, said.stderr
        return said.stdout

    return run


@pytest.mark.parametrize(("it", "directory"), CASES)
def test_the_workspace_is_the_one_that_uv_finds(it, directory, uv, tmp_path):
    base = tmp_path / "base"
    for place, text in it.manifests.items():
        (base / place).mkdir(parents=True, exist_ok=True)
        (base / place / "pyproject.toml").write_text(text)
    (base / directory).mkdir(parents=True, exist_ok=True)

    root = workspace_root(find_manifest(base / directory, read_text), read_text)
    assert root == Path(uv(base / directory, "workspace", "dir").rstrip("\n"))
    listed = {
        Path(os.path.normpath(line)) for line in uv(base / directory, "workspace", "list", "--paths").splitlines()
    }
    ours = [Path(os.path.normpath(path.parent)) for path in member_manifests(root, read_text)]
    assert len(set(ours)) == len(ours)
    assert ours[0] == root
    assert set(ours) - {root} == listed - {root}, "uv leaves out a root that is no project"


@pytest.mark.parametrize(
    "places",  # The link, its target, where uv is run, the root.
    [
        ("root/a", "elsewhere/a", "root/a", "root/a"),  # uv does not see that it was reached through the workspace.
        ("link", "root/m/b", "link", "root"),
        ("link", "root", "link/m/b", "link"),
        ("link", "root/m", "link/b", "root"),
        ("link/deeper", "root", "link/deeper", "link/deeper"),
    ],
)
def test_links_are_resolved_as_uv_does_and_keep_their_names(places, uv, tmp_path):
    link, target, directory, root = (tmp_path / place for place in places)
    texts = {"root": ROOT + workspace("a m/*"), "root/m/b": package("b"), "elsewhere/a": package("a")}
    for place, text in texts.items():
        (tmp_path / place).mkdir(parents=True, exist_ok=True)
        (tmp_path / place / "pyproject.toml").write_text(text)
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(target)

    manifest = find_manifest(directory, read_text)
    assert manifest.path == directory / "pyproject.toml"
    assert workspace_root(manifest, read_text) == root
    assert root.resolve() == Path(uv(directory, "workspace", "dir").rstrip("\n"))


@pytest.mark.parametrize("name", ["project", "project/pyproject.toml", "project/src", "project/src/a.py"])
def test_any_path_inside_a_project_leads_to_it(name, tmp_path, monkeypatch):
    (tmp_path / "project" / "src").mkdir(parents=True)
    (tmp_path / "project" / "pyproject.toml").write_text(ROOT)
    (tmp_path / "project" / "src" / "a.py").write_text("")
    expected = tmp_path / "project" / "pyproject.toml"
    assert find_manifest(tmp_path / name, read_text).path == expected
    monkeypatch.chdir(tmp_path)
    assert find_manifest(Path(name), read_text).path == expected


def test_an_editors_buffer_counts_and_not_the_disk(tmp_path):
    (tmp_path / "pyproject.toml").write_text("not yet TOML")
    manifest = find_manifest(tmp_path, lambda path: ROOT if path.parent == tmp_path else None)
    assert manifest.text == ROOT


ENVIRONMENTS: list[tuple[dict[str, str], str]] = [
    ({}, ".venv"),
    ({"UV_PROJECT_ENVIRONMENT": "env"}, "env"),
    ({"UV_PROJECT_ENVIRONMENT": "{base}/elsewhere"}, "elsewhere"),
    ({"VIRTUAL_ENV": "{base}/active"}, ".venv"),
    ({"VIRTUAL_ENV": "{base}/active", "arguments": "--active"}, "active"),
    ({"VIRTUAL_ENV": "{base}/active", "UV_PROJECT_ENVIRONMENT": "env", "arguments": "--active"}, "active"),
    ({"UV_PROJECT_ENVIRONMENT": "env", "arguments": "--active"}, "env"),
]


@pytest.mark.parametrize(("variables", "expected"), ENVIRONMENTS)
@pytest.mark.parametrize("version", ["0.7.22", "newest"])
def test_the_environment_is_the_one_that_uv_makes(variables, expected, version, uv_binary, project):
    example = project()
    given = {name: value.format(base=example.root) for name, value in variables.items()}
    arguments = given.pop("arguments", "").split()
    example.environ.update(given)
    invocation = Invocation(
        directory=example.root,
        environ=example.environ,
        arguments=("sync", *arguments),
        platform=Platform.LINUX,
        home=Path(example.environ["HOME"]),
    )
    in_force = effective(example.root, invocation, read_text).environment
    assert in_force is not None
    assert Path(in_force.value) == example.root / expected
    made = example.run(*sync_command(uv_binary(version), args=arguments))
    assert made.returncode == 0, made.stderr
    assert [path.parent.name for path in example.root.glob("*/pyvenv.cfg")] == [expected]


# --- refusals -------------------------------------------------------------------------------

REFUSED: dict[str, tuple[str, str, tuple[int, int], Severity]] = {
    # The manifest, what is said of it, and where.
    "no TOML": (
        '[project]\nname = "x\n',
        "`pyproject.toml` is not valid TOML: Illegal character '\\n'",
        (1, 9),
        Severity.ERROR,
    ),
    "no TOML from the first character on": (
        "= 1\n",
        "`pyproject.toml` is not valid TOML: Invalid statement",
        (0, 0),
        Severity.ERROR,
    ),
    "nested too deeply": (
        "x = " + "[" * 5000,
        "`pyproject.toml` is not valid TOML: Arrays or inline tables are nested too deeply",
        (0, 0),
        Severity.ERROR,
    ),
    "after emoji": (
        '[project]\nname = "é😀" "x"\n',
        "`pyproject.toml` is not valid TOML: Expected newline or end of document after a statement",
        (1, 13),
        Severity.ERROR,
    ),
    "no requirement": (
        ROOT + 'dependencies = ["a @ file:///é😀", "httpx >>1"]\n',
        "`httpx >>1` is not a valid requirement: ",
        (4, 36),
        Severity.ERROR,
    ),
    "no list of requirements": (
        ROOT + 'dependencies = "httpx"\n',
        "`project.dependencies` must be a list of requirements",
        (4, 16),
        Severity.ERROR,
    ),
    "nothing to install": (
        BARE,
        "`pyproject.toml` has no `[project]` table, so there is nothing to install",
        (0, 0),
        Severity.HINT,
    ),
    "nothing at all": (
        "",
        "`pyproject.toml` has no `[project]` table, so there is nothing to install",
        (0, 0),
        Severity.HINT,
    ),
}


HINTS = {
    "nothing is run until it parses",
    "nothing is run until the requirement is valid",
    "add a `[project]` table, for instance with `uv init`",
}


@pytest.mark.parametrize(("text", "message", "place", "severity"), REFUSED.values(), ids=REFUSED)
def test_a_manifest_that_cannot_be_installed_from_is_refused_on_its_line(text, message, place, severity, tmp_path):
    path = tmp_path / "pyproject.toml"
    path.write_text(text)
    error = refusal(tmp_path)
    assert error.message.startswith(message)
    assert error.hint in HINTS
    assert one_clear_sentence(error)
    assert error.location is not None
    assert error.location.path == path
    start = error.location.range.start
    assert (start.line, start.character) == place
    assert problem(error, path).severity is severity


@pytest.mark.parametrize(
    "text", ["[dependency-groups]\ndev = []\n", "[tool.uv]\n", "tool.uv.workspace.members = []\n", "\ufeff" + ROOT]
)
def test_what_uv_installs_from_without_a_project_is_not_refused(text, tmp_path):
    assert understood(tmp_path / "pyproject.toml", text).text == text


def test_other_refusals(tmp_path):
    missing = refusal(tmp_path / "missing")
    assert missing.message == f"no such file or directory: `{tmp_path}/missing`"
    assert missing.hint == "name a project's directory or its `pyproject.toml`"
    homeless = refusal(tmp_path)
    assert homeless.message == f"`{tmp_path}` is not in a uv project: there is no `pyproject.toml` here or above"
    assert homeless.hint == "name the project's directory, or make it one with `uv init`"
    (tmp_path / "pyproject.toml").mkdir()
    directory = refusal(tmp_path)
    assert directory.message == f"`{tmp_path}/pyproject.toml` is a directory"
    (tmp_path / "pyproject.toml").rmdir()
    (tmp_path / "pyproject.toml").write_bytes(b"name = '\xe9'")
    latin = refusal(tmp_path)
    assert latin.message == f"`{tmp_path}/pyproject.toml` is not UTF-8 text (byte 8)"
    assert all(map(one_clear_sentence, (missing, homeless, directory, latin)))


def refusal(path: Path, reader: Any = read_text) -> DoctorError:
    with pytest.raises(DoctorError) as raised:
        find_manifest(path, reader)
    return raised.value


def one_clear_sentence(error: DoctorError) -> bool:
    """Neither ends in a period or breaks a line, and both say something."""
    return all(re.fullmatch(r"[^\n]{5,}[^.\n]", words) for words in (error.message, error.hint))
