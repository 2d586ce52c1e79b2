"""A small hostile web on loopback, for tests of everything that fetches."""

import ssl
import zlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import cast

import anyio
from anyio.abc import SocketAttribute, SocketStream
from anyio.streams.tls import TLSStream

Script = Callable[[SocketStream], Awaitable[None]]
"""Writes a raw HTTP reply, as slowly, endlessly or wrongly as it likes."""


_ENDED = (
    anyio.BrokenResourceError,
    anyio.EndOfStream,
    anyio.ClosedResourceError,
    ssl.SSLError,
)


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


def in_turn(*scripts: Script) -> Script:
    """The first script for the first request, and so on; the last one for all that follow."""
    left = list(scripts)

    async def write(stream: SocketStream) -> None:
        await (left.pop(0) if len(left) > 1 else left[0])(stream)

    return write


async def hang_up(stream: SocketStream) -> None:
    """End the connection without an answer."""


def gzip_bytes(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def gzip_bomb(megabytes: int) -> bytes:
    """About a two-hundredth of the size that it unpacks to."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
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
async def accept(script: Script) -> AsyncGenerator[FakeWeb]:
    """Run a script for each connection on a free loopback port, whatever is asked."""
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")

    async def handle(stream: SocketStream) -> None:
        with suppress(*_ENDED):
            async with stream:
                await script(stream)

    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, handle)
        try:
            yield FakeWeb(port=int(listener.extra(SocketAttribute.local_port)))
        finally:
            tasks.cancel_scope.cancel()


@asynccontextmanager
async def serve(
    routes: Mapping[str, Script], *, ssl_context: ssl.SSLContext | None = None
) -> AsyncGenerator[FakeWeb]:
    """Serve paths on a free loopback port until the block ends; 404 for all others.

    With an `ssl_context` over TLS only; without one, a TLS hello is never answered.
    """
    requests: list[str] = []

    async def answer(stream: SocketStream) -> None:
        if ssl_context is not None:
            secured = await TLSStream.wrap(
                stream, server_side=True, ssl_context=ssl_context, standard_compatible=False
            )
            stream = cast(SocketStream, secured)  # scripts only send and receive
        head = b""
        while b"\r\n\r\n" not in head:
            head += await stream.receive()
            if head.startswith(b"\x16"):
                await silent(stream)  # a TLS hello; there is no TLS here
        requests.append(head.decode("latin-1"))
        path = requests[-1].split(" ", 2)[1].partition("?")[0]
        await routes.get(path, reply("gone", status="404 Not Found"))(stream)

    async with accept(answer) as web:
        web.requests = requests
        yield web
