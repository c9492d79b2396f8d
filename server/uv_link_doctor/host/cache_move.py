"""How uv's whole cache gets to another place with no moment at which a uv, or a kill, would meet half of one.

Within a file system the cache and a symbolic link to its new place change names in one step, so that the old path
leads to a whole cache all the time. To another file system it is copied beside its new place while uv may go on
installing, brought up to date while uv waits, and renamed.
"""

from __future__ import annotations

import errno
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from uv_link_doctor.engine.model import Operation
from uv_link_doctor.host.cache_alone import alone, unless_read_only
from uv_link_doctor.host.cache_copy import (
    Copying,
    Size,
    bring_up_to_date,
    inside,
    is_copy,
    relative,
    roots_of,
    stems_from,
    sync,
    weigh,
)
from uv_link_doctor.host.cache_lock import CacheBusyError, cache_lock
from uv_link_doctor.host.claims import Claim, claim_new, forsaken, give_up, new_name
from uv_link_doctor.host.exchange import exchange
from uv_link_doctor.host.mounts import is_mount_point
from uv_link_doctor.host.places import try_links

Phase = Literal["waiting", "weighing", "copying", "checking", "writing", "switching", "relinking", "removing"]
_Old = Literal["kept", "linked", "gone"]

SECONDS_AT_MOST = 60.0
"""To wait for uv; uv itself gives up waiting for us after 300 (0.9.16 and later)."""
_PASSES_AT_MOST = 5
_TAG, _SIGNATURE = "CACHEDIR.TAG", "Signature: 8a477f597d28d172789f06886806bc55"
"""By which uv marks its caches, as other programs do (Cache Directory Tagging Specification)."""
_LOCK = ".lock"
_LINKS_OF_UV = re.compile(r"(wheels|built-wheels|sdists|environments|builds)-v\d+$")
"""Buckets in which some uv keeps symbolic links; 0.4.18 makes absolute ones."""


class MoveError(Exception):
    """The move was not made; the cache is where it was, as it was, and nothing has the destination's name."""

    def __init__(self, text: str, *, os_error: int | None = None, path: Path | None = None) -> None:
        super().__init__(text)
        self.os_error = os_error
        """The system's number, `ENOSPC` also where the space was found short beforehand; None: it is not the system."""
        self.path = path


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """How far a move is."""

    phase: Phase
    files: int = 0
    """Done in this phase."""
    of: Size | None = None
    """All there is to do, where it is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Moved:
    """A move that was made; what `undo_move` needs, and a journal keeps."""

    cache: Path
    """Where it was."""
    destination: Path
    how: Literal["renamed", "copied"]
    old: _Old
    """The old path: a second cache of its own, a symbolic link to the new place, or nothing."""
    relinked: int = 0
    """Absolute symbolic links into the old cache that were made relative."""
    left_over: Path | None = None
    """What could not be removed."""


def move(
    cache: Path,
    destination: Path,
    *,
    remove_old: bool = False,
    leave_link: bool = True,
    on_step: Callable[[Step], None] | None = None,
    stop: Callable[[], bool] | None = None,
    seconds: float = SECONDS_AT_MOST,
) -> Moved:
    """Moves uv's cache to a path that does not exist or is an empty directory; called again after a kill, it finishes.

    A rename where the system allows one; the old path then is a symbolic link to the new. Else a copy: the old cache
    stays for other projects, or (`remove_old`) gives way to such a link. Without `leave_link` nothing stays at the old
    path: a uv that is waiting for the cache at that moment will not find it. Modes, times, symbolic and hard links are
    kept, extended attributes are not. A uv before the lock (0.4.18 has none) is held off by nobody, and needs it least
    where a link takes the old place in the same step. `seconds` is how long uv may make us wait, each of two times.

    Raises MoveError, also where `stop` said so; what was copied until then is removed.
    """
    cache, destination = ends(cache, destination)
    order = _Order(
        cache=cache,
        destination=destination,
        remove_old=remove_old,
        leave_link=leave_link,
        tell=on_step or (lambda _: None),
        stop=stop or (lambda: False),
        seconds=seconds,
    )
    made: list[Path] = []
    try:
        _clear_unfinished(destination)
        if (finished := _finished_before(order)) is not None:
            return finished
        _refuse_bad_destination(order)
        _refuse_mount_point(destination)
        made += [it for it in (destination.parent, *destination.parent.parents) if not it.exists()]
        destination.parent.mkdir(parents=True, exist_ok=True)
        same = cache.stat().st_dev == destination.parent.stat().st_dev
        return (_rename(order) if same else None) or _carry(order)
    except BaseException as error:
        for directory in made:
            with suppress(OSError):
                directory.rmdir()
        if isinstance(error, OSError | CacheBusyError):
            raise move_error(error, cache) from error
        raise


def begin(cache: Path, destination: Path) -> Moved:
    """An empty cache at a path that does not exist or is an empty directory; the old one stays. Raises MoveError."""
    cache, destination = ends(cache, destination)
    order = _Order(cache=cache, destination=destination, tell=lambda _: None, stop=lambda: False, seconds=0)
    try:
        _clear_unfinished(destination)
        _refuse_bad_destination(order)
        destination.mkdir(parents=True, exist_ok=True)
        (destination / _TAG).write_text(_SIGNATURE, encoding="ascii")
    except OSError as error:
        raise move_error(error, destination) from error
    return Moved(cache=cache, destination=destination, how="copied", old="kept")


def is_taken(path: Path, cache: Path) -> bool:
    """Whether something is there that is not the cache itself, by a link; raises OSError."""
    if not os.path.lexists(path) or is_empty_directory(path) or _is_unfinished(path):
        return False
    return os.path.realpath(path) != os.path.realpath(cache)


def is_cache(path: Path) -> bool:
    """Whether uv has marked it as a cache; never raises."""
    return os.path.exists(path / _TAG)  # noqa: PTH110  (`Path.exists` raises where a parent may not be searched)


def _looks_like_a_cache(path: Path) -> bool:
    """Whether it is one, also where somebody has removed uv's mark."""
    with suppress(OSError):
        return is_cache(path) or any(it.startswith("archive-v") for it in os.listdir(path))  # noqa: PTH208  (names)
    return False


