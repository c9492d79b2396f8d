"""`cache scan`, `repair` and `move` as a person and a script meet them, with real uv and caches that are really ill."""

import asyncio
import json
import os
import pty
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from errno import EIO, ENOSPC, EROFS
from pathlib import Path
from typing import Any

import pytest
from kit.cloud import FALLS_BACK, STOPS, CloudFolder
from kit.fake_uv import Answer
from kit.projects import UvProject

from uv_link_doctor.cache_commands import answers, repair
from uv_link_doctor.engine.model import DoctorError
from uv_link_doctor.host import cache_repair
from uv_link_doctor.host.cache_lock import cache_lock
from uv_link_doctor.host.cache_repair import Obstacle, Repaired
from uv_link_doctor.host.cache_scan import Scan, Trouble, Troubled

COMMAND = [sys.executable, "-m", "uv_link_doctor", "cache"]
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the mounts are Linux's")


@dataclass(frozen=True)
class Doctor:
    """`cache …` as it is called in one project; uv is on PATH."""

    example: UvProject
    uv: Path

    @property
    def cache(self) -> Path:
        return Path(self.example.environ["UV_CACHE_DIR"])

    def __call__(
        self, *arguments: str | Path, cwd: Path | None = None, **more: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *map(str, arguments)],
            cwd=cwd or self.example.root,
            env=self.example.environ | more,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=60,
        )

    def sync(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.example.run(self.uv, "sync", *arguments)

    def without(self, variable: str) -> "Doctor":
        kept = {name: value for name, value in self.example.environ.items() if name != variable}
        return replace(self, example=replace(self.example, environ=kept))


@pytest.fixture
def make(uv_binary, project):
    def made(**more: Path) -> Doctor:
        uv = uv_binary("newest")
        example = project("idna", "httpx", **more)
        example.environ["PATH"] = f"{uv.parent}:{example.environ['PATH']}"
        return Doctor(example, uv)

    return made


@pytest.fixture
def run(make) -> Doctor:
    """In a project that is installed, with a sound cache that a variable names."""
    doctor = make()
    assert doctor.sync().returncode == 0
    return doctor


@pytest.fixture
def by_default(run) -> Doctor:
    """The same, but the cache is where uv has it unless told otherwise."""
    home = Path(run.example.environ["XDG_CACHE_HOME"]) / "uv"
    run.cache.rename(home)
    return run.without("UV_CACHE_DIR")


@pytest.fixture(params=[STOPS, FALLS_BACK])
def spoiled(request, make, cloud_folder) -> tuple[Doctor, Doctor]:
    """A project in a synced folder that has tied the cache to it, and one outside that suffers from it."""
    folder: CloudFolder = cloud_folder(request.param)
    inside, outside = (make(root=it, cache=folder.cache) for it in (folder.synced / "one", folder.outside / "two"))
    for doctor in (inside, outside):
        doctor.example.environ["UV_LINK_MODE"] = "hardlink"
    assert inside.sync().returncode == 0
    return inside, outside


def files(folder: Path) -> dict[str, tuple[int, int]]:
    return {str(it.relative_to(folder)): (it.lstat().st_ino, it.lstat().st_mtime_ns) for it in folder.rglob("*")}


def default_home(doctor: Doctor) -> Path:
    return Path(doctor.example.environ["XDG_CACHE_HOME"]) / "uv"


def users_file(doctor: Doctor) -> Path:
    return Path(doctor.example.environ["XDG_CONFIG_HOME"]) / "uv" / "uv.toml"


def uv_says(doctor: Doctor) -> Path:
    return Path(doctor.example.run(doctor.uv, "cache", "dir").stdout.strip())


def damage(doctor: Doctor) -> Path:
    """Cuts a file of certifi off, in its entry alone."""
    (file,) = doctor.cache.glob("archive-v0/*/certifi/core.py")
    file.unlink()
    file.write_text("")
    return file


# --- scan ---------------------------------------------------------------------------------


def test_a_sound_cache_is_left_as_it_is(run):
    before = files(run.cache)
    for more in ([], ["--complete"], ["--hashes"]):
        said = run("scan", "--json", *more)
        document = json.loads(said.stdout)
        assert (said.returncode, document["outcome"], document["findings"]) == (0, "healthy", [])
        assert {document[key] for key in ("project", "settings", "places", "run", "environment")} == {None}
        assert document["uv"]["found_by"] == "PATH"
        cache = document["cache"]
        assert ("`--complete` looks at every file" in run("scan", *more).stdout) is (not more)
        assert (cache["path"], cache["entries"], cache["linked"], cache["finished"]) == (str(run.cache), 3, 3, True)
    assert "3 packages linked into environments: nothing wrong was found" in run("scan").stdout
    for action in ("scan", "repair"):
        assert run(action).returncode == 0, "where nothing is wrong, nobody is asked"
    assert files(run.cache) == before | {name: at for name, at in files(run.cache).items() if name == ".lock"}


SETTINGS = {
    "a variable": {},
    "the default": {},
    "the user's file": {"{config}/uv/uv.toml": 'cache-dir = "{cache}"'},
    "the project's file": {"{root}/uv.toml": 'cache-dir = "{cache}"'},
    "the workspace's table": {
        "{root}/pyproject.toml": '[tool.uv]\ncache-dir = "{cache}"\n[tool.uv.workspace]\nmembers = ["member"]',
        "{root}/member/pyproject.toml": '[project]\nname = "member"\nversion = "0"',
    },
    "a file above what is no project": {"{root}/../uv.toml": 'cache-dir = "{cache}"', "{root}/pyproject.toml": ""},
    "a file of no project that does not parse": {"{root}/pyproject.toml": "[project", "{root}/../uv.toml": ""},
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_the_cache_is_the_one_that_uv_uses_here(setting, make):
    doctor = make()
    if setting != "a variable":
        doctor = doctor.without("UV_CACHE_DIR")
    example = doctor.example
    cache = (
        default_home(doctor) if setting == "the default" or "parse" in setting else example.root.parent / "elsewhere"
    )
    words = {"root": example.root, "config": example.environ["XDG_CONFIG_HOME"], "cache": cache}
    for path, text in SETTINGS[setting].items():
        file = Path(path.format(**words))
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.format(**words))
    here = example.root / "member" if (example.root / "member").is_dir() else example.root
    in_use = uv_says(replace(doctor, example=replace(example, root=here)))
    in_use.mkdir(parents=True, exist_ok=True)
    (in_use / "CACHEDIR.TAG").touch()
    said = doctor("scan", "--json", cwd=here)
    assert said.returncode == 0, said.stderr
    assert json.loads(said.stdout)["cache"]["path"] == str(in_use)


def test_a_damaged_package_is_named_with_what_helps(run):
    file = damage(run)
    assert run("scan").returncode == 0, "one file does not speak for a damaged one"
    said = run("scan", "--complete", "--json")
    (finding,) = json.loads(said.stdout)["findings"]
    assert (said.returncode, finding["code"], finding["severity"]) == (1, "cache-tainted", "warning")
    assert (finding["cause"], finding["package"], finding["version"]) == (
        "corrupt-cache-entry",
        "certifi",
        "2026.10.18",
    )
    assert (finding["source"], finding["os_error"]) == (str(file), None)
    assert "`certifi/core.py`" in finding["evidence"][0]
    (remedy,) = finding["remedies"]
    assert (remedy["kind"], remedy["command"]) == ("clean-package", ["uv", "cache", "clean", "certifi"])

    repaired = run("repair", "--yes")
    assert (repaired.returncode, "run: uv cache clean certifi" in repaired.stdout) == (1, True)
    assert run.example.run(*remedy["command"]).returncode == 0
    assert run("scan", "--complete").returncode == 0


def test_a_cache_that_is_named_is_named_in_the_commands_too(run, tmp_path):
    damage(run)
    said = run("scan", "--complete", "--json", "--cache-dir", run.cache, cwd=tmp_path, UV_CACHE_DIR="nowhere")
    (finding,) = json.loads(said.stdout)["findings"]
    assert finding["remedies"][0]["command"] == ["uv", "cache", "clean", "certifi", "--cache-dir", str(run.cache)]


def test_what_cannot_be_looked_at_is_not_passed_over(run):
    (file,) = run.cache.glob("archive-v0/*/certifi-*.dist-info/METADATA")
    file.unlink()
    file.symlink_to(file)
    said = run("scan", "--json")
    assert (said.returncode, json.loads(said.stdout)["cache"]["finished"]) == (2, False)
    assert said.stderr.endswith(
        "error: not everything in the cache could be looked at\nhint: check the permissions of what is in it\n"
    )


async def test_what_was_stopped_is_no_answer():
    stop = asyncio.Event()
    answers.refuse_stopped(stop, "")
    stop.set()
    with pytest.raises(DoctorError, match="stopped before the end"):
        answers.refuse_stopped(stop, "nothing was changed")


@pytest.mark.parametrize(
    ("arguments", "words", "hint"),
    [
        (["frob"], "argument ACTION: invalid choice: 'frob'", "uv-link-doctor cache -h"),
        ([], "the following arguments are required: ACTION", "uv-link-doctor cache -h"),
        (["move"], "the following arguments are required: DESTINATION", "uv-link-doctor cache move -h"),
        (["scan", "--cache-dir", "nowhere"], "there is no cache at `{root}/nowhere`", "`uv cache dir` prints"),
        (["repair", "--yes", "--cache-dir", "."], "`{root}` is no cache of uv", "`uv cache dir` prints"),
        (["scan", "--cache-dir", "pyproject.toml"], "the cache at `{root}/pyproject.toml` cannot be read", "directory"),
        (["move", "new"], "`{root}/new` lies in the project `{root}`", "outside of all projects"),
        (["move", "{cache}/new"], "`{cache}/new` is the cache itself, or lies in it", "name a place outside"),
        (["move", "{cache}"], "`{cache}` is the cache itself, or lies in it", "name a place outside"),
        (["move", "{cache}/.."], "the cache lies in `", "a directory of its own"),
        (["move", "{home}"], "there is something else at `{home}`", "does not exist, or is empty"),
        (["move", "{home}/new"], "nothing was changed: there is no terminal to ask on", "add `--yes`"),
        (["scan", "--", "x"], "only `sync` takes arguments for uv", "leave them out"),
    ],
)
def test_bad_input_is_one_sentence_and_a_hint(arguments, words, hint, run):
    places = {"root": run.example.root, "cache": run.cache, "home": run.example.environ["HOME"]}
    before = files(run.cache)
    said = run(*(it.format(**places) for it in arguments))
    error, hinted = [it for it in said.stderr.splitlines() if not it.startswith(("Looking", "Weighing"))]
    assert (said.returncode, said.stdout) == (2, "")
    assert (error.startswith("error: "), words.format(**places) in error) == (True, True), error
    assert (hinted.startswith("hint: "), hint in hinted) == (True, True), hinted
    assert files(run.cache) == before


def test_without_a_cache_it_says_why(make):
    doctor = make()
    doctor.cache.rmdir()
    fresh = doctor("scan", "--json")
    assert (fresh.returncode, "hint: uv makes it with the first install" in fresh.stderr) == (2, True)
    assert json.loads(fresh.stdout)["outcome"] == "not-run"
    none = doctor("scan", UV_NO_CACHE="1")
    assert (none.returncode, "uv is told to use no cache: `UV_NO_CACHE`" in none.stderr) == (2, True)


def test_every_action_has_help_with_an_example(run):
    for action in ([], ["scan"], ["repair"], ["move"]):
        said = run(*action, "-h")
        assert (said.returncode, "Example: uv-link-doctor cache" in said.stdout) == (0, True)


# --- repair -------------------------------------------------------------------------------


def test_a_spoiled_cache_is_found_and_repaired(spoiled):
    _, outside = spoiled
    said = outside("scan", "--json")
    (finding,) = json.loads(said.stdout)["findings"]
    assert (said.returncode, finding["cause"], finding["os_error"]) == (1, "cloud-sync", 396)
    assert finding["operation"] == "hardlink"
    (remedy,) = finding["remedies"]
    assert (remedy["kind"], remedy["preferred"]) == ("repair-cache", True)
    assert remedy["command"] == ["uv-link-doctor", "cache", "repair"]
    shown = outside("scan").stdout
    assert "certifi/core.py" in shown
    assert "run: uv-link-doctor cache repair" in shown

    before = files(outside.cache)
    dry = outside("repair", "--dry-run")
    assert (dry.returncode, "would change: gives `certifi`" in dry.stdout) == (0, True)
    assert outside("repair", "--dry-run", "--json").returncode == 0
    unasked = outside("repair")
    assert (unasked.returncode, "hint: add `--yes`" in unasked.stderr) == (2, True)
    assert files(outside.cache) == before

    done = outside("repair", "--yes", "--json")
    document = json.loads(done.stdout)
    assert (done.returncode, document["findings"], document["outcome"]) == (0, [], "healthy"), done.stderr
    assert document["cache"]["repaired"]["files"] >= 1
    assert outside("scan", "--hashes").returncode == 0
    assert outside.sync("--offline").returncode == 0
    assert outside.example.missing_files() == {}
    assert (outside.example.site_packages / "certifi/core.py").stat().st_nlink == 2
    assert outside("repair").returncode == 0


@pytest.mark.parametrize("spoiled", [STOPS], indirect=True)
def test_on_a_terminal_it_asks_and_takes_no_for_an_answer(spoiled):
    _, outside = spoiled
    said = None
    for answer, code in (("n\n", 2), ("y\n", 0)):
        ours, theirs = pty.openpty()
        os.write(ours, answer.encode())
        said = subprocess.run(
            [*COMMAND, "repair"],
            cwd=outside.example.root,
            env=outside.example.environ,
            stdin=theirs,
            capture_output=True,
            text=True,
            check=False,
        )
        os.close(ours)
        os.close(theirs)
        assert (said.returncode, "Go ahead? [y/N]" in said.stderr) == (code, True)
        assert "within the cache, which takes their size once more" in said.stderr
    assert said is not None
    assert "Gave 1 file of 1 package a fresh copy of the same content" in said.stdout


@pytest.mark.parametrize("spoiled", [STOPS], indirect=True)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_end_from_outside_leaves_nothing_half_done(number, spoiled):
    _, outside = spoiled
    before = files(outside.cache)
    with (
        cache_lock(outside.cache, exclusive=True, seconds=5),
        subprocess.Popen(
            [*COMMAND, "repair", "--yes"],
            cwd=outside.example.root,
            env=outside.example.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process,
    ):
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("Waiting until another uv releases"):
                break
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=20)
    assert (process.returncode, stdout) == (2, "")
    assert stderr == "error: stopped\nhint: nothing was changed\n"
    assert files(outside.cache) == before


@pytest.mark.parametrize("spoiled", [STOPS], indirect=True)
def test_a_reader_that_has_had_enough_is_no_fault(spoiled):
    _, outside = spoiled
    read, write = os.pipe()
    os.close(read)
    said = subprocess.run(
        [*COMMAND, "repair", "--yes"],
        cwd=outside.example.root,
        env=outside.example.environ,
        stdin=subprocess.DEVNULL,
        stdout=write,
        stderr=write,
        check=False,
    )
    os.close(write)
    assert said.returncode == 2
    assert outside("scan").returncode == 0, "nobody could read of it, but it was done"


def repaired(**more: Any) -> Repaired:
    nothing = Repaired(files=3, size=0, entries=1, damaged=(), left=(), obstacle=None, stopped=False, verifying=0.0)
    return replace(nothing, **more)


@pytest.mark.parametrize(
    ("done", "message", "hint"),
    [
        (repaired(stopped=True), "stopped: 3 files fresh", "goes on where this one ended"),
        (repaired(obstacle=Obstacle(ENOSPC, Path("/c"))), "the repair ended early, at `/c`: No space", "free some"),
        (repaired(obstacle=Obstacle(EROFS, Path("/c"))), "`/c`: Read-only file system (os error 30)", "writable"),
        (repaired(obstacle=Obstacle(EIO, Path("/c"))), "`/c`: Input/output error (os error 5)", "see to that; "),
    ],
)
def test_a_repair_that_did_not_end_says_why(done, message, hint):
    with pytest.raises(DoctorError) as raised:
        repair._refuse_unfinished(done)
    assert message in raised.value.message
    assert hint in raised.value.hint


def test_a_cache_in_use_is_not_touched(run, monkeypatch):
    troubled = Troubled(package="certifi", version="1", path=run.cache, trouble=Trouble.REFUSED, files=("a",))
    monkeypatch.setattr(cache_repair.repair, "__kwdefaults__", {"seconds": 0.0})
    with cache_lock(run.cache, exclusive=True, seconds=5), pytest.raises(DoctorError) as raised:
        repair._fresh_files(run.cache, [troubled], lambda: False)
    assert raised.value.message.startswith("the cache is in use: another program holds uv's lock on `")


def test_what_a_repair_found_damaged_is_not_offered_to_it_again():
    refused = Troubled(package="a", version="1", path=Path("/c/a"), trouble=Trouble.REFUSED, files=("x",), os_error=396)
    found = Scan(entries=1, files=1, linked=(), troubled=(refused,), finished=True)
    damaged = replace(refused, trouble=Trouble.DAMAGED, os_error=None)
    assert repair._with_damaged(found, (damaged,)).troubled == (damaged,)


# --- move ---------------------------------------------------------------------------------


@pytest.fixture(params=["the same file system", "another"])
def destination(request, tmp_path) -> Iterator[Path]:
    same = request.param == "the same file system"
    return (tmp_path if same else request.getfixturevalue("other_filesystem")) / "new" / "uv"


def test_the_cache_is_moved_and_uv_says_so(by_default, destination):
    old = default_home(by_default)
    before = files(old)
    destination.parent.mkdir(exist_ok=True)
    destination.symlink_to(destination)  # By a predecessor who was killed.
    dry = by_default("move", destination, "--dry-run")
    assert (dry.returncode, f"Move uv's cache from `{old}` to `{destination}`" in dry.stdout) == (0, True)
    assert f"writes `cache-dir` to `{users_file(by_default)}`" in dry.stdout
    assert json.loads(by_default("move", destination, "--dry-run", "--json").stdout)["outcome"] == "not-run"
    assert (files(old), destination.is_symlink(), users_file(by_default).exists()) == (before, True, False)

    moved = by_default("move", destination, "--yes", "--json")
    document = json.loads(moved.stdout)
    assert (moved.returncode, document["outcome"]) == (0, "healthy"), moved.stderr
    assert document["cache"]["setting"] == str(users_file(by_default))
    assert uv_says(by_default) == destination
    dry = undo_of(by_default, "--dry-run")
    assert (dry.returncode, f"s uv's cache in `{destination}`" in dry.stdout) == (0, True)
    assert uv_says(by_default) == destination
    by_default.example.run("rm", "-rf", by_default.example.environment)
    assert by_default.sync("--offline").returncode == 0
    assert by_default("scan", "--hashes").returncode == 0
    again = by_default("move", destination, "--yes")
    assert (again.returncode, "is the cache itself" in again.stderr) == (2, True)

    undone = undo(by_default)
    assert undone.returncode == 0, undone.stderr
    assert (uv_says(by_default), users_file(by_default).exists(), destination.exists()) == (old, False, False)
    assert not old.is_symlink()


def test_the_contents_can_be_left_behind(by_default, destination):
    old = default_home(by_default)
    before = files(old)
    dry = by_default("move", destination, "--empty", "--dry-run")
    assert f"Begin an empty cache at `{destination}`" in dry.stdout
    assert not destination.exists()
    moved = by_default("move", destination, "--empty", "--yes")
    assert moved.returncode == 0, moved.stderr
    assert f"the old one is still in `{old}`" in moved.stdout
    assert (uv_says(by_default), files(old)) == (destination, before)
    by_default.example.run("rm", "-rf", by_default.example.environment)
    assert not list(destination.glob("archive-v*"))
    assert by_default.sync().returncode == 0
    assert list(destination.glob("archive-v*/*/certifi"))
    assert by_default("scan", "--hashes").returncode == 0
    undone = undo(by_default)
    assert undone.returncode == 0, undone.stderr
    assert (uv_says(by_default), destination.exists(), files(old)) == (old, False, before)


def test_another_cache_that_is_there_is_used_and_never_removed(by_default, tmp_path):
    old, other = default_home(by_default), tmp_path / "other"
    by_default.example.run(by_default.uv, "sync", "--reinstall", "--cache-dir", other)
    before = files(other)
    said = by_default("move", other, "--yes")
    assert (said.returncode, said.stderr.splitlines()[-2:]) == (
        2,
        [f"error: there is another cache at `{other}`", "hint: `--empty` uses it, and leaves the old one as it is"],
    )
    dry = by_default("move", other, "--empty", "--dry-run")
    assert f"Use the cache that is at `{other}`" in dry.stdout
    assert "uses the cache that is there already, and leaves the old one as it is" in dry.stdout
    assert by_default("move", other, "--empty", "--yes").returncode == 0
    assert uv_says(by_default) == other
    assert undo(by_default).returncode == 0
    assert (uv_says(by_default), files(other)) == (old, before)


def test_a_copy_that_somebody_made_is_theirs(by_default, tmp_path):
    """As `cp -a` leaves it, or an earlier move: equal to the last file, and not ours to be taken back."""
    old, twin = default_home(by_default), tmp_path / "twin"
    shutil.copytree(old, twin, symlinks=True)
    before = files(twin)
    said = by_default("move", twin, "--yes")
    assert (said.returncode, f"error: there is another cache at `{twin}`" in said.stderr) == (2, True)
    assert by_default("move", twin, "--empty", "--yes").returncode == 0
    assert undo(by_default).returncode == 0
    assert (uv_says(by_default), files(twin)) == (old, before)


def test_a_link_of_the_users_own_stays_one(by_default, tmp_path):
    old, real = default_home(by_default), tmp_path / "big disk"
    old.rename(real)
    old.symlink_to(real)
    before = files(real)
    assert by_default("move", tmp_path / "bigger", "--yes").returncode == 0
    assert undo(by_default).returncode == 0
    assert (old.readlink(), real.is_symlink(), files(real)) == (real, False, before)


def test_what_took_the_place_of_a_moved_cache_is_left_alone(by_default, other_filesystem):
    new = other_filesystem / "stick" / "uv"
    assert by_default("move", new, "--yes").returncode == 0
    by_default.example.run("rm", "-rf", new)
    by_default.example.run(by_default.uv, "sync", "--reinstall", "--cache-dir", new)
    before = files(new)
    said = undo(by_default)
    assert (said.returncode, f"error: another cache is in `{new}` now" in said.stderr) == (2, True)
    assert files(new) == before


def test_a_cache_that_a_link_leads_to_stays_where_it_is(by_default, tmp_path):
    """The link is the user's own; the move only tells uv where the cache really is."""
    old, real = default_home(by_default), tmp_path / "big disk"
    old.rename(real)
    old.symlink_to(real)
    before = files(real)
    dry = by_default("move", real, "--dry-run")
    assert f"would change: moves nothing: `{old}` is a link to it" in dry.stdout
    assert by_default("move", real, "--yes").returncode == 0
    assert by_default("move", real, "--yes").returncode == 2, "it is the cache itself now"
    assert undo_of(by_default, "--dry-run").stdout.splitlines() == [
        f"would change: takes out of `{users_file(by_default)}` what was written to it",
        f"would change: leaves uv's cache in `{real}`, where it was before",
    ]
    assert undo(by_default).returncode == 0
    assert (uv_says(by_default), old.readlink(), files(real)) == (old, real, before)
    empty = by_default("move", real, "--empty", "--yes")
    assert ("cache clean" in empty.stdout, f"`{old}` is a link to it now" in empty.stdout) == (False, True)
    assert undo(by_default).returncode == 0
    said = by_default("move", real, "--yes", cwd=tmp_path)
    assert f"to go back to it, let `cache-dir` say `{old}` again" in said.stdout


@pytest.mark.parametrize("options", [(), ("--empty",)], ids=["copied", "begun"])
def test_an_undo_removes_no_cache_that_is_the_only_one(options, by_default, other_filesystem):
    """The old one has been removed by the command that the move itself has told."""
    old, new = default_home(by_default), other_filesystem / "new"
    moved = by_default("move", new, *options, "--yes")
    command = moved.stdout.split("`")[moved.stdout.split("`").index(f"uv cache clean --cache-dir {old}")]
    assert by_default.example.run(*command.split()).returncode == 0
    assert by_default.sync("--reinstall").returncode == 0
    assert f"moves uv's cache in `{new}` to `{old}`" in undo_of(by_default, "--dry-run").stdout
    undone = undo(by_default)
    assert (undone.returncode, uv_says(by_default), new.exists()) == (0, old, False), undone.stderr
    assert by_default.sync("--reinstall", "--offline").returncode == 0


def test_an_undo_removes_nothing_for_a_cache_that_was_made_since(by_default, other_filesystem):
    old, new = default_home(by_default), other_filesystem / "new"
    assert by_default("move", new, "--yes").returncode == 0
    by_default.example.run("rm", "-rf", old)
    by_default.example.run(by_default.uv, "sync", "--reinstall", "--cache-dir", old)
    before = files(old), files(new)
    said = undo(by_default)
    assert (said.returncode, "something else is at the destination" in said.stderr) == (2, True)
    assert (files(old), files(new)) == before


def test_an_empty_cache_that_was_begun_is_used_by_the_next_call(by_default, tmp_path):
    old, new = default_home(by_default), tmp_path / "new"
    (in_the_way := users_file(by_default).parent).parent.mkdir(parents=True, exist_ok=True)
    in_the_way.write_text("in the way")
    assert by_default("move", new, "--empty", "--yes").returncode == 2
    in_the_way.unlink()
    again = by_default("move", new, "--empty", "--yes")
    assert (again.returncode, uv_says(by_default)) == (0, new), again.stderr
    by_default.example.run("rm", "-rf", new)
    assert by_default("move", new, "--empty", "--yes", "--cache-dir", old).returncode == 0
    assert [it.name for it in new.iterdir()] == ["CACHEDIR.TAG"], "whatever a call before has done"
    assert not old.is_symlink()
    assert undo(by_default).returncode == 0
    assert (uv_says(by_default), new.exists()) == (old, False)


def test_where_nothing_was_changed_there_is_nothing_to_undo(run, tmp_path):
    other = tmp_path / "other"
    run.example.run(run.uv, "sync", "--reinstall", "--cache-dir", other)
    said = run("move", other, "--empty", "--yes")
    assert said.returncode == 0, said.stderr
    assert ("--undo" in said.stdout, "clean --cache-dir" in said.stdout) == (False, True)
    assert "nothing to undo" in undo(run).stderr


def test_a_mount_point_is_refused_before_anything_is_copied(by_default, bind_mount, tmp_path):
    (tmp_path / "disk").mkdir()
    disk = bind_mount(tmp_path / "disk")
    said = by_default("move", disk, "--yes")
    assert (said.returncode, said.stderr.splitlines()[-2:]) == (
        2,
        [
            f"error: `{disk}` is where a file system is mounted, so that the cache cannot take its name",
            f"hint: name a directory in it, such as `{disk / 'uv'}`",
        ],
    )
    assert by_default("move", disk, "--empty", "--yes").returncode == 0


def test_a_place_that_no_text_can_name(by_default, tmp_path):
    """Linux allows any bytes in a name; the cache goes there, and no file says so."""
    new = tmp_path / os.fsdecode(b"new\xff")
    moved = by_default("move", new, "--yes", "--json", PYTHONIOENCODING="utf-8:strict")
    assert moved.returncode == 0, moved.stderr
    assert json.loads(moved.stdout)["cache"]["destination"] == str(new)
    assert (default_home(by_default).readlink(), users_file(by_default).exists()) == (new, False)
    assert by_default("scan", PYTHONIOENCODING="utf-8:strict").returncode == 0
    assert undo(by_default).returncode == 0


def test_what_is_no_cache_is_not_moved_back(by_default, tmp_path):
    new = tmp_path / "new"
    assert by_default("move", new, "--yes").returncode == 0
    by_default.example.run("rm", "-rf", new)
    new.mkdir()
    (new / "thesis.txt").write_text("mine")
    said = undo(by_default)
    assert (said.returncode, "the cache cannot be moved back: something else is there now" in said.stderr) == (2, True)
    assert (new / "thesis.txt").read_text() == "mine"


def test_an_empty_cache_needs_a_place_of_its_own(by_default, tmp_path):
    (tmp_path / "file").touch()
    said = by_default("move", tmp_path / "file" / "new", "--empty", "--yes")
    assert (said.returncode, said.stderr.count("the cache was not moved: Not a directory")) == (2, 1)


def undo(run):
    """Takes the last remedy back."""
    return undo_of(run)


def undo_of(run: Doctor, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND[:-1], "fix", "--undo", *options],
        cwd=run.example.root,
        env=run.example.environ,
        capture_output=True,
        text=True,
        check=False,
    )


