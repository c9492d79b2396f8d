"""What is known of the file systems at the two ends of a link, uv's cache and the environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath
from time import monotonic

from uv_link_doctor.engine.model import Operation, Place, Places, Trial
from uv_link_doctor.host.claims import new_name
from uv_link_doctor.host.environment import followed
from uv_link_doctor.host.foresight import foresee, takes_back
from uv_link_doctor.host.inodes import CASEFOLD, FICLONE, Inode, inode_of
from uv_link_doctor.host.mounts import Mount, landing_directory, mount_of, mount_table, nearest_directory
from uv_link_doctor.host.synced import synced_by

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
_TOLD_BY_INODE = frozenset({"btrfs", "ext2", "ext3", "ext4", "f2fs", "tmpfs", "xfs"})
"""File systems that are asked about an open directory."""
_MOST_REMEMBERED = 64
_TRIAL_BYTES = b"uv-link-doctor\n" * 512
"""Some blocks: a file system may keep a shorter file in its inode, where nothing can be cloned."""


def places(cache: Path, environment: Path, *, environ: Mapping[str, str], passive: bool) -> Places:
    """Both ends of a link and what a trial between them said, or what is sure to happen (`passive`); never raises."""
    environment = followed(environment)
    return Places(
        cache=place(cache, environ=environ),
        environment=place(environment, environ=environ),
        trial=foresee(cache, environment) if passive else try_links(cache, environment),
    )


class PlacesMemory:
    """What `places` said, kept until it might be wrong; threads may share one."""

    def __init__(self, *, seconds: float = 30, clock: Callable[[], float] = monotonic) -> None:
        """`seconds` is how old an answer may grow: no event tells of space used up or of a `chattr`."""
        self._seconds = seconds
        self._clock = clock
        self._kept: dict[object, tuple[object, float, Places]] = {}

    def places(self, cache: Path, environment: Path, *, environ: Mapping[str, str], passive: bool) -> Places:
        """As the function of this name; asked again at once where a mount, a directory or its permissions changed."""
        environment = followed(environment)
        question = (cache, environment, passive, frozenset(environ.items()))
        state = (mount_table(), _identity(cache), _identity(landing_directory(environment)))
        before, since, answer = self._kept.get(question, (None, 0.0, None))
        if answer is None or before != state or self._clock() - since >= self._seconds:
            self._kept.pop(question, None)
            answer = places(cache, environment, environ=environ, passive=passive)
            self._kept[question] = (state, self._clock(), answer)
            for oldest in list(self._kept)[:-_MOST_REMEMBERED]:
                self._kept.pop(oldest, None)
        return answer


def place(path: Path, *, environ: Mapping[str, str]) -> Place:
    """What can be learnt without writing of where a path is, or would be; never raises.

    Linux answers by mount: `st_dev` is the same for two bind mounts that no hard link crosses. Elsewhere the type and
    the device stay unknown. Like every look at a path, this waits for a network server that has gone.
    """
    directory = nearest_directory(path)
    mount = mount_of(directory)
    inode = inode_of(directory) if mount and mount.filesystem in _TOLD_BY_INODE else None
    free_bytes, free_inodes, read_only = _space(directory)
    return Place(
        path=directory,
        mount_point=mount.mount_point if mount else _mount_point(directory),
        filesystem=mount.filesystem if mount else None,
        device=mount.device if mount else None,
        free_bytes=free_bytes,
        read_only=read_only,
        network=is_network(mount) if mount else _is_share(directory),
        synced_by=synced_by(path, environ=environ),
        fuse=_fuse_server(mount) if mount else None,
        overlay=mount.filesystem == "overlay" if mount else None,
        windows_drive=_is_windows_drive(mount) if mount else None,
        case_sensitive=_case_sensitive(mount, inode) if mount else None,
        free_inodes=free_inodes,
        subvolume=inode.subvolume if inode else None,
    )


def try_links(cache: Path, environment: Path) -> Trial:
    """What happens to one temporary file of the cache when it is linked, cloned and copied into the environment.

    Names are made in its site-packages or, where there is none yet, in the nearest directory; a cache that does not
    exist is not made, and nothing is tried. A cache that takes no file gives `Operation.WRITE` alone. Clones are tried
    on Linux only. Nothing stays behind, not even after an interrupt: where no file could be removed again
    (`chattr +a`), the answer is foreseen. Never raises an OSError.

    The file is our own and new: it says nothing of cache files that belong to somebody else (`protected_hardlinks`)
    or are tied to a synced folder.
    """
    if not os.path.isdir(cache):  # noqa: PTH112  (see `nearest_directory`)
        return Trial()
    name = new_name()
    source = cache / name
    directory = landing_directory(environment)
    if not (takes_back(cache) and takes_back(directory)):
        return foresee(cache, environment)
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
        with source.open("rb") as original, target.open("xb") as clone:
            fcntl.ioctl(clone, FICLONE, original.fileno())


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


def _identity(path: Path) -> tuple[object, ...]:
    """What tells a directory from another one that takes its place, and who may do what in it."""
    directory = nearest_directory(path)
    try:
        status = directory.stat()
    except OSError:
        return (directory,)
    return directory, status.st_dev, status.st_ino, status.st_mode, status.st_uid, status.st_gid


def _fuse_server(mount: Mount) -> str | None:
    kind, _, server = mount.filesystem.partition(".")
    return server if kind in {"fuse", "fuseblk"} else None


def _is_windows_drive(mount: Mount) -> bool:
    """WSL 1 has a file system for it, WSL 2 shows it by 9p or virtiofs (its src/linux/init/drvfs.cpp)."""
    shown = mount.device.startswith("drvfs") or any(option.startswith("aname=drvfs") for option in mount.options)
    return mount.filesystem == "drvfs" or (mount.filesystem in {"9p", "virtiofs"} and shown)


def _case_sensitive(mount: Mount, inode: Inode | None) -> bool | None:
    """Whether names that differ in case only are two; on ext4 and in memory each directory may say (`chattr +F`)."""
    if mount.filesystem in {"exfat", "msdos", "vfat"}:
        return False
    return None if inode is None else not (inode.flags & CASEFOLD or inode.xfs_ascii_ci)


def _mount_point(directory: Path) -> str | None:
    """Where the directory's volume begins, by `st_dev` or, on Windows, as its drive and folder mounts tell."""
    real = Path(os.path.realpath(directory))
    return next((str(candidate) for candidate in (real, *real.parents) if os.path.ismount(candidate)), None)


def _is_share(directory: PurePath) -> bool | None:
    r"""Whether a Windows path is a share, `\\server\share`; None elsewhere, and for a drive letter."""
    drive = directory.drive
    return True if drive.startswith("\\\\") and not drive.startswith(("\\\\?\\", "\\\\.\\")) else None


def _space(directory: Path) -> tuple[int | None, int | None, bool | None]:
    """The bytes that we may still write, the files we may make, and whether mount or file system is read-only."""
    try:
        if sys.platform == "win32":
            import shutil  # noqa: PLC0415  (statvfs answers both elsewhere)

            return shutil.disk_usage(directory).free, None, None
        status = os.statvfs(directory)
    except OSError:
        return None, None, None
    free_inodes = status.f_favail if status.f_files else None
    return status.f_bavail * status.f_frsize, free_inodes, bool(status.f_flag & os.ST_RDONLY)
