"""Read a web site politely, page by page, into a folder that is then a source like any other.

The pages are those below the folder of the start URL, on its host, nearest first. One request is
made at a time, with a pause between two that the site's robots.txt may lengthen; what it forbids
is not read. A crawl that was stopped goes on where it was.
"""

import re
from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import httpx

from mcp_server.corpus.sources.crawl_store import CrawlStore
from mcp_server.corpus.sources.fields import iso_date
from mcp_server.errors import (
    BlockedUrl,
    ConfigError,
    CorpusError,
    ExtractionError,
    FetchError,
    SeeklingServerError,
    UnsupportedMediaType,
)
from mcp_server.visit.robots import Robots
from mcp_server.visit.service import VisitService
from mcp_server.visit.types import Page
from mcp_server.visit.urls import parse_url

_MAX_TRIES = 3
_MAX_SITEMAPS = 50
_LONGEST_PAUSE_SECONDS = 120.0
_RETRY_SECONDS = 5.0
_LOCATION = re.compile(r"<loc>\s{0,20}([^<\s]{1,2000})\s{0,20}</loc>")
_NOT_PAGES = frozenset(
    """.png .jpg .jpeg .gif .webp .avif .svg .ico .bmp .tif .tiff .mp3 .mp4 .m4a .ogg .oga .ogv
    .webm .wav .flac .avi .mov .mkv .css .js .mjs .map .woff .woff2 .ttf .otf .eot .zip .gz .tgz
    .bz2 .xz .zst .7z .rar .tar .deb .rpm .dmg .iso .exe .msi .apk .jar .whl .bin""".split()
)
"""Suffixes of what is hardly ever text; not worth a request."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrawlPace:
    """How hard a crawl leans on a site."""

    interval_seconds: float = 0.5
    """Least time between the starts of two requests; a longer crawl-delay counts."""
    max_failures_in_a_row: int = 8
    """So many pages in a row that the site could not deliver end the crawl for now."""
    clock: Callable[[], float] = anyio.current_time
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep


@dataclass(frozen=True, slots=True, kw_only=True)
class CrawlReport:
    """What a crawl has read, over all its runs."""

    pages: int
    waiting: int
    """URLs that are known and were not visited, for `max_pages`."""
    refused: int
    """URLs that robots.txt or our own policy forbids."""
    not_text: int
    """Images, archives and the like."""
    elsewhere: int
    """Pages that sent us out of the part of the site that is crawled."""
    failed: int
    failures: tuple[str, ...]
    """A few of the failed URLs, each with its reason."""


async def crawl(
    start_url: str,
    *,
    visits: VisitService,
    robots: Robots,
    folder: Path,
    max_pages: int,
    pace: CrawlPace | None = None,
    progress: Callable[[int, int], None] = lambda _, __: None,
) -> CrawlReport:
    """Read a site into a folder, or go on with that.

    Args:
        start_url: the first page; only pages below its folder are read.
        visits: reads pages; without sources of its own.
        robots: asked before each page, whatever the settings for visits are.
        folder: for the crawl's file; `CrawledSite` reads it. One crawl per folder.
        max_pages: pages to keep, over all runs.
        pace: how often to ask.
        progress: told the pages kept and the URLs waiting, after each visit.

    Raises:
        ConfigError: the start URL is no web address.
        CorpusError: the first page cannot be read, or the site stopped answering. What was read
            is kept, and the next run goes on.
    """
    start_url = _canonical(start_url)
    if not start_url:
        raise ConfigError("--crawl needs a web address", hint="such as https://example.org/docs/")
    with CrawlStore(folder, start_url) as store:
        crawler = _Crawler(store, visits, robots, pace or CrawlPace(), start_url)
        while store.pages < max_pages and await crawler.step():
            progress(store.pages, store.waiting)
        outcomes = store.outcomes()
        return CrawlReport(
            pages=store.pages,
            waiting=store.waiting,
            refused=outcomes.get("refused", 0),
            not_text=outcomes.get("not text", 0),
            elsewhere=outcomes.get("elsewhere", 0),
            failed=outcomes.get("failed", 0),
            failures=store.failures(),
        )


class _Crawler:
    """One run of a crawl."""

    def __init__(
        self, store: CrawlStore, visits: VisitService, robots: Robots, pace: CrawlPace, start: str
    ) -> None:
        self._store = store
        self._visits = visits
        self._robots = robots
        self._pace = pace
        self._start = start
        self._scope = store.fact("scope")
        self._next_request = 0.0
        self._failures_in_a_row = 0

    async def step(self) -> bool:
        """Visit the URL whose turn it is; False when none is left."""
        waiting = self._store.next()
        if waiting is None:
            return False
        url, tries = waiting
        try:
            await self._wait_for_turn(url)
            page = await self._visits.page(url)
        except SeeklingServerError as exc:
            self._note(url, tries, exc)
            return True
        self._failures_in_a_row = 0
        page = replace(page, final_url=_canonical(page.final_url) or url)
        if not self._scope:
            await self._begin(page)
        if not self._is_inside(page.final_url):
            self._store.settle(url, "elsewhere")
            return True
        found = self._to_visit(link.url for link in page.links)
        self._store.keep(url, page, found, published=iso_date(page.metadata.published))
        return True

    async def _begin(self, page: Page) -> None:
        """Take the first page's folder for what is crawled, and look for a sitemap."""
        self._scope = _folder_of(page.final_url)
        found = list(self._to_visit(await self._sitemap_urls()))
        self._store.add(found, facts={"scope": self._scope})

    async def _wait_for_turn(self, url: str) -> None:
        """Wait as long as the site asks for.

        Raises:
            BlockedUrl: robots.txt forbids the URL.
            CorpusError: robots.txt cannot be had, so nothing may be read for now.
        """
        try:
            delay = await self._robots.check(httpx.URL(url))
        except FetchError as exc:
            raise CorpusError(
                f"the crawl has stopped after {self._store.pages:,} pages: {exc}",
                hint="start it again later; it will go on",
            ) from exc
        now = self._pace.clock()
        if self._next_request > now:
            await self._pace.sleep(self._next_request - now)
            now = self._next_request
        self._next_request = now + max(delay, self._pace.interval_seconds)

    def _note(self, url: str, tries: int, error: SeeklingServerError) -> None:
        """Keep what a visit failed with.

        Raises:
            CorpusError: going on makes no sense.
        """
        if isinstance(error, CorpusError):
            raise error
        if url == self._start and not (isinstance(error, FetchError) and error.retryable):
            raise CorpusError(f"cannot crawl {url}: {error}", hint=error.hint) from error
        if isinstance(error, BlockedUrl):
            self._store.settle(url, "refused", str(error))
        elif isinstance(error, UnsupportedMediaType):
            self._store.settle(url, "not text", str(error))
        elif isinstance(error, FetchError) and error.retryable:
            self._postpone(url, tries, error)
        else:
            assert isinstance(error, FetchError | ExtractionError)
            self._failures_in_a_row = 0
            self._store.settle(url, "failed", str(error))

    def _postpone(self, url: str, tries: int, error: FetchError) -> None:
        self._failures_in_a_row += 1
        if tries + 1 < _MAX_TRIES:
            self._store.postpone(url)
        else:
            self._store.settle(url, "failed", str(error))
        if url == self._start and tries + 1 == _MAX_TRIES:
            raise CorpusError(f"cannot crawl {url}: {error}", hint="start it again later")
        if self._failures_in_a_row >= self._pace.max_failures_in_a_row:
            raise CorpusError(
                f"the site does not answer any more after {self._store.pages:,} pages: {error}",
                hint="start the crawl again later; it will go on",
            )
        wished = error.retry_after_seconds or _RETRY_SECONDS * 2**tries
        pause = min(wished, _LONGEST_PAUSE_SECONDS)
        self._next_request = max(self._next_request, self._pace.clock() + pause)

    def _to_visit(self, urls: Iterable[str]) -> Iterator[str]:
        for url in dict.fromkeys(map(_canonical, urls)):
            path = urlsplit(url).path
            suffix = "." + path.rpartition(".")[2].lower()
            if self._is_inside(url) and suffix not in _NOT_PAGES:
                yield url

    def _is_inside(self, url: str) -> bool:
        return url.startswith(self._scope)

    async def _sitemap_urls(self) -> list[str]:
        """The pages that the site's sitemap names; none where it has none that can be read."""
        left = [f"{'/'.join(self._scope.split('/', 3)[:3])}/sitemap.xml"]
        seen: set[str] = set()
        pages: list[str] = []
        while left and len(seen) < _MAX_SITEMAPS:
            url = left.pop(0)
            if url in seen:
                continue
            seen.add(url)
            try:
                await self._wait_for_turn(url)
                text = (await self._visits.source(url)).text
            except (BlockedUrl, FetchError, UnsupportedMediaType):
                continue
            locations = _LOCATION.findall(text)
            if "<sitemapindex" in text[:2_000]:
                origin = url.rpartition("/")[0].split("/", 3)[2]
                left += [at for at in locations if urlsplit(at).netloc == origin]
            else:
                pages += locations
        return pages


def _canonical(url: str) -> str:
    """The URL as browsers write it, without its fragment; "" where it is none of the web."""
    try:
        parsed = parse_url(url.partition("#")[0].strip())
    except ValueError:
        return ""
    return parsed.href if parsed.scheme in ("http", "https") and parsed.host else ""


def _folder_of(url: str) -> str:
    """The URL up to its last slash."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path.rpartition('/')[0]}/"
