"""Jina's search, after the source of its service."""

import json
from collections.abc import Sequence

import httpx

from mcp_server.errors import ProviderFailed
from mcp_server.search.providers.jina import Jina
from tests.server.providers.contract import SECRET, Case, Refusal, Row


def reply(rows: Sequence[Row]) -> bytes:
    return json.dumps(
        {
            "code": 200,
            "status": 20000,
            "data": [
                {
                    "title": row.title,
                    "url": row.url,
                    "description": row.preview,
                    "date": "May 1, 2024",
                    "content": "",
                    "usage": {"tokens": 1000},
                }
                for row in rows
            ],
            "meta": {"query": "moons", "usage": {"tokens": 10000}},
        }
    ).encode()


def body(request: httpx.Request) -> dict[str, object]:
    return json.loads(request.content)


def words(request: httpx.Request) -> str:
    return str(body(request)["q"])


def error(code: int, status: int, name: str, message: str) -> bytes:
    told = {"data": None, "code": code, "status": status, "name": name, "message": message}
    return json.dumps(told | {"readableMessage": f"{name}: {message}"}).encode()


CASE = Case(
    build=lambda http: Jina(http, SECRET),
    reply=reply,
    empty=reply([]),
    sent={
        "site": lambda request: words(request) == "moons (site:nasa.gov OR site:esa.int)",
        "exclude": lambda request: words(request) == "moons -site:pinterest.com -site:quora.com",
        "region": lambda request: body(request).get("gl") == "at",
        "page": lambda request: body(request).get("page") == 3 and body(request)["num"] == 5,
    },
    text_of=words,
    refusals=[
        Refusal(
            status=401,
            body=error(401, 40103, "AuthenticationFailedError", "Invalid API key"),
            says="refused the key",
        ),
        Refusal(
            status=402,
            body=error(402, 40203, "InsufficientBalanceError", "Account balance not enough"),
            says="out of credits",
        ),
        Refusal(
            status=422,
            body=error(422, 42201, "ParamValidationError", "num: out of range"),
            says="HTTP 422: num: out of range",
            error=ProviderFailed,
        ),
        Refusal(
            status=429,
            body=error(429, 42903, "RateLimitTriggeredError", "Per UID rate limit exceeded"),
            headers={
                "Retry-After": "Mon, 23 Nov 2026 12:00:30 GMT",
                "Date": "Mon, 23 Nov 2026 12:00:00 GMT",
            },
            says="rate limit",
            retry_after_seconds=30.0,
        ),
    ],
    unconfigured=lambda http: Jina(http, ""),
    setting="JINA_API_KEY",
    max_text_chars=2_000,
)
