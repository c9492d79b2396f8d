"""File systems are the oracle: what is foreseen is what a trial then shows and what uv then does."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from kit.cloud import MountCloud
from kit.mounts import BindMount, LoopMount, loop_mounted
from kit.need import need
from kit.privileges import WITHOUT_PRIVILEGES
from kit.projects import clean_environ

from uv_link_doctor.engine.model import Operation, Trial
from uv_link_doctor.host.foresight import foresee
from uv_link_doctor.host.mounts import landing_directory
from uv_link_doctor.host.places import places, try_links

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux is foreseen")

EPERM, EACCES, EXDEV, EINVAL, ENOSPC, EROFS, EOPNOTSUPP = 1, 13, 18, 22, 28, 30, 95
SOMEBODY = 12345
"""The id of a user who is not us."""


def said(**numbers: int) -> Trial:
    """`said(hardlink=18, copy=0)`: this and nothing else is foreseen; 0 where it works."""
    ways = {Operation(name): number for name, number in numbers.items()}
    failed = {way: number for way, number in ways.items() if number}
    return Trial({way: not number for way, number in ways.items()}, failed, foreseen=True)


def all_ways(number: int) -> Trial:
    return said(hardlink=number, clone=number, symlink=number, copy=number)


NOTHING = said()
ALL_WORK = all_ways(0)
ALL_BUT_CLONES = said(hardlink=0, clone=EOPNOTSUPP, symlink=0, copy=0)
NO_HARD_LINKS = said(hardlink=EXDEV, clone=0, symlink=0, copy=0)
NO_LINKS = said(hardlink=EXDEV, clone=EXDEV, symlink=0, copy=0)

# --- pairs of places --------------------------------------------------------------------------


@dataclass
class Ground:
    """What pairs are made of."""

    folder: Path
    loop: LoopMount
    bind: BindMount
    at_end: ExitStack
    later: list[Callable[[], object]] = field(default_factory=list)
    """What is done once uv has filled the cache and made the environment, where a test has it do so."""

    def two(self, root: Path) -> tuple[Path, Path]:
        for name in ("cache", "environment"):
            (root / name).mkdir()
        return root / "cache", root / "environment"

    def mount(self, fstype: str, options: str) -> Path:
        mountpoint = self.folder / fstype
        mountpoint.mkdir()
        done = subprocess.run(["mount", "-t", fstype, "-o", options, fstype, mountpoint], check=False)
        need(done.returncode == 0, f"{fstype} cannot be mounted")
        self.at_end.callback(run, "umount", mountpoint)
        return mountpoint


Pair = Callable[[Ground], tuple[Path, Path]]


@pytest.fixture
def ground(tmp_path: Path, loop_mount: LoopMount, bind_mount: BindMount) -> Iterator[Ground]:
    need(os.geteuid() == 0, "only root mounts")
    with ExitStack() as at_end:
        yield Ground(tmp_path, loop_mount, bind_mount, at_end)


def run(*command: object) -> None:
    done = subprocess.run([str(it) for it in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def on(fstype: str, *mkfs: str, options: Sequence[str] = ()) -> Pair:
    return lambda ground: ground.two(ground.loop(fstype, mkfs=mkfs, options=options))


def in_memory(ground: Ground) -> tuple[Path, Path]:
    return ground.two(ground.mount("tmpfs", "size=64m"))


def in_full_memory(what: str) -> Pair:
    def make(ground: Ground) -> tuple[Path, Path]:
        root = ground.mount("tmpfs", "size=64k,nr_inodes=16")
        both = ground.two(root)
        use_up(root, what)
        return both

    return make


def in_unlimited_memory(ground: Ground) -> tuple[Path, Path]:
    return ground.two(ground.mount("tmpfs", "size=0,nr_inodes=0"))


def beside_what_is_full(root: Callable[[Ground], Path], what: str) -> Pair:
    """The environment's file system is full, the cache lies elsewhere."""

    def make(ground: Ground) -> tuple[Path, Path]:
        environment = ground.two(full := root(ground))[1]
        ground.later.append(lambda: use_up(full, what))
        return ground.two(ground.loop("xfs"))[0], environment

    return make


