"""What is known of the file systems at the two ends of a link, uv's cache and the environment."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath

from uv_link_doctor.engine.model import Operation, Place, Places, Trial
from uv_link_doctor.host.environment import followed

if sys.platform == "linux":
    import fcntl

_NETWORK = frozenset(
    {"afs", "beegfs", "ceph", "cifs", "coda", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "orangefs", "panfs"}
    | {"pvfs2", "smb3", "smbfs"}
)
"""Types of the kernel (and its usual outside modules) whose files lie on another machine."""
_NETWORK_FUSE = frozenset(
    {"afp", "blobfuse", "blobfuse2", "ceph", "ceph-fuse", "curlftpfs", "cvmfs2", "davfs", "davfs2", "gcsfuse"}
    | {"glusterfs", "google-drive-ocamlfuse", "goofys", "gvfsd-fuse", "JuiceFS", "juicefs", "kio-fuse", "mfs"}
    | {"mount-s3", "mountpoint-s3", "onedriver", "rclone", "s3fs", "seaweedfs", "smbnetfs", "sshfs"}
)
"""What stands behind `fuse.` for them; of other FUSE servers nobody can say."""
_ONEDRIVE_VARIABLES = ("OneDriveCommercial", "OneDriveConsumer", "OneDrive")
_MOUNTINFO_ESCAPE = re.compile(r"\\([0-7]{3})")
_TRIAL_BYTES = b"uv-link-doctor\n" * 512
"""Some blocks: a file system may keep a shorter file in its inode, where nothing can be cloned."""


def places(cache: Path, environment: Path, *, environ: Mapping[str, str], passive: bool) -> Places:
    """Both ends of a link and, unless `passive`, what a trial between them said; never raises."""
    environment = followed(environment)
    return Places(
        cache=place(cache, environ=environ),
        environment=place(environment, environ=environ),
        trial=Trial() if passive else try_links(cache, environment),
    )


def place(path: Path, *, environ: Mapping[str, str]) -> Place:
    """What can be learnt without writing of where a path is, or would be; never raises.

    Linux answers by mount: `st_dev` is the same for two bind mounts that no hard link crosses. Elsewhere the type and
    the device stay unknown. Like every look at a path, this waits for a network server that has gone.
    """
    directory = nearest_directory(path)
    mount = _mount(directory)
    free_bytes, read_only = _space(directory)
    return Place(
        path=directory,
        mount_point=mount.mount_point if mount else _mount_point(directory),
        filesystem=mount.filesystem if mount else None,
        device=mount.device if mount else None,
        free_bytes=free_bytes,
        read_only=read_only,
        network=is_network(mount) if mount else _is_share(directory),
        synced_by=_synced_by(path, directory, environ),
    )


def try_links(cache: Path, environment: Path) -> Trial:
    """What happens to one temporary file of the cache when it is linked, cloned and copied into the environment.

    The environment's nearest directory serves where there is none yet; a cache that does not exist is not made, and
    nothing is tried. A cache that takes no file gives `Operation.WRITE` alone. Clones are tried on Linux only. Nothing
    stays behind, not even after an interrupt. Never raises an OSError.

    The file is our own and new: it says nothing of cache files that belong to somebody else (`protected_hardlinks`)
    or are tied to a synced folder.
    """
    if not os.path.isdir(cache):  # noqa: PTH112  (`Path.is_dir` raises where a parent may not be searched)
        return Trial()
    name = f".uv-link-doctor-{os.urandom(8).hex()}"
    source = cache / name
    directory = nearest_directory(environment)
    targets = {operation: directory / f"{name}-{operation}" for operation in _WAYS}
    try:
        return _trial(source, targets)
    finally:
        try:
            _remove(source, *targets.values())
        except KeyboardInterrupt:
            # It came while we were removing: once more.
            _remove(source, *targets.values())
            raise


def nearest_directory(path: Path) -> Path:
    """The path itself or its nearest ancestor that is a directory, absolute, with symbolic links as they are."""
    path = path.absolute()
    for candidate in (path, *path.parents):
        if os.path.isdir(candidate):  # noqa: PTH112  (see `try_links`)
            return candidate
    return Path(path.anchor)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """One line of `/proc/self/mountinfo` (proc_pid_mountinfo(5))."""

    mount_point: str
    filesystem: str
    device: str
    options: frozenset[str]
    """Of the mount and of its file system."""


def find_mount(table: str, mount_id: int) -> Mount | None:
    """A mount by its id in the text of `/proc/self/mountinfo`; None where it is not, or its line is not understood."""
    line = re.search(rf"^{mount_id} .*$", table, re.MULTILINE)
    left, _, right = line[0].partition(" - ") if line else ("", "", "")
    mount, filesystem = left.split(" "), right.split(" ")
    if len(mount) < 6 or len(filesystem) < 3:
        return None
    return Mount(
        mount_point=_unescaped(mount[4]),
        filesystem=filesystem[0],
        device=_unescaped(filesystem[1]),
        options=frozenset(mount[5].split(",")) | frozenset(_unescaped(filesystem[2]).split(",")),
    )


def is_network(mount: Mount) -> bool | None:
    """Whether the files lie on another machine; None for a FUSE server we do not know.

    9p is the network's only over TCP: a drive of Windows in WSL (`aname=drvfs`) and a folder of the host in a virtual
    machine use it, too.
    """
    if mount.filesystem == "9p":
        return "trans=tcp" in mount.options
    if mount.filesystem in _NETWORK:
        return True
    kind, _, server = mount.filesystem.partition(".")
    if kind != "fuse":
        return False
    return True if server in _NETWORK_FUSE else None


def mac_client(path: Path, home: Path) -> str | None:
    """The cloud client in whose folder a path of macOS lies; both paths without symbolic links.

    Apple's File Provider keeps `~/Library/CloudStorage/<Provider>-<account>`, iCloud `~/Library/Mobile Documents`.
    """
    library = home / "Library"
    if path.is_relative_to(library / "Mobile Documents"):
        return "iCloud Drive"
    storage = library / "CloudStorage"
    if path.is_relative_to(storage) and path != storage:
        return path.relative_to(storage).parts[0].partition("-")[0]
    return None


def sync_root_provider(info: bytes) -> str | None:
    """The provider's name in a `CF_SYNC_ROOT_STANDARD_INFO`: 256 UTF-16 units from byte 28 on (cfapi.h)."""
    return info[28:540].decode("utf-16-le", errors="replace").partition("\0")[0] or None


