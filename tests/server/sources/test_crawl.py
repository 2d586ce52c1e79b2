"""A polite crawl of a site on loopback."""

from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest

from mcp_server.corpus.sources.crawl import CrawlPace, CrawlReport, crawl
from mcp_server.corpus.sources.opening import open_source
from mcp_server.errors import ConfigError, CorpusError
from mcp_server.extract.workers.pool import ExtractionPool
from mcp_server.visit.admission import VisitSlots
from mcp_server.visit.cache.page_cache import PageCache
from mcp_server.visit.fetching.fetch import FetchLimits, fetch
from mcp_server.visit.fetching.transport import build_page_client
from mcp_server.visit.guard import Policy
from mcp_server.visit.robots import Robots
from mcp_server.visit.service import VisitParts, VisitService
from mcp_server.visit.types import Resource
from tests.support.fake_web import FakeWeb, Script, in_turn, redirect, reply, serve


@dataclass
class Clock:
    """Time that passes only while somebody sleeps."""

    seconds: float = 1_000.0
    naps: list[float] = field(default_factory=list[float])

    def __call__(self) -> float:
        return self.seconds

    async def sleep(self, seconds: float) -> None:
        self.naps.append(round(seconds, 3))
        self.seconds += seconds


@dataclass
class Site:
    """A running site, and how to crawl it."""

    web: FakeWeb
    visits: VisitService
    robots: Robots
    clock: Clock
    progress: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])

    async def crawl(self, path: str, folder: Path, max_pages: int = 100) -> CrawlReport:
        return await crawl(
            self.web.url(path),
            visits=self.visits,
            robots=self.robots,
            folder=folder,
            max_pages=max_pages,
            pace=CrawlPace(clock=self.clock, sleep=self.clock.sleep),
            progress=lambda pages, waiting: self.progress.append((pages, waiting)),
        )


@asynccontextmanager
async def site(routes: Mapping[str, Script]) -> AsyncGenerator[Site]:
    clock, limits = Clock(), FetchLimits()
    with anyio.fail_after(60):
        async with serve(routes) as web, ExtractionPool(max_workers=1) as pool:
            policy = Policy(frozenset({web.port}), ("127.0.0.1/32",))
            async with build_page_client(policy, user_agent="seekling-test/0") as http:

                async def fetch_robots(url: str) -> Resource:
                    return await fetch(url, http=http, policy=policy, limits=limits)

                parts = VisitParts(
                    http=http,
                    policy=policy,
                    pool=pool,
                    cache=PageCache(clock=clock),
                    slots=VisitSlots(),
                )
                visits = VisitService(parts, limits=limits)
                yield Site(web, visits, Robots(fetch_robots, clock=clock), clock)


def page(title: str, *links: str) -> Script:
    items = "".join(
        f"<p>This paragraph leads to <a href='{to}'>{to}</a> at last.</p>" for to in links
    )
    return reply(
        f"<html><head><title>{title}</title></head><body><main><h1>{title}</h1>"
        f"<p>This is the page called {title}, of some words.</p>{items}</main></body></html>"
    )


DOCS: Mapping[str, Script] = {
    "/docs/": page("Start", "a.html", "b.html", "a.html#part", "/", "http://other.example/docs/"),
    "/docs/a.html": page("A", "deep/c.html", "private/x.html", "logo.png", "."),
    "/docs/b.html": page("B", "a.html", "gone.html", "data.bin2", "old.html"),
    "/docs/deep/c.html": page("C", "../index.html?q=1#z"),
    "/docs/index.html": page("Index"),
    "/docs/old.html": redirect("/docs/a.html"),
    "/docs/private/x.html": page("Private"),
    "/docs/data.bin2": reply(bytes(range(256)), content_type="application/octet-stream"),
    "/": page("Home"),
    "/robots.txt": reply(
        "User-agent: *\nDisallow: /docs/private/\nCrawl-delay: 2\n", content_type="text/plain"
    ),
}


def paths(folder: Path) -> list[str]:
    return ["/" + item.document.url.split("/", 3)[3] for item in open_source(folder).read()]


async def test_the_folder_of_the_start_page_is_read_nearest_first(tmp_path: Path) -> None:
    async with site(DOCS) as docs:
        report = await docs.crawl("/docs/", tmp_path)
    assert paths(tmp_path) == [
        "/docs/",
        "/docs/a.html",
        "/docs/b.html",
        "/docs/deep/c.html",
        "/docs/index.html?q=1",
    ]
    assert (report.pages, report.waiting) == (5, 0)
    assert (report.refused, report.not_text, report.failed, report.elsewhere) == (1, 1, 1, 0)
    assert "gone.html" in report.failures[0]
    asked = [path for path in docs.web.paths if path != "/robots.txt"]
    assert "/docs/private/x.html" not in asked
    assert "/docs/logo.png" not in asked
    assert "/" not in asked
    assert len(asked) == len(set(asked)) + 1  # the redirect leads to a page that was read before
    assert docs.progress[-1] == (5, 0)


async def test_a_kept_page_has_its_title_text_and_links(tmp_path: Path) -> None:
    async with site(DOCS) as docs:
        await docs.crawl("/docs/", tmp_path, max_pages=1)
        url = docs.web.url("/docs/")
    (item,) = open_source(tmp_path).read()
    assert item.document.title == "Start"
    assert "This is the page called Start" in item.document.text
    assert item.document.links[0].url == url + "a.html"


