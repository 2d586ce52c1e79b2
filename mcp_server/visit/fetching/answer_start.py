"""A bound on what a site may send before its answer begins.

h11 bounds a single head, but takes any number of interim answers (`103 Early Hints`) before the
final one. An endless row of them keeps the event loop busy until the deadline.
"""

import ssl
from collections.abc import Iterable

import httpcore

from mcp_server.errors import FetchError
from mcp_server.visit.fetching.dial import DialledStream, SocketOption

MAX_START_BYTES = 128 * 1024
"""Interim answers and the head of the final one; h11 lets that head have 100 KiB."""


class BoundedStart(DialledStream):
    """A connection on which each answer has to begin soon after its request."""

    def __init__(self, inner: httpcore.AsyncNetworkStream) -> None:
        """Own an open stream."""
        super().__init__(inner)
        self._left_bytes: int | None = MAX_START_BYTES

    def answer_begins(self) -> None:
        """Lift the bound until the next request: the body has bounds of its own."""
        self._left_bytes = None

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        """Read what has come, at most `max_bytes`.

        Raises:
            FetchError: the site has sent too much before its answer.
        """
        if self._left_bytes is None:
            return await super().read(max_bytes, timeout)
        if self._left_bytes <= 0:
            reason = "the site sends headers without end"
            raise FetchError("", reason, hint="try another result")
        data = await super().read(max_bytes, timeout)
        self._left_bytes -= len(data)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Write all of `buffer`, a part of the next request."""
        self._left_bytes = MAX_START_BYTES
        await super().write(buffer, timeout)

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
    ) -> httpcore.AsyncNetworkStream:
        """Shake hands; the bound holds for what is sent over TLS."""
        return BoundedStart(await super().start_tls(ssl_context, server_hostname, timeout))


class BoundedStartBackend(httpcore.AsyncNetworkBackend):
    """A network backend that puts the bound on every connection of another one."""

    def __init__(self, inner: httpcore.AsyncNetworkBackend) -> None:
        """Dial through `inner`."""
        self._inner = inner

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's interface
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Open a connection; raises what the inner backend raises."""
        stream = await self._inner.connect_tcp(host, port, timeout, local_address, socket_options)
        return BoundedStart(stream)
