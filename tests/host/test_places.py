import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path, PureWindowsPath
from types import FrameType

import pytest
from kit.mounts import BindMount, LoopMount, bind_mounted, loop_mounted
from kit.need import need

from uv_link_doctor.engine.model import Operation, Places, Trial
from uv_link_doctor.host.mounts import find_mount, nearest_directory
from uv_link_doctor.host.places import (
    PlacesMemory,
    _case_sensitive,
    _fuse_server,
    _is_share,
    _is_windows_drive,
    _mount_point,
    is_network,
    place,
    places,
    try_links,
)

HARDLINK, CLONE, SYMLINK, COPY = Operation.HARDLINK, Operation.CLONE, Operation.SYMLINK, Operation.COPY
linux_only = pytest.mark.skipif(sys.platform != "linux", reason="a fact of Linux")

# --- the table of mounts ------------------------------------------------------------------

MOUNTINFO = r"""
22 27 0:21 / /proc rw,relatime - proc proc rw
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard,errors=remount-ro
30 27 0:27 / /dev/shm rw,nosuid,nodev shared:4 - tmpfs tmpfs rw,size=24684084k,inode64
41 27 254:0 /home/ana/pro\040ject /mnt/with\040space\134and\011tab\043 ro,relatime shared:1 master:7 - ext4 /dev/vda rw
52 27 0:48 / /var/lib/docker/overlay2/3f/merged rw - overlay overlay rw,lowerdir=/l/A:/l/B,upperdir=/u,workdir=/w
63 27 0:51 / /mnt/c rw,noatime - 9p C:\134 rw,dirsync,aname=drvfs;path=C:\134;uid=1000;symlinkroot=/mnt/,trans=fd,rfd=8
64 27 0:52 / /mnt/host rw - 9p hostshare rw,trans=virtio,version=9p2000.L
65 27 0:53 / /mnt/plan9 rw - 9p 192.0.2.7 rw,trans=tcp,port=564
66 27 0:54 / /mnt/virtiofs rw - virtiofs shared rw
71 27 0:60 / /home/ana rw,relatime master:2 propagate_from:3 - nfs4 nas:/export/home rw,vers=4.2,proto=tcp
72 27 0:61 / /mnt/share rw - cifs //nas/share rw,vers=3.1.1
73 27 0:62 / /mnt/drive rw,nosuid - fuse.rclone drive: rw,user_id=1000
74 27 0:63 / /mnt/remote rw - fuse.sshfs ana@host: rw,user_id=1000
75 27 0:64 / /mnt/pool rw - fuse.mergerfs a:b rw
76 27 0:65 / /mnt/bound rw - fuse bindfs rw
77 27 8:17 / /mnt/usb rw - fuseblk /dev/sdb1 rw,blksize=4096
78 27 0:66 / /mnt/nameless rw - tmpfs  rw
79 27 0:67 / /mnt/broken rw
80 27 0:68 / /mnt/lustre rw - lustre 10.0.0.1@tcp:/scratch rw
81 27 0:69 / /mnt/d rw,noatime - virtiofs drvfsaD rw
82 27 0:70 / /mnt/e rw,noatime - drvfs E: rw,case=off
83 27 0:71 / /mnt/stick rw - vfat /dev/sdb1 rw,fmask=0022
85 27 0:73 / /mnt/f rw,noatime - 9p drvfsa rw,trans=virtio,msize=262144
84 27 0:72 / /mnt/old rw - fuseblk.exfat /dev/sdc1 rw
"""


