"""Directories for what is not finished, each locked as long as its maker lives, so that what the dead left is known."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from uv_link_doctor.host.cache_lock import is_held

OURS = ".uv-link-doctor-"
"""How the names of our temporary things begin; `uv cache prune` removes them from a cache like all it does not know."""
_NAME = re.compile(re.escape(OURS) + r"[0-9a-f]+$")
_OWNER = "owner"
"""The file with the lock, which ends with the process."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A directory that is ours until it is given up."""

    path: Path
    handle: int


def new_name() -> str:
    """A name of ours that nothing has."""
    return f"{OURS}{os.urandom(8).hex()}"


def claim_new(parent: Path) -> Claim:
    """A new directory, ours from the start; raises OSError."""
    while True:
        path = parent / new_name()
        path.mkdir(mode=0o700)
        try:
            made = _claim(path, os.O_CREAT)
        except OSError:  # A file system without locks.
            with suppress(OSError):
                (path / _OWNER).unlink(missing_ok=True)
                path.rmdir()
            raise
        if made:
            return made
        # Somebody who clears up came between the two steps.


def forsaken(parent: Path) -> Iterator[Claim]:
    """What processes that died have left there, now ours; raises OSError where the parent cannot be listed.

    A link of such a name is none of ours: it may have come with a project, and lead to what is dear to somebody.
    """
    for name in filter(_NAME.match, os.listdir(parent)):  # noqa: PTH208  (names are all that is needed)
        path = parent / name
        with suppress(OSError):  # Another user's; no directory; not even begun, whose living maker makes another.
            if path.is_symlink():
                continue
            if found := _claim(path):
                yield found
            else:
                path.rmdir()


def give_up(claim: Claim) -> Path | None:
    """Removes the directory with all that is in it; the directory if that could not be, never an OSError.

    The file with the lock goes last, so that whatever is left is found to be forsaken.
    """
    with suppress(OSError), os.scandir(claim.path) as children:
        for child in children:
            with suppress(OSError):
                if child.is_dir(follow_symlinks=False):
                    remove_tree(child.path)
                elif child.name != _OWNER:
                    os.unlink(child.path)  # noqa: PTH108  (thousands of them)
    os.close(claim.handle)  # Windows removes no file that is open.
    with suppress(OSError):
        if os.listdir(claim.path) == [_OWNER]:  # noqa: PTH208  (as above)
            (claim.path / _OWNER).unlink()
            claim.path.rmdir()
    return claim.path if os.path.lexists(claim.path) else None


def remove_tree(directory: str) -> None:
    """Removes a directory with all that is in it, also out of directories in which nobody may write; raises OSError."""
    shutil.rmtree(directory, ignore_errors=True)
    if os.path.lexists(directory):
        with suppress(OSError):
            _open_up(directory)
        shutil.rmtree(directory)


def _open_up(directory: str) -> None:
    os.chmod(directory, 0o700)  # noqa: PTH101  (a string as it is)
    with os.scandir(directory) as children:
        for child in children:
            if child.is_dir(follow_symlinks=False):
                _open_up(child.path)


def _claim(path: Path, create: int = 0) -> Claim | None:
    """None where its maker lives, or where it is about to go; raises OSError."""
    owner = path / _OWNER
    try:
        handle = os.open(owner, os.O_RDWR | create, 0o600)
    except FileNotFoundError:
        return None
    return Claim(path, handle) if is_held(handle, owner, exclusive=True) else None
