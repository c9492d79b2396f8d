"""What a finding's life is: it comes with a look, stays as long as it holds, and goes when it is over."""

from typing import Any

import pytest
from kit.cloud import STOPS
from kit.editor import Capabilities, editing
from kit.fake_uv import Answer
from lsprotocol import types as lsp


async def saved(editor, example) -> None:
    before = editor.finished
    editor.save(example.manifest)
    await editor.until(lambda: editor.finished > before, "the end of a run")


async def test_what_was_not_saved_was_not_installed(project, uv_binary):
    example = project("idna")
    text = example.manifest.read_text()
    async with editing(example.environ, example.root, settings={"uvPath": str(uv_binary("newest"))}) as editor:
        editor.open(example.manifest)
        editor.write(example.manifest, text.replace('"idna"', '"certifi"'))
        await editor.execute("uvLinkDoctor.sync", example.root.as_uri())
        assert not example.imports("certifi.core")
        await saved(editor, example)
        assert example.imports("certifi.core")


@pytest.mark.parametrize("version", ["0.4.18", "newest"])
async def test_a_second_run_does_not_hide_the_cause(version, cloud_folder, project, uv_binary):
    folder, uv = cloud_folder(STOPS), uv_binary(version)
    assert project("httpx", root=folder.synced / "first", cache=folder.cache).run(uv, "sync").returncode == 0
    example = project("httpx", root=folder.synced / "second", cache=folder.cache)
    async with editing(example.environ, example.root, settings={"uvPath": str(uv)}) as editor:
        editor.open(example.manifest)
        await saved(editor, example)
        (failed,) = await editor.sees(example.manifest, "link-failed")
        for _ in range(2):
            await saved(editor, example)
            (diagnostic,) = await editor.sees(example.manifest, "environment-broken")
            assert failed.message.partition("\n")[0] in diagnostic.message
            assert (failed.range, failed.code_description) == (diagnostic.range, diagnostic.code_description)
        editor.close(example.manifest)
        editor.open(example.manifest)
        (diagnostic,) = await editor.sees(example.manifest, "environment-broken")
        (preferred,) = [it for it in await editor.quick_fixes(example.manifest, diagnostic) if it.is_preferred]
        assert (await editor.accept(preferred))["findings"] == []


async def test_a_fallback_is_shown_until_links_work(project, other_filesystem, uv_binary, tmp_path):
    example = project("idna", cache=other_filesystem / "cache")
    settings = {"uvPath": str(uv_binary("newest"))}
    async with editing(example.environ, example.root, settings=settings) as editor:
        editor.open(example.manifest)
        for _ in range(2):
            await saved(editor, example)
            await editor.sees(example.manifest, "link-degraded")
    async with editing(
        example.environ | {"UV_CACHE_DIR": str(tmp_path / "cache")}, example.root, settings=settings
    ) as editor:
        editor.open(example.manifest)
        await saved(editor, example)
        await editor.sees(example.manifest)


async def test_an_old_uv_asks_before_it_replaces_an_environment_whose_python_is_gone(project, uv_binary):
    example, uv = project("idna"), uv_binary("0.4.18")
    assert example.run(uv, "sync").returncode == 0
    own = example.environment / "notes.txt"
    own.write_text("the user's own")
    for python in (example.environment / "bin").glob("python*"):
        python.unlink()
    async with editing(example.environ, example.root, settings={"uvPath": str(uv)}) as editor:
        editor.open(example.manifest)
        editor.save(example.manifest)
        await editor.until(lambda: len(editor.questions) == 1, "the question")
    assert own.read_text() == "the user's own"


async def test_opening_another_file_leaves_what_uv_has_said(project, uv_binary):
    example = project("no-such-package")
    (example.root / "uv.toml").write_text("")
    async with editing(example.environ, example.root, settings={"uvPath": str(uv_binary("newest"))}) as editor:
        editor.open(example.manifest)
        editor.save(example.manifest)
        await editor.sees(example.manifest, "sync-failed")
        editor.open(example.root / "uv.toml")
        await editor.heard()
        await editor.sees(example.manifest, "sync-failed")


async def test_a_typo_stands_beside_the_findings_and_goes_with_its_repair(fake_uv, project):
    fake, example = fake_uv(), project("a")
    (example.environment / "lib/python3.11/site-packages/half-1.0.dist-info").mkdir(parents=True)
    good = example.manifest.read_text()
    async with editing(example.environ, example.root, settings={"uvPath": str(fake.path)}) as editor:
        editor.open(example.manifest)
        await editor.sees(example.manifest, "environment-broken")
        editor.write(example.manifest, "[project")
        editor.save(example.manifest)
        await editor.sees(example.manifest, "environment-broken", "sync-failed")
        editor.write(example.manifest, good)
        editor.save(example.manifest)
        await editor.sees(example.manifest, "environment-broken")


async def test_a_uv_toml_of_no_project_is_left_alone(project, tmp_path):
    example = project("a")
    lonely = tmp_path / "elsewhere" / "uv.toml"
    lonely.parent.mkdir()
    lonely.write_text("")
    async with editing(example.environ, example.root) as editor:
        editor.open(lonely)
        editor.save(lonely)
        await editor.heard()
        assert not editor.diagnostics.get(lonely)


