"""The server over streamable HTTP: one application for many callers, in both protocol eras."""

import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import cast

from mcp.server import MCPServer
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from mcp.shared.inbound import MCP_METHOD_HEADER, MCP_PROTOCOL_VERSION_HEADER
from mcp.types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route, request_response
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_server.access.door import Door
from mcp_server.errors import ConfigError
from mcp_server.serving.cross_origin import caller_checks
from mcp_server.serving.dropped_calls import CancelDropped
from mcp_server.serving.http_options import HttpOptions
from mcp_server.serving.listening import serve_app
from mcp_server.serving.protected_resource import WELL_KNOWN, metadata_routes
from mcp_server.serving.refusals import refusal
from mcp_server.serving.request_bodies import WholeBody
from mcp_server.serving.session_places import SessionPlaces
from mcp_server.serving.token_check import TokenCheck
from mcp_server.serving.traffic import Traffic

HEALTH_PATH = "/health"
METRICS_PATH = "/metrics"
STATUS_PATH = "/status"
LISTEN_METHOD = "subscriptions/listen"
"""The request of the protocol of 2026 whose answer is a stream without end."""
SPARE_CONNECTIONS = 256
"""Open connections without a request under way, which clients keep for their next one."""


def build_http_app(
    server: MCPServer,
    options: HttpOptions,
    *,
    door: Door | None,
    metrics: Callable[[], tuple[bytes, str]] | None = None,
    status: Callable[[], Mapping[str, object]] | None = None,
) -> Starlette:
    """The application that answers MCP at `options.path`, and its health beside it.

    Args:
        server: what answers. It can be served by one application only.
        options: where, to whom, within which bounds.
        door: who comes in; None lets in everybody who reaches us.
        metrics: the measurements as text and its media type, for `/metrics`.
        status: what `/status` tells, JSON values. Both need the same token as MCP.

    Raises:
        ConfigError: an allowed host or origin is malformed, or the path is one of ours.
    """
    if options.path.rstrip("/") in (HEALTH_PATH, METRICS_PATH, STATUS_PATH) or (
        options.path.startswith(WELL_KNOWN)
    ):
        raise ConfigError(
            f"http_path {options.path!r} is used for something else", hint="choose another: /mcp"
        )
    traffic = Traffic(max_calls=options.max_requests, max_streams=options.max_sessions)
    manager = _session_manager(server, options)
    own = _OwnEndpoints(traffic, options.path, metrics=metrics, status=status)

    def for_callers(path: str, endpoint: Callable[[Request], Awaitable[Response]]) -> Route:
        guarded = TokenCheck(request_response(endpoint), door) if door else endpoint
        return Route(path, guarded, methods=["GET"])

    path = options.path.rstrip("/")
    mcp: ASGIApp = _McpEndpoint(manager, traffic, options)
    if door is not None:
        mcp = TokenCheck(mcp, door)
    routes = [
        # Both, since a redirect would be to an address that a proxy in front does not have.
        *(Route(spelling, mcp) for spelling in dict.fromkeys((path or "/", path + "/"))),
        Route(HEALTH_PATH, own.health, methods=["GET"]),
    ]
    if metrics is not None:
        routes.append(for_callers(METRICS_PATH, own.metrics))
    if status is not None:
        routes.append(for_callers(STATUS_PATH, own.status))
    if door is not None and door.resource is not None:
        routes += metadata_routes(door.resource, path)
    app = Starlette(
        routes=routes,
        middleware=caller_checks(options.allowed_hosts, options.allowed_origins),
        exception_handlers={HTTPException: own.refuse},
        lifespan=lambda _: manager.run(),
    )
    app.router.redirect_slashes = False
    app.state.traffic = traffic
    return app


async def serve_http(app: Starlette, listener: socket.socket, options: HttpOptions) -> None:
    """Serve what `build_http_app` gave until SIGINT or SIGTERM.

    Then calls may go on for `drain_seconds`, and streams end at once. Returns normally: to stop as
    asked is no failure.
    """
    traffic = cast(Traffic, app.state.traffic)
    await serve_app(
        app,
        listener,
        max_connections=options.max_requests + options.max_sessions + SPARE_CONNECTIONS,
        drain_seconds=options.drain_seconds,
        has_lifespan=True,
        on_drain=traffic.drain,
        on_cut=traffic.cut,
    )


class _McpEndpoint:
    """MCP itself, within the bounds."""

    def __init__(
        self, manager: StreamableHTTPSessionManager, traffic: Traffic, options: HttpOptions
    ) -> None:
        mcp: ASGIApp = CancelDropped(manager.handle_request)
        if options.sessions:
            mcp = SessionPlaces(mcp, max_sessions=options.max_sessions)
        self._app = WholeBody(mcp, max_bytes=options.max_request_bytes)
        self._traffic = traffic
        self._has_sessions = options.sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        version = headers.get(MCP_PROTOCOL_VERSION_HEADER)
        is_modern = version is not None and version not in HANDSHAKE_PROTOCOL_VERSIONS
        if scope["method"] == "GET" and not is_modern and not self._has_sessions:
            # Nothing would ever come on it: each request has a server of its own.
            told = "without sessions there is no stream to listen to"
            await refusal(405, told, {"Allow": "POST"})(scope, receive, send)
            return
        is_stream = scope["method"] == "GET" or (
            is_modern and headers.get(MCP_METHOD_HEADER) == LISTEN_METHOD
        )
        await self._traffic.admit(self._app, scope, receive, send, is_stream=is_stream)


class _OwnEndpoints:
    """What operators ask for."""

    def __init__(
        self,
        traffic: Traffic,
        path: str,
        *,
        metrics: Callable[[], tuple[bytes, str]] | None,
        status: Callable[[], Mapping[str, object]] | None,
    ) -> None:
        self._traffic = traffic
        self._path = path
        self._metrics = metrics
        self._status = status

    async def health(self, _: Request) -> Response:
        # No version and no counts: strangers may ask.
        if self._traffic.is_draining:
            return JSONResponse({"status": "stopping"}, 503)
        return JSONResponse({"status": "ok"})

    async def metrics(self, _: Request) -> Response:
        assert self._metrics is not None
        text, media_type = self._metrics()
        return Response(text, media_type=media_type)

    async def status(self, _: Request) -> Response:
        assert self._status is not None
        return JSONResponse(self._status())

    async def refuse(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        told = f"MCP answers at {self._path}" if error.status_code == 404 else error.detail
        return refusal(error.status_code, told, error.headers)


def _session_manager(server: MCPServer, options: HttpOptions) -> StreamableHTTPSessionManager:
    """The SDK's handling of both protocols.

    Not with its `json_response`: a client that goes away would no longer cancel its call, and no
    progress would be told.
    """
    server.streamable_http_app(
        stateless_http=not options.sessions,
        max_request_body_size=options.max_request_bytes,
        session_idle_timeout=options.session_idle_seconds,
        # `SessionPlaces` keeps the limit; a request that opens no session holds one for a moment.
        max_sessions=options.max_sessions + options.max_requests,
        # Said, and not left to a default: hosts and origins are checked by `CallerCheck`, which
        # stands before every route and not before this one alone.
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
    return server.session_manager
