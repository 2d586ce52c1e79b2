"""Clean text that came from outside, last thing before it leaves the server.

Pages, snippets and titles may hold terminal escapes, bidirectional overrides, invisible
characters, lone surrogates (one of which stops an MCP stdio server) and live image Markdown
(which makes a host's renderer call home). None of it leaves.
"""

import re

_DROPPED = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 except tab and newline, DEL, C1: terminal control
    "\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"  # invisible, bidi, separators
    "\ufff9-\ufffb\ufff0-\ufff8"  # interlinear annotation and unassigned specials
    "\ud800-\udfff"  # lone surrogates: not encodable, fatal on the wire
    "\U000e0000-\U000e0fff"  # tags and variation selectors supplement: hidden text
    "]"
)
_IMAGE = re.compile(r"(?<!!)!+\[")  # from the start of a run of "!", so that it stays linear
_BLANK_LINES = re.compile(r"\n{3,}")


def clean(text: str) -> str:
    """Drop control, bidi, invisible and unencodable characters; defuse image Markdown.

    Newlines become LF, runs of blank lines collapse to one, the ends are trimmed. Runs in
    linear time and is idempotent.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\xa0", " ")
    text = _DROPPED.sub("", text)
    if "![" in text:
        text = _IMAGE.sub("[", text)
    text = "\n".join(line.rstrip() for line in text.split("\n"))
    if "\n\n\n" in text:
        text = _BLANK_LINES.sub("\n\n", text)
    return text.strip()


def clean_line(text: str, max_chars: int) -> str:
    """Clean text for a place that holds one line: a title, a URL, a preview.

    White space collapses to single spaces; a longer text is cut at a word and ends in "…".
    """
    line = " ".join(clean(text).split())
    if len(line) <= max_chars:
        return line
    cut = line[: max_chars - 1]
    if line[max_chars - 1] == " ":
        return cut.rstrip(" ,;:") + "…"
    head, _, _ = cut.rpartition(" ")
    return (head if len(head) >= max_chars // 2 else cut).rstrip(" ,;:") + "…"
