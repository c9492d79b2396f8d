import os
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from kit.mounts import bind_mounted
from kit.need import need
from kit.windows import Library, WinReg

from uv_link_doctor.host import native, synced
from uv_link_doctor.host.synced import (
    dropbox_folders,
    file_provider,
    is_cloud_mark,
    is_placeholder,
    mac_client,
    names_of,
    registered_roots,
    sync_root_provider,
    sync_roots,
    synced_by,
)

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="stands in for other systems")

On = Callable[[str], None]


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> On:
    """Makes `synced` take this machine for another."""

    def pretend(platform: str) -> None:
        monkeypatch.setattr(synced, "sys", SimpleNamespace(platform=platform))

    return pretend


# --- variables ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "value", "path", "client"),
    [
        ("OneDrive", "{root}/OneDrive - Contoso", "OneDrive - Contoso/project/.venv", "OneDrive"),
        ("OneDriveCommercial", "{root}/OneDrive - Contoso/", "OneDrive - Contoso/.venv", "OneDrive"),
        ("OneDriveConsumer", "{root}/OneDrive - Contoso", "OneDrive - Contoso", "OneDrive"),
        ("OneDrive", "{root}/linked", "OneDrive - Contoso/project", "OneDrive"),
        ("OneDrive", "{root}/OneDrive - Contoso", "linked/project/.venv", "OneDrive"),
        ("OneDrive", "{root}/OneDrive", "OneDrive - Contoso/project", None),
        ("OneDrive", "{root}/OneDrive - Contoso", "elsewhere/project", None),
        ("OneDrive", "C:\\Users\\ana\\OneDrive", "project", None),
        ("OneDrive", "\\\\server\\share\\OneDrive", "project", None),
        ("OneDrive", "C:OneDrive", "OneDrive", None),
        ("ONEDRIVE", "{root}", "project", None),
        ("DROPBOX", "{root}", "project", None),
    ],
)
def test_onedrives_variables_name_its_folder(
    tmp_path: Path, variable: str, value: str, path: str, client: str | None
) -> None:
    (tmp_path / "OneDrive - Contoso").mkdir()
    (tmp_path / "linked").symlink_to("OneDrive - Contoso")
    environ = {variable: value.format(root=tmp_path)}
    assert synced_by(tmp_path / path, environ=environ) == client


@pytest.mark.parametrize("value", ["", "OneDrive"])
def test_a_variable_without_an_absolute_path_names_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert synced_by(tmp_path / "OneDrive" / "project", environ={"OneDrive": value}) is None


@linux_only
@pytest.mark.parametrize("value", ["C:\\Users\\Ana\\OneDrive - Contoso", "c:/Users/Ana/OneDrive - Contoso"])
def test_in_wsl_a_folder_of_windows_is_below_the_mount_of_its_drive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setattr(synced, "_WSL_ROOTS", (tmp_path / "mnt", tmp_path / "other"))
    project = tmp_path / "other" / "c" / "Users" / "Ana" / "OneDrive - Contoso" / "project"
    environ = {"OneDriveCommercial": value}
    assert synced_by(project, environ=environ) is None
    need(Path("/dev/shm").stat().st_dev != tmp_path.stat().st_dev, "/dev/shm holds the temporary files, too")
    with bind_mounted(Path("/dev/shm"), tmp_path / "other" / "c", read_only=True):
        assert synced_by(project, environ=environ) == "OneDrive"
        assert synced_by(project.parents[1], environ=environ) is None


@linux_only
def test_plain_folders_of_clients_on_linux_are_not_mentioned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    dropbox(tmp_path / ".dropbox", tmp_path / "Dropbox")
    assert list(sync_roots(environ={"HOME": str(tmp_path)})) == []
    assert synced_by(tmp_path / "Dropbox" / "project", environ={}) is None


# --- Dropbox ------------------------------------------------------------------------------


def dropbox(home: Path, folder: Path) -> None:
    home.mkdir(parents=True)
    (home / "info.json").write_text(f'{{"personal": {{"path": "{folder}", "host": 4711, "is_team": false}}}}')


