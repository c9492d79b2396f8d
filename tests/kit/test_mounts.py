"""The file systems that tests ask for are what they say, and are gone when the test is over, however it ended."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from kit.mounts import BindMount, LoopMount, bind_mounted, loop_mounted
from kit.need import need


def mounts_in(folder: Path) -> dict[str, str]:
    """Mount points and their types."""
    lines = [line.split() for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    return {words[4]: words[words.index("-") + 1] for words in lines if words[4].startswith(str(folder))}


@pytest.mark.parametrize("fstype", ["ext4", "xfs", "btrfs"])
def test_a_loop_mount_has_the_type(loop_mount: LoopMount, fstype: str) -> None:
    root = loop_mount(fstype)
    (root / "file").write_text("x")

    assert mounts_in(root) == {str(root): fstype}


def test_options_reach_mkfs_and_mount(loop_mount: LoopMount) -> None:
    small = loop_mount("ext4", megabytes=16, mkfs=["-N", "64"], options=["nodev", "ro"])
    large = loop_mount("ext4")

    assert os.statvfs(small).f_files < 128 < os.statvfs(large).f_files
    with pytest.raises(OSError, match="Read-only"):
        (small / "file").touch()


def test_a_bind_mount_is_the_same_device_and_another_mount(bind_mount: BindMount, tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").touch()
    second, read_only = bind_mount(source), bind_mount(source, read_only=True)

    assert second.stat().st_dev == source.stat().st_dev
    for target, number in ((second, errno.EXDEV), (read_only, errno.EROFS)):
        with pytest.raises(OSError, match=os.strerror(number)):
            (target / "link").hardlink_to(source / "file")


def test_the_other_file_system_is_another(other_filesystem: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(OSError, match=os.strerror(errno.EXDEV)):
        (other_filesystem / "file").hardlink_to(tmp_path / "file")


@pytest.mark.parametrize(
    "make",
    [lambda folder: loop_mounted(folder / "loop", "ext4"), lambda folder: bind_mounted(folder, folder / "bind")],
    ids=["loop", "bind"],
)
def test_unmounted_after_a_failure_and_while_in_use(
    tmp_path: Path, make: Callable[[Path], AbstractContextManager[Path]]
) -> None:
    def fail_with_an_open_file() -> int:
        with make(tmp_path) as root:
            assert mounts_in(root)
            handles.append(os.open(root / "file", os.O_CREAT))
            raise ZeroDivisionError

    handles: list[int] = []
    with pytest.raises(ZeroDivisionError):
        fail_with_an_open_file()

    assert mounts_in(tmp_path) == {}
    os.close(handles[0])


def test_a_lack_skips_but_in_ci_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    need(1, "nothing")
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no part"):
        need(None, "no part")
    monkeypatch.setenv("CI", "1")
    with pytest.raises(pytest.fail.Exception, match="no part"):
        need(None, "no part")
