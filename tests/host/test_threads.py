"""A thread whose task is cancelled is told to stop, and is waited for all the same."""

import asyncio
import threading

import pytest

from uv_link_doctor.host.threads import in_stoppable_thread, in_thread


async def test_what_the_work_returns_or_raises_comes_through():
    assert await in_thread(divmod, 7, 2) == (3, 1)
    with pytest.raises(ZeroDivisionError):
        await in_thread(divmod, 7, 0)


@pytest.mark.parametrize("fails", [False, True])
async def test_a_cancelled_task_ends_when_its_work_has(fails):
    begun, may_end, stop = threading.Event(), threading.Event(), asyncio.Event()
    ended = []

    def work() -> None:
        begun.set()
        may_end.wait(10)
        ended.append(stop.is_set())
        if fails:
            raise OSError

    task = asyncio.ensure_future(in_stoppable_thread(stop, work))
    await asyncio.to_thread(begun.wait)
    for _ in range(2):  # A request's cancel, then the server's end.
        task.cancel()
        await asyncio.wait([task], timeout=0)
    assert (task.done(), stop.is_set()) == (False, True)
    may_end.set()
    await asyncio.wait([task])
    assert (task.cancelled(), ended) == (True, [True])
