"""Known before it fails: what `check`, and the opening of a file, say of an install that nobody has tried yet."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from kit.cloud import FALLS_BACK, STOPS
from kit.editor import editing
from kit.projects import UvProject

from uv_link_doctor import doctor
from uv_link_doctor.engine.model import Cause, Code, Examination, LinkMode, Severity
from uv_link_doctor.host import local_host
from uv_link_doctor.options import Options


@pytest.fixture
def uv(uv_binary) -> Path:
    return uv_binary("newest")


def doctored(example: UvProject, *arguments: str) -> dict[str, Any]:
    """What the command line says of a project, as JSON."""
    command = [sys.executable, "-m", "uv_link_doctor", *arguments, "--json"]
    said = subprocess.run(command, cwd=example.root, env=example.environ, capture_output=True, text=True, check=False)
    return json.loads(said.stdout)


def linked(example: UvProject) -> set[int]:
    """How many names each file of certifi's modules has in an environment."""
    return {path.stat().st_nlink for path in example.environment.glob("lib/*/site-packages/certifi/*.p*")}


def test_a_cache_that_cannot_be_written_is_told_as_that_and_not_as_spoiled(project, uv, bind_mount):
    example = project("httpx")
    example.environ["PATH"] = f"{uv.parent}:{example.environ['PATH']}"
    assert example.run(uv, "sync").returncode == 0
    example.run("rm", "-rf", example.environment)
    cache = Path(example.environ["UV_CACHE_DIR"])
    bind_mount(cache, at=cache, read_only=True)
    for more in ([], ["--passive"]):
        (finding,) = doctored(example, "check", *more)["findings"]
        assert (finding["code"], finding["cause"], finding["severity"]) == ("link-predicted", "read-only", "warning")
    assert example.run(uv, "sync").returncode == 2, "what was foretold"
    assert doctored(example, "cache", "scan")["findings"] == []


# --- in a synced folder ---------------------------------------------------------------------


@pytest.fixture
def synced(cloud_folder, project) -> tuple[UvProject, UvProject]:
    """The first project in a folder that is known as OneDrive's by a variable, and one outside, not installed."""
    folder = cloud_folder(STOPS)
    first = project("httpx", root=folder.synced / "first", cache=folder.cache)
    outside = project("httpx", root=folder.outside / "second", cache=folder.cache)
    first.environ["OneDriveCommercial"] = outside.environ["OneDriveCommercial"] = str(folder.synced)
    return first, outside


async def test_the_first_project_in_a_synced_folder_warns_and_its_remedy_saves_the_others(synced, uv):
    first, outside = synced
    async with editing(first.environ, first.root, settings={"uvPath": str(uv)}) as editor:
        editor.open(first.manifest)
        (diagnostic,) = await editor.sees(first.manifest, "link-predicted")
        assert diagnostic.severity == 2
        assert "a folder that OneDrive syncs" in diagnostic.message
        assert diagnostic.code_description is not None
        assert diagnostic.code_description.href.endswith("/cloud-sync.md")
        assert editor.under(first.manifest, diagnostic.range) == "[project]"
        assert not first.environment.exists()

        (preferred,) = [it for it in await editor.quick_fixes(first.manifest, diagnostic) if it.is_preferred]
        answer = await editor.accept(preferred)
        assert (answer["outcome"], answer["findings"]) == ("healthy", [])
        assert answer["environment"] == {"verified": True, "broken": []}
        await editor.sees(first.manifest)
    assert first.missing_files() == {}
    assert linked(first) == {1}

    # A project outside goes on as if nothing had been: with hard links, in which nothing is refused.
    assert outside.run(uv, "sync", "--link-mode", "hardlink").returncode == 0
    assert outside.missing_files() == {}
    assert linked(outside) == {2}


async def test_a_save_that_installs_there_keeps_the_warning(synced, uv):
    first, _ = synced
    async with editing(first.environ, first.root, settings={"uvPath": str(uv)}) as editor:
        editor.open(first.manifest)
        editor.save(first.manifest)
        await editor.until(lambda: editor.finished > 0, "the end of a run")
        await editor.sees(first.manifest, "link-predicted")


def test_the_harm_is_real(synced, uv):
    """Without the remedy the next project outside fails: that is what is being warned of."""
    first, outside = synced
    assert first.run(uv, "sync", "--link-mode", "hardlink").returncode == 0
    assert outside.run(uv, "sync", "--link-mode", "hardlink").returncode == 2


def test_a_spoiled_cache_is_told_before_the_next_install_fails(synced, uv):
    """Which packages, which file, and in which environment of the synced folder it has its other name."""
    first, outside = synced
    outside.environ["UV_LINK_MODE"] = "hardlink"
    outside.environ["PATH"] = f"{uv.parent}:{outside.environ['PATH']}"
    assert first.run(uv, "sync", "--link-mode", "hardlink").returncode == 0
    assert outside.run(uv, "lock").returncode == 0
    (finding,) = doctored(outside, "check")["findings"]
    assert (finding["code"], finding["severity"], finding["cause"]) == ("cache-tainted", "warning", "cloud-sync")
    assert (finding["package"], finding["os_error"], finding["required_by"]) == ("certifi", 396, ["httpx"])
    assert finding["source"].endswith("/certifi/core.py")
    (fact,) = finding["evidence"]
    assert fact.startswith("a trial link to `certifi/core.py` of `certifi` failed (os error 396); ")
    assert fact.endswith(f"the same file is in `{first.environment}`")
    before = sorted(Path(outside.environ["UV_CACHE_DIR"]).iterdir())
    assert doctored(outside, "check", "--passive")["findings"] == []
    assert sorted(Path(outside.environ["UV_CACHE_DIR"]).iterdir()) == before

    # Whoever copies is not concerned.
    outside.environ["UV_LINK_MODE"] = "copy"
    assert doctored(outside, "check")["findings"] == []


