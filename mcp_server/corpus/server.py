"""A local index over HTTP, in the two protocols that search agents are trained with.

`POST /search` and `POST /visit` are those of the reference agent's in-house search server,
`POST /retrieve` is that of Search-R1's retrieval server. Who speaks one of them can use an index
of ours instead, without a change.
"""

import json
import logging
import re
import secrets
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from typing import Annotated, TypeVar
from urllib.parse import quote, unquote

import anyio
import anyio.to_thread
from pydantic import AliasChoices, BaseModel, BeforeValidator, Field, ValidationError
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from mcp_server.clean import clean_line
from mcp_server.corpus.index import LocalIndex
from mcp_server.errors import CorpusError
from mcp_server.loopback import is_loopback
from mcp_server.search.types import (
    MAX_LIMIT,
    MAX_PAGE,
    MAX_PREVIEW_CHARS,
    SearchHit,
    SearchQuery,
)
from mcp_server.visit.types import Page

MAX_BODY_BYTES = 1_000_000
BODY_SECONDS = 10.0
"""Longest wait for the body of a request."""
MAX_REQUESTS = 256
"""Requests inside at the same time; one more is told to come back."""
MAX_THREADS = 8
"""Threads that search; the other requests wait their turn."""
RETRY_SECONDS = 1
MAX_TOP_K = MAX_LIMIT * MAX_PAGE
MAX_QUERY_CHARS = 2_000
"""Longer queries are cut: a model wrote them, and one must not fail a batch."""
MAX_QUERIES = 5_000
"""Queries of one batch: a step of reinforcement learning sends 512 times 5."""
MAX_DOCUMENTS = 20_000
"""Queries times documents per query of one batch."""
_PIECE_QUERIES = 16
"""Queries that are answered in one go: what a stop may have to wait for."""
_URL_SAFE = "/:(),!*'~@$;"
"""What Wikipedia itself leaves as it is in the names of its pages."""

_PORT = re.compile(r":\d{1,5}$")

logger = logging.getLogger(__name__)

Result = TypeVar("Result")
Body = TypeVar("Body", bound=BaseModel)


def _encodable(value: object) -> object:
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


Words = Annotated[str, BeforeValidator(_encodable)]
"""Text that a model wrote: half of an escaped character in one query must not fail a batch."""


class _SearchRequest(BaseModel):
    query: Words = Field(min_length=1)
    top_k: Annotated[int, Field(ge=1, le=MAX_TOP_K)] = Field(
        default=3, validation_alias=AliasChoices("top_k", "number_results")
    )
    preview_char: Annotated[int, Field(ge=0)] = 256


class _VisitRequest(BaseModel):
    url: Words = Field(min_length=1, max_length=4_096)


class _RetrieveRequest(BaseModel):
    queries: list[Words] = Field(max_length=MAX_QUERIES)
    """May be empty, as may one of them: a batch holds what models wrote."""
    topk: Annotated[int, Field(ge=1, le=MAX_TOP_K)] | None = None
    return_scores: bool = False


class _Gate:
    """Who comes in: no browser pages, no strangers, not too many at once."""

    def __init__(self, app: ASGIApp, *, token: str, max_requests: int) -> None:
        self._app = app
        self._token = token.encode()
        self._max_requests = max_requests
        self._inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(Headers(scope=scope)) if scope["type"] == "http" else None
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        self._inside += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._inside -= 1

    def _refusal(self, headers: Headers) -> Response | None:
        if "origin" in headers:
            return _refuse(403, "pages in a browser may not use this server")
        if self._token:
            scheme, _, given = headers.get("authorization", "").partition(" ")
            right = secrets.compare_digest(given.strip().encode(), self._token)
            if scheme.lower() != "bearer" or not right:
                detail = "send the header 'Authorization: Bearer TOKEN' with the server's token"
                return _refuse(401, detail, {"WWW-Authenticate": "Bearer"})
        elif not is_loopback(_PORT.sub("", headers.get("host", ""))):
            # A name that an attacker points here would open the index to his page (DNS rebinding).
            return _refuse(421, "without a token this server answers as 127.0.0.1 or localhost")
        if self._inside >= self._max_requests:
            detail = f"busy: {self._inside} requests are under way; try again in a moment"
            return _refuse(503, detail, {"Retry-After": str(RETRY_SECONDS)})
        return None


def build_index_app(
    index: LocalIndex, *, token: str = "", max_requests: int = MAX_REQUESTS
) -> ASGIApp:
    """The application that answers from an index.

    Args:
        index: what to answer from; it goes on to its newest state by itself.
        token: what callers must send as `Authorization: Bearer …`; "" lets everybody in who
            names this machine as loopback does.
        max_requests: how many may be inside at once; more get a 503 with `Retry-After`.
    """
    endpoints = _Endpoints(index)
    app = Starlette(
        routes=[
            Route("/search", endpoints.search, methods=["POST"]),
            Route("/visit", endpoints.visit, methods=["POST"]),
            Route("/retrieve", endpoints.retrieve, methods=["POST"]),
            Route("/health", endpoints.health, methods=["GET"]),
        ],
        exception_handlers={HTTPException: _told, CorpusError: _told_damage},
    )
    return _Gate(app, token=token, max_requests=max_requests)


