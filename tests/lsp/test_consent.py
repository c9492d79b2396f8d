"""What a save alone is no reason for: deleting an environment, removing packages, downloading a Python."""

import asyncio
import json

import pytest
from kit.editor import Capabilities, editing
from kit.fake_uv import Answer


def asked(action: str, *removed: str) -> Answer:
    changes = [{"name": name, "version": "1", "action": "uninstalled"} for name in removed]
    return Answer(when=["--dry-run"], steps=[("stdout", json.dumps({"sync": {"action": action, "changes": changes}}))])


def syncs(fake):
    return [it for it in fake.invocations("sync") if "--dry-run" not in it.arguments]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (asked("replace"), "delete the environment"),
        (asked("check", "rich", "mdurl"), "uninstall `mdurl`, `rich`"),
        (
            Answer(
                when=["--dry-run"], steps=[("stderr", "error: No interpreter found for Python 3.99\n")], exit_code=2
            ),
            "download a Python",
        ),
    ],
    ids=["re-create", "remove", "download"],
)
async def test_the_user_is_asked_and_the_answer_counts(answer, words, fake_uv, project):
    fake, example = fake_uv(answer), project("httpx")
    example.environ.pop("UV_PYTHON_DOWNLOADS")
    async with editing(example.environ, example.root, settings={"uvPath": str(fake.path)}) as editor:
        editor.answers = lambda _: "Not now"
        editor.open(example.manifest)
        editor.save(example.manifest)
        await editor.until(lambda: len(editor.questions) == 1, "the question")
        assert words in editor.questions[0].message
        (diagnostic,) = await editor.sees(example.manifest, "sync-failed")
        assert (diagnostic.severity, words in diagnostic.message) == (3, True)
        assert syncs(fake) == []

        # A declined question is not asked again; the finding still offers to go ahead.
        editor.save(example.manifest)
        await editor.heard()
        assert len(editor.questions) == 1
        (fix,) = await editor.quick_fixes(example.manifest, diagnostic)
        await editor.accept(fix)
        await editor.sees(example.manifest)
        (run,) = syncs(fake)
        assert "UV_PYTHON_DOWNLOADS" not in run.environ


async def test_a_client_that_fails_to_ask_has_not_agreed(fake_uv, project):
    def fail(_):
        raise ValueError

    fake, example = fake_uv(asked("replace")), project("httpx")
    async with editing(example.environ, example.root, settings={"uvPath": str(fake.path)}) as editor:
        editor.answers = fail
        editor.open(example.manifest)
        editor.save(example.manifest)
        await editor.until(lambda: len(editor.questions) == 1, "the question")
        await editor.sees(example.manifest, "sync-failed")
        await editor.heard()
        assert (syncs(fake), editor.messages) == ([], [])


async def test_agreement_runs_it(fake_uv, project):
    fake, example = fake_uv(asked("replace")), project("httpx")
    async with editing(example.environ, example.root, settings={"uvPath": str(fake.path)}) as editor:
        editor.answers = lambda _: "Go ahead"
        editor.open(example.manifest)
        editor.save(example.manifest)
        await editor.until(lambda: editor.finished == 1, "the end of the run")
        await editor.sees(example.manifest)
    assert len(syncs(fake)) == 1


async def test_a_client_that_cannot_ask_shows_the_finding(fake_uv, project):
    fake, example = fake_uv(asked("replace")), project("httpx")
    capabilities = Capabilities(message_request=False)
    settings = {"uvPath": str(fake.path)}
    async with editing(example.environ, example.root, settings=settings, capabilities=capabilities) as editor:
        editor.open(example.manifest)
        editor.save(example.manifest)
        (diagnostic,) = await editor.sees(example.manifest, "sync-failed")
        (fix,) = await editor.quick_fixes(example.manifest, diagnostic)
        await editor.accept(fix)
        await editor.sees(example.manifest)
    assert len(syncs(fake)) == 1


@pytest.mark.parametrize("version", ["0.4.18", "0.7.22", "newest"])
async def test_a_real_uv_that_would_recreate_the_environment_is_held_back(version, uv_binary, project):
    uv, example = uv_binary(version), project("idna")
    assert example.run(uv, "sync").returncode == 0
    own = example.site_packages / "notes.txt"
    own.write_text("the user's own")
    text = example.manifest.read_text()
    async with editing(example.environ, example.root, settings={"uvPath": str(uv)}) as editor:
        editor.open(example.manifest)
        # No Python fits, or another one than the environment's.
        editor.write(example.manifest, text.replace(">=3.11", ">=3.99"))
        editor.save(example.manifest)
        await editor.sees(example.manifest, "sync-failed")
        assert own.read_text() == "the user's own"
        editor.write(example.manifest, text)
        editor.save(example.manifest)
        await editor.until(lambda: not editor.diagnostics[example.manifest], "the end of the finding")


async def test_what_the_user_has_added_stays(uv_binary, project):
    uv, example = uv_binary("newest"), project("idna")
    assert example.run(uv, "sync").returncode == 0
    pip = example.run(uv, "pip", "install", "--python", example.environment, "certifi")
    assert pip.returncode == 0, pip.stderr
    async with editing(example.environ, example.root, settings={"uvPath": str(uv)}) as editor:
        editor.open(example.manifest)
        editor.save(example.manifest)
        await editor.until(lambda: editor.finished == 1, "the end of the run")
        assert await asyncio.to_thread(example.imports, "certifi.core")
        assert editor.questions == []
