"""What only Serper gives: Google's own answers."""

import json
from collections.abc import AsyncIterator, Mapping

import httpx

from mcp_server.search.providers.serper import Serper
from mcp_server.search.types import ProviderReply, SearchQuery

ORGANIC = [
    {"title": "Moons of Uranus", "link": "https://moons.example/", "snippet": "28 moons."},
    {
        "title": "Uranus - Wikipedia",
        "link": "https://en.wikipedia.org/wiki/Uranus",
        "snippet": "The seventh planet.",
        "date": "Mar 4, 2024",
    },
]
GRAPH = {
    "title": "Uranus",
    "type": "Planet",
    "website": "https://solar.example/uranus",
    "description": "Uranus is the seventh planet from the Sun.",
    "descriptionSource": "Wikipedia",
    "descriptionLink": "https://en.wikipedia.org/wiki/Uranus",
    "attributes": {"Mass": "8.681 × 10^25 kg"},
}
BOX = {
    "title": "How many moons does Uranus have?",
    "answer": "28",
    "snippet": "Uranus has 28 known moons.",
    "snippetHighlighted": ["28 known moons"],
    "link": "https://answer.example/",
}


async def search(parts: Mapping[str, object], limit: int = 10) -> ProviderReply:
    reply = json.dumps({"searchParameters": {"q": "x"}, "organic": ORGANIC, **parts}).encode()

    async def content() -> AsyncIterator[bytes]:
        yield reply

    def handle(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=content())

    async with httpx.AsyncClient(transport=httpx.MockTransport(handle)) as http:
        return await Serper(http, "key").search(SearchQuery(text="moons", limit=limit))


async def test_google_s_own_answers_come_first_and_no_page_twice() -> None:
    hits = (await search({"answerBox": BOX, "knowledgeGraph": GRAPH})).hits
    assert [(hit.url, hit.title, hit.preview) for hit in hits] == [
        ("https://answer.example/", BOX["title"], "28 Uranus has 28 known moons."),
        ("https://en.wikipedia.org/wiki/Uranus", "Uranus (Planet)", GRAPH["description"]),
        ("https://moons.example/", "Moons of Uranus", "28 moons."),
    ]


async def test_own_answers_count_against_the_limit() -> None:
    hits = (await search({"answerBox": BOX, "knowledgeGraph": GRAPH}, limit=1)).hits
    assert [hit.url for hit in hits] == ["https://answer.example/"]


async def test_own_answers_without_a_page_or_words_are_left_out() -> None:
    parts: list[Mapping[str, object]] = [
        {"answerBox": {"title": "Weather", "answer": "87°F"}},
        {"answerBox": {"link": "https://empty.example/"}},
        {"answerBox": {"answer": "x", "link": "javascript:alert(1)"}},
        {"answerBox": "28"},
        {"knowledgeGraph": {"title": "Uranus", "website": "https://solar.example/"}},
        {"knowledgeGraph": {"title": "Uranus", "description": "A planet."}},
        {"knowledgeGraph": [GRAPH]},
    ]
    for part in parts:
        hits = (await search(part)).hits
        assert [hit.url for hit in hits] == [row["link"] for row in ORGANIC], part


async def test_a_graph_without_a_source_links_the_website() -> None:
    graph = {**GRAPH, "descriptionLink": None, "type": ""}
    first = (await search({"knowledgeGraph": graph})).hits[0]
    assert (first.url, first.title) == ("https://solar.example/uranus", "Uranus")


async def test_dates_are_days() -> None:
    assert [hit.published for hit in (await search({})).hits] == ["", "2024-03-04"]
