"""What copying and linking really take between two places, measured in a moment on a few files of the cache."""

from __future__ import annotations

import os
import random
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from uv_link_doctor.engine.model import Sample
from uv_link_doctor.host.cache import Entry, mark_of
from uv_link_doctor.host.claims import claim_new, forsaken, give_up, new_name
from uv_link_doctor.host.foresight import takes_back
from uv_link_doctor.host.mounts import nearest_directory

SECONDS_AT_MOST = 0.15
"""For copies and links together. A slow disk takes the time of one piece more, and that of removing what was made."""
_PIECES_AT_MOST = 200
_PIECE = 256 << 10
"""In bytes. A larger file counts as several, of which only some are copied: one file must not take all of the time."""

_Piece = tuple[Path, str, int, int]
"""The directory of a wheel, a file in it, and where in the file the piece begins and ends."""


def sample(
    found: Iterable[Entry], cache: Path, environment: Path, *, seconds: float = SECONDS_AT_MOST
) -> Sample | None:
    """The seconds that copies of a few pieces of the wheels' files take beside the environment, and as many hard links.

    Only a file of our own, made in the cache for that, is linked: a folder that is synced spoils what is linked into
    it. Files that a cloud client has emptied are left out: to read them is to download them. All that was made is
    removed. After these `seconds` no further copy is begun. None where there is nothing to copy, or where the first
    copy fails; `links` is None where one of them does. Never raises an OSError.
    """
    pieces = [*_pieces(found)]
    nearest = nearest_directory(environment)
    if not (pieces and takes_back(cache) and takes_back(nearest)):
        return None
    # Time may be up after any of them, so that each beginning has to stand for the whole.
    chosen = random.Random(0).sample(pieces, min(_PIECES_AT_MOST, len(pieces)))  # noqa: S311  (nothing is secret here)
    source = cache / new_name()
    times: list[tuple[int, float, float | None]] = []
    with suppress(OSError):
        for left in forsaken(nearest):  # By a predecessor who was killed.
            give_up(left)
        claim = claim_new(nearest)
        try:
            times = [*_timed(chosen, claim.path, source, seconds)]
        finally:
            give_up(claim)
            with suppress(OSError):
                source.unlink()
    if not times:
        return None
    links = [link for _, _, link in times if link is not None]
    return Sample(
        files=len(times),
        size=sum(size for size, _, _ in times),
        copies=sum(copy for _, copy, _ in times),
        links=sum(links) if len(links) == len(times) else None,
        times=len(pieces) / len(times),
    )


def _pieces(found: Iterable[Entry]) -> Iterator[_Piece]:
    for entry in found:
        for name, size in entry.files():
            for start in range(0, max(size, 1), _PIECE):
                yield entry.path, name, start, min(start + _PIECE, size)


def _timed(
    pieces: Iterable[_Piece], folder: Path, source: Path, seconds: float
) -> Iterator[tuple[int, float, float | None]]:
    """The bytes and the seconds of each copy, and of a link beside it, until a copy fails or they took long enough."""
    until = time.perf_counter() + seconds
    with suppress(OSError):
        links = _is_made(source)
        for number, (directory, name, start, end) in enumerate(pieces):
            file = directory / name
            if mark_of(file) is not None:
                continue
            begun = time.perf_counter()
            _copy(file, start, end, folder / f"{number}")
            copied = time.perf_counter()
            links = links and _is_linked(source, folder / f"{number}-link")
            yield end - start, copied - begun, time.perf_counter() - copied if links else None
            if time.perf_counter() > until:
                return


def _copy(file: Path, start: int, end: int, target: Path) -> None:
    """As uv copies (0.13.9, seen by strace): into a temporary file that is made, opened once more and renamed.

    Where file systems can do so, they share the data (std::fs::copy on Linux, copy_file_range(2)).
    """
    temporary = target.with_name(f".{target.name}")
    with file.open("rb", buffering=0) as original, temporary.open("xb"), temporary.open("wb", buffering=0) as copy:
        original.seek(start)
        if not _is_copied_by_the_system(original.fileno(), copy.fileno(), end - start):
            copy.write(original.read(end - start))
    temporary.rename(target)


def _is_copied_by_the_system(original: int, copy: int, size: int) -> bool:
    """Not between all file systems: then the data has to go through memory."""
    if sys.platform != "linux":
        return False
    try:
        while size and (done := os.copy_file_range(original, copy, size)):
            size -= done
    except OSError:
        return False
    return True


def _is_made(file: Path) -> bool:
    try:
        file.touch(exist_ok=False)
    except OSError:
        return False
    return True


def _is_linked(source: Path, target: Path) -> bool:
    try:
        os.link(source, target)
    except OSError:
        return False
    return True
