"""What clients do to servers: end them in the middle, die, speak too early, ask for what there is not."""

import asyncio
import json
import os
import signal
import sys
import time
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from kit.editor import PATIENCE, editing
from kit.fake_uv import Answer
from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcException

ASKED = Answer(when=["--dry-run"], steps=[("stdout", json.dumps({"sync": {"action": "check", "changes": []}}))])
DEAF = Answer(when=["sync"], steps=[("ignore", "SIGINT"), ("ignore", "SIGTERM"), ("child", ""), ("hold", "")])


@asynccontextmanager
async def running(fake, example, by="save"):
    """A server with a run that ends only when it is killed; gives the editor, and uv's two processes."""
    async with editing(example.environ, example.root, settings={"uvPath": str(fake.path)}) as editor:
        editor.open(example.manifest)
        if by == "save":
            editor.save(example.manifest)
        else:
            params = lsp.ExecuteCommandParams("uvLinkDoctor.sync", [example.root.as_uri()])
            editor.client.workspace_execute_command(params)
        held = [await asyncio.to_thread(fake.held) for _ in range(2)]
        yield editor, held


async def end_of(editor) -> int:
    assert editor.client._server is not None
    return await asyncio.wait_for(editor.client._server.wait(), 10)


@pytest.mark.parametrize("by", ["save", "command"])
@pytest.mark.parametrize("polite", [True, False], ids=["after shutdown", "without shutdown"])
async def test_exit_during_a_run_leaves_no_process_within_two_seconds(polite, by, fake_uv, project):
    async with running(fake_uv(ASKED, DEAF), project("a"), by) as (editor, held):
        began = time.monotonic()
        if polite:
            await editor.client.shutdown_async(None)
        editor.client.exit(None)
        # The client keeps its end of stdin open, as some do.
        assert await end_of(editor) == (0 if polite else 1)
        assert all([await asyncio.to_thread(it.gone) for it in held])
        assert time.monotonic() - began < 2


async def test_a_client_that_dies_leaves_no_process(fake_uv, project):
    async with running(fake_uv(ASKED, DEAF), project("a")) as (editor, held):
        editor.client._server._transport.get_pipe_transport(0).close()
        await end_of(editor)
        assert all([await asyncio.to_thread(it.gone) for it in held])


async def test_sigterm_leaves_no_process(fake_uv, project):
    async with running(fake_uv(ASKED, DEAF), project("a")) as (editor, held):
        os.kill(editor.pid, signal.SIGTERM)
        await end_of(editor)
        assert all([await asyncio.to_thread(it.gone) for it in held])


def message(**content: Any) -> bytes:
    body = json.dumps({"jsonrpc": "2.0", **content}).encode()
    return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


async def answer(stream) -> dict[str, Any]:
    length = 0
    while line := (await stream.readline()).strip():
        if line.lower().startswith(b"content-length:"):
            length = int(line.split(b":")[1])
    return json.loads(await stream.readexactly(length))


@asynccontextmanager
async def raw(environ, *, stderr=asyncio.subprocess.DEVNULL):
    """A server that is spoken to without a library's manners."""
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "uv_link_doctor", "server", "--stdio"],
        env=environ,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=stderr,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        process._transport.close()  # type: ignore[attr-defined]  # asyncio's own warning asks for it


async def test_a_cancel_that_crosses_the_answer_is_no_news(project):
    initialize = {"method": "initialize", "params": {"processId": None, "rootUri": None, "capabilities": {}}}
    async with raw(project().environ, stderr=asyncio.subprocess.PIPE) as server:
        server.stdin.write(message(id=1, **initialize))
        assert (await asyncio.wait_for(answer(server.stdout), 20))["id"] == 1
        server.stdin.write(message(method="$/cancelRequest", params={"id": 1}))
        server.stdin.write(message(id=2, method="shutdown"))
        assert (await asyncio.wait_for(answer(server.stdout), 20))["id"] == 2
        server.stdin.write(message(method="exit"))
        assert await asyncio.wait_for(server.stderr.read(), 20) == b""


async def test_requests_out_of_turn_and_unknown_ones_get_proper_errors(project):
    environ = project().environ
    at = {"textDocument": {"uri": "file:///p"}, "position": {"line": 0, "character": 0}}
    initialize = {"method": "initialize", "params": {"processId": None, "rootUri": None, "capabilities": {}}}
    async with raw(environ) as server:

        async def ask(number: int, **content: Any) -> dict[str, Any]:
            server.stdin.write(message(id=number, **content))
            return await asyncio.wait_for(answer(server.stdout), 20)

        early = await ask(1, method="textDocument/hover", params=at)
        assert (early["id"], early["error"]["code"]) == (1, -32002)
        server.stdin.write(message(method="textDocument/didSave", params={"textDocument": {"uri": "file:///p"}}))
        ready = await ask(2, **initialize)
        assert ready["result"]["serverInfo"]["name"] == "uv-link-doctor"
        assert ready["result"]["capabilities"]["positionEncoding"] == "utf-16"
        unknown = await ask(3, method="uvLinkDoctor/noSuchMethod", params={})
        assert (unknown["id"], unknown["error"]["code"]) == (3, -32601)
        command = await ask(
            4, method="workspace/executeCommand", params={"command": "uvLinkDoctor.no", "arguments": []}
        )
        assert command["error"]["code"] == -32602
        assert (await ask(5, method="shutdown"))["result"] is None
        late = await ask(6, method="shutdown")
        assert late["error"]["code"] == -32600
        server.stdin.write(message(method="exit"))
        assert await asyncio.wait_for(server.wait(), 20) == 0


