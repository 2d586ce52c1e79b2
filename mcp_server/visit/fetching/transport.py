"""The HTTP client for pages, over the guarded dial."""

import http.cookiejar
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Self

import httpcore
import httpx

from mcp_server.errors import BlockedUrl, ConfigError, FetchError
from mcp_server.visit.fetching.answer_start import BoundedStart, BoundedStartBackend
from mcp_server.visit.fetching.decoder import ACCEPT_ENCODING
from mcp_server.visit.fetching.dial import Dialler, PinnedBackend
from mcp_server.visit.fetching.proxy import Proxy, ProxyDial, TunnelBackend, parse_proxy
from mcp_server.visit.fetching.resolver import Resolver
from mcp_server.visit.guard import Policy, check_url

logger = logging.getLogger(__name__)

_MAX_CONNECTIONS = 64
_MAX_IDLE_CONNECTIONS = 8
_IDLE_SECONDS = 5.0
_TIMEOUT = httpx.Timeout(connect=10, read=15, write=10, pool=10)

_HTTPX_ERRORS: tuple[tuple[type[Exception], type[httpx.TransportError]], ...] = (
    (httpcore.ConnectTimeout, httpx.ConnectTimeout),
    (httpcore.ReadTimeout, httpx.ReadTimeout),
    (httpcore.WriteTimeout, httpx.WriteTimeout),
    (httpcore.PoolTimeout, httpx.PoolTimeout),
    (httpcore.ConnectError, httpx.ConnectError),
    (httpcore.ReadError, httpx.ReadError),
    (httpcore.WriteError, httpx.WriteError),
    (httpcore.LocalProtocolError, httpx.LocalProtocolError),
    (httpcore.RemoteProtocolError, httpx.RemoteProtocolError),
    (httpcore.UnsupportedProtocol, httpx.UnsupportedProtocol),
    (httpcore.TimeoutException, httpx.ReadTimeout),
    (httpcore.NetworkError, httpx.ReadError),
    (httpcore.ProtocolError, httpx.RemoteProtocolError),
)


Judge = Callable[[str], None]
"""Raises BlockedUrl for a URL that may not be fetched."""


