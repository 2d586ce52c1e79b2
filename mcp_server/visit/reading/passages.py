"""The passages of a page that answer a query: BM25 over passages with their headings.

Okapi BM25 as in Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond"
(2009), with the page's own passages as the collection. Words are stemmed, characters of scripts
that write no spaces are taken in pairs. The headings above a passage count as words of it, since
they often hold the subject that the text only means.

Where a measure of similarity in meaning is given, the best passages by words, and on a page with
few of them its first others, are ranked by words and meaning, half and half (measured by
`tests/bench/passages.py`).
"""

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from operator import add, gt
from typing import Protocol, cast

from mcp_server.sizes import size_bytes
from mcp_server.visit.reading.budget import (
    chars_within,
    chars_within_bytes,
    estimate_tokens,
)
from mcp_server.visit.reading.parts import cut
from mcp_server.visit.reading.sections import Section, find_sections

PASSAGE_CHARS = 700
"""Passages grow to about this; a longer paragraph is split at sentences."""
MAX_PASSAGES = 20_000
"""Of a longer page only these are searched."""
MAX_COMPARED = 30
"""So many passages at most are compared with the query in meaning, since that takes time."""
HEADING_LINE_CHARS = 30
"""Taken by marks and positions around a passage, beside its headings' own characters."""
HEADING_LINE_TOKENS = 20
"""The same in tokens, with headings of usual length."""
HEADING_LINE_BYTES = 60
"""The same in bytes, with the marks between six headings."""

Similarity = Callable[[str, Sequence[str]], Sequence[float]]
"""How near texts are to a query in meaning: one cosine for each, 0 and less for none."""


class _WordStemmer(Protocol):
    """What is used of PyStemmer, which has no type stubs."""

    def stemWords(self, words: Sequence[str]) -> list[str]: ...


