"""What a client with a status item is told of a project, and what it may ask beside the protocol."""

import asyncio
import fcntl
import json

import pytest
from kit.cloud import STOPS
from kit.editor import Capabilities, editing
from kit.fake_uv import Answer
from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcException

from uv_link_doctor.lsp.looks import showing_problems
from uv_link_doctor.lsp.sessions import DoctorServer

WANTS_STATUS = Capabilities(status=True, configuration=True)
NO_CHANGE = json.dumps({"sync": {"action": "check", "changes": []}})


def states(editor) -> list[str]:
    return [it.state for it in editor.statuses]


async def told(editor, state: str):
    """The last status, once it is this one."""
    await editor.until(lambda: bool(editor.statuses) and editor.statuses[-1].state == state, f"the state {state}")
    return editor.statuses[-1]


async def test_who_did_not_ask_is_told_nothing(project, uv_binary):
    example = project("httpx")
    async with editing(example.environ, example.root, settings={"uvPath": str(uv_binary("newest"))}) as editor:
        editor.open(example.manifest)
        editor.save(example.manifest)
        await editor.until(lambda: editor.finished == 1, "the end of the run")
    assert editor.statuses == []


async def test_from_not_looked_at_to_healthy_without_a_word_of_a_quick_run(project, uv_binary):
    example = project("httpx")
    settings = {"uvPath": str(uv_binary("newest"))}
    assert example.run(uv_binary("newest"), "sync").returncode == 0
    async with editing(example.environ, example.root, settings=settings, capabilities=WANTS_STATUS) as editor:
        first = await told(editor, "unknown")
        assert (first.root, first.name, first.onSave) == (example.root.as_uri(), "project", "sync")
        assert (first.text, first.action.title, first.action.command) == (
            "Not looked at yet",
            "Run uv sync",
            "uvLinkDoctor.sync",
        )
        editor.open(example.manifest)
        healthy = await told(editor, "healthy")
        assert healthy.text == "Every installed package is complete"
        editor.save(example.manifest)
        await editor.heard()
        editor.settings["onSave"] = "off"
        editor.settings_changed()
        paused = await told(editor, "paused")
        assert (paused.text, paused.onSave) == ("Nothing happens on a save", "off")
    assert states(editor) == ["unknown", "healthy", "paused"]


async def test_without_an_environment_nothing_can_be_said(project, fake_uv):
    example, settings = project("httpx"), {"uvPath": str(fake_uv().path)}
    async with editing(example.environ, example.root, settings=settings, capabilities=WANTS_STATUS) as editor:
        editor.open(example.manifest)
        await editor.until(
            lambda: (
                [it.text for it in editor.statuses][-1:]
                == ["Nothing is wrong, but there is no environment to look at yet"]
            ),
            "the sentence about the environment",
        )
        assert states(editor)[-1] == "unknown"


async def test_a_failure_names_its_remedy_and_copying_is_told_until_it_is_taken_back(project, cloud_folder, uv_binary):
    folder, uv = cloud_folder(STOPS), uv_binary("newest")
    first, example = (project("httpx", root=folder.synced / it, cache=folder.cache) for it in ("first", "second"))
    assert first.run(uv, "sync").returncode == 0
    settings = {"uvPath": str(uv)}
    async with editing(example.environ, example.root, settings=settings, capabilities=WANTS_STATUS) as editor:
        editor.open(example.manifest)
        editor.save(example.manifest)
        failed = await told(editor, "failed")
        assert "os error 396" in failed.text
        assert failed.brief == "certifi, os error 396"
        assert (failed.copying, failed.action.command, failed.action.title) == (False, "uvLinkDoctor.apply", "Repair")
        assert failed.action.tooltip == "Install `certifi` by copying instead of linking"
        action = failed.action.arguments[0]
        answer = await editor.execute(
            failed.action.command, {"root": action.root, "finding": action.finding, "remedy": action.remedy}
        )
        assert answer["findings"] == []
        healthy = await told(editor, "healthy")
        assert healthy.copying is True

        # In a window of its own, a later session knows it from the start.
        async with editing(example.environ, example.root, settings=settings, capabilities=WANTS_STATUS) as later:
            assert (await told(later, "unknown")).copying is True

        undone = await editor.request("uvLinkDoctor/undo", root=example.root.as_uri())
        assert undone.undone == "our runs in this project use the link mode in force again"
        assert editor.statuses[-1].copying is False
        with pytest.raises(JsonRpcException, match="nothing to undo"):
            await editor.request("uvLinkDoctor/undo", root=example.root.as_uri())


