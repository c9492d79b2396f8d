"""Every cause and every code has words that a newcomer can act on, and the page files are made of them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from uv_link_doctor import pages
from uv_link_doctor.engine.model import Cause, Code
from uv_link_doctor.engine.words import CAUSES, PAGES, SETTING_TRAPS, CausePage, Page, markdown, table
from uv_link_doctor.pages import page_path

SENTENCE_END = re.compile(r"\.(?= |$)")

every_page = pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
every_cause = pytest.mark.parametrize("page", CAUSES.values(), ids=CAUSES)


def sentences(page: Page) -> tuple[str, ...]:
    paragraphs = (f"{page.title}.", f"{page.what}.", page.why, page.costs)
    split = (part.strip() + "." for text in paragraphs for part in SENTENCE_END.split(text) if part)
    return (*split, *page.helps, *page.does_not_help, *page.advice)


def test_every_cause_and_every_code_has_words_and_nothing_else_has() -> None:
    assert list(PAGES) == [*Cause, *Code]
    assert list(CAUSES) == [*Cause]
    assert [name for name, page in PAGES.items() if page.name != name] == []


def test_the_page_files_are_what_the_words_render() -> None:
    """Run `python -m uv_link_doctor.pages` after a change to the words."""
    on_disk = {path.name: path.read_bytes().decode() for path in Path(pages.__file__).parent.glob("*.md")}
    assert on_disk == {page_path(name).name: markdown(page) for name, page in PAGES.items()}


def test_the_readme_has_the_table_of_all_causes() -> None:
    """It comes from the same command."""
    readme = Path(__file__).parents[2] / "README.md"
    rows = table("server/uv_link_doctor/pages")
    assert f"\n\n{rows}\n\n" in readme.read_text("utf-8")
    assert re.findall(r"^\| \[([\w-]+)\]", rows, re.MULTILINE) == [*Cause]


@every_page
def test_what_fits_into_the_line_of_a_diagnostic(page: Page) -> None:
    assert re.fullmatch(r"uv [^\n.]{10,116}[^\s.!:;,]", page.what)


@every_page
def test_sentences_are_whole_and_calm(page: Page) -> None:
    for sentence in sentences(page):
        assert re.fullmatch(r"(?:[A-Z`]|uv\b)[^\n]{5,}[^\s.]\.", sentence), sentence
        assert "  " not in sentence
        assert sentence.count("`") % 2 == 0, sentence
        prose = re.sub(r"`[^`]*`", "", sentence)
        assert not re.search(r"!|\bU[vV]\b|\b(?:simply|just|obviously|please)\b", prose), sentence
        assert not re.search(r"[<>*_#]|--", prose), f"Markdown would read it as markup: {sentence}"


@every_page
def test_why_is_short(page: Page) -> None:
    assert 2 <= len(SENTENCE_END.findall(page.why)) <= 4


@every_page
def test_there_is_something_to_do(page: Page) -> None:
    assert page.helps
    assert isinstance(page.helps, tuple)
    assert all(len(sentence) <= 100 for sentence in page.advice)


def test_only_the_traps_of_the_setting_stand_on_more_than_one_page() -> None:
    seen = Counter(sentence for page in PAGES.values() for sentence in sentences(page))
    assert {sentence for sentence, times in seen.items() if times > 1} == {*SETTING_TRAPS, "uv stops."}


@every_cause
def test_a_cause_says_what_a_hard_link_is(page: CausePage) -> None:
    assert re.search(r"hard link.*?\b(?:second|further) name", page.why)


@every_cause
def test_the_words_agree_with_the_facts(page: CausePage) -> None:
    copying = re.compile(r"\bcop(?:y|ies|ying)\b|link mode", re.IGNORECASE)
    assert any(copying.search(sentence) for sentence in (page.helps if page.copying_helps else page.does_not_help))
    assert set(SETTING_TRAPS).issubset(page.does_not_help) == page.copying_helps
    assert (
        any(re.search(r"\b(?:Run the|and) install again\b", help_) for help_ in page.helps) or not page.retrying_helps
    )
    assert page.retrying_helps or not any(help_.startswith("Run the install again") for help_ in page.helps)


FACTS = {
    "copying_helps": """
        cross-device cloud-sync unsupported-filesystem network-filesystem permission too-many-links transient unknown
    """,
    "retrying_helps": """
        network-filesystem file-in-use out-of-memory missing-cache-file concurrency transient
    """,
    "lasts": """
        cross-device cloud-sync cloud-offline unsupported-filesystem network-filesystem permission read-only
        too-many-links no-space path-too-long corrupt-cache-entry file-conflict
    """,
}


@pytest.mark.parametrize(("fact", "causes"), FACTS.items(), ids=FACTS)
def test_the_facts_that_remedies_rest_on(fact: str, causes: str) -> None:
    assert [page.name for page in CAUSES.values() if getattr(page, fact)] == causes.split()


@every_page
def test_markdown_reads_well_as_source_and_renders_as_meant(page: Page) -> None:
    text = markdown(page)
    lines = text.splitlines()
    assert lines[0] == f"# {page.title}"
    assert [line for line in lines[1:] if re.match(r"#(?!# \w)", line)] == []
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    assert [line for line in lines if len(line) > 100 or line != line.rstrip() or line.count("`") % 2] == []
    unwrapped = re.sub(r"\s+", " ", text)
    assert [sentence for sentence in sentences(page)[1:] if sentence not in unwrapped] == []


@every_page
def test_markdown_wraps_no_word_into_a_list_or_heading(page: Page) -> None:
    marks = re.findall(r"^ *([-+*>]|#+|\d+[.)])(?= )", markdown(page), re.MULTILINE)
    sections = 3 + bool(page.does_not_help) + bool(page.advice) + isinstance(page, CausePage)
    assert Counter(marks) == Counter(
        {
            "#": 1,
            "##": sections,
            **{f"{number}.": 1 for number, _ in enumerate(page.helps, start=1)},
            "-": len(page.does_not_help) + len(page.advice),
        }
    )


@every_page
def test_links_lead_somewhere(page: Page) -> None:
    for target in re.findall(r"\]\(([^)]*)\)", markdown(page)):
        assert target.startswith("https://docs.astral.sh/") or page_path(target.removesuffix(".md")).is_file()


def test_importing_the_words_loads_no_other_module() -> None:
    """Start-up time is the editor's: `engine.model` is there anyway, and nothing else may come along."""
    code = (
        "import sys, uv_link_doctor.engine.model; before = set(sys.modules)\n"
        "import uv_link_doctor.engine.words; print(*sorted(set(sys.modules) - before))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert loaded == ["uv_link_doctor.engine.words"]