class _Endpoints:
    def __init__(self, index: LocalIndex) -> None:
        self._index = index
        self._threads = anyio.CapacityLimiter(MAX_THREADS)

    async def search(self, request: Request) -> Response:
        asked = await _read_body(request, _SearchRequest)
        hits = await self._run(
            lambda index: index.search(_query(asked.query, asked.top_k, asked.preview_char))
        )
        return JSONResponse({"results": [_as_result(hit) for hit in hits]})

    async def visit(self, request: Request) -> Response:
        asked = await _read_body(request, _VisitRequest)
        page = await self._run(lambda index: _find_page(index, asked.url))
        if page is None:
            told = f"no document of this index has the URL {clean_line(asked.url, 300)}"
            # The reference agent reads `data` whatever the status says.
            return JSONResponse({"detail": told, "data": told}, 404)
        return JSONResponse({"data": page.text, "title": page.title, "url": page.url})

    async def retrieve(self, request: Request) -> Response:
        asked = await _read_body(request, _RetrieveRequest)
        limit = asked.topk or 3
        if len(asked.queries) * limit > MAX_DOCUMENTS:
            raise HTTPException(
                422, f"more than {MAX_DOCUMENTS:,} documents asked for: send fewer queries at once"
            )

        def answer(queries: Sequence[str]) -> Callable[[LocalIndex], str]:
            return lambda index: ",".join(
                _as_retrieved(
                    index.search(_query(text, limit, MAX_PREVIEW_CHARS)),
                    with_scores=asked.return_scores,
                )
                for text in queries
            )

        first = await self._run(answer(asked.queries[:_PIECE_QUERIES]))

        # Written piece by piece, so that a large batch needs no memory and holds up nobody. An
        # error after the first piece breaks the reply off, which no client takes for an answer.
        async def written() -> AsyncGenerator[str]:
            yield f'{{"result":[{first}'
            for at in range(_PIECE_QUERIES, len(asked.queries), _PIECE_QUERIES):
                yield "," + await self._run(answer(asked.queries[at : at + _PIECE_QUERIES]))
            yield "]}"

        return StreamingResponse(written(), media_type="application/json")

    async def health(self, _: Request) -> Response:
        manifest = await self._run(lambda index: index.manifest)
        return JSONResponse(
            {
                "status": "ok",
                "name": manifest.name,
                "documents": manifest.documents,
                "generation": manifest.generation,
            }
        )

    async def _run(self, work: Callable[[LocalIndex], Result]) -> Result:
        return await anyio.to_thread.run_sync(work, self._index, limiter=self._threads)


async def _read_body(request: Request, body: type[Body]) -> Body:
    read = bytearray()
    try:
        with anyio.fail_after(BODY_SECONDS):
            async for chunk in request.stream():
                read += chunk
                if len(read) > MAX_BODY_BYTES:
                    raise HTTPException(413, f"the request is larger than {MAX_BODY_BYTES:,} bytes")
    except TimeoutError:
        raise HTTPException(408, f"no whole request within {BODY_SECONDS:g} s") from None
    try:
        # Not by the model itself, whose parser refuses lone surrogates: see `Words`.
        asked = json.loads(bytes(read))
    except (ValueError, RecursionError) as exc:
        raise HTTPException(400, f"the request is not JSON: {exc}") from None
    try:
        return body.model_validate(asked)
    except ValidationError as exc:
        first = exc.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "request"
        raise HTTPException(422, f"{where}: {first['msg']}") from None


def _query(text: str, limit: int, preview_chars: int) -> SearchQuery:
    return SearchQuery(
        text=clean_line(text, MAX_QUERY_CHARS),
        limit=limit,
        preview_chars=min(preview_chars, MAX_PREVIEW_CHARS),
    )


def _as_result(hit: SearchHit) -> dict[str, object]:
    return {
        "url": hit.url,
        "metadata": {"paper_title": hit.title, "published": hit.published},
        "preview": hit.preview,
        "id": hit.document_id,
        "score": hit.score,
    }


def _as_retrieved(hits: Sequence[SearchHit], *, with_scores: bool) -> str:
    """One query's answer as JSON.

    The contents are the title in quotes, a line end and the part of the document that answers the
    query, at most `MAX_PREVIEW_CHARS`: passages of Search-R1's own corpus have about 600.
    """
    documents = [
        {"id": hit.document_id, "contents": f'"{hit.title}"\n{hit.preview}', "url": hit.url}
        for hit in hits
    ]
    if not with_scores:
        return json.dumps(documents)
    return json.dumps(
        [
            {"document": document, "score": hit.score}
            for document, hit in zip(documents, hits, strict=True)
        ]
    )


def _find_page(index: LocalIndex, url: str) -> Page | None:
    for spelling in dict.fromkeys(_spellings(url.strip())):
        page = index.page_at(spelling)
        if page is not None:
            return page
    return None


def _spellings(url: str) -> Iterator[str]:
    """The ways in which a stored URL may be written, the given one first.

    The title in a wiki's URL has its spaces as `_`, `%20` or as they are, and other signs encoded
    or not; clients and corpora differ.
    """
    yield url
    url = url.partition("#")[0]
    yield url
    site, slash, name = url.partition("/wiki/")
    if not slash:
        return
    plain = unquote(name)
    for title in (plain.replace(" ", "_"), plain.replace("_", " ")):
        yield f"{site}/wiki/{title}"
        yield f"{site}/wiki/{quote(title, safe=_URL_SAFE)}"
        yield f"{site}/wiki/{quote(title)}"


def _refuse(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"detail": detail}, status, headers)


async def _told(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return JSONResponse({"detail": error.detail}, error.status_code, error.headers)


async def _told_damage(_: Request, error: Exception) -> Response:
    logger.error("cannot answer: %s", error)  # its folder is nothing for callers
    return JSONResponse({"detail": "the index cannot be read; see the server's log"}, 500)
