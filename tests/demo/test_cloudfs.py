"""The file system that refuses hard links: its rules, its end in every case, and what real uv versions make of it."""

from __future__ import annotations

import ctypes
import errno
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from select import select

import pytest
from kit.cloud import FALLS_BACK, STOPS, MountCloud
from kit.need import need
from kit.projects import MakeProject

import uv_link_doctor
from uv_link_doctor.demo.cloudfs import INCOMPATIBLE_HARDLINKS, CloudFiles, MountError, missing_part, mounted

SYNC = "OneDrive - Contoso"


def link_error(source: Path, target: Path) -> int | None:
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.hardlink_to(source)
    except OSError as error:
        return error.errno
    return None


# --- the rule -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "targets", "expected"),
    [
        ("cache/core.py", ["projects/core.py", "elsewhere/core.py"], [None, None]),
        ("cache/core.py", [f"{SYNC}/one/core.py", f"{SYNC}/two/core.py"], [None, INCOMPATIBLE_HARDLINKS]),
        ("cache/core.py", [f"{SYNC}/core.py", "projects/core.py"], [None, INCOMPATIBLE_HARDLINKS]),
        ("cache/core.py", [f"{SYNC}/core.txt", "projects/core.py"], [None, None]),
        ("cache/core.txt", [f"{SYNC}/core.py", "projects/core.py"], [None, INCOMPATIBLE_HARDLINKS]),
        ("cache/core.txt", [f"{SYNC}/core.txt", f"{SYNC}/core.py", "projects/core.py"], [None, None, 396]),
        (f"{SYNC}/core.py", ["projects/core.py"], [INCOMPATIBLE_HARDLINKS]),
        (f"{SYNC}/core.txt", ["projects/core.txt"], [None]),
        (f"{SYNC} 2/core.py", [f"{SYNC} 2/other.py", "projects/core.py"], [None, None]),
        ("cache/core.py", [f"{SYNC}/core.py", f"{SYNC}/core.py"], [None, errno.EEXIST]),
    ],
)
def test_a_file_with_a_fitting_name_in_the_sync_root_gets_no_further_link(
    cloud_folder: MountCloud, source: str, targets: list[str], expected: list[int | None]
) -> None:
    root = cloud_folder("*.py").root
    (root / source).parent.mkdir(parents=True, exist_ok=True)
    (root / source).touch()

    assert [link_error(root / source, root / target) for target in targets] == expected


def test_a_fresh_inode_heals_a_name_and_leaves_the_others_alone(cloud_folder: MountCloud) -> None:
    cloud = cloud_folder()
    cached, synced, fresh = cloud.cache / "core.py", cloud.synced / "core.py", cloud.cache / "fresh"
    cached.touch()
    assert link_error(cached, synced) is None

    shutil.copy2(cached, fresh)
    fresh.replace(cached)

    assert link_error(cached, cloud.outside / "core.py") is None
    assert link_error(synced, cloud.outside / "again.py") == INCOMPATIBLE_HARDLINKS


@pytest.mark.parametrize("lose", [CloudFiles.unlink, lambda files, path: files.rename("/other", path)])
def test_an_inode_is_forgotten_with_its_last_name(tmp_path: Path, lose: Callable[[CloudFiles, str], None]) -> None:
    files = CloudFiles(
        tmp_path, "sync", ["*"], os_error=396, on_ready=lambda: None, caller=lambda: (os.getuid(), os.getgid(), 0)
    )
    for name in ("cached", "other"):
        (tmp_path / name).touch()
    (tmp_path / "sync").mkdir()
    files.link("/sync/file", "/cached")
    inode = (tmp_path / "cached").stat().st_ino

    files.unlink("/cached")
    assert [number for _device, number in files.converted] == [inode]
    lose(files, "/sync/file")
    assert files.converted == set()


# --- a file system like others --------------------------------------------------------------------


def test_directories_list_backwards_by_name(cloud_folder: MountCloud) -> None:
    folder = cloud_folder().outside
    for name in ("certifi", "certifi-1.dist-info", "__init__.py", "Z", "é"):
        (folder / name).touch()

    assert os.listdir(folder) == ["é", "certifi-1.dist-info", "certifi", "__init__.py", "Z"]  # noqa: PTH208 - the order.


