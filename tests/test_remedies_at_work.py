"""Each remedy carried out on real file systems with a real uv: what it left is looked at, and it can be taken back."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kit.cloud import STOPS
from kit.projects import UvProject

from uv_link_doctor import doctor, journal, repair
from uv_link_doctor.engine.model import (
    Cause,
    Code,
    DoctorError,
    Examination,
    LinkMode,
    Remedy,
    RemedyKind,
    Transcript,
    Verdict,
)
from uv_link_doctor.engine.remedies import actions
from uv_link_doctor.host import Host, local_host, state
from uv_link_doctor.host.cache_lock import cache_lock
from uv_link_doctor.host.cache_repair import Obstacle, Repaired
from uv_link_doctor.options import Options


class Patient:
    """A project, and the doctor as it is called there."""

    def __init__(self, project: UvProject, uv: Path, state_directory: Path) -> None:
        self.project = project
        self.uv = uv
        self.host: Host = replace(local_host(), environ=project.environ, state=state_directory)
        self.options = Options(uv_path=str(uv))

    async def sync(self) -> Examination:
        return await doctor.examine(self.project.manifest, self.host, self.options)

    async def check(self) -> Examination:
        return await doctor.check(self.project.manifest, self.host, self.options)

    async def apply(self, found: Examination, kind: RemedyKind) -> Examination:
        return await repair.apply(found, offered(found)[kind], self.host, self.options)

    async def undo(self) -> str:
        return await journal.undo(self.project.manifest, self.host)

    @property
    def remembered(self) -> state.ProjectState:
        return state.load(self.host.state, self.project.root)

    def shows(self, key: str) -> str:
        """What uv itself says of a setting."""
        said = self.project.run(self.uv, "sync", "--show-settings").stdout
        return said.partition(f"{key}:")[2].partition(",\n")[0]


def offered(found: Examination) -> dict[RemedyKind, Remedy]:
    return {remedy.kind: remedy for finding in found.findings for remedy in actions(finding.remedies)}


def is_well(found: Examination) -> bool:
    verified = found.verification is not None and found.verification.verified
    return (found.verdict, found.findings, verified) == (Verdict.HEALTHY, (), True)


@pytest.fixture(params=["0.4.18", "newest"])
def uv(request, uv_binary) -> Path:
    return uv_binary(request.param)


@pytest.fixture
def patient(uv, project, tmp_path) -> Callable[..., Patient]:
    """`patient(cache=…)`: the cache is where the user's own uv.toml says, not a variable, so that it can be moved."""

    def make(*, cache: Path | None = None, root: Path | None = None) -> Patient:
        example = project("httpx", root=root)
        del example.environ["UV_CACHE_DIR"]
        if cache is not None:
            users = Path(example.environ["HOME"]) / ".config" / "uv" / "uv.toml"
            users.parent.mkdir(parents=True)
            users.write_text(f'# mine\ncache-dir = "{cache}"\n')
        return Patient(example, uv, tmp_path / "state")

    return make


def users_file(it: Patient) -> Path:
    return Path(it.project.environ["HOME"]) / ".config" / "uv" / "uv.toml"


# --- repair-cache ---------------------------------------------------------------------------


async def test_one_file_with_as_many_names_as_there_can_be(project, uv_binary, loop_mount, tmp_path):
    disk = loop_mount("ext4", megabytes=64)
    example = project("httpx", root=disk / "project", cache=disk / "cache")
    it = Patient(example, uv_binary("0.9.30"), tmp_path / "state")  # Later ones help themselves.
    assert is_well(await it.sync())
    example.run("rm", "-rf", example.environment)
    (core,) = (disk / "cache").glob("archive-v0/*/certifi/core.py")
    for number in range(core.stat().st_nlink, 65_000):
        (disk / f"{number}").hardlink_to(core)
    found = await it.sync()
    (finding,) = found.findings
    assert (finding.cause, finding.remedies[0].kind) == (Cause.TOO_MANY_LINKS, RemedyKind.REPAIR_CACHE)
    assert is_well(await it.apply(found, RemedyKind.REPAIR_CACHE))
    assert (example.site_packages / "certifi/core.py").stat().st_nlink == 2


# --- move-cache -----------------------------------------------------------------------------


