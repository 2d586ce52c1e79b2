"""Serper: Google results by API key (serper.dev)."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import httpx
from pydantic import BaseModel

from mcp_server.errors import ConfigError
from mcp_server.search.providers._http import ask, fragment_text
from mcp_server.search.types import SearchHit, SearchQuery

ENDPOINT = "https://google.serper.dev/search"


class _Organic(BaseModel):
    link: str
    title: str = ""
    snippet: str = ""


class _Reply(BaseModel):
    organic: list[_Organic] = []  # absent when nothing was found


@dataclass(frozen=True, slots=True)
class Serper:
    """`POST /search` with the key in a header."""

    http: httpx.AsyncClient
    api_key: str = field(repr=False)
    name: str = "serper"

    def __post_init__(self) -> None:
        if not self.api_key:
            raise ConfigError("provider 'serper' needs a key", hint="set SERPER_API_KEY")

    async def search(self, query: SearchQuery) -> Sequence[SearchHit]:
        """Google's organic results."""
        request = self.http.build_request(
            "POST",
            ENDPOINT,
            json={"q": query.text, "num": query.limit},
            headers={"X-API-KEY": self.api_key},
        )
        # Serper answers 400 "Not enough credits" when the account is empty.
        reply = await ask(
            self.name, self.http, request, _Reply, blocked={400: "request refused, out of credits?"}
        )
        return [
            SearchHit(
                url=hit.link, title=fragment_text(hit.title), preview=fragment_text(hit.snippet)
            )
            for hit in reply.organic[: query.limit]
        ]
