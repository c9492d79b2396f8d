"""Where else the cache could live: only places from which a link into the environment really worked."""

import os
import shutil
from pathlib import Path

import pytest
from kit.need import need

from uv_link_doctor.host.homes import homes, is_a_rename


@pytest.fixture
def environ(tmp_path) -> dict[str, str]:
    (tmp_path / "home").mkdir()
    return {"HOME": str(tmp_path / "home")}


def test_the_default_place_where_it_can_be_linked(tmp_path, other_filesystem, environ):
    project = tmp_path / "work" / "project"
    project.mkdir(parents=True)
    found = homes(other_filesystem / "cache", project / ".venv", project, environ=environ)
    assert found[0].path == tmp_path / "home" / ".cache" / "uv"
    assert not found[0].path.exists()
    assert found[0].free_bytes
    assert list(project.iterdir()) == []


def test_a_place_on_the_projects_own_file_system(tmp_path, other_filesystem, environ):
    """The home is elsewhere: the outermost directory there that may be written to serves."""
    project = other_filesystem / "projects" / "one"
    project.mkdir(parents=True)
    (found,) = homes(tmp_path / "cache", project / ".venv", project, environ=environ)
    assert found.path.name == "uv"
    assert found.path.parents[1].stat().st_dev == project.stat().st_dev
    assert not found.path.is_relative_to(project)


def test_no_place_in_a_synced_folder_nor_in_the_project(tmp_path, other_filesystem, environ):
    project = other_filesystem / "one"
    project.mkdir()
    synced = {**environ, "OneDrive": str(other_filesystem.parent)}
    assert homes(tmp_path / "cache", project / ".venv", project, environ=synced) == ()
    inside = {"HOME": str(project), "XDG_CACHE_HOME": str(project / "cache")}
    assert all(
        not it.path.is_relative_to(project) for it in homes(tmp_path, project / ".venv", project, environ=inside)
    )


def test_no_place_where_no_link_works(tmp_path, cloud_folder):
    """A relative home says nothing, and what cannot be tried is not proposed."""
    project = Path(os.path.realpath(tmp_path)) / "project"
    project.mkdir()
    folder = cloud_folder()
    found = homes(tmp_path / "cache", folder.synced / ".venv", folder.synced, environ={"HOME": "relative"})
    assert all(it.path.is_relative_to(folder.root) for it in found)


def test_a_cache_is_renamed_only_on_its_own_mount(tmp_path, other_filesystem, bind_mount):
    cache = tmp_path / "cache"
    cache.mkdir()
    (tmp_path / "disk").mkdir()
    assert is_a_rename(cache, tmp_path / "not" / "there")
    assert not is_a_rename(cache, other_filesystem / "cache")
    assert not is_a_rename(cache, bind_mount(tmp_path / "disk", at=tmp_path / "seen") / "cache")


def test_what_is_there_already(tmp_path, other_filesystem, environ):
    """Another cache is used, what is none is left alone."""
    project, cache = tmp_path / "project", other_filesystem / "cache"
    project.mkdir()
    cache.mkdir()
    (cache / "CACHEDIR.TAG").touch()
    default = tmp_path / "home" / ".cache" / "uv"

    def found() -> list[tuple[bool, bool]]:
        there = homes(cache, project / ".venv", project, environ=environ)
        return [(it.in_use, it.renamed) for it in there if it.path == default]

    default.mkdir(parents=True)
    assert found() == [(False, False)]
    (default / "mine").touch()
    assert found() == []
    tag = default / "CACHEDIR.TAG"
    tag.touch()
    os.utime(tag, ns=(0, 0))
    assert found() == [(True, False)]
    made = (cache / "CACHEDIR.TAG").stat()
    os.utime(tag, ns=(made.st_atime_ns, made.st_mtime_ns))
    assert found() == [(True, False)], "a copy that somebody has made is theirs"
    shutil.rmtree(default)
    default.symlink_to(cache)
    assert found() == []  # The one that is in force.


@pytest.mark.parametrize("theirs", [".cache", ".cache/uv"])
def test_no_place_that_somebody_else_has_made(theirs, tmp_path, other_filesystem, environ):
    need(os.geteuid() == 0, "only root gives directories away")
    project, place = tmp_path / "project", tmp_path / "home" / theirs
    project.mkdir()
    place.mkdir(parents=True)
    default = tmp_path / "home" / ".cache" / "uv"

    def offered() -> bool:
        return default in {
            it.path for it in homes(other_filesystem / "cache", project / ".venv", project, environ=environ)
        }

    assert offered()
    os.chown(place, 65534, 65534)
    assert not offered()


def test_never_at_the_root_of_the_system(tmp_path):
    """Where root works in a container, that could be written to."""
    project = tmp_path / "project"
    project.mkdir()
    assert Path("/.cache/uv") not in {it.path for it in homes(tmp_path, project / ".venv", project, environ={})}
