"""What a file of events said before, so that it is not said again.

A conversation repeats itself: a tool result is a message of the outcome and the text of a page, and
every outcome of a chat holds all messages before it. Stored as they are, events take several times
the bytes of what was said. So a text of `MIN_TEXT_CHARS` or more has an address, `[n, k]`: the
k-th text of the n-th event, and where it comes up again the address stands for it. A text that
contains parts of earlier ones, such as a result with a note behind it, is a list of pieces: strings
and `[n, k, start, end]`. Messages are treated in the same way in `event_codec`.

Writer and reader build the same pool, event by event.
"""

from collections.abc import Sequence

StoredText = str | list[int | str | list[int]]
"""A text; the address of an earlier one; or its pieces."""

Address = tuple[int, int]

MIN_TEXT_CHARS = 80
"""An address with its brackets takes about 8; shorter texts are easier to read where they are."""
MIN_PIECE_CHARS = 120
KEY_CHARS = 64
"""Lines that begin with the same characters may be the same."""
INDEXED_CHARS = 1_000
"""Texts are recognised by the lines in their beginning: what is taken from a text is its beginning,
or all but a header."""
MAX_NEW_LINES = 2_000
"""A text with more lines that no earlier one has is stored as it is from there on."""
MAX_BUILT_CHARS = 500_000_000
"""Bound of all texts built from pieces: a forged file of 1 kB could describe gigabytes."""


class TextPool:
    """The texts of a file so far."""

    def __init__(self) -> None:
        self._by_text: dict[str, Address] = {}
        self._by_address: dict[Address, str] = {}
        self._by_line: dict[str, tuple[Address, int]] = {}
        self._unindexed: list[Address] = []
        self._current: list[Address] = []
        self._event = 0
        self._built_chars = 0

    def begin(self, event: int) -> None:
        """Go on to the event of this number."""
        self._event = event
        self._current.clear()

    def forget_event(self) -> None:
        """Take back what the current event added: it was not stored after all."""
        for address in self._current:
            text = self._by_address.pop(address)
            if self._by_text.get(text) == address:
                del self._by_text[text]
        self._current.clear()

    def stored(self, text: str, *, part_of: str = "", is_assembled: bool = False) -> StoredText:
        """How to store a text, which is known from then on.

        Args:
            text: any.
            part_of: an earlier text that may contain it.
            is_assembled: whether it may be put together from earlier texts, which costs about
                20 µs for 10,000 characters to find out.
        """
        if len(text) < MIN_TEXT_CHARS:
            return text
        if known := self._by_text.get(text):
            return list(known)
        pieces = self._slice_of(part_of, text)
        if not pieces and is_assembled:
            pieces = self._pieces(text)
        self._add(text, is_new=not pieces)
        return pieces or text

    def restored(self, stored: StoredText) -> str:
        """The text that was stored so.

        Raises:
            ValueError: it refers to a text that is not there.
        """
        if isinstance(stored, str):
            text = stored
        elif len(stored) == 2 and isinstance(stored[0], int):
            return self._at(stored)
        else:
            text = "".join(
                piece if isinstance(piece, str) else self._slice(piece) for piece in stored
            )
        if len(text) >= MIN_TEXT_CHARS:
            self._add(text, is_new=isinstance(stored, str))
        return text

    def _add(self, text: str, *, is_new: bool) -> None:
        address = (self._event, len(self._current))
        self._by_text[text] = address
        self._by_address[address] = text
        self._current.append(address)
        if is_new:  # else its parts are found where they came from
            self._unindexed.append(address)

    def _at(self, address: Sequence[object]) -> str:
        event, number = address
        text = self._by_address.get((event, number))  # pyright: ignore[reportArgumentType]
        if text is None:
            raise ValueError(f"there is no text {event}, {number}")
        return text

    def _slice(self, piece: object) -> str:
        if not isinstance(piece, list) or len(piece) != 4:
            raise ValueError("a piece is a string or four numbers")
        event, number, start, end = piece
        part = self._at((event, number))[start:end]
        self._built_chars += len(part)
        if self._built_chars > MAX_BUILT_CHARS:
            raise ValueError("more text than a file may describe")
        return part

    def _slice_of(self, whole: str, text: str) -> StoredText:
        address = self._by_text.get(whole) if whole else None
        if address is None or (start := whole.find(text)) < 0:
            return []
        return [[*address, start, start + len(text)]]

    def _pieces(self, text: str) -> StoredText:
        """The text as literals and parts of earlier texts; empty where nothing was found."""
        self._index_lines()
        pieces: list[int | str | list[int]] = []
        literal_from = position = new_lines = 0
        while position < len(text) and new_lines < MAX_NEW_LINES:
            found = self._by_line.get(_line_key(text, position))
            length = self._common_chars(text, position, found) if found else 0
            if found and length >= MIN_PIECE_CHARS:
                if literal_from < position:
                    pieces.append(text[literal_from:position])
                address, start = found
                pieces.append([*address, start, start + length])
                position = literal_from = position + length
            else:
                position = text.find("\n", position) + 1 or len(text)
                new_lines += 1
        if pieces and literal_from < len(text):
            pieces.append(text[literal_from:])
        return pieces

    def _index_lines(self) -> None:
        for address in self._unindexed:
            position = 0
            for line in self._by_address.get(address, "")[:INDEXED_CHARS].split("\n"):
                self._by_line.setdefault(line[:KEY_CHARS], (address, position))
                position += len(line) + 1
        self._unindexed.clear()

    def _common_chars(self, text: str, at: int, found: tuple[Address, int]) -> int:
        """How far a text goes on like an earlier one; costs no more than it finds."""
        address, start = found
        other = self._by_address.get(address, "")
        length, step, is_growing = 0, MIN_PIECE_CHARS, True
        while step:
            part = text[at + length : at + length + step]
            if len(part) == step and other.startswith(part, start + length):
                length += step
                step = step * 4 if is_growing else step
            elif length == 0:
                return 0
            else:
                step //= 2
                is_growing = False
        return length


def _line_key(text: str, position: int) -> str:
    return text[position : position + KEY_CHARS].partition("\n")[0]
