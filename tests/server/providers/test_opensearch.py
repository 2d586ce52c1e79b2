"""What only the OpenSearch provider does; the rest is in the contract suite and `test_push`."""

import json
from collections.abc import Callable

import httpx
import pytest

from mcp_server.errors import ConfigError, FetchError
from mcp_server.search.providers.opensearch import OpenSearch
from mcp_server.search.types import SearchHit, SearchQuery
from tests.server.providers.cases.opensearch import reply
from tests.server.providers.contract import Row

URL = "https://search.example:9200/prefix/wiki"
Handler = Callable[[httpx.Request], httpx.Response]


def answering(body: bytes, status: int = 200) -> Handler:
    return lambda _: httpx.Response(status, stream=httpx.ByteStream(body))


async def hits_of(rows: list[Row], **options: int) -> list[SearchHit]:
    transport = httpx.MockTransport(answering(reply(rows)))
    async with httpx.AsyncClient(transport=transport) as http:
        query = SearchQuery(text="x", preview_chars=options.get("preview_chars", 300))
        return list((await OpenSearch(http, URL).search(query)).hits)


async def test_one_request_asks_for_the_best_passage_of_each_document_without_its_text() -> None:
    asked: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return answering(reply([]))(request)

    async with httpx.AsyncClient(transport=httpx.MockTransport(handle)) as http:
        provider = OpenSearch(http, URL, credentials="reader:password")
        await provider.search(SearchQuery(text="moons of Uranus", limit=7, preview_chars=250))
    (request,) = asked
    body = json.loads(request.content)
    assert (request.method, str(request.url)) == ("POST", f"{URL}/_search")
    assert request.headers["authorization"] == "Basic cmVhZGVyOnBhc3N3b3Jk"
    assert body["query"]["bool"]["must"]["multi_match"] == {
        "query": "moons of Uranus",
        "fields": ["title", "text"],
        "type": "most_fields",
    }
    assert body["collapse"] == {"field": "doc"}
    assert (body["from"], body["size"], body["track_total_hits"]) == (0, 7, False)
    assert body["timeout"] == "5s"
    assert "text" not in body["_source"]
    assert body["highlight"]["fields"]["text"]["fragment_size"] == 250


async def test_documents_without_a_place_on_the_web_are_hits_too() -> None:
    (hit,) = await hits_of([Row("corpus://notes/1", "Note", "Text.")])
    assert (hit.url, hit.document_id, hit.published) == ("corpus://notes/1", "doc 0", "2024-05-17")


async def test_a_fragment_longer_than_asked_is_cut() -> None:
    (hit,) = await hits_of([Row("https://a.example/", "T", "word " * 100)], preview_chars=60)
    assert len(hit.preview) <= 60
    assert hit.preview.endswith("…")


async def test_a_page_of_a_cluster_that_refuses_or_fails_is_an_error_with_its_hint() -> None:
    for status, reason in ((401, "refused"), (404, "no such index"), (500, "HTTP 500")):
        transport = httpx.MockTransport(answering(b"{}", status))
        async with httpx.AsyncClient(transport=transport) as http:
            with pytest.raises(FetchError, match=reason) as caught:
                await OpenSearch(http, URL).page("https://a.example/")
        assert caught.value.hint or status == 500


async def test_a_wrong_address_or_secret_is_a_config_error_that_shows_no_secret() -> None:
    async with httpx.AsyncClient() as http:
        for url, api_key, credentials in (
            ("https://user:hunter2@host/wiki", "", ""),
            ("https://host:9200", "", ""),
            (URL, "hunter2", "user:hunter2"),
            (URL, "", "hunter2"),
        ):
            with pytest.raises(ConfigError) as caught:
                OpenSearch(http, url, api_key=api_key, credentials=credentials)
            assert "hunter2" not in str(caught.value) + caught.value.hint
        shown = repr(OpenSearch(http, URL, credentials="user:hunter2"))
    assert "hunter2" not in shown
    assert "Basic" not in shown
