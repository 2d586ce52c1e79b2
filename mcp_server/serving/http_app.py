"""The server over streamable HTTP: one application for many callers, in both protocol eras."""

import socket
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

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
from mcp_server.serving.cross_origin import origin_checks
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

Endpoint = Callable[[Request], Awaitable[Response]]


def build_http_app(
    server: MCPServer,
    options: HttpOptions,
    traffic: Traffic,
    *,
    door: Door | None,
    metrics: Callable[[], tuple[bytes, str]] | None = None,
    status: Callable[[], Mapping[str, object]] | None = None,
) -> Starlette:
    """The application that answers MCP at `options.path`, and its health beside it.

    Args:
        server: what answers. It can be served by one application only.
        options: where, to whom, within which bounds.
        traffic: lets requests in and ends them.
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
    manager = _session_manager(server, options)

    def for_callers(path: str, endpoint: Endpoint) -> Route:
        guarded = TokenCheck(request_response(endpoint), door) if door else endpoint
        return Route(path, guarded, methods=["GET"])

    path = options.path.rstrip("/")
    mcp: ASGIApp = _McpEndpoint(manager, traffic, options)
    if door is not None:
        mcp = TokenCheck(mcp, door)
    routes = [
        # Both, since a redirect would be to an address that a proxy in front does not have.
        *(Route(spelling, mcp) for spelling in dict.fromkeys((path or "/", path + "/"))),
        Route(HEALTH_PATH, _health_endpoint(traffic), methods=["GET"]),
    ]
    if metrics is not None:
        routes.append(for_callers(METRICS_PATH, _metrics_endpoint(metrics)))
    if status is not None:
        routes.append(for_callers(STATUS_PATH, _status_endpoint(status)))
    if door is not None and door.resource is not None:
        routes += metadata_routes(door.resource, path)
    app = Starlette(
        routes=routes,
        middleware=origin_checks(options.allowed_hosts, options.allowed_origins),
        exception_handlers={HTTPException: partial(_refuse, options.path)},
        lifespan=lambda _: manager.run(),
    )
    app.router.redirect_slashes = False
    return app


async def serve_http(
    app: Starlette, listener: socket.socket, options: HttpOptions, traffic: Traffic
) -> None:
    """Serve what `build_http_app` gave until SIGINT or SIGTERM.

    Then calls may go on for `drain_seconds`, and streams end at once. Returns normally: to stop as
    asked is no failure. `options` and `traffic` are those of the application.
    """
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


def _health_endpoint(traffic: Traffic) -> Endpoint:
    async def health(_: Request) -> Response:
        # No version and no counts: strangers may ask.
        if traffic.is_draining:
            return JSONResponse({"status": "stopping"}, 503)
        return JSONResponse({"status": "ok"})

    return health


def _metrics_endpoint(metrics: Callable[[], tuple[bytes, str]]) -> Endpoint:
    async def measure(_: Request) -> Response:
        text, media_type = metrics()
        return Response(text, media_type=media_type)

    return measure


def _status_endpoint(status: Callable[[], Mapping[str, object]]) -> Endpoint:
    async def tell(_: Request) -> Response:
        return JSONResponse(status())

    return tell


async def _refuse(path: str, _: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    told = f"MCP answers at {path}" if error.status_code == 404 else error.detail
    return refusal(error.status_code, told, error.headers)


def _session_manager(server: MCPServer, options: HttpOptions) -> StreamableHTTPSessionManager:
    """The SDK's handling of both protocols; the application that it comes with is not used.

    Not with its `json_response`: a client that goes away would no longer cancel its call, and no
    progress would be told.
    """
    server.streamable_http_app(
        stateless_http=not options.sessions,
        max_request_body_size=options.max_request_bytes,
        session_idle_timeout=options.session_idle_seconds,
        # `SessionPlaces` keeps the limit; a request that opens no session holds one for a moment.
        max_sessions=options.max_sessions + options.max_requests,
        # Said, and not left to a default: hosts and origins are checked by `OriginCheck`, which
        # stands before every route and not before this one alone.
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
    return server.session_manager
