"""Markdown of a model as a small tree that a page builds its elements from.

A node is a text, or an object with the tag `t`, where it has any the children `c`, and what else
the tag needs: `href` of `a` (http and https only), `start` of `ol`, `lang` of `code` in a block,
`n` of `cite`. Citations such as `[3]` become `{"t": "cite", "n": 3}`, a citation that leads to no
visited page `{"t": "unverified"}`. HTML in the text stays text, images become their descriptions.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

from markdown_it import MarkdownIt
from markdown_it.token import Token

from agent_client.agent.answer import UNVERIFIED

Nodes = list[Any]

MAX_MARKDOWN_CHARS = 100_000
"""Longer text is one paragraph: it is no answer, and parsing it would take seconds."""

MOST_LISTED = 99
"""No list of an answer begins with a higher number."""

_TAGS = {"h1": "h3", "h2": "h4", "h3": "h5", "h4": "h6", "h5": "h6", "h6": "h6"}
"""The page has headings of its own above those of an answer."""
_CITATION = re.compile(rf"\[(\d{{1,3}}(?:, ?\d{{1,3}}){{0,20}})\]|{re.escape(UNVERIFIED)}")
_PARSER = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])


def nodes_of(markdown: str) -> Nodes:
    """The tree of a Markdown text; empty for an empty one."""
    if not markdown.isascii():
        markdown = markdown.encode("utf-8", "replace").decode()
    if len(markdown) > MAX_MARKDOWN_CHARS:
        return [{"t": "p", "c": [markdown]}]
    return _children(iter(_PARSER.parse(markdown)))


def plain_text(markdown: str) -> str:
    """What a line of our own Markdown says, without its marks and escapes."""
    return "".join(_texts(nodes_of(markdown))).strip()


def _texts(nodes: Nodes) -> Iterator[str]:
    for node in nodes:
        if isinstance(node, str):
            yield node
        elif isinstance(node, dict):
            yield from _texts(cast(Mapping[str, Nodes], node).get("c", []))


def _children(tokens: Iterator[Token]) -> Nodes:
    """The nodes up to the end of the element that is open."""
    nodes: Nodes = []
    for token in tokens:
        if token.nesting < 0:
            return nodes
        if token.nesting > 0:
            nodes += _element(token, _children(tokens))
        elif token.type == "inline":
            nodes += _children(iter(token.children or ()))
        else:
            nodes += _leaf(token)
    return nodes


def _element(token: Token, children: Nodes) -> Nodes:
    tag = _TAGS.get(token.tag, token.tag)
    if token.hidden:
        return children  # the paragraphs of a tight list
    if tag == "a":
        href = str(token.attrGet("href") or "")
        if not re.match(r"(?i)https?://", href):
            return children
        return [{"t": "a", "href": href, "c": children}]
    if tag == "ol" and (start := token.attrGet("start")):
        if int(start) > MOST_LISTED:
            return _sentences(int(start), children)
        return [{"t": "ol", "start": start, "c": children}]
    return [{"t": tag, "c": children}]


def _sentences(start: int, items: Nodes) -> Nodes:
    """The items of a list that is none: "1781. Titania is a moon." begins with a year."""
    return [
        {"t": "p", "c": [f"{number}. ", *item["c"]]} for number, item in enumerate(items, start)
    ]


def _leaf(token: Token) -> Nodes:
    match token.type:
        case "text":
            return list(_with_citations(token.content))
        case "softbreak":
            return ["\n"]
        case "hardbreak":
            return [{"t": "br"}]
        case "hr":
            return [{"t": "hr"}]
        case "code_inline":
            return [{"t": "code", "c": [token.content]}]
        case "fence" | "code_block":
            lang = token.info.split()[0][:20] if token.info.split() else ""
            return [{"t": "pre", "lang": lang, "c": [token.content]}]
        case "image":
            return _text_of(token.children or ())
        case _:
            return [token.content] if token.content else []


def _text_of(tokens: Sequence[Token]) -> Nodes:
    return ["".join(token.content for token in tokens)]


def _with_citations(text: str) -> Iterable[Any]:
    position = 0
    for found in _CITATION.finditer(text):
        if found.start() > position:
            yield text[position : found.start()]
        position = found.end()
        if not found[1]:
            yield {"t": "unverified"}
            continue
        for number in found[1].split(","):
            yield {"t": "cite", "n": int(number)}
    if position < len(text):
        yield text[position:]
