"""Restricted Mode: nothing is started and nothing is written, and trust is all that it takes to end it."""

import json
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from kit.fake_uv import Answer, FakeUv
from kit.projects import UvProject, clean_environ
from kit.vscode import LanguageStatus, Workbench

RESTRICTED = LanguageStatus(
    "uv: restricted", "nothing is run; it reads and explains", "info", busy=False, command="Manage Trust"
)
SAID = "uv Link Doctor runs nothing in Restricted Mode: it only reads the project and explains."
READS = {
    "uv Link Doctor: Open the Doctor Page",
    "uv Link Doctor: Check the Project Without Installing",
    "uv Link Doctor: Explain uv's Output (Selection or Clipboard)",
    "uv Link Doctor: Copy Redacted Report",
    "uv Link Doctor: Copy Command for My Terminal",
    "uv Link Doctor: Choose What a Save Does",
    "uv Link Doctor: Restart the Server",
    "uv Link Doctor: Show the Log",
}
RUNS = {
    "uv Link Doctor: Run uv sync",
    "uv Link Doctor: Take Back the Last Repair",
    "uv Link Doctor: Choose the Python That Runs the Doctor",
}
OUTPUT = "error: Failed to install: idna-3.20-py3-none-any.whl (idna==3.20)\n"
OUTPUT += (
    "  Caused by: failed to hardlink file from /cache/a.py to /there/a.py: Invalid cross-device link (os error 18)\n"
)
FAILS = Answer(when=["sync"], steps=[("stderr", "error: the planted uv has run\n")], exit_code=2)


@dataclass(frozen=True)
class Trap:
    """A project whose own settings name a uv and a Python that tell when they are started."""

    project: UvProject
    uv: FakeUv
    python: Path

    @property
    def python_was_started(self) -> bool:
        return self.python.with_suffix(".trace").exists()

    def break_package(self, name: str) -> None:
        """Leave half a package in the environment, which whoever looks at the project has to find."""
        (self.project.environment / f"lib/python3.11/site-packages/{name}-1.0.dist-info").mkdir(parents=True)

    def files(self) -> dict[str, bytes | None]:
        """All that lies in the project, and what is in it."""
        root = self.project.root
        return {str(path.relative_to(root)): path.read_bytes() if path.is_file() else None for path in root.rglob("*")}


@pytest.fixture(scope="module")
def uv_on_path(tmp_path_factory):
    fake = FakeUv(tmp_path_factory.mktemp("path"), [], "0.13.9")
    yield fake
    fake.close()


@pytest.fixture(scope="module")
def environ(uv_on_path, index, tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    given = clean_environ(home, cache=home / "uv-cache", index=index)
    return given | {"PATH": f"{uv_on_path.path.parent}:{given['PATH']}"}


@pytest.fixture
def trap(project, fake_uv, tmp_path):
    example, uv, python = project("idna"), fake_uv(FAILS), tmp_path / "python3"
    trace = shlex.quote(str(python.with_suffix(".trace")))
    python.write_text(f'#!/bin/sh\necho "$@" >> {trace}\nexec {shlex.quote(sys.executable)} "$@"\n')
    python.chmod(0o755)
    settings = {
        "uvLinkDoctor.uvPath": str(uv.path),
        "uvLinkDoctor.python": str(python),
        "uvLinkDoctor.syncArgs": ["--all-extras"],
        "uvLinkDoctor.environment": {"PLANTED": "yes"},
    }
    (example.root / ".vscode").mkdir()
    (example.root / ".vscode/settings.json").write_text(json.dumps(settings))
    (example.root / "uv.log").write_text(OUTPUT)
    return Trap(example, uv, python)


@pytest_asyncio.fixture(loop_scope="session")
async def window(trap, environ, workbench) -> Workbench:
    """The folder in Restricted Mode, its manifest in front, and our extension at work."""
    trap.break_package("half")
    opened = await workbench(environ=environ, trusted=False)
    await opened.open_folder(trap.project.root)
    await opened.open_file("pyproject.toml")
    assert await opened.language_status("uv: ") == RESTRICTED
    return opened


async def test_whatever_is_done_nothing_is_started_and_nothing_written(trap, window, uv_on_path):
    await window.wait_for_squiggle("error")
    assert (await window.wait_for_problem("half")).code == "environment-broken"
    await window.go_to(1)
    await window.type("# edited\n")
    trap.break_package("quarter")
    before = trap.files()
    await window.save()
    await window.wait_for_problem("quarter")  # The save was heard.
    before["pyproject.toml"] = b"# edited\n" + (before["pyproject.toml"] or b"")

    offered = {it for it in await window.palette_commands("uv Link Doctor: ") if it.startswith("uv Link Doctor: ")}
    assert offered == READS
    await window.palette("uv Link Doctor: Check the Project Without Installing")
    await window.go_to((await window.wait_for_squiggle("error")).line, 3)
    for fix in await window.quick_fixes():
        await window.choose_quick_fix(fix)
        await window.notification("the workspace is not trusted, so nothing is run; trust it first")
        await window.palette("Notifications: Clear All Notifications")

    await window.palette("uv Link Doctor: Open the Doctor Page")
    page = await window.webview_frame("uv Link Doctor: project")
    await page.get_by_text("quarter").first.wait_for()
    usable = {
        await button.inner_text(): await button.get_attribute("aria-disabled") == "false"
        for button in await page.get_by_role("button").all()
    }
    assert {name for name, can_be_used in usable.items() if can_be_used} == {
        "Check Again",
        "Copy Redacted Report",
        "Show Log",
    }
    assert len(usable) > 4

    await window.open_file("uv.log")
    await window.page.keyboard.press("Control+A")
    await window.palette("uv Link Doctor: Explain uv's Output (Selection or Clipboard)")
    explained = await window.webview_frame("uv's output explained")
    await explained.get_by_text("os error 18").first.wait_for()

    assert trap.files() == before
    assert uv_on_path.invocations() == trap.uv.invocations() == []
    assert not trap.python_was_started


async def test_one_message_says_what_it_means_and_is_not_repeated(window):
    said = await window.notification("Restricted Mode")
    assert (said.severity, said.message, said.buttons) == ("info", SAID, ("Manage Trust",))
    assert len(await window.notifications()) == 1
    await window.reload()
    await window.open_file("pyproject.toml")
    assert await window.language_status("uv: ") == RESTRICTED
    await window.wait_for_squiggle("error")
    assert await window.notifications() == []


async def test_trust_is_granted_in_the_editors_way_and_counts_at_once(trap, window, uv_on_path):
    await window.wait_for_squiggle("error")
    assert not trap.python_was_started
    await window.language_status_command("uv: restricted")
    await window.page.locator(".workspace-trust-editor").wait_for()
    await window.trust()

    await window.open_file("pyproject.toml")
    await window.language_status("uv: failed")
    assert trap.python_was_started
    assert uv_on_path.invocations() == trap.uv.invocations() == []  # Trust alone runs nothing.
    assert {*await window.palette_commands("uv Link Doctor: ")} >= RUNS
    await window.save()
    await window.wait_for_problem("the planted uv has run")
    [question] = trap.uv.invocations("sync")
    assert "--all-extras" in question.arguments
    assert question.environ["PLANTED"] == "yes"
    assert uv_on_path.invocations() == []
