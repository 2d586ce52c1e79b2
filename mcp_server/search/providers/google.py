"""Google's Programmable Search (Custom Search JSON API) by key and engine.

Google takes no new customers for it and ends it on 1 January 2027.
"""

from dataclasses import dataclass, field

import httpx
from pydantic import BaseModel

from mcp_server.errors import ConfigError, ProviderBlocked, ProviderError
from mcp_server.search.providers._fields import Part, Rows, Text, WebUrl, web_hit
from mcp_server.search.providers._http import (
    MAX_RETRY_AFTER_SECONDS,
    Refused,
    ask,
    malformed,
    rate_limited,
)
from mcp_server.search.providers._key import check_key
from mcp_server.search.providers._query_text import last_day, with_domains
from mcp_server.search.types import Operator, ProviderReply, SearchQuery

ENDPOINT = "https://www.googleapis.com/customsearch/v1"
MAX_COUNT = 10
_NAME = "google"
_LANGUAGES = {"zh": "zh-CN", "he": "iw"}
"""Where Google's code is not that of ISO 639-1."""
_DAILY = ("dailyLimitExceeded", "quotaExceeded", "Queries per day")
_TOO_FAST = ("rateLimitExceeded", "userRateLimitExceeded", "RATE_LIMIT_EXCEEDED")
_BAD_KEY = ("keyInvalid", "API_KEY_INVALID", "API key not valid", "keyExpired", "API key expired")
_NOT_ALLOWED = (
    "accessNotConfigured",
    "SERVICE_DISABLED",
    "ipRefererBlocked",
    "API_KEY_SERVICE_BLOCKED",
    "API_KEY_IP_ADDRESS_BLOCKED",
    "API_KEY_HTTP_REFERRER_BLOCKED",
)


class _Item(BaseModel):
    link: WebUrl
    title: Text = ""
    snippet: Text = ""


class _Reply(BaseModel):
    searchInformation: Part[dict[str, object]] = None
    items: Rows[_Item] | None = None  # absent when nothing was found


@dataclass(frozen=True, slots=True)
class Google:
    """`GET /customsearch/v1` with the key in a header, where no log of URLs shows it."""

    http: httpx.AsyncClient
    api_key: str = field(repr=False)
    engine_id: str
    name: str = _NAME
    operators: frozenset[Operator] = frozenset(
        {"site", "exclude", "dates", "language", "region", "page"}
    )

    def __post_init__(self) -> None:
        check_key("provider 'google'", self.api_key, "GOOGLE_API_KEY")
        if not self.engine_id:
            raise ConfigError(
                "provider 'google' needs the ID of a search engine",
                hint="set google_engine_id (SEEKLING_MCP_GOOGLE_ENGINE_ID), the cx of the engine",
            )

    async def search(self, query: SearchQuery) -> ProviderReply:
        """The engine's results: at most ten, whatever the limit."""
        request = self.http.build_request(
            "GET",
            ENDPOINT,
            params=_asked(query, self.engine_id),
            headers={"X-Goog-Api-Key": self.api_key},
        )
        reply = await ask(
            self.name, self.http, request, _Reply, judge=_judge, key_name="GOOGLE_API_KEY"
        )
        if reply.searchInformation is None and reply.items is None:
            raise malformed(self.name)
        return ProviderReply(
            hits=[
                web_hit(hit.link, hit.title, hit.snippet)
                for hit in (reply.items or [])[: query.limit]
            ]
        )


def _asked(query: SearchQuery, engine_id: str) -> dict[str, str | int]:
    count = min(query.limit, MAX_COUNT)
    asked: dict[str, str | int] = {
        "cx": engine_id,
        "q": with_domains(query, with_paths=True),
        "num": count,
    }
    if query.page > 1:
        asked["start"] = (query.page - 1) * count + 1
    if query.region:
        asked["gl"] = query.region
    if query.language:
        asked["lr"] = f"lang_{_LANGUAGES.get(query.language, query.language)}"
    if "dates" in query.operators:  # both ends are part of the range, and either may be empty
        first = f"{query.after:%Y%m%d}" if query.after else ""
        last = f"{last_day(query.before):%Y%m%d}" if query.before else ""
        asked["sort"] = f"date:r:{first}:{last}"
    return asked


def _judge(refused: Refused) -> ProviderError | None:
    if refused.status not in (400, 403, 429):
        return None
    # The daily quota first: its reply also says `rateLimitExceeded`.
    if refused.says(*_DAILY):
        return rate_limited(
            _NAME, refused, wait=MAX_RETRY_AFTER_SECONDS, what="the quota of the day is used up"
        )
    if refused.says(*_TOO_FAST):
        return rate_limited(_NAME, refused)
    if refused.says(*_BAD_KEY):
        return _blocked("refused the key", refused)
    if refused.says(*_NOT_ALLOWED):
        return _blocked("the key may not be used for this API or from here", refused)
    return None


def _blocked(reason: str, refused: Refused) -> ProviderBlocked:
    return ProviderBlocked(
        _NAME, f"{reason} (HTTP {refused.status})", retryable=False, hint="check GOOGLE_API_KEY"
    )
