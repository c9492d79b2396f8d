"""Which remedies would help against a finding, the best first, and what each would change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import assert_never

from uv_link_doctor.engine import costs
from uv_link_doctor.engine.model import (
    Cause,
    Code,
    Finding,
    Home,
    LinkMode,
    Operation,
    Remedy,
    RemedyKind,
    Sample,
    Trial,
    Weight,
)
from uv_link_doctor.engine.plan import sync_command
from uv_link_doctor.engine.words import CAUSES

LINK_OPERATIONS = frozenset({Operation.HARDLINK, Operation.CLONE, Operation.SYMLINK})
"""What `copy` does instead of; where another operation failed, copying would fail as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What remedies rest on: the machine's side of an examination, or nothing but a pasted text."""

    uv: Path = Path("uv")
    project: Path | None = None
    """The directory or file that is installed; None for a pasted text."""
    verb: tuple[str, ...] = ("sync",)
    """The words after `uv` that install it."""
    broken: tuple[str, ...] = ()
    """The packages that are incomplete on disk."""
    setting_file: Path | None = None
    """The file that `set-link-mode` would write to; None where no file would have an effect."""
    user_file: Path | None = None
    """The user's own uv.toml; None where a link mode in it would have no effect here."""
    cache: Path | None = None
    cache_file: Path | None = None
    """The file in which a `cache-dir` would count; None where none would."""
    homes: tuple[Home, ...] = ()
    """Where the cache could live: from there a trial link into the environment worked, and the setting would count."""
    breaking: tuple[Path, ...] = ()
    """Environments that need the cache's present path."""
    new_environment: Path | None = None
    """Where the environment could live instead; None where it need not move, or cannot."""
    refused: tuple[str, ...] = ()
    """The packages whose entries in the cache take no further link."""
    lost: tuple[str, ...] = ()
    """The incomplete packages that lack files in the cache as well: installed from there, they would again."""
    unreadable: bool = False
    """The file that could not be linked may not be read, so that it cannot be copied."""
    gone: bool = False
    """The file that uv did not find in its cache is not there now either."""
    elsewhere: bool = False
    """It is known which other environments these files are tied to, and that this one is in no such folder."""
    synced: bool = False
    """The environment lies in a folder that a cloud client syncs."""
    remembered_copy: bool = False
    trial: Trial = field(default_factory=Trial)
    weight: Weight | None = None
    sample: Sample | None = None


def remedies(finding: Finding, means: Means) -> tuple[Remedy, ...]:
    """Only what would help, exactly one of it preferred: the one that ends the failure with the least reach."""
    kinds = list(dict.fromkeys(_kinds(finding, means)))
    if finding.cause is not None and finding.code in _LINK_CODES and CAUSES[finding.cause].advice:
        kinds.append(RemedyKind.ADVICE)
    return tuple(_remedy(kind, finding, means, preferred=kind is kinds[0]) for kind in kinds)


def actions(offered: Sequence[Remedy]) -> tuple[Remedy, ...]:
    """Those that can be carried out."""
    return tuple(remedy for remedy in offered if remedy.kind is not RemedyKind.ADVICE)


def lasts(cause: Cause | None) -> bool:
    """Whether the next install in the same place would meet the cause again."""
    return cause is not None and CAUSES[cause].lasts


# --- which --------------------------------------------------------------------------------

_LINK_CODES = frozenset({Code.LINK_FAILED, Code.LINK_DEGRADED, Code.LINK_PREDICTED, Code.CACHE_TAINTED})


def _kinds(finding: Finding, means: Means) -> list[RemedyKind]:
    if finding.code is Code.ENVIRONMENT_BROKEN:
        return _that_make_whole(means)
    if finding.code not in _LINK_CODES or finding.cause is None:
        return []
    page = CAUSES[finding.cause]
    if page.copying_helps and finding.operation in LINK_OPERATIONS and not means.unreadable:
        return [*_that_keep_linking(finding, means), *_that_copy(finding, means), *_that_move_away(finding, means)]
    if finding.cause in _ENTRY_IS_LOST or (finding.cause is Cause.CLOUD_OFFLINE and finding.package in means.refused):
        known = finding.package is not None or means.refused
        again = [RemedyKind.REINSTALL_BROKEN] if page.retrying_helps and not means.gone else []
        return [*again, *([RemedyKind.CLEAN_PACKAGE] if known else []), *_that_move_away(finding, means)]
    if page.retrying_helps and finding.code is Code.LINK_FAILED:
        return [RemedyKind.REINSTALL_BROKEN]
    return _that_move_away(finding, means)


