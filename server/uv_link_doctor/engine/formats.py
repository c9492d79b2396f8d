"""The sections of a report as text for a terminal, as Markdown for an issue, and as a page of HTML."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from html import escape

from uv_link_doctor.engine.sections import TITLE, FindingPart, RemedyPart, Row, Section
from uv_link_doctor.engine.text import wrapped

_CODE = re.compile(r"`([^`\n]+)`")
"""What is literal in our prose: the odd pieces of a split are what stands between the backticks."""


def as_text(sections: Iterable[Section]) -> str:
    """For a terminal, without colours."""
    return "\n".join(_text(sections))


def as_markdown(sections: Iterable[Section]) -> str:
    """Ready to paste into an issue; nothing in it is taken for markup that we did not write."""
    return "\n\n".join([f"# {TITLE}", *(block for section in sections for block in _markdown(section))]) + "\n"


def as_html(sections: Iterable[Section]) -> str:
    """A whole page that needs nothing from elsewhere and runs nothing."""
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{TITLE}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{html_body(sections)}</body>\n</html>\n"
    )


def html_body(sections: Iterable[Section], *, buttons: bool = False) -> str:
    """The `<main>` alone, for a page that brings `STYLE` along.

    With `buttons`, each remedy is one that names it: `data-finding` and `data-remedy` hold the ids.
    """
    return "".join(_html(tuple(sections), buttons=buttons))


# --- text ---------------------------------------------------------------------------------


def _text(sections: Iterable[Section]) -> Iterator[str]:
    yield from (TITLE, "=" * len(TITLE))
    for section in sections:
        yield from ("", section.heading, "-" * len(section.heading))
        for paragraph in section.paragraphs:
            yield from wrapped("", paragraph)
        for number, finding in enumerate(section.findings):
            if number:
                yield ""
            yield from _text_finding(finding)
        yield from _text_rows(section.rows)
        if section.output:
            yield ""
            yield from (f"    {line}".rstrip() for line in section.output.split("\n"))
    yield ""


def _text_finding(finding: FindingPart) -> Iterator[str]:
    yield from wrapped("", f"{finding.severity}[{finding.code}]: {finding.message}")
    yield from (f"  {line}" for line in _text_rows(finding.rows))
    if finding.why:
        yield from wrapped("  why: ", finding.why)
    for fact in finding.evidence:
        yield from wrapped("   - ", fact)
    for remedy in finding.remedies:
        yield from wrapped("  help: ", remedy.title + _mark(remedy))
        for change in remedy.changes:
            yield from wrapped("        ", change)
        if remedy.command:
            yield f"        run: {remedy.command}"


def _text_rows(rows: tuple[Row, ...]) -> Iterator[str]:
    width = max((len(row.label) for row in rows), default=0)
    for row in rows:
        yield f"{row.label}:{' ' * (width - len(row.label))} {_one_line(row.value)}"


# --- Markdown -----------------------------------------------------------------------------


def _markdown(section: Section) -> Iterator[str]:
    yield f"## {_prose(section.heading)}"
    yield from map(_prose, section.paragraphs)
    for number, finding in enumerate(section.findings, start=1):
        yield f"### {number}. {finding.severity.capitalize()}: {_code(finding.code)}"
        yield from _markdown_finding(finding)
    if section.rows:
        yield _table(section.rows)
    if section.output:
        fence = _longer_than("`", section.output, least=3)
        yield f"<details>\n<summary>{_output_label(section)}</summary>"
        yield f"{fence}text\n{section.output}\n{fence}"
        yield "</details>"


def _markdown_finding(finding: FindingPart) -> Iterator[str]:
    yield f"**{_prose(finding.message)}**"
    if finding.rows:
        yield _table(finding.rows)
    if finding.why:
        yield _prose(finding.why)
    if finding.evidence:
        yield "\n".join(f"- {_prose(fact)}" for fact in finding.evidence)
    if finding.remedies:
        yield "What would help:"
        yield "\n".join(line for remedy in finding.remedies for line in _markdown_remedy(remedy))


def _markdown_remedy(remedy: RemedyPart) -> Iterator[str]:
    yield f"- {_prose(remedy.title)}{_mark(remedy)}"
    yield from (f"  - {_prose(change)}" for change in remedy.changes)
    if remedy.command:
        yield f"  - {_code(remedy.command)}"


def _table(rows: tuple[Row, ...]) -> str:
    """A bar parts cells in code, too, unless it is escaped."""
    cells = ((_prose(text).replace("|", "\\|") for text in (row.label, row.value)) for row in rows)
    return "\n".join(["| | |", "| --- | --- |", *(f"| {' | '.join(row)} |" for row in cells)])


def _prose(text: str) -> str:
    """Our prose on one line, as Markdown that shows just that."""
    pieces = _CODE.split(_one_line(text).strip())
    marked = (_code(piece) if number % 2 else _MARKUP.sub(r"\\\g<0>", piece) for number, piece in enumerate(pieces))
    return _NUMBER.sub(r"\1\\\2", "".join(marked))


def _code(text: str) -> str:
    text = _one_line(text)
    fence = _longer_than("`", text, least=1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    return f"{fence}{pad}{text}{pad}{fence}"


def _longer_than(mark: str, text: str, *, least: int) -> str:
    """As many marks as no run in the text reaches."""
    longest = max(map(len, re.findall(rf"{mark}+", text)), default=0)
    return mark * max(least, longest + 1)


_MARKUP = re.compile(r"[\\`*_\[\]<>~&#$]|^[+=-]")
_NUMBER = re.compile(r"^(\d{1,9})([.)])(?= |$)")
"""What Markdown, as issue trackers read it, could take for its own: marks, and the number of a list's item."""


