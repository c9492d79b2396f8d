"""Commands typed into terminals: what each shell makes of them, asked of the real ones where they are here."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kit.need import need

from uv_link_doctor.engine.shells import typed

AWKWARD = [
    "plain",
    "with space",
    "it's",
    'say "hi"',
    "a$HOME`id`",
    "back\\slash",
    "",
    "*?[x]",
    "ünïcödé",
    "#no",
    "-x=1,2",
]
SHOWS = (
    "import json, os, sys; "
    "print(json.dumps([os.getcwd(), os.environ.get('GIVEN'), os.environ.get('GONE'), sys.argv[1:]]))"
)
POWERSHELL = (
    "Set-Location -LiteralPath '/a b'; $env:MODE = 'it''s'; "
    "Remove-Item -ErrorAction Ignore Env:GONE; & uv sync '--x=a b'"
)


def heard(shell: str, directory: Path, words: list[str], value: str) -> list[object]:
    """What a program sees that is typed into the shell."""
    line = typed(
        [sys.executable, "-c", SHOWS, *words],
        directory=directory,
        variables={"GIVEN": value, "GONE": ""},
        terminal=shell,
    )
    environ = {"PATH": "/usr/bin:/bin", "HOME": str(directory), "GONE": "still here", "LC_ALL": "C.UTF-8"}
    run = subprocess.run([shell, "-c", line], env=environ, check=True, capture_output=True, text=True)
    return json.loads(run.stdout)


@pytest.fixture(params=["sh", "bash", "zsh", "fish"])
def shell(request) -> str:
    need(shutil.which(request.param), f"there is no {request.param}")
    return request.param


@pytest.mark.parametrize("word", AWKWARD)
def test_a_real_shell_hands_on_what_was_meant(shell, word, tmp_path):
    directory = tmp_path / f"a {word.replace('/', '')} b"
    directory.mkdir()
    assert heard(shell, directory, [word, "next"], word) == [str(directory), word or None, None, [word, "next"]]


@given(st.text(st.characters(blacklist_characters="\0\r", blacklist_categories=["Cs"]), max_size=20))
def test_any_word_survives_a_posix_shell(word):
    line = typed(["printf", "%s", word], directory=Path("/"), variables={}, terminal="sh")
    assert subprocess.run(["sh", "-c", line], check=True, capture_output=True).stdout == word.encode()


@pytest.mark.parametrize(
    ("shell", "line"),
    [
        ("pwsh", POWERSHELL),
        ("C:\\WINDOWS\\System32\\WindowsPowerShell\\v1.0\\powershell.exe", POWERSHELL),
        ("C:\\Windows\\System32\\cmd.exe", 'cd /d "/a b" && set "MODE=it\'s" && set "GONE=" && uv sync "--x=a b"'),
        ("/usr/bin/nu", "cd '/a b'; hide-env --ignore-errors GONE; with-env {MODE: \"it's\"} { ^uv sync '--x=a b' }"),
        ("/bin/xonsh", "cd '/a b' && env -u GONE MODE='it'\"'\"'s' uv sync '--x=a b'"),
    ],
)
def test_shells_that_are_not_here_follow_their_documentation(shell, line):
    variables = {"MODE": "it's", "GONE": ""}
    assert typed(["uv", "sync", "--x=a b"], directory=Path("/a b"), variables=variables, terminal=shell) == line
