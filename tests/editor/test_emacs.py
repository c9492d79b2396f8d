"""Emacs with Eglot, set up as the README says: shows the diagnostic and carries out the preferred fix."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from kit.need import need
from kit.real_editor import broken_project, in_readme, run_editor

PERSON = Path(__file__).with_name("emacs.el")


@pytest.fixture(scope="session")
def emacs() -> str:
    program = shutil.which("emacs")
    need(program, "emacs is missing")
    command = [str(program), "--batch", "-q", "--eval", "(package-initialize)", "--eval", "(require 'eglot)"]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    need(said.returncode == 0, f"Eglot is missing: {said.stderr.strip()}")
    return str(program)


def test_the_preferred_fix_of_a_failure_makes_the_environment_whole(emacs, uv_binary, cloud_folder, project, tmp_path):
    uv, folder = uv_binary("newest"), tmp_path / "emacs"
    folder.mkdir()
    broken = broken_project(uv, cloud_folder, project)
    init, seen = folder / "init.el", folder / "seen.json"
    init.write_text(in_readme("Emacs with Eglot", after=':onSave "sync"', more=f' :uvPath "{uv}"'), encoding="utf-8")
    given = {"INIT": str(init), "SEEN": str(seen), "MANIFEST": str(broken.manifest)}
    ran = run_editor([emacs, "--batch", "-q", "-l", PERSON], broken, folder, more=given)
    assert seen.exists(), ran.stderr
    assert ran.returncode == 0, ran.stderr
    assert "Warning" not in ran.stderr
    said = json.loads(seen.read_text())
    assert said["under"] == "httpx"
    assert "[link-failed]" in said["text"]
    assert len(said["titles"]) > 1
    assert broken.missing_files() == {}
    assert broken.imports("httpx", "httpx._client", "certifi", "certifi.core", "idna", "typing_extensions")
