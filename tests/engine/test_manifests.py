"""What a pyproject.toml declares, and that every place is the string as it stands between its quotes."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement

from uv_link_doctor.engine import manifests
from uv_link_doctor.engine.model import FILE_START, Manifest, Range
from uv_link_doctor.engine.toml_text import offset_at

PATH = Path("/home/ana/app/pyproject.toml")
BOM = "\ufeff"


def manifest(text: str) -> Manifest:
    return Manifest(path=PATH, text=text, data=tomllib.loads(text.removeprefix(BOM)))


def at(text: str, place: Range) -> str:
    return text[offset_at(text, place.start) : offset_at(text, place.end)]


# --- requirements -------------------------------------------------------------------------

EVERYWHERE = """
[dependency-groups]
test = ["pytest", { include-group = "lint" }]
lint = ['Ruff_LSP']

[project]
name = "app"
dependencies = [ # the first
    "httpx[HTTP2, socks]>=0.27; python_version > '3'",
    "httpx @ https://example.org/a.whl",
]

[project.optional-dependencies]
"a.b" = ['''
zope.interface''']

[tool.uv]
dev-dependencies = ["mypy"]
"""


def test_requirements_come_in_the_order_of_the_file_with_their_group():
    stated = manifests.requirements(manifest(EVERYWHERE))
    assert [(it.name, it.extras, it.group) for it in stated] == [
        ("pytest", (), "test"),
        ("ruff-lsp", (), "lint"),
        ("httpx", ("http2", "socks"), None),
        ("httpx", (), None),
        ("zope-interface", (), "a.b"),
        ("mypy", (), "dev"),
    ]
    assert [at(EVERYWHERE, it.location.range) for it in stated] == [
        "pytest",
        "Ruff_LSP",
        "httpx[HTTP2, socks]>=0.27; python_version > '3'",
        "httpx @ https://example.org/a.whl",
        "zope.interface",
        "mypy",
    ]


PLACED = [
    # a text with one requirement, `httpx`; what stands between its quotes
    ("[project]\r\ndependencies = [\r\n  'httpx',\r\n]\r\n", "httpx"),
    (BOM + "[project]\ndependencies = ['httpx']", "httpx"),
    (BOM + "project.dependencies = ['httpx']", "httpx"),
    ('[project]\ndependencies = ["h\\u0074tpx"]', "h\\u0074tpx"),
    ('[project]\ndependencies = ["""\\\n  httpx"""]', "\\\n  httpx"),
    ("[project]\n# 😀\noptional-dependencies = {'😀' = [ # 😀 [\n  'httpx']}", "httpx"),
    ("[dependency-groups]\n'😀' = ['httpx']", "httpx"),
    ("[[other]]\n[other.project]\ndependencies = ['x']\n[project]\ndependencies = ['httpx']", "httpx"),
    ("tool = { uv = { dev-dependencies = [ 'httpx' ] } }", "httpx"),
    ("[project]\nx = 'a\u2028b\x85c'\ndependencies = ['httpx']", "httpx"),
]


@pytest.mark.parametrize(("text", "written"), PLACED)
def test_a_requirement_is_placed_however_it_is_written(text, written):
    (requirement,) = manifests.requirements(manifest(text))
    assert requirement.name == "httpx"
    assert requirement.location.path == PATH
    assert at(text, requirement.location.range) == written


def test_an_invalid_requirement_does_not_hide_the_others():
    text = "[project]\ndependencies = ['a', '-', 1, 'b']"
    assert [it.name for it in manifests.requirements(manifest(text))] == ["a", "b"]


@given(st.lists(st.sampled_from(["httpx", "a>1", "é", "", "x @ y", "[", "😀"]), max_size=4), st.sampled_from("\"'"))
def test_every_requirement_is_either_stated_or_a_problem(strings, quote):
    text = f"[project]\ndependencies = [{', '.join(quote + it + quote for it in strings)}]"
    it = manifest(text)
    locations = [stated.location for stated in manifests.requirements(it)]
    locations += [problem.location for problem in manifests.problems(it)]
    assert sorted(at(text, location.range) for location in locations) == sorted(strings)


# --- problems -----------------------------------------------------------------------------

VALID = [
    *("httpx", " Httpx ", "httpx[a,b]", "httpx (>=1)", "httpx>=1,<2 ; python_version > '3'", "httpx==1.*", "httpx===x"),
    *("httpx @ https://example.org/a.whl", "httpx@git+https://example.org/a@main", "httpx; 'x' in extras"),
    # Not valid, but uv takes them, and then a save must not be held up.
    *("httpx>=1.*", "httpx<1.2.*", "httpx>=1<2", "torch>=1.*,<3", "pyzmq!=3.0*", 'httpx>="1"', "httpx\r\n>=1"),
    *("httpx\u00a0>=1", "httpx @ https://example.org/a b.whl", "httpx @ file:///a; python_version > '3'"),
]
INVALID = ["", "httpx =", "httpx=1", "-httpx", "httpx>=", "httpx; x", "./a", "httpx[", "httpx^1", "httpx # c", "a b"]


@pytest.mark.parametrize("string", VALID)
def test_what_uv_takes_is_no_problem(string):
    assert manifests.problems(manifest(f"[project]\ndependencies = [{json.dumps(string)}]")) == ()


@given(st.from_regex(manifests._PLAIN, fullmatch=True))
def test_what_looks_plain_is_valid(string):
    assert Requirement(string).name


@pytest.mark.parametrize("string", INVALID)
def test_what_no_requirement_is_says_so_in_a_sentence(string):
    text = f"[project]\ndependencies = ['certifi', {json.dumps(string)}]"
    (problem,) = manifests.problems(manifest(text))
    assert problem.message.startswith(f"`{string}` is not a valid requirement: expected ")
    assert "\n" not in problem.message
    assert problem.location.path == PATH
    assert at(text, problem.location.range) == string


@pytest.mark.parametrize("string", INVALID)
def test_what_is_called_invalid_uv_refuses_too(string, uv_binary, tmp_path):
    """Else a save would be held up for nothing; uv, unable to read the requirements, turns to the build backend."""
    text = f'[project]\nname = "p"\nversion = "0"\ndependencies = [{json.dumps(string)}]'
    (tmp_path / "pyproject.toml").write_text(text, encoding="utf-8")
    command = [uv_binary("0.13.9"), "lock", "--offline", "--no-cache", "--no-config", "--python", sys.executable]
    said = subprocess.run(command, cwd=tmp_path, env={"UV_NO_WRAP": "1"}, capture_output=True, text=True, check=False)
    assert "Failed to build `p @ file://" in said.stderr


MISSHAPEN = [
    ("[project]\ndependencies = 'httpx'", "`project.dependencies` must be a list of requirements", "httpx"),
    (
        "[project.dependencies]\nhttpx = '1'",
        "`project.dependencies` must be a list of requirements",
        "[project.dependencies]",
    ),
    (
        "[project]\noptional-dependencies = ['httpx']",
        "`project.optional-dependencies` must be a table of lists of requirements",
        "['httpx']",
    ),
    (
        "[project.optional-dependencies]\na = {}",
        "`project.optional-dependencies.a` must be a list of requirements",
        "{}",
    ),
    ("dependency-groups = 1", "`dependency-groups` must be a table of lists of requirements", "1"),
    ("[project]\ndependencies = [ 1 ]", "a requirement must be a string, and this is `1`", "1"),
    (
        "[project]\ndependencies = [ {include-group = 'a'} ]",
        "a requirement must be a string, and this is `{'include-group': 'a'}`",
        "{include-group = 'a'}",
    ),
    ("[tool.uv]\ndev-dependencies = true", "`tool.uv.dev-dependencies` must be a list of requirements", "true"),
]


@pytest.mark.parametrize(("text", "message", "written"), MISSHAPEN)
def test_what_cannot_hold_requirements_is_a_problem(text, message, written):
    (problem,) = manifests.problems(manifest(text))
    assert (problem.message, at(text, problem.location.range)) == (message, written)


@pytest.mark.parametrize("text", ["", "project = 1", "tool = 1", "tool.uv = []", "[project]\nname = 1"])
def test_a_manifest_that_declares_nothing_is_no_problem(text):
    it = manifest(text)
    assert manifests.problems(it) == ()
    assert manifests.requirements(it) == ()
    assert manifests.name(it) is None
    assert manifests.requires_python(it) is None
    assert manifests.workspace_members(it.data) is None


# --- the rest -----------------------------------------------------------------------------


def test_the_header_is_the_place_for_what_concerns_the_project():
    text = BOM + "# é\r\n  [ project ] # x\r\nname = 'My_App'\r\nrequires-python = '>=3.11'\r\n"
    it = manifest(text)
    assert at(text, manifests.header(it).range) == "[ project ]"
    assert manifests.header(manifest("tool.a = 1")).range == FILE_START
    assert (manifests.name(it), manifests.requires_python(it)) == ("my-app", ">=3.11")


def test_a_workspace_names_its_members():
    data = tomllib.loads("[tool.uv.workspace]\nmembers = ['packages/*', 1]\nexclude = ['packages/x']")
    assert manifests.workspace_members(data) == manifests.WorkspaceGlobs(("packages/*",), ("packages/x",))
    assert manifests.workspace_members({"tool": {"uv": {"workspace": {}}}}) == manifests.WorkspaceGlobs((), ())


BASE = "[project]\nname = 'a'\ndependencies = ['b']\n[tool.uv]\nindex-url = 'x'\n[tool.hatch]\nc = 1\n"
WITHOUT_EFFECT = [
    BASE + "# a comment\n",
    BASE.replace("\n", "\r\n"),
    BASE.replace("['b']", "[\n  'b',\n]"),
    BASE + "[tool.ruff]\nline-length = 100\n[tool.pytest.ini_options]\nx = 1\n[tool.mypy]\nstrict = true\n",
    BASE.replace("[tool.uv]", "[tool.black]\n[tool.uv]"),
    "[tool.hatch]\nc = 1\n" + BASE.removesuffix("[tool.hatch]\nc = 1\n"),
]
WITH_EFFECT = [
    BASE.replace("'b'", "'b>1'"),
    BASE.replace("'a'", "'c'"),
    BASE.replace("index-url", "extra-index-url"),
    BASE.replace("c = 1", "c = 2"),
    BASE + "[tool.unheard-of]\n",
    BASE + "[build-system]\nrequires = []\n",
    BASE + "[dependency-groups]\ndev = []\n",
    BASE.replace("['b']", "['b', 'c']"),
]


def test_only_what_matters_to_an_install_is_an_input():
    before = manifests.dependency_inputs(manifest(BASE).data)
    assert {manifests.dependency_inputs(manifest(text).data) for text in WITHOUT_EFFECT} == {before}
    assert before not in {manifests.dependency_inputs(manifest(text).data) for text in WITH_EFFECT}
    assert manifests.dependency_inputs(tomllib.loads("a = 1979-05-27\nb = nan"))