async def test_the_cache_moves_to_where_it_can_be_linked_and_back(patient, other_filesystem):
    it = patient(cache=other_filesystem / "cache")
    text = users_file(it).read_text()
    found = await it.sync()
    (finding,) = found.findings
    assert finding.cause is Cause.CROSS_DEVICE
    assert next(remedy for remedy in finding.remedies if remedy.preferred).kind is RemedyKind.MOVE_CACHE
    it.project.run("rm", "-rf", it.project.environment)
    assert is_well(await it.apply(found, RemedyKind.MOVE_CACHE))
    home = Path(it.project.environ["HOME"]) / ".cache" / "uv"
    assert users_file(it).read_text() == f'# mine\ncache-dir = "{home}"\n'
    assert str(home) in it.shows("cache_dir")
    assert {path.stat().st_nlink for path in it.project.site_packages.glob("certifi/*.py")} == {2}
    assert it.project.run(it.uv, "sync", "--offline", "--reinstall").returncode == 0

    assert [step.kind for step in it.remembered.journal] == ["move-cache", "move-cache"]
    said = await it.undo()
    assert f"uv's cache is in `{other_filesystem / 'cache'}` again" in said
    assert users_file(it).read_text() == text
    assert not home.exists()
    assert it.remembered.journal == ()
    assert it.project.run(it.uv, "sync", "--offline", "--reinstall").returncode == 0


@pytest.mark.parametrize("name", ["हिन्दी", 'a "b" \\c'])
async def test_a_place_is_known_again_by_any_name(name, patient, other_filesystem, tmp_path):
    """uv prints some characters of a path as Rust escapes them."""
    it = patient(cache=other_filesystem / "cache")
    it.project.environ["XDG_CACHE_HOME"] = str(tmp_path / name)
    assert is_well(await it.apply(await it.sync(), RemedyKind.MOVE_CACHE))
    assert (tmp_path / name / "uv" / "CACHEDIR.TAG").exists()


async def test_a_cache_that_a_variable_names_is_not_moved(patient, other_filesystem):
    it = patient()
    it.project.environ["UV_CACHE_DIR"] = str(other_filesystem / "cache")
    assert RemedyKind.MOVE_CACHE not in offered(await it.sync())


# --- set-link-mode-user ---------------------------------------------------------------------


@pytest.mark.parametrize("there", [True, False], ids=["a file", "no file yet"])
async def test_the_users_own_file_says_copy_and_is_as_before(there, patient, other_filesystem):
    it = patient(cache=other_filesystem / "cache" if there else None)
    if not there:
        it.project.environ["UV_CACHE_DIR"] = str(other_filesystem / "cache")
    before = users_file(it).read_text() if there else None
    found = await it.sync()
    assert is_well(await it.apply(found, RemedyKind.SET_LINK_MODE_USER))
    assert users_file(it).read_text() == (before or "") + 'link-mode = "copy"\n'
    assert it.shows("link_mode").strip() == "Copy"
    assert "link-mode" not in it.project.manifest.read_text()
    await it.undo()
    assert (users_file(it).read_text() if users_file(it).exists() else None) == before


async def test_a_file_that_cannot_be_written_or_removed(patient, other_filesystem, monkeypatch):
    def refusing(method: Callable[..., object]) -> Callable[..., object]:
        def refuse(path: Path, *arguments: object, **more: object) -> object:
            if path in {users_file(it), users_file(it).parent}:
                raise PermissionError(13, "Permission denied")
            return method(path, *arguments, **more)

        return refuse

    it = patient()
    it.project.environ["UV_CACHE_DIR"] = str(other_filesystem / "cache")
    found = await it.sync()
    with monkeypatch.context() as forbidden:
        forbidden.setattr(Path, "mkdir", refusing(Path.mkdir))
        with pytest.raises(DoctorError, match=r"uv\.toml` cannot be written: Permission denied"):
            await it.apply(found, RemedyKind.SET_LINK_MODE_USER)
    assert it.remembered.journal == ()
    await it.apply(found, RemedyKind.SET_LINK_MODE_USER)
    with monkeypatch.context() as forbidden:
        forbidden.setattr(Path, "unlink", refusing(Path.unlink))
        with pytest.raises(DoctorError, match=r"uv\.toml` cannot be removed: Permission denied"):
            await it.undo()
    assert len(it.remembered.journal) == 1
    await it.undo()
    assert not users_file(it).exists()


