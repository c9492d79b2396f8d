"""The kit itself, on an extension just large enough to show each thing that the kit claims to see."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest
from kit.vscode import LanguageStatus, Notification, OpenWorkbench, Problem, Squiggle

MANIFEST = {
    "name": "tiny",
    "publisher": "kit",
    "version": "1.0.0",
    "engines": {"vscode": "^1.93.0"},
    "main": "main.js",
    "activationEvents": ["onStartupFinished"],
    "capabilities": {"untrustedWorkspaces": {"supported": "limited", "description": "It greets nobody."}},
    "contributes": {
        "commands": [
            {"command": "tiny.greet", "category": "Tiny", "title": "Greet", "enablement": "isWorkspaceTrusted"},
            {"command": "tiny.ask", "category": "Tiny", "title": "Ask"},
            {"command": "tiny.busy", "category": "Tiny", "title": "Be Busy"},
            {"command": "tiny.work", "category": "Tiny", "title": "Work"},
            {"command": "tiny.report", "category": "Tiny", "title": "Show the Report"},
        ],
        "configuration": {
            "properties": {
                "tiny.user": {"type": "string", "default": ""},
                "tiny.machine": {"type": "string", "default": "", "scope": "machine"},
            }
        },
    },
}

MAIN = """
const vscode = require('vscode');
exports.activate = context => {
    const tell = (...said) => vscode.window.showInformationMessage(...said);
    const on = (name, run) => context.subscriptions.push(vscode.commands.registerCommand(`tiny.${name}`, run));

    const channel = vscode.window.createOutputChannel('Tiny');
    const settings = vscode.workspace.getConfiguration('tiny');
    for (let line = 1; line <= 100; line++) { channel.appendLine(`line ${line}`); }
    channel.appendLine(`given ${process.env.GIVEN}, user ${settings.user}, machine ${settings.machine}`);
    vscode.window.createOutputChannel('Tiny Log', { log: true }).info('logged');

    const status = vscode.languages.createLanguageStatusItem('tiny', { pattern: '**/pyproject.toml' });
    Object.assign(status, { name: 'Tiny', text: 'Tiny is well', detail: 'and rested' });
    status.command = { command: 'tiny.greet', title: 'Greet it' };
    on('busy', () => { status.busy = true; status.severity = vscode.LanguageStatusSeverity.Warning; });

    on('greet', async () => {
        if (await tell('Good morning', 'And to you', 'Not now') === 'And to you') {
            await vscode.env.clipboard.writeText('pleasantries');
            vscode.window.showWarningMessage('The greeting was returned');
        }
    });
    on('ask', async () => {
        const colour = await vscode.window.showQuickPick(['red', 'reddish', 'green']);
        const name = await vscode.window.showInputBox();
        const really = await vscode.window.showWarningMessage('Sure?', { modal: true, detail: 'For ever' }, 'Yes');
        tell(`${colour} ${name} ${really}`);
    });
    on('work', () => vscode.window.withProgress(
        { location: vscode.ProgressLocation.Notification, cancellable: true, title: 'Working' },
        (progress, cancellation) => new Promise(done => {
            progress.report({ message: 'half of it', increment: 50 });
            cancellation.onCancellationRequested(() => { done(); tell('Stopped working'); });
        })));
    on('report', () => {
        const options = { enableScripts: true };
        const { webview } = vscode.window.createWebviewPanel('tiny', 'Tiny Report', vscode.ViewColumn.One, options);
        webview.html = '<button onclick="acquireVsCodeApi().postMessage(1)">Press me</button>';
        webview.onDidReceiveMessage(() => tell('Pressed'));
    });
    context.environmentVariableCollection.replace('CONTRIBUTED', 'by tiny');

    const found = vscode.languages.createDiagnosticCollection('tiny');
    const look = document => {
        if (!document.fileName.endsWith('pyproject.toml')) { return; }
        const at = document.getText().indexOf('hardlink');
        const range = new vscode.Range(document.positionAt(at), document.positionAt(at + 'hardlink'.length));
        const finding = new vscode.Diagnostic(range, 'Bad link:\\nsee, twice', vscode.DiagnosticSeverity.Warning);
        Object.assign(finding, { source: 'tiny', code: 'cross-device' });
        const remark = new vscode.Diagnostic(new vscode.Range(0, 0, 0, 9), 'A header', 2);
        found.set(document.uri, at < 0 ? [] : [finding, remark]);
    };
    vscode.workspace.textDocuments.forEach(look);
    context.subscriptions.push(
        vscode.workspace.onDidOpenTextDocument(look),
        vscode.workspace.onDidSaveTextDocument(look),
        vscode.languages.registerCodeActionsProvider({ pattern: '**/pyproject.toml' }, {
            provideCodeActions: (document, _, { diagnostics }) => diagnostics
                .filter(it => it.code === 'cross-device')
                .flatMap(diagnostic => ['symlink', 'copy'].map(mode => {
                    const fix = new vscode.CodeAction(`Write ${mode}`, vscode.CodeActionKind.QuickFix);
                    Object.assign(fix, { diagnostics: [diagnostic], isPreferred: mode === 'copy' });
                    fix.edit = new vscode.WorkspaceEdit();
                    fix.edit.replace(document.uri, diagnostic.range, mode);
                    return fix;
                })),
        }));
};
"""

VSIX = {
    "extension/package.json": json.dumps(MANIFEST),
    "extension/main.js": MAIN,
    "extension.vsixmanifest": """<?xml version="1.0" encoding="utf-8"?>
