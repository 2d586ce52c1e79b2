"""Cut a document into passages: slices at paragraph and sentence ends that join to its text.

Length is counted in words. A character of a script without spaces counts half a word, and each
twenty signs at least one, so that no text goes without a cut.
"""

import re
from collections.abc import Iterator

from mcp_server.corpus.storage.schema import is_spaced

WHOLE_WORDS = 250
"""A document up to this length is one passage."""
MAX_WORDS = 200
"""No passage of a longer document has more, but for a short rest that joins the last one."""
GOOD_WORDS = 100
"""From here on a passage ends with the paragraph, and before a heading from half of it."""
SENTENCE_WORDS = 150
"""From here on it ends with the sentence."""

_SIGNS_PER_WORD = 20
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]"
)
_PARAGRAPH_END = re.compile(r"\n\s*")
_SENTENCE_END = re.compile(r"""[.!?…]["'”’»)\]]{0,3}\s+|[。！？]["'”’」』）]{0,3}\s*""")
_HEADING = re.compile(r"#{1,6} ")


def split_passages(text: str) -> list[str]:
    """The passages of a text in order; joined they are the text. One for a short text."""
    if _is_short(text):
        return [text]
    passages: list[str] = []
    start = end = words = 0
    for piece, length, is_paragraph_end in _pieces(text):
        starts_section = bool(words) and _HEADING.match(text, end) is not None
        if words + length > MAX_WORDS or (starts_section and words >= GOOD_WORDS // 2):
            passages.append(text[start:end])
            start, words = end, 0
        end += piece
        words += length
        if words >= (GOOD_WORDS if is_paragraph_end else SENTENCE_WORDS):
            passages.append(text[start:end])
            start, words = end, 0
    if start < len(text):
        is_rest = words < GOOD_WORDS // 2 and passages
        if is_rest:
            passages[-1] += text[start:]
        else:
            passages.append(text[start:])
    return passages


def count_words(text: str) -> int:
    """The length of a text as passages are measured."""
    words = max(len(text.split()), len(text) // _SIGNS_PER_WORD)
    if not is_spaced(text):
        words += len(_UNSPACED.findall(text)) // 2
    return words


def _is_short(text: str) -> bool:
    if len(text) <= 2 * WHOLE_WORDS:
        return True
    if len(text) > _SIGNS_PER_WORD * WHOLE_WORDS:
        return False
    # Counting spaces takes a twentieth of counting words and decides for nearly all texts.
    has_few_spaces = text.count(" ") + text.count("\n") + text.count("\t") < WHOLE_WORDS
    return (has_few_spaces and is_spaced(text)) or count_words(text) <= WHOLE_WORDS


def _pieces(text: str) -> Iterator[tuple[int, int, bool]]:
    """What passages are put together from: (characters, words, whether a paragraph ends here)."""
    for start, end in _spans(text, 0, len(text), _PARAGRAPH_END):
        length = count_words(text[start:end])
        if length <= GOOD_WORDS:
            yield end - start, length, True
            continue
        for first, last in _spans(text, start, end, _SENTENCE_END):
            length = count_words(text[first:last])
            if length <= MAX_WORDS:
                yield last - first, length, last == end
            else:
                yield from _cut(text, first, last, length, last == end)


def _spans(text: str, start: int, end: int, border: re.Pattern[str]) -> Iterator[tuple[int, int]]:
    for found in border.finditer(text, start, end):
        if found.end() > start:
            yield start, found.end()
            start = found.end()
    if start < end:
        yield start, end


def _cut(
    text: str, start: int, end: int, words: int, is_paragraph_end: bool
) -> Iterator[tuple[int, int, bool]]:
    """A sentence too long for a passage: even slices, at a space where there is one."""
    step = max(1, (end - start) * GOOD_WORDS // words)
    while end - start > step:
        space = text.rfind(" ", start + step // 2, start + step) + 1
        cut = space or start + step
        yield cut - start, count_words(text[start:cut]), False
        start = cut
    yield end - start, count_words(text[start:end]), is_paragraph_end
