"""How a project's environment leaves its folder: it is made anew elsewhere, and the old one goes when that is proved.

Environments cannot be copied: their scripts and `pyvenv.cfg` say where they are.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from pathlib import Path

from uv_link_doctor.host.cache_copy import delete, inside
from uv_link_doctor.host.cache_lock import CacheBusyError, cache_lock
from uv_link_doctor.host.cache_move import MoveError, is_empty_directory, move_error


@dataclass(frozen=True, slots=True, kw_only=True)
class EnvironmentMove:
    """The names of an environment that is made anew elsewhere; planned, so that a journal has them beforehand."""

    old: Path
    new: Path
    aside: Path
    """The old one's name until it is discarded."""


def plan_environment(old: Path, new: Path, *, project: Path) -> EnvironmentMove:
    """Names for it all; environments cannot be copied, so the caller has uv make the new one, and verifies it.

    Raises MoveError where the new path is in the project, is not absolute or has something in it.
    """
    if not new.is_absolute() or inside(os.path.realpath(new), os.path.realpath(project)):
        raise MoveError("the new environment needs an absolute path outside the project", path=new)
    if os.path.lexists(new) and not is_empty_directory(new):
        raise MoveError("something else is in the new environment's place", os_error=errno.EEXIST, path=new)
    return EnvironmentMove(old=old, new=new, aside=old.with_name(f"{old.name}-uv-link-doctor-{os.urandom(8).hex()}"))


def retire(plan: EnvironmentMove) -> None:
    """Renames the old environment out of the way, a link or a redirecting file as such; done before, it does nothing.

    Raises MoveError, for a uv at work in it and for what is no environment, too.
    """
    try:
        if not os.path.lexists(plan.old):
            return
        if plan.old.is_dir() and not plan.old.is_symlink():
            if not (plan.old / "pyvenv.cfg").is_file():
                raise MoveError("this is not a virtual environment", path=plan.old)
            with cache_lock(plan.old, exclusive=True, seconds=0):  # Of the same name, and taken in the same way.
                plan.old.rename(plan.aside)
        else:
            plan.old.rename(plan.aside)
    except (OSError, CacheBusyError) as error:
        raise move_error(error, plan.old) from error


def bring_back(plan: EnvironmentMove) -> None:
    """Undoes `retire` as long as nothing was discarded; raises MoveError where another thing took the old name."""
    try:
        if not os.path.lexists(plan.aside):
            return
        if os.path.lexists(plan.old):
            raise MoveError("something else is in the old environment's place", os_error=errno.EEXIST, path=plan.old)
        plan.aside.rename(plan.old)
    except OSError as error:
        raise move_error(error, plan.old) from error


def discard(plan: EnvironmentMove) -> None:
    """Deletes the old environment, which cannot be undone; raises MoveError."""
    try:
        delete(plan.aside)
    except OSError as error:
        raise move_error(error, plan.aside) from error
