"""What opening and saving requirements files and scripts does in an editor."""

from kit.editor import editing

SCRIPT = "# /// script\n# dependencies = [\n#   'httpx',\n# ]\n# ///\n"


def with_environment(example):
    (example.environment / "bin").mkdir(parents=True)
    (example.environment / "pyvenv.cfg").write_text("version_info = 3.11.7\n")
    example.manifest.unlink()


def installs(fake):
    return [it.arguments for it in fake.invocations("pip", "install")]


async def test_saving_requirements_installs_only_once_chosen(fake_uv, project):
    fake, example = fake_uv(), project()
    with_environment(example)
    path, other = example.root / "requirements.txt", example.root / "requirements-dev.txt"
    path.write_text("httpx\n")
    other.write_text("idna\n")
    async with editing(example.environ, example.root, settings={"uvPath": str(fake.path)}) as editor:
        editor.open(path)
        editor.save(path)
        answer = await editor.execute("uvLinkDoctor.check", path.as_uri())
        assert (answer["project"]["kind"], answer["project"]["manifest"]) == ("requirements", str(path))
        assert installs(fake) == []
        answer = await editor.execute("uvLinkDoctor.sync", example.root.as_uri())
        assert answer["project"]["manifest"] == str(path)
        expected = ["pip", "install", "--python", str(example.environment), "-r", str(path)]
        assert installs(fake) == [expected]
        editor.write(path, "httpx\nidna\n")
        editor.save(path)
        await editor.until(lambda: editor.finished == 2, "the end of the run")
        assert installs(fake) == [expected] * 2
        editor.open(other)
        editor.save(other)
        await editor.execute("uvLinkDoctor.check", other.as_uri())
        assert installs(fake) == [expected] * 2


async def test_a_script_is_one_as_long_as_it_says_what_it_needs(fake_uv, project):
    fake, example = fake_uv(), project()
    example.manifest.unlink()
    path = example.root / "tool.py"
    path.write_text("import httpx\n")
    async with editing(example.environ, example.root, settings={"uvPath": str(fake.path)}) as editor:
        editor.open(path)
        editor.save(path)
        await editor.heard()
        assert editor.diagnostics == {}
        editor.write(path, SCRIPT.replace("httpx", "httpx>>1"))
        editor.save(path)
        (diagnostic,) = await editor.sees(path, "sync-failed")
        assert editor.under(path, diagnostic.range) == "httpx>>1"
        assert fake.invocations("sync") == []
        editor.write(path, SCRIPT)
        editor.save(path)
        await editor.until(lambda: editor.finished == 1, "the end of the run")
        assert [it.arguments[:3] for it in fake.invocations("sync")][-1] == ["sync", "--script", str(path)]
        assert editor.diagnostics[path] == []
        editor.write(path, SCRIPT.replace("httpx", "httpx>>1"))
        editor.save(path)
        await editor.sees(path, "sync-failed")
        editor.write(path, "import httpx\n")
        editor.save(path)
        await editor.until(lambda: editor.diagnostics[path] == [], "silence")
