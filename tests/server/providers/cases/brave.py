"""Brave Search, after its replies to real queries and its error documentation."""

import json
from collections.abc import Sequence

import httpx

from mcp_server.errors import ProviderFailed
from mcp_server.search.providers.brave import Brave
from tests.server.providers.contract import SECRET, Case, Refusal, Row

QUERY_BLOCK = {
    "original": "moons",
    "show_strict_warning": False,
    "is_navigational": False,
    "spellcheck_off": True,
    "country": "us",
    "bad_results": False,
    "should_fallback": False,
    "postal_code": "",
    "more_results_available": True,
}


def reply(rows: Sequence[Row]) -> bytes:
    results = [
        {
            "title": row.title,
            "url": row.url,
            "is_source_local": False,
            "is_source_both": False,
            "description": row.preview,
            "page_age": "2024-05-01T12:30:00",
            "age": "May 1, 2024",
            "profile": {
                "name": "Example",
                "url": row.url,
                "long_name": "example.org",
                "img": "https://imgs.example/icon",
            },
            "language": "en",
            "family_friendly": True,
            "type": "search_result",
            "subtype": "generic",
            "meta_url": {
                "scheme": "https",
                "netloc": "example.org",
                "hostname": "example.org",
                "favicon": "https://imgs.example/favicon",
                "path": "› page",
            },
            "thumbnail": {"src": "https://imgs.example/t", "original": "", "logo": False},
        }
        for row in rows
    ]
    return json.dumps(
        {
            "query": QUERY_BLOCK,
            "mixed": {
                "type": "mixed",
                "main": [{"type": "web", "index": n, "all": False} for n in range(len(rows))],
                "top": [],
                "side": [],
            },
            "type": "search",
            "web": {"type": "search", "results": results, "family_friendly": True},
        }
    ).encode()


def error(code: str, detail: str, status: int) -> bytes:
    return json.dumps(
        {
            "type": "ErrorResponse",
            "error": {
                "id": "5d832250-9396-4f6e-b84a-2a1fe524cd7d",
                "status": status,
                "code": code,
                "detail": detail,
                "meta": {"component": "rate_limiter"},
            },
            "time": 1663072993,
        }
    ).encode()


def words(request: httpx.Request) -> str:
    return request.url.params["q"]


CASE = Case(
    build=lambda http: Brave(http, SECRET),
    reply=reply,
    empty=json.dumps({"query": QUERY_BLOCK, "mixed": {"type": "mixed"}, "type": "search"}).encode(),
    sent={
        "site": lambda request: words(request) == "moons (site:nasa.gov OR site:esa.int)",
        "exclude": lambda request: words(request) == "moons -site:pinterest.com -site:quora.com",
        "dates": lambda request: request.url.params.get("freshness") == "2024-02-29to2024-12-31",
        "language": lambda request: request.url.params.get("search_lang") == "de",
        "region": lambda request: request.url.params.get("country") == "AT",
        "page": lambda request: (
            request.url.params.get("offset") == "2" and request.url.params["count"] == "5"
        ),
    },
    text_of=words,
    refusals=[
        Refusal(
            status=422,
            body=error("SUBSCRIPTION_TOKEN_INVALID", "The provided token is invalid.", 422),
            says="refused the key",
        ),
        Refusal(
            status=422,
            body=error("VALIDATION", "Unable to validate request parameter(s)", 422),
            says="HTTP 422: Unable to validate",
            error=ProviderFailed,
        ),
        Refusal(
            status=404,
            body=error("SUBSCRIPTION_NOT_FOUND", "No subscription found.", 404),
            says="no subscription",
        ),
        Refusal(
            status=429,
            body=error("RATE_LIMITED", "Request rate limit exceeded for plan.", 429),
            headers={"X-RateLimit-Remaining": "0, 1500", "X-RateLimit-Reset": "1, 1419704"},
            says="rate limit",
            retry_after_seconds=1.0,
        ),
        Refusal(
            status=429,
            body=error("QUOTA_LIMITED", "Request quota limit exceeded for plan.", 429),
            headers={"X-RateLimit-Remaining": "1, 0", "X-RateLimit-Reset": "1, 1419704"},
            says="quota of the plan is used up",
            retry_after_seconds=3_600.0,
        ),
        Refusal(
            status=429,
            body=b"",
            headers={"X-RateLimit-Remaining": "none", "X-RateLimit-Reset": "later"},
            says="rate limit",
        ),
    ],
    unconfigured=lambda http: Brave(http, ""),
    setting="BRAVE_API_KEY",
    max_text_chars=400,
)
