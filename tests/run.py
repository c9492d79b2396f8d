"""Every check of this repository by one command, which needs nothing but Python 3.11: `python3 tests/run.py`.

The first run makes `.venv` and installs the project there with all that its checks need; later ones reuse it until
pyproject.toml or the Python changes. All checks run, also after one has failed; the exit code is the first failure's.
The extension's own checks need npm, and the tests in a real VS Code need Chromium besides: where they are missing these
are left out, but not in CI.
Arguments are handed on to pytest: `python3 tests/run.py -k cloud`.
"""

import hashlib
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from shutil import which

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = str(VENV / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python"))

LOOSER = ["--allow-untyped-defs", "--allow-incomplete-defs", "--allow-untyped-calls", "--allow-untyped-decorators"]
LOOSER.append("--no-warn-return-any")
"""A test's fixtures and arguments are typed where it helps to read it."""

CI = bool(os.environ.get("CI"))
NPM = [which("npm") or "npm", "--prefix", "extension", "--silent"]

EXTENSION = {
    "extension": [*NPM, "run", "check"],
    "its units": [*NPM, "test"],
}
EDITOR_KIT = {"editor kit": [PYTHON, "tests/kit/provision.py"]}
"""The VS Code that some tests drive is made before them, in `.editor`, and kept; without it they are skipped."""

CHECKS = {
    "lint": [PYTHON, "-m", "ruff", "check"],
    "format": [PYTHON, "-m", "ruff", "format", "--check"],
    "types": [PYTHON, "-m", "mypy", "server"],
    "types of tests": [PYTHON, "-m", "mypy", *LOOSER, "tests"],
    **(EXTENSION if which("npm") or CI else {}),
    **(EDITOR_KIT if (which("npm") and which("chromium")) or CI else {}),
    "tests": [PYTHON, "-m", "pytest", *sys.argv[1:]],
}


def main() -> int:
    if sys.version_info < (3, 11):  # noqa: UP036 - pip has not had its say yet.
        print(f"error: this is Python {sys.version.split()[0]} ({sys.executable})\nhint: run it with 3.11 or newer")
        return 2
    if failed := make_environment() or make_extension():
        return failed
    exit_codes, summary = [], []
    for name, command in CHECKS.items():
        started = time.monotonic()
        exit_code = run(command)
        exit_codes.append(exit_code)
        verdict = f"failed ({exit_code})" if exit_code else "ok"
        summary.append(f"{name:14} {verdict:12} {time.monotonic() - started:6.1f} s")
    print("", *summary, sep="\n")
    return next(filter(None, exit_codes), 0)


def make_environment() -> int:
    """Make `.venv`, or keep it: its stamp is written last, so that half a one is made anew; an exit code."""
    stamp = VENV / "made-for.txt"
    made_for = f"{sys.version}\n{hashlib.sha256((ROOT / 'pyproject.toml').read_bytes()).hexdigest()}\n"
    if stamp.exists() and stamp.read_text(encoding="utf-8") == made_for:
        return 0
    pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--editable", ".[test]"]
    failed = run([sys.executable, "-m", "venv", "--clear", str(VENV)]) or run(pip)
    if not failed:
        stamp.write_text(made_for, encoding="utf-8")
    return failed


def make_extension() -> int:
    """Install what the extension is built and checked with, where npm is; npm's own copy of the lock tells what is."""
    lock, installed = (ROOT / "extension" / name for name in ("package-lock.json", "node_modules/.package-lock.json"))
    if not (which("npm") or CI) or (installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime):
        return 0
    # Not `ci`: it insists on the packages of all platforms, of which an index may have only some.
    return run([*NPM, "install", "--no-save"])


def run(command: list[str]) -> int:
    """Say what is run, and run it here; its exit code."""
    print(f"\n$ {shlex.join(command)}", flush=True)
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
