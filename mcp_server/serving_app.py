"""The composition root of serving: who may call, what they see, and what the operator sees."""

from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mcp.server.context import ServerMiddleware
from mcp.types.version import SUPPORTED_PROTOCOL_VERSIONS

from mcp_server.access.callers import Callers, current_caller
from mcp_server.config import ServerConfig
from mcp_server.server import Face, build_server
from mcp_server.services import Ready, Services, ServiceSource, on_demand
from mcp_server.settings_check import needs_opening, provider_chain
from mcp_server.status import StatusFacts, server_status
from mcp_server.telemetry.call_log import CallLog
from mcp_server.telemetry.counts import CallCounts

if TYPE_CHECKING:  # what one transport needs, the other does not import
    import httpx
    from mcp.server import MCPServer
    from starlette.applications import Starlette

    from mcp_server.access.door import Door
    from mcp_server.search.service import ProviderState
    from mcp_server.serving.host import Host
    from mcp_server.serving.http_options import HttpOptions
    from mcp_server.serving.traffic import Traffic

_HOW_TO_GUARD = "name a file of tokens with --token-file; a token is made by: openssl rand -hex 32"


async def serve_over_stdio(config: ServerConfig, host: "Host") -> int:
    """Serve the host that started us until it goes away.

    Returns:
        The exit code of the process.

    Raises:
        ConfigError, CorpusError: as `open_services`, in a group.
    """
    from mcp_server.serving.stdio import serve_stdio

    watched = _Watched(config)
    async with AsyncExitStack() as stack:
        _start_telemetry(config, stack)
        source = await stack.enter_async_context(on_demand(watched.open_services))
        if needs_opening(config):
            await source.services()
        return await serve_stdio(
            watched.server(source, watched.status()), host, once_listed=source.soon
        )


async def serve_over_http(config: ServerConfig, announce: Callable[[str], None]) -> None:
    """Serve many callers until a signal comes.

    Args:
        config: the settings.
        announce: told the URL at which calls are answered from now on.

    Raises:
        ConfigError: as `open_services`; or the address cannot be listened on, or is open to others
            without a token.
        CorpusError: as `open_services`.
    """
    from mcp_server.app import build_api_client
    from mcp_server.serving.http_app import serve_http
    from mcp_server.serving.listening import check_exposure, listen, url_of
    from mcp_server.serving.traffic import Traffic

    watched = _Watched(config)
    async with AsyncExitStack() as stack:
        _start_telemetry(config, stack)
        issuer = await stack.enter_async_context(build_api_client(config))
        door = _door(config, issuer)
        check_exposure(config.host, is_guarded=door is not None, hint=_HOW_TO_GUARD)
        listener = stack.enter_context(listen(config.host, config.port))
        services = await stack.enter_async_context(watched.open_services())
        options = _http_options(config)
        traffic = Traffic(options)
        app = watched.http_app(services, options, traffic, door)
        announce(url_of(listener, config.http_path))
        await serve_http(app, listener, options, traffic)


