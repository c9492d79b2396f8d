"""The doctor page: what it shows and does, that it keeps its place, and that nothing in it runs or leaves."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import unquote

from kit.projects import MakeProject, UvProject, write_project
from kit.real_editor import MODULES
from kit.vscode import OpenWorkbench, Workbench, opened
from playwright.async_api import FrameLocator, Request, expect

OPEN = "uv Link Doctor: Open the Doctor Page"
TOOLBAR = ["Check Again", "Run uv sync", "Copy Redacted Report", "Show Log"]
COPY = "Install certifi by copying instead of linking"
SET = 'Set link-mode = "copy" in pyproject.toml, for everyone who works on this project'
SET_USER = 'Set link-mode = "copy" in your own uv.toml, for all your projects on this machine'
FRESH = "Give certifi fresh files in uv's cache, so that links work again"
EXTENSION = "uv-link-doctor.uv-link-doctor-0.1.0"


async def test_a_button_repairs_the_project(synced: UvProject, uv: Path, workbench: OpenWorkbench):
    window = await opened(workbench, synced, uv)
    await window.save()
    await window.wait_for_squiggle("error")
    page = await _page(window)
    finding = page.get_by_role("region", name="Findings").get_by_role("article", name="1. Error: link-failed")
    await expect(finding).to_contain_text("os error 396")
    await expect(finding.get_by_role("button")).to_have_text([COPY, SET, SET_USER, FRESH])

    await page.get_by_role("button", name=COPY).click()
    await expect(page.get_by_role("status")).to_have_text("Done: nothing is wrong.")
    await expect(page.get_by_role("region", name="Findings")).to_contain_text("None.")
    await expect(page.get_by_role("region", name="Environment")).to_contain_text("is complete.")
    # The button that had the focus is gone.
    await expect(page.get_by_role("button", name="Check Again")).to_be_focused()
    assert synced.missing_files() == {}
    assert synced.imports(*MODULES)


async def test_the_page_follows_a_save_and_keeps_its_place(synced: UvProject, uv: Path, workbench: OpenWorkbench):
    window = await opened(workbench, synced, uv)
    page = await _page(window)
    await window.palette("View: Move Editor into Right Group")
    await expect(page.get_by_role("region", name="Findings")).to_contain_text("None.")
    await window.save()
    button = page.get_by_role("button", name=SET)
    await expect(button).to_be_visible()

    await page.get_by_text("Output (").click()
    text = synced.manifest.read_text(encoding="utf-8")
    synced.manifest.write_text(f"# One line more\n{text}", encoding="utf-8")
    await window.page.locator(".view-line", has_text="# One line more").wait_for()
    await button.focus()
    # Pressed without the focus that a mouse or a key would bring along.
    said, *disabled = await page.get_by_role("button", name="Run uv sync").evaluate(
        """button => {
            button.click();
            return [
                document.querySelector('[role="status"]').textContent,
                ...[...document.querySelectorAll('button')].map(it => it.ariaDisabled),
            ];
        }"""
    )
    assert said == "Working: Run uv sync"
    assert set(disabled) == {"true"}
    await expect(page.get_by_role("article")).to_contain_text("pyproject.toml:8:6")
    await expect(page.get_by_role("status")).to_have_text("Done: 1 finding.")
    await expect(page.get_by_role("button", disabled=True)).to_have_count(0)
    await expect(button).to_be_focused()
    await expect(page.locator("details pre")).to_be_visible()

    await window.palette("View: Move Editor into Left Group")
    await expect(button).to_be_visible()
    await window.page.locator(".tab", has_text="pyproject.toml").click()
    await expect(button).to_have_count(0)
    page = await window.webview_frame("uv Link Doctor: second")
    await expect(page.get_by_role("button", name=SET)).to_be_visible()
    await expect(page.get_by_role("article")).to_contain_text("pyproject.toml:8:6")


async def test_the_page_is_used_by_keyboard_alone(synced: UvProject, uv: Path, workbench: OpenWorkbench):
    window = await opened(workbench, synced, uv)
    await window.save()
    await window.wait_for_squiggle("error")
    await window.palette(OPEN)
    page = _frame(window)
    await expect(page.get_by_role("button", name=COPY)).to_be_visible()
    stops = [*TOOLBAR, COPY, SET, SET_USER, FRESH]
    assert [await _tab(window, page) for _ in stops] == stops
    assert (await _tab(window, page)).startswith("Output (")
    await window.page.keyboard.press("Enter")
    await expect(page.locator("details pre")).to_be_visible()
    assert [await _tab(window, page, "Shift+Tab") for _ in stops] == stops[::-1]

    await expect(page.get_by_role("toolbar", name="What you can do").get_by_role("button")).to_have_text(TOOLBAR)
    main = page.get_by_role("main")
    await expect(main.get_by_role("heading", level=1)).to_have_text("uv Link Doctor report")
    headings = await main.get_by_role("heading", level=2).all_inner_texts()
    assert headings[:3] == ["Summary", "Findings", "Project"]
    for heading in headings:
        await expect(main.get_by_role("region", name=heading, exact=True)).to_be_visible()
    await expect(main.get_by_role("rowheader", name="Environment side")).to_be_visible()
    await expect(page.locator("[tabindex]")).to_have_count(0)

    # The focus is on the first again.
    assert await _tab(window, page) == "Run uv sync"
    await window.page.keyboard.press("Space")
    status = page.get_by_role("status")
    await expect(status).to_have_text("Done: 1 finding.")
    assert await _focused(page) == "Run uv sync"
    assert [await _tab(window, page) for _ in range(3)] == [*TOOLBAR[2:], COPY]
    await window.page.keyboard.press("Enter")
    await expect(status).to_have_text("Done: nothing is wrong.")
    assert synced.missing_files() == {}


async def test_the_report_on_the_clipboard_tells_nobody(
    synced: UvProject, uv: Path, workbench: OpenWorkbench, tmp_path: Path
):
    environ = {**synced.environ, "HOME": str(tmp_path), "USER": "ana.beispiel"}
    root = synced.root.parent / "ana.beispiel" / "app"
    window = await opened(workbench, write_project(root, "httpx", environ=environ), uv)
    await window.save()
    await window.wait_for_squiggle("error")
    page = await _page(window, "uv Link Doctor: app")
    await expect(page.get_by_role("article")).to_contain_text("OneDrive - Contoso/ana.beispiel/app/.venv")
    await page.get_by_role("button", name="Copy Redacted Report").click()
    await expect(page.get_by_role("status")).to_have_text("The redacted report is on the clipboard.")
    report = await window.clipboard()
    assert report.startswith("# uv Link Doctor report\n\n## Summary\n")
    assert "### 1. Error: `link-failed`" in report
    assert "os error 396" in report
    assert "~/cloud0/mount/OneDrive - " in report
    for private in (str(tmp_path), "ana.beispiel", "Contoso"):
        assert private not in report


async def test_nothing_in_the_page_runs_or_leaves(
    project: MakeProject, uv: Path, workbench: OpenWorkbench, tmp_path: Path
):
    hit = "globalThis.hit = top.hit = 1"
    markup = f'<img src=x onerror="{hit}"><script>{hit}</script>'
    root = tmp_path / markup.replace("/", "")
    # What uv says quotes the line.
    more = f"[tool.uv]\nlink-mode = '{markup}'\n"
    window = await opened(workbench, project("typing-extensions", root=root, more=more), uv)
    await window.save()
    await window.language_status("uv: failed")  # Installed all the same, but uv rejects that value.
    requests: list[Request] = []
    window.context.on("request", lambda request: requests.append(request))  # noqa: PLW0108  (it is given marks)
    await window.palette(OPEN)
    page = _frame(window)
    await page.get_by_text("Output (").click()
    await expect(page.locator("details pre")).to_contain_text(markup)
    await expect(page.get_by_role("region", name="Project", exact=True)).to_contain_text(f"{root}/uv.lock")
    await page.get_by_role("button", name="Check Again").click()
    await expect(page.get_by_role("status")).to_have_text(re.compile("^Done: "))

    await expect(page.locator("img, [onerror]")).to_have_count(0)
    assert await page.locator("html").evaluate("() => [globalThis.hit, top.hit]") == [None, None]
    policy = await page.locator("meta[http-equiv='Content-Security-Policy']").get_attribute("content")
    assert re.fullmatch(r"default-src 'none'; style-src '(nonce-[\w+/=]+)'; script-src '\1'", policy or "")
    # The one without an address is VS Code's own, by which a page talks to its extension.
    scripts = await page.locator("script").evaluate_all("all => all.map(it => it.getAttribute('src') || it.id)")
    assert [re.sub(".*/extensions/", "", it) for it in scripts] == ["_vscodeApiScript", f"{EXTENSION}/media/page.js"]
    leaving = [it for it in requests if not it.url.startswith(window.server.url)]
    assert [unquote(it.url) for it in leaving] == [unquote(it) for it in scripts[1:]]
    # VS Code's service worker takes that one from the disk.
    assert all([(answer := await it.response()) and answer.from_service_worker for it in leaving])


THEMES = {
    "Light 2026": "vscode-light",
    "Dark 2026": "vscode-dark",
    "Light High Contrast": "vscode-high-contrast-light",
    "Dark High Contrast": "vscode-high-contrast",
}


async def test_the_page_can_be_read_in_every_theme(synced: UvProject, uv: Path, workbench: OpenWorkbench):
    window = await opened(workbench, synced, uv)
    await window.save()
    await window.wait_for_squiggle("error")
    await window.palette(OPEN)
    page = _frame(window)
    await expect(page.get_by_role("button", name=COPY)).to_be_visible()
    for theme, kind in THEMES.items():
        await window.palette("Preferences: Color Theme")
        await window.type(theme)
        await window.pick(theme)
        await expect(page.locator(f"body.{kind}")).to_be_visible()
        await page.get_by_role("button", name=TOOLBAR[-1]).focus()
        assert await _tab(window, page) == COPY
        await window.screenshot(f"page {theme}")
        seen = await page.locator("body").evaluate(_LEGIBILITY)
        assert seen["pale"] == [], theme
        assert (seen["outline"]["style"], seen["outline"]["width"]) == ("solid", "2px"), theme
        assert seen["outline"]["contrast"] >= 3, theme


_LEGIBILITY = r"""body => {
    const rgba = text => text.match(/[\d.]+/g).map(Number);
    const over = ([r, g, b, a = 1], under) => [r, g, b].map((it, at) => it * a + under[at] * (1 - a));
    const behind = element => {
        const under = element.parentElement ? behind(element.parentElement) : [255, 255, 255];
        return over(rgba(getComputedStyle(element).backgroundColor), under);
    };
    // As WCAG 2 counts it.
    const linear = it => it <= 0.04045 ? it / 12.92 : ((it + 0.055) / 1.055) ** 2.4;
    const luminance = colour => {
        const [red, green, blue] = colour.map(it => linear(it / 255));
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const contrast = (colour, ground) => {
        const [darker, lighter] = [over(rgba(colour), ground), ground].map(luminance).sort((one, two) => one - two);
        return (lighter + 0.05) / (darker + 0.05);
    };
    const hasText = it => [...it.childNodes].some(node => node.nodeType === Node.TEXT_NODE && node.data.trim());
    const texts = [...body.querySelectorAll('*')].filter(it => hasText(it) && it.checkVisibility());
    const pale = it => contrast(getComputedStyle(it).color, behind(it)) < 4.5;
    const focused = document.activeElement, { outlineStyle, outlineWidth, outlineColor } = getComputedStyle(focused);
    return {
        pale: texts.filter(pale).map(it => it.outerHTML),
        outline: {
            style: outlineStyle,
            width: outlineWidth,
            contrast: contrast(outlineColor, behind(focused.parentElement)),
        },
    };
}"""


async def _page(window: Workbench, title: str = "uv Link Doctor: second") -> FrameLocator:
    await window.palette(OPEN)
    return await window.webview_frame(title)


def _frame(window: Workbench) -> FrameLocator:
    """The page that is in sight, without a click on its tab."""
    return window.page.frame_locator("iframe.webview.ready:visible").frame_locator("iframe#active-frame")


async def _tab(window: Workbench, page: FrameLocator, key: str = "Tab") -> str:
    await window.page.keyboard.press(key)
    return await _focused(page)


async def _focused(page: FrameLocator) -> str:
    return str(await page.locator("html").evaluate("() => document.activeElement.textContent"))
