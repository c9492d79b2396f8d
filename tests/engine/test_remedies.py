"""What is offered against every finding there can be: only what would help, the least first, with what it changes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from kit.proofs import PROOFS, Proof
from kit.values import HOME, ROOT, UV

from uv_link_doctor.engine.model import (
    Cause,
    Code,
    Finding,
    Home,
    Operation,
    Outcome,
    Platform,
    RemedyKind,
    Sample,
    Severity,
    Trial,
    Weight,
)
from uv_link_doctor.engine.remedies import Means, actions, lasts, remedies
from uv_link_doctor.engine.words import CAUSES

LINKS = {Operation.HARDLINK, Operation.CLONE, Operation.SYMLINK}
PASTED = Means()
PROJECT = Means(uv=UV, project=ROOT, setting_file=ROOT / "pyproject.toml")
OVERRULED = Means(uv=UV, project=ROOT)
BROKEN = Means(uv=UV, project=ROOT, setting_file=ROOT / "uv.toml", broken=("certifi", "idna"))
REMEMBERED = Means(uv=UV, project=ROOT, setting_file=ROOT / "pyproject.toml", broken=("idna",), remembered_copy=True)
USER_FILE = HOME / ".config/uv/uv.toml"
KNOWN = replace(
    PROJECT,
    user_file=USER_FILE,
    cache=HOME / ".cache/uv",
    weight=Weight(files=900, size=9_000_000, packages=2, unknown=0, each={"certifi": (300, 3_000_000)}),
)
SAMPLE = Sample(files=100, size=1_000_000, copies=0.24, links=0.03, times=9)
LINKED, BORDER = Trial({Operation.HARDLINK: True}), Trial({Operation.HARDLINK: False})
TAINTED = replace(KNOWN, refused=("certifi",), elsewhere=True)
SYNCED = replace(TAINTED, synced=True, new_environment=HOME / ".local/state/uv-link-doctor/environments/app-1")
HOME_FOR_CACHE = Home(path=Path("/mnt/data/.cache/uv"), free_bytes=230_000_000_000)
MOVABLE = replace(KNOWN, homes=(HOME_FOR_CACHE,), cache_file=USER_FILE)
MEANS = {
    "pasted": PASTED,
    "project": PROJECT,
    "overruled": OVERRULED,
    "broken": BROKEN,
    "remembered": REMEMBERED,
    "known": KNOWN,
    "tainted": TAINTED,
    "synced": SYNCED,
    "movable": MOVABLE,
}
EVERYTHING = replace(MOVABLE, refused=("certifi",), new_environment=SYNCED.new_environment)
FULL = replace(
    EVERYTHING, broken=("idna",), lost=("idna",), gone=True, elsewhere=True, synced=True, remembered_copy=True
)
COPIES = {RemedyKind.RETRY_COPY, RemedyKind.SET_LINK_MODE, RemedyKind.SET_LINK_MODE_USER}


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
    return [remedy.kind for remedy in actions(remedies(it, means))]


@pytest.mark.parametrize("means", MEANS.values(), ids=MEANS)
def test_whatever_is_offered_says_what_it_changes_and_one_is_preferred(means):
    for it in (*LINK_FINDINGS, *AHEAD, *OTHERS):
        offered = remedies(it, means)
        assert [remedy.preferred for remedy in offered] == [index == 0 for index in range(len(offered))], it.id
        assert len({remedy.id for remedy in offered}) == len(offered)
        for remedy in offered:
            assert remedy.id.startswith(f"{it.id}/")
            assert remedy.title
            assert bool(remedy.changes) == bool(remedy.command) == (remedy.kind is not RemedyKind.ADVICE)


@pytest.mark.parametrize("means", MEANS.values(), ids=MEANS)
def test_copying_is_offered_only_where_a_link_failed_and_a_copy_would_not(means):
    for it in (*LINK_FINDINGS, *AHEAD):
        assert it.cause is not None
        if COPIES & set(kinds(it, means)):
            assert it.operation in LINKS, it.id
            assert CAUSES[it.cause].copying_helps, it.id


@pytest.mark.parametrize("cause", [Cause.MISSING_CACHE_FILE, Cause.CORRUPT_CACHE_ENTRY, Cause.CLOUD_OFFLINE])
def test_copying_is_not_offered_where_the_cache_is_the_broken_side(cause):
    for operation, means in product(Operation, MEANS.values()):
        assert not COPIES & set(kinds(finding(Code.LINK_FAILED, cause, operation), means))
        lost = cause is not Cause.CLOUD_OFFLINE or "certifi" in means.refused
        assert (RemedyKind.CLEAN_PACKAGE in kinds(finding(Code.LINK_FAILED, cause, operation), means)) == lost


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
        assert not COPIES & set(offered)
    elif lasts(cause):
        assert offered == [RemedyKind.RETRY_COPY, RemedyKind.SET_LINK_MODE]
    else:
        assert RemedyKind.RETRY_COPY not in offered


@pytest.mark.parametrize("code", [Code.LINK_FAILED, Code.LINK_DEGRADED, Code.CACHE_TAINTED])
@pytest.mark.parametrize("cause", [Cause.CLOUD_SYNC, Cause.TOO_MANY_LINKS])
def test_files_that_take_no_link_get_fresh_ones_where_links_are_safe(code, cause):
    it = finding(code, cause, Operation.HARDLINK)
    assert kinds(it, TAINTED)[0] is RemedyKind.REPAIR_CACHE
    assert RemedyKind.REPAIR_CACHE not in kinds(it, SYNCED)
    unknown = kinds(it, replace(TAINTED, elsewhere=False))
    assert (unknown[0] is RemedyKind.REPAIR_CACHE) == (cause is Cause.TOO_MANY_LINKS)
    assert RemedyKind.REPAIR_CACHE in unknown
    assert kinds(it, SYNCED)[0] is RemedyKind.RETRY_COPY
    assert (RemedyKind.MOVE_ENVIRONMENT in kinds(it, SYNCED)) == (cause is Cause.CLOUD_SYNC)
    (copying, *_) = remedies(it, SYNCED)
    assert any("fresh files" in change for change in copying.changes)


@pytest.mark.parametrize("cause", [Cause.CROSS_DEVICE, Cause.UNSUPPORTED_FILESYSTEM])
def test_a_fallback_is_accepted_only_where_no_place_for_the_cache_would_do(cause):
    for code in (Code.LINK_DEGRADED, Code.LINK_PREDICTED):
        it = finding(code, cause, Operation.HARDLINK, None)
        assert kinds(it, MOVABLE)[0] is RemedyKind.MOVE_CACHE
        assert kinds(it, KNOWN)[0] is RemedyKind.RETRY_COPY
        assert RemedyKind.MOVE_CACHE not in kinds(it, replace(MOVABLE, cache_file=None))
    failed = kinds(finding(Code.LINK_FAILED, cause, Operation.HARDLINK), MOVABLE)
    assert (failed[0], failed[-1]) == (RemedyKind.RETRY_COPY, RemedyKind.MOVE_CACHE)


@pytest.mark.parametrize("code", [Code.LINK_FAILED, Code.LINK_DEGRADED, Code.LINK_PREDICTED, Code.CACHE_TAINTED])
def test_whoever_is_to_copy_reads_what_it_takes_unless_uv_copies_anyway(code):
    """The same for every remedy that copies from now on; where no link is possible, a fallback is no slower with it."""
    for trial, means in product((LINKED, BORDER), (KNOWN, MOVABLE)):
        it = finding(code, Cause.CROSS_DEVICE, Operation.HARDLINK, None)
        offered = [
            remedy for remedy in remedies(it, replace(means, trial=trial, sample=SAMPLE)) if remedy.kind in COPIES
        ]
        assert len(offered) == 3
        anyway = trial is BORDER and code in {Code.LINK_DEGRADED, Code.LINK_PREDICTED}
        for remedy in offered:
            assert any("about 2.2 s here" in change for change in remedy.changes) != anyway
            assert ("uv copies here with or without it, so that only the warning goes" in remedy.changes) == anyway


@pytest.mark.parametrize("means", MEANS.values(), ids=MEANS)
def test_clones_are_never_a_cure(means):
    """Where a file system cannot clone, uv takes hard links without a word: the trouble would stay."""
    for it in (*LINK_FINDINGS, *AHEAD, *OTHERS):
        for remedy in actions(remedies(it, means)):
            assert "clone" not in " ".join((remedy.title, *remedy.changes, *remedy.command)), it.id


def test_what_may_not_be_read_cannot_be_copied():
    (only,) = remedies(finding(Code.LINK_FAILED, Cause.PERMISSION, Operation.HARDLINK), replace(KNOWN, unreadable=True))
    assert only.kind is RemedyKind.ADVICE


def test_advice_is_for_the_person_alone():
    (only,) = remedies(finding(Code.LINK_FAILED, Cause.NO_SPACE, Operation.COPY), KNOWN)
    assert (only.kind, only.preferred, only.command) == (RemedyKind.ADVICE, True, ())
    assert "Free space" in only.title


def test_a_broken_environment_is_reinstalled_and_copying_is_not_offered_twice():
    it = finding(Code.ENVIRONMENT_BROKEN, package=None)
    assert kinds(it, BROKEN) == [RemedyKind.REINSTALL_BROKEN, RemedyKind.RETRY_COPY]
    lost = remedies(it, replace(BROKEN, lost=("idna",)))
    assert [remedy.kind for remedy in lost] == [RemedyKind.CLEAN_PACKAGE], "an install from there would be no better"
    assert "removes `idna` from uv's cache" in lost[0].changes[0]
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
                names = ", ".join(kinds(finding(code, cause, operation), EVERYTHING)) or "-"
                offered.setdefault(names, []).append(operation.value if operation else "none")
            lines += [f"  {sign} {' '.join(operations)}: {names}" for names, operations in offered.items()]
    golden("remedies.txt", "\n".join(lines) + "\n")


# --- what is offered is proven, and nothing else is offered ----------------------------------


def mixed(means: Means, name: str, other: Means) -> Means:
    """With one thing as it is in another situation."""
    changed: dict[str, Any] = {name: getattr(other, name)}
    return replace(means, **changed)


SITUATIONS = [
    *MEANS.values(),
    EVERYTHING,
    *(
        mixed(means, field.name, other)
        for means, other in ((PROJECT, FULL), (EVERYTHING, PASTED), (EVERYTHING, FULL), (FULL, PASTED))
        for field in fields(Means)
    ),
]
"""Those above, and from little, much and all of what can be known each with one thing more or less."""
COLUMNS = [kind for kind in RemedyKind if kind is not RemedyKind.ADVICE]


@pytest.fixture(scope="module")
def offered_at_all() -> set[tuple[Cause | None, RemedyKind]]:
    """Against any finding, in any situation; packages that are incomplete have no cause."""
    broken = finding(Code.ENVIRONMENT_BROKEN, package=None)
    return {
        (it.cause, remedy.kind)
        for it in (*LINK_FINDINGS, *AHEAD, broken)
        for means in SITUATIONS
        for remedy in remedies(it, means)
    }


def test_every_remedy_is_proven_against_every_cause_it_is_offered_for_and_no_other(offered_at_all):
    assert {(proof.cause, proof.kind) for proof in PROOFS} == {
        (cause, kind) for cause, kind in offered_at_all if kind is not RemedyKind.ADVICE
    }


def test_advice_is_words_only(offered_at_all):
    advised = {cause for cause, kind in offered_at_all if kind is RemedyKind.ADVICE}
    assert advised == {cause for cause in Cause if CAUSES[cause].advice}
    for cause, means in product(advised, SITUATIONS):
        for operation in (*Operation, None):
            offered = remedies(finding(Code.LINK_FAILED, cause, operation), means)
            *earlier, last = offered
            assert (last.kind, last.title, last.command, last.changes) == (
                RemedyKind.ADVICE,
                " ".join(CAUSES[cause].advice),
                (),
                (),
            )
            assert actions(offered) == tuple(earlier)


def test_the_table_in_the_documents(golden, offered_at_all):
    """`server/REMEDIES.md`, from the rows that `test_every_remedy.py` carries out."""
    rows = [
        ["cause", *(f"`{kind}`" for kind in COLUMNS), "`advice`"],
        ["---"] * (len(COLUMNS) + 2),
    ]
    for cause in (*Cause, None):
        words = "words" if (cause, RemedyKind.ADVICE) in offered_at_all else ""
        rows.append([_page(cause), *(_mark(cause, kind) for kind in COLUMNS), words])
    scenarios = [["cause", "the trouble", "what helped"], ["---"] * 3]
    for cause in (*Cause, None):
        proofs = [proof for proof in PROOFS if proof.cause is cause]
        for how in dict.fromkeys(map(_how, proofs)):
            helped = ", ".join(f"`{proof.kind}`" for proof in proofs if _how(proof) == how)
            scenarios.append([_page(cause), how, helped])
    golden("../../../server/REMEDIES.md", DOCUMENT.format(offered=_table(rows), scenarios=_table(scenarios)))


DOCUMENT = """\
# Remedies by cause

