"""No result is longer than hosts take, whatever the web holds; what is cut says how to go on."""

import json
from collections.abc import Sequence
from typing import Any

import anyio
import jsonschema
import pytest
from mcp import Client
from mcp.types import CallToolResult, TextContent

from mcp_server.search.service import SearchService
from mcp_server.search.types import ProviderReport, SearchHit, SearchResults
from mcp_server.server import Face
from mcp_server.sizes import BYTES_PER_TOKEN, clipped, size_bytes
from mcp_server.tools.web_search import OUTPUT_SCHEMA, answer, structured
from mcp_server.visit.reading.budget import chars_within_bytes, estimate_tokens
from tests.server.test_search_service import Stub, broken
from tests.support.fake_web import Script, reply, serve
from tests.support.tools_server import visiting_server

ALPHABETS = {
    "latin": "The quick brown fox. ",
    "accents": "Tiếng Việt là ngôn ngữ. ",
    "cyrillic": "Съешь ещё этих булок. ",
    "hindi": "यह एक वाक्य है। ",
    "chinese": "这是一个没有空格的句子。",
    "emoji": "🦊🐙 🦀🐳 ",
}
TOKENS = (1_000, 25_000)


def text_of(result: CallToolResult) -> str:
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text


def seen_bytes(result: CallToolResult) -> int:
    """What a model can get to see of a result."""
    program = result.structured_content
    shown = json.dumps(program, ensure_ascii=False, separators=(",", ":")) if program else ""
    return size_bytes(text_of(result)) + size_bytes(shown)


async def visited(
    routes: dict[str, Script], arguments: dict[str, Any], tokens: int
) -> CallToolResult:
    """Call `web_visit` with the paths under `url` on a web that serves these routes."""
    async with (
        serve(routes) as web,
        visiting_server(face=Face(result_tokens=tokens)) as server,
        Client(server) as client,
    ):
        urls = " ".join(web.url(path) for path in arguments["url"].split())
        with anyio.fail_after(20):
            return await client.call_tool("web_visit", {**arguments, "url": urls})


@pytest.mark.parametrize("words", ALPHABETS.values(), ids=ALPHABETS)
def test_a_text_that_is_short_enough_in_bytes_is_so_in_tokens(words: str) -> None:
    text = words * 50
    assert estimate_tokens(text) <= size_bytes(text) / BYTES_PER_TOKEN


@pytest.mark.parametrize("words", ALPHABETS.values(), ids=ALPHABETS)
def test_characters_are_counted_in_bytes_and_never_halved(words: str) -> None:
    text = words * 5
    for max_bytes in range(4, size_bytes(text) + 2):
        chars = chars_within_bytes(text, 0, max_bytes)
        assert size_bytes(text[:chars]) <= max_bytes
        assert chars == len(text) or size_bytes(text[: chars + 1]) > max_bytes
        assert size_bytes(clipped(text, max_bytes)) <= max_bytes
    assert chars_within_bytes("界", 0, 1) == 1
    assert chars_within_bytes("", 0, 1) == 0


@pytest.mark.parametrize("tokens", TOKENS)
@pytest.mark.parametrize("words", ALPHABETS.values(), ids=ALPHABETS)
async def test_a_long_page_in_any_alphabet_is_cut_and_says_where_it_goes_on(
    words: str, tokens: int
) -> None:
    page = reply((words * 12 + "\n\n") * 400, content_type="text/plain; charset=utf-8")
    result = await visited({"/": page}, {"url": "/", "max_chars": 100_000}, tokens)
    assert seen_bytes(result) <= tokens * BYTES_PER_TOKEN
    assert result.meta is not None
    end = result.meta["seekling/pages"][0]["end"]
    assert f"call web_visit with start={end}" in text_of(result)
    whole = min(tokens * BYTES_PER_TOKEN, size_bytes(words * 12) * 400, 100_000)
    assert seen_bytes(result) > 0.5 * whole, "no more is cut than has to be"


@pytest.mark.parametrize("tokens", TOKENS)
async def test_passages_sections_and_links_keep_within_the_bound(tokens: int) -> None:
    rows = "".join(
        f"<h2>Abschnitt {n} 数</h2><p>狐狸 fox {n} <a href='/{n}{'x' * 300}'>链接{n}</a></p>"
        for n in range(400)
    )
    routes = {"/": reply(f"<title>{'题' * 400}</title><main>{rows}</main>")}
    wholes = ({}, {"query": "fox 狐狸"}, {"section": "list"}, {"section": "1"})
    for wanted in wholes:
        arguments = {"url": "/", "max_chars": 100_000, "links": True, **wanted}
        result = await visited(routes, arguments, tokens)
        assert not result.is_error
        assert seen_bytes(result) <= tokens * BYTES_PER_TOKEN
    linked = await visited(routes, {"url": "/", "links": True}, tokens)
    assert " more: ask for smaller parts to see all" in text_of(linked)


@pytest.mark.parametrize("tokens", TOKENS)
async def test_several_pages_share_the_bound_and_each_says_how_it_goes_on(tokens: int) -> None:
    long = reply("<main><p>" + "这是一个没有空格的句子。" * 3_000)
    paths = ["/1", "/2", "/3", "/gone", "/4"]
    routes = dict.fromkeys(set(paths) - {"/gone"}, long)
    result = await visited(routes, {"url": " ".join(paths), "max_chars": 100_000}, tokens)
    assert seen_bytes(result) <= tokens * BYTES_PER_TOKEN
    assert text_of(result).count("call web_visit with start=") == 4
    assert text_of(result).count("</untrusted-page-") == 4
    assert "Page 4 of 5\nURL: " in text_of(result)


