"""A search server of the reference agent's protocol, such as `seekling-mcp index serve`."""

from dataclasses import dataclass, field
from typing import Annotated, Any, cast

import anyio.to_thread
import httpx
from pydantic import AfterValidator, BaseModel

from mcp_server.clean import clean, clean_line
from mcp_server.errors import FetchError, ProviderError, ProviderFailed
from mcp_server.search.providers._fields import (
    MAX_TITLE_CHARS,
    Number,
    Part,
    Rows,
    Text,
    is_web_url,
    web_hit,
)
from mcp_server.search.providers._http import Refused, ask
from mcp_server.search.providers._key import check_key
from mcp_server.search.providers._service_url import service_url
from mcp_server.search.types import Operator, ProviderReply, SearchQuery
from mcp_server.visit.types import Page

KEY_NAME = "INDEX_SERVER_TOKEN"
"""The environment variable of the server's token."""
_SEARCH = "/search"
_TEXT_KEYS = ("text", "content", "markdown", "contents")
"""Where servers put the text of a page that is not a string itself."""


def _known_url(value: str) -> str:
    if not is_web_url(value) and not value.startswith("corpus://"):
        raise ValueError("no URL of the web or of an index")
    return value


class _Metadata(BaseModel):
    paper_title: Text = ""
    title: Text = ""
    published: Text = ""


class _Result(BaseModel):
    url: Annotated[str, AfterValidator(_known_url)]
    metadata: Part[_Metadata] = None
    preview: Text = ""
    score: Number = None


class _Found(BaseModel):
    results: Rows[_Result]


class _Visited(BaseModel):
    data: str | dict[str, Any] | None
    title: Text = ""


class _NotStored(ProviderFailed):
    """The server has no document of this URL."""


@dataclass(frozen=True, slots=True)
class IndexServer:
    """`POST /search` and `POST /visit`."""

    http: httpx.AsyncClient
    base_url: str
    token: str = field(default="", repr=False)
    name: str = "index_server"
    operators: frozenset[Operator] = frozenset({"page"})

    def __post_init__(self) -> None:
        url = service_url(
            "provider 'index_server'",
            self.base_url,
            needs="a server",
            hint="set index_server_url (SEEKLING_MCP_INDEX_SERVER_URL), for example"
            " http://localhost:10000",
            endpoint=_SEARCH,
        )
        object.__setattr__(self, "base_url", url)
        if self.token:
            check_key("provider 'index_server'", self.token, KEY_NAME)

    async def search(self, query: SearchQuery) -> ProviderReply:
        """The documents that the server ranks first."""
        request = self._request(
            _SEARCH,
            {
                "query": query.text,
                "top_k": query.limit * query.page,
                "preview_char": query.preview_chars,
            },
        )
        reply = await ask(self.name, self.http, request, _Found, key_name=KEY_NAME)
        first = (query.page - 1) * query.limit
        return ProviderReply(
            hits=[
                web_hit(
                    hit.url,
                    metadata.paper_title or metadata.title,
                    hit.preview,
                    published=metadata.published,
                    score=hit.score,
                )
                for hit in reply.results[first : first + query.limit]
                for metadata in (hit.metadata or _Metadata(),)
            ]
        )

    async def page(self, url: str) -> Page | None:
        """The whole document that the server has under this URL; None where it has none.

        Raises:
            FetchError: the server could not be reached, refused us or broke.
        """
        try:
            visited = await ask(
                self.name,
                self.http,
                self._request("/visit", {"url": url}),
                _Visited,
                judge=self._not_stored,
                key_name=KEY_NAME,
            )
        except _NotStored:
            return None
        except ProviderError as exc:
            raise FetchError(
                url,
                f"the index server: {exc.reason}",
                retryable=exc.retryable,
                retry_after_seconds=exc.retry_after_seconds,
                hint=exc.hint,
            ) from exc
        return await anyio.to_thread.run_sync(_as_page, url, visited)  # it may be megabytes

    def _not_stored(self, refused: Refused) -> ProviderError | None:
        if refused.status != 404:
            return None
        return _NotStored(self.name, "has no such document", retryable=False)

    def _request(self, path: str, asked: dict[str, object]) -> httpx.Request:
        return self.http.build_request(
            "POST",
            self.base_url + path,
            json=asked,
            headers={"Authorization": f"Bearer {self.token}"} if self.token else {},
        )


def _as_page(url: str, visited: _Visited) -> Page | None:
    data = visited.data if isinstance(visited.data, dict) else {"text": visited.data or ""}
    text = next((clean(found) for key in _TEXT_KEYS if (found := _string(data, key))), "")
    if not text:
        return None
    return Page(
        url=url,
        final_url=url,
        title=clean_line(visited.title or _string(data, "title"), MAX_TITLE_CHARS),
        text=text,
        media_type="text/markdown",
    )


def _string(data: dict[str, Any], key: str) -> str:
    found = cast(object, data.get(key))
    return found if isinstance(found, str) else ""
