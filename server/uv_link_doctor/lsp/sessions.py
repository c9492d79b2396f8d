"""The server's state: the options of each folder, what goes on in each environment, and what every file shows."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from json import JSONDecodeError
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from lsprotocol import types as lsp
from pygls import uris
from pygls.exceptions import JsonRpcException
from pygls.lsp.server import LanguageServer

from uv_link_doctor import __version__
from uv_link_doctor.engine.model import MANIFEST, Code, DoctorError, Examination, Finding, Places, Weight
from uv_link_doctor.lsp import convert
from uv_link_doctor.lsp.protocol import DoctorProtocol
from uv_link_doctor.options import Options

if TYPE_CHECKING:
    from uv_link_doctor.host import Host
    from uv_link_doctor.lsp.status import State

T = TypeVar("T")

SETTINGS_SECONDS = 2.0
"""How long a client may take to answer with its settings before the defaults count."""
ENDING_SECONDS = 1.6
"""How long the end of all work may take: all processes are gone by then, and an editor kills us after two seconds."""


@dataclass(slots=True)
class Session:
    """What is going on with one project: a workspace of uv is one, whichever member was saved."""

    root: Path
    """Of the workspace; of any other kind of project, its file (`Project.subject`)."""
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by whatever installs or repairs: uv would wait for itself, and silently."""
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    """Set by the user's cancel; replaced for each run."""
    waiting: dict[Path, tuple[Path, bool]] = field(default_factory=dict)
    """Manifests that no run has begun with yet: the file that was saved, and whether the user agreed to all that uv may
    do."""
    worker: asyncio.Task[None] | None = None
    activity: State | None = None
    """What goes on at this moment: RUNNING or WAITING; None between runs."""
    examination: Examination | None = None
    """The last look, whose findings the diagnostics show."""
    places: Places | None = None
    """What the last look that looked at them has learnt of cache and environment."""
    weight: Weight | None = None
    """What the project's packages come to; None until that was counted."""
    clean: dict[Path, tuple[object, object]] = field(default_factory=dict)
    """By manifest: what the last clean run depended on, and what it made."""
    asking: set[str] = field(default_factory=set)
    """Questions the user is being asked."""
    declined: set[str] = field(default_factory=set)
    """Questions the user has answered with no; they are not asked again by a request."""
    published: set[str] = field(default_factory=set)
    """The URIs that show our diagnostics."""
    tainted: dict[Path, int | None] = field(default_factory=dict)
    """The cache's files that the last look found to take no link, and their numbers on the disk."""


def inode(path: Path) -> int | None:
    """A file's number on its disk, which tells it from one that has taken its name; None: it is not there."""
    try:
        return path.stat().st_ino
    except OSError:
        return None


