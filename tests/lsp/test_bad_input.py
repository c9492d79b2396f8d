"""What is wrong with the input is said in one clear sentence, on its line; the server lives, and nothing is lost."""

import codecs

import pytest
from kit.editor import editing
from kit.fake_uv import Answer
from lsprotocol import types as lsp


async def alive(editor) -> None:
    answer = await editor.execute("uvLinkDoctor.explain", "")
    assert answer["outcome"] == "not-a-link-failure"
    assert not any("Error in server" in message.message for message in editor.messages)


BAD_MANIFESTS = {
    "not TOML": ('[project]\nname = "x"\ndependencies = [\n  "a"\n  "b"\n]\n', "is not valid TOML", (4, 2), 1),
    "bad requirement": (
        '[project]\nname = "x"\ndependencies = ["é😀", "httpx >>1"]\n',
        "is not a valid requirement",
        (2, 17),
        1,
    ),
    "no project table": ("[tool.ruff]\n", "has no `[project]` table", (0, 0), 4),
}


@pytest.mark.parametrize("name", BAD_MANIFESTS)
async def test_a_manifest_that_cannot_be_installed_from(name, fake_uv, project):
    text, words, (line, character), severity = BAD_MANIFESTS[name]
    fake, example = fake_uv(), project("a")
    good = example.manifest.read_text()
    async with editing(example.environ, example.root, settings={"uvPath": str(fake.path)}) as editor:
        editor.open(example.manifest)
        editor.write(example.manifest, text)
        await alive(editor)
        assert not any(editor.diagnostics.values()), "nothing is said while typing"
        editor.save(example.manifest)
        (diagnostic,) = await editor.sees(example.manifest, "sync-failed")
        assert words in diagnostic.message
        assert (diagnostic.severity, diagnostic.range.start.line) == (severity, line)
        if name != "bad requirement":
            assert diagnostic.range.start.character == character
        assert fake.invocations("sync") == []
        editor.write(example.manifest, good)
        editor.save(example.manifest)
        await editor.sees(example.manifest)
        await alive(editor)


@pytest.mark.parametrize(("name", "code"), [("uv.toml", "setting-invalid"), ("uv.lock", "sync-failed")])
async def test_a_file_beside_the_manifest_that_does_not_parse(name, code, fake_uv, project):
    fake, example = fake_uv(Answer(when=["--dry-run"], steps=[("stdout", "{}")])), project("a")
    other = example.root / name
    other.write_text("")
    async with editing(example.environ, example.root, settings={"uvPath": str(fake.path)}) as editor:
        editor.open(other)
        editor.write(other, "# é\n= 1\n")
        editor.save(other)
        (diagnostic,) = await editor.sees(other, code)
        assert f"`{name}" in diagnostic.message
        assert "is not valid TOML" in diagnostic.message
        assert (diagnostic.severity, diagnostic.range.start) == (1, lsp.Position(1, 0))
        assert fake.invocations("sync") == []
        editor.write(other, "version = 1\n" if name == "uv.lock" else "")
        editor.save(other)
        await editor.until(lambda: editor.finished == 1, "the run")
        await editor.sees(other)


@pytest.mark.parametrize(
    ("setting", "words"),
    [("/no/such/uv", "names no executable"), ("old", "uv 0.3.5 is too old"), ("mute", "does not answer")],
)
async def test_a_uv_that_cannot_be_used(setting, words, fake_uv, project, tmp_path):
    example = project("a")
    path = setting
    if setting == "old":
        path = str(fake_uv(version="0.3.5").path)
    elif setting == "mute":
        path = str(tmp_path / "mute")
        (tmp_path / "mute").write_text("#!/bin/sh\nexit 3\n")
        (tmp_path / "mute").chmod(0o755)
    async with editing(example.environ, example.root, settings={"uvPath": path}) as editor:
        editor.open(example.manifest)
        editor.save(example.manifest)
        await editor.until(
            lambda: any(words in it.message for it in editor.diagnostics.get(example.manifest, ())), "the finding"
        )
        (diagnostic,) = await editor.sees(example.manifest, "uv-missing")
        assert editor.under(example.manifest, diagnostic.range) == "[project]"
        await alive(editor)


async def test_no_uv_at_all(project, tmp_path):
    example = project("a")
    example.environ["PATH"] = str(tmp_path / "empty")
    async with editing(example.environ, example.root) as editor:
        editor.open(example.manifest)
        (diagnostic,) = await editor.sees(example.manifest, "uv-missing")
        assert diagnostic.severity == 1


async def test_a_killed_uv(fake_uv, project):
    fake, example = fake_uv(Answer(when=["--dry-run"], steps=[("stdout", "{}")])), project("a")
    fake.path.write_text('#!/bin/sh\ncase "$*" in *--version*) echo "uv 0.13.9";; *) kill -9 $$;; esac\n')
    async with editing(example.environ, example.root, settings={"uvPath": str(fake.path)}) as editor:
        editor.open(example.manifest)
        editor.save(example.manifest)
        (diagnostic,) = await editor.sees(example.manifest, "sync-failed")
        assert "uv was ended by SIGKILL before it had finished" in diagnostic.message
        await alive(editor)


