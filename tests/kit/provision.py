"""The VS Code that tests drive, made by npm alone: `python tests/kit/provision.py [DIR]`, by default `.editor`.

DIR gets Node and code-server, a VS Code that a browser shows; a later call keeps what is there. No install script of
any package runs, and nothing is compiled: what tests use ships prebuilt inside the packages.
"""

from __future__ import annotations

import base64
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2] / ".editor"

NODE = "24.21.0"
NODE_INTEGRITY = {
    "arm64": "sha512-FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==",
    "x64": "sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q==",
}
CODE_SERVER = "4.139.1"
CODE_SERVER_INTEGRITY = (
    "sha512-fUYvJVdz4ZoVJfakGiGWXFMpF8K1ObsrpGvX17ZxNpKOzdNHs7lANT670JTr4ZhA8DnWqyvvmFG/d3HV9Yy6ew=="
)

PROGRAM = "code-server/out/node/entry.js"
VSCODE = "code-server/lib/vscode"
WITH_DEPENDENCIES = ("code-server", VSCODE, f"{VSCODE}/extensions")
"""Each has an npm-shrinkwrap.json that pins all that it needs; code-server's install script would do the inner two."""

SUPERFLUOUS = (
    "node_modules/@github/copilot-sdk*",
    "node_modules/@microsoft/mxc-sdk",
    "extensions/copilot",
    "extensions/mermaid-markdown-features",
    "extensions/microsoft-authentication",
)
"""330 MB below VSCODE that no test uses."""

LINKS = {"bin/remote-cli/code-server": "code-linux.sh", "bin/helpers/browser.sh": "browser-linux.sh"}
"""Below VSCODE; code-server's install script would make them, too."""


LOGGER = "node_modules/@vscode/spdlog/index.js"
"""Below VSCODE: without this module, which is C++ to be compiled, output channels stay empty."""

LOGGER_IN_JAVASCRIPT = r"""
const fs = require('fs');
const path = require('path');
const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'critical'];
class Logger {
	constructor(type, name, file) { this.file = file; this.level = 2; this.plain = false; }
	getLevel() { return this.level; }
	setLevel(level) { this.level = level; }
	setPattern() {}
	clearFormatters() { this.plain = true; }
	flush() {}
	drop() {}
	write(level, message) {
		if (level < this.level) { return; }
		const time = new Date().toISOString().replace('T', ' ').replace('Z', '');
		fs.appendFileSync(this.file, this.plain ? message : `${time} [${LEVELS[level]}] ${message}\n`);
	}
}
LEVELS.forEach((name, level) => { Logger.prototype[name] = function (message) { this.write(level, message); }; });
async function create(name, file) {
	fs.mkdirSync(path.dirname(file), { recursive: true });
	return new Logger('rotating', name, file);
}
exports.version = 0;
exports.setLevel = () => {};
exports.setFlushOn = () => {};
exports.Logger = Logger;
exports.createRotatingLogger = create;
exports.createAsyncRotatingLogger = create;
"""


class ProvisionError(Exception):
    """What keeps the editor from being made, in one sentence; with npm's own words, if it has said some."""


def main(arguments: list[str]) -> int:
    root = Path(*arguments).absolute() if arguments else ROOT
    try:
        provision(root)
    except ProvisionError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def provision(root: Path = ROOT) -> None:
    """Make the folder, or keep it: its stamp is written last, so that half a one is made anew."""
    if provisioned(root):
        return
    machine = _machine()
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    _unpack(f"node-linux-{machine}", NODE, NODE_INTEGRITY[machine], root / "node")
    _unpack("code-server", CODE_SERVER, CODE_SERVER_INTEGRITY, root / "code-server")
    for folder in WITH_DEPENDENCIES:
        _npm("install", "--omit=dev", "--ignore-scripts", "--no-package-lock", cwd=root / folder)
    vscode = root / VSCODE
    for link, target in LINKS.items():
        (vscode / link).unlink(missing_ok=True)
        (vscode / link).symlink_to(target)
    (vscode / LOGGER).write_text(LOGGER_IN_JAVASCRIPT, encoding="utf-8")
    for pattern in SUPERFLUOUS:
        for path in vscode.glob(pattern):
            shutil.rmtree(path)
    for path in vscode.glob("node_modules/@vscode/ripgrep-universal/bin/*"):
        if path.name != f"linux-{machine}":
            shutil.rmtree(path)
    _stamp(root).write_text(_made_from(), encoding="utf-8")


def provisioned(root: Path = ROOT) -> bool:
    """Whether the folder holds what `provision` would make today."""
    stamp = _stamp(root)
    return stamp.exists() and stamp.read_text(encoding="utf-8") == _made_from()


def node(root: Path = ROOT) -> Path:
    """The Node that runs code-server, and whatever else needs a recent one."""
    return root / "node" / "bin" / "node"


def code_server(root: Path = ROOT) -> Path:
    """The program that `node` runs."""
    return root / PROGRAM


def _stamp(root: Path) -> Path:
    return root / "made-from.txt"


def _made_from() -> str:
    """All that decides what the folder holds."""
    return f"{platform.machine()}\n{hashlib.sha256(Path(__file__).read_bytes()).hexdigest()}\n"


def _machine() -> str:
    machine = {"x86_64": "x64", "aarch64": "arm64"}.get(platform.machine())
    if sys.platform != "linux" or not machine:
        raise ProvisionError(
            f"the editor for tests is made for Linux on x86-64 or ARM64, not for {platform.platform()}"
        )
    return machine


def _unpack(package: str, version: str, integrity: str, destination: Path) -> None:
    """Get one package's archive, as it is, and unpack it if it is the one that was pinned."""
    archive = destination.parent / f"{package}-{version}.tgz"
    _npm("pack", f"{package}@{version}", cwd=archive.parent)
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    if integrity != f"sha512-{digest}":
        raise ProvisionError(f"{package} {version} is not what it was when it was pinned: sha512-{digest}")
    with tarfile.open(archive) as packed:
        packed.extractall(destination.parent, filter="data")
    (destination.parent / "package").rename(destination)
    archive.unlink()


def _npm(*arguments: str, cwd: Path) -> None:
    """Run npm with the Node it came with, which may be older than code-server's dependencies ask for."""
    npm = shutil.which("npm")
    if not npm:
        raise ProvisionError("npm is missing, which the editor for tests is made with")
    quiet = {f"npm_config_{name}": "false" for name in ("fund", "audit", "update_notifier", "engine_strict")}
    said = subprocess.run(
        [npm, *arguments],
        cwd=cwd,
        env={**os.environ, **quiet},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if said.returncode:
        raise ProvisionError(f"`npm {' '.join(arguments)}` failed in {cwd}\n{said.stdout.rstrip()}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
