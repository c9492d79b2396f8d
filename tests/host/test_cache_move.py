import os
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from hashlib import sha256
from itertools import count
from pathlib import Path

import pytest
from kit.cloud import MountCloud
from kit.large_cache import large_cache
from kit.mounts import BindMount, LoopMount
from kit.privileges import WITHOUT_PRIVILEGES
from kit.projects import MakeProject, UvProject
from kit.refusing import RefusingFolder, refusing_mounted
from kit.uv_versions import uv_binary

from uv_link_doctor.host import cache_move
from uv_link_doctor.host.cache_environments import names_that_break
from uv_link_doctor.host.cache_lock import cache_lock
from uv_link_doctor.host.cache_move import MoveError, Step, move, undo_move

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the mounts and uv's file locks are Linux's")

VERSIONS = ["0.4.18", "newest"]
"""The former makes absolute links in its cache and knows no lock on it."""


@pytest.fixture
def filled(project: MakeProject) -> UvProject:
    """A project whose cache both versions of uv have filled."""
    made = project("httpx")
    for version in VERSIONS:
        assert made.run(uv_binary(version), "sync", "--reinstall").returncode == 0
    return made


@pytest.fixture
def refusing(tmp_path: Path) -> Iterator[RefusingFolder]:
    with refusing_mounted(tmp_path / "refusing") as folder:
        yield folder


def cache_of(made: UvProject) -> Path:
    return Path(made.environ["UV_CACHE_DIR"])


def contents(cache: Path) -> dict[str, object]:
    """All that is in a cache: contents, modes and times of files, and where links lead within it."""
    found: dict[str, object] = {}
    for folder, folders, files in os.walk(cache):
        for name in (*folders, *files):
            path = Path(folder, name)
            inner = str(path.relative_to(cache))
            if path.is_symlink():
                leads_to = os.path.relpath(os.path.realpath(path), os.path.realpath(cache))
                found[inner] = leads_to, path.exists()
            elif path.is_file() and not inner.startswith((".lock", ".uv-link-doctor-")):
                about = path.stat()
                digest = sha256(path.read_bytes()).hexdigest()
                found[inner] = digest, stat.S_IMODE(about.st_mode), about.st_mtime_ns
            elif path.is_dir():
                found[inner] = stat.S_IMODE(path.stat().st_mode)
    return found


def serves(made: UvProject, cache: Path) -> None:
    """Both versions of uv install from this cache, offline, all of every package."""
    there = UvProject(made.root, made.environ | {"UV_CACHE_DIR": str(cache)})
    for version in VERSIONS:
        shutil.rmtree(there.environment, ignore_errors=True)
        run = there.run(uv_binary(version), "sync", "--offline")
        assert run.returncode == 0, run.stderr
        assert there.missing_files() == {}
        assert there.imports("httpx")


def strays(*folders: Path) -> list[str]:
    return [it.name for folder in folders for it in folder.iterdir() if it.name.startswith(".uv-link-doctor-")]


def is_linked(made: UvProject) -> bool:
    return (made.site_packages / "certifi" / "core.py").stat().st_nlink > 1


@pytest.fixture(params=["tmpfs", "xfs", "btrfs"])
def elsewhere(request: pytest.FixtureRequest) -> Path:
    if request.param == "tmpfs":
        return request.getfixturevalue("other_filesystem")
    mount: LoopMount = request.getfixturevalue("loop_mount")
    return mount(request.param)


def test_within_a_file_system_the_old_path_leads_to_the_moved_cache(filled: UvProject, tmp_path: Path):
    cache, destination = cache_of(filled), tmp_path / "new" / "uv"
    before, inode = contents(cache), cache.stat().st_ino

    moved = move(cache, destination)

    assert (moved.how, moved.old) == ("renamed", "linked")
    assert cache.readlink() == destination
    assert destination.stat().st_ino == inode
    assert contents(destination) == before
    cache.unlink()
    assert contents(destination) == before  # No link needs the old path.
    assert moved.relinked == 3
    serves(filled, destination)
    assert is_linked(filled)