def _that_make_whole(means: Means) -> list[RemedyKind]:
    """What broke it, nobody saw: if it was a link, a reinstall may break in the same way, or is known to."""
    if means.lost:
        return [RemedyKind.CLEAN_PACKAGE]
    again = [] if {*means.broken} & {*means.refused} else [RemedyKind.REINSTALL_BROKEN]
    return [*again, *([] if means.remembered_copy else [RemedyKind.RETRY_COPY])]


_ENTRY_IS_LOST = frozenset({Cause.CORRUPT_CACHE_ENTRY, Cause.MISSING_CACHE_FILE})
"""Nothing can be made good from what the cache has: uv has to fetch the package again."""
_FRESH_FILES_HELP = frozenset({Cause.CLOUD_SYNC, Cause.TOO_MANY_LINKS})
"""It is the single file that takes no further name."""
_PLACE_IS_WRONG = frozenset(
    {Cause.CLOUD_SYNC, Cause.CLOUD_OFFLINE, Cause.UNSUPPORTED_FILESYSTEM, Cause.NETWORK_FILESYSTEM}
)
_BORDER = frozenset({Cause.CROSS_DEVICE, Cause.UNSUPPORTED_FILESYSTEM})
"""No link at all works between the two places."""


def _that_keep_linking(finding: Finding, means: Means) -> list[RemedyKind]:
    """What ends the cause itself, so that links work again."""
    if _can_refresh(finding, means) and (means.elsewhere or finding.cause is Cause.TOO_MANY_LINKS):
        return [RemedyKind.REPAIR_CACHE]
    # Where uv stopped, a copy of the one project reaches less far than a move of everybody's cache.
    if finding.cause in _BORDER and _can_move(means) and finding.code is not Code.LINK_FAILED:
        return [RemedyKind.MOVE_CACHE]
    return []


def _can_refresh(finding: Finding, means: Means) -> bool:
    return finding.cause in _FRESH_FILES_HELP and bool(means.refused) and not means.synced


def _can_move(means: Means) -> bool:
    return bool(means.homes) and means.cache_file is not None


def _that_copy(finding: Finding, means: Means) -> list[RemedyKind]:
    """What makes uv copy from now on, the least reach first."""
    shared = [RemedyKind.SET_LINK_MODE] if means.setting_file is not None or means.project is None else []
    shared += [RemedyKind.SET_LINK_MODE_USER] if means.user_file is not None else []
    late = [RemedyKind.MOVE_CACHE] if finding.cause in _BORDER and _can_move(means) else []
    late += [RemedyKind.REPAIR_CACHE] if _can_refresh(finding, means) else []
    if finding.code is Code.LINK_FAILED or _remembers(finding.cause, means):
        return [RemedyKind.RETRY_COPY, *shared, *late]
    # uv copies by itself, and next time the cause may be gone; or nobody knows it, and the user may accept it.
    return shared if lasts(finding.cause) or finding.cause is Cause.UNKNOWN else []


def _that_move_away(finding: Finding, means: Means) -> list[RemedyKind]:
    fits = finding.cause in _PLACE_IS_WRONG and means.new_environment is not None
    return [RemedyKind.MOVE_ENVIRONMENT] if fits else []


def _remembers(cause: Cause | None, means: Means) -> bool:
    """Whether `retry-copy` outlives its run."""
    return means.project is not None and lasts(cause)


# --- in words -----------------------------------------------------------------------------


