"""Texts that a person has read and found good, kept in `tests/data/golden`.

`pytest --update-golden` writes what the tests say now; what changed is then for `git diff` to show and for you to read.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

GOLDEN = Path(__file__).parent.parent / "data" / "golden"


class Golden(Protocol):
    def __call__(self, name: str, text: str) -> None:
        """Assert that a text is what the golden file of this name says."""


def compare(name: str, text: str, *, update: bool) -> None:
    path = GOLDEN / name
    if update:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    expected = path.read_text(encoding="utf-8") if path.exists() else ""
    assert text == expected, f"{name} says something else; if the new text is better, run pytest with --update-golden"
