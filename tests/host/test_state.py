"""What is remembered survives a round trip, a kill at any point, and whatever else lies in its file."""

import json
import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from kit.privileges import WITHOUT_PRIVILEGES

from uv_link_doctor.engine.model import DoctorError, Span, TextEdit, Transcript
from uv_link_doctor.host import edit, read_text, state
from uv_link_doctor.host.state import ProjectState, Step, change, clear_unfinished, load, save, write_atomically

ROOT = Path("/home/ana/app")
SAID = Transcript(command=("uv", "sync"), exit_code=2, stdout="", stderr="error: é😀 \ufffd\n", seconds=0.25)
STATES = {
    "copies": ProjectState(root=str(ROOT), copy_because="cloud-sync", journal=(Step(kind="retry-copy"),)),
    "a failure": ProjectState(root=str(ROOT), last_failure=SAID),
    "a failure, and a run that went well over it": ProjectState(root=str(ROOT), last_failure=SAID, ended_well=True),
    "incomplete packages": ProjectState(root=str(ROOT), incomplete=("certifi", "idna")),
    "a failure without an end": ProjectState(root=str(ROOT), last_failure=replace(SAID, exit_code=None, seconds=0)),
    "changes": ProjectState(
        root=str(ROOT),
        journal=(Step(kind="set-link-mode", path="/home/ana/app/uv.toml", before="", after="é\r\n"), Step(kind="x")),
    ),
}


@pytest.fixture
def directory(tmp_path) -> Path:
    return Path(tmp_path, "state")


def only_file(directory: Path) -> Path:
    (path,) = (path for path in directory.rglob("*") if path.is_file() and path.name != ".lock")
    return path


@pytest.mark.parametrize("remembered", STATES.values(), ids=STATES)
def test_round_trip(remembered, directory):
    save(directory, remembered)
    assert load(directory, ROOT) == remembered
    assert load(directory, Path("/home/ana/other")) == ProjectState(root="/home/ana/other")


def test_projects_of_any_name_keep_apart(directory):
    roots = [Path("/a"), Path("/a/b"), Path("/a b"), Path("/A"), Path("/ä"), Path(os.fsdecode(b"/\xff"))]
    for root in roots:
        save(directory, ProjectState(root=str(root), copy_because=f"because of {root!r}"))
    assert [load(directory, root).copy_because for root in roots] == [f"because of {root!r}" for root in roots]


def test_what_holds_nothing_any_more_is_removed(directory):
    save(directory, STATES["copies"])
    save(directory, ProjectState(root=str(ROOT)))
    assert [path for path in directory.rglob("*") if path.is_file()] == []
    save(directory, ProjectState(root=str(ROOT)))


def test_of_a_long_failure_the_end_is_kept_and_its_stdout_is_not(directory):
    long = replace(SAID, stdout="{}", stderr="x" * 1_000_000 + "error: the end")
    save(directory, ProjectState(root=str(ROOT), last_failure=long))
    kept = load(directory, ROOT).last_failure
    assert kept is not None
    assert kept.stdout == ""
    assert kept.stderr.endswith("xerror: the end")
    assert len(kept.stderr) == 65536
    assert only_file(directory).stat().st_size < 100_000


def test_nobody_else_may_read_it(directory):
    save(directory, STATES["copies"])
    assert stat.S_IMODE(only_file(directory).stat().st_mode) == 0o600


# --- what is none of ours -------------------------------------------------------------------

GARBAGE = {
    "nothing": b"",
    "cut off": b'{"root": "/home/ana/app", "copy_because": "clo',
    "not text": b"\xff\xfe\x00",
    "another document": b"[]",
    "a text": b'"text"',
    "nested deeply": b"[" * 100_000,
}
ODD_VALUES: dict[str, object] = {
    "root": "/home/ana/other",
    "copy_because": 5,
    "last_failure": "error",
    "journal": {},
    "journal.0": "retry-copy",
    "journal.0.kind": None,
    "journal.0.path": 1,
    "last_failure.command": "uv sync",
    "last_failure.exit_code": "2",
    "last_failure.stderr": None,
    "last_failure.seconds": "soon",
}


@pytest.mark.parametrize("content", GARBAGE.values(), ids=GARBAGE)
def test_garbage_counts_as_none(content, directory):
    save(directory, STATES["copies"])
    only_file(directory).write_bytes(content)
    assert load(directory, ROOT) == ProjectState(root=str(ROOT))
    save(directory, STATES["copies"])
    assert load(directory, ROOT) == STATES["copies"]


