"""A remedy that is killed (SIGKILL) at any of its steps has lost nothing; it can be taken back, or called again."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import pytest
from kit.cloud import STOPS, CloudFolder, MountCloud
from kit.projects import UvProject, clean_environ, write_project
from kit.uv_versions import uv_binary

from uv_link_doctor import doctor, journal, repair
from uv_link_doctor.engine.model import DoctorError, Examination, RemedyKind, Verdict
from uv_link_doctor.engine.remedies import actions
from uv_link_doctor.host import Host, local_host
from uv_link_doctor.options import Options

CHILD = """
import os, signal, sys

last, folder, watched = int(sys.argv[1]), sys.argv[2], sys.argv[3].split()
steps = 0

def watch(event, arguments):
    global steps
    if event == "ctypes.dlsym":
        counts = arguments[1] == "renameat2"
    elif event == "os.symlink":
        counts = ".venv-uv-link-doctor-" in str(arguments[1])  # Else it is a trial, or part of a copy.
    elif event == "os.rename":
        counts = folder in repr(arguments) and "/.uv-link-doctor-" not in str(arguments[1])  # A measurement's copies.
    elif event == "os.remove":
        counts = "pyvenv.cfg" in str(arguments[0])
    else:
        counts = folder in repr(arguments)
    if counts and event in watched and "--version" not in repr(arguments):
        steps += 1
        if steps == last:
            print(event, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(watch)
from uv_link_doctor.cli import main
sys.exit(main(["fix", "--yes", "--apply", *sys.argv[4:]]))
"""
"""A `fix` that is killed when it is about to take its step of this number, so that all before has been done."""


@dataclass
class Patient:
    """A project, what makes it ill, and the doctor as it is called there."""

    kind: RemedyKind
    project: UvProject
    spoil: Callable[[], object]
    """Makes the next install, into no environment, such that the remedy is offered; may be called again."""
    settings: Path | None = None
    """The file that the remedy writes to."""
    steps: str = "os.symlink ctypes.dlsym os.rename os.remove shutil.rmtree subprocess.Popen"
    """At which it can be killed: Python's audit events."""
    folder: Path | None = None
    """Where they count; None: wherever the test writes."""

    @property
    def host(self) -> Host:
        directory = Path(self.project.environ["XDG_STATE_HOME"]) / "uv-link-doctor"
        return replace(local_host(), environ=self.project.environ, state=directory)

    @property
    def text(self) -> str | None:
        return self.settings.read_text() if self.settings else None

    async def fall_ill(self) -> None:
        self.project.run("rm", "-rf", self.project.environment)
        self.spoil()
        await doctor.examine(self.project.manifest, self.host, Options())

    def killed_at(self, step: int) -> str | None:
        """What it was about to do, nothing where somebody else killed it; None where it came to its end."""
        folder = self.folder or Path(self.project.environ["HOME"]).parent
        command = [sys.executable, "-c", CHILD, str(step), str(folder), self.steps, self.kind]
        environ = self.project.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
        child = subprocess.run(
            command, cwd=self.project.root, env=environ, capture_output=True, encoding="utf-8", check=False
        )
        assert child.returncode in {-9, 0}, child.stdout + child.stderr
        return child.stdout.strip() if child.returncode else None

    async def again(self) -> Examination:
        """A second call; a run where nothing is left to repair."""
        found = await doctor.check(self.project.manifest, self.host, Options())
        offered = {it.kind: it for finding in found.findings for it in actions(finding.remedies)}
        if self.kind in offered:
            return await repair.apply(found, offered[self.kind], self.host, Options())
        return await doctor.examine(self.project.manifest, self.host, Options())

    async def undo(self) -> None:
        """As often as there is something to undo."""
        with suppress(DoctorError):
            while True:
                await journal.undo(self.project.manifest, self.host)

    def installs(self) -> None:
        """The user's own uv goes on as it can with what is wrong there."""
        way = "--no-cache" if self.kind is RemedyKind.CLEAN_PACKAGE else "--link-mode=copy"
        run = self.project.run("uv", "sync", "--reinstall", way)
        assert run.returncode == 0, run.stderr
        assert self.project.missing_files() == {}
        assert self.project.imports("httpx", "certifi.core")

    def kept(self) -> list[Path]:
        """The user's file in the environment that was there before, as long as that is whole."""
        return [it for it in self.project.root.glob(".venv*/mine") if it.with_name("pyvenv.cfg").exists()]

    def environments(self) -> list[Path]:
        """All that there are of the project, by whatever name."""
        return [*self.project.root.glob(".venv*"), *self.host.state.glob("environments/*")]


@pytest.fixture
def project(tmp_path: Path, index: Path) -> Callable[..., UvProject]:
    """`project(root, NAME=value)`: a project of a user whose uv is on PATH."""

    def make(root: Path, **variables: str | Path) -> UvProject:
        environ = clean_environ(tmp_path / "home", cache=tmp_path / "cache", index=index)
        environ |= {name: str(value) for name, value in variables.items()}
        environ["PATH"] = f"{uv_binary('newest').parent}:{environ['PATH']}"
        return write_project(root, "httpx", environ=environ)

    return make


async def killed_at_each_step(it: Patient, look: Callable[[], None] = lambda: None) -> list[str]:
    """Kills at one step after the other, and each time takes back what was done, or goes on with it after an install.

    `look` is called on what a kill has left. The steps are told.
    """
    steps = []
    for step in count(1):
        await it.fall_ill()
        before = it.text
        did = it.killed_at(step)
        look()
        kept = it.kept()
        await it.undo()
        assert it.text == before
        assert not it.settings or list(it.settings.parent.glob(".*uv-link-doctor-*")) == []
        if did is None:
            break
        assert [path.parent.name for path in it.kept()] == ([".venv"] if kept else [])
        it.installs()

        await it.fall_ill()
        assert it.killed_at(step) == did
        if it.kind not in {RemedyKind.CLEAN_PACKAGE, RemedyKind.RETRY_COPY}:  # Nothing would be left to do.
            it.installs()
        after = await it.again()
        assert (after.verdict, after.findings) == (Verdict.HEALTHY, ()), f"killed at step {step}: {did}"
        assert it.project.missing_files() == {}
        assert it.project.imports("httpx", "certifi.core")
        assert len(it.environments()) == (2 if it.kind is RemedyKind.MOVE_ENVIRONMENT else 1)
        await it.undo()
        assert it.text == before
        assert not it.settings or list(it.settings.parent.glob(".*uv-link-doctor-*")) == []
        steps.append(did)
    return steps


RENAMES, EXCHANGES, RUNS_UV = "os.rename", "ctypes.dlsym", "subprocess.Popen"
"""The state, a setting and a repaired file are written by a rename each."""


# --- settings, and the cache ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "steps"),
    [
        (RemedyKind.SET_LINK_MODE, [*[RENAMES] * 2, RUNS_UV, RENAMES, RUNS_UV]),
        (RemedyKind.SET_LINK_MODE_USER, [*[RENAMES] * 2, RUNS_UV, RENAMES, RUNS_UV]),
        (
            RemedyKind.MOVE_CACHE,
            [*[RENAMES] * 5, RUNS_UV, RENAMES, RUNS_UV],
        ),
    ],
)
async def test_a_cache_on_another_file_system(kind, steps, project, tmp_path, other_filesystem):
    example = project(tmp_path / "project")
    del example.environ["UV_CACHE_DIR"]
    users = Path(example.environ["HOME"]) / ".config" / "uv" / "uv.toml"
    users.parent.mkdir(parents=True)
    cache, home = other_filesystem / "cache", Path(example.environ["HOME"]) / ".cache" / "uv"
    users.write_text(f'# mine\ncache-dir = "{cache}"\n')
    it = Patient(kind, example, lambda: None, example.manifest if kind is RemedyKind.SET_LINK_MODE else users)
    text = it.text
    after = {
        RemedyKind.SET_LINK_MODE: f'{text}\n[tool.uv]\nlink-mode = "copy"\n',
        RemedyKind.SET_LINK_MODE_USER: f'{text}link-mode = "copy"\n',
        RemedyKind.MOVE_CACHE: f'# mine\ncache-dir = "{home}"\n',
    }[kind]

    def look() -> None:
        assert it.text in {text, after}
        assert (cache / "CACHEDIR.TAG").exists()
        assert str(home) not in str(it.text) or (home / "CACHEDIR.TAG").exists()

    assert await killed_at_each_step(it, look) == steps
    assert not home.exists()
    assert list(home.parent.glob(".uv-link-doctor-*")) == []


