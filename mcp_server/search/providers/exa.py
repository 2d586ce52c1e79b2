"""Exa, neural search by API key (exa.ai)."""

from dataclasses import dataclass, field

import httpx
from pydantic import BaseModel

from mcp_server.errors import ProviderError
from mcp_server.search.providers._fields import Number, Part, Rows, Text, WebUrl, web_hit
from mcp_server.search.providers._http import Refused, ask, out_of_credits
from mcp_server.search.providers._key import check_key
from mcp_server.search.providers._query_text import day_before, excludable, last_day, shortened
from mcp_server.search.types import Operator, ProviderReply, SearchQuery

ENDPOINT = "https://api.exa.ai/search"
MAX_QUERY_CHARS = 2_000
MAX_RESULTS = 100
_NAME = "exa"
_BUDGETS = ("API_KEY_BUDGET_EXCEEDED", "TEAM_BUDGET_EXCEEDED")


class _Result(BaseModel):
    url: WebUrl
    title: Text = ""
    publishedDate: Text = ""
    highlights: Rows[Text] | None = None
    text: Text = ""


class _Cost(BaseModel):
    total: Number = None


class _Reply(BaseModel):
    results: Rows[_Result]
    costDollars: Part[_Cost] = None


@dataclass(frozen=True, slots=True)
class Exa:
    """`POST /search` with the key in a header; previews are the passages that fit the query."""

    http: httpx.AsyncClient
    api_key: str = field(repr=False)
    name: str = _NAME
    operators: frozenset[Operator] = frozenset({"site", "exclude", "dates", "region"})

    def __post_init__(self) -> None:
        check_key("provider 'exa'", self.api_key, "EXA_API_KEY")

    async def search(self, query: SearchQuery) -> ProviderReply:
        """Pages by meaning and by words; Exa decides which."""
        request = self.http.build_request(
            "POST", ENDPOINT, json=_asked(query), headers={"x-api-key": self.api_key}
        )
        reply = await ask(
            self.name, self.http, request, _Reply, judge=_judge, key_name="EXA_API_KEY"
        )
        return ProviderReply(
            hits=[
                web_hit(
                    hit.url,
                    hit.title,
                    " … ".join(filter(None, hit.highlights or ())) or hit.text,
                    published=hit.publishedDate,
                )
                for hit in reply.results[: query.limit]
            ],
            cost_usd=reply.costDollars.total if reply.costDollars else None,
        )


def _asked(query: SearchQuery) -> dict[str, object]:
    asked: dict[str, object] = {
        "query": shortened(query.text, MAX_QUERY_CHARS),
        "type": "auto",
        "numResults": min(query.limit, MAX_RESULTS),
        "contents": {"highlights": {"maxCharacters": query.preview_chars}},
    }
    if query.include_domains:
        asked["includeDomains"] = query.include_domains
    if excluded := list(excludable(query.exclude_domains)):
        asked["excludeDomains"] = excluded
    # One millisecond before midnight: right whether or not Exa counts the end itself.
    if query.after:
        asked["startPublishedDate"] = f"{day_before(query.after)}T23:59:59.999Z"
    if query.before:
        asked["endPublishedDate"] = f"{last_day(query.before)}T23:59:59.999Z"
    if query.region:
        asked["userLocation"] = query.region.upper()
    return asked


def _judge(refused: Refused) -> ProviderError | None:
    if refused.status == 402 and refused.says(*_BUDGETS):
        return out_of_credits(_NAME, refused.status, "the budget of the key or team is used up")
    return None
