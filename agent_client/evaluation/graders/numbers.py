"""Numbers made comparable, with the leniencies of the reference author's grader.

Thousands separators do not count, number words are numbers ("2 million", "2,000,000"), and a large
number may be off by 1 %. Nobody should read accuracy off this: it is a further column beside exact
match. A tolerance of 1 % would take 1985 for 1994, so that what can be a year has none.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

LEAST_TOLERANT = 100.0
"""From here on a number may be off. The author's example of a large number is 855."""
TOLERANCE = 0.01
MOST_TIMES_LONGER = 20
"""A number in words has up to so many times the characters of the digits."""
_YEARS = range(1000, 2101)
_MAX_DIGITS = 30

_TOKEN = re.compile(
    r"(?P<number>(?:(?<![\w.])[-−])?(?:\d{1,3}(?:[,'’\u00a0\u202f]\d{3}){1,9}(?!\d)|\d+)(?:\.\d+)?)"
    r"(?P<suffix>k\b|st\b|nd\b|rd\b|th\b)?"
    r"|(?P<percent>%)|(?P<word>[^\W\d_]+)"
)
_SMALL = {
    word: float(value)
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
        " fifteen sixteen seventeen eighteen nineteen".split()
    )
}
_TENS = {
    word: 10.0 * value
    for value, word in enumerate(
        "twenty thirty forty fifty sixty seventy eighty ninety".split(), start=2
    )
}
_SCALES = {"thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}
_IGNORED = frozenset("a an the about approximately around roughly circa ca nearly almost".split())


@dataclass(frozen=True, slots=True)
class Number:
    """A number in a text."""

    value: float
    may_be_year: bool = False


Token = Number | str


def same_with_leniency(answer: str, reference: str) -> bool:
    """Whether two texts have the same words and, within the leniency, the same numbers."""
    if len(answer) > MOST_TIMES_LONGER * (len(reference) + 20):
        return False
    ours, theirs = tokens(answer), tokens(reference)
    return (
        bool(theirs)
        and len(ours) == len(theirs)
        and all(_agree(one, other) for one, other in zip(ours, theirs, strict=True))
    )


def _agree(one: Token, wanted: Token) -> bool:
    if not (isinstance(one, Number) and isinstance(wanted, Number)):
        return one == wanted
    if one.value == wanted.value:
        return True
    is_large = abs(wanted.value) >= LEAST_TOLERANT and not wanted.may_be_year
    return is_large and abs(one.value - wanted.value) <= TOLERANCE * abs(wanted.value)


def tokens(text: str) -> list[Token]:
    """The words and numbers of a text, without articles and words such as "about"."""
    found = _Numbers()
    for token in _TOKEN.finditer(unicodedata.normalize("NFKC", text).casefold()):
        if token["number"] and len(token["number"]) <= _MAX_DIGITS:
            digits, suffix = token["number"], token["suffix"]
            value = float(re.sub(r"[,'’\s]", "", digits).replace("−", "-"))
            is_plain = digits.isdigit() and len(digits) == 4 and not suffix
            found.digits(value * (1e3 if suffix == "k" else 1.0), is_plain)
        else:
            found.word("percent" if token["percent"] else token[0])
    return list(found.finished())


class _Numbers:
    """Puts number words and digits together: "two hundred and five", "1.2 million"."""

    def __init__(self) -> None:
        self._tokens: list[Token] = []
        self._total = 0.0
        """The thousands and up."""
        self._current: float | None = None
        """What is being counted below them."""
        self._room = 0.0
        """A smaller number word than this still belongs to it: 10 behind "twenty"."""
        self._may_be_year = False
        self._is_open = False
        self._and = False

    def digits(self, value: float, is_plain: bool) -> None:
        """Take a number in digits."""
        self._close()
        self._current, self._is_open, self._room = value, True, 0.0
        self._may_be_year = is_plain and value in _YEARS

    def word(self, word: str) -> None:
        """Take a word, which may be a number."""
        if (small := _SMALL.get(word)) is not None:
            self._small(small, room=0.0)
        elif (ten := _TENS.get(word)) is not None:
            self._small(ten, room=10.0)
        elif word == "hundred":
            self._begin()
            self._current, self._room = (self._current or 1.0) * 100, 100.0
        elif (scale := _SCALES.get(word)) is not None:
            self._begin()
            self._total += (1.0 if self._current is None else self._current) * scale
            self._current, self._room = None, scale
        elif word == "and" and self._is_open and self._room >= 100:
            self._and = True
        elif word not in _IGNORED:
            self._close()
            self._tokens.append(word)

    def finished(self) -> Iterator[Token]:
        """All tokens."""
        self._close()
        yield from self._tokens

    def _small(self, value: float, room: float) -> None:
        if self._is_open and (0 < value < self._room):
            self._current = (self._current or 0.0) + value
        else:
            self._close()
            self._current = value
        self._is_open, self._and, self._room = True, False, room
        self._may_be_year = False

    def _begin(self) -> None:
        self._is_open, self._and, self._may_be_year = True, False, False

    def _close(self) -> None:
        if self._is_open:
            value = self._total + (self._current or 0.0)
            self._tokens.append(Number(value, self._may_be_year))
        if self._and:
            self._tokens.append("and")
        self._total, self._current, self._room = 0.0, None, 0.0
        self._is_open = self._and = self._may_be_year = False