async def test_the_sites_crawl_delay_is_kept(tmp_path: Path) -> None:
    async with site(DOCS) as docs:
        await docs.crawl("/docs/", tmp_path)
        requests = [path for path in docs.web.paths if path != "/robots.txt"]
    assert set(docs.clock.naps) == {2.0}
    assert len(docs.clock.naps) >= len(requests) - 2


async def test_without_a_crawl_delay_half_a_second_lies_between_requests(tmp_path: Path) -> None:
    async with site({"/": page("Start", "/a"), "/a": page("A")}) as small:
        await small.crawl("/", tmp_path)
    assert small.clock.naps == [0.5, 0.5]  # the start page, the sitemap, the other page


async def test_a_crawl_goes_on_where_it_stopped(tmp_path: Path) -> None:
    async with site(DOCS) as docs:
        first = await docs.crawl("/docs/", tmp_path, max_pages=2)
        assert (first.pages, first.waiting) == (2, 3)
        before = len(docs.web.paths)
        report = await docs.crawl("/docs/", tmp_path)
        assert report.pages == 5
        again = docs.web.paths[before:]
    assert "/docs/" not in again
    assert paths(tmp_path)[:3] == ["/docs/", "/docs/a.html", "/docs/b.html"]
    assert len(paths(tmp_path)) == 5


async def test_a_sitemap_names_pages_that_no_page_leads_to(tmp_path: Path) -> None:
    routes: dict[str, Script] = {}
    async with site(routes) as small:
        at = small.web.url("")
        routes |= {
            "/": page("Start"),
            "/sitemap.xml": reply(
                f"<sitemapindex><sitemap><loc>{at}/more.xml</loc></sitemap>"
                "<sitemap><loc>http://other.example/sitemap.xml</loc></sitemap></sitemapindex>",
                content_type="application/xml",
            ),
            "/more.xml": reply(
                f"<urlset><url><loc> {at}/hidden </loc></url><url><loc>ftp://x</loc></url></urlset>",
                content_type="application/xml",
            ),
            "/hidden": page("Hidden"),
        }
        report = await small.crawl("/", tmp_path)
    assert report.pages == 2
    assert paths(tmp_path) == ["/", "/hidden"]


async def test_a_busy_site_is_given_the_time_it_asks_for(tmp_path: Path) -> None:
    busy = reply("", status="429 Too Many Requests", headers={"Retry-After": "30"})
    routes = {"/": page("Start", "/a", "/b"), "/a": in_turn(busy, page("A")), "/b": page("B")}
    async with site(routes) as small:
        report = await small.crawl("/", tmp_path)
    assert report.pages == 3
    assert paths(tmp_path) == ["/", "/b", "/a"]
    assert max(small.clock.naps) >= 29


async def test_a_site_that_stops_answering_ends_the_crawl_and_nothing_is_lost(
    tmp_path: Path,
) -> None:
    down = reply("", status="503 Service Unavailable")
    names = [f"/{n}" for n in range(20)]
    routes = {"/": page("Start", *names)} | {
        name: in_turn(*[down] * 3, page(name)) for name in names
    }
    async with site(routes) as small:
        with pytest.raises(CorpusError, match="does not answer any more after 1 pages") as caught:
            await small.crawl("/", tmp_path)
        assert "go on" in caught.value.hint
        assert paths(tmp_path) == ["/"]


async def test_a_start_page_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    routes = {"/robots.txt": reply("User-agent: *\nDisallow: /no/", content_type="text/plain")}
    async with site(routes) as small:
        with pytest.raises(CorpusError, match="cannot crawl"):
            await small.crawl("/gone", tmp_path / "a")
        with pytest.raises(CorpusError, match="robots"):
            await small.crawl("/no/", tmp_path / "b")


async def test_rules_that_cannot_be_had_stop_the_crawl(tmp_path: Path) -> None:
    broken = reply("", status="500 Internal Server Error")
    async with site({"/": page("Start"), "/robots.txt": broken}) as small:
        with pytest.raises(CorpusError, match="the crawl has stopped after 0 pages"):
            await small.crawl("/", tmp_path)


async def test_a_folder_holds_one_crawl(tmp_path: Path) -> None:
    async with site({"/": page("Start"), "/a/": page("A")}) as small:
        await small.crawl("/", tmp_path)
        with pytest.raises(CorpusError, match="holds a crawl of"):
            await small.crawl("/a/", tmp_path)
        with pytest.raises(ConfigError, match="web address"):
            await crawl(
                "notes/",
                visits=small.visits,
                robots=small.robots,
                folder=tmp_path,
                max_pages=1,
            )


async def test_a_start_page_that_moved_moves_the_crawl_with_it(tmp_path: Path) -> None:
    routes = {"/old": redirect("/new/"), "/new/": page("New", "x", "/old2"), "/new/x": page("X")}
    async with site(routes) as small:
        report = await small.crawl("/old", tmp_path)
    assert report.pages == 2
    assert paths(tmp_path) == ["/new/", "/new/x"]


def test_a_damaged_crawl_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "crawl.sqlite").write_bytes(b"SQLite format 3\0" + b"x" * 2_000)
    with pytest.raises(CorpusError, match="cannot use"):
        open_source(tmp_path)
