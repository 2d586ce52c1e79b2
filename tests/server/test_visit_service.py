"""From a URL to clean text."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

import anyio
import pytest

from mcp_server.errors import BlockedUrl, ExtractionError, FetchError, UnsupportedMediaType
from mcp_server.visit.guard import Policy
from mcp_server.visit.service import VisitService
from mcp_server.visit.transport import build_page_client
from mcp_server.visit.types import Link, Page
from tests.support.fake_web import FakeWeb, Script, redirect, reply, serve


class Shelf:
    """A source that holds pages by their exact URL."""

    def __init__(self, *urls: str) -> None:
        self.asked: list[str] = []
        self.urls = urls

    async def page(self, url: str) -> Page | None:
        self.asked.append(url)
        if url not in self.urls:
            return None
        return Page(url=url, final_url=url, title="Local", text="local", media_type="text/plain")


class Clock:
    seconds = 1_000.0

    def __call__(self) -> float:
        return self.seconds


@asynccontextmanager
async def visiting(
    routes: Mapping[str, Script], *, clock: Clock | None = None, shelf: Shelf | None = None
) -> AsyncGenerator[tuple[VisitService, FakeWeb]]:
    with anyio.fail_after(8):
        async with serve(routes) as web:
            policy = Policy(frozenset({web.port}), ("127.0.0.1/32",))
            async with build_page_client(policy, user_agent="seekling-test/0") as http:
                sources = [shelf] if shelf else []
                yield (
                    VisitService(http, policy=policy, sources=sources, clock=clock or Clock()),
                    web,
                )


async def test_a_page_is_fetched_read_and_cleaned() -> None:
    markup = """<title>The\u202e title</title><main><h1>Head</h1>
        <p>Te\u200bxt &#27;[31m ![x](http://evil.example/) <a href=/next>next</a></p></main>"""
    async with visiting({"/": redirect("/page"), "/page": reply(markup)}) as (service, web):
        page = await service.page(web.url("/"))
    assert page.url == web.url("/")
    assert page.final_url == web.url("/page")
    assert page.title == "The title"
    assert page.text == "# Head\n\nText [31m [x](http://evil.example/) next"
    assert page.media_type == "text/html"
    assert page.links == (Link(text="next", url=web.url("/next")),)


async def test_a_lone_surrogate_in_json_does_not_leave() -> None:
    script = reply('{"a": "\\ud800x"}', content_type="application/json")
    async with visiting({"/": script}) as (service, web):
        page = await service.page(web.url("/"))
    page.text.encode("utf-8")
    assert '"x"' in page.text


async def test_a_page_in_another_charset_is_decoded() -> None:
    script = reply("<p>日本語のページ".encode("shift_jis"), content_type="text/html; charset=sjis")
    async with visiting({"/": script}) as (service, web):
        assert (await service.page(web.url("/"))).text == "日本語のページ"


async def test_reading_a_page_again_does_not_fetch_it_again() -> None:
    clock = Clock()
    routes = {"/": redirect("/a"), "/a": reply("plain", content_type="text/plain")}
    async with visiting(routes, clock=clock) as (service, web):
        first = await service.page(web.url("/"))
        clock.seconds += 299
        assert await service.page(web.url("/#part")) == first
        assert await service.page(web.url("/a")) == first
        assert web.paths == ["/", "/a"]
        clock.seconds += 2
        await service.page(web.url("/"))
        assert web.paths == ["/", "/a", "/", "/a"]


async def test_only_the_most_recent_pages_are_kept() -> None:
    routes = {f"/{n}": reply(f"page {n}", content_type="text/plain") for n in range(66)}
    async with visiting(routes) as (service, web):
        for number in range(66):
            await service.page(web.url(f"/{number}"))
        await service.page(web.url("/65"))
        await service.page(web.url("/0"))
    assert web.paths[66:] == ["/0"]


async def test_a_failure_is_not_kept() -> None:
    async with visiting({}) as (service, web):
        for _ in range(2):
            with pytest.raises(FetchError, match="HTTP 404"):
                await service.page(web.url("/"))
        assert len(web.requests) == 2


async def test_a_local_document_is_given_without_network() -> None:
    shelf = Shelf("corpus://demo/1", "https://example.com/a")
    async with visiting({}, shelf=shelf) as (service, web):
        for url in (
            "corpus://demo/1",
            " https://example.com/a ",
            "https://example.com/a#part",
            "https://example.com/a/",
            "https://example.com/a/#part",
        ):
            assert (await service.page(url)).text == "local"
        assert web.requests == []


async def test_the_exact_url_is_asked_for_first() -> None:
    shelf = Shelf()
    async with visiting({}, shelf=shelf) as (service, _):
        with pytest.raises(BlockedUrl):
            await service.page("http://127.0.0.1:1/a/#b")
    assert shelf.asked == [
        "http://127.0.0.1:1/a/#b",
        "http://127.0.0.1:1/a/",
        "http://127.0.0.1:1/a",
    ]


async def test_a_document_that_no_source_has_is_not_looked_for_on_the_web() -> None:
    async with visiting({}, shelf=Shelf()) as (service, web):
        with pytest.raises(FetchError, match="no such document in the local index"):
            await service.page("corpus://demo/2")
        assert web.requests == []


@pytest.mark.parametrize("url", ["http://10.0.0.1/", "javascript:alert(1)", "", "not a url"])
async def test_a_forbidden_url_is_blocked(url: str) -> None:
    async with visiting({}) as (service, _):
        with pytest.raises(BlockedUrl):
            await service.page(url)


async def test_a_binary_names_its_type_and_size() -> None:
    script = reply(b"%PDF-1.7\n" + bytes(991), content_type="text/html")
    async with visiting({"/": script}) as (service, web):
        with pytest.raises(UnsupportedMediaType, match="application/pdf, 1,000 bytes"):
            await service.page(web.url("/"))


async def test_a_page_without_text_says_why() -> None:
    app = reply("<div id=root></div><script>render()</script>")
    empty = reply("  \n ", content_type="text/plain")
    async with visiting({"/app": app, "/empty": empty}) as (service, web):
        with pytest.raises(ExtractionError, match="probably needs JavaScript"):
            await service.page(web.url("/app"))
        with pytest.raises(ExtractionError, match="the page is empty"):
            await service.page(web.url("/empty"))
