"""Which cloud client keeps a folder in sync, and which files carry its mark.

The system is asked first (on Windows the cloud filter driver, on macOS the attribute of a File Provider), then what the
clients wrote down: registry, variables, Dropbox's own file. On Linux the variables alone count: clients there
(onedrive, Insync, Dropbox, Nextcloud) fill plain directories, in which links work as anywhere. What concerns Windows
and macOS is unverified: it was written from the documents it names and has not run there.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path, PureWindowsPath

from uv_link_doctor.host.mounts import nearest_directory

_ONEDRIVE_VARIABLES = ("OneDrive", "OneDriveCommercial", "OneDriveConsumer")
_NAMELESS = "a cloud client"
_SYNC_ROOTS = r"SOFTWARE\Microsoft\Windows\CurrentVersion\Explorer\SyncRootManager"
_ACCOUNTS = r"HKEY_CURRENT_USER\Software\Microsoft\OneDrive\Accounts"
_WSL_ROOTS = (Path("/mnt"), Path("/"))
"""Where WSL mounts the drives of Windows, unless wsl.conf says otherwise, and where many a wsl.conf does."""

Registry = Callable[[str], tuple[Sequence[str], Mapping[str, object]]]
"""The names of the keys below a key, and its values by name; both empty where there is no such key."""


def synced_by(path: Path, *, environ: Mapping[str, str]) -> str | None:
    """The client in whose folder a path lies, or would lie if it existed; never raises."""
    real = Path(os.path.realpath(path))
    roots = sync_roots(environ=environ)
    return _asked(real) or next((client for root, client in roots if real.is_relative_to(root)), None)


def sync_roots(*, environ: Mapping[str, str]) -> Iterator[tuple[Path, str]]:
    """Every folder that a client says it syncs, without symbolic links, and the client; a folder may come twice.

    The system knows more, but only when asked about one path, as `synced_by` does.
    """
    for folder, client in _told(environ):
        root = _local(folder)
        if root is not None:
            yield Path(os.path.realpath(root)), client


def is_placeholder(path: Path) -> bool | None:
    """Whether a file itself carries a cloud client's mark; None where nobody could say, as on Linux.

    Windows marks each file that a client took over, macOS (`SF_DATALESS`, sys/stat.h) one whose content is elsewhere.
    """
    if sys.platform == "win32":
        from uv_link_doctor.host import native  # noqa: PLC0415  (ctypes takes its time to load)

        answer = native.attributes_and_tag(native.kernel32(), str(path.absolute()))
        return None if answer is None else is_cloud_mark(*answer)
    if sys.platform == "darwin":
        try:
            return bool(os.lstat(path).st_flags & 0x40000000)
        except OSError:
            return None
    return None


def names_of(path: Path) -> tuple[Path, ...]:
    """All names of a file that has several, or one; empty where the system does not tell, as outside Windows."""
    if sys.platform == "win32":
        from uv_link_doctor.host import native  # noqa: PLC0415  (see `is_placeholder`)

        real = Path(os.path.realpath(path.parent), path.name)
        return tuple(Path(name) for name in native.link_names(native.kernel32(), str(real)))
    return ()


def is_cloud_mark(attributes: int, tag: int) -> bool:
    """Whether a file of Windows with these attributes and this reparse tag is a placeholder.

    FILE_ATTRIBUTE_RECALL_ON_DATA_ACCESS, and of FILE_ATTRIBUTE_REPARSE_POINT the tags IO_REPARSE_TAG_CLOUD to CLOUD_F
    and IO_REPARSE_TAG_ONEDRIVE (winnt.h; MS-FSCC 2.1.2.1 and 2.6). A tag without that attribute means nothing.
    """
    cloud_tag = tag & 0xFFFF0FFF == 0x9000001A or tag == 0x80000021
    return bool(attributes & 0x00400000) or (bool(attributes & 0x400) and cloud_tag)


def sync_root_provider(info: bytes) -> str | None:
    """The provider's name in a `CF_SYNC_ROOT_STANDARD_INFO`: 256 UTF-16 units from byte 28 on (cfapi.h)."""
    return info[28:540].decode("utf-16-le", errors="replace").partition("\0")[0] or None


def registered_roots(read: Registry) -> Iterator[tuple[str, str]]:
    r"""The folders in the registry of Windows, and whose they are.

    `SyncRootManager\<provider>!<SID>!<account>\UserSyncRoots` holds a folder for each user (Microsoft, "Integrate a
    Cloud Storage Provider"). OneDrive's accounts name their folder and, as programs that read them found, the
    libraries of SharePoint that are synced elsewhere.
    """
    for hive in ("HKEY_LOCAL_MACHINE", "HKEY_CURRENT_USER"):
        providers = rf"{hive}\{_SYNC_ROOTS}"
        for identity in read(providers)[0]:
            yield from _texts(read(rf"{providers}\{identity}\UserSyncRoots")[1].values(), identity.partition("!")[0])
    for account in read(_ACCOUNTS)[0]:
        key = rf"{_ACCOUNTS}\{account}"
        yield from _texts([read(key)[1].get("UserFolder")], "OneDrive")
        yield from _texts(read(rf"{key}\ScopeIdToMountPointPathCache")[1].values(), "OneDrive")


