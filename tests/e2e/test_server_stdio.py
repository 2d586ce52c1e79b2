"""The server as hosts start it: the installed script, over stdio."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
from mcp import Client, StdioServerParameters
from mcp.types import TextContent

from mcp_server.cli.main import main
from tests.support.fake_web import reply, serve, silent
from tests.support.stdio_server import StdioServer, is_running
from tests.support.tools_server import build_small_index

SCRIPT = str(Path(sys.executable).with_name("seekling-mcp"))


def command(index: Path) -> list[str]:
    return [SCRIPT, "serve", "--providers", "local", "--index", str(index)]


async def test_a_host_lists_and_calls_both_tools(tmp_path: Path) -> None:
    executable, *arguments = command(build_small_index(tmp_path))
    with anyio.fail_after(60):
        parameters = StdioServerParameters(command=executable, args=arguments)
        async with Client(parameters) as client:
            names = [tool.name for tool in (await client.list_tools()).tools]
            found = await client.call_tool("web_search", {"query": "river Serrin", "top_k": 1})
            url = (found.structured_content or {})["results"][0]["url"]
            page = await client.call_tool("web_visit", {"url": url})
    assert names == ["web_search", "web_visit"]
    assert isinstance(page.content[0], TextContent)
    assert "The river Serrin flows through Ostrelund." in page.content[0].text


NOISY = """
import subprocess, sys
from mcp_server.services import OnDemand
from mcp_server.cli.main import main

soon = OnDemand.soon

def noisy(source):
    print("noise that is flushed", flush=True)
    print("noise that stays in a buffer until the end")
    subprocess.run(["echo", "noise of a child"])
    soon(source)

OnDemand.soon = noisy  # called as soon as the tools are listed
sys.exit(main(sys.argv[1:]))
"""


def test_stdout_carries_protocol_only_whatever_stdin_and_libraries_say(tmp_path: Path) -> None:
    arguments = [*command(build_small_index(tmp_path))[1:], "--log-level", "debug"]
    server = StdioServer([sys.executable, "-c", NOISY, *arguments], stderr=subprocess.PIPE)
    assert server.process.stderr
    server.send(b"junk\n\n" + b"\xff\n" + b"[" * 200_000 + b"\n" + b"x" * 8_000_000 + b"\n")
    assert [server.read()["error"]["code"] for _ in range(4)] == [-32700, -32700, -32700, -32600]
    assert server.list_tools() == ["web_search", "web_visit"]
    # Half a pair of surrogates, which would end a server of the SDK.
    assert not server.call("web_search", {"query": "river Serrin \ud83d"}).get("isError")
    calls = [server.begin_call("web_search", {"query": f"river {n}"}) for n in range(200)]
    assert sorted(server.read()["id"] for _ in calls) == calls
    ping = {"jsonrpc": "2.0", "id": "last", "method": "ping"}
    server.send(json.dumps(ping).encode())  # without a line break
    server.stdin.close()
    assert server.read()["id"] == "last"
    assert server.stdout.read() == b""
    told = server.process.stderr.read().decode()
    server.process.stderr.close()
    assert server.end() == 0, "the server ends when its stdin closes"
    assert told.count("noise") == 3


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGKILL, -9)])
async def test_a_server_ends_with_its_children_while_calls_are_under_way(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    allowed = ["--allow-private", "127.0.0.1", "--allow-ports", "any"]
    routes = {"/page": reply("<p>Read by a child. " * 4_000), "/never": silent}
    with anyio.fail_after(60):
        async with serve(routes) as web:
            server = StdioServer([*command(build_small_index(tmp_path)), *allowed])
            await anyio.to_thread.run_sync(server.list_tools)
            page = {"url": web.url("/page")}
            read = await anyio.to_thread.run_sync(server.call, "web_visit", page)
            assert "Read by a child" in read["content"][0]["text"]
            server.begin_call("web_visit", {"url": web.url("/never")})
            processes = server.family()
            assert len(processes) > 1
            os.kill(server.process.pid, number)
            assert await anyio.to_thread.run_sync(server.process.wait, 5) == code
            with anyio.fail_after(1):
                while any(map(is_running, processes)):
                    await anyio.lowlevel.checkpoint()
            server.end()


def test_settings_that_are_wrong_end_the_server_before_it_serves(
    capfd: pytest.CaptureFixture[str],
) -> None:
    assert main(["serve", "--providers", "local", "--browser", "/no/such/browser"]) == 2
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1)


def test_an_index_that_turns_out_to_be_damaged_ends_the_server(tmp_path: Path) -> None:
    index = build_small_index(tmp_path)
    for part in index.rglob("*"):
        if part.is_file() and "manifest" not in part.name:
            part.write_bytes(b"")
    server = StdioServer(command(index), stderr=subprocess.PIPE)
    assert server.process.stderr
    server.list_tools()
    assert server.stdout.read() == b"", "it ends by itself"
    told = server.process.stderr.read().decode()
    server.process.stderr.close()
    assert server.end() == 1
    assert told.count("\n") == 1
    assert "damaged" in told
