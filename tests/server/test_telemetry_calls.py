"""What is noted about calls: who, how they ended, what they took, and never what was asked."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path

import anyio
import pytest
from mcp import Client, MCPError
from mcp.server import MCPServer
from mcp.server.auth.middleware.auth_context import auth_context_var
from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, Implementation, TextContent
from starlette.requests import Request

from mcp_server.access.callers import Callers
from mcp_server.access.door import Door
from mcp_server.app import open_services
from mcp_server.config import ServerConfig
from mcp_server.log import FIELDS, REQUEST_ID
from mcp_server.server import build_server
from mcp_server.services import Ready
from mcp_server.telemetry.call_log import CallLog, request_id
from mcp_server.telemetry.counts import BUCKETS_SECONDS, OTHER_TOOL, CallCounts
from mcp_server.telemetry.metrics import MetricSources, build_metrics
from tests.support.http_server import ACCEPT, Names, http_serving
from tests.support.tools_server import build_small_index

QUERY = "CANARY"


def server_with(counts: CallCounts) -> tuple[MCPServer, anyio.Event]:
    """A server whose one tool ends as its query says, and what tells that a call waits."""
    server = MCPServer("x", middleware=[CallLog(counts)])
    waiting = anyio.Event()

    @server.tool(structured_output=False)
    async def web_search(query: str, end: str = "ok") -> CallToolResult:
        logging.getLogger("seekling").info("at work")
        match end:
            case "tool_error":
                raise ToolError("give fewer words")
            case "crash":
                raise RuntimeError(query)
            case "protocol":
                raise MCPError(-32000, query)
            case "wait":
                waiting.set()
                await anyio.sleep_forever()
            case "ok":
                return CallToolResult(content=[TextContent(type="text", text="zwölf")])
            case kind:
                return CallToolResult(
                    content=[TextContent(type="text", text=query)],
                    is_error=True,
                    _meta={"seekling/error": {"kind": kind}},
                )
        raise AssertionError

    return server, waiting


def facts_of(caplog: pytest.LogCaptureFixture) -> list[Mapping[str, object]]:
    records = [record for record in caplog.records if record.message == "call"]
    return [getattr(record, FIELDS) for record in records]


def outcomes(counts: CallCounts, tool: str = "web_search") -> Mapping[str, int]:
    return {each.tool: each.outcomes for each in counts.snapshot()}[tool]


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        ("ok", "ok"),
        ("rate_limited", "rate_limited"),
        ("tool_error", "bad_request"),
        ("crash", "crashed"),
        ("protocol", "rejected"),
    ],
)
async def test_a_call_is_counted_and_logged_by_how_it_ended(
    caplog: pytest.LogCaptureFixture, end: str, outcome: str
) -> None:
    counts = CallCounts()
    server, _ = server_with(counts)
    caplog.set_level(logging.INFO)
    async with Client(server, client_info=Implementation(name="a\nhost", version="1")) as client:
        try:
            await client.call_tool("web_search", {"query": QUERY, "end": end})
        except MCPError:
            assert end == "protocol"
    (facts,) = facts_of(caplog)
    assert facts["outcome"] == outcome
    assert facts["tool"] == "web_search"
    assert facts["client"] == "a host"
    assert facts["protocol"] == "2026-07-28"
    assert 0 <= float(str(facts["seconds"])) < 10
    if end in ("ok", "protocol"):
        assert facts["text_bytes"] == {"ok": 6, "protocol": 0}[end]
    assert QUERY not in json.dumps(facts)
    assert outcomes(counts) == {outcome: 1}


async def test_a_call_over_the_rate_of_its_caller_counts_as_such_and_not_as_answered(
    caplog: pytest.LogCaptureFixture,
) -> None:
    counts = CallCounts()
    server, _ = server_with(counts)
    server.middleware.append(Callers(1).middleware())
    caplog.set_level(logging.INFO)
    async with Client(server) as client:
        for _ in range(3):
            await client.call_tool("web_search", {"query": QUERY})
    assert outcomes(counts) == {"ok": 1, "rate_limited": 2}
    assert [facts["outcome"] for facts in facts_of(caplog)] == ["ok", *["rate_limited"] * 2]


async def test_a_call_that_is_given_up_counts_as_cancelled(
    caplog: pytest.LogCaptureFixture,
) -> None:
    counts = CallCounts()
    server, waiting = server_with(counts)
    caplog.set_level(logging.INFO)
    async with Client(server) as client, anyio.create_task_group() as tasks:
        tasks.start_soon(client.call_tool, "web_search", {"query": QUERY, "end": "wait"})
        await waiting.wait()
        assert {each.tool: each.in_flight for each in counts.snapshot()}["web_search"] == 1
        tasks.cancel_scope.cancel()
    (facts,) = facts_of(caplog)
    assert facts["outcome"] == "cancelled"
    assert outcomes(counts) == {"cancelled": 1}
    assert {each.in_flight for each in counts.snapshot()} == {0}


async def test_callers_do_not_choose_what_is_counted() -> None:
    counts = CallCounts()
    server, _ = server_with(counts)
    async with Client(server) as client:
        for number in range(50):
            await client.call_tool("web_search", {"query": QUERY, "end": f"kind-{number}"})
            await client.call_tool(f"{QUERY}-{number}", {})
    assert {each.tool for each in counts.snapshot()} == {"web_search", "web_visit", OTHER_TOOL}
    assert sum(outcomes(counts, OTHER_TOOL).values()) == 50
    assert sum(outcomes(counts).values()) == 50
    assert len(outcomes(counts)) <= 32


async def test_every_line_of_a_call_has_its_id_and_the_callers_name_is_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: dict[str, list[str]] = {}
    server, _ = server_with(CallCounts())
    caplog.set_level(logging.INFO)

    class Ids(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.setdefault(record.getMessage(), []).append(REQUEST_ID.get())

    handler, root = Ids(), logging.getLogger()
    root.addHandler(handler)
    user = AuthenticatedUser(AccessToken(token=QUERY, client_id="team-a", scopes=[]))
    token = auth_context_var.set(user)
    try:
        async with Client(server) as client:
            for _ in range(2):
                await client.call_tool("web_search", {"query": QUERY})
    finally:
        auth_context_var.reset(token)
        root.removeHandler(handler)
    assert seen["at work"] == seen["call"]
    assert len(set(seen["call"])) == 2
    assert all(len(each) == 12 for each in seen["call"])
    assert REQUEST_ID.get() == ""
    assert [facts["caller"] for facts in facts_of(caplog)] == ["team-a", "team-a"]
    assert QUERY not in str(facts_of(caplog))


@pytest.mark.parametrize(
    ("header", "value", "expected"),
    [
        ("x-request-id", "3f2a-B.7_c", "3f2a-B.7_c"),
        ("traceparent", f"00-{'ab' * 16}-{'cd' * 8}-01", "ab" * 16),
        ("x-request-id", "x" * 65, None),
        ("x-request-id", "two words", None),
        ("x-request-id", "forged\\n", None),
        ("x-request-id", "", None),
        ("traceparent", "00-zz-01", None),
    ],
)
def test_a_request_keeps_the_id_that_a_proxy_gave_it_if_it_is_one(
    header: str, value: str, expected: str | None
) -> None:
    request = Request({"type": "http", "headers": [(header.encode(), value.encode("latin-1"))]})
    given = request_id(request.headers)
    assert given == expected if expected else len(given) == 12 and given != value


async def test_over_http_the_callers_token_and_id_are_known_and_measured(
    caplog: pytest.LogCaptureFixture,
) -> None:
    counts = CallCounts()
    server, _ = server_with(counts)
    caplog.set_level(logging.INFO)
    call = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "tools/call",
        "params": {"name": "web_search", "arguments": {"query": QUERY}},
    }
    ids: list[str] = []

    class Ids(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            ids.append(REQUEST_ID.get())

    handler = Ids()
    logging.getLogger("seekling").addHandler(handler)
    try:
        door = Door(verifier=Names())
        metrics = build_metrics(MetricSources(calls=counts))
        async with http_serving(server, door=door, metrics=metrics, sessions=False) as served:
            headers = {"Authorization": "Bearer team-a-token", "X-Request-Id": "from-proxy-1"}
            async with served.http(**ACCEPT, **headers) as http:
                answer = await http.post("/mcp", json=call)
                scraped = await http.get("/metrics")
    finally:
        logging.getLogger("seekling").removeHandler(handler)
    assert answer.status_code == 200
    assert ids == ["from-proxy-1"]
    (facts,) = facts_of(caplog)
    assert facts["caller"] == "team-a"
    assert 'seekling_calls_total{outcome="ok",tool="web_search"} 1.0' in scraped.text
    assert QUERY not in scraped.text + str(facts)
    assert "team-a-token" not in scraped.text + str(facts) + caplog.text


def test_calls_are_counted_by_how_long_they_took() -> None:
    counts = CallCounts()
    for seconds in (0.0, 0.01, 0.011, 45.0, 46.0):
        counts.begin("web_search")
        counts.end("web_search", "ok", seconds)
    tool = counts.snapshot()[0]
    assert tool.buckets[:2] == (2, 1)
    assert tool.buckets[-2:] == (1, 1)
    assert len(tool.buckets) == len(BUCKETS_SECONDS) + 1
    assert sum(tool.buckets) == 5
    assert tool.seconds == pytest.approx(91.021)


async def test_a_page_that_is_read_as_a_resource_is_logged_and_counted_as_a_visit(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    counts = CallCounts()
    config = ServerConfig.model_validate(
        {"providers": ("local",), "index": build_small_index(tmp_path)}
    )
    caplog.set_level(logging.INFO)
    async with (
        open_services(config) as services,
        Client(build_server(Ready(services), middleware=[CallLog(counts)])) as client,
    ):
        await client.list_resources()
        await client.read_resource("page://https://facts.example/voss")
        with pytest.raises(MCPError):
            await client.read_resource("page://https://facts.example/absent")
        with pytest.raises(MCPError):
            await client.read_resource("seekling://absent")
    assert [facts["outcome"] for facts in facts_of(caplog)] == ["ok", "rejected"]
    assert int(str(facts_of(caplog)[0]["text_bytes"])) > 100
    assert "facts.example" not in json.dumps(facts_of(caplog))
    assert outcomes(counts, "web_visit") == {"ok": 1, "rejected": 1}