@pytest.mark.parametrize(("place", "value"), ODD_VALUES.items(), ids=ODD_VALUES)
def test_what_we_would_not_write_counts_as_none(place, value, directory):
    save(directory, replace(STATES["copies"], last_failure=SAID))
    data = json.loads(only_file(directory).read_text())
    *steps, last = (int(step) if step.isdigit() else step for step in place.split("."))
    holder = data
    for step in steps:
        holder = holder[step]
    holder[last] = value
    only_file(directory).write_text(json.dumps(data))
    assert load(directory, ROOT) == ProjectState(root=str(ROOT))


def test_a_directory_in_its_place_counts_as_none_and_is_not_overwritten(directory):
    save(directory, STATES["copies"])
    path = only_file(directory)
    path.unlink()
    path.mkdir()
    assert load(directory, ROOT) == ProjectState(root=str(ROOT))
    with pytest.raises(OSError, match="directory"):
        save(directory, STATES["copies"])
    assert list(path.parent.iterdir()) == [path]


CHANGES = """
import sys
from dataclasses import replace
from pathlib import Path
from uv_link_doctor.host.state import Step, change

directory, name = Path(sys.argv[1]), sys.argv[2]
for number in range(40):
    step = Step(kind=f"{name}{number}")
    change(directory, Path("/home/ana/app"), lambda now: replace(now, journal=(*now.journal, step)))
"""


def test_two_processes_lose_nothing_of_each_other(directory):
    command = [sys.executable, "-c", CHANGES, str(directory)]
    with subprocess.Popen([*command, "a"]) as one, subprocess.Popen([*command, "b"]) as other:
        assert (one.wait(), other.wait()) == (0, 0)
    assert sorted(it.kind for it in load(directory, ROOT).journal) == sorted(f"{n}{i}" for n in "ab" for i in range(40))


def test_what_we_may_not_read_is_not_written_anew(directory):
    """As somebody leaves it who has once called us with `sudo`."""
    save(directory, STATES["changes"])
    only_file(directory).chmod(0)
    command = [*WITHOUT_PRIVILEGES, sys.executable, "-c", CHANGES, str(directory), "a"]
    said = subprocess.run(command, capture_output=True, text=True, check=False)
    only_file(directory).chmod(0o600)
    assert "PermissionError" in said.stderr
    assert load(directory, ROOT) == STATES["changes"]


def test_what_killed_writers_left_goes_with_the_next_change(directory):
    save(directory, STATES["copies"])
    left = only_file(directory).with_name(f".{only_file(directory).name}.uv-link-doctor-abc")
    left.touch()
    change(directory, ROOT, lambda now: replace(now, chosen=True))
    assert not left.exists()
    assert load(directory, ROOT) == replace(STATES["copies"], chosen=True)


# --- whole or not at all --------------------------------------------------------------------

KILLED_AT_EVERY_STEP = """
import os, signal, sys
from pathlib import Path
from uv_link_doctor.host import state

path, old, new = Path(sys.argv[1]), b"old" * 50_000, b"new" * 100_000

def write_until(step):
    left = step

    def trace(frame, _, __):
        nonlocal left
        if frame.f_code.co_filename not in {state.__file__, state.tempfile.__file__}:
            return None
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return trace

    sys.settrace(trace)
    state.write_atomically(path, new)
    os._exit(0)

for step in range(1, 1000):
    path.write_bytes(old)
    child = os.fork() or write_until(step)
    _, status = os.waitpid(child, 0)
    print(os.waitstatus_to_exitcode(status), {old: "old", new: "new"}.get(path.read_bytes(), "torn"))
    if status == 0:
        break
"""


