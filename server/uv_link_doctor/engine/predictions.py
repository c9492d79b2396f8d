"""What the next install would meet, as findings: links that will be refused, and a cache that refuses them already."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from uv_link_doctor.engine import manifests
from uv_link_doctor.engine.causes import cause_of
from uv_link_doctor.engine.costs import copying, place_words
from uv_link_doctor.engine.facts import Facts, deciding_setting, means, requirement_place, requirements_for
from uv_link_doctor.engine.model import (
    Cause,
    Code,
    Finding,
    LinkMode,
    Location,
    Operation,
    Outcome,
    Platform,
    Refused,
    Related,
    Remedy,
    Severity,
    Trial,
)
from uv_link_doctor.engine.remedies import actions, remedies
from uv_link_doctor.engine.words import CAUSES, PAGES

_TRIES: Mapping[LinkMode, tuple[Operation, ...]] = {
    LinkMode.CLONE: (Operation.CLONE, Operation.HARDLINK, Operation.COPY),
    LinkMode.HARDLINK: (Operation.HARDLINK, Operation.COPY),
    LinkMode.SYMLINK: (Operation.SYMLINK, Operation.COPY),
    LinkMode.COPY: (Operation.COPY,),
}
"""What uv does with the first file of a wheel, and what instead where that is refused (`uv_fs::link` of 0.10.5)."""
_CLONES_GIVE_WAY_TO_LINKS = (0, 10, 5)
_NO_LOCK = frozenset({1, 5, 13, 19, 30})
"""The numbers, of whatever system, with which a cache is read-only or somebody else's; uv does not start there (0.4.18
to 0.13.9), though it may find some space on a disk that is all but full."""


def prediction(facts: Facts) -> Finding | None:
    """What the next install will do that it should not: fail, copy, or tie the cache to a synced folder.

    None where nothing of the kind is known. A trial or what the file systems say decides, never a guess.
    """
    trial = facts.places.trial
    works = trial.works
    if works.get(Operation.WRITE) is False and trial.os_errors.get(Operation.WRITE) in _NO_LOCK:
        return _linkless(
            facts, Outcome.PREDICTED, Operation.WRITE, "the next install will fail, for uv writes to its cache"
        )
    tries = _tries(facts)
    first = next((operation for operation in tries if works.get(operation) is not False), None)
    if first is None:
        return _linkless(facts, Outcome.PREDICTED, tries[-1], "the next install will fail")
    if first is Operation.COPY and len(tries) > 1 and works.get(first):
        return _linkless(facts, Outcome.PREDICTED, tries[-2], f"the next install will copy {_all(facts)} instead")
    client = facts.places.environment.synced_by
    clones = tries[0] is Operation.CLONE and works.get(Operation.CLONE) is True
    if client and not clones and Operation.HARDLINK in tries and works.get(Operation.HARDLINK) is not False:
        return _spoiling(facts, client)
    return None


def with_foresight(trial: Trial, foreseen: Trial) -> Trial:
    """A trial with what is certain to be refused all the same, to the files of the cache, which are not our own."""
    refused = {way for way, works in foreseen.works.items() if not works and trial.works.get(way)}
    return Trial(
        trial.works | dict.fromkeys(refused, False),
        trial.os_errors | {way: number for way, number in foreseen.os_errors.items() if way in refused},
    )


def taint(facts: Facts) -> Finding | None:
    """Packages of the project whose files in the cache take no further link; None where all do, or nobody links.

    Nor where the place refuses every file in that way, or uv does not get so far: that is the prediction.
    """
    refused, known = facts.refused, facts.places.trial.os_errors
    if not refused or facts.project.settings.link_mode.value == LinkMode.COPY:
        return None
    if known.get(Operation.HARDLINK) == refused[0].os_error or known.get(Operation.WRITE) in _NO_LOCK:
        return None
    number = refused[0].os_error
    cause = cause_of(
        platform=facts.platform,
        operation=Operation.HARDLINK,
        os_error=number,
        source=str(refused[0].file),
        target=None,
    )
    single = refused[0] if len(refused) == 1 else None
    bringing = requirements_for({it.package for it in refused}, single.version if single else None, facts)
    finding = Finding(
        id=Code.CACHE_TAINTED.value,
        code=Code.CACHE_TAINTED,
        severity=Severity.WARNING,
        cause=cause,
        message=(
            f"{unlinkable(number, ((it.package, it.version) for it in refused))} "
            "The next install of them will fail or copy."
        ),
        why=PAGES[Code.CACHE_TAINTED].why,
        os_error=number,
        operation=Operation.HARDLINK,
        package=single.package if single else None,
        version=single.version if single else None,
        source=str(single.file) if single else None,
        required_by=tuple(dict.fromkeys(requirement.name for requirement in bringing)),
        evidence=tuple(_ties(refused)),
        location=requirement_place(bringing, facts),
        related=tuple(Related(Location(it.file), f"the file of `{it.package}` in uv's cache") for it in refused[:5]),
    )
    return replace(finding, remedies=remedies(finding, means(facts)))


def _tries(facts: Facts) -> tuple[Operation, ...]:
    mode = LinkMode(facts.project.settings.link_mode.value)
    known = facts.uv_version
    if mode is LinkMode.CLONE and (facts.platform is Platform.MACOS or (known and known < _CLONES_GIVE_WAY_TO_LINKS)):
        return Operation.CLONE, Operation.COPY
    return _TRIES[mode]


def _linkless(facts: Facts, outcome: Outcome, operation: Operation, effect: str) -> Finding:
    """The finding for links that the two places do not allow, or for a place that takes no files at all."""
    number = facts.places.trial.os_errors.get(operation)
    cause = cause_of(platform=facts.platform, operation=operation, os_error=number, source=None, target=None)
    told = f" (os error {number})" if number is not None else ""
    page = CAUSES[cause]
    finding = Finding(
        id=f"{Code.LINK_PREDICTED.value}:{cause.value}:{operation.value}",
        code=Code.LINK_PREDICTED,
        severity=Severity.WARNING,
        cause=cause,
        message=" ".join([f"{page.what}{told}: {effect}.", *page.advice]),
        why=page.why,
        outcome=outcome,
        operation=operation,
        os_error=number,
        evidence=tuple(_evidence(facts, operation)),
        location=deciding_setting(operation, facts) or manifests.header(facts.project.manifest),
        related=tuple(_ends(facts)),
    )
    offered = () if operation in _NO_FILE_AT_ALL else remedies(finding, means(facts))
    return replace(finding, remedies=offered, severity=_severity(finding, offered))


def _severity(finding: Finding, offered: tuple[Remedy, ...]) -> Severity:
    """A warning where there is something to gain, or to lose."""
    return Severity.WARNING if actions(offered) or finding.operation in _NO_FILE_AT_ALL else Severity.INFORMATION


_NO_FILE_AT_ALL = frozenset({Operation.COPY, Operation.WRITE})
"""What no other way to place a file would get around."""


def _spoiling(facts: Facts, client: str) -> Finding:
    """The finding for hard links that would work once, into a folder whose client then takes charge of the file."""
    page = CAUSES[Cause.CLOUD_SYNC]
    finding = Finding(
        id=f"{Code.LINK_PREDICTED.value}:{Cause.CLOUD_SYNC.value}:{Operation.HARDLINK.value}",
        code=Code.LINK_PREDICTED,
        severity=Severity.WARNING,
        cause=Cause.CLOUD_SYNC,
        message=(
            f"The environment lies in a folder that {client} syncs: hard links into it spoil uv's cache for other "
            f"projects, and installs here begin to fail. {' '.join(page.advice)}"
        ),
        why=page.why,
        outcome=Outcome.PREDICTED,
        operation=Operation.HARDLINK,
        evidence=tuple(_evidence(facts, Operation.HARDLINK)),
        location=deciding_setting(Operation.HARDLINK, facts) or manifests.header(facts.project.manifest),
        related=tuple(_ends(facts)),
    )
    return replace(finding, remedies=remedies(finding, means(facts)))


def _evidence(facts: Facts, operation: Operation) -> Iterator[str]:
    cache, environment, trial = facts.places.cache, facts.places.environment, facts.places.trial
    yield f"the cache is on {place_words(cache)}, the environment on {place_words(environment)}"
    for place, name in ((environment, "environment"), (cache, "cache")):
        if place.synced_by:
            yield f"the {name} lies in a folder that {place.synced_by} syncs"
    if operation in trial.works:
        number = trial.os_errors.get(operation)
        how = "the file systems say that" if trial.foreseen else "a trial with one temporary file showed that"
        said = "works" if trial.works[operation] else f"fails (os error {number})" if number else "fails"
        where = "to the cache" if operation is Operation.WRITE else "from the cache into the environment"
        yield f"{how} a {operation.value} {where} {said}"
    if sentence := copying(facts.weight, trial):
        yield sentence
    for home in facts.homes:
        yield f"a cache in `{home.path}` could be linked into this environment: that was tried"
    if facts.overruling:
        yield f"no file has a say in the link mode: {facts.overruling}"


def _all(facts: Facts) -> str:
    weight = facts.weight
    return f"{weight.files} files" if weight and weight.files else "every file"


def _ends(facts: Facts) -> Iterator[Related]:
    yield Related(Location(facts.places.cache.path), "uv's cache")
    yield Related(Location(facts.project.environment), "the environment")


def unlinkable(number: int | None, packages: Iterable[tuple[str, str]]) -> str:
    """The sentence for packages, by name and version, whose files in the cache are refused with a number."""
    told = "" if number is None else f" (os error {number})"
    return f"uv's cache holds files that cannot be linked any more{told}: {named(packages)}."


def named(packages: Iterable[tuple[str, str]]) -> str:
    """Packages by name and version, the first of many."""
    names = list(dict.fromkeys(f"`{name}` {version}".rstrip() for name, version in packages))
    return ", ".join(names if len(names) < 6 else [*names[:4], f"and {len(names) - 4} more"])


def _ties(refused: tuple[Refused, ...]) -> Iterator[str]:
    """Which file of each package, and which environments hold it."""
    for it in refused[:5]:
        held = "".join(f"; the same file is in `{environment}`" for environment in it.environments)
        yield f"a trial link to `{it.name}` of `{it.package}` failed (os error {it.os_error}){held}"
