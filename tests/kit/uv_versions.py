"""Where the uv binaries are that tests run: each version is installed once, by pip, and kept between sessions."""

import os
import subprocess
import sys
import sysconfig
import tempfile
from contextlib import suppress
from pathlib import Path

from kit.need import need


def uv_binary(version: str) -> Path:
    """The uv of this version (`0.4.18`); `newest` is the running environment's own, else the index's newest.

    They are kept in `.cache/uv/<version>` of the repository, or in $UV_LINK_DOCTOR_TEST_CACHE/<version>.
    """
    own = Path(sysconfig.get_path("scripts"), "uv")
    if version == "newest" and own.exists():
        return own
    kept = _cache() / version
    if not kept.exists():
        _install("uv" if version == "newest" else f"uv=={version}", kept)
    return kept / "bin" / "uv"


def _cache() -> Path:
    default = Path(__file__).resolve().parents[2] / ".cache" / "uv"
    return Path(os.environ.get("UV_LINK_DOCTOR_TEST_CACHE") or default)


def _install(requirement: str, destination: Path) -> None:
    """Install beside the destination and rename: another session may be at it, and this one may be stopped half-way."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=destination.parent) as folder:
        made = Path(folder, "uv")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(made), requirement]
        pip = subprocess.run(command, capture_output=True, text=True, check=False)
        need(pip.returncode == 0, f"{requirement} cannot be installed: {pip.stderr.strip()}")
        with suppress(OSError):  # The other session was faster.
            made.rename(destination)
