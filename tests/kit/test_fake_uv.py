"""The fake uv does as it is told, so that a test on it proves something about its reader and not about the fake."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

from kit.fake_uv import Answer, FakeUv, MakeFakeUv


def start(fake: FakeUv, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [fake.path, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def test_answers_by_arguments(fake_uv: MakeFakeUv) -> None:
    fake = fake_uv(
        Answer(["sync", "--dry-run"], [("stdout", "{}\n")]),
        Answer(["sync"], [("stderr", "error: kaputt \udcff\n")], exit_code=2),
        version="0.4.18",
    )
    said = []
    for arguments in (["--version"], ["sync", "-q", "--dry-run"], ["sync"], ["lock"]):
        process = start(fake, *arguments)
        said.append((*process.communicate(), process.returncode))

    assert said == [
        (b"uv 0.4.18\n", b"", 0),
        (b"{}\n", b"", 0),
        (b"", b"error: kaputt \xff\n", 2),
        (b"", b"", 0),
    ]


def test_notes_how_it_was_started(fake_uv: MakeFakeUv, tmp_path: Path) -> None:
    fake = fake_uv()
    assert fake.invocations() == []

    subprocess.run([fake.path, "sync", "--inexact"], cwd=tmp_path, env={"A": "ä"}, stdin=subprocess.PIPE, check=True)
    subprocess.run([fake.path, "lock"], stdin=subprocess.DEVNULL, check=True)

    [sync] = fake.invocations("--inexact")
    assert (sync.arguments, sync.directory, sync.environ["A"]) == (["sync", "--inexact"], str(tmp_path), "ä")
    assert (sync.group, sync.stdin_is_null) == (os.getpgrp(), False)
    assert [it.stdin_is_null for it in fake.invocations()] == [False, True]


def test_holds_until_released(fake_uv: MakeFakeUv) -> None:
    fake = fake_uv(Answer(steps=[("stdout", "one\n"), ("hold", ""), ("stdout", "two\n")]))
    with start(fake, "sync") as process:
        assert process.stdout
        assert process.stdout.readline() == b"one\n"
        held = fake.held()
        assert process.poll() is None

        held.release()
        assert process.stdout.readline() == b"two\n"
        assert held.gone()


def test_ignores_signals_and_notes_them(fake_uv: MakeFakeUv) -> None:
    fake = fake_uv(Answer(steps=[("ignore", "SIGINT"), ("hold", "")]))
    with start(fake, "sync") as process:
        held = fake.held()
        process.send_signal(signal.SIGINT)
        held.release()
        assert process.wait() == 0
    assert fake.signals() == ["SIGINT"]


def test_dies_of_signals_without_a_word(fake_uv: MakeFakeUv) -> None:
    fake = fake_uv(Answer(steps=[("hold", "")]))
    for number in (signal.SIGINT, signal.SIGTERM):
        process = start(fake, "sync")
        held = fake.held()
        process.send_signal(number)
        assert process.communicate() == (b"", b"")
        assert process.returncode == -number
        assert held.gone()


def test_leaves_a_child_that_only_the_whole_group_loses(fake_uv: MakeFakeUv) -> None:
    fake = fake_uv(Answer(steps=[("ignore", "SIGTERM"), ("child", "")]))
    with start(fake, "sync") as process:
        child = fake.held()
        assert process.wait() == 0
        assert not child.gone(timeout=0)

        os.killpg(process.pid, signal.SIGKILL)
        assert child.gone()


def test_closing_it_ends_all_that_wait(fake_uv: MakeFakeUv) -> None:
    fake = fake_uv(Answer(steps=[("child", ""), ("hold", "")]))
    with start(fake, "sync") as process:
        _child, _main = fake.held(), fake.held()
        fake.close()
        assert process.communicate() == (b"", b"")
