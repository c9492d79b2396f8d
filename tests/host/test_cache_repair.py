"""Repairs of a cache that a cloud took over, proved by uv, by RECORD, and by being killed at each step."""

import base64
import csv
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from errno import EACCES, ENOENT, ENOSPC, EROFS
from itertools import count
from pathlib import Path
from threading import Event

import pytest
from kit.cache_work import everything
from kit.cloud import FALLS_BACK, STOPS, CloudFolder
from kit.privileges import WITHOUT_PRIVILEGES
from kit.projects import UvProject

from uv_link_doctor.host import cache_repair
from uv_link_doctor.host.cache_lock import CacheBusyError, cache_lock
from uv_link_doctor.host.cache_repair import Did, Step, repair
from uv_link_doctor.host.cache_scan import Trouble, scan

STAGED = ".uv-link-doctor-*"


def cache(example: UvProject) -> Path:
    return Path(example.environ["UV_CACHE_DIR"])


def altered(site: Path) -> list[str]:
    """The files below that are missing or have another hash than a RECORD there says."""
    wrong = []
    for recorded in site.glob("*.dist-info/RECORD"):
        for name, promise, _ in csv.reader(recorded.read_text().splitlines()):
            if promise:
                digest = b""
                with suppress(OSError):
                    digest = hashlib.sha256((site / name).read_bytes()).digest()
                if promise != f"sha256={base64.urlsafe_b64encode(digest).decode().rstrip('=')}":
                    wrong.append(name)
    return wrong


def altered_in(store: Path) -> list[str]:
    return [name for entry in store.glob("archive-v*/*") for name in altered(entry)]


def contents(store: Path) -> dict[str, tuple[bytes, int, int]]:
    """Of every file of the archive: content, mode and time."""
    return {
        str(path.relative_to(store)): (path.read_bytes(), path.stat().st_mode, path.stat().st_mtime_ns)
        for path in store.glob("archive-v*/**/*")
        if path.is_file()
    }


def inodes(store: Path) -> dict[str, int]:
    return {str(it.relative_to(store)): it.stat().st_ino for it in store.glob("archive-v*/**/*") if it.is_file()}


class Spoiled:
    """A project in a synced folder, installed with hard links, and another outside."""

    def __init__(self, folder: CloudFolder, inside: UvProject, outside: UvProject, uv: Path) -> None:
        self.folder = folder
        self.inside = inside
        self.outside = outside
        self.uv = uv
        self.spoil()

    def spoil(self) -> None:
        shutil.rmtree(self.inside.environment, ignore_errors=True)
        assert self.inside.run(self.uv, "sync", "--link-mode", "hardlink").returncode == 0

    def links_outside(self) -> bool:
        """Whether an install there makes hard links, needs nothing but the cache, and is sound."""
        shutil.rmtree(self.outside.environment, ignore_errors=True)
        done = self.outside.run(self.uv, "sync", "--offline", "--link-mode", "hardlink")
        core = self.outside.site_packages / "certifi" / "core.py"
        return done.returncode == 0 and "falling back" not in done.stderr and core.stat().st_nlink > 1


@pytest.fixture
def spoiled(cloud_folder, project, uv_binary):
    """`spoiled(pattern, version)`."""

    def make(pattern: str, version: str = "newest") -> Spoiled:
        folder = cloud_folder(pattern)
        inside = project("httpx", root=folder.synced / "first", cache=folder.cache)
        outside = project("httpx", root=folder.outside / "second", cache=folder.cache)
        return Spoiled(folder, inside, outside, uv_binary(version))

    return make


@pytest.fixture
def filled(uv_binary, project) -> UvProject:
    example = project("httpx")
    assert example.run(uv_binary("newest"), "sync", "--link-mode", "hardlink").returncode == 0
    return example


