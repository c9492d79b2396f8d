"""What a run depends on and what it makes: a change of either makes a second run necessary, nothing else does."""

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from uv_link_doctor.inputs import inputs, outputs
from uv_link_doctor.options import OnSave, Options
from uv_link_doctor.project import understood

TEXT = """\
[project]
name = "app"
version = "0"
dependencies = ["httpx"]

[tool.uv.sources]
httpx = [{ path = "httpx-1-py3-none-any.whl", marker = "os_name == 'posix'" }, { index = "i" }]
beside = { path = "../beside", editable = true }

[tool.ruff]
line-length = 100
"""


@dataclass
class Place:
    """A project in a directory below others, and how it is installed."""

    root: Path
    text: str = TEXT
    environ: dict[str, str] = field(default_factory=lambda: {"PATH": "/bin", "UV_INDEX_URL": "i", "HOME": "/home/ana"})
    options: Options = field(default_factory=Options)

    def look(self) -> dict[str, object]:
        manifest = understood(self.root / "pyproject.toml", self.text)
        return {
            "inputs": inputs(manifest, self.root, (), self.environ, self.options),
            "outputs": outputs(self.root, self.root / ".venv"),
        }

    def write(self, path: str, text: str = "x") -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)


@pytest.fixture
def place(tmp_path) -> Place:
    made = Place(tmp_path / "above" / "app")
    made.write("pyproject.toml", TEXT)
    made.write("uv.lock")
    made.write(".venv/pyvenv.cfg")
    made.write("../../uv.toml")
    made.write("../beside/pyproject.toml")
    made.write(f"{SITE}/httpx-1.dist-info/RECORD")
    made.write(f"{SITE}/httpx.py")
    return made


Change = Callable[[Place], object]


def text(old: str, new: str) -> Change:
    def change(place: Place) -> None:
        assert old in place.text
        place.text = place.text.replace(old, new)

    return change


def options(**given: object) -> Change:
    return lambda place: setattr(place, "options", Options(**given))  # type: ignore[arg-type]


def environ(name: str, value: str) -> Change:
    return lambda place: place.environ.update({name: value})


def write(path: str, text: str = "y") -> Change:
    return lambda place: place.write(path, text)


def remove(path: str) -> Change:
    return lambda place: (place.root / path).unlink()


SITE = ".venv/lib/python3.13/site-packages"


def reinstall(place: Place) -> None:
    """uv makes the directory anew."""
    shutil.rmtree(place.root / SITE / "httpx-1.dist-info")
    place.write(f"{SITE}/httpx-1.dist-info/RECORD", "another")


def try_a_link(place: Place) -> None:
    """File systems note a change of a directory as coarsely as a clock tick, a test is faster."""
    os.utime(place.root / SITE, ns=(1, 1))


INPUTS: dict[str, Change] = {
    "a dependency": text('"httpx"', '"httpx", "idna"'),
    "a version": text('"httpx"', '"httpx>1"'),
    "the order of dependencies": text('["httpx"]', '["idna", "httpx"]'),
    "a setting of uv": text("[tool.ruff]", '[tool.uv]\nlink-mode = "copy"\n[tool.ruff]'),
    "a table of a build backend": text("[tool.ruff]", '[tool.hatch]\na = "b"\n[tool.ruff]'),
    "a uv.toml": write("uv.toml"),
    "a uv.toml above": write("../uv.toml"),
    "a manifest above": write("../pyproject.toml"),
    "a package beside": write("../beside/pyproject.toml"),
    "a wheel": write("httpx-1-py3-none-any.whl"),
    "a pin of Python": write(".python-version"),
    "a pin of Python above": write("../.python-version"),
    "a variable of uv": environ("UV_LINK_MODE", "copy"),
    "the path": environ("PATH", "/usr/bin"),
    "an argument": options(sync_args=("--dev",)),
    "another uv": options(uv_path="/opt/uv"),
    "a setting's variable": options(environment={"A": "b"}),
    "what a save does": options(on_save=OnSave.CHECK),
}
OUTPUTS: dict[str, Change] = {
    "the lock": write("uv.lock"),
    "the lock is gone": remove("uv.lock"),
    "a new environment": remove(".venv/pyvenv.cfg"),
    "a package more": write(f"{SITE}/idna-1.dist-info/RECORD"),
    "a package anew": reinstall,
    "a module gone": remove(f"{SITE}/httpx.py"),
}
NEITHER: dict[str, Change] = {
    "nothing": lambda _: None,
    "a comment": text('["httpx"]', '["httpx"]  # é'),
    "layout": text('dependencies = ["httpx"]', "dependencies = [\n    'httpx',\n]"),
    "the order of keys": text('name = "app"\nversion = "0"', 'version = "0"\nname = "app"'),
    "line ends": text("\n", "\r\n"),
    "another tool's table": text("line-length = 100", "line-length = 80"),
    "the manifest's own time": write("pyproject.toml"),
    "the lock saved as it was": write("uv.lock", "x"),
    "a uv.toml far above saved as it was": write("../../uv.toml", "x"),
    "another file": write("README.md"),
    "a trial link": try_a_link,
    "a module that was imported": write(f"{SITE}/__pycache__/httpx.cpython-313.pyc"),
    "a variable of somebody else": environ("TERM_SESSION", "2"),
    "a file inside a package": write(f"{SITE}/httpx-1.dist-info/direct_url.json"),
}


CASES = [
    pytest.param(change, side, id=name)
    for side, changes in (("inputs", INPUTS), ("outputs", OUTPUTS), (None, NEITHER))
    for name, change in changes.items()
]


@pytest.mark.parametrize(("change", "side"), CASES)
def test_what_makes_a_run_necessary_and_what_does_not(change, side, place):
    before = place.look()
    change(place)
    after = place.look()
    assert [it for it in before if before[it] != after[it]] == ([side] if side else [])


def test_there_need_be_no_environment_and_no_lock(tmp_path):
    place = Place(tmp_path / "new")
    before = place.look()
    assert before == place.look()
    place.write(".venv/pyvenv.cfg")
    assert before["outputs"] != place.look()["outputs"]


def test_a_file_replaced_within_a_tick_of_the_clock_is_another(place):
    """A rename over it keeps time and size; its number tells."""
    lock = place.root / "uv.lock"
    before, status = place.look(), lock.stat()
    place.write("new.lock", "y")
    (place.root / "new.lock").replace(lock)
    os.utime(lock, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert lock.stat().st_mtime_ns == status.st_mtime_ns
    assert place.look()["outputs"] != before["outputs"]
