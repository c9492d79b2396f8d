"""The language server: its life, its settings, and which message goes to which feature."""

from __future__ import annotations

import asyncio
import inspect
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from lsprotocol import types as lsp
from pygls import uris
from pygls.exceptions import JsonRpcException

from uv_link_doctor.lsp import convert
from uv_link_doctor.lsp.sessions import DoctorServer
from uv_link_doctor.options import read_options

server = DoctorServer()

_QUICK_FIXES = lsp.CodeActionOptions(code_action_kinds=[lsp.CodeActionKind.QuickFix])
FEATURES: dict[str, tuple[str, Any]] = {
    lsp.TEXT_DOCUMENT_DID_OPEN: ("did_open", None),
    lsp.TEXT_DOCUMENT_DID_CHANGE: ("did_change", None),
    lsp.TEXT_DOCUMENT_WILL_SAVE: ("will_save", None),
    lsp.TEXT_DOCUMENT_DID_SAVE: ("did_save", None),
    lsp.TEXT_DOCUMENT_DID_CLOSE: ("did_close", None),
    lsp.TEXT_DOCUMENT_CODE_ACTION: ("code_action", _QUICK_FIXES),
    lsp.TEXT_DOCUMENT_HOVER: ("hover", None),
}
"""By the message: the function of `lsp.features` that answers it, and the options it is announced with."""
REQUESTS = {
    "uvLinkDoctor/page": "page",
    "uvLinkDoctor/terminalCommand": "terminal_command",
    "uvLinkDoctor/undo": "undo",
}
"""By our own method, for editors with a user interface around the protocol: the function that answers it."""
COMMANDS = {
    convert.SYNC: "sync_command",
    convert.APPLY: "apply_command",
    "uvLinkDoctor.check": "check_command",
    "uvLinkDoctor.cancel": "cancel_command",
    "uvLinkDoctor.explain": "explain_command",
    "uvLinkDoctor.report": "report_command",
}


def later(name: str, *, settled: bool = False) -> Callable[..., Awaitable[Any]]:
    """A handler that loads `lsp.features`, and with it the doctor, when it is first needed.

    The answer to `initialize` need not wait for it: a seventh of the time until then. `settled`: it uses the settings.
    """

    async def handler(ls: DoctorServer, *params: Any) -> Any:
        if settled:
            await ls.settings_known()
        from uv_link_doctor.lsp import features  # noqa: PLC0415

        answer = getattr(features, name)(ls, *params)
        return await answer if inspect.isawaitable(answer) else answer

    return handler


for method, (function, announced) in FEATURES.items():
    server.feature(method, announced)(later(function))
for method, function in REQUESTS.items():
    server.feature(method)(later(function, settled=True))
for command, function in COMMANDS.items():
    server.command(command)(later(function, settled=True))


@server.feature(lsp.INITIALIZE)
def initialize(ls: DoctorServer, params: lsp.InitializeParams) -> None:
    """Takes the options and the client's word on trust."""
    given = params.initialization_options
    given = given if isinstance(given, Mapping) else {}
    ls.section = given.get("uvLinkDoctor", given)
    ls.options, complaints = read_options(ls.section, trusted=given.get("trusted", True) is not False)
    for complaint in complaints:
        ls.say(complaint)
    with suppress(NotImplementedError):  # Windows has no such handlers.
        for name in ("SIGTERM", "SIGHUP", "SIGINT"):
            asyncio.get_running_loop().add_signal_handler(signal.Signals[name], lambda: ls.start(exit_now(ls)))


@server.feature(lsp.INITIALIZED)
async def initialized(ls: DoctorServer, _: lsp.InitializedParams) -> None:
    """Asks for the settings and to be told when they change, where the client can."""
    try:
        await pull_options(ls)
    finally:
        ls.settled.set()
    await look_around(ls)
    workspace = ls.client_capabilities.workspace
    if workspace and workspace.did_change_configuration and workspace.did_change_configuration.dynamic_registration:
        registration = lsp.Registration(
            "configuration",
            lsp.WORKSPACE_DID_CHANGE_CONFIGURATION,
            lsp.DidChangeConfigurationRegistrationOptions(section="uvLinkDoctor"),
        )
        with suppress(JsonRpcException):  # Then the client does not tell, or tells all the same.
            await ls.client_register_capability_async(lsp.RegistrationParams([registration]))


@server.feature(lsp.WORKSPACE_DID_CHANGE_CONFIGURATION)
async def did_change_configuration(ls: DoctorServer, params: lsp.DidChangeConfigurationParams) -> None:
    """Takes the settings as they are now; what follows uses them, a run under way does not."""
    if isinstance(params.settings, Mapping) and "uvLinkDoctor" in params.settings:
        ls.section = params.settings["uvLinkDoctor"]
        ls.options, complaints = read_options(ls.section, trusted=ls.options.trusted)
        for complaint in complaints:
            ls.say(complaint)
        ls.show_again()
    await pull_options(ls)


@server.feature(lsp.WORKSPACE_DID_CHANGE_WORKSPACE_FOLDERS)
async def did_change_folders(ls: DoctorServer, params: lsp.DidChangeWorkspaceFoldersParams) -> None:
    """Asks for the settings of the folders that there are now, and lets go of those that are closed."""
    for folder in params.event.removed:
        if path := uris.to_fs_path(folder.uri):
            ls.leave(Path(path))
    await pull_options(ls)
    await look_around(ls)


async def look_around(ls: DoctorServer) -> None:
    """What a client with a status item is told first; others get nothing that needs the doctor to be loaded."""
    if ls.wants_status:
        await later("look_around")(ls)


async def pull_options(ls: DoctorServer) -> None:
    """Asks the client for the settings, in general and of each folder; what it leaves out stays as it was given."""
    workspace = ls.client_capabilities.workspace
    if not (workspace and workspace.configuration):
        return
    scopes = [None, *ls.workspace.folders]
    items = [lsp.ConfigurationItem(scope_uri=scope, section="uvLinkDoctor") for scope in scopes]
    try:
        answers = await ls.workspace_configuration_async(lsp.ConfigurationParams(items))
    except JsonRpcException as error:
        ls.log(f"the client did not give its settings: {error}")
        return
    complained: set[str] = set()
    ls.folder_options.clear()
    for scope, answer in zip(scopes, answers, strict=False):
        base = ls.section if isinstance(ls.section, Mapping) else {}
        options, complaints = read_options(
            {**base, **answer} if isinstance(answer, Mapping) else answer or base, trusted=ls.options.trusted
        )
        complained.update(complaints)
        if scope is None:
            ls.options = options
        else:
            ls.folder_options[scope] = options
    for complaint in sorted(complained):
        ls.say(complaint)
    ls.show_again()


@server.feature(lsp.SHUTDOWN)
async def shutdown(ls: DoctorServer, _: None) -> None:
    """Ends every run before it answers."""
    await ls.end()


@server.feature(lsp.EXIT)
async def exit_now(ls: DoctorServer, *_: object) -> None:
    """Ends every run, then the process: pygls would wait for a client that keeps its end of stdin open."""
    current = asyncio.current_task()
    ls.tasks = {task for task in ls.tasks if task is not current}
    await ls.end()
    sys.stdout.flush()
    os._exit(0 if ls.protocol._shutdown else 1)  # noqa: SLF001  (the only place where pygls keeps it)
