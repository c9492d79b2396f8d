"""A measurement on a few files: it counts them, compares copies and links, and leaves nothing behind."""

import os
from pathlib import Path

import pytest
from kit.cloud import FALLS_BACK
from kit.projects import UvProject

from uv_link_doctor.engine.model import Sample
from uv_link_doctor.host.cache import Entry, entries, refused
from uv_link_doctor.host.claims import claim_new, give_up
from uv_link_doctor.host.sample import SECONDS_AT_MOST, sample

ALL: dict[str, set[str]] = {"httpx": set(), "idna": set(), "certifi": set()}
KB, MB = 1 << 10, 1 << 20


@pytest.fixture
def example(project, uv_binary) -> UvProject:
    installed: UvProject = project("httpx")
    assert installed.run(uv_binary("newest"), "sync").returncode == 0
    return installed


def wheel(place: Path, sizes: list[int]) -> Entry:
    """An unpacked wheel with files of these sizes, as RECORD says."""
    dist_info = place / "files-1.dist-info"
    dist_info.mkdir(parents=True)
    for number, size in enumerate(sizes):
        with (place / str(number)).open("wb") as file:
            file.truncate(size)
    (dist_info / "RECORD").write_text("".join(f"{number},,{size}\n" for number, size in enumerate(sizes)))
    return Entry("files", "1", place, dist_info.name)


def names(*places: Path) -> list[str]:
    return sorted(path.name for place in places for path in place.iterdir())


def measured(found: tuple[Entry, ...], cache: Path, environment: Path, *, seconds: float = 60) -> Sample:
    """Of all files, however busy the machine is."""
    taken = sample(found, cache, environment, seconds=seconds)
    assert taken is not None
    assert taken.copies > 0
    return taken


def test_copies_and_links(example):
    cache = Path(example.environ["UV_CACHE_DIR"])
    found, before = entries(cache, ALL), names(cache, example.environment)
    taken = measured(found, cache, example.environment)
    files = [size for entry in found for _, size in entry.files()]
    assert (taken.files, taken.size, taken.times) == (len(files), sum(files), 1)
    assert taken.links is not None
    assert names(cache, example.environment) == before
    assert sample((), cache, example.environment) is None


def test_what_a_killed_one_left_is_removed_and_nobody_elses(tmp_path):
    dead, living = claim_new(tmp_path), claim_new(tmp_path)
    (dead.path / "0").touch()
    os.close(dead.handle)
    measured((wheel(tmp_path / "archive", [10]),), tmp_path, tmp_path)
    assert names(tmp_path) == sorted([living.path.name, "archive"])
    give_up(living)


def test_a_link_of_such_a_name_that_came_with_a_project_is_left_alone(tmp_path):
    """What it leads to looks like a directory of ours, and may be the project itself."""
    (tmp_path / "owner").touch()
    (tmp_path / "work.py").write_text("mine")
    (tmp_path / ".uv-link-doctor-00ff").symlink_to(".")
    before = names(tmp_path)
    measured((wheel(tmp_path / "archive", [10]),), tmp_path, tmp_path)
    assert names(tmp_path) == sorted([*before, "archive"])


def test_no_links_between_file_systems(tmp_path, other_filesystem):
    found = (wheel(other_filesystem / "archive", [10, 20]),)
    taken = measured(found, other_filesystem, tmp_path / "not" / "there")
    assert taken.links is None
    assert (names(tmp_path), names(other_filesystem)) == ([], ["archive"])


def test_of_much_only_a_part_is_copied(tmp_path):
    """A few seconds of work for a whole copy, told by a moment of it."""
    sizes = [KB] * 3_000 + [300 * MB]
    found = (wheel(tmp_path / "archive", sizes),)
    taken = measured(found, tmp_path, tmp_path, seconds=SECONDS_AT_MOST)
    assert taken.files <= 200
    assert taken.size < 50 * MB
    assert taken.copies + (taken.links or 0) < SECONDS_AT_MOST + 1
    pieces = 3_000 + 300 * MB // (256 * KB)
    assert taken.times == pytest.approx(pieces / taken.files)
    assert taken.size * taken.times == pytest.approx(sum(sizes), rel=0.5)


def test_a_slow_disk_is_left_alone_after_the_first_copy(tmp_path):
    taken = sample((wheel(tmp_path / "archive", [KB] * 100),), tmp_path, tmp_path, seconds=0)
    assert taken is not None
    assert (taken.files, taken.size, taken.times) == (1, KB, 100)


def test_a_synced_folder_takes_over_no_file_of_the_cache(cloud_folder, project, uv_binary):
    folder = cloud_folder(FALLS_BACK)
    outside = project("httpx", root=folder.outside / "app", cache=folder.cache)
    assert outside.run(uv_binary("newest"), "sync").returncode == 0
    found = entries(folder.cache, ALL)
    taken = measured(found, folder.cache, folder.synced / "app" / ".venv")
    assert taken.files == sum(1 for entry in found for _ in entry.files())
    assert refused(folder.cache, found, every_file=True) == ()
    assert names(folder.synced) == []


def test_what_cannot_be_copied_ends_it(tmp_path):
    entry = wheel(tmp_path / "archive", [KB])
    (tmp_path / "archive" / "0").unlink()
    assert sample((entry,), tmp_path, tmp_path) is None
    assert names(tmp_path) == ["archive"]


def test_where_nothing_can_be_written(example, bind_mount):
    cache = Path(example.environ["UV_CACHE_DIR"])
    bind_mount(example.root, at=example.root, read_only=True)
    assert sample(entries(cache, ALL), cache, example.environment) is None


def test_a_cache_that_takes_no_file_leaves_the_copies(tmp_path, bind_mount):
    found = (wheel(tmp_path / "cache" / "archive", [KB]),)
    bind_mount(tmp_path / "cache", at=tmp_path / "cache", read_only=True)
    assert measured(found, tmp_path / "cache", tmp_path).links is None
