"""Our HTTP application on loopback, with tools that do what a test needs.

As a process, `python -m tests.support.http_server` prints its address and serves until it is ended.
"""

import math
import sys
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import httpx
from mcp.server import MCPServer
from mcp.server.auth.middleware.auth_context import get_access_token
from mcp.server.auth.provider import AccessToken

from mcp_server.access.door import Door
from mcp_server.serving.http_app import build_http_app, serve_http
from mcp_server.serving.http_options import HttpOptions
from mcp_server.serving.listening import listen, url_of
from mcp_server.serving.traffic import Traffic

MODERN, LEGACY = "2026-07-28", "2025-11-25"
ACCEPT = {"Accept": "application/json, text/event-stream"}


@dataclass(frozen=True, slots=True)
class Served:
    """Where the application answers, and what is under way in it."""

    base: str
    url: str
    traffic: Traffic

    def http(self, **headers: str) -> httpx.AsyncClient:
        """A plain client with headers of its own."""
        # Without certificates: to read them takes longer than most tests.
        return httpx.AsyncClient(base_url=self.base, headers=headers, timeout=10, verify=False)

    async def until(self, *, calls: int = 0, streams: int = 0) -> None:
        """Wait until so much is under way."""
        with anyio.fail_after(5):
            while (self.traffic.calls, self.traffic.streams) != (calls, streams):
                await anyio.lowlevel.checkpoint()


@asynccontextmanager
async def http_serving(
    server: MCPServer,
    *,
    door: Door | None = None,
    metrics: Callable[[], tuple[bytes, str]] | None = None,
    status: Callable[[], Mapping[str, object]] | None = None,
    **options: Any,
) -> AsyncGenerator[Served]:
    """Serve on a free port; at the end nothing is waited for."""
    chosen = HttpOptions(**options)
    traffic = Traffic(chosen)
    app = build_http_app(server, chosen, traffic, door=door, metrics=metrics, status=status)
    with listen("127.0.0.1", 0) as listener:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(serve_http, app, listener, chosen, traffic)
            yield Served(url_of(listener), url_of(listener, chosen.path), traffic)
            tasks.cancel_scope.cancel()


@dataclass(slots=True)
class Bench:
    """A server whose tools say what happened to them."""

    started: int = 0
    cancelled: int = 0
    release: anyio.Event = field(default_factory=anyio.Event)

    def server(self) -> MCPServer:
        """`echo` answers at once, `wait` when it is released, `who` with the caller's name."""
        server = MCPServer("bench", log_level="CRITICAL")

        @server.tool(structured_output=False)
        async def echo(text: str) -> str:
            return text

        @server.tool(structured_output=False)
        async def wait() -> str:
            self.started += 1
            try:
                await self.release.wait()
            except anyio.get_cancelled_exc_class():
                self.cancelled += 1
                raise
            return "released"

        @server.tool(structured_output=False)
        async def who() -> str:
            token = get_access_token()
            return token.client_id if token else "nobody"

        _ = echo, wait, who  # registered by their decorators
        return server

    async def until(self, *, started: int = 0, cancelled: int = 0, seconds: float = 5) -> None:
        """Wait until so many calls have begun, and been cancelled."""
        with anyio.fail_after(seconds):
            while self.started < started or self.cancelled < cancelled:
                await anyio.lowlevel.checkpoint()


class Names:
    """A verifier that takes `NAME-token` for a token of NAME, with the scopes after a `+`."""

    def __init__(self, resource: str | None = None) -> None:
        self._resource = resource

    async def verify_token(self, token: str) -> AccessToken | None:
        """The caller's name is what stands before `-token`."""
        name, found, rest = token.partition("-token")
        if not found:
            return None
        return AccessToken(
            token="",
            client_id=name,
            scopes=[scope for scope in rest.split("+") if scope],
            expires_at=math.floor(2**40),
            resource=self._resource,
        )


def request(method: str, *, number: int = 1, modern: bool = False, **params: Any) -> dict[str, Any]:
    """A request of either era."""
    if modern:
        params["_meta"] = {
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {},
        }
    return {"jsonrpc": "2.0", "id": number, "method": method, "params": params}


def modern_headers(method: str, name: str = "") -> dict[str, str]:
    """What a request of 2026 says in its headers."""
    named = {"Mcp-Name": name} if name else {}
    return {**ACCEPT, "Mcp-Protocol-Version": MODERN, "Mcp-Method": method, **named}


def initialize(number: int = 1) -> dict[str, Any]:
    """The first request of the older protocol."""
    client = {"name": "test", "version": "1"}
    return request(
        "initialize",
        number=number,
        protocolVersion=LEGACY,
        capabilities={},
        clientInfo=client,
    )


async def open_session(http: httpx.AsyncClient, path: str = "/mcp") -> dict[str, str]:
    """Headers of a session that has begun."""
    reply = await http.post(path, json=initialize(), headers=ACCEPT)
    assert reply.status_code == 200, reply.text
    headers = {**ACCEPT, "Mcp-Protocol-Version": LEGACY}
    if session := reply.headers.get("mcp-session-id"):
        headers["Mcp-Session-Id"] = session
    begun = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    assert (await http.post(path, json=begun, headers=headers)).status_code == 202
    return headers


async def main() -> None:
    """Serve the bench; calls may go on for a minute after a signal."""
    options = HttpOptions(drain_seconds=60)
    bench, traffic = Bench(), Traffic(options)
    app = build_http_app(
        bench.server(), options, traffic, door=None, status=lambda: {"started": bench.started}
    )
    with listen("127.0.0.1", 0) as listener:
        sys.stdout.write(url_of(listener) + "\n")
        sys.stdout.flush()
        await serve_http(app, listener, options, traffic)


if __name__ == "__main__":
    anyio.run(main)