def is_still_there(cache: Path, destination: Path) -> bool:
    """Whether a cache that a move has kept is: nobody has removed it, or has had uv make another since."""
    return is_cache(cache) and (stems_from(destination, cache) or made(cache) <= made(destination))


def made(cache: Path) -> int:
    """When uv made it, by which it is told from another one at its place, in nanoseconds; 0 where nobody knows."""
    try:
        return (cache / _TAG).stat().st_mtime_ns
    except OSError:
        return 0


def undo_move(
    moved: Moved,
    *,
    on_step: Callable[[Step], None] | None = None,
    stop: Callable[[], bool] | None = None,
    seconds: float = SECONDS_AT_MOST,
) -> None:
    """Brings the cache back to its old path; where the old one was kept and is still there, by removing the new one.

    Raises MoveError.
    """
    if not moved.destination.is_dir():
        with suppress(OSError):
            _clear_unfinished(moved.destination)  # By a predecessor, who was killed when all was done but this.
            if moved.cache.is_symlink() and moved.cache.readlink() == moved.destination:
                moved.cache.unlink()  # It leads nowhere any more, and uv would stumble over it.
            _clear(moved.destination.parent)  # What a copy came to that was killed.
        return
    if moved.destination.is_symlink() or not _looks_like_a_cache(moved.destination):
        raise MoveError("something else is there now", os_error=errno.EEXIST, path=moved.destination)
    if moved.old != "kept" or not is_still_there(moved.cache, moved.destination):
        with suppress(OSError):
            if os.listdir(moved.cache) == [_LOCK]:  # noqa: PTH208  (what `uv cache clean` leaves of it)
                (moved.cache / _LOCK).unlink()
        move(
            moved.destination,
            moved.cache,
            remove_old=True,
            leave_link=False,
            on_step=on_step,
            stop=stop,
            seconds=seconds,
        )
        return
    order = _Order(
        cache=moved.destination, tell=on_step or (lambda _: None), stop=stop or (lambda: False), seconds=seconds
    )
    try:
        with _container(moved.destination.parent) as container, _alone(order):
            order.tell(Step(phase="removing"))
            moved.destination.rename(container / "old")
    except (OSError, CacheBusyError) as error:
        raise move_error(error, moved.destination) from error


