"""The report that started it: certifi cannot be linked into a OneDrive folder, and nothing that people try helps.

An unmodified uv, old and new, meets a real error 396 on a file system of our own; an editor saves the project over the
protocol, shows the diagnostic on the line of httpx, and accepts the preferred quick fix.
"""

import pytest
from kit.cloud import STOPS
from kit.editor import editing
from kit.projects import UvProject

MODULES = ("httpx", "httpx._client", "certifi", "certifi.core", "idna", "idna.core", "typing_extensions")


@pytest.fixture(params=["0.4.18", "newest"])
def uv(request, uv_binary):
    return uv_binary(request.param)


@pytest.fixture
def projects(uv, cloud_folder, project) -> tuple[UvProject, UvProject]:
    """A project in the synced folder, and one outside; a third, in the folder, was installed before and all is well."""
    folder = cloud_folder(STOPS)
    places = (folder.synced / "first", folder.synced / "second", folder.outside / "third")
    first, second, outside = (project("typing-extensions", "httpx", root=place, cache=folder.cache) for place in places)
    assert first.run(uv, "sync").returncode == 0
    assert first.missing_files() == {}
    return second, outside


@pytest.mark.parametrize("which", [0, 1], ids=["in the synced folder", "outside, by the taint"])
async def test_save_explain_accept_and_all_is_well(which, projects, uv):
    broken = projects[which]
    async with editing(broken.environ, broken.root, settings={"uvPath": str(uv)}) as editor:
        editor.open(broken.manifest)
        editor.save(broken.manifest)

        (diagnostic,) = await editor.sees(broken.manifest, "link-failed")
        assert "os error 396" in diagnostic.message
        assert editor.under(broken.manifest, diagnostic.range) == "httpx"
        assert diagnostic.code_description is not None
        assert diagnostic.code_description.href.endswith("/cloud-sync.md")
        assert {it.message for it in diagnostic.related_information or ()} == {
            "`certifi` in the lockfile",
            "the file in uv's cache",
            "its place in the environment",
        }

        fixes = await editor.quick_fixes(broken.manifest, diagnostic)
        assert len(fixes) > 1
        (preferred,) = [fix for fix in fixes if fix.is_preferred]
        for fix in fixes:
            assert fix.kind == "quickfix"
            assert [it.message for it in fix.diagnostics or ()] == [diagnostic.message]
        answer = await editor.accept(preferred)

        assert (answer["outcome"], answer["findings"]) == ("healthy", [])
        assert answer["environment"] == {"verified": True, "broken": []}
        await editor.sees(broken.manifest)
        assert broken.missing_files() == {}
        assert broken.imports(*MODULES)

        # It is remembered: with the environment gone, the next save copies by itself.
        broken.run("rm", "-rf", broken.environment)
        before = editor.finished
        editor.save(broken.manifest)
        await editor.until(lambda: editor.finished > before, "the end of a run")
        await editor.sees(broken.manifest)
        assert broken.missing_files() == {}
        assert "link-mode" not in broken.manifest.read_text()


async def test_the_naive_fix_leaves_it_broken(projects, uv):
    """What people try first reports success over a broken environment, which the doctor then finds."""
    broken, _ = projects
    assert broken.run(uv, "sync").returncode == 2
    assert broken.run(uv, "sync", "--link-mode", "copy").returncode == 0
    assert broken.missing_files().keys() == {"certifi-2026.10.18"}
    assert not broken.imports("httpx")

    async with editing(broken.environ, broken.root, settings={"uvPath": str(uv)}) as editor:
        editor.open(broken.manifest)
        (diagnostic,) = await editor.sees(broken.manifest, "environment-broken")
        assert editor.under(broken.manifest, diagnostic.range) == "httpx"
        fixes = await editor.quick_fixes(broken.manifest, diagnostic)
        (copying,) = [fix for fix in fixes if "copying" in fix.title]
        await editor.accept(copying)
        await editor.sees(broken.manifest)
    assert broken.missing_files() == {}
    assert broken.imports(*MODULES)
