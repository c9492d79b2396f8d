"""An editor as a language server sees one: documents, diagnostics, quick fixes, progress, messages, settings."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cattrs import Converter
from lsprotocol import types as lsp
from pygls.lsp.client import LanguageClient
from pygls.protocol import default_converter
from pygls.uris import to_fs_path
from pygls.workspace import PositionCodec, TextDocument

from kit.privileges import WITHOUT_PRIVILEGES

PATIENCE = 20.0
"""Seconds that an event may take before a test gives up on it; nothing waits that long when all is well."""


@dataclass(slots=True)
class Capabilities:
    """What the editor can; a test takes things away from it."""

    apply_edit: bool = True
    create_files: bool = False
    progress: bool = True
    message_request: bool = True
    configuration: bool = False
    status: bool = False
    """Wants to be told how projects are, as the extension does."""

    def lsp(self) -> lsp.ClientCapabilities:
        return lsp.ClientCapabilities(
            general=lsp.GeneralClientCapabilities(position_encodings=["utf-8", "utf-16"]),
            workspace=lsp.WorkspaceClientCapabilities(
                apply_edit=self.apply_edit,
                configuration=self.configuration,
                workspace_edit=lsp.WorkspaceEditClientCapabilities(
                    document_changes=True,
                    resource_operations=[lsp.ResourceOperationKind.Create] if self.create_files else [],
                ),
            ),
            window=lsp.WindowClientCapabilities(
                work_done_progress=self.progress,
                show_message=lsp.ShowMessageRequestClientCapabilities() if self.message_request else None,
            ),
            text_document=lsp.TextDocumentClientCapabilities(
                synchronization=lsp.TextDocumentSyncClientCapabilities(will_save=True, did_save=True)
            ),
            experimental={"uvLinkDoctorStatus": True} if self.status else None,
        )


@dataclass(slots=True)
class Editor:
    """One editor with one server, both alive until the context that made them is left."""

    client: LanguageClient
    capabilities: Capabilities
    settings: dict[str, Any]
    diagnostics: dict[Path, list[lsp.Diagnostic]] = field(default_factory=dict)
    published: int = 0
    asked: int = 0
    """How often the server has asked for the settings."""
    messages: list[lsp.ShowMessageParams] = field(default_factory=list)
    logs: list[str] = field(default_factory=list)
    questions: list[lsp.ShowMessageRequestParams] = field(default_factory=list)
    answers: Callable[[lsp.ShowMessageRequestParams], str | None] = lambda _: None
    progress: list[Any] = field(default_factory=list)
    edits: list[lsp.WorkspaceEdit] = field(default_factory=list)
    statuses: list[Any] = field(default_factory=list)
    """The parameters of every `uvLinkDoctor/status`, the last one last."""
    buffers: dict[str, TextDocument] = field(default_factory=dict)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def pid(self) -> int:
        """Of the server."""
        assert self.client._server is not None
        return self.client._server.pid

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for something that the server tells; every message of it is an occasion to look."""
        async with self.changed:
            try:
                await asyncio.wait_for(self.changed.wait_for(condition), PATIENCE)
            except TimeoutError:
                state = f"diagnostics {self.diagnostics}, messages {self.messages}, logs {self.logs}"
                raise AssertionError(f"did not come: {what}; {state}") from None

    def open(self, path: Path) -> None:
        text = path.read_bytes().decode()
        uri = path.as_uri()
        self.buffers[uri] = TextDocument(uri, text, 1, "toml", position_codec=PositionCodec())
        item = lsp.TextDocumentItem(uri, "toml", 1, text)
        self.client.text_document_did_open(lsp.DidOpenTextDocumentParams(item))

    def close(self, path: Path) -> None:
        del self.buffers[path.as_uri()]
        params = lsp.DidCloseTextDocumentParams(lsp.TextDocumentIdentifier(path.as_uri()))
        self.client.text_document_did_close(params)

    def close_folder(self, folder: Path) -> None:
        event = lsp.WorkspaceFoldersChangeEvent([], [lsp.WorkspaceFolder(folder.as_uri(), folder.name)])
        self.client.workspace_did_change_workspace_folders(lsp.DidChangeWorkspaceFoldersParams(event))

    def write(self, path: Path, text: str) -> None:
        """Replace a buffer's text, as typing does."""
        buffer = self.buffers[path.as_uri()]
        self._change(buffer, lsp.TextDocumentContentChangeWholeDocument(text))

    def save(self, path: Path, *, reason: lsp.TextDocumentSaveReason = lsp.TextDocumentSaveReason.Manual) -> None:
        """Write the buffer to disk, with what the editor tells before and after."""
        identifier = lsp.TextDocumentIdentifier(path.as_uri())
        self.client.text_document_will_save(lsp.WillSaveTextDocumentParams(identifier, reason))
        if buffer := self.buffers.get(path.as_uri()):
            path.write_bytes(buffer.source.encode())
        self.client.text_document_did_save(lsp.DidSaveTextDocumentParams(identifier))

    async def sees(self, path: Path, *codes: str) -> list[lsp.Diagnostic]:
        """Wait until a file shows exactly these codes, in any order; return its diagnostics."""
        await self.until(
            lambda: path in self.diagnostics and sorted(str(it.code) for it in self.diagnostics[path]) == sorted(codes),
            f"{codes} on {path}",
        )
        return self.diagnostics[path]

    def under(self, path: Path, place: lsp.Range) -> str:
        """What stands in a buffer between two positions, which must be in UTF-16 and on one line."""
        assert place.start.line == place.end.line
        line = self.buffers[path.as_uri()].lines[place.start.line].encode("utf-16-le")
        return line[place.start.character * 2 : place.end.character * 2].decode("utf-16-le")

    @property
    def finished(self) -> int:
        """How many runs the log says have ended; the setting `trace` must let it."""
        return sum("exit code" in line for line in self.logs)

    async def quick_fixes(self, path: Path, diagnostic: lsp.Diagnostic) -> list[lsp.CodeAction]:
        params = lsp.CodeActionParams(
            lsp.TextDocumentIdentifier(path.as_uri()), diagnostic.range, lsp.CodeActionContext([diagnostic])
        )
        found = await self.client.text_document_code_action_async(params)
        return [it for it in found or () if isinstance(it, lsp.CodeAction)]

    async def accept(self, action: lsp.CodeAction) -> Any:
        """Do what an editor does with a code action that carries a command."""
        assert action.command is not None
        return await self.execute(action.command.command, *(action.command.arguments or ()))

    def settings_changed(self) -> None:
        """Tell the server that it should ask for the settings again."""
        self.client.workspace_did_change_configuration(lsp.DidChangeConfigurationParams(settings=None))

    async def request(self, method: str, **params: Any) -> Any:
        """Ask one of our own requests."""
        return await asyncio.wait_for(self.client.protocol.send_request_async(method, params), PATIENCE)

    async def heard(self) -> None:
        """Wait until the server has read all that it was told, and begun what it will begin because of it."""
        assert (await self.execute("uvLinkDoctor.explain", ""))["findings"] == []

    async def execute(self, command: str, *arguments: Any) -> Any:
        params = lsp.ExecuteCommandParams(command, list(arguments))
        return await asyncio.wait_for(self.client.workspace_execute_command_async(params), PATIENCE)

    def _change(self, buffer: TextDocument, change: Any) -> None:
        buffer.apply_change(change)
        version = (buffer.version or 0) + 1
        buffer.version = version
        identifier = lsp.VersionedTextDocumentIdentifier(version, buffer.uri)
        self.client.text_document_did_change(lsp.DidChangeTextDocumentParams(identifier, [change]))

    def _applied(self, edit: lsp.WorkspaceEdit) -> lsp.ApplyWorkspaceEditResult:
        self.edits.append(edit)
        wanted = {uri: [*changes] for uri, changes in (edit.changes or {}).items()}
        for step in edit.document_changes or ():
            if isinstance(step, lsp.CreateFile):
                path = Path(to_fs_path(step.uri) or "")
                path.touch(exist_ok=False)
                self.open(path)
            elif isinstance(step, lsp.TextDocumentEdit):
                wanted[step.text_document.uri] = [it for it in step.edits if isinstance(it, lsp.TextEdit)]
        for uri, changes in wanted.items():
            if uri not in self.buffers:
                return lsp.ApplyWorkspaceEditResult(applied=False, failure_reason="not open")
            for change in changes:
                whole = lsp.TextDocumentContentChangePartial(change.range, change.new_text)
                self._change(self.buffers[uri], whole)
        return lsp.ApplyWorkspaceEditResult(applied=True)


