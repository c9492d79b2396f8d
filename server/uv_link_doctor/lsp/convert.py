"""Findings as diagnostics, remedies as code actions, and the data that leads from one to the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lsprotocol import types as lsp

from uv_link_doctor.engine.model import Code, Finding, Location, Range, RemedyKind, Severity
from uv_link_doctor.pages import page_path

SOURCE = "uv-link-doctor"
APPLY = "uvLinkDoctor.apply"
SYNC = "uvLinkDoctor.sync"
_SEVERITIES = {
    Severity.ERROR: lsp.DiagnosticSeverity.Error,
    Severity.WARNING: lsp.DiagnosticSeverity.Warning,
    Severity.INFORMATION: lsp.DiagnosticSeverity.Information,
    Severity.HINT: lsp.DiagnosticSeverity.Hint,
}


def diagnostic(finding: Finding, root: Path) -> lsp.Diagnostic:
    """The diagnostic that stands at the finding's location; `data` holds all that a code action needs."""
    page = page_path((finding.cause or finding.code).value)
    return lsp.Diagnostic(
        range=lsp_range(finding.location.range if finding.location else None),
        severity=_SEVERITIES[finding.severity],
        code=finding.code.value,
        code_description=lsp.CodeDescription(href=page.as_uri()),
        source=SOURCE,
        message="\n".join(filter(None, [finding.message, finding.why, *finding.evidence])),
        related_information=[
            lsp.DiagnosticRelatedInformation(location=_location(related.location), message=related.message)
            for related in finding.related
        ],
        data={
            "root": root.as_uri(),
            "finding": finding.id,
            "remedies": [
                {"id": remedy.id, "title": remedy.title, "preferred": remedy.preferred}
                for remedy in finding.remedies
                if remedy.kind is not RemedyKind.ADVICE  # That is part of the message.
            ],
            "agree": finding.severity is Severity.INFORMATION and finding.code is Code.SYNC_FAILED,
        },
    )


def code_actions(diagnostic: lsp.Diagnostic) -> Iterator[lsp.CodeAction]:
    """A quick fix for each remedy that the diagnostic's own data names; nothing for a diagnostic of somebody else."""
    data: Any = diagnostic.data
    if diagnostic.source != SOURCE or not isinstance(data, Mapping):
        return
    for remedy in data.get("remedies", ()):
        arguments = [{"root": data["root"], "finding": data["finding"], "remedy": remedy["id"]}]
        yield _action(remedy["title"], diagnostic, APPLY, arguments, preferred=remedy["preferred"])
    if data.get("agree"):
        yield _action("Run `uv sync` all the same", diagnostic, SYNC, [data["root"]], preferred=False)


def _action(
    title: str, diagnostic: lsp.Diagnostic, command: str, arguments: list[Any], *, preferred: bool
) -> lsp.CodeAction:
    return lsp.CodeAction(
        title=title,
        kind=lsp.CodeActionKind.QuickFix,
        diagnostics=[diagnostic],
        is_preferred=preferred,
        command=lsp.Command(title=title, command=command, arguments=arguments),
    )


def _location(location: Location) -> lsp.Location:
    return lsp.Location(uri=location.path.as_uri(), range=lsp_range(location.range))


def lsp_range(value: Range | None) -> lsp.Range:
    """A range as LSP's own value; the file's start where there is none."""
    if value is None:
        return lsp.Range(lsp.Position(0, 0), lsp.Position(0, 0))
    return lsp.Range(
        lsp.Position(value.start.line, value.start.character), lsp.Position(value.end.line, value.end.character)
    )
