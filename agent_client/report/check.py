"""Match claims against the text of the pages that they cite.

A claim is looked for in every sentence of a page and in every two that follow each other. All its
names and numbers have to occur there, most of its other words, and a quotation to the letter. Of
the 1,248 sentences of the embedded encyclopedia all are found on their page; with another year none
of 398 is, with an alien name none of 1,060, with a name that occurs elsewhere in the encyclopedia 1
% are. It cannot see that two names changed their roles ("A taught B") or that one verb of a long
sentence is another, which is why the report shows the passage beside each claim. The thresholds are
those that separate the labelled claims in `tests/client/report/labelled_claims.py` best.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from agent_client.report.document import Verdict
from agent_client.report.sentences import Line, Tokens, page_lines, spelled, tokens_of

FOUND_WORDS = 0.7
"""Least share of a claim's ordinary words that the passage has to contain. At 0.6 one of 27 false
claims of the labelled set is found ("removed" for "added"); at 0.7 none is, and 26 of 29 true ones
are, the other 3 partly."""
FOUND_PAIRS = 0.85
"""The same in scripts without spaces, where a name is no token of its own."""
PARTLY_SHARE = 0.55
"""Least share of all tokens, names and numbers counted double."""
MAX_PAGE_CHARS = 200_000
"""More of a page is not searched."""
MAX_PASSAGE_CHARS = 700

_FOLLOW_ON = re.compile(r"(?i)\W{0,3}(?:he|she|it|they|his|her|its|their|this|these)\b")
_QUOTATION = re.compile(r"[“\"«「『„]([^“”\"«»「」『』„\n]{1,500})[”\"»」』“]")
_MONTHS = tokens_of(
    "In January February March April May June July August September October November December"
).all
_LEAST_QUOTED_CHARS = 12
"""Shorter ones are titles and terms, not quotations."""


@dataclass(frozen=True, slots=True)
class Match:
    """What a page says about a claim."""

    verdict: Verdict
    passage: str
    covered: frozenset[str] = frozenset()
    """The claim's tokens that the passage contains."""
    missing: tuple[str, ...] = ()
    """The claim's names, numbers and quotations that it does not, as the claim spells them."""


@dataclass(slots=True)
class PageText:
    """One page, cut and tokenised once for all claims."""

    title: str
    text: str
    lines: list[Line] = field(init=False)
    tokens: list[Tokens] = field(init=False)
    title_tokens: frozenset[str] = field(init=False)
    _normal: str = field(init=False)

    def __post_init__(self) -> None:
        text = self.text[:MAX_PAGE_CHARS]
        self.lines = list(page_lines(text))
        self.tokens = [tokens_of(line.text) for line in self.lines]
        self.title_tokens = tokens_of(f"On {self.title}").all
        self._normal = _literal(text)

    def contains(self, sentence: str) -> bool:
        """Whether a sentence stands on the page word by word."""
        return _literal(sentence) in self._normal

    def match(self, claim: str) -> Match:
        """Find the passage that supports a claim best."""
        wanted = tokens_of(claim)
        verdict, passage, covered = self._best(wanted)
        if invented := [quote for quote in _quotations(claim) if quote not in self._normal]:
            return Match("not_found", passage, covered, tuple(invented))
        missing = spelled(claim, _needed(wanted) - covered)
        return Match(verdict, passage, covered, missing)

    def _best(self, wanted: Tokens) -> tuple[Verdict, str, frozenset[str]]:
        best: tuple[Verdict, str, frozenset[str]] = ("not_found", "", frozenset())
        best_rank = (0, 0.0, 0)
        for passage, covered, is_negated in self._windows(wanted):
            verdict = judge(wanted, covered)
            if verdict == "found" and is_negated != wanted.is_negated:
                verdict = "partly"
            rank = (_RANK[verdict], _share(wanted, covered), -len(passage))
            if rank > best_rank:
                best = (verdict, passage, covered)
                best_rank = rank
        return best

    def _windows(self, wanted: Tokens) -> Iterator[tuple[str, frozenset[str], bool]]:
        """Passages that share something with a claim: text, the tokens shared, negation."""
        sought, hits = wanted.all, [tokens.all & wanted.all for tokens in self.tokens]
        for place, (line, tokens) in enumerate(zip(self.lines, self.tokens, strict=True)):
            if not hits[place]:
                continue
            covered = hits[place]
            if self._is_about_the_subject(line.text, tokens, wanted):
                covered |= self.title_tokens & sought
            yield line.text, covered, tokens.is_negated
            if place + 1 == len(self.lines) or not hits[place + 1] - covered:
                continue
            after, others = self.lines[place + 1], self.tokens[place + 1]
            is_one_thought = _FOLLOW_ON.match(after.text) or not (
                _foreign(tokens, wanted) or _foreign(others, wanted)
            )
            if is_one_thought:
                both = f"{line.text} {after.text}"[:MAX_PASSAGE_CHARS]
                yield both, covered | hits[place + 1], tokens.is_negated or others.is_negated

    def _is_about_the_subject(self, text: str, tokens: Tokens, wanted: Tokens) -> bool:
        """Whether the page's title may stand for a subject that a sentence does not name."""
        return not _foreign(tokens, wanted) or _FOLLOW_ON.match(text) is not None


