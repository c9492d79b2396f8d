"""What remedies do, that they are proven and not believed, and that what they changed can be taken back."""

from __future__ import annotations

import asyncio
import codecs
import os
import shutil
import tomllib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from kit.fake_uv import Answer, FakeUv
from kit.projects import UvProject

from uv_link_doctor import doctor, journal, repair
from uv_link_doctor.engine.model import DoctorError, Examination, Places, Remedy, RemedyKind, TextEdit, Verdict
from uv_link_doctor.engine.remedies import actions
from uv_link_doctor.host import Host, local_host, state
from uv_link_doctor.options import Options

REFUSED = """\
error: Failed to install: certifi-2026.10.18-py3-none-any.whl (certifi==2026.10.18)
  Caused by: failed to {operation} file from /c/archive-v0/Ab3/certifi/core.py to .venv/certifi/core.py: {number}
"""
LASTING = REFUSED.format(operation="hardlink", number="OS Error 396 (os error 396)")
PASSING = REFUSED.format(operation="clone", number="Resource temporarily unavailable (os error 11)")
UNRELATED = "error: Failed to fetch: `https://example.org/simple/httpx/`\n  Caused by: Could not connect\n"
COPIES = Answer(when=["--show-settings"], steps=[("stdout", "    link_mode: Copy,\n")])
HARDLINKS = Answer(when=["--show-settings"], steps=[("stdout", "    link_mode: Hardlink,\n")])
GOES_WELL = Answer()


def goes_wrong(text: str, *when: str) -> Answer:
    return Answer(when=when, steps=[("stderr", text)], exit_code=2)


def with_copies(answer: Answer) -> Answer:
    return replace(answer, when=["--link-mode", "copy"])


@dataclass
class Patient:
    """A project on this machine, and what the doctor does there."""

    project: UvProject
    host: Host
    options: Options
    fake: FakeUv | None = None

    async def sync(self) -> Examination:
        return await doctor.examine(self.project.manifest, self.host, self.options)

    async def check(self) -> Examination:
        return await doctor.check(self.project.manifest, self.host, self.options, thorough=True)

    async def apply(self, examination: Examination, kind: RemedyKind, stop: asyncio.Event | None = None) -> Examination:
        return await repair.apply(examination, offered(examination)[kind], self.host, self.options, stop=stop)

    async def undo(self) -> str:
        return await journal.undo(self.project.manifest, self.host)

    @property
    def state(self) -> state.ProjectState:
        return state.load(self.host.state, self.project.root)

    def remove_environment(self) -> None:
        self.project.run("rm", "-rf", self.project.environment)


def offered(examination: Examination) -> dict[RemedyKind, Remedy]:
    return {remedy.kind: remedy for finding in examination.findings for remedy in actions(finding.remedies)}


def codes(examination: Examination) -> list[str]:
    return [finding.code.value for finding in examination.findings]


def link_mode_in_force(patient: Patient) -> str:
    """By uv's own word."""
    said = patient.project.run(str(patient.options.uv_path), "sync", "--show-settings")
    return next(line.strip() for line in said.stdout.splitlines() if line.strip().startswith("link_mode:"))


@pytest.fixture(params=["0.4.18", "newest"])
def far_cache(request, uv_binary, project, other_filesystem, tmp_path) -> Patient:
    """A project whose cache lies on another real file system, and a real uv, which copies there."""
    example = project("httpx", cache=other_filesystem / "cache")
    host = replace(local_host(), environ=example.environ, state=tmp_path / "state")
    return Patient(example, host, Options(uv_path=str(uv_binary(request.param))))


@pytest.fixture
def told(fake_uv, project, tmp_path) -> Callable[..., Patient]:
    """`told(Answer(...), text=...)`: a project with an empty environment, and a uv that does as it is told."""

    def make(*answers: Answer, more: str = "") -> Patient:
        example = project("httpx", more=more)
        (example.environment / "lib/python3.13/site-packages").mkdir(parents=True)
        host = replace(local_host(), environ=example.environ, state=tmp_path / "state")
        fake = fake_uv(*answers)
        return Patient(example, host, Options(uv_path=str(fake.path)), fake)

    return make


# --- retry-copy -----------------------------------------------------------------------------


