"""Anserini's REST server over a Lucene index: `java -cp … io.anserini.api.RestServer`.

The server binds to all addresses unless it is started with `--host 127.0.0.1`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import cast
from urllib.parse import quote, unquote, urlsplit

import httpx
from pydantic import BaseModel, JsonValue

from mcp_server.clean import clean, clean_line
from mcp_server.errors import ConfigError, FetchError, ProviderError, ProviderFailed
from mcp_server.log import redact
from mcp_server.search.providers._fields import MAX_TITLE_CHARS, Number, Rows, fragment_text
from mcp_server.search.providers._http import Refused, ask
from mcp_server.search.providers._service_url import service_url
from mcp_server.search.types import Operator, ProviderReply, SearchHit, SearchQuery
from mcp_server.visit.reading.passages import choose_passages
from mcp_server.visit.types import Page

NAME = "anserini"
URL_PREFIX = "corpus://anserini/"
MAX_QUERY_BYTES = 6_000
"""Of the query in the URL: the server takes 8 KiB of request head."""
MAX_CHAR_BYTES = 12
"""Of one character in a URL: four bytes as `%XX`."""
MAX_PREVIEWED_CHARS = 50_000
"""The preview is chosen from so much of a document's beginning."""
_NO_DOCUMENT = "Document not found"


class _Candidate(BaseModel):
    docid: str
    score: Number = None
    doc: JsonValue = None
    """What the index keeps of the document: its JSON, its text, or nothing."""


class _SearchReply(BaseModel):
    candidates: Rows[_Candidate]


class _DocumentReply(BaseModel):
    docid: str
    doc: JsonValue = None


@dataclass(frozen=True, slots=True)
class _Content:
    """A document of whatever collection the index was made from."""

    url: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Anserini:
    """One index of a server; also the `PageSource` of those documents that name no URL."""

    http: httpx.AsyncClient
    url: str
    """`http://host:8080/v1/NAME`; a path of the server's disk as NAME has its slashes as %2F."""
    name: str = NAME
    operators: frozenset[Operator] = frozenset({"page"})

    def __post_init__(self) -> None:
        hint = (
            "set anserini_url (SEEKLING_MCP_ANSERINI_URL), for example"
            " http://localhost:8080/v1/msmarco-v1-passage"
        )
        url = service_url("provider 'anserini'", self.url, needs="an index", hint=hint)
        prefix, _, index = urlsplit(url).path.rpartition("/")
        if not (prefix and index):
            raise ConfigError(
                f"provider 'anserini' needs the URL of an index, not {redact(url)!r}", hint=hint
            )
        object.__setattr__(self, "url", url)

    async def search(self, query: SearchQuery) -> ProviderReply:
        """The documents that Lucene's BM25 ranks first, with the passages that fit the query.

        Raises:
            ProviderBlocked: a proxy before the server refused us.
            ProviderFailed: the server could not be reached, broke, or has no such index.
        """
        wanted = query.page * query.limit
        request = self.http.build_request(
            "GET",
            f"{self.url}/search",
            params={"query": _words(query.text), "hits": wanted},
        )
        reply = await ask(self.name, self.http, request, _SearchReply, judge=_judge)
        candidates = reply.candidates[wanted - query.limit : wanted]
        return ProviderReply(hits=[_hit(candidate, query) for candidate in candidates])

    async def page(self, url: str) -> Page | None:
        """The document of a `corpus://anserini/` URL, or None where the index has none.

        Raises:
            FetchError: the server cannot be asked, or keeps no texts.
        """
        if not url.startswith(URL_PREFIX):
            return None
        docid = unquote(url.removeprefix(URL_PREFIX))
        # Anserini 1.7 decodes the id twice, and takes a plus sign for a space in any form.
        twice = quote(docid.replace("%", "%25"), safe="")
        request = self.http.build_request("GET", f"{self.url}/doc/{twice}")
        try:
            reply = await ask(self.name, self.http, request, _DocumentReply, judge=_judge)
        except ProviderFailed as exc:
            if exc.reason == _NO_DOCUMENT:
                return None
            raise _unread(url, exc) from exc
        except ProviderError as exc:
            raise _unread(url, exc) from exc
        if reply.docid != docid:
            return None
        content = _content(docid, reply.doc)
        if not content.text:
            raise FetchError(
                url,
                f"the Lucene index keeps no text of {docid!r}",
                hint="build it with -storeRaw or -storeContents",
            )
        return Page(
            url=url,
            final_url=url,
            title=clean_line(content.title, MAX_TITLE_CHARS),
            text=clean(content.text),
            media_type="text/plain",
        )


