"""Where else uv's cache, or a project's environment, could live so that links between them work."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from uv_link_doctor.engine.model import Home, Operation
from uv_link_doctor.host.cache_move import is_cache, is_taken
from uv_link_doctor.host.mounts import mount_of, nearest_directory
from uv_link_doctor.host.places import place, try_links


def homes(cache: Path, environment: Path, project: Path, *, environ: Mapping[str, str]) -> tuple[Home, ...]:
    """Directories for the cache from which a hard link into the environment was tried and worked, the best first.

    None of them lies in the project, in a synced folder or on the network, and none is made: the nearest directory
    that exists is tried, with temporary files that are removed at once. Never raises.
    """
    candidates = _candidates(cache, environment, project, environ)
    return tuple(filter(None, (_home(it, cache, environment, environ) for it in candidates)))


def _is_trusted(path: Path) -> bool:
    """Whether nobody else has made the place, who could put other files in it: everybody may write to `/tmp`.

    On Windows a home is nobody else's, and other places have no owner that would tell.
    """
    if not hasattr(os, "geteuid"):
        return True
    try:
        owner = nearest_directory(path).stat().st_uid
    except OSError:
        return False
    return owner == os.geteuid() or (owner == 0 and not path.exists())


def is_a_rename(cache: Path, home: Path) -> bool:
    """Whether the cache gets to a new place by a rename: both are on one mount, as hard links have to be."""
    old, new = nearest_directory(cache), nearest_directory(home)
    try:
        return old.stat().st_dev == new.stat().st_dev and mount_of(old) == mount_of(new)
    except OSError:
        return False


def moved_environment(state: Path, project: Path) -> Path:
    """The place for the environment of a project that cannot hold it: with the doctor's state, by name and path."""
    digest = hashlib.sha256(os.fsencode(os.path.realpath(project))).hexdigest()[:8]
    return state / "environments" / f"{project.name}-{digest}"


def _candidates(cache: Path, environment: Path, project: Path, environ: Mapping[str, str]) -> Iterator[Path]:
    """The default place, and the outermost directory on the environment's mount that we may write to, but for `/`."""
    default = Path(environ.get("XDG_CACHE_HOME") or Path(environ.get("HOME") or Path.home()) / ".cache") / "uv"
    known = {cache}
    mount = Path(place(environment, environ=environ).mount_point or "/")
    above = [directory for directory in reversed(project.parents) if directory.is_relative_to(mount)]
    outermost = next((it for it in above if it.name and os.access(it, os.W_OK)), None)
    for home in (default, outermost and outermost / ".cache" / "uv"):
        if home and home.is_absolute() and home not in known and not home.is_relative_to(project):
            known.add(home)
            yield home


def _home(path: Path, cache: Path, environment: Path, environ: Mapping[str, str]) -> Home | None:
    """None for what will not do."""
    where = place(path, environ=environ)
    if where.synced_by or where.network or where.read_only or not _is_trusted(path):
        return None
    if try_links(nearest_directory(path), environment).works.get(Operation.HARDLINK) is not True:
        return None
    try:
        taken = is_taken(path, cache)
    except OSError:
        return None
    if taken and not is_cache(path):
        return None
    return Home(path=path, free_bytes=where.free_bytes, renamed=is_a_rename(cache, path), in_use=taken)
