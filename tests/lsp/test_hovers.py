"""What a hover answers over the protocol: from what is known, at once, and without a trace on any disk."""

import asyncio
import time
from pathlib import Path
from statistics import median

import pytest
from kit.editor import PATIENCE, Editor, editing
from lsprotocol import types as lsp

SECONDS_AT_MOST = 0.020


async def hover(editor: Editor, path: Path, words: str) -> lsp.Hover | None:
    text = editor.buffers[path.as_uri()].source.split("\n")
    line = next(number for number, it in enumerate(text) if words in it)
    params = lsp.HoverParams(lsp.TextDocumentIdentifier(path.as_uri()), lsp.Position(line, text[line].index(words) + 1))
    return await editor.client.text_document_hover_async(params)


async def told(editor: Editor, path: Path, words: str) -> str:
    found = await hover(editor, path, words)
    assert found is not None
    assert isinstance(found.contents, lsp.MarkupContent)
    assert found.contents.kind is lsp.MarkupKind.Markdown
    return found.contents.value


@pytest.fixture
def example(project, uv_binary):
    example = project("httpx", more='\n[tool.uv]\nlink-mode = "hardlink"\n')
    assert example.run(uv_binary("newest"), "sync").returncode == 0
    return example


def stamps(directory: str) -> list[tuple[Path, int]]:
    return sorted((path, path.stat().st_mtime_ns) for path in Path(directory).iterdir())


async def until_weighed(editor: Editor, path: Path) -> None:
    """The packages are counted after the file was opened."""
    while "is not known" in await told(editor, path, "httpx"):
        await editor.heard()


async def test_the_setting_the_table_and_a_requirement(example, uv_binary):
    before = stamps(example.environ["UV_CACHE_DIR"])
    async with editing(example.environ, example.root, settings={"uvPath": str(uv_binary("newest"))}) as editor:
        editor.open(example.manifest)
        await editor.sees(example.manifest)
        await until_weighed(editor, example.manifest)
        said = await told(editor, example.manifest, "link-mode")
        assert f"**`link-mode`: `hardlink`**, set in `{example.manifest}:" in said
        assert "Linking works here: hard links" in said
        assert "for this project" in said
        cache = f"**`cache-dir`: `{example.environ['UV_CACHE_DIR']}`**, set by the variable `UV_CACHE_DIR`"
        assert cache in await told(editor, example.manifest, "[tool.uv]")
        assert "`httpx` is " in await told(editor, example.manifest, "httpx")
        assert await hover(editor, example.manifest, "version") is None

        times = []
        for _ in range(30):
            begun = time.perf_counter()
            await told(editor, example.manifest, "link-mode")
            times.append(time.perf_counter() - begun)
        assert median(times) < SECONDS_AT_MOST
    after = stamps(example.environ["UV_CACHE_DIR"])
    assert after == before


async def test_what_is_typed_counts(example, uv_binary):
    async with editing(example.environ, example.root, settings={"uvPath": str(uv_binary("newest"))}) as editor:
        editor.open(example.manifest)
        await editor.sees(example.manifest)
        text = example.manifest.read_text()
        editor.write(example.manifest, text.replace("hardlink", "symlink"))
        assert "**`link-mode`: `symlink`**" in await told(editor, example.manifest, "link-mode")
        editor.write(example.manifest, text.replace("link-mode = ", "link-mode = ["))
        assert await hover(editor, example.manifest, "link-mode") is None


async def test_what_a_run_has_fetched_is_known(project, uv_binary):
    example = project("httpx")
    async with editing(example.environ, example.root, settings={"uvPath": str(uv_binary("newest"))}) as editor:
        editor.open(example.manifest)
        assert "is not known in uv's cache" in await told(editor, example.manifest, "httpx")
        await editor.execute("uvLinkDoctor.sync", example.root.as_uri())
        async with asyncio.timeout(PATIENCE):
            await until_weighed(editor, example.manifest)


async def test_what_is_typed_into_a_uv_toml_counts(example, uv_binary):
    settings = example.root / "uv.toml"
    settings.write_text('link-mode = "hardlink"\n')
    async with editing(example.environ, example.root, settings={"uvPath": str(uv_binary("newest"))}) as editor:
        editor.open(example.manifest)
        await editor.sees(example.manifest)
        editor.open(settings)
        editor.write(settings, 'link-mode = "symlink"\n')
        assert "**`link-mode`: `symlink`**" in await told(editor, settings, "link-mode")


async def test_after_a_remedy_it_is_the_file_that_has_set_the_mode(project, other_filesystem, uv_binary):
    example = project("idna", cache=other_filesystem / "cache", more='\n[tool.uv]\nlink-mode = "hardlink"\n')
    async with editing(example.environ, example.root, settings={"uvPath": str(uv_binary("newest"))}) as editor:
        editor.open(example.manifest)
        editor.save(example.manifest)
        (degraded,) = await editor.sees(example.manifest, "link-degraded")
        fixes = await editor.quick_fixes(example.manifest, degraded)
        (fix,) = [it for it in fixes if it.title.startswith('Set `link-mode = "copy"` in pyproject.toml')]
        origin = {"kind": "project", "path": str(example.manifest), "key": "tool.uv.link-mode", "line": 10}
        answer = await editor.accept(fix)
        assert answer["settings"]["link_mode"] == {"value": "copy", "origin": origin, "ignored": []}
        said = await told(editor, example.manifest, "link-mode")
        assert f"**`link-mode`: `copy`**, set in `{example.manifest}:10`" in said
        assert "without an effect" not in said


async def test_a_uv_toml_and_a_file_of_no_project(example, uv_binary, tmp_path):
    settings = example.root / "uv.toml"
    settings.write_text('cache-dir = "cache"\n')
    stray = tmp_path / "stray" / "uv.toml"
    stray.parent.mkdir()
    stray.write_text('link-mode = "copy"\n')
    async with editing(example.environ, example.root, settings={"uvPath": str(uv_binary("newest"))}) as editor:
        editor.open(settings)
        assert "uv.toml:1`: `UV_CACHE_DIR` comes first" in await told(editor, settings, "cache-dir")
        editor.open(stray)
        assert await hover(editor, stray, "link-mode") is None


async def test_an_untrusted_workspace_is_read_and_no_more(example, uv_binary):
    settings = {"uvPath": str(uv_binary("newest"))}
    async with editing(example.environ, example.root, settings=settings, trusted=False) as editor:
        editor.open(example.manifest)
        await editor.sees(example.manifest)
        assert "**`link-mode`: `hardlink`**" in await told(editor, example.manifest, "link-mode")