# --- Within a file system --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    """What `move` was asked for."""

    cache: Path
    destination: Path = Path()
    remove_old: bool = False
    leave_link: bool = True
    tell: Callable[[Step], None]
    stop: Callable[[], bool]
    seconds: float

    def waiting(self) -> None:
        """Says that others have the cache."""
        self.tell(Step(phase="waiting"))


def _rename(order: _Order) -> Moved | None:
    """The move by name; None where the system wants a copy after all (two mounts, two subvolumes, a mount point)."""
    with _alone(order):
        order.tell(Step(phase="switching"))
        try:
            linked = _change_names(order)
        except OSError as error:
            if error.errno in {errno.EXDEV, errno.EBUSY}:
                return None
            raise
        _flush(order.cache.parent, order.destination.parent)
        order.tell(Step(phase="relinking"))
        relinked = _relink(order.cache, order.destination)
    return Moved(
        cache=order.cache,
        destination=order.destination,
        how="renamed",
        old="linked" if linked else "gone",
        relinked=relinked,
    )


def _change_names(order: _Order) -> bool:
    """Whether a link is at the old path afterwards."""
    cache, destination = order.cache, order.destination
    back = destination.is_symlink()
    if not back and destination.exists():
        destination.rmdir()
    # The link leads to its own path until it changes places with the cache.
    if back or (order.leave_link and _symlink(destination, destination)):
        exchanged = False
        try:
            exchanged = exchange(cache, destination)
        finally:
            if not exchanged and not back:
                destination.unlink()
        if exchanged:
            if back:
                cache.unlink()
            return order.leave_link and (not back or _symlink(destination, cache))
    if back:
        destination.unlink()
    cache.rename(destination)
    return order.leave_link and _symlink(destination, cache)


def _relink(cache: Path, destination: Path) -> int:
    """Makes the absolute links relative that lead into the cache by its old path; how many."""
    relinked = 0
    roots = roots_of(cache, destination)
    level = [f"{destination}/{name}" for name in os.listdir(destination) if _LINKS_OF_UV.fullmatch(name)]  # noqa: PTH208
    while level:
        # What cannot be changed goes on leading by the old path, as long as a link is there.
        with suppress(OSError), os.scandir(level.pop()) as entries:
            for entry in entries:
                if entry.is_symlink():
                    with suppress(OSError):
                        relinked += _made_relative(entry.path, destination, roots)
                elif entry.is_dir():
                    level.append(entry.path)
    return relinked


def _made_relative(path: str, destination: Path, roots: tuple[str, ...]) -> bool:
    """Whether a link was absolute and led into the cache; raises OSError."""
    target = os.readlink(path)  # noqa: PTH115  (there are thousands)
    link = relative(target, os.path.relpath(path, destination), roots)
    if link == target:
        return False
    temporary = destination / new_name()
    temporary.symlink_to(link)
    try:
        temporary.replace(path)
    except OSError:
        temporary.unlink()
        raise
    return True


# --- To another file system ------------------------------------------------------------------------------------------


def _carry(order: _Order) -> Moved:
    """The move by a copy."""
    cache, destination, tell = order.cache, order.destination, order.tell
    with _container(destination.parent, cache) as container:
        copy = container / "cache"
        work = Copying(cache=os.fspath(cache), copy=os.fspath(copy), stop=order.stop)
        with _shared(order):
            tell(Step(phase="weighing"))
            size = None
            if try_links(cache, container).works.get(Operation.CLONE) is not True:  # Else it takes next to no space.
                size = weigh(cache, stop=order.stop)
                _refuse_lack_of_space(container, size)
            _pass(order, work, "copying", size, distrust=copy.exists())
            tell(Step(phase="writing"))
            sync(copy)
        with _alone(order):
            _settle(order, work, size)
            tell(Step(phase="switching"))
            _take_place(copy, destination)
            _flush(destination.parent)
            old, claim = _retire_cache(order)
    return _copied(order, old, claim, relinked=len(work.relinked))