def use_up(root: Path, what: str) -> None:
    if what == "inodes":
        for number in range(os.statvfs(root).f_favail):
            (root / str(number)).touch()
        return
    with (root / "large").open("wb", 0) as file:
        for size in (1 << 20, 1024):
            with suppress(OSError):
                while file.write(bytes(size)):
                    os.fsync(file)
    assert os.statvfs(root).f_bavail == 0


def behind_a_bind_mount(fstype: str) -> Pair:
    """The environment is seen through another mount of the same file system, with the same `st_dev`."""

    def make(ground: Ground) -> tuple[Path, Path]:
        cache, environment = ground.two(ground.loop(fstype))
        bound = ground.bind(environment)
        assert bound.stat().st_dev == cache.stat().st_dev
        return cache, bound

    return make


def under_one_bind_mount(ground: Ground) -> tuple[Path, Path]:
    root = ground.loop("ext4")
    ground.two(root)
    bound = ground.bind(root)
    return bound / "cache", bound / "environment"


def read_only(side: str) -> Pair:
    def make(ground: Ground) -> tuple[Path, Path]:
        both = dict(zip(("cache", "environment"), ground.two(ground.loop("xfs")), strict=True))
        both[side] = ground.bind(both[side])
        ground.later.append(lambda: run("mount", "-o", "remount,bind,ro", both[side]))
        return both["cache"], both["environment"]

    return make


def on_two_devices(ground: Ground) -> tuple[Path, Path]:
    return ground.two(ground.loop("ext4"))[0], ground.two(ground.loop("xfs"))[1]


def in_two_subvolumes(ground: Ground) -> tuple[Path, Path]:
    root = ground.loop("btrfs")
    for name in ("cache", "environment"):
        run("btrfs", "subvolume", "create", root / name)
    return root / "cache", root / "environment"


def in_a_read_only_subvolume(ground: Ground) -> tuple[Path, Path]:
    cache, environment = in_two_subvolumes(ground)
    ground.later.append(lambda: run("btrfs", "property", "set", environment, "ro", "true"))
    return cache, environment


def without_cow(side: str) -> Pair:
    def make(ground: Ground) -> tuple[Path, Path]:
        root = ground.loop("btrfs")
        both = ground.two(root)
        run("chattr", "+C", root / side)
        return both

    return make


def of_a_project(side: str) -> Pair:
    """One side's files count for a project's quota, and so do new ones."""

    def make(ground: Ground) -> tuple[Path, Path]:
        root = ground.loop("xfs")
        both = ground.two(root)
        run("xfs_io", "-c", "chproj 7", "-c", "chattr +P", root / side)
        return both

    return make


def encrypted(side: str) -> Pair:
    def make(ground: Ground) -> tuple[Path, Path]:
        root = ground.loop("ext4", mkfs=["-O", "encrypt"])
        both = ground.two(root)
        encrypt(root / side)
        return both

    return make


def encrypt(directory: Path) -> None:
    """Give a directory a policy of fscrypt, version 2 (linux/fscrypt.h), with a key that lives as long as the mount."""
    import fcntl

    key = bytearray(struct.pack("=II32xII32x", 2, 0, 64, 0) + os.urandom(64))
    handle = os.open(directory, os.O_RDONLY)
    try:
        fcntl.ioctl(handle, 0xC0506617, key)
        fcntl.ioctl(handle, 0x800C6613, struct.pack("=5B3x16s", 2, 1, 4, 3, 0, bytes(key[8:24])))
    except OSError as error:
        need(condition=False, reason=f"nothing can be encrypted: {error}")
    finally:
        os.close(handle)


def changed(flag: str) -> Pair:
    """The directory that files go to has got an attribute by chattr(1)."""

    def make(ground: Ground) -> tuple[Path, Path]:
        cache, environment = ground.two(ground.loop("xfs"))
        ground.later.append(lambda: run("chattr", flag, landing_directory(environment)))
        return cache, environment

    return make


