"""The bridge to MCP: in memory, and over stdio with real processes."""

import os
import sys
from pathlib import Path

import anyio
import pytest

from agent_client.conversation import ToolCall
from agent_client.errors import ToolServerError
from agent_client.tool_server.targets import StdioTarget
from agent_client.toolbox import McpToolbox
from tests.support.serving import serving
from tests.support.tools_server import tools_server

SCRIPT = """
import json, os, signal, sys

TOOLS = {"echo": ["text"], "pid": [], "die": ["marker"], "stop": ["marker"], "die_always": [],
    "hang": ["marker"], "junk": []}
hanging = {}

def mark(path):
    open(path, "w").close()

def listed():
    for name, takes in TOOLS.items():
        properties = {key: {"type": "string"} for key in takes}
        yield {"name": name, "inputSchema": {"type": "object", "properties": properties}}

def called(number, name, given):
    match name:
        case "echo":
            return given["text"]
        case "pid":
            return str(os.getpid())
        case "die" if not os.path.exists(given["marker"]):
            mark(given["marker"])
            print("the server is dying", file=sys.stderr, flush=True)
            os._exit(9)
        case "die":
            return "survived"
        case "die_always":
            os._exit(9)
        case "stop":
            mark(given["marker"])
            os.kill(os.getpid(), signal.SIGSTOP)
        case "junk":
            os.write(1, b'warning: \\xff\\xfe\\n{"jsonrpc": "2.0"\\n[]\\n\\n{"id": null}\\n')
            return "after the junk"
        case "hang":
            hanging[number] = given["marker"]

def answer(number, method, params):
    match method:
        case "initialize":
            me = {"name": "odd", "version": "1"}
            version = params["protocolVersion"]
            return {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": me}
        case "ping":
            return {}
        case "tools/list":
            return {"tools": list(listed())}
        case "tools/call":
            text = called(number, params["name"], params["arguments"])
            return text and {"content": [{"type": "text", "text": text}]}

for line in sys.stdin:
    message = json.loads(line)
    method, number = message.get("method"), message.get("id")
    if method == "notifications/cancelled":
        mark(hanging.pop(message["params"]["requestId"]))
    if number is None or number in hanging:
        continue
    reply = {"result": answer(number, method, message.get("params"))}
    if method == "server/discover":
        reply = {"error": {"code": -32601, "message": "Method not found"}}
    if number not in hanging:
        print(json.dumps({"jsonrpc": "2.0", "id": number, **reply}), flush=True)
"""
"""A server that speaks the protocol by hand: with the SDK each start would take a second."""


def target(tmp_path: Path, script: str = SCRIPT) -> StdioTarget:
    path = tmp_path / "odd_server.py"
    path.write_text(script)
    return StdioTarget(sys.executable, (str(path),), {"EXTRA": "1"})


def call(name: str, **arguments: object) -> ToolCall:
    return ToolCall("c1", name, arguments)


