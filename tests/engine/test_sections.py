"""A report holds what is known, says where it is not, and adds nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from kit.examinations import FAILED, HEALTHY, KNOWN, SAID
from kit.values import ROOT, project

from uv_link_doctor.engine.model import Examination, Place, Places, Sample, Trial, Verdict, Verification, Weight
from uv_link_doctor.engine.remedies import actions
from uv_link_doctor.engine.sections import Known, Section, sections

HEADINGS = ["Summary", "Findings", "Project", "uv", "Settings of uv", "Places", "Environment", "Last run", "Doctor"]


def told(examination: Examination, known: Known = KNOWN) -> dict[str, Section]:
    return {section.heading: section for section in sections(examination, known)}


def rows(section: Section) -> dict[str, str]:
    return {row.label: row.value for row in section.rows}


@pytest.mark.parametrize("examination", [FAILED, HEALTHY, Examination(verdict=Verdict.NOT_RUN)])
def test_every_subject_is_there_and_says_something(examination):
    found = told(examination)
    assert list(found) == HEADINGS
    for section in found.values():
        assert section.paragraphs or section.findings or section.rows


def test_who_set_what():
    settings = rows(told(FAILED)["Settings of uv"])
    assert settings["Link mode"] == "`clone`, set by `UV_LINK_MODE` (environment)"
    assert settings["Link mode, ignored"].startswith(
        f"`hardlink`, set by `tool.uv.link-mode` in `{ROOT}/pyproject.toml:9`"
    )
    assert settings["Cache directory"] == "`/home/ana/.cache/uv`, uv's default"
    assert settings["Remembered"] == "our runs use copies in this project, because of `cloud-sync`"
    assert "Remembered" not in rows(told(HEALTHY, replace(KNOWN, copy_because=None))["Settings of uv"])


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (Place(path=Path("/x")), "`/x`"),
        (
            Place(
                path=Path("/x"), filesystem="nfs4", mount_point="/", free_bytes=3 << 29, network=True, read_only=True
            ),
            "`/x`, on nfs4 (`/`), 1.5 GiB free, read-only, on a network",
        ),
        (Place(path=Path("/x"), synced_by="OneDrive"), "`/x`, kept in sync by OneDrive"),
    ],
)
def test_what_is_known_of_a_place(place, expected):
    examination = replace(HEALTHY, places=Places(cache=place, environment=place, trial=Trial()))
    assert rows(told(examination)["Places"])["Cache"] == expected


def test_a_member_of_a_workspace_is_named_beside_its_root():
    member = rows(told(replace(HEALTHY, project=project(directory=ROOT / "packages/a")))["Project"])
    assert member["Root"] == "`/home/ana/app`"
    assert member["Member of the workspace"] == "`/home/ana/app/packages/a`"
    assert "Member of the workspace" not in rows(told(HEALTHY)["Project"])


@pytest.mark.parametrize(
    ("verification", "expected"),
    [
        (None, "Not looked at."),
        (Verification(verified=True), "Every package that was looked at is complete."),
        (Verification(verified=False), "It could not be verified."),
        (FAILED.verification, "Packages are incomplete."),
    ],
)
def test_what_is_known_of_the_environment(verification, expected):
    assert told(replace(FAILED, verification=verification))["Environment"].paragraphs == (expected,)


# --- the run ------------------------------------------------------------------------------------


def test_the_output_is_what_the_user_would_have_seen():
    run = told(FAILED)["Last run"]
    assert run.output.startswith("Resolved 4 packages in 3ms\nerror: Failed to install: certifi-1.whl (certifi==1)\n")
    assert rows(run)["Exit code"] == "2"
    assert rows(run)["Command"] == "`/home/ana/.local/bin/uv sync --inexact --index-password tiger`"


def test_of_a_long_output_the_end_is_shown():
    said = replace(SAID, stderr="".join(f"line {number}\n" for number in range(1000)), exit_code=None)
    run = told(replace(FAILED, transcript=said))["Last run"]
    assert run.output.split("\n") == [f"line {number}" for number in range(800, 1000)]
    assert rows(run)["Output"] == "the last 200 of 1000 lines"
    assert rows(run)["Exit code"] == "none, it was stopped"


def test_a_remembered_failure_is_shown_where_nothing_was_run():
    remembered = replace(KNOWN, last_failure=SAID)
    assert told(HEALTHY)["Last run"].paragraphs == ("None that is known of.",)
    assert "Last run that failed" in told(HEALTHY, remembered)
    assert "os error 396" in told(HEALTHY, remembered)["Last run that failed"].output
    later = replace(HEALTHY, transcript=replace(SAID, stderr="Audited 2 packages\n"))
    assert told(later, remembered)["Last run"].output == "Audited 2 packages"


def test_no_control_character_is_left():
    stderr = "a\x00b\x1b[31mc\x9b\u202etxt\r\n\tend"
    assert told(replace(FAILED, transcript=replace(SAID, stderr=stderr)))["Last run"].output == "abctxt\n\tend"


# --- findings -----------------------------------------------------------------------------------


def test_a_finding_is_told_whole():
    (finding,) = told(FAILED)["Findings"].findings
    (original,) = FAILED.findings
    assert (finding.id, finding.code, finding.severity) == (original.id, "link-failed", "error")
    assert (finding.message, finding.why, finding.evidence) == (original.message, original.why, original.evidence)
    assert {row.label: row.value for row in finding.rows} == {
        "Where": "`pyproject.toml:6:6`",
        "Cause": "`cloud-sync`",
        "Operation": "hardlink (os error 396)",
        "Package": "`certifi 1`",
        "Required by": "`httpx`",
        "Cache side": f"`{original.source}`",
        "Environment side": f"`{original.target}`",
    }
    assert [remedy.id for remedy in finding.remedies] == [remedy.id for remedy in actions(original.remedies)]
    assert finding.remedies[0].command == "uv-link-doctor fix --apply retry-copy"


def test_what_each_link_mode_costs_where_that_is_known():
    weight = Weight(files=12, size=3_400, packages=2, unknown=0)
    assert "Link modes here" not in told(HEALTHY)
    found = rows(told(HEALTHY, replace(KNOWN, weight=weight))["Link modes here"])
    assert list(found) == ["Clone", "Copy", "Hardlink", "Symlink"]
    sample = Sample(files=12, size=3_400, copies=0.0071, links=0.0012, times=1)
    found = rows(told(HEALTHY, replace(KNOWN, weight=weight, sample=sample))["Link modes here"])
    assert found["Measured"] == "12 files, 3.4 kB: copying took 7 ms, linking 1 ms"


def test_an_untrusted_workspace_is_named_as_one():
    assert "Workspace" not in rows(told(HEALTHY)["Doctor"])
    assert rows(told(HEALTHY, replace(KNOWN, trusted=False))["Doctor"])["Workspace"].startswith("not trusted")
