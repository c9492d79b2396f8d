from pathlib import Path

import pytest
from kit.projects import MakeProject, UvProject
from kit.uv_versions import uv_binary

from uv_link_doctor.host.cache_lock import cache_lock
from uv_link_doctor.host.cache_move import MoveError
from uv_link_doctor.host.environment_move import bring_back, discard, plan_environment, retire


@pytest.fixture
def installed(project: MakeProject) -> UvProject:
    made = project("httpx")
    assert made.run(uv_binary("newest"), "sync").returncode == 0
    return made


def test_an_environment_is_retired_brought_back_and_discarded(installed: UvProject, tmp_path: Path):
    old = installed.environment
    plan = plan_environment(old, tmp_path / "elsewhere", project=installed.root)
    for _ in range(2):
        retire(plan)
        assert not old.exists()
    bring_back(plan)
    assert installed.imports("httpx")
    bring_back(plan)
    with cache_lock(old, exclusive=True, seconds=0), pytest.raises(MoveError, match="at work"):
        retire(plan)
    retire(plan)
    old.mkdir()
    with pytest.raises(MoveError) as caught:
        bring_back(plan)
    assert caught.value.os_error == 17
    discard(plan)
    assert not plan.aside.exists()
    with pytest.raises(MoveError, match="not a virtual environment"):
        retire(plan)
    assert old.is_dir()


@pytest.mark.parametrize("new", [".venv2", "full", "relative"])
def test_bad_places_for_an_environment(installed: UvProject, tmp_path: Path, new: str):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    path = {".venv2": installed.root / new, "full": tmp_path / new, "relative": Path(new)}[new]
    with pytest.raises(MoveError):
        plan_environment(installed.environment, path, project=installed.root)
