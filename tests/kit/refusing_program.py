"""What serves a `refusing.RefusingFolder`: the demo's file system, which besides does what the test has ordered."""

from __future__ import annotations

import json
import os
import signal
import sys
from fnmatch import fnmatchcase
from pathlib import Path

from uv_link_doctor.demo.cloudfs import CloudFiles, main


class RefusingFiles(CloudFiles):
    """The orders lie beside the directory that is shown, so that no request of their own can reach them."""

    def link(self, new: str, old: str) -> None:
        self._obey("link", old, new)
        super().link(new, old)

    def rename(self, old: str, new: str) -> None:
        self._obey("rename", old, new)
        super().rename(old, new)

    def open(self, path: str, flags: int) -> int:
        self._obey("open", path)
        return super().open(path, flags)

    def _obey(self, operation: str, *paths: str) -> None:
        for request, pattern, number in json.loads(Path(self.backing).with_name("orders").read_text(encoding="utf-8")):
            if request == operation and any(fnmatchcase(path, pattern) for path in paths):
                if number < 0:
                    caller = self.caller()[2]
                    if f"Tgid:\t{-number}\n" not in Path(f"/proc/{caller}/status").read_text(encoding="utf-8"):
                        os.kill(caller, signal.SIGKILL)
                else:
                    raise OSError(number, "As ordered")


if __name__ == "__main__":
    sys.exit(main(RefusingFiles))
