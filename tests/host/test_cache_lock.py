"""uv's lock on its cache: what uv does while we hold it, and what we do while uv does."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from kit.projects import UvProject

from uv_link_doctor.host.cache_lock import CacheBusyError, cache_lock


def cache(example: UvProject) -> Path:
    return Path(example.environ["UV_CACHE_DIR"])


@contextmanager
def started(example: UvProject, *command: str | Path) -> Iterator[subprocess.Popen[str]]:
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=example.root, env=example.environ, stdin=pipe, stdout=pipe, stderr=pipe, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("command", ["prune", "clean"])
def test_while_we_share_the_lock_installs_go_on_and_nothing_is_removed(project, uv_binary, command):
    example = project("httpx")
    uv = uv_binary("newest")
    with cache_lock(cache(example), exclusive=False, seconds=0):
        assert example.run(uv, "sync").returncode == 0
        with started(example, uv, "cache", command) as waiting:
            assert waiting.stderr
            assert "in-use" in waiting.stderr.readline()
            assert list(cache(example).glob("archive-v0/*"))
            with cache_lock(cache(example), exclusive=False, seconds=0):
                pass  # Who waits for all of it keeps nobody from sharing.
    assert example.run(uv, "cache", command).returncode == 0


def test_while_it_is_ours_alone_installs_wait(project, uv_binary):
    example = project("httpx")
    example.environ["UV_LOCK_TIMEOUT"] = "1"
    uv = uv_binary("newest")
    with cache_lock(cache(example), exclusive=True, seconds=0):
        waited = example.run(uv, "sync")
        assert waited.returncode == 2
        assert "lock" in waited.stderr
    assert example.run(uv, "sync").returncode == 0


def test_while_uv_holds_it_we_share_it_or_wait_no_longer_than_we_were_told(project, uv_binary):
    example = project("httpx")
    uv = uv_binary("newest")
    assert example.run(uv, "sync").returncode == 0
    with started(example, uv, "run", "python", "-c", "print('runs', flush=True); input()") as running:
        assert running.stdout
        assert running.stdout.readline() == "runs\n"
        with cache_lock(cache(example), exclusive=False, seconds=0):
            pass
        waits: list[str] = []
        busy = cache_lock(cache(example), exclusive=True, seconds=0.2, on_wait=lambda: waits.append("waits"))
        with pytest.raises(CacheBusyError), busy:
            pass
        assert waits == ["waits"]

        def end() -> None:
            assert running.stdin
            running.stdin.close()

        with cache_lock(cache(example), exclusive=True, seconds=30, on_wait=end):
            pass


def test_a_wait_can_be_stopped(tmp_path):
    with cache_lock(tmp_path, exclusive=False, seconds=0):
        busy = cache_lock(tmp_path, exclusive=True, seconds=600, stop=lambda: True)
        with pytest.raises(CacheBusyError), busy:
            pass


def test_a_lock_that_was_removed_while_we_waited_counts_for_nothing(tmp_path):
    """`uv cache prune` of 0.4.18 removes the file."""
    lock = tmp_path / ".lock"
    with cache_lock(tmp_path, exclusive=True, seconds=0) as _:
        lock.unlink()
        with (
            cache_lock(tmp_path, exclusive=True, seconds=0),
            pytest.raises(CacheBusyError),
            cache_lock(tmp_path, exclusive=True, seconds=0),
        ):
            pass


def test_others_may_use_a_lock_that_we_made(tmp_path):
    before = os.umask(0o077)
    try:
        with cache_lock(tmp_path, exclusive=False, seconds=0):
            assert (tmp_path / ".lock").stat().st_mode & 0o777 == 0o666
    finally:
        os.umask(before)


def test_a_cache_that_we_may_only_read_is_locked_where_it_has_the_file(tmp_path, bind_mount):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / ".lock").touch()
    with cache_lock(bind_mount(tmp_path / "cache", read_only=True), exclusive=False, seconds=0):
        pass
    (tmp_path / "cache" / ".lock").unlink()
    with pytest.raises(OSError, match="Read-only"), cache_lock(tmp_path / "bind0", exclusive=False, seconds=0):
        pass