def _trial(source: Path, targets: Mapping[Operation, Path]) -> Trial:
    works: dict[Operation, bool] = {}
    os_errors: dict[Operation, int] = {}
    try:
        _write(source, _TRIAL_BYTES)
    except OSError as error:
        return Trial({Operation.WRITE: False}, {Operation.WRITE: _number(error)})
    for operation, place_file in _WAYS.items():
        try:
            place_file(source, targets[operation])
            works[operation] = True
        except OSError as error:
            works[operation] = False
            os_errors[operation] = _number(error)
    return Trial(works, os_errors)


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)


def _hardlink(source: Path, target: Path) -> None:
    target.hardlink_to(source)


def _symlink(source: Path, target: Path) -> None:
    target.symlink_to(source.absolute())


def _copy(source: Path, target: Path) -> None:
    _write(target, source.read_bytes())


def _clone(source: Path, target: Path) -> None:
    if sys.platform == "linux":
        # `_IOW(0x94, 9, int)` (linux/fs.h), whose direction bits some architectures encode differently.
        elsewhere = os.uname().machine.startswith(("alpha", "mips", "ppc", "sparc"))
        with source.open("rb") as original, target.open("xb") as clone:
            fcntl.ioctl(clone, 0x80049409 if elsewhere else 0x40049409, original.fileno())