async def test_a_project_that_says_something_else_keeps_its_say(patient, other_filesystem):
    it = patient(cache=other_filesystem / "cache")
    it.project.manifest.write_text(it.project.manifest.read_text() + '\n[tool.uv]\nlink-mode = "hardlink"\n')
    kinds = offered(await it.sync())
    assert RemedyKind.SET_LINK_MODE in kinds
    assert RemedyKind.SET_LINK_MODE_USER not in kinds


# --- clean-package --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "damage"),
    [("METADATA", Path.unlink), ("RECORD", Path.unlink), ("METADATA", lambda path: path.write_bytes(b""))],
    ids=["no METADATA", "no RECORD", "an empty METADATA"],
)
async def test_a_damaged_entry_is_fetched_again(name, damage, patient):
    it = patient()
    assert (await it.sync()).verdict is Verdict.HEALTHY
    cache = Path(it.project.environ["HOME"]) / ".cache" / "uv"
    (file,) = cache.glob(f"archive-v*/*/certifi-*.dist-info/{name}")
    damage(file)
    it.project.run("rm", "-rf", it.project.environment)
    found = await it.sync()
    (remedy,) = [remedy for finding in found.findings for remedy in finding.remedies if remedy.preferred]
    assert remedy.kind is RemedyKind.CLEAN_PACKAGE
    assert is_well(await it.apply(found, RemedyKind.CLEAN_PACKAGE))
    assert it.project.missing_files() == {}


async def test_a_remedy_that_does_not_help_says_so_and_leaves_the_finding(patient):
    """The same file is missing again: whoever removes it is at it still."""
    it = patient()
    assert (await it.sync()).verdict is Verdict.HEALTHY
    cache = Path(it.project.environ["HOME"]) / ".cache" / "uv"
    (file,) = cache.glob("archive-v*/*/certifi-*.dist-info/METADATA")
    text = file.read_text()
    file.unlink()
    it.project.run("rm", "-rf", it.project.environment)
    await it.sync()
    file.write_text(text)
    found = await it.check()
    kinds = list(offered(found))
    assert kinds[0] is RemedyKind.REINSTALL_BROKEN
    file.unlink()
    after = await it.apply(found, RemedyKind.REINSTALL_BROKEN)
    assert after.verdict is Verdict.FAILED
    assert [finding.cause for finding in after.findings] == [Cause.MISSING_CACHE_FILE]
    assert next(iter(offered(after))) is RemedyKind.CLEAN_PACKAGE


# --- move-environment -----------------------------------------------------------------------


@pytest.fixture
def synced(cloud_folder, patient) -> Patient:
    folder = cloud_folder(STOPS)
    it: Patient = patient(root=folder.synced / "project")
    it.project.environ.update(
        {"OneDriveCommercial": str(folder.synced), "UV_CACHE_DIR": str(folder.cache), "UV_LINK_MODE": "hardlink"}
    )
    it.host = replace(it.host, state=folder.root / "state")  # From where the cache can be linked.
    return it


async def test_the_environment_moves_out_of_the_synced_folder(synced):
    it = synced
    found = await it.check()
    (remedy,) = [it for it in actions(found.findings[0].remedies) if it.kind is RemedyKind.MOVE_ENVIRONMENT]
    assert not remedy.preferred
    assert is_well(await it.apply(found, RemedyKind.MOVE_ENVIRONMENT))
    assert it.project.environment.is_symlink()
    new = it.project.environment.resolve()
    assert new.is_relative_to(it.host.state)
    assert it.project.missing_files() == {}
    assert it.project.imports("httpx", "certifi.core")
    assert (await it.check()).findings == ()
    assert it.project.run(it.uv, "sync", "--reinstall").returncode == 0
    assert [path.name for path in it.project.root.iterdir() if "uv-link-doctor" in path.name] == []

    await it.undo()
    assert not it.project.environment.is_symlink()
    assert list(it.host.state.glob("environments/*")) == []
    assert it.remembered.journal == ()