def test_without_a_link_nothing_is_left_at_the_old_path(filled: UvProject, tmp_path: Path):
    moved = move(cache_of(filled), tmp_path / "new", leave_link=False)
    assert moved.old == "gone"
    assert not os.path.lexists(cache_of(filled))
    serves(filled, tmp_path / "new")


@pytest.mark.parametrize("exchanges", [True, False])
def test_undo_of_a_rename(filled: UvProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, exchanges: bool):
    if not exchanges:
        monkeypatch.setattr(cache_move, "exchange", lambda *_: False)
    cache, destination = cache_of(filled), tmp_path / "new" / "uv"
    before = contents(cache)
    moved = move(cache, destination)
    undo_move(moved)
    assert not os.path.lexists(destination)
    assert not cache.is_symlink()
    assert contents(cache) == before
    undo_move(moved)
    serves(filled, cache)


def test_what_a_killed_one_left_is_known_by_any_path(tmp_path: Path):
    cache = large_cache(tmp_path / "cache", 300)
    (tmp_path / "disk").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "uv").symlink_to(tmp_path / "disk" / "uv")
    assert not cache_move.is_taken(tmp_path / "link" / "uv", cache)
    assert move(cache, tmp_path / "link" / "uv").destination == tmp_path / "disk" / "uv"


def test_an_undo_that_was_killed_at_the_last_leaves_no_link_to_itself(tmp_path: Path):
    moved = move(large_cache(tmp_path / "cache", 300), tmp_path / "uv")
    undo_move(moved)
    moved.destination.symlink_to(moved.destination)
    undo_move(moved)
    assert [it.name for it in tmp_path.iterdir()] == ["cache"]


def test_where_the_file_system_takes_no_notice_of_the_flag_to_exchange(cloud_folder: MountCloud, project: MakeProject):
    """As many FUSE servers do: it refuses a plain rename of the cache over the link."""
    folder = cloud_folder()
    made = project("httpx", root=folder.outside / "project", cache=folder.cache)
    assert made.run(uv_binary("newest"), "sync").returncode == 0
    before = contents(folder.cache)
    moved = move(folder.cache, folder.root / "new")
    assert (moved.how, moved.old) == ("renamed", "linked")
    assert folder.cache.is_symlink()
    assert contents(folder.root / "new") == before
    undo_move(moved)
    assert not folder.cache.is_symlink()
    assert contents(folder.cache) == before


def test_to_another_file_system(filled: UvProject, elsewhere: Path):
    cache, destination = cache_of(filled), elsewhere / "new" / "uv"
    for name in ("one", "two"):
        os.link(cache / "CACHEDIR.TAG", cache / name)
    (cache / ".tmpKilled").mkdir()
    (cache / ".gitignore").chmod(0o640)
    destination.mkdir(parents=True)
    steps: list[Step] = []

    moved = move(cache, destination, on_step=steps.append)

    assert (moved.how, moved.old, moved.relinked) == ("copied", "kept", 3)
    assert not (destination / ".tmpKilled").exists()
    (cache / ".tmpKilled").rmdir()
    assert contents(destination) == contents(cache)
    assert len({(destination / name).stat().st_ino for name in ("one", "two", "CACHEDIR.TAG")}) == 1
    assert not any(it.readlink().is_absolute() for it in destination.rglob("*") if it.is_symlink())
    assert {it.phase for it in steps} <= {"weighing", "copying", "writing", "checking", "switching"}
    assert strays(elsewhere, destination.parent, cache.parent) == []
    serves(filled, cache)
    serves(filled, destination)
    undo_move(moved)
    assert not destination.exists()
    assert strays(destination.parent) == []
    serves(filled, cache)


def test_links_work_from_the_new_place(filled: UvProject, other_filesystem: Path):
    destination = other_filesystem / "uv"
    move(cache_of(filled), destination)
    serves(UvProject(shutil.copytree(filled.root, other_filesystem / "project"), filled.environ), destination)
    there = UvProject(other_filesystem / "project", filled.environ)
    assert is_linked(there)