_WAYS: dict[Operation, Callable[[Path, Path], None]] = {
    **({Operation.HARDLINK: _hardlink} if hasattr(os, "link") else {}),  # Android's Python has none.
    **({Operation.CLONE: _clone} if sys.platform == "linux" else {}),
    Operation.SYMLINK: _symlink,
    Operation.COPY: _copy,
}


def _number(error: OSError) -> int:
    """The system's own number: on Windows `errno` is but a translation, in which 396 is lost."""
    return getattr(error, "winerror", None) or error.errno or 0


def _remove(*paths: Path) -> None:
    for path in paths:
        try:
            path.unlink()
        except OSError:
            # It was never made, or somebody (a virus scanner, a sync client) holds it: nothing more we could do.
            continue


def _mount(directory: Path) -> Mount | None:
    """The mount a directory is on, by the kernel's own word; None where there is no such word."""
    if sys.platform != "linux":
        return None
    try:
        handle = os.open(directory, os.O_PATH | os.O_CLOEXEC)
        try:
            facts = Path(f"/proc/self/fdinfo/{handle}").read_text(encoding="ascii")
        finally:
            os.close(handle)
        mount_id = re.search(r"^mnt_id:\s*(\d+)", facts, re.MULTILINE)
        table = os.fsdecode(Path("/proc/self/mountinfo").read_bytes())
    except OSError:
        return None
    return find_mount(table, int(mount_id[1])) if mount_id else None


def _unescaped(field: str) -> str:
    return _MOUNTINFO_ESCAPE.sub(lambda escape: chr(int(escape[1], 8)), field)


def _mount_point(directory: Path) -> str | None:
    """Where the directory's volume begins, by `st_dev` or, on Windows, as its drive and folder mounts tell."""
    real = Path(os.path.realpath(directory))
    return next((str(candidate) for candidate in (real, *real.parents) if os.path.ismount(candidate)), None)


def _is_share(directory: PurePath) -> bool | None:
    r"""Whether a Windows path is a share, `\\server\share`; None elsewhere, and for a drive letter."""
    drive = directory.drive
    return True if drive.startswith("\\\\") and not drive.startswith(("\\\\?\\", "\\\\.\\")) else None


def _space(directory: Path) -> tuple[int | None, bool | None]:
    """The bytes that we may still write, and whether the mount or its file system is read-only."""
    try:
        if sys.platform == "win32":
            import shutil  # noqa: PLC0415  (statvfs answers both elsewhere)

            return shutil.disk_usage(directory).free, None
        status = os.statvfs(directory)
    except OSError:
        return None, None
    return status.f_bavail * status.f_frsize, bool(status.f_flag & os.ST_RDONLY)


def _synced_by(path: Path, directory: Path, environ: Mapping[str, str]) -> str | None:
    real = Path(os.path.realpath(path))
    for variable in _ONEDRIVE_VARIABLES:
        root = Path(environ.get(variable, ""))
        if root.is_absolute() and real.is_relative_to(os.path.realpath(root)):
            return "OneDrive"
    if sys.platform == "win32":
        return _sync_root(directory)
    if sys.platform == "darwin":
        return mac_client(real, Path(os.path.realpath(Path.home())))
    return None


def _sync_root(directory: Path) -> str | None:
    """The provider of the cloud sync root a directory is in, by the driver's word; unverified.

    `CfGetSyncRootInfoByPath` (cfapi.h, Windows 10 1709) takes an existing path, 1 for the standard information, a
    buffer and its size. Any result but S_OK says that there is no root, or nobody to ask.
    """
    if sys.platform == "win32":
        import ctypes  # noqa: PLC0415  (needed nowhere else)

        info = ctypes.create_string_buffer(1056 + 65536)
        written = ctypes.c_uint32()
        try:
            ask = ctypes.WinDLL("CldApi.dll").CfGetSyncRootInfoByPath
        except (OSError, AttributeError):
            return None
        path, size = ctypes.c_wchar_p(str(directory)), ctypes.c_uint32(len(info))
        if ask(path, 1, info, size, ctypes.byref(written)) == 0:
            return sync_root_provider(info.raw)
    return None
