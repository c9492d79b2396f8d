"""Degraded, not failed: the cache lies on another real file system, uv copies, and says neither where nor why."""

import tomllib
from pathlib import Path

import pytest
from kit.editor import Capabilities, editing
from kit.projects import UvProject


@pytest.fixture(params=["0.4.18", "0.9.30", "newest"])
def uv(request, uv_binary):
    return uv_binary(request.param)


@pytest.fixture
def example(project, other_filesystem) -> UvProject:
    return project("idna", "httpx", cache=other_filesystem / "cache")


async def saved(editor, example) -> None:
    """Save, and wait for the end of the run that this starts."""
    before = editor.finished
    editor.save(example.manifest)
    await editor.until(lambda: editor.finished > before, "the end of a run")


async def test_one_warning_names_the_number_and_both_file_systems(uv, example, file_system):
    async with editing(example.environ, example.root, settings={"uvPath": str(uv)}) as editor:
        editor.open(example.manifest)
        editor.save(example.manifest)
        (diagnostic,) = await editor.sees(example.manifest, "link-degraded")
        assert diagnostic.severity == 2
        assert "(os error 18)" in diagnostic.message
        cache, environment = file_system(example.environ["UV_CACHE_DIR"]), file_system(example.root)
        assert f"the cache is on {cache}" in diagnostic.message
        assert f"the environment on {environment}" in diagnostic.message
        assert editor.under(example.manifest, diagnostic.range) == "idna"
        assert example.missing_files() == {}
        # A look without a run, which is what opening the file is, finds it in the same place.
        await editor.execute("uvLinkDoctor.check", example.root.as_uri())
        (diagnostic,) = await editor.sees(example.manifest, "link-degraded")
        assert editor.under(example.manifest, diagnostic.range) == "idna"


@pytest.mark.parametrize("apply_edit", [True, False], ids=["the editor edits", "the editor cannot edit"])
async def test_set_link_mode_makes_it_disappear(apply_edit, uv, example):
    text = example.manifest.read_text() + "# the end\n"
    example.manifest.write_text(text)
    settings, capabilities = {"uvPath": str(uv)}, Capabilities(apply_edit=apply_edit)
    async with editing(example.environ, example.root, settings=settings, capabilities=capabilities) as editor:
        editor.open(example.manifest)
        editor.save(example.manifest)
        (diagnostic,) = await editor.sees(example.manifest, "link-degraded")
        (fix,) = [
            it for it in await editor.quick_fixes(example.manifest, diagnostic) if "in pyproject.toml" in it.title
        ]
        answer = await editor.accept(fix)
        assert answer["findings"] == []
        await editor.sees(example.manifest)
        if apply_edit:
            # The buffer is changed and not saved; we say so, and the disk is as it was.
            assert example.manifest.read_text() == text
            assert ["not saved yet" in message.message for message in editor.messages] == [True]
            await saved(editor, example)
        else:
            editor.write(example.manifest, example.manifest.read_text())  # As an editor does that sees the disk change.
        after = example.manifest.read_text()
        assert tomllib.loads(after)["tool"]["uv"]["link-mode"] == "copy"
        assert after.startswith(text.removesuffix("# the end\n"))

        # It stays away when everything is installed anew.
        example.run("rm", "-rf", example.environment)
        await saved(editor, example)
        assert editor.diagnostics[example.manifest] == []
        assert example.missing_files() == {}


async def test_the_users_own_file_is_none_of_the_editors(uv, example):
    """It lies in no folder of the editor, which need not be able to change it: we do, and can take it back."""
    users = Path(example.environ["XDG_CONFIG_HOME"]) / "uv" / "uv.toml"
    async with editing(example.environ, example.root, settings={"uvPath": str(uv)}) as editor:
        editor.open(example.manifest)
        editor.save(example.manifest)
        (diagnostic,) = await editor.sees(example.manifest, "link-degraded")
        editor.answers = lambda _: "Go ahead"
        (fix,) = [it for it in await editor.quick_fixes(example.manifest, diagnostic) if "your own" in it.title]
        assert (await editor.accept(fix))["findings"] == []
        assert users.read_text() == 'link-mode = "copy"\n'
        assert editor.edits == []
        await editor.request("uvLinkDoctor/undo", root=example.root.as_uri())
        assert not users.exists()


@pytest.mark.parametrize("create_files", [True, False], ids=["the editor makes it", "the editor cannot"])
async def test_a_file_of_the_workspace_that_is_not_there_yet(create_files, uv, example):
    """Beside requirements that nobody has given any settings."""
    example.manifest.unlink()
    requirements = example.root / "requirements.txt"
    requirements.write_text("idna\nhttpx\n")
    assert example.run(uv, "venv").returncode == 0
    capabilities = Capabilities(create_files=create_files)
    async with editing(
        example.environ, example.root, settings={"uvPath": str(uv)}, capabilities=capabilities
    ) as editor:
        editor.open(requirements)
        await editor.execute("uvLinkDoctor.sync", example.root.as_uri())
        (diagnostic,) = await editor.sees(requirements, "link-degraded")
        (fix,) = [it for it in await editor.quick_fixes(requirements, diagnostic) if "in uv.toml" in it.title]
        assert (await editor.accept(fix))["findings"] == []
        settings = example.root / "uv.toml"
        assert settings.read_text() == ("" if create_files else 'link-mode = "copy"\n')
        if create_files:  # As the protocol has it: the file is made, what is in it waits to be saved.
            editor.save(settings)
            assert settings.read_text() == 'link-mode = "copy"\n'


async def test_the_deciding_setting_is_where_it_stands(uv, example):
    example.manifest.write_text(example.manifest.read_text() + '\n[tool.uv]\nlink-mode = "hardlink"\n')
    async with editing(example.environ, example.root, settings={"uvPath": str(uv)}) as editor:
        editor.open(example.manifest)
        editor.save(example.manifest)
        (diagnostic,) = await editor.sees(example.manifest, "link-degraded")
        assert editor.under(example.manifest, diagnostic.range) == 'link-mode = "hardlink"'


async def test_a_variable_that_wins_is_named_and_no_file_is_offered(uv, example):
    example.environ["UV_LINK_MODE"] = "hardlink"
    async with editing(example.environ, example.root, settings={"uvPath": str(uv)}) as editor:
        editor.open(example.manifest)
        editor.save(example.manifest)
        (diagnostic,) = await editor.sees(example.manifest, "link-degraded")
        assert "`UV_LINK_MODE` is `hardlink`" in diagnostic.message
        fixes = await editor.quick_fixes(example.manifest, diagnostic)
        assert [fix.title for fix in fixes] == ["Go on using copies here, on this machine only"]
        await editor.accept(fixes[0])
        await editor.sees(example.manifest)


async def test_a_warning_survives_a_restart_of_the_server_as_long_as_it_holds(uv, example):
    settings = {"uvPath": str(uv)}
    async with editing(example.environ, example.root, settings=settings) as editor:
        editor.open(example.manifest)
        editor.save(example.manifest)
        await editor.sees(example.manifest, "link-degraded")
    async with editing(example.environ, example.root, settings=settings) as editor:
        editor.open(example.manifest)
        await editor.sees(example.manifest, "link-degraded")
    example.manifest.write_text(example.manifest.read_text() + '\n[tool.uv]\nlink-mode = "copy"\n')
    async with editing(example.environ, example.root, settings=settings) as editor:
        editor.open(example.manifest)
        await editor.sees(example.manifest)
