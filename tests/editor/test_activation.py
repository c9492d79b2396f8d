"""What the extension costs an editor, in the editor's own figures, beside an extension that does nothing."""

import json
import zipfile
from pathlib import Path

import pytest
from kit.vsix import EXTENSION

ROUNDS = 5


@pytest.fixture(scope="session")
def empty(tmp_path_factory) -> Path:
    """An extension with the same activation events as ours, which does nothing when activated."""
    ours = json.loads((EXTENSION / "package.json").read_text())
    manifest = {
        "name": "empty",
        "publisher": "kit",
        "version": "1.0.0",
        "engines": ours["engines"],
        "main": "main.js",
        "activationEvents": ours["activationEvents"],
        "extensionKind": ours["extensionKind"],
    }
    described = (
        '<PackageManifest Version="2.0.0" xmlns="http://schemas.microsoft.com/developer/vsx-schema/2011">'
        '<Metadata><Identity Language="en-US" Id="empty" Version="1.0.0" Publisher="kit"/>'
        "<DisplayName>Empty</DisplayName></Metadata>"
        '<Installation><InstallationTarget Id="Microsoft.VisualStudio.Code"/></Installation><Dependencies/>'
        '<Assets><Asset Type="Microsoft.VisualStudio.Code.Manifest" Path="extension/package.json"/></Assets>'
        "</PackageManifest>"
    )
    path = tmp_path_factory.mktemp("empty") / "empty.vsix"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("extension.vsixmanifest", described)
        archive.writestr("extension/package.json", json.dumps(manifest))
        archive.writestr("extension/main.js", "exports.activate = () => {};\n")
    return path


@pytest.fixture
def viewport():
    """So high that the list of running extensions is in sight whole."""
    return {"width": 1000, "height": 2600}


async def test_activation(workbench, vsix, empty, project):
    example = project("httpx")
    window = await workbench(environ=example.environ, extensions=[vsix, empty])
    await window.open_folder(example.root)
    for _ in range(ROUNDS):
        await window.palette("Developer: Show Running Extensions")
        for name in ("uv-link-doctor", "empty"):
            row = window.page.get_by_role("listitem", name=name, exact=True)
            print(name, (await row.inner_text()).replace("\n", " | "))
        await window.reload()
