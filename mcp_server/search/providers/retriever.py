"""A retriever of the Search-R1 protocol, as stacks for reinforcement learning run them."""

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import Any, Self, cast
from urllib.parse import quote

import anyio.to_thread
import httpx
from pydantic import BaseModel, model_validator

from mcp_server.clean import clean, clean_line
from mcp_server.search.providers._fields import (
    MAX_TITLE_CHARS,
    MAX_URL_CHARS,
    Number,
    Rows,
    Text,
    is_web_url,
    web_hit,
)
from mcp_server.search.providers._http import ask, malformed
from mcp_server.search.providers._key import check_key
from mcp_server.search.providers._service_url import service_url
from mcp_server.search.types import Operator, ProviderReply, SearchHit, SearchQuery
from mcp_server.visit.types import Page

MAX_ID_CHARS = 300
MAX_KEPT_DOCUMENTS = 2_000
MAX_KEPT_CHARS = 20_000_000
KEY_NAME = "RETRIEVER_TOKEN"
"""The environment variable of the server's token."""
_PATH = "/retrieve"


class _Document(BaseModel):
    id: str | int | None = None
    contents: Text = ""
    """The title in quotes, a line end, the text."""
    title: Text = ""
    text: Text = ""
    url: Text = ""

    @model_validator(mode="after")
    def _check_text(self) -> Self:
        if not (self.contents or self.text or self.title).strip():
            raise ValueError("a document without a word")
        return self


class _Item(BaseModel):
    document: _Document
    score: Number = None

    @model_validator(mode="before")
    @classmethod
    def _with_document(cls, value: Any) -> Any:
        """Without scores a server sends the document itself."""
        if isinstance(value, dict) and "document" not in value:
            return {"document": cast(dict[str, object], value)}
        return value


class _Reply(BaseModel):
    result: list[Rows[_Item]]
    """One list per query."""


class _Memory:
    """Title and text of the documents seen last, by URL."""

    def __init__(self) -> None:
        self._documents: OrderedDict[str, tuple[str, str]] = OrderedDict()
        self._chars = 0

    def keep(self, url: str, title: str, text: str) -> None:
        self._forget(url)
        self._documents[url] = title, text
        self._chars += len(text)
        while len(self._documents) > MAX_KEPT_DOCUMENTS or self._chars > MAX_KEPT_CHARS:
            self._forget(next(iter(self._documents)))

    def find(self, url: str) -> tuple[str, str] | None:
        if url in self._documents:
            self._documents.move_to_end(url)
        return self._documents.get(url)

    def _forget(self, url: str) -> None:
        _, text = self._documents.pop(url, ("", ""))
        self._chars -= len(text)


@dataclass(frozen=True, slots=True)
class Retriever:
    """`POST /retrieve`; what it finds has no place on the web, so the documents are kept here."""

    http: httpx.AsyncClient
    base_url: str
    token: str = field(default="", repr=False)
    name: str = "retriever"
    operators: frozenset[Operator] = frozenset({"page"})
    _memory: _Memory = field(default_factory=_Memory, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        url = service_url(
            "provider 'retriever'",
            self.base_url,
            needs="a server",
            hint="set retriever_url (SEEKLING_MCP_RETRIEVER_URL), for example"
            " http://localhost:8000",
            endpoint=_PATH,
        )
        object.__setattr__(self, "base_url", url)
        if self.token:
            check_key("provider 'retriever'", self.token, KEY_NAME)

    async def search(self, query: SearchQuery) -> ProviderReply:
        """The documents that the retriever ranks first; their whole text is then a page."""
        request = self.http.build_request(
            "POST",
            self.base_url + _PATH,
            json={
                "queries": [query.text],
                "topk": query.limit * query.page,
                "return_scores": True,
            },
            headers={"Authorization": f"Bearer {self.token}"} if self.token else {},
        )
        reply = await ask(self.name, self.http, request, _Reply, key_name=KEY_NAME)
        if len(reply.result) != 1:
            raise malformed(self.name)
        first = (query.page - 1) * query.limit
        items = reply.result[0][first : first + query.limit]
        return ProviderReply(hits=[self._hit(item) for item in items])

    async def page(self, url: str) -> Page | None:
        """A document that a search gave without a URL of the web; None for all others."""
        kept = self._memory.find(url)
        if kept is None:
            return None
        title, text = kept
        return Page(
            url=url,
            final_url=url,
            title=clean_line(title, MAX_TITLE_CHARS),
            text=await anyio.to_thread.run_sync(clean, text),  # it may be megabytes
            media_type="text/plain",
        )

    def _hit(self, item: _Item) -> SearchHit:
        title, text = _parts(item.document)
        identity = "" if item.document.id is None else str(item.document.id)
        url = clean_line(item.document.url, MAX_URL_CHARS)
        if not is_web_url(url):
            if not url.startswith("corpus://"):
                key = identity if 0 < len(identity) <= MAX_ID_CHARS else _digest(identity + text)
                url = f"corpus://retriever/{quote(key, safe='', errors='replace')}"
            self._memory.keep(url, title, text)
        hit = web_hit(url, title, text, score=item.score)
        return replace(hit, document_id=clean_line(identity, MAX_ID_CHARS))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:16]


def _parts(document: _Document) -> tuple[str, str]:
    """Title and text, however this server names them."""
    line, end, rest = document.contents.partition("\n")
    is_title = bool(end) and len(line) <= MAX_TITLE_CHARS
    title = document.title or (line.strip().strip('"') if is_title else "")
    return title, document.text or (rest if is_title else document.contents)
