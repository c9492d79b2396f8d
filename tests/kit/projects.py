"""A uv project on disk, the variables it is run with, none of them the tester's own, and what its files really say."""

import csv
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True, slots=True)
class UvProject:
    """A directory with a pyproject.toml, and the variables that uv and the doctor run with there."""

    root: Path
    environ: dict[str, str]

    @property
    def manifest(self) -> Path:
        return self.root / "pyproject.toml"

    @property
    def environment(self) -> Path:
        return self.root / ".venv"

    @property
    def site_packages(self) -> Path:
        return next(self.environment.glob("lib/python*/site-packages"))

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command to its end in the project's directory, with stdin closed; its exit code is not checked."""
        return subprocess.run(
            command,
            cwd=self.root,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )

    def imports(self, *modules: str) -> bool:
        """Whether the environment's Python can; a package without its `__init__.py` still does, as a namespace."""
        return self.run(self.environment / "bin" / "python", "-c", f"import {', '.join(modules)}").returncode == 0

    def missing_files(self) -> dict[str, list[str]]:
        """By installed distribution (`certifi-2026.10.18`): what RECORD promises and the disk lacks; complete ones not.

        INSTALLER, which uv writes last, METADATA and RECORD itself count whether RECORD names them or not.
        """
        lacking = {}
        for info in sorted(self.site_packages.glob("*.dist-info")):
            promised = {f"{info.name}/{name}" for name in ("INSTALLER", "METADATA", "RECORD")}
            if (info / "RECORD").exists():
                rows = csv.reader((info / "RECORD").read_text(encoding="utf-8").splitlines())
                promised |= {row[0] for row in rows}
            if missing := [path for path in sorted(promised) if not (self.site_packages / path).exists()]:
                lacking[info.name.removesuffix(".dist-info")] = missing
        return lacking


class MakeProject(Protocol):
    def __call__(
        self, *requirements: str, root: Path | None = None, cache: Path | None = None, more: str = ""
    ) -> UvProject:
        """Write a project, by default in the test's own folder, where its cache lies, too."""


def write_project(root: Path, *requirements: str, environ: dict[str, str], more: str = "") -> UvProject:
    """Write a pyproject.toml with one requirement a line, from line 5 (counted from 0) on, and `more` at its end."""
    root.mkdir(parents=True, exist_ok=True)
    head = '[project]\nname = "example"\nversion = "0"\nrequires-python = ">=3.11"\n'
    dependencies = "".join(f'    "{requirement}",\n' for requirement in requirements)
    text = f"{head}dependencies = [\n{dependencies}]\n{more}"
    (root / "pyproject.toml").write_text(text, encoding="utf-8")
    return UvProject(root, environ)


def clean_environ(home: Path, *, cache: Path, index: Path) -> dict[str, str]:
    """All the variables of a process whose user lives in `home`, whose uv caches in `cache` and installs from `index`.

    By variables alone, so that configuration files are the test's own: UV_INDEX_URL is known to every version of uv,
    UV_FIND_LINKS to newer ones only, UV_NO_INDEX to none. There is no uv on PATH, unless the system has one.
    """
    folders = {
        "HOME": home,
        "XDG_CACHE_HOME": home / ".cache",
        "XDG_CONFIG_HOME": home / ".config",
        "XDG_DATA_HOME": home / ".local" / "share",
        "XDG_STATE_HOME": home / ".local" / "state",
        "XDG_CONFIG_DIRS": home / "etc",
        "UV_CACHE_DIR": cache,
    }
    for folder in folders.values():
        folder.mkdir(parents=True, exist_ok=True)
    return {name: str(folder) for name, folder in folders.items()} | {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "UV_INDEX_URL": (index / "simple").as_uri(),
        "UV_PYTHON": sys.executable,
        "UV_PYTHON_DOWNLOADS": "never",
    }
