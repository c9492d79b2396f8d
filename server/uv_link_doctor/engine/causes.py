"""Which cause an error number speaks for, as far as the number and the paths beside it prove one."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from uv_link_doctor.engine.model import Cause, Operation, Platform

# The numbers are those of the contract's section 4; the names say where each comes from. POSIX numbers are Linux's
# (include/uapi/asm-generic/errno-base.h and errno.h) or, where marked, those of macOS (sys/errno.h of xnu): no
# number here means one thing on Linux and another on macOS, except those in the two tables below it.
_POSIX: Final[Mapping[int, Cause]] = {
    1: Cause.PERMISSION,  # EPERM
    12: Cause.OUT_OF_MEMORY,  # ENOMEM
    13: Cause.PERMISSION,  # EACCES
    16: Cause.FILE_IN_USE,  # EBUSY
    17: Cause.FILE_CONFLICT,  # EEXIST
    18: Cause.CROSS_DEVICE,  # EXDEV
    26: Cause.FILE_IN_USE,  # ETXTBSY
    28: Cause.NO_SPACE,  # ENOSPC
    30: Cause.READ_ONLY,  # EROFS
    31: Cause.TOO_MANY_LINKS,  # EMLINK
    36: Cause.PATH_TOO_LONG,  # ENAMETOOLONG
    38: Cause.UNSUPPORTED_FILESYSTEM,  # ENOSYS: a FUSE server without link()
    39: Cause.FILE_IN_USE,  # ENOTEMPTY: NFS keeps a file that is open under another name
    45: Cause.UNSUPPORTED_FILESYSTEM,  # ENOTSUP, macOS
    63: Cause.PATH_TOO_LONG,  # ENAMETOOLONG, macOS
    95: Cause.UNSUPPORTED_FILESYSTEM,  # EOPNOTSUPP
    102: Cause.UNSUPPORTED_FILESYSTEM,  # EOPNOTSUPP, macOS
    122: Cause.NO_SPACE,  # EDQUOT
    396: Cause.CLOUD_SYNC,  # no errno of any kernel: a FUSE server that answers with the Windows number
}
_LINUX: Final[Mapping[int, Cause]] = {
    11: Cause.TRANSIENT,  # EAGAIN: OpenZFS cannot clone blocks it has not written yet
    61: Cause.NETWORK_FILESYSTEM,  # ENODATA, from Lustre
    116: Cause.NETWORK_FILESYSTEM,  # ESTALE
}
_MACOS: Final[Mapping[int, Cause]] = {
    11: Cause.CLOUD_OFFLINE,  # EDEADLK: a dataless file that may not be fetched, link(2)
}

# The numbers and their names are those of winerror.h.
_WINDOWS: Final[Mapping[int, Cause]] = {
    1: Cause.UNSUPPORTED_FILESYSTEM,  # ERROR_INVALID_FUNCTION: exFAT, FAT, \\wsl.localhost
    5: Cause.PERMISSION,  # ERROR_ACCESS_DENIED
    8: Cause.OUT_OF_MEMORY,  # ERROR_NOT_ENOUGH_MEMORY
    14: Cause.OUT_OF_MEMORY,  # ERROR_OUTOFMEMORY
    17: Cause.CROSS_DEVICE,  # ERROR_NOT_SAME_DEVICE
    19: Cause.READ_ONLY,  # ERROR_WRITE_PROTECT
    32: Cause.FILE_IN_USE,  # ERROR_SHARING_VIOLATION
    33: Cause.FILE_IN_USE,  # ERROR_LOCK_VIOLATION
    39: Cause.NO_SPACE,  # ERROR_HANDLE_DISK_FULL
    50: Cause.UNSUPPORTED_FILESYSTEM,  # ERROR_NOT_SUPPORTED
    53: Cause.NETWORK_FILESYSTEM,  # ERROR_BAD_NETPATH
    59: Cause.NETWORK_FILESYSTEM,  # ERROR_UNEXP_NET_ERR
    64: Cause.NETWORK_FILESYSTEM,  # ERROR_NETNAME_DELETED
    67: Cause.NETWORK_FILESYSTEM,  # ERROR_BAD_NET_NAME
    80: Cause.FILE_CONFLICT,  # ERROR_FILE_EXISTS
    112: Cause.NO_SPACE,  # ERROR_DISK_FULL
    183: Cause.FILE_CONFLICT,  # ERROR_ALREADY_EXISTS
    206: Cause.PATH_TOO_LONG,  # ERROR_FILENAME_EXCED_RANGE
    362: Cause.CLOUD_OFFLINE,  # ERROR_CLOUD_FILE_PROVIDER_NOT_RUNNING
    386: Cause.CLOUD_OFFLINE,  # ERROR_CLOUD_FILE_AUTHENTICATION_FAILED
    388: Cause.CLOUD_OFFLINE,  # ERROR_CLOUD_FILE_NETWORK_UNAVAILABLE
    389: Cause.CLOUD_SYNC,  # ERROR_CLOUD_FILE_UNSUCCESSFUL
    395: Cause.CLOUD_OFFLINE,  # ERROR_CLOUD_FILE_ACCESS_DENIED
    396: Cause.CLOUD_SYNC,  # ERROR_CLOUD_FILE_INCOMPATIBLE_HARDLINKS
    404: Cause.CLOUD_OFFLINE,  # ERROR_CLOUD_FILE_PROVIDER_TERMINATED
    426: Cause.CLOUD_OFFLINE,  # ERROR_CLOUD_FILE_REQUEST_TIMEOUT
    1142: Cause.TOO_MANY_LINKS,  # ERROR_TOO_MANY_LINKS
    1314: Cause.PERMISSION,  # ERROR_PRIVILEGE_NOT_HELD
    1392: Cause.CORRUPT_CACHE_ENTRY,  # ERROR_FILE_CORRUPT
}
_IN_USE_WHEN_REMOVED: Final = frozenset({123, 1224})  # ERROR_INVALID_NAME, ERROR_USER_MAPPED_FILE
_NOT_FOUND: Final = frozenset({2, 3})  # ENOENT and ERROR_FILE_NOT_FOUND; ERROR_PATH_NOT_FOUND (ESRCH on POSIX, unseen)
_FACILITY_WIN32: Final = 0x8007  # The upper half of an HRESULT that wraps a number of winerror.h.

_TABLES: Final[Mapping[Platform, Mapping[int, Cause]]] = {
    Platform.LINUX: {**_POSIX, **_LINUX},
    Platform.MACOS: {**_POSIX, **_MACOS},
    Platform.WINDOWS: _WINDOWS,
}

_STORE = re.compile(r"(?:^|[\\/])(?:archive|wheels|built-wheels|sdists)-v\d+(?:[\\/]|$)")
_BUCKET = re.compile(r"(?:^|[\\/])(?:archive|wheels|built-wheels|sdists|builds|environments)-v\d+(?:[\\/]|$)")
_PACKAGES = re.compile(r"[\\/](?:site|dist)-packages(?:[\\/]|$)", re.IGNORECASE)
_WSL_DRIVE = re.compile(r"/mnt/[a-z]/")
_APPLE_DOUBLE = re.compile(r"(?:^|/)\._[^/]*$")


def cause_of(
    *,
    platform: Platform | None,
    operation: Operation | None,
    os_error: int | None,
    source: str | None = None,
    target: str | None = None,
) -> Cause:
    """What the system's number means where it was met; `UNKNOWN` where the two do not prove one cause.

    `source` and `target` are the sides of a `Failure`. Without a platform a number speaks only if every
    platform that has it means the same by it.
    """
    if os_error is None:
        return Cause.UNKNOWN
    candidates = tuple(Platform) if platform is None else (platform,)
    causes = {_cause_on(each, operation, os_error, source, target) for each in candidates} - {Cause.UNKNOWN}
    return causes.pop() if len(causes) == 1 else Cause.UNKNOWN


def in_store(path: str) -> bool:
    """Whether only the part of uv's cache that environments are filled from can have this path.

    An environment that lies in the cache (of a build, of `uvx`) is not part of it.
    """
    kept = _STORE.search(path)
    return kept is not None and not _PACKAGES.search(path, kept.end() - 1)


def in_cache(path: str) -> bool:
    """Whether a bucket of uv's cache shows in a path, outside the packages of an environment that lies there."""
    bucket = _BUCKET.search(path)
    return bucket is not None and not _PACKAGES.search(path, bucket.end() - 1)