@dataclass(slots=True)
class _Watched:
    """A server, and what is counted while it serves."""

    config: ServerConfig
    counts: CallCounts = field(default_factory=CallCounts)
    opened: Services | None = None
    """None while nobody needed them."""

    def server(
        self,
        source: ServiceSource,
        status: Callable[[], Mapping[str, object]],
        middleware: Sequence[ServerMiddleware[Any]] = (),
    ) -> "MCPServer":
        config = self.config
        face = Face(
            structured=config.structured_output == "on",
            prompts=config.prompts == "on",
            resources=config.resources == "on",
            is_shared=config.transport == "http",
            call_seconds=config.call_seconds,
            result_tokens=config.result_tokens,
        )
        watching = [CallLog(self.counts), *middleware]
        return build_server(source, face=face, status=status, middleware=watching)

    def http_app(
        self,
        services: Services,
        options: "HttpOptions",
        traffic: "Traffic",
        door: "Door | None",
    ) -> "Starlette":
        from mcp_server.serving.http_app import build_http_app

        callers = Callers(self.config.calls_per_minute)
        status = self.status(callers)
        return build_http_app(
            self.server(Ready(services), status, [callers.middleware()]),
            options,
            traffic,
            door=door,
            metrics=self.metrics(callers, traffic) if self.config.metrics == "on" else None,
            status=status,
        )

    def status(self, callers: Callers | None = None) -> Callable[[], Mapping[str, object]]:
        """What the status resource tells; a caller learns of its own calls only."""
        config = self.config
        facts = StatusFacts(
            transport=config.transport,
            protocol_versions=tuple(reversed(SUPPORTED_PROTOCOL_VERSIONS)),
            providers=provider_chain(config),
            settings={
                "search_mode": config.search_mode,
                "search_seconds": config.search_seconds,
                "visit_seconds": config.visit_seconds,
                "call_seconds": config.call_seconds,
                "result_tokens": config.result_tokens,
                "robots": config.robots,
                "browser": "off" if config.browser == "off" else "on",
            },
        )
        status = server_status(
            facts,
            self.counts,
            providers=self._providers,
            numbers=lambda: self._gauges() | self._totals(),
        )
        if callers is None:
            return status
        return lambda: {**status(), "you": callers.snapshot(current_caller())}

    def metrics(self, callers: Callers, traffic: "Traffic") -> Callable[[], tuple[bytes, str]]:
        from mcp_server.telemetry.metrics import MetricSources, build_metrics

        def gauges() -> dict[str, float]:
            under_way = {"http_requests_under_way": traffic.calls, "http_streams": traffic.streams}
            return self._gauges() | under_way

        sources = MetricSources(
            calls=self.counts,
            providers=self._providers,
            gauges=gauges,
            totals=self._totals,
            called=callers.called,
            refused=callers.refused,
        )
        return build_metrics(sources)

    def _gauges(self) -> dict[str, float]:
        if self.opened is None:
            return {}
        return {"reading_processes": self.opened.visit.state().reading_processes}

    def _totals(self) -> dict[str, float]:
        if self.opened is None:
            return {}
        visits = self.opened.visit.state()
        return {"pages_from_cache": visits.kept_pages, "page_requests": visits.asked_sites}

    def _providers(self) -> "Sequence[ProviderState]":
        return self.opened.search.state() if self.opened else ()

    @asynccontextmanager
    async def open_services(self) -> AsyncGenerator[Services]:
        """Open the services while the server goes on to answer."""
        import importlib

        import anyio.to_thread

        await anyio.to_thread.run_sync(importlib.import_module, "mcp_server.app")
        from mcp_server.app import open_services

        async with open_services(self.config) as self.opened:
            yield self.opened


def _start_telemetry(config: ServerConfig, stack: AsyncExitStack) -> None:
    """Send spans until the stack is closed, where that is wanted."""
    if config.telemetry == "on":
        from mcp_server.telemetry.tracing import start_telemetry

        stack.callback(start_telemetry())


def _door(config: ServerConfig, http: "httpx.AsyncClient") -> "Door | None":
    from mcp_server.access.opening import build_door

    return build_door(
        http=http,
        token_file=config.token_file,
        issuer=config.oauth_issuer,
        jwks_url=config.oauth_jwks_url,
        scopes=config.oauth_scopes,
        public_url=config.public_url,
    )


def _http_options(config: ServerConfig) -> "HttpOptions":
    from mcp_server.serving.http_options import HttpOptions

    public = urlsplit(config.public_url).netloc
    return HttpOptions(
        path=config.http_path,
        sessions=config.sessions == "on",
        max_sessions=config.max_sessions,
        session_idle_seconds=config.session_idle_seconds,
        max_request_bytes=config.max_request_bytes,
        max_requests=config.max_requests,
        allowed_hosts=(*config.allowed_hosts, *([public] if public else [])),
        allowed_origins=config.allowed_origins,
        drain_seconds=config.drain_seconds,
    )