async def test_copying_is_remembered_and_taken_back(far_cache):
    found = await far_cache.sync()
    assert codes(found) == ["link-degraded"]
    text = far_cache.project.manifest.read_bytes()
    after = await far_cache.apply(found, RemedyKind.RETRY_COPY)
    assert (after.verdict, after.findings) == (Verdict.HEALTHY, ())
    assert after.verification is not None
    assert after.verification.verified
    assert far_cache.state.copy_because == "cross-device"
    assert far_cache.project.manifest.read_bytes() == text

    far_cache.remove_environment()
    again = await far_cache.sync()
    assert again.findings == ()
    assert again.transcript is not None
    assert again.transcript.command[-2:] == ("--link-mode", "copy")
    assert again.project is not None
    assert (again.project.remembered_copy, again.project.settings.link_mode.value) == (True, "copy")

    assert await far_cache.undo() == "our runs in this project use the link mode in force again"
    assert far_cache.state == state.ProjectState(root=str(far_cache.project.root))
    far_cache.remove_environment()
    assert codes(await far_cache.sync()) == ["link-degraded"]


@pytest.mark.parametrize(("text", "because"), [(LASTING, "cloud-sync"), (PASSING, None)], ids=["lasts", "passes"])
async def test_copying_is_remembered_only_for_a_cause_that_lasts(text, because, told):
    patient = told(with_copies(GOES_WELL), goes_wrong(text))
    after = await patient.apply(await patient.sync(), RemedyKind.RETRY_COPY)
    assert after.findings == ()
    assert patient.state.copy_because == because
    assert [step.kind for step in patient.state.journal] == (["retry-copy"] if because else [])


async def test_copying_that_does_not_help_is_not_remembered_and_the_finding_stands(told):
    patient = told(goes_wrong(LASTING))
    before = await patient.sync()
    after = await patient.apply(before, RemedyKind.RETRY_COPY)
    assert after.verdict is Verdict.FAILED
    assert after.findings == before.findings != ()
    assert (patient.state.copy_because, patient.state.journal) == (None, ())
    assert codes(await patient.check()) == ["link-failed"]


async def test_copying_that_was_stopped_is_not_remembered(told):
    hangs = Answer(steps=[("hold", "")])
    patient = told(with_copies(hangs), goes_wrong(LASTING))
    before = await patient.sync()
    stop = asyncio.Event()
    task = asyncio.ensure_future(patient.apply(before, RemedyKind.RETRY_COPY, stop=stop))
    await asyncio.to_thread(patient.fake.held)
    stop.set()
    after = await task
    assert after.verdict is Verdict.NOT_RUN
    assert (patient.state.copy_because, patient.state.journal) == (None, ())


async def test_a_second_time_is_not_a_second_step(told):
    patient = told(with_copies(GOES_WELL), goes_wrong(LASTING))
    found = await patient.sync()
    for _ in range(2):
        await patient.apply(found, RemedyKind.RETRY_COPY)
    assert len(patient.state.journal) == 1


# --- reinstall-broken -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", [RemedyKind.REINSTALL_BROKEN, RemedyKind.RETRY_COPY])
async def test_every_broken_package_is_reinstalled_and_no_other(kind, far_cache):
    project = far_cache.project
    assert project.run(str(far_cache.options.uv_path), "sync", "--link-mode", "copy").returncode == 0
    for path in ("certifi/core.py", "idna/core.py", "idna/__init__.py"):
        (project.site_packages / path).unlink()
    kept = (project.site_packages / "httpx/__init__.py").stat()

    found = await far_cache.check()
    assert codes(found) == ["environment-broken"]
    after = await far_cache.apply(found, kind)
    assert codes(after) == ([] if kind is RemedyKind.RETRY_COPY else ["link-degraded"])
    assert after.verification is not None
    assert after.verification.verified
    assert project.missing_files() == {}
    assert (project.site_packages / "httpx/__init__.py").stat().st_ino == kept.st_ino
    assert far_cache.state.copy_because is None, "nobody saw what broke it"


async def test_a_reinstall_goes_on_using_copies_where_that_is_remembered(far_cache):
    await far_cache.apply(await far_cache.sync(), RemedyKind.RETRY_COPY)
    (far_cache.project.site_packages / "idna/core.py").unlink()
    found = await far_cache.check()
    assert list(offered(found)) == [RemedyKind.REINSTALL_BROKEN]
    after = await far_cache.apply(found, RemedyKind.REINSTALL_BROKEN)
    assert after.findings == ()
    assert after.transcript is not None
    assert "copy" in after.transcript.command
    assert far_cache.project.missing_files() == {}


