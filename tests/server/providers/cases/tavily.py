"""Tavily, after its SDK."""

import json
from collections.abc import Sequence

import httpx

from mcp_server.errors import ProviderFailed
from mcp_server.search.providers.tavily import Tavily
from tests.server.providers.contract import SECRET, Case, Refusal, Row


def reply(rows: Sequence[Row]) -> bytes:
    return json.dumps(
        {
            "query": "moons",
            "follow_up_questions": None,
            "answer": None,
            "images": [],
            "results": [
                {
                    "url": row.url,
                    "title": row.title,
                    "content": row.preview,
                    "score": 0.99 - position / 100,
                    "raw_content": None,
                    "favicon": "https://a.example/favicon.ico",
                }
                for position, row in enumerate(rows)
            ],
            "response_time": 1.09,
            "request_id": "123e4567-e89b-12d3-a456-426614174111",
        }
    ).encode()


def body(request: httpx.Request) -> dict[str, object]:
    return json.loads(request.content)


def detail(message: str) -> bytes:
    return json.dumps({"detail": {"error": message}}).encode()


CASE = Case(
    build=lambda http: Tavily(http, SECRET),
    reply=reply,
    empty=reply([]),
    sent={
        "site": lambda request: body(request).get("include_domains") == ["nasa.gov", "esa.int"],
        "exclude": lambda request: (
            body(request).get("exclude_domains") == ["pinterest.com", "quora.com"]
        ),
        "dates": lambda request: (
            body(request).get("start_date") == "2024-02-29"
            and body(request).get("end_date") == "2024-12-31"
        ),
    },
    text_of=lambda request: str(body(request)["query"]),
    refusals=[
        Refusal(
            status=400,
            body=detail("Query is too long. Max query length is 400 characters."),
            says="Query is too long",
            error=ProviderFailed,
        ),
        Refusal(
            status=401,
            body=detail("Unauthorized: missing or invalid API key."),
            says="refused the key",
        ),
        Refusal(
            status=432,
            body=detail("This request exceeds your plan's set usage limit."),
            says="limit of the plan",
        ),
        Refusal(
            status=433,
            body=detail("This request exceeds the pay-as-you-go limit."),
            says="pay-as-you-go",
        ),
        Refusal(
            status=429,
            body=json.dumps(
                {
                    "error": {
                        "code": "hourly_cap_reached",
                        "message": "Hourly allowance reached.",
                        "window": "hour",
                        "retry_after_seconds": 40,
                        "next_actions": [{"type": "signup", "url": "https://tavily.com"}],
                    }
                }
            ).encode(),
            says="keyless allowance is used up, set TAVILY_API_KEY",
            retry_after_seconds=40.0,
        ),
    ],
    max_text_chars=400,
)
