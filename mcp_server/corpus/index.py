"""Answer from a full-text index on disk.

The folder is described in `manifest`, the fields in `schema`. Readers never wait for a writer: an
open index shows one state, and goes on to a newer one at the next question, at most once a second.
"""

import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import cast

import tantivy

from mcp_server.clean import clean_line
from mcp_server.corpus.ranking.question import read_question, words_query
from mcp_server.corpus.ranking.rank import Similarity, rank
from mcp_server.corpus.ranking.snippets import snippet
from mcp_server.corpus.storage.manifest import MANIFEST, META, Manifest, read_manifest
from mcp_server.corpus.storage.records import Record
from mcp_server.corpus.storage.snapshot import Snapshot
from mcp_server.corpus.types import Passage
from mcp_server.errors import CorpusError
from mcp_server.search.domains import DomainFilter
from mcp_server.search.types import SearchHit, SearchQuery
from mcp_server.visit.types import Page

__all__ = ["LocalIndex", "Manifest", "read_manifest"]

REFRESH_SECONDS = 1.0
"""A newer state is looked for at most this often."""
MAX_CANDIDATES = 10_000
"""Most passages looked at for one question, where a few documents have very many."""
_OPEN_ATTEMPTS = 5

_HEADING_MARK = re.compile(r"^#{1,6} ", re.MULTILINE)


