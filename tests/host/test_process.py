"""One command's life: its lines as they come, its end by itself, by our word, and with all its children."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest
from kit.fake_uv import Answer, FakeUv, Step

from uv_link_doctor.engine.model import DoctorError, Transcript
from uv_link_doctor.host.process import run


def start(fake: FakeUv, cwd: Path, **more: Any) -> asyncio.Task[Transcript]:
    environ = {"PATH": os.environ["PATH"]}
    return asyncio.ensure_future(run([str(fake.path), "sync"], cwd=cwd, environ=environ, **more))


async def held(fake: FakeUv):
    return await asyncio.to_thread(fake.held)


async def test_lines_come_while_it_runs_whatever_the_pieces_they_are_printed_in(fake_uv, tmp_path):
    steps: list[Step] = [
        ("stderr", "Resol"),
        ("stderr", "ved\nPrep"),
        ("hold", ""),
        ("stderr", "ared\r\nlast"),
        ("stdout", "{}"),
    ]
    fake = fake_uv(Answer(steps=steps, exit_code=3))
    lines: list[str] = []
    first = asyncio.Event()

    def on_line(line: str) -> None:
        lines.append(line)
        first.set()

    task = start(fake, tmp_path, on_line=on_line)
    at_hold = await held(fake)
    await first.wait()
    assert lines == ["Resolved"]
    at_hold.release()
    said = await task
    assert lines == ["Resolved", "Prepared", "last"]
    assert (said.exit_code, said.stdout, said.stderr) == (3, "{}", "Resolved\nPrepared\r\nlast")
    assert said.command == (str(fake.path), "sync")
    assert said.seconds > 0


async def test_stdin_is_closed_and_the_group_is_its_own(fake_uv, tmp_path):
    fake = fake_uv(Answer())
    await start(fake, tmp_path)
    (invocation,) = fake.invocations()
    assert invocation.stdin_is_null
    assert invocation.group == invocation.process != os.getpgid(0)


async def test_what_is_no_utf8_is_shown_all_the_same(fake_uv, tmp_path):
    said = await start(fake_uv(Answer(steps=[("stderr", "caf\udce9 é\n")])), tmp_path)
    assert said.stderr == "caf\ufffd é\n"


async def test_stop_ends_it_the_gentle_way_and_keeps_what_it_said(fake_uv, tmp_path):
    fake = fake_uv(Answer(steps=[("stderr", "half\n"), ("hold", "")]))
    stop = asyncio.Event()
    task = start(fake, tmp_path, stop=stop)
    process = await held(fake)
    stop.set()
    said = await task
    assert (said.exit_code, said.stderr) == (-signal.SIGINT, "half\n")
    assert process.gone()


async def test_a_deaf_uv_and_its_deaf_child_are_killed(fake_uv, tmp_path):
    steps: list[Step] = [("ignore", "SIGINT"), ("ignore", "SIGTERM"), ("child", ""), ("hold", "")]
    fake = fake_uv(Answer(steps=steps))
    stop = asyncio.Event()
    task = start(fake, tmp_path, stop=stop)
    child, parent = await held(fake), await held(fake)
    stop.set()
    assert (await task).exit_code == -signal.SIGKILL
    assert fake.signals()[:1] == ["SIGINT"]
    assert "SIGTERM" in fake.signals()
    assert child.gone()
    assert parent.gone()


async def test_a_cancelled_task_leaves_no_process(fake_uv, tmp_path):
    fake = fake_uv(Answer(steps=[("child", ""), ("hold", "")]))
    task = start(fake, tmp_path)
    child, parent = await held(fake), await held(fake)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert child.gone()
    assert parent.gone()


async def test_a_child_that_stays_with_the_pipes_does_not_hold_up_the_end(fake_uv, tmp_path):
    fake = fake_uv(Answer(steps=[("child", ""), ("stderr", "done\n")]))
    task = start(fake, tmp_path)
    child = await held(fake)
    said = await task
    assert (said.exit_code, said.stderr) == (0, "done\n")
    child.release()
    assert child.gone()


async def test_a_deleted_directory_and_a_missing_command_are_said_in_a_sentence(tmp_path):
    with pytest.raises(DoctorError, match="no longer exists"):
        await run([sys.executable], cwd=tmp_path / "gone", environ={})
    with pytest.raises(DoctorError, match="could not be started: No such file"):
        await run([str(tmp_path / "no-uv")], cwd=tmp_path, environ={})
