"""Visit pages: from a URL to clean text."""

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence

import anyio
import httpx

from mcp_server.clean import clean, clean_line
from mcp_server.errors import ExtractionError, FetchError, UnsupportedMediaType
from mcp_server.extract import EXTRACTORS, Extracted
from mcp_server.extract.worker import extract_in_child
from mcp_server.visit.fetch import FetchLimits, fetch
from mcp_server.visit.guard import Policy, check_url
from mcp_server.visit.media_type import sniff
from mcp_server.visit.types import Link, Page, PageSource, Resource

_CACHED_PAGES = 64
_CACHED_CHARS = 32_000_000
_CACHED_SECONDS = 300
_MAX_TITLE_CHARS = 300
_MAX_LINK_TEXT_CHARS = 200
_MAX_URL_CHARS = 4_096

MAX_READING_SECONDS = 10.0
MIN_READING_SECONDS = 1.0
"""Also a page that came at the last moment is read; most take a tenth of this."""
CORPUS_SCHEME = "corpus://"
"""Scheme of local documents that have no URL of their own."""


class VisitService:
    """Gives the text of a page, from a local source or from the web.

    Pages from the web are kept for five minutes, so that reading the next part of a page neither
    fetches it again nor shows another version of it. Failures are not kept.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        *,
        policy: Policy,
        limits: FetchLimits | None = None,
        sources: Sequence[PageSource] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._http = http
        self._policy = policy
        self._limits = limits or FetchLimits()
        self._sources = tuple(sources)
        self._recent = _RecentPages(clock)

    async def page(self, url: str) -> Page:
        """Read a page.

        Args:
            url: a URL of the web, or of a document in one of the sources.

        Raises:
            BlockedUrl: the URL may not be visited.
            FetchError: the page could not be downloaded, or no source has it.
            UnsupportedMediaType: the page is not text.
            ExtractionError: the page has no text that can be read.
            CorpusError: a source cannot be read.
        """
        found = await self._from_sources(url)
        if found is not None:
            return found
        if url.strip().lower().startswith(CORPUS_SCHEME):
            hint = "use a URL from the search results"
            raise FetchError(url, "no such document in the local index", hint=hint)
        key = str(check_url(url, self._policy))
        page = self._recent.get(key)
        if page is None:
            page = await self._from_web(url)
            self._recent.put(key, page)
            self._recent.put(page.final_url, page)
        return page

    async def _from_sources(self, url: str) -> Page | None:
        for variant in _variants(url):
            for source in self._sources:
                page = await source.page(variant)
                if page is not None:
                    return page
        return None

    async def _from_web(self, url: str) -> Page:
        end = anyio.current_time() + self._limits.deadline_seconds
        resource = await fetch(url, http=self._http, policy=self._policy, limits=self._limits)
        info = sniff(resource)
        if info.media_type not in EXTRACTORS:
            raise UnsupportedMediaType(url, info.media_type, len(resource.body))
        left = max(MIN_READING_SECONDS, end - anyio.current_time())
        extracted = await extract_in_child(
            resource.body, info, deadline_seconds=min(MAX_READING_SECONDS, left)
        )
        return _page(url, resource, info.media_type, extracted)


def _variants(url: str) -> Iterator[str]:
    """The URL, then the ways in which a model often changes one."""
    exact = url.strip()
    without_fragment = exact.partition("#")[0]
    yield from dict.fromkeys((exact, without_fragment, without_fragment.rstrip("/")))


def _page(url: str, resource: Resource, media_type: str, extracted: Extracted) -> Page:
    text = clean(extracted.text)
    if not text and media_type in ("text/html", "application/xhtml+xml"):
        raise ExtractionError(
            "the page has no readable text; it probably needs JavaScript",
            hint="try another result",
        )
    if not text:
        raise ExtractionError("the page is empty", hint="try another result")
    return Page(
        url=url,
        final_url=resource.final_url,
        title=clean_line(extracted.title, _MAX_TITLE_CHARS),
        text=text,
        media_type=media_type,
        links=tuple(
            Link(
                text=clean_line(link.text, _MAX_LINK_TEXT_CHARS),
                url=clean_line(link.url, _MAX_URL_CHARS),
            )
            for link in extracted.links
        ),
    )


class _RecentPages:
    """The pages of the last minutes, least recently used first."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._pages: OrderedDict[str, tuple[float, Page]] = OrderedDict()

    def get(self, url: str) -> Page | None:
        expires_at, page = self._pages.get(url, (0.0, None))
        if page is None or self._clock() >= expires_at:
            self._pages.pop(url, None)
            return None
        self._pages.move_to_end(url)
        return page

    def put(self, url: str, page: Page) -> None:
        self._pages[url] = (self._clock() + _CACHED_SECONDS, page)
        self._pages.move_to_end(url)
        while len(self._pages) > _CACHED_PAGES or self._total_chars() > _CACHED_CHARS:
            self._pages.popitem(last=False)

    def _total_chars(self) -> int:
        return sum(len(page.text) for _, page in self._pages.values())
