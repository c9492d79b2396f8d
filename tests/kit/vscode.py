"""One VS Code window as a person sees and uses it; each method waits for the thing itself.

It is driven by Playwright's asynchronous interface, because the synchronous one leaves an event loop running in the
main thread, in which pytest-asyncio then cannot run the tests that are coroutines.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import quote

from playwright.async_api import BrowserContext, FloatRect, FrameLocator, Locator, Page, expect
from playwright.async_api import TimeoutError as NotInTime

from kit.code_server import CodeServer
from kit.projects import UvProject

PATIENCE = 30.0
"""Seconds that an event may take before a test gives up on it; nothing waits that long when all is well."""

SETTLED = 0.5
"""Seconds without a change after which a list counts as complete, where the editor doesn't say."""

SLOWEST = 5.0
"""Seconds that a busy machine may take to begin to change a list."""

POLL = 0.05

_Found = TypeVar("_Found")


@dataclass(frozen=True, slots=True)
class Squiggle:
    """The underlined characters of one line; lines are counted from 1, as the editor does."""

    severity: str
    line: int
    text: str


@dataclass(frozen=True, slots=True)
class Problem:
    """A row of the Problems view; hints have none."""

    severity: str
    message: str
    line: int
    column: int
    source: str
    code: str


@dataclass(frozen=True, slots=True)
class Notification:
    """A message at the window's corner."""

    severity: str
    message: str
    source: str
    buttons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LanguageStatus:
    """What hovering the braces in the status bar shows of one item; `command` is the title of its link."""

    text: str
    detail: str
    severity: str
    busy: bool
    command: str


