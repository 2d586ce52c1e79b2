"""Read documents that are text already, and strip tags in linear time."""

import html
import json
from contextlib import suppress

from mcp_server.extract.types import Extracted, SourceInfo

_DROPPED_ELEMENTS = frozenset({"script", "style", "template", "noscript", "svg"})
_LINE_ELEMENTS = frozenset(
    "p div br li ul ol tr table h1 h2 h3 h4 h5 h6 section article blockquote pre dt dd hr "
    "item entry title link description summary content published updated pubdate".split()
)
_MAX_TITLE_CHARS = 300


def read_plain_text(body: bytes, info: SourceInfo) -> Extracted:
    """Decode plain text, Markdown, CSV or source code as it stands."""
    return Extracted(title="", text=body.decode(info.charset, "replace"))


def read_json(body: bytes, info: SourceInfo) -> Extracted:
    r"""Decode JSON as it stands; indent it when it is one long line or hides text in `\u`."""
    text = body.decode(info.charset, "replace").strip()
    if "\n" in text and "\\u" not in text:
        return Extracted(title="", text=text)
    # JSON lines, damaged or far too deep: the text itself still says something.
    with suppress(ValueError, RecursionError):
        text = json.dumps(json.loads(text), ensure_ascii=False, indent=1)
    return Extracted(title="", text=text)


def read_xml(body: bytes, info: SourceInfo) -> Extracted:
    """Keep the text of an XML document, element by element; no entity is ever fetched."""
    return Extracted(title="", text=strip_tags(body.decode(info.charset, "replace")))


def read_feed(body: bytes, info: SourceInfo) -> Extracted:
    """Keep the text of RSS or Atom, whose items hold escaped HTML."""
    text = body.decode(info.charset, "replace")
    return Extracted(title=_title(text), text=strip_tags(strip_tags(text)))


def strip_tags(markup: str) -> str:
    """Drop tags, comments, scripts and styles; one line per block.

    Runs in linear time whatever the input, which no real parser promises: it is what remains
    when the parser had to be killed.
    """
    kept: list[str] = []
    skipping = ""  # the end mark that is waited for
    head, *pieces = markup.split("<")
    kept.append(head)
    for piece in pieces:
        if skipping:
            skipping, rest = _skip(piece, skipping)
            kept.append(rest)
            continue
        if piece.startswith("!--"):
            skipping, rest = _skip(piece[3:], "-->")
            kept.append(rest)
            continue
        if piece.startswith("![CDATA["):
            kept.append(piece[8:])
            continue
        if not piece[:1].isalpha() and piece[:1] not in ("/", "!", "?"):
            kept.append("<" + piece)  # "a < b"
            continue
        tag, _, text = piece.partition(">")
        name = tag[:24].lstrip("/").split(None, 1)[:1]
        element = name[0].rstrip("/").lower() if name else ""
        if element in _DROPPED_ELEMENTS and not tag.startswith("/") and not tag.endswith("/"):
            skipping = f"/{element}"
            continue
        if element in _LINE_ELEMENTS:
            kept.append("\n")
        kept.append(text)
    return _tidy(html.unescape("".join(kept).replace("]]>", "")))


def _skip(piece: str, end_mark: str) -> tuple[str, str]:
    """What is still waited for after this piece, and the text to keep of it."""
    if end_mark == "-->":
        _, found, rest = piece.partition("-->")
        return ("" if found else end_mark), rest
    if piece[: len(end_mark)].lower() != end_mark:
        return end_mark, ""
    return "", piece.partition(">")[2]


def _tidy(text: str) -> str:
    lines = (" ".join(line.split()) for line in text.split("\n"))
    return "\n".join(line for line in lines if line)


def _title(markup: str) -> str:
    _, _, rest = markup[:20_000].partition("<title")
    _, _, rest = rest.partition(">")
    return strip_tags(rest.partition("</title")[0])[:_MAX_TITLE_CHARS]
