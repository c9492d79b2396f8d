"""What the doctor costs, held against what it is added to: `python3 tests/benchmark.py [initialize] [save] [install]
[check] [cache] [explain]`.

Every figure is a ratio of two things that run by turns on the same machine, as the median of all rounds. It is no
test: nothing passes or fails, and on a busy machine the rounds differ more than the goals allow.
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys

import run

if importlib.util.find_spec("uv_link_doctor") is None:
    sys.exit(run.make_environment() or subprocess.run([run.PYTHON, *sys.argv], check=False).returncode)

import argparse
import asyncio
import json
import math
import os
import platform
import re
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import Any, Self

import pytest
from kit import cache_work
from kit.large_cache import large_cache
from kit.logs import KINDS, log
from kit.mounts import loop_mounted
from kit.projects import UvProject, clean_environ, write_project
from kit.uv_versions import uv_binary

from uv_link_doctor import doctor
from uv_link_doctor.demo.wheels import build_wheel
from uv_link_doctor.engine import plan, transcript
from uv_link_doctor.engine.model import Transcript, Uv, Verdict
from uv_link_doctor.host import local_host
from uv_link_doctor.host.cache_scan import files_of, scan
from uv_link_doctor.host.cache_staging import flush
from uv_link_doctor.host.uv import find_uv
from uv_link_doctor.options import Options

PACKAGES, FILES_EACH, DIRECT = 140, 170, 10
"""A middling application: so many packages in its lock, files in a package, and requirements of its own."""
FILES_IN_A_DIRECTORY = 4
OTHER_TAGS = [f"cp3{minor}-cp3{minor}-linux_{machine}" for minor in range(11, 15) for machine in ("ppc64le", "s390x")]

OURS = [sys.executable, "-m", "uv_link_doctor", "server"]
EMPTY = [sys.executable, "-c", "from pygls.lsp.server import LanguageServer; LanguageServer('empty', '1').start_io()"]
JEDI = [sys.executable, "-c", "from jedi_language_server.cli import cli; cli()"]

MEGABYTES = 9216
"""Of a disk in memory, which takes no more of it than is written."""
INODES = ("-i", "4096")
"""Of ext4: 500 000 files and their copies are many for so small a disk."""

Rounds = Sequence[tuple[float, float]]
"""Of each round, the seconds of what is measured and of what it is held against."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A line of the table."""

    what: str
    goal: float | None
    """The ratio that is not to be exceeded; None for what is only of interest."""
    rounds: Rounds

    def __str__(self) -> str:
        ratios = [one / other for one, other in self.rounds]
        one, other = (median(side) * 1000 for side in zip(*self.rounds, strict=True))
        middle, least, most = median(ratios), min(ratios), max(ratios)
        goal = "" if self.goal is None else f"<= {self.goal:.2f}"
        noisy = "  noisy" if most - least > abs(middle) / 2 else ""
        times = f"{one:8.1f} / {other:6.1f} ms"
        return f"{self.what:62}{goal:>8}{middle:8.3f}  ({least:6.3f} .. {most:6.3f}){times}{noisy}"


def main() -> int:
    """Measures what is asked for, and prints a line for each goal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", metavar="WHAT", help=f"{', '.join(MEASUREMENTS)} (default: all)")
    parser.add_argument("--rounds", type=int, help="instead of each measurement's own number")
    options = parser.parse_args()
    if unknown := set(options.what) - MEASUREMENTS.keys():
        parser.error(f"there is no measurement {', '.join(sorted(unknown))}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # What is mounted is unmounted then, too.
    with working_folder() as folder:
        print(f"Python {platform.python_version()}, {os.cpu_count()} processors, in {folder}")
        print(f"\n{'':62}{'goal':>8}{'ratio':>8}  {'(min .. max)':18}{'medians':>16}")
        for name in options.what or MEASUREMENTS:
            measure, rounds = MEASUREMENTS[name]
            for comparison in measure(folder, options.rounds or rounds):
                print(comparison, flush=True)
    return 0


# --- initialize ---------------------------------------------------------------------------


def initialize(_: Path, rounds: int) -> Iterator[Comparison]:
    """From the start of a server's process to its answer to `initialize`."""
    servers = {"ours": OURS, "empty": EMPTY} | (
        {"jedi": JEDI} if importlib.util.find_spec("jedi_language_server") else {}
    )
    # Whoever starts this may forbid bytecode or ask for warnings.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    waited: dict[str, list[float]] = {name: [] for name in servers}
    spent: dict[str, list[float]] = {name: [] for name in servers}
    for turn in range(rounds + 1):
        for name, command in list(servers.items())[:: (-1) ** turn]:
            started = time.perf_counter()
            with Client(command, environ) as client:
                waited[name].append(time.perf_counter() - started)
                spent[name].append(client.seconds_of_cpu())

    def against_empty(seconds: Mapping[str, list[float]], name: str) -> Rounds:
        return list(zip(seconds[name], seconds["empty"], strict=True))[1:]  # The first round has written the bytecode.

    yield Comparison("initialize: time until the answer / an empty pygls server's", 1.05, against_empty(waited, "ours"))
    yield Comparison("  the same in CPU time", None, against_empty(spent, "ours"))
    if "jedi" in servers:
        yield Comparison("  jedi-language-server / an empty pygls server", None, against_empty(waited, "jedi"))


