"""Markdown of a model that whoever renders it can show without fetching or running anything.

A page can talk a model into writing a picture whose address holds what the model knows: a program
that renders the answer fetches it. Pages of ours build no pictures; this is for answers that leave
as Markdown, for files, hosts and chat programs.
"""

import re
from collections.abc import Iterable, Iterator

from markdown_it import MarkdownIt
from markdown_it.token import Token

_MOST_PARSED_CHARS = 100_000
_MOST_PICTURES = 200
"""Text with more is not parsed, which would take seconds: it is taken for live."""
_SAFE_LINK = re.compile(r"(?:https?:|mailto:|[#/?.]|[^:]{0,2000}\Z)", re.IGNORECASE)
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_PARSER = MarkdownIt("commonmark", {"html": True})
_PARSER.validateLink = lambda url: True  # what others would make a link of is to be seen


def inert_markdown(markdown: str) -> str:
    """The same text; where it holds pictures, HTML or links that run, those are escaped.

    Text without them is returned as it is. In others code is escaped as well, as programs differ
    in what they take for code.
    """
    if "![" not in markdown and "<" not in markdown and "]" not in markdown:
        return markdown
    if len(markdown) > _MOST_PARSED_CHARS or markdown.count("![") > _MOST_PICTURES:
        return _without(markdown, {"image", "html", "link"})
    for _ in range(3):  # what is escaped can lay open what stood in it
        live = live_parts(markdown)
        if not live:
            break
        markdown = _without(markdown, live)
    return markdown


def _without(markdown: str, live: set[str]) -> str:
    if "image" in live:
        markdown = markdown.replace("![", "!\\[")
    if "html" in live:
        markdown = _TAG.sub("&lt;", markdown)
    if "link" in live:
        markdown = markdown.replace("](", "]\\(").replace("]:", "]\\:").replace("<", "&lt;")
    return markdown


def live_parts(markdown: str) -> set[str]:
    """Which of `image`, `html` and `link` (one that is not of the web) a renderer would make."""
    return set(_live(_PARSER.parse(markdown)))


def _live(tokens: Iterable[Token]) -> Iterator[str]:
    for token in tokens:
        if token.type == "image":
            yield "image"
        elif token.type in ("html_block", "html_inline"):
            yield "html"
        elif token.type == "link_open" and not _SAFE_LINK.match(str(token.attrGet("href"))):
            yield "link"
        if token.children:
            yield from _live(token.children)
