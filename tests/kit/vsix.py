"""Our extension packed as people install it, made anew where one of its sources has changed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from kit import provision

ROOT = Path(__file__).resolve().parents[2]
EXTENSION = ROOT / "extension"
LARGEST = 3_000_000
"""Bytes that people may be asked to download for it."""
MADE = ("node_modules", "bundled", "dist", "__pycache__", ".mypy_cache")


def build() -> Path:
    """The packed extension, in the folder of the provisioned editor, whose Node packs it."""
    vsix = provision.ROOT / f"uv-link-doctor-{_digest()}.vsix"
    if not vsix.exists():
        for old in provision.ROOT.glob("uv-link-doctor-*.vsix"):
            old.unlink()
        node = provision.node()
        path = f"{node.parent}{os.pathsep}{os.environ['PATH']}"
        environ = {**os.environ, "PATH": path, "PYTHON": sys.executable, "NO_COLOR": "1"}
        if not (EXTENSION / "node_modules").is_dir():
            subprocess.run(["npm", "install", "--no-save", "--silent"], cwd=EXTENSION, env=environ, check=True)
        _run([str(node), "build.mjs", str(vsix)], environ)
        assert vsix.stat().st_size < LARGEST
    return vsix


def _run(command: list[str], environ: dict[str, str]) -> None:
    ran = subprocess.run(command, cwd=EXTENSION, env=environ, check=False, capture_output=True, text=True)
    output = f"{ran.stdout}{ran.stderr}"
    assert ran.returncode == 0, output
    # As `vsce` begins a line; a warning of pip's begins otherwise, and is about its own settings.
    assert [line for line in output.splitlines() if line.startswith(" WARNING ")] == []


def _digest() -> str:
    """Of all that the pack is made from."""
    digest = hashlib.sha256()
    for path in sorted(_sources()):
        digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def _sources() -> Iterator[Path]:
    yield ROOT / "LICENSE"
    for folder in (EXTENSION, ROOT / "server" / "uv_link_doctor"):
        for path in folder.rglob("*"):
            if path.is_file() and not set(path.relative_to(folder).parts[:-1]) & set(MADE):
                yield path
