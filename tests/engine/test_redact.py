"""What is private goes, the rest stays readable, and no text takes longer than its length is worth."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from uv_link_doctor.engine.redact import NOTHING, Private, each_text, redact, redacted, says_secret

ANA = Private(
    homes=("/home/ana", r"C:\Users\Ana Maria", "/Users/ana"),
    users=("ana", "root", "a"),
    hosts=("ana-laptop", "idx.contoso.example", "server"),
    secrets=("hunter2!", "s3cr3t/pass word", "tulip", "x"),
)
SITE = ".venv/lib/python3.13/site-packages/certifi/core.py"

CASES = {
    # The home, however it is written; what follows stays.
    f"/home/ana/app/{SITE}": f"~/app/{SITE}",
    f"/home/ana/OneDrive - Contoso/proj/{SITE}": f"~/OneDrive - …/proj/{SITE}",
    r"c:\users\ana maria\app\.venv": r"~\app\.venv",
    r"C:\\Users\\Ana Maria\\app": r"~\\app",
    "C:/Users/Ana Maria/app": "~/app",
    r"\\?\C:\Users\Ana Maria\app": r"~\app",
    "file:///home/ana/app": "file://~/app",
    "file:///c%3A/Users/Ana%20Maria/app": "file:///~/app",
    "It is in `/home/ana`, not in /home/ana.": "It is in `~`, not in ~.",
    "/home/ana-old/x and /home/anabel": "/home/…/x and /home/…",
    # Other people's homes, and other machines.
    "/home/bob/x: no": "/home/…/x: no",
    "/var/home/bob/x": "/var/home/…/x",
    "/Users/bob": "/Users/…",
    "/mnt/c/Users/bob/x": "/mnt/c/Users/…/x",
    "vscode-remote:/c%3A/Users/bob/x": "vscode-remote:/c%3A/Users/…/x",
    r"C:\Users\Bob Miller\y to D:\Users\eve": r"C:\Users\…\y to D:\Users\…",
    r"C:\Users\bob and /tmp": r"C:\Users\… and /tmp",
    r"C:\Users\BOBMIL~1\AppData\Local\Temp": r"C:\Users\…\AppData\Local\Temp",
    r"C:\Documents and Settings\bob\x": r"C:\Documents and Settings\…\x",
    r"on \\nas\team files\x": r"on \\…\…\x",
    r"\\?\UNC\nas\team\x": r"\\?\UNC\…\…\x",
    r"'\\\\nas\\team\\x'": r"'\\\\…\\…\\x'",
    "//nas/team/x": "//…/…/x",
    r"\\wsl$\Ubuntu\home\bob\x": r"\\wsl$\Ubuntu\home\…\x",
    "nas.contoso.example:/vol/x": "…:/vol/x",
    "bob@nas:/vol": "…@…:/vol",
    # Nobody's homes.
    "/home/linuxbrew/.linuxbrew/bin/uv": "/home/linuxbrew/.linuxbrew/bin/uv",
    r"C:\Users\Public\x": r"C:\Users\Public\x",
    "/Users/Shared/x": "/Users/Shared/x",
    # The user and the machine.
    "/srv/ana/x /srv/ana": "/srv/…/x /srv/…",
    "/srv/ana.": "/srv/….",
    "banana /srv/banana/x /srv/ana-b": "banana /srv/banana/x /srv/ana-b",
    r"root of the problem: a, D:\srv\root\a\x": r"root of the problem: a, D:\srv\root\a\x",
    "ana@ANA-LAPTOP:~$": "…@…:~$",
    "ana-laptop.local": "….local",
    "a language server, ana-laptops": "a language server, ana-laptops",
    # What cloud clients call their folders.
    r"~\OneDrive - Contoso Ltd\x": r"~\OneDrive - …\x",
    "`~/OneDrive - Contoso Ltd` and more": "`~/OneDrive - …` and more",
    "~/OneDrive - Contoso Ltd is synced": "~/OneDrive - … is synced",
    "file:///x/OneDrive%20-%20Contoso/y": "file:///x/OneDrive%20-%20…/y",
    "~/OneDrive/app": "~/OneDrive/app",
    "~/Dropbox (Contoso Ltd)/x": "~/Dropbox (…)/x",
    "~/Library/CloudStorage/OneDrive-Contoso/x": "~/Library/CloudStorage/OneDrive-…/x",
    "~/Library/CloudStorage/Dropbox-Contoso/x": "~/Library/CloudStorage/Dropbox-…/x",
    "~/Library/CloudStorage/GoogleDrive-ana@example.com/My Drive/x": "~/Library/CloudStorage/GoogleDrive-…/My Drive/x",
    # URLs.
    "https://example.org/simple/certifi/": "https://example.org/simple/certifi/",
    "https://ana:pw@contoso.example:8080/simple/": "https://…@…/simple/",
    "https://ana:p/w@contoso.example/simple/": "https://…@…/simple/",
    "https://ana:p@w@contoso.example: gone": "https://…@…: gone",
    "https://tok@contoso.example/a?b=c#d, e": "https://…@…/a?…#… e",
    "https://[::1]:8080/@x/y": "https://[::1]:8080/@x/y",
    "https://example.org:8080/@x/y": "https://example.org:8080/@x/y",
    "git+https://example.org/a/b@main": "git+https://example.org/a/b@main",
    "git+ssh://git@example.org/a": "git+ssh://…@…/a",
    "https://example.org/a.whl#sha256=abc": "https://example.org/a.whl#…",
    "lookup of idx.contoso.example failed": "lookup of … failed",
    # What lets in.
    "the password is hunter2!": "the password is …",
    "xhunter2!y": "x…y",
    "tulip, tulips": "…, tulips",
    "https://example.org/s3cr3t%2Fpass%20word": "https://example.org/…",
    "uv publish --token abc --dry-run": "uv publish --token … --dry-run",
    "uv publish --password='a b'\"c d\"e --x": "uv publish --password=… --x",
    "['--token', 'abc']": "['--token', …]",
    '--token "never ends': "--token … ends",
    "UV_PUBLISH_TOKEN=abc UV_OFFLINE=1": "UV_PUBLISH_TOKEN=… UV_OFFLINE=1",
    "API_KEY='a b'": "API_KEY=…",
    "GH_PAT=abc DB_PASS=abc MY_PATH=abc compat=abc": "GH_PAT=… DB_PASS=… MY_PATH=abc compat=abc",
    '{"password": "a b", "x": 1}': '{"password": …, "x": 1}',
    "token==1.0 certifi==2": "token==1.0 certifi==2",
    "cache-keys = []": "cache-keys = []",
    "Authorization: Basic YW5hOnB3": "Authorization: Basic …",
    "sent Bearer abcdefghijklmnop": "sent Bearer …",
    "a pypi-AgEIcHlwaS5vcmcCJDEy b": "a … b",
    "ghp_0123456789abcdefABCD github_pat_0123456789abcdefABCD": "… …",
    "glpat-0123456789abcdefABCD AKIAIOSFODNN7EXAMPLE": "… …",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln": "…",
    "Write to ana.schmidt+x@mail.example.org.": "Write to …@….",
    "actions/checkout@v4.1.0": "actions/checkout@v4.1.0",
    # What only looks private.
    "": "",
    "error: Failed to install: certifi-1.whl (certifi==1)": "error: Failed to install: certifi-1.whl (certifi==1)",
    "~/app/home/views.py, src/Users/models.py": "~/app/home/views.py, src/Users/models.py",
    "a keyring; key: value; auth works; // comment": "a keyring; key: value; auth works; // comment",
}


@pytest.mark.parametrize(("text", "expected"), CASES.items(), ids=range(len(CASES)))
def test_what_is_private_goes_and_the_rest_stays(text, expected):
    assert redact(text, ANA) == expected
    assert redact(expected, ANA) == expected


def test_without_knowing_the_machine_the_rest_still_goes():
    assert redact("/home/ana/x https://a:b@c.example/d ana-laptop") == "/home/…/x https://…@…/d ana-laptop"


@pytest.mark.parametrize("home", ["", "/", "C:\\", "C:", "~"])
def test_a_home_that_holds_everything_hides_nothing(home):
    assert redact(r"/usr/bin C:\Windows ~/x", Private(homes=(home,))) == r"/usr/bin C:\Windows ~/x"


@pytest.mark.parametrize(
    ("name", "secret"),
    {
        "UV_PUBLISH_TOKEN": True,
        "UV_INDEX_CORP_USERNAME": True,
        "UV_INDEX_CORP_PASSWORD": True,
        "AWS_SECRET_ACCESS_KEY": True,
        "GOOGLE_APPLICATION_CREDENTIALS": True,
        "GH_PAT": True,
        "DB_PASS": True,
        "api_key2": True,
        "UV_KEYRING_PROVIDER": False,
        "PATH": False,
        "PWD": False,
        "GIT_AUTHOR_NAME": False,
        "COMPAT": False,
    }.items(),
)
def test_names_of_variables_that_say_secret(name, secret):
    assert says_secret(name) is secret


def test_secrets_are_not_even_in_the_words_for_the_value():
    assert "hunter2!" not in repr(ANA)


# --- values -----------------------------------------------------------------------------------


class Colour(StrEnum):
    RED = "/home/ana"


@dataclass(frozen=True)
class Thing:
    text: str
    more: tuple[object, ...] = ()


def test_a_value_keeps_its_shape():
    value: dict[str, Any] = {
        "/home/ana": ["/home/ana", 1, None, True, 2.5, Colour.RED],
        "command": ["uv", "sync", "--index-password", "tiger", "--token=lion", "--offline"],
        "thing": Thing("/home/ana", (Thing("x"), "/home/ana")),
    }
    after = redacted(value, ANA)
    assert after == {
        "/home/ana": ["~", 1, None, True, 2.5, Colour.RED],
        "command": ["uv", "sync", "--index-password", "…", "--token=…", "--offline"],
        "thing": Thing("~", (Thing("x"), "~")),
    }
    assert type(after["/home/ana"][-1]) is Colour
    assert each_text(("--token", ["b"], "c"), str.upper) == ("--TOKEN", ["B"], "C")


# --- any text ---------------------------------------------------------------------------------

FRAGMENTS = (
    [part for case in CASES for part in case.split()][:120]
    + list("/\\:@?#='\"` …~.-\n")
    + ["://", "--token ", "home", "Users", "OneDrive - ", "Dropbox (", "ana", "hunter2!", "tulip", "ana-laptop", "eyJ"]
)
nasty = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=3), max_size=12).map("".join)


@settings(max_examples=500, deadline=None)
@given(nasty)
@example("--token --token --token x")
@example("…hunter2!ana-laptop/home/ana")
def test_redacting_twice_is_redacting_once(text):
    once = redact(text, ANA)
    assert redact(once, ANA) == once
    assert "hunter2!" not in once


texts = st.text(st.characters(), max_size=12)
names = st.lists(texts | st.sampled_from(["~/x.y…z", "(", "\\", "/a/b"]), max_size=2).map(tuple)


@settings(max_examples=200, deadline=None)
@given(nasty, names, names, names, names)
def test_no_machine_is_too_odd(text, homes, users, hosts, secrets):
    odd = Private(homes=homes, users=users, hosts=hosts, secrets=secrets)
    once = redact(text, odd)
    assert redact(once, odd) == once


HOSTILE = (
    *("a", "/", "\\", ".", "-", "@", " ", "'", "=", "…", "eyJ", "://", "a.", "/a", "\\a", "a@", "--token '", "://a:b"),
    *("://a?", "https://", "eyJa.", "--token ", "token", "key=", "C:\\Users\\", "/home/", "OneDrive - ", "a@a."),
    *("OneDrive - A ", "Dropbox (", '"password" : "', "-token", "a-", "pypi-", "bearer ", "\\\\a", "a:/"),
)
"""What makes a pattern begin again and again, or go far for nothing."""


@pytest.mark.parametrize("fragment", HOSTILE)
def test_a_long_text_takes_no_longer_than_its_length_is_worth(fragment):
    """Were any pattern quadratic, this would take minutes."""
    text = fragment * (100_000 // len(fragment))
    began = time.process_time()
    redact(text, ANA)
    redact(f"{text}!", NOTHING)
    assert time.process_time() - began < 4
