"""uv's own cache, filled by several versions of it, read as one project needs it."""

import shutil
from pathlib import Path

import pytest
from kit.cloud import FALLS_BACK, STOPS
from kit.projects import UvProject

from uv_link_doctor.engine.lockfile import versions
from uv_link_doctor.engine.model import Refused
from uv_link_doctor.host.cache import entries, environments_below, refused, sharing, stock, weigh

ALL: dict[str, set[str]] = {"httpx": set(), "idna": set(), "certifi": set()}


@pytest.fixture(params=["0.4.18", "0.7.22", "0.9.30", "newest"])
def filled(request, uv_binary, project) -> UvProject:
    """A project that was installed once, so that its packages are in the cache."""
    example = project("httpx")
    assert example.run(uv_binary(request.param), "sync", "--link-mode", "hardlink").returncode == 0
    return example


def cache(example: UvProject) -> Path:
    return Path(example.environ["UV_CACHE_DIR"])


def test_the_wheels_of_a_project_are_found_by_name(filled):
    found = entries(cache(filled), ALL)
    assert [entry.package for entry in found] == ["certifi", "httpx", "idna"]
    for entry in found:
        assert (entry.path / entry.dist_info / "METADATA").is_file()
        assert {name for name, _ in entry.files()} <= {
            str(path.relative_to(entry.path)) for path in entry.path.rglob("*") if path.is_file()
        }
    (certifi, *_) = found
    assert entries(cache(filled), {"certifi": {certifi.version}}) == (certifi,)
    assert entries(cache(filled), {"certifi": {"0"}, "nothing": set()}) == ()


def test_a_cache_that_was_moved_is_read_where_it_is(filled, tmp_path):
    """The links in old caches are absolute."""
    moved = tmp_path / "elsewhere"
    shutil.move(cache(filled), moved)
    assert [entry.path.is_relative_to(moved) for entry in entries(moved, ALL)] == [True] * 3


def test_a_lockfile_names_what_is_wanted(filled):
    wanted = versions((filled.root / "uv.lock").read_text())
    assert wanted.keys() == {"certifi", "httpx", "idna"}
    assert weigh(stock(cache(filled), wanted)).unknown == 0


def test_the_weight_is_that_of_the_files(filled):
    wanted = {**ALL, "unheard-of": set()}
    weight = weigh(stock(cache(filled), wanted))
    files = [
        path
        for entry in entries(cache(filled), ALL)
        for path in entry.path.rglob("*")
        if path.is_file() and path.name != "RECORD"
    ]
    assert (weight.files - 3, weight.size) == (len(files), sum(path.stat().st_size for path in files))
    assert (weight.packages, weight.unknown) == (3, 1)
    assert sum(count for count, _ in weight.each.values()) == weight.files


def test_a_cache_that_nobody_has_made_or_may_read_is_empty(tmp_path):
    assert entries(tmp_path / "none", ALL) == ()
    (tmp_path / "wheels-v5").write_text("a file")
    assert entries(tmp_path, ALL) == ()
    weight = weigh(stock(tmp_path, ALL))
    assert (weight.files, weight.unknown) == (0, 3)


@pytest.mark.parametrize("every_file", [True, False])
def test_nothing_refuses_on_a_healthy_file_system_and_nothing_stays(filled, every_file):
    before = sorted(cache(filled).iterdir())
    assert refused(cache(filled), entries(cache(filled), ALL), every_file=every_file) == ()
    assert sorted(cache(filled).iterdir()) == before


def test_one_file_of_a_wheel_that_was_taken_over(spoiled):
    example = spoiled(STOPS)
    found = entries(cache(example), ALL)
    assert refused(cache(example), found, every_file=False) == ()
    named = f"/another/way/to/it/{next(it.path.name for it in found if it.package == 'certifi')}/certifi/core.py"
    assert len(refused(cache(example), found, every_file=False, named=[named, "/c/archive-v0/x/certifi/core.py"])) == 1
    (refusal,) = refused(cache(example), found, every_file=True)
    assert (refusal.package, refusal.name, refusal.os_error) == ("certifi", Path("certifi/core.py"), 396)
    assert refused(cache(example), found, every_file=True, passive=True) == ()
    assert not list(cache(example).glob(".uv-link-doctor-*"))

    places = [*environments_below([example.root.parent])]
    assert places == [example.environment]
    assert sharing(refusal, places) == (example.environment,)
    assert sharing(refusal, [example.root]) == ()
    assert sharing(Refused("a", "1", Path("/no/such"), Path("x"), 1), places) == ()


def test_all_files_taken_over_show_by_one_each(spoiled):
    example = spoiled(FALLS_BACK)
    told = refused(cache(example), entries(cache(example), ALL), every_file=False)
    assert {(it.package, it.os_error) for it in told} == {("certifi", 396), ("httpx", 396), ("idna", 396)}


def test_a_look_for_environments_is_bounded(tmp_path):
    for number in range(3):
        (tmp_path / f"p{number}" / ".venv").mkdir(parents=True)
        (tmp_path / f"p{number}" / ".venv" / "pyvenv.cfg").touch()
    deep = tmp_path.joinpath(*"abcdefg", ".venv")
    deep.mkdir(parents=True)
    (deep / "pyvenv.cfg").touch()
    assert [*environments_below([tmp_path])] == [tmp_path / f"p{number}" / ".venv" for number in range(3)]
    assert [*environments_below([Path("relative"), tmp_path / "none"])] == []
