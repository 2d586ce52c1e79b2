"""Cut a long text into parts that a model can read one after another."""

import re
from dataclasses import dataclass

from mcp_server.errors import FetchError
from mcp_server.visit.reading.budget import chars_within, chars_within_bytes

_BOUNDARIES = (
    re.compile(r"\n\n+"),
    re.compile(r"\n"),
    re.compile(r"[.!?…؟۔।]+[\"'”’)\]]?\s|[。！？]"),
    re.compile(r"\s"),
)
_HEADING = re.compile(r"#{1,6}[ \t]")
_SEARCHED_SHARE = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A part of a text."""

    text: str
    start: int
    """Index of the first character in the whole text."""
    end: int
    """Index after the last character: where the next part starts."""
    total_chars: int

    @property
    def is_last(self) -> bool:
        """Whether nothing follows."""
        return self.end >= self.total_chars


def cut(
    text: str,
    start: int,
    max_chars: int,
    *,
    max_tokens: int = 0,
    max_bytes: int = 0,
    stop: int | None = None,
) -> Part:
    """Cut the part that starts at `start`.

    It ends after a paragraph, line, sentence or word, whichever of these is found first in the
    last fifth of the window, so that consecutive parts joined give the text exactly.

    Args:
        text: the whole text.
        start: 0 up to the length of the text, exclusive; 0 is always allowed.
        max_chars: upper bound of the part's length, at least 1.
        max_tokens: upper bound of the part's estimated tokens; 0 for none.
        max_bytes: upper bound of the part's length as UTF-8; 0 for none.
        stop: no part reaches beyond this index; the text's end by default.

    Raises:
        FetchError: `start` is outside of the text or `max_chars` is below 1.
    """
    total = len(text)
    if max_chars < 1:
        raise FetchError("", f"max_chars must be at least 1, not {max_chars}")
    if start < 0 or (start >= total and start > 0):
        reason = f"start {start:,} is outside of the page, which has {total:,} characters"
        raise FetchError("", reason, hint="read from 0")
    stop = total if stop is None else max(start, min(stop, total))
    window = max_chars
    if max_tokens:
        window = min(window, chars_within(text, start, max_tokens))
    if max_bytes:
        window = min(window, chars_within_bytes(text, start, max_bytes))
    end = min(start + window, stop)
    if end < stop:
        end = _boundary(text, end - int(window * _SEARCHED_SHARE), end)
    return Part(text=text[start:end], start=start, end=end, total_chars=total)


def _boundary(text: str, earliest: int, latest: int) -> int:
    """The end of the last best boundary in a range; `latest` when there is none."""
    for pattern in _BOUNDARIES:
        end = 0
        for match in pattern.finditer(text, earliest, latest):
            end = match.end()
        if end:
            return _before_headings(text, earliest, end)
    return latest


def _before_headings(text: str, earliest: int, end: int) -> int:
    """The same boundary, or the one before the headings that it would leave without their text."""
    kept = text[earliest:end]
    while True:
        above = kept.rstrip("\n")
        line_start = above.rfind("\n") + 1
        if not (line_start and _HEADING.match(above, line_start)):
            return earliest + len(kept)
        kept = kept[:line_start]