class GuardedTransport(httpx.AsyncBaseTransport):
    """An httpx transport over httpcore's public pool, with the guard under it.

    HTTP/1.1 only: HTTP/2 would let a second host share a connection that was judged for the
    first.
    """

    def __init__(self, pool: httpcore.AsyncConnectionPool, *, judge: Judge | None = None) -> None:
        """Send requests over a pool.

        Args:
            pool: dials through a guarded network backend.
            judge: refuses URLs before anything is sent, for pools that cannot judge addresses.
        """
        self._pool = pool
        self._judge = judge

    async def __aenter__(self) -> Self:
        await self._pool.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self._pool.__aexit__(exc_type, exc_value, traceback)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request.

        Raises:
            BlockedUrl: the guard refuses the address behind the host.
            FetchError: the host name does not resolve, or the proxy failed.
            httpx.TransportError: the network or the peer failed.
        """
        if self._judge is not None:
            self._judge(str(request.url))
        host = request.url.raw_host
        if b":" in host and request.url.scheme == "http":
            host = b"[" + host + b"]"  # httpcore writes it to a proxy as it is
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=host,
            port=request.url.port,
            target=request.url.raw_path,
        )
        core_request = httpcore.Request(
            method=request.method,
            url=url,
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        try:
            with _as_httpx_errors():
                response = await self._pool.handle_async_request(core_request)
        except BlockedUrl as exc:
            raise BlockedUrl(str(request.url), exc.reason, hint=exc.hint) from None
        except FetchError as exc:
            raise FetchError(
                str(request.url), exc.reason, retryable=exc.retryable, hint=exc.hint
            ) from None
        stream = response.extensions.get("network_stream")
        if isinstance(stream, BoundedStart):
            stream.answer_begins()
        return httpx.Response(
            status_code=response.status,
            headers=response.headers,
            stream=_BodyStream(response),
            extensions=response.extensions,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._pool.aclose()


class _BodyStream(httpx.AsyncByteStream):
    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx_errors():
            async for piece in self._response.aiter_stream():
                yield piece

    async def aclose(self) -> None:
        await self._response.aclose()


@contextmanager
def _as_httpx_errors() -> Generator[None]:
    try:
        yield
    except httpcore.RemoteProtocolError as exc:
        # After another error h11 could not read the reply. Without one, httpcore itself saw the
        # peer hang up before the head of the reply: the connection broke.
        kind = httpx.RemoteProtocolError if exc.__context__ else httpx.ReadError
        raise kind(str(exc)) from exc
    except Exception as exc:
        for core_error, httpx_error in _HTTPX_ERRORS:
            if isinstance(exc, core_error):
                raise httpx_error(str(exc)) from exc
        raise


@cache
def build_ssl_context(ca_file: Path | None) -> ssl.SSLContext:
    """What TLS connections trust.

    Args:
        ca_file: certificate authorities to trust beside the usual ones, PEM.

    Raises:
        ConfigError: the file cannot be read.
    """
    context = httpx.create_ssl_context(trust_env=False)  # loading the authorities takes 20 ms
    if ca_file is not None:
        try:
            context.load_verify_locations(cafile=ca_file)
        except (OSError, ssl.SSLError):
            raise ConfigError(
                f"the file of certificate authorities {str(ca_file)!r} cannot be read",
                hint="give a file of certificates in PEM form",
            ) from None
    return context


class _ProxyPool(httpcore.AsyncHTTPProxy):
    """Sends `http` pages to the proxy in absolute form, and tunnels `https` ones itself."""

    def __init__(self, dial: ProxyDial, *, ssl_context: ssl.SSLContext) -> None:
        proxy = dial.proxy
        super().__init__(
            # Always http: where the proxy is reached over TLS, the dial has seen to it.
            httpcore.URL(
                scheme="http", host=proxy.host.encode("ascii"), port=proxy.port, target="/"
            ),
            proxy_headers={b"Proxy-Authorization": proxy.authorization} if proxy.user else {},
            ssl_context=ssl_context,
            network_backend=BoundedStartBackend(dial),
            max_connections=_MAX_CONNECTIONS,
            max_keepalive_connections=_MAX_IDLE_CONNECTIONS,
            keepalive_expiry=_IDLE_SECONDS,
        )
        self._tls = ssl_context
        self._tunnel = BoundedStartBackend(TunnelBackend(dial))

    def create_connection(self, origin: httpcore.Origin) -> httpcore.AsyncConnectionInterface:
        if origin.scheme == b"http":
            return super().create_connection(origin)
        return httpcore.AsyncHTTPConnection(
            origin,
            ssl_context=self._tls,
            keepalive_expiry=_IDLE_SECONDS,
            network_backend=self._tunnel,
        )


def build_page_backend(
    policy: Policy,
    *,
    resolver: Resolver | None = None,
    proxy: str = "",
    ca_file: Path | None = None,
) -> httpcore.AsyncNetworkBackend:
    """Build the dial under the page client alone, for a browser that we speak for.

    With a proxy, all connections are tunnels (`CONNECT`), and the caller has to judge each URL
    with `check_url`. The arguments are those of `build_page_client`.

    Raises:
        ConfigError: the proxy is no proxy, or the file cannot be read.
    """
    if not proxy:
        return PinnedBackend(policy, resolver=resolver)
    return TunnelBackend(_dial_of(parse_proxy(proxy), resolver, ca_file))


def _dial_of(proxy: Proxy, resolver: Resolver | None, ca_file: Path | None) -> ProxyDial:
    return ProxyDial(proxy, Dialler(resolver), ssl_context=build_ssl_context(ca_file))


def _build_pool(
    policy: Policy, *, resolver: Resolver | None, proxy: str, ca_file: Path | None
) -> httpcore.AsyncConnectionPool:
    ssl_context = build_ssl_context(ca_file)
    if proxy:
        parsed = parse_proxy(proxy)
        logger.info("fetching pages through the proxy %s", parsed)
        if parsed.scheme != "socks5":
            return _ProxyPool(_dial_of(parsed, resolver, ca_file), ssl_context=ssl_context)
    return httpcore.AsyncConnectionPool(
        ssl_context=ssl_context,
        network_backend=BoundedStartBackend(
            build_page_backend(policy, resolver=resolver, proxy=proxy, ca_file=ca_file)
        ),
        max_connections=_MAX_CONNECTIONS,
        max_keepalive_connections=_MAX_IDLE_CONNECTIONS,
        keepalive_expiry=_IDLE_SECONDS,
    )


class _NoCookies(http.cookiejar.CookieJar):
    """Keeps and sends none; a policy that says so would still parse all of them, slowly."""

    def extract_cookies(self, response: object, request: object) -> None:
        pass

    def add_cookie_header(self, request: object) -> None:
        pass


def build_page_client(
    policy: Policy,
    *,
    user_agent: str,
    resolver: Resolver | None = None,
    proxy: str = "",
    ca_file: Path | None = None,
) -> httpx.AsyncClient:
    """Build the client that fetches pages; the only way to fetch one.

    Environment proxies, netrc and certificate variables are ignored, redirects are not followed,
    cookies are not kept. The caller closes it.

    Args:
        policy: what may be reached. Behind a proxy it judges URLs only: names are resolved
            there, and the proxy is the wall.
        user_agent: honest name of the program, with where to complain.
        resolver: replaces the system's, for tests.
        proxy: URL of the owner's proxy (`http`, `https` or `socks5`), or "".
        ca_file: PEM file of further certificate authorities, for example a company's.

    Raises:
        ConfigError: the proxy is no proxy, or the file cannot be read.
    """
    pool = _build_pool(policy, resolver=resolver, proxy=proxy, ca_file=ca_file)

    def judge(url: str) -> None:
        check_url(url, policy)

    return httpx.AsyncClient(
        transport=GuardedTransport(pool, judge=judge if proxy else None),
        trust_env=False,
        follow_redirects=False,
        cookies=_NoCookies(),
        timeout=_TIMEOUT,
        headers={
            "User-Agent": user_agent,
            "Accept": "text/html,application/xhtml+xml,text/*;q=0.9,application/json;q=0.9,"
            "application/xml;q=0.8,*/*;q=0.5",
            "Accept-Language": "en,*;q=0.5",
            "Accept-Encoding": ACCEPT_ENCODING,
        },
    )
