"""Work-done progress that quick runs never show, and whose cancel button reaches the run."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from lsprotocol import types as lsp
from pygls.lsp.server import LanguageServer

QUIET_SECONDS = 0.5
"""A run that ends sooner shows nothing (contract, section 6)."""


@asynccontextmanager
async def progress(
    server: LanguageServer, title: str, cancel: Callable[[], None]
) -> AsyncIterator[Callable[[str], None]]:
    """Shows progress while the body runs, once it has run for a moment; the body gets a function for its messages.

    `cancel` is called when the user presses the button. A client without work-done progress is shown nothing.
    """
    window = server.client_capabilities.window
    if not (window and window.work_done_progress):
        yield _unheard
        return
    token = f"uv-link-doctor/{uuid.uuid4()}"
    began = asyncio.Event()
    shown = asyncio.ensure_future(_begin(server, token, title, cancel, began))
    try:
        yield lambda message: _report(server, token, message) if began.is_set() else None
    finally:
        shown.cancel()
        if began.is_set():
            server.work_done_progress.end(token, lsp.WorkDoneProgressEnd())
        # pygls keeps a token for ever otherwise.
        server.work_done_progress.tokens.pop(token, None)


async def _begin(
    server: LanguageServer, token: str, title: str, cancel: Callable[[], None], began: asyncio.Event
) -> None:
    await asyncio.sleep(QUIET_SECONDS)
    created = asyncio.ensure_future(server.work_done_progress.create_async(token))
    try:
        # A run may end before the client has answered, and pygls reports an answer that nobody waits for as a fault.
        await asyncio.shield(created)
    except asyncio.CancelledError:
        created.add_done_callback(lambda answer: _forget(server, token, answer))
        raise
    loop = asyncio.get_running_loop()
    # pygls cancels this future on `window/workDoneProgress/cancel`; a notification's own task cannot be cancelled.
    server.work_done_progress.tokens[token].add_done_callback(lambda _: loop.call_soon_threadsafe(cancel))
    server.work_done_progress.begin(token, lsp.WorkDoneProgressBegin(title=title, cancellable=True))
    began.set()


def _forget(server: LanguageServer, token: str, answer: asyncio.Future[Any]) -> None:
    """Takes a late answer, good or bad, and lets go of the token that came with it."""
    if not answer.cancelled():
        answer.exception()
    server.work_done_progress.tokens.pop(token, None)


def _unheard(_: str) -> None:
    """Where nothing is shown, nobody hears a message."""


def _report(server: LanguageServer, token: str, message: str) -> None:
    server.work_done_progress.report(token, lsp.WorkDoneProgressReport(message=message))
