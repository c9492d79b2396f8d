"""One work on a cache, in a process of its own so that its memory can be told: `cache_work.py WORK CACHE [TO]`.

Prints the seconds, those of a repair's verification, and the most megabytes that were in use.
"""

import json
import math
import re
import sys
import time
from pathlib import Path

from uv_link_doctor.host.cache import entry_at
from uv_link_doctor.host.cache_move import move
from uv_link_doctor.host.cache_repair import repair
from uv_link_doctor.host.cache_scan import Trouble, Troubled, files_of, scan
from uv_link_doctor.host.cache_sieve import archives_in


def main(work: str, cache: Path, *to: str) -> None:
    """The work is `probe`, `scan`, `repair` (of all files), `move` (nothing stays), or `carry` (the old one stays)."""
    troubled = everything(cache) if work == "repair" else []
    started = time.perf_counter()
    verifying = 0.0
    if work == "repair":
        verifying = repair(cache, troubled).verifying
    elif work in {"move", "carry"}:
        move(cache, Path(*to), leave_link=False)
    else:
        scan(cache, complete=work == "scan")
    print(json.dumps([time.perf_counter() - started, verifying, megabytes()]))


def everything(cache: Path) -> list[Troubled]:
    """Each entry of a cache, as if its files took no link."""
    return [
        Troubled(
            package=entry.package,
            version=entry.version,
            path=entry.path,
            trouble=Trouble.REFUSED,
            files=tuple(file.path[len(str(entry.path)) + 1 :] for file in files_of(str(entry.path))),
            complete=True,
        )
        for entry in filter(None, map(entry_at, archives_in(str(cache))))
    ]


def megabytes() -> float:
    """Of this process and the largest of its children: rather too much, since a child begins as large as its parent."""
    if sys.platform == "win32":
        return math.nan
    import resource  # Windows has none.

    if sys.platform == "linux":  # What getrusage(2) says of a process begins as large as its parent, too.
        own = int(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text(encoding="ascii"))[0])
    else:
        own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // (1024 if sys.platform == "darwin" else 1)
    return (own + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), *sys.argv[3:])
