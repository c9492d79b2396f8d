"""What the machine shows of a project, and which lines and remedies follow from that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from uv_link_doctor.engine import lockfile, manifests
from uv_link_doctor.engine.model import (
    Home,
    Location,
    Manifest,
    Operation,
    Places,
    Platform,
    Project,
    Refused,
    Requirement,
    Sample,
    Verification,
    Weight,
)
from uv_link_doctor.engine.plan import verb
from uv_link_doctor.engine.remedies import Means


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the machine shows of a project, to explain and place what uv said of it."""

    project: Project
    platform: Platform
    uv: Path
    verification: Verification
    places: Places
    manifests: tuple[Manifest, ...]
    """The project's own first, then those of the other members of its workspace."""
    lock_text: str | None
    setting_file: Path | None
    """Where `set-link-mode` would write; None where no file would have an effect."""
    overruling: str | None = None
    """What leaves no file a say in the link mode, in words: "the variable `UV_NO_CONFIG` is `1`"."""
    texts: Mapping[Path, str] = field(default_factory=dict)
    """Of files that uv's words name a place in."""
    uv_version: tuple[int, int, int] | None = None
    """None where nobody asked."""
    ended_well: bool = False
    """Whether uv has ended with 0 since what it said: it counts as installed what is incomplete."""
    weight: Weight | None = None
    """What the project's packages come to; None where nobody looked."""
    sample: Sample | None = None
    """What some of their files took to place; None where nobody tried."""
    homes: tuple[Home, ...] = ()
    """Where else the cache could live: from there a trial link into the environment worked."""
    breaking: tuple[Path, ...] = ()
    """Environments that need the cache's present path."""
    user_file: Path | None = None
    """The user's own uv.toml; None where a link mode in it would have no effect here."""
    cache_file: Path | None = None
    """The file in which another `cache-dir` would take effect; None where none would."""
    new_environment: Path | None = None
    """Where the environment could live, if it is in the wrong place."""
    lost: tuple[str, ...] = ()
    """The incomplete packages whose entries in the cache lack files as well."""
    unreadable: bool = False
    """What uv could not link may not be read either."""
    gone: bool = False
    """What uv did not find in its cache is not there now either."""
    refused: tuple[Refused, ...] = ()
    """Entries of the cache for the project's packages that take no further link."""


def requirements_for(packages: set[str], version: str | None, facts: Facts) -> tuple[Requirement, ...]:
    """The direct requirements that bring the packages in: the project's own, else those of its whole workspace."""
    lock = lockfile.read_lock(facts.lock_text) if facts.lock_text else None
    own = manifests.name(facts.project.manifest)
    for members in ({own} if own else None, None):
        wanted = packages if lock is None else _direct(packages, version, lock, members)
        found = [
            requirement
            for manifest in facts.manifests
            for requirement in manifests.requirements(manifest)
            if requirement.name in wanted
        ]
        if found:
            return tuple(found)
    return ()


def _direct(packages: set[str], version: str | None, lock: Mapping[str, object], members: set[str] | None) -> set[str]:
    """The direct dependencies of these members, None for all, that bring in any of the packages."""
    version = version if len(packages) == 1 else None
    return {
        name
        for package in packages
        for name in lockfile.required_by(lock, name=package, version=version, members=members)
    }


def requirement_place(bringing: tuple[Requirement, ...], facts: Facts) -> Location:
    """The first of some requirements; the header of the project where there is none."""
    return bringing[0].location if bringing else manifests.header(facts.project.manifest)


def deciding_setting(operation: Operation | None, facts: Facts) -> Location | None:
    """The link mode that asks for an operation, if it stands in a file of the workspace."""
    setting = facts.project.settings.link_mode
    origin = setting.origin
    if (
        origin.path is not None
        and origin.range is not None
        and operation is not None
        and setting.value == operation.value
        and origin.path.is_relative_to(facts.project.root)
    ):
        return Location(origin.path, origin.range)
    return None


def means(facts: Facts | None) -> Means:
    """What remedies rest on; nothing but a text has no facts."""
    if facts is None:
        return Means()
    return Means(
        uv=facts.uv,
        project=facts.project.target,
        verb=verb(facts.project.manifest, facts.project.environment),
        broken=tuple(package.package for package in facts.verification.broken),
        setting_file=facts.setting_file,
        user_file=facts.user_file,
        cache=Path(facts.project.settings.cache_dir.value),
        cache_file=facts.cache_file,
        homes=facts.homes,
        breaking=facts.breaking,
        new_environment=facts.new_environment,
        refused=tuple(dict.fromkeys(it.package for it in facts.refused)),
        elsewhere=bool(facts.refused) and all(it.environments for it in facts.refused),
        lost=facts.lost,
        unreadable=facts.unreadable,
        gone=facts.gone,
        synced=facts.places.environment.synced_by is not None,
        remembered_copy=facts.project.remembered_copy,
        trial=facts.places.trial,
        weight=facts.weight,
        sample=facts.sample,
    )
