"""Brave Search by API key (api.search.brave.com)."""

from dataclasses import dataclass, field
from datetime import date

import httpx
from pydantic import BaseModel

from mcp_server.errors import ProviderBlocked, ProviderError
from mcp_server.search.providers._fields import Part, Rows, Text, WebUrl, web_hit
from mcp_server.search.providers._http import (
    MAX_RETRY_AFTER_SECONDS,
    Refused,
    ask,
    malformed,
    out_of_credits,
    rate_limited,
)
from mcp_server.search.providers._key import check_key
from mcp_server.search.providers._query_text import last_day, with_domains
from mcp_server.search.types import Operator, ProviderReply, SearchQuery

ENDPOINT = "https://api.search.brave.com/res/v1/web/search"
MAX_COUNT = 20
MAX_QUERY_CHARS = 400
MAX_QUERY_WORDS = 50
_NAME = "brave"
_EARLIEST, _LATEST = date(1990, 1, 1), date(2100, 1, 1)

_COUNTRIES = frozenset(
    """ar au at be br ca cl dk fi fr de hk in id it jp kr my mx nl nz no cn pl pt ph ru sa za es se
    ch tw tr gb us""".split()
)
"""What `country` knows; it answers others with an error, so those are asked for by `loc:`."""
_LANGUAGES = {
    code: code
    for code in """ar eu bn bg ca hr cs da nl en et fi fr gl de gu he hi hu is it kn ko lv lt ms ml
    mr nb pl pa ro ru sr sk sl es sv ta te th tr uk vi""".split()
} | {"zh": "zh-hans", "ja": "jp", "pt": "pt-pt", "no": "nb"}
"""What `search_lang` knows, by ISO 639-1; others are asked for by `lang:`."""


class _Result(BaseModel):
    url: WebUrl
    title: Text = ""
    description: Text = ""  # HTML
    page_age: Text = ""


class _Web(BaseModel):
    results: Rows[_Result]


class _Reply(BaseModel):
    query: Part[dict[str, object]] = None
    web: _Web | None = None  # absent when nothing was found


@dataclass(frozen=True, slots=True)
class Brave:
    """`GET /web/search` with the key in a header, web results only."""

    http: httpx.AsyncClient
    api_key: str = field(repr=False)
    name: str = _NAME
    operators: frozenset[Operator] = frozenset(
        {"site", "exclude", "dates", "language", "region", "page"}
    )

    def __post_init__(self) -> None:
        check_key("provider 'brave'", self.api_key, "BRAVE_API_KEY")

    async def search(self, query: SearchQuery) -> ProviderReply:
        """The web results of Brave's own index."""
        request = self.http.build_request(
            "GET",
            ENDPOINT,
            params=_asked(query),
            headers={"X-Subscription-Token": self.api_key, "Accept": "application/json"},
        )
        reply = await ask(
            self.name, self.http, request, _Reply, judge=_judge, key_name="BRAVE_API_KEY"
        )
        if reply.query is None and reply.web is None:
            raise malformed(self.name)
        results = reply.web.results if reply.web else []
        return ProviderReply(
            hits=[
                web_hit(hit.url, hit.title, hit.description, published=hit.page_age)
                for hit in results[: query.limit]
            ]
        )


def _asked(query: SearchQuery) -> dict[str, str | int]:
    in_text = ""
    asked: dict[str, str | int] = {
        "count": min(query.limit, MAX_COUNT),
        "result_filter": "web",
        "text_decorations": "false",
    }
    if query.page > 1:
        asked["offset"] = query.page - 1  # in pages
    if query.region in _COUNTRIES:
        asked["country"] = query.region.upper()
    elif query.region:
        in_text += f" loc:{query.region}"
    if query.language in _LANGUAGES:
        asked["search_lang"] = _LANGUAGES[query.language]
    elif query.language:
        in_text += f" lang:{query.language}"
    if "dates" in query.operators:
        first, last = query.after or _EARLIEST, last_day(query.before or _LATEST)
        asked["freshness"] = f"{first}to{last}"
    text = with_domains(
        query,
        max_chars=MAX_QUERY_CHARS - len(in_text),
        max_words=MAX_QUERY_WORDS - len(in_text.split()),
    )
    return {"q": text + in_text, **asked}


def _judge(refused: Refused) -> ProviderError | None:
    if refused.status == 429:
        return _over_limit(refused)
    if refused.says("SUBSCRIPTION_TOKEN_INVALID"):  # comes with HTTP 422
        reason = f"refused the key (HTTP {refused.status})"
        return ProviderBlocked(_NAME, reason, retryable=False, hint="check BRAVE_API_KEY")
    if refused.says("SUBSCRIPTION_NOT_FOUND"):
        return out_of_credits(_NAME, refused.status, "the key has no subscription for search")
    return None


def _over_limit(refused: Refused) -> ProviderBlocked:
    """Tell the limit per second from the quota of the month.

    The headers list one number per window, shortest first: what is left, and in how many seconds
    the window starts anew.
    """
    left, resets = (
        _numbers(refused.headers.get(f"x-ratelimit-{name}", "")) for name in ("remaining", "reset")
    )
    full = [reset for rest, reset in zip(left, resets, strict=False) if rest <= 0]
    wait = max(full or resets[:1], default=None)
    if refused.says("QUOTA_LIMITED") or (wait or 0) > MAX_RETRY_AFTER_SECONDS:
        return rate_limited(_NAME, refused, wait=wait, what="the quota of the plan is used up")
    return rate_limited(_NAME, refused, wait=wait)


def _numbers(header: str) -> list[float]:
    try:
        return [float(part) for part in header[:200].split(",")]
    except ValueError:
        return []
