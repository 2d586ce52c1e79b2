"""Which passages of the pages that were read made it into the answer, and where they stand.

A sentence that cites a page is matched against it as a report checks its claims
(`agent_client.report.check`). Only the paragraphs that share words with the sentence are looked at:
cutting all of a page into tokens takes 1 ms per 1,000 characters, and a run has dozens of pages.
Answers are looked for as whole words, whatever their case and the punctuation between them.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import msgspec

from agent_client.agent.outcome import Source
from agent_client.agent.page_address import page_key
from agent_client.report.check import PageText
from agent_client.report.sentences import split_sentences, tokens_of
from agent_client.timeline.located import Phrase, located, lowered, utf16_offsets
from agent_client.timeline.steps import AnyStep, Call, Highlight, PagePart, Search, Visit, Why

MAX_CITATIONS = 60
"""Sentence and source; what an answer cites beyond is not looked for."""
MAX_ANSWER_CHARS = 50_000
MAX_REFERENCES = 12
MAX_PHRASES_PER_PAGE = 20
"""Marked places of one answer on one page."""
SEARCHED_CHARS = 800
"""Of a page, in which a sentence's passage is looked for: the paragraphs that share most words."""

_PRIORITY: Mapping[Why, int] = {"cited": 0, "answer": 1, "reference": 2}
_CITATION = re.compile(r"[ \t]{0,4}\[(\d{1,3}(?:, ?\d{1,3}){0,20})\]")
_PARAGRAPH = re.compile(r"\n[ \t]{0,20}\n")


@dataclass(frozen=True, slots=True)
class ReadAt:
    """Where a page was read."""

    step: int
    """Index of the visit."""
    page: int
    """Index in its pages."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedPassages:
    """The steps of a run with what was used of them."""

    steps: tuple[AnyStep, ...]
    """The same steps; the pages of visits have their highlights."""
    read_at: Mapping[int, ReadAt]
    """By a source's number the visit where its cited passage was read, else its first visit; none
    of a source that no visit shows."""
    answer_seen_step: int
    """Index of the first result that holds a reference answer (without references the short
    answer), or -1."""


@dataclass(frozen=True, slots=True)
class _Range:
    start: int
    end: int
    why: Why
    source: int = 0


@dataclass(slots=True)
class _Part:
    """A page of a visit, and what is found on it."""

    at: ReadAt
    page: PagePart
    low: str
    ranges: list[_Range] = field(default_factory=list[_Range])


def used_passages(
    steps: Sequence[AnyStep],
    *,
    answer: str,
    short_answer: str | None,
    sources: Sequence[Source],
    references: Sequence[str] = (),
) -> UsedPassages:
    """Mark what was used of the pages that were read.

    Args:
        steps: of the run, in order.
        answer: Markdown with citations such as `[3]`.
        short_answer: its short form, if there is one.
        sources: what the numbers refer to.
        references: the dataset's answer and its aliases; empty where there is none.
    """
    parts = list(_parts(steps))
    by_source = _parts_of_sources(parts, steps, sources)
    read_at = {number: found[0].at for number, found in by_source.items()}
    read_at |= _mark_citations(answer, by_source)
    wanted = _phrases(references)
    short = _phrases([short_answer] if short_answer else [])
    for part in parts:
        _mark_phrases(part, wanted, "reference")
        _mark_phrases(part, short, "answer")
    return UsedPassages(
        steps=_with_highlights(steps, parts),
        read_at=read_at,
        answer_seen_step=_first_seen(steps, parts, wanted or short),
    )


def _parts(steps: Sequence[AnyStep]) -> Iterator[_Part]:
    for index, step in enumerate(steps):
        if isinstance(step, Visit):
            for number, page in enumerate(step.pages):
                yield _Part(ReadAt(index, number), page, lowered(page.text))


def _parts_of_sources(
    parts: Sequence[_Part], steps: Sequence[AnyStep], sources: Sequence[Source]
) -> dict[int, list[_Part]]:
    """By a source's number what was read of it, in order."""
    by_key: dict[str, list[_Part]] = {}
    for part in parts:
        visit = steps[part.at.step]
        asked = visit.asked if isinstance(visit, Visit) and len(visit.pages) == 1 else ()
        for key in dict.fromkeys(map(page_key, (part.page.url, *asked[:1]))):
            by_key.setdefault(key, []).append(part)
    found = ((source.number, by_key.get(page_key(source.url))) for source in sources)
    return {number: of_source for number, of_source in found if of_source}


# Citations.


def cited_sentences(answer: str) -> list[tuple[str, int]]:
    """The sentences that cite, each with one source's number, in order and without marks."""
    text, marks = _without_marks(answer[:MAX_ANSWER_CHARS])
    sentences = list(_sentences(text))
    found: dict[tuple[str, int], None] = {}
    at = -1
    for place, numbers in marks:
        while at + 1 < len(sentences) and sentences[at + 1][0] < place:
            at += 1
        if at >= 0:
            found |= {(sentences[at][1], number): None for number in numbers}
    return list(found)[:MAX_CITATIONS]


def _without_marks(answer: str) -> tuple[str, list[tuple[int, list[int]]]]:
    """The text without its citations, and where each stood in it."""
    pieces: list[str] = []
    marks: list[tuple[int, list[int]]] = []
    position = length = 0
    for mark in _CITATION.finditer(answer):
        pieces.append(answer[position : mark.start()])
        length += mark.start() - position
        position = mark.end()
        marks.append((length, [int(number) for number in mark[1].split(",")]))
    pieces.append(answer[position:])
    return "".join(pieces), marks


def _sentences(text: str) -> Iterator[tuple[int, str]]:
    """Where each sentence begins, and its words."""
    position = 0
    for line in text.splitlines():
        for sentence in split_sentences(line):
            if sentence:
                position = text.index(sentence, position)
                yield position, sentence
                position += len(sentence)


