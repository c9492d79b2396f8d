"""The number and the place decide the cause; the rows below are those of the contract's section 4."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uv_link_doctor.engine.causes import cause_of, in_cache, in_store
from uv_link_doctor.engine.model import Cause, Operation, Platform

LINUX, MACOS, WINDOWS = Platform.LINUX, Platform.MACOS, Platform.WINDOWS
POSIX = (LINUX, MACOS)

CACHE = "/home/ana/.cache/uv/archive-v0/Ab3/six.py"
SITE = "/home/ana/app/.venv/lib/python3.12/site-packages/six.py"

BY_NUMBER: dict[Cause, list[tuple[tuple[Platform, ...], set[int]]]] = {
    # Cause: the numbers that speak for it wherever they are met, and whose they are.
    Cause.CROSS_DEVICE: [(POSIX, {18}), ((WINDOWS,), {17})],
    Cause.CLOUD_SYNC: [(POSIX, {396}), ((WINDOWS,), {389, 396})],
    Cause.CLOUD_OFFLINE: [((MACOS,), {11}), ((WINDOWS,), {362, 386, 388, 395, 404, 426})],
    Cause.UNSUPPORTED_FILESYSTEM: [(POSIX, {38, 45, 95, 102}), ((WINDOWS,), {1, 50})],
    Cause.NETWORK_FILESYSTEM: [((LINUX,), {61, 116}), ((WINDOWS,), {53, 59, 64, 67})],
    Cause.PERMISSION: [(POSIX, {1, 13}), ((WINDOWS,), {5, 1314})],
    Cause.READ_ONLY: [(POSIX, {30}), ((WINDOWS,), {19})],
    Cause.FILE_IN_USE: [(POSIX, {16, 26, 39}), ((WINDOWS,), {32, 33})],
    Cause.TOO_MANY_LINKS: [(POSIX, {31}), ((WINDOWS,), {1142})],
    Cause.NO_SPACE: [(POSIX, {28, 122}), ((WINDOWS,), {39, 112})],
    Cause.OUT_OF_MEMORY: [(POSIX, {12}), ((WINDOWS,), {8, 14})],
    Cause.PATH_TOO_LONG: [(POSIX, {36, 63}), ((WINDOWS,), {206})],
    Cause.MISSING_CACHE_FILE: [(POSIX, {2}), ((WINDOWS,), {2, 3})],
    Cause.CORRUPT_CACHE_ENTRY: [((WINDOWS,), {1392})],
    Cause.FILE_CONFLICT: [(POSIX, {17}), ((WINDOWS,), {80, 183})],
    Cause.TRANSIENT: [((LINUX,), {11})],
}
EXPECTED = {
    (platform, number): cause
    for cause, rows in BY_NUMBER.items()
    for platforms, numbers in rows
    for platform in platforms
    for number in numbers
}


@pytest.mark.parametrize("platform", Platform)
def test_every_number_speaks_for_the_cause_of_the_contract_or_for_none(platform: Platform) -> None:
    causes = {
        number: cause_of(platform=platform, operation=Operation.HARDLINK, os_error=number, source=CACHE, target=SITE)
        for number in range(-10, 12_000)
    }
    known = {number: cause for number, cause in causes.items() if cause is not Cause.UNKNOWN}
    assert known == {number: cause for (of, number), cause in EXPECTED.items() if of is platform}


TMP = "/home/ana/.cache/uv/.tmpQk2Zr8"
ENTRY = "/home/ana/.cache/uv/archive-v0/Lp4Xw9Tb2Mv7"
BUILT = "/home/ana/.cache/uv/builds-v0/.tmpAb/lib/python3.12/site-packages/six.py"
DOUBLE = "/Volumes/card/app/.venv/lib/python3.12/site-packages/a.data/scripts/._a"
C_TMP, C_ENTRY = r"C:\Users\ana\uv\cache\.tmpA", r"C:\Users\ana\uv\cache\archive-v0\Lp4X"
D_SITE = r"D:\app\.venv\Lib\site-packages\six.py"
HARDLINK, CLONE, SYMLINK, COPY = Operation.HARDLINK, Operation.CLONE, Operation.SYMLINK, Operation.COPY
RENAME, READ, REMOVE, CREATE_DIR = Operation.RENAME, Operation.READ, Operation.REMOVE, Operation.CREATE_DIR


@pytest.mark.parametrize(
    "row",
    [
        # A rename inside the cache.
        (WINDOWS, RENAME, 5, C_TMP, C_ENTRY, Cause.FILE_IN_USE),
        (WINDOWS, RENAME, 2, C_TMP, C_ENTRY, Cause.CONCURRENCY),
        (WINDOWS, RENAME, 17, C_TMP, C_ENTRY, Cause.CROSS_DEVICE),
        (LINUX, RENAME, 2, TMP, ENTRY, Cause.CONCURRENCY),
        (LINUX, RENAME, 13, TMP, ENTRY, Cause.PERMISSION),
        # A rename elsewhere.
        (WINDOWS, RENAME, 5, r"D:\app\.venv\.tmpA", D_SITE, Cause.PERMISSION),
        (LINUX, RENAME, 2, SITE, SITE, Cause.UNKNOWN),
        (LINUX, RENAME, 2, "/home/ana/.cache/uv/archive-v0/E/lib/site-packages/.tmpA/x", SITE, Cause.UNKNOWN),
        # What Windows says of clones and of removals.
        (WINDOWS, CLONE, 5, C_ENTRY, D_SITE, Cause.UNSUPPORTED_FILESYSTEM),
        (WINDOWS, CLONE, -2147024891, C_ENTRY, D_SITE, Cause.UNSUPPORTED_FILESYSTEM),
        (WINDOWS, HARDLINK, -2147024891, C_ENTRY, D_SITE, Cause.PERMISSION),
        (WINDOWS, HARDLINK, -2147467259, C_ENTRY, D_SITE, Cause.UNKNOWN),  # E_FAIL wraps no number.
        (LINUX, HARDLINK, -2147024891, CACHE, SITE, Cause.UNKNOWN),
        (WINDOWS, REMOVE, 123, None, D_SITE, Cause.FILE_IN_USE),
        (WINDOWS, REMOVE, 1224, None, D_SITE, Cause.FILE_IN_USE),
        (WINDOWS, COPY, 1224, C_ENTRY, D_SITE, Cause.UNKNOWN),
        (WINDOWS, REMOVE, 5, None, D_SITE, Cause.PERMISSION),
        # EPERM where the path shows that the file system is to blame.
        (LINUX, HARDLINK, 1, "/home/ana/.cache/uv/archive-v0/A/.l2s.a.py0001", SITE, Cause.UNSUPPORTED_FILESYSTEM),
        (LINUX, HARDLINK, 1, CACHE, "/home/ana/app/.venv/.l2s.a.py0001", Cause.UNSUPPORTED_FILESYSTEM),
        (LINUX, COPY, 1, CACHE, "/mnt/c/app/.venv/six.py", Cause.UNSUPPORTED_FILESYSTEM),
        (LINUX, COPY, 1, "/mnt/c/uv/archive-v0/A/six.py", SITE, Cause.PERMISSION),
        (LINUX, COPY, 1, CACHE, "/mnt/data/app/.venv/six.py", Cause.PERMISSION),
        (MACOS, COPY, 1, CACHE, "/mnt/c/app/.venv/six.py", Cause.PERMISSION),
        (WINDOWS, HARDLINK, 1, C_ENTRY, D_SITE, Cause.UNSUPPORTED_FILESYSTEM),
        # ENOENT: which side is missing.
        (LINUX, READ, 2, ENTRY, None, Cause.MISSING_CACHE_FILE),
        (LINUX, READ, 2, None, SITE, Cause.UNKNOWN),
        (LINUX, COPY, 2, SITE, SITE, Cause.UNKNOWN),
        (LINUX, SYMLINK, 2, CACHE, SITE, Cause.UNKNOWN),
        (LINUX, CREATE_DIR, 2, None, SITE, Cause.UNKNOWN),
        (LINUX, HARDLINK, 2, CACHE, BUILT, Cause.MISSING_CACHE_FILE),
        (LINUX, HARDLINK, 3, CACHE, SITE, Cause.UNKNOWN),
        (WINDOWS, READ, 3, C_ENTRY, None, Cause.MISSING_CACHE_FILE),
        (MACOS, RENAME, 2, DOUBLE, "/Volumes/card/app/.venv/bin/._a", Cause.UNSUPPORTED_FILESYSTEM),
        (LINUX, RENAME, 2, DOUBLE, "/Volumes/card/app/.venv/bin/._a", Cause.UNKNOWN),
        # Nothing to go by.
        (LINUX, HARDLINK, None, CACHE, SITE, Cause.UNKNOWN),
        (LINUX, None, 13, None, None, Cause.PERMISSION),
        # Without a platform only what all agree on.
        (None, HARDLINK, 18, None, None, Cause.CROSS_DEVICE),
        (None, HARDLINK, 396, None, None, Cause.CLOUD_SYNC),
        (None, HARDLINK, 1142, None, None, Cause.TOO_MANY_LINKS),
        (None, HARDLINK, 1, None, None, Cause.UNKNOWN),
        (None, HARDLINK, 17, None, None, Cause.UNKNOWN),
        (None, HARDLINK, 11, None, None, Cause.UNKNOWN),
        (None, READ, 2, ENTRY, None, Cause.MISSING_CACHE_FILE),
    ],
)
def test_the_place_can_change_what_a_number_means(
    row: tuple[Platform | None, Operation | None, int | None, str | None, str | None, Cause],
) -> None:
    platform, operation, os_error, source, target, cause = row
    assert cause_of(platform=platform, operation=operation, os_error=os_error, source=source, target=target) is cause


@pytest.mark.parametrize(
    ("path", "store", "cache"),
    [
        (CACHE, True, True),
        (ENTRY, True, True),
        (C_ENTRY, True, True),
        (".uv-cache/archive-v0/Ab3/six.py", True, True),
        ("archive-v0", True, True),
        ("/c/wheels-v8/pypi/six", True, True),
        ("/c/built-wheels-v3/pypi/six", True, True),
        ("/c/sdists-v11/index/six", True, True),
        ("/c/builds-v0/.tmpAb", False, True),
        (BUILT, False, False),
        ("/c/environments-v2/app-1", False, True),
        ("/c/archive-v0/Env/lib/python3.12/site-packages/six.py", False, False),
        (r"C:\c\archive-v0\Env\Lib\site-packages\six.py", False, False),
        ("/srv/site-packages/cache/archive-v0/Ab3/six.py", True, True),
        (SITE, False, False),
        (TMP, False, False),
        ("/c/simple-v18/pypi/six.rkyv", False, False),
        ("/home/ana/my-archive-v0/six.py", False, False),
        ("", False, False),
    ],
)
def test_a_path_shows_whether_it_is_of_the_cache(path: str, *, store: bool, cache: bool) -> None:
    assert (in_store(path), in_cache(path)) == (store, cache)


@given(
    platform=st.none() | st.sampled_from(Platform),
    operation=st.none() | st.sampled_from(Operation),
    os_error=st.none() | st.integers(),
    source=st.none() | st.text(),
    target=st.none() | st.text(),
)
def test_there_is_always_an_answer(
    platform: Platform | None, operation: Operation | None, os_error: int | None, source: str | None, target: str | None
) -> None:
    cause = cause_of(platform=platform, operation=operation, os_error=os_error, source=source, target=target)
    assert cause is not Cause.NOT_A_LINK_FAILURE