def on_an_overlay(fstype: str) -> Pair:
    return lambda ground: ground.two(overlay(ground, ground.loop(fstype)))


def from_below_an_overlay(ground: Ground) -> tuple[Path, Path]:
    root = ground.loop("xfs")
    return ground.two(root)[0], ground.two(overlay(ground, root))[1]


def overlay(ground: Ground, root: Path) -> Path:
    for name in ("lower", "upper", "work"):
        (root / name).mkdir()
    return ground.mount("overlay", f"lowerdir={root}/lower,upperdir={root}/upper,workdir={root}/work")


PAIRS: dict[str, tuple[Pair, Trial]] = {
    "ext4": (on("ext4"), ALL_BUT_CLONES),
    "memory": (in_memory, ALL_BUT_CLONES),
    "unlimited memory": (in_unlimited_memory, ALL_BUT_CLONES),
    "xfs": (on("xfs"), ALL_WORK),
    "xfs without reflink": (on("xfs", "-m", "reflink=0"), ALL_BUT_CLONES),
    "btrfs": (on("btrfs"), ALL_WORK),
    "btrfs without checksums": (on("btrfs", options=["nodatasum"]), said(hardlink=0, symlink=0, copy=0)),
    "an overlay of ext4": (on_an_overlay("ext4"), said(hardlink=0, symlink=0, copy=0)),
    "an overlay of xfs": (on_an_overlay("xfs"), said(hardlink=0, symlink=0, copy=0)),
    "under one bind mount": (under_one_bind_mount, ALL_BUT_CLONES),
    "a project's cache": (of_a_project("cache"), ALL_WORK),
    "an encrypted cache": (encrypted("cache"), ALL_BUT_CLONES),
    "an append-only environment": (changed("+a"), ALL_WORK),
    "two devices": (on_two_devices, NO_LINKS),
    "from below an overlay": (from_below_an_overlay, NO_LINKS),
    "bound ext4": (behind_a_bind_mount("ext4"), said(hardlink=EXDEV, clone=EOPNOTSUPP, symlink=0, copy=0)),
    "bound xfs": (behind_a_bind_mount("xfs"), NO_HARD_LINKS),
    "bound btrfs": (behind_a_bind_mount("btrfs"), NO_HARD_LINKS),
    "two subvolumes": (in_two_subvolumes, NO_HARD_LINKS),
    "a project's environment": (of_a_project("environment"), NO_HARD_LINKS),
    "an encrypted environment": (encrypted("environment"), said(hardlink=EXDEV)),
    "a cache without copy on write": (without_cow("cache"), said(hardlink=0, clone=EINVAL, symlink=0, copy=0)),
    "an environment without": (without_cow("environment"), said(hardlink=0, clone=EINVAL, symlink=0, copy=0)),
    "a read-only environment": (read_only("environment"), all_ways(EROFS)),
    "a read-only subvolume": (in_a_read_only_subvolume, all_ways(EROFS)),
    "an immutable environment": (changed("+i"), all_ways(EPERM)),
    "a disk without inodes": (
        beside_what_is_full(lambda ground: ground.loop("ext4", mkfs=["-N", "256"]), "inodes"),
        said(hardlink=EXDEV, clone=ENOSPC, symlink=ENOSPC, copy=ENOSPC),
    ),
    "a full disk with a reserve for root": (
        beside_what_is_full(lambda ground: ground.loop("ext4"), "blocks"),
        said(hardlink=EXDEV, clone=EXDEV),
    ),
    "full memory": (
        beside_what_is_full(lambda ground: ground.mount("tmpfs", "size=16m"), "blocks"),
        said(hardlink=EXDEV, clone=EXDEV, copy=ENOSPC),
    ),
}
UNUSABLE_CACHES: dict[str, tuple[Pair, Trial]] = {
    "a read-only cache": (read_only("cache"), said(write=EROFS)),
    "a cache in full memory": (in_full_memory("blocks"), said(write=ENOSPC)),
    "a cache in memory without inodes": (in_full_memory("inodes"), said(write=ENOSPC)),
}