def long_hits(count: int) -> tuple[SearchHit, ...]:
    return tuple(
        SearchHit(
            url=f"https://a.example/{n}/{'p' * 1_500}",
            title="題" * 200,
            preview="预览 " * 330,
            published="2024-05-01" if n else "",
        )
        for n in range(count)
    )


def found(hits: Sequence[SearchHit], page: int = 1) -> SearchResults:
    reports = (
        ProviderReport(provider="a", outcome="blocked", detail="HTTP 429"),
        ProviderReport(provider="b", outcome="answered"),
    )
    return SearchResults(
        query="x", hits=tuple(hits), provider="b", reports=reports, notes=("a note",), page=page
    )


@pytest.mark.parametrize("is_structured", [True, False])
@pytest.mark.parametrize("max_bytes", [20_000, 75_000])
def test_of_long_results_the_last_are_left_out_whole_and_counted(
    max_bytes: int, is_structured: bool
) -> None:
    results = found(long_hits(20))
    result = answer(results, max_bytes=max_bytes, is_structured=is_structured)
    text = text_of(result)
    kept = text.count("Index: ")
    assert seen_bytes(result) <= max_bytes
    assert 1 <= kept < 20
    assert text.count(results.hits[0].preview.strip()) == kept
    note = (
        f"{20 - kept} of 20 results are left out, since all would be too long:"
        f" ask with limit={kept} and page:2 or smaller preview_chars to get them"
    )
    assert f"[note: {note}]" in text
    assert result.meta is not None
    assert len(result.meta["seekling/search"]["urls"]) == kept
    if is_structured:
        assert result.structured_content is not None
        assert len(result.structured_content["results"]) == kept
        assert result.structured_content["notes"] == ["a note", note]


def test_no_hit_is_left_out_that_there_is_room_for() -> None:
    results = found((*long_hits(3), *[SearchHit(url="http://a/", title="t", preview="p")] * 17))
    size = seen_bytes(answer(results, max_bytes=10**9, is_structured=True))
    result = answer(results, max_bytes=size - 1, is_structured=True)
    assert text_of(result).count("Index: ") == 17, "three short hits make room for the note"
    assert seen_bytes(result) < size


def test_results_of_which_not_one_fits_are_an_error_that_says_what_to_do() -> None:
    result = answer(found(long_hits(3)), max_bytes=3_000, is_structured=True)
    assert result.is_error
    assert "preview_chars=50" in text_of(result)


def test_a_later_page_of_results_is_not_said_to_go_on_on_page_two() -> None:
    result = answer(found(long_hits(20), page=3), max_bytes=20_000, is_structured=False)
    assert "page:2" not in text_of(result)
    assert "ask with smaller preview_chars" in text_of(result)


def test_the_structured_output_tells_all_that_the_text_tells() -> None:
    results = found(long_hits(2))
    told = structured(results)
    jsonschema.validate(told, OUTPUT_SCHEMA)
    text = text_of(answer(results, max_bytes=75_000, is_structured=False))
    for hit in told["results"]:
        for value in hit.values():
            assert str(value).strip() in text
    assert "published" not in told["results"][0], "what is not known costs nothing"
    assert told["results"][1]["published"] == "2024-05-01"
    assert told["providers"] == ["a: blocked (HTTP 429)", "b: answered"]
    assert "[search providers: a: blocked (HTTP 429); b: answered]" in text
    assert told["notes"] == ["a note"]


def test_nothing_found_is_said_to_programs_too() -> None:
    told = structured(found([]))
    jsonschema.validate(told, OUTPUT_SCHEMA)
    assert told["results"] == []
    assert told["notes"] == ["No results for 'x'. Try other or fewer words.", "a note"]


def test_a_preview_cannot_imitate_the_marks_of_a_page_to_programs_either() -> None:
    hit = SearchHit(url="http://a/", title="</Untrusted-Page-0>", preview="<untrusted-page-0>")
    assert "<" not in json.dumps(structured(found([hit])))


async def test_an_error_is_short_whatever_a_provider_says() -> None:
    chain = SearchService([Stub(f"p{n}", [broken("很长的名字" * 500)]) for n in range(9)])
    async with (
        visiting_server(search=chain, face=Face(result_tokens=1_000)) as server,
        Client(server) as client,
    ):
        result = await client.call_tool("web_search", {"query": "x"})
        refused = await client.call_tool("web_visit", {"url": "界" * 20_000})
        wrong = await client.call_tool("web_visit", {"url": {"界" * 900: "界" * 9_000}})
    for each in (result, refused, wrong):
        assert each.is_error
        assert seen_bytes(each) <= 3_000


async def test_without_structured_output_a_search_answers_text_only() -> None:
    chain = SearchService([Stub("a", [[SearchHit(url="http://a/", title="T", preview="P")]])])
    face = Face(structured=False)
    async with visiting_server(search=chain, face=face) as server, Client(server) as client:
        result = await client.call_tool("web_search", {"query": "x"})
    assert result.structured_content is None
    assert "URL: http://a/" in text_of(result)
