"""The values of a search, and what a provider is."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Literal, Protocol

DEFAULT_LIMIT = 10
MAX_LIMIT = 20
DEFAULT_PREVIEW_CHARS = 300
MAX_PREVIEW_CHARS = 1_000
MAX_PAGE = 10

Operator = Literal["site", "exclude", "dates", "language", "region", "page"]
"""What a query may ask for beside its words, by the fields of `SearchQuery`: `site` is
`include_domains`, `exclude` is `exclude_domains`, `dates` is `after` and `before`."""

OPERATORS: tuple[Operator, ...] = ("site", "exclude", "dates", "language", "region", "page")

Outcome = Literal["answered", "no results", "blocked", "failed", "skipped"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchQuery:
    """One question to a provider."""

    text: str
    """The words, without operators; one clean line."""
    limit: int = DEFAULT_LIMIT
    """Most hits wanted, 1 to `MAX_LIMIT`."""
    preview_chars: int = DEFAULT_PREVIEW_CHARS
    """Longest preview of a hit in characters, up to `MAX_PREVIEW_CHARS`; 0 for none, which a local
    index answers in less time."""
    include_domains: tuple[str, ...] = ()
    """Only hits of these domains and of those below them: lower case, ASCII, no scheme."""
    exclude_domains: tuple[str, ...] = ()
    """No hits of these; an entry may go on with a path: `huggingface.co/datasets`."""
    after: date | None = None
    """Only pages published on this day or later."""
    before: date | None = None
    """Only pages published before this day."""
    language: str = ""
    """ISO 639-1, lower case: `de`."""
    region: str = ""
    """ISO 3166-1 alpha-2, lower case: `at`."""
    page: int = 1
    """Which page of `limit` hits, 1 to `MAX_PAGE`."""

    @property
    def operators(self) -> frozenset[Operator]:
        """The operators that this query uses."""
        used: dict[Operator, bool] = {
            "site": bool(self.include_domains),
            "exclude": bool(self.exclude_domains),
            "dates": self.after is not None or self.before is not None,
            "language": bool(self.language),
            "region": bool(self.region),
            "page": self.page > 1,
        }
        return frozenset(operator for operator, is_used in used.items() if is_used)


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchHit:
    """One result, best first in its list."""

    url: str
    title: str
    preview: str
    """Plain text; may be empty."""
    published: str = ""
    """ISO date or what the provider calls it; "" where it does not say."""
    document_id: str = ""
    """The document's own id in a local index, else ""."""
    score: float | None = None
    """The provider's score where it gives one; comparable only within one reply."""
    providers: tuple[str, ...] = ()
    """Who found it, best rank first; set by the chain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderReply:
    """What a provider answered."""

    hits: Sequence[SearchHit]
    """Best first, at most `query.limit`; empty means that it looked and found nothing."""
    cost_usd: float | None = None
    """What the provider says that this request cost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderReport:
    """What became of one provider of the chain."""

    provider: str
    outcome: Outcome
    detail: str = ""
    """Why, for every outcome but `answered`; for that one, what it could not do."""
    retry_after_seconds: float | None = None
    ignored: tuple[Operator, ...] = ()
    """Operators of the query that this provider cannot apply."""
    is_cached: bool = False
    """Whether the answer was kept from before."""
    cost_usd: float | None = None
    """What this request cost, where the provider or the settings say so; 0 when cached."""
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchResults:
    """The answer of the chain: hits, who gave them, and what became of the others."""

    query: str
    hits: tuple[SearchHit, ...]
    provider: str
    """The provider that gave the hits, several joined by `+`; the last one that answered when
    there are none."""
    reports: tuple[ProviderReport, ...]
    """In the order asked."""
    notes: tuple[str, ...] = field(default=())
    """What the reader should know, such as an operator that nobody could apply."""
    page: int = 1
    """The page that was asked for."""
    excluded_mirrors: int = 0
    """Hits that providers gave and that are left out as mirrors of benchmarks."""


class SearchProvider(Protocol):
    """A source of hits. One file each in `providers/`."""

    @property
    def name(self) -> str:
        """The name in `PROVIDERS`."""
        ...

    @property
    def operators(self) -> frozenset[Operator]:
        """What it applies itself; the chain filters by domain and says what nobody applied."""
        ...

    async def search(self, query: SearchQuery) -> ProviderReply:
        """Answer the query.

        Raises:
            ProviderBlocked: rate limit, bot check, quota or key.
            ProviderFailed: network, server error or malformed reply.
        """
        ...