@pytest.mark.parametrize(
    ("info", "folders"),
    [
        (r'{"personal": {"path": "C:\\Users\\ana\\Dropbox", "host": 1}}', [r"C:\Users\ana\Dropbox"]),
        ('{"personal": {"path": "/a"}, "business": {"path": "/b/Team", "root_path": "/b"}}', ["/a", "/b/Team"]),
        ('{"personal": {"host": 1}, "business": {"path": null}, "other": 3}', []),
        ("{}", []),
        ('["path"]', []),
        ("null", []),
        ('{"personal": {"path', []),
        ("", []),
    ],
)
def test_dropbox_tells_a_folder_for_each_account(info: str, folders: list[str]) -> None:
    assert list(dropbox_folders(info)) == folders


# --- macOS --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "client"),
    [
        ("/Users/ana/Library/CloudStorage/OneDrive-Contoso/project/.venv", "OneDrive"),
        ("/Users/ana/Library/CloudStorage/GoogleDrive-ana@example.org/My Drive", "GoogleDrive"),
        ("/Users/ana/Library/CloudStorage/Dropbox/project", "Dropbox"),
        ("/Users/ana/Library/CloudStorage", None),
        ("/Users/ana/Library/Mobile Documents/com~apple~CloudDocs/project", "iCloud Drive"),
        ("/Users/ana/Library/Caches/uv", None),
        ("/Users/ben/Library/CloudStorage/OneDrive-Contoso", None),
    ],
)
def test_clients_of_macos_keep_to_their_folders(path: str, client: str | None) -> None:
    assert mac_client(Path(path), Path("/Users/ana")) == client


@pytest.mark.parametrize(
    ("path", "client"),
    [
        ("/Users/ana/Documents", "iCloud Drive"),
        ("/Users/ana/Documents/project/.venv", "iCloud Drive"),
        ("/Volumes/Big/Nextcloud/project", "com.nextcloud.desktopclient.FileProviderExt"),
        ("/Volumes/Odd/project", "a cloud client"),
        ("/Users/ana/project", None),
        ("/", None),
    ],
)
def test_a_domain_of_macos_reaches_down_from_its_root(path: str, client: str | None) -> None:
    domains = {
        Path(
            "/Users/ana/Documents"
        ): b"com.apple.CloudDocs.iCloudDriveFileProvider/3C5D7A2E-0000-4000-8000-000000000001",
        Path("/Volumes/Big/Nextcloud"): b"com.nextcloud.desktopclient.FileProviderExt/ana@cloud.example.org",
        Path("/Volumes/Odd"): b"/4711",
    }
    assert file_provider(Path(path), domains.get) == client


@linux_only
def test_on_macos_the_system_is_asked_before_variables_and_dropbox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on: On
) -> None:
    on("darwin")
    monkeypatch.setenv("HOME", str(tmp_path))
    dropbox(tmp_path / ".dropbox", tmp_path / "Dropbox")
    environ = {"OneDrive": str(tmp_path)}
    assert synced_by(tmp_path / "Library" / "CloudStorage" / "Box-Box" / "project", environ=environ) == "Box"
    assert synced_by(tmp_path / "Dropbox" / "project", environ=environ) == "OneDrive"
    assert synced_by(tmp_path / "Dropbox" / "project", environ={}) == "Dropbox"
    assert synced_by(tmp_path / "project", environ={}) is None
    monkeypatch.setattr(native, "extended_attribute", {tmp_path: b"com.apple.CloudDocs/1"}.get)
    monkeypatch.setattr(synced, "partial", lambda ask, *_, name: ask if name.startswith(b"com.apple.file-p") else None)
    assert synced_by(tmp_path / "project" / ".venv", environ=environ) == "iCloud Drive"


