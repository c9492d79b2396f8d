"""The commands of the palette: when each is there, and what it does to the project, the clipboard and the log."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import pytest
from kit.cloud import MountCloud
from kit.projects import MakeProject, UvProject
from kit.real_editor import broken_project
from kit.vscode import OpenWorkbench, Workbench, opened
from playwright.async_api import expect

CATEGORY = "uv Link Doctor: "
ALWAYS = {"Choose What a Save Does", "Restart the Server", "Show the Log"}
TRUSTED = {"Choose the Python That Runs the Doctor"}
WITH_SERVER = {
    "Open the Doctor Page",
    "Check the Project Without Installing",
    "Explain uv's Output (Selection or Clipboard)",
    "Copy Redacted Report",
    "Copy Command for My Terminal",
}
TRUSTED_WITH_SERVER = {"Run uv sync", "Take Back the Last Repair"}

FAILED = """\
error: Failed to install: certifi-2026.10.18-py3-none-any.whl (certifi==2026.10.18)
  cause: failed to hardlink file from /cache/core.py to /app/.venv/core.py: Unknown error 396 (os error 396)
"""
DEGRADED = """\
warning: Failed to hardlink files; falling back to full copy. This may lead to degraded performance.
Installed 1 package in 3ms
"""
HINT = "Select uv's output in an editor, or copy it from a terminal, and ask again."
EXPLAINED = "uv's output explained"


@pytest.fixture
def example(project: MakeProject) -> UvProject:
    return project("typing-extensions")


async def test_commands_are_offered_only_where_they_can_work(
    example: UvProject, uv: Path, workbench: OpenWorkbench, tmp_path: Path
):
    window = await workbench(machine={"uvLinkDoctor.uvPath": str(uv)}, environ=example.environ, trusted=False)
    (tmp_path / "empty").mkdir()
    await window.open_folder(tmp_path / "empty")  # In which the extension is not even loaded.
    assert await _offered(window) == ALWAYS
    await window.open_folder(example.root)
    await window.open_file("pyproject.toml")
    await window.language_status("uv: restricted")
    assert await _offered(window) == ALWAYS | WITH_SERVER
    await window.trust()
    await window.open_file("pyproject.toml")
    await window.language_status("uv: not known")
    assert await _offered(window) == ALWAYS | TRUSTED | WITH_SERVER | TRUSTED_WITH_SERVER


async def test_the_copied_command_runs_in_a_terminal(example: UvProject, uv: Path, workbench: OpenWorkbench):
    window = await opened(workbench, example, uv)
    await window.palette(f"{CATEGORY}Copy Command for My Terminal")
    await expect(window.page.locator(".statusbar-item", has_text="copied for bash")).to_be_visible()
    command = await window.clipboard()
    assert command == f"cd {example.root} && {uv} sync --inexact"
    await window.new_terminal()
    assert (await window.terminal_run(f"{command}; echo exit code $?")).endswith("exit code 0")
    assert example.missing_files() == {}
    assert example.imports("typing_extensions")


async def test_output_of_uv_is_explained(example: UvProject, uv: Path, workbench: OpenWorkbench):
    (example.root / "ci.log").write_text(FAILED, encoding="utf-8")
    window = await opened(workbench, example, uv)
    await window.page.evaluate("navigator.clipboard.writeText('')")
    await window.palette(f"{CATEGORY}Explain uv's Output (Selection or Clipboard)")
    assert (await window.notification(HINT)).severity == "info"
    await expect(window.page.locator(".notification-toast")).to_have_count(1)
    await expect(window.page.locator(".tab")).to_have_count(1)
    await window.palette("Notifications: Clear All Notifications")

    await window.page.evaluate("text => navigator.clipboard.writeText(text)", DEGRADED)
    await window.palette(f"{CATEGORY}Explain uv's Output (Selection or Clipboard)")
    page = await window.webview_frame(EXPLAINED)
    await expect(page.get_by_role("article", name="link-degraded")).to_be_visible()

    # What is selected comes first.
    await window.open_file("ci.log")
    await window.page.keyboard.press("Control+A")
    await window.palette(f"{CATEGORY}Explain uv's Output (Selection or Clipboard)")
    page = await window.webview_frame(EXPLAINED)
    finding = page.get_by_role("article", name="1. Error: link-failed")
    await expect(finding).to_contain_text("certifi")
    await expect(finding).to_contain_text("os error 396")

    # A text has nothing that could be run: its buttons have no effect, by whatever way they are pressed.
    button = page.get_by_role("button", name="Run uv sync", disabled=True)
    await button.focus()
    await window.page.keyboard.press("Enter")
    await window.page.keyboard.press("Space")
    await button.evaluate("button => button.click()")
    await expect(page.get_by_role("status")).to_be_empty()
    assert sorted(path.name for path in example.root.iterdir()) == ["ci.log", "pyproject.toml"]


async def test_a_check_installs_nothing(example: UvProject, uv: Path, workbench: OpenWorkbench):
    assert example.run(uv, "sync").returncode == 0
    window = await opened(workbench, example, uv)
    await window.language_status("uv: healthy")
    [installer] = example.site_packages.glob("typing_extensions-*.dist-info/INSTALLER")
    installer.unlink()
    await window.palette(f"{CATEGORY}Check the Project Without Installing")
    assert (await window.wait_for_squiggle("error")).text == "typing-extensions"
    assert (await window.wait_for_problem("typing-extensions")).code == "environment-broken"
    assert example.missing_files() != {}
    assert "uv sync" not in await window.output_channel("uv Link Doctor", until="the server runs on")


async def test_the_log_holds_what_was_run_and_by_whom(
    uv: Path, cloud_folder: MountCloud, project: MakeProject, workbench: OpenWorkbench
):
    synced = broken_project(uv, cloud_folder, project)
    window = await opened(workbench, synced, uv)
    await window.save()
    await window.wait_for_squiggle("error")
    await window.palette(f"{CATEGORY}Show the Log")
    await expect(window.page.locator(".output-view .view-lines")).to_contain_text("exit code 2")
    log = await window.output_channel("uv Link Doctor", until="exit code 2")
    expected = [
        # Which Python runs the server, and why.
        r".* Python extension: not installed",
        r".* known location: (?P<python>/\S+) is Python (?P<version>3\.\d+\.\d+)",
        r".* the server runs on Python (?P=version) \(known location\): (?P=python)",
        # What was run, all that it said, and how it ended.
        rf".* \$ {re.escape(str(uv))} sync --inexact",
        r"Using CPython .*",
        r"Creating virtual environment at: \.venv",
        r"Resolved 5 packages in .*",
        r"error: Failed to install: certifi-\S+\.whl \(certifi==\S+\)",
        r"  cause: failed to hardlink file from .*certifi/core\.py .*\(os error 396\)",
        r"exit code 2, \d+\.\d+ s",
    ]
    assert re.fullmatch("\n".join(expected) + "\\s*", log), log


STUB = """
const vscode = require('vscode');
exports.activate = () => ({ environments: {
    getActiveEnvironmentPath: resource => ({ id: resource.fsPath, path: resource.fsPath }),
    resolveEnvironment: async ({ path }) => ({
        executable: { uri: vscode.Uri.joinPath(vscode.Uri.file(path), '.venv', 'bin', 'python') },
    }),
} });
"""


@pytest.fixture
def python_extension(tmp_path: Path) -> Path:
    """Says, as Microsoft's would, that a folder's own `.venv` is the environment chosen in it."""
    manifest = {
        "name": "python",
        "publisher": "ms-python",
        "version": "1.0.0",
        "engines": {"vscode": "^1.93.0"},
        "main": "main.js",
        "activationEvents": [],
        "capabilities": {"untrustedWorkspaces": {"supported": True}},
    }
    path = tmp_path / "python.vsix"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("extension/package.json", json.dumps(manifest))
        archive.writestr("extension/main.js", STUB)
        archive.writestr("extension.vsixmanifest", VSIX_MANIFEST)
        archive.writestr("[Content_Types].xml", CONTENT_TYPES)
    return path


VSIX_MANIFEST = """<?xml version="1.0" encoding="utf-8"?>
<PackageManifest Version="2.0.0" xmlns="http://schemas.microsoft.com/developer/vsx-schema/2011">
  <Metadata>
    <Identity Language="en-US" Id="python" Version="1.0.0" Publisher="ms-python"/>
    <DisplayName>Python</DisplayName>
    <Description>Stands for Microsoft's.</Description>
  </Metadata>
  <Installation><InstallationTarget Id="Microsoft.VisualStudio.Code"/></Installation>
  <Assets><Asset Type="Microsoft.VisualStudio.Code.Manifest" Path="extension/package.json"/></Assets>
