"""Jina AI's search by API key (s.jina.ai)."""

from dataclasses import dataclass, field

import httpx
from pydantic import BaseModel

from mcp_server.errors import ProviderError, ProviderFailed
from mcp_server.search.providers._fields import Rows, Text, WebUrl, web_hit
from mcp_server.search.providers._http import Refused, ask
from mcp_server.search.providers._key import check_key
from mcp_server.search.providers._query_text import with_domains
from mcp_server.search.types import Operator, ProviderReply, SearchQuery

ENDPOINT = "https://s.jina.ai/"
MAX_COUNT = 20
_NAME = "jina"


class _Result(BaseModel):
    url: WebUrl
    title: Text = ""
    description: Text = ""
    content: Text = ""
    date: Text = ""


class _Reply(BaseModel):
    data: Rows[_Result] | None


class _NothingFound(ProviderFailed):
    """Jina answers HTTP 422 where it found nothing; never leaves this module."""


@dataclass(frozen=True, slots=True)
class Jina:
    """`POST /` for titles and descriptions; the pages themselves are not asked for.

    The words go to Google, which reads `site:` in them. A language is accepted by the API and not
    applied, hence not claimed here.
    """

    http: httpx.AsyncClient
    api_key: str = field(repr=False)
    name: str = _NAME
    operators: frozenset[Operator] = frozenset({"site", "exclude", "region", "page"})

    def __post_init__(self) -> None:
        check_key("provider 'jina'", self.api_key, "JINA_API_KEY")

    async def search(self, query: SearchQuery) -> ProviderReply:
        """Results of the engine behind the API."""
        request = self.http.build_request(
            "POST",
            ENDPOINT,
            json=_asked(query),
            headers={
                "Authorization": f"Bearer {self.api_key}",
                "Accept": "application/json",
                "X-Respond-With": "no-content",
            },
        )
        try:
            reply = await ask(
                self.name, self.http, request, _Reply, judge=_judge, key_name="JINA_API_KEY"
            )
        except _NothingFound:
            return ProviderReply(hits=[])
        return ProviderReply(
            hits=[
                web_hit(hit.url, hit.title, hit.description or hit.content, published=hit.date)
                for hit in (reply.data or [])[: query.limit]
            ]
        )


def _asked(query: SearchQuery) -> dict[str, object]:
    asked: dict[str, object] = {
        "q": with_domains(query, with_paths=True),
        "num": min(query.limit, MAX_COUNT),
    }
    if query.region:
        asked["gl"] = query.region
    if query.page > 1:
        asked["page"] = query.page
    return asked


def _judge(refused: Refused) -> ProviderError | None:
    if refused.status == 422 and refused.says("No search results available"):
        return _NothingFound(_NAME, "nothing found", retryable=False)
    return None
