"""Each format is one that a person has read (`data/golden/reports`), and none takes a text for markup of its own."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from kit.examinations import FAILED, HEALTHY, KNOWN
from kit.values import HOME

from uv_link_doctor.engine.formats import STYLE, as_html, as_markdown, as_text, html_body
from uv_link_doctor.engine.redact import Private, redacted
from uv_link_doctor.engine.remedies import actions
from uv_link_doctor.engine.sections import FindingPart, RemedyPart, Row, Section, sections

PRIVATE = Private(homes=(str(HOME),), users=("ana",))
REPORTS = {
    "failed": redacted(sections(FAILED, KNOWN), PRIVATE),
    "healthy": redacted(sections(HEALTHY, replace(KNOWN, copy_because=None, settings=())), PRIVATE),
}
FORMATS = {"txt": as_text, "md": as_markdown, "html": as_html}

EVIL = "<script>alert(1)</script> & \"x\" 'y' `<b>` | **z** [a](b) # ``` </pre> <!-- \\ $e$"
HOSTILE = (
    Section(
        heading=EVIL,
        paragraphs=(EVIL,),
        findings=(
            FindingPart(
                id=EVIL,
                code=EVIL,
                severity="error",
                message=EVIL,
                why=EVIL,
                rows=(Row(EVIL, EVIL),),
                evidence=(EVIL,),
                remedies=(RemedyPart(id=EVIL, title=EVIL, preferred=True, changes=(EVIL,), command=EVIL),),
            ),
        ),
        rows=(Row(EVIL, EVIL),),
        output=f"{EVIL}\n````\n</details>",
    ),
)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("name", REPORTS)
def test_the_report_for_a_person(name, suffix, golden):
    golden(f"reports/{name}.{suffix}", FORMATS[suffix](REPORTS[name]))


@pytest.mark.parametrize("suffix", FORMATS)
def test_nothing_private_is_in_any_format(suffix):
    said = FORMATS[suffix](REPORTS["failed"])
    assert re.findall(r"/home/|\bana\b|tiger", said) == []
    assert "~/.cache/uv/archive-v0/Ab3Cd5Ef/certifi/core.py" in said


def test_only_unbreakable_lines_make_a_text_longer_than_a_terminal():
    rest = re.compile(r"\s*(?:[A-Z][\w ,]+: |run: )|    \S")
    assert [line for line in as_text(REPORTS["failed"]).splitlines() if len(line) > 100 and not rest.match(line)] == []


# --- Markdown -----------------------------------------------------------------------------------


def test_a_table_has_the_same_cells_in_every_row():
    for report in (REPORTS["failed"], HOSTILE):
        for line in as_markdown(report).splitlines():
            if line.startswith("| "):
                assert len(re.findall(r"(?<!\\)\|", line)) == 3, line


def test_outside_code_nothing_is_markup_that_we_did_not_write():
    said = as_markdown(HOSTILE)
    blocks = re.sub(r"^(`{3,})text\n.*?\n\1$", "", said, flags=re.DOTALL | re.MULTILINE)
    prose = re.sub(r"(?<!\\)(`+)(?!`).*?(?<!`)\1(?!`)", "", blocks)
    prose = re.sub(r"</?(?:details|summary)>", "", prose)
    assert re.findall(r"(?<!\\)[<>\[\]&$]", prose) == []
    assert "\\*\\*z\\*\\*" in prose


def test_a_fence_is_longer_than_any_in_the_output():
    said = as_markdown(HOSTILE)
    assert re.findall(r"^`{3,}.*$", said, re.MULTILINE) == ["`````text", "````", "`````"]
    assert said.index("</details>\n`````") < said.rindex("</details>")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a_b", "a\\_b"),
        ("`a_b` c", "`a_b` c"),
        ("one ` alone", "one \\` alone"),
        ("1. no list", "1\\. no list"),
        ("- no list", "\\- no list"),
        ("two\nlines", "two lines"),
        ("C:\\x", "C:\\\\x"),
    ],
)
def test_prose_shows_just_what_it_says(text, expected):
    (paragraph,) = as_markdown([Section(heading="h", paragraphs=(text,))]).rstrip("\n").split("\n\n")[2:]
    assert paragraph == expected


# --- HTML ---------------------------------------------------------------------------------------


class Page(HTMLParser):
    """Reads a page and insists that every element is closed in its turn."""

    EMPTY = frozenset({"meta"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.said: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.said.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.mark.parametrize("report", [*REPORTS.values(), HOSTILE], ids=[*REPORTS, "hostile"])
@pytest.mark.parametrize("buttons", [False, True])
def test_the_page_is_well_formed_and_has_its_parts_named(report, buttons):
    page = Page(as_html(report) if not buttons else html_body(report, buttons=True))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert set(Counter(ids).values()) == {1}
    assert len(page.all("h1")) == len(page.all("main")) == 1
    assert len(page.all("h2")) == len(page.all("section")) == len(report)
    for _, attributes in page.tags:
        assert attributes.get("aria-labelledby", ids[0]) in ids
        assert not any(name.startswith("on") or name in {"src", "href", "style"} for name in attributes)
    assert {attributes.get("scope") for attributes in page.all("th")} <= {"row"}
    assert not {tag for tag, _ in page.tags} & {"script", "link", "img", "b", "iframe", "a"}


def test_the_page_is_whole():
    text = as_html(REPORTS["failed"])
    page = Page(text)
    assert text.startswith("<!doctype html>\n")
    assert page.all("html") == [{"lang": "en"}]
    assert page.all("meta")[0] == {"charset": "utf-8"}
    assert len(page.all("title")) == 1
    assert STYLE in text
    assert "://" not in text


def test_hostile_texts_are_shown_as_they_are():
    said = "".join(Page(html_body(HOSTILE)).said)
    assert said.count("<script>alert(1)</script> & \"x\" 'y' ") == 14
    assert "<script>" not in html_body(HOSTILE)


def test_a_remedy_is_a_button_that_names_it():
    (finding,) = FAILED.findings
    buttons = Page(html_body(REPORTS["failed"], buttons=True)).all("button")
    assert [button["data-remedy"] for button in buttons] == [remedy.id for remedy in actions(finding.remedies)]
    assert {button["data-finding"] for button in buttons} == {finding.id}
    assert {button["type"] for button in buttons} == {"button"}
    assert [button.get("class") for button in buttons] == ["preferred", None]
    (button,) = Page(html_body(HOSTILE, buttons=True)).all("button")
    assert (button["data-finding"], button["data-remedy"]) == (EVIL, EVIL)
    assert Page(html_body(REPORTS["failed"])).all("button") == []


def test_the_preferred_remedy_comes_first():
    report = sections(FAILED, KNOWN)
    turned = replace(report[1].findings[0], remedies=report[1].findings[0].remedies[::-1])
    body = html_body([Section(heading="Findings", findings=(turned,))], buttons=True)
    assert [button.get("class") for button in Page(body).all("button")] == ["preferred", None]


def test_every_colour_follows_the_editor_and_the_system():
    assert re.findall(r"(?:color|background): #", STYLE) == []
    light, dark = STYLE.split("@media (prefers-color-scheme: dark)")
    own = re.compile(r"(--\w+): var\((--vscode-[\w-]+), #[0-9a-f]{6}\)")
    assert own.findall(light) == own.findall(dark)
    assert len(own.findall(light)) == 8


def contrast(one: str, other: str) -> float:
    """Of two colours, as WCAG 2 counts it."""

    def luminance(colour: str) -> float:
        channels = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
        red, green, blue = (it / 12.92 if it <= 0.04045 else ((it + 0.055) / 1.055) ** 2.4 for it in channels)
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize("colour", ["text", "quiet", "error", "warning", "information"])
def test_our_own_colours_can_be_read(scheme, colour):
    text = STYLE.split("@media (prefers-color-scheme: dark)")[scheme]
    colours = dict(re.findall(r"--(\w+): var\([\w-]+, (#[0-9a-f]{6})\)", text))
    assert contrast(colours[colour], colours["page"]) >= 4.5
    assert contrast(colours["text"], colours["inset"]) >= 4.5
