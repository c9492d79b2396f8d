"""The remedies that change more than the project's own files, chosen in the window: asked about, proven, taken back."""

from __future__ import annotations

from pathlib import Path

import pytest
from kit.cloud import STOPS, CloudFolder, MountCloud
from kit.projects import MakeProject, UvProject
from kit.vscode import OpenWorkbench, Workbench, eventually, opened

UNDO = "uv Link Doctor: Take Back the Last Repair"


@pytest.fixture
def folder(cloud_folder: MountCloud, project: MakeProject, uv: Path) -> CloudFolder:
    """A synced folder, with a project in it that was installed by hard links, so that the cache is tied to it."""
    mounted = cloud_folder(STOPS)
    first = synced(mounted, project, "first")
    assert first.run(uv, "sync").returncode == 0
    return mounted


def synced(folder: CloudFolder, project: MakeProject, name: str, *, outside: bool = False) -> UvProject:
    """A project in the synced folder or beside it, where everybody knows which folder is synced."""
    root = (folder.outside if outside else folder.synced) / name
    example = project("typing-extensions", "httpx", root=root, cache=folder.cache)
    example.environ.update({"OneDriveCommercial": str(folder.synced), "UV_LINK_MODE": "hardlink"})
    return example


async def chosen(window: Workbench, finding: str, title: str, answer: str) -> str:
    """Chooses the quick fix that begins so for the finding that says this; all that was asked before it was done."""
    problem = await window.wait_for_problem(finding)
    await window.go_to(problem.line, problem.column + 1)  # Somewhere else than now, so that the editor asks again.
    titles = await eventually(window.quick_fixes, lambda found: any(it.startswith(title) for it in found))
    await window.choose_quick_fix(next(it for it in titles if it.startswith(title)))
    question = await window.notification(f"{title}")
    assert question.buttons == ("Go ahead", "Not now")
    await window.notification_button(title, answer)
    return question.message


def file_of(cache: Path, name: str) -> Path:
    """The one file of an unpacked wheel that has this name."""
    [found] = cache.glob(f"archive-v*/*/{name}")
    return found


def names(example: UvProject) -> set[int]:
    """How many names each file of certifi has."""
    return {path.stat().st_nlink for path in example.site_packages.glob("certifi/*.py")}


async def test_fresh_files_for_the_cache_after_a_no_and_a_yes(folder, project, uv, workbench: OpenWorkbench):
    example = synced(folder, project, "outside", outside=True)
    window = await opened(workbench, example, uv)
    await window.save()
    core = file_of(folder.cache, "certifi/core.py")
    before = core.stat().st_ino
    asked = await chosen(window, "link-failed", "Give `certifi` fresh files in uv's cache", "Not now")
    assert "nothing is downloaded" in asked
    await window.wait_for_no_notification("Give `certifi` fresh files")
    assert core.stat().st_ino == before

    await chosen(window, "link-failed", "Give `certifi` fresh files in uv's cache", "Go ahead")
    await window.wait_for_no_problem()
    await window.language_status("uv: healthy")
    assert core.stat().st_ino != before
    assert example.missing_files() == {}
    assert min(names(example)) > 1


async def test_the_environment_leaves_the_synced_folder_and_comes_back(folder, project, uv, workbench: OpenWorkbench):
    example = synced(folder, project, "inside")
    # From where the cache can be linked.
    example.environ["XDG_STATE_HOME"] = str(folder.root / "state")
    window = await opened(workbench, example, uv)
    await window.palette("uv Link Doctor: Check the Project Without Installing")  # With a trial, which opening has not.
    asked = await chosen(window, "a trial with one temporary file showed", "Move the environment to `", "Go ahead")
    assert "makes `.venv` a link to it" in asked
    await window.wait_for_no_problem()
    await window.language_status("uv: healthy")
    assert example.environment.is_symlink()
    assert example.environment.resolve().is_relative_to(folder.root / "state")
    assert example.missing_files() == {}
    await window.palette(UNDO)
    await window.notification("Taken back: ")
    assert not example.environment.is_symlink()


async def test_the_cache_moves_and_the_users_own_file_says_so(project, other_filesystem, uv, workbench: OpenWorkbench):
    example = project("idna", "httpx")
    del example.environ["UV_CACHE_DIR"]
    users = Path(example.environ["XDG_CONFIG_HOME"]) / "uv" / "uv.toml"
    users.parent.mkdir(parents=True)
    text = f'cache-dir = "{other_filesystem / "cache"}"\n'
    users.write_text(text)
    window = await opened(workbench, example, uv)
    await window.save()
    await chosen(window, "link-degraded", "Move uv's cache to `", "Go ahead")
    await window.wait_for_no_problem()
    await window.language_status("uv: healthy")
    home = Path(example.environ["XDG_CACHE_HOME"]) / "uv"
    assert users.read_text() == f'cache-dir = "{home}"\n'
    assert example.missing_files() == {}
    await window.palette(UNDO)
    await window.notification(f"uv's cache is in `{other_filesystem / 'cache'}` again")
    assert users.read_text() == text


async def test_the_users_own_file_says_copy(project, other_filesystem, uv, workbench: OpenWorkbench):
    example = project("idna", "httpx", cache=other_filesystem / "cache")
    users = Path(example.environ["XDG_CONFIG_HOME"]) / "uv" / "uv.toml"
    window = await opened(workbench, example, uv)
    await window.save()
    await chosen(window, "link-degraded", 'Set `link-mode = "copy"` in your own uv.toml', "Go ahead")
    await window.wait_for_no_problem()
    assert users.read_text() == 'link-mode = "copy"\n'
    assert example.missing_files() == {}
    await window.palette(UNDO)
    await window.notification("Taken back: ")
    assert not users.exists()


async def test_a_damaged_package_is_fetched_again(project, uv, workbench: OpenWorkbench):
    example = project("idna", "httpx")
    assert example.run(uv, "sync").returncode == 0
    file_of(Path(example.environ["UV_CACHE_DIR"]), "certifi-*.dist-info/METADATA").write_bytes(b"")
    example.run("rm", "-rf", example.environment)
    window = await opened(workbench, example, uv)
    await window.save()
    asked = await chosen(window, "link-failed", "Remove `certifi` from uv's cache and install again", "Go ahead")
    assert "uv downloads it again" in asked
    await window.wait_for_no_problem()
    await window.language_status("uv: healthy")
    assert example.missing_files() == {}
