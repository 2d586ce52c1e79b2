"""The browser's only way to the network: a small proxy that judges every target.

A page in a browser sends requests that never pass our Python client: scripts, redirects, frames,
WebSockets. Checking their URLs inside the browser is not enough, because the browser resolves the
name again when it dials. So it is told to dial nothing but this proxy, which resolves, judges and
dials through the guarded dial of all other fetches. Each page has its own door with its own
password: closing the door ends all that the page still has open, and no other program on the
machine can use the proxy.
"""

import base64
import binascii
import hmac
import logging
import secrets
from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from http import HTTPStatus

import anyio
import h11
import httpcore
import httpx
from anyio.abc import SocketAttribute, SocketStream, TaskStatus

from mcp_server.errors import BlockedUrl, FetchError
from mcp_server.visit.guard import Policy, check_location

BackendOf = Callable[[Policy], httpcore.AsyncNetworkBackend]
"""Builds the guarded dial for a policy."""

_logger = logging.getLogger(__name__)

_PIECE_BYTES = 64 * 1024
_MAX_HEAD_BYTES = 64 * 1024
_NOWHERE = httpx.URL("http://nowhere.invalid/")
"""Base of a target that is not absolute, as it has to be; the guard refuses it."""
_HEAD_SECONDS = 10.0
"""For a request's head; the browser writes it at once."""
_HOP_HEADERS = frozenset(
    (
        b"connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer "
        b"transfer-encoding upgrade"
    ).split()
)
_CONNECTION_ENDED = (
    anyio.BrokenResourceError,
    anyio.ClosedResourceError,
    anyio.EndOfStream,
    h11.ProtocolError,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    TimeoutError,
)


class _BudgetSpent(Exception):
    """The page has loaded all that it may."""


@dataclass(eq=False, slots=True, kw_only=True)
class Door:
    """What one page may use of the network, and what became of it."""

    name: str
    password: str
    max_bytes: int
    received_bytes: int = 0
    """From the web as sent, TLS and all."""
    failures: dict[str, BlockedUrl | FetchError] = field(
        default_factory=dict[str, BlockedUrl | FetchError]
    )
    """By `host:port`: why it was refused or not reached, the last reason of each."""
    allows_private: bool | None = None
    """Whether the page itself is a private one; None until its document was asked for."""
    connections: set[anyio.CancelScope] = field(default_factory=set[anyio.CancelScope])

    def count(self, received_bytes: int) -> None:
        """Take note of bytes from the web.

        Raises:
            _BudgetSpent: they are more than the page may load.
        """
        self.received_bytes += received_bytes
        if self.is_spent:
            raise _BudgetSpent

    def failure_at(self, url: str) -> BlockedUrl | FetchError | None:
        """Why the host and port of a URL could not be reached, if so."""
        return self.failures.get(_authority(url))

    @property
    def is_spent(self) -> bool:
        """Whether the page was cut off because it loaded more than `max_bytes`."""
        return self.received_bytes > self.max_bytes


class GuardedProxy:
    """An HTTP proxy on loopback for our own browser.

    Private hosts that the policy lists are for pages which are private themselves: a page of the
    public web reaches public addresses only, or it could send requests into the user's network.
    """

    def __init__(self, policy: Policy, backend_of: BackendOf) -> None:
        """Judge every target by `policy` and dial it with the backend built for it."""
        public = replace(policy, allow_private=())
        self._guards = {
            allows_private: (judge, backend_of(judge))
            for allows_private, judge in ((True, policy), (False, public))
        }
        self._doors: dict[str, Door] = {}

    async def serve(self, *, task_status: TaskStatus[int]) -> None:
        """Serve until cancelled; reports the port as soon as it listens."""
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        async with listener:
            port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - not Django's
            task_status.started(int(port))
            await listener.serve(self._serve_client)

    @contextmanager
    def open_door(self, *, max_bytes: int) -> Generator[Door]:
        """Let one page use the network until the block ends."""
        name, password = secrets.token_hex(8), secrets.token_hex(16)
        door = Door(name=name, password=password, max_bytes=max_bytes)
        self._doors[name] = door
        try:
            yield door
        finally:
            del self._doors[name]
            for connection in door.connections:
                connection.cancel()

    async def _serve_client(self, stream: SocketStream) -> None:
        try:
            async with stream:
                await self._answer(_Client(stream))
        except (*_CONNECTION_ENDED, _BudgetSpent):
            pass
        except Exception:  # whatever a page makes of one connection stays in it
            _logger.warning("a connection of the browser broke", exc_info=True)

    async def _answer(self, client: "_Client") -> None:
        with anyio.fail_after(_HEAD_SECONDS):
            request = await client.read_head()
        door = self._door_for(request)
        if door is None:
            await client.ask_for_password()
            return
        with anyio.CancelScope() as connection:
            door.connections.add(connection)
            try:
                await self._forward(client, request, door)
            finally:
                door.connections.discard(connection)

    def _door_for(self, request: h11.Request) -> Door | None:
        given = dict(request.headers).get(b"proxy-authorization", b"")
        try:
            name, _, password = base64.b64decode(given.removeprefix(b"Basic ")).partition(b":")
        except binascii.Error:
            return None
        door = self._doors.get(name.decode("latin-1"))
        if door is None or not hmac.compare_digest(password, door.password.encode()):
            return None
        return door

    async def _forward(self, client: "_Client", request: h11.Request, door: Door) -> None:
        """Pass one request on; what is refused or not reached ends without an answer."""
        if door.is_spent:
            return
        target = request.target.decode("latin-1")
        is_tunnel = request.method == b"CONNECT"
        try:
            url, upstream = await self._dial(f"https://{target}/" if is_tunnel else target, door)
        except (BlockedUrl, FetchError) as exc:
            door.failures[_authority(exc.url)] = exc
            return
        try:
            if is_tunnel:
                await client.tunnel(upstream, door)
            else:
                await client.exchange(request, url, upstream, door)
        finally:
            with anyio.CancelScope(shield=True):
                await upstream.aclose()

    async def _dial(self, url: str, door: Door) -> tuple[httpx.URL, httpcore.AsyncNetworkStream]:
        if door.allows_private is not None:
            return await self._dial_guarded(url, allows_private=door.allows_private)
        # The first request is for the page's own document, which tells what the page is.
        door.allows_private = False
        with suppress(BlockedUrl):
            return await self._dial_guarded(url, allows_private=False)
        dialled = await self._dial_guarded(url, allows_private=True)
        door.allows_private = True
        return dialled

    async def _dial_guarded(
        self, url: str, *, allows_private: bool
    ) -> tuple[httpx.URL, httpcore.AsyncNetworkStream]:
        policy, backend = self._guards[allows_private]
        try:
            judged = check_location(url, _NOWHERE, policy)
            stream = await backend.connect_tcp(judged.raw_host.decode("ascii"), port_of(judged))
        except BlockedUrl as exc:
            raise BlockedUrl(url, exc.reason, hint=exc.hint) from None
        except FetchError as exc:
            raise FetchError(url, exc.reason, retryable=exc.retryable, hint=exc.hint) from None
        except (httpcore.ConnectError, httpcore.ConnectTimeout):
            hint = "try again later, or try another result"
            reason = "could not connect to the site"
            raise FetchError(url, reason, retryable=True, hint=hint) from None
        return judged, stream