@pytest.mark.parametrize("version", ["0.4.18", "newest"])
@pytest.mark.parametrize(("pattern", "complete"), [(STOPS, True), (FALLS_BACK, True), (FALLS_BACK, False)])
def test_after_a_repair_uv_links_again_and_both_projects_are_sound(spoiled, version, pattern, complete):
    case = spoiled(pattern, version)
    store = case.folder.cache
    before = contents(store)
    assert not case.links_outside()

    done = repair(store, scan(store, complete=complete).troubled)
    assert (done.damaged, done.left, done.obstacle, done.stopped) == ((), (), None, False)
    assert done.entries == (1 if pattern == STOPS else 3)
    assert done.files >= done.entries
    assert contents(store) == before
    assert not list(store.glob(STAGED))
    assert altered_in(store) == []
    assert scan(store, complete=True).troubled == ()

    assert case.links_outside()
    assert altered(case.outside.site_packages) == []
    assert case.outside.imports("httpx")
    assert case.inside.run(case.uv, "sync", "--offline").returncode == 0
    assert case.inside.imports("httpx")
    assert altered(case.inside.site_packages) == []


def test_what_is_damaged_is_told_and_left_as_it_is(spoiled):
    case = spoiled(FALLS_BACK)
    store = case.folder.cache
    (core,) = store.glob("archive-v0/*/certifi/core.py")
    (lost,) = store.glob("archive-v0/*/idna/core.py")
    (recorded,) = store.glob("archive-v0/*/httpx-*.dist-info/RECORD")
    core.write_bytes(core.read_bytes().swapcase())
    lost.unlink()
    recorded.unlink()
    before = inodes(store)
    troubled = scan(store, complete=True).troubled
    # A file may go between a scan and a repair.
    (idna,) = (it for it in troubled if it.package == "idna" and it.trouble is Trouble.REFUSED)
    done = repair(store, [*troubled, replace(idna, files=("idna/core.py",))])
    damaged = {it.package: it.files for it in done.damaged}
    assert damaged.pop("httpx")[0].endswith("/RECORD")
    assert damaged == {"certifi": ("certifi/core.py",), "idna": ("idna/core.py",)}
    assert {it.trouble for it in done.damaged} == {Trouble.DAMAGED}
    same = {name for name, inode in inodes(store).items() if before[name] == inode}
    assert {name.partition("/")[2].partition("/")[2] for name in same} >= {"certifi/core.py", "httpx/__init__.py"}
    assert done.obstacle is None
    assert done.entries == 2


def test_all_that_a_file_has_comes_along(filled):
    store = cache(filled)
    (core,) = store.glob("archive-v0/*/certifi/core.py")
    (pem,) = store.glob("archive-v0/*/certifi/cacert.pem")
    core.chmod(0o555)
    pem.chmod(0o444)
    os.utime(core, ns=(1, 2))
    if os.geteuid() == 0:
        os.chown(pem, 65534, 65534)
    before, old = contents(store), inodes(store)
    owner = pem.stat().st_uid
    done = repair(store, everything(store))
    assert contents(store) == before
    assert done.files == len(before)
    assert done.size == sum(len(content) for content, *_ in before.values())
    assert not set(old.items()) & set(inodes(store).items())
    assert pem.stat().st_uid == owner


@pytest.mark.skipif(not WITHOUT_PRIVILEGES, reason="only root can make files of others")
def test_a_group_that_shares_a_cache_keeps_its_files(filled):
    store = cache(filled)
    for path in (store, *store.rglob("*")):
        os.chown(path, 1000, 2000, follow_symlinks=False)
        if not path.is_symlink():
            path.chmod(0o770 if path.is_dir() else 0o660)
    member = (*WITHOUT_PRIVILEGES, "--groups=2000")
    with repairing(store, "everything", wrapper=member) as process:
        *_, last = steps(process)
    assert json.loads(last) == [None, []]
    files = [path for path in store.glob("archive-v*/**/*") if path.is_file()]
    assert {path.stat().st_uid for path in files} == {0}, "they are new"
    assert {(path.stat().st_gid, path.stat().st_mode & 0o777) for path in files} == {(2000, 0o660)}


def test_entries_that_uv_has_removed_since_are_no_trouble(filled, uv_binary):
    store = cache(filled)
    troubled = everything(store)
    assert filled.run(uv_binary("newest"), "cache", "clean", "certifi").returncode == 0
    done = repair(store, troubled)
    assert (done.entries, done.damaged, done.left, done.obstacle) == (2, (), (), None)


