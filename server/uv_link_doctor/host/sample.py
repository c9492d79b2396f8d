"""What copying and linking really take between two places, measured on a few files of the cache when asked for."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

from uv_link_doctor.engine.model import Sample
from uv_link_doctor.host.cache import Entry
from uv_link_doctor.host.mounts import nearest_directory

_FILES_AT_MOST = 200
_BYTES_AT_MOST = 16 << 20


def sample(found: Iterable[Entry], environment: Path) -> Sample | None:
    """The seconds that a few files of the wheels take as copies and as hard links beside the environment.

    All is done in one temporary directory, which is removed. None where there is no file, or where copies fail;
    `links` is None where they do. Never raises an OSError.
    """
    files = [*islice(_small(found), _FILES_AT_MOST)]
    if not files:
        return None
    folder = nearest_directory(environment) / f".uv-link-doctor-{os.urandom(8).hex()}"
    try:
        copies = _timed(files, folder / "copies", _copy)
        links = _timed(files, folder / "links", os.link)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if copies is None:
        return None
    return Sample(files=len(files), size=sum(size for _, size in files), copies=copies, links=links)


def _small(found: Iterable[Entry]) -> Iterator[tuple[Path, int]]:
    """The first files of each wheel, as long as they are not too much."""
    total = 0
    for entry in found:
        for name, size in islice(entry.files(), _FILES_AT_MOST // 4):
            total += size
            if total > _BYTES_AT_MOST:
                return
            yield entry.path / name, size


def _timed(files: Iterable[tuple[Path, int]], folder: Path, place: Callable[[Path, Path], object]) -> float | None:
    try:
        folder.mkdir(parents=True)
        begun = time.perf_counter()
        for number, (file, _) in enumerate(files):
            place(file, folder / str(number))
        return time.perf_counter() - begun
    except OSError:
        return None


def _copy(source: Path, target: Path) -> None:
    """As uv copies on Linux, where file systems that can do so share the data (std::fs::copy, copy_file_range(2))."""
    if sys.platform == "linux":
        with suppress(OSError), source.open("rb") as original, target.open("xb") as copy:
            while os.copy_file_range(original.fileno(), copy.fileno(), 1 << 30):
                pass
            return
    shutil.copyfile(source, target)
