"""Dial only addresses that the guard has judged.

The check happens at the dial, not in the URL: a name is resolved once, all answers are judged,
and the judged address is dialled. A check before the request could be undone by a name server
which answers differently the second time.
"""

import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, cast

import anyio
import anyio.to_thread
import httpcore

from mcp_server.errors import BlockedUrl, FetchError
from mcp_server.visit.guard import Policy, check_address

Resolver = Callable[[str, int], Awaitable[list[str]]]
"""Gives all addresses of a host, or raises OSError."""

_SocketOption = (
    tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]
)

_DNS_SECONDS = 5.0
_CONNECT_SECONDS = 5.0
_MAX_DIALS = 4
_NO_DNS = "the host name does not resolve"


def build_system_resolver() -> Resolver:
    """Build a resolver over `getaddrinfo` which has its own threads.

    The event loop's default pool is small: a few silent name servers would stall every other
    look-up of the process.
    """
    limiter = anyio.CapacityLimiter(64)

    async def resolve(host: str, port: int) -> list[str]:
        def look_up() -> list[str]:
            answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            return [str(sockaddr[0]) for *_, sockaddr in answers]

        return await anyio.to_thread.run_sync(look_up, abandon_on_cancel=True, limiter=limiter)

    return resolve


class PinnedBackend(httpcore.AsyncNetworkBackend):
    """A network backend that only dials addresses which the policy allows."""

    def __init__(
        self,
        policy: Policy,
        *,
        resolver: Resolver | None = None,
        inner: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        self._policy = policy
        self._resolver = resolver or build_system_resolver()
        # httpcore's fallback class for an absent anyio confuses the type checker.
        self._inner = inner or cast(httpcore.AsyncNetworkBackend, httpcore.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[_SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Resolve once, judge all answers, dial at most four of them in order.

        Raises:
            BlockedUrl: one of the addresses is not allowed; one bad answer spoils all.
            FetchError: the name does not resolve.
            httpcore.ConnectError, httpcore.ConnectTimeout: no address answered.
        """
        host = host.strip("[]")
        addresses = await self._resolve(host, port)
        for address in addresses:
            check_address(address, self._policy, host=host)
        seconds = _CONNECT_SECONDS if timeout is None else min(timeout, _CONNECT_SECONDS)
        failure: httpcore.ConnectError | httpcore.ConnectTimeout | None = None
        for address in addresses[:_MAX_DIALS]:
            try:
                stream = await self._inner.connect_tcp(
                    address, port, seconds, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as exc:
                failure = exc
                continue
            await self._check_peer(stream, host)
            return _DialledStream(stream)
        assert failure is not None
        raise failure

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
        socket_options: Iterable[_SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Refuse.

        Raises:
            BlockedUrl: always.
        """
        raise BlockedUrl("", "unix sockets are not allowed")

    async def sleep(self, seconds: float) -> None:
        """Sleep, for the pool's retries."""
        await anyio.sleep(seconds)

    async def _resolve(self, host: str, port: int) -> list[str]:
        try:
            with anyio.fail_after(_DNS_SECONDS):
                addresses = await self._resolver(host, port)
        except (OSError, UnicodeError):  # TimeoutError is an OSError
            raise FetchError(host, _NO_DNS, hint="check the URL or try another result") from None
        if not addresses:
            raise FetchError(host, _NO_DNS, hint="check the URL or try another result")
        return list(dict.fromkeys(addresses))

    async def _check_peer(self, stream: httpcore.AsyncNetworkStream, host: str) -> None:
        """Judge the open socket too, in case the dial went elsewhere than it was told."""
        peer = stream.get_extra_info("server_addr")
        try:
            check_address(str(peer[0]) if peer else "", self._policy, host=host)
        except BlockedUrl:
            await stream.aclose()
            raise


class _DialledStream(httpcore.AsyncNetworkStream):
    """A fresh connection that does not leak when it is cancelled during the TLS handshake.

    httpcore 1.0.9 closes the socket only when the handshake fails, so each server that stays
    silent until our deadline would cost a file descriptor.
    """

    def __init__(self, inner: httpcore.AsyncNetworkStream) -> None:
        self._inner = inner

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        return await self._inner.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        await self._inner.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
    ) -> httpcore.AsyncNetworkStream:
        try:
            return await self._inner.start_tls(ssl_context, server_hostname, timeout)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await self._inner.aclose()
            raise

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