# --- HTML ---------------------------------------------------------------------------------


def _html(sections: tuple[Section, ...], *, buttons: bool) -> Iterator[str]:
    yield f"<main>\n<h1>{TITLE}</h1>\n"
    for number, section in enumerate(sections, start=1):
        name = f"section-{number}"
        yield f'<section aria-labelledby="{name}">\n<h2 id="{name}">{_marked(section.heading)}</h2>\n'
        yield from (f"<p>{_marked(paragraph)}</p>\n" for paragraph in section.paragraphs)
        for place, finding in enumerate(section.findings, start=1):
            yield from _html_finding(finding, f"finding-{number}-{place}", place, buttons=buttons)
        yield from _html_rows(section.rows)
        if section.output:
            yield f"<details>\n<summary>{_output_label(section)}</summary>\n"
            yield f"<pre>\n{escape(section.output)}</pre>\n</details>\n"
        yield "</section>\n"
    yield "</main>\n"


def _html_finding(finding: FindingPart, name: str, number: int, *, buttons: bool) -> Iterator[str]:
    yield f'<article class="{escape(finding.severity)}" aria-labelledby="{name}">\n'
    severity = f'<span class="severity">{escape(finding.severity.capitalize())}</span>'
    yield f'<h3 id="{name}">{number}. {severity}: <code>{escape(finding.code)}</code></h3>\n'
    yield f'<p class="message">{_marked(finding.message)}</p>\n'
    if finding.remedies:
        yield '<h4>What would help</h4>\n<ol class="remedies">\n'
        # The preferred one first; where none is, the order stays.
        for remedy in sorted(finding.remedies, key=lambda remedy: not remedy.preferred):
            yield from _html_remedy(remedy, finding, buttons=buttons)
        yield "</ol>\n"
    if finding.rows or finding.why or finding.evidence:
        yield "<h4>What is known</h4>\n"
    yield from _html_rows(finding.rows)
    if finding.why:
        yield f"<p>{_marked(finding.why)}</p>\n"
    yield from _html_list(finding.evidence)
    yield "</article>\n"


def _html_remedy(remedy: RemedyPart, finding: FindingPart, *, buttons: bool) -> Iterator[str]:
    preferred = ' class="preferred"' if remedy.preferred else ""
    title = f"<strong{preferred}>{_marked(remedy.title)}</strong>"
    if buttons:
        ids = f'data-finding="{escape(finding.id)}" data-remedy="{escape(remedy.id)}"'
        title = f'<button type="button"{preferred} {ids}>{_marked(remedy.title)}</button>'
    yield f"<li>{title}{_mark(remedy)}\n"
    yield from _html_list(remedy.changes)
    if remedy.command:
        yield f"<pre>{escape(remedy.command)}</pre>\n"
    yield "</li>\n"


def _html_rows(rows: tuple[Row, ...]) -> Iterator[str]:
    if rows:
        yield "<table>\n<tbody>\n"
        for row in rows:
            yield f'<tr><th scope="row">{_marked(row.label)}</th><td>{_marked(row.value)}</td></tr>\n'
        yield "</tbody>\n</table>\n"


def _html_list(items: tuple[str, ...]) -> Iterator[str]:
    if items:
        yield "<ul>\n"
        yield from (f"<li>{_marked(item)}</li>\n" for item in items)
        yield "</ul>\n"


def _marked(text: str) -> str:
    """Our prose with what is literal marked up as code."""
    pieces = _CODE.split(text)
    return "".join(
        f"<code>{escape(piece)}</code>" if number % 2 else escape(piece) for number, piece in enumerate(pieces)
    )


