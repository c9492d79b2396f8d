"""An examination as the JSON document of the contract, and as text for a terminal."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

from uv_link_doctor import __version__
from uv_link_doctor.engine.model import (
    Examination,
    Finding,
    Location,
    Operation,
    Origin,
    Place,
    Places,
    Project,
    Range,
    Setting,
    Severity,
    Uv,
)

SCHEMA = 1
_TRIED = (Operation.HARDLINK, Operation.CLONE, Operation.SYMLINK, Operation.COPY)


def document(examination: Examination) -> dict[str, Any]:
    """The JSON document (contract, section 2) as plain values."""
    project, transcript, verification = examination.project, examination.transcript, examination.verification
    return {
        "schema": SCHEMA,
        "doctor": {"version": __version__, "python": platform.python_version()},
        "uv": _uv(examination.uv),
        "project": _project(project),
        "settings": None
        if project is None
        else {
            "link_mode": _setting(project.settings.link_mode),
            "cache_dir": _setting(project.settings.cache_dir),
        },
        "places": _places(examination.places),
        "outcome": examination.verdict.value,
        "run": None
        if transcript is None
        else {
            "command": list(transcript.command),
            "exit_code": transcript.exit_code,
            "seconds": round(transcript.seconds, 3),
        },
        "environment": None
        if verification is None
        else {
            "verified": verification.verified,
            "broken": [
                {"package": broken.package, "version": broken.version, "missing": broken.missing}
                for broken in verification.broken
            ],
        },
        "findings": [_finding(finding) for finding in examination.findings],
    }


def exit_code(examination: Examination) -> int:
    """0 where there is no error and no warning, else 1."""
    return int(any(finding.severity in {Severity.ERROR, Severity.WARNING} for finding in examination.findings))


def version_text(uv: Uv) -> str:
    """The version as uv prints it; empty where it is not known."""
    return ".".join(map(str, uv.version or ()))


def range_document(value: Range) -> dict[str, Any]:
    """A range as LSP writes it."""
    return {
        "start": {"line": value.start.line, "character": value.start.character},
        "end": {"line": value.end.line, "character": value.end.character},
    }


def _uv(uv: Uv | None) -> dict[str, Any] | None:
    if uv is None:
        return None
    return {"path": str(uv.path), "version": version_text(uv) or None, "found_by": uv.found_by}


def _project(project: Project | None) -> dict[str, Any] | None:
    if project is None:
        return None
    return {
        "root": str(project.root),
        "kind": project.kind.value,
        "manifest": str(project.manifest.path),
        "lockfile": _text(project.lockfile),
        "environment": str(project.environment),
    }


def _setting(setting: Setting) -> dict[str, Any]:
    return {
        "value": setting.value,
        "origin": _origin(setting.origin),
        "ignored": [
            {"value": ignored.value, "origin": _origin(ignored.origin), "reason": ignored.reason}
            for ignored in setting.ignored
        ],
    }


def _origin(origin: Origin) -> dict[str, Any]:
    return {"kind": origin.kind, "path": _text(origin.path), "key": origin.key, "line": origin.line}


def _places(places: Places | None) -> dict[str, Any] | None:
    if places is None:
        return None
    works = {True: "works", False: "fails", None: "unknown"}
    link: dict[str, Any] = {operation.value: works[places.trial.works.get(operation)] for operation in _TRIED}
    link["os_error"] = {operation.value: number for operation, number in places.trial.os_errors.items()}
    return {"cache": _place(places.cache), "environment": _place(places.environment), "link": link}


def _place(place: Place) -> dict[str, Any]:
    return {
        "path": str(place.path),
        "mount_point": place.mount_point,
        "filesystem": place.filesystem,
        "device": place.device,
        "free_bytes": place.free_bytes,
        "read_only": place.read_only,
        "network": place.network,
        "synced_by": place.synced_by,
        "fuse": place.fuse,
        "overlay": place.overlay,
        "windows_drive": place.windows_drive,
        "case_sensitive": place.case_sensitive,
        "free_inodes": place.free_inodes,
        "subvolume": place.subvolume,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "id": finding.id,
        "code": finding.code.value,
        "severity": finding.severity.value,
        "outcome": finding.outcome and finding.outcome.value,
        "operation": finding.operation and finding.operation.value,
        "os_error": finding.os_error,
        "cause": finding.cause and finding.cause.value,
        "package": finding.package,
        "version": finding.version,
        "source": finding.source,
        "target": finding.target,
        "required_by": list(finding.required_by),
        "message": finding.message,
        "why": finding.why,
        "evidence": list(finding.evidence),
        "location": _location(finding.location),
        "remedies": [
            {
                "id": remedy.id,
                "kind": remedy.kind.value,
                "title": remedy.title,
                "preferred": remedy.preferred,
                "changes": list(remedy.changes),
                "command": list(remedy.command),
            }
            for remedy in finding.remedies
        ],
    }


def _location(location: Location | None) -> dict[str, Any] | None:
    if location is None:
        return None
    return {"path": str(location.path), "range": range_document(location.range)}


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)