async def test_tools_of_a_server_in_this_process_are_listed_and_called(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with tools_server(tmp_path) as server, McpToolbox.open(server) as tools:
            names = [spec.name for spec in await tools.list_tools()]
            result = await tools.call(call("web_visit", url="https://facts.example/voss"))
    assert names == ["web_search", "web_visit"]
    assert "born in Ostrelund" in result.text
    assert "seekling/pages" in result.meta


async def test_a_failing_tool_is_a_result_that_says_so(tmp_path: Path) -> None:
    with anyio.fail_after(20):
        async with tools_server(tmp_path) as server, McpToolbox.open(server) as tools:
            blocked = await tools.call(call("web_visit", url="http://127.0.0.1/"))
            unknown = await tools.call(call("no_such_tool"))
            wrong = await tools.call(call("web_visit"))
    for result in (blocked, unknown, wrong):
        assert result.is_error
        assert result.text.startswith("Error")
    assert "blocked" in blocked.text


async def test_a_server_that_dies_in_a_call_is_started_again_and_asked_once_more(
    tmp_path: Path,
) -> None:
    with anyio.fail_after(60):
        async with McpToolbox.open(target(tmp_path)) as tools:
            first = await tools.call(call("pid"))
            result = await tools.call(call("die", marker=str(tmp_path / "died")))
            second = await tools.call(call("pid"))
    assert result.text == "survived"
    assert first.text != second.text


async def test_a_call_that_kills_the_server_twice_is_a_failed_call_and_no_more(
    tmp_path: Path,
) -> None:
    with anyio.fail_after(60):
        async with McpToolbox.open(target(tmp_path)) as tools:
            result = await tools.call(call("die_always"))
            after = await tools.call(call("echo", text="alive"))
    assert result.is_error
    assert "lost twice" in result.text
    assert after.text == "alive"


async def test_a_server_that_dies_in_every_call_is_lost_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent_client.toolbox.RESPAWNS", 1)
    with anyio.fail_after(60):
        async with McpToolbox.open(target(tmp_path)) as tools:
            assert (await tools.call(call("die_always"))).is_error
            with pytest.raises(ToolServerError, match="lost 2 times"):
                await tools.call(call("die_always"))


async def test_a_server_that_comes_back_with_other_tools_is_not_called(tmp_path: Path) -> None:
    odd = target(tmp_path)
    with anyio.fail_after(60):
        async with McpToolbox.open(odd) as tools:
            before = await tools.list_tools()
            path = tmp_path / "odd_server.py"
            path.write_text(SCRIPT.replace('"pid": []', '"pid": ["secrets"]'))
            marker = tmp_path / "died"
            with pytest.raises(ToolServerError, match="other tools than before"):
                await tools.call(call("die", marker=str(marker)))
            with pytest.raises(ToolServerError, match="other tools than before"):
                await tools.call(call("pid"))
            path.write_text(SCRIPT)  # the server that we know is back
            assert (await tools.call(call("echo", text="alive"))).text == "alive"
            assert await tools.list_tools() == before


async def test_junk_on_a_server_s_stdout_costs_no_call(tmp_path: Path) -> None:
    with anyio.fail_after(60):
        async with McpToolbox.open(target(tmp_path)) as tools:
            results = [await tools.call(call("junk")) for _ in range(3)]
    assert [result.text for result in results] == ["after the junk"] * 3


async def test_a_server_that_stands_still_is_started_again_after_the_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent_client.tool_server.connection.PING_SECONDS", 0.2)
    marker = tmp_path / "stopped"
    with anyio.fail_after(60):
        async with McpToolbox.open(target(tmp_path), call_seconds=2.0) as tools:
            stopped = await tools.call(call("stop", marker=str(marker)))
            after = await tools.call(call("echo", text="alive"))
    assert marker.exists()
    assert "no result within 2 s" in stopped.text
    assert after.text == "alive"


async def test_a_call_that_hangs_ends_at_its_deadline_here_and_in_the_server(
    tmp_path: Path,
) -> None:
    cancelled = tmp_path / "cancelled"
    with anyio.fail_after(60):
        async with McpToolbox.open(target(tmp_path), call_seconds=0.5) as tools:
            result = await tools.call(call("hang", marker=str(cancelled)))
            after = await tools.call(call("echo", text="alive"))
            assert cancelled.exists()
    assert result.is_error
    assert "no result within 0.5 s" in result.text
    assert after.text == "alive"


async def test_calls_side_by_side_each_get_their_own_result(tmp_path: Path) -> None:
    results: dict[int, str] = {}
    with anyio.fail_after(60):
        async with McpToolbox.open(target(tmp_path)) as tools:

            async def ask(number: int) -> None:
                results[number] = (await tools.call(call("echo", text=str(number)))).text

            async with anyio.create_task_group() as tasks:
                for number in range(50):
                    tasks.start_soon(ask, number)
    assert results == {number: str(number) for number in range(50)}


async def test_the_server_is_gone_when_the_toolbox_is_closed(tmp_path: Path) -> None:
    with anyio.fail_after(60):
        async with McpToolbox.open(target(tmp_path)) as tools:
            pid = (await tools.call(call("pid"))).text
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("no-such-command-anywhere --flag", "command not found"),
        ("'unbalanced", "not a command line"),
        ("", "the command is empty"),
    ],
)
async def test_a_command_that_cannot_be_started_is_one_clear_error(line: str, says: str) -> None:
    with anyio.fail_after(30), pytest.raises(ToolServerError, match=says):
        async with McpToolbox.open(StdioTarget.parse(line, {})):
            pass


async def test_a_server_that_ends_at_once_is_reported_with_its_last_words(tmp_path: Path) -> None:
    script = "import sys; sys.exit('the index is missing')"
    with anyio.fail_after(30), pytest.raises(ToolServerError) as caught:
        async with McpToolbox.open(target(tmp_path, script)):
            pass
    assert "the index is missing" in str(caught.value)


async def test_a_program_that_is_no_mcp_server_does_not_hang(tmp_path: Path) -> None:
    script = "import sys\nprint('loading', file=sys.stderr)\nfor line in sys.stdin: pass"
    with anyio.fail_after(30), pytest.raises(ToolServerError, match=r"no answer.*wrote: loading"):
        async with McpToolbox.open(target(tmp_path, script), start_seconds=1.0):
            pass


async def test_a_running_server_is_reached_by_its_url(tmp_path: Path) -> None:
    with anyio.fail_after(30):
        async with tools_server(tmp_path) as server:
            app = server.streamable_http_app(host="127.0.0.1")
            async with (
                server.session_manager.run(),
                serving(app) as address,
                McpToolbox.open(f"{address}/mcp") as tools,
            ):
                result = await tools.call(call("web_visit", url="https://facts.example/voss"))
    assert "born in Ostrelund" in result.text
    assert "seekling/pages" in result.meta


async def test_a_url_where_nothing_listens_is_one_clear_error() -> None:
    with anyio.fail_after(30), pytest.raises(ToolServerError, match="cannot be reached"):
        async with McpToolbox.open("http://127.0.0.1:9/mcp"):
            pass