<PackageManifest Version="2.0.0" xmlns="http://schemas.microsoft.com/developer/vsx-schema/2011">
  <Metadata>
    <Identity Language="en-US" Id="tiny" Version="1.0.0" Publisher="kit"/>
    <DisplayName>Tiny</DisplayName>
    <Description>Shows what the kit can see.</Description>
  </Metadata>
  <Installation><InstallationTarget Id="Microsoft.VisualStudio.Code"/></Installation>
  <Assets><Asset Type="Microsoft.VisualStudio.Code.Manifest" Path="extension/package.json"/></Assets>
</PackageManifest>
""",
    "[Content_Types].xml": """<?xml version="1.0" encoding="utf-8"?>
<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">
  <Default Extension="js" ContentType="application/javascript"/>
  <Default Extension="json" ContentType="application/json"/>
  <Default Extension="vsixmanifest" ContentType="text/xml"/>
</Types>
""",
}

PYPROJECT = """[project]
name = "demo"

[tool.uv]
link-mode = "hardlink"
"""


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny") / "tiny.vsix"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in VSIX.items():
            archive.writestr(name, text)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "a folder"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    return folder


async def test_a_finding_is_seen_fixed_and_undone(workbench: OpenWorkbench, tiny: Path, folder: Path):
    window = await workbench(extensions=[tiny])
    await window.open_folder(folder)
    await window.open_file("pyproject.toml")
    assert await window.wait_for_squiggle("warning") == Squiggle("warning", 5, "hardlink")
    assert await window.squiggles() == [Squiggle("info", 1, "[project]"), Squiggle("warning", 5, "hardlink")]
    finding = Problem("warning", "Bad link:\nsee, twice", 5, 14, "tiny", "cross-device")
    assert await window.wait_for_problem("Bad link") == finding
    assert await window.problems() == [finding, Problem("info", "A header", 1, 1, "", "")]

    await window.go_to(5, 16)
    assert await window.quick_fixes() == ["Write copy", "Write symlink"]
    await window.choose_quick_fix("Write copy")
    await window.wait_for_line('link-mode = "copy"')
    await window.save()
    await window.wait_for_no_problem()
    assert await window.squiggles() == []
    assert 'link-mode = "copy"' in (folder / "pyproject.toml").read_text()

    await window.undo()
    await window.go_to(2)
    await window.type('version = "0"\n')
    assert await window.lines() == [*PYPROJECT.replace("name", 'version = "0"\nname').splitlines(), ""]
    await window.save()
    assert await window.wait_for_squiggle("warning") == Squiggle("warning", 6, "hardlink")


async def test_messages_and_questions_are_seen_and_answered(workbench: OpenWorkbench, tiny: Path, folder: Path):
    window = await workbench(extensions=[tiny])
    await window.open_folder(folder)
    await window.palette("Tiny: Greet")
    greeting = Notification("info", "Good morning", "tiny", ("And to you", "Not now"))
    assert await window.notification("morning") == greeting
    await window.notification_button("morning", "And to you")
    assert (await window.notification("returned")).severity == "warning"
    await window.wait_for_no_notification("morning")
    assert await window.clipboard() == "pleasantries"

    await window.palette("Tiny: Ask")
    await window.pick("red")
    await window.answer("wine")
    assert "For ever" in await window.dialog("Sure?")
    await window.dialog_button("Sure?", "Yes")
    await window.notification("red wine Yes")


async def test_the_state_of_an_extension_is_seen(workbench: OpenWorkbench, tiny: Path, folder: Path):
    window = await workbench(
        extensions=[tiny],
        settings={"tiny.user": "yes"},
        machine={"tiny.machine": "yes"},
        environ={"GIVEN": "yes"},
    )
    await window.open_folder(folder)
    said = await window.output_channel("Tiny", until="given")
    assert said.splitlines()[0] == "line 1"
    assert said.splitlines()[100] == "given yes, user yes, machine yes"
    assert "[info] logged" in await window.output_channel("Tiny Log", until="logged")

    await window.open_file("pyproject.toml")
    well = LanguageStatus("Tiny is well", "and rested", "info", busy=False, command="Greet it")
    assert await window.language_status("Tiny") == well
    await window.palette("Tiny: Be Busy")
    busy = LanguageStatus("Tiny is well", "and rested", "warning", busy=True, command="Greet it")
    assert await window.language_status("Tiny") == busy
    await window.language_status_command("Tiny")
    await window.notification("Good morning")

    await window.palette("Tiny: Show the Report")
    report = await window.webview_frame("Tiny Report")
    await report.get_by_role("button", name="Press me").click()
    await window.notification("Pressed")


async def test_work_is_watched_in_a_message_and_in_a_terminal(workbench: OpenWorkbench, tiny: Path, folder: Path):
    window = await workbench(extensions=[tiny])
    await window.open_folder(folder)
    await window.palette("Tiny: Work")
    working = Notification("info", "Working: half of it", "tiny", ("Cancel",))
    assert await window.progress_notification("half of it") == working
    await window.cancel("Working: ")
    await window.notification("Stopped working")

    # By now it runs, and has contributed its variable.
    await window.new_terminal()
    assert await window.terminal_run("sleep 0.5; echo $CONTRIBUTED; pwd") == f"by tiny\n{folder}"
    assert await window.terminal_run("true") == ""
    await window.new_terminal()
    assert await window.terminal_run("ls") == "pyproject.toml"


async def test_an_untrusted_folder_becomes_trusted(workbench: OpenWorkbench, tiny: Path, folder: Path):
    window = await workbench(extensions=[tiny], trusted=False)
    await window.open_folder(folder)
    assert not await window.palette_has("Tiny: Greet")
    assert await window.palette_has("Tiny: Work")
    await window.trust()
    assert await window.palette_has("Tiny: Greet")


async def test_a_window_is_closed_and_opened_again(workbench: OpenWorkbench, tiny: Path, folder: Path, tmp_path: Path):
    window = await workbench(extensions=[tiny])
    several = {"folders": [{"path": folder.name}, {"path": "other"}]}
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "uv.toml").write_text("", encoding="utf-8")
    (tmp_path / "several.code-workspace").write_text(json.dumps(several), encoding="utf-8")
    await window.open_workspace(tmp_path / "several.code-workspace")
    await window.open_file("other/uv.toml")
    await window.open_file(f"{folder.name}/pyproject.toml")
    await window.wait_for_problem("Bad link")
    await window.reload()
    await window.wait_for_problem("Bad link")
    await window.close_page()
    await window.open_folder(folder)
    await window.wait_for_no_problem()
    assert (await window.screenshot("a picture")).stat().st_size > 10_000
