"""What a question asks an index for: its words as terms of the index, and how much each says."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise
from typing import Protocol

import tantivy

from mcp_server.corpus.storage.schema import analyzer, query_words, searchable
from mcp_server.corpus.types import Passage

MAX_QUESTION_CHARS = 2_000
"""Of a longer question only the beginning is read."""
MAX_TERMS = 32
"""A question with more terms is answered by its rarest ones."""

_WORD = re.compile(r"\w+")
STOP_WORDS = frozenset(
    """a about an and are as at be been but by can could did do does for from had has have he her
    his how i if in into is it its me more most my no not of on one or our she should so some such
    than that the their them then there these they this those to was we were what when where which
    who whom whose why will with would you your""".split()
)
"""English words that say nothing about what is asked for."""


class Reader(Protocol):
    """One state of an index; `mcp_server.corpus.storage.snapshot.Snapshot` is one."""

    @property
    def searcher(self) -> tantivy.Searcher:
        """Tantivy's searcher."""
        ...

    @property
    def schema(self) -> tantivy.Schema:
        """Tantivy's schema."""
        ...

    def passage(self, address: tantivy.DocAddress) -> Passage:
        """The stored passage at an address that the searcher gave."""
        ...


class Rarity:
    """How rare terms are in the texts of an index: their inverse document frequency as in BM25."""

    def __init__(self, searcher: tantivy.Searcher) -> None:
        """Terms are looked up when they are asked for, and remembered."""
        self._searcher = searcher
        self._passages = searcher.num_docs
        self._known: dict[str, float] = {}
        self.highest = math.log(self._passages + 1) or 1.0
        """No term is rarer than this, about."""

    def of(self, term: str) -> float:
        """The inverse document frequency of a term, above 0."""
        known = self._known.get(term)
        if known is None:
            count = self._searcher.doc_freq("text", term)
            known = math.log(1 + (max(0, self._passages - count) + 0.5) / (count + 0.5))
            self._known[term] = known
        return known

    def share(self, terms: Iterable[str]) -> float:
        """How rare the rarest of some terms is, from 0 to about 1."""
        return max(map(self.of, terms), default=0.0) / self.highest


@dataclass(frozen=True, slots=True)
class Question:
    """A question in the terms of an index."""

    text: str
    """As it was asked, up to `MAX_QUESTION_CHARS`."""
    weights: Mapping[str, float]
    """Those of its terms that the index has, with their rarity; up to `MAX_TERMS`."""
    pairs: tuple[tuple[str, str], ...]
    """Terms that follow each other in it."""
    rarity: Rarity
    language: str
    """The language of the index, as in `schema.LANGUAGES`."""
    total: float = field(init=False)
    """The sum of the weights."""

    def __post_init__(self) -> None:
        """Add the weights up."""
        object.__setattr__(self, "total", sum(self.weights.values()))


def read_question(reader: Reader, text: str, language: str) -> Question:
    """Find the terms of a question: its words that the index has, without stop words.

    Stop words count where the question has no others.

    Args:
        reader: the index that is asked.
        text: any text; query syntax in it has no meaning.
        language: of the index, as in `schema.LANGUAGES`.
    """
    text = text[:MAX_QUESTION_CHARS]
    words = _WORD.findall(query_words(text))
    said = [word for word in words if word.lower() not in STOP_WORDS] or words
    rarity = Rarity(reader.searcher)
    weights = {
        term: rarity.of(term)
        for term in dict.fromkeys(_analyze(" ".join(said), language))
        if any(reader.searcher.doc_freq(name, term) for name in ("text", "title"))
    }
    if len(weights) > MAX_TERMS:
        rarest = set(sorted(weights, key=lambda term: -weights[term])[:MAX_TERMS])
        weights = {term: weight for term, weight in weights.items() if term in rarest}
    in_order = pairwise(_analyze(" ".join(words), language))
    # In order, not in a set: sums of rounded numbers depend on it, and answers must not.
    known = (pair for pair in in_order if pair[0] in weights and pair[1] in weights)
    pairs = tuple(dict.fromkeys(known))
    return Question(text, weights, pairs, rarity, language)


def words_query(
    schema: tantivy.Schema, terms: Iterable[str], fields: Sequence[str] = ("title", "text")
) -> tantivy.Query:
    """A query for any of the terms in any of the fields, scored by BM25.

    It is flat: only where nothing is nested tantivy skips blocks of passages that cannot win
    (WAND).
    """
    return tantivy.Query.boolean_query(
        [
            (tantivy.Occur.Should, tantivy.Query.term_query(schema, name, term, "freq"))
            for term in terms
            for name in fields
        ]
    )


def terms_of(text: str, language: str) -> Sequence[str]:
    """The terms of a stored text in order, as they are in the index."""
    return _analyze(searchable(text), language)


def _analyze(text: str, language: str) -> list[str]:
    return _analyzer(language).analyze(text)


@lru_cache
def _analyzer(language: str) -> tantivy.TextAnalyzer:
    return analyzer(language)
