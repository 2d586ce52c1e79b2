"""Values drawn from the bytes that a fuzzer makes.

What is chosen (one of several, a number) is drawn from the front, so that a mutation of what
follows leaves the choice alone; text and bytes are what is left.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import TypeVar

Item = TypeVar("Item")


class Drawing:
    """Reads one input from its front; an input that is too short gives zeros and empty texts."""

    def __init__(self, data: bytes) -> None:
        """Start at the front of an input."""
        self._data = data
        self._at = 0

    def number(self, most: int) -> int:
        """A number from 0 to `most`, which is below 65,536."""
        size = 1 if most < 256 else 2
        taken = self._data[self._at : self._at + size]
        self._at += size
        return int.from_bytes(taken, "little") % (most + 1)

    def one_of(self, items: Sequence[Item]) -> Item:
        """One of at most 256 items."""
        return items[self.number(len(items) - 1)]

    def line(self) -> bytes:
        """What comes before the next newline, or all that is left."""
        end = self._data.find(b"\n", self._at)
        end = len(self._data) if end < 0 else end
        taken, self._at = self._data[self._at : end], end + 1
        return taken

    def rest(self) -> bytes:
        """All that is left."""
        taken, self._at = self._data[self._at :], len(self._data)
        return taken


def text_of(data: bytes) -> str:
    """Text of any bytes: what is no UTF-8 becomes lone surrogates, which models and pages write."""
    return data.decode("utf-8", "surrogateescape")


def pieces_of(whole: bytes, cuts: Sequence[int]) -> list[bytes]:
    """The same bytes in pieces, cut at places modulo their length."""
    places = sorted({0, len(whole), *(cut % (len(whole) + 1) for cut in cuts)})
    return [whole[a:b] for a, b in pairwise(places)]
