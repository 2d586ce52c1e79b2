"""A small proxy on loopback: absolute form, CONNECT and SOCKS 5."""

import ssl
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from ipaddress import ip_address

import anyio
from anyio.abc import ByteStream, SocketAttribute, SocketStream
from anyio.streams.buffered import BufferedByteReceiveStream
from anyio.streams.tls import TLSStream

_ENDED = (
    anyio.BrokenResourceError,
    anyio.EndOfStream,
    anyio.IncompleteRead,
    anyio.ClosedResourceError,
    ssl.SSLError,
)


@dataclass
class FakeProxy:
    """A running proxy and what it was asked."""

    port: int
    requests: list[str] = field(default_factory=list[str])
    """Heads of HTTP requests, and `SOCKS user:password host:port` lines, in order of arrival."""

    @property
    def targets(self) -> list[str]:
        return [head.split()[1] for head in self.requests]


@asynccontextmanager
async def serve_proxy(
    sites: Mapping[str, int],
    *,
    login: str = "",
    refusal: str = "403 Forbidden",
    ssl_context: ssl.SSLContext | None = None,
) -> AsyncGenerator[FakeProxy]:
    """Proxy host names to loopback ports until the block ends.

    Args:
        sites: the ports of the known names; other names are refused.
        login: `user:password` that SOCKS clients must give.
        refusal: the status with which an unknown name is refused.
        ssl_context: for a proxy that is itself reached over TLS.
    """
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    proxy = FakeProxy(port=int(listener.extra(SocketAttribute.local_port)))
    relay = _Relay(proxy, sites, login, refusal)

    async def handle(socket: SocketStream) -> None:
        with suppress(*_ENDED):
            async with socket:
                stream: ByteStream = socket
                if ssl_context is not None:
                    stream = await TLSStream.wrap(
                        socket, server_side=True, ssl_context=ssl_context, standard_compatible=False
                    )
                await relay.serve(stream)

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handle)
        try:
            yield proxy
        finally:
            tasks.cancel_scope.cancel()


@dataclass(frozen=True)
class _Relay:
    proxy: FakeProxy
    sites: Mapping[str, int]
    login: str
    refusal: str

    async def serve(self, stream: ByteStream) -> None:
        reader = BufferedByteReceiveStream(stream)
        first = await reader.receive_exactly(1)
        if first == b"\x05":
            await self._serve_socks(stream, reader)
            return
        head = first + await reader.receive_until(b"\r\n\r\n", 65_536)
        self.proxy.requests.append(head.decode("latin-1"))
        method, target, rest = head.split(b" ", 2)
        authority = target if method == b"CONNECT" else target.split(b"/")[2]
        site = self.sites.get(authority.decode().rpartition(":")[0] or authority.decode())
        if site is None:
            body = b"the proxy says no"
            length = f"Content-Length: {len(body)}\r\n".encode()
            await stream.send(
                b"HTTP/1.1 " + self.refusal.encode() + b"\r\n" + length + b"\r\n" + body
            )
            return
        async with await anyio.connect_tcp("127.0.0.1", site) as upstream:
            if method == b"CONNECT":
                await stream.send(b"HTTP/1.1 200 Tunnel\r\n\r\n")
            else:
                path = b"/" + target.split(b"/", 3)[3]
                lines = b" ".join((method, path, rest)).split(b"\r\n")
                lines = [line for line in lines if not line.lower().startswith(b"proxy-")]
                await upstream.send(b"\r\n".join(lines) + b"\r\n\r\n")
            await _pump_both(stream, reader, upstream)

    async def _serve_socks(self, stream: ByteStream, reader: BufferedByteReceiveStream) -> None:
        methods = await reader.receive_exactly((await reader.receive_exactly(1))[0])
        method = 2 if self.login else 0
        if method not in methods:
            await stream.send(b"\x05\xff")
            return
        await stream.send(bytes((5, method)))
        given = ""
        if method:
            await reader.receive_exactly(1)
            user = await reader.receive_exactly((await reader.receive_exactly(1))[0])
            password = await reader.receive_exactly((await reader.receive_exactly(1))[0])
            given = f"{user.decode()}:{password.decode()}"
            await stream.send(bytes((1, given != self.login)))
        kind = (await reader.receive_exactly(4))[3]
        length = {1: 4, 4: 16}.get(kind) or (await reader.receive_exactly(1))[0]
        sent = await reader.receive_exactly(length)
        host = sent.decode() if kind == 3 else str(ip_address(sent))
        port = int.from_bytes(await reader.receive_exactly(2), "big")
        self.proxy.requests.append(f"SOCKS {host}:{port} {given}")
        site = self.sites.get(host)
        await stream.send(bytes((5, 0 if site else 4, 0, 1)) + bytes(6))
        if site is not None:
            async with await anyio.connect_tcp("127.0.0.1", site) as upstream:
                await _pump_both(stream, reader, upstream)


async def _pump_both(
    stream: ByteStream, reader: BufferedByteReceiveStream, upstream: SocketStream
) -> None:
    async def pump_up() -> None:
        with suppress(*_ENDED):
            while True:
                await upstream.send(await reader.receive())
        tasks.cancel_scope.cancel()  # whoever hangs up first ends both

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(pump_up)
        with suppress(*_ENDED):
            async for data in upstream:
                await stream.send(data)
        tasks.cancel_scope.cancel()