DRIVER = """
import json, sys
from pathlib import Path
from uv_link_doctor.host import cache_repair, cache_scan
cache_repair._FILES_AT_MOST = 2
def on_step(step):
    print(step.did, flush=True)
    sys.stdin.readline()
cache = Path(sys.argv[1])
troubled = cache_scan.scan(cache, complete=True).troubled
if len(sys.argv) > 2:
    from kit.cache_work import everything
    troubled = everything(cache)
done = cache_repair.repair(cache, troubled, on_step=on_step)
obstacle = done.obstacle and done.obstacle.os_error
print(json.dumps([obstacle, [[it.package, it.files, it.os_error] for it in done.left]]), flush=True)
"""


@contextmanager
def repairing(store: Path, *more: str, wrapper: tuple[str, ...] = ()) -> Iterator[subprocess.Popen[str]]:
    """A repair in another process, which tells each step and waits for a line before the next."""
    command = [*wrapper, sys.executable, "-c", DRIVER, str(store), *more]
    environ = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environ) as process:
        try:
            yield process
        finally:
            process.kill()


def steps(process: subprocess.Popen[str]) -> Iterator[str]:
    """The steps, and at last the answer; the next one is begun when it is asked for."""
    assert process.stdout
    assert process.stdin
    for line in process.stdout:
        yield line.strip()
        with suppress(BrokenPipeError):
            process.stdin.write("\n")
            process.stdin.flush()


def test_killed_at_any_step_uv_works_and_the_next_repair_ends_it(spoiled, tmp_path):
    case = spoiled("*/certifi/*.py")
    store = case.folder.cache
    before = contents(store)
    with repairing(store) as process:
        *all_steps, _ = steps(process)
    batch = [Did.VERIFIED, Did.SYNCED]
    assert all_steps == [
        *(Did.LOCKED, Did.SWEPT, Did.OPENED),
        *(Did.COPIED, Did.COPIED, *batch, Did.REPLACED, Did.REPLACED),
        *(Did.COPIED, *batch, Did.REPLACED),
        Did.CLOSED,
    ]
    for number in range(len(all_steps)):
        case.spoil()
        with repairing(store) as process:
            for step, _ in zip(range(number + 1), steps(process), strict=False):
                if step == number:
                    process.kill()
                    break
        assert contents(store) == before
        target = tmp_path / f"installed-{number}"
        copied = case.outside.run(
            case.uv, "pip", "install", "--offline", "--link-mode=copy", "--target", target, "httpx"
        )
        assert copied.returncode == 0, copied.stderr
        assert altered(target) == []
        assert bool(list(store.glob(STAGED))) == (Did.OPENED in all_steps[: number + 1] and step < len(all_steps) - 1)

        done = repair(store, scan(store, complete=True).troubled)
        assert (done.obstacle, done.left, done.damaged) == (None, (), ())
        assert scan(store, complete=True).troubled == ()
        assert contents(store) == before
        assert not list(store.glob(STAGED))
        assert case.links_outside()


def test_only_what_the_dead_left_is_swept(filled, uv_binary):
    store = cache(filled)
    (store / ".uv-link-doctor-0").mkdir()
    (store / ".uv-link-doctor-1").touch()
    (store / ".uv-link-doctor-2").mkdir()
    for name in ("owner", "0", "1"):
        (store / ".uv-link-doctor-2" / name).touch()
    with repairing(store, "everything") as process:
        for step in steps(process):
            if step == Did.COPIED:
                break
        (living,) = store.glob(STAGED)
        assert repair(store, ()).obstacle is None
        assert list(store.glob(STAGED)) == [living]
        process.kill()
        process.wait()
    assert filled.run(uv_binary("newest"), "cache", "prune").returncode == 0
    assert not list(store.glob(STAGED)), "uv removes it, too"
    assert altered_in(store) == []


