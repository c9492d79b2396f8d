"""What a look at uv's cache alone has found, as findings: entries that take no further link, and damaged ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from uv_link_doctor.engine.causes import cause_of
from uv_link_doctor.engine.model import Cause, Code, Finding, Operation, Platform, Remedy, RemedyKind, Severity
from uv_link_doctor.engine.predictions import named, unlinkable
from uv_link_doctor.engine.remedies import Means, remedies
from uv_link_doctor.engine.words import CAUSES, PAGES

_SHOWN = 5
"""Of many entries, and of many files of one."""


class Ailing(Protocol):
    """An entry of the cache with files that something is wrong with; `host.cache_scan.Troubled` is one."""

    @property
    def package(self) -> str:
        """Normalised; empty where nothing in the cache tells."""

    @property
    def version(self) -> str:
        """Empty where the entry does not tell."""

    @property
    def path(self) -> Path:
        """Its directory."""

    @property
    def files(self) -> tuple[str, ...]:
        """Relative to it; none where it lacks all that names it."""

    @property
    def os_error(self) -> int | None:
        """The number with which the first of them was refused."""


def cache_findings(
    refused: Sequence[Ailing],
    damaged: Sequence[Ailing],
    *,
    platform: Platform,
    links_work: bool = True,
    directory: Path | None = None,
) -> tuple[Finding, ...]:
    """One finding for each cause for which entries take no further link, and one for all that are damaged.

    `links_work=False`: the file system links no file at all, so that fresh ones would not help. `directory` is the
    cache where commands have to name it, None where it is the one in force.
    """
    by_cause: dict[Cause, list[Ailing]] = {}
    for entry in refused:
        by_cause.setdefault(why_refused(entry, platform), []).append(entry)
    found = [_refused(cause, entries, links_work, directory) for cause, entries in by_cause.items()]
    return (*found, *([_damaged(damaged, directory)] if damaged else []))


def why_refused(entry: Ailing, platform: Platform) -> Cause:
    """What the number means with which a link to a file of the entry was refused."""
    source = str(entry.path / entry.files[0]) if entry.files else str(entry.path)
    return cause_of(platform=platform, operation=Operation.HARDLINK, os_error=entry.os_error, source=source)


def _refused(cause: Cause, entries: Sequence[Ailing], links_work: bool, directory: Path | None) -> Finding:  # noqa: FBT001
    number = entries[0].os_error
    sentences = [unlinkable(number, _packages(entries)), "The next install of them will fail or copy."]
    if not links_work:
        sentences.append("The cache's file system links no file at all; a cache in another place can be linked.")
    finding = _finding(
        entries,
        cause,
        message=" ".join([*sentences, *CAUSES[cause].advice]),
        why=PAGES[Code.CACHE_TAINTED].why,
        evidence=tuple(_told(entries, "cannot be linked")),
    )
    finding = replace(finding, os_error=number, operation=Operation.HARDLINK)
    return replace(finding, remedies=_offered(finding, entries, directory) if links_work else ())


def _damaged(entries: Sequence[Ailing], directory: Path | None) -> Finding:
    page = CAUSES[Cause.CORRUPT_CACHE_ENTRY]
    finding = _finding(
        entries,
        page.name,
        message=" ".join(
            [
                f"uv's cache holds damaged packages: {named(_packages(entries))}.",
                "uv takes them as they are; once they are removed from the cache, it downloads them again.",
                *page.advice,
            ]
        ),
        why=page.why,
        evidence=tuple(_told(entries, "missing or not what RECORD promises")),
    )
    return replace(finding, remedies=_offered(finding, entries, directory))


def _finding(entries: Sequence[Ailing], cause: Cause, *, message: str, why: str, evidence: tuple[str, ...]) -> Finding:
    single = entries[0] if len(entries) == 1 else None
    return Finding(
        id=f"{Code.CACHE_TAINTED.value}:{cause.value}",
        code=Code.CACHE_TAINTED,
        severity=Severity.WARNING,
        cause=cause,
        message=message,
        why=why,
        evidence=evidence,
        package=(single.package or None) if single else None,
        version=(single.version or None) if single else None,
        source=str(single.path.joinpath(*single.files[:1])) if single else None,
    )


def _offered(finding: Finding, entries: Sequence[Ailing], directory: Path | None) -> tuple[Remedy, ...]:
    """Of the remedies those that need no project, with the commands of the cache; they install nothing."""
    names = tuple(dict.fromkeys(entry.package for entry in entries if entry.package))
    place = () if directory is None else ("--cache-dir", str(directory))
    commands = {
        RemedyKind.REPAIR_CACHE: ("uv-link-doctor", "cache", "repair", *place),
        RemedyKind.CLEAN_PACKAGE: ("uv", "cache", "clean", *names, *place),
    }
    # Whoever looks at the cache alone has no environment in a synced folder at hand, whose next install would undo it.
    offered = remedies(finding, Means(refused=names, elsewhere=True)) if names else ()
    return tuple(
        replace(remedy, preferred=True, changes=remedy.changes[:1], command=commands[remedy.kind])
        for remedy in offered
        if remedy.kind in commands
    )


def _told(entries: Sequence[Ailing], what: str) -> Iterator[str]:
    """Which files of each entry."""
    for entry in entries[:_SHOWN]:
        name = f"`{entry.package}` {entry.version}".rstrip() if entry.package else "a nameless package"
        number = f" (os error {entry.os_error})" if entry.os_error else ""
        if not entry.files:
            yield f"{name} in `{entry.path}`: it has no `.dist-info`"
            continue
        files = ", ".join(f"`{file}`" for file in entry.files[:_SHOWN])
        more = f" and {len(entry.files) - _SHOWN} more" if len(entry.files) > _SHOWN else ""
        yield f"{name} in `{entry.path}`: {what}{number}: {files}{more}"
    if len(entries) > _SHOWN:
        yield f"and {len(entries) - _SHOWN} more entries"


def _packages(entries: Sequence[Ailing]) -> list[tuple[str, str]]:
    return [(entry.package or "a nameless one", entry.version) for entry in entries]
