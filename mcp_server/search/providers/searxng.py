"""SearXNG: your own metasearch instance, by its JSON format."""

from collections.abc import Sequence
from dataclasses import dataclass

import httpx
from pydantic import BaseModel

from mcp_server.errors import ConfigError, ProviderBlocked
from mcp_server.search.providers._http import ask, fragment_text
from mcp_server.search.types import SearchHit, SearchQuery


class _Result(BaseModel):
    url: str
    title: str | None = None
    content: str | None = None  # absent or null for some engines


class _Reply(BaseModel):
    results: list[_Result]
    unresponsive_engines: list[list[str]] = []
    """Pairs of engine and reason."""


@dataclass(frozen=True, slots=True)
class SearXNG:
    """`GET /search?format=json`; the instance must have `json` in `search.formats`."""

    http: httpx.AsyncClient
    base_url: str
    name: str = "searxng"

    def __post_init__(self) -> None:
        if not self.base_url.startswith(("http://", "https://")):
            raise ConfigError(
                f"provider 'searxng' needs the URL of an instance, not {self.base_url!r}",
                hint="set searxng_url (SEEKLING_MCP_SEARXNG_URL), for example http://localhost:8888",
            )

    async def search(self, query: SearchQuery) -> Sequence[SearchHit]:
        """The instance's merged results."""
        request = self.http.build_request(
            "GET",
            self.base_url.rstrip("/") + "/search",
            params={"q": query.text, "format": "json"},
        )
        reply = await ask(
            self.name,
            self.http,
            request,
            _Reply,
            blocked={403: "the instance does not offer JSON: add it to search.formats"},
        )
        if not reply.results and reply.unresponsive_engines:
            # Every engine behind the instance was blocked or slow: that is not "no results".
            told = ", ".join(" ".join(pair) for pair in reply.unresponsive_engines[:5])
            raise ProviderBlocked(self.name, f"its engines did not answer: {told}", retryable=True)
        return [
            SearchHit(
                url=hit.url,
                title=fragment_text(hit.title or ""),
                preview=fragment_text(hit.content or ""),
            )
            for hit in reply.results[: query.limit]
        ]
