import os
import sys
from pathlib import Path

import pytest
from kit.need import need
from kit.windows import Library, WinReg

from uv_link_doctor.host.native import (
    attributes_and_tag,
    extended_attribute,
    libc,
    link_names,
    registry_key,
    sync_root_info,
)

CACHED = r"C:\Users\ana\AppData\Local\uv\cache\archive-v0\x\a.py"
LINKED = rf"C:\Users\ana\OneDrive\p\.venv\Lib\{'d' * 900}\a.py"


@pytest.mark.parametrize(
    ("volume", "prefix"), [("C:\\", "C:"), ("C:\\mount\\", "C:\\mount"), ("\\\\?\\C:\\", "\\\\?\\C:")]
)
def test_names_of_any_length_are_told_from_the_volume_on(volume: str, prefix: str) -> None:
    names = [name.removeprefix("C:") for name in (CACHED, LINKED, "C:\\b.py", "C:\\" + "x" * 32700)]
    library = Library(names={f"\\\\?\\{CACHED}": names}, volume=volume)
    assert list(link_names(library, CACHED)) == [prefix + name for name in names]
    assert library.open == {}


def test_where_no_names_are_told_there_are_none() -> None:
    library = Library()
    assert list(link_names(library, CACHED)) == []
    assert list(link_names(library, "")) == []


def test_attributes_and_tag_are_those_of_the_file_itself() -> None:
    library = Library(files={f"\\\\?\\{CACHED}": (0x420, 0x9000601A)})
    assert attributes_and_tag(library, CACHED) == (0x420, 0x9000601A)
    assert attributes_and_tag(library, LINKED) is None
    assert library.open == {}


@pytest.mark.parametrize("size", [1056, 1056 + 65536])
def test_the_driver_tells_the_root_that_a_directory_is_in(size: int) -> None:
    library = Library(sync_roots={"C:\\Users\\ana\\OneDrive": b"\x07" * size})
    assert (sync_root_info(library, "C:\\Users\\ana\\OneDrive") or b"")[:size] == b"\x07" * size
    assert sync_root_info(library, "C:\\project") is None


def test_a_key_of_the_registry_is_read() -> None:
    winreg = WinReg({"HKEY_CURRENT_USER\\Software\\X": (["One", "Two"], {"": "default", "Count": 3})})
    assert registry_key(winreg, "HKEY_CURRENT_USER\\Software\\X") == (["One", "Two"], {"": "default", "Count": 3})
    assert registry_key(winreg, "HKEY_LOCAL_MACHINE\\Software\\X") == ([], {})


@pytest.mark.skipif(sys.platform != "linux", reason="the names of attributes are Linux's")
@pytest.mark.parametrize(("value", "read"), [(b"com.apple/1", b"com.apple/1"), (b"", b""), (b"x" * 1025, None)])
def test_an_attribute_of_a_directory_is_read(tmp_path: Path, value: bytes, read: bytes | None) -> None:
    assert extended_attribute(libc(), tmp_path, b"user.uv-link-doctor") is None
    try:
        os.setxattr(tmp_path, "user.uv-link-doctor", value)
    except OSError as error:
        need(condition=False, reason=f"no attributes here: {error}")
    assert extended_attribute(libc(), tmp_path, b"user.uv-link-doctor") == read
    assert extended_attribute(libc(), tmp_path / "gone", b"user.uv-link-doctor") is None
