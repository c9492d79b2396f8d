"""Which remedies would help against a finding, the best first, and what each would change."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import assert_never

from uv_link_doctor.engine.model import Cause, Code, Finding, LinkMode, Operation, Remedy, RemedyKind
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
    remembered_copy: bool = False


def remedies(finding: Finding, means: Means) -> tuple[Remedy, ...]:
    """Only what would help, exactly one of it preferred: the one that ends the failure with the least reach."""
    kinds = _kinds(finding, means)
    return tuple(_remedy(kind, finding, means, preferred=kind is kinds[0]) for kind in kinds)


def lasts(cause: Cause | None) -> bool:
    """Whether the next install in the same place would meet the cause again."""
    return cause is not None and CAUSES[cause].lasts


def _remembers(cause: Cause | None, means: Means) -> bool:
    """Whether `retry-copy` outlives its run."""
    return means.project is not None and lasts(cause)


def _kinds(finding: Finding, means: Means) -> list[RemedyKind]:
    if finding.code is Code.ENVIRONMENT_BROKEN:
        # Nobody saw what broke it: if it was a link, a reinstall would break in the same way.
        return [RemedyKind.REINSTALL_BROKEN, *([] if means.remembered_copy else [RemedyKind.RETRY_COPY])]
    if finding.code not in _LINK_CODES or finding.cause is None:
        return []
    page = CAUSES[finding.cause]
    if page.copying_helps and finding.operation in LINK_OPERATIONS:
        shared = [RemedyKind.SET_LINK_MODE] if means.setting_file is not None or means.project is None else []
        if finding.code is Code.LINK_FAILED or _remembers(finding.cause, means):
            return [RemedyKind.RETRY_COPY, *shared]
        # uv copies by itself, and next time the cause may be gone; or nobody knows it, and the user may accept it.
        return shared if page.lasts or finding.cause is Cause.UNKNOWN else []
    if page.retrying_helps and finding.code is Code.LINK_FAILED:
        return [RemedyKind.REINSTALL_BROKEN]
    return []


_LINK_CODES = frozenset({Code.LINK_FAILED, Code.LINK_DEGRADED, Code.LINK_PREDICTED, Code.CACHE_TAINTED})


def _remedy(kind: RemedyKind, finding: Finding, means: Means, *, preferred: bool) -> Remedy:
    failed = (finding.package,) if finding.package and finding.code is Code.LINK_FAILED else ()
    broken = tuple(dict.fromkeys((*failed, *means.broken)))
    by_us = ("uv-link-doctor", "fix", str(means.project or "."), "--apply", kind.value)
    match kind:
        case RemedyKind.RETRY_COPY:
            title, changes = _retry_copy(finding, broken, remembers=_remembers(finding.cause, means))
            by_uv = sync_command(means.uv, verb=means.verb, link_mode=LinkMode.COPY, reinstall=broken)
            # After a fallback uv has nothing to do, and what lies ahead is not met by one run.
            command = by_uv if finding.code in {Code.LINK_FAILED, Code.ENVIRONMENT_BROKEN} else by_us
        case RemedyKind.REINSTALL_BROKEN:
            title, changes = _reinstall(broken)
            mode = LinkMode.COPY if means.remembered_copy else None
            command = sync_command(means.uv, verb=means.verb, link_mode=mode, reinstall=broken)
        case RemedyKind.SET_LINK_MODE:
            title, changes = _set_link_mode(means, broken)
            command = by_us
        case _:
            assert_never(kind)
    return Remedy(
        id=f"{finding.id}/{kind.value}",
        kind=kind,
        title=title,
        preferred=preferred,
        changes=changes,
        command=command,
    )


def _retry_copy(finding: Finding, broken: Sequence[str], *, remembers: bool) -> tuple[str, tuple[str, ...]]:
    degraded = finding.code is Code.LINK_DEGRADED
    ahead = finding.code in {Code.LINK_PREDICTED, Code.CACHE_TAINTED} and not broken
    changes = [_reinstalls(broken)] if broken or not degraded else []
    if remembers:
        changes.append(
            "our runs go on using copies in this project, on this machine only; no file of the project changes"
        )
    if degraded:
        return "Go on using copies here, on this machine only", tuple(changes)
    if ahead:
        return "Install by copying here, on this machine only", tuple(changes)
    return f"Install {_names(broken)} by copying instead of linking", tuple(changes)


def _reinstall(broken: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    return f"Reinstall {_names(broken)}" if broken else "Install again", (_reinstalls(broken),)


def _set_link_mode(means: Means, broken: Sequence[str]) -> tuple[str, tuple[str, ...]]:
    file = means.setting_file.name if means.setting_file else "pyproject.toml"
    changes = [f'writes `link-mode = "copy"` to `{means.setting_file or file}`, for everyone who works on the project']
    if broken:
        changes.append(_reinstalls(broken))
    return f'Set `link-mode = "copy"` in {file}, for everyone who works on this project', tuple(changes)


def _reinstalls(broken: Sequence[str]) -> str:
    return f"reinstalls {_names(broken)} in the environment" if broken else "installs what the environment lacks"


def _names(packages: Sequence[str]) -> str:
    if not packages:
        return "the packages"
    if len(packages) > 3:
        return f"`{packages[0]}` and {len(packages) - 1} more packages"
    return " and ".join(filter(None, [", ".join(f"`{name}`" for name in packages[:-1]), f"`{packages[-1]}`"]))
