"""Previews of passages that show what a question asks for.

Sentences are taken one after the other, each time the one that adds most of the question's terms
that are not shown yet, as in the maximal marginal relevance of Carbonell and Goldstein, "The Use
of MMR, Diversity-Based Reranking" (1998). Terms of the title count little: it is shown anyway.
"""

import re
from collections.abc import Sequence

from mcp_server.clean import clean_line
from mcp_server.corpus.ranking.question import Question, terms_of

MAX_SENTENCES = 100
"""Of a longer passage only these are looked at."""
GAP = " … "
"""Between sentences that do not follow each other."""

_TITLE_TERM_SHARE = 0.2
_FIRST_SENTENCE = 0.3
"""What the first sentence counts in itself, as a share of the question."""
_FOLLOWS = 0.05
"""What a sentence counts that follows a shown one."""
_MIN_PIECE_CHARS = 40
"""No sentence is begun in less space."""
_HEADING_MARK = re.compile(r"^#{1,6} ", re.MULTILINE)
_SENTENCE_END = re.compile(r"""[.!?…؟۔।]["'”’»)\]]{0,3}\s+|[。！？]["'”’」』）]{0,3}\s*|\n\s*""")


def snippet(text: str, title: str, question: Question, max_chars: int) -> str:
    """The part of a passage to show for a question, as one clean line.

    Args:
        text: of the passage; marks of Markdown headings are left out.
        title: shown beside it.
        question: read for the passage's index.
        max_chars: upper bound of the line; what is cut is cut at a word and ends in "…".
    """
    text = _HEADING_MARK.sub("", text)
    if len(text) <= max_chars:
        return clean_line(text, max_chars)
    sentences = _sentences(text)
    chosen = _choose(sentences, title, question, max_chars)
    shown = ""
    for place, number in enumerate(chosen):
        if place:
            shown += " " if number == chosen[place - 1] + 1 else GAP
        shown += clean_line(sentences[number], len(sentences[number]))
    return clean_line(shown, max_chars)


def _sentences(text: str) -> list[str]:
    sentences: list[str] = []
    start = 0
    for match in _SENTENCE_END.finditer(text):
        if match.start() - start >= _MIN_PIECE_CHARS:
            sentences.append(text[start : match.end()].strip())
            start = match.end()
            if len(sentences) == MAX_SENTENCES:
                break
    if start < len(text) and len(sentences) < MAX_SENTENCES:
        sentences.append(text[start:].strip())
    return [sentence for sentence in sentences if sentence]


def _choose(sentences: Sequence[str], title: str, question: Question, max_chars: int) -> list[int]:
    """Numbers of the sentences to show, in order."""
    open_weights = dict(question.weights)
    for term in set(terms_of(title, question.language)) & open_weights.keys():
        open_weights[term] *= _TITLE_TERM_SHARE
    total = sum(open_weights.values()) or 1.0
    terms = [dict.fromkeys(terms_of(sentence, question.language)) for sentence in sentences]
    chosen: set[int] = set()
    left = max_chars
    while left >= _MIN_PIECE_CHARS and len(chosen) < len(sentences):
        worth = {
            number: sum(open_weights.get(term, 0.0) for term in terms[number]) / total
            + _FIRST_SENTENCE * (number == 0)
            + _FOLLOWS * (number - 1 in chosen)
            for number in range(len(sentences))
            if number not in chosen
        }
        best = max(worth, key=lambda number: (worth[number], -number))
        chosen.add(best)
        left -= len(sentences[best]) + len(GAP)
        for term in terms[best]:
            open_weights.pop(term, None)
    return sorted(chosen)
