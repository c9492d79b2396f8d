"""What is offered against every finding there can be: only what would help, the least first, with what it changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product

import pytest
from kit.values import ROOT, UV

from uv_link_doctor.engine.model import Cause, Code, Finding, Operation, Outcome, RemedyKind, Severity
from uv_link_doctor.engine.remedies import Means, lasts, remedies
from uv_link_doctor.engine.words import CAUSES

LINKS = {Operation.HARDLINK, Operation.CLONE, Operation.SYMLINK}
PASTED = Means()
PROJECT = Means(uv=UV, project=ROOT, setting_file=ROOT / "pyproject.toml")
OVERRULED = Means(uv=UV, project=ROOT)
BROKEN = Means(uv=UV, project=ROOT, setting_file=ROOT / "uv.toml", broken=("certifi", "idna"))
REMEMBERED = Means(uv=UV, project=ROOT, setting_file=ROOT / "pyproject.toml", broken=("idna",), remembered_copy=True)
MEANS = {
    "pasted": PASTED,
    "project": PROJECT,
    "overruled": OVERRULED,
    "broken": BROKEN,
    "remembered": REMEMBERED,
}


def finding(
    code: Code, cause: Cause | None = None, operation: Operation | None = None, package: str | None = "certifi"
) -> Finding:
    return Finding(
        id=f"{code}:{cause}:{operation}",
        code=code,
        severity=Severity.ERROR,
        cause=cause,
        message="",
        why="",
        outcome={Code.LINK_FAILED: Outcome.FAILED, Code.LINK_DEGRADED: Outcome.DEGRADED}.get(code),
        operation=operation,
        package=package,
    )


LINK_FINDINGS = [
    finding(code, cause, operation, package)
    for code, cause, operation, package in product(
        (Code.LINK_FAILED, Code.LINK_DEGRADED), Cause, (*Operation, None), ("certifi", None)
    )
]
AHEAD = [
    finding(code, cause, operation)
    for code, cause, operation in product((Code.LINK_PREDICTED, Code.CACHE_TAINTED), Cause, (*Operation, None))
]
OTHERS = [
    finding(code, cause, Operation.HARDLINK)
    for code in Code
    if code not in {Code.LINK_FAILED, Code.LINK_DEGRADED, Code.LINK_PREDICTED, Code.CACHE_TAINTED}
    for cause in (None, Cause.CROSS_DEVICE)
]


def kinds(it: Finding, means: Means) -> list[RemedyKind]:
    return [remedy.kind for remedy in remedies(it, means)]


@pytest.mark.parametrize("means", MEANS.values(), ids=MEANS)
def test_whatever_is_offered_says_what_it_changes_and_one_is_preferred(means):
    for it in (*LINK_FINDINGS, *AHEAD, *OTHERS):
        offered = remedies(it, means)
        assert [remedy.preferred for remedy in offered] == [True, False, False][: len(offered)], it.id
        assert len({remedy.id for remedy in offered}) == len(offered)
        for remedy in offered:
            assert remedy.id.startswith(f"{it.id}/")
            assert remedy.title
            assert remedy.changes
            assert remedy.command


@pytest.mark.parametrize("means", MEANS.values(), ids=MEANS)
def test_copying_is_offered_only_where_a_link_failed_and_a_copy_would_not(means):
    for it in (*LINK_FINDINGS, *AHEAD):
        assert it.cause is not None
        if {RemedyKind.RETRY_COPY, RemedyKind.SET_LINK_MODE} & set(kinds(it, means)):
            assert it.operation in LINKS, it.id
            assert CAUSES[it.cause].copying_helps, it.id


@pytest.mark.parametrize("cause", [Cause.MISSING_CACHE_FILE, Cause.CORRUPT_CACHE_ENTRY, Cause.CLOUD_OFFLINE])
def test_copying_is_not_offered_where_the_cache_is_the_broken_side(cause):
    for operation, means in product(Operation, MEANS.values()):
        assert set(kinds(finding(Code.LINK_FAILED, cause, operation), means)) <= {RemedyKind.REINSTALL_BROKEN}


@pytest.mark.parametrize("cause", Cause)
@pytest.mark.parametrize("operation", LINKS)
def test_a_failed_link_that_a_copy_replaces_is_always_repaired_by_one(cause, operation):
    offered = kinds(finding(Code.LINK_FAILED, cause, operation), PROJECT)
    assert (offered[:1] == [RemedyKind.RETRY_COPY]) == CAUSES[cause].copying_helps


@pytest.mark.parametrize("cause", [cause for cause in Cause if not CAUSES[cause].retrying_helps])
def test_nobody_is_told_to_try_again_in_vain(cause):
    for operation, means in product((*Operation, None), MEANS.values()):
        assert RemedyKind.REINSTALL_BROKEN not in kinds(finding(Code.LINK_FAILED, cause, operation), means)


def test_where_a_variable_wins_no_file_is_offered():
    offered = [kind for it in LINK_FINDINGS for kind in kinds(it, OVERRULED)]
    assert RemedyKind.RETRY_COPY in offered
    assert RemedyKind.SET_LINK_MODE not in offered


@pytest.mark.parametrize("cause", Cause)
def test_after_a_fallback_copying_is_offered_only_where_it_is_remembered(cause):
    """uv has copied already: what lasts no longer than one run would do nothing."""
    it = finding(Code.LINK_DEGRADED, cause, Operation.HARDLINK, None)
    assert RemedyKind.RETRY_COPY not in kinds(it, PASTED)
    assert (RemedyKind.RETRY_COPY in kinds(it, PROJECT)) == (lasts(cause) and CAUSES[cause].copying_helps)


def test_a_cause_that_passes_by_itself_is_no_reason_to_set_anything_after_a_fallback():
    for means in MEANS.values():
        assert kinds(finding(Code.LINK_DEGRADED, Cause.TRANSIENT, Operation.CLONE, None), means) == []


def test_a_fallback_of_unknown_cause_can_be_accepted():
    it = finding(Code.LINK_DEGRADED, Cause.UNKNOWN, Operation.HARDLINK, None)
    assert kinds(it, PASTED) == kinds(it, PROJECT) == [RemedyKind.SET_LINK_MODE]


@pytest.mark.parametrize("code", [Code.LINK_PREDICTED, Code.CACHE_TAINTED])
@pytest.mark.parametrize("cause", Cause)
def test_what_lies_ahead_is_prevented_by_copies_that_go_on(code, cause):
    offered = kinds(finding(code, cause, Operation.HARDLINK), PROJECT)
    if not CAUSES[cause].copying_helps:
        assert offered == []
    elif lasts(cause):
        assert offered == [RemedyKind.RETRY_COPY, RemedyKind.SET_LINK_MODE]
    else:
        assert RemedyKind.RETRY_COPY not in offered


def test_a_broken_environment_is_reinstalled_and_copying_is_not_offered_twice():
    it = finding(Code.ENVIRONMENT_BROKEN, package=None)
    assert kinds(it, BROKEN) == [RemedyKind.REINSTALL_BROKEN, RemedyKind.RETRY_COPY]
    (only,) = remedies(it, REMEMBERED)
    assert only.kind is RemedyKind.REINSTALL_BROKEN
    assert only.command == (str(UV), "sync", "--inexact", "--link-mode", "copy", "--reinstall-package", "idna")


@pytest.mark.parametrize("it", [*OTHERS, finding(Code.LINK_FAILED, None, Operation.HARDLINK)], ids=lambda it: it.id)
def test_against_other_findings_nothing_is_offered(it):
    if it.code is not Code.ENVIRONMENT_BROKEN:
        assert remedies(it, BROKEN) == ()


# --- in full --------------------------------------------------------------------------------


def test_the_table_of_all_that_is_offered(golden):
    """By cause: for which operations, failed (!) or degraded (~), what is offered in a project, the preferred first."""
    lines: list[str] = []
    for cause in Cause:
        lines.append(cause.value)
        for code, sign in ((Code.LINK_FAILED, "!"), (Code.LINK_DEGRADED, "~")):
            offered: dict[str, list[str]] = {}
            for operation in (*Operation, None):
                names = ", ".join(kinds(finding(code, cause, operation), PROJECT)) or "-"
                offered.setdefault(names, []).append(operation.value if operation else "none")
            lines += [f"  {sign} {' '.join(operations)}: {names}" for names, operations in offered.items()]
    golden("remedies.txt", "\n".join(lines) + "\n")


def test_the_words_of_every_remedy(golden):
    """Each kind, in each situation in which its words differ."""
    lasting, passing = Cause.CLOUD_SYNC, Cause.TRANSIENT
    situations = {
        "failed, from a pasted text": (finding(Code.LINK_FAILED, lasting, Operation.HARDLINK), PASTED),
        "failed, from a pasted text without a package": (
            finding(Code.LINK_FAILED, lasting, Operation.HARDLINK, None),
            PASTED,
        ),
        "failed, in a project": (finding(Code.LINK_FAILED, lasting, Operation.HARDLINK), PROJECT),
        "failed, with two broken packages": (finding(Code.LINK_FAILED, lasting, Operation.HARDLINK), BROKEN),
        "failed, and another package is broken, too": (
            finding(Code.LINK_FAILED, passing, Operation.HARDLINK, "httpx"),
            BROKEN,
        ),
        "failed, with three": (
            finding(Code.LINK_FAILED, passing, Operation.HARDLINK, "a"),
            Means(uv=UV, project=ROOT, broken=("a", "b", "c")),
        ),
        "failed, with four": (
            finding(Code.LINK_FAILED, passing, Operation.HARDLINK, "a"),
            Means(uv=UV, project=ROOT, broken=("a", "b", "c", "d")),
        ),
        "failed, for a cause that passes": (finding(Code.LINK_FAILED, passing, Operation.CLONE), PROJECT),
        "failed, and trying again helps": (finding(Code.LINK_FAILED, Cause.FILE_IN_USE, Operation.RENAME), PROJECT),
        "failed, and nothing is broken": (
            finding(Code.LINK_FAILED, Cause.CONCURRENCY, Operation.RENAME, None),
            PROJECT,
        ),
        "degraded, in a project": (finding(Code.LINK_DEGRADED, lasting, Operation.HARDLINK, None), PROJECT),
        "degraded, from a pasted text": (finding(Code.LINK_DEGRADED, lasting, Operation.HARDLINK, None), PASTED),
        "degraded, where a variable wins": (finding(Code.LINK_DEGRADED, lasting, Operation.CLONE, None), OVERRULED),
        "broken": (finding(Code.ENVIRONMENT_BROKEN, package=None), BROKEN),
        "broken, where copying is remembered": (finding(Code.ENVIRONMENT_BROKEN, package=None), REMEMBERED),
    }
    golden("remedies-words.txt", "\n".join(_words(situations)))


def _words(situations: Mapping[str, tuple[Finding, Means]]) -> Iterator[str]:
    for name, (it, means) in situations.items():
        yield f"{name}:"
        for remedy in remedies(it, means):
            yield f"  {remedy.kind}: {remedy.title}"
            yield from (f"    {change}" for change in remedy.changes)
            yield f"    $ {' '.join(remedy.command)}"
        yield ""