class Client:
    """A language server in a process of its own, initialized; all that is not the server does next to nothing."""

    def __init__(self, command: Sequence[str], environ: Mapping[str, str], **options: object) -> None:
        self.process = subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        capabilities = {
            "textDocument": {"synchronization": {"didSave": True}},
            "window": {"workDoneProgress": True},
            "workspace": {"applyEdit": True},
        }
        given = {"processId": os.getpid(), "rootUri": None, "capabilities": capabilities}
        self.request("initialize", given | {"initializationOptions": options})

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with self.process:
            self.process.kill()

    def request(self, method: str, params: object) -> None:
        """Asks, and waits for the answer."""
        self._send(id=1, method=method, params=params)
        self.wait_for(lambda message: message.get("id") == 1)

    def notify(self, method: str, params: object) -> None:
        self._send(method=method, params=params)

    def wait_for(self, wanted: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """The first message that is wanted."""
        while not wanted(message := self._receive()):
            pass
        return message

    def seconds_of_cpu(self) -> float:
        """Of all threads of the server, also of ended ones, without its child processes; known on Linux only."""
        # The clock that clock_getcpuclockid(3) makes of a process id (posix-timers_types.h).
        return time.clock_gettime(~self.process.pid << 3 | 2) if sys.platform == "linux" else math.nan

    def _send(self, **message: object) -> None:
        assert self.process.stdin
        body = json.dumps({"jsonrpc": "2.0", **message}).encode()
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        self.process.stdin.flush()

    def _receive(self) -> dict[str, Any]:
        assert self.process.stdout
        length = 0
        while line := self.process.stdout.readline().strip():
            name, _, value = line.partition(b": ")
            length = int(value) if name == b"Content-Length" else length
        if not length:
            raise EOFError(f"{self.process.args!r} has ended")
        message: dict[str, Any] = json.loads(self.process.stdout.read(length))
        return message


# --- a save -------------------------------------------------------------------------------


def save(folder: Path, rounds: int) -> Iterator[Comparison]:
    """From a save that matters until uv has said that there is nothing to install, in a server that is warm."""
    project, uv = installed_project(folder)
    uri = project.manifest.as_uri()
    text = project.manifest.read_text(encoding="utf-8")
    spent: list[tuple[float, float]] = []
    waited: list[tuple[float, float]] = []
    with Client(OURS, project.environ, uvPath=str(uv.path), trace="messages") as client:
        client.notify("initialized", {})
        opened = {"uri": uri, "languageId": "toml", "version": 0, "text": text}
        client.notify("textDocument/didOpen", {"textDocument": opened})
        for turn in range(rounds + 3):
            changed = text.replace("[project]", f'[project]\ndescription = "{turn}"')
            project.manifest.write_text(changed, encoding="utf-8")
            change = {"textDocument": {"uri": uri, "version": turn + 1}, "contentChanges": [{"text": changed}]}
            client.notify("textDocument/didChange", change)
            client.request("workspace/executeCommand", NOTHING)  # When it is answered, all before it is done.
            idle = client.seconds_of_cpu()
            client.request("workspace/executeCommand", NOTHING)
            began, started = client.seconds_of_cpu(), time.perf_counter()
            client.notify("textDocument/didSave", {"textDocument": {"uri": uri}})
            told = client.wait_for(lambda message: "exit code" in message.get("params", {}).get("message", ""))
            ended = time.perf_counter()
            uv_ran = float(told["params"]["message"].rpartition(", ")[2].removesuffix(" s"))
            client.request("workspace/executeCommand", NOTHING)
            cpu = (client.seconds_of_cpu() - began) - (began - idle)
            synced = seconds_of(sync(uv), project)
            spent.append((cpu, synced))
            waited.append((ended - started - uv_ran, synced))
    yield Comparison("save: time until its end, without uv's processes / `uv sync`", 0.25, waited[3:])
    yield Comparison("  the server's CPU time, with starting and reading them", None, spent[3:])


NOTHING = {"command": "uvLinkDoctor.explain", "arguments": [""]}


def sync(uv: Uv) -> tuple[str, ...]:
    """The command that a save runs."""
    return plan.sync_command(uv.path)


def seconds_of(command: Sequence[str], project: UvProject) -> float:
    """What a command takes that runs as the server runs it."""
    as_the_server = replace(project, environ=plan.sync_environ(project.environ, {}, python_downloads=False))
    started = time.perf_counter()
    said = as_the_server.run(*command)
    seconds = time.perf_counter() - started
    if said.returncode:
        sys.exit(said.stderr)
    return seconds


# --- an install ---------------------------------------------------------------------------


def install(folder: Path, rounds: int) -> Iterator[Comparison]:
    """An install of everything from a warm cache, and a look at each file of it."""
    project, uv = installed_project(folder)
    before, after = asyncio.run(_install(project, uv, rounds))
    yield Comparison("install: our part before the answer / uv's", 0.05, before)
    yield Comparison("install: the same with a look at every file / uv's", 0.25, after)


async def _install(project: UvProject, uv: Uv, rounds: int) -> tuple[Rounds, Rounds]:
    """Until the answer, and until all files are looked at: both without uv's seconds, held against its install's."""
    runs: list[Transcript] = []

    async def timed(*arguments: Any, **options: Any) -> Transcript:
        runs.append(await local_host().run(*arguments, **options))
        return runs[-1]

    host = replace(local_host(), environ=project.environ, state=project.root / "state", run=timed)
    options = Options(uv_path=str(uv.path))
    before: list[tuple[float, float]] = []
    after: list[tuple[float, float]] = []
    for _ in range(rounds + 1):
        shutil.rmtree(project.environment)
        runs.clear()
        started = time.perf_counter()
        examination = await doctor.examine(project.root, host, options, agreed=False)
        answered = time.perf_counter()
        looked = await doctor.look_at_files(examination, host, options)
        ended = time.perf_counter()
        assert looked is not examination
        assert looked.verdict is Verdict.HEALTHY
        of_uv = sum(said.seconds for said in runs)
        before.append((answered - started - of_uv, runs[-1].seconds))
        after.append((ended - started - of_uv, runs[-1].seconds))
    return before[1:], after[1:]


# --- a check ------------------------------------------------------------------------------


def check(folder: Path, rounds: int) -> Iterator[Comparison]:
    """A look at a project with many packages, all of them in a large cache; and what a hover over it takes."""
    project, uv = installed_project(folder / "large", packages=500, files=200)
    host = replace(local_host(), environ=project.environ, state=project.root / "state")
    options = Options(uv_path=str(uv.path))
    counted: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    for _ in range(rounds + 1):
        for passive, times in counted.items():
            started = time.perf_counter()
            examination = asyncio.run(doctor.check(project.root, host, options, passive=passive))
            times.append((time.perf_counter() - started, seconds_of(sync(uv), project)))
            assert examination.verdict is Verdict.HEALTHY, examination.findings
    yield Comparison("check: 500 packages, 100 000 files / a sync that does nothing", 2, counted[False][1:])
    yield Comparison("  the same passively, as on opening a file", None, counted[True][1:])


# --- a cache ------------------------------------------------------------------------------


def cache(folder: Path, rounds: int) -> Iterator[Comparison | Peak]:
    """Looking through a large cache, repairing all of it, and moving it; each against what coreutils and findutils do.

    The files have second names, as in a cache that is in use. `UV_LINK_DOCTOR_FILES` is how many there are; from
    200 000 on they are small ones, so that all fits into the memory of a usual machine.
    """
    files = int(os.environ.get("UV_LINK_DOCTOR_FILES", "40000"))
    place = large_cache(folder / "large cache", files, size=None if files < 200_000 else 2000)
    give_second_names(place, folder / "names")
    assert scan(place, complete=True).troubled == ()
    flush(str(place))  # Else the disk is still being written to while we look.
    find = ["find", str(place), "-type", "f", "-links", "+1"]
    looks: dict[bool, list[tuple[float, float]]] = {False: [], True: []}
    for _ in range(rounds + 1):
        for complete, times in looks.items():
            looked = took(scan, place, complete=complete)
            times.append((looked, took(subprocess.run, find, check=True, stdout=subprocess.DEVNULL)))
    yield Comparison(f"cache: which of {files} files' wheels are linked / find -links +1", 0.05, looks[False][1:])
    yield Comparison("cache: a complete scan / find -links +1", 1.0, looks[True][1:])
    yield Peak("cache: memory of a complete scan and its further processes", [at_work("scan", place)])

    memory = Path("/dev/shm") if Path("/dev/shm").is_dir() else None
    repairs, moves, carries = [], [], []
    for number in range(max(rounds // 3, 1)):
        with tempfile.TemporaryDirectory(dir=memory) as elsewhere:  # Before the repair takes the second names away.
            copied = seconds_of_a_copy(place, Path(elsewhere))
            carries.append((at_work("carry", place, Path(elsewhere, "uv")), copied))
        copied = seconds_of_a_copy(place, folder)
        repairs.append((at_work("repair", place), copied))
        there = folder / f"moved {number}"
        moves.append((at_work("move", place, there), copied))
        place = there
    yield from against_copies("a repair of all its files", 1.6, repairs)
    yield from against_copies("a move within the file system", 0.02, moves)
    yield from against_copies("a move into memory", 0.9, carries)

    repairs, carries = [], []
    with (
        suppress(pytest.skip.Exception),
        tempfile.TemporaryDirectory(dir=memory) as elsewhere,
        loop_mounted(Path(elsewhere, "disk"), "xfs", megabytes=MEGABYTES) as disk,
    ):
        for number in range(max(rounds // 3, 1)):
            there = disk / f"moved {number}"
            copied = seconds_of_a_copy(place, disk)
            carries.append((at_work("carry", place, there), copied))
            give_second_names(there, disk / "names")
            copied = seconds_of_a_copy(there, disk)
            repairs.append((at_work("repair", there), copied))
            shutil.rmtree(there)
            shutil.rmtree(disk / "names")
    if repairs:
        yield from against_copies("a move to another disk, an xfs", 0.9, carries)
        yield from against_copies("a repair of all its files there, which share blocks", 1.2, repairs)


@dataclass(frozen=True, slots=True)
class Work:
    """What a work cost, as `kit.cache_work` says it."""

    seconds: float
    verifying: float
    """Seconds of these."""
    megabytes: float


def at_work(work: str, *paths: Path) -> Work:
    """Does one of the works of `kit.cache_work` in a process of its own."""
    command = [sys.executable, cache_work.__file__, work, *map(str, paths)]
    return Work(*json.loads(subprocess.run(command, check=True, capture_output=True).stdout))


def against_copies(what: str, goal: float, rounds: Sequence[tuple[Work, float]]) -> Iterator[Comparison | Peak]:
    """The lines for what was held against `cp -a` of the same cache."""
    verified = any(work.verifying for work, _ in rounds)
    told = f"cache: {what}{' / cp -a' if len(what) < 50 else ''}"
    yield Comparison(told, goal, [(work.seconds - work.verifying, copied) for work, copied in rounds])
    if verified:
        yield Comparison("  its verification, which is not in this", None, [(it.verifying, cp) for it, cp in rounds])
    yield Peak("  its memory", [work for work, _ in rounds])


@dataclass(frozen=True, slots=True)
class Peak:
    """A line of the table about memory, with the same goal for all."""

    what: str
    works: Sequence[Work]

    def __str__(self) -> str:
        return f"{self.what:62}{'<= 200':>8}{max(work.megabytes for work in self.works):8.0f}  MB"


def give_second_names(place: Path, names: Path) -> None:
    """Links every module of a cache to a name in a new directory."""
    names.mkdir()
    modules = (file.path for entry in place.glob("archive-v0/*") for file in files_of(str(entry)))
    for number, module in enumerate(path for path in modules if path.endswith(".py")):
        os.link(module, f"{names}/{number}")


def seconds_of_a_copy(place: Path, folder: Path) -> float:
    """What `cp -a` takes; nothing of it stays."""
    copy = folder / "copy"
    seconds = took(subprocess.run, ["cp", "-a", str(place), str(copy)], check=True)
    shutil.rmtree(copy)
    return seconds


def took(work: Callable[..., object], *arguments: object, **options: object) -> float:
    """The seconds that a call takes."""
    started = time.perf_counter()
    work(*arguments, **options)
    return time.perf_counter() - started


# --- explain ------------------------------------------------------------------------------

WORDS = re.compile(
    r"error:|warning:|\u00d7|[Cc]aused? ?(?:by)?:|[Ff]ailed to \w+|\(os error \d+\)|falling back to|─▶|DEBUG|WARN|=="
)


def explain(_: Path, rounds: int) -> Iterator[Comparison]:
    """Reading a log of 8 MB, against one search for any of uv's words in it."""
    for kind in KINDS:
        text = "".join(log(kind, 8_000_000))
        counted = []
        for _round in range(rounds):
            started = time.perf_counter()
            transcript.read(text)
            read = time.perf_counter()
            found = [it[0] for it in WORDS.finditer(text)]
            counted.append((read - started, time.perf_counter() - read))
            assert found
        yield Comparison(f"explain: a log of the kind `{kind}` / one search in it", 1 / 0.3, counted)


# --- the project --------------------------------------------------------------------------


def installed_project(folder: Path, *, packages: int = PACKAGES, files: int = FILES_EACH) -> tuple[UvProject, Uv]:
    """The project that is saved and installed, with its packages in uv's cache and in its environment."""
    index = folder / "index"
    if not index.exists():
        build_packages(index, packages, files)
    environ = clean_environ(folder / "home", cache=folder / "cache", index=index)
    project = write_project(folder / "project", *map(name, range(DIRECT)), environ=environ)
    uv = asyncio.run(find_uv(str(uv_binary("newest")), environ, ask=True))
    assert uv
    seconds_of(sync(uv), project)
    return project, uv


def build_packages(index: Path, packages: int, files: int) -> None:
    """Wheels of our own, each of which brings in up to four others, all of them reached from the first few.

    Their pages list as many for other platforms as a real package has, of which only the lock keeps a record: without
    these, uv would have a fifth to read.
    """
    modules = {
        f"part{number // FILES_IN_A_DIRECTORY}/module{number}.py": f"number = {number}\n" for number in range(files)
    }
    for number in range(packages):
        children = {DIRECT + 3 * number, DIRECT + 3 * number + 1, DIRECT + 3 * number + 2, number + 17}
        wheel = build_wheel(
            index,
            name(number),
            "1.0",
            modules={f"{name(number)}/{path}": text for path, text in modules.items()},
            requires=[name(child) for child in sorted(children) if child < packages],
        )
        others = [index / wheel.name.replace("py3-none-any", tag) for tag in OTHER_TAGS]
        for other in others:
            other.hardlink_to(wheel)  # uv may read any of them when it resolves.
        digest = sha256(wheel.read_bytes()).hexdigest()
        links = [f'<a href="../../{it.name}#sha256={digest}">{it.name}</a>\n' for it in (wheel, *others)]
        page = index / "simple" / name(number) / "index.html"
        page.parent.mkdir(parents=True)
        page.write_text("<!DOCTYPE html>\n" + "".join(links), encoding="utf-8")


def name(number: int) -> str:
    return f"package{number}"


@contextmanager
def working_folder() -> Iterator[Path]:
    """On an ext4 of its own where this user may mount one, else in memory, else where temporary files go."""
    memory = Path("/dev/shm")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None)))
        if sys.platform == "linux":
            with suppress(pytest.skip.Exception):
                folder = stack.enter_context(loop_mounted(folder / "disk", "ext4", megabytes=MEGABYTES, mkfs=INODES))
        yield folder


MEASUREMENTS: dict[str, tuple[Callable[[Path, int], Iterator[Comparison | Peak]], int]] = {
    "initialize": (initialize, 15),
    "save": (save, 40),
    "install": (install, 12),
    "check": (check, 12),
    "cache": (cache, 7),
    "explain": (explain, 7),
}
"""What is measured, and how many rounds are counted."""

if __name__ == "__main__":
    sys.exit(main())