@pytest.mark.parametrize(
    ("mount_id", "mount_point", "filesystem", "device", "network"),
    [
        (27, "/", "ext4", "/dev/vda", False),
        (30, "/dev/shm", "tmpfs", "tmpfs", False),
        (41, "/mnt/with space\\and\ttab#", "ext4", "/dev/vda", False),
        (52, "/var/lib/docker/overlay2/3f/merged", "overlay", "overlay", False),
        (63, "/mnt/c", "9p", "C:\\", False),
        (64, "/mnt/host", "9p", "hostshare", False),
        (65, "/mnt/plan9", "9p", "192.0.2.7", True),
        (66, "/mnt/virtiofs", "virtiofs", "shared", False),
        (71, "/home/ana", "nfs4", "nas:/export/home", True),
        (72, "/mnt/share", "cifs", "//nas/share", True),
        (73, "/mnt/drive", "fuse.rclone", "drive:", True),
        (74, "/mnt/remote", "fuse.sshfs", "ana@host:", True),
        (75, "/mnt/pool", "fuse.mergerfs", "a:b", None),
        (76, "/mnt/bound", "fuse", "bindfs", None),
        (77, "/mnt/usb", "fuseblk", "/dev/sdb1", False),
        (78, "/mnt/nameless", "tmpfs", "", False),
        (80, "/mnt/lustre", "lustre", "10.0.0.1@tcp:/scratch", True),
    ],
)
def test_a_mount_is_read_from_its_line(
    mount_id: int, mount_point: str, filesystem: str, device: str, *, network: bool | None
) -> None:
    mount = find_mount(MOUNTINFO, mount_id)
    assert mount
    assert (mount.mount_point, mount.filesystem, mount.device) == (mount_point, filesystem, device)
    assert is_network(mount) is network


def test_options_are_those_of_the_mount_and_of_its_file_system() -> None:
    mount = find_mount(MOUNTINFO, 41)
    assert mount
    assert mount.options == {"ro", "relatime", "rw"}


@pytest.mark.parametrize(("table", "mount_id"), [(MOUNTINFO, 79), (MOUNTINFO, 7), (MOUNTINFO, 2), ("", 27)])
def test_a_mount_that_is_not_in_the_table_is_unknown(table: str, mount_id: int) -> None:
    assert find_mount(table, mount_id) is None


@pytest.mark.parametrize(
    ("mount_id", "server", "windows_drive"),
    [
        (27, None, False),
        (63, None, True),
        (64, None, False),
        (66, None, False),
        (73, "rclone", False),
        (76, "", False),
        (77, "", False),
        (81, None, True),
        (82, None, True),
        (84, "exfat", False),
        (85, None, True),
    ],
)
def test_what_stands_behind_a_mount_is_told_by_its_line(
    mount_id: int, server: str | None, *, windows_drive: bool
) -> None:
    mount = find_mount(MOUNTINFO, mount_id)
    assert mount
    assert _fuse_server(mount) == server
    assert _is_windows_drive(mount) is windows_drive


@pytest.mark.parametrize(("mount_id", "case_sensitive"), [(83, False), (63, None), (74, None)])
def test_only_some_file_systems_tell_whether_case_counts(mount_id: int, *, case_sensitive: bool | None) -> None:
    mount = find_mount(MOUNTINFO, mount_id)
    assert mount
    assert _case_sensitive(mount, None) is case_sensitive


# --- one place ----------------------------------------------------------------------------


def test_a_directory_is_described(tmp_path: Path) -> None:
    here = place(tmp_path, environ={})
    space = os.statvfs(tmp_path)
    assert here.path == tmp_path
    assert here.free_bytes == pytest.approx(space.f_bavail * space.f_frsize, rel=0.1)
    assert here.read_only is False
    assert here.mount_point
    assert os.path.ismount(here.mount_point)
    assert here.synced_by is None


@linux_only
def test_the_kernel_names_the_file_system() -> None:
    assert place(Path("/proc/self/fd"), environ={}).filesystem == "proc"
    assert place(Path("/proc/self/fd"), environ={}).mount_point == "/proc"


@pytest.mark.parametrize(
    ("path", "nearest"),
    [("here", "here"), ("here/not/yet", "here"), ("here/file/below", "here"), ("dangling/x", ""), ("link/x", "link")],
)
def test_the_nearest_directory_stands_for_one_that_is_not_there_yet(tmp_path: Path, path: str, nearest: str) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "file").touch()
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "link").symlink_to("here")
    assert nearest_directory(tmp_path / path) == tmp_path / nearest
    assert place(tmp_path / path, environ={}).path == tmp_path / nearest


def test_a_relative_path_starts_at_the_working_directory() -> None:
    assert nearest_directory(Path("no-such-directory", "x")) == Path.cwd()


