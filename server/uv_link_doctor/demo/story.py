"""The whole story on this machine: a throw-away project that really fails to link, explained, repaired and proven."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from uv_link_doctor import doctor, repair
from uv_link_doctor.demo import cloudfs, wheels
from uv_link_doctor.engine import report, text, transcript
from uv_link_doctor.engine.model import DoctorError, Examination, Operation
from uv_link_doctor.host import Host
from uv_link_doctor.host.environment import python
from uv_link_doctor.host.places import try_links
from uv_link_doctor.host.uv import find_uv
from uv_link_doctor.options import Options

_MANIFEST = """\
[project]
name = "demo"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = [
    "httpx",
    "typing-extensions",
]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A place on this machine where uv cannot link from its cache into a project's environment."""

    kind: str
    words: str
    project: Path
    cache: Path
    before: Path | None = None
    """A project that is installed first, and by which the failure comes about."""


async def demonstrate(host: Host, *, as_json: bool) -> int:
    """Shows the failure, the diagnosis, the repair and the proof; raises DoctorError where it cannot be shown here."""
    beside = shutil.which("uv", path=sysconfig.get_path("scripts"))  # Where the extra `demo` puts one.
    uv = await find_uv(beside, host.environ, ask=True)
    if uv is None:
        raise DoctorError("the demo needs uv, and none was found", 'install it: pip install "uv-link-doctor[demo]"')
    with tempfile.TemporaryDirectory(prefix="uv-link-doctor-demo-") as folder, _scene(Path(folder)) as scene:
        home = Path(folder) / "home"
        home.mkdir()
        index = wheels.build_index(Path(folder) / "index")
        host = replace(host, environ=_environ(host.environ, home, scene.cache, index), state=home / "state")
        options = Options(uv_path=str(uv.path))
        say = _nothing if as_json else print
        say(f"The scene: {scene.words}\n")
        if scene.before:
            _write_project(scene.before)
            await doctor.examine(scene.before, host, options)
        _write_project(scene.project)

        say(f"$ cd {scene.project}\n$ uv-link-doctor sync")
        before = await doctor.examine(scene.project, host, options, on_line=lambda line: _show(line, say))
        _print(before, scene, say)
        remedy = next((it for finding in before.findings for it in finding.remedies if it.preferred), None)
        if remedy is None:
            raise DoctorError("uv had no trouble to link here after all", "nothing is wrong with this machine")

        say(f"\n$ uv-link-doctor fix --apply {remedy.kind.value}")
        after = await repair.apply(before, remedy, host, options, on_line=lambda line: _show(line, say))
        _print(after, scene, say)
        proof = _proof(after, scene, host)
        say(f"\nThe proof: {proof}\n" if proof else "\nIt is not repaired.\n")
        if as_json:
            documents = {"before": report.document(before), "after": report.document(after)}
            print(json.dumps({"scene": scene.kind, "remedy": remedy.kind.value, "proof": proof, **documents}, indent=2))
        else:
            say("The project, its cache and its environment are removed again.")
    return 0 if proof else 2


def _proof(after: Examination, scene: Scene, host: Host) -> str | None:
    """That the environment's own Python imports what was incomplete, and that every file is there; else None."""
    project, verification = after.project, after.verification
    if after.findings or project is None or verification is None or not verification.verified:
        return None
    program = "import httpx; print(httpx.Client.verify)"
    said = subprocess.run(
        [python(project.environment), "-c", program],
        cwd=scene.project,
        env=dict(host.environ),
        capture_output=True,
        text=True,
        check=False,
    )
    if said.returncode != 0:
        return None
    return "every file that RECORD names is there, and `import httpx` works in the environment"


# --- scenes -------------------------------------------------------------------------------


@contextmanager
def _scene(folder: Path) -> Iterator[Scene]:
    """The best scene this machine allows: a cloud folder by FUSE, a second file system, or a second mount of one."""
    reasons = []
    for make in (_cloud, _second_filesystem, _bind_mount):
        with ExitStack() as stack:
            try:
                scene = stack.enter_context(make(folder))
            except DoctorError as error:
                reasons.append(error.message)
                continue
            yield scene
            return
    raise DoctorError("no failing link can be shown here: " + "; ".join(reasons), "every link works: good for you")


@contextmanager
def _cloud(folder: Path) -> Iterator[Scene]:
    """Two projects in a folder that a cloud client keeps in sync: the first one's install spoils the second one's."""
    with cloudfs.mounted(folder / "disk", folder / "machine", "OneDrive - Demo", ["*/certifi/core.py"]) as root:
        synced = root / "OneDrive - Demo"
        yield Scene(
            kind="cloud",
            words="two projects in a folder that refuses hard links as OneDrive does, and a cache beside it",
            project=synced / "second",
            cache=root / "cache",
            before=synced / "first",
        )


@contextmanager
def _second_filesystem(folder: Path) -> Iterator[Scene]:
    """A cache in memory, a project on disk, or the other way round."""
    memory = Path("/dev/shm")  # noqa: S108  (a file system of its own on every Linux)
    if not os.access(memory, os.W_OK):
        raise DoctorError("there is no second file system to write to", "mount one")
    with tempfile.TemporaryDirectory(prefix="uv-link-doctor-demo-", dir=memory) as cache:
        yield _tried(Path(cache), folder, "second file system", "a cache on another file system than the project")


@contextmanager
def _bind_mount(folder: Path) -> Iterator[Scene]:
    """The same disk under a second path, which no hard link crosses."""
    cache, second = folder / "cache", folder / "second-path"
    cache.mkdir()
    second.mkdir()
    try:
        mounted = subprocess.run(["mount", "--bind", cache, second], capture_output=True, check=False).returncode == 0
    except OSError:
        mounted = False
    if not mounted:
        raise DoctorError("nothing can be mounted", "run it as root")
    try:
        yield _tried(second, folder, "bind mount", "a cache behind a second mount of the same disk")
    finally:
        subprocess.run(["umount", second], check=False)


def _tried(cache: Path, folder: Path, kind: str, words: str) -> Scene:
    project = folder / "project"
    project.mkdir(exist_ok=True)
    if Operation.HARDLINK not in try_links(cache, project).os_errors:
        raise DoctorError(f"links work between `{cache}` and `{folder}`", "choose another TMPDIR")
    return Scene(kind=kind, words=words, project=project, cache=cache)


# --- the stage ----------------------------------------------------------------------------


def _write_project(directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "pyproject.toml").write_text(_MANIFEST, encoding="utf-8")


def _environ(environ: Mapping[str, str], home: Path, cache: Path, index: Path) -> dict[str, str]:
    """The user's variables, but nothing of the user's own uv settings, cache and state counts or changes."""
    kept = {name: value for name, value in environ.items() if not name.startswith("UV_")}
    return kept | {
        "HOME": str(home),
        "TMPDIR": str(home),  # uv leaves its lock files there.
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_CONFIG_DIRS": str(home / "etc"),
        "UV_CACHE_DIR": str(cache),
        "UV_INDEX_URL": index.as_uri(),
        "UV_PYTHON": sys.executable,
        "UV_PYTHON_DOWNLOADS": "never",
    }


def _print(examination: Examination, scene: Scene, say: Any) -> None:
    say("")
    for line in text.lines(examination, directory=scene.project, colour=sys.stdout.isatty()):
        say(line)


def _show(line: str, say: Any) -> None:
    if transcript.shown(line):
        say(line)


def _nothing(_: str) -> None:
    """Where the answer is JSON, the story is not told."""
