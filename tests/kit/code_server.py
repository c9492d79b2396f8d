"""A running code-server: a process group with folders, settings and variables of its own, and nothing left after it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from select import select
from typing import Any

from kit import provision

PATIENCE = 30.0
"""Seconds that a start may take before a test gives up on it."""

QUIET: Mapping[str, Any] = {
    # Nothing shows or moves but what a test asked for.
    "chat.commandCenter.enabled": False,
    "chat.disableAIFeatures": True,
    "extensions.autoCheckUpdates": False,
    "extensions.autoUpdate": False,
    "extensions.ignoreRecommendations": True,
    "git.enabled": False,
    "remote.autoForwardPorts": False,
    "telemetry.telemetryLevel": "off",
    "update.mode": "none",
    "update.showReleaseNotes": False,
    "workbench.editor.enablePreview": False,
    "workbench.enableExperiments": False,
    "workbench.localHistory.enabled": False,
    "workbench.reduceMotion": "on",
    "workbench.secondarySideBar.defaultVisibility": "hidden",
    "workbench.startupEditor": "none",
    "workbench.tips.enabled": False,
    "workbench.welcomePage.walkthroughs.openOnInstall": False,
    # What is typed is what stands there.
    "editor.autoClosingBrackets": "never",
    "editor.autoClosingQuotes": "never",
    "editor.autoIndent": "none",
    "editor.quickSuggestions": {"comments": "off", "other": "off", "strings": "off"},
    "editor.suggestOnTriggerCharacters": False,
    "files.autoSave": "off",
    # All that the editor shows is text in the page.
    "breadcrumbs.enabled": False,
    "editor.accessibilitySupport": "off",
    "editor.minimap.enabled": False,
    "editor.stickyScroll.enabled": False,
    "terminal.integrated.enablePersistentSessions": False,
    "terminal.integrated.gpuAcceleration": "off",
    "terminal.integrated.stickyScroll.enabled": False,
    "terminal.integrated.suggest.enabled": False,
}

TRUSTED: Mapping[str, Any] = {"security.workspace.trust.enabled": False}
UNTRUSTED: Mapping[str, Any] = {
    "security.workspace.trust.enabled": True,
    "security.workspace.trust.startupPrompt": "never",
    "security.workspace.trust.banner": "always",
    "security.workspace.trust.emptyWindow": False,
}

OPTIONS = (
    "--auth=none",
    "--bind-addr=127.0.0.1:0",  # The kernel chooses the port.
    "--disable-getting-started-override",
    "--disable-proxy",
    "--disable-telemetry",
    "--disable-update-check",
    # Else the extension host of a window that vanished, and its language server, live on for three hours.
    "--reconnection-grace-time=2",
    # Else extensions get the PATH of a login shell, not the one that the test gave.
    "--vscode-option=force-disable-user-env",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """What a code-server is started with; two equal ones may share it.

    `user` and `machine` are settings: those of scope `machine` and `machine-overridable` count in `machine` only,
    because to VS Code the window is a remote one. Without `trusted` each folder opens in Restricted Mode.
    `environ` is added to an environment with a HOME of its own and nothing of the tester's.
    """

    user: Mapping[str, Any] = field(default_factory=dict)
    machine: Mapping[str, Any] = field(default_factory=dict)
    trusted: bool = True
    environ: Mapping[str, str] = field(default_factory=dict)
    extensions: tuple[Path, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class CodeServer:
    """One that answers at `url`, until the context that made it is left."""

    setup: Setup
    folder: Path
    environ: Mapping[str, str]
    process: subprocess.Popen[bytes]
    url: str

    def configure(self) -> None:
        """Write the settings, also over what an earlier test changed in them."""
        _write_settings(self.folder, self.setup)

    def extension_hosts(self) -> list[int]:
        """The processes that run extensions, one for each open page."""
        return [pid for pid in _descendants(self.environ) if "--type=extensionHost" in _command(pid)]


@contextmanager
def code_server_running(editor: Path, folder: Path, setup: Setup) -> Iterator[CodeServer]:
    """Start the code-server of `editor`, as `provision` made it, with all that it writes below `folder`.

    At the end its process group is ended, and none of its descendants may be left, in whatever group: AssertionError.
    """
    # The path of a Unix socket holds no more than 107 bytes.
    with tempfile.TemporaryDirectory(prefix="vscode-") as sockets:
        environ = _environ(folder, Path(sockets), setup)
        _write_settings(folder, setup)
        command: list[Path | str] = [
            provision.node(editor),
            provision.code_server(editor),
            "--config",
            folder / "config.yaml",
        ]
        command += ["--user-data-dir", folder / "data", "--extensions-dir", folder / "extensions"]
        for extension in setup.extensions:
            _install(command, extension, environ)
        log = folder / "server.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*command, *OPTIONS],
                cwd=folder,
                env=environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            url = _answering(process, log)
            yield CodeServer(setup=setup, folder=folder, environ=environ, process=process, url=url)
        finally:
            _end(process, environ)


def _environ(folder: Path, sockets: Path, setup: Setup) -> dict[str, str]:
    own = {"HOME": str(folder / "home"), "LANG": "C.UTF-8", "PATH": "/usr/bin:/bin", "SHELL": "/bin/bash"}
    environ = {**own, **setup.environ, "XDG_RUNTIME_DIR": str(sockets)}
    home = Path(environ["HOME"])
    home.mkdir(parents=True, exist_ok=True)
    (home / ".bashrc").write_text("PS1='$ '\n", encoding="utf-8")
    return environ


def _write_settings(folder: Path, setup: Setup) -> None:
    user = {**QUIET, **(TRUSTED if setup.trusted else UNTRUSTED), **setup.user}
    for scope, settings in {"User": user, "Machine": setup.machine}.items():
        file = folder / "data" / scope / "settings.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(settings, indent=4), encoding="utf-8")


def _install(command: list[Path | str], extension: Path, environ: Mapping[str, str]) -> None:
    said = subprocess.run(
        [*command, "--install-extension", extension, "--force"],
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert said.returncode == 0, f"{extension} was not installed:\n{said.stdout}{said.stderr}"


def _answering(process: subprocess.Popen[bytes], log: Path) -> str:
    """The URL by which it answers, once it does."""
    deadline = time.monotonic() + PATIENCE
    while True:
        said = log.read_text(encoding="utf-8", errors="replace")
        if listening := re.search(r"HTTP server listening on (http://\S+/)", said):
            break
        assert process.poll() is None, f"code-server ended:\n{said}"
        assert time.monotonic() < deadline, f"code-server does not listen:\n{said}"
        time.sleep(0.05)
    url = listening[1]
    with urllib.request.urlopen(f"{url}healthz", timeout=PATIENCE) as answer:  # noqa: S310 - It is http.
        assert answer.status == 200
    return url


def _end(process: subprocess.Popen[bytes], environ: Mapping[str, str], *, patience: float = 10) -> None:
    """End the process group; a descendant that outlives it by `patience` seconds is killed and makes the test fail."""
    handles = {pid: handle for pid in _descendants(environ) if (handle := _handle(pid)) is not None}
    commands = {pid: _command(pid) for pid in handles}
    try:
        _signal_group(process, signal.SIGTERM)
        deadline = time.monotonic() + patience
        left = [pid for pid, handle in handles.items() if not _ends(handle, deadline - time.monotonic())]
        _signal_group(process, signal.SIGKILL)
        process.wait()
    finally:
        for handle in handles.values():
            os.close(handle)
    left += [pid for pid in _descendants(environ) if pid not in handles]
    for pid in left:
        commands.setdefault(pid, _command(pid))
        os.kill(pid, signal.SIGKILL)
    assert left == [], f"code-server's processes outlived it: {[commands[pid] for pid in left]}"


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):  # All of it has ended.
        os.killpg(process.pid, number)


def _descendants(environ: Mapping[str, str]) -> list[int]:
    """Every process that inherited the variable that is this code-server's alone, in whatever group or session."""
    ours = f"XDG_RUNTIME_DIR={environ['XDG_RUNTIME_DIR']}".encode()
    return [int(place.name) for place in Path("/proc").glob("[0-9]*") if ours in _environ_of(place).split(b"\0")]


def _environ_of(place: Path) -> bytes:
    try:
        return (place / "environ").read_bytes()
    except OSError:
        return b""  # It has ended, or is another user's.


def _command(pid: int) -> str:
    try:
        return Path("/proc", str(pid), "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def _handle(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except OSError:
        return None


def _ends(handle: int, seconds: float) -> bool:
    return bool(select([handle], [], [], max(0, seconds))[0])
