"""A small hostile web on loopback, for tests of everything that fetches."""

import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import anyio
from anyio.abc import SocketAttribute, SocketStream

Script = Callable[[SocketStream], Awaitable[None]]
"""Writes a raw HTTP reply, as slowly, endlessly or wrongly as it likes."""


@dataclass
class FakeWeb:
    """A running server and what it was asked."""

    port: int
    requests: list[str] = field(default_factory=list[str])
    """Whole request heads, in order of arrival."""

    def url(self, path: str, *, host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.port}{path}"

    @property
    def paths(self) -> list[str]:
        return [head.split(" ", 2)[1] for head in self.requests]


def reply(
    body: bytes | str = b"",
    *,
    status: str = "200 OK",
    content_type: str = "text/html; charset=utf-8",
    headers: Mapping[str, str] | None = None,
) -> Script:
    """A complete reply with a Content-Length."""
    data = body.encode() if isinstance(body, str) else body
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(data)}", "Connection: close"]
    if content_type:
        lines.append(f"Content-Type: {content_type}")
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return raw("\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + data)


def raw(data: bytes) -> Script:
    """These bytes, then the end of the connection."""

    async def write(stream: SocketStream) -> None:
        await stream.send(data)

    return write


def redirect(location: str, *, status: str = "302 Found") -> Script:
    return reply(status=status, headers={"Location": location})


def gzip_bytes(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def gzip_bomb(megabytes: int) -> bytes:
    """About a thousandth of the size that it unpacks to."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    zeros = bytes(1_000_000)
    return b"".join(packer.compress(zeros) for _ in range(megabytes)) + packer.flush()


async def silent(stream: SocketStream) -> None:
    """Accept the request and never answer."""
    await anyio.sleep_forever()


async def trickle(stream: SocketStream) -> None:
    """A byte now and then, for ever: each read is in time, the whole never is."""
    await stream.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n")
    while True:
        await stream.send(b"a")
        await anyio.sleep(0.02)


async def endless(stream: SocketStream) -> None:
    """A body without an end, as fast as the reader takes it."""
    await stream.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n")
    while True:
        await stream.send(bytes(65_536))


@asynccontextmanager
async def serve(routes: Mapping[str, Script]) -> AsyncGenerator[FakeWeb]:
    """Serve paths on a free loopback port until the block ends; 404 for all others."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    web = FakeWeb(port=int(listener.extra(SocketAttribute.local_port)))

    async def handle(stream: SocketStream) -> None:
        with suppress(anyio.BrokenResourceError, anyio.EndOfStream, anyio.ClosedResourceError):
            async with stream:
                head = b""
                while b"\r\n\r\n" not in head:
                    head += await stream.receive()
                    if head.startswith(b"\x16"):
                        await silent(stream)  # a TLS hello; there is no TLS here
                web.requests.append(head.decode("latin-1"))
                path = web.paths[-1].partition("?")[0]
                await routes.get(path, reply("gone", status="404 Not Found"))(stream)

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handle)
        try:
            yield web
        finally:
            tasks.cancel_scope.cancel()
