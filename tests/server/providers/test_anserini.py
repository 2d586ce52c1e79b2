"""What only the Anserini provider does; `tests/lucene` asks a real server."""

import json
from collections.abc import Callable

import httpx
import pytest

from mcp_server.errors import ConfigError, FetchError
from mcp_server.search.providers.anserini import Anserini
from mcp_server.search.types import SearchHit, SearchQuery

URL = "http://lucene.example:8080/v1/%2Fdata%2Fwiki"
Handler = Callable[[httpx.Request], httpx.Response]


def answering(body: object, status: int = 200) -> Handler:
    content = json.dumps(body).encode()
    return lambda _: httpx.Response(status, stream=httpx.ByteStream(content))


async def hit_of(doc: object, text: str = "x", preview_chars: int = 300) -> SearchHit:
    whole = {"api": "v1", "candidates": [{"docid": "a/1 é", "score": 1, "rank": 1, "doc": doc}]}
    async with httpx.AsyncClient(transport=httpx.MockTransport(answering(whole))) as http:
        query = SearchQuery(text=text, preview_chars=preview_chars)
        (hit,) = (await Anserini(http, URL).search(query)).hits
        return hit


@pytest.mark.parametrize(
    ("doc", "title", "preview"),
    [
        ({"id": "a", "title": "T", "text": "Body."}, "T", "Body."),
        ({"contents": "Title line\nBody."}, "Title line", "Body."),
        ({"contents": '"Quoted title"\nBody.'}, "Quoted title", "Body."),
        ({"contents": "One line only."}, "", "One line only."),
        ({"contents": "x" * 301 + "\nBody."}, "", "x"),
        ({"title": "T", "contents": "First.\nSecond."}, "T", "First. Second."),
        ("Plain text.", "", "Plain text."),
        ('{"title": "T", "text": "As a string."}', "T", "As a string."),
        ('{"title": broken', "", '{"title": broken'),
        ("[" * 100_000, "", "["),
        ('{"a":' * 100_000, "", '{"a"'),
        ({"raw": "Raw."}, "", "Raw."),
        ({"title": 5, "text": ["x"], "contents": None, "url": {}}, "", ""),
        (None, "", ""),
        (7, "", ""),
    ],
)
async def test_documents_are_read_however_the_collection_writes_them(
    doc: object, title: str, preview: str
) -> None:
    hit = await hit_of(doc)
    assert hit.title == title
    assert hit.preview.startswith(preview)
    assert bool(hit.preview) == bool(preview)
    assert hit.url == "corpus://anserini/a%2F1%20%C3%A9"


async def test_a_document_that_names_its_place_on_the_web_is_a_hit_of_that_place() -> None:
    assert (await hit_of({"url": "https://a.example/1", "text": "t"})).url == "https://a.example/1"
    odd = await hit_of({"url": "javascript:alert(1)", "text": "t"})
    assert odd.url.startswith("corpus://anserini/")


async def test_the_preview_of_a_long_document_is_the_passage_that_answers() -> None:
    filler = "\n\n".join(f"Nothing of interest stands in paragraph {n}." for n in range(300))
    text = f"{filler}\n\nThe quokka was first described in 1830.\n\n{filler}"
    hit = await hit_of({"title": "Animals", "text": text}, "when was the quokka described", 200)
    assert "first described in 1830" in hit.preview
    assert len(hit.preview) <= 200


async def test_a_document_is_read_whole_by_its_id() -> None:
    asked: list[bytes] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.raw_path)
        return answering({"docid": "50% é/1", "doc": {"contents": "T\nText \x1b[31mhere."}})(
            request
        )

    async with httpx.AsyncClient(transport=httpx.MockTransport(handle)) as http:
        page = await Anserini(http, URL).page("corpus://anserini/50%25%20%C3%A9%2F1")
    assert asked == [b"/v1/%2Fdata%2Fwiki/doc/50%2525%20%C3%A9%2F1"]
    assert page is not None
    assert (page.title, page.text) == ("T", "Text [31mhere.")


@pytest.mark.parametrize(
    ("body", "status"),
    [({"error": "Document not found: d"}, 404), ({"docid": "another", "doc": "Text."}, 200)],
)
async def test_a_document_that_the_index_does_not_have_is_none(body: object, status: int) -> None:
    async with httpx.AsyncClient(transport=httpx.MockTransport(answering(body, status))) as http:
        assert await Anserini(http, URL).page("corpus://anserini/d") is None


async def test_a_url_of_the_web_is_not_asked_for() -> None:
    def never(request: httpx.Request) -> httpx.Response:
        raise AssertionError(request.url)

    async with httpx.AsyncClient(transport=httpx.MockTransport(never)) as http:
        assert await Anserini(http, URL).page("https://a.example/") is None


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"docid": "d", "doc": None}, 200, "keeps no text"),
        ({}, 404, "HTTP 404"),
        ({}, 500, "HTTP 500"),
        ({}, 401, "refused"),
        ([], 200, "not what it documents"),
    ],
)
async def test_a_page_that_cannot_be_read_is_an_error(body: object, status: int, says: str) -> None:
    async with httpx.AsyncClient(transport=httpx.MockTransport(answering(body, status))) as http:
        with pytest.raises(FetchError, match=says):
            await Anserini(http, URL).page("corpus://anserini/d")


@pytest.mark.parametrize("text", ["天王星 " * 3_000, "天" * 10_000, "word " * 5_000])
async def test_a_query_fits_into_a_request_line(text: str) -> None:
    sizes: list[int] = []

    def handle(request: httpx.Request) -> httpx.Response:
        sizes.append(len(request.url.raw_path))
        assert request.url.params["query"]
        return answering({"candidates": []})(request)

    async with httpx.AsyncClient(transport=httpx.MockTransport(handle)) as http:
        await Anserini(http, URL).search(SearchQuery(text=text))
    assert sizes[0] < 7_000


@pytest.mark.parametrize(
    "url", ["", "lucene.example/v1/x", "ftp://h/v1/x", "http://h", "http://h/x", "http://["]
)
async def test_a_url_that_names_no_index_is_a_config_error(url: str) -> None:
    async with httpx.AsyncClient() as http:
        with pytest.raises(ConfigError, match="anserini") as caught:
            Anserini(http, url)
    assert "SEEKLING_MCP_ANSERINI_URL" in caught.value.hint
