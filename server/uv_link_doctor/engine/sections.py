"""What a report on a project holds, as headings, facts and findings in words, for every format alike."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from uv_link_doctor.engine import transcript
from uv_link_doctor.engine.costs import mode_words, sample_words
from uv_link_doctor.engine.model import (
    Examination,
    Finding,
    LinkMode,
    Operation,
    Origin,
    Place,
    Places,
    Project,
    Remedy,
    Sample,
    Setting,
    Transcript,
    Trial,
    Uv,
    Verification,
    Weight,
)
from uv_link_doctor.engine.redact import each_text
from uv_link_doctor.engine.remedies import actions
from uv_link_doctor.engine.report import version_text
from uv_link_doctor.engine.text import command, summary

TITLE = "uv Link Doctor report"
_SHOWN_LINES = 200
"""Of a run's output, its end: what uv says of a failure comes last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a report tells besides an examination: the doctor, its settings, and what it remembers of the project."""

    version: str
    python: str
    platform: str
    settings: tuple[tuple[str, str], ...] = ()
    """Name and value of those that are not at their defaults."""
    trusted: bool = True
    copy_because: str | None = None
    last_failure: Transcript | None = None
    weight: Weight | None = None
    sample: Sample | None = None
    """What a measurement said, which is made only where somebody asks for a report."""


@dataclass(frozen=True, slots=True)
class Row:
    """One fact: prose, with backticks round what is literal."""

    label: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RemedyPart:
    """What would help."""

    id: str
    title: str
    preferred: bool
    changes: tuple[str, ...]
    command: str
    """As a shell takes it; empty where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingPart:
    """What was found, why, and what would help."""

    id: str
    code: str
    severity: str
    message: str
    why: str
    rows: tuple[Row, ...]
    evidence: tuple[str, ...]
    remedies: tuple[RemedyPart, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One subject of a report; every part but the heading may be empty."""

    heading: str
    paragraphs: tuple[str, ...] = ()
    findings: tuple[FindingPart, ...] = ()
    rows: tuple[Row, ...] = ()
    output: str = ""
    """What a program printed, as it did."""


def sections(examination: Examination, known: Known) -> tuple[Section, ...]:
    """Everything known, the verdict first; nothing is hidden yet (`engine.redact.redacted` does that).

    Texts hold no control characters but line ends and tabs.
    """
    project = examination.project
    found = (
        Section(heading="Summary", paragraphs=(f"{summary(examination)}.",)),
        _findings(examination),
        Section(heading="Project", rows=tuple(_project(project)) if project else (), paragraphs=_lacking(project)),
        Section(heading="uv", rows=tuple(_uv(examination.uv)), paragraphs=_lacking(examination.uv)),
        _settings(project, known),
        _places(examination.places),
        *_costs(examination.places, known),
        _environment(examination.verification),
        _run(examination.transcript, known.last_failure),
        _doctor(known),
    )
    return each_text(found, _printable)


def _lacking(subject: object) -> tuple[str, ...]:
    return () if subject is not None else ("Not known.",)


# --- findings -----------------------------------------------------------------------------


def _findings(examination: Examination) -> Section:
    directory = examination.project.directory if examination.project else None
    parts = tuple(_finding(finding, directory) for finding in examination.findings)
    return Section(heading="Findings", findings=parts, paragraphs=() if parts else ("None.",))


def _finding(finding: Finding, directory: Path | None) -> FindingPart:
    return FindingPart(
        id=finding.id,
        code=finding.code.value,
        severity=finding.severity.value,
        message=finding.message,
        why=finding.why,
        rows=tuple(_about(finding, directory)),
        evidence=finding.evidence,
        remedies=tuple(_remedy(remedy, directory) for remedy in actions(finding.remedies)),
    )


def _about(finding: Finding, directory: Path | None) -> Iterator[Row]:
    if finding.location is not None:
        path, start = finding.location.path, finding.location.range.start
        below = directory is not None and path.is_relative_to(directory)
        shown = path.relative_to(directory) if directory is not None and below else path
        yield Row("Where", f"`{shown}:{start.line + 1}:{start.character + 1}`")
    if finding.cause is not None:
        yield Row("Cause", f"`{finding.cause.value}`")
    if finding.operation is not None:
        yield Row("Operation", _with_error(finding.operation.value, finding.os_error))
    if finding.package is not None:
        yield Row("Package", f"`{' '.join(filter(None, (finding.package, finding.version)))}`")
    if finding.required_by:
        yield Row("Required by", ", ".join(f"`{name}`" for name in finding.required_by))
    if finding.source is not None:
        yield Row("Cache side", f"`{finding.source}`")
    if finding.target is not None:
        yield Row("Environment side", f"`{finding.target}`")


def _remedy(remedy: Remedy, directory: Path | None) -> RemedyPart:
    return RemedyPart(
        id=remedy.id,
        title=remedy.title,
        preferred=remedy.preferred,
        changes=remedy.changes,
        command=shlex.join(command(remedy, directory, directory)),
    )


# --- the project and the machine ----------------------------------------------------------


def _project(project: Project) -> Iterator[Row]:
    yield Row("Root", f"`{project.root}`")
    if project.directory != project.root:
        yield Row("Member of the workspace", f"`{project.directory}`")
    yield Row("Manifest", f"`{project.manifest.path}`")
    yield Row("Lockfile", f"`{project.lockfile}`" if project.lockfile else "none")
    yield Row("Environment", f"`{project.environment}`")