async def test_what_was_installed_by_hand_is_named_when_the_environment_moves(synced):
    it = synced
    lines: list[str] = []
    assert it.project.run(it.uv, "sync", "--link-mode", LinkMode.COPY).returncode == 0
    into = ("--python", it.project.environment, "--link-mode", LinkMode.COPY)
    by_hand = it.project.run(it.uv, "pip", "install", *into, "typing-extensions")
    assert by_hand.returncode == 0, by_hand.stderr
    found = await it.check()
    remedy = offered(found)[RemedyKind.MOVE_ENVIRONMENT]
    assert is_well(await repair.apply(found, remedy, it.host, it.options, on_line=lines.append))
    assert any("`uv pip install typing-extensions==4.15.0` brings it" in line for line in lines)


async def test_an_environment_that_was_there_is_kept_until_the_new_one_is_proven(synced):
    it = synced
    assert it.project.run(it.uv, "sync", "--link-mode", LinkMode.COPY).returncode == 0
    (it.project.environment / "mine").write_text("kept until then")
    found = await it.check()
    it.project.manifest.write_text(it.project.manifest.read_text().replace('"httpx"', '"httpx", "not-there"'))
    after = await it.apply(found, RemedyKind.MOVE_ENVIRONMENT)
    assert after.verdict is Verdict.NOT_A_LINK_FAILURE
    assert (it.project.environment / "mine").read_text() == "kept until then"
    assert not it.project.environment.is_symlink()
    assert list(it.host.state.glob("environments/*")) == []
    assert it.remembered.journal == ()


def missing_half(new: Path) -> None:
    """As a uv leaves it that was killed while it installed."""
    (info,) = new.glob("lib/python*/site-packages/certifi-*.dist-info")
    (info / "INSTALLER").unlink()
    (info.parent / "certifi" / "core.py").unlink()


def no_environment_yet(new: Path) -> None:
    """As a uv leaves it that was killed while it made it."""
    (new / "pyvenv.cfg").unlink()


@pytest.mark.parametrize("damage", [missing_half, no_environment_yet])
async def test_a_half_made_new_environment_is_taken_up(damage, synced):
    it = synced
    found = await it.check()
    new = Path(offered(found)[RemedyKind.MOVE_ENVIRONMENT].title.split("`")[1])
    assert it.project.run("env", f"UV_PROJECT_ENVIRONMENT={new}", it.uv, "sync").returncode == 0
    damage(new)
    assert is_well(await it.apply(found, RemedyKind.MOVE_ENVIRONMENT))
    assert it.project.missing_files() == {}
    assert it.project.imports("httpx", "certifi.core")


async def test_a_moved_environment_that_somebody_deleted_is_made_anew_in_its_place(synced):
    it = synced
    assert is_well(await it.apply(await it.check(), RemedyKind.MOVE_ENVIRONMENT))
    it.project.run("rm", "-rf", it.project.environment.resolve())
    assert (await it.check()).findings == ()
    assert is_well(await it.sync())
    assert it.project.environment.is_symlink()
    assert it.project.missing_files() == {}


async def test_an_environment_in_which_a_uv_is_at_work_is_not_taken_back(synced):
    it = synced
    await it.apply(await it.check(), RemedyKind.MOVE_ENVIRONMENT)
    with (
        cache_lock(it.project.environment, exclusive=True, seconds=0),
        pytest.raises(DoctorError, match="cannot be taken back: uv is at work there"),
    ):
        await it.undo()
    assert it.project.imports("httpx")
    assert [step.kind for step in it.remembered.journal] == ["move-environment"]


# --- retry-copy -----------------------------------------------------------------------------


async def test_copies_do_not_wait_long_for_the_cache_that_they_would_heal(synced, monkeypatch):
    it = synced
    monkeypatch.setattr(repair, "_FOR_OTHERS", 0.1)
    assert it.project.run(it.uv, "sync").returncode == 0
    found = await it.check()
    told: list[str] = []
    cache = Path(it.project.environ["UV_CACHE_DIR"])
    with ExitStack() as held:

        async def run(command: Sequence[str], **more: Any) -> Transcript:
            """The install, after which another uv has the cache."""
            said = await it.host.run(command, **more)
            if LinkMode.COPY in command:
                held.enter_context(cache_lock(cache, exclusive=True, seconds=0))
            return said

        remedy = offered(found)[RemedyKind.RETRY_COPY]
        host = replace(it.host, run=run)
        assert is_well(await repair.apply(found, remedy, host, it.options, on_line=told.append))
    assert any(line.startswith("Another uv is at work in the cache") for line in told)
    it.project.environ["UV_PROJECT_ENVIRONMENT"] = str(it.host.state.parent / "outside")
    await it.undo()
    assert [finding.code for finding in (await it.check()).findings] == [Code.CACHE_TAINTED]