async def test_a_damaged_entry(project, tmp_path):
    example = project(tmp_path / "project")

    def spoil() -> None:
        example.run("uv", "sync")
        for file in Path(example.environ["UV_CACHE_DIR"]).glob("archive-v*/*/certifi-*.dist-info/METADATA"):
            file.unlink()
        example.run("rm", "-rf", example.environment)

    assert await killed_at_each_step(Patient(RemedyKind.CLEAN_PACKAGE, example, spoil)) == [RUNS_UV, RUNS_UV]


# --- in a synced folder ---------------------------------------------------------------------


async def test_copies_in_a_synced_folder(project, cloud_folder: MountCloud):
    folder = cloud_folder(STOPS)
    variables = {
        "OneDriveCommercial": folder.synced,
        "UV_CACHE_DIR": folder.cache,
        "UV_LINK_MODE": "hardlink",
        "XDG_STATE_HOME": folder.root / "state",
    }
    first = project(folder.synced / "first", **variables)

    def spoil() -> None:
        first.run("uv", "cache", "clean")
        assert first.run("uv", "sync", "--reinstall").returncode == 0

    it = Patient(
        RemedyKind.RETRY_COPY,
        project(folder.synced / "second", **variables),
        spoil,
    )
    assert await killed_at_each_step(it) == [RUNS_UV, RENAMES, RENAMES]