@dataclass(slots=True)
class Workbench:
    """A page of a browser that shows the VS Code of one code-server."""

    server: CodeServer
    context: BrowserContext
    page: Page
    screenshots: Path
    root: Path = field(init=False)
    """The folder that is open, or that of the workspace file."""

    # The window.

    async def open_folder(self, folder: Path) -> None:
        self.root = folder
        await self._show(f"?folder={quote(str(folder))}")

    async def open_workspace(self, file: Path) -> None:
        """Open several folders by their `.code-workspace` file."""
        self.root = file.parent
        await self._show(f"?workspace={quote(str(file))}")

    async def reload(self) -> None:
        # Reloading the page itself would not give VS Code the time to store what is open.
        async with self.page.expect_event("load"):
            await self.palette("Developer: Reload Window")
        await self._ready()

    async def close_page(self) -> None:
        """Close the window; opening a folder afterwards opens a new one, which knows what this one had stored."""
        # A page that is only closed doesn't tell code-server, which then keeps its extensions running for a while.
        await self.page.goto("about:blank")
        await self.page.close()

    async def hide_panel(self) -> None:
        """Hide what is below the editors: Problems, terminals and the like."""
        await self.page.keyboard.press("Control+J")
        await self.page.locator(".part.panel").wait_for(state="hidden")

    async def screenshot(self, name: str, *, height: int | None = None) -> Path:
        """What the window looks like now, from the top; in `$UV_LINK_DOCTOR_SCREENSHOTS` or the test's own folder."""
        self.screenshots.mkdir(parents=True, exist_ok=True)
        path = self.screenshots / f"{re.sub(r'[^A-Za-z0-9_.-]+', '-', name)}.png"
        size = self.page.viewport_size
        assert size is not None
        clip = FloatRect(x=0, y=0, width=size["width"], height=height or size["height"])
        await self.page.screenshot(path=path, clip=clip)
        return path

    async def clipboard(self) -> str:
        return str(await self.page.evaluate("navigator.clipboard.readText()"))

    # The palette, quick picks, input boxes and dialogs.

    async def palette(self, command: str) -> None:
        """Run the command of exactly this title (`View: Split Editor`), and see the palette close."""
        await self._choose_from(lambda: self._fill_palette(command), command)
        # What is open now may be a list that the command asks with.
        await self.page.wait_for_function(
            """() => ![...document.querySelectorAll('.quick-input-widget input[type="text"]')]
                     .some(input => input.checkVisibility() && input.value.startsWith('>'))"""
        )

    async def palette_has(self, command: str) -> bool:
        """Whether the palette offers the command of exactly this title."""
        return command in await self.palette_commands(command)

    async def palette_commands(self, text: str) -> list[str]:
        """The titles that the palette offers for a text, the likeliest first, as far as they are in sight."""
        await self._fill_palette("xyzzy")
        await expect(self._rows.filter(has_text="No matching commands")).to_be_visible()
        await self._input.fill(f">{text}")
        titles = await _settled(self._rows.locator(".label-name"), instead_of=["No matching commands"])
        await self._close_quick_input()
        return titles

    async def pick(self, title: str) -> None:
        """Choose the row of exactly this title from the list that is open."""
        await self._choose_row(title)

    async def answer(self, text: str) -> None:
        """Fill in the input box that is open."""
        await self._input.fill(text)
        await self._input.press("Enter")

    async def dialog(self, text: str) -> str:
        """The whole text of the modal dialog that says this."""
        box = self.page.locator(".monaco-dialog-box", has_text=text)
        return await box.inner_text()

    async def dialog_button(self, text: str, button: str) -> None:
        """Press a button of the modal dialog that says this, and see it close."""
        box = self.page.locator(".monaco-dialog-box", has_text=text)
        await box.get_by_role("button", name=button, exact=True).click()
        await box.wait_for(state="hidden")

    async def trust(self) -> None:
        """Trust the folder, on the editor's own page for it, which is opened unless it is open."""
        page = self.page.locator(".workspace-trust-editor")
        if not await page.is_visible():
            await self.palette("Workspaces: Manage Workspace Trust")
        await page.locator(".monaco-button", has_text=re.compile("^Trust$")).click()
        await self.page.locator('[id="status.workspaceTrust"]').wait_for(state="detached")

    # Editing.

    async def open_file(self, name: str | Path) -> None:
        """Open a file, by its absolute path or its path in the folder or beside the workspace file that is open."""
        path = self.root / name
        await self.page.keyboard.press("Control+P")
        await self._input.fill(str(path))
        # A row below the folder that is open names its own; until then a file of the same name may come first.
        row = self._rows.filter(has=self.page.locator(".label-name", has_text=_exactly(path.name)))
        await row.filter(has_text=path.parent.name if path.parent != self.root else path.name).first.click()
        await self.page.locator(f'.tab.active[data-resource-name="{path.name}"]').wait_for()
        # Keys pressed before the editor has the focus are lost.
        await self.page.locator(".editor-group-container.active .monaco-editor.focused .view-line").first.wait_for()

    async def focus_editor(self) -> None:
        await self.page.keyboard.press("Control+1")
        await self.page.locator(".editor-group-container.active .monaco-editor.focused").first.wait_for()

    async def go_to(self, line: int, column: int = 1) -> None:
        """Put the cursor there, both counted from 1."""
        await self.focus_editor()
        await self.page.keyboard.press("Control+G")
        await self._input.fill(f":{line}:{column}")
        await self._input.press("Enter")
        await self._input.wait_for(state="hidden")
        position = self.page.locator('[id="status.editor.selection"]')
        await expect(position).to_have_text(f"Ln {line}, Col {column}")
        await self.page.locator(".editor-group-container.active .monaco-editor.focused").first.wait_for()

    async def type(self, text: str) -> None:
        """Type where the focus is."""
        await self.page.keyboard.type(text)

    async def save(self) -> None:
        """Save the active editor, also where nothing has changed."""
        await self.focus_editor()
        await self.page.keyboard.press("Control+S")
        await self.page.locator(".editor-group-container.active .tab.active:not(.dirty)").wait_for()

    async def undo(self) -> None:
        """Take the last change back, and see the text change."""
        await self._changing("Control+Z")

    async def redo(self) -> None:
        """Make the change again that was taken back last, and see the text change."""
        await self._changing("Control+Y")

    async def lines(self) -> list[str]:
        """The lines of the active editor that are in sight."""
        return list(await self.page.evaluate(_LINES))

    async def wait_for_line(self, text: str) -> None:
        """Wait until a line in sight reads exactly so."""
        await eventually(self.lines, lambda lines: text in lines)

    # Findings.

    async def squiggles(self) -> list[Squiggle]:
        """What is underlined in the part of the active editor that is in sight, from the top."""
        return [Squiggle(**it) for it in await self.page.evaluate(_SQUIGGLES)]

    async def wait_for_squiggle(self, severity: str) -> Squiggle:
        """The first one of this severity: `error`, `warning`, `info` or `hint`."""
        found = await eventually(self.squiggles, lambda found: severity in {it.severity for it in found})
        return next(it for it in found if it.severity == severity)

    async def problems(self) -> list[Problem]:
        """The rows of the Problems view that are in sight, files in their order; it may lag behind the squiggles."""
        await self._show_problems()
        return [Problem(**it) for it in await self.page.locator(_PROBLEM_ROWS).evaluate_all(_PROBLEMS)]

    async def wait_for_problem(self, text: str) -> Problem:
        """The first problem with this in its row, once there is one."""
        await self._show_problems()
        row = self.page.locator(_PROBLEM_ROWS, has_text=text).first
        await row.wait_for()
        [found] = await row.evaluate_all(_PROBLEMS)
        return Problem(**found)

    async def wait_for_no_problem(self) -> None:
        """Wait until the status bar counts none, in any file."""
        await self.page.locator('[id="status.problems"][aria-label="No Problems"]').wait_for()

    async def quick_fixes(self) -> list[str]:
        """The titles of the quick fixes at the cursor, in the editor's order: the preferred ones come first."""
        async with self.quick_fix_menu() as titles:
            return titles

    @asynccontextmanager
    async def quick_fix_menu(self) -> AsyncIterator[list[str]]:
        """The same, with the menu open for a while."""
        yield await (await self._open_quick_fixes()).all_inner_texts()
        await self.page.keyboard.press("Escape")
        await self.page.locator(_QUICK_FIXES).first.wait_for(state="hidden")

    async def choose_quick_fix(self, title: str) -> None:
        """Choose the quick fix at the cursor that has exactly this title, and see the menu close."""
        titles = await self._open_quick_fixes()
        await titles.filter(has_text=_exactly(title)).click()
        await self.page.locator(_QUICK_FIXES).first.wait_for(state="hidden")

    # Messages and progress.

    async def notification(self, text: str) -> Notification:
        """The message that says this, once it is shown.

        VS Code shows no more than three that begin within 0.8 seconds; later ones are only listed behind the bell.
        """
        return await _notification(self._toast(text))

    async def notifications(self) -> list[Notification]:
        """The messages that are shown now."""
        return [await _notification(toast) for toast in await self._toasts("").all()]

    async def notifications_so_far(self) -> list[Notification]:
        """The messages that nobody has answered or closed, also those whose time in sight is over.

        What shows progress is none: of the editor's own, "Activating Extensions…" stands there silently.
        """
        await self.palette("Notifications: Show Notifications")
        center = self.page.locator(".notifications-center.visible")
        await center.wait_for()
        progress = self.page.locator(".monaco-progress-container.active")
        items = center.locator(".monaco-list-row").filter(has_not=progress)
        found = [await _notification(it) for it in await items.all()]
        await self.page.keyboard.press("Escape")
        await center.wait_for(state="detached")
        return found

    async def notification_button(self, text: str, button: str) -> None:
        """Press a button of the message that says this; the message may stay."""
        await self._toast(text).get_by_role("button", name=button, exact=True).click()

    async def wait_for_no_notification(self, text: str) -> None:
        """Wait until no message says this."""
        await self._toast(text).wait_for(state="detached")

    async def progress_notification(self, text: str) -> Notification:
        """The message with a progress bar that says this, once it is shown."""
        bar = self.page.locator(".monaco-progress-container.active")
        return await _notification(self._toasts(text).filter(has=bar).first)

    async def cancel(self, text: str) -> None:
        """Press Cancel in the progress that says this, and see it end."""
        await self.notification_button(text, "Cancel")
        await self.wait_for_no_notification(text)

    async def language_status(self, text: str) -> LanguageStatus:
        """The language status of the active editor that has this in its text, once there is one."""
        entry = await self._language_status(text)
        found = LanguageStatus(**await entry.evaluate(_LANGUAGE_STATUS))
        await self._hover_nothing()
        return found

    async def language_status_command(self, text: str) -> None:
        """Follow the link of the language status that has this in its text."""
        await (await self._language_status(text)).locator("a.monaco-link").click()
        await self._hover_nothing()

    async def output_channel(self, name: str, *, until: str = "") -> str:
        """The whole text of an output channel, once it says `until`; by the clipboard, whose contents are lost."""
        await self._choose_from(lambda: self.palette("Output: Show Output Channels..."), name)
        return await eventually(self._copy_of_output, lambda said: until in said)

    async def activation_figures(self) -> dict[str, tuple[int, int, int]]:
        """By extension, the milliseconds that its code took to load, and its activation to return and to end."""
        await self.palette("Developer: Startup Performance")
        row = re.compile(r"\| (\S+\.\S+) +\| \w+ +\| (\d+) +\| (\d+) +\| (\d+) +\|")
        lines = await eventually(self.lines, lambda found: any("Extension Activation Stats" in line for line in found))
        found = (row.match(line) for line in lines)
        return {it[1]: (int(it[2]), int(it[3]), int(it[4])) for it in found if it}

    # Webviews and terminals.

    async def webview_frame(self, title: str) -> FrameLocator:
        """The page inside the webview editor of this title, once it is loaded."""
        await self.page.locator(".tab", has_text=title).click()
        await self.page.locator(".tab.active", has_text=title).wait_for()
        frame = self.page.frame_locator("iframe.webview.ready:visible").frame_locator(
            f'iframe#active-frame[title="{title}"]'
        )
        await frame.locator("body").wait_for()
        return frame

    async def new_terminal(self) -> None:
        """Open a terminal, and wait until the shell in it tells VS Code about its commands."""
        await self.page.evaluate(
            "document.querySelectorAll('.terminal-wrapper').forEach(it => it.setAttribute('data-earlier', ''))"
        )
        await self.palette("Terminal: Create New Terminal")
        fresh = self.page.locator(".terminal-wrapper.active:not([data-earlier])")
        await fresh.locator(".terminal-command-decoration").first.wait_for(state="attached")

    async def terminal_run(self, command: str) -> str:
        """Run a command in the active terminal to its end; what it printed, as far as it is in sight.

        The end shows by a prompt, which is a last line that ends in one of `$ # % >`.
        """
        await self.page.locator(".terminal-wrapper.active .xterm-helper-textarea").first.focus()
        await self.page.keyboard.type(command)
        # In a narrow terminal the command goes on in the next line.
        echo = await eventually(self.terminal, lambda said: said.replace("\n", "").endswith(command))
        await self.page.keyboard.press("Enter")
        said = await eventually(self.terminal, lambda said: said != echo and re.search(r"[$#%>]$", said))
        output = said.rpartition(echo.splitlines()[-1])[2].removeprefix("\n")
        return output.rpartition("\n")[0]

    async def terminal(self) -> str:
        """The lines of the active terminal that are in sight, without the blanks at their ends."""
        rows = await self.page.locator(".terminal-wrapper.active .xterm-rows > div").all_inner_texts()
        return "\n".join(row.replace("\xa0", " ").rstrip() for row in rows).rstrip()

    # How it is done.

    async def _changing(self, key: str) -> None:
        await self.focus_editor()
        before = await self.lines()
        await self.page.keyboard.press(key)
        await eventually(self.lines, lambda lines: lines != before)

    @property
    def _input(self) -> Locator:
        return self.page.locator('.quick-input-widget:visible input[type="text"]').first

    @property
    def _rows(self) -> Locator:
        return self.page.locator(".quick-input-widget:visible .quick-input-list .monaco-list-row")

    def _toasts(self, text: str) -> Locator:
        return self.page.locator(".notifications-toasts .notification-toast", has_text=text)

    def _toast(self, text: str) -> Locator:
        return self._toasts(text).first

    async def _show(self, query: str) -> None:
        if self.page.is_closed():
            self.page = await self.context.new_page()
        await self.page.goto(self.server.url + query)
        await self._ready()

    async def _ready(self) -> None:
        # VS Code's own mark of the time at which the last of its parts and all extensions' contributions are there.
        await self.page.wait_for_function("performance.getEntriesByName('code/LifecyclePhase/Eventually').length > 0")

    async def _fill_palette(self, text: str) -> None:
        await self.page.keyboard.press("F1")
        await expect(self._input).to_have_value(">")
        await self._input.fill(f">{text}")

    async def _choose_row(self, title: str, *, patience: float = PATIENCE) -> None:
        row = self._rows.filter(has=self.page.locator(".label-name", has_text=_exactly(title))).first
        await row.click(timeout=patience * 1000)

    async def _choose_from(self, show: Callable[[], Awaitable[None]], title: str) -> None:
        """Choose from a list that doesn't change while it is open, though what it is made from may."""
        deadline = time.monotonic() + PATIENCE
        while True:
            await show()
            try:
                await self._choose_row(title, patience=2)
            except NotInTime:
                assert time.monotonic() < deadline, f"there is no {title} to choose"
                await self._close_quick_input()
            else:
                return

    async def _close_quick_input(self) -> None:
        await self.page.keyboard.press("Escape")
        await self._input.wait_for(state="hidden")

    async def _show_problems(self) -> None:
        if await self.page.locator(".markers-panel").is_visible():
            return
        await self.palette("Problems: Focus on Problems View")
        await self.page.locator(".markers-panel").wait_for()

    async def _open_quick_fixes(self) -> Locator:
        """The titles in the menu of quick fixes."""
        await self.focus_editor()
        # Asked for before the light bulb shows, the menu is often closed again at once.
        bulb = self.page.locator('.monaco-editor .lightBulbWidget, .monaco-editor [class*="codicon-gutter-lightbulb"]')
        await bulb.locator("visible=true").first.wait_for()
        titles = self.page.locator(_QUICK_FIXES)
        deadline = time.monotonic() + PATIENCE
        while True:
            await self.page.keyboard.press("Control+.")
            try:
                await titles.first.wait_for(timeout=2000)
            except NotInTime:  # While findings arrive, it happens nevertheless.
                assert time.monotonic() < deadline, "no quick fixes are offered here"
            else:
                break
        return titles

    async def wait_for_language_status(self, text: str) -> None:
        """Wait until a language status of the active editor says this."""
        status = self.page.locator('[id="status.languageStatus"]')
        await expect(status).to_have_attribute("aria-label", re.compile(re.escape(text)), timeout=PATIENCE * 1000)

    async def _language_status(self, text: str) -> Locator:
        # Only then: while the hover is open, an item that changes leaves it open for good.
        await self.wait_for_language_status(text)
        entry = self.page.locator(".hover-language-status", has_text=text).first
        deadline = time.monotonic() + PATIENCE
        while True:
            await self.page.locator('[id="status.languageStatus"]').hover()
            try:
                await entry.wait_for(timeout=2000)
            except NotInTime:  # An item has changed just then, and the hover was closed or never came.
                assert time.monotonic() < deadline, f"no language status says {text}"
                await self.page.mouse.move(640, 300, steps=10)
            else:
                return entry

    async def _hover_nothing(self) -> None:
        """Leave the status bar, and see the hover close."""
        deadline = time.monotonic() + PATIENCE
        hover = self.page.locator(".hover-language-status").first
        while True:
            await self.page.mouse.move(640, 300, steps=10)
            try:
                await hover.wait_for(state="detached", timeout=2000)
            except NotInTime:  # An item has changed meanwhile, and the hover waits for a mouse that comes and leaves.
                assert time.monotonic() < deadline, "the hover of the language status stays"
                await self.page.locator('[id="status.languageStatus"]').hover()
            else:
                return

    async def _copy_of_output(self) -> str:
        await self.page.locator(".output-view .monaco-editor").click()
        await self.page.keyboard.press("Control+A")
        await self.page.keyboard.press("Control+C")
        return await self.clipboard()