async def test_uvs_word_that_all_is_well_is_not_believed(told):
    patient = told(GOES_WELL)
    info = patient.project.site_packages / "certifi-1.dist-info"
    info.mkdir()
    for name, text in {"METADATA": "", "INSTALLER": "uv", "RECORD": "certifi/core.py,,\n"}.items():
        (info / name).write_text(text)
    found = await patient.check()
    after = await patient.apply(found, RemedyKind.REINSTALL_BROKEN)
    assert (after.verdict, codes(after)) == (Verdict.FAILED, ["environment-broken"])
    assert after.transcript is not None
    assert after.transcript.exit_code == 0


# --- set-link-mode --------------------------------------------------------------------------


async def test_the_setting_is_written_proven_and_taken_back(far_cache):
    manifest = far_cache.project.manifest
    text = manifest.read_bytes()
    after = await far_cache.apply(await far_cache.sync(), RemedyKind.SET_LINK_MODE)
    assert (after.verdict, after.findings) == (Verdict.HEALTHY, ())
    assert manifest.read_bytes() == text + b'\n[tool.uv]\nlink-mode = "copy"\n'
    assert link_mode_in_force(far_cache) == "link_mode: Copy,"
    far_cache.remove_environment()
    assert (await far_cache.sync()).findings == ()

    assert await far_cache.undo() == f"`{manifest}` is as it was before"
    assert manifest.read_bytes() == text
    assert link_mode_in_force(far_cache) != "link_mode: Copy,"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("uv.toml", b"# mine\r\ncache-keys = []\r\n", b'# mine\r\ncache-keys = []\r\nlink-mode = "copy"\r\n'),
        ("uv.toml", b'link-mode = "hardlink" # why\n', b'link-mode = "copy" # why\n'),
        ("uv.toml", b"", b'link-mode = "copy"\n'),
        (
            "../uv.toml",
            codecs.BOM_UTF8 + b"offline = false\n",
            codecs.BOM_UTF8 + b'offline = false\nlink-mode = "copy"\n',
        ),
    ],
)
async def test_the_setting_stands_where_it_takes_effect(name, text, expected, far_cache):
    path = (far_cache.project.root / name).resolve()
    path.write_bytes(text)
    manifest = far_cache.project.manifest.read_bytes()
    after = await far_cache.apply(await far_cache.sync(), RemedyKind.SET_LINK_MODE)
    assert after.findings == ()
    assert path.read_bytes() == expected
    assert far_cache.project.manifest.read_bytes() == manifest
    assert link_mode_in_force(far_cache) == "link_mode: Copy,"
    await far_cache.undo()
    assert path.read_bytes() == text


async def test_a_setting_that_uv_does_not_take_leaves_the_finding(told):
    """The run copies, since we say so on its command line; only `--show-settings` tells what the next one will do."""
    patient = told(HARDLINKS, with_copies(GOES_WELL), goes_wrong(LASTING))
    patient.project.environ["SSL_CERT_FILE"] = "/etc/certificates.pem"
    before = await patient.sync()
    after = await patient.apply(before, RemedyKind.SET_LINK_MODE)
    assert "SSL_CERT_FILE" in patient.fake.invocations("sync")[0].environ
    (asked,) = patient.fake.invocations("--show-settings")
    assert "SSL_CERT_FILE" not in asked.environ, "uv would print every certificate"
    assert (after.verdict, after.findings) == (before.verdict, before.findings)
    assert len(patient.state.journal) == 1, "it is written, so it can be taken back"


async def test_a_setting_that_does_not_help_leaves_the_finding_and_can_be_taken_back(told):
    patient = told(COPIES, goes_wrong(LASTING))
    text = patient.project.manifest.read_text()
    after = await patient.apply(await patient.sync(), RemedyKind.SET_LINK_MODE)
    assert codes(after) == ["link-failed"]
    assert tomllib.loads(patient.project.manifest.read_text())["tool"]["uv"] == {"link-mode": "copy"}
    await patient.undo()
    assert patient.project.manifest.read_text() == text


