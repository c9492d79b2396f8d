"""What the sieve lets pass is in no trouble by a closer look, and nothing that is plain is held back."""

import os
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import pytest
from kit.large_cache import large_cache

from uv_link_doctor.host.cache import entry_at
from uv_link_doctor.host.cache_scan import Trials, _look, closer_look
from uv_link_doctor.host.cache_sieve import SHARES, Sieve, read, taken_from, told

INFO, MODULE = "package_00000-1.0.dist-info", "package_00000/part1/file4.py"
RECORD, METADATA = f"{INFO}/RECORD", f"{INFO}/METADATA"


def recorded(old: str, new: str) -> Callable[[Path], None]:
    def change(entry: Path) -> None:
        path = entry / RECORD
        path.write_bytes(path.read_bytes().replace(old.encode(), new.encode("latin-1")))

    return change


def link(name: str) -> Callable[[Path], None]:
    def make(entry: Path) -> None:
        (entry / name).unlink(missing_ok=True)
        (entry / name).symlink_to("elsewhere")

    return make


ODD = {
    "missing": lambda entry: (entry / MODULE).unlink(missing_ok=True),
    "of another size": lambda entry: (entry / MODULE).write_bytes(b"short"),
    "altered": lambda entry: (entry / MODULE).write_bytes((entry / MODULE).read_bytes().swapcase()),
    "a symbolic link": link(MODULE),
    "not recorded": lambda entry: (entry / "package_00000" / "__init__.pyc").write_bytes(b"more"),
    "a pipe": lambda entry: os.mkfifo(entry / "pipe"),
    "linked": lambda entry: os.link(entry / MODULE, entry / "again.py"),
    "no METADATA": lambda entry: (entry / METADATA).unlink(missing_ok=True),
    "empty METADATA": lambda entry: (entry / METADATA).write_bytes(b""),
    "METADATA and its size unrecorded": recorded("METADATA,", "../METADATA,"),
    "no RECORD": lambda entry: (entry / RECORD).unlink(missing_ok=True),
    "empty RECORD": lambda entry: (entry / RECORD).write_bytes(b""),
    "RECORD of nothing": lambda entry: (entry / RECORD).write_bytes(b"\n\n"),
    "RECORD elsewhere": link(RECORD),
    "zeros": recorded("\n", "\n\0"),
    "no text": recorded(MODULE, "\xff"),
    "DOS": recorded("\n", "\r\n"),
    "quoted": recorded(MODULE, f'"{MODULE}"'),
    "quoted comma": recorded(MODULE, f'"{MODULE},"'),
    "too short": recorded(f"{RECORD},,", RECORD),
    "too long": recorded(f"{RECORD},,", f"{RECORD},,,"),
    "twice": recorded(f"{RECORD},,\n", f"{RECORD},,\n{RECORD},,\n"),
    "no size": recorded(",300\n", ",\n"),
    "zeros before a size": recorded(",300\n", ",0300\n"),
    "a wrong size": recorded(",300\n", ",301\n"),
    "no number": recorded(",300\n", ",-300\n"),
    "another hash": recorded("sha256=", "md5="),
    "a wrong hash": recorded("sha256=", "sha256=A"),
    "elsewhere": recorded(f"{RECORD},,\n", f"{RECORD},,\n../../bin/tool,,\n/etc/tool,,\n"),
    "a directory": recorded(f"{RECORD},,\n", f"{RECORD},,\npackage_00000/,,\n"),
    "no such file": recorded(f"{RECORD},,\n", f"{RECORD},,\nno/such/file,,\n"),
    "two of them": lambda entry: (entry / "other-1.dist-info").mkdir(),
    "of no name": lambda entry: (entry / INFO).rename(entry / "-.dist-info"),
}
"""What an entry can have; each has all the others as company."""
PLAIN = {"not recorded", "a pipe", "linked", "twice", "no size", "another hash", "elsewhere", "a directory"}
"""With which an entry passes."""
UNREAD = {"altered", "a wrong hash"}
"""With which it passes if its files are not read."""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pipes among its files")
@pytest.mark.parametrize("hashes", [False, True])
def test_what_passes_is_sound_by_a_closer_look(tmp_path, hashes):
    passed: list[tuple[str, ...]] = []
    for number, names in enumerate([(), *combinations(ODD, 1), *combinations(ODD, 2)]):
        cache = large_cache(tmp_path / str(number), 8, size=300)
        (archive,) = cache.glob("archive-v0/*")
        try:
            for name in names:
                ODD[name](archive)
        except OSError:  # The one has left nothing for the other.
            continue
        trials = Trials(cache)
        counts = Sieve(str(cache), trials.told_below, closer_look(hashes=hashes)).passed(str(archive))
        entry = entry_at(str(archive))
        if counts is not None and entry is not None:  # A scan asks for a name before it believes the sieve.
            look = _look(entry, trials, hashes=hashes)
            assert (names, look.damaged, look.refused) == (names, {}, {})
            assert (names, look.files, look.linked) == (names, *counts)
            passed.append(names)
    plain = PLAIN if hashes else PLAIN | UNREAD
    assert [names for names in passed if len(names) < 2] == [(), *((name,) for name in ODD if name in plain)]


def test_each_entry_is_taken_once(tmp_path):
    archives = [f"{tmp_path}/archive-v0/{number}" for number in range(1000)]
    queue, end = os.pipe()
    os.write(end, bytes(range(SHARES)))
    os.close(end)
    one, other = taken_from(queue, archives), taken_from(queue, archives[::-1])
    taken = [next(one), next(other), *one, *other]
    os.close(queue)
    assert sorted(taken) == sorted(archives)


def test_what_is_told_is_read():
    passed = {"archive-v0/a": (3, 0), "archive-v0/\udcff b\n": (140, 139)}
    assert read(told(passed)) == passed
    assert read(told({})) == {}
