"""Real environments lose their name to a link, with and without the one step, and get it back wherever it ended."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from kit.projects import MakeProject, UvProject
from kit.uv_versions import uv_binary

from uv_link_doctor.host import environment_move
from uv_link_doctor.host.cache_lock import cache_lock
from uv_link_doctor.host.cache_move import MoveError
from uv_link_doctor.host.environment_move import clear, lead, settle, take_back, taken_up
from uv_link_doctor.host.homes import moved_environment


@pytest.fixture
def installed(project: MakeProject) -> UvProject:
    made = project("httpx")
    assert made.run(uv_binary("newest"), "sync").returncode == 0
    return made


@pytest.fixture
def new(installed: UvProject, tmp_path: Path) -> Path:
    """Another environment of the project, elsewhere."""
    path = moved_environment(tmp_path / "state", installed.root)
    elsewhere = UvProject(installed.root, installed.environ | {"UV_PROJECT_ENVIRONMENT": str(path)})
    assert elsewhere.run(uv_binary("newest"), "sync").returncode == 0
    return path


@pytest.fixture(params=[True, False], ids=["in one step", "in two"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if not request.param:
        monkeypatch.setattr(environment_move, "exchange", lambda *_: False)


def beside(old: Path) -> list[Path]:
    return sorted(old.parent.glob(f"{old.name}-*"))


def as_directory(_: Path) -> None: ...


def as_link(old: Path) -> None:
    old.rename(old.parent.parent / "users")
    old.symlink_to(old.parent.parent / "users")


def as_redirecting_file(old: Path) -> None:
    as_link(old)
    old.unlink()
    old.write_text(str(old.parent.parent / "users"))


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("kind", [as_directory, as_link, as_redirecting_file])
def test_the_old_one_is_kept_until_it_is_settled(installed: UvProject, new: Path, kind: Callable[[Path], None]):
    old = installed.environment
    kind(old)
    lead(old, new)
    assert old.readlink() == new
    assert installed.imports("httpx")
    assert len(beside(old)) == 1
    assert take_back(old, new), "the old one has its name again"
    assert not old.is_symlink() or kind is as_link
    assert (old / "pyvenv.cfg").exists() or old.is_file()
    assert not new.exists()
    assert beside(old) == []
    assert take_back(old, new)


@pytest.mark.usefixtures("way")
def test_what_is_settled_is_gone(installed: UvProject, new: Path):
    old = installed.environment
    lead(old, new)
    settle(old)
    assert beside(old) == []
    assert installed.imports("httpx")
    assert not take_back(old, new)
    assert not os.path.lexists(old)
    assert not new.exists()


def test_a_name_that_nothing_has_yet(installed: UvProject, new: Path):
    old = installed.environment
    installed.run("rm", "-rf", old)
    lead(old, new)
    assert installed.imports("httpx")
    assert beside(old) == []


def test_an_environment_at_work_and_one_that_is_none_keep_their_names(installed: UvProject, new: Path):
    old = installed.environment
    with cache_lock(old, exclusive=True, seconds=0), pytest.raises(MoveError, match="at work"):
        lead(old, new)
    assert installed.imports("httpx")
    assert beside(old) == []
    lead(old, new)
    with cache_lock(new, exclusive=True, seconds=0), pytest.raises(MoveError, match="at work"):
        take_back(old, new)
    assert old.readlink() == new
    take_back(old, new)
    (old / "pyvenv.cfg").unlink()
    with pytest.raises(MoveError, match="not a virtual environment"):
        lead(old, new)
    assert old.is_dir()


def test_what_is_half_deleted_is_not_brought_back(installed: UvProject):
    old = installed.environment
    half = old.with_name(".venv-uv-link-doctor-0")
    old.rename(half)
    (half / "pyvenv.cfg").unlink()
    settle(old)
    assert not os.path.lexists(old)
    assert not half.exists()


def test_an_environment_that_came_meanwhile_does_not_cost_the_one_beside(installed: UvProject):
    old = installed.environment
    aside = old.with_name(".venv-uv-link-doctor-0")
    old.rename(aside)
    assert installed.run(uv_binary("newest"), "sync").returncode == 0
    settle(old)
    assert (aside / "pyvenv.cfg").exists()
    assert installed.imports("httpx")


def test_a_begun_place_is_cleared_unless_uv_can_go_on_with_it(new: Path):
    clear(new)
    assert (new / "pyvenv.cfg").exists()
    (new / "pyvenv.cfg").unlink()
    clear(new)
    assert not new.exists()


@pytest.mark.parametrize("version", ["0.4.18", "0.9.30", "newest"])
@pytest.mark.parametrize("left", ["nothing", "half of it"])
def test_a_moved_environment_that_was_deleted_is_made_anew(
    installed: UvProject, new: Path, tmp_path: Path, version: str, left: str
):
    old = installed.environment
    assert taken_up(old, tmp_path / "state") == {}
    lead(old, new)
    assert taken_up(old, tmp_path / "state") == {}
    assert beside(old) == []
    installed.run("rm", "-rf", *([new] if left == "nothing" else new.glob("[!l]*")))
    told = taken_up(old, tmp_path / "state")
    again = UvProject(installed.root, installed.environ | told)
    assert again.run(uv_binary(version), "sync").returncode == 0
    assert old.readlink() == new
    assert installed.imports("httpx")
    assert installed.missing_files() == {}


def test_other_links_are_uvs_to_judge(installed: UvProject, tmp_path: Path):
    old = installed.environment
    installed.run("rm", "-rf", old)
    old.symlink_to(tmp_path / "elsewhere")
    assert taken_up(old, tmp_path / "state") == {}
