"""An untrusted workspace: everything is read, nothing is started, nothing is written."""

import pytest
from kit.editor import editing
from pygls.exceptions import JsonRpcException


def files(root) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


async def test_nothing_is_started_and_nothing_is_written(fake_uv, project, tmp_path):
    fake, example = fake_uv(), project("httpx")
    (example.environment / "lib/python3.11/site-packages/half-1.0.dist-info").mkdir(parents=True)
    before = files(tmp_path)
    async with editing(example.environ, example.root, settings={"uvPath": str(fake.path)}, trusted=False) as editor:
        editor.open(example.manifest)
        (diagnostic,) = await editor.sees(example.manifest, "environment-broken")
        editor.save(example.manifest)
        for fix in await editor.quick_fixes(example.manifest, diagnostic):
            with pytest.raises(JsonRpcException, match="not trusted"):
                await editor.accept(fix)
        with pytest.raises(JsonRpcException, match="not trusted"):
            await editor.execute("uvLinkDoctor.sync", example.root.as_uri())
        answer = await editor.execute("uvLinkDoctor.check", example.root.as_uri())
        assert answer["uv"]["path"] == str(fake.path)
    assert fake.invocations() == []
    assert files(tmp_path) == before


async def test_opening_a_trusted_project_starts_nothing_either(fake_uv, project, tmp_path):
    fake, example = fake_uv(), project("httpx")
    (example.environment / "lib/python3.11/site-packages/half-1.0.dist-info").mkdir(parents=True)
    before = files(tmp_path)
    async with editing(example.environ, example.root, settings={"uvPath": str(fake.path)}) as editor:
        editor.open(example.manifest)
        await editor.sees(example.manifest, "environment-broken")
    assert fake.invocations() == []
    assert files(tmp_path) == before