@pytest.mark.parametrize("free", [0, 1, 3, 8])
def test_on_a_full_disk_nothing_changes(loop_mount, project, uv_binary, free):
    """With that many blocks left."""
    mount = loop_mount("ext4")
    example = project("httpx", root=mount / "project", cache=mount / "cache")
    assert example.run(uv_binary("newest"), "sync").returncode == 0
    store = cache(example)
    before, old = contents(store), inodes(store)
    with (mount / "filler").open("wb", buffering=0) as filler:
        with suppress(OSError):
            while filler.write(bytes(1024)):
                pass
        os.fsync(filler.fileno())
        filler.truncate(filler.tell() - free * 1024)
        os.fsync(filler.fileno())
    done = repair(store, everything(store))
    assert done.obstacle
    assert done.obstacle.os_error == ENOSPC
    assert (done.files, contents(store), inodes(store)) == (0, before, old)
    assert not list(store.glob(STAGED))
    (mount / "filler").unlink()
    assert repair(store, everything(store)).files == len(before)
    assert contents(store) == before


def test_where_nothing_can_be_written_it_says_so(filled, bind_mount):
    before = inodes(cache(filled))
    mount = bind_mount(cache(filled), read_only=True)
    done = repair(mount, everything(mount))
    assert done.obstacle
    assert done.obstacle.os_error == EROFS
    assert inodes(cache(filled)) == before


def test_a_directory_that_was_closed_meanwhile_keeps_its_files(filled):
    store = cache(filled)
    before, old = contents(store), inodes(store)
    (entry,) = (path.parent for path in store.glob("archive-v0/*/certifi"))
    with repairing(store, "everything", wrapper=(*WITHOUT_PRIVILEGES,)) as process:
        for step in steps(process):
            if step == Did.SYNCED:
                (entry / "certifi").chmod(0o555)
        obstacle, left = json.loads(step)
    (entry / "certifi").chmod(0o755)
    assert obstacle is None
    ((package, files, os_error),) = left
    assert (package, os_error) == ("certifi", EACCES)
    same = {name for name, inode in inodes(store).items() if old[name] == inode}
    assert same == {f"archive-v0/{entry.name}/{name}" for name in files}
    assert contents(store) == before
    assert repair(store, everything(store)).left == ()


def test_a_cache_that_was_closed_meanwhile_ends_it(filled):
    store = cache(filled)
    before = contents(store)
    with repairing(store, "everything", wrapper=(*WITHOUT_PRIVILEGES,)) as process:
        for step in steps(process):
            if step == Did.COPIED:
                next(store.glob(STAGED)).chmod(0o500)
        obstacle, _ = json.loads(step)
    next(store.glob(STAGED)).chmod(0o700)
    assert obstacle == EACCES
    assert contents(store) == before
    assert repair(store, everything(store)).files == len(before)
    assert not list(store.glob(STAGED))


@pytest.mark.parametrize("when", [Did.OPENED, Did.COPIED, Did.SYNCED])
def test_a_disk_that_was_unplugged_meanwhile_is_whole(loop_mount, project, uv_binary, tmp_path, when):
    mount = loop_mount("ext4")
    example = project("httpx", root=tmp_path / "project", cache=mount / "cache")
    assert example.run(uv_binary("newest"), "sync", "--link-mode", "copy").returncode == 0
    store = cache(example)
    before = contents(store)
    found = everything(store)

    def unplug(step: Step) -> None:
        if step.did is when and os.path.ismount(mount):
            subprocess.run(["umount", "-l", mount], check=True)

    done = repair(store, found, on_step=unplug)
    assert done.obstacle
    assert (done.obstacle.os_error, done.files, done.damaged, done.left) == (ENOENT, 0, (), ())
    subprocess.run(["mount", "-o", "loop", mount.parent / "ext4.img", mount], check=True)
    assert contents(store) == before
    assert repair(store, found).files == len(before)
    assert contents(store) == before
    assert not list(store.glob(STAGED))


def test_it_can_be_stopped_and_what_it_has_begun_is_gone(filled):
    store = cache(filled)
    before, old = contents(store), inodes(store)
    answers = iter([False, False, True])
    done = repair(store, everything(store), stop=lambda: next(answers))
    assert (done.stopped, done.files, done.obstacle) == (True, 0, None)
    assert (contents(store), inodes(store)) == (before, old)
    assert not list(store.glob(STAGED))


def test_it_waits_for_who_removes_from_the_cache(filled):
    store = cache(filled)
    troubled = everything(store)
    with cache_lock(store, exclusive=True, seconds=0), pytest.raises(CacheBusyError):
        repair(store, troubled, seconds=0)


