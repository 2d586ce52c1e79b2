"""What the contract suite needs to know of one provider: a `Case`.

One file per provider, `cases/<name>.py`, exports `CASE`; `test_contract.py` finds it by listing and
runs every check of the contract over it. What only one provider does is tested beside, in
`test_<name>.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

import httpx

from mcp_server.errors import ProviderBlocked, ProviderError
from mcp_server.search.types import Operator, SearchProvider, SearchQuery

SECRET = "s3cret-0123456789abcdef"  # no real key
"""Cases that need a key build their provider with this one; the suite looks for it where no key
may be."""

OPERATOR_QUERIES: Mapping[Operator, SearchQuery] = {
    "site": SearchQuery(text="moons", include_domains=("nasa.gov", "esa.int")),
    "exclude": SearchQuery(text="moons", exclude_domains=("pinterest.com", "quora.com")),
    "dates": SearchQuery(text="moons", after=date(2024, 2, 29), before=date(2025, 1, 1)),
    "language": SearchQuery(text="moons", language="de"),
    "region": SearchQuery(text="moons", region="at"),
    "page": SearchQuery(text="moons", limit=5, page=3),
}
"""One question per operator; a case says how to see that it went out."""


@dataclass(frozen=True, slots=True)
class Row:
    """One result, to be written as the provider writes it; None is null or absent there."""

    url: str | None
    title: str | None = "A title"
    preview: str | None = "A preview."


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """A reply by which this provider says no in its own way, and what is to become of it."""

    status: int
    body: bytes
    says: str
    """A regular expression found in the error's text."""
    error: type[ProviderError] = ProviderBlocked
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One provider, as the contract suite sees it."""

    build: Callable[[httpx.AsyncClient], SearchProvider]
    """Makes the provider with all that it needs; `SECRET` is its key where it takes one. All of
    its traffic goes through the given client."""
    reply: Callable[[Sequence[Row]], bytes]
    """The body of an HTTP 200 in the provider's real shape, with all fields that real replies
    have, and these results in this order."""
    empty: bytes
    """The body of an HTTP 200 that says: nothing found."""
    sent: Mapping[Operator, Callable[[httpx.Request], bool]] = field(
        default_factory=dict[Operator, Callable[[httpx.Request], bool]]
    )
    """For each operator that the provider claims: whether the request shows that the operator of
    `OPERATOR_QUERIES` went out in the provider's own way. One of the requests must."""
    text_of: Callable[[httpx.Request], str]
    """Where the query's words stand in the request, decoded; "" if the request has none."""
    refusals: Sequence[Refusal] = ()
    """Quota, plan and key errors with codes or bodies of its own."""
    malformed: Sequence[bytes] = ()
    """More HTTP 200 bodies that are no reply of this provider, beside those of the suite."""
    unconfigured: Callable[[httpx.AsyncClient], SearchProvider] | None = None
    """Makes it without its key or URL, which is a `ConfigError`; None where it needs none."""
    setting: str = ""
    """What the hint of that error names."""
    keeps_urls: bool = True
    """Whether a hit has the URL of its row; False where the provider makes URLs of titles or IDs:
    then `Row.url` may be ignored, except that None makes a row that cannot be used."""
    by_library: bool = False
    """Whether a library sends the requests: what happens on the wire is then not checked."""
    is_json: bool = True
    """Whether the reply is JSON: its fields are then also given wrong types, one by one."""
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    """Headers of every reply."""
    default_retry_seconds: float | None = None
    """What a 429 without a usable `Retry-After` says about when to come back; with `by_library`,
    what every 429 says."""
    max_text_chars: int = 10_000
    """Longest query text that goes out; a longer one is shortened, not refused."""
