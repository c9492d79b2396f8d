"""A project in Ana's home and what a machine shows of it, as values: nothing of it is on any disk."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from uv_link_doctor.engine.facts import Facts
from uv_link_doctor.engine.model import (
    BrokenPackage,
    Cause,
    Failure,
    Location,
    Manifest,
    Operation,
    Outcome,
    Place,
    Places,
    Platform,
    Project,
    Trial,
    Uv,
    Verification,
)
from uv_link_doctor.engine.settings import Invocation, effective

HOME = Path("/home/ana")
ROOT = HOME / "app"
MANIFEST = ROOT / "pyproject.toml"
LOCK = ROOT / "uv.lock"
UV = HOME / ".local/bin/uv"
CACHED = "/home/ana/.cache/uv/archive-v0/Ab3Cd5Ef/certifi/core.py"
PLACED = ".venv/lib/python3.13/site-packages/certifi/core.py"
"""As uv prints them: the cache absolute, the environment from where uv runs."""

PROJECT = '[project]\nname = "app"\nversion = "0"\ndependencies = [\n    "typing-extensions",\n    "httpx>=0.28",\n]\n'
CLASSIC = {
    "app": "httpx typing-extensions",
    "httpx": "certifi idna",
    "certifi": "",
    "idna": "",
    "typing-extensions": "",
}
"""The packages of `lock` that belong to it."""


def lock(packages: Mapping[str, str], *members: str) -> str:
    """A uv.lock: each package (`name` or `name==version`), in its order, with what it depends on, in its order.

    The first is the project, unless `members` are named: those of a workspace, each in a directory of its name.
    """
    head = f"[manifest]\nmembers = {json.dumps(members)}\n" if members else ""
    entries = []
    for number, (package, dependencies) in enumerate(packages.items()):
        name, _, version = package.partition("==")
        own = name in members or (not members and number == 0)
        source = f'{{ virtual = "{name if members else "."}" }}' if own else '{ registry = "https://example.org/" }'
        needs = ", ".join(_dependency(text) for text in dependencies.split())
        entries.append(
            f'[[package]]\nname = "{name}"\nversion = "{version or "1"}"\nsource = {source}\ndependencies = [{needs}]\n'
        )
    return "\n".join(['version = 1\nrequires-python = ">=3.11"\n', head, *entries])


def _dependency(text: str) -> str:
    name, _, version = text.partition("==")
    return f'{{ name = "{name}", version = "{version}" }}' if version else f'{{ name = "{name}" }}'


def manifest(text: str = PROJECT, path: Path = MANIFEST) -> Manifest:
    return Manifest(path=path, text=text, data=tomllib.loads(text.removeprefix("\ufeff")))


def project(
    text: str = PROJECT,
    *,
    directory: Path = ROOT,
    locked: bool = True,
    files: Mapping[Path, str] | None = None,
    environ: Mapping[str, str] | None = None,
    remembered_copy: bool = False,
) -> Project:
    """The project whose manifest, in `directory`, says `text`; its settings are read from it and from `files`."""
    own = directory / "pyproject.toml"
    texts = {own: text, **(files or {})}
    invocation = Invocation(
        directory=directory, environ=environ or {}, version=(0, 13, 9), platform=Platform.LINUX, home=HOME
    )
    return Project(
        directory=directory,
        root=ROOT,
        manifest=manifest(text, own),
        environment=ROOT / ".venv",
        lockfile=LOCK if locked else None,
        settings=effective(ROOT, invocation, texts.get),
        remembered_copy=remembered_copy,
    )


CACHE_PLACE = Place(
    path=HOME / ".cache/uv", mount_point="/", filesystem="ext4", device="/dev/vda", free_bytes=23 << 30, read_only=False
)
ENVIRONMENT_PLACE = Place(
    path=ROOT, mount_point="/home/ana/app", filesystem="fuse.rclone", device="drive:", free_bytes=None, read_only=False
)


def trial(**works: int | None) -> Trial:
    """`trial(hardlink=18, copy=None)`: the number with which each way failed, None for one that worked."""
    ways = {Operation(name): number for name, number in works.items()}
    return Trial(
        {way: number is None for way, number in ways.items()},
        {way: number for way, number in ways.items() if number is not None},
    )


def facts(own: Project | None = None, **known: Any) -> Facts:
    """What the machine shows of a project, by default one with a classic lock where everything is in place."""
    own = own or project()
    usual: dict[str, Any] = {
        "platform": Platform.LINUX,
        "uv": UV,
        "verification": Verification(verified=True),
        "places": places(),
        "manifests": (own.manifest,),
        "lock_text": lock(CLASSIC) if own.lockfile else None,
        "setting_file": ROOT / "pyproject.toml",
    }
    return Facts(project=own, **{**usual, **known})


def places(tried: Trial | None = None, *, cache: Place = CACHE_PLACE, environment: Place = ENVIRONMENT_PLACE) -> Places:
    return Places(cache=cache, environment=environment, trial=tried or Trial())


def broken(**missing: int) -> Verification:
    """`broken(certifi=12)`: an environment in which certifi 1 lacks twelve files."""
    names = {name.replace("_", "-"): number for name, number in missing.items()}
    packages = (BrokenPackage(package=name, version="1", missing=number) for name, number in names.items())
    return Verification(verified=False, broken=tuple(packages))


def failure(cause: Cause = Cause.CLOUD_SYNC, os_error: int | None = 396, **more: Any) -> Failure:
    """The classic one: a hard link of a file of certifi."""
    usual: dict[str, Any] = {
        "outcome": Outcome.FAILED,
        "operation": Operation.HARDLINK,
        "package": "certifi",
        "version": "1",
        "source": CACHED,
        "target": PLACED,
        "message": f"Failed to install: certifi-1.whl (certifi==1)\nfailed to hardlink file (os error {os_error})",
    }
    return Failure(cause=cause, os_error=os_error, **{**usual, **more})


def fallback(cause: Cause = Cause.CROSS_DEVICE, os_error: int | None = 18, **more: Any) -> Failure:
    """One after which uv copied; it covers whatever was installed."""
    usual: dict[str, Any] = {
        "outcome": Outcome.DEGRADED,
        "package": None,
        "version": None,
        "source": None,
        "target": None,
        "message": "Failed to hardlink files; falling back to full copy. This may lead to degraded performance.",
    }
    return failure(cause, os_error, **{**usual, **more})


def found_uv(version: tuple[int, int, int] | None = (0, 13, 9)) -> Uv:
    return Uv(path=UV, version=version, found_by="PATH")


def under(location: Location | None, texts: Mapping[Path, str]) -> str:
    """What an editor would underline: the text between two positions in UTF-16, which must be on one line."""
    assert location is not None
    start, end = location.range.start, location.range.end
    assert start.line == end.line
    line = texts[location.path].removeprefix("\ufeff").split("\n")[start.line].removesuffix("\r").encode("utf-16-le")
    assert start.character <= end.character <= len(line) // 2
    return line[start.character * 2 : end.character * 2].decode("utf-16-le")
