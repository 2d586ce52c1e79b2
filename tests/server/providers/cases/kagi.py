"""Kagi's Search API, version 1, after its OpenAPI description."""

import json
from collections.abc import Mapping, Sequence
from typing import cast

import httpx

from mcp_server.errors import ProviderFailed
from mcp_server.search.providers.kagi import Kagi
from tests.server.providers.contract import SECRET, Case, Refusal, Row

META = {"trace": "f82bee15ae0b4b329a9e05490fe3a8e4", "node": "us-central1", "ms": 213}


def reply(rows: Sequence[Row]) -> bytes:
    return json.dumps(
        {
            "meta": META,
            "data": {
                "search": [
                    {
                        "url": row.url,
                        "title": row.title,
                        "snippet": row.preview,
                        "time": "2024-05-01T00:00:00Z",
                        "image": {"url": "/proxy/i.jpg", "width": 310, "height": 300},
                        "props": {"language": "en"},
                    }
                    for row in rows
                ],
                "related_search": [{"url": "x", "title": "y", "props": {"question": "moons?"}}],
            },
        }
    ).encode()


def body(request: httpx.Request) -> dict[str, object]:
    return json.loads(request.content)


def part(request: httpx.Request, name: str) -> Mapping[str, object]:
    return cast(Mapping[str, object], body(request).get(name, {}))


def errors(code: object, message: str) -> bytes:
    told = [{"code": code, "url": "https://kagi.com/api/errors", "message": message}]
    return json.dumps({"meta": META, "data": None, "errors": told}).encode()


CASE = Case(
    build=lambda http: Kagi(http, SECRET),
    reply=reply,
    empty=json.dumps({"meta": META, "data": {"search": []}}).encode(),
    sent={
        "site": lambda request: (
            part(request, "lens").get("sites_included") == ["nasa.gov", "esa.int"]
        ),
        "exclude": lambda request: (
            part(request, "lens").get("sites_excluded") == ["pinterest.com", "quora.com"]
        ),
        "dates": lambda request: (
            part(request, "filters") == {"after": "2024-02-28", "before": "2025-01-01"}
        ),
        "region": lambda request: part(request, "filters").get("region") == "AT",
        "page": lambda request: body(request).get("page") == 3 and body(request)["limit"] == 5,
    },
    text_of=lambda request: str(body(request)["query"]),
    refusals=[
        Refusal(
            status=400,
            body=errors("general.invalid_token", "Token signature failed to verify."),
            says="refused the key",
        ),
        Refusal(
            status=200,
            body=errors("general.invalid_token", "Token signature failed to verify."),
            says="refused the key",
        ),
        Refusal(
            status=400,
            body=errors("search.invalid_region", "Unknown region."),
            says="HTTP 400: Unknown region",
            error=ProviderFailed,
        ),
        Refusal(
            status=200,
            body=errors("search.internal", "Upstream did not answer."),
            says="answered an error: Upstream",
            error=ProviderFailed,
        ),
        Refusal(
            status=200,
            body=json.dumps(
                {
                    "meta": META,
                    "data": None,
                    "error": [
                        {
                            "code": 101,
                            "msg": "Insufficient credit to perform this request.",
                            "ref": None,
                        }
                    ],
                }
            ).encode(),
            says="out of credits",
        ),
        Refusal(
            status=429,
            body=errors("general.usage", "Usage limit exhausted."),
            says="out of credits",
        ),
        Refusal(status=429, body=errors("general.rate", "Rate limited."), says="rate limit"),
    ],
    unconfigured=lambda http: Kagi(http, ""),
    setting="KAGI_API_KEY",
    max_text_chars=1_000,
)