class DoctorServer(LanguageServer):
    """The server's state: the options of each folder, a session for each root, and what every file shows."""

    protocol: DoctorProtocol

    def __init__(self) -> None:
        super().__init__("uv-link-doctor", __version__, protocol_cls=DoctorProtocol)
        self.section: object = None
        """The settings as the client gave them at first, or pushed them since."""
        self.options = Options()
        self.settled = asyncio.Event()
        """The client has been asked for its settings and has answered."""
        self.folder_options: dict[str, Options] = {}
        """By the URI of the workspace folder, where the client has settings for each."""
        self.sessions: dict[Path, Session] = {}
        self.locks: dict[Path, asyncio.Lock] = {}
        """By what shares an environment: the root of a workspace, or a script."""
        self.found: dict[str, list[lsp.Diagnostic]] = {}
        """By URI: what the last looks have found."""
        self.problems: dict[Path, tuple[str, lsp.Diagnostic]] = {}
        """By the file that was to be looked at: what kept us from it, and on which URI that stands."""
        self.shown: dict[str, list[lsp.Diagnostic]] = {}
        """By URI: what the client shows of ours."""
        self.told: dict[Path, dict[str, Any]] = {}
        """By root: the status that the client was told last."""
        self.opened: dict[Path, str] = {}
        """The open files, with the URI the client itself uses: it may escape other characters than we would."""
        self.edited: dict[Path, tuple[str | None, str]] = {}
        """What files held before edits of ours that the client has made, and hold now; while a remedy is at work."""
        self.auto_saved: set[str] = set()
        """URIs whose coming save is the editor's own doing."""
        self.timers: dict[str, asyncio.TimerHandle] = {}
        self.tasks: set[asyncio.Task[Any]] = set()

    @cached_property
    def host(self) -> Host:
        """The machine as this editor shows it."""
        from uv_link_doctor.lsp.buffers import editor_host  # noqa: PLC0415  (the answer to `initialize` needs none)

        return editor_host(self)

    def options_for(self, path: Path) -> Options:
        """The options of the folder that holds the path."""
        folders = {uris.to_fs_path(uri) or "?": options for uri, options in self.folder_options.items()}
        holding = [folder for folder in folders if path.is_relative_to(folder)]
        return folders[max(holding, key=len)] if holding else self.options

    async def settings_known(self) -> None:
        """Returns when the client's settings are known, or after a moment in which it did not give them."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self.settled.wait(), SETTINGS_SECONDS)

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Begins work that `end` ends, beside the message loop; a fault of ours is shown and ends nothing else."""
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self.tasks.discard(task)
        fault = None if task.cancelled() else task.exception()
        # What the user can act on is shown by whoever started the work; a client that has gone is shown nothing.
        if isinstance(fault, Exception) and not isinstance(fault, DoctorError | BrokenPipeError):
            self.report_server_error(fault, JsonRpcException)

    async def end(self) -> None:
        """Ends every run and waits until its processes are gone.

        A thread that a file system keeps is left to the end of ours: its work is made to survive that.
        """
        for timer in self.timers.values():
            timer.cancel()
        for task in self.tasks:
            task.cancel()
        if self.tasks:
            await asyncio.wait(self.tasks, timeout=ENDING_SECONDS)
            self.tasks.clear()

    def report_server_error(self, error: Exception, source: Any) -> None:
        """Tells the user of a fault of ours; the client, where what it has sent is no JSON."""
        if isinstance(error, JSONDecodeError | UnicodeDecodeError) and source is JsonRpcException:
            self.protocol.refuse_text()
        else:
            super().report_server_error(error, source)

    def say(self, sentence: str, kind: lsp.MessageType = lsp.MessageType.Warning) -> None:
        """Shows the user one sentence."""
        self.window_show_message(lsp.ShowMessageParams(kind, sentence))

    def log(self, text: str) -> None:
        """Adds to the client's log."""
        self.window_log_message(lsp.LogMessageParams(lsp.MessageType.Log, text))

    def show(self, session: Session, examination: Examination) -> None:
        """Makes the client show the findings of a look, and no older ones of the same project."""
        if self.sessions.get(session.root) is not session:
            return  # Its folder was closed meanwhile.
        session.examination = examination
        session.places = examination.places or session.places
        taints = [it for it in examination.findings if it.code is Code.CACHE_TAINTED]
        session.tainted = {it.location.path: inode(it.location.path) for found in taints for it in found.related}
        by_uri: dict[str, list[lsp.Diagnostic]] = {uri: [] for uri in session.published}
        for finding in self._wanted(session):
            path = finding.location.path if finding.location else self._manifest_of(session)
            by_uri.setdefault(self.uri_of(path), []).append(convert.diagnostic(finding, session.root))
        if examination.project is not None:
            by_uri.setdefault(self.uri_of(examination.project.manifest.path), [])
        session.published = {uri for uri, diagnostics in by_uri.items() if diagnostics}
        for uri, diagnostics in by_uri.items():
            self.publish(uri, diagnostics)
        self.tell(session.root)

    def _manifest_of(self, session: Session) -> Path:
        project = session.examination.project if session.examination else None
        return project.manifest.path if project else session.root / MANIFEST

    def _wanted(self, session: Session) -> tuple[Finding, ...]:
        """The findings of the last look that the user does not want to be spared."""
        ignored = self.options_for(session.root).ignore
        found = session.examination.findings if session.examination else ()
        return tuple(it for it in found if it.code.value not in ignored and (it.cause or it.code).value not in ignored)

    def publish(self, uri: str, diagnostics: list[lsp.Diagnostic]) -> None:
        """Makes a file show what a look has found there."""
        self.found[uri] = diagnostics
        self._refresh(uri)

    def show_problem(self, path: Path, uri: str, diagnostic: lsp.Diagnostic) -> None:
        """Shows what kept us from looking at a file, beside what was found before."""
        self.drop_problem(path)
        self.problems[path] = (uri, diagnostic)
        self._refresh(uri)
        self.tell(self._root_of(path))

    def drop_problem(self, path: Path) -> None:
        """A file could be looked at again."""
        if path in self.problems:
            uri, _ = self.problems.pop(path)
            self._refresh(uri)
            self.tell(self._root_of(path))

    @property
    def wants_status(self) -> bool:
        """Whether the client says, by an experimental capability, that it shows how projects are."""
        wishes = self.client_capabilities.experimental
        return isinstance(wishes, Mapping) and bool(wishes.get("uvLinkDoctorStatus"))

    def tell(self, root: Path) -> None:
        """Tells a client that wants to know how a project is, or what goes on there, where that has changed.

        A root with neither a session nor a problem is no project any more: its `state` is null.
        """
        if not self.wants_status:
            return
        # With them comes the engine, which a client that does not want to know need not load.
        from uv_link_doctor.host.state import load  # noqa: PLC0415
        from uv_link_doctor.lsp.status import STATUS, status  # noqa: PLC0415

        session = self.sessions.get(root)
        problem = next((it.message for path, (_, it) in self.problems.items() if self._root_of(path) == root), None)
        news: dict[str, Any] = {"root": root.as_uri(), "state": None}
        if session is not None or problem is not None:
            news = status(
                root,
                self.options_for(root),
                found=self._wanted(session) if session else (),
                examination=session.examination if session else None,
                activity=session.activity if session else None,
                problem=problem,
                copying=load(self.host.state, root).copy_because is not None,
            )
        if self.told.get(root) != news:
            self.told[root] = news
            self.protocol.notify(STATUS, news)

    def show_again(self) -> None:
        """Shows and tells of every project again: the settings have changed."""
        for session in self.sessions.values():
            if session.examination is not None:
                self.show(session, session.examination)
        for root in [*self.told]:
            self.tell(root)

    def leave(self, folder: Path) -> None:
        """Takes back what was said of the projects in a closed folder that no open file or folder is of."""
        kept = [*self.opened, *(Path(uris.to_fs_path(uri) or "") for uri in self.workspace.folders)]
        for root in [it for it in self.sessions if it.is_relative_to(folder)]:
            if not any(path.is_relative_to(root) or root.is_relative_to(path) for path in kept):
                for path in [it for it in self.problems if it.is_relative_to(root)]:
                    self.drop_problem(path)
                self.drop_session(root)

    def drop_session(self, root: Path) -> None:
        """Takes back what was said of a project that is of no concern any more."""
        session = self.sessions.pop(root, None)
        if session is not None:
            for uri in session.published:
                self.publish(uri, [])
            self.tell(root)

    def _root_of(self, path: Path) -> Path:
        """The root whose status a file's problem is shown in; its own directory where no session holds it."""
        holding = [root for root in self.sessions if path.is_relative_to(root)]
        return max(holding, key=lambda root: len(root.parts), default=path.parent)

    def _refresh(self, uri: str) -> None:
        """Tells the client what a file shows, if that is not what it shows already."""
        problems = [diagnostic for place, diagnostic in self.problems.values() if place == uri]
        diagnostics = [*self.found.get(uri, []), *problems]
        if self.shown.get(uri) != diagnostics:
            self.shown[uri] = diagnostics
            self.text_document_publish_diagnostics(lsp.PublishDiagnosticsParams(uri, diagnostics))

    def uri_of(self, path: Path) -> str:
        """The URI of a file, as the client writes it where the file is open."""
        return self.opened.get(path) or path.as_uri()
