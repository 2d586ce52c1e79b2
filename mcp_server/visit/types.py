"""The values of a visit."""

from dataclasses import dataclass
from typing import Protocol

DEFAULT_MAX_CHARS = 10_000
"""Characters of one part of a page; what the reference model was trained with."""

MAX_MAX_CHARS = 100_000
"""Upper bound of one part: hosts refuse tool results above 25,000 tokens."""


@dataclass(frozen=True, slots=True)
class Link:
    """A link of a page: its visible text and its absolute URL."""

    text: str
    url: str


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One fetched body, decoded from its transfer codings but not yet read."""

    url: str
    final_url: str
    status: int
    content_type: str
    """The header as sent, or ""."""
    body: bytes


class PageSource(Protocol):
    """Pages that are at hand without network, such as the local index."""

    async def page(self, url: str) -> Page | None:
        """The page stored under exactly this URL, or None.

        Raises:
            CorpusError: the store cannot be read.
        """
        ...
