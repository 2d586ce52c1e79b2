"""The passages that may answer a question: by its words, by names in it, and one hop further.

A question over several documents ("the director of The House of Pulcini") shares no word with the
document that answers it (the director's): what leads there is a text that names it. So the names
in the first hits are looked up among the titles, as in the entity links of Asai et al., "Learning
to Retrieve Reasoning Paths over Wikipedia Graph for Question Answering" (2020), with the titles
themselves in place of a graph.
"""

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

import tantivy

from mcp_server.corpus.ranking.names import known_names, mentions_in_question, mentions_in_text
from mcp_server.corpus.ranking.question import Question, Reader, terms_of, words_query
from mcp_server.corpus.storage.schema import name_of, without_accents
from mcp_server.corpus.types import Passage

MAX_READ = 30
"""Hits of the words that are read and ranked anew; those behind them keep their order."""
MAX_HITS = 10_000
"""Hits of the words that are looked for, however many are asked for."""
MAX_NAMED = 12
"""Passages taken for the names in the question, and for the names in the first hits."""
MAX_SOURCES = 5
"""Passages whose text is searched for names."""
NAMED_IN_QUESTION = 0.5
"""What the name of a passage in the question adds to its strength, where the best hit has 1."""

Key = tuple[int, int]
Hit = tuple[float, tantivy.DocAddress]


@dataclass(eq=False, slots=True, kw_only=True)
class Candidate:
    """A passage that may answer."""

    words_score: float
    """BM25, as a share of the best hit's; 0 where no word matches."""
    passage: Passage
    name: str
    """Its title in the form of the field `name`; "" for none."""
    terms: Sequence[str]
    """Of its title and text, in order."""
    different_terms: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        """Find the different terms."""
        self.different_terms = frozenset(self.terms)


@dataclass(frozen=True, eq=False, slots=True)
class Link:
    """A name in the text of a passage near the top."""

    source: Candidate
    strength: float
    """How good the source is: its share of the best score, more where the question names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """What was found for a question."""

    found: Sequence[Candidate]
    """The best hits of the words first, in their order."""
    rest: Iterator[Hit]
    """Further hits of the words, looked for when asked for; scores as `Candidate.words_score`."""
    asked_names: frozenset[str]
    """Names of documents in the question."""
    links: Mapping[str, Sequence[Link]]
    """By the name that they lead to."""


def find_candidates(
    reader: Reader, question: Question, allowed: tantivy.Query | None = None
) -> Candidates:
    """Search by words, by the names in the question, and by the names in what was found so far.

    Args:
        reader: the index.
        question: with at least one term.
        allowed: only passages that this query matches; None for all.
    """
    search = _Search(reader, question, allowed)
    hits = search.by_words(MAX_READ)
    asked = frozenset(
        known_names(mentions_in_question(without_accents(question.text)), search.is_name)
    )
    found: dict[Key, Candidate] = {}
    search.read(hits, found)
    search.read(search.by_names(asked), found)
    links = _links(search, found.values(), asked)
    search.read(search.by_names(links), found)
    return Candidates(
        found=list(found.values()),
        rest=search.further(found),
        asked_names=asked,
        links=links,
    )


def _links(
    search: "_Search", found: Iterable[Candidate], asked: frozenset[str]
) -> dict[str, list[Link]]:
    sources = [
        Link(candidate, candidate.words_score + NAMED_IN_QUESTION * (candidate.name in asked))
        for candidate in found
    ]
    sources.sort(key=lambda link: -link.strength)
    links: dict[str, list[Link]] = {}
    for link in sources[:MAX_SOURCES]:
        text = without_accents(link.source.passage.text)
        for name in known_names(mentions_in_text(text), search.is_name):
            if name != link.source.name and name not in asked:
                links.setdefault(name, []).append(link)
    return links


class _Search:
    """The searches of one question; all their scores are shares of the best hit's."""

    def __init__(self, reader: Reader, question: Question, allowed: tantivy.Query | None) -> None:
        self._reader = reader
        self._question = question
        self._words = words_query(reader.schema, question.weights)
        self._allowed = [] if allowed is None else [_required(allowed)]
        self._best = 1.0
        self._passages: dict[Key, Passage] = {}
        self._names: dict[str, bool] = {}

    def is_name(self, name: str) -> bool:
        known = self._names.get(name)
        if known is None:
            known = self._names[name] = self._reader.searcher.doc_freq("name", name) > 0
        return known

    def by_words(self, count: int, start: int = 0) -> list[Hit]:
        asked = self._words
        if self._allowed:
            parts = [(tantivy.Occur.Must, asked), *self._allowed]
            asked = tantivy.Query.boolean_query(parts)
        hits = self._hits(asked, count, start)
        if hits and not start:
            self._best = hits[0][0]
        return [(score / self._best, address) for score, address in hits]

    def further(self, found: Container[Key]) -> Iterator[Hit]:
        start = MAX_READ
        while start < MAX_HITS:
            count = min(2 * start, MAX_HITS - start)
            hits = self.by_words(count, start)
            yield from (hit for hit in hits if _key(hit[1]) not in found)
            if len(hits) < count:
                return
            start += count

    def by_names(self, names: Iterable[str]) -> list[Hit]:
        """The best passages of the documents with these names."""
        leads = self._within("name", names)
        # The name is with a document's first passage only, but any other may hold the answer.
        documents = {self._passage(address).document_id for _, address in leads}
        searcher = self._reader.searcher
        if all(searcher.doc_freq("doc", document) == 1 for document in documents):
            return leads
        return [*self._within("doc", documents), *leads]

    def _within(self, field_name: str, values: Iterable[str]) -> list[Hit]:
        wanted = sorted(values)
        if not wanted:
            return []
        only = tantivy.Query.term_set_query(self._reader.schema, field_name, wanted)
        parts = [_required(only), *self._allowed, (tantivy.Occur.Should, self._words)]
        hits = self._hits(tantivy.Query.boolean_query(parts), MAX_NAMED)
        return [(score / self._best, address) for score, address in hits]

    def _hits(self, query: tantivy.Query, count: int, start: int = 0) -> list[Hit]:
        found = self._reader.searcher.search(query, count, count=False, offset=start)
        return cast("list[Hit]", found.hits)

    def _passage(self, address: tantivy.DocAddress) -> Passage:
        key = _key(address)
        if key not in self._passages:
            self._passages[key] = self._reader.passage(address)
        return self._passages[key]

    def read(self, hits: Iterable[Hit], found: dict[Key, Candidate]) -> None:
        language = self._question.language
        for score, address in hits:
            key = _key(address)
            if key in found:
                continue
            passage = self._passage(address)
            found[key] = Candidate(
                words_score=score,
                passage=passage,
                name=name_of(passage.title),
                terms=terms_of(f"{passage.title}\n{passage.text}", language),
            )


def _required(query: tantivy.Query) -> tuple[tantivy.Occur, tantivy.Query]:
    return tantivy.Occur.Must, tantivy.Query.const_score_query(query, 0.0)


def _key(address: tantivy.DocAddress) -> Key:
    return address.segment_ord, address.doc