@pytest.mark.parametrize("open_folders", [0, 1, 2], ids=["no folder", "the folder", "the folder and the one above"])
async def test_the_clients_settings_count_wherever_the_file_is(open_folders, fake_uv, project):
    fake, example = fake_uv(Answer()), project("a")
    folders = [example.root.parent, example.root][2 - open_folders :]
    settings = {"uvPath": str(fake.path), "onSave": "off"}
    capabilities = Capabilities(configuration=True)
    async with editing(example.environ, *folders, settings=settings, capabilities=capabilities) as editor:
        editor.open(example.manifest)
        editor.save(example.manifest)
        await editor.until(lambda: editor.asked > 0, "the question for the settings")
        await editor.heard()
        await editor.heard()
    assert fake.invocations("sync") == []


async def test_what_is_ahead_stays_until_it_is_over(cloud_folder, project, uv_binary):
    folder, uv = cloud_folder(STOPS), uv_binary("newest")
    assert project("httpx", root=folder.synced / "first", cache=folder.cache).run(uv, "sync").returncode == 0
    example = project("httpx", root=folder.outside / "second", cache=folder.cache)
    assert example.run(uv, "sync", "--link-mode", "copy").returncode == 0
    async with editing(example.environ, example.root, settings={"uvPath": str(uv)}) as editor:
        editor.open(example.manifest)
        await editor.execute("uvLinkDoctor.check", example.root.as_uri())
        await editor.sees(example.manifest, "cache-tainted")
        before = editor.published
        editor.open(example.root / "uv.lock")
        await saved(editor, example)
        editor.save(example.manifest)  # As it was: nothing runs.
        await editor.execute("uvLinkDoctor.check", example.root.as_uri())
        assert (editor.published, editor.finished) == (before, 1), "it was there all the time"
        assert example.run(uv, "cache", "clean", "certifi").returncode == 0
        editor.close(example.root / "uv.lock")
        editor.open(example.root / "uv.lock")
        await editor.sees(example.manifest)


async def test_a_run_with_nothing_to_install_leaves_what_the_next_one_will_meet(project, other_filesystem, uv_binary):
    example, uv = project("idna", cache=other_filesystem / "cache"), uv_binary("newest")
    assert example.run(uv, "sync").returncode == 0
    async with editing(example.environ, example.root, settings={"uvPath": str(uv)}) as editor:
        editor.open(example.manifest)
        await editor.sees(example.manifest, "link-predicted")
        await saved(editor, example)
        await editor.sees(example.manifest, "link-predicted")
        (example.root / "uv.toml").write_text('link-mode = "copy"\n')
        await saved(editor, example)
        await editor.sees(example.manifest)


@pytest.mark.parametrize(("kinds", "given"), [(None, True), (["quickfix"], True), ([""], True), (["source"], False)])
async def test_quick_fixes_are_given_to_whoever_asks_for_their_kind(kinds, given, fake_uv, project):
    fake, example = fake_uv(), project("a")
    (example.environment / "lib/python3.11/site-packages/half-1.0.dist-info").mkdir(parents=True)
    async with editing(example.environ, example.root, settings={"uvPath": str(fake.path)}) as editor:
        editor.open(example.manifest)
        (broken,) = await editor.sees(example.manifest, "environment-broken")
        document = lsp.TextDocumentIdentifier(example.manifest.as_uri())
        asked = lsp.CodeActionParams(document, broken.range, lsp.CodeActionContext([broken], kinds))
        assert bool(await editor.client.text_document_code_action_async(asked)) == given


async def test_a_changed_ignore_counts_at_once(fake_uv, project):
    fake, example = fake_uv(), project("a")
    (example.environment / "lib/python3.11/site-packages/half-1.0.dist-info").mkdir(parents=True)
    capabilities = Capabilities(configuration=True)
    settings: dict[str, Any] = {"uvPath": str(fake.path)}
    async with editing(example.environ, example.root, settings=settings, capabilities=capabilities) as editor:
        editor.open(example.manifest)
        await editor.sees(example.manifest, "environment-broken")
        settings["ignore"] = ["environment-broken"]
        editor.settings_changed()
        await editor.sees(example.manifest)
        settings["ignore"] = []
        editor.settings_changed()
        await editor.sees(example.manifest, "environment-broken")


@pytest.mark.parametrize("first", ["the folder", "the file"])
async def test_a_closed_folder_and_its_files_show_nothing_any_more(first, fake_uv, project):
    fake, example = fake_uv(), project("a")
    left = project("a", root=example.root.parent / "left")
    for it in (example, left):
        (it.environment / "lib/python3.11/site-packages/half-1.0.dist-info").mkdir(parents=True)
    settings = {"uvPath": str(fake.path)}
    async with editing(example.environ, example.root, left.root, settings=settings) as editor:
        for it in (example, left):
            editor.open(it.manifest)
            await editor.sees(it.manifest, "environment-broken")
        for step in (editor.close_folder, editor.close)[:: 1 if first == "the folder" else -1]:
            await editor.sees(left.manifest, "environment-broken")
            step(left.root if step == editor.close_folder else left.manifest)
        await editor.sees(left.manifest)
        await editor.sees(example.manifest, "environment-broken")