def test_elsewhere_than_on_linux_the_mount_point_is_found_by_device(tmp_path: Path) -> None:
    mount_point = _mount_point(tmp_path)
    assert mount_point
    assert os.path.ismount(mount_point)
    assert tmp_path.resolve().is_relative_to(mount_point)
    assert Path(mount_point).stat().st_dev == tmp_path.stat().st_dev


@pytest.mark.parametrize(
    ("path", "share"),
    [
        (r"\\server\share\project", True),
        (r"\\wsl.localhost\Ubuntu\home\ana", True),
        (r"\\?\C:\project", None),
        (r"C:\project", None),
        ("/home/ana", None),
    ],
)
def test_a_share_of_windows_is_on_the_network(path: str, *, share: bool | None) -> None:
    assert _is_share(PureWindowsPath(path)) is share


@linux_only
def test_two_mounts_of_one_device_are_two_places(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    with bind_mounted(tmp_path / "source", tmp_path / "bound"):
        assert (tmp_path / "source").stat().st_dev == (tmp_path / "bound").stat().st_dev
        source, bound = (place(tmp_path / name, environ={}) for name in ("source", "bound"))
        assert bound.mount_point == str(tmp_path / "bound")
        assert source.mount_point != bound.mount_point
        assert source.filesystem == bound.filesystem


@linux_only
def test_a_read_only_mount_of_a_writable_file_system_is_read_only(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    with bind_mounted(tmp_path / "source", tmp_path / "bound", read_only=True):
        assert place(tmp_path / "bound" / "not" / "yet", environ={}).read_only is True
        assert place(tmp_path / "source", environ={}).read_only is False


@linux_only
@pytest.mark.parametrize(("fstype", "counts_inodes"), [("ext4", True), ("xfs", True), ("btrfs", False)])
def test_what_else_a_file_system_tells(loop_mount: LoopMount, fstype: str, *, counts_inodes: bool) -> None:
    root = loop_mount(fstype)
    here = place(root, environ={})
    assert here.case_sensitive is True
    assert (here.fuse, here.overlay, here.windows_drive) == (None, False, False)
    assert here.free_inodes == (os.statvfs(root).f_favail if counts_inodes else None)
    assert here.subvolume == (5 if fstype == "btrfs" else None)


@linux_only
def test_subvolumes_of_btrfs_have_numbers(loop_mount: LoopMount) -> None:
    root = loop_mount("btrfs")
    subprocess.run(["btrfs", "subvolume", "create", root / "one"], check=True, capture_output=True)
    (root / "one" / "folder").mkdir()
    output = subprocess.run(["btrfs", "inspect-internal", "rootid", root / "one"], check=True, capture_output=True)
    assert place(root / "one", environ={}).subvolume == int(output.stdout)
    assert place(root / "one" / "folder", environ={}).subvolume == int(output.stdout)


# --- the trial ----------------------------------------------------------------------------


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[AbstractContextManager[Path]], Path]]:
    """Enters a mount of `kit.mounts` for the length of the test."""
    assert tmp_path.is_dir()
    with ExitStack() as stack:
        yield stack.enter_context


@pytest.fixture
def memory() -> Iterator[Path]:
    """A directory on another file system than the temporary ones."""
    need(os.access("/dev/shm", os.W_OK), "there is no /dev/shm")
    with tempfile.TemporaryDirectory(dir="/dev/shm") as directory:
        yield Path(directory)


def tried(cache: Path, environment: Path) -> Trial:
    """The result of a trial that left nothing behind."""
    before = [*cache.iterdir(), *environment.iterdir()]
    trial = try_links(cache, environment)
    assert [*cache.iterdir(), *environment.iterdir()] == before
    return trial


def directories(root: Path) -> tuple[Path, Path]:
    for name in ("cache", "environment"):
        (root / name).mkdir()
    return root / "cache", root / "environment"


@linux_only
def test_within_memory_all_but_clones_work(memory: Path) -> None:
    assert tried(*directories(memory)) == Trial({HARDLINK: True, CLONE: False, SYMLINK: True, COPY: True}, {CLONE: 95})


