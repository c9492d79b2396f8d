"""Logs as long as one likes, in pieces: what builds print around uv, with uv's own words in between."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

FAILURE = """\
error: Failed to install: six-1.17.0-py2.py3-none-any.whl (six==1.17.0)
  Caused by: failed to hardlink file from /home/ana/.cache/uv/archive-v0/Dfrn37u28kqbn_VBxG9Cr/six.py \
to /srv/app/.venv/lib/python3.12/site-packages/six.py: Invalid cross-device link (os error 18)
"""


def compiling(number: int) -> str:
    """What a compiler says, which is nothing to us."""
    return (
        f"2025-05-12T08:17:{number % 60:02}.123Z step {number}: compiling module number {number * 7} of the project\n"
    )


def linking(number: int) -> str:
    """What uv 0.13 logs with `-v` of a package whose clone gave way to hard links, and what it prints of it."""
    cache, environment = f"/home/ana/.cache/uv/archive-v0/{number:016}", "/srv/app/.venv/lib/python3.12/site-packages"
    return (
        f"DEBUG Failed to reflink `{cache}/it{number}/__init__.py` to `{environment}/it{number}/__init__.py`: "
        "Operation not supported (os error 95), falling back\n"
        f"DEBUG Extracted 3 files for it{number}==1.0\n"
        f" + it{number}==1.0\n"
    )


def copying(number: int) -> str:
    """What it logs where the hard link was refused as well."""
    cache, environment = f"/home/ana/.cache/uv/archive-v0/{number:016}", "/srv/app/.venv/lib/python3.12/site-packages"
    first, second = f"{cache}/it{number}/__init__.py", f"{environment}/it{number}/__init__.py"
    return (
        f"DEBUG Failed to hard link `{first}` to `{second}`: failed to hardlink file from {second} to {first}: "
        "Invalid cross-device link (os error 18); falling back to copy\n"
    )


def coloured(number: int) -> str:
    """A build tool's line for a terminal."""
    return f"\x1b[2m{number:6}\x1b[0m \x1b[32mPASS\x1b[39m \x1b[1mtest_part_{number}\x1b[0m in 0.01s\n"


KINDS = {"compiler": compiling, "verbose": linking, "cross-device": copying, "coloured": coloured}


def log(kind: str, size: int) -> Iterator[str]:
    """At least so many characters of one kind of log, in pieces of some 100 kB, and uv's failure at their end."""
    made = 0
    for start in count(0, 1_000):
        if made >= size:
            break
        piece = "".join(map(KINDS[kind], range(start, start + 1_000)))
        made += len(piece)
        yield piece
    yield FAILURE
