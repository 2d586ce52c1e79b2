"""The HTTP client for pages, over the guarded dial."""

import http.cookiejar
import ssl
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager
from functools import cache
from types import TracebackType
from typing import Self

import httpcore
import httpx

from mcp_server.errors import BlockedUrl, FetchError
from mcp_server.visit.dial import PinnedBackend, Resolver
from mcp_server.visit.guard import Policy

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


class GuardedTransport(httpx.AsyncBaseTransport):
    """An httpx transport over httpcore's public pool, with the guard under it.

    HTTP/1.1 only: HTTP/2 would let a second host share a connection that was judged for the
    first.
    """

    def __init__(self, backend: PinnedBackend, *, ssl_context: ssl.SSLContext) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl_context,
            network_backend=backend,
            max_connections=64,
            max_keepalive_connections=8,
            keepalive_expiry=5,
            http2=False,
            retries=0,
        )

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
            FetchError: the host name does not resolve.
            httpx.TransportError: the network or the peer failed.
        """
        url = httpcore.URL(
            scheme=request.url.raw_scheme,
            host=request.url.raw_host,
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
            raise FetchError(str(request.url), exc.reason, hint=exc.hint) from None
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
    except Exception as exc:
        for core_error, httpx_error in _HTTPX_ERRORS:
            if isinstance(exc, core_error):
                raise httpx_error(str(exc)) from exc
        raise


@cache
def _ssl_context() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)  # loading the authorities takes 20 ms


def build_page_client(
    policy: Policy, *, user_agent: str, resolver: Resolver | None = None
) -> httpx.AsyncClient:
    """Build the client that fetches pages; the only way to fetch one.

    Environment proxies, netrc and certificate variables are ignored, redirects are not followed,
    cookies are not kept. The caller closes it.

    Args:
        policy: what may be reached.
        user_agent: honest name of the program, with where to complain.
        resolver: replaces the system's, for tests.
    """
    no_cookies = http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
    return httpx.AsyncClient(
        transport=GuardedTransport(
            PinnedBackend(policy, resolver=resolver), ssl_context=_ssl_context()
        ),
        trust_env=False,
        follow_redirects=False,
        cookies=no_cookies,
        timeout=_TIMEOUT,
        headers={
            "User-Agent": user_agent,
            "Accept": "text/html,application/xhtml+xml,text/*;q=0.9,application/json;q=0.9,"
            "application/xml;q=0.8,*/*;q=0.5",
            "Accept-Language": "en,*;q=0.5",
            "Accept-Encoding": "gzip",
        },
    )
