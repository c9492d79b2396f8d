"""What goes wrong around the extension ends in at most one message, with a way out, and loses nothing."""

import asyncio
import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kit import provision
from kit.code_server import CodeServer, code_server_running
from kit.fake_uv import Answer
from kit.need import need
from kit.projects import UvProject, clean_environ
from kit.vscode import PATIENCE, POLL, LanguageStatus, Notification, Workbench

ASKED = Answer(when=["--dry-run"], steps=[("stdout", '{"sync": {"action": "check", "changes": []}}')])
HOLDS = Answer(when=["sync"], steps=[("hold", "")])
DEAF = Answer(when=["sync"], steps=[("ignore", "SIGINT"), ("ignore", "SIGTERM"), ("child", ""), ("hold", "")])


@pytest.fixture(scope="module")
def environ(index, tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    return clean_environ(home, cache=home / "uv-cache", index=index)


def configure(example: UvProject, **settings: Any) -> None:
    """Write the settings of the folder, as its user does in the editor's own page for them."""
    (example.root / ".vscode").mkdir(exist_ok=True)
    named = {f"uvLinkDoctor.{name}": value for name, value in settings.items()}
    (example.root / ".vscode/settings.json").write_text(json.dumps(named))


async def opened(workbench, environ, example: UvProject, *, status="uv: ") -> Workbench:
    """A window with the project's folder open, its manifest in front, and our extension at work."""
    window = await workbench(environ=environ)
    await window.open_folder(example.root)
    await window.open_file("pyproject.toml")
    await window.language_status(status)
    return window


def break_package(example: UvProject, name: str) -> None:
    """Leave half a package in the environment, which whoever looks at the project has to find."""
    (example.environment / f"lib/python3.11/site-packages/{name}-1.0.dist-info").mkdir(parents=True)


def files(example: UvProject) -> dict[str, bytes | None]:
    """All that lies in the project, and what is in it."""
    root = example.root
    return {str(path.relative_to(root)): path.read_bytes() if path.is_file() else None for path in root.rglob("*")}


def language_servers(server: CodeServer) -> list[int]:
    """The processes of our server, which are children of those that run extensions."""
    children = (
        int(it) for host in server.extension_hosts() for it in _read(f"/proc/{host}/task/{host}/children").split()
    )
    return [pid for pid in children if b"start.py" in _read(f"/proc/{pid}/cmdline")]


def _read(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError:
        return b""  # It has just ended.


async def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "what was waited for did not come"
        await asyncio.sleep(POLL)


def syncs(fake):
    """The runs that install, without the questions before them."""
    return [it for it in fake.invocations("sync") if "--dry-run" not in it.arguments]


# --- the server -------------------------------------------------------------------------------


async def test_a_server_that_dies_is_started_again_without_a_word(project, fake_uv, environ, workbench):
    example, fake = project("idna"), fake_uv(ASKED, HOLDS)
    configure(example, uvPath=str(fake.path))
    break_package(example, "half")
    before = files(example)
    window = await opened(workbench, environ, example)
    await window.wait_for_problem("half")
    [first] = language_servers(window.server)

    await window.save()
    held = await asyncio.to_thread(fake.held)
    await window.progress_notification("uv sync: project")
    os.kill(first, signal.SIGKILL)
    await window.wait_for_no_notification("uv sync: project")
    await window.language_status("uv: failed")
    assert (await window.wait_for_problem("half")).code == "environment-broken"
    [second] = language_servers(window.server)
    assert second != first
    held.release()

    await window.save()
    again = await asyncio.to_thread(fake.held)
    again.release()
    assert await asyncio.to_thread(again.gone)
    assert await window.notifications_so_far() == []
    assert files(example) == before


async def test_a_server_that_dies_again_and_again_is_left_alone_until_the_user_says_so(
    project, fake_uv, environ, workbench
):
    example = project("idna")
    configure(example, uvPath=str(fake_uv().path))
    break_package(example, "half")
    window = await opened(workbench, environ, example)
    await window.wait_for_problem("half")
    for name in ("second", "third", "fourth"):
        break_package(example, name)  # Only a server that looks anew can know of it.
        [server] = language_servers(window.server)
        os.kill(server, signal.SIGKILL)
        await window.wait_for_problem(name)
    assert await window.notifications() == []
    [server] = language_servers(window.server)
    os.kill(server, signal.SIGKILL)

    said = await window.notification("again and again")
    sentence = "uv Link Doctor's server has ended by itself again and again; it is left alone."
    assert said == Notification("error", sentence, "uv Link Doctor", ("Try Again", "Show Log"))
    stopped = LanguageStatus("uv Link Doctor has stopped", "", "error", busy=False, command="Start It Again")
    assert await window.language_status("has stopped") == stopped
    assert language_servers(window.server) == []
    assert await window.notifications() == [said]
    assert await window.squiggles() == []

    await window.notification_button("again and again", "Try Again")
    await window.wait_for_problem("half")
    await window.language_status("uv: failed")
    assert await window.notifications_so_far() == []


async def test_a_server_that_does_not_start_is_told_once_with_a_way_out(project, fake_uv, environ, workbench, tmp_path):
    example, python = project("idna"), tmp_path / "python3"
    configure(example, uvPath=str(fake_uv().path), python=str(python))
    break_package(example, "half")
    python.write_text("#!/bin/sh\nprintf '3.12.0\\n/bin/false\\n'\n")  # So it says; but that is no Python.
    python.chmod(0o755)
    window = await opened(workbench, environ, example, status="has stopped")
    said = await window.notification("server")
    sentence = "uv Link Doctor's server did not start; the log says why."
    assert said == Notification("error", sentence, "uv Link Doctor", ("Try Again", "Show Log"))
    assert await window.notifications_so_far() == [said]
    python.unlink()
    python.symlink_to(sys.executable)
    await window.language_status_command("has stopped")
    await window.wait_for_problem("half")
    assert await window.notifications_so_far() == [said]


async def test_a_save_while_the_server_still_starts_counts(project, fake_uv, environ, workbench, slow_python):
    example, fake = project("idna"), fake_uv(ASKED)
    configure(example, uvPath=str(fake.path), python=str(slow_python.path))
    window = await opened(workbench, environ, example, status="uv Link Doctor is starting")
    await window.save()
    assert (await window.language_status("is starting")).busy
    assert fake.invocations() == []
    slow_python.let_go()
    await until(lambda: syncs(fake))
    assert not (await window.language_status("uv: ")).busy
    assert len(syncs(fake)) == 1
    assert await window.notifications_so_far() == []


async def test_a_start_that_hangs_is_ended_by_asking_again(project, fake_uv, environ, workbench, slow_python):
    example = project("idna")
    configure(example, uvPath=str(fake_uv().path), python=str(slow_python.path))
    break_package(example, "half")
    window = await opened(workbench, environ, example, status="uv Link Doctor is starting")
    [hung] = language_servers(window.server)
    slow_python.path.unlink()
    slow_python.path.symlink_to(sys.executable)
    await window.palette("uv Link Doctor: Restart the Server")
    await window.wait_for_problem("half")
    [server] = language_servers(window.server)
    assert server != hung
    assert await window.notifications_so_far() == []


class SlowPython:
    """A Python that answers at once, but does not start the server before our word."""

    def __init__(self, folder: Path) -> None:
        self.path, gate = folder / "slow-python3", folder / "gate"
        os.mkfifo(gate)
        self._gate = os.open(gate, os.O_RDWR)  # Both ends, so that neither waits for the other to open its own.
        start = f'read -r _ < {shlex.quote(str(gate))}; exec {shlex.quote(sys.executable)} "$@"'
        self.path.write_text(f'#!/bin/sh\ncase "$*" in *start.py*) {start} ;; esac\nprintf "3.12.0\\n%s\\n" "$0"\n')
        self.path.chmod(0o755)

    def let_go(self) -> None:
        os.write(self._gate, b"go\n")

    def close(self) -> None:
        os.close(self._gate)


@pytest.fixture
def slow_python(tmp_path):
    with contextlib.closing(SlowPython(tmp_path)) as python:
        yield python


# --- uv ---------------------------------------------------------------------------------------


async def test_a_hung_uv_is_cancelled_from_the_message_or_the_status(project, fake_uv, environ, workbench):
    example, fake = project("idna"), fake_uv(ASKED, DEAF)
    configure(example, uvPath=str(fake.path))
    before = files(example)
    window = await opened(workbench, environ, example)
    for by in ("message", "status"):
        began = time.monotonic()
        await window.save()
        processes = [await asyncio.to_thread(fake.held) for _ in range(2)]
        said = await window.progress_notification("uv sync: project")
        assert time.monotonic() - began > 0.5
        assert said == Notification("info", "uv sync: project", "uv Link Doctor", ("Cancel",))
        running = LanguageStatus("uv: running", "", "info", busy=True, command="Cancel")
        assert await window.language_status("uv: running") == running
        if by == "message":
            await window.cancel("uv sync: project")
        else:
            await window.language_status_command("uv: running")
            await window.wait_for_no_notification("uv sync: project")
        assert all([await asyncio.to_thread(it.gone) for it in processes])
        assert not (await window.language_status("uv: not known")).busy
    assert await window.notifications_so_far() == []
    assert files(example) == before


async def test_without_uv_one_diagnostic_says_so_until_there_is_one(project, fake_uv, install, environ, workbench):
    example, fake = project("idna"), fake_uv(ASKED)
    before = files(example)
    window = await opened(workbench, environ, example)
    await window.save()
    assert (await window.wait_for_problem("uv")).code == "uv-missing"
    assert len(await window.problems()) == 1
    assert await window.notifications_so_far() == []
    assert files(example) == before

    install(fake.path)
    await window.save()
    await window.wait_for_no_problem()
    assert len(syncs(fake)) == 1


@pytest.fixture
def install(environ):
    """`install(path)`: puts a uv where its installers do; until then there is none."""
    installed = [Path(it, "uv") for it in ("/opt/homebrew/bin", "/usr/local/bin", "/home/linuxbrew/.linuxbrew/bin")]
    need(not any(it.exists() for it in installed), "this machine has a uv that the extension finds anywhere")
    need(not shutil.which("uv", path=environ["PATH"]), "this machine has a uv on every PATH")
    place = Path(environ["HOME"], ".local/bin/uv")
    place.parent.mkdir(parents=True, exist_ok=True)
    yield place.symlink_to
    place.unlink(missing_ok=True)


async def test_settings_that_change_during_a_run_count_from_the_next_on(project, fake_uv, environ, workbench):
    example, first, second = project("idna"), fake_uv(ASKED, HOLDS), fake_uv(ASKED)
    configure(example, uvPath=str(first.path))
    window = await opened(workbench, environ, example)
    await window.save()
    held = await asyncio.to_thread(first.held)
    await window.language_status("uv: running")
    configure(example, uvPath=str(second.path), syncArgs=["--all-extras"])
    await until_command_has(window, "--all-extras")
    await window.go_to(1)
    await window.type("# new\n")
    await window.save()
    await window.language_status("uv: running")
    assert second.invocations("sync") == []
    held.release()
    assert await asyncio.to_thread(held.gone)
    await until(lambda: syncs(second))
    [run] = syncs(second)
    assert "--all-extras" in run.arguments
    assert len(syncs(first)) == 1

    configure(example, uvPath=str(second.path), onSave="off")
    await window.language_status("uv: paused")
    await window.go_to(1)
    await window.type("# newer\n")
    await window.save()
    # Had the save started a run, this look would have waited for its end.
    await window.palette("uv Link Doctor: Open the Doctor Page")
    page = await window.webview_frame("uv Link Doctor: project")
    await page.get_by_role("button", name="Check Again").click()
    await page.get_by_text("Done: nothing is wrong.").wait_for()
    assert len(syncs(second)) == 1
    assert await window.notifications_so_far() == []


async def until_command_has(window: Workbench, argument: str) -> None:
    """Wait until the server has heard of new settings, which its command for a terminal shows."""
    deadline = time.monotonic() + PATIENCE
    while True:
        await window.palette("uv Link Doctor: Copy Command for My Terminal")
        if argument in await window.clipboard():
            return
        assert time.monotonic() < deadline, "the settings are not heard of"


# --- Python -----------------------------------------------------------------------------------


class TestWithoutPython:
    """The code-server runs where every Python that installers put anywhere is an old one."""

    @pytest.fixture
    def chosen(self, tmp_path) -> Path:
        """The tests' own Python, which is to be chosen, where none that is found can be run."""
        return tmp_path / "chosen-python3"

    @pytest.fixture
    def running(self, code_server, chosen, tmp_path):
        need(os.geteuid() == 0 and shutil.which("unshare"), "only root hides programs from some processes")
        places = [Path(it) for it in ("/usr/bin", "/usr/local/bin", "/opt/homebrew/bin")]
        hidden = {
            it.resolve()
            for place in places
            for it in place.glob("python*")
            if re.fullmatch(r"python(3(\.\d+)?)?", it.name)
        }
        own, old = Path(sys._base_executable).resolve(), tmp_path / "old"  # type: ignore[attr-defined]
        old.write_text("#!/bin/sh\necho 3.9.2\n")
        old.chmod(0o755)
        mounts = [f"mount --bind {shlex.join([str(old), str(it)])}" for it in sorted(hidden)]
        if own in hidden:
            chosen.touch()
            mounts.insert(0, f"mount --bind {shlex.join([str(own), str(chosen)])}")
        else:
            chosen.symlink_to(own)

        editor = tmp_path / "editor"
        node = provision.node(editor)
        node.parent.mkdir(parents=True)
        (editor / "code-server").symlink_to(code_server / "code-server")
        then = f'exec {shlex.quote(str(provision.node(code_server)))} "$@"'
        inside = shlex.quote("\n".join(["set -e", *mounts, then]))
        node.write_text(f'#!/bin/sh\nexec unshare --mount --propagation private sh -c {inside} node "$@"\n')
        node.chmod(0o755)
        with contextlib.ExitStack() as stack:
            yield lambda setup: stack.enter_context(code_server_running(editor, tmp_path / "vscode", setup))

    async def test_one_message_says_so_and_a_choice_ends_it(self, chosen, project, fake_uv, environ, workbench):
        example = project("idna")
        configure(example, uvPath=str(fake_uv().path))
        break_package(example, "half")
        window = await opened(workbench, environ, example, status="no Python")
        said = await window.notification("Python")
        sentence = "uv Link Doctor needs Python 3.11 or newer to run, and none was found."
        assert said == Notification("error", sentence, "uv Link Doctor", ("Choose Python…", "Show Log"))
        assert await window.language_status("no Python") == LanguageStatus(
            "uv Link Doctor: no Python", "it needs 3.11 or newer to run", "error", busy=False, command="Choose Python"
        )
        assert await window.notifications_so_far() == [said]
        await window.language_status_command("no Python")
        await window.pick("Choose a Python on this machine…")
        await window.pick("..")  # From the project's folder.
        await window.pick(chosen.name)
        await window.wait_for_problem("half")
        await window.language_status("uv: failed")
        assert await window.notifications_so_far() == [said]


# --- the project ------------------------------------------------------------------------------


async def test_a_manifest_that_does_not_parse_is_marked_and_nothing_is_run(project, fake_uv, environ, workbench):
    example, fake = project("idna"), fake_uv(ASKED)
    configure(example, uvPath=str(fake.path))
    window = await opened(workbench, environ, example)
    await window.go_to(3)
    await window.type("=")
    await window.save()
    squiggle = await window.wait_for_squiggle("error")
    assert (squiggle.line, squiggle.text) == (3, "=")
    [problem] = await window.problems()
    assert (problem.line, problem.source) == (3, "uv-link-doctor")
    await window.language_status("uv: failed")
    assert fake.invocations() == []

    before = example.manifest.read_bytes()
    await window.undo()
    await window.save()
    await window.wait_for_no_problem()
    await until(lambda: syncs(fake))
    assert example.manifest.read_bytes() == before.replace(b"=version", b"version")
    assert await window.notifications_so_far() == []


async def test_two_windows_on_one_folder_both_work_and_lose_nothing(project, uv_binary, environ, workbench):
    example = project("idna")
    configure(example, uvPath=str(uv_binary("newest")))
    windows = [await opened(workbench, environ, example) for _ in range(2)]
    one, other = windows
    servers = language_servers(one.server)
    assert len(servers) == 2
    for window in windows:
        await window.save()  # The second does not wait for the first one's run.
    for window in windows:
        await window.language_status("uv: healthy")
    assert example.missing_files() == {}

    await one.go_to(6)
    await one.type('    "typing-extensions",\n')
    await one.save()
    await one.language_status("uv: healthy")
    await other.wait_for_line('    "typing-extensions",')
    await other.save()
    await other.language_status("uv: healthy")
    assert example.missing_files() == {}
    assert example.imports("idna.core", "typing_extensions")
    assert {"pyproject.toml", "uv.lock", ".venv", ".vscode"} == {it.name for it in example.root.iterdir()}
    for window in windows:
        assert await window.notifications_so_far() == []
        assert await window.squiggles() == []
        await window.close_page()
    await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in servers))


