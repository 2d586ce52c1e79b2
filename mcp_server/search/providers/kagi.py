"""Kagi's Search API by key (kagi.com/api), version 1."""

from dataclasses import dataclass, field

import httpx
from pydantic import BaseModel

from mcp_server.clean import clean_line
from mcp_server.errors import ProviderBlocked, ProviderError, ProviderFailed
from mcp_server.search.providers._fields import Rows, Text, WebUrl, web_hit
from mcp_server.search.providers._http import (
    MAX_SAID_CHARS,
    Refused,
    ask,
    malformed,
    out_of_credits,
)
from mcp_server.search.providers._key import check_key
from mcp_server.search.providers._query_text import day_before, excludable, shortened
from mcp_server.search.types import Operator, ProviderReply, SearchQuery

ENDPOINT = "https://kagi.com/api/v1/search"
MAX_QUERY_CHARS = 1_000
"""The API takes 4,096 bytes; a character has up to four."""
_NAME = "kagi"


class _Result(BaseModel):
    url: WebUrl
    title: Text = ""
    snippet: Text = ""  # HTML
    time: Text = ""


class _Data(BaseModel):
    search: Rows[_Result] | None = None  # absent when nothing was found


class _Fault(BaseModel):
    code: object = None
    message: Text = ""
    msg: Text = ""


class _Reply(BaseModel):
    data: _Data | None = None
    errors: Rows[_Fault] | None = None
    error: Rows[_Fault] | None = None


@dataclass(frozen=True, slots=True)
class Kagi:
    """`POST /search` with the key in a header; domains go into a lens made for this one search."""

    http: httpx.AsyncClient
    api_key: str = field(repr=False)
    name: str = _NAME
    operators: frozenset[Operator] = frozenset({"site", "exclude", "dates", "region", "page"})

    def __post_init__(self) -> None:
        check_key("provider 'kagi'", self.api_key, "KAGI_API_KEY")

    async def search(self, query: SearchQuery) -> ProviderReply:
        """Kagi's web results, with the settings of the account."""
        request = self.http.build_request(
            "POST",
            ENDPOINT,
            json=_asked(query),
            headers={"Authorization": f"Bearer {self.api_key}", "Accept": "application/json"},
        )
        reply = await ask(
            self.name, self.http, request, _Reply, judge=_judge, key_name="KAGI_API_KEY"
        )
        if faults := [*(reply.errors or ()), *(reply.error or ())]:
            raise _fault(faults)
        if reply.data is None:
            raise malformed(self.name)
        return ProviderReply(
            hits=[
                web_hit(hit.url, hit.title, hit.snippet, published=hit.time)
                for hit in (reply.data.search or [])[: query.limit]
            ]
        )


def _asked(query: SearchQuery) -> dict[str, object]:
    lens: dict[str, object] = {}
    if query.include_domains:
        lens["sites_included"] = query.include_domains
    if excluded := list(excludable(query.exclude_domains)):
        lens["sites_excluded"] = excluded
    filters: dict[str, object] = {}
    # "After" a day is from the next one on; "before" a day ends with the one before it.
    if query.after:
        filters["after"] = day_before(query.after).isoformat()
    if query.before:
        filters["before"] = query.before.isoformat()
    if query.region:
        filters["region"] = query.region.upper()
    asked: dict[str, object] = {
        "query": shortened(query.text, MAX_QUERY_CHARS),
        "workflow": "search",
        "limit": query.limit,
    }
    if query.page > 1:
        asked["page"] = query.page
    return asked | ({"lens": lens} if lens else {}) | ({"filters": filters} if filters else {})


def _judge(refused: Refused) -> ProviderError | None:
    if refused.says("invalid_token"):  # comes with HTTP 400 too
        return _bad_key(f"HTTP {refused.status}")
    if refused.says("insufficient credit", "usage limit"):
        return out_of_credits(_NAME, refused.status)
    return None


def _fault(faults: list[_Fault]) -> ProviderError:
    """The meaning of an error list that came with HTTP 200."""
    told = clean_line(faults[0].message or faults[0].msg, MAX_SAID_CHARS)
    if any("invalid_token" in str(fault.code) for fault in faults):
        return _bad_key(told)
    if "credit" in told.lower():
        return out_of_credits(_NAME, 200)
    return ProviderFailed(_NAME, f"answered an error: {told}", retryable=True)


def _bad_key(told: str) -> ProviderBlocked:
    return ProviderBlocked(
        _NAME, f"refused the key ({told})", retryable=False, hint="check KAGI_API_KEY"
    )
