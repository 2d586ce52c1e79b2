"""What extraction takes and gives."""

from dataclasses import dataclass

from mcp_server.visit.types import Link


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceInfo:
    """What is known about a body before it is read."""

    url: str
    """Final URL; relative links are resolved against it."""
    media_type: str
    """Sniffed media type, lower case, without parameters."""
    charset: str
    """Sniffed charset as a Python codec name from our own table, never from the page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extracted:
    """The text of one document."""

    title: str
    text: str
    """Markdown for HTML, otherwise the document's own text; not yet cleaned."""
    links: tuple[Link, ...] = ()
