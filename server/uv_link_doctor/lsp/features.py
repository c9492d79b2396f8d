"""What the server does about documents and commands; loaded with the first message after `initialize`."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from lsprotocol import types as lsp
from pygls import uris
from pygls.exceptions import JsonRpcInvalidParams

from uv_link_doctor import doctor, journal
from uv_link_doctor.case import read_case
from uv_link_doctor.engine import formats, shells
from uv_link_doctor.engine import hover as words
from uv_link_doctor.engine.model import Code, DoctorError, Examination, Position
from uv_link_doctor.engine.redact import redacted
from uv_link_doctor.engine.report import document
from uv_link_doctor.host.private import private_of
from uv_link_doctor.host.state import load
from uv_link_doctor.lsp import convert
from uv_link_doctor.lsp.looks import (
    apply_remedy,
    check_and_show,
    install,
    install_soon,
    look,
    session_for,
    showing_problems,
    trigger,
    weigh,
    with_taint,
)
from uv_link_doctor.lsp.sessions import DoctorServer, Session
from uv_link_doctor.options import OnSave, Options
from uv_link_doctor.project import directory_of, may_install_on_save
from uv_link_doctor.reporting import sections_of

AUTO_SAVE_SECONDS = 10.0
"""How long an auto-saved file must be left alone before it is installed from (contract, section 6)."""
ABOUT_A_TEXT = ("Summary", "Findings")
"""The sections of a report that are not about a machine."""


def look_around(ls: DoctorServer) -> None:
    """Tells a client with a status item what is known of the projects in its folders, before any file is opened."""
    for folder in ls.workspace.folders:
        path = uris.to_fs_path(folder)
        with suppress(DoctorError):  # No project, or one that shows its problem once its file is opened.
            session, _ = session_for(ls, Path(path or ""))
            ls.tell(session.root)


# --- documents ----------------------------------------------------------------------------


async def did_open(ls: DoctorServer, params: lsp.DidOpenTextDocumentParams) -> None:
    """Reads the project and shows what is wrong already; starts nothing and writes nothing."""
    path = trigger(ls, params.text_document.uri)
    if path is None:
        return
    ls.opened[path] = params.text_document.uri
    await ls.settings_known()
    with showing_problems(ls, path):
        session, _ = session_for(ls, path)
        # A passive look cannot judge again what uv itself has said: that stands until the next run.
        if not session.lock.locked() and not said_by_uv(session):
            before = session.examination
            found = await doctor.check(path, ls.host, ls.options_for(path), passive=True, ask=False)
            found = with_taint(session, found)
            # What uv has begun to write meanwhile is not broken, and what a run has shown is newer.
            if not session.lock.locked() and session.examination is before:
                ls.show(session, found)
        ls.start(weigh(ls, session, path))


def did_close(ls: DoctorServer, params: lsp.DidCloseTextDocumentParams) -> None:
    """From here on, what is on disk counts; the diagnostics stay where a folder is open that they are of."""
    path = Path(uris.to_fs_path(params.text_document.uri) or "")
    if ls.opened.pop(path, None) and ls.workspace.folders:
        ls.leave(path.parent)


def will_save(ls: DoctorServer, params: lsp.WillSaveTextDocumentParams) -> None:
    """Remembers whose doing the coming save is."""
    uri = params.text_document.uri
    if params.reason == lsp.TextDocumentSaveReason.Manual:
        ls.auto_saved.discard(uri)
    else:
        ls.auto_saved.add(uri)


def did_change(ls: DoctorServer, params: lsp.DidChangeTextDocumentParams) -> None:
    """Lets an auto-saved file that is being typed in wait for its quiet time anew."""
    uri = params.text_document.uri
    if uri in ls.timers:
        wait_for_quiet(ls, uri)


async def did_save(ls: DoctorServer, params: lsp.DidSaveTextDocumentParams) -> None:
    """Starts what the setting `onSave` says: at once, or for an auto-save when the file has been left alone."""
    uri = params.text_document.uri
    await ls.settings_known()
    path = trigger(ls, uri)
    if path is None:
        forget(ls, uri)
        return
    if uri in ls.workspace.text_documents:
        ls.opened[path] = uri  # A script that has just begun to say what it needs was none when it was opened.
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
    path = trigger(ls, uri)
    if path is None:
        return  # In its quiet time it has ceased to be one.
    options = ls.options_for(path)
    if options.on_save is OnSave.OFF:
        return
    with showing_problems(ls, path):
        session, manifest = session_for(ls, path)
        chosen = load(ls.host.state, session.root).chosen
        installs = may_install_on_save(manifest, ls.host.read_text, chosen=chosen)
        if options.on_save is OnSave.CHECK or not options.trusted or not installs:
            ls.start(check_and_show(ls, session, path))
        else:
            install_soon(ls, session, manifest.path, path)


async def hover(ls: DoctorServer, params: lsp.HoverParams) -> lsp.Hover | None:
    """What is known already of the setting or the requirement at the cursor; nothing is tried for it."""
    path = trigger(ls, params.text_document.uri)
    if path is None:
        return None
    with suppress(DoctorError):  # What keeps us from looking is shown as a diagnostic.
        session, manifest = session_for(ls, path)
        last = session.examination
        version = last.uv.version if last and last.uv else None
        project = (await read_case(path, ls.host, ls.options_for(path), ask=False, version=version)).project
        if last and last.project and last.project.manifest == manifest:
            # The settings may have been typed in since, or be those that a remedy gave its run alone.
            project = replace(last.project, settings=project.settings)
        known = words.Known(project=project, places=session.places, weight=session.weight)
        position = Position(params.position.line, params.position.character)
        if found := words.hover(path, ls.host.read_text(path) or "", position, known):
            place, said = found
            return lsp.Hover(lsp.MarkupContent(lsp.MarkupKind.Markdown, said), convert.lsp_range(place))
    return None


def forget(ls: DoctorServer, uri: str) -> None:
    """Takes back what was said of a script that no longer says what it needs."""
    path = Path(uris.to_fs_path(uri) or "")
    ls.opened.pop(path, None)
    ls.drop_problem(path)
    ls.drop_session(path)


def code_action(ls: DoctorServer, params: lsp.CodeActionParams) -> list[lsp.CodeAction]:
    """The remedies of the diagnostics at the cursor."""
    if params.context.only and not _ALL_OURS.intersection(params.context.only):
        return []
    actions: list[lsp.CodeAction] = []
    for asked in params.context.diagnostics:
        # A client without `dataSupport` sends the diagnostic back without its data: ours still has it.
        ours = (shown for shown in ls.shown.get(params.text_document.uri, ()) if same(shown, asked))
        actions += convert.code_actions(asked if asked.data else next(ours, asked))
    return actions


_ALL_OURS = frozenset({lsp.CodeActionKind.QuickFix, lsp.CodeActionKind.Empty})
"""The kinds that take in all of ours; the empty one is above every other."""


def same(one: lsp.Diagnostic, other: lsp.Diagnostic) -> bool:
    """Whether two diagnostics are the same to a reader."""
    return (one.range, one.code, one.message) == (other.range, other.code, other.message)


# --- commands -----------------------------------------------------------------------------


async def sync_command(ls: DoctorServer, *arguments: Any) -> dict[str, Any]:
    """Installs because the user says so."""
    path = root_argument(arguments)
    with answering_problems():
        trusted(ls, path)
        session, manifest = session_for(ls, path)
        return document(await outcome(ls, session, path, install(ls, session, manifest.path, agreed=True)))


async def check_command(ls: DoctorServer, *arguments: Any) -> dict[str, Any]:
    """Looks at the project and installs nothing."""
    path = root_argument(arguments)
    with answering_problems():
        session, _ = session_for(ls, path)
        return document(await look(ls, session, path))


def cancel_command(ls: DoctorServer, *arguments: Any) -> None:
    """Ends the run of a project, and what waits for its end."""
    path = meant = root_argument(arguments)
    with suppress(DoctorError):  # What can no longer be read can still be going on.
        meant = session_for(ls, path)[0].root
    for session in ls.sessions.values():
        if session.root in {path, meant} or path.is_relative_to(session.root):
            session.waiting.clear()
            session.stop.set()


def explain_command(_: DoctorServer, *arguments: Any) -> dict[str, Any]:
    """Says what a pasted text of uv means."""
    match arguments:
        case (str(text),):
            return document(doctor.explain(text))
    raise JsonRpcInvalidParams("`uvLinkDoctor.explain` takes one text")


async def report_command(ls: DoctorServer, *arguments: Any) -> dict[str, Any]:
    """Tells everything known by now about a project, without what is private."""
    path = root_argument(arguments)
    with answering_problems():
        examination, options = await known(ls, path)
        costs = await doctor.measure(path, ls.host, options)
    private = private_of(ls.host.environ, options.environment)
    told = redacted(sections_of(examination, ls.host, options, costs=costs), private)
    return {"document": redacted(document(examination), private), "markdown": formats.as_markdown(told)}


async def known(ls: DoctorServer, path: Path) -> tuple[Examination, Options]:
    """The last look at a project, or a first one, with its places; raises DoctorError."""
    session, _ = session_for(ls, path)
    options = ls.options_for(path)
    last = session.examination or await look(ls, session, path)
    whole = await doctor.with_places(last, ls.host, options)
    if session.examination is last:
        session.examination = whole  # So that a page that is refreshed need not try links again.
    return whole, options


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
        return document(await outcome(ls, session, path, apply_remedy(ls, session, path, finding, remedy)))


async def outcome(
    ls: DoctorServer, session: Session, path: Path, work: Coroutine[Any, Any, Examination]
) -> Examination:
    """What the work on a project comes to; of a request that is cancelled, what it left is looked at and shown."""
    try:
        return await ls.start(work)
    except asyncio.CancelledError:
        ls.start(check_and_show(ls, session, path))
        raise


# --- requests of our own ------------------------------------------------------------------


async def page(ls: DoctorServer, params: Any) -> dict[str, str]:
    """What a page in the editor shows: of the project at `root`, or of a pasted `text`; with all that is private."""
    if isinstance(text := getattr(params, "text", None), str):
        told = sections_of(doctor.explain(text), ls.host, ls.options)
        shown = tuple(section for section in told if section.heading in ABOUT_A_TEXT)
        return {"title": "uv's output explained", "style": formats.STYLE, "body": formats.html_body(shown)}
    path = root_of(params)
    with answering_problems():
        examination, options = await known(ls, path)
        session, _ = session_for(ls, path)
    sections = sections_of(examination, ls.host, options, costs=(session.weight, None))
    body = formats.html_body(sections, buttons=True)
    return {"title": f"uv Link Doctor: {path.name}", "style": formats.STYLE, "body": body}


async def terminal_command(ls: DoctorServer, params: Any) -> dict[str, str]:
    """The command that a save runs, as it is typed into a terminal; `terminal` is the path of its shell."""
    path = root_of(params)
    with answering_problems():
        _, manifest = session_for(ls, path)
        options = ls.options_for(path)
        command = await doctor.sync_command(manifest.path, ls.host, options)
    terminal, directory = str(getattr(params, "terminal", None) or "sh"), directory_of(manifest)
    return {"command": shells.typed(command, directory=directory, variables=options.environment, terminal=terminal)}


async def undo(ls: DoctorServer, params: Any) -> dict[str, Any]:
    """Takes back the last change that a remedy made to a project, and looks at it again."""
    path = root_of(params)
    with answering_problems():
        trusted(ls, path)
        session, _ = session_for(ls, path)
        async with session.lock:
            undone = await journal.undo(path, ls.host)
        session.clean.clear()
        return {"undone": undone, "document": document(await look(ls, session, path))}


def root_of(params: Any) -> Path:
    """The directory that a request of our own names."""
    return root_argument((getattr(params, "root", None),))


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


def said_by_uv(session: Session) -> bool:
    """Whether the last look shows what only a run, or uv's own answer, can judge."""
    found = session.examination.findings if session.examination else ()
    return any(finding.code in {Code.SYNC_FAILED, Code.UV_MISSING} for finding in found)


@contextmanager
def answering_problems() -> Iterator[None]:
    """Turns what the user can act on into the request's error, in one sentence."""
    try:
        yield
    except DoctorError as error:
        raise JsonRpcInvalidParams(f"{error.message}; {error.hint}") from error