@linux_only
def test_across_devices_only_symlinks_and_copies_work(tmp_path: Path, memory: Path) -> None:
    need(tmp_path.stat().st_dev != memory.stat().st_dev, "/dev/shm holds the temporary files, too")
    expected = Trial({HARDLINK: False, CLONE: False, SYMLINK: True, COPY: True}, {HARDLINK: 18, CLONE: 18})
    assert tried(tmp_path, memory) == expected
    assert tried(memory, tmp_path) == expected


@linux_only
def test_no_hard_link_crosses_from_one_bind_mount_to_another(
    memory: Path, mounted: Callable[[AbstractContextManager[Path]], Path]
) -> None:
    cache, environment = directories(memory)
    bound = mounted(bind_mounted(environment, memory / "bound"))
    assert cache.stat().st_dev == bound.stat().st_dev
    trial = tried(cache, bound)
    assert trial.works[HARDLINK] is False
    assert trial.os_errors[HARDLINK] == 18
    assert trial.works[COPY]


@linux_only
def test_nothing_is_placed_on_a_read_only_mount(
    memory: Path, mounted: Callable[[AbstractContextManager[Path]], Path]
) -> None:
    cache, environment = directories(memory)
    bound = mounted(bind_mounted(environment, memory / "bound", read_only=True))
    ways = (HARDLINK, CLONE, SYMLINK, COPY)
    assert tried(cache, bound) == Trial(dict.fromkeys(ways, False), dict.fromkeys(ways, 30))


@linux_only
def test_a_cache_that_takes_no_file_gives_its_own_error(
    memory: Path, mounted: Callable[[AbstractContextManager[Path]], Path]
) -> None:
    cache, environment = directories(memory)
    bound = mounted(bind_mounted(cache, memory / "bound", read_only=True))
    assert tried(bound, environment) == Trial({Operation.WRITE: False}, {Operation.WRITE: 30})


@linux_only
@pytest.mark.parametrize(("fstype", "clones"), [("xfs", True), ("btrfs", True), ("ext4", False)])
def test_clones_work_where_blocks_can_be_shared(
    memory: Path, mounted: Callable[[AbstractContextManager[Path]], Path], fstype: str, *, clones: bool
) -> None:
    root = mounted(loop_mounted(memory / "images", fstype))
    trial = tried(*directories(root))
    assert trial.works == {HARDLINK: True, CLONE: clones, SYMLINK: True, COPY: True}
    assert trial.os_errors == ({} if clones else {CLONE: 95})
    assert place(root, environ={}).filesystem == fstype
    assert place(root, environ={}).mount_point == str(root)
    assert str(place(root, environ={}).device).startswith("/dev/loop")


def test_without_an_environment_its_nearest_directory_serves(tmp_path: Path) -> None:
    cache, environment = directories(tmp_path)
    trial = try_links(cache, environment / "project" / ".venv")
    assert trial.works[COPY] is True
    assert not list(environment.iterdir())


def test_a_cache_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    assert try_links(tmp_path / "cache", tmp_path) == Trial()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("passive", [True, False])
def test_both_ends_are_described_and_tried_unless_passive(tmp_path: Path, *, passive: bool) -> None:
    cache, environment = directories(tmp_path)
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / ".venv").write_text("../environment\n")
    both = places(cache, tmp_path / "project" / ".venv", environ={"OneDrive": str(environment)}, passive=passive)
    assert both.cache.path == cache
    assert both.environment.path.samefile(environment)
    assert (both.cache.synced_by, both.environment.synced_by) == (None, "OneDrive")
    assert both.trial.foreseen is passive
    assert not list(environment.iterdir())


def test_names_are_tried_in_site_packages(tmp_path: Path, other_filesystem: Path) -> None:
    cache, environment = directories(tmp_path)
    (environment / "lib").mkdir()
    (environment / "lib" / "python3.13").symlink_to(other_filesystem)
    (other_filesystem / "site-packages").mkdir()
    assert try_links(cache, environment).os_errors[HARDLINK] == 18


@linux_only
@pytest.mark.parametrize("side", ["cache", "environment"])
def test_nothing_is_tried_where_it_would_stay_behind(loop_mount: LoopMount, side: str) -> None:
    root = loop_mount("ext4")
    cache, environment = directories(root)
    subprocess.run(["chattr", "+a", root / side], check=True)
    assert tried(cache, environment).foreseen