async def test_uvs_own_failure_stands_where_uv_says(uv_binary, project):
    example = project("httpx", "no-such-package")
    async with editing(example.environ, example.root, settings={"uvPath": str(uv_binary("newest"))}) as editor:
        editor.open(example.manifest)
        editor.save(example.manifest)
        (diagnostic,) = await editor.sees(example.manifest, "sync-failed")
        assert "No solution found" in diagnostic.message
        assert editor.under(example.manifest, diagnostic.range) == "no-such-package"


async def test_a_lock_of_another_version(uv_binary, project):
    example = project("httpx")
    (example.root / "uv.lock").write_text("version = 99\nrequires-python = '>=3.11'\n")
    async with editing(example.environ, example.root, settings={"uvPath": str(uv_binary("newest"))}) as editor:
        editor.open(example.manifest)
        editor.save(example.manifest)
        (diagnostic,) = await editor.sees(example.root / "uv.lock", "sync-failed")
        assert "unsupported schema version" in diagnostic.message
        await alive(editor)


async def test_a_deleted_workspace(fake_uv, project):
    fake, example = fake_uv(), project("a")
    async with editing(example.environ, example.root, settings={"uvPath": str(fake.path)}) as editor:
        editor.open(example.manifest)
        example.run("rm", "-rf", example.root)
        buffer = editor.buffers.pop(example.manifest.as_uri())
        editor.save(example.manifest)
        (diagnostic,) = await editor.sees(example.manifest, "sync-failed")
        assert "no such file or directory" in diagnostic.message.lower()
        assert buffer.source
        await alive(editor)


NAMES = ["with space", 'quo"te', "it's", "has#hash", "naïve-日本語-😀", "per%20cent", "pa[ren](s)"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
async def test_odd_paths_line_ends_and_a_byte_order_mark(name, line_end, uv_binary, project, tmp_path):
    example = project("idna", "no-such-package", root=tmp_path / name)
    text = '# é😀\n[project]\nname = "example"\nversion = "0"\ndependencies = ["é" , "idna"]\n'.replace('"é" , ', "")
    raw = text.replace("\n", line_end).encode()
    example.manifest.write_bytes((codecs.BOM_UTF8 if line_end == "\r\n" else b"") + raw)
    info = example.environment / "lib/python3.11/site-packages/idna-3.11.dist-info"
    info.mkdir(parents=True)
    async with editing(example.environ, example.root, settings={"uvPath": str(uv_binary("newest"))}) as editor:
        editor.open(example.manifest)
        (diagnostic,) = await editor.sees(example.manifest, "environment-broken")
        assert editor.under(example.manifest, diagnostic.range) == "idna"
        await alive(editor)


async def test_an_unreadable_manifest(fake_uv, project):
    example = project("a")
    async with editing(example.environ, example.root, settings={"uvPath": str(fake_uv().path)}) as editor:
        example.manifest.chmod(0)
        editor.save(example.manifest)
        (diagnostic,) = await editor.sees(example.manifest, "sync-failed")
        assert "cannot be read" in diagnostic.message
        await alive(editor)


async def test_an_unreadable_cache(uv_binary, project):
    """A file of the cache that nobody may read is linked as it is; a cache that nobody may enter stops uv."""
    uv, example = uv_binary("newest"), project("idna")
    cache = example.environ["UV_CACHE_DIR"]
    assert example.run(uv, "sync").returncode == 0
    example.run("rm", "-rf", example.environment)
    async with editing(example.environ, example.root, settings={"uvPath": str(uv)}) as editor:
        editor.open(example.manifest)
        example.run("chmod", "0", cache)
        try:
            editor.save(example.manifest)
            (diagnostic,) = await editor.sees(example.manifest, "sync-failed")
            assert "(os error 13)" in diagnostic.message
            await alive(editor)
        finally:
            example.run("chmod", "755", cache)
        editor.save(example.manifest)
        await editor.sees(example.manifest)
        assert example.missing_files() == {}


async def test_an_unreadable_file_of_the_cache_when_copying(uv_binary, project):
    uv, example = uv_binary("newest"), project("idna")
    assert example.run(uv, "sync").returncode == 0
    example.run("rm", "-rf", example.environment)
    example.run("find", example.environ["UV_CACHE_DIR"], "-path", "*/idna/core.py", "-exec", "chmod", "0", "{}", ";")
    settings = {"uvPath": str(uv), "syncArgs": ["--link-mode", "copy"]}
    async with editing(example.environ, example.root, settings=settings) as editor:
        editor.open(example.manifest)
        editor.save(example.manifest)
        (diagnostic,) = await editor.sees(example.manifest, "link-failed")
        assert "(os error 13)" in diagnostic.message
        assert editor.under(example.manifest, diagnostic.range) == "idna"
        # Copying is what failed, so copying is not offered.
        assert [it.title for it in await editor.quick_fixes(example.manifest, diagnostic)] == []


async def test_a_manifest_that_is_not_utf8(fake_uv, project):
    example = project("a")
    async with editing(example.environ, example.root, settings={"uvPath": str(fake_uv().path)}) as editor:
        example.manifest.write_bytes(b'[project]\nname = "caf\xe9"\n')
        editor.save(example.manifest)
        (diagnostic,) = await editor.sees(example.manifest, "sync-failed")
        assert "is not UTF-8 text" in diagnostic.message
        await alive(editor)
