"""What many versions of uv really say when they fail: each is driven into real trouble and its own output read.

`uv pip install` is driven, which every version has. Trouble is made with permissions, attributes and file systems of
the kernel, never with a fake; what is read is what a terminal of 80 columns, a pipe and `-v` show.
`pytest --update-golden` keeps these outputs, with neutral paths, in `data/transcripts/matrix.jsonl`, from where they
are read again without a uv.
"""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest
from kit.need import need
from kit.privileges import WITHOUT_PRIVILEGES
from kit.projects import clean_environ

from uv_link_doctor.engine.model import Cause, Failure, Operation, Outcome, Platform
from uv_link_doctor.engine.transcript import read

VERSIONS = (
    "0.1.45",
    "0.2.37",
    "0.3.5",
    "0.4.18",
    "0.5.31",
    "0.6.17",
    "0.7.22",
    "0.8.24",
    "0.9.30",
    "0.11.33",
    "newest",
)
SITE_PACKAGES = "lib/python3.*/site-packages"


@dataclass(frozen=True, slots=True)
class Machine:
    """A uv with a cache that is filled already, and the environment it is to install into."""

    uv: Path
    cache: Path
    environment: Path
    index: Path
    environ: dict[str, str]

    def command(self, *arguments: str) -> list[str]:
        index = ["--no-index", "--find-links", str(self.index), "--cache-dir", str(self.cache)]
        return [*WITHOUT_PRIVILEGES, str(self.uv), "pip", "install", *index, *arguments, "certifi"]

    def made_for(self, environment: Path) -> dict[str, str]:
        return {**self.environ, "VIRTUAL_ENV": str(environment)}

    def site_packages(self) -> Path:
        return next(self.environment.glob(SITE_PACKAGES))

    def cached(self, name: str) -> Path:
        """A file of certifi in the cache."""
        return next(self.cache.glob(f"archive-v*/*/certifi/{name}"))


@dataclass(frozen=True, slots=True)
class Said:
    """What is to be read out of an output."""

    outcome: Outcome
    operation: Operation | None
    os_error: int | None
    cause: Cause


@pytest.fixture
def machine(version, uv_binary, index, tmp_path) -> Callable[..., Machine]:
    """`machine(cache=…, environment=…)`: certifi was installed once, so that it is in the cache."""

    def make(
        *, cache: Path = tmp_path / "cache", environment: Path = tmp_path / ".venv", first: Path = tmp_path / "first"
    ) -> Machine:
        environ = clean_environ(tmp_path / "home", cache=cache, index=index)
        python = environ.pop("UV_PYTHON")  # It would win over VIRTUAL_ENV, and be installed into.
        made = Machine(uv_binary(version), cache, environment, index, environ)
        for place in (first, environment):
            subprocess.run(
                [made.uv, "venv", "-q", "--python", python, place], env=environ, check=True, capture_output=True
            )
        subprocess.run(made.command("--link-mode=hardlink"), env=made.made_for(first), check=True, capture_output=True)
        return made

    return make


@pytest.fixture(params=VERSIONS)
def version(request) -> str:
    return request.param


@pytest.fixture(params=["pipe", "-v", "terminal"])
def shown(request) -> Callable[[Machine, str], str]:
    """Runs the install and gives what is seen of it."""

    def run(machine: Machine, link_mode: str) -> str:
        more = ["-v"] if request.param == "-v" else []
        command, environ = machine.command(f"--link-mode={link_mode}", *more), machine.made_for(machine.environment)
        if request.param == "terminal":
            return in_terminal(command, environ)
        return subprocess.run(command, env=environ, check=False, capture_output=True, text=True).stderr

    return run


def in_terminal(command: list[str], environ: dict[str, str]) -> str:
    """All that the command prints into a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    os.set_blocking(ours, True)
    subprocess.run(["stty", "columns", "80"], stdin=theirs, check=True)
    process = subprocess.Popen(
        command, env={**environ, "TERM": "xterm"}, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    )
    os.close(theirs)
    read_so_far = bytearray()
    try:
        while chunk := os.read(ours, 65536):
            read_so_far += chunk
    except OSError:  # As Linux says that nobody is at the other end any more.
        pass
    os.close(ours)
    process.wait()
    return read_so_far.decode()


def last_linked(machine: Machine) -> Path:
    """The cached file that a walk through the wheel meets last, so that others are linked before it."""
    wheel = machine.cached("core.py").parent.parent
    return [Path(place, name) for place, _, names in os.walk(wheel) for name in names][-1]


@contextmanager
def read_only_target(machine: Machine) -> Iterator[str]:
    """Nobody may write into site-packages."""
    machine.site_packages().chmod(0o555)
    yield "hardlink"
    machine.site_packages().chmod(0o755)


@contextmanager
def unreadable_cache_file(machine: Machine) -> Iterator[str]:
    """One cached file is somebody else's alone."""
    need(WITHOUT_PRIVILEGES or os.geteuid() != 0, "root reads everything, and there is no setpriv")
    machine.cached("core.py").chmod(0)
    yield "copy"


@contextmanager
def immutable_cache_file(machine: Machine) -> Iterator[str]:
    """A file that has the immutable attribute gets no further name, whoever owns it."""
    file = last_linked(machine)
    done = subprocess.run(["chattr", "+i", file], check=False, capture_output=True, text=True)
    need(done.returncode == 0, f"no file can be made immutable here: {done.stderr}")
    yield "hardlink"
    subprocess.run(["chattr", "-i", file], check=True)