def test_the_old_cache_gives_way_to_a_link_and_comes_back(filled: UvProject, other_filesystem: Path):
    cache, destination = cache_of(filled), other_filesystem / "uv"
    before = contents(cache)
    moved = move(cache, destination, remove_old=True)
    assert moved.old == "linked"
    assert cache.readlink() == destination
    assert contents(destination) == before
    serves(filled, cache)
    before = contents(destination)
    undo_move(moved)
    assert not cache.is_symlink()
    assert contents(cache) == before
    assert not os.path.lexists(destination)
    assert strays(cache.parent, other_filesystem) == []


def test_two_mounts_of_one_file_system(filled: UvProject, tmp_path: Path, bind_mount: BindMount):
    (tmp_path / "space").mkdir()
    destination = bind_mount(tmp_path / "space") / "uv"
    assert move(cache_of(filled), destination).how == "copied"
    assert contents(destination) == contents(cache_of(filled))


@pytest.mark.parametrize(
    ("name", "number"), [("cache/inside", 22), ("full", 17), ("cache", 17)], ids=["in the cache", "occupied", "itself"]
)
def test_bad_destinations(filled: UvProject, tmp_path: Path, name: str, number: int):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    before = contents(cache_of(filled))
    with pytest.raises(MoveError) as caught:
        move(cache_of(filled), tmp_path / name)
    assert caught.value.os_error in {number, 22}
    assert contents(cache_of(filled)) == before


def test_a_mount_point_takes_no_other_name(tmp_path: Path, bind_mount: BindMount):
    cache = large_cache(tmp_path / "cache", 300)
    (tmp_path / "disk").mkdir()
    place = bind_mount(tmp_path / "disk")
    steps: list[Step] = []
    with pytest.raises(MoveError, match="a file system is mounted there") as caught:
        move(cache, place, on_step=steps.append)
    assert (caught.value.os_error, steps) == (16, []), "before anything was copied"
    move(cache, place / "uv")


# --- Killed ---------------------------------------------------------------------------------------------------------

CHILD = """
import sys
from pathlib import Path
from uv_link_doctor.host import cache_move

phases = []

def told(step):
    if sys.argv[3] == "keep" or step.phase not in phases[-1:]:
        phases.append(step.phase)
        print(step.phase, flush=True)
        sys.stdin.readline()

if sys.argv[4] == "plain":
    cache_move.exchange = lambda *_: False
cache_move.move(Path(sys.argv[1]), Path(sys.argv[2]), remove_old=sys.argv[3] == "remove", on_step=told)
"""