# --- the memory ---------------------------------------------------------------------------


@dataclass
class Remembered:
    """A memory whose clock stands still; `renewed()` says whether the last answer was a new one."""

    root: Path
    now: float = 1000.0
    environ: dict[str, str] = field(default_factory=dict)
    passive: bool = True
    last: Places | None = None

    def __post_init__(self) -> None:
        self.memory = PlacesMemory(seconds=30, clock=lambda: self.now)
        self.cache, self.environment = directories(self.root)
        assert self.renewed()
        assert not self.renewed()

    def renewed(self) -> bool:
        before, environ = self.last, self.environ
        self.last = self.memory.places(self.cache, self.environment, environ=environ, passive=self.passive)
        asked = places(self.cache, self.environment, environ=environ, passive=self.passive)
        assert self.last.trial == asked.trial
        assert self.last.environment.path == asked.environment.path
        assert self.last.environment.synced_by == asked.environment.synced_by
        return self.last is not before


def set_variable(it: Remembered) -> None:
    it.environ["OneDrive"] = str(it.root)


def ask_for_a_trial(it: Remembered) -> None:
    it.passive = False


def ask_for_other_places(it: Remembered) -> None:
    it.cache, it.environment = it.environment, it.cache


def replace_the_environment(it: Remembered) -> None:
    it.environment.rename(it.root / "gone")
    it.environment.mkdir()


def make_site_packages(it: Remembered) -> None:
    (it.environment / "lib" / "python3.13" / "site-packages").mkdir(parents=True)


def forbid_writing(it: Remembered) -> None:
    it.cache.chmod(0o500)


def let_time_pass(it: Remembered) -> None:
    it.now += 30


def redirect(it: Remembered) -> None:
    it.environment.rename(it.root / "elsewhere")
    it.environment.write_text(str(it.root / "elsewhere"))


@pytest.mark.parametrize(
    "change",
    [
        set_variable,
        ask_for_a_trial,
        ask_for_other_places,
        replace_the_environment,
        make_site_packages,
        forbid_writing,
        let_time_pass,
        redirect,
    ],
)
def test_what_is_remembered_is_forgotten_when_it_may_be_wrong(
    tmp_path: Path, change: Callable[[Remembered], None]
) -> None:
    it = Remembered(tmp_path)
    change(it)
    assert it.renewed()
    assert not it.renewed()


def test_what_does_not_matter_is_not_forgotten(tmp_path: Path) -> None:
    it = Remembered(tmp_path)
    it.now += 29
    (it.cache / "new").touch()
    (it.environment / "pyvenv.cfg").touch()
    assert not it.renewed()


@linux_only
def test_a_change_of_mounts_is_noticed(tmp_path: Path, bind_mount: BindMount) -> None:
    it = Remembered(tmp_path)
    bind_mount(it.environment, at=it.environment)
    assert it.renewed()
    assert it.last
    assert it.last.trial.works.get(HARDLINK, False) is False


def test_the_memory_does_not_grow_for_ever(tmp_path: Path) -> None:
    it = Remembered(tmp_path)
    for number in range(1000):
        it.memory.places(tmp_path / str(number), it.environment, environ={}, passive=True)
    assert len(it.memory._kept) < 100


@pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning")  # Interrupted between `open` and `with`.
def test_an_interrupt_leaves_nothing_wherever_it_comes(memory: Path) -> None:
    cache, environment = directories(memory)
    moment = 0
    while interrupted(moment := moment + 1, cache, environment):
        assert [*cache.iterdir(), *environment.iterdir()] == []
    assert moment > 100


def interrupted(moment: int, cache: Path, environment: Path) -> bool:
    """Whether Ctrl-C came in a trial before its end: at its n-th call or return, which is where Python looks for it."""
    seen = 0

    def interrupt(_frame: FrameType, _event: str, _argument: object) -> None:
        nonlocal seen
        seen += 1
        if seen == moment:
            sys.setprofile(None)
            raise KeyboardInterrupt

    try:
        sys.setprofile(interrupt)
        try_links(cache, environment)
        sys.setprofile(None)
    except KeyboardInterrupt:
        return True
    return False