class OpenWorkbench(Protocol):
    async def __call__(
        self,
        *,
        settings: Mapping[str, Any] | None = None,
        machine: Mapping[str, Any] | None = None,
        trusted: bool = True,
        environ: Mapping[str, str] | None = None,
        extensions: Sequence[Path] | None = None,
    ) -> Workbench:
        """Open a window without a folder, by default with our extension; `Setup` describes the rest.

        It ends the code-server of an earlier window that was set up otherwise.
        """


async def opened(workbench: OpenWorkbench, project: UvProject, uv: Path, *, root: Path | None = None) -> Workbench:
    """A window on the project's folder, or on `root` above it, its manifest in front and our server running."""
    window = await workbench(machine={"uvLinkDoctor.uvPath": str(uv)}, environ=project.environ)
    await window.open_folder(root or project.root)
    await window.open_file(project.manifest)
    await window.language_status("uv: ")
    return window


async def eventually(look: Callable[[], Awaitable[_Found]], holds: Callable[[_Found], object]) -> _Found:
    """What `look` finds, once this holds of it."""
    deadline = time.monotonic() + PATIENCE
    while not holds(found := await look()):
        assert time.monotonic() < deadline, f"this did not become what was waited for: {found!r}"
        await asyncio.sleep(POLL)
    return found