def _remedy(kind: RemedyKind, finding: Finding, means: Means, *, preferred: bool) -> Remedy:
    failed = (finding.package,) if finding.package and finding.code is Code.LINK_FAILED else ()
    broken = tuple(dict.fromkeys((*failed, *means.broken)))
    by_us: tuple[str, ...] = ("uv-link-doctor", "fix", str(means.project or "."), "--apply", kind.value)
    match kind:
        case RemedyKind.RETRY_COPY:
            title, changes = _retry_copy(finding, means, broken)
            by_uv = sync_command(means.uv, verb=means.verb, link_mode=LinkMode.COPY, reinstall=broken)
            # After a fallback uv has nothing to do, and what lies ahead is not met by one run.
            command = by_uv if finding.code in {Code.LINK_FAILED, Code.ENVIRONMENT_BROKEN} else by_us
        case RemedyKind.REINSTALL_BROKEN:
            title, changes = _reinstall(means, broken)
            mode = LinkMode.COPY if means.remembered_copy else None
            command = sync_command(means.uv, verb=means.verb, link_mode=mode, reinstall=broken)
        case RemedyKind.SET_LINK_MODE:
            title, changes = _set_link_mode(means.setting_file, "for everyone who works on this project", means, broken)
            changes = [*changes, *_price(finding, means)]
            command = by_us
        case RemedyKind.SET_LINK_MODE_USER:
            title, changes = _set_link_mode(means.user_file, "for all your projects on this machine", means, broken)
            changes = [*changes, *_price(finding, means)]
            command = by_us
        case RemedyKind.MOVE_CACHE:
            title, changes = _move_cache(means, broken)
            command = by_us
        case RemedyKind.REPAIR_CACHE:
            title, changes = _repair_cache(means, broken)
            command = by_us
        case RemedyKind.CLEAN_PACKAGE:
            names = tuple(dict.fromkeys((*failed, *means.lost))) or means.refused
            title, changes = _clean_package(names, means, broken)
            command = by_us if means.project else (str(means.uv), "cache", "clean", *names)
        case RemedyKind.MOVE_ENVIRONMENT:
            title, changes = _move_environment(means)
            command = by_us
        case RemedyKind.ADVICE:
            title, changes = " ".join(CAUSES[finding.cause].advice) if finding.cause else "", ()
            command = ()
        case _:
            assert_never(kind)
    return Remedy(
        id=f"{finding.id}/{kind.value}",
        kind=kind,
        title=title,
        preferred=preferred,
        changes=tuple(changes),
        command=command,
    )


Words = tuple[str, Sequence[str]]
"""The title, and what changes."""


def _retry_copy(finding: Finding, means: Means, broken: Sequence[str]) -> Words:
    degraded = finding.code is Code.LINK_DEGRADED
    changes = [_reinstalls(broken, means)] if broken or not degraded else []
    if means.synced:
        fresh = _fresh_files(means) if means.refused else "gives what this folder has spoiled in uv's cache fresh files"
        changes.append(f"{fresh}, so that they can be linked into other projects again")
    if _remembers(finding.cause, means):
        changes.append(
            "our runs go on using copies in this project, on this machine only; no file of the project changes"
        )
    changes += _price(finding, means)
    if degraded:
        return "Go on using copies here, on this machine only", changes
    if finding.code in {Code.LINK_PREDICTED, Code.CACHE_TAINTED} and not broken:
        return "Install by copying here, on this machine only", changes
    return f"Install {_names(broken)} by copying instead of linking", changes


def _reinstall(means: Means, broken: Sequence[str]) -> Words:
    return f"Reinstall {_names(broken)}" if broken else "Install again", [_reinstalls(broken, means)]


def _set_link_mode(path: Path | None, reach: str, means: Means, broken: Sequence[str]) -> Words:
    file = path.name if path else "pyproject.toml"
    where = f"`{path or file}`"
    changes = [f'writes `link-mode = "copy"` to {where}, {reach}']
    if broken:
        changes.append(_reinstalls(broken, means))
    return f'Set `link-mode = "copy"` in {"your own uv.toml" if "your" in reach else file}, {reach}', changes


