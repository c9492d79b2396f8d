"""The cache that a command is about: the one in force for the working directory, or a named one."""

from __future__ import annotations

import argparse
import os
from dataclasses import dataclass
from pathlib import Path

from uv_link_doctor.case import PLATFORM
from uv_link_doctor.engine import settings
from uv_link_doctor.engine.model import DoctorError, Manifest, Setting, Uv
from uv_link_doctor.host import Host
from uv_link_doctor.host.uv import find_uv
from uv_link_doctor.project import find_manifest, workspace_root


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A cache, and what decides that uv uses it."""

    cache: Path
    named: bool
    """On the command line; commands have to name it, too."""
    setting: Setting
    """The cache in force here."""
    environment: Path | None
    """Of the project here."""
    uv: Uv | None
    root: Path
    """From which uv looks for settings."""
    manifest: Manifest | None
    """Of the project here, if there is one."""
    invocation: settings.Invocation

    @property
    def in_force(self) -> bool:
        """Whether it is the cache that uv uses here."""
        return os.path.realpath(self.setting.value) == os.path.realpath(self.cache)

    @property
    def directory(self) -> Path | None:
        """The cache where commands have to name it."""
        return self.cache if self.named else None


async def known_cache(options: argparse.Namespace, host: Host) -> Known:
    """Raises DoctorError where there is no cache."""
    here = Path.cwd()
    uv = await find_uv(None, host.environ, ask=True)
    try:
        manifest = find_manifest(here, host.read_text)
    except DoctorError:  # uv's cache needs no project, nor one that is without fault.
        manifest = None
    root = here if manifest is None else workspace_root(manifest, host.read_text)
    invocation = settings.Invocation(
        directory=here,
        environ=host.environ,
        version=uv.version if uv else None,
        platform=PLATFORM,
        home=Path(host.environ.get("HOME") or Path.home()),
    )
    found = settings.effective(root, invocation, host.read_text)
    key = found.cache_dir.origin.key or ""
    if options.cache_dir is None and key.lower().replace("_", "-").endswith("no-cache"):
        raise DoctorError(f"uv is told to use no cache: `{key}`", "name a cache with `--cache-dir`")
    cache = here / (options.cache_dir or found.cache_dir.value)
    _refuse_what_is_no_cache(cache, named=options.cache_dir is not None)
    environment = Path(found.environment.value) if found.environment and manifest else None
    return Known(
        cache=cache,
        named=options.cache_dir is not None,
        setting=found.cache_dir,
        environment=environment,
        uv=uv,
        root=root,
        manifest=manifest,
        invocation=invocation,
    )


def _refuse_what_is_no_cache(cache: Path, *, named: bool) -> None:
    """Raises DoctorError for what is not there, and for a directory that no uv has marked as its own."""
    if not os.path.lexists(cache):
        hint = "`uv cache dir` prints where it is" if named else "uv makes it with the first install"
        raise DoctorError(f"there is no cache at `{cache}`", hint)
    try:
        with os.scandir(cache) as children:
            marked = any(child.name == "CACHEDIR.TAG" or child.name.startswith("archive-v") for child in children)
    except OSError as error:
        message = f"the cache at `{cache}` cannot be read: {error.strerror}"
        raise DoctorError(message, "check that it is a directory, and its permissions") from error
    if not marked:
        raise DoctorError(f"`{cache}` is no cache of uv", "`uv cache dir` prints where that is")
