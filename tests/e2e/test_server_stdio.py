"""The server as hosts start it: the installed script, over stdio."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import anyio
from mcp import Client, StdioServerParameters
from mcp.types import TextContent

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


def test_stdout_carries_protocol_only_from_the_first_byte(tmp_path: Path) -> None:
    requests = [
        {
            "jsonrpc": "2.0",
            "id": 1,
            "method": "initialize",
            "params": {
                "protocolVersion": "2025-11-25",
                "capabilities": {},
                "clientInfo": {"name": "test", "version": "1"},
            },
        },
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/list"},
    ]
    with subprocess.Popen(
        [*command(build_small_index(tmp_path)), "--log-level", "debug"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stdin
        assert server.stdout
        replies: list[dict[str, object]] = []
        for request in requests:
            server.stdin.write(json.dumps(request) + "\n")
            server.stdin.flush()
            if "id" in request:
                replies.append(json.loads(server.stdout.readline()))
        server.stdin.close()
        rest = server.stdout.read()
        assert server.wait(10) == 0, "the server ends when its stdin closes"
    assert [reply["id"] for reply in replies] == [1, 2]
    assert rest == ""


def test_an_interrupt_ends_the_server_at_once(tmp_path: Path) -> None:
    with subprocess.Popen(
        command(build_small_index(tmp_path)),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as server:
        assert server.stdin
        assert server.stdout
        ping = {"jsonrpc": "2.0", "id": 1, "method": "ping"}
        server.stdin.write(json.dumps(ping).encode() + b"\n")
        server.stdin.flush()
        server.stdout.readline()  # it is up
        os.kill(server.pid, signal.SIGINT)
        assert server.wait(5) == 130
