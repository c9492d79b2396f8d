"""When a save runs uv, and when it does not: one runs, one waits, the last save wins, and nothing runs for nothing."""

import asyncio
import json
import time
from functools import partial

import pytest
from kit.editor import Capabilities, editing
from kit.fake_uv import Answer
from lsprotocol import types as lsp

NO_CHANGE = json.dumps({"sync": {"action": "check", "changes": []}})
ASKED = Answer(when=["--dry-run"], steps=[("stdout", NO_CHANGE)])


def manifest(*requirements: str, more: str = "") -> str:
    listed = "".join(f'    "{requirement}",\n' for requirement in requirements)
    return f'[project]\nname = "example"\nversion = "0"\ndependencies = [\n{listed}]\n{more}'


def has_finished(editor, runs: int) -> bool:
    return editor.finished == runs


def syncs(fake):
    """The runs that install, without the questions before them."""
    return [it for it in fake.invocations("sync") if "--dry-run" not in it.arguments]


async def test_a_save_asks_uv_and_then_runs_it_with_what_the_user_added_kept(fake_uv, project):
    fake, example = fake_uv(ASKED), project("httpx")
    async with editing(example.environ, example.root, settings={"uvPath": str(fake.path)}) as editor:
        editor.open(example.manifest)
        editor.save(example.manifest)
        await editor.until(lambda: editor.finished == 1, "the end of the run")
    question, run = fake.invocations("sync")
    assert question.arguments == ["sync", "--inexact", "--dry-run", "--output-format", "json"]
    assert run.arguments == ["sync", "--inexact"]
    assert run.directory == str(example.root)
    assert run.stdin_is_null
    given = run.environ
    assert (given["UV_NO_WRAP"], given["NO_COLOR"], given["UV_PYTHON_DOWNLOADS"]) == ("1", "1", "never")
    assert "uv_fs::link=debug" in given["RUST_LOG"]
    assert not {"VIRTUAL_ENV", "PYTHONPATH", "FORCE_COLOR"} & given.keys()


async def test_a_healthy_project_says_nothing_and_a_second_save_runs_nothing(project, uv_binary):
    example = project("httpx", "typing-extensions")
    text = example.manifest.read_text()
    async with editing(example.environ, example.root, settings={"uvPath": str(uv_binary("newest"))}) as editor:
        editor.open(example.manifest)
        editor.save(example.manifest)
        await editor.until(lambda: editor.finished == 1, "the end of the run")
        assert example.missing_files() == {}
        for _ in range(2):  # A trial link leaves no trace; the second look waits for what the save has begun.
            await editor.execute("uvLinkDoctor.check", example.root.as_uri())
            assert editor.finished == 1
            editor.save(example.manifest)
        for unimportant in (text, f"# a comment\n{text}", f"{text}\n[tool.ruff]\nline-length = 100\n"):
            editor.write(example.manifest, unimportant)
            editor.save(example.manifest)
        # Only a save that matters runs again: had one of the others, its end would have been told before.
        editor.write(example.manifest, text.replace('    "typing-extensions",\n', ""))
        editor.save(example.manifest)
        await editor.until(lambda: editor.finished == 2, "the end of the second run")
        assert not any(editor.diagnostics.values())
        assert (editor.messages, editor.questions, editor.progress) == ([], [], [])
        assert editor.published <= 1


async def test_a_healthy_project_says_nothing_at_all_when_nothing_is_traced(project, uv_binary):
    example = project("httpx")
    settings = {"uvPath": str(uv_binary("newest")), "trace": "off"}
    async with editing(example.environ, example.root, settings=settings) as editor:
        editor.open(example.manifest)
        answer = await editor.execute("uvLinkDoctor.sync", example.root.as_uri())
        assert (answer["outcome"], answer["findings"]) == ("healthy", [])
        assert (editor.logs, editor.messages, editor.progress) == ([], [], [])


async def test_a_change_outside_the_editor_lets_the_next_save_run(fake_uv, project):
    fake, example = fake_uv(ASKED), project("httpx")
    async with editing(example.environ, example.root, settings={"uvPath": str(fake.path)}) as editor:
        editor.open(example.manifest)
        for number, name in enumerate(("", "uv.lock", "uv.toml", ".python-version", ".venv/pyvenv.cfg"), start=1):
            if name:
                (example.root / name).parent.mkdir(exist_ok=True)
                (example.root / name).write_text("")
            editor.save(example.manifest)
            await editor.until(partial(has_finished, editor, number), f"a run after {name or 'the first save'}")


