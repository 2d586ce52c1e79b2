"""An HTTP/1.1 client for many streams at once, over plain sockets.

A model client sends one form of request and reads one form of reply, hundreds of times at the same
time. This does that and nothing else: no proxies, redirects, cookies or compression.
"""

import select
import socket
import ssl
from collections import deque
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, urlsplit

import anyio
import httpx
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSStream

from agent_client.model.http_framing import Body, Head, body_of, split_head
from agent_client.model.transport import (
    CONNECT_SECONDS,
    BadHttp,
    CannotConnect,
    HttpReply,
    HttpRequest,
    LinkBroken,
)

IDLE_SECONDS = 30.0
"""How long a connection is kept for the next request: routers forget silent ones after a while."""
MAX_IDLE = 1_024
"""Connections kept per origin; more are closed after use. How many are in use is not bounded."""

_RECEIVE_BYTES = 65_536
_LINK_ERRORS = (anyio.BrokenResourceError, anyio.ClosedResourceError, OSError)

_NewTls = Callable[[], ssl.SSLContext]


@dataclass(frozen=True, slots=True)
class _Address:
    """Where a URL leads."""

    host: str
    port: int
    is_tls: bool
    host_field: str
    target: str

    @property
    def origin(self) -> tuple[str, int, bool]:
        return (self.host, self.port, self.is_tls)


@dataclass(slots=True)
class _Connection:
    """An open connection; used by one request at a time."""

    stream: ByteStream
    socket: socket.socket
    was_used: bool = False
    idle_since: float = 0.0

    def is_stale(self, now: float) -> bool:
        """Whether an idle connection should not be used again."""
        # An idle server has nothing to say: it closed the connection, or it is confused.
        return now - self.idle_since > IDLE_SECONDS or _is_readable(self.socket)


class LeanHttp:
    """A `Transport` of little cost. Use it as an async context manager, which closes everything.

    A kept connection that turns out to be closed before the first byte of a reply is replaced by
    a new one, once. Certificates are checked as httpx does it, so `SSL_CERT_FILE` and
    `SSL_CERT_DIR` are honoured.

    Args:
        new_tls: makes the TLS context, when the first https request needs it.
    """

    def __init__(self, new_tls: _NewTls = httpx.create_ssl_context) -> None:
        self._new_tls = new_tls
        self._tls: ssl.SSLContext | None = None
        self._idle: dict[tuple[str, int, bool], deque[_Connection]] = {}
        self._is_open = True

    async def __aenter__(self) -> "LeanHttp":
        return self

    async def __aexit__(self, *_: object) -> None:
        self._is_open = False
        for connections in self._idle.values():
            for connection in connections:
                await anyio.aclose_forcefully(connection.stream)
        self._idle.clear()

    @asynccontextmanager
    async def send(self, request: HttpRequest) -> AsyncGenerator[HttpReply]:
        """See `Transport.send`."""
        address = _parse(request.url)
        data, on_sent = _request_bytes(request, address), request.on_sent
        del request  # a long conversation is not held twice, and not for as long as its reply takes
        connection = await self._take(address)
        try:
            try:
                head, rest = await _exchange(connection, data, on_sent)
            except _Stale:
                await anyio.aclose_forcefully(connection.stream)
                connection = await self._connect(address)
                head, rest = await _exchange(connection, data, on_sent)
            del data
            reply = _Reply(connection, head, body_of(head), rest)
            yield reply
        except BaseException:
            await anyio.aclose_forcefully(connection.stream)
            raise
        await self._put_back(address, connection, reply)

    async def _take(self, address: _Address) -> _Connection:
        idle = self._idle.get(address.origin)
        while idle:
            connection = idle.pop()
            if not connection.is_stale(anyio.current_time()):
                return connection
            await anyio.aclose_forcefully(connection.stream)
        return await self._connect(address)

    async def _put_back(self, address: _Address, connection: _Connection, reply: "_Reply") -> None:
        idle = self._idle.setdefault(address.origin, deque())
        now = anyio.current_time()
        while idle and now - idle[0].idle_since > IDLE_SECONDS:
            await anyio.aclose_forcefully(idle.popleft().stream)
        if self._is_open and reply.can_follow and len(idle) < MAX_IDLE:
            connection.was_used, connection.idle_since = True, now
            idle.append(connection)
        else:
            await anyio.aclose_forcefully(connection.stream)

    async def _connect(self, address: _Address) -> _Connection:
        try:
            with anyio.fail_after(CONNECT_SECONDS):
                stream: ByteStream = await anyio.connect_tcp(address.host, address.port)
                if address.is_tls:
                    stream = await self._wrap(stream, address.host)
        except ssl.SSLCertVerificationError as exc:
            reason = f"the certificate is not trusted: {exc.verify_message}"
            raise CannotConnect(reason, is_permanent=True) from exc
        except TimeoutError as exc:
            raise CannotConnect(f"no connection within {CONNECT_SECONDS:g} s") from exc
        except (*_LINK_ERRORS, anyio.EndOfStream, UnicodeError) as exc:
            reason = str(exc.__cause__ or exc) or type(exc).__name__
            raise CannotConnect(reason) from exc
        return _Connection(stream, stream.extra(SocketAttribute.raw_socket))  # noqa: S610 - no SQL

    async def _wrap(self, stream: ByteStream, host: str) -> ByteStream:
        if self._tls is None:
            self._tls = self._new_tls()
        try:
            return await TLSStream.wrap(
                stream, hostname=host, ssl_context=self._tls, standard_compatible=False
            )
        except BaseException:
            await anyio.aclose_forcefully(stream)
            raise