def test_every_name_of_a_file_tells_its_links_at_once(cloud_folder: MountCloud) -> None:
    cloud = cloud_folder("nothing")
    first, second = cloud.cache / "a", cloud.synced / "a"
    first.touch()
    counts = [first.stat().st_nlink]

    second.hardlink_to(first)
    counts += [first.stat().st_nlink, second.stat().st_nlink]
    first.unlink()
    counts += [second.stat().st_nlink]

    assert counts == [1, 2, 2, 1]


def test_a_removed_file_can_be_used_while_it_is_open(cloud_folder: MountCloud) -> None:
    folder = cloud_folder().outside
    with (folder / "file").open("w+b", buffering=0) as file:
        file.write(b"before ")
        (folder / "file").unlink()
        file.write(b"after")
        file.seek(0)

        assert not (folder / "file").exists()
        assert (file.read(), os.fstat(file.fileno()).st_size) == (b"before after", 12)
    assert list(folder.iterdir()) == []


def test_files_keep_what_they_are_given(cloud_folder: MountCloud) -> None:
    folder = cloud_folder().outside
    odd = folder / os.fsdecode(b"na\xefve, \\ 'n\xc3\xa4me'\n")
    odd.write_text("one\n")
    with odd.open("a") as file:
        file.write("two\n")
    os.truncate(odd, 6)
    odd.chmod(0o750)
    os.utime(odd, ns=(1_234_567_890, 2_345_678_901))
    link = folder / "link"
    link.symlink_to("./a//b")

    status = odd.stat()
    assert (status.st_mode & 0o777, status.st_atime_ns, status.st_mtime_ns) == (0o750, 1_234_567_890, 2_345_678_901)
    assert odd.read_text() == "one\ntw"
    assert os.readlink(link) == "./a//b"  # noqa: PTH115 - a Path would tidy it up.
    odd.touch()
    assert abs(odd.stat().st_mtime - time.time()) < 60


def test_a_file_is_not_renamed_over_another_against_the_callers_will(cloud_folder: MountCloud) -> None:
    """On this uv's locks rest: renameat2 with RENAME_NOREPLACE."""
    folder = cloud_folder().outside
    for name in ("a", "b"):
        (folder / name).write_text(name)
    libc = ctypes.CDLL(None, use_errno=True)

    def rename(new: str) -> int:
        result = libc.renameat2(-100, bytes(folder / "a"), -100, bytes(folder / new), 1)
        return ctypes.get_errno() if result else 0

    assert [rename("b"), rename("c")] == [errno.EEXIST, 0]
    assert (folder / "b").read_text() == "b"


@pytest.mark.parametrize("mode", [0o644, 0o600, 0o755])
def test_modes_are_the_callers_own(cloud_folder: MountCloud, mode: int) -> None:
    folder = cloud_folder().outside
    old = os.umask(0)
    try:
        os.close(os.open(folder / "file", os.O_CREAT | os.O_EXCL | os.O_WRONLY, mode))
        (folder / "folder").mkdir(mode)
    finally:
        os.umask(old)

    assert [(folder / name).stat().st_mode & 0o777 for name in ("file", "folder")] == [mode, mode]


# --- its end --------------------------------------------------------------------------------------


def is_mounted(place: Path) -> bool:
    return str(place) in [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]


def servers_of(mountpoint: Path) -> list[int]:
    return [
        int(entry.parent.name)
        for entry in Path("/proc").glob("[0-9]*/cmdline")
        if {b"uv_link_doctor.demo.cloudfs", bytes(mountpoint)} <= set(read_or_nothing(entry).split(b"\0"))
    ]