_K1, _B = 1.2, 0.75
_MAX_HEADING_SHARE = 0.25
"""Headings that take more than this of a small budget are left out."""
_MIN_SCORE_SHARE = 0.1
"""Passages with less than this share of the best score are left out, budget or not."""
_MIN_MIXED_SHARE = 0.15
"""The same where meaning counts: it tells better what has nothing to do with the query."""
_MIN_SIMILARITY = 0.25
"""Of a passage that shares no word with the query, above what is usual on the page."""
_MEANING_SHARE = 0.5
"""What meaning counts beside words, both at most 1."""
_BLOCK = re.compile(r"\S[^\n]*(?:\n[^\n]*\S[^\n]*)*")
_SENTENCE_END = re.compile(r"[.!?…؟۔।][\"'”’)\]]{0,3}\s|[。！？]|\n")
_WORD = re.compile(r"[^\W_]+")
_CJK_RUN = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\U000dffff]+")
_STOP_WORDS = frozenset(
    "a an and are as at be been but by can could did do does for from had has have he her his how"
    " i if in is it its me my of on or our she should so than that the their them there these they"
    " this those to was we were what when where which who whom whose why will with would you"
    " your".split()
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A piece of a page."""

    text: str
    start: int
    """Index of the first character in the page's text."""
    end: int
    """Index after the last character."""
    headings: tuple[str, ...]
    """The headings above it, outermost first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PassageChoice:
    """The passages of a page that fit a query best, in the order of the page."""

    passages: tuple[Passage, ...]
    found: int
    """How many passages match the query in words, or in meaning where it counts, chosen or not."""


def choose_passages(
    text: str,
    query: str,
    max_chars: int,
    max_tokens: int = 0,
    similarity: Similarity | None = None,
    *,
    max_bytes: int = 0,
) -> PassageChoice:
    """Choose the passages that answer a query, within a budget.

    Args:
        text: the page's text.
        query: words or a question.
        max_chars: upper bound of the chosen passages' characters, headings included; the best
            passage is cut to it when it is longer.
        max_tokens: the same in estimated tokens; 0 for no bound.
        similarity: lets meaning count beside words; asked once, for at most `MAX_COMPARED`
            passages with their headings. Its errors are passed on.
        max_bytes: the same bound as UTF-8; 0 for none.
    """
    passages = list(_passages(text))
    scores, min_share = _scores(passages, query), _MIN_SCORE_SHARE
    if similarity is not None:
        scores, min_share = _mixed(passages, scores, query, similarity), _MIN_MIXED_SHARE
    ranked = sorted(
        (index for index, score in enumerate(scores) if score > 0),
        key=lambda index: (-scores[index], index),
    )
    bounds = (max_chars, max_tokens or math.inf, max_bytes or math.inf)
    chosen: list[int] = []
    spent = (0.0, 0.0, 0.0)
    for index in ranked:
        if scores[index] < min_share * scores[ranked[0]]:
            break
        passage = passages[index]
        total = tuple(map(add, spent, _cost(passage, bounds)))
        if any(map(gt, total, bounds)):
            if chosen:
                continue  # a shorter one may still fit
            passages[index] = _shortened(passage, query, max_chars, max_tokens, max_bytes)
        chosen.append(index)
        spent = total
    return PassageChoice(
        passages=tuple(passages[index] for index in sorted(chosen)), found=len(ranked)
    )


def _cost(passage: Passage, bounds: tuple[float, ...]) -> tuple[float, float, float]:
    """What showing a passage takes: characters, tokens, bytes; 0 for what has no bound."""
    headings = "".join(passage.headings)
    return (
        len(passage.text) + len(headings) + HEADING_LINE_CHARS,
        estimate_tokens(passage.text) + HEADING_LINE_TOKENS if bounds[1] < math.inf else 0.0,
        size_bytes(passage.text + headings) + HEADING_LINE_BYTES if bounds[2] < math.inf else 0.0,
    )


def _shortened(
    passage: Passage, query: str, max_chars: int, max_tokens: int, max_bytes: int
) -> Passage:
    """The piece of a passage around its best sentence that fits the budget."""
    above = sum(map(len, passage.headings))
    headings = passage.headings if above <= _MAX_HEADING_SHARE * max_chars else ()
    chars = max(1, max_chars - HEADING_LINE_CHARS - (above if headings else 0))
    tokens = max(1, max_tokens - HEADING_LINE_TOKENS) if max_tokens else 0
    taken = HEADING_LINE_BYTES + size_bytes("".join(headings))
    size = max(1, max_bytes - taken) if max_bytes else 0
    wanted = set(terms(query))
    starts = [0, *(match.end() for match in _SENTENCE_END.finditer(passage.text))]
    ends = [*starts[1:], len(passage.text)]
    best = max(
        zip(starts, ends, strict=True),
        key=lambda sentence: len(wanted & set(terms(passage.text[slice(*sentence)]))),
    )
    start = best[0]
    if tokens:  # so that the cut below only ever ends the text at a better place
        chars = min(chars, chars_within(passage.text, start, tokens))
    if size:
        chars = min(chars, chars_within_bytes(passage.text, start, size))
    if best[1] - start > chars:  # no sentence end in sight: around the first word that fits
        start = max(start, _first_match(passage.text, start, wanted) - chars // 2)
    else:  # fill the budget from the sentences before, where few come after
        start = next(
            first
            for first in starts
            if first == start or _fits(passage.text[first:], chars, tokens)
        )
    part = cut(passage.text, start, chars, max_tokens=tokens, max_bytes=size)
    return Passage(
        text=part.text,
        start=passage.start + part.start,
        end=passage.start + part.end,
        headings=headings,
    )


def _fits(text: str, chars: int, tokens: int) -> bool:
    return len(text) <= chars and (not tokens or estimate_tokens(text) <= tokens)


def _first_match(text: str, start: int, wanted: set[str]) -> int:
    words = _WORD.finditer(text, start)
    return next((word.start() for word in words if wanted & set(terms(word[0]))), start)


def _passages(text: str) -> Iterator[Passage]:
    sections = find_sections(text)
    paths = _heading_paths(sections)
    bounds = [(section.start, path) for section, path in zip(sections, paths, strict=True)]
    if not bounds or bounds[0][0] > 0:
        bounds.insert(0, (0, ()))
    ends = [start for start, _ in bounds[1:]] + [len(text)]
    count = 0
    for (start, path), end in zip(bounds, ends, strict=True):
        for first, last in _pieces(text, start, end):
            yield Passage(text=text[first:last], start=first, end=last, headings=path)
            count += 1
            if count == MAX_PASSAGES:
                return


def _heading_paths(sections: Sequence[Section]) -> list[tuple[str, ...]]:
    paths: list[tuple[str, ...]] = []
    above: list[Section] = []
    for section in sections:
        while above and above[-1].level >= section.level:
            above.pop()
        if section.level:
            above.append(section)
        paths.append(tuple(item.heading for item in above))
    return paths


def _pieces(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Ranges of whole paragraphs up to the wanted size, without the section's heading line."""
    first = last = -1
    for block in _BLOCK.finditer(text, start, end):
        block_start = block.start()
        if block_start == start and text.startswith("#", start):
            block_start = text.find("\n", start, block.end()) + 1
            if not block_start:
                continue
        if first >= 0 and block.end() - first > PASSAGE_CHARS:
            yield first, last
            first = -1
        if block.end() - block_start > PASSAGE_CHARS * 1.5:
            if first >= 0:
                yield first, last
                first = -1
            yield from _sentences(text, block_start, block.end())
            continue
        first = block_start if first < 0 else first
        last = block.end()
    if first >= 0:
        yield first, last


def _sentences(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """Ranges of whole sentences up to the wanted size; hard cuts where no sentence ends."""
    while end - start > PASSAGE_CHARS * 1.5:
        stop = 0
        for match in _SENTENCE_END.finditer(
            text, start + PASSAGE_CHARS // 3, start + PASSAGE_CHARS
        ):
            stop = match.end()
        stop = stop or start + PASSAGE_CHARS
        yield start, stop
        start = stop
    if start < end:
        yield start, end


def _scores(passages: Sequence[Passage], query: str) -> list[float]:
    wanted = set(terms(query)) or set(terms(query, with_stop_words=True))
    counts: list[Counter[str]] = []
    lengths: list[int] = []
    heading_terms: dict[tuple[str, ...], list[str]] = {}
    for passage in passages:
        if passage.headings not in heading_terms:
            heading_terms[passage.headings] = terms(" ".join(passage.headings))
        words = [*terms(passage.text), *heading_terms[passage.headings]]
        counts.append(Counter(word for word in words if word in wanted))
        lengths.append(len(words))
    mean_length = sum(lengths) / len(lengths) if lengths else 1.0
    idf = _idf(counts, wanted)
    return [
        sum(
            idf[word] * count * (_K1 + 1) / (count + _K1 * (1 - _B + _B * length / mean_length))
            for word, count in counted.items()
        )
        for counted, length in zip(counts, lengths, strict=True)
    ]


def _mixed(
    passages: Sequence[Passage], scores: Sequence[float], query: str, similarity: Similarity
) -> list[float]:
    """Scores by words and meaning, at most 1; those of passages not compared by words alone.

    Counted is how much nearer a passage is than the page's lower quartile: in languages that it
    knows little of, a model finds all texts near to each other.
    """
    if not passages:
        return []
    best = max(scores) or 1.0
    mixed = [(1 - _MEANING_SHARE) * score / best for score in scores]
    # A stable sort: behind the passages with words of the query come the others in page order.
    compared = sorted(range(len(scores)), key=lambda index: -scores[index])[:MAX_COMPARED]
    cosines = similarity(
        query, [". ".join((*passages[index].headings, passages[index].text)) for index in compared]
    )
    usual = sorted(cosines)[(len(cosines) - 1) // 4]
    for index, cosine in zip(compared, cosines, strict=True):
        if scores[index] > 0 or cosine - usual >= _MIN_SIMILARITY:
            mixed[index] += _MEANING_SHARE * max(0.0, cosine - usual)
    return mixed


def _idf(counts: Sequence[Counter[str]], wanted: set[str]) -> dict[str, float]:
    total = len(counts)
    with_word = Counter(word for counted in counts for word in counted)
    return {
        word: math.log(1 + (total - with_word[word] + 0.5) / (with_word[word] + 0.5))
        for word in wanted
    }


def terms(text: str, *, with_stop_words: bool = False) -> list[str]:
    """The index terms of a text: stems without accents, pairs of characters in CJK and Thai."""
    folded = unicodedata.normalize("NFKD", text.casefold())
    if not folded.isascii():
        folded = "".join(char for char in folded if not unicodedata.combining(char))
        folded = unicodedata.normalize("NFC", folded)
    words: list[str] = []
    for word in _WORD.findall(folded):
        if word.isascii():
            if with_stop_words or word not in _STOP_WORDS:
                words.append(word)
        else:
            words.extend(_split_cjk(word))
    return _stemmer().stemWords(words)


def _split_cjk(word: str) -> Iterator[str]:
    end = 0
    for run in _CJK_RUN.finditer(word):
        if run.start() > end:
            yield word[end : run.start()]
        chars = run[0]
        if len(chars) == 1:
            yield chars
        yield from (chars[index : index + 2] for index in range(len(chars) - 1))
        end = run.end()
    if end < len(word):
        yield word[end:]


@cache
def _stemmer() -> "_WordStemmer":
    import Stemmer  # 20 ms that only questions about a page need

    return cast("_WordStemmer", Stemmer.Stemmer("english"))
