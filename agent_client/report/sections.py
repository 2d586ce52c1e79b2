"""From what the model wrote on a section to sentences whose citations were checked."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from agent_client.clean import terminal_line
from agent_client.report.check import Match, judge_together
from agent_client.report.document import Citation, Statement, Verdict
from agent_client.report.evidence import Evidence, Passage, says_the_same
from agent_client.report.prompts import MAX_SENTENCE_CHARS
from agent_client.report.sentences import split_sentences, tokens_of

LEAST_FOUND_SHARE = 0.6
"""A section of which fewer written sentences are found in their sources is quoted instead."""

_MARKS = re.compile(r"\s{0,4}\[(?:\d{1,3}(?:\s{0,2}[,;–-]\s{0,2}\d{1,3}){0,8})\]")
"""Citation marks that a model writes into its text; the numbers are given apart."""
_ADDRESS = re.compile(r"\s{0,4}[(\[<]?https?://[^\s)\]>]{1,2000}[)\]>]?")


@dataclass(frozen=True, slots=True)
class Draft:
    """A sentence that was written, and the pages that it was said to come from."""

    text: str
    pages: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Checked:
    """A sentence after the check pass."""

    text: str
    matches: tuple[tuple[int, Match], ...]
    """Page and what it says; the sentence's citations."""
    verdict: Verdict
    is_quoted: bool


@dataclass(frozen=True, slots=True)
class CheckedSection:
    """A section after the check pass."""

    heading: str
    sentences: tuple[Checked, ...]
    is_quoted: bool
    dropped: int
    """Written sentences that were left out for failing the check."""


def read_drafts(reply: Mapping[str, object], passages: Sequence[Passage]) -> list[Draft]:
    """The sentences of a section's reply; numbers that name no passage are ignored."""
    drafts: list[Draft] = []
    value = reply.get("sentences")
    for item in cast(list[object], value) if isinstance(value, list) else []:
        given = cast(Mapping[str, object], item) if isinstance(item, Mapping) else {}
        text, numbers = given.get("text"), given.get("passages")
        listed = cast(list[object], numbers) if isinstance(numbers, list) else []
        pages = dict.fromkeys(
            passages[number - 1].page
            for number in listed
            if isinstance(number, int) and 1 <= number <= len(passages)
        )
        if isinstance(text, str):
            plain = _ADDRESS.sub("", _MARKS.sub("", terminal_line(text, 4 * MAX_SENTENCE_CHARS)))
            drafts += [Draft(one, tuple(pages)) for one in split_sentences(plain) if one]
    return drafts


def check_section(
    heading: str,
    drafts: Iterable[Draft],
    passages: Sequence[Passage],
    evidence: Evidence,
    *,
    most: int,
) -> CheckedSection:
    """Check every sentence against the pages it cites; quote the pages when too few pass.

    Args:
        heading: of the section.
        drafts: what was written.
        passages: what it could be written from, best first.
        evidence: the pages.
        most: sentences of a quoted section.
    """
    here = list(dict.fromkeys(passage.page for passage in passages))
    checked = _without_repeats(check(draft, evidence, here) for draft in drafts)
    good = [sentence for sentence in checked if sentence.verdict == "found"]
    if checked and len(good) >= LEAST_FOUND_SHARE * len(checked):
        return CheckedSection(heading, tuple(checked), is_quoted=False, dropped=0)
    quotable = sorted(passages, key=lambda passage: not passage.stands_alone)
    quotes = sorted(quotable[: max(0, most - len(good))], key=lambda passage: passage.place)
    quoted = [check(Draft(passage.text, (passage.page,)), evidence, ()) for passage in quotes]
    sentences = _without_repeats([*good, *(one for one in quoted if one.verdict == "found")])
    return CheckedSection(
        heading, tuple(sentences), is_quoted=True, dropped=len(checked) - len(good)
    )


def check(draft: Draft, evidence: Evidence, others: Sequence[int]) -> Checked:
    """Match one sentence against the pages it cites.

    When none of them says it but one of `others` does, that one is cited: what was found is the
    source, not what was named. A cited page that adds nothing is left out when another one says
    all; a sentence that no page says keeps the citations that it was given, for the reader to see.
    """
    matches = [(page, evidence.pages[page].text.match(draft.text)) for page in draft.pages]
    verdict = judge_together(draft.text, [match for _, match in matches])
    if verdict != "found":
        for page in others:
            match = evidence.pages[page].text.match(draft.text)
            if page not in draft.pages and match.verdict == "found":
                matches, verdict = [(page, match)], "found"
                break
    helpful = [(page, match) for page, match in matches if match.verdict != "not_found"]
    is_quoted = any(evidence.pages[page].text.contains(draft.text) for page, _ in matches)
    return Checked(draft.text, tuple(helpful or matches), verdict, is_quoted)


def _without_repeats(sentences: Iterable[Checked], said: "_Said | None" = None) -> list[Checked]:
    said = said or _Said()
    return [sentence for sentence in sentences if said.is_new(sentence.text)]


class _Said:
    """What was said already."""

    def __init__(self) -> None:
        self._sentences: list[frozenset[str]] = []

    def is_new(self, sentence: str) -> bool:
        tokens = tokens_of(sentence).all
        if not tokens or any(says_the_same(tokens, other) for other in self._sentences):
            return False
        self._sentences.append(tokens)
        return True


def without_repeats_over(sections: Iterable[CheckedSection]) -> list[CheckedSection]:
    """The sections without what an earlier one has said, and without those left empty."""
    said = _Said()
    shorter = (
        replace(section, sentences=tuple(_without_repeats(section.sentences, said)))
        for section in sections
    )
    return [section for section in shorter if section.sentences]


class Numbering:
    """Numbers the pages in the order in which the report cites them."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}

    @property
    def pages(self) -> tuple[int, ...]:
        """The cited pages, the first of which is source 1."""
        return tuple(self._numbers)

    def statement(self, sentence: Checked) -> Statement:
        """A checked sentence with numbered citations."""
        citations = tuple(
            Citation(
                source=self._numbers.setdefault(page, len(self._numbers) + 1),
                verdict=match.verdict,
                passage=match.passage,
                missing=match.missing,
            )
            for page, match in sentence.matches
        )
        return Statement(
            text=sentence.text,
            citations=citations,
            verdict=sentence.verdict,
            is_quoted=sentence.is_quoted,
        )
