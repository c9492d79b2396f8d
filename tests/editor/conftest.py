"""The fixtures by which tests use a real VS Code; `kit.vscode` describes what they hand out.

A test that drives the browser shares its event loop with it: all of them run in the session's.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from kit import provision
from kit.cloud import MountCloud
from kit.code_server import CodeServer, Setup, code_server_running
from kit.need import need
from kit.projects import MakeProject, UvProject
from kit.real_editor import broken_project
from kit.vscode import PATIENCE, OpenWorkbench, Workbench, eventually
from playwright.async_api import Browser, ViewportSize, async_playwright, expect

FAILED = pytest.StashKey[bool]()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the tests that drive the browser in the event loop that it was started in, and once more after a failure.

    An editor loses a key or a click now and then while it redraws, as people know; what fails twice is a failure.
    """
    for item in items:
        if "chromium" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)
            item.add_marker(pytest.mark.flaky(reruns=1))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let fixtures know at their end whether the test failed."""
    report = yield
    item.stash[FAILED] = item.stash.get(FAILED, False) or report.failed
    return report


@pytest.fixture(scope="session")
def code_server() -> Path:
    """The folder in which `kit.provision` made Node and code-server."""
    need(shutil.which("npm") or provision.provisioned(), "npm is missing, which the editor for tests is made with")
    need(provision.provisioned(), "the editor for tests is missing: run `python tests/kit/provision.py`")
    return provision.ROOT


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """A browser without a window."""
    program = shutil.which("chromium")
    need(program, "chromium is missing")
    # /dev/shm is small in containers; without a screen there is no GPU to be asked.
    options = ["--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking", "--disable-sync"]
    expect.set_options(timeout=PATIENCE * 1000)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=program, args=options)
        yield browser
        await browser.close()


@pytest.fixture
def uv(uv_binary: Callable[[str], Path]) -> Path:
    """The uv that the projects of these tests are installed with."""
    return uv_binary("newest")


@pytest.fixture
def synced(uv: Path, cloud_folder: MountCloud, project: MakeProject) -> UvProject:
    """A project whose `httpx` cannot be installed by linking."""
    return broken_project(uv, cloud_folder, project)


@pytest.fixture(scope="session")
def vsix() -> Path:
    """Our extension, packed."""
    from kit import vsix

    return vsix.build()


@pytest.fixture(scope="session")
def running(code_server: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Setup], CodeServer]]:
    """`running(setup)`: a code-server, the one of the test before if that was set up the same way."""
    with ExitStack() as stack:
        latest: CodeServer | None = None

        def run(setup: Setup) -> CodeServer:
            nonlocal latest
            if latest and latest.setup == setup:
                latest.configure()
            else:
                stack.close()
                folder = tmp_path_factory.mktemp("vscode")
                latest = stack.enter_context(code_server_running(code_server, folder, setup))
            return latest

        yield run


@pytest.fixture
def viewport() -> ViewportSize:
    """The size of the window; a module or class may have a fixture of its own by this name."""
    return {"width": 1280, "height": 800}


@pytest_asyncio.fixture(loop_scope="session")
async def workbench(
    request: pytest.FixtureRequest,
    chromium: Browser,
    running: Callable[[Setup], CodeServer],
    viewport: ViewportSize,
    tmp_path: Path,
) -> AsyncIterator[OpenWorkbench]:
    """`await workbench()`: a window of VS Code; when the test fails, a picture of it is kept."""
    screenshots = Path(os.environ.get("UV_LINK_DOCTOR_SCREENSHOTS") or tmp_path / "screenshots")
    opened: list[Workbench] = []

    async with AsyncExitStack() as stack:

        async def open_workbench(
            *,
            settings: Mapping[str, Any] | None = None,
            machine: Mapping[str, Any] | None = None,
            trusted: bool = True,
            environ: Mapping[str, str] | None = None,
            extensions: Sequence[Path] | None = None,
        ) -> Workbench:
            setup = Setup(
                user=settings or {},
                machine=machine or {},
                trusted=trusted,
                environ=environ or {},
                extensions=(request.getfixturevalue("vsix"),) if extensions is None else tuple(extensions),
            )
            server = running(setup)
            context = await chromium.new_context(viewport=viewport, permissions=["clipboard-read", "clipboard-write"])
            stack.push_async_callback(context.close)
            context.set_default_timeout(PATIENCE * 1000)
            window = Workbench(server, context, await context.new_page(), screenshots)
            opened.append(window)
            return window

        yield open_workbench

        open_still = [window for window in opened if not window.page.is_closed()]
        for number, window in enumerate(open_still):
            if request.node.stash.get(FAILED, False):
                name = f"{request.node.name}-failed-{number}"
                print(f"\nscreenshot: {await window.screenshot(name)}\nserver log: {window.server.folder}/server.log")
            await window.close_page()
        for window in opened:
            await _without_extensions(window.server)


async def _without_extensions(server: CodeServer) -> None:
    """Wait until nothing of a closed window runs, which the next test could meet."""

    async def running() -> list[int]:
        return [] if server.process.poll() is not None else server.extension_hosts()

    await eventually(running, lambda left: not left)
