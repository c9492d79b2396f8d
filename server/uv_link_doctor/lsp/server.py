"""The language server: what a client sends becomes a look at a project."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lsprotocol import types as lsp
from pygls import uris
from pygls.exceptions import JsonRpcInvalidParams

from uv_link_doctor import doctor
from uv_link_doctor.engine.model import DoctorError
from uv_link_doctor.engine.report import document
from uv_link_doctor.lsp import convert
from uv_link_doctor.lsp.looks import (
    apply_remedy,
    check_and_show,
    install,
    install_soon,
    session_for,
    showing_problems,
    trigger,
)
from uv_link_doctor.lsp.sessions import DoctorServer
from uv_link_doctor.options import OnSave, read_options

AUTO_SAVE_SECONDS = 10.0
"""How long an auto-saved file must be left alone before it is installed from (contract, section 6)."""

server = DoctorServer()


# --- the life of the server ---------------------------------------------------------------


@server.feature(lsp.INITIALIZE)
def initialize(ls: DoctorServer, params: lsp.InitializeParams) -> None:
    """Takes the options and the client's word on trust."""
    given = params.initialization_options
    given = given if isinstance(given, Mapping) else {}
    section = given.get("uvLinkDoctor", given)
    trusted = given.get("trusted", True) is not False
    ls.options, complaints = read_options(section, trusted=trusted)
    for complaint in complaints:
        ls.say(complaint)
    with suppress(NotImplementedError):  # Windows has no such handlers.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: ls.start(exit_now(ls)))


@server.feature(lsp.INITIALIZED)
async def initialized(ls: DoctorServer, _: lsp.InitializedParams) -> None:
    """Asks for the settings and to be told when they change, where the client can."""
    workspace = ls.client_capabilities.workspace
    if workspace and workspace.did_change_configuration and workspace.did_change_configuration.dynamic_registration:
        registration = lsp.Registration(
            "configuration",
            lsp.WORKSPACE_DID_CHANGE_CONFIGURATION,
            lsp.DidChangeConfigurationRegistrationOptions(section="uvLinkDoctor"),
        )
        await ls.client_register_capability_async(lsp.RegistrationParams([registration]))
    await pull_options(ls)


@server.feature(lsp.WORKSPACE_DID_CHANGE_CONFIGURATION)
async def did_change_configuration(ls: DoctorServer, params: lsp.DidChangeConfigurationParams) -> None:
    """Takes the settings as they are now; what follows uses them, a run under way does not."""
    if isinstance(params.settings, Mapping) and "uvLinkDoctor" in params.settings:
        ls.options, complaints = read_options(params.settings["uvLinkDoctor"], trusted=ls.options.trusted)
        for complaint in complaints:
            ls.say(complaint)
    await pull_options(ls)


async def pull_options(ls: DoctorServer) -> None:
    """Asks the client for the settings of each folder."""
    workspace = ls.client_capabilities.workspace
    folders = list(ls.workspace.folders)
    if not (workspace and workspace.configuration and folders):
        return
    items = [lsp.ConfigurationItem(scope_uri=uri, section="uvLinkDoctor") for uri in folders]
    answers = await ls.workspace_configuration_async(lsp.ConfigurationParams(items))
    complained: set[str] = set()
    for uri, answer in zip(folders, answers, strict=False):
        if answer is not None:
            ls.folder_options[uri], complaints = read_options(answer, trusted=ls.options.trusted)
            complained.update(complaints)
    for complaint in sorted(complained):
        ls.say(complaint)


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


# --- documents ----------------------------------------------------------------------------


@server.feature(lsp.TEXT_DOCUMENT_DID_OPEN)
async def did_open(ls: DoctorServer, params: lsp.DidOpenTextDocumentParams) -> None:
    """Reads the project and shows what is wrong already; starts nothing and writes nothing."""
    path = trigger(params.text_document.uri)
    if path is None:
        return
    ls.opened[path] = params.text_document.uri
    with showing_problems(ls, path):
        session, _ = session_for(ls, path)
        if not session.lock.locked():
            ls.show(session, await doctor.check(path, ls.host, ls.options_for(path), passive=True, ask=False))


@server.feature(lsp.TEXT_DOCUMENT_DID_CLOSE)
def did_close(ls: DoctorServer, params: lsp.DidCloseTextDocumentParams) -> None:
    """From here on, what is on disk counts; the diagnostics stay."""
    path = trigger(params.text_document.uri)
    if path is not None:
        ls.opened.pop(path, None)


@server.feature(lsp.TEXT_DOCUMENT_WILL_SAVE)
def will_save(ls: DoctorServer, params: lsp.WillSaveTextDocumentParams) -> None:
    """Remembers whose doing the coming save is."""
    uri = params.text_document.uri
    if params.reason == lsp.TextDocumentSaveReason.Manual:
        ls.auto_saved.discard(uri)
    else:
        ls.auto_saved.add(uri)


@server.feature(lsp.TEXT_DOCUMENT_DID_CHANGE)
def did_change(ls: DoctorServer, params: lsp.DidChangeTextDocumentParams) -> None:
    """Lets an auto-saved file that is being typed in wait for its quiet time anew."""
    uri = params.text_document.uri
    if uri in ls.timers:
        wait_for_quiet(ls, uri)


