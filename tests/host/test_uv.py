"""Which uv is found, and what it says of itself; a second look starts no process."""

import os
from pathlib import Path

import pytest
from kit.fake_uv import Answer

from uv_link_doctor.host import uv as host
from uv_link_doctor.host.uv import find_uv


def executable(path: Path, script: str = "echo uv 0.13.9") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def home(tmp_path: Path, monkeypatch) -> Path:
    """A home in which, like everywhere else outside of PATH, no uv was installed."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.fixture
def environ(home) -> dict[str, str]:
    return {"HOME": str(home), "PATH": "/usr/bin:/bin"}


# --- which one ------------------------------------------------------------------------------


async def test_the_setting_comes_first_then_path_then_where_installers_put_it(home, environ):
    known = executable(home / ".local/bin/uv", "echo uv 0.1.0")
    on_path = executable(home / "tools/uv", "echo uv 0.2.0")
    named = executable(home / "my uv/uv", "echo uv 0.3.0")
    environ["PATH"] = f"{on_path.parent}:/usr/bin"
    found = [
        await find_uv(str(named), environ, ask=True),
        await find_uv(None, environ, ask=True),
        await find_uv(None, environ | {"PATH": "/usr/bin"}, ask=True),
    ]
    assert [it and (it.path, it.version, it.found_by) for it in found] == [
        (named, (0, 3, 0), "setting"),
        (on_path, (0, 2, 0), "PATH"),
        (known, (0, 1, 0), "known location"),
    ]


@pytest.mark.parametrize("place", ["install/uv", "theirs/.local/bin/uv", "theirs/.cargo/bin/uv"])
async def test_known_locations(place, tmp_path, environ):
    """In the home of the variables that uv will get, which need not be our own."""
    path = executable(tmp_path / place)
    variables = {"HOME": str(tmp_path / "theirs"), "UV_INSTALL_DIR": str(tmp_path / "install")}
    found = await find_uv(None, environ | variables, ask=False)
    assert found is not None
    assert (found.path, found.found_by) == (path, "known location")


@pytest.mark.skipif(Path("/usr/local/bin/uv").exists(), reason="this machine has one")
async def test_there_is_none(environ):
    assert await find_uv(None, environ, ask=True) is None
    assert await find_uv(None, {"HOME": environ["HOME"]}, ask=True) is None


@pytest.mark.parametrize(
    ("setting", "found"),
    [
        ("~/bin/uv", True),
        ("uv", True),  # A name is looked up on PATH.
        ("uvx", False),
        ("~/bin", False),
        ("~/bin/plain", False),
        ("~/bin/missing", False),
        ("~nobody-of-this-name/bin/uv", False),
        ("/dev/null", False),
    ],
)
async def test_a_setting_that_names_nothing_finds_nothing(setting, found, home, environ):
    """Although there is a uv on PATH."""
    executable(home / "bin/uv")
    (home / "bin/plain").write_text("not executable")
    uv = await find_uv(setting, environ | {"PATH": f"{home}/bin"}, ask=False)
    assert (uv and (uv.path, uv.found_by)) == ((home / "bin/uv", "setting") if found else None)


@pytest.mark.parametrize(("setting", "path"), [(None, "bin"), ("./bin/uv", "/usr/bin"), ("bin/uv", "/usr/bin")])
async def test_the_path_is_absolute_because_uv_runs_elsewhere(setting, path, home, environ, monkeypatch):
    executable(home / "bin/uv")
    monkeypatch.chdir(home)
    found = await find_uv(setting, environ | {"PATH": path}, ask=True)
    assert found is not None
    assert (found.path, found.version) == (home / "bin/uv", (0, 13, 9))


async def test_a_link_is_named_as_it_stands(home, environ):
    """Behind a link of a tool manager another uv may lie tomorrow."""
    link = home / ".local/bin/uv"
    link.parent.mkdir(parents=True)
    link.symlink_to(executable(home / "uv-0.13.9/uv"))
    found = await find_uv(None, environ, ask=True)
    assert found is not None
    assert (found.path, found.version) == (link, (0, 13, 9))


# --- its version ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("script", "version"),
    [
        ("echo uv 0.4.18", (0, 4, 18)),
        ("echo 'uv 0.13.9 (1a2b3c4d5 2026-11-20 x86_64-unknown-linux-gnu)'", (0, 13, 9)),
        ("echo uv 0.14.0-alpha.1", (0, 14, 0)),
        ("echo uv 1.20.300", (1, 20, 300)),
        ("echo uv 0.13.9; exit 1", None),
        ("echo uv 0.13.9 >&2", None),
        ("echo uv", None),
        ("echo pip 25.3 from here, not uv 0.13.9", None),
        ("exit 3", None),
        ("kill -9 $$", None),
        (":", None),
    ],
)
async def test_what_it_says_of_itself(script, version, tmp_path, environ):
    found = await find_uv(str(executable(tmp_path / "uv", script)), environ, ask=True)
    assert found is not None
    assert found.version == version


async def test_no_program_at_all(tmp_path, environ):
    path = executable(tmp_path / "uv")
    path.write_bytes(b"\x7fELF of another machine")
    found = await find_uv(str(path), environ, ask=True)
    assert found is not None
    assert found.version is None


@pytest.mark.parametrize("version", ["0.4.18", "newest"])
async def test_real_ones(version, uv_binary, environ):
    found = await find_uv(str(uv_binary(version)), environ, ask=True)
    assert found is not None
    assert found.version is not None
    assert found.version == (0, 4, 18) if version == "0.4.18" else found.version >= (0, 13, 9)


async def test_it_is_asked_once_until_it_changes(fake_uv, environ):
    fake = fake_uv(version="0.9.30")
    for _ in range(3):
        found = await find_uv(str(fake.path), environ, ask=True)
        assert found is not None
        assert found.version == (0, 9, 30)
    assert len(fake.invocations("--version")) == 1

    status = fake.path.stat()
    os.utime(fake.path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    await find_uv(str(fake.path), environ, ask=True)
    assert len(fake.invocations("--version")) == 2


async def test_ask_false_starts_nothing(fake_uv, environ):
    fake = fake_uv(Answer())
    found = await find_uv(str(fake.path), environ, ask=False)
    assert found is not None
    assert found.version is None
    assert fake.invocations() == []


async def test_its_environment_is_the_one_it_will_run_in(fake_uv, environ):
    fake = fake_uv()
    await find_uv(str(fake.path), environ | {"LD_LIBRARY_PATH": "/opt/lib"}, ask=True)
    (invocation,) = fake.invocations()
    assert invocation.environ["LD_LIBRARY_PATH"] == "/opt/lib"
    assert invocation.stdin_is_null


async def test_one_that_hangs_is_given_up(tmp_path, environ, monkeypatch):
    monkeypatch.setattr(host, "_ANSWER_SECONDS", 0.05)
    found = await find_uv(str(executable(tmp_path / "uv", "exec sleep 3600")), environ, ask=True)
    assert found is not None
    assert found.version is None


async def test_one_that_did_not_answer_is_asked_again(tmp_path, environ):
    """It may have been a slow disk, or an update under way."""
    path = executable(tmp_path / "uv", '[ -e "$0.asked" ] && echo uv 0.13.9 && exit; touch "$0.asked"; exit 1')
    answers = [await find_uv(str(path), environ, ask=True) for _ in range(2)]
    assert [it and it.version for it in answers] == [None, (0, 13, 9)]


async def test_one_that_vanishes_meanwhile_has_no_version(tmp_path, environ):
    found = await find_uv(str(executable(tmp_path / "uv", 'rm "$0"; echo uv 0.13.9')), environ, ask=True)
    assert found is not None
    again = await find_uv(str(found.path), environ, ask=True)
    assert again is None