@asynccontextmanager
async def editing(
    environ: Mapping[str, str],
    *folders: Path,
    settings: dict[str, Any] | None = None,
    capabilities: Capabilities | None = None,
    trusted: bool = True,
) -> AsyncIterator[Editor]:
    """An editor with these folders open, its server started and initialized; both are gone afterwards."""
    client = LanguageClient("test-editor", "1", converter_factory=_converter)
    editor = Editor(client, capabilities or Capabilities(), settings or {})
    _listen(editor)
    # Without privileges, so that permissions hold for the server and for uv, also when root runs the tests.
    command = [*WITHOUT_PRIVILEGES, sys.executable, "-m", "uv_link_doctor", "server"]
    await client.start_io(*command, env=dict(environ))
    try:
        given = {} if editor.capabilities.configuration else editor.settings
        options = {"trace": "messages", **given, "trusted": trusted}
        await client.initialize_async(
            lsp.InitializeParams(
                capabilities=editor.capabilities.lsp(),
                workspace_folders=[lsp.WorkspaceFolder(folder.as_uri(), folder.name) for folder in folders],
                initialization_options=options,
            )
        )
        client.initialized(lsp.InitializedParams())
        yield editor
        if client._server is not None and client._server.returncode is None:
            await asyncio.wait_for(client.shutdown_async(None), PATIENCE)
            client.exit(None)
            await asyncio.wait_for(client._server.wait(), PATIENCE)
    finally:
        if client._server is not None and client._server.returncode is None:
            client._server.kill()
        await client.stop()


