"""Visit pages: from a URL to clean text."""

import logging
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus

import anyio
import anyio.to_thread
import httpx

from mcp_server.clean import clean, clean_line
from mcp_server.errors import ExtractionError, FetchError, UnsupportedMediaType
from mcp_server.extract import EXTRACTORS, Extracted
from mcp_server.extract.inline_links import take_out_links
from mcp_server.extract.workers.pool import ExtractionPool
from mcp_server.telemetry.spans import outgoing_span
from mcp_server.visit.admission import VisitSlots
from mcp_server.visit.browser.browser import Browser
from mcp_server.visit.cache.page_cache import PageCache, cache_key
from mcp_server.visit.exclusions import Exclusions
from mcp_server.visit.fetching.fetch import FetchLimits, fetch
from mcp_server.visit.guard import Policy, check_url
from mcp_server.visit.media_type import is_text, sniff
from mcp_server.visit.reading.excerpt import Excerpt, Wanted, read
from mcp_server.visit.reading.passages import Similarity
from mcp_server.visit.robots import Robots
from mcp_server.visit.types import Link, Metadata, Page, PageSource, Resource

logger = logging.getLogger(__name__)

MAX_READING_SECONDS = 10.0
MIN_READING_SECONDS = 1.0
"""Also a page that came at the last moment is read; most take a hundredth of this."""
CORPUS_SCHEME = "corpus://"
"""Scheme of local documents that have no URL of their own."""
EXTRACTOR_VERSION = "2"
"""Raised when the same body gives another page, so that kept ones are not shown any more."""

_MAX_TITLE_CHARS = 300
_MAX_FACT_CHARS = 120
_MAX_NOTE_CHARS = 300
_MAX_URL_CHARS = 4_096
_SMALL_CHARS = 50_000
"""Longer texts are cleaned and searched in a thread, so that other calls need not wait."""
_HTML = ("text/html", "application/xhtml+xml")


