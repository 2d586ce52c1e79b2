"""Read documents that are text already, and strip tags in linear time."""

import html
import json
from contextlib import suppress
from typing import Any, cast

from mcp_server.extract.types import Extracted, SourceInfo

_DROPPED_ELEMENTS = frozenset({"script", "style", "template", "noscript", "svg"})
_LINE_ELEMENTS = frozenset(
    "p div br li ul ol tr table h1 h2 h3 h4 h5 h6 section article blockquote pre dt dd hr "
    "item entry title link description summary content published updated pubdate".split()
)
_MAX_JSON_LINE_CHARS = 100


def decoded(body: bytes, info: SourceInfo) -> str:
    """The text of a body in its sniffed charset, without a byte order mark."""
    return body.decode(info.charset, "replace").removeprefix("\ufeff")


def read_plain_text(body: bytes, info: SourceInfo) -> Extracted:
    """Decode plain text, Markdown, CSV or source code as it stands."""
    return Extracted(title="", text=decoded(body, info))


def read_json(body: bytes, info: SourceInfo) -> Extracted:
    r"""Decode JSON as it stands; lay it out when it is one long line or hides text in `\u`.

    Numbers and repeated keys stay as they are written.
    """
    text = decoded(body, info).strip()
    if "\n" in text and "\\u" not in text:
        return Extracted(title="", text=text)
    # JSON lines, damaged or far too deep: the text itself still says something.
    with suppress(ValueError, RecursionError):
        text = _laid_out(_parsed(text), indent="")
    return Extracted(title="", text=text)


def read_json_lines(body: bytes, info: SourceInfo) -> Extracted:
    r"""Decode JSON Lines line by line; only lines that hide text in `\u` are written anew."""
    lines = decoded(body, info).strip().split("\n")
    return Extracted(title="", text="\n".join(map(_readable_line, lines)))


class _Literal(str):
    """A number as it is written: `1.10` is not `1.1` to a reader."""


class _Pairs(list[tuple[str, Any]]):
    """An object with its keys in order, repeated ones too."""


def _parsed(text: str) -> Any:
    return json.loads(
        text,
        parse_float=_Literal,
        parse_int=_Literal,
        parse_constant=_Literal,
        object_pairs_hook=_Pairs,
    )


def _laid_out(value: Any, indent: str) -> str:
    """Indented JSON in which what is short stays on one line, which saves tokens."""
    inner = indent + " "
    if isinstance(value, _Pairs):
        parts = [f"{_quoted(key)}: {_laid_out(item, inner)}" for key, item in value]
        opening, closing = "{}"
    elif isinstance(value, list):
        parts = [_laid_out(item, inner) for item in cast("list[Any]", value)]
        opening, closing = "[]"
    else:
        return value if isinstance(value, _Literal) else _quoted(value)
    if not any("\n" in part for part in parts) and sum(map(len, parts)) <= _MAX_JSON_LINE_CHARS:
        return opening + ", ".join(parts) + closing
    return f"{opening}\n{inner}" + f",\n{inner}".join(parts) + f"\n{indent}{closing}"


def _quoted(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _readable_line(line: str) -> str:
    if "\\u" in line:
        with suppress(ValueError, RecursionError):
            return _laid_out_in_one_line(_parsed(line))
    return line


def _laid_out_in_one_line(value: Any) -> str:
    return " ".join(map(str.strip, _laid_out(value, indent="").split("\n")))


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