async def _settled(texts: Locator, *, instead_of: list[str]) -> list[str]:
    """The texts, once they have stayed the same for a while, which is longer where they have not changed at all."""
    found, since = instead_of, time.monotonic()
    while time.monotonic() < since + (SLOWEST if found == instead_of else SETTLED):
        await asyncio.sleep(POLL)
        now = await texts.all_inner_texts()
        if now != found:
            found, since = now, time.monotonic()
    return found


async def _notification(toast: Locator) -> Notification:
    seen = await eventually(lambda: toast.evaluate(_NOTIFICATION), bool)
    return Notification(seen["severity"], seen["message"], seen["source"], tuple(seen["buttons"]))


def _exactly(text: str) -> re.Pattern[str]:
    # After an icon comes a space.
    return re.compile(rf"^\s?{re.escape(text)}$")


# What the page is asked, in its own language.

_EDITOR = r"""
    // What was typed is shown in the next frame.
    await new Promise(shown => requestAnimationFrame(() => requestAnimationFrame(shown)));
    const editor = document.querySelector('.editor-group-container.active .monaco-editor');
    const top = element => Math.round(element.getBoundingClientRect().top);
    const lines = [...editor.querySelectorAll('.view-line')].sort((a, b) => top(a) - top(b));
    const plain = text => text.replaceAll('\u00a0', ' ');
"""

