"""What a `fake_uv.FakeUv` executes: notes that it was started, and does what the file named first tells it."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any


def main() -> int:
    told: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    arguments = sys.argv[2:]
    trace = Path(told["trace"])
    _note(
        trace,
        arguments=arguments,
        directory=str(Path.cwd()),
        environ=dict(os.environ),
        process=os.getpid(),
        group=os.getpgrp(),
        stdin_is_null=os.path.samestat(os.fstat(0), Path(os.devnull).stat()),
    )
    if {"--version", "-V"} & set(arguments):
        _print(1, f"uv {told['version']}\n")
        return 0

    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Else Python would print a traceback.
    connections = []  # Open until the end of this process, by which the test knows it.
    answer: dict[str, Any] = next((it for it in told["answers"] if set(it["when"]) <= set(arguments)), {})
    for step, value in answer.get("steps", ()):
        match step:
            case "stdout":
                _print(1, value)
            case "stderr":
                _print(2, value)
            case "pause":
                time.sleep(value)
            case "ignore":
                signal.signal(
                    signal.Signals[value], lambda number, _frame: _note(trace, signal=signal.Signals(number).name)
                )
            case "hold":
                connections.append(_connect(told["port"]))
                connections[-1].recv(1)
            case "child":
                connection = _connect(told["port"])
                if os.fork() == 0:
                    connection.recv(1)
                    return 0
                connection.close()
            case _:
                raise ValueError(step)
    return int(answer.get("exit_code", 0))


def _note(trace: Path, **entry: object) -> None:
    line = json.dumps(entry).encode() + b"\n"
    with trace.open("ab", buffering=0) as file:
        file.write(line)  # In one piece, since several may be at it.


def _print(handle: int, text: str) -> None:
    data = text.encode("utf-8", "surrogateescape")
    while data:
        data = data[os.write(handle, data) :]


def _connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port))


if __name__ == "__main__":
    sys.exit(main())