async def test_a_change_in_an_editors_buffer_is_the_editors_to_take_back(told):
    patient = told(HARDLINKS, with_copies(GOES_WELL), goes_wrong(LASTING))
    edits = []

    async def hold(path: Path, change: TextEdit) -> bool:
        edits.append((path, change.new_text))
        return False

    patient.host = replace(patient.host, edit=hold)
    after = await patient.apply(await patient.sync(), RemedyKind.SET_LINK_MODE)
    assert edits == [(patient.project.manifest, '\n[tool.uv]\nlink-mode = "copy"\n')]
    assert after.findings == (), "uv cannot know of it yet"
    assert patient.state.journal == ()


@pytest.mark.parametrize(
    ("variables", "arguments", "words"),
    [
        ({"UV_LINK_MODE": "hardlink"}, (), "the variable `UV_LINK_MODE` is `hardlink`"),
        ({"UV_NO_CONFIG": "1"}, (), "the variable `UV_NO_CONFIG` is `1`"),
        ({"UV_CONFIG_FILE": "/etc/uv.toml"}, (), "the variable `UV_CONFIG_FILE` is `/etc/uv.toml`"),
        ({"UV_LINK_MODE": "clone"}, ("--no-config",), "the variable `UV_LINK_MODE` is `clone`"),
        ({}, ("--no-config",), "the option `--no-config` is given"),
        ({}, ("--link-mode=hardlink",), "the option `--link-mode` is given"),
    ],
)
async def test_where_something_else_wins_it_is_named_and_no_file_is_offered_nor_written(
    variables, arguments, words, told
):
    patient = told(with_copies(GOES_WELL), goes_wrong(LASTING))
    setting = offered(await patient.sync())[RemedyKind.SET_LINK_MODE]
    patient.project.environ.update(variables)
    patient.options = replace(patient.options, sync_args=arguments)
    found = await patient.sync()
    assert list(offered(found)) == [RemedyKind.RETRY_COPY]
    assert f"no file has a say in the link mode: {words}" in found.findings[0].evidence
    text = patient.project.manifest.read_bytes()
    with pytest.raises(DoctorError) as raised:
        await repair.apply(found, setting, patient.host, patient.options)
    assert raised.value.message == f"no file would have an effect here: {words}"
    assert raised.value.hint == "take that out, or let it say `copy`"
    assert patient.project.manifest.read_bytes() == text


async def test_a_table_that_is_none_is_not_torn_apart(told):
    patient = told(goes_wrong(LASTING), more="\n[[tool.uv]]\n")
    text = patient.project.manifest.read_bytes()
    with pytest.raises(DoctorError) as raised:
        await patient.apply(await patient.sync(), RemedyKind.SET_LINK_MODE)
    assert (raised.value.message, raised.value.hint) == (
        f"`{patient.project.manifest}` cannot be changed in one place",
        "set `link-mode` by hand",
    )
    assert patient.project.manifest.read_bytes() == text


# --- undo -----------------------------------------------------------------------------------


async def test_the_last_change_is_taken_back_first(told):
    patient = told(COPIES, with_copies(GOES_WELL), goes_wrong(LASTING))
    text = patient.project.manifest.read_text()
    found = await patient.sync()
    await patient.apply(found, RemedyKind.RETRY_COPY)
    await patient.apply(found, RemedyKind.SET_LINK_MODE)
    assert [step.kind for step in patient.state.journal] == ["retry-copy", "set-link-mode"]
    assert "is as it was before" in await patient.undo()
    assert patient.project.manifest.read_text() == text
    assert patient.state.copy_because == "cloud-sync"
    assert "link mode in force" in await patient.undo()
    assert patient.state.copy_because is None
    with pytest.raises(DoctorError) as raised:
        await patient.undo()
    assert raised.value.message == f"nothing to undo for `{patient.project.root}`"
    assert raised.value.hint == "only changes that `fix --apply` made can be undone"


