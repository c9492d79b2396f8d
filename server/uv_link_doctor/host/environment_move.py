"""How a project's environment leaves its folder: uv makes it anew elsewhere, and a link to it takes the old one's name.

Environments cannot be copied: their scripts and `pyvenv.cfg` say where they are. The old one waits beside the link
until it is discarded, and what a kill has left there is dealt with by the next call.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from glob import escape
from pathlib import Path

from uv_link_doctor.host.cache_copy import delete
from uv_link_doctor.host.cache_lock import CacheBusyError, cache_lock
from uv_link_doctor.host.cache_move import MoveError, move_error
from uv_link_doctor.host.exchange import exchange
from uv_link_doctor.host.homes import moved_environment

_BESIDE = "-uv-link-doctor-"
_CONFIG = "pyvenv.cfg"


def lead(old: Path, new: Path) -> None:
    """Gives the old environment's name to a link to the new one, and keeps the old one beside it until `settle`.

    In one step where the system can. Raises MoveError, for a uv at work in it and for what is no environment, too; the
    old one then has its name.
    """
    link, aside = (old.with_name(f"{old.name}{_BESIDE}{os.urandom(8).hex()}") for _ in range(2))
    if old.is_dir() and not is_environment(old):
        raise MoveError("this is not a virtual environment", path=old)
    try:
        link.symlink_to(new, target_is_directory=True)
        with _alone(old):
            if not os.path.lexists(old):
                link.rename(old)
            elif not exchange(link, old):
                old.rename(aside)
                link.rename(old)
    except (OSError, CacheBusyError) as error:
        settle(old)
        raise move_error(error, old) from error


def settle(old: Path) -> None:
    """Ends what `lead` has begun: what waits beside gets the old name if nothing has it, and goes if a link has it.

    Raises MoveError.
    """
    try:
        # Links last, so that an environment is brought back rather than a link to what may not be proven yet.
        for beside in sorted(old.parent.glob(f"{escape(old.name)}{_BESIDE}*"), key=Path.is_symlink):
            if not os.path.lexists(old) and (beside.is_symlink() or is_environment(beside)):
                beside.rename(old)
            elif beside.is_symlink() or old.is_symlink() or not is_environment(beside):
                _discard(beside)
    except OSError as error:
        raise move_error(error, old) from error


def take_back(old: Path, new: Path) -> bool:
    """Lets the old name lead nowhere else, and discards the new environment; whether an old one is there (again).

    Raises MoveError, also for a uv that is at work in the new one.
    """
    try:
        if _leads_to(old, new):
            with _alone(new):
                old.unlink()
        settle(old)
        _discard(new)
    except (OSError, CacheBusyError) as error:
        raise move_error(error, new) from error
    return os.path.lexists(old)


def clear(new: Path) -> None:
    """Discards what is in the new environment's place, unless uv can go on with it; else uv will say so."""
    if not is_environment(new):
        with suppress(OSError):
            delete(new)


def is_environment(path: Path) -> bool:
    """Whether it is one to uv, by itself or by a link or a file that leads to it."""
    return path.is_file() or (path / _CONFIG).is_file()


def taken_up(environment: Path, state: Path) -> dict[str, str]:
    """What uv has to be told before a run, so that it makes a moved environment anew that somebody has deleted.

    Also ends what a kill has left of a move. A link that leads nowhere is what 0.9.30 and 0.13.9 fail at (os error 17);
    0.4.18 replaces it by a directory, and that in the folder which the environment was to leave. Never raises.
    """
    new = moved_environment(state, environment.parent)
    if os.path.isdir(environment) and not os.path.islink(environment):  # noqa: PTH112, PTH114  (those of Path raise)
        return {}
    with suppress(OSError, MoveError):  # What cannot be ended now is left to the next time, or to uv's own words.
        settle(environment)
        if _leads_to(environment, new) and not is_environment(new):
            clear(new)
            return {"UV_PROJECT_ENVIRONMENT": str(new)}
    return {}


def _leads_to(link: Path, new: Path) -> bool:
    return link.is_symlink() and os.path.realpath(link) == os.path.realpath(new)


def _discard(environment: Path) -> None:
    """Deletes an environment, or a link to one as such; once it is half deleted it is none any more. Raises OSError."""
    if environment.is_dir() and not environment.is_symlink():
        (environment / _CONFIG).unlink(missing_ok=True)
    delete(environment)


@contextmanager
def _alone(environment: Path) -> Iterator[None]:
    """No uv is at work in it, if it is one that has a lock; raises OSError and CacheBusyError."""
    with ExitStack() as stack:
        if is_environment(environment) and environment.is_dir() and not environment.is_symlink():
            stack.enter_context(cache_lock(environment, exclusive=True, seconds=0))
        yield
