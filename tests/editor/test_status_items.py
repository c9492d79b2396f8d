"""The language status: how the project is and what a save does, by mouse, by keyboard and for a screen reader."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from kit.projects import MakeProject, UvProject
from kit.real_editor import MODULES
from kit.vscode import LanguageStatus, OpenWorkbench, Workbench, opened
from playwright.async_api import Locator, expect

CHOOSE = "uv Link Doctor: Choose What a Save Does"
WAYS = ["Sync on save", "Check only", "Off"]

NOT_KNOWN = LanguageStatus("uv: not known", "no environment yet", "info", busy=False, command="Run uv sync")
FAILED = LanguageStatus("uv: failed", "certifi, os error 396", "error", busy=False, command="Repair")
HEALTHY = LanguageStatus("uv: healthy", "every package is complete", "info", busy=False, command="Run uv sync")
PAUSED = LanguageStatus("uv: paused", "", "info", busy=False, command="Run uv sync")


async def test_the_status_tells_of_a_failure_and_its_link_repairs_it(
    synced: UvProject, uv: Path, workbench: OpenWorkbench
):
    window = await opened(workbench, synced, uv)
    assert await window.language_status("uv: ") == NOT_KNOWN
    await window.save()
    await window.wait_for_squiggle("error")
    assert await window.language_status("uv: failed") == FAILED
    await window.language_status_command("uv: failed")
    assert await window.language_status("uv: healthy") == HEALTHY
    assert synced.missing_files() == {}
    assert synced.imports(*MODULES)


async def test_the_status_is_reached_read_and_used_by_keyboard_alone(
    synced: UvProject, uv: Path, workbench: OpenWorkbench
):
    window = await opened(workbench, synced, uv)
    await window.language_status("uv: ")
    await window.save()
    await window.wait_for_squiggle("error")
    await window.palette("View: Focus Status Bar")
    label = await _press_until(window, "ArrowRight", "Editor Language Status")
    assert label.startswith("Editor Language Status: uv: failed. uv cannot link a file ")
    assert "`" not in label
    assert ", next: On save: uv sync" in label
    await window.page.keyboard.press("Enter")
    await window.page.locator(".hover-language-status").first.wait_for()
    await _press_until(window, "Tab", "Repair")
    await window.page.keyboard.press("Enter")
    healthy = re.compile(r"uv: healthy\. Every installed package is complete")
    await expect(_item(window)).to_have_accessible_name(healthy)
    assert synced.missing_files() == {}


async def test_what_a_save_does_is_chosen_once_and_obeyed(project: MakeProject, uv: Path, workbench: OpenWorkbench):
    example = project("typing-extensions")
    window = await workbench(machine={"uvLinkDoctor.uvPath": str(uv)}, environ=example.environ)
    await window.page.add_init_script(_REMEMBER_TOASTS)
    await window.open_folder(example.root)
    await window.open_file("pyproject.toml")
    await window.language_status("uv: not known")
    sync = LanguageStatus("On save: uv sync", "not chosen yet", "info", busy=False, command="Choose")
    assert await window.language_status("On save") == sync

    await window.language_status_command("On save")
    await _choose(window, "Check only")
    checks = LanguageStatus("On save: a check only", "", "info", busy=False, command="Change")
    assert await window.language_status("On save: a check") == checks
    await window.save()
    await window.go_to(6, 6)
    await window.type("!")
    await window.save()
    await window.wait_for_squiggle("error")
    await window.page.keyboard.press("Backspace")
    await window.save()
    await window.wait_for_no_problem()
    assert sorted(path.name for path in example.root.iterdir()) == ["pyproject.toml"]

    await window.palette(CHOOSE)
    await _choose(window, "Off")
    assert await window.language_status("uv: paused") == PAUSED
    await window.reload()
    assert await window.language_status("uv: paused") == PAUSED
    assert (await window.language_status("On save")).text == "On save: nothing"
    await window.save()

    await window.palette(CHOOSE)
    await _choose(window, "Sync on save")
    await window.language_status("uv: not known")
    await window.save()
    assert await window.language_status("uv: healthy") == HEALTHY
    assert example.imports("typing_extensions")
    log = await window.output_channel("uv Link Doctor", until="exit code 0")
    assert len(re.findall(r"\$ .*uv sync", log)) == 1
    # Nothing asked or told the user anything; a run that takes its time shows its progress.
    toasts = await window.page.evaluate("JSON.parse(sessionStorage.toasts ?? '[]')")
    assert [it for it in toasts if "uv sync: project" not in it] == []


async def test_a_setting_decides_what_a_save_does(project: MakeProject, uv: Path, workbench: OpenWorkbench):
    example = project("typing-extensions")
    window = await opened(workbench, example, uv)
    await window.palette(CHOOSE)
    await _choose(window, "Off")
    assert await window.language_status("uv: paused") == PAUSED
    settings = example.root / ".vscode" / "settings.json"
    settings.parent.mkdir()
    settings.write_text('{"uvLinkDoctor.onSave": "sync"}', encoding="utf-8")
    set_so = LanguageStatus("On save: uv sync", "", "info", busy=False, command="Change")
    assert await window.language_status("On save: uv sync") == set_so
    await window.save()
    await window.language_status("uv: healthy")
    assert example.imports("typing_extensions")

    # Once a setting decides, that setting is what is changed.
    await window.palette(CHOOSE)
    await _choose(window, "Check only")
    assert (await window.language_status("On save: a check only")).detail == ""
    assert json.loads(settings.read_text(encoding="utf-8")) == {"uvLinkDoctor.onSave": "check"}
    settings.unlink()
    assert (await window.language_status("On save: nothing")).command == "Change"


async def _press_until(window: Workbench, key: str, name: str) -> str:
    """Press a key until what has the focus is a button of a name that begins so; the whole name."""
    for _ in range(20):
        await window.page.keyboard.press(key)
        button = window.page.get_by_role("button", name=re.compile(f"^{name}")).and_(window.page.locator(":focus"))
        if await button.count():
            return await button.get_attribute("aria-label") or name
    pytest.fail(f"{key} leads to no {name}")


def _item(window: Workbench) -> Locator:
    return window.page.locator('[id="status.languageStatus"]').get_by_role("button")


async def _choose(window: Workbench, way: str) -> None:
    rows = window.page.locator(".quick-input-list .quick-input-list-row:first-child .label-name")
    await expect(rows).to_have_text(WAYS)
    await window.pick(way)


_REMEMBER_TOASTS = """addEventListener('DOMContentLoaded', () => new MutationObserver(() => {
    const toasts = new Set(JSON.parse(sessionStorage.toasts ?? '[]'));
    for (const toast of document.querySelectorAll('.notification-toast')) { toasts.add(toast.textContent); }
    sessionStorage.toasts = JSON.stringify([...toasts]);
}).observe(document, { childList: true, subtree: true }))"""
