"""The command that tells everything known about a project, in each format, and nothing that is private."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from kit.projects import UvProject

FORMATS = ("text", "markdown", "json", "html")
SECRETS = {
    "UV_PUBLISH_TOKEN": "tulip-and-rose",
    "CORP_PASSWORD": "hunter2!<&>",
    "UV_INDEX_CORP_PASSWORD": "lily/pad and more",
}


@dataclass(frozen=True)
class Doctor:
    """The doctor as it is called in one project."""

    example: UvProject

    def __call__(self, *arguments: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "uv_link_doctor", *map(str, arguments)],
            cwd=self.example.root,
            env=self.example.environ | more,
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=60,
        )


@pytest.fixture
def run(uv_binary, project, other_filesystem, tmp_path) -> Doctor:
    """In a synced folder of the home, with a cache elsewhere, and with secrets in variables, paths and settings."""
    folder = tmp_path / "home" / "OneDrive - Contoso Ltd" / SECRETS["CORP_PASSWORD"] / "anabel"
    example = project("httpx", root=folder, cache=other_filesystem / "cache")
    example.environ["PATH"] = f"{uv_binary('newest').parent}:{example.environ['PATH']}"
    index = "https://ana:oak-and-elm@idx.contoso.example/"
    example.environ.update(SECRETS, USER="anabel", UV_EXTRA_INDEX_URL=index)
    return Doctor(example)


@pytest.fixture
def failed(run) -> Doctor:
    """The same after a run that fell back, with packages broken since."""
    offline = {"UV_EXTRA_INDEX_URL": ""}
    assert run("sync", **offline).returncode == 1
    for info in run.example.site_packages.glob("certifi-*.dist-info"):
        (info / "RECORD").unlink()
    return run


def same(report: str) -> str:
    """A report without what differs from one moment to the next: the free space, and what a measurement took."""
    return re.sub(r"[\d.]+ GiB|\"free_[a-z]+\": \d+|\d+ ms", "", report)


@pytest.mark.parametrize("form", FORMATS)
def test_everything_known_and_nothing_private(form, failed, tmp_path):
    answer = failed("report", "--format", form)
    assert (answer.returncode, answer.stderr) == (0, "")
    said = answer.stdout
    for word in ("environment-broken", "certifi", "hardlink", "httpx"):
        assert word in said
    assert "~/OneDrive - …/…/…/pyproject.toml" in said
    secrets = [*SECRETS.values(), "hunter2", "oak-and-elm", "Contoso", "anabel", str(tmp_path / "home")]
    assert [secret for secret in secrets if secret in said] == []
    host = socket.gethostname()
    assert len(host) < 5 or not re.search(rf"(?<![\w-]){re.escape(host)}(?![\w-])", said)


def test_the_remembered_run_is_in_it(failed):
    said = failed("report").stdout
    assert "Last run that failed\n---" in said
    assert "warning: Failed to hardlink files; falling back to full copy." in said
    assert "DEBUG" not in said


def test_what_each_link_mode_costs_is_measured(failed):
    said = failed("report").stdout
    assert re.search(r"^Copy: +always works, takes its full size again: \d+ files", said, re.MULTILINE)
    assert re.search(r"^Measured: +\d+ files, [\d.]+ \w+: copying took \d+ ms, no links$", said, re.MULTILINE)


def test_json_is_the_document_of_check(failed):
    by_format, by_option = (failed("report", *option).stdout for option in (["--format", "json"], ["--json"]))
    assert same(by_format) == same(by_option)
    document, checked = json.loads(by_format), json.loads(failed("check", "--json").stdout)
    assert document.keys() == checked.keys()
    assert [it["id"] for it in document["findings"]] == [it["id"] for it in checked["findings"]]
    assert document["outcome"] == checked["outcome"]
    assert document["project"]["root"] == "~/OneDrive - …/…/…"
    assert checked["project"]["root"] == str(failed.example.root)


@pytest.mark.parametrize("form", FORMATS)
def test_it_can_be_written_to_a_file(form, run, tmp_path):
    file = tmp_path / "report"
    file.write_text("old")
    file.chmod(0o640)
    answer = run("report", "--format", form, "--output", file)
    assert (answer.returncode, answer.stdout, answer.stderr) == (0, "", f"the report is in `{file}`\n")
    assert same(file.read_text()) == same(run("report", "--format", form).stdout)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert [it.name for it in tmp_path.iterdir() if it.name.startswith(".")] == []


def test_a_file_that_cannot_be_written(run, tmp_path):
    for place in (tmp_path / "none" / "report", tmp_path):
        answer = run("report", "-o", place)
        assert (answer.returncode, answer.stdout) == (2, "")
        error, hint = answer.stderr.splitlines()
        assert error.startswith(f"error: `{place}` cannot be written: ")
        assert hint == "hint: name a file in a directory that exists and that you may write to"


def test_without_uv_there_is_all_the_more_to_report(run, tmp_path):
    answer = run("report", "--format", "markdown", PATH=str(tmp_path))
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "`uv-missing`" in answer.stdout
    assert json.loads(run("report", "--json", PATH=str(tmp_path)).stdout)["uv"] is None


def test_what_is_no_project_cannot_be_reported_on(run):
    answer = run("report", "/")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr.startswith("error: `/` is not in a uv project")
    for form in (["--json"], ["--format", "json"]):
        assert json.loads(run("report", "/", *form).stdout)["findings"][0]["code"] == "sync-failed"
    unknown = run("report", "--format", "pdf")
    assert (unknown.returncode, "argument --format" in unknown.stderr) == (2, True)


def test_it_changes_nothing(run):
    before = sorted(map(str, run.example.root.rglob("*")))
    assert run("report").returncode == 0
    assert sorted(map(str, run.example.root.rglob("*"))) == before


def test_a_name_that_no_encoding_has_is_no_fault(run, tmp_path):
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/odd\xff<b>")
    shutil.copytree(run.example.root, odd)
    for form in FORMATS:
        answer = run("report", odd, "--format", form)
        assert (answer.returncode, answer.stderr) == (0, "")
        assert "odd?" in answer.stdout
