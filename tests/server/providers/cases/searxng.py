"""SearXNG's JSON format, after its own engine results and a real reply."""

import json
from collections.abc import Sequence

import httpx

from mcp_server.search.providers.searxng import SearXNG
from tests.server.providers.contract import Case, Refusal, Row


def reply(rows: Sequence[Row], unresponsive: Sequence[Sequence[str]] = ()) -> bytes:
    return json.dumps(
        {
            "query": "moons",
            "number_of_results": 0,
            "results": [
                {
                    "url": row.url,
                    "title": row.title,
                    "content": row.preview,
                    "publishedDate": "2024-05-01T00:00:00",
                    "thumbnail": None,
                    "engine": "brave",
                    "template": "default.html",
                    "parsed_url": ["https", "a.example", "/", "", "", ""],
                    "img_src": "",
                    "priority": "",
                    "engines": ["brave", "mojeek"],
                    "positions": [1, 3],
                    "score": 4.0,
                    "category": "general",
                }
                for row in rows
            ],
            "answers": [{"answer": "28", "url": None, "template": "answer/legacy.html"}],
            "corrections": [],
            "infoboxes": [{"infobox": "Uranus", "id": "x", "content": "A planet.", "urls": []}],
            "suggestions": ["moons of saturn"],
            "unresponsive_engines": list(unresponsive),
        }
    ).encode()


def words(request: httpx.Request) -> str:
    return request.url.params["q"]


CASE = Case(
    build=lambda http: SearXNG(http, "http://search.example/"),
    reply=reply,
    empty=reply([]),
    sent={
        "site": lambda request: "(site:nasa.gov OR site:esa.int)" in words(request),
        "exclude": lambda request: "-site:pinterest.com -site:quora.com" in words(request),
        "language": lambda request: request.url.params.get("language") == "de",
        "page": lambda request: request.url.params.get("pageno") == "3",
    },
    text_of=words,
    refusals=[
        Refusal(status=403, body=b"<h1>Forbidden</h1>", says=r"search\.formats"),
        Refusal(
            status=200,
            body=reply([], [["google", "CAPTCHA"], ["startpage", "access denied"]]),
            says="did not answer: google CAPTCHA, startpage access denied",
        ),
        Refusal(status=429, body=b"Too Many Requests", says="rate limit"),
    ],
    unconfigured=lambda http: SearXNG(http, "search.example"),
    setting="searxng_url",
    max_text_chars=2_000,
)