@pytest.mark.parametrize(
    ("before", "changed", "after"),
    [
        ("# a\n", 'link-mode = "copy"\n# a\n# mine\n', "# a\n# mine\n"),
        (
            'link-mode = "clone"  # a\n',
            'link-mode = "copy"  # a\noffline = true\n',
            'link-mode = "clone"  # a\noffline = true\n',
        ),
        ('link-mode = "clone"\n', "offline = true\n", "offline = true\n"),
        ('link-mode = "clone"\n', None, None),
    ],
    ids=["more below", "a comment", "taken out", "removed"],
)
async def test_what_was_written_is_taken_out_of_a_file_that_somebody_changed(before, changed, after, told):
    patient = told(COPIES, with_copies(GOES_WELL), goes_wrong(LASTING))
    setting = patient.project.root / "uv.toml"
    setting.write_text(before)
    await patient.apply(await patient.sync(), RemedyKind.SET_LINK_MODE)
    setting.unlink()
    if changed is not None:
        setting.write_text(changed)
    assert await patient.undo() == f"`{setting}` has nothing of what was written to it any more"
    assert (setting.read_text() if setting.exists() else None) == after
    assert patient.state.journal == ()


async def test_after_an_undo_by_hand_the_remedies_before_can_be_taken_back(told):
    patient = told(COPIES, with_copies(GOES_WELL), goes_wrong(LASTING))
    found = await patient.sync()
    await patient.apply(found, RemedyKind.RETRY_COPY)
    text = patient.project.manifest.read_text()
    await patient.apply(found, RemedyKind.SET_LINK_MODE)
    patient.project.manifest.write_text(patient.project.manifest.read_text().replace("httpx", "idna"))
    await patient.undo()
    assert patient.project.manifest.read_text() == text.replace("httpx", "idna")
    assert "link mode in force" in await patient.undo()


@pytest.mark.parametrize(
    ("name", "more"),
    [("pyproject.toml", "offline = true\n"), ("uv.toml", '[pip]\nlink-mode = "copy"\n')],
    ids=["more below its header", "twice"],
)
async def test_where_it_is_not_safe_to_take_it_out_the_file_is_left_alone(name, more, told):
    patient = told(COPIES, with_copies(GOES_WELL), goes_wrong(LASTING))
    setting = patient.project.root / name
    with setting.open("a"):
        pass
    await patient.apply(await patient.sync(), RemedyKind.SET_LINK_MODE)
    journal, text = patient.state.journal, f"{setting.read_text()}{more}"
    assert 'link-mode = "copy"' in text
    setting.write_text(text)
    with pytest.raises(DoctorError) as raised:
        await patient.undo()
    assert raised.value.message == f"`{setting}` has been changed since"
    assert raised.value.hint == "take the setting out by hand, if it is still there"
    assert setting.read_text() == text
    assert patient.state.journal == journal


async def test_a_move_to_nowhere_takes_nothing_with_it(told, monkeypatch, tmp_path):
    """As nobody but a hand in the state's files can write it; an empty path would be the working directory."""
    patient = told()
    (here := tmp_path / "here").mkdir()
    (here / "mine").touch()
    monkeypatch.chdir(here)
    journal.note(patient.project.root, patient.host, state.Step(kind="move-environment", path=str(tmp_path / "no")))
    await patient.undo()
    assert (here / "mine").exists()


async def test_a_change_of_somebody_else_during_a_look_is_kept(told):
    """A repair in a terminal goes on while an editor looks at what its run said."""
    patient = told(goes_wrong(LASTING))
    step = state.Step(kind="set-link-mode", path="/uv.toml", after="new")

    def places(*arguments: Path, **more: Any) -> Places:
        journal.note(patient.project.root, patient.host, step)
        return local_host().places(*arguments, **more)

    await doctor.examine(patient.project.manifest, replace(patient.host, places=places), patient.options)
    assert patient.state.last_failure is not None
    assert patient.state.journal == (step,)


async def test_what_could_not_be_written_leaves_nothing_to_undo(told):
    patient = told(goes_wrong(LASTING))
    found = await patient.sync()

    async def refuse(path: Path, _: TextEdit) -> bool:
        raise DoctorError(f"`{path}` cannot be written: No space left on device", "")

    patient.host = replace(patient.host, edit=refuse)
    with pytest.raises(DoctorError, match="No space left"):
        await patient.apply(found, RemedyKind.SET_LINK_MODE)
    assert patient.state.journal == ()


@pytest.mark.parametrize("before", [None, "# mine\n"])
async def test_a_setting_that_a_kill_came_before_is_taken_back(before, told):
    patient = told()
    setting = patient.project.root / "uv.toml"
    if before is not None:
        setting.write_text(before)
    step = state.Step(kind="set-link-mode", path=str(setting), before=before, after='link-mode = "copy"\n')
    journal.note(patient.project.root, patient.host, step)
    assert await patient.undo() == f"`{setting}` is as it was before"
    assert (setting.read_text() if setting.exists() else None) == before
    assert patient.state.journal == ()


