"""A mounted folder that refuses single requests with any number, or kills who makes them, until the test lets go."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Protocol

from kit.cloud import CloudFolder
from kit.need import need
from uv_link_doctor.demo.cloudfs import missing_part, mounted

Request = Literal["link", "rename", "open"]

_PROGRAM = Path(__file__).with_name("refusing_program.py")


class RefusingFolder(CloudFolder):
    """The same places, where the test gives orders."""

    __slots__ = ()

    def refuse(self, number: int, *requests: tuple[Request, str]) -> None:
        """Answer these requests with an error: each is an operation, and a shell pattern for one of its whole paths.

        The kernel hands on 1 to 511. Replaces the orders before.
        """
        self._order([(request, pattern, number) for request, pattern in requests])

    def kill(self, *requests: tuple[Request, str]) -> None:
        """Kill whoever makes one of these requests, but never us, and grant it. Replaces the orders before."""
        self._order([(request, pattern, -os.getpid()) for request, pattern in requests])

    def let_go(self) -> None:
        """Grant everything from now on."""
        self._order([])

    def _order(self, orders: list[tuple[Request, str, int]]) -> None:
        (self.root.parent / "orders").write_text(json.dumps(orders), encoding="utf-8")


class MountRefusing(Protocol):
    def __call__(self, *, convert: str = "-", os_error: int = 0) -> RefusingFolder:
        """Mount another one; by default it does nothing to files that come into the synced folder."""


@contextmanager
def refusing_mounted(folder: Path, *, convert: str = "-", os_error: int = 0) -> Iterator[RefusingFolder]:
    """The mount is `folder / "mount"`, what it shows lies in `folder / "disk"`, `convert` is as of `cloud_mounted`."""
    lack = missing_part()
    need(lack is None, str(lack))
    places = RefusingFolder(folder / "mount")
    folder.mkdir(parents=True)
    places.let_go()
    program = (str(_PROGRAM),)
    with mounted(folder / "disk", places.root, places.synced.name, [convert], os_error=os_error, program=program):
        for place in (places.synced, places.outside, places.cache):
            place.mkdir(parents=True)
        yield places
