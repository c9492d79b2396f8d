"""How a run is judged where uv itself says nothing, and where its environment is looked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from kit.fake_uv import Answer
from kit.projects import UvProject

from uv_link_doctor import doctor
from uv_link_doctor.engine.model import Examination, Verdict
from uv_link_doctor.host import local_host
from uv_link_doctor.options import Options


@pytest.fixture
def sync(tmp_path):
    """`sync(example, uv, sync_args=…)`: what `examine` finds with that uv."""

    async def run(example: UvProject, uv: Path, **settings: object) -> Examination:
        host = replace(local_host(), environ=example.environ, state=tmp_path / "state")
        return await doctor.examine(example.manifest, host, Options(uv_path=str(uv), **settings))  # type: ignore[arg-type]

    return run


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("exit 3", "uv ended with exit code 3 and did not say why"),
        ("kill -9 $$", "uv was ended by SIGKILL before it had finished"),
        ("kill -11 $$", "uv was ended by SIGSEGV before it had finished"),
    ],
)
async def test_a_uv_that_ends_without_a_word(script, message, sync, project, tmp_path):
    uv = tmp_path / "uv"
    uv.write_text(f'#!/bin/sh\ncase "$*" in *--version*) echo uv 0.13.9;; *) {script};; esac\n')
    uv.chmod(0o755)
    examination = await sync(project("httpx"), uv)
    assert examination.verdict is Verdict.NOT_A_LINK_FAILURE
    assert [finding.message for finding in examination.findings] == [message]


async def test_an_empty_variable_of_the_settings_unsets_one(sync, fake_uv, project):
    """uv refuses an empty `UV_LINK_MODE`; here it is no setting at all, neither in force nor ignored."""
    fake, example = fake_uv(), project("httpx")
    example.environ["UV_LINK_MODE"] = "symlink"
    examination = await sync(example, fake.path, environment={"UV_LINK_MODE": "", "UV_OFFLINE": "1"})
    assert examination.project.settings.link_mode.origin.kind == "default"
    assert examination.project.settings.link_mode.ignored == ()
    (run,) = fake.invocations("sync")
    assert "UV_LINK_MODE" not in run.environ
    assert run.environ["UV_OFFLINE"] == "1"


@pytest.mark.parametrize("version", ["0.7.22", "newest"])
async def test_with_active_the_active_environment_is_installed_and_looked_at(version, sync, uv_binary, project):
    example = project("httpx")
    example.environ["VIRTUAL_ENV"] = str(example.root / "active")
    examination = await sync(example, uv_binary(version), sync_args=("--active",))
    assert examination.project.environment == example.root / "active"
    assert examination.verification.verified
    assert not example.environment.exists()


async def test_a_fallback_and_another_failure_are_two_findings(sync, fake_uv, project):
    said = (
        "warning: Failed to hardlink files; falling back to full copy. This may lead to degraded performance.\n"
        "error: Failed to build `httpx==1`\n  Caused by: The build backend returned an error\n"
    )
    fake = fake_uv(Answer(steps=[("stderr", said)], exit_code=2))
    examination = await sync(project("httpx"), fake.path)
    assert [finding.code.value for finding in examination.findings] == ["sync-failed", "link-degraded"]
