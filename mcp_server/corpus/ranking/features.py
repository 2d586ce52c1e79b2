"""What speaks for a passage, as numbers, and how much each of them counts.

The weights are those of a linear model whose softmax over a question's candidates is near the
passages that answer it (ListNet: Cao et al., "Learning to Rank: From Pairwise Approach to Listwise
Approach", 2007), trained by `tests/bench/train_ranking.py`.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from heapq import nlargest
from itertools import chain, pairwise
from operator import itemgetter
from typing import Final

from mcp_server.corpus.ranking.candidates import Candidate, Candidates, Link
from mcp_server.corpus.ranking.question import Question, terms_of

WEIGHTS: Final[Mapping[str, float]] = {
    "words": 2.40,
    "found": 0.62,
    "pairs": 0.72,
    "likeness": 0.97,
    "asked": 3.00,
    "linked": 2.76,
    "completes": 1.04,
}
"""By feature: see `features`."""

_MAX_MODELS = 5
"""Hits that others are compared with."""
_MAX_MODEL_TERMS = 20
_MIN_MODEL_TERM_CHARS = 3


def features(question: Question, candidates: Candidates) -> Iterator[dict[str, float]]:
    """The features of each candidate, in order; each is from 0 to about 1.

    * `words`: the BM25 score as a share of the best hit's;
    * `found`: the share of the question's terms that are in the passage;
    * `pairs`: the share, by rarity, of neighbours in the question that are neighbours in it;
    * `likeness`: the share of the terms that several of the best hits have (pseudo-relevance
      feedback, RM3: Abdul-Jaleel et al., "UMass at TREC 2004: Novelty and HARD", 2004);
    * `asked`: how rare its name is, where the question names it;
    * `linked`: how rare its name is, times the strength of the best passage that names it;
    * `completes`: the share of the question that it has and a passage that names it has not.
    """
    typical = _typical_terms(question, candidates.found)
    for candidate in candidates.found:
        is_asked = candidate.name in candidates.asked_names
        links = [
            link for link in candidates.links.get(candidate.name, ()) if link.source != candidate
        ]
        rarity = _name_rarity(question, candidate) if is_asked or links else 0.0
        yield {
            "words": candidate.words_score,
            "found": len(question.weights.keys() & candidate.different_terms)
            / len(question.weights),
            "pairs": _pairs_share(question, candidate),
            "likeness": sum(
                share for term, share in typical.items() if term in candidate.different_terms
            ),
            "asked": rarity if is_asked else 0.0,
            "linked": rarity * max((link.strength for link in links), default=0.0),
            "completes": max(
                (_completed(question, candidate, link) for link in links), default=0.0
            ),
        }


def score(values: Mapping[str, float]) -> float:
    """The weighted sum of a passage's features."""
    return sum(weight * values[feature] for feature, weight in WEIGHTS.items())


def _name_rarity(question: Question, candidate: Candidate) -> float:
    return question.rarity.share(terms_of(candidate.name, question.language))


def _pairs_share(question: Question, candidate: Candidate) -> float:
    possible = [pair for pair in question.pairs if candidate.different_terms.issuperset(pair)]
    if not possible:
        return 0.0
    near = set(pairwise(candidate.terms))
    shown = sum(_pair_weight(question, pair) for pair in possible if pair in near)
    return shown / sum(_pair_weight(question, pair) for pair in question.pairs)


def _pair_weight(question: Question, pair: tuple[str, str]) -> float:
    return min(question.weights[pair[0]], question.weights[pair[1]])


def _completed(question: Question, candidate: Candidate, link: Link) -> float:
    new = sum(
        weight
        for term, weight in question.weights.items()
        if term in candidate.different_terms and term not in link.source.different_terms
    )
    return link.strength * new / question.total


def _typical_terms(question: Question, found: Sequence[Candidate]) -> dict[str, float]:
    """Terms of several of the best hits, not of the question, with shares that add up to 1."""
    models = found[:_MAX_MODELS]
    shared = Counter(chain.from_iterable(model.different_terms for model in models))
    weights: dict[str, float] = {}
    for model in models:
        for term, count in Counter(model.terms).items():
            is_word = len(term) >= _MIN_MODEL_TERM_CHARS and term not in question.weights
            if is_word and shared[term] > 1:
                share = model.words_score * count / len(model.terms)
                weights[term] = weights.get(term, 0.0) + share * question.rarity.of(term)
    typical = nlargest(_MAX_MODEL_TERMS, weights.items(), key=itemgetter(1))
    total = sum(weight for _, weight in typical)
    return {term: weight / total for term, weight in typical}