def _uv(uv: Uv | None) -> Iterator[Row]:
    if uv is not None:
        yield Row("Version", version_text(uv) or "not known")
        yield Row("Path", f"`{uv.path}`")
        yield Row("Found by", uv.found_by)


def _settings(project: Project | None, known: Known) -> Section:
    if project is None:
        return Section(heading="Settings of uv", paragraphs=_lacking(None))
    rows = [
        *_setting("Link mode", project.settings.link_mode),
        *_setting("Cache directory", project.settings.cache_dir),
    ]
    if known.copy_because is not None:
        rows.append(Row("Remembered", f"our runs use copies in this project, because of `{known.copy_because}`"))
    return Section(heading="Settings of uv", rows=tuple(rows))


def _setting(label: str, setting: Setting) -> Iterator[Row]:
    yield Row(label, f"`{setting.value}`, {_set_by(setting.origin)}")
    for ignored in setting.ignored:
        yield Row(f"{label}, ignored", f"`{ignored.value}`, {_set_by(ignored.origin)}: {ignored.reason}")


def _set_by(origin: Origin) -> str:
    if origin.path is not None:
        line = "" if origin.line is None else f":{origin.line}"
        key = "" if origin.key is None else f"`{origin.key}` in "
        return f"set by {key}`{origin.path}{line}` ({origin.kind})"
    if origin.kind == "default":
        return "uv's default"
    return f"set by `{origin.key}` ({origin.kind})" if origin.key else f"set on the {origin.kind.replace('-', ' ')}"


def _places(places: Places | None) -> Section:
    if places is None:
        return Section(heading="Places", paragraphs=("Not looked at.",))
    rows = (
        Row("Cache", _place(places.cache)),
        Row("Environment", _place(places.environment)),
        *(Row(f"Trial {way.value}", _tried(way, places.trial)) for way in _WAYS),
    )
    return Section(heading="Places", rows=rows)


def _costs(places: Places | None, known: Known) -> Iterator[Section]:
    """What each link mode would do here; no section where neither places nor packages are known."""
    if places is None or known.weight is None:
        return
    rows = [Row(mode.value.capitalize(), mode_words(mode, places.trial, known.weight)) for mode in LinkMode]
    if known.sample is not None:
        rows.append(Row("Measured", sample_words(known.sample)))
    yield Section(heading="Link modes here", rows=tuple(rows))


_WAYS = (Operation.HARDLINK, Operation.CLONE, Operation.SYMLINK, Operation.COPY)


def _place(place: Place) -> str:
    facts = [f"`{place.path}`"]
    if place.filesystem is not None:
        facts.append(f"on {place.filesystem}" + (f" (`{place.mount_point}`)" if place.mount_point else ""))
    if place.free_bytes is not None:
        facts.append(f"{place.free_bytes / (1 << 30):.1f} GiB free")
    if place.read_only:
        facts.append("read-only")
    if place.network:
        facts.append("on a network")
    if place.synced_by is not None:
        facts.append(f"kept in sync by {place.synced_by}")
    return ", ".join(facts)


def _tried(way: Operation, trial: Trial) -> str:
    if way not in trial.works:
        return "not tried"
    return "works" if trial.works[way] else _with_error("fails", trial.os_errors.get(way))


def _with_error(words: str, os_error: int | None) -> str:
    return words if os_error is None else f"{words} (os error {os_error})"


def _environment(verification: Verification | None) -> Section:
    if verification is None:
        paragraph = "Not looked at."
    elif verification.verified:
        paragraph = "Every package that was looked at is complete."
    else:
        paragraph = "Packages are incomplete." if verification.broken else "It could not be verified."
    broken = verification.broken if verification else ()
    rows = tuple(Row(f"`{it.package} {it.version}`", f"lacks {_counted(it.missing, 'file')}") for it in broken)
    return Section(heading="Environment", paragraphs=(paragraph,), rows=rows)


def _counted(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


# --- the run and the doctor ---------------------------------------------------------------


def _run(said: Transcript | None, remembered: Transcript | None) -> Section:
    """The run that was examined, else the last one that failed."""
    heading = "Last run"
    if said is None and remembered is None:
        return Section(heading=heading, paragraphs=("None that is known of.",))
    if said is None:
        heading, said = "Last run that failed", remembered
    assert said is not None  # noqa: S101  (one of both is there)
    printed = [line for text in (said.stdout, said.stderr) for line in text.splitlines() if transcript.shown(line)]
    rows = [
        Row("Command", f"`{shlex.join(said.command)}`"),
        Row("Exit code", "none, it was stopped" if said.exit_code is None else str(said.exit_code)),
        Row("Seconds", f"{said.seconds:.1f}"),
    ]
    if len(printed) > _SHOWN_LINES:
        rows.append(Row("Output", f"the last {_SHOWN_LINES} of {len(printed)} lines"))
    return Section(heading=heading, rows=tuple(rows), output="\n".join(printed[-_SHOWN_LINES:]))


def _doctor(known: Known) -> Section:
    rows = [
        Row("Version", known.version),
        Row("Python", known.python),
        Row("Platform", f"`{known.platform}`"),
        *([] if known.trusted else [Row("Workspace", "not trusted: nothing is run and nothing is written")]),
        *(Row(f"`{name}`", f"`{value}`") for name, value in known.settings),
    ]
    return Section(heading="Doctor", rows=tuple(rows))


def _printable(value: str) -> str:
    return _CONTROLS.sub("", value)


_CONTROLS = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Colours, other control characters, and those that make a text read in another order than it is written."""
