"""Cut text into the word pieces that BERT models read.

The method is that of Devlin et al., "BERT: Pre-training of Deep Bidirectional Transformers for
Language Understanding" (2018), uncased: clean, strip accents, lower, split at spaces, punctuation
and ideographs, then take the longest known piece from the left. The result is that of the
`tokenizers` package, which would bring a second HTTP client and ten more packages, but for
characters younger than its tables (Unicode 8). Names of special pieces in a text, such as "[SEP]",
stay plain text here, since pages are not trusted.

`vocabulary.txt`, one piece per line, is the vocabulary of `bert-base-uncased` by Google
(https://github.com/google-research/bert), licensed under the Apache License 2.0; it is unchanged.
"""

import unicodedata
from importlib.resources import files

_VOCABULARY_FILE = "vocabulary.txt"
_UNKNOWN, _START, _END = "[UNK]", "[CLS]", "[SEP]"
_INSIDE = "##"
"""Before a piece that does not begin a word."""
_MAX_WORD_CHARS = 100
"""A longer word is unknown as a whole."""
_MAX_CHARS_PER_PIECE = 50
"""Of a text no more than this is looked at for each piece wanted; usual text has about four."""
_DROPPED = frozenset({"Cc", "Cf", "Cs", "Co", "Mn"})
"""Categories of characters that are left out: controls, formats, private ones and accents."""
_CJK_RANGES = (
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF),
    (0x2F800, 0x2FA1F),
)
"""Ideographs, which are words of their own; kana and hangul are not."""


class _Folding(dict[int, str]):
    """What stands for a character, by its code point, as `str.translate` wants it.

    Only ASCII is remembered, so that no page can make it grow.
    """

    def __init__(self) -> None:
        super().__init__((code, _folded(chr(code))) for code in range(128))

    def __missing__(self, code: int) -> str:
        return _folded(chr(code))


class WordPieces:
    """The pieces of texts as numbers of the vocabulary."""

    def __init__(self) -> None:
        text = files("mcp_server.semantic").joinpath(_VOCABULARY_FILE).read_text(encoding="utf-8")
        self._numbers = {piece: number for number, piece in enumerate(text.split("\n")[:-1])}
        self._longest = max(map(len, self._numbers))
        self._folding = _Folding()

    def encode(self, text: str, max_pieces: int) -> list[int]:
        """The numbers of a text's first pieces, between the marks of its start and end.

        Args:
            text: any text, of any length: it takes time for the pieces wanted only.
            max_pieces: upper bound of the numbers, both marks included; at least 2.
        """
        text = text[: max_pieces * _MAX_CHARS_PER_PIECE]
        numbers = [self._numbers[_START]]
        for word in unicodedata.normalize("NFD", text).translate(self._folding).split():
            numbers.extend(self._of_word(word))
            if len(numbers) >= max_pieces:
                break
        return [*numbers[: max_pieces - 1], self._numbers[_END]]

    def _of_word(self, word: str) -> list[int]:
        unknown = [self._numbers[_UNKNOWN]]
        if len(word) > _MAX_WORD_CHARS:
            return unknown
        numbers: list[int] = []
        start = 0
        while start < len(word):
            mark = _INSIDE if start else ""
            for end in range(min(len(word), start + self._longest), start, -1):
                number = self._numbers.get(mark + word[start:end])
                if number is not None:
                    numbers.append(number)
                    start = end
                    break
            else:
                return unknown
        return numbers


def _folded(char: str) -> str:
    """The character in lower case, between spaces when it is a word of its own, or nothing."""
    category = unicodedata.category(char)
    if char in "\t\n\r" or category[0] == "Z":
        return " "
    if category in _DROPPED or char == "\ufffd":
        return ""
    if category[0] == "P" or (char.isascii() and not char.isalnum()) or _is_ideograph(char):
        return f" {char} "
    return char.lower()


def _is_ideograph(char: str) -> bool:
    return any(first <= ord(char) <= last for first, last in _CJK_RANGES)