def _move_cache(means: Means, broken: Sequence[str]) -> Words:
    home = means.homes[0]
    free = f" ({costs.size_words(home.free_bytes)} are free there)" if home.free_bytes is not None else ""
    if home.in_use:
        move = f"uses the cache that is in `{home.path}` already{free}, and leaves the one in `{means.cache}` as it is"
    elif home.renamed:
        move = f"renames uv's cache from `{means.cache}` to `{home.path}`; the old path becomes a link to it"
    else:
        rate = costs.seconds_for_each_gigabyte(means.sample)
        took = f", which takes {rate}" if rate else ""
        where = f"from `{means.cache}` to `{home.path}`{free}"
        move = f"copies uv's cache {where}{took}; the old one stays for whoever still uses it"
    changes = [
        move,
        f"writes `cache-dir` to `{means.cache_file}`, so that uv finds it there",
        *need_the_old_path(means.breaking),
        "uses a place from which a trial link into this environment worked",
    ]
    if broken:
        changes.append(_reinstalls(broken, means))
    title = "Use the cache in" if home.in_use else "Move uv's cache to"
    return f"{title} `{home.path}`, where it can be linked into this environment", changes


def need_the_old_path(environments: Sequence[Path]) -> list[str]:
    """Which environments a move of the cache would break if nothing stayed at its old path; nothing where none is."""
    if not environments:
        return []
    named = ", ".join(f"`{it}`" for it in environments[:_SHOWN])
    more = f" and {len(environments) - _SHOWN} more" if len(environments) > _SHOWN else ""
    return [f"keeps the old path, without which these environments would break: {named}{more}"]


_SHOWN = 5


def _repair_cache(means: Means, broken: Sequence[str]) -> Words:
    changes = [f"{_fresh_files(means)}; nothing is downloaded, and other environments keep their files"]
    if size := costs.price_of_part(means.refused, means.weight, means.sample):
        changes.append(f"copies within the cache at most {size}")
    if broken:
        changes.append(_reinstalls(broken, means))
    return f"Give {_names(means.refused)} fresh files in uv's cache, so that links work again", changes


def _clean_package(names: Sequence[str], means: Means, broken: Sequence[str]) -> Words:
    again = f"uv downloads {'it' if len(names) == 1 else 'them'} again"
    changes = [f"removes {_names(names)} from uv's cache{costs.part(names, means.weight)}; {again}"]
    return f"Remove {_names(names)} from uv's cache and install again", [*changes, _reinstalls(broken, means)]


def _move_environment(means: Means) -> Words:
    weight = means.weight
    size = f": {costs.counted(weight.files, weight.size)}, by links" if weight and weight.files else ""
    fresh = [f"{_fresh_files(means)}, so that they can be linked there"] if means.refused else []
    return f"Move the environment to `{means.new_environment}`", [
        *fresh,
        f"makes a new environment in `{means.new_environment}` and installs everything into it{size}",
        "makes `.venv` a link to it, so that uv, terminals and editors find it where it was",
        "removes the old environment when every file of the new one was looked at",
    ]


def _fresh_files(means: Means) -> str:
    return f"gives {_names(means.refused)} fresh files in uv's cache"


def _price(finding: Finding, means: Means) -> list[str]:
    """What copying takes, as far as somebody has looked."""
    if means.project is not None and _copies_anyway(finding, means):
        return ["uv copies here with or without it, so that only the warning goes"]
    sentence = costs.price(means.weight, means.sample, means.trial)
    return [sentence] if sentence else []


def _copies_anyway(finding: Finding, means: Means) -> bool:
    """Whether nothing takes longer than without a remedy: uv falls back each time, since no link is possible here."""
    works = means.trial.works.get(finding.operation) if finding.operation else None
    impossible = works is False or (works is None and finding.cause in _BORDER)
    return finding.code in {Code.LINK_DEGRADED, Code.LINK_PREDICTED} and impossible


def _reinstalls(broken: Sequence[str], means: Means) -> str:
    if not broken:
        return "installs what the environment lacks"
    return f"reinstalls {_names(broken)} in the environment{costs.part(broken, means.weight)}"


def _names(packages: Sequence[str]) -> str:
    if not packages:
        return "the packages"
    if len(packages) > 3:
        return f"`{packages[0]}` and {len(packages) - 1} more packages"
    return " and ".join(filter(None, [", ".join(f"`{name}`" for name in packages[:-1]), f"`{packages[-1]}`"]))
