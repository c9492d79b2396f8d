"""The machine as an editor shows it: open buffers come before what is on disk, and the editor makes the edits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from lsprotocol import types as lsp
from pygls import uris

from uv_link_doctor.engine import toml_text
from uv_link_doctor.engine.model import DoctorError, Places, TextEdit
from uv_link_doctor.host import Host, edit, local_host, read_text
from uv_link_doctor.host.places import PlacesMemory, places
from uv_link_doctor.lsp import convert
from uv_link_doctor.lsp.sessions import DoctorServer


def editor_host(ls: DoctorServer) -> Host:
    """This machine, seen through the client of a server."""

    def read(path: Path) -> str | None:
        uri = ls.opened.get(path)
        text = read_text(path) if uri is None else ls.workspace.get_text_document(uri).source
        before, now = ls.edited.get(path, (None, text))
        return now if text == before else text

    async def change(path: Path, wanted: TextEdit) -> bool:
        """Lets the client change a file of the workspace, so that its own undo takes it back; else we write."""
        text = read(path)
        edits = _edits(ls, path, text, wanted) if _is_the_clients(ls, path) else None
        if edits is None:
            return await edit(path, wanted)
        answer = await ls.workspace_apply_edit_async(lsp.ApplyWorkspaceEditParams(edits))
        if not answer.applied:
            raise DoctorError(f"the editor did not change `{path}`", answer.failure_reason or "change it by hand")
        # Some clients tell of the change a while after they have made it (Neovim: 150 ms), so it is noted here.
        ls.edited[path] = text, wanted.apply(text or "")
        return False

    memory = PlacesMemory()

    def look(cache: Path, environment: Path, *, environ: Mapping[str, str], passive: bool) -> Places:
        """What can be known without a trial is remembered; a trial is made to know how it is now."""
        return (memory.places if passive else places)(cache, environment, environ=environ, passive=passive)

    return replace(local_host(), read_text=read, edit=change, places=look)


def _is_the_clients(ls: DoctorServer, path: Path) -> bool:
    """Whether a file is open, or of the workspace: a client may refuse others, such as the user's own uv.toml."""
    folders = [Path(uris.to_fs_path(uri) or "") for uri in ls.workspace.folders]
    return path in ls.opened or any(path.is_relative_to(it) for it in (*folders, *ls.sessions))


def _edits(ls: DoctorServer, path: Path, text: str | None, wanted: TextEdit) -> lsp.WorkspaceEdit | None:
    """The change as the protocol has it; None where the client cannot make it."""
    can = ls.client_capabilities.workspace
    if not (can and can.apply_edit):
        return None
    uri = ls.uri_of(path)
    change = lsp.TextEdit(convert.lsp_range(toml_text.range_of(text or "", wanted.span)), wanted.new_text)
    if text is not None:
        return lsp.WorkspaceEdit(changes={uri: [change]})
    operations = can.workspace_edit.resource_operations if can.workspace_edit else None
    if lsp.ResourceOperationKind.Create not in (operations or ()):
        return None
    filling = lsp.TextDocumentEdit(lsp.OptionalVersionedTextDocumentIdentifier(uri), [change])
    return lsp.WorkspaceEdit(document_changes=[lsp.CreateFile(uri), filling])