def _copied(order: _Order, old: _Old, claim: Claim | None, *, relinked: int) -> Moved:
    left_over = None
    if claim:
        order.tell(Step(phase="removing"))
        left_over = give_up(claim)
    return Moved(
        cache=order.cache,
        destination=order.destination,
        how="copied",
        old=old,
        relinked=relinked,
        left_over=left_over,
    )


def _settle(order: _Order, work: Copying, size: Size | None) -> None:
    """Looks through all of both until nothing differs, and has it on disk."""
    for attempt in range(_PASSES_AT_MOST):
        if not _pass(order, work, "checking", size):
            if attempt:
                order.tell(Step(phase="writing"))
                sync(Path(work.copy))
            return
    raise MoveError("the cache does not keep still: a uv without a lock is at work in it", path=Path(work.cache))


def _pass(order: _Order, work: Copying, phase: Phase, size: Size | None, *, distrust: bool = False) -> int:
    def told(files: int) -> None:
        order.tell(Step(phase=phase, files=files, of=size))

    changed = bring_up_to_date(work, distrust=distrust, on_files=told)
    if order.stop():
        raise MoveError("stopped", path=order.cache)
    return changed


def _take_place(copy: Path, destination: Path) -> None:
    """Gives the copy its name, in the place of an empty directory or of the link that a former move left."""
    if destination.is_symlink():
        if exchange(copy, destination):
            copy.unlink()
            return
        destination.unlink()
    elif destination.exists():
        destination.rmdir()
    copy.rename(destination)


def _retire_cache(order: _Order) -> tuple[_Old, Claim | None]:
    """Takes the old cache out of its place, if asked to; what is there now, and what is to be deleted with the cache.

    Where that fails the old cache stays, which hurts nobody.
    """
    cache, destination = order.cache, order.destination
    if not order.remove_old:
        return "kept", None
    try:
        claim = _claim_new(cache.parent)
    except OSError:
        return "kept", None
    aside = claim.path / "old"
    try:
        if order.leave_link and _symlink(destination, aside) and exchange(cache, aside):
            return "linked", claim
        aside.unlink(missing_ok=True)
        cache.rename(aside)
    except OSError:
        give_up(claim)
        return "kept", None
    return ("linked" if order.leave_link and _symlink(destination, cache) else "gone"), claim


def _refuse_lack_of_space(container: Path, size: Size) -> None:
    free = shutil.disk_usage(container).free
    copied = container / "cache"
    there = weigh(copied).size if copied.exists() else 0
    if size.size > free + there:
        text = f"the cache needs {size.size} bytes there, and {free + there} are free"
        raise MoveError(text, os_error=errno.ENOSPC, path=container.parent)


# --- Who may be at it ------------------------------------------------------------------------------------------------


@contextmanager
def _shared(order: _Order) -> Iterator[None]:
    """Installs go on; nobody cleans."""
    with ExitStack() as stack:
        try:
            stack.enter_context(
                cache_lock(order.cache, exclusive=False, seconds=order.seconds, stop=order.stop, on_wait=order.waiting)
            )
        except OSError as error:
            unless_read_only(error)
        yield


def _alone(order: _Order) -> AbstractContextManager[None]:
    return alone(order.cache, seconds=order.seconds, stop=order.stop, on_wait=order.waiting)


# --- Unfinished things -----------------------------------------------------------------------------------------------


@contextmanager
def _container(parent: Path, cache: Path | None = None) -> Iterator[Path]:
    """A claimed directory, removed at the end; the one in which a dead predecessor was copying this cache, if any."""
    claim = _clear(parent, keep=cache) or _claim_new(parent, cache)
    try:
        yield claim.path
    finally:
        give_up(claim)


def _claim_new(parent: Path, cache: Path | None = None) -> Claim:
    claim = claim_new(parent)
    try:
        (claim.path / "of").write_text(json.dumps(os.fspath(cache) if cache else None), encoding="utf-8")
    except BaseException:
        give_up(claim)
        raise
    return claim


