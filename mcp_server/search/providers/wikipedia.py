"""Wikipedia's own search, by the MediaWiki API; no key."""

import re
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import quote

import httpx
from pydantic import BaseModel, Field

from mcp_server.errors import ProviderBlocked, ProviderFailed
from mcp_server.search.providers._fields import Rows, Text, web_hit
from mcp_server.search.providers._http import ask, malformed
from mcp_server.search.providers._query_text import shortened
from mcp_server.search.types import Operator, ProviderReply, SearchQuery

MAX_QUERY_CHARS = 300
"""Longer searches are refused there."""
MAX_EXTRACT_CHARS = 1_200
MAX_EXTRACTS = 20
_LANGUAGE = re.compile(r"[a-z]{2,3}")
_URL_SAFE = ";@$!*(),/~:"
"""What MediaWiki leaves as it is in the URLs of its pages."""
_BUSY = frozenset({"ratelimited", "maxlag", "cirrussearch-too-busy-error", "too-many-requests"})


class _Page(BaseModel):
    title: Annotated[str, Field(min_length=1)]
    index: int
    extract: Text = ""
    description: Text = ""


class _Query(BaseModel):
    pages: Rows[_Page]


class _Error(BaseModel):
    code: str
    info: str = ""


class _Reply(BaseModel):
    query: _Query | None = None  # absent when nothing was found
    error: _Error | None = None  # errors come with HTTP 200
    batchcomplete: bool | None = None


@dataclass(frozen=True, slots=True)
class Wikipedia:
    """`action=query` with search as the generator: one request gives pages and their first words.

    The alternative, `list=search`, gives some 150 characters around the matched words instead,
    often out of a table. The first sentences say what a page is about in whole sentences and at
    the length asked for, by which a model can tell which page to open; both together would make
    Wikipedia search twice.
    """

    http: httpx.AsyncClient
    name: str = "wikipedia"
    operators: frozenset[Operator] = frozenset({"language", "page"})

    async def search(self, query: SearchQuery) -> ProviderReply:
        """Articles of the Wikipedia in the query's language, English by default."""
        language = query.language or "en"
        if not _LANGUAGE.fullmatch(language):
            raise ProviderFailed(self.name, f"no Wikipedia is in {language!r}", retryable=False)
        site = f"https://{language}.wikipedia.org"
        request = self.http.build_request(
            "GET",
            f"{site}/w/api.php",
            params={
                "action": "query",
                "format": "json",
                "formatversion": 2,
                "generator": "search",
                "gsrsearch": shortened(query.text, MAX_QUERY_CHARS),
                "gsrnamespace": 0,
                "gsrlimit": query.limit,
                "gsroffset": (query.page - 1) * query.limit,
                "prop": "extracts|description",
                "exintro": 1,
                "explaintext": 1,
                "exlimit": MAX_EXTRACTS,
                "exchars": min(max(query.preview_chars, 1), MAX_EXTRACT_CHARS),
            },
        )
        reply = await ask(self.name, self.http, request, _Reply)
        self._check(reply)
        pages = sorted(reply.query.pages if reply.query else [], key=lambda page: page.index)
        return ProviderReply(
            hits=[
                web_hit(
                    f"{site}/wiki/{_in_url(page.title)}",
                    page.title,
                    page.extract or page.description,
                )
                for page in pages[: query.limit]
            ]
        )

    def _check(self, reply: _Reply) -> None:
        if reply.error is None:
            if reply.query is None and reply.batchcomplete is None:
                raise malformed(self.name)
            return
        code = reply.error.code[:60]
        if code in _BUSY:
            raise ProviderBlocked(self.name, f"rate limit or overload ({code})", retryable=True)
        raise ProviderFailed(self.name, f"answered the error {code!r}", retryable=True)


def _in_url(title: str) -> str:
    return quote(title.replace(" ", "_"), safe=_URL_SAFE, errors="replace")
