"""One state of an index: what a query sees from its first to its last step."""

import tempfile
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import cast

import tantivy

from mcp_server.corpus.storage.manifest import damaged
from mcp_server.corpus.storage.records import Record, unpack
from mcp_server.corpus.storage.schema import open_index
from mcp_server.corpus.types import Passage
from mcp_server.search.types import SearchQuery

_FIRST_DAY, _LAST_DAY = 1, 99_999_999


class Snapshot:
    """An open state of an index; safe to use from several threads.

    Addresses of passages belong to the snapshot that gave them.

    Attributes:
        searcher: tantivy's searcher.
        schema: tantivy's schema.
        language: of the stemmer, see `schema.LANGUAGES`.
    """

    def __init__(self, generation: Path, language: str) -> None:
        """Open the last commit in the folder of a generation.

        Raises:
            CorpusError: the index is damaged.
        """
        self._directory = generation.parent
        self.language = language
        with self.damage_named():
            index = _open(generation, language)
            self.searcher = index.searcher()
            self.schema = index.schema

    def record(self, address: tantivy.DocAddress) -> Record:
        """The stored passage at an address, with the document's links where it is the first."""
        packed = self.searcher.doc(address).get_first("record")
        return unpack(cast(bytes, packed))

    def passage(self, address: tantivy.DocAddress) -> Passage:
        """The stored passage at an address; takes about 20 microseconds."""
        return self.record(address).passage

    def parts(self, addresses: Sequence[tantivy.DocAddress]) -> list[int]:
        """The numbers of passages within their documents, without reading the passages."""
        return cast(list[int], self.searcher.fast_field_values("part", list(addresses)))

    def count(self) -> tuple[int, int, int]:
        """Documents, passages, and UTF-8 bytes of titles and texts; reads two numbers of each."""
        first = tantivy.Query.range_query(
            self.schema, "part", tantivy.FieldType.Unsigned, lower_bound=0, upper_bound=0
        )
        sums = self.searcher.aggregate(
            tantivy.Query.all_query(), {"bytes": {"sum": {"field": "size"}}}
        )
        return self.matches(first), self.searcher.num_docs, int(sums["bytes"]["value"])

    def matches(self, query: tantivy.Query) -> int:
        """How many passages a query matches."""
        found = self.searcher.search(query, 1)
        return cast(int, found.count)  # pyright: ignore[reportAttributeAccessIssue] - not in the stub

    def filtered(self, query: tantivy.Query, operators: SearchQuery) -> tantivy.Query:
        """The query, only for passages that `filter_query` allows; scores stay as they are."""
        allowed = self.filter_query(operators)
        if allowed is None:
            return query
        unscored = tantivy.Query.const_score_query(allowed, 0.0)
        return tantivy.Query.boolean_query(
            [(tantivy.Occur.Must, query), (tantivy.Occur.Must, unscored)]
        )

    def filter_query(self, query: SearchQuery) -> tantivy.Query | None:
        """What the operators of a query ask for, without its words; None when that is nothing.

        An excluded domain with a path is not in it: the index knows hosts only.
        """
        must: list[tuple[tantivy.Occur, tantivy.Query]] = []
        if query.include_domains:
            must.append((tantivy.Occur.Must, self._hosts(query.include_domains)))
        if query.after is not None or query.before is not None:
            must.append((tantivy.Occur.Must, self._days(query.after, query.before)))
        whole_domains = [domain for domain in query.exclude_domains if "/" not in domain]
        if whole_domains:
            if not must:
                must.append((tantivy.Occur.Must, tantivy.Query.all_query()))
            must.append((tantivy.Occur.MustNot, self._hosts(whole_domains)))
        return tantivy.Query.boolean_query(must) if must else None

    def _hosts(self, domains: Sequence[str]) -> tantivy.Query:
        return tantivy.Query.term_set_query(self.schema, "host", list(domains))

    def _days(self, after: date | None, before: date | None) -> tantivy.Query:
        return tantivy.Query.range_query(
            self.schema,
            "day",
            tantivy.FieldType.Unsigned,
            _number(after) if after else _FIRST_DAY,
            _number(before) if before else _LAST_DAY,
            include_upper=False,
        )

    @contextmanager
    def damage_named(self) -> Generator[None]:
        """Turn tantivy's errors, panics of its Rust code included, into a `CorpusError`."""
        try:
            yield
        except BaseException as exc:
            # A damaged file makes the Rust side panic; pyo3 raises that as a BaseException of a
            # type that cannot be imported.
            if isinstance(exc, ValueError | OSError) or type(exc).__name__ == "PanicException":
                reason = (str(exc).splitlines() or [""])[0][:200]
                raise damaged(self._directory, reason) from exc
            raise


def _open(generation: Path, language: str) -> tantivy.Index:
    """Open an index, also where its folder cannot be written.

    While it opens, tantivy locks the list of files by a file beside it. Where there can be none,
    as on a read-only disk, nobody can change the list either, and links from a folder of our own
    do as well; the folder is not needed any more once the files are open.
    """
    try:
        return open_index(generation, language)
    except ValueError as exc:
        if "Lockfile" not in str(exc):
            raise
    with tempfile.TemporaryDirectory(prefix="seekling-") as place:
        for file in generation.iterdir():
            if not file.name.endswith(".lock"):
                (Path(place) / file.name).symlink_to(file.resolve())
        return open_index(Path(place), language)


def _number(day: date) -> int:
    return day.year * 10_000 + day.month * 100 + day.day
