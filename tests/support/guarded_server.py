"""The whole server over HTTP on loopback, with a door, as it ships."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import httpx
import httpx2  # noqa: TID251 - the SDK's client takes no other
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.context import ServerMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_server.access.door import Door
from mcp_server.access.opening import build_door
from mcp_server.app import open_services
from mcp_server.config import ServerConfig
from mcp_server.server import build_server
from mcp_server.services import Ready, ServiceSource
from mcp_server.serving.http_app import build_http_app
from mcp_server.serving.http_options import HttpOptions
from mcp_server.serving.traffic import Traffic
from tests.support.authorization_server import SCOPE, AuthorizationServer
from tests.support.serving import serving
from tests.support.tools_server import build_small_index

Era = Literal["legacy", "2026-07-28"]


class _Later:
    """Stands in the socket until the application is built: that needs to know its own URL."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


@asynccontextmanager
async def guarded_server(
    folder: Path,
    door: Callable[[str], Door | None],
    *,
    sessions: bool = True,
    middleware: Sequence[ServerMiddleware[Any]] = (),
    source: ServiceSource | None = None,
    **settings: object,
) -> AsyncGenerator[str]:
    """Give the URL of MCP.

    Args:
        folder: an empty one.
        door: is told that URL and makes the door.
        sessions: whether callers of the older protocol get them.
        middleware: as `build_server` takes it.
        source: services that are there; by default they are opened, on the small corpus.
        settings: of the services.
    """
    later = _Later()
    async with serving(later) as base, AsyncExitStack() as stack:
        url = f"{base}/mcp"
        if source is None:
            values = {"providers": ("local",), "index": build_small_index(folder), **settings}
            config = ServerConfig.model_validate(values)
            source = Ready(await stack.enter_async_context(open_services(config)))
        server = build_server(source, middleware=middleware)
        options = HttpOptions(sessions=sessions)
        app = build_http_app(server, options, Traffic(options), door=door(url))
        async with app.router.lifespan_context(app):
            later.app = app
            yield url


@asynccontextmanager
async def connected(
    url: str, *, token: str = "", auth: httpx2.Auth | None = None, era: Era = "2026-07-28"
) -> AsyncGenerator[Client]:
    """A client of the SDK."""
    headers: Mapping[str, str] = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        httpx2.AsyncClient(headers=headers, auth=auth, trust_env=False, timeout=20) as http,
        Client(streamable_http_client(url, http_client=http), mode=era) as client,
    ):
        yield client


def oauth_door(
    issuer: AuthorizationServer, http: httpx.AsyncClient, *, tokens: Path | None = None
) -> Callable[[str], Door | None]:
    """What makes the door of a server that trusts an issuer, and a file of tokens, by its URL."""

    def door(url: str) -> Door | None:
        return build_door(
            http=http, issuer=issuer.issuer, scopes=[SCOPE], public_url=url, token_file=tokens
        )

    return door
