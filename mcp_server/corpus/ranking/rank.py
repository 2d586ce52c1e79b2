"""Rank the passages of an index for a question."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import tantivy

from mcp_server.corpus.ranking.candidates import find_candidates
from mcp_server.corpus.ranking.features import features, score
from mcp_server.corpus.ranking.question import Question, Reader
from mcp_server.corpus.types import Passage

MAX_COMPARED = 20
"""Passages that are compared with the question in meaning: each takes some 15 ms of CPU time."""
MEANING_WEIGHT = 4.0
"""What a cosine of 1 counts, beside the weights of the features."""

Similarity = Callable[[str, Sequence[str]], Sequence[float]]
"""How near texts are to a query in meaning: one cosine for each, from -1 to 1."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """A passage and how well it fits."""

    score: float
    """Comparable within one ranking only."""
    passage: Passage


def rank(
    reader: Reader,
    question: Question,
    allowed: tantivy.Query | None = None,
    similarity: Similarity | None = None,
) -> Iterator[Ranked]:
    """The passages that fit a question, best first; a document may have several.

    Passages behind the first few dozen are searched for when they are asked for, and come in the
    order of BM25.

    Args:
        reader: the index.
        question: read for this index.
        allowed: only passages that this query matches, whatever its scores; None for all.
        similarity: lets meaning count beside words; asked once, for at most `MAX_COMPARED`
            passages with their titles. Its errors are passed on.
    """
    if not question.weights:
        return
    candidates = find_candidates(reader, question, allowed)
    scored = [
        Ranked(score(values), candidate.passage)
        for values, candidate in zip(features(question, candidates), candidates.found, strict=True)
    ]
    scored.sort(key=_order)
    if similarity is not None:
        scored = _with_meaning(scored, question, similarity)
    yield from scored
    lowest = scored[-1].score if scored else 0.0
    for share, address in candidates.rest:
        yield Ranked(lowest * share, reader.passage(address))


def _with_meaning(
    ranked: Sequence[Ranked], question: Question, similarity: Similarity
) -> list[Ranked]:
    """The first ones by words and meaning; the others keep their order behind them."""
    first = ranked[:MAX_COMPARED]
    texts = [f"{each.passage.title}. {each.passage.text}" for each in first]
    cosines = similarity(question.text, texts)
    mixed = [
        Ranked(each.score + MEANING_WEIGHT * (1 + cosine), each.passage)
        for each, cosine in zip(first, cosines, strict=True)
    ]
    return [*sorted(mixed, key=_order), *ranked[MAX_COMPARED:]]


def _order(ranked: Ranked) -> tuple[float, int]:
    return -ranked.score, ranked.passage.part