class _Stale(Exception):
    """A kept connection was closed before the reply to this request began."""


class _Reply:
    """A reply whose body is read from its connection; iterates over the body's bytes."""

    def __init__(self, connection: _Connection, head: Head, body: Body, rest: bytes) -> None:
        self._stream = connection.stream
        self._head = head
        self._body = body
        self._rest = rest

    @property
    def status(self) -> int:
        return self._head.status

    @property
    def headers(self) -> Mapping[str, str]:
        return self._head.headers

    @property
    def can_follow(self) -> bool:
        """Whether another request can follow on the connection."""
        body = self._body
        is_clean = not body.surplus and not self._rest
        return self._head.keeps_alive and body.is_done and is_clean

    def chunks(self) -> "_Reply":
        return self

    def __aiter__(self) -> "_Reply":
        return self

    async def __anext__(self) -> bytes:
        while not self._body.is_done:
            if self._rest:
                data, self._rest = self._rest, b""
            else:
                data = await self._receive()
                if not data:
                    break
            if part := self._body.feed(data):
                return part
        raise StopAsyncIteration

    async def _receive(self) -> bytes:
        try:
            return await self._stream.receive(_RECEIVE_BYTES)
        except anyio.EndOfStream as exc:
            if self._body.end():
                return b""
            raise LinkBroken("the connection ended before the reply") from exc
        except _LINK_ERRORS as exc:
            raise LinkBroken(_reason(exc)) from exc


async def _exchange(
    connection: _Connection, data: bytes, on_sent: Callable[[], None]
) -> tuple[Head, bytes]:
    """Send a request and read the head of its reply, past interim ones; also give what follows."""
    received = b""
    on_sent()
    try:
        await connection.stream.send(data)
        while True:
            while (read := split_head(received)) is None:
                received += await connection.stream.receive(_RECEIVE_BYTES)
            head, received = read
            if head.status >= 200:
                return head, received
            if head.status == 101:
                raise BadHttp("the server switched to a protocol that nobody asked for")
    except (anyio.EndOfStream, *_LINK_ERRORS) as exc:
        if connection.was_used and not received:
            raise _Stale from exc
        raise LinkBroken(_reason(exc)) from exc


@lru_cache(maxsize=256)
def _parse(url: str) -> _Address:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
        if not host.isascii():
            host = host.encode("idna").decode()
    except ValueError as exc:  # a UnicodeError is one, too
        raise CannotConnect(f"not a URL: {exc}", is_permanent=True) from exc
    if parts.scheme not in ("http", "https") or not host or any(map(str.isspace, url)):
        raise CannotConnect("not a URL of a web server", is_permanent=True)
    is_tls = parts.scheme == "https"
    shown = f"[{host}]" if ":" in host else host
    target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~")
    if parts.query:
        target += "?" + quote(parts.query, safe="/%:@!$&'()*+,;=~?")
    return _Address(
        host,
        port or (443 if is_tls else 80),
        is_tls,
        shown if port is None else f"{shown}:{port}",
        target,
    )


def _request_bytes(request: HttpRequest, address: _Address) -> bytes:
    lines = [f"{request.method} {address.target} HTTP/1.1", f"Host: {address.host_field}"]
    lines += [f"{name}: {value}" for name, value in request.headers.items()]
    lines.append("Accept-Encoding: identity")
    if request.content or request.method == "POST":
        lines.append(f"Content-Length: {len(request.content)}")
    if any(not line.isprintable() or not line.isascii() for line in lines):
        # the value may be a key: it is not told
        raise CannotConnect("a header field has characters that HTTP forbids", is_permanent=True)
    return "\r\n".join([*lines, "", ""]).encode() + request.content


def _is_readable(connected: socket.socket) -> bool:
    if connected.fileno() < 0:
        return True  # closed on our side: reading does not block either
    poll = select.poll()  # not `select`, which ends at file number 1,024
    poll.register(connected, select.POLLIN)
    return bool(poll.poll(0))


def _reason(exc: Exception) -> str:
    cause = exc.__cause__ or exc
    return str(cause) or "the connection was closed before the reply"
