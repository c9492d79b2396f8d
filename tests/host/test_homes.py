"""Where else the cache could live: only places from which a link into the environment really worked."""

import os
from pathlib import Path

import pytest

from uv_link_doctor.host.homes import homes, is_a_rename


@pytest.fixture
def environ(tmp_path) -> dict[str, str]:
    (tmp_path / "home").mkdir()
    return {"HOME": str(tmp_path / "home")}


def test_the_default_place_where_it_can_be_linked(tmp_path, other_filesystem, environ):
    project = tmp_path / "work" / "project"
    project.mkdir(parents=True)
    found = homes(other_filesystem / "cache", project / ".venv", project, environ=environ)
    assert found[0] == tmp_path / "home" / ".cache" / "uv"
    assert not found[0].exists()
    assert list(project.iterdir()) == []


def test_a_place_on_the_projects_own_file_system(tmp_path, other_filesystem, environ):
    """The home is elsewhere: the outermost directory there that may be written to serves."""
    project = other_filesystem / "projects" / "one"
    project.mkdir(parents=True)
    (found,) = homes(tmp_path / "cache", project / ".venv", project, environ=environ)
    assert found.name == "uv"
    assert found.parents[1].stat().st_dev == project.stat().st_dev
    assert not found.is_relative_to(project)


def test_no_place_in_a_synced_folder_nor_in_the_project(tmp_path, other_filesystem, environ):
    project = other_filesystem / "one"
    project.mkdir()
    synced = {**environ, "OneDrive": str(other_filesystem.parent)}
    assert homes(tmp_path / "cache", project / ".venv", project, environ=synced) == ()
    inside = {"HOME": str(project), "XDG_CACHE_HOME": str(project / "cache")}
    assert all(not it.is_relative_to(project) for it in homes(tmp_path, project / ".venv", project, environ=inside))


def test_no_place_where_no_link_works(tmp_path, cloud_folder):
    """A relative home says nothing, and what cannot be tried is not proposed."""
    project = Path(os.path.realpath(tmp_path)) / "project"
    project.mkdir()
    folder = cloud_folder()
    found = homes(tmp_path / "cache", folder.synced / ".venv", folder.synced, environ={"HOME": "relative"})
    assert all(it.is_relative_to(folder.root) for it in found)


def test_a_cache_is_renamed_only_on_its_own_mount(tmp_path, other_filesystem, bind_mount):
    cache = tmp_path / "cache"
    cache.mkdir()
    (tmp_path / "disk").mkdir()
    assert is_a_rename(cache, tmp_path / "not" / "there")
    assert not is_a_rename(cache, other_filesystem / "cache")
    assert not is_a_rename(cache, bind_mount(tmp_path / "disk", at=tmp_path / "seen") / "cache")
