"""Clean what came from a model or a page before a terminal sees it."""

import re

_DROPPED = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # control characters except tab and newline: escapes start here
    "\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff0-\ufffb"  # bidi and invisible
    "\ud800-\udfff\U000e0000-\U000e0fff"  # not encodable; hidden tags
    "]"
)


def terminal_text(text: str) -> str:
    """The text without control, bidi, invisible and unencodable characters."""
    return _DROPPED.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def terminal_line(text: str, max_chars: int) -> str:
    """The same on one line, cut to `max_chars`."""
    line = " ".join(terminal_text(text).split())
    return line if len(line) <= max_chars else line[: max_chars - 1].rstrip() + "…"
