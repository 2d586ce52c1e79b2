"""OpenSearch or Elasticsearch: an index that `seekling-mcp index push` made, on any cluster.

`POST /INDEX/_search` in the forms that OpenSearch 2 and 3 and Elasticsearch 8 and 9 share.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

import httpx
from pydantic import AfterValidator, BaseModel, Field

from mcp_server.clean import clean_line
from mcp_server.corpus.cluster.address import ClusterAddress, authorization
from mcp_server.errors import ConfigError, FetchError, ProviderError, ProviderFailed
from mcp_server.search.providers._fields import (
    MAX_TITLE_CHARS,
    MAX_URL_CHARS,
    Number,
    Rows,
    Text,
    fragment_text,
    iso_day,
)
from mcp_server.search.providers._http import Refused, ask, rate_limited
from mcp_server.search.types import Operator, ProviderReply, SearchHit, SearchQuery
from mcp_server.visit.types import Page

NAME = "opensearch"
SHARD_SECONDS = 5
"""After so long a shard stops and says that its part is not complete."""
MAX_QUERY_WORDS = 200
MAX_QUERY_CHARS = 2_000
"""A query may have 1,024 clauses; each word is one for each of two fields."""
PAGE_PASSAGES = 200
"""Passages of a document in one reply, of at most 5,000 characters each."""
MAX_PAGE_CHARS = 20_000_000
MAX_PAGE_PASSAGES = 20_000
URL_STARTS = ("http://", "https://", "corpus://")
KEY_NAME = "OPENSEARCH_CREDENTIALS or OPENSEARCH_API_KEY"


class _Shards(BaseModel):
    total: int
    failed: int


def _checked_url(url: str) -> str:
    if not url.startswith(URL_STARTS) or len(url) > MAX_URL_CHARS:
        raise ValueError("nothing that can be visited")
    return url


class _Source(BaseModel):
    url: Annotated[str, AfterValidator(_checked_url)]
    doc: Text = ""
    part: int | None = None
    title: Text = ""
    text: Text = ""
    published: Text = ""


class _Hit(BaseModel):
    score: Number = Field(default=None, alias="_score")
    source: _Source = Field(alias="_source")
    highlight: dict[str, list[str]] = {}
    sort: list[str | int | float] = []


class _Hits(BaseModel):
    hits: Rows[_Hit]


class _Reply(BaseModel):
    timed_out: bool
    shards: _Shards = Field(alias="_shards")
    hits: _Hits


@dataclass(frozen=True, slots=True)
class OpenSearch:
    """One index or alias; also the `PageSource` of its documents."""

    http: httpx.AsyncClient
    url: str
    """`https://host:9200/wiki`."""
    api_key: str = field(default="", repr=False)
    credentials: str = field(default="", repr=False)
    """`user:password`."""
    name: str = NAME
    operators: frozenset[Operator] = frozenset({"site", "exclude", "dates", "page"})
    _address: ClusterAddress = field(init=False, repr=False)
    _headers: Mapping[str, str] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.url:
            raise ConfigError(
                "provider 'opensearch' needs the URL of an index",
                hint="set opensearch_url (SEEKLING_MCP_OPENSEARCH_URL), for example"
                " https://host:9200/wiki",
            )
        try:
            address = ClusterAddress.parse(self.url)
        except ConfigError as exc:
            raise ConfigError(f"setting 'opensearch_url': {exc}", hint=exc.hint) from exc
        object.__setattr__(self, "_address", address)
        object.__setattr__(self, "_headers", authorization(self.api_key, self.credentials))

    async def search(self, query: SearchQuery) -> ProviderReply:
        """The best passage of each of the best documents.

        Raises:
            ProviderBlocked: key, password, or a full queue in the cluster (HTTP 429).
            ProviderFailed: it could not be reached, broke, has no such index, or only a part of
                its shards answered. The latter is a failure even when there are hits: nobody who
                reads them could tell that the best ones may be missing.
        """
        reply = await self._ask(_search_body(query))
        hits = [_search_hit(hit, query) for hit in reply.hits.hits]
        return ProviderReply(hits=hits[: query.limit])

    async def page(self, url: str) -> Page | None:
        """The document stored under exactly this URL, put together from its passages, or None.

        Raises:
            FetchError: the cluster did not answer, or not with all of the document.
        """
        found: list[_Hit] = []
        chars = 0
        while True:
            try:
                reply = await self._ask(_page_body(url, found[-1].sort if found else []))
            except ProviderError as exc:
                raise FetchError(
                    url, f"the cluster cannot give {url!r}: {exc}", hint=exc.hint, retryable=True
                ) from exc
            batch = reply.hits.hits
            found += batch
            chars += sum(len(hit.source.text) for hit in batch)
            if chars > MAX_PAGE_CHARS or len(found) > MAX_PAGE_PASSAGES:
                raise FetchError(url, f"{url!r} is too long to be put together")
            if len(batch) < PAGE_PASSAGES or not batch[-1].sort:
                break
        # Several documents may have one URL; as in a local index, the first one is shown.
        passages = [hit.source for hit in found if hit.source.doc == found[0].source.doc]
        if [passage.part for passage in passages] != list(range(len(passages))):
            raise FetchError(url, f"the cluster holds only a part of {url!r}", hint="push again")
        return _page(url, passages) if passages else None

    async def _ask(self, body: Mapping[str, object]) -> _Reply:
        request = self.http.build_request(
            "POST",
            self._address.url(f"{self._address.index}/_search"),
            json=body,
            headers=self._headers,
        )
        reply = await ask(self.name, self.http, request, _Reply, judge=_judge, key_name=KEY_NAME)
        if reply.timed_out or reply.shards.failed:
            away = f"{reply.shards.failed} of {reply.shards.total} shards failed"
            slow = f"some shards needed more than {SHARD_SECONDS} s"
            raise ProviderFailed(
                self.name,
                f"only a part of the index answered: {away if reply.shards.failed else slow}",
                retryable=True,
            )
        return reply


def _search_body(query: SearchQuery) -> dict[str, object]:
    words = query.text[:MAX_QUERY_CHARS].split()[:MAX_QUERY_WORDS]
    return {
        # The sum over both fields without a boost: what ranks best in the local index too.
        "query": {
            "bool": {
                "must": {
                    "multi_match": {
                        "query": " ".join(words),
                        "fields": ["title", "text"],
                        "type": "most_fields",
                    }
                },
                "filter": _filters(query),
                "must_not": {"terms": {"host": _whole_domains(query)}},
            }
        },
        "collapse": {"field": "doc"},
        "from": (query.page - 1) * query.limit,
        "size": query.limit,
        "timeout": f"{SHARD_SECONDS}s",
        "track_total_hits": False,
        "_source": ["doc", "url", "title", "published"],
        "highlight": {
            "fields": {
                "text": {
                    "fragment_size": query.preview_chars,
                    "number_of_fragments": 1,
                    "no_match_size": query.preview_chars,
                    "pre_tags": [""],
                    "post_tags": [""],
                }
            }
        },
    }


def _judge(refused: Refused) -> ProviderError | None:
    if refused.status == 404:
        return ProviderFailed(
            NAME,
            "the cluster has no such index (HTTP 404)",
            retryable=False,
            hint="make it: seekling-mcp index push DIR --to URL",
        )
    if refused.status == 429:
        return rate_limited(NAME, refused, what="the cluster is overloaded")
    return None


def _whole_domains(query: SearchQuery) -> list[str]:
    """Excluded domains; those with a path are left to the chain, which knows their pattern."""
    return [domain for domain in query.exclude_domains if "/" not in domain]


def _filters(query: SearchQuery) -> list[dict[str, object]]:
    filters: list[dict[str, object]] = []
    if query.include_domains:
        filters.append({"terms": {"host": list(query.include_domains)}})
    days = {
        bound: day.isoformat()
        for bound, day in (("gte", query.after), ("lt", query.before))
        if day is not None
    }
    if days:
        filters.append({"range": {"published": days}})
    return filters


def _page_body(url: str, after: Sequence[object]) -> dict[str, object]:
    body: dict[str, object] = {
        "query": {"term": {"url": url}},
        "sort": [{"doc": "asc"}, {"part": "asc"}],
        "size": PAGE_PASSAGES,
        "timeout": f"{SHARD_SECONDS}s",
        "track_total_hits": False,
        "_source": ["doc", "url", "part", "title", "text"],
    }
    return body | ({"search_after": list(after)} if after else {})


def _search_hit(hit: _Hit, query: SearchQuery) -> SearchHit:
    fragment = " … ".join(hit.highlight.get("text", []))
    return SearchHit(
        url=hit.source.url,
        title=clean_line(fragment_text(hit.source.title), MAX_TITLE_CHARS),
        preview=clean_line(fragment_text(fragment), query.preview_chars),
        published=iso_day(hit.source.published),
        document_id=hit.source.doc,
        score=hit.score,
    )


def _page(url: str, passages: Sequence[_Source]) -> Page:
    return Page(
        url=url,
        final_url=url,
        title=passages[0].title,
        text="".join(passage.text for passage in passages),
        media_type="text/markdown",
    )
