"""The values of a search, and what a provider is."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

DEFAULT_LIMIT = 10
MAX_LIMIT = 20
DEFAULT_PREVIEW_CHARS = 300
MAX_PREVIEW_CHARS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchQuery:
    """One question to a provider."""

    text: str
    limit: int = DEFAULT_LIMIT
    """Most hits wanted, 1 to `MAX_LIMIT`."""
    preview_chars: int = DEFAULT_PREVIEW_CHARS
    """Longest preview of a hit in characters, up to `MAX_PREVIEW_CHARS`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchHit:
    """One result, best first in its list."""

    url: str
    title: str
    preview: str
    """Plain text; may be empty."""
    document_id: str = ""
    """The document's own id in a local index, else ""."""
    score: float | None = None
    """The provider's score where it gives one; comparable only within one reply."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderReport:
    """What became of one provider of the chain."""

    provider: str
    outcome: str
    """`answered`, `no results`, `blocked`, `failed` or `skipped`."""
    detail: str = ""
    """Why, for every outcome but `answered`."""
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResults:
    """The answer of the chain: hits, who gave them, and what became of the others."""

    query: str
    hits: tuple[SearchHit, ...]
    provider: str
    """The provider that gave the hits; the last one that answered when there are none."""
    reports: tuple[ProviderReport, ...]
    """In the order asked."""


class SearchProvider(Protocol):
    """A source of hits. One file each in `providers/`."""

    @property
    def name(self) -> str:
        """The name in `PROVIDERS`."""
        ...

    async def search(self, query: SearchQuery) -> Sequence[SearchHit]:
        """Answer the query, best hit first, at most `query.limit` hits; empty means "none found".

        Raises:
            ProviderBlocked: rate limit, bot check, quota or key.
            ProviderFailed: network, server error or malformed reply.
        """
        ...