_LINES = f"async () => {{ {_EDITOR} return lines.map(line => plain(line.textContent)); }}"

_SQUIGGLES = rf"""async () => {{ {_EDITOR}
    const numbers = new Map([...editor.querySelectorAll('.line-numbers')].map(it => [top(it), Number(it.textContent)]));
    // The characters whose middle the squiggle lies under.
    const under = (line, squiggle) => {{
        const texts = document.createTreeWalker(line, NodeFilter.SHOW_TEXT), range = document.createRange();
        let found = '';
        for (let text = texts.nextNode(); text; text = texts.nextNode()) {{
            for (let at = 0; at < text.length; at++) {{
                range.setStart(text, at);
                range.setEnd(text, at + 1);
                const {{ left, right }} = range.getBoundingClientRect(), middle = (left + right) / 2;
                if (squiggle.left <= middle && middle <= squiggle.right) {{ found += text.data[at]; }}
            }}
        }}
        return plain(found);
    }};
    return [...editor.querySelectorAll('[class*="squiggly-"]')].map(it => {{
        const line = lines.find(line => Math.abs(top(line) - top(it.parentElement)) < 3);
        return {{
            severity: it.className.match(/squiggly-(\w+)/)[1],
            line: numbers.get(top(it.parentElement)) ?? 0,
            text: line ? under(line, it.getBoundingClientRect()) : '',
        }};
    }}).sort((a, b) => a.line - b.line);
}}"""

