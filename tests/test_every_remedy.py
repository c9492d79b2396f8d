"""Every remedy against every cause it may be offered for, carried out by a real uv: what it left is looked at.

The rows are `kit.proofs.PROOFS`; that nothing else is offered, `tests/engine/test_remedies.py` shows for all findings.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

import pytest
from kit.proofs import PROOFS, Ground, Patient, Proof

from uv_link_doctor import doctor, journal, repair
from uv_link_doctor.engine.model import RemedyKind, Verdict
from uv_link_doctor.engine.remedies import actions, lasts

CHANGES = {
    RemedyKind.RETRY_COPY: {"memory"},
    RemedyKind.SET_LINK_MODE: {"manifest"},
    RemedyKind.SET_LINK_MODE_USER: {"users"},
    RemedyKind.MOVE_CACHE: {"users", "cache"},
    RemedyKind.MOVE_ENVIRONMENT: {"environment"},
}
"""What is another afterwards, besides the packages; nothing where a kind is not named."""
BY_COPIES = {RemedyKind.RETRY_COPY, RemedyKind.SET_LINK_MODE, RemedyKind.SET_LINK_MODE_USER}
SETTINGS = {RemedyKind.SET_LINK_MODE, RemedyKind.SET_LINK_MODE_USER}


@pytest.fixture
def ground(proof, tmp_path, request, uv_binary, project) -> Iterator[Ground]:
    uv = uv_binary(proof.trouble.uv)
    with ExitStack() as mounts:
        yield Ground(tmp_path, lambda: request.getfixturevalue("other_filesystem"), uv, project, mounts)


@pytest.mark.parametrize("proof", PROOFS, ids=str)
async def test_it_helps(proof: Proof, ground, monkeypatch):
    trouble, kind = proof.trouble, proof.kind
    monkeypatch.setattr(doctor, "PLATFORM", trouble.platform)
    it = trouble.make(ground)
    before = kept(it)
    copies = it.shows("link_mode") == "Copy"

    found = await doctor.examine(it.project.manifest, it.host, it.options)
    (finding,) = found.findings
    said = (finding.code, finding.cause, finding.operation, finding.os_error)
    assert said == (trouble.code, proof.cause, trouble.operation, trouble.number)
    if it.passes is not None:
        it.passes()
        found = await doctor.check(it.project.manifest, it.host, it.options, thorough=True)  # As `fix` does.
        (finding,) = found.findings
    remedy = {remedy.kind: remedy for remedy in actions(finding.remedies)}[kind]
    await assert_well(await repair.apply(found, remedy, it.host, it.options), it)

    # What it left is what it said.
    goes_on = kind is not RemedyKind.RETRY_COPY or lasts(proof.cause)
    changed = {name for name, value in kept(it).items() if value != before[name]}
    assert changed == (CHANGES.get(kind, set()) if goes_on else set())
    assert (it.shows("link_mode") == "Copy") == (copies or kind in SETTINGS)

    # It stays so, also where the trouble does, and can be taken back.
    if goes_on:
        everything = replace(it.options, sync_args=("--reinstall",))
        await assert_well(await doctor.examine(it.project.manifest, it.host, everything), it)
    names = {path.stat().st_nlink for path in it.project.site_packages.glob("certifi/*.py")}
    assert (names == {1}) == (copies or kind in BY_COPIES)
    while it.remembered.journal:
        await journal.undo(it.project.manifest, it.host)
    assert kept(it) == before


async def assert_well(found, it: Patient) -> None:
    found = await doctor.look_at_files(found, it.host, it.options, every=True)
    assert (found.verdict, found.findings) == (Verdict.HEALTHY, ())
    assert found.verification is not None
    assert found.verification.verified
    assert it.project.missing_files() == {}
    assert it.project.imports("httpx", "certifi.core")


def kept(it: Patient) -> dict[str, object]:
    """All that a remedy could change for later runs."""
    return {
        "manifest": it.project.manifest.read_text(),
        "users": it.users_file.read_text() if it.users_file.exists() else None,
        "memory": it.remembered.copy_because,
        "cache": it.shows("cache_dir"),
        "environment": it.project.environment.is_symlink(),
    }