</PackageManifest>
"""
CONTENT_TYPES = """<?xml version="1.0" encoding="utf-8"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
  <Default Extension="js" ContentType="application/javascript"/>
  <Default Extension="json" ContentType="application/json"/>
  <Default Extension="vsixmanifest" ContentType="text/xml"/>
</Types>
"""


async def test_the_python_extensions_choice_counts_but_not_the_projects_own_environment(
    example: UvProject, uv: Path, workbench: OpenWorkbench, vsix: Path, python_extension: Path
):
    assert example.run(uv, "sync").returncode == 0
    machine = {"uvLinkDoctor.uvPath": str(uv)}
    window = await workbench(machine=machine, environ=example.environ, extensions=[vsix, python_extension])
    await window.open_folder(example.root)
    await window.open_file("pyproject.toml")
    await window.language_status("uv: ")
    log = await window.output_channel("uv Link Doctor", until="the server runs on")
    asked = example.environment / "bin" / "python"
    found = re.search(rf"Python extension: {re.escape(str(asked))} is Python \S+, run from (\S+)$", log, re.MULTILINE)
    assert found, log
    base = found[1]
    assert not base.startswith(str(example.root))
    assert f"(Python extension): {base}" in log


async def _offered(window: Workbench) -> set[str]:
    """Ours, once there is one: VS Code may still be reading what extensions contribute."""
    for _ in range(20):
        titles = await window.palette_commands(CATEGORY)
        if found := {title.removeprefix(CATEGORY) for title in titles if title.startswith(CATEGORY)}:
            return found
    pytest.fail("the palette has no command of ours")
