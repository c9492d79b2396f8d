"""The first answer: what a person waits for who opens a healthy project, beside what the server's start takes."""

import statistics
import time

from kit.editor import editing

ROUNDS = 5


async def test_the_first_check_of_a_healthy_project_takes_at_most_twice_the_servers_start(project, uv_binary):
    example, uv = project("httpx", "typing-extensions"), uv_binary("newest")
    assert example.run(uv, "sync").returncode == 0
    starts, checks = [], []
    for _ in range(ROUNDS):
        before = time.perf_counter()
        async with editing(example.environ, example.root, settings={"uvPath": str(uv)}) as editor:
            started = time.perf_counter()
            answer = await editor.execute("uvLinkDoctor.check", example.root.as_uri())
            checked = time.perf_counter()
            assert answer["outcome"] == "healthy"
        starts.append(started - before)
        checks.append(checked - started)
    print(f"start {statistics.median(starts):.3f} s, first check {statistics.median(checks):.3f} s")
    assert statistics.median(checks) <= 2 * statistics.median(starts)