@server.feature(lsp.TEXT_DOCUMENT_DID_SAVE)
def did_save(ls: DoctorServer, params: lsp.DidSaveTextDocumentParams) -> None:
    """Starts what the setting `onSave` says: at once, or for an auto-save when the file has been left alone."""
    uri = params.text_document.uri
    if trigger(uri) is None:
        return
    if uri in ls.auto_saved:
        ls.auto_saved.discard(uri)
        wait_for_quiet(ls, uri)
        return
    if timer := ls.timers.pop(uri, None):
        timer.cancel()
    saved(ls, uri)


def wait_for_quiet(ls: DoctorServer, uri: str) -> None:
    """Treats the file as saved once nothing has happened to it for a while."""
    if timer := ls.timers.pop(uri, None):
        timer.cancel()
    ls.timers[uri] = asyncio.get_running_loop().call_later(AUTO_SAVE_SECONDS, quiet, ls, uri)


def quiet(ls: DoctorServer, uri: str) -> None:
    """The quiet time is over."""
    ls.timers.pop(uri, None)
    saved(ls, uri)


def saved(ls: DoctorServer, uri: str) -> None:
    """Queues the run that a saved file asks for; the last save of a manifest wins, a run under way goes on."""
    path = trigger(uri)
    assert path is not None  # noqa: S101  (only triggers get here)
    options = ls.options_for(path)
    if options.on_save is OnSave.OFF:
        return
    with showing_problems(ls, path):
        session, manifest = session_for(ls, path)
        if options.on_save is OnSave.CHECK or not options.trusted:
            ls.start(check_and_show(ls, session, path))
        else:
            install_soon(ls, session, manifest.path)


@server.feature(lsp.TEXT_DOCUMENT_CODE_ACTION, lsp.CodeActionOptions(code_action_kinds=[lsp.CodeActionKind.QuickFix]))
def code_action(ls: DoctorServer, params: lsp.CodeActionParams) -> list[lsp.CodeAction]:
    """The remedies of the diagnostics at the cursor."""
    if params.context.only and lsp.CodeActionKind.QuickFix not in params.context.only:
        return []
    actions: list[lsp.CodeAction] = []
    for asked in params.context.diagnostics:
        # A client without `dataSupport` sends the diagnostic back without its data: ours still has it.
        ours = (shown for shown in ls.shown.get(params.text_document.uri, ()) if same(shown, asked))
        actions += convert.code_actions(asked if asked.data else next(ours, asked))
    return actions


def same(one: lsp.Diagnostic, other: lsp.Diagnostic) -> bool:
    """Whether two diagnostics are the same to a reader."""
    return (one.range, one.code, one.message) == (other.range, other.code, other.message)


# --- commands -----------------------------------------------------------------------------


@server.command(convert.SYNC)
async def sync_command(ls: DoctorServer, *arguments: Any) -> dict[str, Any]:
    """Installs because the user says so."""
    path = root_argument(arguments)
    with answering_problems():
        trusted(ls, path)
        session, manifest = session_for(ls, path)
        return document(await ls.start(install(ls, session, manifest.path, agreed=True)))


@server.command("uvLinkDoctor.check")
async def check_command(ls: DoctorServer, *arguments: Any) -> dict[str, Any]:
    """Looks at the project and installs nothing."""
    path = root_argument(arguments)
    with answering_problems():
        options = ls.options_for(path)
        session, _ = session_for(ls, path)
        examination = await doctor.check(
            path, ls.host, options, passive=options.passive or not options.trusted, ask=options.trusted
        )
        ls.show(session, examination)
        return document(examination)


@server.command("uvLinkDoctor.cancel")
def cancel_command(ls: DoctorServer, *arguments: Any) -> None:
    """Ends the run of a project, and what waits for its end."""
    path = root_argument(arguments)
    for session in ls.sessions.values():
        if session.root == path or path.is_relative_to(session.root):
            session.waiting.clear()
            session.stop.set()


@server.command("uvLinkDoctor.explain")
def explain_command(_: DoctorServer, *arguments: Any) -> dict[str, Any]:
    """Says what a pasted text of uv means."""
    match arguments:
        case (str(text),):
            return document(doctor.explain(text))
    raise JsonRpcInvalidParams("`uvLinkDoctor.explain` takes one text")


@server.command(convert.APPLY)
async def apply_command(ls: DoctorServer, *arguments: Any) -> dict[str, Any]:
    """Carries out a remedy, runs uv, looks at every file and shows what is left."""
    match arguments:
        case ({"root": str(root), "finding": str(finding), "remedy": str(remedy)},):
            path = root_argument((root,))
        case _:
            raise JsonRpcInvalidParams("`uvLinkDoctor.apply` takes one object with `root`, `finding` and `remedy`")
    with answering_problems():
        trusted(ls, path)
        session, _ = session_for(ls, path)
        return document(await ls.start(apply_remedy(ls, session, path, finding, remedy)))


def root_argument(arguments: Sequence[Any]) -> Path:
    """The directory that a command's argument names."""
    match arguments:
        case (str(uri),) if path := uris.to_fs_path(uri):
            return Path(path)
    raise JsonRpcInvalidParams("the argument must be the URI of a project's root")


def trusted(ls: DoctorServer, path: Path) -> None:
    """Raises DoctorError where nothing may be run."""
    if not ls.options_for(path).trusted:
        raise DoctorError("the workspace is not trusted, so nothing is run", "trust it first")


@contextmanager
def answering_problems() -> Iterator[None]:
    """Turns what the user can act on into the request's error, in one sentence."""
    try:
        yield
    except DoctorError as error:
        raise JsonRpcInvalidParams(f"{error.message}; {error.hint}") from error
