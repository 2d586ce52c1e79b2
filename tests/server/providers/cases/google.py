"""Google's Custom Search JSON API, after its replies to real queries."""

import json
from collections.abc import Sequence

import httpx

from mcp_server.errors import ProviderFailed
from mcp_server.search.providers.google import Google
from tests.server.providers.contract import SECRET, Case, Refusal, Row

HEAD = {
    "kind": "customsearch#search",
    "url": {"type": "application/json", "template": "https://www.googleapis.com/customsearch/v1"},
    "queries": {"request": [{"totalResults": "2", "searchTerms": "moons", "count": 10}]},
    "context": {"title": "Web"},
    "searchInformation": {
        "searchTime": 0.445959,
        "formattedSearchTime": "0.45",
        "totalResults": "2",
        "formattedTotalResults": "2",
    },
}


def reply(rows: Sequence[Row]) -> bytes:
    items = [
        {
            "kind": "customsearch#result",
            "title": row.title,
            "htmlTitle": f"<b>{row.title}</b>",
            "link": row.url,
            "displayLink": "a.example",
            "snippet": row.preview,
            "htmlSnippet": f"<b>{row.preview}</b>",
            "formattedUrl": row.url,
            "pagemap": {"metatags": [{"viewport": "width=device-width"}]},
        }
        for row in rows
    ]
    return json.dumps(HEAD | {"items": items}).encode()


def error(code: int, message: str, reason: str, status: str) -> bytes:
    return json.dumps(
        {
            "error": {
                "code": code,
                "message": message,
                "errors": [{"message": message, "domain": "usageLimits", "reason": reason}],
                "status": status,
            }
        }
    ).encode()


def words(request: httpx.Request) -> str:
    return request.url.params["q"]


QUOTA = "Quota exceeded for quota metric 'Queries' and limit 'Queries per {}' of service"

CASE = Case(
    build=lambda http: Google(http, SECRET, "017576662512468239146:omuauf_lfve"),
    reply=reply,
    empty=json.dumps(HEAD).encode(),
    sent={
        "site": lambda request: words(request) == "moons (site:nasa.gov OR site:esa.int)",
        "exclude": lambda request: words(request) == "moons -site:pinterest.com -site:quora.com",
        "dates": lambda request: request.url.params.get("sort") == "date:r:20240229:20241231",
        "language": lambda request: request.url.params.get("lr") == "lang_de",
        "region": lambda request: request.url.params.get("gl") == "at",
        "page": lambda request: (
            request.url.params.get("start") == "11" and request.url.params["num"] == "5"
        ),
    },
    text_of=words,
    refusals=[
        Refusal(
            status=403,
            body=error(403, "Daily Limit Exceeded", "dailyLimitExceeded", "PERMISSION_DENIED"),
            says="quota of the day",
            retry_after_seconds=3_600.0,
        ),
        Refusal(
            status=429,
            body=error(429, QUOTA.format("day"), "rateLimitExceeded", "RESOURCE_EXHAUSTED"),
            says="quota of the day",
            retry_after_seconds=3_600.0,
        ),
        Refusal(
            status=429,
            body=error(429, QUOTA.format("minute"), "rateLimitExceeded", "RESOURCE_EXHAUSTED"),
            headers={"Retry-After": "20"},
            says="rate limit",
            retry_after_seconds=20.0,
        ),
        Refusal(
            status=403,
            body=error(403, "Rate Limit Exceeded", "rateLimitExceeded", "PERMISSION_DENIED"),
            says="rate limit",
        ),
        Refusal(
            status=400,
            body=error(400, "API key not valid.", "badRequest", "INVALID_ARGUMENT"),
            says="refused the key",
        ),
        Refusal(
            status=403,
            body=error(403, "Access Not Configured.", "accessNotConfigured", "PERMISSION_DENIED"),
            says="may not be used for this API",
        ),
        Refusal(
            status=400,
            body=error(400, "Invalid value at 'num'", "badRequest", "INVALID_ARGUMENT"),
            says="HTTP 400: Invalid value",
            error=ProviderFailed,
        ),
    ],
    unconfigured=lambda http: Google(http, "", "engine"),
    setting="GOOGLE_API_KEY",
    max_text_chars=2_000,
)
