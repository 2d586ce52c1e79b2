"""From a URL to clean text."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager

import anyio
import pytest
from anyio.abc import SocketStream

from mcp_server.errors import BlockedUrl, ExtractionError, FetchError, UnsupportedMediaType
from mcp_server.extract.workers.pool import ExtractionPool
from mcp_server.visit.admission import VisitSlots
from mcp_server.visit.cache.page_cache import PageCache
from mcp_server.visit.exclusions import ExcludedUrl
from mcp_server.visit.fetching.fetch import FetchLimits, fetch
from mcp_server.visit.fetching.transport import build_page_client
from mcp_server.visit.guard import Policy
from mcp_server.visit.robots import Robots
from mcp_server.visit.service import VisitParts, VisitService
from mcp_server.visit.types import Link, Page, Resource
from tests.support.fake_web import FakeWeb, Script, redirect, reply, serve, silent


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
    routes: Mapping[str, Script],
    *,
    clock: Clock | None = None,
    shelf: Shelf | None = None,
    respects_robots: bool = False,
    slots: VisitSlots | None = None,
    limits: FetchLimits | None = None,
    exclude: tuple[str, ...] = (),
) -> AsyncGenerator[tuple[VisitService, FakeWeb]]:
    with anyio.fail_after(8):
        async with serve(routes) as web:
            policy = Policy(frozenset({web.port}), ("127.0.0.1/32",))
            limits = limits or FetchLimits()
            async with (
                build_page_client(policy, user_agent="seekling-test/0") as http,
                ExtractionPool() as pool,
            ):

                async def fetch_robots(url: str) -> Resource:
                    return await fetch(url, http=http, policy=policy, limits=limits)

                parts = VisitParts(
                    http=http,
                    policy=policy,
                    pool=pool,
                    cache=PageCache(clock=clock or Clock()),
                    slots=slots or VisitSlots(),
                    robots=Robots(fetch_robots) if respects_robots else None,
                    sources=[shelf] if shelf else [],
                )
                yield VisitService(parts, limits=limits, exclude=exclude), web


async def test_a_page_is_fetched_read_and_cleaned() -> None:
    markup = """<title>The\u202e title</title><main><h1>Head</h1>
        <p>Te\u200bxt &#27;[31m ![x](http://evil.example/) <a href=/next>next</a></p></main>"""
    async with visiting({"/": redirect("/page"), "/page": reply(markup)}) as (service, web):
        page = await service.page(web.url("/"))
    assert page.url == web.url("/")
    assert page.final_url == web.url("/page")
    assert page.title == "The title"
    assert page.text == "# Head\n\nText [31m ! [x](http://evil.example/) next"
    assert page.media_type == "text/html"
    assert page.links == (
        Link(text="next", url=web.url("/next"), position=page.text.index("next")),
    )


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
        again = await service.page(web.url("/#part"))
        assert (again.text, first.is_cached, again.is_cached) == (first.text, False, True)
        assert (await service.page(web.url("/a"))).text == first.text
        assert web.paths == ["/", "/a"]
        clock.seconds += 2
        await service.page(web.url("/"))
        assert web.paths == ["/", "/a", "/", "/a"]


async def test_a_page_that_has_not_changed_is_not_sent_again() -> None:
    async def answer(stream: SocketStream) -> None:
        is_known = b"if-none-match" in web.requests[-1].lower().encode()
        script = (
            reply(status="304 Not Modified", headers={"ETag": '"1"'})
            if is_known
            else reply("text", content_type="text/plain", headers={"ETag": '"1"'})
        )
        await script(stream)

    clock = Clock()
    async with visiting({"/": answer}, clock=clock) as (service, web):
        for _ in range(3):
            assert (await service.page(web.url("/"))).text == "text"
            clock.seconds += 301
    assert [b"if-none-match" in head.lower().encode() for head in web.requests] == [
        False,
        True,
        True,
    ]