def _words(text: str) -> str:
    """The words that fit into a URL; a first word that is too long alone is cut."""
    words = text.split()
    sizes = accumulate(len(quote(word, errors="replace")) + 1 for word in words)
    fitting = [word for word, size in zip(words, sizes, strict=True) if size <= MAX_QUERY_BYTES]
    return " ".join(fitting) or text[: MAX_QUERY_BYTES // MAX_CHAR_BYTES]


def _judge(refused: Refused) -> ProviderError | None:
    if refused.status == 404 and refused.says(_NO_DOCUMENT):
        return ProviderFailed(NAME, _NO_DOCUMENT, retryable=False)
    if refused.status == 400 and refused.says("Unable to open index"):
        return ProviderFailed(
            NAME,
            "the server has no such index",
            retryable=False,
            hint="anserini_url ends in the index's name, or its path with %2F for each slash",
        )
    return None


def _unread(url: str, exc: ProviderError) -> FetchError:
    return FetchError(url, f"{url!r} cannot be read: {exc}", hint=exc.hint, retryable=exc.retryable)


def _hit(candidate: _Candidate, query: SearchQuery) -> SearchHit:
    content = _content(candidate.docid, candidate.doc)
    return SearchHit(
        url=content.url,
        title=clean_line(fragment_text(content.title), MAX_TITLE_CHARS),
        preview=clean_line(fragment_text(_fitting(content.text, query)), query.preview_chars),
        document_id=candidate.docid,
        score=candidate.score,
    )


def _fitting(text: str, query: SearchQuery) -> str:
    """What of a text fits the query; the server gives whole documents and no fragments."""
    text = clean(text[:MAX_PREVIEWED_CHARS])
    if len(text) <= query.preview_chars:
        return text
    chosen = choose_passages(text, query.text, query.preview_chars)
    return " … ".join(passage.text for passage in chosen.passages) or text


def _content(docid: str, doc: JsonValue) -> _Content:
    """Title, text and URL, however the collection names them.

    Collections keep `{"id", "contents"}`, often with the title as the first line of `contents`
    (in quotes in those of Search-R1), or fields of their own beside.
    """
    fields = _fields(doc)
    contents = _string(fields, "contents") or _string(fields, "raw")
    title = _string(fields, "title")
    text = _string(fields, "text") or _string(fields, "body") or contents
    line, end, rest = contents.partition("\n")
    if not title and end and len(line) <= MAX_TITLE_CHARS:
        title = line.strip().strip('"')
        text = rest if text == contents else text
    url = _string(fields, "url")
    if not url.startswith(("http://", "https://")):
        url = URL_PREFIX + quote(docid, safe="")
    return _Content(url=url, title=title, text=text)


def _fields(doc: JsonValue) -> Mapping[str, JsonValue]:
    if isinstance(doc, dict):
        return doc
    if not isinstance(doc, str):
        return {}
    if doc.startswith("{"):
        try:
            parsed: object = json.loads(doc)
        except (ValueError, RecursionError):
            parsed = None
        if isinstance(parsed, dict):
            return cast(dict[str, JsonValue], parsed)
    return {"contents": doc}


def _string(fields: Mapping[str, JsonValue], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""