_PROBLEM_ROWS = ".markers-panel .monaco-list-row:has(.marker-icon)"

_PROBLEMS = r"""rows => rows.map(row => {
    const text = selector => row.querySelector(selector)?.textContent ?? '';
    const [, line, column] = text('.marker-line').match(/(\d+)\D+(\d+)/);
    return {
        // The icon of a row that quick fixes are known for is a light bulb.
        severity: row.getAttribute('aria-label').match(/^\w+/)[0].toLowerCase(),
        message: [...row.querySelectorAll('.marker-message')].map(it => it.textContent).join('\n'),
        line: Number(line),
        column: Number(column),
        source: text('.marker-source'),
        code: text('.marker-code'),
    };
})"""

_QUICK_FIXES = ".action-widget .monaco-list-row.action .title"

_NOTIFICATION = """toast => {
    const text = selector => toast.querySelector(selector)?.textContent ?? '';
    const icon = toast.querySelector('.notification-list-item-icon');
    // While the list of messages changes, one may be without its parts.
    return icon && {
        severity: icon.className.match(/codicon-(info|warning|error)/)[1],
        message: text('.notification-list-item-message'),
        source: text('.notification-list-item-source').replace('Source: ', ''),
        buttons: [...toast.querySelectorAll('.notification-list-item-buttons-container .monaco-button')]
            .map(it => it.textContent),
    };
}"""

_LANGUAGE_STATUS = r"""entry => {
    const [text, detail] = [[], []], left = entry.querySelector('.left');
    let part = text;
    for (const node of left.childNodes) {
        if (node.classList?.contains('separator')) { part = detail; } else { part.push(node.textContent); }
    }
    const severity = entry.querySelector('.severity').className.match(/sev(\d)/)[1];
    return {
        text: text.join('').trim(),
        detail: detail.join('').trim(),
        severity: { 1: 'info', 2: 'warning', 3: 'error' }[severity] ?? '',
        busy: left.querySelector('.codicon-loading') !== null,
        command: entry.querySelector('.right .monaco-link')?.textContent ?? '',
    };
}"""
