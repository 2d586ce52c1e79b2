"""The HTTP that a model endpoint needs, as a port: one request out, a reply in pieces back.

There are two implementations: `lean_http.LeanHttp`, for many streams at once, and `HttpxTransport`,
which knows proxies.
"""

import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

import httpx

CONNECT_SECONDS = 10.0
"""From the look-up of the name to the end of the TLS handshake."""


class TransportError(Exception):
    """Base of what goes wrong between us and an HTTP server; the text is one line for a person."""


class CannotConnect(TransportError):
    """There is no connection, so nothing was sent.

    Attributes:
        is_permanent: the address itself is wrong: another try cannot do better.
    """

    def __init__(self, reason: str, *, is_permanent: bool = False) -> None:
        super().__init__(reason)
        self.is_permanent = is_permanent


class LinkBroken(TransportError):
    """The connection was lost after some of the request may have been sent."""


class BadHttp(TransportError):
    """What the server sends is not HTTP, or in an encoding that nobody asked for."""


_ENDED = re.compile("disconnected|closed connection")


def _nothing_to_do() -> None:
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """One request; its body is sent whole."""

    method: str
    url: str
    """Absolute, of scheme http or https."""
    headers: Mapping[str, str]
    """Without Host, Content-Length and Connection: the transport sets them."""
    content: bytes = b""
    on_sent: Callable[[], None] = field(default=_nothing_to_do, repr=False)
    """Called as soon as the server may have the whole request and begin to work on it."""


class HttpReply(Protocol):
    """A reply whose head has arrived."""

    @property
    def status(self) -> int:
        """The status code, 200 to 599: interim replies (1xx) are passed over."""
        ...

    @property
    def headers(self) -> Mapping[str, str]:
        """By lower-case name; values of a name that occurs several times are joined by ", "."""
        ...

    def chunks(self) -> AsyncIterator[bytes]:
        """Give the body as it arrives, in pieces of any size; can be called once.

        Raises:
            LinkBroken: the connection was lost before the end of the body.
            BadHttp: the body is not framed or encoded as HTTP says.
        """
        ...


class Transport(Protocol):
    """Sends HTTP requests to any origin and keeps connections for the next one."""

    def send(self, request: HttpRequest) -> AbstractAsyncContextManager[HttpReply]:
        """Send a request and wait for the head of the reply.

        There is no limit of time but `CONNECT_SECONDS`: the caller cancels. Leaving the context
        before the end of the body, or by a cancellation, closes the connection. Redirects are not
        followed.

        Raises:
            CannotConnect: no connection; nothing was sent.
            LinkBroken: the connection was lost before the head of the reply.
            BadHttp: the reply is not HTTP.
        """
        ...


@dataclass(frozen=True, slots=True)
class HttpxTransport:
    """A `Transport` over httpx: for proxies, and for whatever else an httpx client is set up for.

    httpx and its connection pool cost several times the CPU of `LeanHttp` per request, and the
    pool searches all requests at each change of one of them, which shows from about 100 on.
    """

    http: httpx.AsyncClient
    """Given and closed by the owner; its own time limits are not used."""

    @asynccontextmanager
    async def send(self, request: HttpRequest) -> AsyncGenerator[HttpReply]:
        """See `Transport.send`."""
        try:
            async with self.http.stream(
                request.method,
                request.url,
                content=request.content,
                headers=dict(request.headers),
                timeout=httpx.Timeout(None, connect=CONNECT_SECONDS),
                extensions={"trace": _tell_sent(request.on_sent)},
                follow_redirects=False,
            ) as response:
                yield _HttpxReply(response)
        except (httpx.RequestError, httpx.InvalidURL) as exc:
            raise _translated(exc) from exc


@dataclass(frozen=True, slots=True)
class _HttpxReply:
    response: httpx.Response

    @property
    def status(self) -> int:
        return self.response.status_code

    @property
    def headers(self) -> Mapping[str, str]:
        return self.response.headers

    async def chunks(self) -> AsyncGenerator[bytes]:
        try:
            async for chunk in self.response.aiter_bytes():
                yield chunk
        except httpx.RequestError as exc:
            raise _translated(exc) from exc


def _translated(exc: httpx.RequestError | httpx.InvalidURL) -> TransportError:
    reason = str(exc) or type(exc).__name__
    match exc:
        case httpx.ConnectError() | httpx.ConnectTimeout() | httpx.ProxyError():
            return CannotConnect(reason)
        case httpx.UnsupportedProtocol() | httpx.InvalidURL() | httpx.LocalProtocolError():
            return CannotConnect(reason, is_permanent=True)
        case httpx.DecodingError():
            return BadHttp(reason)
        # httpx calls it a breach of the protocol, too, when a connection just ends
        case httpx.RemoteProtocolError() if not _ENDED.search(reason):
            return BadHttp(reason)
        case _:
            return LinkBroken(reason)


def _tell_sent(on_sent: Callable[[], None]) -> Callable[[str, object], Awaitable[None]]:
    async def trace(event: str, _: object) -> None:
        if event.endswith("send_request_body.started"):
            on_sent()

    return trace