def _clear(parent: Path, *, keep: Path | None = None) -> Claim | None:
    """Removes what dead predecessors left, but for one in which this cache was being copied: that is returned."""
    kept = None
    for claim in forsaken(parent):
        if kept is None and keep is not None and _was_of(claim) == os.fspath(keep):
            kept = claim
        else:
            give_up(claim)
    return kept


def _was_of(claim: Claim) -> object:
    try:
        return json.loads((claim.path / "of").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _finished_before(order: _Order) -> Moved | None:
    """What a predecessor did who was killed late enough; None where the move is still to be made."""
    cache, destination = order.cache, order.destination
    how: Literal["renamed", "copied"] = "copied"
    if cache == destination or destination.is_symlink() or not is_cache(destination):
        return None
    if cache.parent.stat().st_dev == destination.stat().st_dev:
        how = "renamed"
    if not os.path.lexists(cache):
        # Between two renames, where names cannot be exchanged.
        linked = order.leave_link and _symlink(destination, cache)
        old: _Old = "linked" if linked else "gone"
    elif cache.is_symlink():
        old = "linked"
        if not order.leave_link:
            cache.unlink()
            old = "gone"
    else:
        if not is_copy(cache, destination):
            return None
        _clear(destination.parent)
        with _alone(order):
            old, claim = _retire_cache(order)
        return _copied(order, old, claim, relinked=0)
    for parent in {cache.parent, destination.parent}:
        _clear(parent)
    return Moved(cache=cache, destination=destination, how=how, old=old, relinked=_relink(cache, destination))


def ends(cache: Path, destination: Path) -> tuple[Path, Path]:
    """The real ends of a move: no symbolic links above them, nor in them but for one that a move left."""
    cache, destination = (
        Path(os.path.realpath(it.parent), it.name) for it in (cache.absolute(), destination.absolute())
    )
    if destination.is_symlink() and os.path.realpath(destination) != os.path.realpath(cache):
        destination = Path(os.path.realpath(destination))
    if cache.is_symlink() and os.path.realpath(cache) != os.path.realpath(destination):
        cache = Path(os.path.realpath(cache))
    return cache, destination


def _clear_unfinished(destination: Path) -> None:
    if _is_unfinished(destination):
        destination.unlink()


def _is_unfinished(destination: Path) -> bool:
    """Whether a predecessor was killed before the names changed: the link leads to itself."""
    if not destination.is_symlink():
        return False
    return destination.readlink() == Path(os.path.realpath(destination.parent), destination.name)


def _refuse_bad_destination(order: _Order) -> None:
    cache, destination = order.cache, order.destination
    if not cache.is_dir() or cache.is_symlink():
        raise MoveError("there is no cache", os_error=errno.ENOENT, path=cache)
    if inside(os.fspath(destination), os.fspath(cache)):
        raise MoveError("the destination is in the cache itself", os_error=errno.EINVAL, path=destination)
    back = destination.is_symlink()
    if not back and os.path.lexists(destination) and not is_empty_directory(destination):
        raise MoveError("something else is at the destination", os_error=errno.EEXIST, path=destination)


def _refuse_mount_point(destination: Path) -> None:
    if destination.is_dir() and is_mount_point(destination):
        raise MoveError("a file system is mounted there", os_error=errno.EBUSY, path=destination)


def is_empty_directory(path: Path) -> bool:
    """Whether it is one, by itself or through a link."""
    return path.is_dir() and not any(path.iterdir())


def move_error(error: OSError | CacheBusyError, path: Path) -> MoveError:
    """What kept a move of this path from being made."""
    if isinstance(error, CacheBusyError):
        return MoveError("uv is at work there", path=path)
    where = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else path
    number = getattr(error, "winerror", None) or error.errno
    return MoveError(error.strerror or str(error), os_error=number, path=where)


# --- System calls that may be refused ---------------------------------------------------------------------------------


def _symlink(target: Path, path: Path) -> bool:
    try:
        path.symlink_to(target, target_is_directory=True)
    except (OSError, NotImplementedError):
        return False
    return True


def _flush(*directories: Path) -> None:
    """Has the names in them written, as far as the system lets us."""
    for directory in directories:
        with suppress(OSError):
            handle = os.open(directory, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
