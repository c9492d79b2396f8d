"""The JSON document is the contract's, key by key, and the text is one that a person has read (`data/golden`)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kit.values import (
    ENVIRONMENT_PLACE,
    HOME,
    MANIFEST,
    PROJECT,
    ROOT,
    broken,
    facts,
    failure,
    fallback,
    found_uv,
    manifest,
    places,
    project,
    trial,
)

from uv_link_doctor import __version__
from uv_link_doctor.engine import findings, report, text
from uv_link_doctor.engine.model import (
    Cause,
    Code,
    Complaint,
    DoctorError,
    Examination,
    Failure,
    Finding,
    Operation,
    Outcome,
    Platform,
    Reading,
    RemedyKind,
    Severity,
    Transcript,
    Uv,
    Verdict,
    Verification,
)
from uv_link_doctor.engine.plan import Intent

# --- the shape of the document ----------------------------------------------------------------
#
# A type, a range of numbers, the texts it may be, one of several shapes, a list of one shape, or the keys of an object.

COUNT, FROM_ONE = range(1 << 63), range(1, 1 << 63)
ORIGIN = {
    "kind": {"default", "system", "user", "project", "parent", "script", "environment", "command-line"},
    "path": (str, None),
    "key": (str, None),
    "line": (FROM_ONE, None),
}
SETTING = {"value": str, "origin": ORIGIN, "ignored": [{"value": str, "origin": ORIGIN, "reason": str}]}
PLACE = {
    "path": str,
    "mount_point": (str, None),
    "filesystem": (str, None),
    "device": (str, None),
    "free_bytes": (COUNT, None),
    "read_only": (bool, None),
    "network": (bool, None),
    "synced_by": (str, None),
    "fuse": (str, None),
    "overlay": (bool, None),
    "windows_drive": (bool, None),
    "case_sensitive": (bool, None),
    "free_inodes": (COUNT, None),
    "subvolume": (COUNT, None),
}
TRIED = {"works", "fails", "unknown"}
POSITION = {"line": COUNT, "character": COUNT}
FINDING = {
    "id": str,
    "code": set(Code),
    "severity": set(Severity),
    "outcome": (set(Outcome), None),
    "operation": (set(Operation), None),
    "os_error": (int, None),
    "cause": (set(Cause), None),
    "package": (str, None),
    "version": (str, None),
    "source": (str, None),
    "target": (str, None),
    "required_by": [str],
    "message": str,
    "why": str,
    "evidence": [str],
    "location": ({"path": str, "range": {"start": POSITION, "end": POSITION}}, None),
    "remedies": [
        {"id": str, "kind": set(RemedyKind), "title": str, "preferred": bool, "changes": [str], "command": [str]}
    ],
}
DOCUMENT = {
    "schema": range(1, 2),
    "doctor": {"version": str, "python": str},
    "uv": ({"path": str, "version": (str, None), "found_by": str}, None),
    "project": (
        {
            "root": str,
            "kind": {"uv", "pylock", "requirements", "script"},
            "manifest": str,
            "lockfile": (str, None),
            "environment": str,
        },
        None,
    ),
    "settings": ({"link_mode": SETTING, "cache_dir": SETTING}, None),
    "places": (
        {
            "cache": PLACE,
            "environment": PLACE,
            "link": {**dict.fromkeys(("hardlink", "clone", "symlink", "copy"), TRIED), "os_error": dict},
        },
        None,
    ),
    "outcome": set(Verdict),
    "run": ({"command": [str], "exit_code": (int, None), "seconds": float}, None),
    "environment": (
        {"verified": bool, "broken": [{"package": str, "version": str, "missing": FROM_ONE}]},
        None,
    ),
    "findings": [FINDING],
}


def departures(value: object, shape: object, at: str = "") -> Iterator[str]:
    """Where a value that came from JSON departs from its shape."""
    match shape:
        case dict() if isinstance(value, dict) and list(value) == list(shape):
            for key, each in shape.items():
                yield from departures(value[key], each, f"{at}.{key}")
        case list() if isinstance(value, list):
            for index, item in enumerate(value):
                yield from departures(item, shape[0], f"{at}[{index}]")
        case _ if not _is(value, shape):
            yield f"{at}: {value!r}"


def _is(value: object, shape: object) -> bool:
    match shape:
        case tuple():
            return any(not list(departures(value, each)) for each in shape)
        case set():
            return isinstance(value, str) and value in shape
        case range():
            return type(value) is int and value in shape
    return value is shape or type(value) is shape


# --- examinations ---------------------------------------------------------------------------

SAID = Transcript(
    command=("/home/ana/.local/bin/uv", "sync", "--inexact"), exit_code=2, stdout="", stderr="error: …", seconds=0.71249
)
OVERRULED = project(
    PROJECT + '[tool.uv]\nlink-mode = "hardlink"\n', files={HOME / "uv.toml": ""}, environ={"UV_LINK_MODE": "symlink"}
)


def looked_at(
    *failures: Failure,
    complaint: Complaint | None = None,
    verdict: Verdict = Verdict.FAILED,
    transcript: Transcript | None = SAID,
    own: Any = None,
    **known: Any,
) -> Examination:
    """An examination of a project, with the findings that `facts(**known)` lead to."""
    seen = facts(own, **known)
    reading = Reading(platform=Platform.LINUX, failures=failures, complaint=complaint)
    return Examination(
        verdict=verdict,
        findings=findings.findings(reading, seen),
        uv=found_uv(),
        project=seen.project,
        places=seen.places,
        transcript=transcript,
        verification=seen.verification,
    )


def pasted(verdict: Verdict, *failures: Failure, complaint: Complaint | None = None) -> Examination:
    reading = Reading(platform=None, failures=failures, complaint=complaint)
    return Examination(verdict=verdict, findings=findings.findings(reading))


def without_run(finding: Finding | None, uv: Uv | None = None) -> Examination:
    assert finding is not None
    return Examination(verdict=Verdict.NOT_RUN, findings=(finding,), uv=uv, project=project(locked=False))


SYNCED = replace(
    ENVIRONMENT_PLACE,
    synced_by="OneDrive",
    network=True,
    fuse="rclone",
    overlay=False,
    windows_drive=False,
    case_sensitive=True,
    free_inodes=1200,
)
SUBVOLUME = replace(ENVIRONMENT_PLACE, subvolume=257)
EXAMINATIONS: dict[str, Examination] = {
    "failed": looked_at(
        failure(),
        verification=broken(certifi=12, idna=1),
        places=places(trial(hardlink=None, clone=95, symlink=None, copy=None), environment=SYNCED),
    ),
    "degraded": looked_at(
        fallback(),
        verdict=Verdict.DEGRADED,
        transcript=replace(SAID, exit_code=0),
        places=places(trial(hardlink=18, copy=None), environment=SUBVOLUME),
    ),
    "broken": looked_at(verification=broken(certifi=12), verdict=Verdict.NOT_RUN, transcript=None),
    "healthy": looked_at(verdict=Verdict.HEALTHY, transcript=replace(SAID, exit_code=0)),
    "healthy, without an environment": looked_at(
        verdict=Verdict.HEALTHY, transcript=None, verification=Verification(verified=False), own=project(locked=False)
    ),
    "explain": pasted(Verdict.FAILED, failure(), fallback(Cause.UNKNOWN, None)),
    "explain nothing": pasted(Verdict.NOT_A_LINK_FAILURE),
    "another failure": looked_at(
        complaint=Complaint(message="Failed to parse\nno such key", path="uv.toml", line=3, column=7),
        verdict=Verdict.NOT_A_LINK_FAILURE,
        own=OVERRULED,
        texts={ROOT / "uv.toml": "\n\n# é😀 x\n"},
    ),
    "stopped": looked_at(verdict=Verdict.NOT_RUN, transcript=replace(SAID, exit_code=None)),
    "a question": without_run(findings.asks(Intent(removes=("rich",)), project()), found_uv()),
    "a uv that nobody asked": without_run(findings.uv_missing(found_uv(None), None, manifest()), found_uv(None)),
    "no uv": without_run(findings.uv_missing(None, None, manifest())),
    "no project": Examination(
        verdict=Verdict.NOT_RUN, findings=(findings.problem(DoctorError("no such file", "name another"), None),)
    ),
}
every_examination = pytest.mark.parametrize("examination", EXAMINATIONS.values(), ids=EXAMINATIONS)


# --- JSON -----------------------------------------------------------------------------------


@every_examination
def test_the_document_has_the_keys_and_types_of_the_contract(examination):
    document = report.document(examination)
    parsed = json.loads(json.dumps(document))
    assert parsed == document
    assert list(departures(parsed, DOCUMENT)) == []


def test_a_document_that_departs_is_found_out():
    """The check itself can fail."""
    document = json.loads(json.dumps(report.document(EXAMINATIONS["failed"])))
    finding = document["findings"][0]
    wrong: list[dict[str, Any]] = [
        {**document, "schema": True},
        {**document, "outcome": "fine"},
        {key: value for key, value in document.items() if key != "run"},
        {**document, "more": 1},
        {**document, "findings": None},
        {**document, "findings": [{**finding, "required_by": ["a", None]}]},
        {**document, "findings": [{**finding, "location": {"path": "x", "range": None}}]},
        {**document, "environment": {"verified": 1, "broken": []}},
    ]
    assert [len(list(departures(each, DOCUMENT))) for each in (document, *wrong)] == [0, *[1] * len(wrong)]


@pytest.mark.parametrize("name", ["explain", "explain nothing"])
def test_explain_knows_of_no_project(name):
    document = report.document(EXAMINATIONS[name])
    assert [key for key, value in document.items() if value is None] == [
        "uv",
        "project",
        "settings",
        "places",
        "run",
        "environment",
    ]
    for finding in document["findings"]:
        assert (finding["required_by"], finding["location"]) == ([], None)


def test_another_failure_has_none_of_the_keys_of_a_link():
    (finding,) = report.document(EXAMINATIONS["another failure"])["findings"]
    assert finding["cause"] == "not-a-link-failure"
    keys = ("operation", "os_error", "package", "version", "source", "target", "outcome")
    assert {key: finding[key] for key in keys} == dict.fromkeys(keys)


@every_examination
def test_ids_are_unique_and_ranges_run_forwards(examination):
    found = report.document(examination)["findings"]
    ids = [finding["id"] for finding in found] + [remedy["id"] for finding in found for remedy in finding["remedies"]]
    assert len(set(ids)) == len(ids)
    for finding in found:
        assert [remedy["preferred"] for remedy in finding["remedies"]].count(True) == bool(finding["remedies"])
        if finding["location"] is not None:
            start, end = finding["location"]["range"].values()
            assert (start["line"], start["character"]) <= (end["line"], end["character"])


def test_what_is_known_is_in_the_document():
    document = report.document(EXAMINATIONS["failed"])
    assert document["schema"] == 1
    assert document["doctor"]["version"] == __version__
    assert document["uv"] == {"path": "/home/ana/.local/bin/uv", "version": "0.13.9", "found_by": "PATH"}
    assert document["project"] == {
        "root": "/home/ana/app",
        "kind": "uv",
        "manifest": "/home/ana/app/pyproject.toml",
        "lockfile": "/home/ana/app/uv.lock",
        "environment": "/home/ana/app/.venv",
    }
    assert document["places"]["link"] == {
        "hardlink": "works",
        "clone": "fails",
        "symlink": "works",
        "copy": "works",
        "os_error": {"clone": 95},
    }
    assert document["places"]["environment"]["synced_by"] == "OneDrive"
    assert document["run"] == {
        "command": ["/home/ana/.local/bin/uv", "sync", "--inexact"],
        "exit_code": 2,
        "seconds": 0.712,
    }
    assert document["environment"] == {
        "verified": False,
        "broken": [
            {"package": "certifi", "version": "1", "missing": 12},
            {"package": "idna", "version": "1", "missing": 1},
        ],
    }
    assert document["findings"][0]["location"] == {
        "path": "/home/ana/app/pyproject.toml",
        "range": {"start": {"line": 5, "character": 5}, "end": {"line": 5, "character": 16}},
    }


def test_a_setting_tells_who_set_it_and_what_has_no_effect():
    link_mode = report.document(EXAMINATIONS["another failure"])["settings"]["link_mode"]
    (ignored,) = link_mode.pop("ignored")
    assert link_mode == {
        "value": "symlink",
        "origin": {"kind": "environment", "path": None, "key": "UV_LINK_MODE", "line": None},
    }
    assert (ignored["value"], ignored["origin"]) == (
        "hardlink",
        {"kind": "project", "path": str(MANIFEST), "key": "tool.uv.link-mode", "line": 9},
    )
    assert "UV_LINK_MODE" in ignored["reason"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("failed", 1),
        ("degraded", 1),
        ("broken", 1),
        ("healthy", 0),
        ("explain", 1),
        ("explain nothing", 0),
        ("a question", 0),
        ("no uv", 1),
    ],
)
def test_errors_and_warnings_make_the_exit_code(name, expected):
    assert report.exit_code(EXAMINATIONS[name]) == expected


def test_a_fallback_that_nothing_could_be_gained_from_is_no_failure_of_a_command():
    assert report.exit_code(pasted(Verdict.DEGRADED, fallback(Cause.TRANSIENT, 11))) == 0


# --- text -----------------------------------------------------------------------------------


def said(examination: Examination, *, directory: Path | None = ROOT, colour: bool = False) -> str:
    return "\n".join(text.lines(examination, directory=directory, colour=colour)) + "\n"


@every_examination
def test_the_text_for_a_person(examination, request, golden):
    golden(f"text/{_file_name(request.node.callspec.id)}.txt", said(examination))


def _file_name(name: str) -> str:
    return re.sub(r"\W+", "-", name)


def test_what_stands_in_another_directory_is_named_in_full():
    elsewhere = said(EXAMINATIONS["failed"], directory=HOME / "other")
    assert "  --> /home/ana/app/pyproject.toml:6:6\n" in elsewhere
    assert "uv-link-doctor fix /home/ana/app --apply retry-copy" in elsewhere
    above = said(EXAMINATIONS["failed"], directory=HOME)
    assert "  --> app/pyproject.toml:6:6\n" in above
    assert "uv-link-doctor fix app --apply retry-copy" in above


def test_colours_are_put_on_the_labels_alone():
    plain, coloured = (said(EXAMINATIONS["explain"], colour=colour) for colour in (False, True))
    assert re.findall(r"\x1b\[1;(\d+)m(.*?)\x1b\[0m", coloured) == [
        ("31", "error[link-failed]"),
        ("33", "warning[link-degraded]"),
    ]
    assert re.sub(r"\x1b\[[\d;]*m", "", coloured) == plain
    assert "\x1b" not in plain


def test_only_unbreakable_words_make_a_line_longer_than_a_terminal():
    lines = [line for it in EXAMINATIONS.values() for line in said(it).splitlines()]
    head = re.compile(r"\w+\[[\w-]+\]: |        run: ")
    assert [line for line in lines if len(line) > 100 and not head.match(line)] == []


def test_the_examinations_fill_every_key_somewhere():
    """So that a key that is always null or empty would be noticed."""
    pairs = [pair for it in EXAMINATIONS.values() for pair in _pairs(report.document(it))]
    assert {key for key, _ in pairs} - {key for key, value in pairs if value not in (None, [], {})} == set()


def _pairs(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        yield from value.items()
    for each in value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ():
        yield from _pairs(each)
