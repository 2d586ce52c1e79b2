"""Clean text that came from outside, last thing before it leaves the server.

Pages, snippets and titles may hold terminal escapes, bidirectional overrides, invisible
characters, lone surrogates (one of which stops an MCP stdio server) and live image Markdown
(which makes a host's renderer call home). None of it leaves.
"""

import json
import re
from collections.abc import Iterable, Iterator

_DROPPED = re.compile(
    "["
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 except tab and newline, DEL, C1: terminal control
    "\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"  # invisible, bidi, separators
    "\u034f\u17b4\u17b5\u180e\u3164\uffa0\U0001d173-\U0001d17a"  # more that nobody sees
    "\ufff9-\ufffb\ufff0-\ufff8"  # interlinear annotation and unassigned specials
    "\ud800-\udfff"  # lone surrogates: not encodable, fatal on the wire
    "\U000e0000-\U000e0fff"  # tags and variation selectors supplement: hidden text
    "]"
)
_STARTS_OF_PRINTABLE = tuple(
    map(bytes.fromhex, ("cd8f", "e19e", "e385a4", "efb8", "efbea0", "f3a0"))
)
"""What `str.isprintable` lets through of `_DROPPED` and `_SELECTORS` begins so as UTF-8 (and a few
other characters do). The other spaces that can end a line are not printable."""
_KEPT_ASCII = b"\t\n" + bytes(range(0x20, 0x7F))
_SELECTORS = re.compile("[\ufe00-\ufe0f]{2,}")  # one may follow a sign; a run is hidden text
_BLANK_LINES = re.compile(r"\n{3,}")
_BLOCK_CHARS = 256 * 1024
"""A long text is cleaned in blocks: in a thread, other threads then get their turn between them."""
_BLOCK_END = re.compile("[^!\\s\ufe00-\ufe0f]")  # nothing that we look for goes on after it


def clean(text: str) -> str:
    """Drop control, bidi, invisible and unencodable characters; defuse image Markdown.

    Newlines become LF, runs of blank lines collapse to one, the ends are trimmed. Runs in
    linear time and is idempotent.
    """
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = text.replace("\xa0", " ")
    if any(map(_may_hold_dropped, _pieces(text))):
        text = joined(_DROPPED.sub("", piece) for piece in _pieces(text))
    elif not _needs_mending(text):
        return text.strip()
    text = joined(_clean_block(block) for block in _blocks(text))
    return _with_few_blank_lines(text).strip()


def joined(pieces: Iterable[str]) -> str:
    """Put a long text together without holding all its pieces beside it, as `str.join` does."""
    text = ""
    for piece in pieces:
        text += piece  # CPython lengthens it in place
    return text


def terminal_json(document: str) -> str:
    r"""JSON that says the same and that a terminal can show: such characters as `\u202e`.

    Args:
        document: JSON, in which a control character other than a tab or newline cannot be raw.
    """
    return _DROPPED.sub(lambda found: json.dumps(found[0])[1:-1], document)


def _pieces(text: str) -> Iterator[str]:
    return (text[at : at + _BLOCK_CHARS] for at in range(0, len(text), _BLOCK_CHARS))


def _may_hold_dropped(text: str) -> bool:
    """Whether a character may have to go; most text has none, and to see that is fast."""
    if text.isascii():
        return bool(text.encode("ascii").translate(None, _KEPT_ASCII))
    line = text.replace("\n", " ").replace("\t", " ")
    if not line.isprintable():
        return True
    encoded = line.encode()
    return any(start in encoded for start in _STARTS_OF_PRINTABLE)


def _needs_mending(text: str) -> bool:
    """Whether lines end in white space, blank lines stand in a row, or an image may be live."""
    # A search for one character is much faster than for two, and most often enough.
    return (
        ("[" in text and "![" in text)
        or ("\t" in text and "\t\n" in text)
        or " \n" in text
        or "\n\n\n" in text
    )


def _blocks(text: str) -> Iterator[str]:
    """The text in pieces that end with a line where that is near, and never inside a pattern."""
    start = 0
    while len(text) - start > _BLOCK_CHARS:
        end = text.rfind("\n", start, start + _BLOCK_CHARS) + 1
        if not end:
            sign = _BLOCK_END.search(text, start + _BLOCK_CHARS)
            end = sign.end() if sign else len(text)
        yield text[start:end]
        start = end
    yield text[start:]


def _clean_block(text: str) -> str:
    text = _SELECTORS.sub("", text)
    text = text.replace("![", "! [")
    return _with_few_blank_lines("\n".join(line.rstrip() for line in text.split("\n")))


def _with_few_blank_lines(text: str) -> str:
    return _BLANK_LINES.sub("\n\n", text) if "\n\n\n" in text else text


def clean_line(text: str, max_chars: int) -> str:
    """Clean text for a place that holds one line: a title, a URL, a preview.

    White space collapses to single spaces; a longer text is cut at a word and ends in "…".
    """
    line = clean(text)
    if "  " in line or not line.isprintable():
        line = " ".join(line.split())
    if len(line) <= max_chars:
        return line
    cut = line[: max_chars - 1]
    if line[max_chars - 1] == " ":
        return cut.rstrip(" ,;:") + "…"
    head, _, _ = cut.rpartition(" ")
    return (head if len(head) >= max_chars // 2 else cut).rstrip(" ,;:") + "…"
