"""Exa, after its SDK."""

import json
from collections.abc import Sequence

import httpx

from mcp_server.search.providers.exa import Exa
from tests.server.providers.contract import SECRET, Case, Refusal, Row


def reply(rows: Sequence[Row]) -> bytes:
    return json.dumps(
        {
            "requestId": "b5947044c4b78efa9552a7c89b306d95",
            "resolvedSearchType": "neural",
            "results": [
                {
                    "id": row.url,
                    "title": row.title,
                    "url": row.url,
                    "publishedDate": "2024-05-01T00:00:00.000Z",
                    "author": "William Lassell",
                    "highlights": [row.preview],
                    "image": "https://imgs.example/i.png",
                    "favicon": "https://imgs.example/f.ico",
                }
                for row in rows
            ],
            "searchTime": 812.4,
            "costDollars": {
                "total": 0.007,
                "search": {"neural": 0.007},
            },
        }
    ).encode()


def body(request: httpx.Request) -> dict[str, object]:
    return json.loads(request.content)


CASE = Case(
    build=lambda http: Exa(http, SECRET),
    reply=reply,
    empty=reply([]),
    sent={
        "site": lambda request: body(request).get("includeDomains") == ["nasa.gov", "esa.int"],
        "exclude": lambda request: (
            body(request).get("excludeDomains") == ["pinterest.com", "quora.com"]
        ),
        "dates": lambda request: (
            body(request).get("startPublishedDate") == "2024-02-28T23:59:59.999Z"
            and body(request).get("endPublishedDate") == "2024-12-31T23:59:59.999Z"
        ),
        "region": lambda request: body(request).get("userLocation") == "AT",
    },
    text_of=lambda request: str(body(request)["query"]),
    refusals=[
        Refusal(
            status=401,
            body=b'{"requestId":"r","error":"Invalid API key","tag":"INVALID_API_KEY"}',
            says="refused the key",
        ),
        Refusal(
            status=402,
            body=b'{"requestId":"r","error":"You are out of credits","tag":"NO_MORE_CREDITS"}',
            says="out of credits",
        ),
        Refusal(
            status=402,
            body=b'{"requestId":"r","error":"over budget","tag":"API_KEY_BUDGET_EXCEEDED"}',
            says="budget of the key",
        ),
    ],
    unconfigured=lambda http: Exa(http, ""),
    setting="EXA_API_KEY",
    max_text_chars=2_000,
)
