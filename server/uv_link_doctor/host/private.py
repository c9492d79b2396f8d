"""Collects what must not be shown to strangers of this machine and its user."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from itertools import chain
from pathlib import Path

from uv_link_doctor.engine.redact import Private, says_secret

_CREDENTIALS = re.compile(r"://([^\s/?#]*)@([^\s/?#:]*)")


def private_of(environ: Mapping[str, str], added: Mapping[str, str] | None = None) -> Private:
    """What is private here; `added` are variables that are set for uv besides the process's own."""
    variables = [*environ.items(), *(added or {}).items()]
    carried = [found for _, value in variables for found in _CREDENTIALS.findall(value)]
    return Private(
        homes=tuple(dict.fromkeys(_homes(environ))),
        users=tuple(dict.fromkeys(_users(environ))),
        hosts=tuple(dict.fromkeys(chain(_hosts(environ), (host for _, host in carried)))),
        secrets=tuple(dict.fromkeys(chain(_secrets(variables), _passwords(login for login, _ in carried)))),
    )


def _homes(environ: Mapping[str, str]) -> Iterator[str]:
    """By the names that variables and the system's table of users have for it, and without links."""
    named = [environ.get("HOME", ""), environ.get("USERPROFILE", "")]
    with suppress(RuntimeError, OSError):  # A container's user need not be in the table.
        named.append(str(Path.home()))
    for home in named:
        if os.path.isabs(home):  # noqa: PTH117  (these stay strings)
            yield home.rstrip("\\/")
            with suppress(OSError):
                yield os.path.realpath(home)


def _users(environ: Mapping[str, str]) -> Iterator[str]:
    yield from filter(None, (environ.get(name) for name in ("USER", "LOGNAME", "USERNAME")))
    with suppress(ImportError, AttributeError, KeyError):  # There is no such table on Windows.
        import pwd  # noqa: PLC0415

        yield pwd.getpwuid(os.getuid()).pw_name


def _hosts(environ: Mapping[str, str]) -> Iterator[str]:
    """Of the machine, and of the domain it belongs to, which is a company's more often than not."""
    variables = ("COMPUTERNAME", "HOSTNAME", "USERDOMAIN", "USERDNSDOMAIN")
    for name in (socket.gethostname(), *(environ.get(variable, "") for variable in variables)):
        yield from filter(None, (name, name.partition(".")[0]))


def _secrets(variables: Iterable[tuple[str, str]]) -> Iterator[str]:
    """The values of variables that say so; Windows and some desktops keep the user's own name in `USERNAME`."""
    for name, value in variables:
        if says_secret(name) and name.upper() != "USERNAME" and value.strip():
            yield value.strip()


def _passwords(logins: Iterable[str]) -> Iterator[str]:
    """What stands before the `@` of URLs: user and password, apart."""
    for login in logins:
        yield from filter(None, (login, *login.split(":", 1)))
