"""The extension as people meet it: installed into a real VS Code, driven through its window by keyboard and mouse.

The pictures that the READMEs show are taken by the first test: `UV_LINK_DOCTOR_SCREENSHOTS=extension/images`.
"""

import os
import tomllib
from pathlib import Path

import pytest
from kit import vscode
from kit.cloud import STOPS
from kit.projects import UvProject
from kit.real_editor import MODULES
from kit.vscode import Workbench

COPY = "Install `certifi` by copying instead of linking"
SET = 'Set `link-mode = "copy"` in pyproject.toml, for everyone who works on this project'
MEMBERS = '[tool.uv.workspace]\nmembers = ["packages/*"]\n'


@pytest.fixture
def viewport():
    """As large as a picture in a README is legible."""
    return {"width": 1080, "height": 640}


@pytest.fixture
def folder(cloud_folder, project, uv):
    """A synced folder, in which one project was installed before, so that its client has taken charge of the files."""
    mounted = cloud_folder(STOPS)
    assert (
        project("typing-extensions", "httpx", root=mounted.synced / "first", cache=mounted.cache)
        .run(uv, "sync")
        .returncode
        == 0
    )
    return mounted


@pytest.fixture
def synced(folder, project) -> UvProject:
    return project("typing-extensions", "httpx", root=folder.synced / "example", cache=folder.cache)


class HeldUv:
    """The real uv, which waits for our word before it reinstalls: a repair that takes a while."""

    def __init__(self, uv: Path, place: Path) -> None:
        self.gate, self.path = place / "gate", place / "uv"
        os.mkfifo(self.gate)
        wait = (
            f'case "$*" in *--reinstall-package*--dry-run*) ;; *--reinstall-package*) read -r _ < "{self.gate}" ;; esac'
        )
        self.path.write_text(f'#!/bin/sh\n{wait}\nexec "{uv}" "$@"\n')
        self.path.chmod(0o755)

    def let_go(self) -> None:
        self.gate.write_text("go\n")


async def opened(workbench, example: UvProject, uv: Path, *, root: Path | None = None) -> Workbench:
    """A window with the project in front, of which nothing is known yet."""
    window = await vscode.opened(workbench, example, uv, root=root)
    await window.wait_for_language_status("uv: not known")
    return window


async def test_the_report_that_started_it_from_save_to_proof(synced, uv, workbench, tmp_path):
    held = HeldUv(uv, tmp_path)
    window = await opened(workbench, synced, held.path)
    await window.save()

    squiggle = await window.wait_for_squiggle("error")
    assert (squiggle.text, squiggle.line) == ("httpx", 7)
    problem = await window.wait_for_problem("os error 396")
    assert (problem.severity, problem.line, problem.source, problem.code) == (
        "error",
        7,
        "uv-link-doctor",
        "link-failed",
    )
    first, *_ = problem.message.splitlines()
    assert first.startswith("uv cannot link a file that a cloud client such as OneDrive keeps in sync (os error 396)")
    await window.screenshot("squiggle", height=502)

    await window.palette("uv Link Doctor: Open the Doctor Page")
    page = await window.webview_frame("uv Link Doctor: example")
    await page.get_by_role("button", name="Install certifi by copying instead of linking").wait_for()
    await window.hide_panel()
    await window.screenshot("page", height=600)

    await window.open_file("pyproject.toml")
    await window.go_to(7, 8)
    async with window.quick_fix_menu() as titles:
        assert titles[:2] == [COPY, SET]
        await window.screenshot("quick-fix", height=330)
    await window.choose_quick_fix(COPY)
    await window.progress_notification("uv sync: example")
    await window.screenshot("progress")
    held.let_go()
    await window.wait_for_no_problem()
    assert await window.squiggles() == []
    await window.wait_for_no_notification("uv sync: example")
    assert synced.missing_files() == {}
    assert synced.imports(*MODULES)
    assert "link-mode" not in synced.manifest.read_text()
    assert (await window.language_status("uv: healthy")).severity == "info"
    await window.screenshot("repaired")


