"""What is private is collected from variables and the system, and is then really hidden."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from uv_link_doctor.engine.redact import redact
from uv_link_doctor.host.private import private_of

ENVIRON = {
    "HOME": "/home/ana",
    "USER": "ana",
    "HOSTNAME": "ana-laptop.contoso.example",
    "USERDOMAIN": "CONTOSO",
    "UV_PUBLISH_TOKEN": "tulip-and-rose ",
    "UV_INDEX_CORP_USERNAME": "asmith",
    "USERNAME": "ana.smith",
    "UV_KEYRING_PROVIDER": "subprocess",
    "EMPTY_SECRET": "",
    "UV_EXTRA_INDEX_URL": "https://a.example/simple https://ana:lily%20pad@b.example:8080/simple",
    "HTTPS_PROXY": "http://fern-and-moss@proxy.contoso.example",
}


def test_what_the_variables_tell():
    private = private_of(ENVIRON, {"NPM_TOKEN": "oak-and-elm"})
    assert "/home/ana" in private.homes
    assert {"ana", "ana.smith"} <= {*private.users}
    assert {"ana-laptop.contoso.example", "ana-laptop", "CONTOSO", "b.example", "proxy.contoso.example"} <= {
        *private.hosts
    }
    assert {*private.secrets} == {
        "tulip-and-rose",
        "asmith",
        "oak-and-elm",
        "ana:lily%20pad",
        "ana",
        "lily%20pad",
        "fern-and-moss",
    }
    assert "subprocess" not in private.secrets


def test_what_the_system_tells_without_any_variable():
    private = private_of({})
    assert socket.gethostname() in private.hosts
    assert str(Path.home()) in private.homes
    assert private.users
    assert private.secrets == ()


def test_a_home_behind_a_link_is_hidden_by_both_names(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    private = private_of({"HOME": str(tmp_path / "link")})
    for name in ("real", "link"):
        assert redact(f"{tmp_path / name}/x", private) == "~/x"


@pytest.mark.parametrize("home", ["", "relative", "/nonexistent/home/ana/"])
def test_an_odd_home_is_no_fault(home):
    private = private_of({"HOME": home})
    assert ("/nonexistent/home/ana" in private.homes) is home.startswith("/")
    assert "relative" not in private.homes


def test_a_user_whom_the_system_does_not_know(monkeypatch):
    import pwd

    def unknown(number: int) -> None:
        raise KeyError(number)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    monkeypatch.delenv("HOME", raising=False)
    private = private_of({"LOGNAME": "ana"})
    assert private.users == ("ana",)
    assert os.sep not in private.homes


def test_all_of_it_is_hidden():
    private = private_of(ENVIRON)
    said = "/home/ana/x tulip-and-rose lily%20pad https://b.example/simple ana-laptop"
    assert redact(said, private) == "~/x … … https://…/simple …"
