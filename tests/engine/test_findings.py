"""What is said of each failure, on which line it stands, and what a look at the machine adds to uv's words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from kit.values import (
    CACHE_PLACE,
    CACHED,
    CLASSIC,
    ENVIRONMENT_PLACE,
    HOME,
    LOCK,
    MANIFEST,
    PLACED,
    PROJECT,
    ROOT,
    broken,
    facts,
    failure,
    fallback,
    found_uv,
    lock,
    manifest,
    places,
    project,
    trial,
    under,
)

from uv_link_doctor.engine import findings as engine
from uv_link_doctor.engine.model import (
    FILE_START,
    Cause,
    Code,
    Complaint,
    DoctorError,
    Failure,
    Finding,
    Location,
    Operation,
    Outcome,
    Platform,
    Position,
    Range,
    Reading,
    Refused,
    RemedyKind,
    Severity,
)
from uv_link_doctor.engine.plan import OLDEST_UV, Intent
from uv_link_doctor.engine.remedies import actions

CONFLICT = "<" * 7 + " ours"


def explained(
    *failures: Failure,
    complaint: Complaint | None = None,
    installed: tuple[tuple[str, str], ...] = (),
    text: str = PROJECT,
    own: Mapping[str, Any] = MappingProxyType({}),
    **known: Any,
) -> tuple[Finding, ...]:
    """The findings of a run in `project(text, **own)`, as `facts(**known)` explain them."""
    reading = Reading(platform=Platform.LINUX, failures=failures, complaint=complaint, installed=installed)
    return engine.findings(reading, facts(project(text, **own), **known))


def only(found: tuple[Finding, ...]) -> Finding:
    (finding,) = found
    return finding


# --- what is said ---------------------------------------------------------------------------


def test_every_cause_has_its_message(golden):
    """Failed with a package, failed without, degraded; the reason why once for each cause."""
    blocks = []
    for cause in Cause:
        failures = failure(cause, 5), failure(cause, None, package=None, version=None), fallback(cause, 5)
        found = [engine.findings(Reading(platform=None, failures=(it,)))[0] for it in failures]
        assert len({finding.why for finding in found}) == 1
        blocks.append("\n".join([*(f"{it.severity}[{it.code}]: {it.message}" for it in found), f"why: {found[0].why}"]))
    golden("messages.txt", "\n\n".join(blocks) + "\n")


def test_every_other_finding_has_its_message(golden):
    found = [
        only(explained(verification=broken(certifi=12, idna=1))),
        only(explained(complaint=Complaint(message="Failed to build `httpx`\nThe build backend said no\nexit code 1"))),
        only(explained(complaint=Complaint(message="uv stumbled"))),
        engine.uv_missing(None, None, manifest()),
        engine.uv_missing(None, "~/no/uv", manifest()),
        engine.uv_missing(found_uv(None), None, manifest()),
        engine.uv_missing(found_uv((0, 4, 17)), None, manifest()),
        engine.asks(Intent(recreates=True, removes=("rich",), downloads_python=True), project()),
        engine.problem(DoctorError("the lock is odd", "make it even"), MANIFEST),
    ]
    said = [f"{it.severity}[{it.code}]: {it.message}\nwhy: {it.why}" for it in found if it]
    assert len(said) == len(found)
    golden("messages-other.txt", "\n\n".join(said) + "\n")


def test_a_failed_link_says_all_that_is_known():
    finding = only(explained(failure()))
    assert finding == replace(
        finding,
        id="link-failed:cloud-sync:hardlink",
        code=Code.LINK_FAILED,
        severity=Severity.ERROR,
        cause=Cause.CLOUD_SYNC,
        outcome=Outcome.FAILED,
        operation=Operation.HARDLINK,
        os_error=396,
        package="certifi",
        version="1",
        source=CACHED,
        target=PLACED,
        required_by=("httpx",),
    )
    assert finding.message.startswith("uv cannot link a file that a cloud client")
    assert "(os error 396): `certifi` 1 was not installed completely." in finding.message
    assert finding.evidence == (
        "uv said: failed to hardlink file (os error 396)",
        "the cache is on ext4 (`/`), the environment on fuse.rclone (`/home/ana/app`)",
    )


def test_without_a_machine_only_the_text_speaks():
    finding = only(engine.findings(Reading(platform=None, failures=(failure(),))))
    assert (finding.location, finding.required_by, finding.related) == (None, (), ())
    assert finding.evidence == ("uv said: failed to hardlink file (os error 396)",)
    assert [it.kind for it in actions(finding.remedies)] == [RemedyKind.RETRY_COPY, RemedyKind.SET_LINK_MODE]


def test_a_fallback_is_a_warning_where_something_could_be_done_and_else_a_piece_of_information():
    assert only(explained(fallback())).severity is Severity.WARNING
    assert only(explained(fallback(Cause.TRANSIENT, 11))).severity is Severity.INFORMATION


def test_the_gravest_comes_first_and_ids_are_unique():
    found = explained(
        failure(),
        failure(Cause.UNKNOWN, None, operation=None),
        failure(Cause.NO_SPACE, 28, operation=Operation.COPY),
        fallback(Cause.TRANSIENT, 11),
        fallback(),
        complaint=Complaint(message="Another thing"),
        verification=broken(certifi=1),
    )
    assert [it.id for it in found] == [
        "link-failed:cloud-sync:hardlink",
        "link-failed:unknown:none",
        "link-failed:no-space:copy",
        "sync-failed",
        "link-degraded:cross-device:hardlink",
        "link-degraded:transient:hardlink",
    ]
    assert [it.severity for it in found] == [Severity.ERROR] * 4 + [Severity.WARNING, Severity.INFORMATION]


EVIDENCE: dict[str, tuple[Failure, dict[str, Any], str]] = {
    "nothing said, nothing known": (
        failure(message=""),
        {
            "places": places(
                cache=replace(CACHE_PLACE, filesystem=None, mount_point=None),
                environment=replace(ENVIRONMENT_PLACE, filesystem="tmpfs", mount_point="/run"),
            )
        },
        "the cache is on an unknown file system (`/home/ana/.cache/uv`), the environment on tmpfs (`/run`)",
    ),
    "a synced folder": (
        failure(),
        {"places": places(environment=replace(ENVIRONMENT_PLACE, synced_by="OneDrive"))},
        "the environment lies in a folder that OneDrive syncs",
    ),
    "a trial that worked": (
        failure(),
        {"places": places(trial(hardlink=None, copy=None))},
        "a trial hardlink of a new file from the cache into the environment worked",
    ),
    "a trial that failed": (
        fallback(),
        {"places": places(trial(hardlink=18))},
        "a trial hardlink of a new file from the cache into the environment failed (os error 18)",
    ),
    "a variable that wins": (
        fallback(),
        {"overruling": "the variable `UV_LINK_MODE` is `hardlink`"},
        "no file has a say in the link mode: the variable `UV_LINK_MODE` is `hardlink`",
    ),
    "other broken packages": (
        failure(),
        {"verification": broken(certifi=12, idna=1, h11=2)},
        "also incomplete in the environment: `idna`, `h11`",
    ),
}


@pytest.mark.parametrize(("failed", "known", "expected"), EVIDENCE.values(), ids=EVIDENCE)
def test_evidence(failed, known, expected):
    assert expected in only(explained(failed, **known)).evidence


def test_nothing_is_said_of_a_trial_of_something_else():
    evidence = only(explained(failure(), places=places(trial(clone=95, copy=None)))).evidence
    assert not [words for words in evidence if "trial" in words]


# --- where it stands ------------------------------------------------------------------------

HARDLINK = 'link-mode = "hardlink"'
EXTRAS_FIRST = """\
[project.optional-dependencies]
web = ["httpx>=0.28", "idna"]

