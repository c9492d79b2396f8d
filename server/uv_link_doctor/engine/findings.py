"""What uv said and what the machine shows, as findings: explained, placed on a line, and with what would help."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from uv_link_doctor.engine import lockfile, manifests
from uv_link_doctor.engine.causes import cause_of
from uv_link_doctor.engine.costs import place_words
from uv_link_doctor.engine.facts import Facts, deciding_setting, means, requirement_place, requirements_for
from uv_link_doctor.engine.model import (
    FILE_START,
    Cause,
    Code,
    Complaint,
    DoctorError,
    Failure,
    Finding,
    Location,
    Manifest,
    Operation,
    Outcome,
    Position,
    Project,
    Range,
    Reading,
    Related,
    Severity,
    Uv,
)
from uv_link_doctor.engine.plan import OLDEST_UV, Intent
from uv_link_doctor.engine.remedies import LINK_OPERATIONS, actions, remedies
from uv_link_doctor.engine.toml_text import range_of
from uv_link_doctor.engine.transcript import merge
from uv_link_doctor.engine.words import CAUSES


def findings(reading: Reading, facts: Facts | None = None) -> tuple[Finding, ...]:
    """Everything a text of uv has to say, the gravest first; without facts: as much as the text alone proves.

    A broken environment is a finding of its own only where no link failure explains it, whose remedies reinstall every
    broken package already; once uv has ended with 0 over it, it is that finding, with the failure as its cause.
    """
    failures = merge(_refined(failure, facts) for failure in reading.failures)
    found = [_link_finding(failure, reading, facts) for failure in failures]
    if reading.complaint is not None:
        found.append(_sync_failed(reading.complaint, facts))
    failed = [finding for finding in found if finding.code is Code.LINK_FAILED]
    if facts is not None and facts.verification.broken and (facts.ended_well or not failed):
        found = [finding for finding in found if finding not in failed]
        found.append(_environment_broken(facts, *failed[:1]))
    return tuple(sorted(found, key=lambda finding: list(Severity).index(finding.severity)))


def uv_missing(uv: Uv | None, setting: str | None, manifest: Manifest) -> Finding | None:
    """The finding for a machine without a usable uv; None where there is one."""
    if uv is None:
        message = (
            f"The setting `uvPath` names no executable file: `{setting}`"
            if setting
            else "uv was not found: not on PATH and in none of the places where its installers put it"
        )
        why = "Without uv nothing can be installed. Install it, or name it in the setting `uvPath`."
    elif uv.version is None:
        message = f"`{uv.path}` does not answer to `--version` as uv does"
        why = "It cannot be told what it would do to the environment, so it is not run. Reinstall uv."
    elif uv.version < OLDEST_UV:
        message = f"uv {_dotted(uv.version)} is too old: {_dotted(OLDEST_UV)} is the oldest that is understood"
        why = "Older versions lack the options a safe install needs. Update it, for instance with `uv self update`."
    else:
        return None
    return Finding(
        id=Code.UV_MISSING.value,
        code=Code.UV_MISSING,
        severity=Severity.ERROR,
        cause=None,
        message=message,
        why=why,
        location=manifests.header(manifest),
    )


def asks(intent: Intent, project: Project, *, downloads: bool = False) -> Finding | None:
    """The finding that asks for the user's word; None where an install needs none.

    `downloads`: the user has said already whether a Python may be downloaded.
    """
    doings = []
    if intent.recreates:
        doings.append(f"delete the environment `{project.environment}` with all that is in it and make a new one")
    if intent.removes:
        doings.append("uninstall " + ", ".join(f"`{name}`" for name in intent.removes))
    if intent.downloads_python and not downloads:
        doings.append("download a Python, since none on this machine fits")
    if not doings:
        return None
    return Finding(
        id=_QUESTION,
        code=Code.SYNC_FAILED,
        severity=Severity.INFORMATION,
        cause=None,
        message=f"Nothing was installed yet: `uv sync` would {_joined(doings)}",
        why="A save alone is no reason to remove anything. Run `uv sync` yourself, or agree here.",
        location=manifests.header(project.manifest),
    )


def _joined(doings: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(doings[:-1]), doings[-1]]))


def is_question(finding: Finding) -> bool:
    """Whether the finding asks for the user's word."""
    return finding.id == _QUESTION


_QUESTION = f"{Code.SYNC_FAILED.value}:asks"


def problem(error: DoctorError, manifest: Path | None) -> Finding:
    """What keeps a project from being looked at, as a finding on the line it is about, else on the manifest's first."""
    severity = Severity.ERROR if error.location is None or error.location.range != FILE_START else Severity.HINT
    return Finding(
        id=f"{Code.SYNC_FAILED.value}:problem",
        code=Code.SYNC_FAILED,
        severity=severity,
        cause=None,
        message=_sentence(error.message),
        why=_sentence(error.hint),
        location=error.location or (None if manifest is None else Location(manifest)),
    )


