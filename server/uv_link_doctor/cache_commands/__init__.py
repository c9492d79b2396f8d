"""Looks at uv's cache by itself, gives its files that take no further link fresh ones, and moves all of it."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Coroutine
from typing import Any

from uv_link_doctor.cache_commands.known import Known, known_cache
from uv_link_doctor.cache_commands.move import move_command
from uv_link_doctor.cache_commands.repair import repair_command
from uv_link_doctor.cache_commands.scan import scan_command
from uv_link_doctor.host import Host


async def cache_command(options: argparse.Namespace, host: Host) -> int:
    """Does what was asked for with the cache in force for the working directory, or the named one."""
    return await _ACTIONS[options.action](options, host, await known_cache(options, host))


_ACTIONS: dict[str, Callable[[argparse.Namespace, Host, Known], Coroutine[Any, Any, int]]] = {
    "scan": scan_command,
    "repair": repair_command,
    "move": move_command,
}