@dataclass(frozen=True, kw_only=True)
class VisitParts:
    """The collaborators of a `VisitService`."""

    http: httpx.AsyncClient
    """From `build_page_client`."""
    policy: Policy
    pool: ExtractionPool
    cache: PageCache
    slots: VisitSlots
    robots: Robots | None = None
    """Asked before each fetch; None ignores robots.txt."""
    browser: Browser | None = None
    """Renders pages that need JavaScript; None says that they do."""
    similarity: Similarity | None = None
    """Helps to choose the passages that answer a query; may be slow."""
    sources: Sequence[PageSource] = ()
    """Asked first, in this order."""
    reader: PageSource | None = None
    """A service that reads the web in our place; its pages are kept as ours are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitState:
    """What visits have done since the start, and what runs for them now."""

    kept_pages: int
    """Pages of the web that were shown without asking their site."""
    asked_sites: int
    """How often a site, or a service that reads in our place, was asked."""
    reading_processes: int


class VisitService:
    """Gives the text of a page, from a local source or from the web.

    Pages from the web are kept for a while, so that reading the next part of a page neither
    fetches it again nor shows another version of it. Failures are not kept.
    """

    def __init__(
        self,
        parts: VisitParts,
        *,
        limits: FetchLimits | None = None,
        exclude: Sequence[str] = (),
    ) -> None:
        """Put the service together.

        Args:
            parts: its collaborators.
            limits: of one visit.
            exclude: domains that stay shut, from `mirrors_among`; also behind redirects.
        """
        self._parts = parts
        self._limits = limits or FetchLimits()
        self._exclusions = Exclusions(exclude)
        self._kept_pages = self._asked_sites = 0

    @property
    def robots(self) -> Robots | None:
        """What is asked before each fetch, if anything."""
        return self._parts.robots

    def state(self) -> VisitState:
        """What visits have done and what runs for them; waits for nothing."""
        return VisitState(
            kept_pages=self._kept_pages,
            asked_sites=self._asked_sites,
            reading_processes=len(self._parts.pool.pids),
        )

    async def page(self, url: str) -> Page:
        """Read a page.

        Args:
            url: a URL of the web, or of a document in one of the sources.

        Raises:
            BlockedUrl: the URL may not be visited, or leads to one that may not.
            FetchError: the page could not be downloaded, or no source has it.
            UnsupportedMediaType: the page is not text.
            ExtractionError: the page has no text that can be read.
            CorpusError: a source cannot be read.
        """
        page = await self._from_sources(url) or await self._from_web(url)
        # Once more: it may come from a shared cache, a reader or a browser.
        self._exclusions.check(page.final_url)
        return page

    async def read(self, url: str, wanted: Wanted) -> tuple[Page, Excerpt]:
        """Read a page and take from it what is wanted.

        Raises:
            SeeklingServerError: as `page`; or the page does not have what is wanted.
        """
        page = await self.page(url)
        similarity = self._parts.similarity if wanted.query else None
        is_part = not (wanted.query.strip() or wanted.section.strip())  # found without a search
        if is_part or (len(page.text) <= _SMALL_CHARS and similarity is None):
            return page, read(page.text, wanted)
        return page, await anyio.to_thread.run_sync(read, page.text, wanted, similarity)

    async def source(self, url: str) -> Page:
        """Fetch a page and give its source as text, without reading it.

        Raises:
            BlockedUrl, FetchError, UnsupportedMediaType: as `page`.
        """
        resource = await self._fetch(check_url(url, self._parts.policy))
        info = await anyio.to_thread.run_sync(sniff, resource)
        if not is_text(info.media_type):
            raise UnsupportedMediaType(url, info.media_type, len(resource.body))
        text = await anyio.to_thread.run_sync(
            lambda: clean(resource.take_body().decode(info.charset, "replace"))
        )
        return Page(
            url=url, final_url=resource.final_url, title="", text=text, media_type=info.media_type
        )

    async def _from_sources(self, url: str) -> Page | None:
        is_local = url.strip().lower().startswith(CORPUS_SCHEME)
        for source in self._parts.sources:
            for variant in _variants(url):
                try:
                    page = await source.page(variant)
                except FetchError as exc:
                    if is_local:
                        raise
                    # A search server that is down does not close the web.
                    logger.warning("a source of pages did not answer: %s", exc)
                    break
                if page is not None:
                    return page
        if is_local:
            hint = "use a URL from the search results, or search again"
            reason = "no such document in the local index"
            raise FetchError(url, reason, status=HTTPStatus.NOT_FOUND, hint=hint)
        return None

    async def _from_web(self, url: str) -> Page:
        cache = self._parts.cache
        target = check_url(url, self._parts.policy)
        self._exclusions.check(str(target))
        key = self._cache_key(target)
        cached = await cache.get(key)
        if cached is not None and cache.is_fresh(cached):
            self._kept_pages += 1
            return replace(cached.page, url=url, is_cached=True)
        self._asked_sites += 1
        read = await self._by_reader(url, target)
        if read is not None:
            await cache.put(key, read, status=HTTPStatus.OK, headers={})
            return read
        end = anyio.current_time() + self._limits.deadline_seconds
        resource = await self._fetch(target, cached.conditions if cached else {})
        if cached is not None and resource.status == HTTPStatus.NOT_MODIFIED:
            cached = await cache.refresh(key, cached, resource.headers)
            return replace(cached.page, url=url)
        page, extracted = await self._read(url, resource, end)
        if not extracted.is_stripped:
            await self._keep(target, page, resource)
        return page

    async def _by_reader(self, url: str, target: httpx.URL) -> Page | None:
        if self._parts.reader is None:
            return None
        try:
            with anyio.fail_after(self._limits.deadline_seconds):
                page = await self._parts.reader.page(str(target))
        except TimeoutError:
            seconds = self._limits.deadline_seconds
            raise FetchError(
                url, f"the page reader did not answer within {seconds:g} seconds", retryable=True
            ) from None
        return replace(page, url=url) if page else None

    async def _keep(self, target: httpx.URL, page: Page, resource: Resource) -> None:
        for url in {target, httpx.URL(page.final_url)}:
            await self._parts.cache.put(
                self._cache_key(url), page, status=resource.status, headers=resource.headers
            )

    def _cache_key(self, url: httpx.URL) -> str:
        parts = self._parts
        return cache_key(
            url,
            parts.policy,
            extractor_version=EXTRACTOR_VERSION
            + ("+browser" if parts.browser else "")
            + (f"+{type(parts.reader).__name__}" if parts.reader else ""),
            accept_language=parts.http.headers.get("accept-language", ""),
        )

    async def _fetch(self, target: httpx.URL, validators: dict[str, str] | None = None) -> Resource:
        """Fetch when it is our turn; all waiting counts against the deadline."""
        url = str(target)
        with outgoing_span("fetch page", {"server.address": target.host}) as span:
            async with self._turn(target):
                resource = await fetch(
                    url,
                    http=self._parts.http,
                    policy=self._parts.policy,
                    limits=self._limits,
                    validators=validators,
                    permit=self._permit,
                )
            span.set_attribute("http.response.status_code", resource.status)
        return resource

    async def _permit(self, target: httpx.URL) -> None:
        """Asked before each hop of a fetch."""
        self._exclusions.check(str(target))
        if self._parts.robots is not None:
            await self._parts.robots.check(target)

    @asynccontextmanager
    async def _turn(self, target: httpx.URL) -> AsyncGenerator[None]:
        parts, seconds = self._parts, self._limits.deadline_seconds
        reason = f"other visits are under way; this one had no turn within {seconds:g} seconds"
        try:
            with anyio.fail_after(seconds):
                async with parts.slots.visit(target.raw_host.decode("ascii")):
                    reason = f"the site did not answer within {seconds:g} seconds"
                    yield
        except TimeoutError:
            hint = "try again later, or try another result"
            raise FetchError(str(target), reason, retryable=True, hint=hint) from None

    async def _read(
        self, url: str, resource: Resource, end: float, *, may_render: bool = True
    ) -> tuple[Page, Extracted]:
        info = await anyio.to_thread.run_sync(sniff, resource)
        if info.media_type not in EXTRACTORS:
            raise UnsupportedMediaType(url, info.media_type, len(resource.body))
        left = max(MIN_READING_SECONDS, end - anyio.current_time())
        extracted = await self._parts.pool.extract(
            resource.take_body(), info, deadline_seconds=min(MAX_READING_SECONDS, left)
        )
        browser = self._parts.browser
        if extracted.needs_javascript and browser is not None and may_render:
            rendered = await browser.render(resource.final_url, deadline_seconds=left)
            return await self._read(url, rendered, end, may_render=False)
        if len(extracted.text) <= _SMALL_CHARS:
            return _page(url, resource, info.media_type, extracted), extracted
        page = await anyio.to_thread.run_sync(_page, url, resource, info.media_type, extracted)
        return page, extracted


def _variants(url: str) -> Iterator[str]:
    """The URL, then the ways in which a model often changes one."""
    exact = url.strip()
    without_fragment = exact.partition("#")[0]
    yield from dict.fromkeys((exact, without_fragment, without_fragment.rstrip("/")))


def _page(url: str, resource: Resource, media_type: str, extracted: Extracted) -> Page:
    """Clean everything that came from outside, last of all."""
    text, links = clean(extracted.text), ()
    if extracted.has_inline_links:
        text, links = take_out_links(text)
    if not text:
        raise _nothing_to_read(media_type, extracted)
    return Page(
        url=url,
        final_url=resource.final_url,
        title=clean_line(extracted.title, _MAX_TITLE_CHARS),
        text=text,
        media_type=media_type,
        links=tuple(_clean_link(link) for link in links),
        metadata=_clean_metadata(extracted.metadata),
        notes=tuple(clean_line(note, _MAX_NOTE_CHARS) for note in extracted.notes),
    )


def _nothing_to_read(media_type: str, extracted: Extracted) -> ExtractionError:
    told = clean_line(extracted.notes[0], _MAX_NOTE_CHARS) if extracted.notes else ""
    if extracted.needs_javascript and not told:
        return ExtractionError(
            "this page needs JavaScript: without it, it shows no text",
            hint="try another result (the server renders such pages with --browser auto)",
        )
    what = "the page has no readable text" if media_type in _HTML else "the page is empty"
    return ExtractionError(what, hint=told or "try another result")


def _clean_link(link: Link) -> Link:
    return replace(link, url=clean_line(link.url, _MAX_URL_CHARS))


def _clean_metadata(metadata: Metadata) -> Metadata:
    return Metadata(
        author=clean_line(metadata.author, _MAX_FACT_CHARS),
        published=clean_line(metadata.published, _MAX_FACT_CHARS),
        language=clean_line(metadata.language, _MAX_FACT_CHARS),
        canonical_url=clean_line(metadata.canonical_url, _MAX_URL_CHARS),
        site=clean_line(metadata.site, _MAX_FACT_CHARS),
    )
