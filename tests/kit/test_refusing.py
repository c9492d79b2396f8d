"""The file system that does as the test says, and only that, and only so long."""

import subprocess
import sys
from pathlib import Path

import pytest

from kit.refusing import RefusingFolder, refusing_mounted


@pytest.fixture
def folder(tmp_path):
    with refusing_mounted(tmp_path / "refusing") as places:
        (places.outside / "a.py").write_text("a")
        (places.outside / "b.py").write_text("b")
        yield places


def error(deed, path: Path) -> int | None:
    try:
        deed(path)
    except OSError as refused:
        return refused.errno
    return None


@pytest.mark.parametrize(
    ("operation", "deed"),
    [
        ("link", lambda path: path.with_suffix(".link").hardlink_to(path)),
        ("rename", lambda path: path.rename(path.with_suffix(".new"))),
        ("open", Path.read_bytes),
    ],
)
def test_a_operationis_refused_until_the_test_lets_go(operation, deed, folder: RefusingFolder):
    folder.refuse(388, (operation, "*/a.py"))
    assert error(deed, folder.outside / "a.py") == 388
    assert error(deed, folder.outside / "b.py") is None
    folder.let_go()
    assert error(deed, folder.outside / "a.py") is None


def test_who_makes_a_operationis_killed(folder: RefusingFolder):
    folder.kill(("link", "*/new.py"))
    linking = [sys.executable, "-c", "import os; os.link('a.py', 'new.py'); print('lived on')"]
    killed = subprocess.run(linking, cwd=folder.outside, capture_output=True, check=False)
    assert (killed.returncode, killed.stdout) == (-9, b"")