async def test_saves_during_a_run_leave_it_alone_and_end_in_one_more_run_of_the_last(fake_uv, project):
    fake, example = fake_uv(ASKED, Answer(when=["sync"], steps=[("hold", "")])), project("a")
    async with editing(example.environ, example.root, settings={"uvPath": str(fake.path)}) as editor:
        editor.open(example.manifest)
        editor.save(example.manifest)
        first = await asyncio.to_thread(fake.held)
        for name in ("b", "c", "d"):
            editor.write(example.manifest, manifest(name))
            editor.save(example.manifest)
        await editor.heard()
        assert len(syncs(fake)) == 1
        first.release()
        second = await asyncio.to_thread(fake.held)
        second.release()
        await editor.until(lambda: editor.finished == 2, "the end of both runs")
        assert len(syncs(fake)) == 2
        editor.save(example.manifest)
        await editor.heard()
        assert len(syncs(fake)) == 2
    assert fake.signals() == []


async def test_members_of_a_workspace_take_turns_and_none_is_forgotten(fake_uv, project):
    fake = fake_uv(ASKED, Answer(when=["sync"], steps=[("hold", "")]))
    root = project("a", more='[tool.uv.workspace]\nmembers = ["one", "two"]\n')
    members = [project("b", root=root.root / name) for name in ("one", "two")]
    async with editing(root.environ, root.root, settings={"uvPath": str(fake.path)}) as editor:
        for example in (root, *members):
            editor.open(example.manifest)
        for example in (root, *members):
            editor.save(example.manifest)
        for _ in range(3):
            held = await asyncio.to_thread(fake.held)
            held.release()
        await editor.until(lambda: editor.finished == 3, "the end of all runs")
    assert {run.directory for run in syncs(fake)} == {str(it.root) for it in (root, *members)}


async def test_progress_of_a_slow_run_can_be_cancelled_and_the_environment_is_looked_at(fake_uv, project):
    fake, example = (
        fake_uv(ASKED, Answer(when=["sync"], steps=[("stderr", "Resolved 1 package\n"), ("hold", "")])),
        project("a"),
    )
    info = example.environment / "lib/python3.11/site-packages/half-1.0.dist-info"
    info.mkdir(parents=True)
    async with editing(example.environ, example.root, settings={"uvPath": str(fake.path)}) as editor:
        editor.open(example.manifest)
        await editor.sees(example.manifest, "environment-broken")
        editor.save(example.manifest)
        held = await asyncio.to_thread(fake.held)
        await editor.until(lambda: len(editor.progress) > 1, "the beginning of the progress")
        created, begin, *_ = editor.progress
        assert (begin["kind"], begin["cancellable"]) == ("begin", True)
        editor.client.window_work_done_progress_cancel(lsp.WorkDoneProgressCancelParams(created.token))
        assert await asyncio.to_thread(held.gone)
        await editor.until(lambda: editor.progress[-1]["kind"] == "end", "the end of the progress")
        await editor.sees(example.manifest, "environment-broken")
        assert not any("sync-failed" in str(it.code) for it in editor.diagnostics[example.manifest])


async def test_the_cancel_command_ends_the_run_and_drops_what_waits(fake_uv, project):
    fake, example = fake_uv(ASKED, Answer(when=["sync"], steps=[("hold", "")])), project("a")
    async with editing(example.environ, example.root, settings={"uvPath": str(fake.path)}) as editor:
        editor.open(example.manifest)
        editor.save(example.manifest)
        held = await asyncio.to_thread(fake.held)
        editor.write(example.manifest, manifest("b"))
        editor.save(example.manifest)
        assert await editor.execute("uvLinkDoctor.cancel", example.root.as_uri()) is None
        assert await asyncio.to_thread(held.gone)
        await editor.until(lambda: editor.finished == 1, "the end of the run")
        assert len(syncs(fake)) == 1


@pytest.mark.parametrize("capabilities", [Capabilities(progress=False), Capabilities()], ids=["none", "quick"])
async def test_no_progress_is_shown_without_the_capability_or_for_a_quick_run(capabilities, fake_uv, project):
    fake, example = fake_uv(ASKED), project("a")
    settings = {"uvPath": str(fake.path)}
    async with editing(example.environ, example.root, settings=settings, capabilities=capabilities) as editor:
        editor.open(example.manifest)
        editor.save(example.manifest)
        await editor.until(lambda: editor.finished == 1, "the end of the run")
        assert editor.progress == []


