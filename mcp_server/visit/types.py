"""The values of a visit."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

DEFAULT_MAX_CHARS = 10_000
"""Characters of one part of a page; what the reference model was trained with."""

MAX_MAX_CHARS = 100_000
"""Upper bound of one part: hosts refuse tool results above 25,000 tokens."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link of a page: its visible text and its absolute URL."""

    text: str
    url: str
    position: int = -1
    """Where in the page's text the link stands, in characters; -1 where that is not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What a document says about itself; "" where it says nothing."""

    author: str = ""
    published: str = ""
    """Date as ISO 8601, `2026-11-23`; only the year or month where no more is known."""
    language: str = ""
    """BCP 47 tag, for example `en` or `pt-BR`."""
    canonical_url: str = ""
    """The absolute URL that the page says is its own."""
    site: str = ""
    """Name of the site or publication."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A whole page as clean text, before it is cut into parts."""

    url: str
    """The URL that was asked for."""
    final_url: str
    """The URL after redirects; what to cite."""
    title: str
    """May be empty."""
    text: str
    """Markdown or plain text, cleaned (see `mcp_server.clean`)."""
    media_type: str
    """For example `text/html`."""
    links: tuple[Link, ...] = ()
    """In document order, without repeats."""
    metadata: Metadata = field(default_factory=Metadata)
    notes: tuple[str, ...] = ()
    """One line each on what the reader should know: other versions, pages left out."""
    is_cached: bool = False
    """Whether it was kept from a visit before, and the site was not asked."""


@dataclass(slots=True, kw_only=True)
class Resource:
    """One fetched body, decoded from its transfer codings but not yet read."""

    url: str
    final_url: str
    status: int
    content_type: str
    """The header as sent, or ""."""
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """All headers of the final answer, names in lower case."""

    def take_body(self) -> bytes:
        """The body, which is not held here any more: it can have 20 MB."""
        body, self.body = self.body, b""
        return body


@runtime_checkable
class PageSource(Protocol):
    """Pages that are at hand without network, such as the local index."""

    async def page(self, url: str) -> Page | None:
        """The page stored under exactly this URL, or None.

        Raises:
            CorpusError: the store cannot be read.
        """
        ...
