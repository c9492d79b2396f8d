"""The fixtures that several folders of tests share; `kit` describes what they hand out."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import count
from pathlib import Path
from select import select

import pytest
from kit.cloud import MountCloud, cloud_mounted
from kit.fake_uv import Answer, FakeUv, MakeFakeUv
from kit.golden import Golden, compare
from kit.mounts import BindMount, LoopMount, bind_mounted, loop_mounted
from kit.projects import MakeProject, UvProject, clean_environ, write_project
from kit.uv_versions import uv_binary as find_uv

from uv_link_doctor.demo.wheels import build_index


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option by which a changed text is accepted."""
    parser.addoption(
        "--update-golden", action="store_true", help="write tests/data/golden anew, to be read by a person"
    )


def pytest_configure() -> None:
    """Treat SIGTERM as Ctrl-C, after which fixtures are torn down, too."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


@pytest.fixture(scope="session", autouse=True)
def nothing_left_behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """At the end of the session nothing is mounted that was not before, and no process works in the tests' folders."""
    before = _processes()
    yield
    folder = tmp_path_factory.getbasetemp()
    assert _mounts_in(folder) == []
    assert [command for it in _processes() - before if (command := _still_at_work_in(folder, it))] == []


@pytest.fixture(scope="session")
def uv_binary() -> Callable[[str], Path]:
    """`uv_binary("0.4.18")`, `uv_binary("newest")`: that uv, installed if need be."""
    return find_uv


@pytest.fixture(scope="session")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of wheels: `httpx`, which requires `certifi` and `idna`, and `typing-extensions`."""
    directory = tmp_path_factory.mktemp("index")
    build_index(directory)
    return directory


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """`golden("failed.txt", text)`: the text is what that golden file says."""
    return partial(compare, update=request.config.getoption("--update-golden"))


@pytest.fixture
def project(tmp_path: Path, index: Path) -> MakeProject:
    """`project("httpx")`: writes a uv project that installs from `index`, in a clean environment."""

    def make(*requirements: str, root: Path | None = None, cache: Path | None = None, more: str = "") -> UvProject:
        environ = clean_environ(tmp_path / "home", cache=cache or tmp_path / "cache", index=index)
        return write_project(root or tmp_path / "project", *requirements, environ=environ, more=more)

    return make


@pytest.fixture
def cloud_folder(tmp_path: Path) -> Iterator[MountCloud]:
    """`cloud_folder("*/certifi/core.py")`: a folder that refuses further hard links to such files once synced."""
    numbers = count()
    with ExitStack() as stack:
        yield lambda *convert, **more: stack.enter_context(
            cloud_mounted(tmp_path / f"cloud{next(numbers)}", *convert, **more)
        )


@pytest.fixture
def loop_mount(tmp_path: Path) -> Iterator[LoopMount]:
    """`loop_mount("xfs", mkfs=["-m", "reflink=0"])`: a fresh file system of its own."""
    numbers = count()
    with ExitStack() as stack:

        def mount(
            fstype: str, *, megabytes: int | None = None, mkfs: Sequence[str] = (), options: Sequence[str] = ()
        ) -> Path:
            folder = tmp_path / f"loop{next(numbers)}"
            return stack.enter_context(loop_mounted(folder, fstype, megabytes=megabytes, mkfs=mkfs, options=options))

        yield mount


@pytest.fixture
def bind_mount(tmp_path: Path) -> Iterator[BindMount]:
    """`bind_mount(directory, read_only=True)`: the same directory under a second path."""
    numbers = count()
    with ExitStack() as stack:

        def mount(source: Path, *, at: Path | None = None, read_only: bool = False) -> Path:
            mountpoint = at or tmp_path / f"bind{next(numbers)}"
            return stack.enter_context(bind_mounted(source, mountpoint, read_only=read_only))

        yield mount


@pytest.fixture
def other_filesystem(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """An empty directory on another file system than `tmp_path`'s: memory, else an ext4 of its own."""
    memory = Path("/dev/shm")
    if memory.is_dir() and memory.stat().st_dev != tmp_path.stat().st_dev:
        with tempfile.TemporaryDirectory(dir=memory) as folder:
            yield Path(folder)
    else:
        mount: LoopMount = request.getfixturevalue("loop_mount")
        yield Path(tempfile.mkdtemp(dir=mount("ext4")))


@pytest.fixture(scope="session")
def file_system() -> Callable[[str | Path], str]:
    """`file_system(path)`: the type of the file system that holds it, as the kernel names it."""

    def kind(path: str | Path) -> str:
        said = subprocess.run(["findmnt", "-n", "-o", "FSTYPE", "-T", path], capture_output=True, text=True, check=True)
        return said.stdout.split()[-1]

    return kind


@pytest.fixture
def fake_uv(tmp_path: Path) -> Iterator[MakeFakeUv]:
    """`fake_uv(Answer(...))`: an executable that stands for uv and does what the answers say."""
    numbers = count()
    with ExitStack() as stack:

        def make(*answers: Answer, version: str = "0.13.9") -> FakeUv:
            fake = FakeUv(tmp_path / f"fake{next(numbers)}", answers, version)
            stack.callback(fake.close)
            return fake

        yield make


def _processes() -> set[int]:
    return {int(entry.name) for entry in Path("/proc").glob("[0-9]*")}


def _mounts_in(folder: Path) -> list[str]:
    table = Path("/proc/self/mountinfo")
    mount_points = [line.split()[4] for line in table.read_text().splitlines()] if table.exists() else []
    return [it for it in mount_points if it.startswith(str(folder))]


def _still_at_work_in(folder: Path, process: int, *, patience: float = 5) -> str | None:
    """The command line of a process that names the folder or works in it, if it doesn't end within seconds."""
    place = Path("/proc", str(process))
    try:
        handle = os.pidfd_open(process)
    except OSError:
        return None  # It has ended.
    try:
        command = (place / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        ours = str(folder) in f"{command} {(place / 'cwd').readlink()}"
        return command if ours and not select([handle], [], [], patience)[0] else None
    except OSError:
        return None  # It is ending, or another user's.
    finally:
        os.close(handle)