def _converter() -> Converter:
    """pygls' own, which takes a code action that has a command for a bare command (lsprotocol 2025.0.0)."""
    converter = default_converter()
    either = lsp.Command | lsp.CodeAction
    converter.register_structure_hook(either, lambda value, _: converter.structure(value, lsp.CodeAction))
    return converter


def _listen(editor: Editor) -> None:
    client = editor.client

    def told(note: Callable[[Any], None]) -> Callable[[Any], Any]:
        async def handler(params: Any) -> None:
            async with editor.changed:
                note(params)
                editor.changed.notify_all()

        return handler

    def published(params: lsp.PublishDiagnosticsParams) -> None:
        editor.published += 1
        editor.diagnostics[Path(to_fs_path(params.uri) or "")] = list(params.diagnostics)

    client.feature(lsp.TEXT_DOCUMENT_PUBLISH_DIAGNOSTICS)(told(published))
    client.feature(lsp.WINDOW_SHOW_MESSAGE)(told(editor.messages.append))
    client.feature(lsp.WINDOW_LOG_MESSAGE)(told(lambda params: editor.logs.append(params.message)))
    client.feature("uvLinkDoctor/status")(told(editor.statuses.append))
    client.feature(lsp.PROGRESS)(told(lambda params: editor.progress.append(params.value)))
    client.feature(lsp.WINDOW_WORK_DONE_PROGRESS_CREATE)(told(editor.progress.append))

    @client.feature(lsp.WORKSPACE_APPLY_EDIT)
    def apply_edit(params: lsp.ApplyWorkspaceEditParams) -> lsp.ApplyWorkspaceEditResult:
        return editor._applied(params.edit)

    @client.feature(lsp.WORKSPACE_CONFIGURATION)
    async def configuration(params: lsp.ConfigurationParams) -> list[Any]:
        async with editor.changed:
            editor.asked += 1
            editor.changed.notify_all()
        return [editor.settings for _ in params.items]

    @client.feature(lsp.WINDOW_SHOW_MESSAGE_REQUEST)
    async def question(params: lsp.ShowMessageRequestParams) -> lsp.MessageActionItem | None:
        async with editor.changed:
            editor.questions.append(params)
            editor.changed.notify_all()
        title = editor.answers(params)
        return None if title is None else lsp.MessageActionItem(title)