# The editor's colours where there are any (a webview), else our own, which keep a contrast of at least 4.5 to 1. Those
# that the editor itself writes in are taken: what it underlines with is too pale for text, but in high contrast.
STYLE = """\
:root {
  color-scheme: light dark;
  --text: var(--vscode-editor-foreground, #1f2328);
  --page: var(--vscode-editor-background, #ffffff);
  --quiet: var(--vscode-descriptionForeground, #59636e);
  --line: var(--vscode-panel-border, #d1d9e0);
  --inset: var(--vscode-textCodeBlock-background, #f3f5f7);
  --error: var(--vscode-errorForeground, #c11c28);
  --warning: var(--vscode-list-warningForeground, #8a5a00);
  --information: var(--vscode-textLink-foreground, #0860ca);
}
@media (prefers-color-scheme: dark) {
  :root {
    --text: var(--vscode-editor-foreground, #e6edf3);
    --page: var(--vscode-editor-background, #0f141a);
    --quiet: var(--vscode-descriptionForeground, #9aa4af);
    --line: var(--vscode-panel-border, #3d444d);
    --inset: var(--vscode-textCodeBlock-background, #1a212a);
    --error: var(--vscode-errorForeground, #ff7b72);
    --warning: var(--vscode-list-warningForeground, #e3b341);
    --information: var(--vscode-textLink-foreground, #79b8ff);
  }
}
.vscode-high-contrast {
  --line: var(--vscode-contrastBorder);
  --warning: var(--vscode-editorWarning-foreground);
}
.vscode-high-contrast pre { border: 1px solid var(--line); }
body {
  margin: 0;
  padding: 0;
  color: var(--text);
  background: var(--page);
  font: var(--vscode-font-size, 1rem)/1.5 var(--vscode-font-family, system-ui, sans-serif);
}
main { max-width: 60rem; padding: 1rem 1.5rem 3rem; }
h1 { margin: 0.25em 0 0.5em; font-size: 1.6em; font-weight: 600; }
h2 { margin: 2em 0 0.5em; padding-bottom: 0.2em; border-bottom: 1px solid var(--line); font-size: 1.25em; }
h1 + section > h2 { margin-top: 1em; }
h3, h4 { margin: 1em 0 0.5em; font-size: 1em; }
p, ul, ol { margin: 0.5em 0; }
code, pre { font-family: var(--vscode-editor-font-family, ui-monospace, monospace); font-size: 0.92em; }
code { padding: 0.1em 0.3em; border-radius: 3px; color: inherit; background: var(--inset); }
button code { padding: 0; background: none; }
code, td, th, p, li { overflow-wrap: anywhere; }
pre { margin: 0.5em 0; padding: 0.6em; border-radius: 3px; background: var(--inset); white-space: pre-wrap; }
table { width: 100%; margin: 0.75em 0; border-collapse: collapse; }
th, td { padding: 0.3em 0.6em 0.3em 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
th { width: 12em; font-weight: normal; color: var(--quiet); }
article { margin: 1em 0; padding: 0 1em 0.5em; border: 1px solid var(--line); border-left: 0.3em solid var(--quiet); }
article.error { border-left-color: var(--error); }
article.warning { border-left-color: var(--warning); }
article.information, article.hint { border-left-color: var(--information); }
.error .severity { color: var(--error); }
.warning .severity { color: var(--warning); }
.information .severity, .hint .severity { color: var(--information); }
.message { font-weight: 600; }
.remedies { padding-left: 1.5em; }
.remedies > li { margin-bottom: 0.8em; }
summary { width: fit-content; cursor: pointer; }
button {
  padding: 0.3em 0.9em;
  font: inherit;
  text-align: left;
  color: var(--vscode-button-secondaryForeground, inherit);
  background: var(--vscode-button-secondaryBackground, transparent);
  border: 1px solid var(--vscode-contrastBorder, var(--vscode-button-secondaryBorder, transparent));
  border-radius: 4px;
  cursor: pointer;
}
button:hover { background: var(--vscode-button-secondaryHoverBackground, transparent); }
button.preferred {
  color: var(--vscode-button-foreground, #ffffff);
  background: var(--vscode-button-background, #0860ca);
  border-color: var(--vscode-contrastBorder, var(--vscode-button-border, transparent));
}
button.preferred:hover { background: var(--vscode-button-hoverBackground, #0860ca); }
button[aria-disabled="true"] { opacity: 0.5; cursor: default; }
button:focus-visible, summary:focus-visible {
  outline: 2px solid var(--vscode-focusBorder, var(--information));
  outline-offset: 2px;
}
"""


# --- what the formats share ---------------------------------------------------------------


def _mark(remedy: RemedyPart) -> str:
    return " (preferred)" if remedy.preferred else ""


def _output_label(section: Section) -> str:
    lines = section.output.count("\n") + 1
    return f"Output ({lines} {'line' if lines == 1 else 'lines'})"


def _one_line(text: str) -> str:
    return " ".join(text.split("\n"))
