"""What is said of a cache by itself: by cause, with the commands that need no project."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from uv_link_doctor.engine.cache_findings import cache_findings
from uv_link_doctor.engine.model import Cause, Platform, RemedyKind

CACHE = Path("/home/ana/.cache/uv")


@dataclass(frozen=True)
class Entry:
    package: str
    files: tuple[str, ...] = ("core.py",)
    os_error: int | None = None
    version: str = "1.0"

    @property
    def path(self) -> Path:
        return CACHE / "archive-v0" / f"x{self.package}"


CASES = [
    # Platform, number: cause, and the only remedy, if any.
    (Platform.LINUX, 396, Cause.CLOUD_SYNC, RemedyKind.REPAIR_CACHE),
    (Platform.WINDOWS, 396, Cause.CLOUD_SYNC, RemedyKind.REPAIR_CACHE),
    (Platform.LINUX, 31, Cause.TOO_MANY_LINKS, RemedyKind.REPAIR_CACHE),
    (Platform.WINDOWS, 1142, Cause.TOO_MANY_LINKS, RemedyKind.REPAIR_CACHE),
    (Platform.WINDOWS, 362, Cause.CLOUD_OFFLINE, RemedyKind.CLEAN_PACKAGE),
    (Platform.LINUX, 1, Cause.PERMISSION, None),
    (Platform.LINUX, 95, Cause.UNSUPPORTED_FILESYSTEM, None),
]


@pytest.mark.parametrize(("platform", "number", "cause", "kind"), CASES)
def test_what_helps_depends_on_the_number(platform, number, cause, kind):
    (finding,) = cache_findings([Entry("a", os_error=number)], [], platform=platform)
    assert (finding.cause, finding.os_error) == (cause, number)
    assert [remedy.kind for remedy in finding.remedies] == ([kind] if kind else [])
    assert f"(os error {number}): `a` 1.0." in finding.message
    assert (finding.package, finding.version, finding.source) == ("a", "1.0", f"{CACHE}/archive-v0/xa/core.py")


def test_each_cause_has_a_finding_and_the_damaged_have_one():
    refused = [Entry("a", os_error=396), Entry("b", os_error=31), Entry("c", os_error=396)]
    found = cache_findings(refused, [Entry("d"), Entry("e", files=())], platform=Platform.LINUX, directory=CACHE)
    assert [(it.id, it.package) for it in found] == [
        ("cache-tainted:cloud-sync", None),
        ("cache-tainted:too-many-links", "b"),
        ("cache-tainted:corrupt-cache-entry", None),
    ]
    commands = [remedy.command for it in found for remedy in it.remedies]
    assert commands[0] == ("uv-link-doctor", "cache", "repair", "--cache-dir", str(CACHE))
    assert commands[2] == ("uv", "cache", "clean", "d", "e", "--cache-dir", str(CACHE))
    assert "it has no `.dist-info`" in found[2].evidence[1]


def test_of_many_the_first_are_named():
    refused = [Entry(f"p{number}", tuple(f"f{it}" for it in range(9)), 396) for number in range(8)]
    (finding,) = cache_findings(refused, [], platform=Platform.LINUX)
    assert finding.evidence[0].endswith("(os error 396): `f0`, `f1`, `f2`, `f3`, `f4` and 4 more")
    assert (len(finding.evidence), finding.evidence[-1]) == (6, "and 3 more entries")
    assert "`p3` 1.0, and 4 more." in finding.message


def test_where_no_link_works_fresh_files_would_not_either():
    (finding,) = cache_findings([Entry("a", os_error=396)], [], platform=Platform.LINUX, links_work=False)
    assert finding.remedies == ()
    assert "file system links no file at all" in finding.message


def test_what_has_no_name_cannot_be_cleaned_by_name():
    (finding,) = cache_findings([], [Entry("", version="")], platform=Platform.LINUX)
    assert (finding.package, finding.version, finding.remedies) == (None, None, ())
    assert "a nameless package in `" in finding.evidence[0]


def test_a_sound_cache_has_no_finding():
    assert cache_findings([], [], platform=Platform.LINUX) == ()