def test_a_small_batch_does_what_a_large_one_does(filled, monkeypatch):
    store = cache(filled)
    before = contents(store)
    told: list[Step] = []
    monkeypatch.setattr(cache_repair, "_BYTES_AT_MOST", 1)
    assert repair(store, everything(store), on_step=told.append).files == len(before)
    assert contents(store) == before
    replaced = [step.file for step in told if step.did is Did.REPLACED]
    assert len(replaced) == len(before)
    last = {file.parts[-3]: file.name for file in replaced if file and file.name == "METADATA"}
    assert len(last) == 3
    assert [step.entries for step in told][-1] == told[-1].of == 3
    by_entry = {file.relative_to(store).parts[1]: file.name for file in replaced if file}
    assert set(by_entry.values()) == {"METADATA"}


def test_a_link_that_another_process_is_about_to_make_to_an_old_file_can_be_made(filled, tmp_path):
    """As by a uv that has found the file and not linked it yet: what a name led to is held by a file descriptor."""
    store = cache(filled)
    shutil.rmtree(filled.environment)
    found = {path: os.open(path, os.O_PATH) for path in store.glob("archive-v*/*/certifi/*.py")}
    assert {os.fstat(it).st_nlink for it in found.values()} == {1}
    last = 0.0

    def on_step(step: Step) -> None:
        nonlocal last
        if step.did is Did.REPLACED:
            last = time.monotonic()
            if step.file in found:
                held = found[step.file]  # Named as a directory, so that linkat(2) is called, which follows.
                os.link(f"/proc/self/fd/{held}", tmp_path / step.file.name, src_dir_fd=held)
                (tmp_path / step.file.name).unlink()

    assert repair(store, everything(store), on_step=on_step).files == len(contents(store))
    assert time.monotonic() - last >= 0.29, "a call is given its time"
    assert {os.fstat(it).st_nlink for it in found.values()} == {0}, "nothing is left of them"
    for it in found.values():
        os.close(it)


def test_a_damaged_file_that_nobody_may_write_to_is_not_in_the_way_of_the_next_batch(filled):
    store = cache(filled)
    (damaged,) = store.glob("archive-v*/*/certifi/core.py")
    damaged.write_bytes(damaged.read_bytes()[::-1])
    damaged.chmod(0o444)
    with repairing(store, "everything", wrapper=(*WITHOUT_PRIVILEGES,)) as process:
        *_, last = steps(process)
    obstacle, left = json.loads(last)
    assert (obstacle, left) == (None, [])


def test_ten_uvs_install_during_repairs_and_none_fails(project, uv_binary, other_filesystem):
    """Half of them into new folders, half by syncing a project afresh."""
    uv = uv_binary("newest")
    store = other_filesystem / "cache"
    examples = [project("httpx", root=other_filesystem / f"project{number}", cache=store) for number in range(10)]
    assert examples[0].run(uv, "sync", "--link-mode", "hardlink").returncode == 0

    def install(number: int) -> list[str]:
        example = examples[number]
        wrong: list[str] = []
        for turn in count():
            if turn >= 6 and over.is_set():
                return wrong
            if number % 2:
                shutil.rmtree(example.environment, ignore_errors=True)
                done = example.run(uv, "sync", "--offline", "--link-mode", "hardlink")
                site = example.site_packages
            else:
                site = example.root / f"target{turn}"
                done = example.run(
                    uv, "pip", "install", "--offline", "--link-mode", "hardlink", "--target", site, "httpx"
                )
            if done.returncode or "warning" in done.stderr or altered(site) or not (site / "httpx").is_dir():
                wrong.append(f"{done.stderr} {altered(site)}")
        raise AssertionError

    before = contents(store)
    over = Event()
    with ThreadPoolExecutor(10) as pool:
        installs = [pool.submit(install, number) for number in range(10)]
        try:
            for _ in range(15):
                done = repair(store, everything(store))
                assert (done.obstacle, done.left, done.damaged) == (None, (), ())
        finally:
            over.set()
        assert [it.result() for it in installs] == [[]] * 10
    assert contents(store) == before