@linux_only
@pytest.mark.parametrize(("flags", "placeholder"), [(0x40000060, True), (0x60, False), (0, False)])
def test_macos_marks_a_file_whose_content_is_elsewhere(
    monkeypatch: pytest.MonkeyPatch, on: On, flags: int, *, placeholder: bool
) -> None:
    on("darwin")
    monkeypatch.setattr(synced, "os", SimpleNamespace(lstat=lambda _: SimpleNamespace(st_flags=flags)))
    assert is_placeholder(Path("file")) is placeholder


# --- Windows ------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", ["OneDrive", "Nextcloud", "é漢"])
def test_the_sync_roots_provider_is_read(provider: str) -> None:
    assert sync_root_provider(sync_root_info(provider)) == provider


def test_a_provider_without_a_name_is_none() -> None:
    assert sync_root_provider(b"\0" * 2000) is None


def sync_root_info(provider: str) -> bytes:
    """A `CF_SYNC_ROOT_STANDARD_INFO`, in full."""
    name = provider.encode("utf-16-le").ljust(512, b"\0")
    version = "24.1".encode("utf-16-le").ljust(512, b"\0")
    return struct.pack("<q2H2HIII512s512sI", 7, 1, 2, 3, 4, 5, 1, 0, name, version, 0) + b"\0" * 65536


MANAGER = r"SOFTWARE\Microsoft\Windows\CurrentVersion\Explorer\SyncRootManager"
USER = r"HKEY_CURRENT_USER\Software\Microsoft\OneDrive\Accounts"
REGISTRY: dict[str, tuple[Sequence[str], Mapping[str, object]]] = {
    rf"HKEY_LOCAL_MACHINE\{MANAGER}": (["OneDrive!S-1-5-21!Business1|x", "iCloudDrive!S-1-5-21!ana", "Gone!S!a"], {}),
    rf"HKEY_LOCAL_MACHINE\{MANAGER}\OneDrive!S-1-5-21!Business1|x": (["UserSyncRoots"], {"DisplayNameResource": "x"}),
    rf"HKEY_LOCAL_MACHINE\{MANAGER}\OneDrive!S-1-5-21!Business1|x\UserSyncRoots": (
        [],
        {"S-1-5-21": r"C:\Users\ana\OneDrive - Contoso", "S-1-5-22": r"C:\Users\ben\OneDrive - Contoso"},
    ),
    rf"HKEY_LOCAL_MACHINE\{MANAGER}\iCloudDrive!S-1-5-21!ana\UserSyncRoots": (
        [],
        {"S-1-5-21": r"C:\Users\ana\iCloudDrive", "broken": 3},
    ),
    rf"HKEY_CURRENT_USER\{MANAGER}": (["Nextcloud!S!ana"], {}),
    rf"HKEY_CURRENT_USER\{MANAGER}\Nextcloud!S!ana\UserSyncRoots": ([], {"S": r"D:\Nextcloud"}),
    USER: (["Personal", "Business1", "Business2"], {}),
    rf"{USER}\Personal": ([], {"UserEmail": "ana@example.org"}),
    rf"{USER}\Business1": (["ScopeIdToMountPointPathCache"], {"UserFolder": r"C:\Users\ana\OneDrive - Contoso"}),
    rf"{USER}\Business1\ScopeIdToMountPointPathCache": ([], {"4f1": r"C:\Users\ana\Contoso\Team - Documents"}),
    rf"{USER}\Business2": ([], {"UserFolder": b"\x01"}),
}


def test_folders_are_found_in_the_registry_of_windows() -> None:
    roots = registered_roots(lambda key: REGISTRY.get(key, ((), {})))
    assert list(roots) == [
        (r"C:\Users\ana\OneDrive - Contoso", "OneDrive"),
        (r"C:\Users\ben\OneDrive - Contoso", "OneDrive"),
        (r"C:\Users\ana\iCloudDrive", "iCloudDrive"),
        (r"D:\Nextcloud", "Nextcloud"),
        (r"C:\Users\ana\OneDrive - Contoso", "OneDrive"),
        (r"C:\Users\ana\Contoso\Team - Documents", "OneDrive"),
    ]