async def test_a_folder_deleted_while_it_is_open_leaves_a_window_that_can_be_closed(
    project, fake_uv, environ, workbench
):
    example, fake = project("idna"), fake_uv(ASKED)
    configure(example, uvPath=str(fake.path))
    window = await opened(workbench, environ, example)
    await window.save()
    await until(lambda: syncs(fake))
    servers = language_servers(window.server)
    shutil.rmtree(example.root)
    for command in ("Check the Project Without Installing", "Run uv sync"):
        await window.palette(f"uv Link Doctor: {command}")
        said = await window.notification("no such file or directory")
        assert said.message.endswith("name a project's directory or its `pyproject.toml`")
        assert await window.notifications_so_far() == [said]
        await window.palette("Notifications: Clear All Notifications")
    assert language_servers(window.server) == servers
    assert len(syncs(fake)) == 1
    await window.palette("View: Close Editor")
    await window.page.locator(".tab").wait_for(state="detached")
    await window.close_page()
    await until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in servers))
    assert not example.root.exists()


async def test_the_extension_is_disabled_and_enabled_again(project, fake_uv, environ, workbench):
    example = project("idna")
    configure(example, uvPath=str(fake_uv().path))
    break_package(example, "half")
    window = await opened(workbench, environ, example)
    await window.wait_for_problem("half")
    [server] = language_servers(window.server)
    await press_on_our_page(window, "Disable")
    await window.page.locator(".extension-editor").get_by_role("button", name="reload window").wait_for()
    await window.reload()
    await until(lambda: not Path(f"/proc/{server}").exists())
    await window.open_file("pyproject.toml")
    await window.wait_for_no_problem()
    assert language_servers(window.server) == []

    await press_on_our_page(window, "Enable")
    await window.wait_for_problem("half")
    [again] = language_servers(window.server)
    assert again != server
    assert await window.notifications_so_far() == []


async def press_on_our_page(window: Workbench, button: str) -> None:
    """Press a button of the page that the Extensions view shows of our extension."""
    await window.palette("Extensions: Show Installed Extensions")
    await window.page.locator(".extension-list-item", has_text="uv Link Doctor").click()
    await window.page.locator(".extension-editor").get_by_role("button", name=button).first.click()
