"""The machine as an editor shows it: open buffers come before what is on disk, and the editor makes the edits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from lsprotocol import types as lsp

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
        return read_text(path) if uri is None else ls.workspace.get_text_document(uri).source

    async def change(path: Path, wanted: TextEdit) -> bool:
        """Lets the client change the file, so that its own undo takes it back; without the client's help, we write."""
        capabilities = ls.client_capabilities.workspace
        if not (capabilities and capabilities.apply_edit):
            return await edit(path, wanted)
        text = read(path) or ""
        place = convert.lsp_range(toml_text.range_of(text, wanted.span))
        changes = {ls.uri_of(path): [lsp.TextEdit(place, wanted.new_text)]}
        answer = await ls.workspace_apply_edit_async(lsp.ApplyWorkspaceEditParams(lsp.WorkspaceEdit(changes=changes)))
        if not answer.applied:
            raise DoctorError(f"the editor did not change `{path}`", answer.failure_reason or "change it by hand")
        # Some clients tell of the change a while after they have made it (Neovim: 150 ms), so it is noted here.
        ls.edited[path] = wanted.apply(text)
        return False

    memory = PlacesMemory()

    def look(cache: Path, environment: Path, *, environ: Mapping[str, str], passive: bool) -> Places:
        """What can be known without a trial is remembered; a trial is made to know how it is now."""
        return (memory.places if passive else places)(cache, environment, environ=environ, passive=passive)

    return replace(local_host(), read_text=read, edit=change, places=look)