@pytest.mark.parametrize("name", [*PAIRS, *UNUSABLE_CACHES])
def test_what_is_foreseen_is_what_a_trial_shows(name: str, ground: Ground) -> None:
    pair, expected = {**PAIRS, **UNUSABLE_CACHES}[name]
    cache, environment = pair(ground)
    for step in ground.later:
        step()
    before = seen(cache, environment)
    foreseen = foresee(cache, environment)
    assert foreseen == expected
    assert places(cache, environment, environ={}, passive=True).trial == expected
    assert seen(cache, environment) == before
    assert_confirmed(foreseen, try_links(cache, environment))
    assert seen(cache, environment).keys() == before.keys()


def seen(*directories: Path) -> dict[Path, tuple[int, int]]:
    """Every file and directory below, and when it was last changed."""
    paths = [it for directory in directories for it in (directory, *directory.rglob("*"))]
    return {it: (it.lstat().st_mtime_ns, it.lstat().st_ctime_ns) for it in paths}


def assert_confirmed(foreseen: Trial, trial: Trial) -> None:
    """All that was foreseen came true, numbers included."""
    assert {way: trial.works[way] for way in foreseen.works} == foreseen.works
    assert {way: trial.os_errors[way] for way in foreseen.os_errors} == foreseen.os_errors