[project]
name = "app"
version = "0"
"""
GROUP = (
    '[project]\nname = "app"\nversion = "0"\n\n[dependency-groups]\ndev = [{include-group = "x"}, "HTTPX"]\nx = []\n'
)
OLD_GROUP = '[project]\nname = "app"\nversion = "0"\n\n[tool.uv]\ndev-dependencies = ["httpx"]\n'
EMOJI = '[project]\nname = "app"\nversion = "0"\ndependencies = ["a @ file:///é🐍😀.whl", "httpx[brotli]", "idna"]\n'
ODD_BYTES = "\ufeff" + EMOJI.replace("\n", "\r\n")
GROUPS_ONLY = '[dependency-groups]\ndev = ["idna"]\n'
NO_NEEDS = '[project]\nname = "root"\nversion = "0"\n'
WORKSPACE = '[tool.uv.workspace]\nmembers = ["m"]\n'
MEMBER = ROOT / "m" / "pyproject.toml"

STANDS: dict[str, tuple[Failure, dict[str, Any], tuple[Path, str], tuple[str, ...]]] = {
    # What failed, what is known, the line and what of it is underlined, and who brings the package in.
    "a direct requirement": (failure(package="httpx"), {}, (MANIFEST, "httpx>=0.28"), ("httpx",)),
    "who brings it in": (failure(), {}, (MANIFEST, "httpx>=0.28"), ("httpx",)),
    "several, in the manifest's order": (
        failure(),
        {"lock_text": lock({**CLASSIC, "typing-extensions": "certifi"})},
        (MANIFEST, "typing-extensions"),
        ("typing-extensions", "httpx"),
    ),
    "itself, where others bring it in as well": (
        failure(),
        {"text": PROJECT.replace("\n]", '\n    "certifi",\n]'), "lock_text": lock({**CLASSIC, "app": "certifi httpx"})},
        (MANIFEST, "certifi"),
        ("certifi",),
    ),
    "an extra, where the file has it first": (
        failure(package="idna"),
        {"text": EXTRAS_FIRST, "lock_text": lock({**CLASSIC, "app": "idna httpx"})},
        (MANIFEST, "idna"),
        ("idna",),
    ),
    "a group": (failure(), {"text": GROUP}, (MANIFEST, "HTTPX"), ("httpx",)),
    "the old table of groups": (failure(), {"text": OLD_GROUP}, (MANIFEST, "httpx"), ("httpx",)),
    "columns in UTF-16": (failure(), {"text": EMOJI}, (MANIFEST, "httpx[brotli]"), ("httpx",)),
    "a byte order mark and CRLF": (failure(), {"text": ODD_BYTES}, (MANIFEST, "httpx[brotli]"), ("httpx",)),
    "nobody's package": (
        failure(package="pip"),
        {"lock_text": lock({**CLASSIC, "pip": ""})},
        (MANIFEST, "[project]"),
        (),
    ),
    "no header": (failure(package="pip"), {"text": GROUPS_ONLY}, (MANIFEST, ""), ()),
    "no lock: by name": (failure(package="httpx"), {"lock_text": None}, (MANIFEST, "httpx>=0.28"), ("httpx",)),
    "no lock: nobody": (failure(), {"lock_text": None}, (MANIFEST, "[project]"), ()),
    "a lock with conflicts": (
        failure(),
        {"lock_text": f"{CONFLICT}\n{lock(CLASSIC)}"},
        (MANIFEST, "[project]"),
        (),
    ),
    "a lock of another version": (
        failure(),
        {"lock_text": lock(CLASSIC).replace("version = 1", "version = 2", 1)},
        (MANIFEST, "[project]"),
        (),
    ),
    "no package: what was installed": (
        fallback(),
        {"installed": (("idna", "1"), ("certifi", "1"))},
        (MANIFEST, "httpx>=0.28"),
        ("httpx",),
    ),
    "no package, and one is broken": (
        failure(package=None, version=None),
        {"verification": broken(typing_extensions=3)},
        (MANIFEST, "typing-extensions"),
        ("typing-extensions",),
    ),
    "no package, nothing installed": (fallback(), {}, (MANIFEST, "[project]"), ()),
    "the setting that asked for it": (
        failure(),
        {"text": PROJECT + f"[tool.uv]\n{HARDLINK}  # é\n"},
        (MANIFEST, HARDLINK),
        ("httpx",),
    ),
    "the setting, in a file of its own": (
        failure(),
        {"own": {"files": {ROOT / "uv.toml": f"\n  {HARDLINK}\n"}}},
        (ROOT / "uv.toml", HARDLINK),
        ("httpx",),
    ),
    "a setting that asks for something else": (
        failure(),
        {"text": PROJECT + '[tool.uv]\nlink-mode = "symlink"\n'},
        (MANIFEST, "httpx>=0.28"),
        ("httpx",),
    ),
    "a setting that is not in force": (
        failure(),
        {"text": PROJECT + f"[tool.uv]\n{HARDLINK}\n", "own": {"environ": {"UV_LINK_MODE": "hardlink"}}},
        (MANIFEST, "httpx>=0.28"),
        ("httpx",),
    ),
    "a setting of the user's": (
        failure(),
        {"own": {"files": {HOME / ".config/uv/uv.toml": HARDLINK}}},
        (MANIFEST, "httpx>=0.28"),
        ("httpx",),
    ),
    "a setting above the workspace": (
        failure(),
        {"own": {"files": {HOME / "uv.toml": HARDLINK}}},
        (MANIFEST, "httpx>=0.28"),
        ("httpx",),
    ),
    "no operation, so no setting": (
        failure(operation=None),
        {"text": PROJECT + f"[tool.uv]\n{HARDLINK}\n"},
        (MANIFEST, "httpx>=0.28"),
        ("httpx",),
    ),
    "the root's setting, for a member": (
        failure(),
        {"own": {"directory": ROOT / "m", "files": {MANIFEST: f"{WORKSPACE}[tool.uv]\n{HARDLINK}\n"}}},
        (MANIFEST, HARDLINK),
        ("httpx",),
    ),
    "another member's requirement": (
        failure(),
        {
            "text": NO_NEEDS,
            "manifests": (manifest(NO_NEEDS), manifest(PROJECT, MEMBER)),
            "lock_text": lock({**CLASSIC, "root": ""}, "root", "app"),
        },
        (MEMBER, "httpx>=0.28"),
        ("httpx",),
    ),
    "the member's own before the others'": (
        failure(),
        {
            "text": PROJECT.replace("httpx>=0.28", "idna").replace('"app"', '"m"'),
            "own": {"directory": ROOT / "m"},
            "manifests": (manifest(PROJECT.replace("httpx>=0.28", "idna"), MEMBER), manifest(PROJECT)),
            "lock_text": lock({**CLASSIC, "m": "idna", "idna": "certifi"}, "app", "m"),
        },
        (MEMBER, "idna"),
        ("idna",),
    ),
}


@pytest.mark.parametrize(("failed", "known", "place", "required_by"), STANDS.values(), ids=STANDS)
def test_where_a_finding_stands(failed, known, place, required_by):
    finding = only(explained(failed, **known))
    assert finding.location is not None
    texts = {MANIFEST: known.get("text", PROJECT), **known.get("own", {}).get("files", {})}
    texts |= {it.path: it.text for it in known.get("manifests", ())}
    assert (finding.location.path, under(finding.location, texts)) == place
    assert finding.required_by == required_by


FORKS = lock(
    {
        "app": "numpy==1.26.4 numpy==2.1.0 pandas",
        "numpy==1.26.4": "old-blas",
        "numpy==2.1.0": "new-blas",
        "pandas": "numpy==2.1.0",
        "old-blas": "",
        "new-blas": "",
        "shim==1": "",
        "shim==2": "",
        "trio": "shim==1",
        "anyio": "shim==2",
    }
).replace('{ name = "pandas" }', '{ name = "pandas" }, { name = "trio" }, { name = "anyio" }')
FORKED = (
    '[project]\nname = "app"\nversion = "0"\n'
    'dependencies = ["pandas", "numpy<2; python_version < \'3.13\'", "anyio", "trio"]\n'
)


@pytest.mark.parametrize(
    ("package", "version", "required_by", "underlined"),
    [
        ("numpy", "1.26.4", ("numpy",), "numpy<2; python_version < '3.13'"),
        ("old-blas", "1", ("numpy",), "numpy<2; python_version < '3.13'"),
        ("new-blas", "1", ("pandas", "numpy"), "pandas"),
        ("shim", "1", ("trio",), "trio"),
        ("shim", "2", ("anyio",), "anyio"),
        ("shim", "3", ("anyio", "trio"), "anyio"),  # Not of this lock: every fork may be meant.
    ],
)
def test_forks_are_told_apart_by_the_version(package, version, required_by, underlined):
    finding = only(explained(failure(package=package, version=version), text=FORKED, lock_text=FORKS))
    assert finding.required_by == required_by
    assert under(finding.location, {MANIFEST: FORKED}) == underlined


def test_the_places_that_belong_to_it():
    finding = only(explained(failure()))
    texts = {LOCK: lock(CLASSIC)}
    assert [(it.message, it.location.path) for it in finding.related] == [
        ("`certifi` in the lockfile", LOCK),
        ("the file in uv's cache", Path(CACHED)),
        ("its place in the environment", ROOT / PLACED),
    ]
    assert under(finding.related[0].location, texts) == 'name = "certifi"'
    assert finding.related[1].location.range == FILE_START


@pytest.mark.parametrize(
    ("version", "line"), [("1", 'name = "shim"\nversion = "1"'), ("2", 'name = "shim"\nversion = "2"'), ("3", None)]
)
def test_the_lock_entry_is_that_of_the_version(version, line):
    finding = only(explained(failure(package="shim", version=version, source=None, target=None), lock_text=FORKS))
    entries = [it.location.range.start.line for it in finding.related]
    assert entries == ([] if line is None else [FORKS[: FORKS.index(line)].count("\n")])


# --- what a trial adds ----------------------------------------------------------------------

REFINED: dict[str, tuple[Failure, dict[str, int | None], tuple[Cause, int | None]]] = {
    "an old uv's number": (fallback(Cause.UNKNOWN, None), {"hardlink": 18}, (Cause.CROSS_DEVICE, 18)),
    "an old uv's EPERM, on a file of our own": (
        fallback(Cause.UNKNOWN, None),
        {"hardlink": 1, "copy": None},
        (Cause.UNSUPPORTED_FILESYSTEM, 1),
    ),
    "an old uv's number that says nothing": (
        fallback(Cause.UNKNOWN, None),
        {"hardlink": 5},
        (Cause.UNKNOWN, 5),
    ),
    "a link that works for us": (fallback(Cause.UNKNOWN, None), {"hardlink": None}, (Cause.UNKNOWN, None)),
    "another operation's number": (fallback(Cause.UNKNOWN, None), {"clone": 95}, (Cause.UNKNOWN, None)),
    "no trial": (fallback(Cause.UNKNOWN, None), {}, (Cause.UNKNOWN, None)),
    "EPERM on a file of our own": (
        failure(Cause.PERMISSION, 1),
        {"hardlink": 1, "copy": None},
        (Cause.UNSUPPORTED_FILESYSTEM, 1),
    ),
    "EPERM, where nothing can be written": (
        failure(Cause.PERMISSION, 1),
        {"hardlink": 1, "copy": 1},
        (Cause.PERMISSION, 1),
    ),
    "EPERM, and we may": (failure(Cause.PERMISSION, 1), {"hardlink": None, "copy": None}, (Cause.PERMISSION, 1)),
    "EPERM, and for us another number": (
        failure(Cause.PERMISSION, 1),
        {"hardlink": 18, "copy": None},
        (Cause.PERMISSION, 1),
    ),
    "EACCES is a policy's": (
        failure(Cause.PERMISSION, 13),
        {"hardlink": 13, "copy": None},
        (Cause.PERMISSION, 13),
    ),
    "a privilege that Windows wants of everyone": (
        failure(Cause.PERMISSION, 1314, operation=Operation.SYMLINK),
        {"symlink": 1314, "copy": None},
        (Cause.PERMISSION, 1314),
    ),
    "a copy is nothing that a trial explains": (
        failure(Cause.PERMISSION, 1, operation=Operation.COPY),
        {"copy": None, "hardlink": 1},
        (Cause.PERMISSION, 1),
    ),
    "what is known already": (failure(), {"hardlink": 18}, (Cause.CLOUD_SYNC, 396)),
}


@pytest.mark.parametrize(("failed", "tried", "expected"), REFINED.values(), ids=REFINED)
def test_what_a_trial_adds(failed, tried, expected):
    finding = only(explained(failed, places=places(trial(**tried))))
    assert (finding.cause, finding.os_error) == expected
    assert finding.id == f"{finding.code}:{expected[0]}:{finding.operation}"


def test_failures_that_a_trial_shows_to_be_one_are_one_finding():
    """uv names the number for one package, and for another it only warns."""
    told, untold = fallback(package="idna", version="1"), fallback(Cause.UNKNOWN, None)
    assert len(explained(told, untold)) == 2
    finding = only(explained(told, untold, places=places(trial(hardlink=18))))
    assert (finding.cause, finding.os_error, finding.package) == (Cause.CROSS_DEVICE, 18, None)


def test_a_file_that_takes_no_link_tells_the_number_where_a_new_one_takes_it():
    refused = (Refused("idna", "1", Path("/c/archive-v0/x/idna/core.py"), Path("idna/core.py"), 31),)
    linked = places(trial(hardlink=None, copy=None))
    finding = only(explained(fallback(Cause.UNKNOWN, None), places=linked, refused=refused))
    assert (finding.cause, finding.os_error) == (Cause.TOO_MANY_LINKS, 31)
    told = only(explained(fallback(), places=linked, refused=refused))
    assert told.os_error == fallback().os_error
    copied = only(explained(failure(Cause.UNKNOWN, None, operation=Operation.COPY), places=linked, refused=refused))
    assert copied.os_error is None


# --- a broken environment, another failure ---------------------------------------------------


def test_a_broken_environment_is_told_package_by_package():
    finding = only(explained(verification=broken(idna=3, certifi=12)))
    assert finding.message == (
        "Packages that uv counts as installed are incomplete: `idna` lacks 3 files, `certifi` lacks 12 files"
    )
    assert (finding.id, finding.severity, finding.cause, finding.outcome) == (
        "environment-broken",
        Severity.ERROR,
        None,
        None,
    )
    assert (finding.package, finding.version, finding.required_by) == (None, None, ("httpx",))
    assert finding.evidence == ("idna 1: 3 files missing", "certifi 1: 12 files missing")
    assert [(it.message, it.location.path) for it in finding.related] == [("the environment", ROOT / ".venv")]
    assert under(finding.location, {MANIFEST: PROJECT}) == "httpx>=0.28"
    assert "--reinstall-package idna --reinstall-package certifi" in " ".join(finding.remedies[0].command)


def test_once_uv_has_ended_well_over_it_the_environment_is_broken_and_the_failure_is_why():
    failed = only(explained(failure(), verification=broken(certifi=1)))
    finding = only(explained(failure(), verification=broken(certifi=1), ended_well=True))
    assert (finding.code, finding.id, finding.outcome, finding.os_error) == (
        Code.ENVIRONMENT_BROKEN,
        failed.id,
        None,
        None,
    )
    assert finding.message.startswith("Packages that uv counts as installed are incomplete: `certifi` lacks 1 file. ")
    assert finding.message.endswith(failed.message)
    assert failed.why in finding.why
    assert (finding.cause, finding.location, finding.remedies) == (failed.cause, failed.location, failed.remedies)
    assert {*failed.evidence} < {*finding.evidence}
    assert only(explained(failure(), ended_well=True)).code is Code.LINK_FAILED, "nothing is broken"


def test_a_single_broken_package_is_named():
    finding = only(explained(verification=broken(certifi=1)))
    assert finding.message == "Packages that uv counts as installed are incomplete: `certifi` lacks 1 file"
    assert finding.evidence == ("certifi 1: 1 file missing",)
    assert (finding.package, finding.version) == ("certifi", "1")
    assert [it.message for it in finding.related] == ["`certifi` in the lockfile", "the environment"]


@pytest.mark.parametrize(
    ("failures", "complaint", "codes"),
    [
        ((), None, ["environment-broken"]),
        ((failure(),), None, ["link-failed"]),
        ((fallback(),), None, ["environment-broken", "link-degraded"]),
        ((), Complaint(message="No solution found"), ["sync-failed", "environment-broken"]),
    ],
)
def test_a_broken_environment_is_no_finding_of_its_own_where_a_failed_link_explains_it(failures, complaint, codes):
    found = explained(*failures, complaint=complaint, verification=broken(certifi=1))
    assert [it.code for it in found] == codes


TEXTS = {ROOT / "a.toml": 'x = 1\r\ns = "é🐍😀" = 2\r\n', ROOT / "b.toml": "\ufeffx ="}
COMPLAINTS: dict[str, tuple[Complaint, tuple[Path, int, int]]] = {
    "no place": (Complaint(message="No solution found"), (MANIFEST, 0, 0)),
    "a file": (Complaint(message="m", path="a.toml"), (ROOT / "a.toml", 0, 0)),
    "an absolute file": (Complaint(message="m", path="/etc/uv/uv.toml", line=3), (Path("/etc/uv/uv.toml"), 2, 0)),
    "a line": (Complaint(message="m", path="a.toml", line=2), (ROOT / "a.toml", 1, 0)),
    "a column in code points": (Complaint(message="m", path="a.toml", line=2, column=11), (ROOT / "a.toml", 1, 12)),
    "a column past the end": (Complaint(message="m", path="a.toml", line=2, column=99), (ROOT / "a.toml", 1, 15)),
    "a line past the end": (Complaint(message="m", path="a.toml", line=9, column=9), (ROOT / "a.toml", 8, 0)),
    "after a byte order mark": (Complaint(message="m", path="b.toml", line=1, column=9), (ROOT / "b.toml", 0, 3)),
    "nonsense": (Complaint(message="m", path="a.toml", line=0, column=0), (ROOT / "a.toml", 0, 0)),
}


@pytest.mark.parametrize(("complaint", "expected"), COMPLAINTS.values(), ids=COMPLAINTS)
def test_another_failure_stands_where_uv_says(complaint, expected):
    finding = only(explained(complaint=complaint, text=GROUPS_ONLY, texts=TEXTS))
    assert finding.location is not None
    start = finding.location.range.start
    assert (finding.location.path, start.line, start.character) == expected
    assert finding.location.range.end == start


NEEDS_BUILD = PROJECT.replace("\n]", '\n    "build",\n]')


@pytest.mark.parametrize(
    ("words", "underlined"),
    [
        ("Because HTTPX was not found and your project depends on httpx>=0.28, it cannot be used.", "httpx>=0.28"),
        ("No solution found\nBecause typing_extensions==9 is not there and httpx needs it", "typing-extensions"),
        ("Failed to build `httpx==0.28.1`\nThe build backend returned an error", "httpx>=0.28"),
        ("Failed to build `sniffio==1`\n`sniffio` was included because `app` depends on `httpx`", "httpx>=0.28"),
        ("Failed to fetch: `https://example.org/simple/typing-extensions/`", "typing-extensions"),
        ("Failed to spawn: certifi", "[project]"),
    ],
)
def test_another_failure_stands_on_the_requirement_it_names(words, underlined):
    finding = only(explained(complaint=Complaint(message=words), text=NEEDS_BUILD))
    assert under(finding.location, {MANIFEST: NEEDS_BUILD}) == underlined


@pytest.mark.parametrize(
    ("words", "message", "why"),
    [
        (
            "failed to build `x`\nThe build backend said no\nexit code 1",
            "Failed to build `x`",
            "The build backend said no\nexit code 1",
        ),
        (
            "`x` was not found",
            "`x` was not found",
            "uv failed for a reason other than placing files from its cache in the environment.",
        ),
        (
            "",
            "uv failed and said nothing",
            "uv failed for a reason other than placing files from its cache in the environment.",
        ),
    ],
)
def test_another_failure_in_uvs_own_words(words, message, why):
    finding = only(explained(complaint=Complaint(message=words)))
    assert (finding.message, finding.why) == (message, why)
    assert (finding.code, finding.severity, finding.cause) == (
        Code.SYNC_FAILED,
        Severity.ERROR,
        Cause.NOT_A_LINK_FAILURE,
    )
    assert finding.remedies == ()


# --- what keeps uv from being run -------------------------------------------------------------


@pytest.mark.parametrize(
    ("uv", "setting", "message"),
    [
        (None, None, "uv was not found: not on PATH and in none of the places where its installers put it"),
        (None, "~/no/uv", "The setting `uvPath` names no executable file: `~/no/uv`"),
        (found_uv(None), None, "`/home/ana/.local/bin/uv` does not answer to `--version` as uv does"),
        (found_uv((0, 4, 17)), None, "uv 0.4.17 is too old: 0.4.18 is the oldest that is understood"),
    ],
)
def test_a_uv_that_cannot_be_used(uv, setting, message):
    finding = engine.uv_missing(uv, setting, manifest())
    assert finding is not None
    assert (finding.message, finding.code, finding.severity) == (message, Code.UV_MISSING, Severity.ERROR)
    assert finding.why
    assert under(finding.location, {MANIFEST: PROJECT}) == "[project]"


@pytest.mark.parametrize("version", [OLDEST_UV, (0, 13, 9), (1, 0, 0)])
def test_a_uv_that_can_be_used(version):
    assert engine.uv_missing(found_uv(version), "uv", manifest()) is None


ASKED: dict[str, tuple[Intent, dict[str, bool], str]] = {
    "nothing to ask": (Intent(), {}, ""),
    "a new environment": (
        Intent(recreates=True),
        {},
        "delete the environment `/home/ana/app/.venv` with all that is in it and make a new one",
    ),
    "packages that go": (Intent(removes=("idna", "rich")), {}, "uninstall `idna`, `rich`"),
    "a Python": (Intent(downloads_python=True), {}, "download a Python, since none on this machine fits"),
    "a Python, which was settled before": (Intent(downloads_python=True), {"downloads": True}, ""),
    "three things": (
        Intent(recreates=True, removes=("idna",), downloads_python=True),
        {},
        (
            "delete the environment `/home/ana/app/.venv` with all that is in it and make a new one, "
            "uninstall `idna` and download a Python, since none on this machine fits"
        ),
    ),
    "two things": (
        Intent(removes=("idna",), downloads_python=True),
        {},
        "uninstall `idna` and download a Python, since none on this machine fits",
    ),
}


@pytest.mark.parametrize(("intent", "more", "doings"), ASKED.values(), ids=ASKED)
def test_the_users_word_is_asked_for(intent, more, doings):
    finding = engine.asks(intent, project(), **more)
    assert (finding is None) == (not doings)
    if finding is not None:
        assert finding.message == f"Nothing was installed yet: `uv sync` would {doings}"
        assert finding.severity is Severity.INFORMATION
        assert engine.is_question(finding)
        assert under(finding.location, {MANIFEST: PROJECT}) == "[project]"


def test_only_a_question_is_one():
    assert not engine.is_question(only(explained(complaint=Complaint(message="Nothing was installed yet"))))


HERE = Location(LOCK, Range(Position(1, 2), Position(1, 3)))
PROBLEMS: dict[str, tuple[DoctorError, Path | None, tuple[str, str, Severity, Location | None]]] = {
    "on its line": (
        DoctorError("the lock is odd", "make it even", HERE),
        MANIFEST,
        ("The lock is odd", "Make it even", Severity.ERROR, HERE),
    ),
    "of the whole project": (
        DoctorError("`x` cannot be read", "uv can"),
        MANIFEST,
        ("`x` cannot be read", "uv can", Severity.ERROR, Location(MANIFEST)),
    ),
    "of no project": (DoctorError("no such file", "h"), None, ("No such file", "H", Severity.ERROR, None)),
    "of a file that is none of ours": (
        DoctorError("`pyproject.toml` has no `[project]` table", "add one", Location(MANIFEST)),
        MANIFEST,
        ("`pyproject.toml` has no `[project]` table", "Add one", Severity.HINT, Location(MANIFEST)),
    ),
}


@pytest.mark.parametrize(("error", "path", "expected"), PROBLEMS.values(), ids=PROBLEMS)
def test_what_keeps_a_project_from_being_looked_at(error, path, expected):
    finding = engine.problem(error, path)
    assert (finding.message, finding.why, finding.severity, finding.location) == expected
    assert (finding.id, finding.code) == ("sync-failed:problem", Code.SYNC_FAILED)
