"""SearXNG: your own metasearch instance, by its JSON format."""

from dataclasses import dataclass
from typing import Any

import httpx
from pydantic import BaseModel

from mcp_server.clean import clean_line
from mcp_server.errors import ProviderBlocked
from mcp_server.search.providers._fields import Number, Rows, Text, WebUrl, web_hit
from mcp_server.search.providers._http import ask
from mcp_server.search.providers._query_text import with_domains
from mcp_server.search.providers._service_url import service_url
from mcp_server.search.types import Operator, ProviderReply, SearchQuery

MAX_ENGINES_TOLD = 5
_PATH = "/search"


class _Result(BaseModel):
    url: WebUrl
    title: Text = ""
    content: Text = ""  # absent or null for some engines
    publishedDate: Text = ""
    score: Number = None


class _Reply(BaseModel):
    results: Rows[_Result]
    unresponsive_engines: Rows[list[Any]] = []
    """Pairs of engine and reason."""


@dataclass(frozen=True, slots=True)
class SearXNG:
    """`GET /search?format=json`; the instance must have `json` in `search.formats`.

    Its time range is the last day, month or year only, and each engine behind it has its own
    regions, so that neither dates nor region are claimed. Most engines read `site:` in the words.
    """

    http: httpx.AsyncClient
    base_url: str
    name: str = "searxng"
    operators: frozenset[Operator] = frozenset({"site", "exclude", "language", "page"})

    def __post_init__(self) -> None:
        url = service_url(
            "provider 'searxng'",
            self.base_url,
            needs="an instance",
            hint="set searxng_url (SEEKLING_MCP_SEARXNG_URL), for example http://localhost:8888",
            endpoint=_PATH,
        )
        object.__setattr__(self, "base_url", url)

    async def search(self, query: SearchQuery) -> ProviderReply:
        """The instance's merged results; its pages have as many as its engines give."""
        params: dict[str, str | int] = {"q": with_domains(query), "format": "json"}
        if query.language:
            params["language"] = query.language
        if query.page > 1:
            params["pageno"] = query.page
        request = self.http.build_request("GET", self.base_url + _PATH, params=params)
        reply = await ask(
            self.name,
            self.http,
            request,
            _Reply,
            blocked={403: "the instance does not offer JSON: add it to search.formats"},
        )
        if not reply.results and reply.unresponsive_engines:
            # Every engine behind the instance was blocked or slow: that is not "no results".
            told = ", ".join(
                clean_line(" ".join(str(part) for part in pair[:2]), 80)
                for pair in reply.unresponsive_engines[:MAX_ENGINES_TOLD]
            )
            raise ProviderBlocked(self.name, f"its engines did not answer: {told}", retryable=True)
        return ProviderReply(
            hits=[
                web_hit(
                    hit.url, hit.title, hit.content, published=hit.publishedDate, score=hit.score
                )
                for hit in reply.results[: query.limit]
            ]
        )
