"""Real file systems for a test: made, mounted, and unmounted in every case."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from kit.need import need

_SMALLEST = {"ext4": 32, "xfs": 300, "btrfs": 128}
"""Megabytes that each mkfs accepts; the image is sparse."""


class LoopMount(Protocol):
    def __call__(
        self, fstype: str, *, megabytes: int | None = None, mkfs: Sequence[str] = (), options: Sequence[str] = ()
    ) -> Path:
        """Make and mount another file system of this type; its root directory."""


class BindMount(Protocol):
    def __call__(self, source: Path, *, at: Path | None = None, read_only: bool = False) -> Path:
        """Show a directory under another path, by default a new one."""


@contextmanager
def loop_mounted(
    folder: Path,
    fstype: str,
    *,
    megabytes: int | None = None,
    mkfs: Sequence[str] = (),
    options: Sequence[str] = (),
) -> Iterator[Path]:
    """A fresh ext4, xfs or btrfs of its own, `folder / fstype`; needs root, the mkfs program and loop devices.

    `mkfs` and `options` go to the mkfs program and, after `-o`, to mount.
    """
    program = shutil.which(f"mkfs.{fstype}", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    need(os.geteuid() == 0, f"only root mounts {fstype}")
    need(program, f"mkfs.{fstype} is missing")
    need(Path("/dev/loop-control").exists(), "there are no loop devices")
    folder.mkdir(parents=True)
    image, mountpoint = folder / f"{fstype}.img", folder / fstype
    mountpoint.mkdir()
    try:
        with image.open("wb") as file:
            file.truncate((megabytes or _SMALLEST[fstype]) << 20)
        made = _run(str(program), *mkfs, str(image))
        need(made.returncode == 0, f"{program} failed: {made.stderr.strip()}")
        with _mounted("-t", fstype, "-o", ",".join(["loop", *options]), str(image), at=mountpoint):
            yield mountpoint
    finally:
        image.unlink()


@contextmanager
def bind_mounted(source: Path, mountpoint: Path, *, read_only: bool = False) -> Iterator[Path]:
    """`source` under a second path, which is another mount with the same `st_dev`; needs root.

    A file is shown over a file that is there, be it itself: it can then be neither removed nor replaced.
    """
    need(os.geteuid() == 0, "only root makes bind mounts")
    if source.is_dir():
        mountpoint.mkdir(parents=True, exist_ok=True)
    with _mounted("--bind", str(source), at=mountpoint):
        if read_only:
            need(_run("mount", "-o", "remount,bind,ro", str(mountpoint)).returncode == 0, "no read-only bind mounts")
        yield mountpoint


@contextmanager
def _mounted(*arguments: str, at: Path) -> Iterator[None]:
    mount = _run("mount", *arguments, str(at))
    need(mount.returncode == 0, f"mount failed: {mount.stderr.strip()}")
    try:
        yield
    finally:
        for lazily in ((), ("-l",)):  # Lazily only where something in it is still in use.
            if _run("umount", *lazily, str(at)).returncode == 0:
                break


def _run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)