class LocalIndex:
    """An open index; safe to use from several threads, and by several processes at once."""

    def __init__(
        self,
        directory: Path,
        *,
        similarity: Similarity | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Open the index at `directory`.

        Args:
            directory: made by `build_index`.
            similarity: lets meaning count beside words, see `ranking.rank`.
            clock: tells seconds from any start.

        Raises:
            CorpusError: it is missing, damaged or of another format.
        """
        self.directory = directory
        self._similarity = similarity
        self._clock = clock
        self._refreshing = threading.Lock()
        self._checked_at = clock()
        self._seen, self._manifest, self._snapshot = self._open()

    @property
    def manifest(self) -> Manifest:
        """The description of the index at the state that questions see now."""
        self.snapshot()
        return self._manifest

    def snapshot(self) -> Snapshot:
        """The newest state that is known; a question keeps to one from its start to its end.

        A state that cannot be opened, as while an index is being replaced by hand, is tried again
        later: what is open goes on to answer.
        """
        now = self._clock()
        if now - self._checked_at >= REFRESH_SECONDS and self._refreshing.acquire(blocking=False):
            try:
                self._checked_at = now
                if _state_of(self.directory, self._manifest) != self._seen:
                    self._seen, self._manifest, self._snapshot = self._open()
            except CorpusError:
                pass
            finally:
                self._refreshing.release()
        return self._snapshot

    def _open(self) -> tuple[object, Manifest, Snapshot]:
        """The present state: what identifies it, its description, and itself."""
        for attempt in range(1, _OPEN_ATTEMPTS + 1):
            manifest = read_manifest(self.directory)
            seen = _state_of(self.directory, manifest)
            try:
                generation = self.directory / manifest.generation
                return seen, manifest, Snapshot(generation, manifest.language)
            except CorpusError:
                # A writer may just have replaced the generation that the manifest named.
                is_replaced = read_manifest(self.directory).generation != manifest.generation
                if not is_replaced or attempt == _OPEN_ATTEMPTS:
                    raise
        raise AssertionError("the last attempt returns or raises")

    def search(self, query: SearchQuery) -> list[SearchHit]:
        """Answer a query with at most `query.limit` hits, best first, one per document.

        The steps are in `ranking`; stop words and query syntax have no effect.

        Raises:
            CorpusError: the index is damaged.
        """
        snapshot = self.snapshot()
        with snapshot.damage_named():
            question = read_question(snapshot, query.text, snapshot.language)
            ranked = rank(snapshot, question, snapshot.filter_query(query), self._similarity)
            best = one_per_document(((found.score, found.passage) for found in ranked), query)
            return [
                _hit(
                    passage,
                    score,
                    snippet(passage.text, passage.title, question, query.preview_chars)
                    if query.preview_chars
                    else "",
                )
                for score, passage in best
            ]

    def search_plain(self, query: SearchQuery) -> list[SearchHit]:
        """Answer by BM25 over titles and texts alone, the baseline of the ranking.

        The query is a bag of words, those of `search`: stop words and query syntax in it have no
        effect. A preview is the beginning of the best passage.

        Raises:
            CorpusError: the index is damaged.
        """
        snapshot = self.snapshot()
        with snapshot.damage_named():
            question = read_question(snapshot, query.text, snapshot.language)
            if not question.weights:
                return []
            asked = words_query(snapshot.schema, question.weights)
            wanted = query.page * query.limit
            hits = _plain_hits(snapshot, snapshot.filtered(asked, query), wanted)
            return [
                _hit(passage, score, _beginning(passage.text, query.preview_chars))
                for score, passage in one_per_document(hits, query)
            ]

    def page_at(self, url: str) -> Page | None:
        """The whole document stored under exactly this URL, or None.

        Raises:
            CorpusError: the index is damaged.
        """
        snapshot = self.snapshot()
        with snapshot.damage_named():
            query = tantivy.Query.term_query(snapshot.schema, "url", url, "basic")
            parts = snapshot.matches(query)
            if not parts:
                return None
            found = snapshot.searcher.search(query, parts, count=False)
            records = [snapshot.record(address) for _, address in found.hits]
        return _page(url, records)

    async def page(self, url: str) -> Page | None:
        """`page_at` as a `PageSource`; a lookup takes well under a millisecond."""
        return self.page_at(url)


def one_per_document(
    passages: Iterable[tuple[float, Passage]], query: SearchQuery
) -> list[tuple[float, Passage]]:
    """The best passage of each of the best documents with its score, for the page asked for.

    Args:
        passages: best first; no more are taken than needed, and at most `MAX_CANDIDATES`.
        query: says how many documents are wanted and which ones are not.
    """
    first = (query.page - 1) * query.limit
    wanted = first + query.limit
    domains = DomainFilter(exclude=query.exclude_domains)
    best: dict[str, tuple[float, Passage]] = {}
    for score, passage in islice(passages, MAX_CANDIDATES):
        if passage.document_id in best or not domains.wants(passage.url):
            continue
        best[passage.document_id] = (score, passage)
        if len(best) == wanted:
            break
    return list(best.values())[first:]


def _plain_hits(
    snapshot: Snapshot, query: tantivy.Query, count: int
) -> Iterator[tuple[float, Passage]]:
    """Passages in the order of their scores; those after `count` are found when asked for."""
    start = 0
    while True:
        hits = snapshot.searcher.search(query, count, count=False, offset=start).hits
        for score, address in hits:
            yield cast(float, score), snapshot.passage(address)
        if len(hits) < count:
            return
        start, count = start + count, 4 * count


def _hit(passage: Passage, score: float, preview: str) -> SearchHit:
    return SearchHit(
        url=passage.url,
        title=passage.title,
        preview=preview,
        published=passage.published,
        document_id=passage.document_id,
        score=score,
    )


def _beginning(text: str, max_chars: int) -> str:
    return clean_line(_HEADING_MARK.sub("", text[: 2 * max_chars]), max_chars)


def _page(url: str, records: Sequence[Record]) -> Page:
    """The document that its parts make; the one of the smallest id where two have this URL."""
    identity = min(record.passage.document_id for record in records)
    parts = sorted(
        (record for record in records if record.passage.document_id == identity),
        key=lambda record: record.passage.part,
    )
    first = parts[0]
    return Page(
        url=url,
        final_url=url,
        title=first.passage.title,
        text="".join(record.passage.text for record in parts),
        media_type="text/markdown",
        links=first.links,
    )


def _state_of(directory: Path, manifest: Manifest) -> object:
    """Changes with each new state; takes a few microseconds."""
    return (
        _identity(directory / MANIFEST),
        _identity(directory / manifest.generation / META),
    )


def _identity(path: Path) -> object:
    try:
        stat = os.stat(path)  # noqa: PTH116 - a third of the time of Path.stat
    except OSError:
        return None
    return stat.st_ino, stat.st_mtime_ns, stat.st_size
