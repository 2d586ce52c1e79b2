"""Serper, after its replies to real queries."""

import json
from collections.abc import Sequence

import httpx

from mcp_server.search.providers.serper import Serper
from tests.server.providers.contract import SECRET, Case, Refusal, Row


def reply(rows: Sequence[Row]) -> bytes:
    return json.dumps(
        {
            "searchParameters": {
                "q": "moons",
                "gl": "us",
                "hl": "en",
                "type": "search",
                "num": 10,
                "page": 1,
                "engine": "google",
            },
            "organic": [
                {
                    "title": row.title,
                    "link": row.url,
                    "snippet": row.preview,
                    "date": "Aug 31, 2022",
                    "sitelinks": [{"title": "More", "link": "https://more.example/"}],
                    "attributes": {"Related People": "William Lassell"},
                    "position": position,
                }
                for position, row in enumerate(rows, 1)
            ],
            "peopleAlsoAsk": [
                {
                    "question": "How many moons are there?",
                    "snippet": "Twenty-eight.",
                    "title": "Moons",
                    "link": "https://asked.example/",
                }
            ],
            "relatedSearches": [{"query": "moons of Neptune"}],
            "credits": 1,
        }
    ).encode()


def body(request: httpx.Request) -> dict[str, object]:
    return json.loads(request.content)


def words(request: httpx.Request) -> str:
    return str(body(request)["q"])


CASE = Case(
    build=lambda http: Serper(http, SECRET),
    reply=reply,
    empty=b'{"searchParameters":{"q":"moons","type":"search","engine":"google"},"credits":1}',
    sent={
        "site": lambda request: words(request) == "moons (site:nasa.gov OR site:esa.int)",
        "exclude": lambda request: words(request) == "moons -site:pinterest.com -site:quora.com",
        "dates": lambda request: (
            body(request).get("tbs") == "cdr:1,cd_min:2/29/2024,cd_max:12/31/2024"
        ),
        "language": lambda request: body(request).get("hl") == "de",
        "region": lambda request: body(request).get("gl") == "at",
        "page": lambda request: body(request).get("page") == 3 and body(request)["num"] == 5,
    },
    text_of=words,
    refusals=[
        Refusal(
            status=400,
            body=b'{"message":"Not enough credits","statusCode":400}',
            says="out of credits",
        ),
        Refusal(
            status=403, body=b'{"message":"Unauthorized.","statusCode":403}', says="refused the key"
        ),
    ],
    unconfigured=lambda http: Serper(http, ""),
    setting="SERPER_API_KEY",
    max_text_chars=2_000,
)
