"""Blocking work in a thread, which whoever began it never leaves behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    """What the work returns, or raises; a task that is cancelled meanwhile ends only when the work has.

    A thread cannot be ended from outside: a lock that is held around `asyncio.to_thread` is let go with the cancel,
    while the thread goes on writing.
    """
    return await in_stoppable_thread(None, work, *args, **kwargs)


async def in_stoppable_thread(
    stop: asyncio.Event | None, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs
) -> T:
    """The same for work that looks at `stop`, which a cancel sets, so that it ends early."""
    running = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        if stop is not None:
            stop.set()
        while not running.done():
            with suppress(asyncio.CancelledError):  # It is known by now.
                await asyncio.wait([running])
        if not running.cancelled():
            running.exception()  # Whoever has cancelled it does not want to know.
        raise