@pytest.mark.parametrize(
    ("command", "arguments", "words"),
    [
        ("uvLinkDoctor.sync", [], "the argument must be the URI of a project's root"),
        ("uvLinkDoctor.check", ["file:///no/such/place"], "no such file or directory"),
        ("uvLinkDoctor.explain", [1], "takes one text"),
        ("uvLinkDoctor.apply", ["x"], "takes one object with `root`, `finding` and `remedy`"),
    ],
)
async def test_commands_with_wrong_arguments_are_answered_in_a_sentence(command, arguments, words, project):
    example = project("a")
    async with editing(example.environ, example.root) as editor:
        with pytest.raises(JsonRpcException, match=words):
            await editor.execute(command, *arguments)


async def test_a_remedy_that_is_not_offered_is_refused(fake_uv, project):
    fake, example = fake_uv(), project("a")
    async with editing(example.environ, example.root, settings={"uvPath": str(fake.path)}) as editor:
        wanted = {"root": example.root.as_uri(), "finding": "link-failed:cloud-sync:hardlink", "remedy": "x"}
        with pytest.raises(JsonRpcException, match="no longer offered"):
            await editor.execute("uvLinkDoctor.apply", wanted)
    assert fake.invocations("sync") == []


async def connected(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to a port that a server is about to open; nothing tells when, so it is tried again."""
    for _ in range(200):
        with suppress(ConnectionRefusedError):
            return await asyncio.open_connection("127.0.0.1", port)
        await asyncio.sleep(0.05)
    raise TimeoutError(port)


async def test_a_server_over_tcp_serves_one_client(project, unused_tcp_port):
    process = await asyncio.create_subprocess_exec(
        *[sys.executable, "-m", "uv_link_doctor", "server", "--tcp", f"127.0.0.1:{unused_tcp_port}"],
        env=project().environ,
    )
    try:
        reader, writer = await connected(unused_tcp_port)
        writer.write(
            message(id=1, method="initialize", params={"processId": None, "rootUri": None, "capabilities": {}})
        )
        assert (await asyncio.wait_for(answer(reader), 20))["id"] == 1
        writer.close()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def cancelled(editor, answer) -> None:
    """What an editor does when the user gives up on a request."""
    editor.client.protocol.notify("$/cancelRequest", lsp.CancelParams("asked"))
    with pytest.raises(JsonRpcException, match="cancel"):
        await asyncio.wait_for(answer, PATIENCE)


def ask(editor, command: str, *arguments: Any) -> asyncio.Future[Any]:
    params = lsp.ExecuteCommandParams(command, list(arguments))
    return editor.client.protocol.send_request_async("workspace/executeCommand", params, msg_id="asked")


async def test_a_cancelled_command_ends_its_run_and_what_that_left_is_shown(fake_uv, project):
    fake, example = fake_uv(ASKED, Answer(when=["sync"], steps=[("hold", "")])), project("a")
    async with editing(example.environ, example.root, settings={"uvPath": str(fake.path)}) as editor:
        editor.open(example.manifest)
        answer = ask(editor, "uvLinkDoctor.sync", example.root.as_uri())
        held = await asyncio.to_thread(fake.held)
        (example.environment / "lib/python3.11/site-packages/half-1.dist-info").mkdir(parents=True)
        await cancelled(editor, answer)
        assert await asyncio.to_thread(held.gone)
        await editor.sees(example.manifest, "environment-broken")


async def test_a_cancelled_request_is_answered_when_its_thread_has_ended(fake_uv, project):
    fake, example = fake_uv(), project("a")
    packages = example.environment / "lib/python3.11/site-packages"
    whole = packages / "whole-1.dist-info"
    for info in (packages / "half-1.dist-info", whole):
        info.mkdir(parents=True)
    for name in ("INSTALLER", "METADATA"):
        (whole / name).write_text("")
    os.mkfifo(whole / "RECORD")  # Who reads it waits for us.
    async with editing(example.environ, example.root, settings={"uvPath": str(fake.path)}) as editor:
        editor.open(example.manifest)
        (broken,) = await editor.sees(example.manifest, "environment-broken")
        (fix, *_) = await editor.quick_fixes(example.manifest, broken)
        assert fix.command is not None
        answer = ask(editor, fix.command.command, *fix.command.arguments or ())
        written = await asyncio.to_thread(open, whole / "RECORD", "w")
        end = asyncio.ensure_future(cancelled(editor, answer))
        for _ in range(3):
            await editor.heard()
        assert not answer.done()
        written.close()
        await end
    assert fake.invocations("sync") == []


async def test_a_thread_that_a_file_system_keeps_does_not_keep_the_server(fake_uv, project):
    fake, example = fake_uv(), project("a")
    info = example.environment / "lib/python3.11/site-packages/half-1.dist-info"
    info.mkdir(parents=True)
    os.mkfifo(info / "RECORD")
    async with editing(example.environ, example.root, settings={"uvPath": str(fake.path)}) as editor:
        editor.client.workspace_execute_command(lsp.ExecuteCommandParams("uvLinkDoctor.check", [example.root.as_uri()]))
        written = await asyncio.to_thread(open, info / "RECORD", "w")
        began = time.monotonic()
        await editor.client.shutdown_async(None)
        editor.client.exit(None)
        assert await end_of(editor) == 0
        assert time.monotonic() - began < 2
        written.close()


INITIALIZE = {"processId": None, "rootUri": None}
UNREADABLE = [
    (message(id=2, method="workspace/executeCommand", params={}), 2, -32602),
    (message(id=3, method="textDocument/hover"), 3, -32602),
    (b"Content-Length: 5\r\n\r\nhello", None, -32700),
    (b"Content-Length: 3\r\n\r\n\xff\xfe\xfd", None, -32700),
    (b"Content-Length: 2\r\n\r\n[]", None, -32600),
    (b"Content-Length: 4\r\n\r\nnull", None, -32600),
]


async def test_what_cannot_be_read_is_answered_without_a_word_to_the_user_or_a_traceback(project):
    async with raw(project().environ, stderr=asyncio.subprocess.PIPE) as server:
        server.stdin.write(message(id=1, method="initialize", params={**INITIALIZE, "capabilities": {}}))
        assert (await asyncio.wait_for(answer(server.stdout), PATIENCE))["id"] == 1
        for sent, number, code in UNREADABLE:
            server.stdin.write(sent)
            said = await asyncio.wait_for(answer(server.stdout), PATIENCE)
            assert (said["id"], said["error"]["code"]) == (number, code)
        server.stdin.write(message(method="textDocument/didSave", params=[]))
        server.stdin.write(message(id=9, method="shutdown"))
        assert (await asyncio.wait_for(answer(server.stdout), PATIENCE))["id"] == 9
        server.stdin.write(message(method="exit"))
        logged = await asyncio.wait_for(server.stderr.read(), PATIENCE)
        assert logged == b"Passed over: the parameters of `textDocument/didSave` cannot be read as the protocol says\n"


@pytest.mark.parametrize("given", ["nothing but null", "an error", "settings"])
async def test_a_client_that_breaks_its_word_about_settings_is_served_all_the_same(given, project):
    capabilities = {"configuration": True, "didChangeConfiguration": {"dynamicRegistration": True}}
    refused: dict[str, Any] = {"error": {"code": -32601, "message": "unknown"}}
    said: dict[str, dict[str, Any]] = {
        "nothing but null": {"result": None},
        "an error": refused,
        "settings": {"result": [{"onSave": "never"}]},
    }
    options = {"onSave": "now and then"}
    async with raw(project().environ) as server:
        params = {**INITIALIZE, "capabilities": {"workspace": capabilities}, "initializationOptions": options}
        server.stdin.write(message(id=1, method="initialize", params=params))
        told = []
        while "id" not in (heard := await asyncio.wait_for(answer(server.stdout), PATIENCE)):
            told.append(heard)
        server.stdin.write(message(method="initialized", params={}))
        asked: list[str] = []
        while len(asked) < 2:
            heard = await asyncio.wait_for(answer(server.stdout), PATIENCE)
            if "id" in heard:
                asked.append(heard["method"])
                mine = said[given] if heard["method"] == "workspace/configuration" else refused
                server.stdin.write(message(id=heard["id"], **mine))
            else:
                told.append(heard)
        server.stdin.write(message(id=9, method="shutdown"))
        while heard.get("id") != 9:
            heard = await asyncio.wait_for(answer(server.stdout), PATIENCE)
            told.append(heard)
    assert asked == ["workspace/configuration", "client/registerCapability"]
    shown = [it["params"]["message"] for it in told if it.get("method") == "window/showMessage"]
    complaint = "The setting `uvLinkDoctor.onSave` must be `sync`, `check` or `off`; its default is used."
    assert shown == [complaint] * (2 if given == "settings" else 1)
