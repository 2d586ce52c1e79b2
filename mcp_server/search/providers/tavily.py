"""Tavily, a search engine for agents (tavily.com), by API key or without one."""

from dataclasses import dataclass, field

import httpx
from pydantic import BaseModel

from mcp_server.errors import ProviderError
from mcp_server.search.providers._fields import Number, Rows, Text, WebUrl, web_hit
from mcp_server.search.providers._http import Refused, ask, out_of_credits, rate_limited
from mcp_server.search.providers._key import check_key
from mcp_server.search.providers._query_text import excludable, last_day, shortened
from mcp_server.search.types import Operator, ProviderReply, SearchQuery

ENDPOINT = "https://api.tavily.com/search"
MAX_QUERY_CHARS = 400
MAX_RESULTS = 20
MAX_INCLUDED, MAX_EXCLUDED = 300, 150
_NAME = "tavily"
_PLAN_LIMITS = {
    432: "the limit of the plan is reached",
    433: "the pay-as-you-go limit is reached",
}


class _Result(BaseModel):
    url: WebUrl
    title: Text = ""
    content: Text = ""
    score: Number = None
    published_date: Text = ""  # of news only


class _Reply(BaseModel):
    results: Rows[_Result]


@dataclass(frozen=True, slots=True)
class Tavily:
    """`POST /search`; without a key in the keyless mode, which has an hourly allowance."""

    http: httpx.AsyncClient
    api_key: str = field(repr=False, default="")
    name: str = _NAME
    operators: frozenset[Operator] = frozenset({"site", "exclude", "dates"})

    def __post_init__(self) -> None:
        if self.api_key:
            check_key("provider 'tavily'", self.api_key, "TAVILY_API_KEY")

    async def search(self, query: SearchQuery) -> ProviderReply:
        """Pages with the passages that fit the query."""
        access = (
            {"Authorization": f"Bearer {self.api_key}"}
            if self.api_key
            else {"X-Tavily-Access-Mode": "keyless"}
        )
        request = self.http.build_request("POST", ENDPOINT, json=_asked(query), headers=access)
        reply = await ask(
            self.name,
            self.http,
            request,
            _Reply,
            judge=_judge,
            key_name="TAVILY_API_KEY",
        )
        return ProviderReply(
            hits=[
                web_hit(
                    hit.url,
                    hit.title,
                    hit.content,
                    published=hit.published_date,
                    score=hit.score,
                )
                for hit in reply.results[: query.limit]
            ]
        )


def _asked(query: SearchQuery) -> dict[str, object]:
    asked: dict[str, object] = {
        "query": shortened(query.text, MAX_QUERY_CHARS),
        "max_results": min(query.limit, MAX_RESULTS),
        "search_depth": "basic",
    }
    if query.include_domains:
        asked["include_domains"] = query.include_domains[:MAX_INCLUDED]
    if excluded := list(excludable(query.exclude_domains)):
        asked["exclude_domains"] = excluded[:MAX_EXCLUDED]
    if query.after:
        asked["start_date"] = query.after.isoformat()
    if query.before:
        asked["end_date"] = last_day(query.before).isoformat()
    return asked


def _judge(refused: Refused) -> ProviderError | None:
    if refused.status in _PLAN_LIMITS:
        return out_of_credits(_NAME, refused.status, _PLAN_LIMITS[refused.status])
    if refused.says("cap_reached"):  # the code of the keyless mode: `hourly_cap_reached`
        wait = refused.number("retry_after_seconds")
        return rate_limited(
            _NAME, refused, wait=wait, what="the keyless allowance is used up, set TAVILY_API_KEY"
        )
    return None