def _cause_on(
    platform: Platform, operation: Operation | None, os_error: int, source: str | None, target: str | None
) -> Cause:
    number = _win32(os_error) if platform is Platform.WINDOWS else os_error
    by_place = _cause_by_place(platform, operation, number, source, target)
    return by_place or _TABLES[platform].get(number, Cause.UNKNOWN)


def _cause_by_place(
    platform: Platform, operation: Operation | None, number: int, source: str | None, target: str | None
) -> Cause | None:
    """The numbers whose meaning depends on what was done, and where (contract, section 4)."""
    moved_in_cache = operation is Operation.RENAME and target is not None and in_cache(target)
    if number in _NOT_FOUND:
        return _cause_of_not_found(platform, operation, number, source, target, moved_in_cache=moved_in_cache)
    if platform is Platform.WINDOWS:
        if number == 5 and operation is Operation.CLONE:
            return Cause.UNSUPPORTED_FILESYSTEM
        if number == 5 and moved_in_cache:
            return Cause.FILE_IN_USE
        if number in _IN_USE_WHEN_REMOVED and operation is Operation.REMOVE:
            return Cause.FILE_IN_USE
    elif number == 1:
        # PRoot on Android replaces hard links by symbolic ones to such names and refuses to link those again.
        emulated = any(".l2s." in path for path in (source, target) if path)
        # Drives of Windows refuse mode bits to WSL unless they are mounted with `metadata`.
        drive = platform is Platform.LINUX and target is not None and _WSL_DRIVE.match(target)
        if emulated or drive:
            return Cause.UNSUPPORTED_FILESYSTEM
    return None


def _cause_of_not_found(
    platform: Platform,
    operation: Operation | None,
    number: int,
    source: str | None,
    target: str | None,
    *,
    moved_in_cache: bool,
) -> Cause:
    """Which of the two sides is missing; a symbolic link can be made to a file that is."""
    if number == 3 and platform is not Platform.WINDOWS:
        return Cause.UNKNOWN
    if moved_in_cache:
        return Cause.CONCURRENCY
    # macOS puts such a file beside each one with attributes where the file system has none; it comes and goes.
    if platform is Platform.MACOS and any(_APPLE_DOUBLE.search(path) for path in (source, target) if path):
        return Cause.UNSUPPORTED_FILESYSTEM
    read = operation in {Operation.HARDLINK, Operation.CLONE, Operation.COPY, Operation.READ}
    return Cause.MISSING_CACHE_FILE if read and source is not None and in_store(source) else Cause.UNKNOWN


def _win32(os_error: int) -> int:
    """The number of winerror.h in an HRESULT, as the reflink code of uv prints them (`-2147024891` for 5)."""
    code = os_error & 0xFFFFFFFF
    return code & 0xFFFF if os_error < 0 and code >> 16 == _FACILITY_WIN32 else os_error
