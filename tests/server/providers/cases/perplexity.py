"""Perplexity's Search API, after its SDK."""

import json
from collections.abc import Sequence

import httpx

from mcp_server.errors import ProviderFailed
from mcp_server.search.providers.perplexity import Perplexity
from tests.server.providers.contract import SECRET, Case, Refusal, Row


def reply(rows: Sequence[Row]) -> bytes:
    return json.dumps(
        {
            "results": [
                {
                    "title": row.title,
                    "url": row.url,
                    "snippet": row.preview,
                    "date": "2024-05-01",
                    "last_updated": "2024-06-01",
                }
                for row in rows
            ],
            "id": "e38104d5-6bd7-4d82-bc4e-0a21179d1f77",
            "server_time": "2026-11-23T12:00:00Z",
        }
    ).encode()


def body(request: httpx.Request) -> dict[str, object]:
    return json.loads(request.content)


def error(message: str, kind: str, code: int) -> bytes:
    return json.dumps({"error": {"message": message, "type": kind, "code": code}}).encode()


CASE = Case(
    build=lambda http: Perplexity(http, SECRET),
    reply=reply,
    empty=reply([]),
    sent={
        "site": lambda request: (
            body(request).get("search_domain_filter") == ["nasa.gov", "esa.int"]
        ),
        "exclude": lambda request: (
            body(request).get("search_domain_filter") == ["-pinterest.com", "-quora.com"]
        ),
        "dates": lambda request: (
            body(request).get("search_after_date_filter") == "2/28/2024"
            and body(request).get("search_before_date_filter") == "1/1/2025"
        ),
        "language": lambda request: body(request).get("search_language_filter") == ["de"],
        "region": lambda request: body(request).get("country") == "AT",
    },
    text_of=lambda request: str(body(request)["query"]),
    refusals=[
        Refusal(
            status=400,
            body=error("max_results must be at most 20", "bad_request", 400),
            says="HTTP 400: max_results must be at most 20",
            error=ProviderFailed,
        ),
        Refusal(
            status=401,
            body=error("Invalid API key provided.", "unauthorized", 401),
            says="refused the key",
        ),
        Refusal(
            status=429,
            body=error("Request rate limit exceeded", "requests_rate_limit_exceeded", 429),
            headers={"Retry-After": "2"},
            says="rate limit",
            retry_after_seconds=2.0,
        ),
    ],
    unconfigured=lambda http: Perplexity(http, ""),
    setting="PERPLEXITY_API_KEY",
    max_text_chars=2_000,
)
