"""How many cells of a terminal a text takes, and how it is cut and wrapped to them.

By the Unicode database of the running Python: wide and full-width characters take two cells, marks
and format characters none. Where terminals differ (a symbol made an emoji by U+FE0F, an emoji newer
than the database), the larger number is taken: a line that comes out too short does no harm, one
that is too long would take a row that nobody counted.
"""

import unicodedata
from collections.abc import Iterator
from functools import lru_cache

_EMOJI_SIGN = "\ufe0f"
_NEW_EMOJI = range(0x1F300, 0x1FB00)
_JAMO_TAILS = range(0x1160, 0x1200)
"""Hangul vowels and finals, which join the syllable before them."""
_TAB = "    "
_CLOSING = frozenset("，。、！？：；）》」』】…—ー\u3000" + _EMOJI_SIGN)
"""No line begins with these."""


def cells(text: str) -> int:
    """The width of one line of cleaned text, without tabs, in cells."""
    if text.isascii():
        return len(text)
    return sum(map(_cells_of, text))


def clipped(text: str, width: int) -> str:
    """The beginning of a line that fits into `width` cells, with an ellipsis where it was cut."""
    if cells(text) <= width:
        return text
    return text[: _fitting(text, width - 1)].rstrip() + "…" if width > 0 else ""


def clipped_before(text: str, width: int) -> str:
    """The end of a line that fits into `width` cells, with an ellipsis where it was cut."""
    if cells(text) <= width:
        return text
    room, start = width - 1, len(text)
    while start > 0 and _cells_of(text[start - 1]) <= room:
        start -= 1
        room -= _cells_of(text[start])
    while start < len(text) and _cells_of(text[start]) == 0:
        start += 1  # a mark whose letter is cut off
    return "…" + text[start:].lstrip() if width > 0 else ""


def wrapped(text: str, width: int) -> list[str]:
    """The lines of cleaned text, each at most `width` cells wide (at least 2), broken at blanks.

    A word that is wider than a line is broken anywhere.
    """
    lines: list[str] = []
    for line in text.replace("\t", _TAB).split("\n"):
        lines += _wrapped_line(line.rstrip(), max(2, width))
    return lines


def _wrapped_line(line: str, width: int) -> Iterator[str]:
    while (end := _fitting(line, width)) < len(line):
        end = _last_break(line, end) or end
        yield line[:end].rstrip()
        line = line[end:].lstrip(" ")
    yield line


def _last_break(line: str, end: int) -> int:
    """The last place until `end` where a line may be broken; 0 where it is one long word.

    That is at a blank, or beside a wide character: scripts that have them put no blanks.
    """
    for place in range(end, 0, -1):
        char, before = line[place], line[place - 1]
        if char == " " and line[:place].strip():
            return place
        if char in _CLOSING or char == " " or _cells_of(char) == 0:
            continue
        if 2 in (_cells_of(char), _cells_of(before)):
            return place
    return 0


def _fitting(text: str, width: int) -> int:
    """How many characters from the beginning fit; a mark stays with its letter."""
    used = 0
    for place, char in enumerate(text):
        used += _cells_of(char)
        if used > width:
            return place
    return len(text)


@lru_cache(maxsize=4_096)
def _cells_of(char: str) -> int:
    if char.isascii() or char == _EMOJI_SIGN:
        return 1
    if unicodedata.category(char) in ("Mn", "Me", "Cf") or ord(char) in _JAMO_TAILS:
        return 0
    is_wide = unicodedata.east_asian_width(char) in ("W", "F")
    is_new = ord(char) in _NEW_EMOJI and unicodedata.category(char) == "Cn"
    return 2 if is_wide or is_new else 1