@pytest.fixture
def in_synced_folder(project, tmp_path) -> Callable[..., Patient]:
    """`in_synced_folder(cloud)`: a project whose environment, with a user's file in it, is to move out of there."""

    def make(folder: CloudFolder | None = None) -> Patient:
        synced, cache = (folder.synced, folder.cache) if folder else (tmp_path / "synced", tmp_path / "cache")
        example = project(
            synced / "project",
            OneDriveCommercial=synced,
            UV_CACHE_DIR=cache,
            UV_LINK_MODE="hardlink",
            XDG_STATE_HOME=(folder.root if folder else tmp_path) / "state",
        )

        def spoil() -> None:
            assert example.run("uv", "sync", "--link-mode=copy").returncode == 0
            (example.environment / "mine").touch()

        return Patient(RemedyKind.MOVE_ENVIRONMENT, example, spoil)

    return make


@pytest.mark.parametrize("exchanges", [True, False])
async def test_an_environment_in_a_synced_folder(exchanges, in_synced_folder, request):
    """In FUSE names change places in two steps, since it does not know how to in one."""
    it = in_synced_folder(None if exchanges else request.getfixturevalue("cloud_folder")(STOPS))
    if not exchanges:  # The other steps are the same.
        it = replace(it, steps="os.symlink os.rename os.remove", folder=it.project.root)

    def look() -> None:
        assert it.kept() or (it.project.environment.is_symlink() and it.project.imports("httpx", "certifi.core"))

    run = [RENAMES, RUNS_UV, "os.symlink", EXCHANGES, "os.remove", "shutil.rmtree", RUNS_UV]
    expected = run if exchanges else ["os.symlink", RENAMES, RENAMES, "os.remove"]
    assert await killed_at_each_step(it, look) == expected
    assert it.environments() == []


@pytest.mark.parametrize(
    "begun", ["true", 'mkdir -p "$UV_PROJECT_ENVIRONMENT/bin"', 'uv venv "$UV_PROJECT_ENVIRONMENT"']
)
async def test_a_kill_while_uv_makes_the_new_environment(begun, in_synced_folder, tmp_path):
    it = in_synced_folder()
    uv, found = tmp_path / "bin" / "uv", it.project.environ["PATH"]
    uv.parent.mkdir()
    uv.write_text(f'#!/bin/sh\nPATH="{found}"\ncase "$*" in *--version*) exec uv "$@"; esac\n{begun}\nkill -9 $PPID\n')
    uv.chmod(0o755)
    for undo in (True, False):
        await it.fall_ill()
        it.project.environ["PATH"] = f"{uv.parent}:{found}"
        assert it.killed_at(0) == ""
        it.project.environ["PATH"] = found
        assert len(it.kept()) == 1
        if undo:
            await it.undo()
            assert it.environments() == [it.project.environment]
    after = await it.again()
    assert (after.verdict, after.findings) == (Verdict.HEALTHY, ())
    assert it.project.environment.is_symlink()
    assert it.project.missing_files() == {}
    assert it.project.imports("httpx", "certifi.core")