# --- link failures ------------------------------------------------------------------------


def _link_finding(failure: Failure, reading: Reading, facts: Facts | None) -> Finding:
    code = Code.LINK_FAILED if failure.outcome is Outcome.FAILED else Code.LINK_DEGRADED
    operation = failure.operation.value if failure.operation else "none"
    packages = {failure.package} if failure.package else {name for name, _ in reading.installed}
    finding = Finding(
        id=f"{code.value}:{failure.cause.value}:{operation}",
        code=code,
        severity=Severity.ERROR,
        cause=failure.cause,
        message=_link_message(failure),
        why=CAUSES[failure.cause].why,
        outcome=failure.outcome,
        operation=failure.operation,
        os_error=failure.os_error,
        package=failure.package,
        version=failure.version,
        source=failure.source,
        target=failure.target,
        evidence=tuple(_link_evidence(failure, facts)),
    )
    if facts is not None:
        broken = {package.package for package in facts.verification.broken}
        bringing = requirements_for(packages or broken, failure.version, facts)
        finding = replace(
            finding,
            required_by=tuple(dict.fromkeys(requirement.name for requirement in bringing)),
            location=deciding_setting(failure.operation, facts) or requirement_place(bringing, facts),
            related=tuple(_related(failure, facts)),
        )
    offered = remedies(finding, means(facts))
    degraded = Severity.WARNING if actions(offered) else Severity.INFORMATION
    return replace(finding, remedies=offered, severity=degraded if code is Code.LINK_DEGRADED else Severity.ERROR)


def _refined(failure: Failure, facts: Facts | None) -> Failure:
    """The failure with what a trial adds, between the two places or of a file that takes no further link.

    That is the number which an old uv keeps to itself, and whether EPERM meets a file of our own as well: no permission
    explains that, and link(2) says it of file systems without hard links.
    """
    if facts is None or failure.operation not in LINK_OPERATIONS:
        return failure
    trial = facts.places.trial
    number = seen = trial.os_errors.get(failure.operation)
    if seen is None and failure.operation is Operation.HARDLINK and facts.refused:
        seen = facts.refused[0].os_error
    if failure.os_error is None and seen is not None:
        cause = cause_of(
            platform=facts.platform,
            operation=failure.operation,
            os_error=seen,
            source=failure.source,
            target=failure.target,
        )
        failure = replace(failure, os_error=seen, cause=cause)
    refused = failure.cause is Cause.PERMISSION and failure.os_error == number == _EPERM
    if refused and trial.works.get(Operation.COPY):
        return replace(failure, cause=Cause.UNSUPPORTED_FILESYSTEM)
    return failure


_EPERM = 1
"""On POSIX; Windows says it by other numbers."""


def _link_message(failure: Failure) -> str:
    page = CAUSES[failure.cause]
    number = f" (os error {failure.os_error})" if failure.os_error is not None else ""
    package = f"`{failure.package}` {failure.version or ''}".rstrip() if failure.package else ""
    if failure.outcome is Outcome.FAILED:
        effect = f"{package} was not installed completely" if package else "the install stopped"
    else:
        effect = "it copied the files instead, which is slower and takes more space"
    return " ".join([f"{page.what}{number}: {effect}.", *page.advice])


def _link_evidence(failure: Failure, facts: Facts | None) -> Iterator[str]:
    if failure.message:
        yield f"uv said: {failure.message.splitlines()[-1]}"
    if facts is None:
        return
    cache, environment, trial = facts.places.cache, facts.places.environment, facts.places.trial
    yield f"the cache is on {place_words(cache)}, the environment on {place_words(environment)}"
    if environment.synced_by:
        yield f"the environment lies in a folder that {environment.synced_by} syncs"
    if failure.operation in trial.works:
        number = trial.os_errors.get(failure.operation)
        said = "worked" if trial.works[failure.operation] else f"failed (os error {number})"
        yield f"a trial {failure.operation.value} of a new file from the cache into the environment {said}"
    if facts.overruling:
        yield f"no file has a say in the link mode: {facts.overruling}"
    others = [broken.package for broken in facts.verification.broken if broken.package != failure.package]
    if others:
        yield "also incomplete in the environment: " + ", ".join(f"`{name}`" for name in others)


def _related(failure: Failure, facts: Facts) -> Iterator[Related]:
    yield from _lock_entry(failure.package, failure.version, facts)
    if failure.source:
        yield Related(Location(facts.project.directory / failure.source), "the file in uv's cache")
    if failure.target:
        yield Related(Location(facts.project.directory / failure.target), "its place in the environment")


