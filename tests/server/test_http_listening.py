"""The socket and what is under it: who gets a connection, and how it ends."""

import signal
import socket
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Literal

import anyio
import httpx
import pytest
import uvicorn
from anyio.abc import SocketStream
from mcp import Client, MCPError
from mcp.types import TextContent
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from mcp_server.errors import ConfigError
from mcp_server.serving.listening import check_exposure, listen, url_of
from mcp_server.serving.prompt_connection import PromptConnection
from tests.support.http_server import (
    Bench,
    Served,
    http_serving,
    modern_headers,
    open_session,
    request,
)

ASK = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "search.example", "localhost.evil"])
def test_an_address_that_others_reach_needs_a_token(host: str) -> None:
    with pytest.raises(ConfigError, match="without a token") as caught:
        check_exposure(host, is_guarded=False, hint="name a token file")
    assert caught.value.hint == "name a token file"
    check_exposure(host, is_guarded=True, hint="")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.1.2.3"])
def test_an_address_of_this_machine_alone_needs_none(host: str) -> None:
    check_exposure(host, is_guarded=False, hint="")


def test_a_port_that_is_taken_is_told() -> None:
    with listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1 port {port}: ") as told:
            listen("127.0.0.1", port)
    assert "--port" in told.value.hint


@pytest.mark.parametrize("host", ["192.0.2.1", "", "no such host", "a" * 300, "not-there.invalid"])
def test_an_address_that_is_not_ours_is_told(host: str) -> None:
    with pytest.raises(ConfigError, match="cannot listen on"):
        listen(host, 0)


def test_a_port_out_of_range_is_told() -> None:
    with pytest.raises(ConfigError, match="out of range"):
        listen("127.0.0.1", 65_536)


@pytest.mark.parametrize(("host", "url"), [("localhost", "127.0.0.1"), ("::1", "[::1]")])
def test_the_address_is_told_as_clients_write_it(host: str, url: str) -> None:
    if host == "::1" and not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    with listen(host, 0) as listener:
        port = listener.getsockname()[1]
        assert url_of(listener, "/mcp") == f"http://{url}:{port}/mcp"


class Hasty(PromptConnection):
    """Waits only a moment."""

    head_seconds = 0.1
    unread_seconds = 0.1


@asynccontextmanager
async def hasty(body: bytes = b"ok", most: int = 100) -> AsyncGenerator[tuple[int, ServerState]]:
    """A server with such connections, at most so many; its port and its state."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    config = uvicorn.Config(
        app, http=Hasty, lifespan="off", log_config=None, limit_concurrency=most
    )
    server = uvicorn.Server(config)
    with listen("127.0.0.1", 0) as listener:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.serve, [listener])
            yield listener.getsockname()[1], server.server_state
            server.should_exit = True


async def is_closed(stream: SocketStream) -> bool:
    with anyio.fail_after(5):
        try:
            while await stream.receive():
                pass
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return True
    return False


async def test_a_new_connection_takes_the_place_of_the_one_idle_longest() -> None:
    async with hasty(most=4) as (port, _), AsyncExitStack() as stack:

        async def connect() -> SocketStream:
            return await stack.enter_async_context(await anyio.connect_tcp("127.0.0.1", port))

        used = await connect()
        await used.send(ASK)
        assert b"200 OK" in await used.receive()
        silent = [await connect() for _ in range(9)]
        late = await connect()
        await late.send(ASK)
        assert b"200 OK" in await late.receive()
        assert await is_closed(used)
        assert await is_closed(silent[0])


async def test_a_client_that_does_not_read_is_let_go() -> None:
    async with (
        hasty(body=b"x" * 50_000_000) as (port, state),
        await anyio.connect_tcp("127.0.0.1", port) as deaf,
    ):
        await deaf.send(ASK)
        with anyio.fail_after(5):
            while not state.total_requests or state.connections:
                await anyio.lowlevel.checkpoint()


async def refuses(served: Served) -> bool:
    try:
        async with served.http() as stranger:
            await stranger.get("/health")
    except httpx.TransportError:  # refused, or reset before it was accepted
        return True
    return False


async def until_refusing(served: Served) -> None:
    with anyio.fail_after(5):
        while not await refuses(served):
            pass


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_after_a_signal_calls_come_to_their_end_and_nobody_new_comes_in(
    mode: Literal["auto", "legacy"],
) -> None:
    bench = Bench()
    results: list[str] = []
    async with http_serving(bench.server(), drain_seconds=60) as served:

        async def call() -> None:
            async with Client(served.url, mode=mode) as client:
                await client.list_tools()  # or it does so after its first call
                (content,) = (await client.call_tool("wait", {})).content
                assert isinstance(content, TextContent)
                results.append(content.text)

        async with anyio.create_task_group() as calls:
            calls.start_soon(call)
            await bench.until(started=1)
            signal.raise_signal(signal.SIGTERM)
            await until_refusing(served)
            assert not results
            bench.release.set()
    assert results == ["released"]


async def test_streams_do_not_hold_up_the_end() -> None:
    async with (
        http_serving(Bench().server(), drain_seconds=60) as served,
        served.http() as http,
    ):
        session = await open_session(http)
        async with http.stream("GET", "/mcp", headers=session) as stream:
            await served.until(streams=1)
            signal.raise_signal(signal.SIGINT)
            with anyio.fail_after(2):
                assert [piece async for piece in stream.aiter_raw()] == []
            await served.until()


async def test_calls_that_take_too_long_are_cut_off_and_told() -> None:
    bench = Bench()
    told: list[httpx.Response] = []
    async with (
        http_serving(bench.server(), drain_seconds=0.05) as served,
        served.http() as http,
    ):
        body = request("tools/call", modern=True, name="wait", arguments={})
        headers = modern_headers("tools/call", "wait")

        async def call() -> None:
            told.append(await http.post("/mcp", json=body, headers=headers))

        async with anyio.create_task_group() as calls:
            calls.start_soon(call)
            await bench.until(started=1)
            signal.raise_signal(signal.SIGTERM)
        await bench.until(cancelled=1)
    (reply,) = told
    assert reply.status_code == 503
    assert "stopped before the answer" in reply.json()["error"]["message"]


async def test_on_a_kept_connection_health_says_that_the_server_is_stopping() -> None:
    async with http_serving(Bench().server()) as served, served.http() as http:
        assert (await http.get("/health")).status_code == 200
        served.traffic.drain()
        reply = await http.get("/health")
        assert (reply.status_code, reply.json()) == (503, {"status": "stopping"})
        async with Client(served.url, mode="2026-07-28") as client:
            with pytest.raises(MCPError, match="the server is stopping"):
                await client.list_tools()