# --- uv ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class UvHere:
    """The newest uv with a cache, into an environment: each mode has a package of its own."""

    command: list[str | Path]
    environ: dict[str, str]
    environment: Path

    PACKAGES = {"hardlink": "certifi", "clone": "idna", "copy": "httpx", "symlink": "typing-extensions"}  # noqa: RUF012  (a slot otherwise)

    def call(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        command = [*self.command, *arguments]
        return subprocess.run(command, env=self.environ, capture_output=True, text=True, check=False)

    def install(self, mode: str) -> str:
        """How the package's files came there: `linked`, `alone`, `symlinked`, or `failed`; `copied` if uv warned."""
        package = self.PACKAGES[mode]
        done = self.call("pip", "install", "--python", self.environment, "--link-mode", mode, "--no-deps", package)
        if done.returncode:
            return "failed"
        if "falling back" in done.stderr:
            return "copied"
        info = next(landing_directory(self.environment).glob(f"{package.replace('-', '_')}-*.dist-info"))
        if (info / "METADATA").is_symlink():
            return "symlinked"
        return "linked" if (info / "METADATA").stat().st_nlink > 1 else "alone"


@pytest.fixture
def uv_in(tmp_path: Path, index: Path, uv_binary: Callable[[str], Path]) -> Callable[[Path, Path], UvHere]:
    """`uv_in(cache, environment)`: fills the one and makes the other."""

    def make(cache: Path, environment: Path) -> UvHere:
        uv = UvHere([uv_binary("newest")], clean_environ(tmp_path / "home", cache=cache, index=index), environment)
        assert uv.call("venv", "--allow-existing", environment).returncode == 0
        target = ("--target", tmp_path / "anywhere", "--link-mode", "copy")
        assert uv.call("pip", "install", *target, "--no-deps", *UvHere.PACKAGES.values()).returncode == 0
        return uv

    return make


UvIn = Callable[[Path, Path], UvHere]


def expected_of_uv(foreseen: Trial) -> dict[str, str]:
    """What uv makes of it (its `link.rs`): clone, else hard link without a word, else copy with a warning.

    Only for modes of which something is known.
    """
    works = {way.value for way, it_does in foreseen.works.items() if it_does}
    fallback = "copied" if "copy" in works else "failed"
    hardlink = "linked" if "hardlink" in works else fallback
    modes = {
        "hardlink": hardlink,
        "clone": "alone" if "clone" in works else hardlink,
        "copy": "alone" if "copy" in works else "failed",
        "symlink": "symlinked" if "symlink" in works else fallback,
    }
    unusable = Operation.WRITE in foreseen.works
    return {mode: how for mode, how in modes.items() if unusable or Operation(mode) in foreseen.works}


UV_TOO = {name: both for name, both in PAIRS.items() if Operation.COPY in both[1].works}


@pytest.mark.parametrize("name", [*UV_TOO, "a read-only cache"])
def test_uv_does_what_is_foreseen(name: str, ground: Ground, uv_in: UvIn) -> None:
    pair, expected = {**PAIRS, **UNUSABLE_CACHES}[name]
    cache, environment = pair(ground)
    uv = uv_in(cache, environment)
    for step in ground.later:
        step()
    assert foresee(cache, environment) == expected
    of_uv = expected_of_uv(expected)
    assert {mode: uv.install(mode) for mode in of_uv} == of_uv


def test_the_caches_wheels_may_lie_on_another_mount_than_the_cache(ground: Ground, uv_in: UvIn) -> None:
    cache, environment = on("xfs")(ground)
    uv = uv_in(cache, environment)
    assert foresee(cache, environment) == ALL_WORK
    ground.bind(cache / "archive-v0", at=cache / "archive-v0")
    assert foresee(cache, environment) == NO_HARD_LINKS
    assert uv.install("hardlink") == "copied"
    assert uv.install("clone") == "alone"


@pytest.mark.parametrize("flag", ["+i", "+a"])
def test_cache_files_that_may_not_be_changed_are_not_linked(flag: str, ground: Ground, uv_in: UvIn) -> None:
    cache, environment = on("xfs")(ground)
    uv = uv_in(cache, environment)
    for path in files_of(cache):
        run("chattr", flag, path)
    assert foresee(cache, environment) == said(hardlink=EPERM, clone=0, symlink=0, copy=0)
    assert try_links(cache, environment).works[Operation.HARDLINK]
    assert uv.install("hardlink") == "copied"


def files_of(cache: Path) -> list[Path]:
    return [it for it in (cache / "archive-v0").rglob("*") if it.is_file()]


# --- permissions ------------------------------------------------------------------------------

_ASK = """
import json, sys
from pathlib import Path
from uv_link_doctor.host import foresight, places
cache, environment = map(Path, sys.argv[2:])
trial = (foresight.foresee if sys.argv[1] == "foresee" else places.try_links)(cache, environment)
print(json.dumps({way: trial.os_errors.get(way, 0) for way in trial.works}))
"""


def without_privileges(ask: str, cache: Path, environment: Path) -> Trial:
    """`foresee` or `try_links`, as somebody whom the file system's permissions hold for."""
    need(WITHOUT_PRIVILEGES, "setpriv is missing, or we are not root")
    command: list[str | Path] = [*WITHOUT_PRIVILEGES, sys.executable, "-c", _ASK, ask, cache, environment]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return said(**json.loads(done.stdout))


@pytest.mark.parametrize(
    ("mode", "somebodys", "expected"),
    [
        (0o644, 1, said(hardlink=EPERM, clone=EOPNOTSUPP, symlink=0, copy=0)),
        (0o666, 1, ALL_BUT_CLONES),
        (0o4666, 1, said(hardlink=EPERM, clone=EOPNOTSUPP, symlink=0, copy=0)),
        (0o2676, 1, said(hardlink=EPERM, clone=EOPNOTSUPP, symlink=0, copy=0)),
        (0o2666, 1, ALL_BUT_CLONES),
        (0o600, 1, said(hardlink=EPERM, clone=EACCES, symlink=0, copy=EACCES)),
        (0o644, 2, said(clone=EOPNOTSUPP, symlink=0, copy=0)),
    ],
)
def test_files_of_somebody_else_are_protected(
    mode: int, somebodys: int, expected: Trial, ground: Ground, uv_in: UvIn
) -> None:
    rule = Path("/proc/sys/fs/protected_hardlinks")
    need(rule.read_text().strip() == "1", "hard links are not protected here")
    cache, environment = on("ext4")(ground)
    uv = uv_in(cache, environment)
    for path in files_of(cache):
        if somebodys == 1 or path.parent.name.endswith(".dist-info"):
            os.chown(path, SOMEBODY, SOMEBODY)
            path.chmod(mode)
    assert foresee(cache, environment) == ALL_BUT_CLONES
    assert without_privileges("foresee", cache, environment) == expected
    if Operation.HARDLINK in expected.works:
        uv = UvHere([*WITHOUT_PRIVILEGES, *uv.command], uv.environ, environment)
        assert uv.install("hardlink") == expected_of_uv(expected)["hardlink"]


@pytest.mark.parametrize(
    ("side", "mode", "expected"),
    [
        ("environment", 0o755, all_ways(EACCES)),
        ("environment", 0o777, ALL_BUT_CLONES),
        ("environment", 0o700, all_ways(EACCES)),
        ("environment", 0o776, all_ways(EACCES)),
        ("cache", 0o755, said(write=EACCES)),
        ("cache", 0o700, said(write=EACCES)),
    ],
)
def test_directories_of_somebody_else_take_what_their_mode_allows(
    side: str, mode: int, expected: Trial, ground: Ground
) -> None:
    cache, environment = on("ext4")(ground)
    directory = {"cache": cache, "environment": environment}[side]
    os.chown(directory, SOMEBODY, SOMEBODY)
    directory.chmod(mode)
    assert without_privileges("foresee", cache, environment) == expected
    assert_confirmed(expected, without_privileges("try_links", cache, environment))
    assert foresee(cache, environment) == ALL_BUT_CLONES


def test_a_full_disks_reserve_is_not_for_everybody() -> None:
    need(os.geteuid() == 0, "only root mounts")
    # Not below `tmp_path`, which others may not enter.
    with tempfile.TemporaryDirectory() as folder, loop_mounted(Path(folder, "images"), "ext4") as root:
        cache, environment = Path(folder, "cache"), root / "environment"
        for directory in (cache, environment):
            directory.mkdir()
        for directory in (Path(folder), root.parent, root, cache, environment):
            directory.chmod(0o777)
        use_up(root, "blocks")
        expected = said(hardlink=EXDEV, clone=EXDEV, copy=ENOSPC)
        os.seteuid(SOMEBODY)
        try:
            assert foresee(cache, environment) == expected
            assert foresee(environment, cache) == said(write=ENOSPC)
            assert_confirmed(expected, try_links(cache, environment))
            assert_confirmed(said(write=ENOSPC), try_links(environment, cache))
        finally:
            os.seteuid(0)


# --- where little or nothing is known ---------------------------------------------------------


def test_of_a_fuse_server_nothing_is_foreseen_but_the_way_out_of_it(cloud_folder: MountCloud, tmp_path: Path) -> None:
    cloud = cloud_folder()
    assert foresee(cloud.cache, cloud.outside) == NOTHING
    assert foresee(cloud.cache, cloud.synced) == NOTHING
    for cache, environment in ((cloud.cache, tmp_path), (tmp_path, cloud.synced)):
        assert foresee(cache, environment) == said(hardlink=EXDEV, clone=EXDEV)
        assert_confirmed(said(hardlink=EXDEV, clone=EXDEV), try_links(cache, environment))


def test_what_does_not_exist_yet_is_foreseen_for_where_it_will_be(ground: Ground) -> None:
    cache, environment = on_two_devices(ground)
    assert foresee(cache / "not" / "yet", environment / "neither" / ".venv") == NO_LINKS


@pytest.mark.parametrize("path", ["/proc/self/fdinfo", "/dev/null/x", "no\0path", "", "/" + 300 * "x", "/sys/kernel"])
def test_nothing_makes_it_fail(path: str, tmp_path: Path) -> None:
    for both in ((Path(path), tmp_path), (tmp_path, Path(path)), (Path(path), Path(path))):
        assert foresee(*both).foreseen


def test_elsewhere_nothing_is_foreseen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert foresee(tmp_path, tmp_path) == NOTHING
