"""What the rules of sites give, and what they share."""

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from selectolax.lexbor import LexborHTMLParser, LexborNode

_MIN_CHARS = 100
"""A rule that finds less text than this did not fit the page."""
_NEVER_TEXT = (
    "script, style, template, noscript, svg, button, input, select, textarea, [hidden], "
    "[style*='display:none'], [style*='display: none'], [style*='visibility:hidden'], "
    "[style*='visibility: hidden'], [style*='opacity:0;'], [style*='font-size:0']"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Code:
    """Source code that is not in an element of the page."""

    text: str
    language: str


Part = str | Code | LexborNode
"""An element of the page, code, or text with the `#` of a heading or the `- ` of a list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SitePage:
    """The content of a page in parts, in the order in which they are to be read."""

    parts: tuple[Part, ...]
    title: str = ""
    """"" where the page's own metadata is as good."""
    notes: tuple[str, ...] = ()
    """One line each on other versions of the page."""

    def has_text(self) -> bool:
        """Whether the parts are more than what introduces them."""
        chars = 0
        for part in self.parts:
            chars += len(text_of(part))
            if chars >= _MIN_CHARS:
                return True
        return False


def text_of(part: Part) -> str:
    """The text of a part, without the marks of Markdown around code."""
    if isinstance(part, str):
        return part
    return part.text if isinstance(part, Code) else part.text()


def host_of(url: str) -> str:
    """The host of a URL in lower case, without `www.`."""
    return (urlsplit(url).hostname or "").removeprefix("www.")


def path_of(url: str) -> list[str]:
    """The parts of a URL's path that are not empty."""
    return [part for part in urlsplit(url).path.split("/") if part]


def line_of(node: LexborNode | None) -> str:
    """The text of an element on one line; "" for None."""
    return " ".join(node.text().split()) if node is not None else ""


def text_at(node: LexborNode | LexborHTMLParser, selector: str) -> str:
    """The text of the first element that a selector finds, on one line; "" if there is none."""
    return line_of(node.css_first(selector))


def drop(node: LexborNode, selector: str) -> None:
    """Remove what a selector finds below an element.

    An element is listed once per selector that it matches, and removing it frees what is in it:
    so each goes once, inner ones before those around them.
    """
    found = {inner.mem_id: inner for inner in node.css(selector)}
    found.pop(node.mem_id, None)
    for inner in reversed(found.values()):
        inner.decompose()


def drop_hidden(nodes: Iterable[LexborNode]) -> None:
    """Remove scripts, controls and what inline styles hide below some elements."""
    for node in nodes:
        drop(node, _NEVER_TEXT)
