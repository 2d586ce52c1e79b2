"""What extraction takes and gives."""

from dataclasses import dataclass, field

from mcp_server.visit.types import Metadata


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
    """The text of one document, not yet cleaned."""

    title: str
    text: str
    """What a model reads: Markdown for HTML and office documents, otherwise the document's own
    text."""
    has_inline_links: bool = False
    """Whether `text` holds Markdown links `[text](absolute URL)` that may be taken out of it."""
    plain_text: str = ""
    """The same words without any markup, for measurements; "" where `text` has no markup."""
    metadata: Metadata = field(default_factory=Metadata)
    notes: tuple[str, ...] = ()
    """One line each on what the reader should know: other versions, pages left out."""
    needs_javascript: bool = False
    """Whether the page is an empty shell that a script would fill."""
    is_stripped: bool = False
    """Whether only the tags were stripped, because reading the document failed."""
