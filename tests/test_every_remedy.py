"""Every cause by which a link is refused, met by a real uv on a real file system, against every way out of it.

The file system is the demo's, which refuses links to some files with whatever number it is told.
"""

from dataclasses import replace
from pathlib import Path

import pytest
from kit.cloud import STOPS

from uv_link_doctor import doctor, journal, repair
from uv_link_doctor.engine.model import Cause, Code, Outcome, RemedyKind, Verdict
from uv_link_doctor.engine.remedies import actions, lasts
from uv_link_doctor.host import local_host
from uv_link_doctor.options import Options

NUMBERS = {
    Cause.CROSS_DEVICE: 18,
    Cause.CLOUD_SYNC: 396,
    Cause.UNSUPPORTED_FILESYSTEM: 95,
    Cause.NETWORK_FILESYSTEM: 116,
    Cause.PERMISSION: 13,
    Cause.TOO_MANY_LINKS: 31,
    Cause.TRANSIENT: 11,
    Cause.UNKNOWN: 5,
}
COPIES = (RemedyKind.RETRY_COPY, RemedyKind.SET_LINK_MODE, RemedyKind.SET_LINK_MODE_USER)


@pytest.mark.parametrize("kind", COPIES)
@pytest.mark.parametrize("cause", NUMBERS)
async def test_a_copy_helps_against_every_refused_link(cause, kind, cloud_folder, project, uv_binary):
    folder = cloud_folder(STOPS, os_error=NUMBERS[cause])
    first = project("httpx", root=folder.synced / "first", cache=folder.cache)
    example = project("httpx", root=folder.synced / "second", cache=folder.cache)
    uv = uv_binary("0.9.30")  # It links by default, and a refusal stops it in the middle of a package.
    assert first.run(uv, "sync").returncode == 0
    host = replace(local_host(), environ=example.environ, state=folder.root / "state")
    options = Options(uv_path=str(uv))
    found = await doctor.examine(example.manifest, host, options)
    (finding,) = found.findings
    assert (finding.code, finding.outcome) == (Code.LINK_FAILED, Outcome.FAILED)
    assert (finding.cause, finding.os_error) == (cause, NUMBERS[cause])
    remedy = next(it for it in actions(finding.remedies) if it.kind is kind)
    after = await repair.apply(found, remedy, host, options)
    assert (after.verdict, after.findings) == (Verdict.HEALTHY, ())
    assert example.missing_files() == {}
    assert example.imports("httpx", "certifi.core")

    # What it left is what it said, and can be taken back.
    users = Path(example.environ["HOME"]) / ".config" / "uv" / "uv.toml"
    written = {
        RemedyKind.SET_LINK_MODE: 'link-mode = "copy"' in example.manifest.read_text(),
        RemedyKind.SET_LINK_MODE_USER: users.exists(),
    }
    assert [it for it, there in written.items() if there] == [it for it in written if it is kind]
    if kind is not RemedyKind.RETRY_COPY or lasts(cause):
        await journal.undo(example.manifest, host)
    assert 'link-mode = "copy"' not in example.manifest.read_text()
    assert not users.exists()


@pytest.mark.parametrize("cause", [Cause.CLOUD_SYNC, Cause.UNSUPPORTED_FILESYSTEM, Cause.NETWORK_FILESYSTEM])
async def test_an_environment_in_the_wrong_place_moves(cause, cloud_folder, project, uv_binary):
    folder = cloud_folder(STOPS, os_error=NUMBERS[cause])
    first = project("httpx", root=folder.synced / "first", cache=folder.cache)
    example = project("httpx", root=folder.synced / "second", cache=folder.cache)
    uv = uv_binary("0.9.30")
    assert first.run(uv, "sync").returncode == 0
    # What is tied to the folder already is not the environment's fault: uv fetches that anew.
    host = replace(local_host(), environ=first.environ, state=folder.root / "state")
    options = Options(uv_path=str(uv))
    found = await doctor.examine(example.manifest, host, options)
    offered = {it.kind: it for it in actions(found.findings[0].remedies)}
    assert RemedyKind.MOVE_ENVIRONMENT in offered
    assert next(iter(offered)) is RemedyKind.RETRY_COPY
    assert example.run(uv, "cache", "clean", "certifi").returncode == 0
    after = await repair.apply(found, offered[RemedyKind.MOVE_ENVIRONMENT], host, options)
    assert (after.verdict, after.findings) == (Verdict.HEALTHY, ())
    assert example.environment.is_symlink()
    assert example.missing_files() == {}
    assert min(path.stat().st_nlink for path in example.site_packages.glob("certifi/*.py")) > 1
    for _ in range(3):
        assert example.run(uv, "sync", "--reinstall").returncode == 0
    assert example.missing_files() == {}


async def test_fresh_files_help_where_one_has_too_many_names(cloud_folder, project, uv_binary):
    """In a folder that refuses no link by itself, so that the cache is all that was wrong."""
    folder = cloud_folder(STOPS, os_error=NUMBERS[Cause.TOO_MANY_LINKS])
    first = project("httpx", root=folder.synced / "first", cache=folder.cache)
    example = project("httpx", root=folder.outside / "second", cache=folder.cache)
    uv = uv_binary("0.9.30")
    assert first.run(uv, "sync").returncode == 0
    host = replace(local_host(), environ=example.environ, state=folder.root / "state")
    options = Options(uv_path=str(uv))
    found = await doctor.examine(example.manifest, host, options)
    preferred = next(it for it in found.findings[0].remedies if it.preferred)
    assert preferred.kind is RemedyKind.REPAIR_CACHE
    after = await repair.apply(found, preferred, host, options)
    assert (after.verdict, after.findings) == (Verdict.HEALTHY, ())
    assert example.missing_files() == {}
    assert min(path.stat().st_nlink for path in example.site_packages.glob("certifi/*.py")) > 1
