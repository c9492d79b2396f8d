"""Every message that a user can be stopped by is printed by some test; here are those that no other test comes by."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kit.editor import editing
from kit.fake_uv import Answer
from kit.projects import UvProject
from pygls.exceptions import JsonRpcException

import uv_link_doctor
from uv_link_doctor.cli import main
from uv_link_doctor.demo import story
from uv_link_doctor.engine.model import DoctorError, Trial
from uv_link_doctor.host import local_host

PACKAGE, TESTS = Path(uv_link_doctor.__file__).parent, Path(__file__).parent


def messages() -> Iterator[tuple[str, list[str]]]:
    """Each message that a DoctorError is made with where it is written out: its place, and its constant parts."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Name(id="DoctorError"), args=[ast.Constant(value=str(text)), *_]):
                    parts = [text]
                case ast.Call(func=ast.Name(id="DoctorError"), args=[ast.JoinedStr(values=values), *_]):
                    parts = [str(part.value) for part in values if isinstance(part, ast.Constant)]
                case _:
                    continue
            yield f"{path.relative_to(PACKAGE)}: {'…'.join(parts)}", parts


@pytest.fixture(scope="module")
def tests() -> str:
    """All tests and golden files as one text, without what regular expressions want escaped."""
    paths = [*TESTS.rglob("*.py"), *TESTS.glob("data/golden/**/*.txt")]
    return "\n".join(path.read_text(encoding="utf-8") for path in paths).replace("\\", "")


@pytest.mark.parametrize("parts", [pytest.param(parts, id=name) for name, parts in messages()])
def test_the_longest_part_of_every_message_stands_in_a_test(parts, tests):
    assert max(parts, key=len).strip("`: ") in tests


def test_there_are_messages():
    assert len(list(messages())) > 20


# --- the command line -----------------------------------------------------------------------


@pytest.fixture
def incomplete(project, fake_uv, monkeypatch) -> UvProject:
    """A project with half a package, and a uv that does nothing about it, as the command line sees them."""
    example: UvProject = project("httpx")
    (example.environment / "lib/python3.13/site-packages/httpx-1.dist-info").mkdir(parents=True)
    for name, value in example.environ.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PATH", str(fake_uv().path.parent))
    return example


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        ("check {root} -- --dev", "only `sync` takes arguments for uv after `--`", "leave them out"),
        (
            "fix {root} --apply set-link-mode",
            "`set-link-mode` would not help here, so it is not offered",
            "offered are: reinstall-broken, retry-copy",
        ),
        (
            "fix {root} --apply reinstall-broken",
            "nothing was changed: there is no terminal to ask on",
            "add `--yes` to agree beforehand",
        ),
    ],
)
def test_the_command_line_says_why_it_does_nothing(arguments, error, hint, incomplete, capsys):
    assert main(arguments.format(root=incomplete.root).split()) == 2
    assert capsys.readouterr() == ("", f"error: {error}\nhint: {hint}\n")


# --- the editor -----------------------------------------------------------------------------

REFUSED = """\
error: Failed to install: certifi-2026.10.18-py3-none-any.whl (certifi==2026.10.18)
  Caused by: failed to hardlink file from /c/archive-v0/Ab3/certifi/core.py to .venv/certifi/core.py: No (os error 396)
"""


async def test_the_editor_is_told_why_a_request_was_not_carried_out(fake_uv, project):
    fake, example = fake_uv(Answer(steps=[("stderr", REFUSED)], exit_code=2)), project("httpx")
    root = example.root.as_uri()
    async with editing(example.environ, example.root, settings={"uvPath": str(fake.path)}) as editor:
        answer = await editor.execute("uvLinkDoctor.sync", root)
        (finding,) = answer["findings"]
        remedies = {remedy["kind"]: remedy["id"] for remedy in finding["remedies"]}
        request = {"root": root, "finding": finding["id"], "remedy": remedies["set-link-mode"]}
        # The test's editor changes only what it has open.
        with pytest.raises(JsonRpcException, match=f"the editor did not change `{example.manifest}`; not open"):
            await editor.execute("uvLinkDoctor.apply", request)
        with pytest.raises(JsonRpcException, match="this remedy is no longer offered; the project has changed since"):
            await editor.execute("uvLinkDoctor.apply", {**request, "remedy": "another"})
    async with editing(example.environ, example.root, trusted=False) as editor:
        with pytest.raises(JsonRpcException, match="the workspace is not trusted, so nothing is run; trust it first"):
            await editor.execute("uvLinkDoctor.sync", root)


# --- the demo -------------------------------------------------------------------------------


@contextmanager
def lacking(_folder: Path) -> Iterator[story.Scene]:
    raise DoctorError("no such thing here", "get it")
    yield


def test_the_demo_says_what_the_machine_lacks(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda *_: False)
    with (
        pytest.raises(DoctorError, match="there is no second file system to write to"),
        story._second_filesystem(tmp_path),
    ):
        pass
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DoctorError, match="nothing can be mounted"), story._bind_mount(tmp_path):
        pass
    monkeypatch.setattr(story, "try_links", lambda *_: Trial())
    with pytest.raises(DoctorError, match=re.escape(f"links work between `{tmp_path}/a` and `{tmp_path}`")):
        story._tried(tmp_path / "a", tmp_path, "kind", "words")

    for name in ("_cloud", "_second_filesystem", "_bind_mount"):
        monkeypatch.setattr(story, name, lacking)
    expected = "no failing link can be shown here: no such thing here; no such thing here; no such thing here"
    with pytest.raises(DoctorError, match=expected), story._scene(tmp_path):
        pass


async def test_the_demo_says_what_is_wrong_with_uv(uv_binary, monkeypatch):
    async def none(*_: object, **__: object) -> None:
        return None

    with monkeypatch.context() as patched:
        patched.setattr(story, "find_uv", none)
        with pytest.raises(DoctorError, match="the demo needs uv, and none was found"):
            await story.demonstrate(local_host(), as_json=True)

    @contextmanager
    def harmless(folder: Path) -> Iterator[story.Scene]:
        yield story.Scene(kind="none", words="", project=folder / "project", cache=folder / "cache")

    monkeypatch.setenv("PATH", str(uv_binary("newest").parent), prepend=":")
    monkeypatch.setattr(story, "_scene", harmless)
    with pytest.raises(DoctorError, match="uv had no trouble to link here after all"):
        await story.demonstrate(local_host(), as_json=True)