def judge(wanted: Tokens, covered: frozenset[str]) -> Verdict:
    """The verdict on a claim of which one or several pages contain the tokens `covered`."""
    if not wanted.all:
        return "not_found"
    pairs = {word for word in wanted.words if not word.isascii() and len(word) <= 2}
    least = FOUND_PAIRS if 2 * len(pairs) > len(wanted.words) else FOUND_WORDS
    words = len(wanted.words & covered) / len(wanted.words) if wanted.words else 1.0
    if _needed(wanted) <= covered and words >= least:
        return "found"
    return "partly" if _share(wanted, covered) >= PARTLY_SHARE else "not_found"


_RANK: dict[Verdict, int] = {"not_found": 0, "partly": 1, "found": 2}


def better(one: Verdict, other: Verdict) -> Verdict:
    """The better of two verdicts."""
    return one if _RANK[one] >= _RANK[other] else other


def judge_together(claim: str, matches: Sequence[Match]) -> Verdict:
    """The verdict on a claim that cites several pages, each of which may support a part of it."""
    verdict: Verdict = "not_found"
    for match in matches:
        verdict = better(verdict, match.verdict)
    if verdict == "partly" and len(matches) > 1 and not any(_quotations(claim)):
        wanted = tokens_of(claim)
        together = frozenset[str]().union(*(match.covered for match in matches))
        verdict = better(verdict, judge(wanted, together))
    return verdict


def _needed(wanted: Tokens) -> frozenset[str]:
    """What a passage must contain to support a claim: its names, numbers and first word."""
    return wanted.names | wanted.numbers | wanted.opening


def _share(wanted: Tokens, covered: frozenset[str]) -> float:
    names = wanted.names | wanted.numbers
    whole = len(wanted.words) + 2 * len(names)
    return (len(wanted.words & covered) + 2 * len(names & covered)) / whole if whole else 0.0


def _foreign(tokens: Tokens, wanted: Tokens) -> frozenset[str]:
    """Names in a sentence of which the claim does not speak."""
    return tokens.names - wanted.all - _MONTHS


def _quotations(claim: str) -> Iterator[str]:
    for match in _QUOTATION.finditer(claim):
        quote = _literal(match.group(1)).strip(" .,;:!?…")
        is_unspaced = quote and ord(quote[0]) > 0x2E80
        if len(quote) >= _LEAST_QUOTED_CHARS / (2 if is_unspaced else 1):
            yield quote


def _literal(text: str) -> str:
    """A text in which quotations are looked for: case, spaces and kinds of quotes do not count."""
    plain = unicodedata.normalize("NFKC", text).casefold()
    return " ".join(re.sub(r"[“”„«»\"*_`]", "", plain.replace("’", "'")).split())