def a_cache(path: Path) -> None:
    path.mkdir()
    (path / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55")
    (path / "wheels-v8").mkdir()


def moved_by_name(old: Path, new: Path) -> None:
    old.rename(new)
    old.symlink_to(new)


def between_two_names(old: Path, new: Path) -> None:
    old.rename(new)


def copied_and_used(old: Path, new: Path) -> None:
    shutil.copytree(old, new)
    (old / "wheels-v9").mkdir()


def not_begun(old: Path, new: Path) -> None: ...


def made_by_another(_: Path, new: Path) -> None:
    a_cache(new)
    os.utime(new / "CACHEDIR.TAG", (0, 0))


@pytest.mark.parametrize("done", [not_begun, moved_by_name, between_two_names, copied_and_used, made_by_another])
async def test_a_cache_is_moved_back_however_far_it_came_before_a_kill(done, told, tmp_path):
    patient = told()
    old, new = tmp_path / "old", tmp_path / "new"
    a_cache(old)
    done(old, new)
    step = state.Step(kind="move-cache", path=str(old), destination=str(new))
    journal.note(patient.project.root, patient.host, step)
    assert await patient.undo() == f"uv's cache is in `{old}` again"
    assert (old / "wheels-v8").is_dir()
    assert not old.is_symlink()
    assert new.exists() == (done is made_by_another)
    assert patient.state.journal == ()


def test_a_remedy_that_is_carried_out_again_has_its_steps_once(told):
    patient = told()
    root, host = patient.project.root, patient.host
    steps = [
        state.Step(kind="set-link-mode", path="/uv.toml", after="new"),
        state.Step(kind="move-cache", path="/old", destination="/new"),
        state.Step(kind="move-cache", path="/uv.toml", before="new", after="newer", first=False),
    ]
    assert [journal.note(root, host, it) for it in steps] == [True] * 3
    told_how = replace(steps[1], how="copied kept")
    assert [journal.note(root, host, it) for it in (told_how, steps[2])] == [False] * 2
    assert patient.state.journal == (steps[0], told_how, steps[2])
    assert all(journal.found(root, host, it) for it in (steps[1], told_how))
    with pytest.raises(ZeroDivisionError), journal.noted(root, host, steps[1]):
        raise ZeroDivisionError
    assert len(patient.state.journal) == 3, "what a predecessor did is not forgotten"
    another = replace(steps[1], destination="/elsewhere")
    with suppress(ZeroDivisionError), journal.noted(root, host, another):
        assert journal.found(root, host, another)
        raise ZeroDivisionError
    assert not journal.found(root, host, another), "what was not done is no step"
    assert journal.note(root, host, steps[0]), "it is another remedy's again"


async def test_what_cannot_be_remembered_is_said(told, tmp_path):
    patient = told(with_copies(GOES_WELL), goes_wrong(LASTING))
    found = await patient.sync()
    blocked = tmp_path / "blocked"
    blocked.write_text("")
    patient.host = replace(patient.host, state=blocked)
    with pytest.raises(DoctorError) as raised:
        await patient.apply(found, RemedyKind.RETRY_COPY)
    assert (
        raised.value.message == f"what was done cannot be remembered: `{blocked}` cannot be written (Not a directory)"
    )
    assert raised.value.hint == "check the permissions of that directory; the next run will not know of this one"


# --- the last failure -----------------------------------------------------------------------


async def test_the_last_failure_is_remembered_until_a_run_goes_well(told, fake_uv):
    patient = told(goes_wrong(LASTING))
    await patient.sync()
    assert codes(await patient.check()) == ["link-failed"]

    unrelated = fake_uv(goes_wrong(UNRELATED))
    patient.options = replace(patient.options, uv_path=str(unrelated.path))
    assert codes(await patient.sync()) == ["sync-failed"]
    assert codes(await patient.check()) == ["link-failed"], "it is still so: certifi is not there"

    patient.options = replace(patient.options, uv_path=str(fake_uv().path))
    assert (await patient.sync()).findings == ()
    assert patient.state.last_failure is None
    assert (await patient.check()).findings == ()
