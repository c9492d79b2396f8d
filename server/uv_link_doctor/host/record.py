"""What a wheel's RECORD promises of its files, and whether a file keeps it (packaging.python.org, "Recording")."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
from contextlib import suppress

Promise = tuple[str, str]
"""What RECORD says of a file, as it stands there: `sha256=` with a digest in URL-safe base 64, and the size."""


NOTHING: Promise = ("", "")
"""Of a file that RECORD does not have, or not with a hash."""

_HASHES = frozenset({"sha256", "sha384", "sha512"})
_PIECE = 1 << 16


def record(path: str) -> dict[str, Promise] | None:
    """What a RECORD promises, by name; None where it cannot be read as one, or is empty."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123  (thousands of them)
            text = file.read().decode()
    except (OSError, ValueError):
        return None
    if "\0" in text:  # A block that a crash left unwritten; no path has it.
        return None
    if '"' not in text:
        with suppress(ValueError):
            rows = (line.split(",") for line in text.replace("\r\n", "\n").split("\n") if line)
            return {name: (digest, size) for name, digest, size in rows} or None
    try:  # The same for all that people write, at three times the price.
        quoted = csv.reader(io.StringIO(text, newline=""))
        return {name: (digest, size) for name, digest, size, *_ in ([*row, "", ""] for row in quoted if row)} or None
    except csv.Error:
        return None


def keeps(promise: Promise, path: str) -> bool:
    """Whether a file's content has the promised hash, as far as there is one that we know; raises OSError."""
    algorithm, _, expected = promise[0].partition("=")
    if algorithm not in _HASHES:
        return True
    content = hashlib.new(algorithm, usedforsecurity=False)
    # Not `hashlib.file_digest`, which clears 256 kB for each file, ten times what most of them have.
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123  (thousands of them)
        while piece := file.read(_PIECE):
            content.update(piece)
    return base64.urlsafe_b64encode(content.digest()).decode().rstrip("=") == expected.rstrip("=")


def fits(promise: Promise, size: int) -> bool:
    """Whether a file of so many bytes is as long as promised, if anything is."""
    return int(promise[1]) == size if promise[1].isdecimal() else True