What may be offered where a link, a copy or another step failed; blank: never, in whatever situation.

{offered}

* `yes`: a real uv met the trouble on a real file system, the remedy was carried out, every file was looked at, uv was
  run once more, and what the remedy had changed was taken back.
* `faked`: the same, but the number is one that only Windows or macOS knows. A file system of Linux answered with it
  while the doctor was told that it runs there, so what is proven is what the doctor makes of it, not that system.
* `words`: what only a person can do; there is no command to run.
* `environment-broken` is no cause, but what is found where nobody saw how packages became incomplete.

## How each trouble is made

A number is the answer of a FUSE file system that was told to give it; what goes without one is the kernel's own doing.
A trouble that is not said to end goes on while the remedy is at work, and after it.

{scenarios}

The rows are those of `tests/kit/proofs.py`. `tests/test_every_remedy.py` carries each of them out,
`tests/engine/test_remedies.py` writes this page from them and holds that nothing else is offered.
"""


def _page(cause: Cause | None) -> str:
    name = cause or Code.ENVIRONMENT_BROKEN
    return f"[{name}](uv_link_doctor/pages/{name}.md)"


def _mark(cause: Cause | None, kind: RemedyKind) -> str:
    platforms = {proof.trouble.platform for proof in PROOFS if (proof.cause, proof.kind) == (cause, kind)}
    return "yes" if Platform.LINUX in platforms else "faked" if platforms else ""


def _how(proof: Proof) -> str:
    system = {Platform.WINDOWS: ", as on Windows", Platform.MACOS: ", as on macOS"}.get(proof.trouble.platform, "")
    return proof.trouble.how + system


def _table(rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


# --- in words -------------------------------------------------------------------------------


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
        "a tainted cache, outside": (finding(Code.CACHE_TAINTED, lasting, Operation.HARDLINK), TAINTED),
        "failed by a taint, outside": (
            finding(Code.LINK_FAILED, lasting, Operation.HARDLINK),
            replace(TAINTED, broken=("certifi",)),
        ),
        "failed in the synced folder": (
            finding(Code.LINK_FAILED, lasting, Operation.HARDLINK),
            replace(SYNCED, broken=("certifi",)),
        ),
        "predicted in the synced folder": (finding(Code.LINK_PREDICTED, lasting, Operation.HARDLINK, None), SYNCED),
        "degraded, and the cache could live elsewhere": (
            finding(Code.LINK_DEGRADED, Cause.CROSS_DEVICE, Operation.HARDLINK, None),
            MOVABLE,
        ),
        "degraded by single files, and measured": (
            finding(Code.LINK_DEGRADED, lasting, Operation.HARDLINK),
            replace(TAINTED, trial=LINKED, sample=SAMPLE),
        ),
        "degraded, measured, and the cache could be renamed": (
            finding(Code.LINK_DEGRADED, Cause.CROSS_DEVICE, Operation.HARDLINK, None),
            replace(
                MOVABLE,
                trial=BORDER,
                sample=replace(SAMPLE, links=None),
                homes=(replace(HOME_FOR_CACHE, renamed=True),),
                breaking=(Path("/opt/tools/ruff"), HOME / ".cache/uv/environments-v2/tool-1"),
            ),
        ),
        "degraded, and another cache is there already": (
            finding(Code.LINK_DEGRADED, Cause.CROSS_DEVICE, Operation.HARDLINK, None),
            replace(MOVABLE, homes=(replace(HOME_FOR_CACHE, in_use=True),)),
        ),
        "failed, measured, and the cache could be copied": (
            finding(Code.LINK_FAILED, Cause.CROSS_DEVICE, Operation.HARDLINK),
            replace(MOVABLE, trial=BORDER, sample=replace(SAMPLE, links=None), broken=("certifi",)),
        ),
        "a damaged entry": (
            finding(Code.LINK_FAILED, Cause.CORRUPT_CACHE_ENTRY, Operation.READ),
            replace(KNOWN, broken=("certifi",)),
        ),
        "a damaged entry, from a pasted text": (
            finding(Code.LINK_FAILED, Cause.CORRUPT_CACHE_ENTRY, Operation.READ),
            PASTED,
        ),
        "no space": (finding(Code.LINK_FAILED, Cause.NO_SPACE, Operation.COPY), KNOWN),
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
