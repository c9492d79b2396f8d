"""A cache of any size in the shape of uv's own, made quickly, for measurements: its wheels have sound RECORDs."""

import base64
import hashlib
from pathlib import Path

FILES_EACH = 140
"""Files of a wheel, and four in a directory: the means of a cache of 142 packages with 24 500 files, 28 kB each."""
_IN_A_DIRECTORY = 4
_SIZES = (300, 1_200, 2_500, 5_000, 9_000, 20_000, 180_000, 0)
"""Bytes of the files, by turns; their mean is 27 kB. The first is that of METADATA, which is never empty."""


def large_cache(cache: Path, files: int, *, size: int | None = None) -> Path:
    """Fill `cache` with wheels until there are so many files, each of `size` bytes or, by default, as real ones.

    Equal for equal arguments. As uv 0.13.9 lays it out: `wheels-v8/pypi/NAME/VERSION-TAG` leads to `archive-v0/ID`.
    """
    cache.mkdir(parents=True, exist_ok=True)
    (cache / "CACHEDIR.TAG").write_text("Signature: 8a477f597d28d172789f06886806bc55")
    (cache / ".gitignore").write_text("*")
    (cache / ".lock").touch()
    for number in range(-(-files // FILES_EACH)):
        _wheel(cache, f"package-{number:05}", min(FILES_EACH, files - number * FILES_EACH), size)
    return cache


def _wheel(cache: Path, name: str, files: int, size: int | None) -> None:
    archive = cache / "archive-v0" / hashlib.sha256(name.encode()).hexdigest()[:16]
    module = name.replace("-", "_")
    info = f"{module}-1.0.dist-info"
    record = [f"{info}/RECORD,,\n"]
    archive.mkdir(parents=True)
    for number in range(max(files - 1, 0)):
        directory = f"{module}/part{number // _IN_A_DIRECTORY}" if number > 1 else info
        path = f"{directory}/file{number}.py" if number > 1 else f"{info}/{('METADATA', 'WHEEL')[number]}"
        if number < 3 or number % _IN_A_DIRECTORY == 0:
            Path(archive, directory).mkdir(parents=True, exist_ok=True)
        length = _SIZES[number % len(_SIZES)] if size is None else size
        data = f"{name} {number}\n".encode().ljust(length, b"#")[:length]
        (archive / path).write_bytes(data)
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        record.append(f"{path},sha256={digest},{length}\n")
    (archive / info).mkdir(exist_ok=True)
    (archive / info / "RECORD").write_text("".join(record))
    pointer = cache / "wheels-v8" / "pypi" / name / "1.0-py3-none-any"
    pointer.parent.mkdir(parents=True)
    pointer.symlink_to(f"../../../archive-v0/{archive.name}")