def _lock_entry(package: str | None, version: str | None, facts: Facts) -> Iterator[Related]:
    if package and facts.lock_text and facts.project.lockfile:
        span = lockfile.entry(facts.lock_text, package, version)
        if span:
            location = Location(facts.project.lockfile, range_of(facts.lock_text, span))
            yield Related(location, f"`{package}` in the lockfile")


# --- other findings -----------------------------------------------------------------------


def _environment_broken(facts: Facts, failed: Finding | None = None) -> Finding:
    """`failed` is what an earlier run said of it."""
    broken = facts.verification.broken
    single = broken[0] if len(broken) == 1 else None
    names = {package.package for package in broken}
    bringing = requirements_for(names, single.version if single else None, facts)
    counted = ", ".join(f"`{package.package}` lacks {_files(package.missing)}" for package in broken)
    refused = [it for it in facts.refused if it.package in names]
    finding = Finding(
        id=Code.ENVIRONMENT_BROKEN.value,
        code=Code.ENVIRONMENT_BROKEN,
        severity=Severity.ERROR,
        cause=cause_of(platform=facts.platform, operation=Operation.HARDLINK, os_error=refused[0].os_error)
        if refused
        else None,
        message=f"Packages that uv counts as installed are incomplete: {counted}",
        why=(
            "An install that stops midway leaves a package in pieces, and uv looks only at the name of its "
            "`dist-info` directory: `uv sync` says that all is well, and the import fails."
        ),
        package=single.package if single else None,
        version=single.version if single else None,
        required_by=tuple(dict.fromkeys(requirement.name for requirement in bringing)),
        evidence=(
            *(f"{package.package} {package.version}: {_files(package.missing)} missing" for package in broken),
            *(
                f"a link to `{it.name.name}` of {it.package} in uv's cache fails (os error {it.os_error})"
                for it in refused
            ),
        ),
        location=requirement_place(bringing, facts),
        related=(
            *_lock_entry(single.package if single else None, single.version if single else None, facts),
            Related(Location(facts.project.environment), "the environment"),
        ),
    )
    if failed is None:
        return replace(finding, remedies=remedies(finding, means(facts)))
    return replace(
        finding,
        id=failed.id,  # It is the same trouble, and whoever was offered something for it may still take it.
        cause=failed.cause,
        message=f"{finding.message}. {failed.message}",
        why=f"{finding.why} {failed.why}",
        evidence=(*finding.evidence, *failed.evidence),
        related=tuple(dict.fromkeys((*finding.related, *failed.related))),
        remedies=failed.remedies,
    )


def _files(number: int) -> str:
    return f"{number} file{'s' if number != 1 else ''}"


def _sync_failed(complaint: Complaint, facts: Facts | None) -> Finding:
    first, *causes = complaint.message.splitlines() or ["uv failed and said nothing"]
    return Finding(
        id=Code.SYNC_FAILED.value,
        code=Code.SYNC_FAILED,
        severity=Severity.ERROR,
        cause=Cause.NOT_A_LINK_FAILURE,
        message=_sentence(first),
        why="\n".join(causes) or CAUSES[Cause.NOT_A_LINK_FAILURE].what + ".",
        location=None if facts is None else _complaint_place(complaint, facts),
    )


def _mentioned(message: str, facts: Facts) -> Location | None:
    """The direct requirement that uv's words name first: in backticks, or in the sentences of its resolver."""
    told = re.findall(r"`[^`]+`|^(?:Because|And because).*", message, re.MULTILINE)
    named = [manifests.normalised(word) for word in re.findall(r"\w(?:[\w.-]*\w)?", " ".join(told))]
    stated = {
        requirement.name: requirement.location
        for manifest in reversed(facts.manifests)
        for requirement in reversed(manifests.requirements(manifest))
    }
    return next((stated[name] for name in named if name in stated), None)


def _complaint_place(complaint: Complaint, facts: Facts) -> Location:
    if complaint.path is None:
        return _mentioned(complaint.message, facts) or manifests.header(facts.project.manifest)
    path = facts.project.directory / complaint.path
    if complaint.line is None:
        return Location(path)
    lines = facts.texts.get(path, "").removeprefix("\ufeff").split("\n")
    line = max(complaint.line, 1) - 1
    before = lines[line].rstrip("\r")[: max(complaint.column or 1, 1) - 1] if line < len(lines) else ""
    position = Position(line, len(before.encode("utf-16-le")) // 2)
    return Location(path, Range(position, position))


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] if text[:1].isalpha() and not text.startswith("uv ") else text
