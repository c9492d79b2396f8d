"""A package index that is served over HTTP on loopback, and knows what was fetched from it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread


@dataclass(slots=True)
class ServedIndex:
    """Unlike one by a `file:` URL, `--offline` keeps uv from it."""

    url: str
    fetched: list[str] = field(default_factory=list)
    """The path of each request, the last one last."""


@contextmanager
def served(directory: Path) -> Iterator[ServedIndex]:
    """Serves a directory of wheels with its `simple` folder until the block is left."""
    fetched: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            fetched.append(self.path)

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(directory))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield ServedIndex(f"http://127.0.0.1:{server.server_port}/simple", fetched)
        finally:
            server.shutdown()
            thread.join()
