"""What only one of the keyless and self-hosted providers does."""

import json
from collections.abc import Callable, Sequence
from datetime import date

import httpx
import pytest

from mcp_server.errors import ConfigError, FetchError, ProviderFailed
from mcp_server.search.providers.anserini import Anserini
from mcp_server.search.providers.arxiv import MAX_TERMS, ArXiv
from mcp_server.search.providers.index_server import IndexServer
from mcp_server.search.providers.opensearch import OpenSearch
from mcp_server.search.providers.retriever import MAX_KEPT_DOCUMENTS, Retriever
from mcp_server.search.providers.searxng import SearXNG
from mcp_server.search.providers.wikipedia import Wikipedia
from mcp_server.search.types import SearchHit, SearchProvider, SearchQuery
from tests.server.providers.cases import arxiv as arxiv_case
from tests.server.providers.cases import wikipedia as wikipedia_case
from tests.server.providers.contract import Row

Build = Callable[[httpx.AsyncClient], SearchProvider]


def always(body: object, status: int = 200) -> httpx.MockTransport:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.MockTransport(lambda _: httpx.Response(status, stream=httpx.ByteStream(content)))


async def hits_of(
    build: Build, body: object, query: SearchQuery | None = None
) -> Sequence[SearchHit]:
    async with httpx.AsyncClient(transport=always(body)) as http:
        return (await build(http).search(query or SearchQuery(text="moons"))).hits


# --- arXiv ---------------------------------------------------------------------------------------


async def search_query(query: SearchQuery) -> str:
    asked: list[str] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.params["search_query"])
        return httpx.Response(200, stream=httpx.ByteStream(arxiv_case.CASE.empty))

    async with httpx.AsyncClient(transport=httpx.MockTransport(handle)) as http:
        await ArXiv(http).search(query)
    return asked[0] if asked else ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("transformers", "all:transformers"),
        ("What is the attention mechanism?", "(all:attention AND all:mechanism)"),
        (
            "sparse attention for transformers",
            "(all:sparse AND all:attention) OR (all:attention AND all:transformers)",
        ),
        ('"quantum criticality" heavy', '(all:"quantum criticality" AND all:heavy)'),
        ("to be or not to be", "(all:to AND all:be) OR (all:be AND all:or)"),
        ("all:evil) OR (ti:x", "(all:all AND all:evil) OR (all:evil AND all:ti)"),
        ('"" !?', ""),
    ],
)
async def test_natural_words_become_pairs_that_must_stand_together(
    text: str, expected: str
) -> None:
    assert (await search_query(SearchQuery(text=text))).startswith(expected)


async def test_a_long_question_to_arxiv_keeps_its_first_words() -> None:
    asked = await search_query(SearchQuery(text=" ".join(f"word{n}" for n in range(50))))
    assert asked.count(" AND ") == MAX_TERMS - 1


@pytest.mark.parametrize(
    ("after", "before", "expected"),
    [
        (date(2024, 1, 2), None, "submittedDate:[202401020000 TO 209912312359]"),
        (None, date(2024, 1, 2), "submittedDate:[199101010000 TO 202401012359]"),
        (date.min, date.min, "submittedDate:[199101010000 TO 199012312359]"),
    ],
)
async def test_dates_bound_the_first_submission(
    after: date | None, before: date | None, expected: str
) -> None:
    query = SearchQuery(text="dark matter", after=after, before=before)
    assert await search_query(query) == f"((all:dark AND all:matter)) AND {expected}"


async def test_a_paper_has_the_url_of_its_newest_version_and_its_first_day() -> None:
    hits = await hits_of(ArXiv, arxiv_case.reply([Row("x", "A  title\n in lines", "Abstract.")]))
    assert (hits[0].url, hits[0].title, hits[0].published) == (
        "https://arxiv.org/abs/2405.00000",
        "A title in lines",
        "2024-05-01",
    )


async def test_an_old_identifier_keeps_its_archive() -> None:
    body = arxiv_case.reply([Row("x")]).replace(b"2405.00000v2</id>", b"hep-th/9901001v3</id>")
    (hit,) = await hits_of(ArXiv, body)
    assert hit.url == "https://arxiv.org/abs/hep-th/9901001"


async def test_entities_of_a_hostile_feed_are_not_expanded() -> None:
    bomb = b'<!DOCTYPE feed [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;">]>\n<feed'
    body = arxiv_case.reply([Row("x", "Title", "PREVIEW")])
    body = body.replace(b"<feed", bomb, 1).replace(b"PREVIEW", b"&b; &xxe;")
    (hit,) = await hits_of(ArXiv, body)
    assert hit.preview == "&b; &xxe;"