def fill(file: Path, block: bytes) -> None:
    with file.open("wb", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(block)


@contextmanager
def full_target(machine: Machine) -> Iterator[str]:
    """The file system of the environment has no room left."""
    for size in (1 << 16, 1 << 10):
        fill(machine.environment / f"filler{size}", b"x" * size)
    yield "copy"


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (read_only_target, Said(Outcome.FAILED, Operation.CREATE_DIR, 13, Cause.PERMISSION)),
        (unreadable_cache_file, Said(Outcome.FAILED, Operation.COPY, 13, Cause.PERMISSION)),
        (immutable_cache_file, Said(Outcome.FAILED, Operation.HARDLINK, 1, Cause.PERMISSION)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_stop_in_the_middle(trouble, said, machine, shown, check):
    made = machine()
    with trouble(made) as link_mode:
        text = shown(made, link_mode)
    check(text, said, made)


def test_a_full_disk(machine, shown, check, loop_mount):
    made = machine(environment=loop_mount("ext4") / ".venv")
    with full_target(made) as link_mode:
        check(shown(made, link_mode), Said(Outcome.FAILED, Operation.CREATE_DIR, 28, Cause.NO_SPACE), made)


def test_a_synced_folder(machine, shown, check, cloud_folder):
    folder = cloud_folder("*/certifi/core.py")
    made = machine(cache=folder.cache, environment=folder.synced / ".venv", first=folder.synced / "first")
    check(shown(made, "hardlink"), Said(Outcome.FAILED, Operation.HARDLINK, 396, Cause.CLOUD_SYNC), made)


def test_a_fallback(machine, shown, check, request, other_filesystem):
    """It is said since 0.2, and why only in the log, since 0.10.5."""
    version = request.getfixturevalue("version")
    made = machine(cache=other_filesystem / "cache")
    text = shown(made, "hardlink")
    assert next(made.environment.glob(f"{SITE_PACKAGES}/certifi/core.py")).exists()
    if version == "0.1.45":
        assert read(text, Platform.LINUX).failures == ()
        return
    logged = version in {"0.11.33", "newest"} and "-v" in request.node.callspec.id
    number, cause = (18, Cause.CROSS_DEVICE) if logged else (None, Cause.UNKNOWN)
    check(text, Said(Outcome.DEGRADED, Operation.HARDLINK, number, cause), made)


@pytest.fixture
def check(request, version, recorded) -> Callable[[str, Said, Machine], None]:
    """`check(text, said, machine)`: what was read, and that the same would be read on somebody else's machine."""

    def check(text: str, said: Said, machine: Machine) -> None:
        assert_says(text, said, machine)
        elsewhere = replace(machine, cache=Path("/home/ana/.cache/uv"), environment=Path("/home/ana/app/.venv"))
        text = neutral(text, machine, elsewhere)
        failure = assert_says(text, said, elsewhere)
        known = {name: getattr(failure, name) for name in ("package", "version", "source", "target")}
        name = request.node.name.removeprefix("test_").replace("[", "-").rstrip("]")
        case = {"id": name, "uv_version": version, "platform": "linux", "text": text, "expect": asdict(said) | known}
        recorded.append(case)

    return check


def assert_says(text: str, said: Said, machine: Machine) -> Failure:
    """One failure was read, with its package where uv names it, and with each path on the side that it is on."""
    (failure,) = read(text, Platform.LINUX).failures
    assert Said(failure.outcome, failure.operation, failure.os_error, failure.cause) == said
    known = ("certifi", "2026.10.18") if said.outcome is Outcome.FAILED else (None, None)
    assert (failure.package, failure.version) == known
    assert failure.source is None or Path(failure.source).is_relative_to(machine.cache)
    assert failure.target is None or Path(failure.target).is_relative_to(machine.environment)
    if said.outcome is Outcome.FAILED:
        assert failure.target is not None
        assert (failure.source is None) == (said.operation is Operation.CREATE_DIR)
    return failure


def neutral(text: str, machine: Machine, elsewhere: Machine) -> str:
    """An output as it would be elsewhere: no path of this machine is left in it."""
    places = {machine.cache: elsewhere.cache, machine.environment: elsewhere.environment, machine.index: "/srv/wheels"}
    for place, name in places.items():
        text = text.replace(str(place), str(name))
    return re.sub(r"(?<![\w/.])(?!/home/ana/|/etc/)/[\w.+-]+(?:/[\w.+-]+)*/(?=[\w.+-])", "/srv/", text)


RECORDED_ELSEWHERE = {"0.4.18", "0.7.22", "0.9.30", "newest"}


@pytest.fixture(scope="session")
def recorded(request) -> Iterator[list[dict[str, Any]]]:
    """All cases; at the end they are written down where that was asked for."""
    cases: list[dict[str, Any]] = []
    yield cases
    if request.config.getoption("--update-golden"):
        new = (case for case in cases if case["uv_version"] not in RECORDED_ELSEWHERE)
        lines = [json.dumps(case, ensure_ascii=False) for case in sorted(new, key=itemgetter("id"))]
        (Path(__file__).parent / "data" / "transcripts" / "matrix.jsonl").write_text("\n".join([*lines, ""]), "utf-8")