@linux_only
def test_on_windows_each_source_is_asked_in_the_order_of_trust(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on: On
) -> None:
    on("win32")
    driver = Library(sync_roots={})
    monkeypatch.setattr(native, "cloud_api", lambda: driver)
    registry = WinReg({rf"{USER}": (["Personal"], {}), rf"{USER}\Personal": ([], {"UserFolder": str(tmp_path / "1")})})
    monkeypatch.setitem(sys.modules, "winreg", registry)
    dropbox(tmp_path / "local" / "Dropbox", tmp_path)
    environ = {"ONEDRIVECONSUMER": str(tmp_path / "1" / "2"), "LocalAppData": str(tmp_path / "local")}
    (tmp_path / "1").mkdir()
    project = tmp_path / "1" / "2" / "project"

    assert list(sync_roots(environ=environ)) == [
        (tmp_path / "1", "OneDrive"),
        (tmp_path / "1" / "2", "OneDrive"),
        (tmp_path, "Dropbox"),
    ]
    assert synced_by(project, environ=environ) == "OneDrive"
    assert driver.asked == [str(tmp_path / "1")]
    assert synced_by(tmp_path / "other", environ=environ) == "Dropbox"
    driver.sync_roots[str(tmp_path / "1")] = sync_root_info("Proton Drive")
    assert synced_by(project, environ=environ) == "Proton Drive"
    driver.sync_roots[str(tmp_path / "1")] = sync_root_info("")
    assert synced_by(project, environ=environ) == "a cloud client"
    monkeypatch.setattr(native, "cloud_api", lambda: None)
    assert synced_by(project, environ=environ) == "OneDrive"


@pytest.mark.parametrize(
    ("attributes", "tag", "marked"),
    [
        (0x420, 0x9000001A, True),  # IO_REPARSE_TAG_CLOUD
        (0x420, 0x9000601A, True),  # IO_REPARSE_TAG_CLOUD_6, OneDrive's
        (0x420, 0x9000F01A, True),  # IO_REPARSE_TAG_CLOUD_F
        (0x420, 0x80000021, True),  # IO_REPARSE_TAG_ONEDRIVE
        (0x501620, 0x9000601A, True),  # The content is elsewhere.
        (0x400020, 0, True),
        (0x20, 0x9000601A, False),
        (0x420, 0xA000000C, False),  # IO_REPARSE_TAG_SYMLINK
        (0x420, 0xA0000003, False),  # IO_REPARSE_TAG_MOUNT_POINT
        (0x420, 0x9000001C, False),  # IO_REPARSE_TAG_PROJFS
        (0x420, 0x90001018, False),  # IO_REPARSE_TAG_WCI_1
        (0x420, 0x80000017, False),  # IO_REPARSE_TAG_WOF
        (0x80020, 0, False),  # Somebody wants to have it here always.
        (0x80, 0, False),
    ],
)
def test_cloud_files_of_windows_are_known_by_their_mark(attributes: int, tag: int, *, marked: bool) -> None:
    assert is_cloud_mark(attributes, tag) is marked


@linux_only
def test_on_windows_a_files_mark_and_names_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, on: On) -> None:
    on("win32")
    here = tmp_path / "here"
    here.mkdir()
    (tmp_path / "linked").symlink_to("here")
    files = {str(here / "cloud"): (0x420, 0x9000601A), str(here / "plain"): (0x80, 0)}
    library = Library(files=files, volume="\\", names={str(here / "cloud"): ["/a", "/b"]})
    monkeypatch.setattr(native, "kernel32", lambda: library)
    monkeypatch.setattr(native, "verbatim", str)
    assert is_placeholder(here / "cloud") is True
    assert is_placeholder(here / "plain") is False
    assert is_placeholder(here / "gone") is None
    assert names_of(tmp_path / "linked" / "cloud") == (Path("/a"), Path("/b"))
    assert names_of(here / "plain") == ()


@linux_only
def test_linux_knows_neither_marks_nor_names(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.link(tmp_path / "file", tmp_path / "other")
    assert is_placeholder(tmp_path / "file") is None
    assert names_of(tmp_path / "file") == ()