# --- Wikipedia -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("title", "path"),
    [
        ("Moons of Uranus", "Moons_of_Uranus"),
        ("C++", "C%2B%2B"),
        ("AC/DC", "AC/DC"),
        ("Who Framed Roger Rabbit?", "Who_Framed_Roger_Rabbit%3F"),
        ("Oberon (moon)", "Oberon_(moon)"),
        ("Ångström", "%C3%85ngstr%C3%B6m"),
    ],
)
async def test_an_article_s_url_is_the_one_that_wikipedia_itself_uses(
    title: str, path: str
) -> None:
    (hit,) = await hits_of(Wikipedia, wikipedia_case.reply([Row("x", title)]))
    assert hit.url == f"https://en.wikipedia.org/wiki/{path}"


async def test_the_short_description_stands_in_for_a_missing_extract() -> None:
    (hit,) = await hits_of(Wikipedia, wikipedia_case.reply([Row("x", "Oberon", None)]))
    assert hit.preview == "Natural satellite"


@pytest.mark.parametrize("language", ["evil.example/", "DE", "x", "d\u0435", "de.evil"])
async def test_no_language_leads_to_another_host(language: str) -> None:
    with pytest.raises(ProviderFailed, match="no Wikipedia"):
        await hits_of(Wikipedia, b"", SearchQuery(text="x", language=language))


# --- SearXNG -------------------------------------------------------------------------------------


async def test_engines_that_did_not_answer_cost_nothing_while_others_did() -> None:
    body = {
        "results": [{"url": "https://a.example/", "title": "A"}],
        "unresponsive_engines": [["google", "CAPTCHA"], 5, ["bing"]],
    }
    (hit,) = await hits_of(lambda http: SearXNG(http, "http://s.example"), body)
    assert (hit.title, hit.preview) == ("A", "")


# --- the reference agent's server ----------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        {"data": "The text.\r\n\r\n\r\n\r\nMore.", "title": "A \u202etitle"},
        {"data": {"title": "A title", "text": "The text.\n\nMore."}},
        {"data": {"title": "A title", "content": "The text.\n\nMore.", "text": None}},
        {"data": {"title": "A title", "markdown": "The text.\n\nMore.", "links": []}},
    ],
)
async def test_a_page_is_read_in_every_form_that_servers_give_it(body: object) -> None:
    async with httpx.AsyncClient(transport=always(body)) as http:
        page = await IndexServer(http, "http://i.example").page("https://a.example/")
    assert page is not None
    assert (page.title, page.text) == ("A title", "The text.\n\nMore.")
    assert page.final_url == "https://a.example/"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"data": None}, 200),
        ({"data": ""}, 200),
        ({"data": {"title": "No text"}}, 200),
        ({"detail": "unknown"}, 404),
    ],
)
async def test_a_page_that_the_server_does_not_have_is_none(body: object, status: int) -> None:
    async with httpx.AsyncClient(transport=always(body, status)) as http:
        assert await IndexServer(http, "http://i.example").page("https://a.example/") is None


@pytest.mark.parametrize(
    ("body", "status"),
    [({}, 200), (b"<html>", 200), ({"data": 5}, 200), ({}, 500), ({}, 401), ({}, 429), (b"", 302)],
)
async def test_a_server_that_fails_is_no_missing_page(body: object, status: int) -> None:
    async with httpx.AsyncClient(transport=always(body, status)) as http:
        with pytest.raises(FetchError, match="the index server: "):
            await IndexServer(http, "http://i.example").page("https://a.example/")


@pytest.mark.parametrize("kind", [IndexServer, Retriever])
async def test_a_token_that_cannot_be_one_is_refused_at_once(
    kind: type[IndexServer] | type[Retriever],
) -> None:
    async with httpx.AsyncClient() as http:
        with pytest.raises(ConfigError, match="line breaks") as caught:
            kind(http, "http://i.example", "to\nken")
    assert "_TOKEN" in caught.value.hint


# --- Search-R1 -----------------------------------------------------------------------------------


def retriever(http: httpx.AsyncClient) -> Retriever:
    return Retriever(http, "http://r.example:8000")


@pytest.mark.parametrize(
    "item",
    [
        {"document": {"id": "5", "contents": '"Oberon"\nA moon.\nOf Uranus.'}, "score": 0.5},
        {"document": {"id": 5, "contents": "Oberon\nA moon.\nOf Uranus."}},
        {"id": "5", "contents": '"Oberon"\nA moon.\nOf Uranus.'},
        {"id": "5", "title": "Oberon", "text": "A moon.\nOf Uranus."},
    ],
)
async def test_a_document_is_read_in_every_form_and_kept_whole(item: object) -> None:
    async with httpx.AsyncClient(transport=always({"result": [[item]]})) as http:
        provider = retriever(http)
        (hit,) = (await provider.search(SearchQuery(text="moons"))).hits
        page = await provider.page(hit.url)
    assert (hit.url, hit.title, hit.document_id) == ("corpus://retriever/5", "Oberon", "5")
    assert page is not None
    assert (page.title, page.text) == ("Oberon", "A moon.\nOf Uranus.")


