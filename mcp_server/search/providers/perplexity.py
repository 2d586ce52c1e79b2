"""Perplexity's Search API by key (docs.perplexity.ai)."""

from dataclasses import dataclass, field
from datetime import date

import httpx
from pydantic import BaseModel

from mcp_server.search.providers._fields import Rows, Text, WebUrl, web_hit
from mcp_server.search.providers._http import ask
from mcp_server.search.providers._key import check_key
from mcp_server.search.providers._query_text import day_before, excludable, shortened
from mcp_server.search.types import Operator, ProviderReply, SearchQuery

ENDPOINT = "https://api.perplexity.ai/search"
MAX_QUERY_CHARS = 2_000
MAX_RESULTS = 20
MAX_DOMAINS = 20
TOKENS_PER_PAGE = 512
"""Of a page's text; a preview of 1,000 characters needs about 300."""


class _Result(BaseModel):
    url: WebUrl
    title: Text = ""
    snippet: Text = ""
    date: Text = ""


class _Reply(BaseModel):
    results: Rows[_Result]


@dataclass(frozen=True, slots=True)
class Perplexity:
    """`POST /search` with the key in a header: results, no written answer.

    One list holds the domains to search in or those to leave out, not both: beside the former the
    latter are left to the filter of the chain.
    """

    http: httpx.AsyncClient
    api_key: str = field(repr=False)
    name: str = "perplexity"
    operators: frozenset[Operator] = frozenset({"site", "exclude", "dates", "language", "region"})

    def __post_init__(self) -> None:
        check_key("provider 'perplexity'", self.api_key, "PERPLEXITY_API_KEY")

    async def search(self, query: SearchQuery) -> ProviderReply:
        """Pages with extracts of their text."""
        request = self.http.build_request(
            "POST",
            ENDPOINT,
            json=_asked(query),
            headers={"Authorization": f"Bearer {self.api_key}"},
        )
        reply = await ask(self.name, self.http, request, _Reply, key_name="PERPLEXITY_API_KEY")
        return ProviderReply(
            hits=[
                web_hit(hit.url, hit.title, hit.snippet, published=hit.date)
                for hit in reply.results[: query.limit]
            ]
        )


def _asked(query: SearchQuery) -> dict[str, object]:
    asked: dict[str, object] = {
        "query": shortened(query.text, MAX_QUERY_CHARS),
        "max_results": min(query.limit, MAX_RESULTS),
        "max_tokens_per_page": TOKENS_PER_PAGE,
    }
    domains = list(query.include_domains) or [
        f"-{entry}" for entry in excludable(query.exclude_domains)
    ]
    if domains:
        asked["search_domain_filter"] = domains[:MAX_DOMAINS]
    # "After" a day is from the next one on; "before" a day ends with the one before it.
    if query.after:
        asked["search_after_date_filter"] = _american(day_before(query.after))
    if query.before:
        asked["search_before_date_filter"] = _american(query.before)
    if query.language:
        asked["search_language_filter"] = [query.language]
    if query.region:
        asked["country"] = query.region.upper()
    return asked


def _american(day: date) -> str:
    return f"{day.month}/{day.day}/{day.year}"