def test_without_a_project_it_says_how_to_move_it_back(by_default, tmp_path):
    old, new = default_home(by_default), tmp_path / "new"
    moved = by_default("move", new, "--yes", cwd=tmp_path)
    assert moved.returncode == 0, moved.stderr
    way_back = moved.stdout.split("`")[
        moved.stdout.split("`").index(f"uv-link-doctor cache move {old} --cache-dir {new}")
    ]
    assert f"uv says that its cache is in `{new}`" in moved.stdout
    back = by_default(*way_back.split()[2:], "--yes", cwd=tmp_path)
    assert back.returncode == 0, back.stderr
    assert (uv_says(by_default), old.is_symlink(), new.is_symlink()) == (old, False, True)


def test_it_is_written_where_the_place_is_named_now(by_default, tmp_path):
    by_default.example.manifest.write_text(
        by_default.example.manifest.read_text() + f'\n[tool.uv]\ncache-dir = "{default_home(by_default)}"  # ours\n'
    )
    moved = by_default("move", tmp_path / "new", "--yes")
    assert moved.returncode == 0, moved.stderr
    text = by_default.example.manifest.read_text()
    assert tomllib.loads(text)["tool"]["uv"]["cache-dir"] == str(tmp_path / "new")
    assert (text.endswith("  # ours\n"), users_file(by_default).exists()) == (True, False)


