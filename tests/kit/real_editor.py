"""An editor that people use, run without a screen, set up by the README's own lines and by nothing of the tester's."""

import os
import re
import subprocess
import sysconfig
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from select import select

from kit.cloud import STOPS, MountCloud
from kit.privileges import WITHOUT_PRIVILEGES
from kit.projects import MakeProject, UvProject

DEADLINE = 120.0
"""Seconds that an editor may take for all it does."""

_README = Path(__file__).resolve().parents[2] / "README.md"


MODULES = ("httpx", "httpx._client", "certifi", "certifi.core", "idna", "idna.core", "typing_extensions")
"""What can be imported once that project is installed completely."""


def broken_project(uv: Path, cloud_folder: MountCloud, project: MakeProject) -> UvProject:
    """A project in a synced folder, where another was installed before: certifi cannot be linked into it."""
    folder = cloud_folder(STOPS)
    places = (folder.synced / "first", folder.synced / "second")
    first, second = (project("typing-extensions", "httpx", root=place, cache=folder.cache) for place in places)
    assert first.run(uv, "sync").returncode == 0
    return second


def in_readme(summary: str, *, after: str, more: str) -> str:
    """The example that the README has below this summary, with `more` added to the one setting that it shows."""
    readme = _README.read_text(encoding="utf-8")
    found = re.search(rf"<summary>{re.escape(summary)}</summary>\n\n```\w+\n(.*?)```\n", readme, re.DOTALL)
    assert found, f"the README has nothing for {summary}"
    assert found[1].count(after) == 1
    return found[1].replace(after, after + more)


def run_editor(
    command: Sequence[str | Path], example: UvProject, folder: Path, *, more: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run the editor to its end in the project's directory; no process that it started is left.

    The server is on PATH, by a link in `folder`; uv is not, so that it can only be known by a setting. `more` are
    variables.
    """
    program = folder / "bin" / "uv-link-doctor"
    program.parent.mkdir()
    program.symlink_to(Path(sysconfig.get_path("scripts"), program.name))
    mark = {"XDG_RUNTIME_DIR": str(folder)}
    ran = subprocess.run(
        [*WITHOUT_PRIVILEGES, *command],
        cwd=example.root,
        env={**example.environ, **more, **mark, "PATH": f"{program.parent}:{example.environ['PATH']}"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        timeout=DEADLINE,
        check=False,
    )
    assert _left_behind(mark) == []
    return ran


def _left_behind(mark: Mapping[str, str], *, patience: float = 5) -> list[str]:
    """The command lines of processes with these variables that don't end within seconds."""
    wanted = {f"{name}={value}".encode() for name, value in mark.items()}
    left = []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # It has ended, or is another user's.
            if wanted <= set((place / "environ").read_bytes().split(b"\0")):
                handle = os.pidfd_open(int(place.name))
                try:
                    if not select([handle], [], [], patience)[0]:
                        left.append((place / "cmdline").read_bytes().replace(b"\0", b" ").decode())
                finally:
                    os.close(handle)
    return left
