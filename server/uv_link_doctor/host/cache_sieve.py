"""Which unpacked wheels of a cache are plainly sound, found out about as fast as `find` reads their status.

Whatever is unusual about an entry makes it one for a closer look. This file also runs as a program, beside the process
that started it: it takes shares of the work from its standard input until none is left. So it imports nothing that
takes long to load.
"""

from __future__ import annotations

import gc
import os
import stat
import sys
import zlib

TYPE_CHECKING = False  # The real one takes as long to import as all the rest.
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Closer = Callable[[str, tuple[str, str]], bool]

SHARES = 256
"""Into which the work is divided: as many values as a byte has."""
_NOTHING = ("", "")


class Sieve:
    """Looks at the entries of one cache, by paths that begin with `cache` as it was given."""

    def __init__(self, cache: str, told_below: int, closer: Closer | None) -> None:
        """`told_below` is that of `Trials`; `closer` says of each file, by what RECORD promises, if it may pass."""
        self._told_below = told_below
        self._closer = closer
        self._link = f"{cache}/.uv-link-doctor-{os.urandom(8).hex()}"
        self._kinds: set[tuple[int, int, int]] = set()

    def passed(self, archive: str) -> tuple[int, int] | None:
        """How many files an entry has, and how many of them have further names; None if it needs a closer look."""
        try:
            return self._passed(archive)
        except (OSError, ValueError):
            return None

    def _passed(self, archive: str) -> tuple[int, int] | None:
        """Raises OSError, and ValueError for what is not exactly as uv and nearly all builders write it."""
        [info] = [name for name in os.listdir(archive) if name.endswith(".dist-info")]  # noqa: PTH208  (fast)
        promised = _promised(f"{archive}/{info}/RECORD")
        needed = (f"{info}/METADATA", f"{info}/RECORD")
        for name in needed:
            promised.setdefault(name, _NOTHING)
        # Of each file there is little to do but what the system does, so that each call less shows.
        windows = sys.platform == "win32"
        kinds, told_below, closer, skip = self._kinds, self._told_below, self._closer, len(archive) + 1
        files = linked = 0
        directories = [archive]
        while directories:
            with os.scandir(directories.pop()) as children:
                for child in children:
                    path = child.path
                    if child.is_dir(follow_symlinks=False):
                        directories.append(path)
                        continue
                    # Windows leaves the number of links out of what a directory lists.
                    status = os.stat(path) if windows else child.stat(follow_symlinks=False)  # noqa: PTH116  (fast)
                    mode, _, _, links, user, group, size = status[:7]
                    if (mode, user, group) not in kinds or links >= told_below:
                        if not stat.S_ISREG(mode):
                            continue
                        self._try(path)
                        kinds.add((mode, user, group))
                    files += 1
                    linked += links > 1
                    name = path[skip:].replace("\\", "/") if windows else path[skip:]
                    promise = promised.pop(name, _NOTHING)
                    if promise[1] != str(size) and promise[1]:
                        return None
                    if not size and name in needed:
                        return None
                    if closer is not None and not closer(path, promise):
                        return None
        return None if any(map(_belongs_here, promised)) else (files, linked)

    def _try(self, path: str) -> None:
        """Raises OSError where the file takes no link."""
        os.link(path, self._link, follow_symlinks=False)
        os.unlink(self._link)  # noqa: PTH108  (thousands of them)


def archives_in(cache: str) -> list[str]:
    """The directories of all unpacked wheels, and whatever lies beside them; raises OSError."""
    with os.scandir(cache) as buckets:
        names = sorted(bucket.name for bucket in buckets if bucket.name.startswith("archive-v"))
    return [f"{cache}/{name}/{archive}" for name in names for archive in os.listdir(f"{cache}/{name}")]  # noqa: PTH208


def taken_from(queue: int, archives: list[str]) -> Iterator[str]:
    """The entries that nobody else gets who reads from the queue, a pipe with the number of each share.

    They are told apart by name rather than by place in a list, so that all agree while entries come and go.
    """
    shares: list[list[str]] = [[] for _ in range(SHARES)]
    for archive in archives:
        shares[zlib.crc32(os.fsencode(archive.rpartition("/")[2])) % SHARES].append(archive)
    while share := os.read(queue, 1):
        yield from shares[share[0]]


def told(passed: dict[str, tuple[int, int]]) -> bytes:
    """As the program prints it, by the names of the entries."""
    return b"".join(
        b"%d %d %b\0" % (files, linked, os.fsencode(archive)) for archive, (files, linked) in passed.items()
    )


def read(said: bytes) -> dict[str, tuple[int, int]]:
    """What the program printed."""
    found = (line.split(b" ", 2) for line in said.split(b"\0") if line)
    return {os.fsdecode(archive): (int(files), int(linked)) for files, linked, archive in found}


def _promised(path: str) -> dict[str, tuple[str, str]]:
    """The same as `record.record` says of a plain RECORD; raises ValueError for any other."""
    with open(path, "rb") as file:  # noqa: PTH123  (thousands of them)
        text = file.read().decode()
    lines = [line.split(",") for line in text.split("\n") if line]
    if not lines or '"' in text or "\0" in text:
        raise ValueError
    return {name: (digest, size) for name, digest, size in lines}


def _belongs_here(name: str) -> bool:
    """Not what goes elsewhere than to `site-packages`, nor the directories that a careless build recorded."""
    return not name.startswith(("/", "..")) and not name.endswith("/")


def main() -> None:
    """Prints which of the entries it gets are plainly sound; takes the cache, `told_below`, whether to look into files.

    And the places where modules are found, for what takes longer to load than all the rest.
    """
    cache, told_below, hashes, *places = sys.argv[1:]
    closer = None
    if hashes or sys.platform != "linux":
        sys.path[:] = places
        from uv_link_doctor.host.cache_scan import closer_look  # noqa: PLC0415  (as said)

        closer = closer_look(hashes=bool(hashes))
    gc.disable()
    os.chdir(cache)  # The shorter a path, the sooner it is found.
    sieve = Sieve(".", int(told_below), closer)
    passed = {archive[2:]: sieve.passed(archive) for archive in taken_from(0, archives_in("."))}
    sys.stdout.buffer.write(told({archive: counts for archive, counts in passed.items() if counts}))


if __name__ == "__main__":
    main()