@pytest.mark.parametrize("version", ["0.7.22", "newest"])
async def test_a_run_that_waits_for_another_uv_says_so(version, project, uv_binary):
    example, uv = project("httpx"), uv_binary(version)
    assert example.run(uv, "sync").returncode == 0
    example.manifest.write_text(example.manifest.read_text().replace("httpx", "typing-extensions"))
    settings = {"uvPath": str(uv)}
    async with editing(example.environ, example.root, settings=settings, capabilities=WANTS_STATUS) as editor:
        editor.open(example.manifest)
        with (example.environment / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            editor.save(example.manifest)
            waiting = await told(editor, "waiting")
            assert waiting.text == "Waiting for another uv to finish"
            assert (waiting.action.title, waiting.action.command) == ("Cancel", "uvLinkDoctor.cancel")
        await told(editor, "healthy")


async def test_a_slow_run_is_running_and_the_users_word_is_waited_for(fake_uv, project):
    removes = json.dumps({"sync": {"action": "replace", "changes": []}})
    fake = fake_uv(Answer(when=["--dry-run"], steps=[("stdout", removes)]), Answer(when=["sync"], steps=[("hold", "")]))
    example = project("httpx")
    settings = {"uvPath": str(fake.path)}
    async with editing(example.environ, example.root, settings=settings, capabilities=WANTS_STATUS) as editor:
        editor.open(example.manifest)
        editor.save(example.manifest)
        asking = await told(editor, "asking")
        assert asking.action.title == "Go Ahead"
        running = asyncio.ensure_future(editor.execute("uvLinkDoctor.sync", example.root.as_uri()))
        going = await told(editor, "running")
        assert (going.text, going.action.command) == ("Running uv sync", "uvLinkDoctor.cancel")
        await editor.execute("uvLinkDoctor.cancel", example.root.as_uri())
        await running
        assert states(editor)[-1] != "running"


async def test_a_manifest_that_cannot_be_read_is_a_failure_until_it_can(project, fake_uv):
    example, settings = project("httpx"), {"uvPath": str(fake_uv().path)}
    good = example.manifest.read_text()
    async with editing(example.environ, example.root, settings=settings, capabilities=WANTS_STATUS) as editor:
        editor.open(example.manifest)
        await told(editor, "unknown")
        editor.write(example.manifest, f"{good}\n[broken")
        editor.save(example.manifest)
        failed = await told(editor, "failed")
        assert "TOML" in failed.text
        assert failed.action is None
        editor.settings["onSave"] = "check"
        editor.settings_changed()
        editor.write(example.manifest, good)
        editor.save(example.manifest)
        await told(editor, "unknown")


async def test_a_folder_with_a_broken_manifest_gets_a_status_of_its_own(project, fake_uv, tmp_path):
    example, settings = project("httpx"), {"uvPath": str(fake_uv().path)}
    (tmp_path / "empty").mkdir()
    lonely = tmp_path / "empty/pyproject.toml"
    lonely.write_text("[broken")
    async with editing(example.environ, example.root, settings=settings, capabilities=WANTS_STATUS) as editor:
        editor.open(lonely)
        failed = await told(editor, "failed")
        assert failed.root == lonely.parent.as_uri()
        editor.write(lonely, '[project]\nname = "x"\nversion = "0"\n')
        editor.settings["onSave"] = "check"
        editor.settings_changed()
        editor.save(lonely)
        await told(editor, "unknown")


async def test_an_untrusted_workspace_is_offered_no_action(project):
    example = project("httpx")
    (example.environment / "lib/python3.11/site-packages/half-1.0.dist-info").mkdir(parents=True)
    async with editing(example.environ, example.root, capabilities=WANTS_STATUS, trusted=False) as editor:
        editor.open(example.manifest)
        assert (await told(editor, "failed")).action is None
        with pytest.raises(JsonRpcException, match="not trusted"):
            await editor.request("uvLinkDoctor/undo", root=example.root.as_uri())


async def test_the_command_for_a_terminal_does_what_a_save_does(project, uv_binary):
    example = project("httpx")
    settings = {"uvPath": str(uv_binary("newest")), "environment": {"UV_LINK_MODE": "copy"}, "syncArgs": ["--no-dev"]}
    async with editing(example.environ, example.root, settings=settings, capabilities=WANTS_STATUS) as editor:
        answer = await editor.request(
            "uvLinkDoctor/terminalCommand", root=example.root.as_uri(), terminal="/usr/bin/bash"
        )
    assert answer.command.endswith("UV_LINK_MODE=copy " + str(uv_binary("newest")) + " sync --inexact --no-dev")
    assert example.run("bash", "-c", answer.command).returncode == 0
    assert example.missing_files() == {}


async def test_without_a_uv_there_is_no_command(project, tmp_path):
    example = project("httpx")
    settings = {"uvPath": str(tmp_path / "none")}
    async with editing(example.environ, example.root, settings=settings, capabilities=WANTS_STATUS) as editor:
        with pytest.raises(JsonRpcException, match="there is no uv to run; install uv"):
            await editor.request("uvLinkDoctor/terminalCommand", root=example.root.as_uri(), terminal="bash")


def test_a_problem_that_came_while_a_look_was_under_way_stays(tmp_path):
    """A save can find a manifest broken while the look that its opening began is still waiting for a disk."""
    server, path = DoctorServer(), tmp_path / "pyproject.toml"
    diagnostic = lsp.Diagnostic(lsp.Range(lsp.Position(0, 0), lsp.Position(0, 1)), "broken")
    with showing_problems(server, path):
        server.problems[path] = (path.as_uri(), diagnostic)
    assert server.problems == {path: (path.as_uri(), diagnostic)}
