"""A search engine and a site on loopback that show injected pages."""

import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from anyio.abc import SocketStream

from tests.injection.pages import Body, InjectedPage
from tests.support.fake_web import FakeWeb, Script, reply, serve


@dataclass(frozen=True, slots=True)
class Site:
    """Both of them, on one port."""

    web: FakeWeb
    environment: dict[str, str]
    """What a tool server that asks them needs."""

    def url_of(self, page: InjectedPage) -> str:
        """Where a page is."""
        return self.web.url(page.path)


@asynccontextmanager
async def injected_site(pages: Sequence[InjectedPage], body: Body) -> AsyncGenerator[Site]:
    """Serve pages, and find the one whose title's words a query holds."""
    routes: dict[str, Script] = {page.path: reply(body(page)) for page in pages}
    async with serve(routes) as web:

        async def find(stream: SocketStream) -> None:
            target = web.requests[-1].split(" ", 2)[1]
            query = parse_qs(urlsplit(target).query).get("q", [""])[0]
            hits = [
                {"url": web.url(page.path), "title": page.title, "content": "What is known of it."}
                for page in sorted(pages, key=lambda page: -_likeness(page.title, query))[:1]
            ]
            found = json.dumps({"results": hits})
            await reply(found, content_type="application/json")(stream)

        routes["/search"] = find
        yield Site(web, environment_of(web.url("")))


def environment_of(searxng_url: str) -> dict[str, str]:
    """Settings of a tool server that may visit loopback and asks this engine."""
    return {
        "SEEKLING_MCP_PROVIDERS": "searxng",
        "SEEKLING_MCP_SEARXNG_URL": searxng_url,
        "SEEKLING_MCP_ALLOW_PRIVATE": "127.0.0.0/8",
        "SEEKLING_MCP_ALLOW_PORTS": "any",
    }


def _likeness(title: str, query: str) -> int:
    return len(set(title.lower().split()) & set(query.lower().replace("?", " ").split()))