class _Client:
    """One connection from the browser, for one request."""

    def __init__(self, stream: SocketStream) -> None:
        self._stream = stream
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD_BYTES)

    async def read_head(self) -> h11.Request:
        event = await self._next_event()
        if not isinstance(event, h11.Request):
            raise anyio.EndOfStream
        return event

    async def ask_for_password(self) -> None:
        headers = [
            ("Proxy-Authenticate", 'Basic realm="seekling"'),
            ("Content-Length", "0"),
            ("Connection", "close"),
        ]
        status = HTTPStatus.PROXY_AUTHENTICATION_REQUIRED
        await self._send(h11.Response(status_code=status, headers=headers))
        await self._send(h11.EndOfMessage())

    async def tunnel(self, upstream: httpcore.AsyncNetworkStream, door: Door) -> None:
        """Pass bytes both ways until one side ends."""
        await self._send(h11.Response(status_code=HTTPStatus.OK, headers=[]))
        sent_ahead, _ = self._http.trailing_data
        async with anyio.create_task_group() as tasks:

            async def send() -> None:
                data = sent_ahead
                with suppress(*_CONNECTION_ENDED):
                    while True:
                        await upstream.write(data)
                        data = await self._stream.receive(_PIECE_BYTES)
                tasks.cancel_scope.cancel()

            tasks.start_soon(send)
            with suppress(*_CONNECTION_ENDED, _BudgetSpent):
                while data := await upstream.read(_PIECE_BYTES):
                    door.count(len(data))
                    await self._stream.send(data)
            tasks.cancel_scope.cancel()

    async def exchange(
        self,
        request: h11.Request,
        url: httpx.URL,
        upstream: httpcore.AsyncNetworkStream,
        door: Door,
    ) -> None:
        """Pass one request on to a plain HTTP server and its answer back."""
        origin = httpcore.Origin(b"http", url.raw_host, port_of(url))
        server = httpcore.AsyncHTTP11Connection(origin, upstream)
        path = b"/" + request.target.partition(b"://")[2].partition(b"/")[2]
        onward = httpcore.Request(
            request.method,
            httpcore.URL(scheme=b"http", host=url.raw_host, port=port_of(url), target=path),
            headers=_end_to_end(request.headers),
            content=self._request_body(),
        )
        response = await server.handle_async_request(onward)
        headers = [*_end_to_end(response.headers), (b"Connection", b"close")]
        await self._send(h11.Response(status_code=response.status, headers=headers))
        async with aclosing(response):
            async for data in response.aiter_stream():
                door.count(len(data))
                await self._send(h11.Data(data=data))
        await self._send(h11.EndOfMessage())

    async def _request_body(self) -> AsyncGenerator[bytes]:
        while isinstance(event := await self._next_event(), h11.Data):
            yield bytes(event.data)

    async def _next_event(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            self._http.receive_data(await self._stream.receive(_PIECE_BYTES))
        return event

    async def _send(self, event: h11.Event) -> None:
        data = self._http.send(event)
        if data:
            await self._stream.send(data)


def port_of(url: httpx.URL) -> int:
    """The port of an http(s) URL, written or not."""
    return url.port or (443 if url.scheme == "https" else 80)


def _authority(url: str) -> str:
    """`host:port`, or the text itself when it is no URL."""
    try:
        parsed = httpx.URL(url)
    except (httpx.InvalidURL, ValueError):
        return url
    return f"{parsed.host}:{port_of(parsed)}"


def _end_to_end(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers without those that are for this proxy or for one connection only."""
    return [(name, value) for name, value in headers if name.lower() not in _HOP_HEADERS]