def killed_at_each_step(cache: Path, destination: Path, *arguments: str) -> Iterator[str]:
    """Starts the move again and again and kills each at the step after the last one's, until one comes to its end."""
    for number in count():
        child = subprocess.Popen(
            [sys.executable, "-c", CHILD, cache, destination, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdin
        assert child.stdout
        for _ in range(number):
            child.stdout.readline()
            child.stdin.write("\n")
            child.stdin.flush()
        phase = child.stdout.readline().strip()
        if phase:
            child.kill()
        child.communicate()
        if not phase:
            assert child.returncode == 0
            return
        yield phase


@pytest.mark.parametrize(
    ("kind", "exchange"),
    [("rename", "exchange"), ("rename", "plain"), ("keep", "exchange"), ("remove", "exchange"), ("remove", "plain")],
)
def test_a_kill_at_any_step_leaves_whole_caches_and_a_second_call_finishes(
    filled: UvProject, tmp_path: Path, other_filesystem: Path, kind: str, exchange: str
):
    cache = cache_of(filled)
    destination = (tmp_path if kind == "rename" else other_filesystem) / "uv"
    shutil.copytree(cache, tmp_path / "original", symlinks=True)
    before = contents(cache)
    phases = set()
    for phase in killed_at_each_step(cache, destination, kind, exchange):
        phases.add(phase)
        assert contents(cache) == before
        assert not destination.is_dir() or contents(destination) == before
        if phase not in {"copying", "checking"}:
            serves(filled, cache)
        before_second = contents(cache)
        moved = move(cache, destination, remove_old=kind == "remove")
        assert contents(destination) == before_second
        assert moved.old == ("kept" if kind == "keep" else "linked")
        assert strays(cache.parent, destination.parent) == []
        undo_move(moved)
        assert not os.path.lexists(destination)
        before = contents(cache)
    expected = {"switching", "relinking"}
    if kind != "rename":
        expected = {"weighing", "copying", "writing", "checking", "switching"}
        expected |= {"removing"} if kind == "remove" else set()
    assert phases == expected
    serves(filled, cache)


def test_what_a_dead_predecessor_copied_is_compared_and_used(tmp_path: Path, other_filesystem: Path):
    cache = large_cache(tmp_path / "cache", 600)
    destination = other_filesystem / "uv"
    steps = killed_at_each_step(cache, destination, "keep", "exchange")
    while next(steps) != "checking":
        pass
    (left,) = strays(other_filesystem)
    copied = other_filesystem / left / "cache"
    files = sorted(it for it in copied.rglob("*.py") if it.stat().st_size)
    about = files[0].stat()
    files[0].write_bytes(b"?" * about.st_size)
    os.utime(files[0], ns=(about.st_atime_ns, about.st_mtime_ns))
    inodes = {it.stat().st_ino for it in files[1:]}
    move(cache, destination)
    assert contents(destination) == contents(cache)
    assert inodes <= {it.stat().st_ino for it in destination.rglob("*.py")}


def test_what_a_living_one_is_at_is_left_alone(tmp_path: Path, other_filesystem: Path):
    cache = large_cache(tmp_path / "cache", 300)
    seen: list[Step] = []

    def second(step: Step) -> None:
        if step.phase == "copying" and not seen:
            with pytest.raises(MoveError, match="at work"):
                move(cache, other_filesystem / "two", seconds=0)
            seen.append(step)

    move(cache, other_filesystem / "one", on_step=second)
    assert seen
    assert contents(other_filesystem / "one") == contents(cache)
    assert strays(other_filesystem) == []


# --- Failures -------------------------------------------------------------------------------------------------------


def fails(cache: Path, destination: Path, *, on_step: Callable[[Step], None] | None = None) -> MoveError:
    before = contents(cache)
    with pytest.raises(MoveError) as caught:
        move(cache, destination, on_step=on_step)
    assert contents(cache) == before
    assert not os.path.lexists(destination)
    return caught.value


def test_too_little_space_is_said_before_anything_is_copied(tmp_path: Path, loop_mount: LoopMount):
    cache = large_cache(tmp_path / "cache", 2_000)
    target = loop_mount("ext4")
    steps: list[Step] = []
    error = fails(cache, target / "a" / "uv", on_step=steps.append)
    assert error.os_error == 28
    assert "bytes there, and" in str(error)
    assert [it.phase for it in steps] == ["weighing"]
    assert strays(target) == []
    assert not (target / "a").exists()


def test_a_disk_that_fills_up_meanwhile(tmp_path: Path, loop_mount: LoopMount):
    cache = large_cache(tmp_path / "cache", 700)
    target = loop_mount("ext4")

    def fill(step: Step) -> None:
        if step.phase == "copying" and not step.files:
            with (target / "other").open("wb") as file:
                left = os.statvfs(target)
                os.posix_fallocate(file.fileno(), 0, (left.f_bavail - 500) * left.f_frsize)

    assert fails(cache, target / "uv", on_step=fill).os_error == 28
    assert strays(target) == []


def test_a_read_only_target(tmp_path: Path, bind_mount: BindMount):
    (tmp_path / "space").mkdir()
    target = bind_mount(tmp_path / "space", read_only=True)
    assert fails(large_cache(tmp_path / "cache", 10), target / "uv").os_error == 30


def test_a_target_that_is_unmounted_meanwhile(tmp_path: Path, loop_mount: LoopMount):
    cache = large_cache(tmp_path / "cache", 700)
    target = loop_mount("ext4")

    def unmount(step: Step) -> None:
        if step.phase == "copying" and not step.files:
            subprocess.run(["umount", "-l", target], check=True)

    assert fails(cache, target / "uv", on_step=unmount).os_error == 2
    assert list(target.iterdir()) == []


def test_permission_that_is_lost_meanwhile(tmp_path: Path, loop_mount: LoopMount):
    cache = large_cache(tmp_path / "cache", 300)
    target = loop_mount("ext4")

    def forbid(step: Step) -> None:
        if step.phase == "switching":
            subprocess.run(["chattr", "+i", target], check=True)

    try:
        assert fails(cache, target / "uv", on_step=forbid).os_error == 1
    finally:
        subprocess.run(["chattr", "-i", target], check=True)
    move(cache, target / "uv")
    assert strays(target) == []


def test_a_file_that_may_not_be_read(tmp_path: Path, other_filesystem: Path):
    cache = large_cache(tmp_path / "cache", 10)
    forbidden = next(cache.rglob("METADATA"))
    forbidden.chmod(0)
    places = [str(cache), str(other_filesystem / "uv")]
    command = [*WITHOUT_PRIVILEGES, sys.executable, "-c", CHILD, *places, "keep", "exchange"]
    run = subprocess.run(command, capture_output=True, input="\n" * 99, text=True, check=False)
    assert "Permission denied" in run.stderr
    assert list(other_filesystem.iterdir()) == []


def test_of_directories_that_nobody_may_write_to_nothing_is_left(tmp_path: Path, other_filesystem: Path):
    """As builds and people leave them: a copy that was stopped goes, and so does one that is taken back."""
    cache = large_cache(tmp_path / "cache", 300)
    for folder in [*(cache / "archive-v0").iterdir()]:
        folder.chmod(0o555)
    places = [str(cache), str(other_filesystem / "uv")]
    run = subprocess.run([*WITHOUT_PRIVILEGES, sys.executable, "-c", TAKEN_BACK, *places], text=True, check=False)
    assert run.returncode == 0
    assert list(other_filesystem.iterdir()) == []


TAKEN_BACK = """
import sys
from contextlib import suppress
from pathlib import Path
from uv_link_doctor.host.cache_move import MoveError, move, undo_move
cache, destination = map(Path, sys.argv[1:])
steps = []
with suppress(MoveError):
    move(cache, destination, on_step=steps.append, stop=lambda: any(it.phase == "writing" for it in steps))
assert [it.phase for it in steps][-1] != "switching"
undo_move(move(cache, destination))
"""


@pytest.mark.parametrize("place", ["same", "other"])
def test_told_to_stop(tmp_path: Path, other_filesystem: Path, place: str):
    cache = large_cache(tmp_path / "cache", 300)
    target = tmp_path / "new" if place == "same" else other_filesystem
    with cache_lock(cache, exclusive=place == "other", seconds=0):
        steps: list[Step] = []
        with pytest.raises(MoveError, match=r"stopped|at work"):
            move(cache, target / "uv", stop=lambda: bool(steps), on_step=steps.append)
    assert [it.phase for it in steps] == ["waiting"]
    assert not (target / "uv").exists()


# --- Not alone ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["rename", "keep", "remove"])
def test_ten_installs_in_a_loop_meanwhile(
    filled: UvProject, project: MakeProject, tmp_path: Path, other_filesystem: Path, kind: str
):
    cache = cache_of(filled)
    large_cache(cache, 700)
    before = contents(cache)
    destination = (tmp_path if kind == "rename" else other_filesystem) / "uv"
    others = [project("httpx", root=tmp_path / f"project{number}") for number in range(10)]
    uv = uv_binary("newest")
    begun, ended = threading.Barrier(11), threading.Event()
    failed: list[str] = []
    runs: list[int] = []

    def install(one: UvProject) -> None:
        number = 0
        while number < 2 or not ended.is_set():
            run = one.run(uv, "sync", "--offline", "--reinstall")
            if run.returncode or one.missing_files():
                failed.append(run.stderr)
            if not number:
                begun.wait()
            number += 1
        failed.extend(() if one.run(uv, "sync", "--offline", "--reinstall").returncode == 0 else ["last"])
        runs.append(number)

    threads = [threading.Thread(target=install, args=(it,)) for it in others]
    for thread in threads:
        thread.start()
    begun.wait()
    try:
        move(cache, destination, remove_old=kind == "remove")
    finally:
        ended.set()
        for thread in threads:
            thread.join()

    assert failed == []
    assert {name: it for name, it in contents(destination).items() if name in before} == before
    assert cache.is_symlink() == (kind != "keep")
    site = {it.name: it for it in (filled.site_packages / "certifi").iterdir() if it.is_file()}
    for one in others:
        for name, file in site.items():
            assert (one.site_packages / "certifi" / name).read_bytes() == file.read_bytes()
    assert strays(cache.parent, destination.parent, destination) == []


def test_what_uv_makes_and_removes_meanwhile_is_no_obstacle(tmp_path: Path, other_filesystem: Path):
    """uv fills directories of its own at the cache's top, and writes each small file beside its place."""
    cache = large_cache(tmp_path / "cache", 300)
    for number in range(400):
        (cache / "wheels-v5" / "pypi" / f"p{number}").mkdir(parents=True)
    with subprocess.Popen([sys.executable, "-c", WRITES, cache]) as uv:
        try:
            for number in range(15):
                move(cache, other_filesystem / f"uv{number}")
        finally:
            uv.kill()


WRITES = """
import fcntl, os, sys, time
from itertools import count
from pathlib import Path

cache = Path(sys.argv[1])
for number in count():
    time.sleep(0.01)
    with open(cache / ".lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_SH)
        for place in range(40):
            folder = cache / "wheels-v5" / "pypi" / f"p{(number * 40 + place) % 400}"
            (folder / ".tmpX").touch()
            os.replace(folder / ".tmpX", folder / "simple.http")
            temporary = cache / f".tmp{place}"
            temporary.mkdir()
            (temporary / "file").touch()
            (temporary / "file").unlink()
            temporary.rmdir()
"""


def test_without_hard_links_uv_is_waited_for_too(refusing: RefusingFolder):
    cache = large_cache(refusing.cache / "uv", 300)
    refusing.refuse(1, ("link", "*"))
    with ExitStack() as stack:
        stack.enter_context(cache_lock(cache, exclusive=False, seconds=0))
        threading.Timer(2, stack.pop_all().close).start()
        steps: list[Step] = []
        assert move(cache, cache.with_name("new"), seconds=20, on_step=steps.append).how == "renamed"
    assert steps[0].phase == "waiting"
    assert strays(cache.with_name("new")) == []


def test_a_uv_that_has_the_cache_all_the_time_is_waited_for_only_so_long(filled: UvProject, tmp_path: Path):
    cache = cache_of(filled)
    lock = (cache / ".lock").stat().st_ino
    with cache_lock(cache, exclusive=False, seconds=0):
        with pytest.raises(MoveError, match="at work"):
            move(cache, tmp_path / "uv", seconds=1.2)
        assert (cache / ".lock").stat().st_ino == lock
        assert strays(cache) == []
    move(cache, tmp_path / "uv")


# --- What breaks -------------------------------------------------------------------------------


def test_names_that_break(filled: UvProject, tmp_path: Path):
    cache, uv = cache_of(filled), uv_binary("newest")
    script = tmp_path / "script.py"
    script.write_text('# /// script\n# dependencies = ["idna"]\n# ///\nimport idna\n')
    assert filled.run(uv, "run", script).returncode == 0
    assert filled.run(uv, "run", "--no-project", "--with", "idna", "python", "-c", "").returncode == 0
    assert names_that_break(cache, [filled.environment]) == names_that_break(cache)
    found = [str(it.path.relative_to(cache)) for it in names_that_break(cache)]
    assert [it.partition("/")[0] for it in found] == ["environments-v2", "archive-v0"]
    assert filled.run(uv, "sync", "--reinstall", "--link-mode=symlink").returncode == 0
    assert [it.path for it in names_that_break(cache, [filled.environment]) if it.why == "linked"] == [
        filled.environment
    ]
