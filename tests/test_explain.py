"""`explain` as a newcomer meets it: an answer to act on for every cause, and a log of any size in little memory."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from kit.logs import KINDS, log

from uv_link_doctor.engine.model import Cause

TRANSCRIPTS = Path(__file__).parent / "data" / "transcripts"
EXAMPLES = {
    Cause.CROSS_DEVICE: "de-17-wrapped",
    Cause.CLOUD_SYNC: "gh-9721",
    Cause.CLOUD_OFFLINE: "pt-362",
    Cause.UNSUPPORTED_FILESYSTEM: "astrbot-63-quoted",
    Cause.NETWORK_FILESYSTEM: "run-record-enodata-0.7.22",
    Cause.PERMISSION: "gh-5581",
    Cause.READ_ONLY: "run-erofs-0.13.9",
    Cause.FILE_IN_USE: "pywin32-data-32",
    Cause.TOO_MANY_LINKS: "fr-1142",
    Cause.NO_SPACE: "hpc-quota-musl",
    Cause.OUT_OF_MEMORY: "run-record-enomem-0.8.24",
    Cause.PATH_TOO_LONG: "path-of-windows-too-long",
    Cause.MISSING_CACHE_FILE: "run-cache-missing-archive-0.8.24",
    Cause.CORRUPT_CACHE_ENTRY: "invalid-wheel-after-warning",
    Cause.FILE_CONFLICT: "file-exists-on-windows",
    Cause.CONCURRENCY: "renamed-away-in-the-cache",
    Cause.TRANSIENT: "zfs-clone",
    Cause.UNKNOWN: "run-xdev-degraded-0.13.9",
    Cause.NOT_A_LINK_FAILURE: "lock-0.13.9",
}
"""For each cause the name of a text that proves it."""

EXPLAIN = [sys.executable, "-m", "uv_link_doctor", "explain"]


def texts() -> dict[str, str]:
    lines = [line for path in TRANSCRIPTS.glob("*.jsonl") for line in path.read_text("utf-8").split("\n") if line]
    return {case["id"]: case["text"] for case in map(json.loads, lines)}


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_is_explained_to_act_on(cause, golden, tmp_path):
    """The text that came in and the answer to it, for a person to read together."""
    said = texts()[EXAMPLES[cause]]
    answer = subprocess.run(EXPLAIN, input=said, capture_output=True, encoding="utf-8", check=False, cwd=tmp_path)
    assert (answer.returncode, answer.stderr) == (
        0 if cause is Cause.UNKNOWN and "help:" not in answer.stdout else 1,
        "",
    )
    golden(f"explain/{cause}.txt", f"{said.strip()}\n\n{'-' * 80}\n\n{answer.stdout}")


MEGABYTE = 1_000_000


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads a process's peak memory from /proc")
@pytest.mark.parametrize("kind", KINDS)
def test_a_log_of_any_size_is_explained_in_little_memory(kind):
    """What uv said at the end of 200 MB is found, with less than half of that in memory at any time."""
    with subprocess.Popen([*EXPLAIN, "--json"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        for piece in log(kind, 200 * MEGABYTE):
            process.stdin.write(piece.encode())
        process.stdin.flush()
        peak = Path(f"/proc/{process.pid}/status").read_text().split("VmHWM:")[1].split()[0]
        answer, _ = process.communicate()
    finding = json.loads(answer)["findings"][0]
    assert (finding["package"], finding["os_error"], finding["cause"]) == ("six", 18, "cross-device")
    assert int(peak) * 1024 < 100 * MEGABYTE
