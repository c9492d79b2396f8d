"""What Windows and macOS answer where no function of Python's asks: unverified, since none of it has run there.

Each call gets the library it asks, so that a test can stand in for it. Text that a call writes has room for the longest
path of Windows (Microsoft, "Maximum Path Length Limitation"): nothing has to be asked twice.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from uv_link_doctor.host.environment import verbatim

_LONGEST_PATH = 32768
_SYNC_ROOT_INFO_BYTES = 1056 + 65536
"""A `CF_SYNC_ROOT_STANDARD_INFO` with the longest identity (cfapi.h, `CfRegisterSyncRoot`)."""
_NO_HANDLE = ctypes.c_void_p(-1).value
"""`INVALID_HANDLE_VALUE` (handleapi.h), as ctypes returns it."""


@cache
def kernel32() -> Any:
    """The library of Windows, in a process that is shown cloud files as they are.

    `RtlSetProcessPlaceholderCompatibilityMode` (ntifs.h, Windows 10 1803) with 2, PHCM_EXPOSE_PLACEHOLDERS: Windows may
    disguise placeholders as ordinary files.
    """
    if sys.platform == "win32":
        library = ctypes.WinDLL("kernel32")
        library.CreateFileW.restype = library.FindFirstFileNameW.restype = ctypes.c_void_p
        expose = getattr(ctypes.WinDLL("ntdll"), "RtlSetProcessPlaceholderCompatibilityMode", None)
        if expose is not None:
            expose(2)
        return library
    return None


def cloud_api() -> Any:
    """The library of the cloud filter driver; None before Windows 10 1709."""
    if sys.platform == "win32":
        try:
            return ctypes.WinDLL("CldApi")
        except OSError:
            pass
    return None


def sync_root_info(library: Any, directory: str) -> bytes | None:
    """The `CF_SYNC_ROOT_STANDARD_INFO` of the sync root that a directory is in.

    `CfGetSyncRootInfoByPath` (cfapi.h) takes an existing path, CF_SYNC_ROOT_INFO_STANDARD, a buffer and its size. Any
    result but S_OK says that there is no such root, or nobody to ask.
    """
    info = ctypes.create_string_buffer(_SYNC_ROOT_INFO_BYTES)
    written = ctypes.c_uint32()
    result = library.CfGetSyncRootInfoByPath(directory, 1, info, len(info), ctypes.byref(written))
    return info.raw if result == 0 else None


def attributes_and_tag(library: Any, path: str) -> tuple[int, int] | None:
    """A file's attributes and reparse tag, read from the file itself and without fetching its content.

    `os.lstat` shows no tag of a cloud file (CPython's `win32_xstat_impl` follows what is no link), and a directory
    lists the attributes that its own name had last (Microsoft, "Hard Links and Junctions"). `CreateFileW` (fileapi.h)
    gets FILE_READ_ATTRIBUTES, sharing of all kinds, OPEN_EXISTING, FILE_FLAG_BACKUP_SEMANTICS and
    FILE_FLAG_OPEN_REPARSE_POINT; `GetFileInformationByHandleEx` (winbase.h) answers 9, FileAttributeTagInfo, with
    two DWORDs.
    """
    file = library.CreateFileW(verbatim(path), 0x80, 0x7, None, 3, 0x02200000, None)
    if file == _NO_HANDLE:
        return None
    info = (ctypes.c_uint32 * 2)()
    try:
        known = library.GetFileInformationByHandleEx(ctypes.c_void_p(file), 9, info, ctypes.sizeof(info))
    finally:
        library.CloseHandle(ctypes.c_void_p(file))
    return (info[0], info[1]) if known else None


def link_names(library: Any, path: str) -> Iterator[str]:
    """Every name of a file, absolute; none where the file system does not say.

    `FindFirstFileNameW` and `FindNextFileNameW` (fileapi.h) tell them from the root of the volume on, which
    `GetVolumePathNameW` knows; the size of the buffer, in characters, is overwritten by each call. `path` leads through
    no link or `subst`.
    """
    name = ctypes.create_unicode_buffer(_LONGEST_PATH)
    if not library.GetVolumePathNameW(path, name, len(name)):
        return
    volume = name.value.rstrip("\\")
    size = ctypes.c_uint32(len(name))
    search = library.FindFirstFileNameW(verbatim(path), 0, ctypes.byref(size), name)
    if search == _NO_HANDLE:
        return
    try:
        found = True
        while found:
            yield volume + name.value
            size.value = len(name)
            found = library.FindNextFileNameW(ctypes.c_void_p(search), ctypes.byref(size), name)
    finally:
        library.FindClose(ctypes.c_void_p(search))


def registry_key(winreg: Any, key: str) -> tuple[list[str], dict[str, object]]:
    """The names of the keys below a key of the registry, and its values by name; nothing where there is no such key."""
    hive, _, path = key.partition("\\")
    try:
        # A Python of 32 bits would be shown a registry of its own.
        access = winreg.KEY_READ | winreg.KEY_WOW64_64KEY
        with winreg.OpenKey(getattr(winreg, hive), path, 0, access) as opened:
            keys, values, _ = winreg.QueryInfoKey(opened)
            return (
                [winreg.EnumKey(opened, index) for index in range(keys)],
                dict(winreg.EnumValue(opened, index)[:2] for index in range(values)),
            )
    except OSError:
        return [], {}


def libc() -> Any:
    """The C library that this process is linked to."""
    return ctypes.CDLL(None)


def extended_attribute(library: Any, path: Path, name: bytes) -> bytes | None:
    """An extended attribute of at most 1024 bytes; None where there is none.

    `getxattr(path, name, value, size, position, options)` (getxattr(2) of macOS; Linux knows the first four).
    """
    value = ctypes.create_string_buffer(1024)
    ask = library.getxattr
    ask.restype = ctypes.c_ssize_t
    length = ask(os.fsencode(path), name, value, ctypes.c_size_t(len(value)), ctypes.c_uint32(0), 0)
    return value.raw[:length] if length >= 0 else None