def test_every_file_of_a_spoiled_wheel(cloud_folder, project, uv):
    """Where the client got to all files, the first of each wheel tells."""
    folder = cloud_folder(FALLS_BACK)
    first = project("httpx", root=folder.synced / "first", cache=folder.cache)
    outside = project("httpx", root=folder.outside / "second", cache=folder.cache)
    outside.environ["PATH"] = f"{uv.parent}:{outside.environ['PATH']}"
    assert first.run(uv, "sync", "--link-mode", "hardlink").returncode == 0
    assert outside.run(uv, "lock").returncode == 0
    (finding,) = doctored(outside, "check")["findings"]
    assert (finding["code"], finding["package"]) == ("cache-tainted", None)
    assert "`certifi` 2026.10.18" in finding["message"]
    assert "`httpx`" in finding["message"]


# --- between file systems -------------------------------------------------------------------


async def checked(example: UvProject, uv: Path, *, passive: bool) -> Examination:
    host = local_host()
    host = type(host)(environ=example.environ, read_text=host.read_text, edit=host.edit, run=host.run, state=host.state)
    return await doctor.check(example.root, host, Options(uv_path=str(uv)), passive=passive)


@pytest.mark.parametrize("passive", [True, False], ids=["passively", "by trial"])
async def test_two_file_systems(project, other_filesystem, uv, passive):
    example = project("idna", "httpx", cache=other_filesystem / "cache")
    assert example.run(uv, "lock").returncode == 0
    examination = await checked(example, uv, passive=passive)
    (finding,) = examination.findings
    assert (finding.code, finding.severity) == (Code.LINK_PREDICTED, Severity.WARNING)
    assert (finding.cause, finding.os_error) == (Cause.CROSS_DEVICE, 18)
    assert finding.message.startswith("uv cannot link or move a file from one file system to another (os error 18): ")
    tried = [fact for fact in finding.evidence if "could be linked" in fact]
    assert bool(tried) is not passive
    # What is told is what then happens.
    said = example.run(uv, "sync")
    assert "Failed to hardlink files; falling back to full copy" in said.stderr
    for home in tried:
        directory = home.split("`")[1]
        assert example.run("rm", "-rf", example.environment).returncode == 0
        again = example.run(uv, "sync", "--cache-dir", directory)
        assert (again.returncode, "falling back" in again.stderr) == (0, False)


async def test_what_copying_costs_is_told_from_lockfile_and_cache(project, other_filesystem, uv):
    example = project("idna", "httpx", cache=other_filesystem / "cache")
    assert example.run(uv, "sync").returncode == 0
    (finding,) = (await checked(example, uv, passive=False)).findings
    (cost,) = [fact for fact in finding.evidence if fact.startswith("copying writes")]
    records = example.environment.glob("lib/*/site-packages/*.dist-info/RECORD")
    ours = {"INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json"}
    rows = [
        row for record in records for row in record.read_text().splitlines() if Path(row.split(",")[0]).name not in ours
    ]
    assert f"copying writes {len(rows)} files" in cost


@pytest.mark.parametrize("mode", LinkMode)
@pytest.mark.parametrize("passive", [True, False], ids=["passively", "by trial"])
async def test_where_linking_works_nothing_is_said(project, uv, mode, passive):
    example = project("idna", "httpx")
    assert example.run(uv, "sync").returncode == 0
    example.environ["UV_LINK_MODE"] = mode.value
    assert (await checked(example, uv, passive=passive)).findings == ()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root mounts")
async def test_a_place_that_takes_no_file_will_fail(project, bind_mount, uv):
    example = project("idna")
    assert example.run(uv, "sync").returncode == 0
    bind_mount(example.root, at=example.root, read_only=True)
    (finding,) = (await checked(example, uv, passive=True)).findings
    assert (finding.cause, finding.os_error, finding.remedies) == (Cause.READ_ONLY, 30, ())
    assert "the next install will fail" in finding.message
    example.environ["UV_LINK_MODE"] = "copy"
    assert example.run(uv, "sync", "--reinstall").returncode == 2


# --- what changes more than the project -----------------------------------------------------


@pytest.mark.parametrize("answer", ["Go ahead", "Not now"])
async def test_the_cache_is_changed_only_after_a_word(answer, synced, uv):
    first, outside = synced
    outside.environ["UV_LINK_MODE"] = "hardlink"
    assert first.run(uv, "sync", "--link-mode", "hardlink").returncode == 0
    async with editing(outside.environ, outside.root, settings={"uvPath": str(uv)}) as editor:
        editor.answers = lambda _: answer
        editor.open(outside.manifest)
        editor.save(outside.manifest)
        (diagnostic,) = await editor.sees(outside.manifest, "link-failed")
        (preferred,) = [it for it in await editor.quick_fixes(outside.manifest, diagnostic) if it.is_preferred]
        assert preferred.title == "Give `certifi` fresh files in uv's cache, so that links work again"
        done = await editor.accept(preferred)
        (question,) = editor.questions
        assert question.message.startswith(
            f"{preferred.title}? What this does: gives `certifi` fresh files in uv's cache; "
        )
        if answer == "Not now":
            assert done["outcome"] == "failed"
            assert outside.missing_files() != {}
        else:
            assert (done["outcome"], done["findings"]) == ("healthy", [])
            assert outside.missing_files() == {}
            assert min(linked(outside)) > 1
