"""A site that takes a request and never answers, and sees when its visitor hangs up."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import anyio
from anyio.abc import SocketStream

from tests.support.fake_web import serve


@dataclass
class StalledSite:
    """The site, its address and what it saw."""

    url: str = ""
    asked: anyio.Event = field(default_factory=anyio.Event)
    """A visitor sent its request."""
    left: anyio.Event = field(default_factory=anyio.Event)
    """The visitor closed its side of the connection."""


@asynccontextmanager
async def stalled_site(path: str = "/slow") -> AsyncGenerator[StalledSite]:
    """Serve one page that never comes, on a free loopback port."""
    site = StalledSite()

    async def stall(stream: SocketStream) -> None:
        site.asked.set()
        with suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            await stream.receive()
        site.left.set()

    async with serve({path: stall}) as web:
        site.url = web.url(path)
        yield site