async def test_robots_txt_is_asked_only_where_it_is_respected() -> None:
    rules = reply("User-agent: *\nDisallow: /private", content_type="text/plain")
    routes = {"/robots.txt": rules, "/private": reply("secret", content_type="text/plain")}
    routes["/way-in"] = redirect("/private")
    async with visiting(routes) as (service, web):
        assert (await service.page(web.url("/private"))).text == "secret"
        assert web.paths == ["/private"]
    async with visiting(routes, respects_robots=True) as (service, web):
        for path in ("/private", "/way-in"):
            with pytest.raises(BlockedUrl, match=r"robots\.txt"):
                await service.page(web.url(path))
        assert web.paths == ["/robots.txt", "/way-in"]


async def test_a_visit_that_gets_no_turn_in_time_says_so() -> None:
    limits = FetchLimits(deadline_seconds=0.3)
    slots = VisitSlots(visits_per_host=1)
    async with visiting({"/": silent}, slots=slots, limits=limits) as (service, web):
        async with slots.visit("127.0.0.1"):
            with pytest.raises(FetchError, match="had no turn within") as caught:
                await service.page(web.url("/"))
        assert caught.value.retryable
        with pytest.raises(FetchError, match="did not answer within"):
            await service.page(web.url("/"))
        assert web.paths == ["/"]


async def test_a_page_that_only_sends_its_readers_on_says_where() -> None:
    moved = reply('<meta http-equiv="Refresh" content="0; URL=\'/new/\'"><title>Moved</title>')
    async with visiting({"/": moved}) as (service, web):
        with pytest.raises(ExtractionError) as caught:
            await service.page(web.url("/"))
        assert web.url("/new/") in caught.value.hint
        assert web.paths == ["/"]


async def test_the_source_of_a_page_is_given_unread() -> None:
    markup = "<nav>menu</nav><p>text <a href=/x>x</a>\x1b[31m"
    routes = {"/": reply(markup), "/pdf": reply(b"%PDF-1.7\n")}
    async with visiting(routes) as (service, web):
        assert (await service.source(web.url("/"))).text == markup.replace("\x1b", "")
        with pytest.raises(UnsupportedMediaType, match="application/pdf"):
            await service.source(web.url("/pdf"))


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


async def test_an_excluded_page_is_not_opened_also_behind_a_redirect() -> None:
    routes = {"/": redirect("/a"), "/a": redirect("/rows/1"), "/rows/1": reply("secret")}
    async with visiting(routes, exclude=("127.0.0.1/rows",)) as (service, web):
        for path in ("/rows/1", "/ROWS/x", "/", "/copy/http://127.0.0.1/rows/1"):
            with pytest.raises(ExcludedUrl, match="excluded here"):
                await service.page(web.url(path))
        with pytest.raises(ExcludedUrl):
            await service.source(web.url("/rows/1"))
    assert web.paths == ["/", "/a"], "what is excluded is never asked for"


async def test_an_excluded_page_is_not_shown_from_a_source() -> None:
    shelf = Shelf("https://a.example/rows/1", "https://a.example/b")
    async with visiting({}, shelf=shelf, exclude=("a.example/rows",)) as (service, _):
        with pytest.raises(ExcludedUrl):
            await service.page("https://a.example/rows/1")
        assert (await service.page("https://a.example/b")).text == "local"


@pytest.mark.parametrize("url", ["http://10.0.0.1/", "javascript:alert(1)", "", "not a url"])
async def test_a_forbidden_url_is_blocked(url: str) -> None:
    async with visiting({}) as (service, _):
        with pytest.raises(BlockedUrl):
            await service.page(url)


async def test_a_binary_names_its_type_and_size() -> None:
    script = reply(b"\x89PNG\r\n\x1a\n" + bytes(992), content_type="text/html")
    async with visiting({"/": script}) as (service, web):
        with pytest.raises(UnsupportedMediaType, match="image/png, 1,000 bytes"):
            await service.page(web.url("/"))


async def test_a_page_without_text_says_why() -> None:
    app = reply("<div id=root></div><script>render()</script>")
    empty = reply("  \n ", content_type="text/plain")
    async with visiting({"/app": app, "/empty": empty}) as (service, web):
        with pytest.raises(ExtractionError, match="this page needs JavaScript"):
            await service.page(web.url("/app"))
        with pytest.raises(ExtractionError, match="the page is empty"):
            await service.page(web.url("/empty"))