def _mark_citations(answer: str, by_source: Mapping[int, list[_Part]]) -> dict[int, ReadAt]:
    """Mark the best passage of each cited page; by source where the first of them was read."""
    claims: dict[int, list[str]] = {}
    for sentence, number in cited_sentences(answer):
        if number in by_source:
            claims.setdefault(number, []).append(sentence)
    read_at: dict[int, ReadAt] = {}
    for number, sentences in claims.items():
        pages = [(part, _searched(part, sentences)) for part in by_source[number]]
        for sentence in sentences:
            if found := _best_passage(sentence, pages):
                part, (start, end) = found
                part.ranges.append(_Range(start, end, "cited", number))
                read_at.setdefault(number, part.at)
    return read_at


def _best_passage(
    sentence: str, pages: Iterable[tuple[_Part, PageText]]
) -> tuple[_Part, tuple[int, int]] | None:
    """Where a page says what a sentence does, at least partly; the first that says all of it."""
    partly: tuple[_Part, tuple[int, int]] | None = None
    for part, page in pages:
        match = page.match(sentence)
        if match.verdict == "not_found":
            continue
        place = located(part.page.text, match.passage)
        if place and match.verdict == "found":
            return part, place
        if place and partly is None:
            partly = part, place
    return partly


def _searched(part: _Part, claims: Iterable[str]) -> PageText:
    """The paragraphs of a page in which claims may be found, in their order."""
    paragraphs = list(_paragraphs(part.page.text))
    chosen = set[int]()
    for claim in claims:
        tokens = tokens_of(claim).all
        scores = [
            -sum(token in part.low[start:end] for token in tokens) for start, end in paragraphs
        ]
        room = SEARCHED_CHARS
        for index in sorted(range(len(paragraphs)), key=scores.__getitem__):
            if room <= 0 or not scores[index]:
                break
            chosen.add(index)
            room -= paragraphs[index][1] - paragraphs[index][0]
    text = "\n\n".join(part.page.text[slice(*paragraphs[index])] for index in sorted(chosen))
    return PageText(title=part.page.title, text=text)


def _paragraphs(text: str) -> Iterator[tuple[int, int]]:
    """Where the paragraphs stand; a long one is cut between sentences or words."""
    start = 0
    for gap in [*(found.span() for found in _PARAGRAPH.finditer(text)), (len(text), len(text))]:
        while gap[0] - start > 2 * SEARCHED_CHARS:
            limit = start + SEARCHED_CHARS
            cut = max(text.rfind(end, start, limit) + 1 for end in (". ", "\n", "。"))
            cut = cut or text.rfind(" ", start, limit) + 1 or limit
            yield start, cut
            start = cut
        if start < gap[0]:
            yield start, gap[0]
        start = gap[1]


# Answers.


def _phrases(answers: Iterable[str]) -> list[Phrase]:
    made = (Phrase.of(answer) for answer in list(answers)[:MAX_REFERENCES])
    return [phrase for phrase in made if phrase]


def _mark_phrases(part: _Part, phrases: Iterable[Phrase], why: Why) -> None:
    for phrase in phrases:
        for (start, end), _ in zip(
            phrase.found_in(part.low), range(MAX_PHRASES_PER_PAGE), strict=False
        ):
            part.ranges.append(_Range(start, end, why))


def _first_seen(steps: Sequence[AnyStep], parts: Sequence[_Part], phrases: Sequence[Phrase]) -> int:
    if not phrases:
        return -1
    pages: dict[int, list[str]] = {}
    for part in parts:
        pages.setdefault(part.at.step, []).append(part.low)
    for index, step in enumerate(steps):
        texts = [*pages.get(index, ()), *map(lowered, _shown_texts(step))]
        if any(phrase.stands_in(text) for text in texts for phrase in phrases):
            return index
    return -1


def _shown_texts(step: AnyStep) -> Iterator[str]:
    """What a tool showed the model, pages apart."""
    if isinstance(step, Call):
        yield step.text
    if isinstance(step, Search):
        for hit in step.hits:
            yield f"{hit.title}\n{hit.preview}"


# Highlights.


def _with_highlights(steps: Sequence[AnyStep], parts: Iterable[_Part]) -> tuple[AnyStep, ...]:
    changed: dict[int, list[PagePart]] = {}
    for part in parts:
        page = part.page
        if part.ranges:
            page = msgspec.structs.replace(page, highlights=_highlights(page.text, part.ranges))
        changed.setdefault(part.at.step, []).append(page)
    return tuple(
        msgspec.structs.replace(step, pages=tuple(changed[index])) if index in changed else step
        for index, step in enumerate(steps)
    )


def _highlights(text: str, ranges: Sequence[_Range]) -> tuple[Highlight, ...]:
    """Ranges that may overlap as such that do not: an answer stands out of a cited passage."""
    edges = sorted({edge for it in ranges for edge in (it.start, it.end)})
    pieces: list[_Range] = []
    for start, end in pairwise(edges):
        over = [it for it in ranges if it.start <= start and end <= it.end]
        if not over:
            continue
        why = max(over, key=lambda it: _PRIORITY[it.why]).why
        source = min((it.source for it in over if it.source), default=0)
        last = pieces[-1] if pieces else None
        if last and last.end == start and (last.why, last.source) == (why, source):
            start = pieces.pop().start
        pieces.append(_Range(start, end, why, source))
    units = utf16_offsets(text, [edge for it in pieces for edge in (it.start, it.end)])
    return tuple(
        Highlight(start=units[it.start], end=units[it.end], why=it.why, source=it.source)
        for it in pieces
    )