def dropbox_folders(info: str) -> Iterator[str]:
    """The folders in Dropbox's info.json, one for each account (Dropbox's help, "locate-dropbox-folder")."""
    try:
        accounts = json.loads(info)
    except ValueError:
        return
    for account in accounts.values() if isinstance(accounts, dict) else ():
        folder = account.get("path") if isinstance(account, dict) else None
        if isinstance(folder, str):
            yield folder


def mac_client(path: Path, home: Path) -> str | None:
    """The client in whose own folder a path of macOS lies; both paths without symbolic links.

    Apple's File Provider keeps `~/Library/CloudStorage/<Provider>-<account>`, iCloud `~/Library/Mobile Documents`.
    """
    library = home / "Library"
    if path.is_relative_to(library / "Mobile Documents"):
        return "iCloud Drive"
    storage = library / "CloudStorage"
    if path.is_relative_to(storage) and path != storage:
        return path.relative_to(storage).parts[0].partition("-")[0]
    return None


def file_provider(path: Path, domain: Callable[[Path], bytes | None]) -> str | None:
    """The client that one of a path's ancestors on macOS was handed to, as its domain says.

    The attribute `com.apple.file-provider-domain-id` (`<bundle>/<id>`) is on the root of each File Provider, and on
    Desktop and Documents where iCloud keeps them: an observation of several users, not a document of Apple's.
    """
    found = next(filter(None, map(domain, (path, *path.parents))), None)
    if found is None:
        return None
    bundle = found.decode(errors="replace").partition("/")[0]
    return "iCloud Drive" if bundle.startswith("com.apple.CloudDocs") else bundle or _NAMELESS


def _asked(real: Path) -> str | None:
    """What the system itself says of a path without symbolic links."""
    if sys.platform == "win32":
        from uv_link_doctor.host import native  # noqa: PLC0415  (see `is_placeholder`)

        library = native.cloud_api()
        info = native.sync_root_info(library, str(nearest_directory(real))) if library else None
        return None if info is None else sync_root_provider(info) or _NAMELESS
    if sys.platform == "darwin":
        from uv_link_doctor.host import native  # noqa: PLC0415  (see `is_placeholder`)

        domain = partial(native.extended_attribute, native.libc(), name=b"com.apple.file-provider-domain-id")
        return mac_client(real, Path(os.path.realpath(Path.home()))) or file_provider(real, domain)
    return None


def _told(environ: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Folders as the clients wrote them down, those first that are trusted most."""
    if sys.platform == "win32":
        import winreg  # noqa: PLC0415  (only Windows has it)

        from uv_link_doctor.host import native  # noqa: PLC0415  (see `is_placeholder`)

        yield from registered_roots(partial(native.registry_key, winreg))
    for folder in _values(environ, _ONEDRIVE_VARIABLES):
        yield folder, "OneDrive"
    for home in _dropbox_homes(environ):
        try:
            info = (home / "info.json").read_text(encoding="utf-8")
        except (OSError, ValueError):
            continue
        for folder in dropbox_folders(info):
            yield folder, "Dropbox"


def _values(environ: Mapping[str, str], names: Sequence[str]) -> list[str]:
    """What variables hold; Windows does not tell their names apart by case, and Python's `os.environ` raises it."""
    fold = str.lower if sys.platform == "win32" else str
    wanted = {fold(name) for name in names}
    return [value for name, value in environ.items() if fold(name) in wanted]


def _dropbox_homes(environ: Mapping[str, str]) -> list[Path]:
    if sys.platform == "win32":
        return [Path(folder, "Dropbox") for folder in _values(environ, ("APPDATA", "LOCALAPPDATA"))]
    return [Path.home() / ".dropbox"] if sys.platform == "darwin" else []


def _local(folder: str) -> Path | None:
    r"""An absolute path in the terms of this system: in WSL, a path of Windows (`C:\Users`) is below a mount."""
    drive, *parts = PureWindowsPath(folder).parts or ("",)
    if sys.platform == "linux" and drive.endswith(":\\"):
        mounts = [root / drive[0].lower() for root in _WSL_ROOTS]
        return next((mount.joinpath(*parts) for mount in mounts if os.path.ismount(mount)), None)
    path = Path(folder)
    return path if path.is_absolute() else None


def _texts(found: Iterable[object], client: str) -> Iterator[tuple[str, str]]:
    return ((folder, client) for folder in found if isinstance(folder, str))