async def test_where_copies_are_remembered_the_terminals_copy_too_until_it_is_taken_back(synced, uv, workbench):
    window = await opened(workbench, synced, uv)
    await window.new_terminal()
    assert await window.terminal_run('echo "mode=$UV_LINK_MODE"') == "mode="
    await window.open_file("pyproject.toml")
    await window.save()
    await window.wait_for_squiggle("error")
    await window.go_to(7, 8)
    await window.choose_quick_fix(COPY)
    await window.wait_for_no_problem()
    said = await window.language_status("Terminals: UV_LINK_MODE=copy")
    assert (said.detail, said.command) == ("new terminals of this folder copy, too", "Take Back")
    await window.new_terminal()
    assert await window.terminal_run('echo "mode=$UV_LINK_MODE"') == "mode=copy"
    await window.screenshot("terminal")

    await window.palette("uv Link Doctor: Take Back the Last Repair")
    await window.notification("Taken back: our runs in this project use the link mode in force again.")
    await window.new_terminal()
    assert await window.terminal_run('echo "mode=$UV_LINK_MODE"') == "mode="


async def test_the_edit_of_a_setting_is_the_editors_own_and_can_be_undone(project, other_filesystem, uv, workbench):
    example = project("idna", "httpx", cache=other_filesystem / "cache")
    window = await vscode.opened(workbench, example, uv)
    foretold = await window.wait_for_squiggle("warning")
    assert (foretold.text, foretold.line) == ("[project]", 1)
    await window.save()
    problem = await window.wait_for_problem("it copied the files instead")
    assert (problem.severity, problem.code) == ("warning", "link-degraded")
    squiggle = await window.wait_for_squiggle("warning")
    assert (squiggle.text, squiggle.line) == ("idna", 6)
    before = example.manifest.read_text()
    assert example.missing_files() == {}

    await window.go_to(6, 8)
    await window.choose_quick_fix(SET)
    await window.wait_for_line('link-mode = "copy"')
    await window.wait_for_no_problem()
    await window.notification("`pyproject.toml` is changed but not saved yet.")
    assert example.manifest.read_text() == before
    await window.undo()
    assert 'link-mode = "copy"' not in await window.lines()
    await window.redo()
    await window.wait_for_line('link-mode = "copy"')
    await window.save()
    await window.language_status("uv: healthy")
    assert tomllib.loads(example.manifest.read_text())["tool"]["uv"] == {"link-mode": "copy"}


async def test_a_member_of_a_workspace_is_diagnosed_on_its_own_line_and_repaired_in_the_roots_environment(
    folder, project, uv, workbench
):
    root = project("idna", root=folder.synced / "all", cache=folder.cache, more=MEMBERS)
    member = project("typing-extensions", "httpx", root=root.root / "packages" / "one", cache=folder.cache)
    member.manifest.write_text(member.manifest.read_text().replace('"example"', '"one"'))
    window = await opened(workbench, member, uv, root=root.root)
    await window.save()
    squiggle = await window.wait_for_squiggle("error")
    assert (squiggle.text, squiggle.line) == ("httpx", 7)
    await window.go_to(7, 8)
    await window.choose_quick_fix(COPY)
    await window.wait_for_no_problem()
    assert not member.environment.exists()
    assert root.missing_files() == {}
    assert root.imports("httpx._client", "typing_extensions")


async def test_on_a_healthy_project_nothing_appears(project, uv, workbench):
    example = project("httpx", "typing-extensions")
    window = await opened(workbench, example, uv)
    await window.save()
    healthy = await window.language_status("uv: healthy")
    assert (healthy.detail, healthy.severity, healthy.command) == ("every package is complete", "info", "Run uv sync")
    assert example.missing_files() == {}
    await window.wait_for_no_problem()
    assert await window.squiggles() == []
    assert await window.notifications() == []


async def test_each_folder_of_a_window_has_its_own_project_settings_and_status(folder, project, uv, workbench):
    broken = project("httpx", root=folder.synced / "broken", cache=folder.cache)
    paused = project("httpx", root=folder.synced / "paused", cache=folder.cache)
    (paused.root / ".vscode").mkdir()
    (paused.root / ".vscode/settings.json").write_text('{"uvLinkDoctor.onSave": "off"}')
    both = folder.synced / "both.code-workspace"
    both.write_text('{"folders": [{"path": "broken"}, {"path": "paused"}]}')
    window = await workbench(machine={"uvLinkDoctor.uvPath": str(uv)}, environ=broken.environ)
    await window.open_workspace(both)
    await window.open_file(paused.manifest)
    await window.language_status("uv: paused")
    await window.save()
    await window.open_file(broken.manifest)
    await window.save()
    await window.wait_for_squiggle("error")
    await window.language_status("uv: failed")
    # Had the other folder's save started anything, its environment would have been made before.
    assert not paused.environment.exists()
    await window.open_file(paused.manifest)
    assert (await window.language_status("uv: paused")).command == "Run uv sync"