def test_where_a_variable_wins_only_the_move_is_made(run, other_filesystem):
    new = other_filesystem / "new"
    moved = run("move", new, "--yes")
    assert moved.returncode == 0, moved.stderr
    assert f"the variable `UV_CACHE_DIR` comes first: set it to `{new}`" in moved.stdout
    assert f"the old one is still in `{run.cache}`" in moved.stdout
    assert (users_file(run).exists(), uv_says(run)) == (False, run.cache)
    assert run("scan", UV_CACHE_DIR=str(new)).returncode == 0


def test_another_cache_than_the_one_in_force_changes_no_setting(run, tmp_path):
    moved = run("move", tmp_path / "new", "--cache-dir", run.cache, "--yes", UV_CACHE_DIR=str(tmp_path / "other"))
    assert moved.returncode == 0, moved.stderr
    assert f"no setting changes: uv here uses `{tmp_path / 'other'}`" in moved.stdout


def test_it_says_beforehand_what_speaks_against_it(by_default, tmp_path):
    (tmp_path / "OneDrive").mkdir()
    tool = Path(by_default.example.environ["XDG_DATA_HOME"]) / "uv" / "tools" / "black"
    for environment in (default_home(by_default) / "environments-v2" / "script-1", tool):
        environment.mkdir(parents=True)
        (environment / "pyvenv.cfg").touch()
    (site := tool / "lib/python3.11/site-packages/black-1.dist-info").mkdir(parents=True)
    (site / "METADATA").symlink_to(next(default_home(by_default).glob("archive-v0/*/*.dist-info/METADATA")))
    there, careful = (
        tmp_path / "OneDrive" / "uv",
        f"careful: `{tmp_path}/OneDrive/uv` lies in a folder that OneDrive syncs",
    )
    said = by_default("move", there, "--dry-run", OneDrive=str(tmp_path / "OneDrive"))
    assert careful in said.stdout
    assert "environments-v2/script-1`" in said.stdout
    assert f"`{tool}`" in said.stdout
    assert "renames it, " in said.stdout
    done = by_default("move", there, "--yes", OneDrive=str(tmp_path / "OneDrive"))
    assert (done.returncode, careful in done.stderr) == (0, True)