# --- what keeps a remedy from its work ------------------------------------------------------


async def refused(it: Patient, found: Examination, kind: RemedyKind) -> str:
    """What is said, with nothing changed."""
    with pytest.raises(DoctorError) as raised:
        await it.apply(found, kind)
    assert raised.value.hint
    return raised.value.message


async def test_settings_that_have_changed_meanwhile(patient, other_filesystem):
    it = patient(cache=other_filesystem / "cache")
    found = await it.sync()
    it.project.manifest.write_text(it.project.manifest.read_text() + '\n[tool.uv]\nlink-mode = "hardlink"\n')
    said = await refused(it, found, RemedyKind.SET_LINK_MODE_USER)
    assert said == "your own uv.toml has no say in this project's link mode"
    it.project.environ["UV_CACHE_DIR"] = str(other_filesystem / "cache")
    assert await refused(it, found, RemedyKind.MOVE_CACHE) == "no place for the cache was found that can be linked"


async def test_a_cache_whose_old_place_is_taken_is_not_moved_back(patient, other_filesystem):
    it = patient(cache=other_filesystem / "cache")
    await it.apply(await it.sync(), RemedyKind.MOVE_CACHE)
    old = other_filesystem / "cache"
    it.project.run("rm", "-rf", old)
    it.project.run("touch", old)
    with pytest.raises(DoctorError, match="the cache cannot be moved back: "):
        await it.undo()


async def test_a_package_that_cannot_be_cleaned(patient):
    it = patient()
    await it.sync()
    cache = Path(it.project.environ["HOME"]) / ".cache" / "uv"
    (metadata,) = cache.glob("archive-v*/*/certifi-*.dist-info/METADATA")
    metadata.write_bytes(b"")
    it.project.run("rm", "-rf", it.project.environment)
    found = await it.sync()
    assert found.uv is not None
    broken_uv = replace(found, uv=replace(found.uv, path=Path("/bin/false")))
    said = await refused(it, broken_uv, RemedyKind.CLEAN_PACKAGE)
    assert said == "`uv cache clean` failed: it did not say why"
    nameless = replace(found, findings=tuple(replace(finding, package=None) for finding in found.findings))
    said = await refused(it, nameless, RemedyKind.CLEAN_PACKAGE)
    assert said == "it is not known which package to remove from the cache"


async def test_an_environment_that_cannot_be_moved(synced):
    it = synced
    assert it.project.run(it.uv, "sync", "--link-mode", LinkMode.COPY).returncode == 0
    found = await it.check()
    assert found.project is not None
    elsewhere = replace(found, project=replace(found.project, environment=Path("/elsewhere")))
    said = await refused(it, elsewhere, RemedyKind.MOVE_ENVIRONMENT)
    assert said == "no better place for the environment is known"
    with cache_lock(it.project.environment, exclusive=True, seconds=0):  # As a uv does that works there.
        said = await refused(it, found, RemedyKind.MOVE_ENVIRONMENT)
    assert "cannot be made a link to the new environment: " in said
    assert it.project.environment.is_dir()
    assert not it.project.environment.is_symlink()
    assert it.project.missing_files() == {}


async def test_files_that_cannot_be_replaced(synced, monkeypatch):
    it = synced
    assert it.project.run(it.uv, "sync").returncode == 0
    it.project.environ["UV_PROJECT_ENVIRONMENT"] = str(it.host.state.parent / "outside")
    found = await it.check()
    (finding,) = found.findings
    assert finding.code is Code.CACHE_TAINTED
    full = Repaired(
        files=0,
        size=0,
        entries=0,
        damaged=(),
        left=(),
        obstacle=Obstacle(28, Path("/")),
        stopped=False,
        verifying=0,
    )
    monkeypatch.setattr(repair, "give_fresh_files", lambda *_, **__: full)
    said = await refused(it, found, RemedyKind.REPAIR_CACHE)
    assert said == "not every file of the cache could be replaced (os error 28)"
