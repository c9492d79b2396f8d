"""A file system for Linux (FUSE) that refuses hard links as a folder synced with a cloud does.

It shows a directory of the disk under a second path. Inside lies a *sync root*. A file that has got a name in there is
*converted*, as OneDrive makes a placeholder of it: the mark is on the inode, so the file's other names, uv's cache
among them, carry it as well, and no further link to it can be made anywhere. The attempt fails with 396,
ERROR_CLOUD_FILE_INCOMPATIBLE_HARDLINKS, a number that the kernel hands to an unmodified uv as it is.

OneDrive converts one file after another. Patterns say which ones it has got to:

* none given, so all: the *first* link of each wheel fails, and uv copies instead (degraded);
* `*/certifi/core.py`: a *later* link of a wheel fails, and uv stops (failed).

uv links files in the order in which directories list them, which is the alphabet's here, backwards. So a wheel's
`.dist-info` comes before its modules, and after such a stop uv takes the package for installed.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from ctypes.util import find_library
from fnmatch import fnmatchcase
from pathlib import Path

from uv_link_doctor.engine.model import DoctorError

INCOMPATIBLE_HARDLINKS = 396


class MountError(DoctorError):
    """The file system cannot be mounted on this machine: the message says what is missing, the hint how to get it."""


@contextmanager
def mounted(
    backing: Path,
    mountpoint: Path,
    sync_root: str,
    convert: Sequence[str] = (),
    *,
    os_error: int = INCOMPATIBLE_HARDLINKS,
    program: Sequence[str] = ("-m", __name__),
) -> Iterator[Path]:
    """Show `backing` under `mountpoint`, from a process of its own, until the block is left; yields `mountpoint`.

    Both directories are made if need be. `sync_root` is a path inside the file system (`OneDrive - Contoso`), `convert`
    holds shell patterns for whole paths inside it. Nothing stays mounted and no process stays behind, whatever happens
    in the block and however this process ends. Change files through the mount only: the kernel remembers names.

    `os_error` is the number with which a link is refused, for other troubles than a cloud's; `program` is what Python
    runs to serve it, if not this module.

    Raises MountError: a part is missing, or the mount was refused.
    """
    if missing := missing_part():
        raise missing
    backing.mkdir(parents=True, exist_ok=True)
    mountpoint.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, *program, str(backing.absolute()), str(mountpoint.absolute())]
    command += ["--sync-root", sync_root, *(f"--convert={pattern}" for pattern in convert), f"--os-error={os_error}"]
    with tempfile.TemporaryFile() as stderr:
        # In a session of its own, because Ctrl-C is meant for us: we unmount, and only then it ends.
        process = subprocess.Popen(
            command, cwd="/", stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, start_new_session=True
        )
        try:
            if not _says_mounted(process):
                stderr.seek(0)
                raise _refused(stderr.read().decode(errors="replace"))
            try:
                yield mountpoint
            finally:
                _unmount(mountpoint)
        finally:
            _end(process)


def missing_part() -> MountError | None:
    """What this machine lacks to mount the file system; None where all is at hand (the mount may still be refused)."""
    fuse3 = "Install FUSE 3; on Debian and Ubuntu: `apt install fuse3`"
    parts = (
        (sys.platform == "linux", "this kind of FUSE is Linux's", "Run it on Linux"),
        (
            os.access("/dev/fuse", os.R_OK | os.W_OK),
            "`/dev/fuse` cannot be opened",
            "Load the module with `modprobe fuse`; start a container with `--device /dev/fuse --cap-add SYS_ADMIN`",
        ),
        (find_library("fuse3"), "the library libfuse3 is missing", fuse3),
        (shutil.which("fusermount3"), "the program `fusermount3` is missing", fuse3),
        (importlib.util.find_spec("mfusepy"), "the Python package mfusepy is missing", "Run `pip install mfusepy`"),
    )
    for found, lack, hint in parts:
        if not found:
            return MountError(f"The cloud file system cannot be mounted here: {lack}", hint)
    return None


def _says_mounted(process: subprocess.Popen[bytes]) -> bool:
    return bool(process.stdout and process.stdout.readline())


def _refused(stderr: str) -> MountError:
    words = stderr.strip().splitlines() or ["it gave no reason"]
    return MountError(
        f"The cloud file system cannot be mounted here: {words[-1]}",
        "Containers often forbid mounts; start one with `--device /dev/fuse --cap-add SYS_ADMIN`",
    )


def _unmount(mountpoint: Path) -> None:
    for options in ("-u", "-uz"):  # Lazily only where something in it is still in use.
        if subprocess.run(["fusermount3", options, mountpoint], capture_output=True, check=False).returncode == 0:
            return


def _end(process: subprocess.Popen[bytes]) -> None:
    with process:  # Closes its pipes, and reaps it.
        if process.stdin:
            process.stdin.close()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()


def main(files: type[CloudFiles] | None = None) -> int:
    """Mount and serve until told to stop: SIGTERM, or the end of stdin, which also comes when the parent process dies.

    Prints one line as soon as the file system can be used.
    """
    parser = argparse.ArgumentParser(
        prog="python -m uv_link_doctor.demo.cloudfs",
        description="Refuse hard links as a folder synced with a cloud does, until stdin ends.",
    )
    parser.add_argument("backing", type=Path, metavar="BACKING", help="the directory to show")
    parser.add_argument("mountpoint", type=Path, metavar="MOUNTPOINT", help="where to show it")
    parser.add_argument("--sync-root", required=True, metavar="PATH", help="the synced folder inside")
    parser.add_argument("--os-error", type=int, default=INCOMPATIBLE_HARDLINKS, help="what a refused link fails with")
    parser.add_argument("--convert", action="append", metavar="PATTERN", help="files to convert; default: all")
    options = parser.parse_args()

    ready = False

    def on_ready() -> None:
        nonlocal ready
        ready = True
        print(f"mounted {options.mountpoint}", flush=True)
        threading.Thread(target=_stop_when_stdin_ends, daemon=True).start()

    os.environ["FUSE_LIBRARY_NAME"] = "fuse3"  # mfusepy would prefer version 2.
    mfusepy = importlib.import_module("mfusepy")  # Not before, since this loads the library.
    os.umask(0)  # The caller's own mask has been applied to the modes that arrive.
    with suppress(RuntimeError):  # libfuse has failed and said why, or was ended by a signal.
        mfusepy.FUSE(
            (files or CloudFiles)(
                options.backing,
                options.sync_root,
                options.convert or ["*"],
                os_error=options.os_error,
                on_ready=on_ready,
                caller=mfusepy.fuse_get_context,
            ),
            str(options.mountpoint),
            foreground=True,
            nothreads=True,  # One request at a time: no locks, and faster in Python.
            fsname="cloudfs",
            subtype="cloudfs",
            allow_other=os.geteuid() == 0,  # Others need a line in /etc/fuse.conf for it.
            default_permissions=True,
            use_ino=True,
            attr_timeout=0,  # What the kernel remembers of one name is wrong once another name has changed.
        )
    return 0 if ready else 1


def _stop_when_stdin_ends() -> None:
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)  # libfuse ends its loop on it, and unmounts.


class CloudFiles:
    """What mfusepy asks of a file system: all goes through to the directory behind it, except some links.

    The methods are libfuse's `struct fuse_operations`; an OSError's number goes to the caller. Paths start at the mount
    point with `/`. libfuse renames a file that is removed while open to `.fuse_hidden…`. The flags of `renameat2` don't
    get here, but the kernel itself sees to RENAME_NOREPLACE, on which uv's locks rest.
    """

    use_ns = True
    """Times are in nanoseconds (mfusepy reads this)."""

    def __init__(
        self,
        backing: Path,
        sync_root: str,
        convert: Sequence[str],
        *,
        os_error: int,
        on_ready: Callable[[], None],
        caller: Callable[[], tuple[int, int, int]],
    ) -> None:
        self.backing = str(backing.resolve())
        self.sync_root = f"/{sync_root.strip('/')}/"
        self.convert = convert
        self.os_error = os_error
        self.on_ready = on_ready
        self.caller = caller
        """User, group and process of the request at hand."""
        self.converted: set[tuple[int, int]] = set()
        """Device and number of inodes."""

    def init(self, _path: str) -> None:
        """Called when the kernel has accepted the mount."""
        self.on_ready()

    def link(self, new: str, old: str) -> None:
        """Refuse a converted file, convert one that gets its name in the sync root."""
        inode = _inode(self._behind(old))
        if self._converts(old):
            self.converted.add(inode)
        if inode in self.converted:
            raise OSError(self.os_error, "The cloud operation cannot be performed on hard links")
        os.link(self._behind(old), self._behind(new), follow_symlinks=False)
        if self._converts(new):
            self.converted.add(inode)

    def unlink(self, path: str) -> None:
        """Remove a name."""
        with self._forgetting(path):
            self._behind(path).unlink()

    def rename(self, old: str, new: str) -> None:
        """Move a name, over another file if there is one."""
        with self._forgetting(new):
            self._behind(old).rename(self._behind(new))

    def getattr(self, path: str, handle: int | None = None) -> dict[str, int]:
        """Answer stat."""
        status = self._behind(path).lstat() if handle is None else os.fstat(handle)
        return {name: getattr(status, name) for name in _ATTRIBUTES} | {
            "st_atime": status.st_atime_ns,
            "st_mtime": status.st_mtime_ns,
            "st_ctime": status.st_ctime_ns,
        }

    def readdir(self, path: str, _handle: int) -> list[tuple[str, dict[str, int] | None, int]]:
        """List a directory, in the order this module promises.

        An entry without its inode's number would be dropped by the kernel.
        """
        with os.scandir(self._behind(path)) as listing:
            entries = sorted(listing, key=lambda entry: entry.name, reverse=True)
        names = [(entry.name, {"st_mode": _file_type(entry), "st_ino": entry.inode()}, 0) for entry in entries]
        return [(".", None, 0), ("..", None, 0), *names]

    def mkdir(self, path: str, mode: int) -> None:
        """Make a directory."""
        self._behind(path).mkdir(mode)
        self._give_to_caller(path)

    def rmdir(self, path: str) -> None:
        """Remove an empty directory."""
        self._behind(path).rmdir()

    def symlink(self, path: str, target: str) -> None:
        """Make a symbolic link."""
        self._behind(path).symlink_to(target)
        self._give_to_caller(path)

    def readlink(self, path: str) -> str:
        """Where a symbolic link points, to the letter."""
        return os.readlink(self._behind(path))  # noqa: PTH115 - a Path would lose `./` and double slashes.

    def chmod(self, path: str, mode: int) -> None:
        """Change the mode."""
        self._behind(path).chmod(mode)

    def chown(self, path: str, uid: int, gid: int) -> None:
        """Change the owner."""
        os.lchown(self._behind(path), uid, gid)

    def utimens(self, path: str, times: tuple[int, int]) -> None:
        """Change the times; each may be one of the two marks of utimensat instead."""
        status = self._behind(path).lstat()
        atime, mtime = (
            {_UTIME_NOW: time.time_ns(), _UTIME_OMIT: old}.get(new, new)
            for new, old in zip(times, (status.st_atime_ns, status.st_mtime_ns), strict=True)
        )
        os.utime(self._behind(path), ns=(atime, mtime), follow_symlinks=False)

    def statfs(self, path: str) -> dict[str, int]:
        """Describe the file system behind this one."""
        status = os.statvfs(self._behind(path))
        return {name: getattr(status, name) for name in _VOLUME}

    def open(self, path: str, flags: int) -> int:
        """Open a file that exists."""
        return os.open(self._behind(path), flags)

    def create(self, path: str, mode: int, flags: int) -> int:
        """Make a file and open it."""
        handle = os.open(self._behind(path), flags | os.O_CREAT, mode)
        self._give_to_caller(path)
        return handle

    def read(self, _path: str, size: int, offset: int, handle: int) -> bytes:
        """Read from an open file."""
        return os.pread(handle, size, offset)

    def write(self, _path: str, data: bytes, offset: int, handle: int) -> int:
        """Write to an open file."""
        return os.pwrite(handle, data, offset)

    def truncate(self, path: str, length: int, handle: int | None = None) -> None:
        """Cut or extend a file."""
        os.truncate(self._behind(path) if handle is None else handle, length)

    def release(self, _path: str, handle: int) -> None:
        """Close an open file."""
        os.close(handle)

    def _behind(self, path: str) -> Path:
        return Path(self.backing + path)

    def _converts(self, path: str) -> bool:
        return path.startswith(self.sync_root) and any(fnmatchcase(path, pattern) for pattern in self.convert)

    def _give_to_caller(self, path: str) -> None:
        user, group, _process = self.caller()
        if user != os.geteuid():  # Only root's mount serves others.
            os.lchown(self._behind(path), user, group)

    @contextmanager
    def _forgetting(self, path: str) -> Iterator[None]:
        """Around the loss of a name: with its last one an inode is gone, and its number may come back."""
        try:
            status = self._behind(path).lstat()
        except FileNotFoundError:
            status = None
        yield
        if status and status.st_nlink == 1:
            self.converted.discard((status.st_dev, status.st_ino))


def _inode(path: Path) -> tuple[int, int]:
    status = path.lstat()
    return status.st_dev, status.st_ino


def _file_type(entry: os.DirEntry[str]) -> int:
    if entry.is_symlink():
        return stat.S_IFLNK
    return stat.S_IFDIR if entry.is_dir() else stat.S_IFREG


_UTIME_NOW, _UTIME_OMIT = (1 << 30) - 1, (1 << 30) - 2
_ATTRIBUTES = ("st_mode", "st_ino", "st_nlink", "st_uid", "st_gid", "st_size", "st_blksize", "st_blocks")
_VOLUME = ("f_bsize", "f_frsize", "f_blocks", "f_bfree", "f_bavail", "f_files", "f_ffree", "f_favail", "f_namemax")


if __name__ == "__main__":
    sys.exit(main())
