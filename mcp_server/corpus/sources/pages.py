"""Read pages of archives and folders: HTML, PDF and whatever else a visit can read.

Pages are hostile: no parser is safe from all of them. So each is read in a child process that is
killed when it takes too long, as in a visit, by as many at a time as there are processors.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from queue import SimpleQueue

from mcp_server.clean import clean, clean_line
from mcp_server.corpus.sources.fields import MAX_ID_CHARS, MAX_TITLE_CHARS, MAX_URL_CHARS, iso_date
from mcp_server.corpus.sources.skipping import Skipped
from mcp_server.corpus.types import Document, Position, SourceItem
from mcp_server.errors import ExtractionError
from mcp_server.extract import EXTRACTORS
from mcp_server.extract.inline_links import take_out_links
from mcp_server.extract.types import Extracted, SourceInfo
from mcp_server.extract.workers.worker import DocumentReader, available_processors
from mcp_server.visit.media_type import sniff
from mcp_server.visit.types import Link, Resource

MAX_PAGE_BYTES = 20_000_000
"""Longer pages are skipped, as they are by a visit."""
_READING_SECONDS = 20.0
_AHEAD_PER_READER = 2

LinkMapper = Callable[[Link], Link]


@dataclass(frozen=True, slots=True, kw_only=True)
class RawPage:
    """A page as it is stored."""

    id: str
    url: str
    body: bytes
    content_type: str
    """What a web server said of it, or would say; judged by `sniff` like any header."""
    position: Position
    """After the page."""
    title: str = ""
    """For a page that has none of its own."""
    published: str = ""
    """Date, for a page that does not tell its own."""


def read_pages(
    pages: Iterable[RawPage], skipped: Skipped, *, map_link: LinkMapper = lambda link: link
) -> Iterator[SourceItem]:
    """Read pages in their order; those that cannot be read are counted and left out.

    Args:
        pages: taken a few ahead of what is yielded.
        skipped: told of each page that is left out.
        map_link: may change where a link leads.
    """
    workers = available_processors()
    readers = [DocumentReader() for _ in range(workers)]
    idle: SimpleQueue[DocumentReader] = SimpleQueue()
    for reader in readers:
        idle.put(reader)

    def read(body: bytes, info: SourceInfo) -> Extracted:
        reader = idle.get()
        try:
            return reader.read(body, info, deadline_seconds=_READING_SECONDS).extracted
        finally:
            idle.put(reader)

    waiting: deque[tuple[RawPage, Future[Extracted]]] = deque()
    threads = ThreadPoolExecutor(workers, thread_name_prefix="pages")
    try:
        for page in pages:
            info = _judge(page)
            if info.media_type not in EXTRACTORS:
                skipped.add(page.url, f"not a text page: {info.media_type}")
                continue
            waiting.append((page, threads.submit(read, page.body, info)))
            if len(waiting) > workers * _AHEAD_PER_READER:
                yield from _finished(waiting.popleft(), skipped, map_link)
        while waiting:
            yield from _finished(waiting.popleft(), skipped, map_link)
    finally:
        for reader in readers:
            reader.stop()
        threads.shutdown(cancel_futures=True)
        for reader in readers:
            reader.close()


def _judge(page: RawPage) -> SourceInfo:
    return sniff(
        Resource(
            url=page.url,
            final_url=page.url,
            status=200,
            content_type=page.content_type,
            body=page.body,
        )
    )


def _finished(
    reading: tuple[RawPage, Future[Extracted]], skipped: Skipped, map_link: LinkMapper
) -> Iterator[SourceItem]:
    page, future = reading
    try:
        extracted = future.result()
    except ExtractionError as exc:
        skipped.add(page.url, f"{exc}; {exc.hint}" if exc.hint else str(exc))
        return
    text, links = clean(extracted.text), ()
    if extracted.has_inline_links:
        text, links = take_out_links(text)
    if not text:
        skipped.add(page.url, "no readable text")
        return
    title = clean_line(extracted.title, MAX_TITLE_CHARS)
    document = Document(
        id=clean_line(page.id, MAX_ID_CHARS),
        url=clean_line(page.url, MAX_URL_CHARS),
        title=title or clean_line(page.title, MAX_TITLE_CHARS),
        text=text,
        links=tuple(map(map_link, links)),
        published=iso_date(extracted.metadata.published) or page.published,
    )
    yield SourceItem(document, page.position)
