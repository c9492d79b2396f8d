"""What a repair or a move of a cache leaves when killed at random: `python3 tests/kill.py repair|move [TIMES]`.

Each time a process that repairs every file, or moves the cache to another file system, is killed (SIGKILL) at a moment
between its first step and the time that the whole takes. Then every file must have its hash, none may be there that uv
did not put there, uv must install from the cache by its old path, and a second call must end the work; a move is taken
back then. It stops at the first time that this is not so.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import run

if importlib.util.find_spec("uv_link_doctor") is None:
    sys.exit(run.make_environment() or subprocess.run([run.PYTHON, *sys.argv], check=False).returncode)

import argparse
import base64
import csv
import hashlib
import os
import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from select import select

from kit.cache_work import everything
from kit.projects import UvProject, clean_environ, write_project
from kit.uv_versions import uv_binary

from uv_link_doctor.demo.wheels import build_index, build_wheel
from uv_link_doctor.host.cache_move import move, undo_move
from uv_link_doctor.host.cache_repair import repair

FILES = 300
REPAIR = """
import sys
from pathlib import Path
from kit.cache_work import everything
from uv_link_doctor.host import cache_repair
cache_repair._FILES_AT_MOST = 40
cache = Path(sys.argv[1])
cache_repair.repair(cache, everything(cache), on_step=lambda step: print(step.did, flush=True))
"""
MOVE = """
import sys
from pathlib import Path
from uv_link_doctor.host.cache_move import move
move(Path(sys.argv[1]), Path(sys.argv[2]), remove_old=True, on_step=lambda step: print(step.phase, flush=True))
"""


def main() -> int:
    """Exit code 1: something was wrong after a kill, and the folder with it is kept."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("what", choices=["repair", "move"])
    parser.add_argument("times", type=int, nargs="?", default=300)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="uv-link-doctor-kill-"))
    example = filled(folder)
    cache = Path(example.environ["UV_CACHE_DIR"])
    names = set(files(cache))
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as memory:
        return kill(options, example, names, folder, Path(memory, "uv"))


def kill(options: argparse.Namespace, example: UvProject, names: set[str], folder: Path, elsewhere: Path) -> int:
    """Kills, looks and ends the work, as often as asked for."""
    cache = Path(example.environ["UV_CACHE_DIR"])
    script, places = {"repair": (REPAIR, (cache,)), "move": (MOVE, (cache, elsewhere))}[options.what]
    whole = 60.0
    for _ in range(3):
        whole = min(whole, killed(script, *places, after=None)[2])
        if options.what == "move":
            undo_move(move(cache, elsewhere, remove_old=True))
    print(f"{len(names)} files, a {options.what} takes {whole:.3f} s, seed {options.seed}")
    chance = random.Random(options.seed)  # noqa: S311  (it need only be the same with the same seed)
    reached: Counter[str] = Counter()
    left = 0
    for number in range(options.times):
        last, alive, _ = killed(script, *places, after=chance.uniform(0, whole))
        reached[last if alive else "ended before"] += 1
        left += any(it for place in (cache, cache.parent, elsewhere.parent) for it in place.glob(".uv-link-doctor-*"))
        if wrong := what_is_wrong(
            example, cache, names, folder / "target", elsewhere if options.what == "move" else None
        ):
            print(f"kill {number + 1}, after `{last}`: {wrong}; see {folder}")
            return 1
    print(f"killed {options.times} times, nothing wrong; copies were left {left} times; the last step was:")
    for step, times in reached.most_common():
        print(f"  {step:12} {times:4}")
    shutil.rmtree(folder)
    return 0


def filled(folder: Path) -> UvProject:
    """A project whose cache has a package of many files."""
    index = build_index(folder / "index").parent
    modules = {f"large/m{number // 8}/f{number}.py": f"N = {number}\n" * number for number in range(FILES)}
    wheel = build_wheel(index, "large", "1", modules=modules)
    (index / "simple" / "large").mkdir()
    (index / "simple" / "large" / "index.html").write_text(
        f'<!DOCTYPE html>\n<a href="../../{wheel.name}">{wheel.name}</a>\n'
    )
    environ = clean_environ(folder / "home", cache=folder / "cache", index=index)
    example = write_project(folder / "project", "httpx", "large", environ=environ)
    assert example.run(uv_binary("newest"), "sync", "--link-mode", "hardlink").returncode == 0
    return example


def killed(script: str, *places: Path, after: float | None) -> tuple[str, bool, float]:
    """The last step that the script told, whether it was still alive, and the seconds since its first step."""
    environ = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
    command = [sys.executable, "-c", script, *map(str, places)]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE) as process:
        assert process.stdout
        first = process.stdout.readline()
        since = time.perf_counter()
        handle = os.pidfd_open(process.pid)
        try:
            alive = not select([handle], [], [], after)[0]
            seconds = time.perf_counter() - since
        finally:
            os.close(handle)
        process.kill()
        steps = (first + process.stdout.read()).decode().split()
    return steps[-1], alive, seconds


def what_is_wrong(example: UvProject, cache: Path, names: set[str], target: Path, elsewhere: Path | None) -> str:
    """The first thing that is, empty where nothing is; afterwards the cache is repaired, or where it was."""
    shutil.rmtree(target, ignore_errors=True)
    for moment in ("after the kill", "after the second call"):
        if moment == "after the second call" and (said := ended(cache, elsewhere)):
            return said
        if strange := names.symmetric_difference(files(cache)):
            return f"{moment}, missing or too many: {sorted(strange)}"
        if changed := [name for entry in cache.glob("archive-v0/*") for name in altered(entry)]:
            return f"{moment}, altered: {changed}"
    uv = uv_binary("newest")
    installed = example.run(
        uv, "pip", "install", "--offline", "--link-mode=hardlink", "--target", target, "httpx", "large"
    )
    if installed.returncode or altered(target):
        return f"uv: {installed.stderr} {altered(target)}"
    return ""


def ended(cache: Path, elsewhere: Path | None) -> str:
    """Ends the work by a second call, and takes a move back; what is wrong with that."""
    if elsewhere is None:
        done = repair(cache, everything(cache))
        wrong = done.obstacle or done.left or done.damaged or any(cache.glob(".uv-link-doctor-*"))
        return f"the second repair: {done}" if wrong else ""
    moved = move(cache, elsewhere, remove_old=True)
    if not elsewhere.is_dir() or not cache.is_symlink():
        return f"the second move: {moved}"
    undo_move(moved)
    left = [it.name for place in (cache.parent, elsewhere.parent) for it in place.glob(".uv-link-doctor-*")]
    return "" if cache.is_dir() and not cache.is_symlink() and not elsewhere.exists() and not left else f"left: {left}"


def files(cache: Path) -> Iterator[str]:
    """Of the archive."""
    return (str(path.relative_to(cache)) for path in cache.glob("archive-v0/**/*") if path.is_file())


def altered(site: Path) -> list[str]:
    """The files below that are missing or have another hash than a RECORD there says."""
    wrong = []
    for recorded in site.glob("*.dist-info/RECORD"):
        for name, promise, _ in csv.reader(recorded.read_text().splitlines()):
            digest = b""
            with suppress(OSError):
                digest = hashlib.sha256((site / name).read_bytes()).digest()
            if promise not in ("", f"sha256={base64.urlsafe_b64encode(digest).decode().rstrip('=')}"):
                wrong.append(name)
    return wrong


if __name__ == "__main__":
    sys.exit(main())