def test_a_kill_at_any_step_leaves_the_old_or_the_new(tmp_path):
    """Each child dies before another line of the writing, or when a call returns, until one comes to the end."""
    command = [sys.executable, "-c", KILLED_AT_EVERY_STEP, tmp_path / "file"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    *killed, last = said
    olds, news = killed.count("-9 old"), killed.count("-9 new")
    assert killed == ["-9 old"] * olds + ["-9 new"] * news
    assert last == "0 new"
    assert min(olds, news) > 0
    assert len(killed) > 20

    assert len(list(tmp_path.iterdir())) > 1
    for others in ("file.bak", ".file.bak"):
        (tmp_path / others).touch()
    clear_unfinished(tmp_path / "file")
    assert {it.name for it in tmp_path.iterdir()} == {"file", "file.bak", ".file.bak"}


def test_an_interrupt_leaves_no_temporary_file(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def interrupted(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_atomically(path, b"new")
    assert [it.name for it in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"old"


def test_a_link_stays_a_link_and_its_target_is_replaced(tmp_path):
    target = tmp_path / "dotfiles" / "uv.toml"
    target.parent.mkdir()
    target.write_bytes(b"old")
    link = tmp_path / "uv.toml"
    link.symlink_to("dotfiles/uv.toml")
    write_atomically(link, b"new")
    assert (link.readlink(), target.read_bytes()) == (Path("dotfiles/uv.toml"), b"new")
    assert sorted(it.name for it in (*tmp_path.iterdir(), *target.parent.iterdir())) == ["dotfiles", *["uv.toml"] * 2]


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o664, 0o755, 0o400])
def test_the_mode_is_kept(mode, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(mode)
    write_atomically(path, b"new")
    assert (stat.S_IMODE(path.stat().st_mode), path.read_bytes()) == (mode, b"new")


def test_an_owner_keeps_what_somebody_else_has_edited(tmp_path):
    if os.geteuid():
        pytest.skip("only root may write for others")
    path = tmp_path / "pyproject.toml"
    path.write_bytes(b"old")
    os.chown(path, 1000, 1001)
    write_atomically(path, b"new")
    assert (path.stat().st_uid, path.stat().st_gid) == (1000, 1001)


async def test_a_new_file_is_for_everyone_whom_the_umask_lets_in(tmp_path):
    before = os.umask(0o027)
    try:
        assert await edit(tmp_path / "uv.toml", TextEdit(Span(0, 0), "link-mode = 'copy'\n"))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "uv.toml").stat().st_mode) == 0o640


UNPRIVILEGED = """
import sys
from pathlib import Path
from uv_link_doctor.host.state import ProjectState, load, save
directory = Path(sys.argv[1])
try:
    save(directory, ProjectState(root="/r", copy_because="cloud-sync"))
except OSError as error:
    print(error.strerror)
print(load(directory, Path("/r")).copy_because)
"""


@pytest.mark.parametrize("existing", [False, True], ids=["nothing is there", "an older one is there"])
def test_a_directory_that_may_not_be_written_raises_and_keeps_what_is_there(existing, directory):
    if existing:
        save(directory, ProjectState(root="/r", copy_because="permission"))
    else:
        (directory / "projects").mkdir(parents=True)
    (directory / "projects").chmod(0o555)
    try:
        command = [*WITHOUT_PRIVILEGES, sys.executable, "-c", UNPRIVILEGED, str(directory)]
        said = subprocess.run(command, capture_output=True, text=True, check=True)
    finally:
        (directory / "projects").chmod(0o755)
    assert said.stdout.splitlines() == ["Permission denied", "permission" if existing else "None"]


def test_the_state_lies_in_the_users_own_place(monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", "/home/ana/.state")
    assert state.state_directory() == Path("/home/ana/.state/uv-link-doctor")


def test_without_a_home_it_says_so(monkeypatch):
    def unknown(*_: object, **__: object) -> Path:
        raise RuntimeError

    for answer in (unknown, lambda *_, **__: Path("~/.local/state/uv-link-doctor")):
        monkeypatch.setattr("platformdirs.user_state_path", answer)
        with pytest.raises(DoctorError) as raised:
            state.state_directory()
        assert raised.value.message == "it is not known where your home directory is"


# --- reading and editing on this machine ----------------------------------------------------


async def test_an_edit_changes_its_span_alone(tmp_path):
    path = tmp_path / "pyproject.toml"
    path.write_bytes("\ufeffé😀 = 1\r\nb = 2\r\n".encode())
    path.chmod(0o640)
    text = read_text(path)
    assert text == "\ufeffé😀 = 1\r\nb = 2\r\n"
    at = text.index("2")
    assert await edit(path, TextEdit(Span(at, at + 1), "'x'"))
    assert path.read_bytes() == "\ufeffé😀 = 1\r\nb = 'x'\r\n".encode()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_what_is_not_there_has_no_text(tmp_path):
    (tmp_path / "file").write_text("")
    assert read_text(tmp_path / "missing") is None
    assert read_text(tmp_path / "file" / "below") is None
    assert read_text(tmp_path / "file") == ""


def test_what_is_no_text_is_said_in_a_sentence(tmp_path):
    (tmp_path / "latin").write_bytes(b"name = 'caf\xe9'")
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    for path, message in (
        (tmp_path, f"`{tmp_path}` is a directory"),
        (tmp_path / "latin", f"`{tmp_path}/latin` is not UTF-8 text (byte 11)"),
        (loop, f"`{loop}` cannot be read: Too many levels of symbolic links"),
    ):
        with pytest.raises(DoctorError) as raised:
            read_text(path)
        assert raised.value.message == message
        assert raised.value.hint


async def test_a_file_that_cannot_be_written_is_said_in_a_sentence(tmp_path):
    path = tmp_path / ("n" * 250)
    path.write_text("a")
    with pytest.raises(DoctorError) as raised:
        await edit(path, TextEdit(Span(0, 1), "b"))  # There is no room for a temporary name.
    assert raised.value.message == f"`{path}` cannot be written: File name too long"
    assert path.read_text() == "a"
