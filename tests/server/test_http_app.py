"""MCP over HTTP: both eras, with sessions and without, within bounds."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Literal

import anyio
import httpx
import pytest
from mcp import Client
from mcp.types import TextContent
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import request_response
from starlette.types import Message

from mcp_server.errors import ConfigError
from mcp_server.serving.http_app import build_http_app
from mcp_server.serving.http_options import HttpOptions
from mcp_server.serving.request_bodies import WholeBody
from mcp_server.serving.traffic import Traffic
from tests.support.http_server import (
    ACCEPT,
    Bench,
    Served,
    http_serving,
    initialize,
    modern_headers,
    open_session,
    request,
)
from tests.support.tools_server import tools_server


def first_text(result: Any) -> str:
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


@pytest.mark.parametrize("sessions", [True, False])
async def test_both_tools_are_called_by_clients_of_both_eras(
    sessions: bool, tmp_path: Path
) -> None:
    async with (
        tools_server(tmp_path) as server,
        http_serving(server, sessions=sessions, path="/search/mcp") as served,
    ):
        modes: tuple[Literal["auto", "legacy"], ...] = ("auto", "legacy")
        for mode in modes:
            async with Client(served.url, mode=mode) as client:
                assert {tool.name for tool in (await client.list_tools()).tools} == {
                    "web_search",
                    "web_visit",
                }
                found = await client.call_tool("web_search", {"query": "river Serrin"})
                url = (found.structured_content or {})["results"][0]["url"]
                page = await client.call_tool("web_visit", {"url": url})
                assert "The river Serrin flows through Ostrelund." in first_text(page)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_call_that_its_client_gives_up_is_cancelled(
    mode: Literal["auto", "legacy"],
) -> None:
    bench = Bench()
    async with http_serving(bench.server()) as served, Client(served.url, mode=mode) as client:
        async with anyio.create_task_group() as calls:
            calls.start_soon(client.call_tool, "wait", {})
            await bench.until(started=1)
            calls.cancel_scope.cancel()
        await bench.until(cancelled=1, seconds=1)
        assert first_text(await client.call_tool("echo", {"text": "on"})) == "on"


@pytest.mark.parametrize("era", ["modern", "session", "sessionless"])
async def test_a_call_whose_client_goes_away_is_cancelled(era: str) -> None:
    bench = Bench()
    async with http_serving(bench.server(), sessions=era != "sessionless") as served:
        async with served.http() as http, anyio.create_task_group() as calls:
            is_modern = era == "modern"
            headers = (
                modern_headers("tools/call", "wait") if is_modern else await open_session(http)
            )
            body = request("tools/call", modern=is_modern, name="wait", arguments={})
            calls.start_soon(lambda: http.post("/mcp", json=body, headers=headers))
            await bench.until(started=1)
            calls.cancel_scope.cancel()
        await bench.until(cancelled=1, seconds=1)
        await served.until(calls=0)


@pytest.mark.parametrize("is_modern", [True, False])
async def test_two_hundred_calls_at_once_are_all_answered(is_modern: bool) -> None:
    answered: list[bool] = []
    async with http_serving(Bench().server()) as served, served.http() as http:
        headers = modern_headers("tools/call", "echo") if is_modern else await open_session(http)

        async def call(number: int) -> None:
            said = {"name": "echo", "arguments": {"text": f"call {number}"}}
            body = request("tools/call", number=number, modern=is_modern, **said)
            reply = await post(served, body, headers)
            answered.append(f'"text":"call {number}"'.encode() in reply)

        async with anyio.create_task_group() as calls:
            for number in range(200):
                calls.start_soon(call, number)
    assert answered == [True] * 200


async def post(served: Served, body: dict[str, Any], headers: dict[str, str]) -> bytes:
    """The whole reply; with 200 connections httpx takes longer than the server."""
    content = json.dumps(body).encode()
    head = {**headers, "Host": "127.0.0.1", "Content-Length": len(content), "Connection": "close"}
    head["Content-Type"] = "application/json"
    lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    port = int(served.base.rpartition(":")[2])
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(f"POST /mcp HTTP/1.1\r\n{lines}\r\n".encode() + content)
        return b"".join([piece async for piece in stream])


async def test_one_call_too_many_is_told_when_to_come_back_and_streams_take_no_place() -> None:
    bench = Bench()
    async with (
        http_serving(bench.server(), max_requests=1, max_sessions=2) as served,
        served.http() as http,
    ):
        first, second = await open_session(http), await open_session(http)
        async with (
            http.stream("GET", "/mcp", headers=first),
            http.stream("GET", "/mcp", headers=second),
            anyio.create_task_group() as calls,
        ):
            await served.until(streams=2)
            wait = request("tools/call", name="wait", arguments={})
            calls.start_soon(lambda: http.post("/mcp", json=wait, headers=first))
            await bench.until(started=1)
            refused = await http.post("/mcp", json=request("ping"), headers=second)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            assert "1 requests are under way" in refused.json()["error"]["message"]
            assert (await http.get("/health")).status_code == 200
            bench.release.set()
        await served.until()
        assert (await http.post("/mcp", json=request("ping"), headers=second)).status_code == 200


async def test_listening_has_a_limit_of_its_own_in_the_newer_protocol() -> None:
    listen = request("subscriptions/listen", modern=True, notifications={"toolsListChanged": True})
    headers = modern_headers("subscriptions/listen")
    async with (
        http_serving(Bench().server(), max_sessions=1) as served,
        served.http() as http,
        http.stream("POST", "/mcp", json=listen, headers=headers) as stream,
    ):
        assert stream.status_code == 200
        await served.until(streams=1)
        refused = await http.post("/mcp", json=listen, headers=headers)
        assert refused.status_code == 503
        assert "1 streams are open" in refused.json()["error"]["message"]


async def is_open(http: httpx.AsyncClient, session: dict[str, str]) -> bool:
    status = (await http.post("/mcp", json=request("ping"), headers=session)).status_code
    assert status in (200, 404)
    return status == 200


async def test_a_new_session_takes_the_place_of_the_one_unused_longest() -> None:
    async with http_serving(Bench().server(), max_sessions=2) as served, served.http() as http:
        first, second = await open_session(http), await open_session(http)
        assert await is_open(http, first)
        third = await open_session(http)
        assert not await is_open(http, second)
        assert await is_open(http, first)
        assert await is_open(http, third)


async def test_requests_that_begin_no_session_end_none() -> None:
    async with http_serving(Bench().server(), max_sessions=1) as served, served.http() as http:
        session = await open_session(http)
        for body in ({}, [], request("ping"), request("tools/list")):
            assert (await http.post("/mcp", json=body, headers=ACCEPT)).status_code == 400
        assert await is_open(http, session)


async def test_a_session_in_use_gives_way_to_nobody() -> None:
    async with http_serving(Bench().server(), max_sessions=1) as served, served.http() as http:
        session = await open_session(http)
        async with http.stream("GET", "/mcp", headers=session):
            await served.until(streams=1)
            refused = await http.post("/mcp", json=initialize(), headers=ACCEPT)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            assert await is_open(http, session)
        await served.until()
        assert await is_open(http, await open_session(http))
        assert not await is_open(http, session)


async def test_sessions_end_when_their_client_says_so_and_when_nobody_uses_them() -> None:
    async with (
        http_serving(Bench().server(), session_idle_seconds=0.1) as served,
        served.http() as http,
    ):
        ended = await open_session(http)
        assert (await http.delete("/mcp", headers=ended)).status_code == 200
        assert not await is_open(http, ended)
        opened = [await open_session(http)]
        with anyio.fail_after(5):
            while await is_open(http, opened[len(opened) // 2]):  # one that is ever older
                opened += [await open_session(http), await open_session(http)]


async def refused(served: Served, **sent: Any) -> int:
    async with served.http() as http:
        headers = {**ACCEPT, **sent.pop("headers", {})}
        return (await http.post("/mcp", headers=headers, **sent)).status_code


async def test_requests_that_cannot_be_read_are_refused() -> None:
    async def in_pieces() -> AsyncIterator[bytes]:
        for _ in range(9):
            yield b" " * 1_000

    as_json = {"Content-Type": "application/json"}
    deep = b"[" * 3_000
    async with http_serving(Bench().server(), max_request_bytes=4_000) as served:
        assert await refused(served, content=b" " * 4_001, headers=as_json) == 413
        assert await refused(served, content=in_pieces(), headers=as_json) == 413
        assert await refused(served, content=b"{", headers=as_json) == 400
        assert await refused(served, content=deep, headers=as_json) == 400
        assert await refused(served, json=[initialize()]) == 400
        assert await refused(served, content=b"{}") == 400
        assert await refused(served, content=b"{}", headers={"Content-Type": "text/plain"}) == 400
        assert await refused(served, json=initialize(), headers={"Accept": "text/html"}) == 406
        assert await refused(served, json=initialize()) == 200


async def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    sent: list[Message] = []

    async def receive() -> Message:
        await anyio.sleep_forever()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    async def app(_: Request) -> PlainTextResponse:
        raise AssertionError

    body = WholeBody(request_response(app), max_bytes=10, seconds=0.01)
    await body({"type": "http", "method": "POST", "headers": []}, receive, send)
    assert sent[0]["status"] == 408


async def test_what_is_not_there_says_where_mcp_is() -> None:
    async with http_serving(Bench().server(), sessions=False) as served, served.http() as http:
        lost = await http.get("/")
        assert (lost.status_code, lost.json()["error"]["message"]) == (404, "MCP answers at /mcp")
        slash = await http.post("/mcp/", json=initialize(), headers=ACCEPT)
        assert slash.status_code == 200
        stream = await http.get("/mcp", headers=ACCEPT)
        assert (stream.status_code, stream.headers["allow"]) == (405, "POST")
        assert (await http.get("/metrics")).status_code == 404


async def test_health_tells_strangers_nothing_else() -> None:
    async with http_serving(Bench().server()) as served, served.http() as http:
        reply = await http.get("/health")
        assert (reply.status_code, reply.json()) == (200, {"status": "ok"})
        assert (await http.head("/health")).status_code == 200
        assert (await http.post("/health")).status_code == 405
        assert "server" not in reply.headers
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["x-content-type-options"] == "nosniff"


async def test_metrics_and_status_are_served_where_they_are_given() -> None:
    async with (
        http_serving(
            Bench().server(),
            metrics=lambda: (b"calls 1\n", "text/plain; version=1.0.0"),
            status=lambda: {"calls": 1},
        ) as served,
        served.http() as http,
    ):
        metrics = await http.get("/metrics")
        assert metrics.text == "calls 1\n"
        assert metrics.headers["content-type"].startswith("text/plain; version=1.0.0")
        assert (await http.get("/status")).json() == {"calls": 1}


@pytest.mark.parametrize("path", ["/health", "/metrics/", "/.well-known/oauth-protected-resource"])
def test_a_path_that_is_used_for_something_else_is_refused(path: str) -> None:
    options = HttpOptions(path=path)
    with pytest.raises(ConfigError, match="used for something else"):
        build_http_app(Bench().server(), options, Traffic(options), door=None)


async def test_the_root_can_be_where_mcp_answers() -> None:
    async with (
        http_serving(Bench().server(), path="/") as served,
        served.http() as http,
    ):
        reply = await http.post("/", json=initialize(), headers=ACCEPT)
        assert reply.status_code == 200
        assert (await http.get("/health")).json() == {"status": "ok"}
