"""The hits of a search, read from the text that the tool gives to models.

Our MCP server writes blocks of `Index:`, `URL:`, `Title:`, `Published:` and `Preview:`, and below
them notes in brackets. Texts of other servers have no hits that could be read.
"""

import re
from dataclasses import dataclass

_HIT = re.compile(
    r"^Index: ?\d{1,6} ?\nURL: ?(?P<url>\S{1,4000}) ?\nTitle: ?(?P<title>[^\n]{0,4000})"
    r"(?:\nPublished: ?(?P<published>[^\n]{0,200}))?"
    r"(?:\nPreview: ?(?P<preview>[^\n]{0,9000}(?:\n[^\n]{1,9000}){0,100}))?",
    re.MULTILINE,
)
_NOTE = re.compile(r"^\[(.*)\]$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Hit:
    """One result of a search."""

    url: str
    title: str = ""
    published: str = ""
    """As the server says it; "" where it does not."""
    preview: str = ""


@dataclass(frozen=True, slots=True)
class Hits:
    """What a search gave."""

    hits: tuple[Hit, ...]
    notes: tuple[str, ...]
    """What the server says below them: who answered, and what became of the others."""


def read_hits(text: str) -> Hits:
    """Read the text of a search; without hits where it has none, or another form."""
    matches = list(_HIT.finditer(text))
    hits = tuple(
        Hit(
            match["url"],
            match["title"].strip(),
            (match["published"] or "").strip(),
            (match["preview"] or "").strip(),
        )
        for match in matches
    )
    below = text[matches[-1].end() :] if matches else text
    return Hits(hits, tuple(_NOTE.findall(below)))
