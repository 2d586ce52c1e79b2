"""Finds passages and answers in the texts that they come from, in linear time."""

import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MAX_GAP_CHARS = 2_100
"""Between two words of a passage: the address of a link, which the passage lacks."""
MAX_STEPS = 5_000
"""Words compared to find one passage."""
MAX_PHRASE_CHARS = 200
"""Of an answer that is looked for; whole sentences stand nowhere word for word."""
LEAST_PHRASE_CHARS = 3
"""A shorter answer stands on every page, except in scripts where a character is a word."""

_WORD = re.compile(r"\w+")
_PLAIN_WORD = re.compile(r"[^\W_]+")
_NUMBER = re.compile(r"\d{4,15}")
_EVERYWHERE = frozenset({"yes", "no", "true", "false", "none"})
_ARTICLES = frozenset({"a", "an", "the"})
_UNSPACED_FROM = "\u2e80"


def located(text: str, passage: str) -> tuple[int, int] | None:
    """Where a passage of a text stands, of which spaces and markup may have been changed.

    Its words follow each other in the text, with what was left out between them: marks, line ends,
    addresses of links. Of several places the tightest is taken.

    Args:
        text: whole text.
        passage: one or two sentences of it (`agent_client.report.sentences.page_lines`).
    """
    if not passage:
        return None
    if (start := text.find(passage)) >= 0:
        return start, start + len(passage)
    words = _WORD.findall(passage)
    tail = passage[passage.rindex(words[-1]) + len(words[-1]) :] if words else ""
    best: tuple[int, int] | None = None
    steps_left = MAX_STEPS
    start = text.find(words[0]) if words else -1
    while start >= 0 and steps_left > 0:
        end, steps = _end_of_words(text, words, start)
        steps_left -= steps
        end += len(tail) if end and text.startswith(tail, end) else 0
        if end and (best is None or end - start < best[1] - best[0]):
            best = start, end
            if end - start <= 1.2 * len(passage):
                break
        start = text.find(words[0], start + 1)
    return best


def _end_of_words(text: str, words: list[str], start: int) -> tuple[int, int]:
    """Where words that begin at a place end, 0 where they do not follow; how many were tried."""
    position = start
    for number, word in enumerate(words):
        at = text.find(word, position, position + MAX_GAP_CHARS + len(word))
        if at < 0:
            return 0, number + 1
        position = at + len(word)
    return position, len(words)


def lowered(text: str) -> str:
    """A text in lower case, each character at its place."""
    low = text.lower()
    if len(low) == len(text):
        return low
    return "".join(one if len(one) == 1 else char for char in text for one in [char.lower()])


@dataclass(frozen=True, slots=True)
class Phrase:
    """An answer, as it is looked for."""

    pattern: re.Pattern[str]
    is_spaced: bool
    """Whether it has to stand there as whole words."""

    @classmethod
    def of(cls, answer: str) -> "Phrase | None":
        """Read an answer; None of one that is too short or too long to tell anything."""
        if len(answer) > MAX_PHRASE_CHARS:
            return None
        words = _PLAIN_WORD.findall(lowered(unicodedata.normalize("NFKC", answer)))
        if len(words) > 1 and words[0] in _ARTICLES:
            words = words[1:]
        plain = "".join(words)
        is_spaced = plain[:1] < _UNSPACED_FROM
        if len(plain) < (LEAST_PHRASE_CHARS if is_spaced else 2) or plain in _EVERYWHERE:
            return None
        pattern = r"[\W_]{1,6}".join(map(_word_pattern, words))
        return cls(re.compile(pattern), is_spaced)

    def found_in(self, low: str) -> Iterator[tuple[int, int]]:
        """Where it stands in a text, which is in lower case already."""
        for found in self.pattern.finditer(low):
            start, end = found.span()
            if not self.is_spaced or not (
                low[start - 1 : start].isalnum() or low[end : end + 1].isalnum()
            ):
                yield start, end

    def stands_in(self, low: str) -> bool:
        """Whether it stands in a text, which is in lower case already."""
        return next(self.found_in(low), None) is not None


def _word_pattern(word: str) -> str:
    """The word; of a number also with commas between thousands."""
    if not _NUMBER.fullmatch(word):
        return re.escape(word)
    head = len(word) % 3 or 3
    return ",?".join([word[:head], *(word[i : i + 3] for i in range(head, len(word), 3))])


def utf16_offsets(text: str, offsets: Iterable[int]) -> dict[int, int]:
    """Offsets in a text, as Python counts characters, by what JavaScript calls them."""
    ordered = sorted(set(offsets))
    if text.isascii():
        return {offset: offset for offset in ordered}
    units: dict[int, int] = {}
    position = unit = 0
    for offset in ordered:
        unit += len(text[position:offset].encode("utf-16-le", "surrogatepass")) // 2
        position = offset
        units[offset] = unit
    return units
