"""A uv workspace: one environment, several manifests, and the finding stands in the one that is to blame."""

import pytest
from kit.cloud import STOPS
from kit.editor import editing

MEMBERS = '[tool.uv.workspace]\nmembers = ["packages/*"]\n'


@pytest.fixture
def folder(cloud_folder):
    return cloud_folder(STOPS)


async def test_a_saved_member_is_installed_into_the_roots_environment_and_diagnosed_on_its_own_line(
    folder, project, uv_binary
):
    uv = uv_binary("newest")
    first = project("httpx", root=folder.synced / "first", cache=folder.cache)
    assert first.run(uv, "sync").returncode == 0
    root = project("idna", root=folder.synced / "all", cache=folder.cache, more=MEMBERS)
    member = project("typing-extensions", "httpx", root=root.root / "packages" / "one", cache=folder.cache)
    member.manifest.write_text(member.manifest.read_text().replace('"example"', '"one"'))
    async with editing(root.environ, root.root, settings={"uvPath": str(uv)}) as editor:
        editor.open(root.manifest)
        editor.open(member.manifest)
        editor.save(member.manifest)
        (diagnostic,) = await editor.sees(member.manifest, "link-failed")
        assert editor.under(member.manifest, diagnostic.range) == "httpx"
        assert isinstance(diagnostic.data, dict)
        assert diagnostic.data["root"] == root.root.as_uri()
        (preferred,) = [it for it in await editor.quick_fixes(member.manifest, diagnostic) if it.is_preferred]
        answer = await editor.accept(preferred)
        assert (answer["findings"], answer["project"]["root"]) == ([], str(root.root))
        await editor.sees(member.manifest)
    assert not member.environment.exists()
    assert root.missing_files() == {}
    assert root.imports("httpx._client", "typing_extensions")


async def test_a_saved_root_points_at_the_member_that_brings_the_package_in(folder, project, uv_binary):
    uv = uv_binary("newest")
    first = project("httpx", root=folder.synced / "first", cache=folder.cache)
    assert first.run(uv, "sync").returncode == 0
    root = project(
        "one",
        root=folder.outside / "all",
        cache=folder.cache,
        more=f"{MEMBERS}[tool.uv.sources]\none = {{ workspace = true }}\n",
    )
    member = project("httpx", root=root.root / "packages" / "one", cache=folder.cache)
    text = member.manifest.read_text().replace('"example"', '"one"')
    member.manifest.write_text(f"{text}[tool.uv]\npackage = false\n")
    async with editing(root.environ, root.root, settings={"uvPath": str(uv)}) as editor:
        editor.open(root.manifest)
        editor.save(root.manifest)
        # `one` stands in the root's manifest and leads to certifi as well: the project's own manifest comes first.
        (diagnostic,) = await editor.sees(root.manifest, "link-failed")
        assert editor.under(root.manifest, diagnostic.range) == "one"