async def test_contents_of_one_line_are_text_without_a_title() -> None:
    (hit,) = await hits_of(retriever, {"result": [[{"id": "1", "contents": "One line."}]]})
    assert (hit.title, hit.preview) == ("", "One line.")


@pytest.mark.parametrize("identity", ["a/../b?c#d", "\ud800", "x" * 9_000, "https://e.example/"])
async def test_an_odd_id_still_makes_a_url_by_which_the_page_is_found(identity: str) -> None:
    row = {"id": identity, "contents": "T\nText."}
    async with httpx.AsyncClient(transport=always({"result": [[row]]})) as http:
        provider = retriever(http)
        (hit,) = (await provider.search(SearchQuery(text="x"))).hits
        assert hit.url.startswith("corpus://retriever/")
        assert hit.url.encode()
        assert await provider.page(hit.url) is not None


async def test_documents_on_the_web_are_left_to_a_visit() -> None:
    row = {"id": "1", "contents": "T\nText.", "url": "https://a.example/"}
    async with httpx.AsyncClient(transport=always({"result": [[row]]})) as http:
        provider = retriever(http)
        (hit,) = (await provider.search(SearchQuery(text="x"))).hits
        assert hit.url == "https://a.example/"
        assert await provider.page(hit.url) is None


async def test_only_the_documents_seen_last_are_kept() -> None:
    first = 0

    def handle(_: httpx.Request) -> httpx.Response:
        rows = [{"id": str(first + n), "contents": f"T\nText {first + n}."} for n in range(20)]
        body = json.dumps({"result": [rows]}).encode()
        return httpx.Response(200, stream=httpx.ByteStream(body))

    async with httpx.AsyncClient(transport=httpx.MockTransport(handle)) as http:
        provider = retriever(http)
        for first in range(0, MAX_KEPT_DOCUMENTS + 20, 20):  # noqa: B007 - read by the server
            await provider.search(SearchQuery(text="x", limit=20))
        assert await provider.page("corpus://retriever/0") is None
        assert await provider.page("corpus://retriever/20") is not None


async def test_long_documents_do_not_fill_the_memory() -> None:
    first = 0

    def handle(_: httpx.Request) -> httpx.Response:
        body = json.dumps({"result": [[{"id": str(first), "text": "x" * 3_900_000}]]}).encode()
        return httpx.Response(200, stream=httpx.ByteStream(body))

    async with httpx.AsyncClient(transport=httpx.MockTransport(handle)) as http:
        provider = retriever(http)
        for first in range(6):  # noqa: B007 - read by the server
            await provider.search(SearchQuery(text="x"))
        assert await provider.page("corpus://retriever/0") is None
        assert await provider.page("corpus://retriever/5") is not None


# --- URLs of services that you run ---------------------------------------------------------------


OWN_SERVICES = [
    (SearXNG, "searxng_url"),
    (IndexServer, "index_server_url"),
    (Retriever, "retriever_url"),
    (Anserini, "anserini_url"),
    (OpenSearch, "opensearch_url"),
]


@pytest.mark.parametrize(("kind", "setting"), OWN_SERVICES)
@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://",
        "host.example:80/v1/x",
        "ftp://user:hunter2@host.example/v1/x",
        "http://host.example:99999/v1/x",
        "http://user:hunter2@host.example:99999/v1/x",
        "http://host.example:0/v1/x",
        "http://[::1/v1/x",
        "http://a b.example/v1/x",
        "http://xn--a/v1/x",
        "http://host.example/v1/x?key=hunter2",
    ],
)
async def test_a_url_that_cannot_be_dialled_is_refused_before_the_first_search(
    url: str, kind: Callable[[httpx.AsyncClient, str], object], setting: str
) -> None:
    async with httpx.AsyncClient() as http:
        with pytest.raises(ConfigError) as caught:
            kind(http, url)
    text = f"{caught.value} {caught.value.hint}"
    assert setting in text
    assert "hunter2" not in text


@pytest.mark.parametrize(
    "written",
    [
        "http://i.example/base",
        " http://i.example/base/ ",
        "HTTP://I.example/base",
        "http://i.example/base{}",
        "http://i.example/base{}/",
    ],
)
@pytest.mark.parametrize(
    ("kind", "endpoint"),
    [(SearXNG, "/search"), (IndexServer, "/search"), (Retriever, "/retrieve")],
)
async def test_a_service_is_asked_at_its_endpoint_however_its_url_is_written(
    written: str, kind: Callable[[httpx.AsyncClient, str], SearchProvider], endpoint: str
) -> None:
    asked: list[str] = []

    def note(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(200, stream=httpx.ByteStream(b'{"results": [], "result": [[]]}'))

    async with httpx.AsyncClient(transport=httpx.MockTransport(note)) as http:
        await kind(http, written.format(endpoint)).search(SearchQuery(text="x"))
    assert asked == [f"/base{endpoint}"]
