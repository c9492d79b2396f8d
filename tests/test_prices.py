"""What remedies say beforehand that they take: measured on this machine, and only where trial files are wanted."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from kit.cloud import STOPS
from kit.projects import UvProject

from uv_link_doctor import doctor
from uv_link_doctor.engine.model import Code, Examination, RemedyKind
from uv_link_doctor.host import local_host
from uv_link_doctor.options import Options

COPIES = (RemedyKind.RETRY_COPY, RemedyKind.SET_LINK_MODE, RemedyKind.SET_LINK_MODE_USER)
MEASURED = re.compile(
    r"^makes a whole install copy \d+ files, \d+ bytes: (about [\d.]+|less than 0\.1) s here"
    r", where links would take (about [\d.]+|less than 0\.1) s, and as much space again$"
)
WEIGHED = re.compile(r"^makes a whole install copy \d+ files, \d+ bytes, where links would take next to nothing$")
NO_DIFFERENCE = re.compile(r"^uv copies here with or without it, so that only the warning goes$")


def told(examination: Examination, code: Code, *kinds: RemedyKind) -> list[tuple[str, ...]]:
    """What the remedies of these kinds against the one such finding change."""
    (finding,) = [it for it in examination.findings if it.code is code]
    return [remedy.changes for remedy in finding.remedies if remedy.kind in kinds]


def all_files(*places: Path) -> list[Path]:
    return sorted(path for place in places for path in place.rglob("*") if ".uv-link-doctor" in path.name)


@pytest.fixture
def looked(tmp_path):
    """`looked(example, uv, run=True, passive=True)`: what a run, or a look without one, finds."""

    async def look(example: UvProject, uv: Path, *, run: bool, **settings: bool) -> Examination:
        host = replace(local_host(), environ=example.environ, state=tmp_path / "state")
        options = Options(
            uv_path=str(uv), passive=settings.get("passive", False), trusted=settings.get("trusted", True)
        )
        return await (doctor.examine if run else doctor.check)(example.manifest, host, options)

    return look


async def test_where_links_work_copies_have_a_price(looked, cloud_folder, project, uv_binary):
    folder, uv = cloud_folder(STOPS), uv_binary("newest")
    synced = project("httpx", root=folder.synced / "first", cache=folder.cache)
    assert synced.run(uv, "sync", "--link-mode", "hardlink").returncode == 0
    example = project("httpx", root=folder.outside / "app", cache=folder.cache)
    example.environ["UV_LINK_MODE"] = "hardlink"
    example.environ["OneDrive"] = str(folder.synced)

    failed = await looked(example, uv, run=True)
    (changes,) = told(failed, Code.LINK_FAILED, RemedyKind.RETRY_COPY)
    assert [change for change in changes if MEASURED.match(change)], changes
    (changes,) = told(failed, Code.LINK_FAILED, RemedyKind.REPAIR_CACHE)
    assert re.search(
        r"^copies within the cache at most \d+ files, \d+ bytes: (about|less than) ", "\n".join(changes), re.MULTILINE
    )

    for settings in ({"passive": True}, {"trusted": False}):
        # The first run has left it incomplete, and over that uv ends well.
        again = await looked(example, uv, run=True, **settings)
        (changes,) = told(again, Code.ENVIRONMENT_BROKEN, RemedyKind.RETRY_COPY)
        assert [change for change in changes if WEIGHED.match(change)], settings
    assert all_files(folder.root) == []


async def test_where_no_link_works_copies_have_none(looked, project, uv_binary, other_filesystem, tmp_path):
    example, uv = project("httpx"), uv_binary("newest")
    del example.environ["UV_CACHE_DIR"]  # Else no file could name another place.
    users = Path(example.environ["HOME"]) / ".config" / "uv" / "uv.toml"
    users.parent.mkdir(parents=True)
    users.write_text(f'cache-dir = "{other_filesystem / "cache"}"\n')
    for code, run in ((Code.LINK_DEGRADED, True), (Code.LINK_PREDICTED, False)):
        if not run:
            (tmp_path / "state").rename(tmp_path / "forgotten")
        found = await looked(example, uv, run=run)
        changes = told(found, code, *COPIES)
        assert len(changes) == 3
        assert all(any(map(NO_DIFFERENCE.match, it)) for it in changes)
        (move,) = told(found, code, RemedyKind.MOVE_CACHE)
        assert re.match(r"copies uv's cache from `.*` to `.*` \(.* are free there\); the old one stays", move[0])
    assert all_files(other_filesystem, example.root) == []


async def test_copies_that_share_their_data_take_no_space(looked, loop_mount, project, uv_binary):
    """btrfs links and clones: what a synced folder there should copy takes next to nothing on the disk."""
    disk, uv = loop_mount("btrfs"), uv_binary("newest")
    example = project("httpx", root=disk / "OneDrive" / "app", cache=disk / "cache")
    example.environ.update({"UV_LINK_MODE": "hardlink", "OneDrive": str(disk / "OneDrive")})
    assert example.run(uv, "sync").returncode == 0
    changes = told(await looked(example, uv, run=False), Code.LINK_PREDICTED, RemedyKind.RETRY_COPY)
    assert any(change.endswith("and next to no space, since copies share their data here") for change in changes[0])
