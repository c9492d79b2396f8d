"""Libraries of Windows and its registry, as their documents describe what this project calls of them."""

import ctypes
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

NO_HANDLE = 2 ** (8 * ctypes.sizeof(ctypes.c_void_p)) - 1


@dataclass(kw_only=True)
class Library:
    """What this project calls of kernel32.dll and CldApi.dll."""

    files: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Attributes and reparse tag by path."""
    names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    volume: str = "C:\\"
    sync_roots: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    open: dict[int, Any] = field(default_factory=dict)
    """What stands behind a handle, until it is closed; these are wider than an int of C."""

    def _opened(self, value: Any) -> int:
        self.open[handle := 0x7FF0_0000_0000 + len(self.open)] = value
        return handle

    def CreateFileW(self, path: str, *how: object) -> int:  # noqa: N802  (Windows calls it so)
        assert how == (0x80, 0x7, None, 3, 0x02000000 | 0x00200000, None)
        return self._opened(self.files[path]) if path in self.files else NO_HANDLE

    def GetFileInformationByHandleEx(  # noqa: N802  (the same)
        self, handle: ctypes.c_void_p, kind: int, info: "ctypes.Array[ctypes.c_uint32]", size: int
    ) -> int:
        assert (kind, size) == (9, 8)
        info[:] = self.open[handle.value or 0]
        return 1

    def CloseHandle(self, handle: ctypes.c_void_p) -> int:  # noqa: N802  (the same)
        del self.open[handle.value or 0]
        return 1

    FindClose = CloseHandle

    def GetVolumePathNameW(  # noqa: N802  (the same)
        self, path: str, buffer: "ctypes.Array[ctypes.c_wchar]", size: int
    ) -> int:
        assert size == len(buffer)
        buffer.value = self.volume
        return 1 if path else 0

    def FindFirstFileNameW(self, path: str, flags: int, size: Any, buffer: Any) -> int:  # noqa: N802  (the same)
        assert flags == 0
        if path not in self.names:
            return NO_HANDLE
        handle = self._opened(iter(self.names[path]))
        assert self.FindNextFileNameW(ctypes.c_void_p(handle), size, buffer)
        return handle

    def FindNextFileNameW(self, handle: ctypes.c_void_p, size: Any, buffer: Any) -> int:  # noqa: N802  (the same)
        name = next(self.open[handle.value or 0], None)
        if name is None:
            return 0
        assert size._obj.value > len(name), "ERROR_MORE_DATA"
        buffer.value = name
        size._obj.value = len(name) + 1
        return 1

    def CfGetSyncRootInfoByPath(  # noqa: N802  (the same)
        self, path: str, kind: int, info: "ctypes.Array[ctypes.c_char]", size: int, written: Any
    ) -> int:
        assert (kind, size) == (1, len(info))
        self.asked.append(path)
        if path not in self.sync_roots:
            return 0x80070186 - 2**32  # ERROR_CLOUD_FILE_NOT_UNDER_SYNC_ROOT
        content = self.sync_roots[path]
        ctypes.memmove(info, content, len(content))
        written._obj.value = len(content)
        return 0


@dataclass
class WinReg:
    """What this project calls of `winreg`."""

    keys: Mapping[str, tuple[Sequence[str], Mapping[str, object]]]
    HKEY_LOCAL_MACHINE: str = "HKEY_LOCAL_MACHINE"
    HKEY_CURRENT_USER: str = "HKEY_CURRENT_USER"
    KEY_READ: int = 0x20019
    KEY_WOW64_64KEY: int = 0x0100

    @contextmanager
    def OpenKey(self, hive: str, path: str, reserved: int, access: int) -> Iterator[str]:  # noqa: N802  (the same)
        assert (reserved, access) == (0, 0x20119)
        if (key := f"{hive}\\{path}") not in self.keys:
            raise FileNotFoundError(2, "The system cannot find the file specified")
        yield key

    def QueryInfoKey(self, key: str) -> tuple[int, int, int]:  # noqa: N802  (the same)
        return len(self.keys[key][0]), len(self.keys[key][1]), 133_000_000_000_000_000

    def EnumKey(self, key: str, index: int) -> str:  # noqa: N802  (the same)
        return self.keys[key][0][index]

    def EnumValue(self, key: str, index: int) -> tuple[str, object, int]:  # noqa: N802  (the same)
        return (*list(self.keys[key][1].items())[index], 1)
