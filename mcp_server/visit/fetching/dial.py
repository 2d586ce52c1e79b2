"""Dial only addresses that the guard has judged.

The check happens at the dial, not in the URL: a name is resolved once, all answers are judged,
and the judged address is dialled. A check before the request could be undone by a name server
which answers differently the second time.
"""

import select
import socket
import ssl
from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from itertools import chain, zip_longest
from typing import Any, cast

import anyio
import httpcore

from mcp_server.errors import BlockedUrl, FetchError
from mcp_server.visit.fetching.resolver import UNKNOWN_HOST, Resolver, ThreadedResolver
from mcp_server.visit.guard import Policy, check_address

SocketOption = (
    tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
)

_DNS_SECONDS = 5.0
_CONNECT_SECONDS = 5.0
_MAX_DIALS = 4
_STAGGER_SECONDS = 0.25
"""Head start of one address over the next, as RFC 8305 recommends."""
_NO_SUCH_NAME = {socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME)}


class Dialler:
    """Resolves a host and opens a connection to the first of its addresses that answers."""

    def __init__(
        self,
        resolver: Resolver | None = None,
        *,
        network: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        """Take a resolver and a network, by default those of the system."""
        self._resolver = resolver or ThreadedResolver()
        # httpcore's fallback class for an absent anyio confuses the type checker.
        self._network = network or cast(httpcore.AsyncNetworkBackend, httpcore.AnyIOBackend())

    async def resolve(self, host: str, port: int) -> list[str]:
        """All addresses of a host, without repeats, address families taking turns.

        Raises:
            FetchError: the name does not resolve, or not in time.
        """
        if _is_literal(host):
            return [host]
        try:
            with anyio.fail_after(_DNS_SECONDS):
                addresses = await self._resolver(host, port)
        except UnicodeError:
            addresses = []
        except OSError as exc:  # TimeoutError is one
            if exc.errno not in _NO_SUCH_NAME:
                reason = "the host name could not be looked up: no name server answers"
                hint = "try again later, or try another result"
                raise FetchError(host, reason, retryable=True, hint=hint) from None
            addresses = []
        if not addresses:
            hint = "check the URL or try another result"
            raise FetchError(host, UNKNOWN_HOST, hint=hint)
        return _in_turns(list(dict.fromkeys(addresses)))

    async def dial(
        self, addresses: Sequence[str], port: int, options: Iterable[SocketOption] | None = None
    ) -> httpcore.AsyncNetworkStream:
        """Open a connection to the first of at most four addresses that answers.

        Each address has a head start of a quarter of a second over the next and 5 seconds in
        all, so that a dead one costs little of the caller's deadline.

        Raises:
            httpcore.ConnectError, httpcore.ConnectTimeout: no address answered.
        """
        race = _Race(self._network, port, options)
        try:
            return await race.run(addresses[:_MAX_DIALS])
        except BaseException:
            await race.give_up()
            raise


class _Race:
    """One staggered dial; the first stream wins, the others are closed."""

    def __init__(
        self,
        network: httpcore.AsyncNetworkBackend,
        port: int,
        options: Iterable[SocketOption] | None,
    ) -> None:
        self._network = network
        self._port = port
        self._options = options
        self._winner: httpcore.AsyncNetworkStream | None = None
        self._failure: httpcore.ConnectError | httpcore.ConnectTimeout | None = None

    async def run(self, addresses: Sequence[str]) -> httpcore.AsyncNetworkStream:
        async with anyio.create_task_group() as tasks:
            for address in addresses:
                ended = anyio.Event()
                tasks.start_soon(self._try, address, ended, tasks.cancel_scope)
                with anyio.move_on_after(_STAGGER_SECONDS):
                    await ended.wait()
        if self._winner is None:
            assert self._failure is not None
            raise self._failure
        return self._winner

    async def give_up(self) -> None:
        """Close the stream that won when nobody waits for it any more."""
        if self._winner is not None:
            with anyio.CancelScope(shield=True):
                await self._winner.aclose()

    async def _try(self, address: str, ended: anyio.Event, others: anyio.CancelScope) -> None:
        try:
            stream = await self._network.connect_tcp(
                address, self._port, _CONNECT_SECONDS, socket_options=self._options
            )
        except (httpcore.ConnectError, httpcore.ConnectTimeout) as exc:
            self._failure = exc
            ended.set()
            return
        if self._winner is None:
            self._winner = stream
            others.cancel()
        else:
            with anyio.CancelScope(shield=True):
                await stream.aclose()


def _is_literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _in_turns(addresses: list[str]) -> list[str]:
    """The same addresses, families alternating, so that a dead family does not fill all dials."""
    first = [address for address in addresses if (":" in address) == (":" in addresses[0])]
    second = [address for address in addresses if (":" in address) != (":" in addresses[0])]
    pairs = zip_longest(first, second)
    return [address for address in chain.from_iterable(pairs) if address is not None]


class PinnedBackend(httpcore.AsyncNetworkBackend):
    """A network backend that only dials addresses which the policy allows."""

    def __init__(
        self,
        policy: Policy,
        *,
        resolver: Resolver | None = None,
        inner: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        """Judge by `policy`; resolver and network are the system's unless given."""
        self._policy = policy
        self._dialler = Dialler(resolver, network=inner)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Resolve once, judge all answers, dial at most four of them.

        Raises:
            BlockedUrl: one of the addresses is not allowed; one bad answer spoils all.
            FetchError: the name does not resolve.
            httpcore.ConnectError, httpcore.ConnectTimeout: no address answered.
        """
        host = host.strip("[]")
        addresses = await self._dialler.resolve(host, port)
        for address in addresses:
            check_address(address, self._policy, host=host)
        stream = await self._dialler.dial(addresses, port, socket_options)
        await self._check_peer(stream, host)
        return DialledStream(stream)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Refuse.

        Raises:
            BlockedUrl: always.
        """
        raise BlockedUrl("", "unix sockets are not allowed")

    async def _check_peer(self, stream: httpcore.AsyncNetworkStream, host: str) -> None:
        """Judge the open socket too, in case the dial went elsewhere than it was told."""
        peer = stream.get_extra_info("server_addr")
        try:
            check_address(str(peer[0]) if peer else "", self._policy, host=host)
        except BlockedUrl:
            with anyio.CancelScope(shield=True):
                await stream.aclose()
            raise


class DialledStream(httpcore.AsyncNetworkStream):
    """A fresh connection that does not leak when it is cancelled during the TLS handshake.

    httpcore 1.0.9 closes the socket only when the handshake fails, so each server that stays
    silent until our deadline would cost a file descriptor.
    """

    def __init__(self, inner: httpcore.AsyncNetworkStream) -> None:
        """Own an open stream."""
        self._inner = inner
        self._socket: socket.socket | None = inner.get_extra_info("socket")

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        """Read what has come, at most `max_bytes`."""
        return await self._inner.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Write all of `buffer`."""
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        """Close the connection."""
        await self._inner.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
    ) -> httpcore.AsyncNetworkStream:
        """Shake hands, or close the connection."""
        try:
            return await self._inner.start_tls(ssl_context, server_hostname, timeout)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._inner.aclose()
            raise

    def get_extra_info(self, info: str) -> Any:
        """What the network knows about the connection; see httpcore."""
        if info == "is_readable" and self._socket is not None and hasattr(select, "poll"):
            # httpcore asks this of each idle connection at each request, twice.
            return _is_readable(self._socket)
        return self._inner.get_extra_info(info)


def _is_readable(connection: socket.socket) -> bool:
    """Whether something came, which on an idle connection is its end."""
    if connection.fileno() < 0:
        return True
    waiting = select.poll()
    waiting.register(connection, select.POLLIN)
    return bool(waiting.poll(0))