def read_or_nothing(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


@pytest.fixture
def mountpoint(tmp_path: Path) -> Path:
    lack = missing_part()
    need(lack is None, str(lack))
    return tmp_path / "mount,é"


def test_an_error_in_the_block_unmounts(tmp_path: Path, mountpoint: Path) -> None:
    with pytest.raises(KeyboardInterrupt), mounted(tmp_path / "disk", mountpoint, SYNC):
        raise KeyboardInterrupt

    assert not is_mounted(mountpoint)
    assert servers_of(mountpoint) == []


def test_an_open_file_does_not_keep_it_mounted(tmp_path: Path, mountpoint: Path) -> None:
    with mounted(tmp_path / "disk", mountpoint, SYNC):
        handle = os.open(mountpoint / "file", os.O_CREAT)

    assert not is_mounted(mountpoint)
    assert servers_of(mountpoint) == []
    os.close(handle)


def test_a_killed_server_leaves_no_mount(tmp_path: Path, mountpoint: Path) -> None:
    with mounted(tmp_path / "disk", mountpoint, SYNC):
        [server] = servers_of(mountpoint)
        os.kill(server, signal.SIGKILL)

    assert not is_mounted(mountpoint)


@pytest.mark.parametrize("told_by", ["SIGTERM", "SIGINT", "end of stdin"])
def test_the_program_unmounts_when_told_to_stop(tmp_path: Path, mountpoint: Path, told_by: str) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mountpoint.mkdir()
    command: list[str | Path] = [sys.executable, "-m", "uv_link_doctor.demo.cloudfs", disk, mountpoint]
    command += ["--sync-root", SYNC]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        assert process.stdout.readline() == f"mounted {mountpoint}\n".encode()
        assert is_mounted(mountpoint)
        if told_by.startswith("SIG"):
            process.send_signal(signal.Signals[told_by])
        else:
            process.stdin.close()

        assert process.wait(timeout=20) == 0
    assert not is_mounted(mountpoint)


def test_it_ends_with_the_process_that_mounted_it(tmp_path: Path, mountpoint: Path) -> None:
    program = f"""
from pathlib import Path
from uv_link_doctor.demo.cloudfs import mounted
with mounted(Path({str(tmp_path / "disk")!r}), Path({str(mountpoint)!r}), {SYNC!r}):
    print("mounted", flush=True)
    input()
"""
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"mounted\n"
        server = os.pidfd_open(*servers_of(mountpoint))
        process.kill()

        ended, _, _ = select([server], [], [], 20)
    os.close(server)
    assert ended == [server]
    assert not is_mounted(mountpoint)


# --- where it cannot be had -----------------------------------------------------------------------


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need(missing_part() is None, str(missing_part()))
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(MountError) as raised, mounted(tmp_path / "disk", tmp_path / "mount", SYNC):
        pass

    assert raised.value.message == "The cloud file system cannot be mounted here: the program `fusermount3` is missing"
    assert raised.value.hint == "Install FUSE 3; on Debian and Ubuntu: `apt install fuse3`"
    assert not (tmp_path / "mount").exists()


@pytest.fixture
def bare_copy() -> Iterator[Path]:
    """The module and what it imports, where every user can read it; a checkout may be its owner's alone."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for module in ("__init__.py", "engine/__init__.py", "engine/model.py", "demo/cloudfs.py"):
            copy = folder / "uv_link_doctor" / module
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(Path(uv_link_doctor.__file__).parent / module, copy)
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        yield folder


def test_the_module_imports_without_mfusepy(bare_copy: Path) -> None:
    program = "from uv_link_doctor.demo.cloudfs import missing_part; print(missing_part())"
    environ = {"PYTHONPATH": str(bare_copy), "PATH": os.environ["PATH"]}
    need(missing_part() is None, str(missing_part()))

    said = subprocess.check_output([sys.executable, "-S", "-c", program], env=environ, text=True)

    assert said == "The cloud file system cannot be mounted here: the Python package mfusepy is missing\n"


MOUNT_AND_LINK = """
import os
from pathlib import Path
from uv_link_doctor.demo.cloudfs import MountError, mounted

here = Path("work")
try:
    with mounted(here / "disk", here / "mount", "sync") as root:
        (root / "sync").mkdir()
        (root / "file").touch()
        (root / "sync" / "file").hardlink_to(root / "file")
        try:
            (root / "again").hardlink_to(root / "file")
        except OSError as error:
            print(error.errno, (root / "file").stat().st_uid == os.getuid())
except MountError as error:
    print(error)
print((here / "mount").is_mount())
"""


@pytest.mark.parametrize(
    ("setpriv", "said"),
    [
        (["--reuid=65534", "--regid=65534", "--clear-groups"], "396 True\nFalse\n"),
        (
            ["--bounding-set=-sys_admin", "--inh-caps=-sys_admin"],
            "The cloud file system cannot be mounted here: fusermount3: mount failed: Operation not permitted\nFalse\n",
        ),
    ],
    ids=["ordinary user", "root of a container"],
)
def test_mounting_with_fewer_rights(bare_copy: Path, setpriv: list[str], said: str) -> None:
    need(os.geteuid() == 0, "only root can give up rights; for an ordinary user every test here shows the same")
    need(missing_part() is None, str(missing_part()))
    mfusepy = importlib.util.find_spec("mfusepy")
    assert mfusepy
    shutil.copy(str(mfusepy.origin), bare_copy)
    (bare_copy / "work").mkdir()
    (bare_copy / "work").chmod(0o777)
    # Most systems let everyone open /dev/fuse; where this one doesn't, it does so for this one process.
    script = """
        mknod "$0/fuse" c 10 229 && chmod 666 "$0/fuse" && mount --bind "$0/fuse" /dev/fuse && cd "$0" &&
        PYTHONPATH="$0" exec setpriv "$@"
    """
    command = ["unshare", "--mount", "sh", "-c", script, str(bare_copy), *setpriv]

    process = subprocess.run(
        [*command, python_for_everyone(), "-c", MOUNT_AND_LINK], capture_output=True, text=True, check=False
    )

    assert (process.stdout, process.stderr) == (said, "")


def python_for_everyone() -> str:
    """A Python that another user may start, too; that of a virtual environment may lie in somebody's home."""
    pythons = (os.path.realpath(sys.executable), "/usr/bin/python3")
    python = next(filter(runs_for_everyone, pythons), "")
    need(python, f"none of {pythons} is a Python 3.11 that an ordinary user may start")
    return python


def runs_for_everyone(python: str) -> bool:
    command = [python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
    try:
        return subprocess.run(command, user=65534, group=65534, extra_groups=[], cwd="/", check=False).returncode == 0
    except OSError:
        return False


# --- what uv makes of it --------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["0.4.18", "newest"])
def test_the_report_that_started_it(
    cloud_folder: MountCloud, project: MakeProject, uv_binary: Callable[[str], Path], version: str
) -> None:
    uv, cloud = uv_binary(version), cloud_folder(STOPS)
    one, two, three = (
        project("httpx", root=root, cache=cloud.cache)
        for root in (cloud.synced / "one", cloud.synced / "two", cloud.outside / "three")
    )

    assert one.run(uv, "sync").returncode == 0
    assert one.missing_files() == {}

    for spoiled in (two, three):
        failed = spoiled.run(uv, "sync")
        assert failed.returncode == 2
        assert "certifi==2026.10.18" in failed.stderr
        assert "certifi/core.py" in failed.stderr
        assert "(os error 396)" in failed.stderr

        naive = spoiled.run(uv, "sync", "--link-mode", "copy")
        assert naive.returncode == 0
        assert list(spoiled.missing_files()) == ["certifi-2026.10.18"]
        assert not spoiled.imports("httpx")

        assert spoiled.run(uv, "sync", "--link-mode", "copy", "--reinstall-package", "certifi").returncode == 0
        assert spoiled.missing_files() == {}
        assert spoiled.imports("httpx", "certifi.core", "idna.core")


@pytest.mark.parametrize("version", ["0.4.18", "newest"])
def test_uv_copies_where_the_first_link_of_a_wheel_fails(
    cloud_folder: MountCloud, project: MakeProject, uv_binary: Callable[[str], Path], version: str
) -> None:
    uv, cloud = uv_binary(version), cloud_folder(FALLS_BACK)
    one = project("httpx", root=cloud.synced / "one", cache=cloud.cache)
    two = project("httpx", root=cloud.outside / "two", cache=cloud.cache)

    said = [each.run(uv, "sync") for each in (one, two)]

    assert [process.returncode for process in said] == [0, 0]
    assert ["falling back to full copy" in process.stderr for process in said] == [False, True]
    assert [each.missing_files() for each in (one, two)] == [{}, {}]


@pytest.mark.parametrize("version", ["0.4.18", "newest"])
def test_a_cache_with_fresh_inodes_links_again(
    cloud_folder: MountCloud, project: MakeProject, uv_binary: Callable[[str], Path], version: str
) -> None:
    uv, cloud = uv_binary(version), cloud_folder(STOPS)
    one = project("httpx", root=cloud.synced / "one", cache=cloud.cache)
    two = project("httpx", root=cloud.outside / "two", cache=cloud.cache)
    assert one.run(uv, "sync").returncode == 0
    [cached] = cloud.cache.glob("archive-v0/*/certifi/core.py")

    fresh = cloud.cache / "fresh"
    shutil.copy2(cached, fresh)
    fresh.replace(cached)

    assert two.run(uv, "sync").returncode == 0
    assert cached.samefile(two.site_packages / "certifi" / "core.py")