async def test_an_auto_save_waits_for_ten_quiet_seconds_and_a_manual_one_does_not(fake_uv, project):
    fake, example = fake_uv(ASKED), project("a")
    async with editing(example.environ, example.root, settings={"uvPath": str(fake.path)}) as editor:
        editor.open(example.manifest)
        began = time.monotonic()
        editor.save(example.manifest, reason=lsp.TextDocumentSaveReason.AfterDelay)
        await editor.until(lambda: editor.finished == 1, "the end of the run")
        assert time.monotonic() - began >= 10
        editor.write(example.manifest, manifest("b"))
        editor.save(example.manifest, reason=lsp.TextDocumentSaveReason.FocusOut)
        began = time.monotonic()
        editor.save(example.manifest)
        await editor.until(lambda: editor.finished == 2, "the end of the second run")
        assert time.monotonic() - began < 10


@pytest.mark.parametrize("on_save", ["check", "off"])
async def test_the_setting_on_save_keeps_uv_from_running(on_save, fake_uv, project):
    fake, example = fake_uv(), project("a")
    settings = {"uvPath": str(fake.path), "onSave": on_save}
    async with editing(example.environ, example.root, settings=settings) as editor:
        editor.open(example.manifest)
        (example.environment / "lib/python3.11/site-packages/half-1.0.dist-info").mkdir(parents=True)
        editor.save(example.manifest)
        if on_save == "check":
            await editor.sees(example.manifest, "environment-broken")
        await editor.heard()
    assert fake.invocations("sync") == []


async def test_settings_pulled_from_the_client_count_and_a_bad_one_is_said_once(fake_uv, project):
    fake, example = fake_uv(ASKED), project("a")
    settings = {"uvPath": str(fake.path), "onSave": "always", "trace": "messages", "ignore": ["no-such-code"]}
    capabilities = Capabilities(configuration=True)
    async with editing(example.environ, example.root, settings=settings, capabilities=capabilities) as editor:
        editor.open(example.manifest)
        editor.save(example.manifest)
        await editor.until(lambda: editor.finished == 1, "the end of the run")
        said = {message.message for message in editor.messages}
        assert said == {
            "The setting `uvLinkDoctor.onSave` must be `sync`, `check` or `off`; its default is used.",
            "The setting `uvLinkDoctor.ignore` must be a list of codes and causes; its default is used.",
        }


async def test_an_ignored_code_is_not_shown(fake_uv, project):
    fake, example = fake_uv(), project("a")
    settings = {"uvPath": str(fake.path), "ignore": ["environment-broken"]}
    (example.environment / "lib/python3.11/site-packages/half-1.0.dist-info").mkdir(parents=True)
    async with editing(example.environ, example.root, settings=settings) as editor:
        editor.open(example.manifest)
        answer = await editor.execute("uvLinkDoctor.check", example.root.as_uri())
        assert [finding["code"] for finding in answer["findings"]] == ["environment-broken"]
        assert not any(editor.diagnostics.values())


async def test_a_run_by_command_or_remedy_counts_as_well(project, other_filesystem, uv_binary):
    example = project("httpx", cache=other_filesystem / "cache")
    async with editing(example.environ, example.root, settings={"uvPath": str(uv_binary("newest"))}) as editor:
        editor.open(example.manifest)
        await editor.execute("uvLinkDoctor.sync", example.root.as_uri())
        (degraded,) = await editor.sees(example.manifest, "link-degraded")
        for by in ("remedy", "command"):
            if by == "remedy":
                (fix,) = [it for it in await editor.quick_fixes(example.manifest, degraded) if it.is_preferred]
                assert (await editor.accept(fix))["outcome"] == "healthy"
            else:
                await editor.execute("uvLinkDoctor.sync", example.root.as_uri())
            before = editor.finished
            editor.save(example.manifest)
            await editor.execute("uvLinkDoctor.check", example.root.as_uri())  # It waits for what the save has begun.
            assert editor.finished == before
            (example.root / "uv.toml").write_text("")  # So that the command is what counts, not the remedy.
