"""Clean what came from a model or a page before a terminal sees it."""

import json
import re

MOST_MARKS = 4
"""Combining marks in a row: real words have at most as many, a flood paints over other lines."""

_DROPPED = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters except tab and newline: escapes start here
    "\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff0-\ufffb"  # bidi and invisible
    "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\uffa0\U0001d173-\U0001d17a"
    "\ud800-\udfff\U000e0000-\U000e0fff"  # not encodable; hidden tags
    "]"
)
_MARKS = (
    "[\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u0610-\u061a\u064b-\u065f\u06d6-\u06dc"
    "\u0e31\u0e34-\u0e3a\u0e47-\u0e4e\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20f0\ufe00-\ufe0f"
    "\ufe20-\ufe2f]"
)
_FLOOD = re.compile(f"({_MARKS}{{{MOST_MARKS}}}){_MARKS}+")


def terminal_text(text: str) -> str:
    """The text without control, bidi, invisible and unencodable characters.

    Of combining marks in a row the first `MOST_MARKS` stay.
    """
    plain = _DROPPED.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))
    return plain if plain.isascii() else _FLOOD.sub(r"\1", plain)


def terminal_line(text: str, max_chars: int) -> str:
    """The same on one line, cut to `max_chars`."""
    line = " ".join(terminal_text(text).split())
    return line if len(line) <= max_chars else line[: max_chars - 1].rstrip() + "…"


def terminal_json(document: str) -> str:
    r"""JSON that says the same and that a terminal can show: such characters as `\u202e`.

    Args:
        document: JSON, in which a control character other than a tab or newline cannot be raw.
    """
    return _DROPPED.sub(lambda found: json.dumps(found[0])[1:-1], document)
