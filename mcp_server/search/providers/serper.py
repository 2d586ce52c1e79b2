"""Serper: Google results by API key (serper.dev)."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date

import httpx
from pydantic import BaseModel

from mcp_server.errors import ProviderError
from mcp_server.search.providers._fields import (
    Part,
    Rows,
    Text,
    WebUrl,
    first_per_url,
    is_web_url,
    web_hit,
)
from mcp_server.search.providers._http import Refused, ask, malformed, out_of_credits
from mcp_server.search.providers._key import check_key
from mcp_server.search.providers._query_text import last_day, with_domains
from mcp_server.search.types import Operator, ProviderReply, SearchHit, SearchQuery

ENDPOINT = "https://google.serper.dev/search"
_NAME = "serper"


class _Organic(BaseModel):
    link: WebUrl
    title: Text = ""
    snippet: Text = ""
    date: Text = ""


class _AnswerBox(BaseModel):
    link: Text = ""
    title: Text = ""
    answer: Text = ""
    snippet: Text = ""
    date: Text = ""


class _KnowledgeGraph(BaseModel):
    title: Text = ""
    type: Text = ""
    description: Text = ""
    descriptionLink: Text = ""
    website: Text = ""


class _Reply(BaseModel):
    searchParameters: Part[dict[str, object]] = None
    answerBox: Part[_AnswerBox] = None
    knowledgeGraph: Part[_KnowledgeGraph] = None
    organic: Rows[_Organic] | None = None  # absent when nothing was found


@dataclass(frozen=True, slots=True)
class Serper:
    """`POST /search` with the key in a header.

    What Google answers itself comes first, since it often is the answer: the answer box and the
    knowledge graph, where they name a page and say something. A page that is also among the
    results is then listed once.
    """

    http: httpx.AsyncClient
    api_key: str = field(repr=False)
    name: str = _NAME
    operators: frozenset[Operator] = frozenset(
        {"site", "exclude", "dates", "language", "region", "page"}
    )

    def __post_init__(self) -> None:
        check_key("provider 'serper'", self.api_key, "SERPER_API_KEY")

    async def search(self, query: SearchQuery) -> ProviderReply:
        """Google's answer and its organic results."""
        request = self.http.build_request(
            "POST", ENDPOINT, json=_asked(query), headers={"X-API-KEY": self.api_key}
        )
        reply = await ask(
            self.name, self.http, request, _Reply, judge=judge, key_name="SERPER_API_KEY"
        )
        if reply.searchParameters is None and reply.organic is None:
            raise malformed(self.name)
        hits = [
            *_own_answers(reply),
            *(
                web_hit(hit.link, hit.title, hit.snippet, published=hit.date)
                for hit in reply.organic or ()
            ),
        ]
        return ProviderReply(hits=first_per_url(hits)[: query.limit])


def _asked(query: SearchQuery) -> dict[str, object]:
    asked: dict[str, object] = {"q": with_domains(query, with_paths=True), "num": query.limit}
    if query.page > 1:
        asked["page"] = query.page
    if query.region:
        asked["gl"] = query.region
    if query.language:
        asked["hl"] = query.language
    if "dates" in query.operators:
        # Google's own parameter; both ends are part of the range, and either may be left out.
        first = f",cd_min:{_american(query.after)}" if query.after else ""
        last = f",cd_max:{_american(last_day(query.before))}" if query.before else ""
        asked["tbs"] = f"cdr:1{first}{last}"
    return asked


def _american(day: date) -> str:
    return f"{day.month}/{day.day}/{day.year}"


def _own_answers(reply: _Reply) -> Iterator[SearchHit]:
    box, graph = reply.answerBox, reply.knowledgeGraph
    if box and is_web_url(box.link) and (said := " ".join(filter(None, (box.answer, box.snippet)))):
        yield web_hit(box.link, box.title, said, published=box.date)
    if graph and graph.description and is_web_url(link := graph.descriptionLink or graph.website):
        title = f"{graph.title} ({graph.type})" if graph.type else graph.title
        yield web_hit(link, title, graph.description)


def judge(refused: Refused) -> ProviderError | None:
    """Tell an empty account, which comes with HTTP 400, from a bad request."""
    if refused.status == 400 and refused.says("not enough credits"):
        return out_of_credits(_NAME, refused.status)
    return None