def test_a_setting_that_cannot_be_written_does_not_lose_the_cache(by_default, tmp_path):
    users_file(by_default).parent.parent.joinpath("uv").write_text("in the way")
    moved = by_default("move", tmp_path / "new", "--yes")
    assert moved.returncode == 2
    assert f"the cache is in `{tmp_path / 'new'}` now, but `cache-dir` could not be written" in moved.stderr
    assert uv_says(by_default) == default_home(by_default)
    assert by_default("scan").returncode == 0, "the old path leads there"


def test_a_move_that_cannot_be_made_says_why(by_default):
    said = by_default("move", "/proc/uv", "--yes")
    assert (said.returncode, "the cache was not moved: " in said.stderr) == (2, True)
    assert "hint: it is where it was, and whole" in said.stderr
    assert by_default("scan").returncode == 0


def test_it_is_uv_that_has_the_last_word(by_default, fake_uv, tmp_path):
    fake = fake_uv(Answer(when=["cache", "dir"], steps=[("stdout", "/elsewhere\n")]))
    said = by_default("move", tmp_path / "new", "--yes", "--json", PATH=str(fake.path.parent))
    assert (said.returncode, json.loads(said.stdout)["outcome"]) == (1, "not-run")
    assert "error: uv goes on using `/elsewhere`" in said.stderr


def test_a_move_says_when_there_is_no_room(by_default, loop_mount):
    with (default_home(by_default) / "large").open("wb") as file:
        file.truncate(1 << 30)
    small = loop_mount("ext4")
    said = by_default("move", small / "uv", "--yes")
    assert said.returncode == 2
    assert "error: the cache was not moved: the cache needs " in said.stderr
    assert "(os error 28)" in said.stderr
    assert by_default("scan").returncode == 0
