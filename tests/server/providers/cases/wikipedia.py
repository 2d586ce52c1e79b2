"""The MediaWiki API with `generator=search`, format version 2."""

import json
from collections.abc import Sequence

from mcp_server.errors import ProviderFailed
from mcp_server.search.providers.wikipedia import MAX_QUERY_CHARS, Wikipedia
from tests.server.providers.contract import Case, Refusal, Row


def reply(rows: Sequence[Row]) -> bytes:
    pages = [
        {
            "pageid": 1_000 + rank,
            "ns": 0,
            "title": None if row.url is None else row.title,
            "index": rank,
            "extract": row.preview,
            "description": "Natural satellite",
            "descriptionsource": "local",
        }
        for rank, row in enumerate(rows, start=1)
    ]
    return json.dumps(
        {
            "batchcomplete": True,
            "continue": {"gsroffset": 5, "continue": "gsroffset||"},
            "query": {"pages": list(reversed(pages))},  # they come in any order
        }
    ).encode()


def error(code: str, info: str) -> bytes:
    told = {"code": code, "info": info, "docref": "See https://en.wikipedia.org/w/api.php"}
    return json.dumps({"error": told, "servedby": "mw-api-ext.eqiad"}).encode()


CASE = Case(
    build=lambda http: Wikipedia(http),
    reply=reply,
    empty=b'{"batchcomplete": true}',
    sent={
        "language": lambda request: request.url.host == "de.wikipedia.org",
        "page": lambda request: request.url.params["gsroffset"] == "10",
    },
    text_of=lambda request: request.url.params["gsrsearch"],
    refusals=[
        Refusal(
            status=200,
            body=error("ratelimited", "You've exceeded your rate limit."),
            says=r"rate limit or overload \(ratelimited\)",
        ),
        Refusal(
            status=200,
            body=error("cirrussearch-too-busy-error", "Search is currently too busy."),
            says="too-busy",
        ),
        Refusal(
            status=200,
            body=error("internal_api_error_DBQueryError", "[x] Caught exception"),
            says="internal_api_error",
            error=ProviderFailed,
        ),
    ],
    malformed=[b'{"query": {}}', b'{"query": {"pages": "none"}}', b'{"error": "no"}'],
    keeps_urls=False,
    max_text_chars=MAX_QUERY_CHARS,
)
