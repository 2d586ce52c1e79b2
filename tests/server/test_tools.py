"""The two tools as an MCP client sees them, in memory."""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import anyio
import pytest
from mcp import Client, MCPError
from mcp.types import INVALID_PARAMS, CallToolResult, TextContent

from mcp_server.server import build_server
from tests.support.tools_server import NoServices, tools_server


def text_of(result: CallToolResult) -> str:
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text


def page_text_of(result: CallToolResult) -> str:
    """What stands between the marks of the only page."""
    found = re.search(r"<(untrusted-page-[0-9a-f]+)>\n(.*)\n</\1>", text_of(result), re.DOTALL)
    assert found
    return found[2]


async def call(folder: Path, tool: str, arguments: Mapping[str, object]) -> CallToolResult:
    with anyio.fail_after(20):
        async with tools_server(folder) as server, Client(server) as client:
            await client.list_tools()
            return await client.call_tool(tool, dict(arguments))


async def test_results_are_blocks_of_the_format_the_reference_model_was_trained_on(
    tmp_path: Path,
) -> None:
    text = text_of(await call(tmp_path, "web_search", {"query": "Brindlewick lighthouse"}))
    first, *_, last = text.split("\n\n")
    assert first == (
        "Index: 0\nURL: https://facts.example/lighthouse\nTitle: Brindlewick Lighthouse\n"
        "Preview: The lighthouse was designed by Mara Voss in 1871."
    )
    assert last == "[search providers: local: answered]"


async def test_the_structured_output_holds_everything_the_text_does(tmp_path: Path) -> None:
    result = await call(tmp_path, "web_search", {"query": "Ostrelund", "limit": 2})
    assert result.structured_content is not None
    hits = result.structured_content["results"]
    assert len(hits) == 2
    text = text_of(result)
    for hit in hits:
        assert f"Index: {hit['index']}\nURL: {hit['url']}\nTitle: {hit['title']}" in text
        assert hit["preview"] in text
    assert result.structured_content["providers"] == ["local: answered"]


@pytest.mark.parametrize(
    "name",
    [
        "limit",
        "top_k",
        "num_results",
        "number_results",
        "num_result",
        "max_result",
        "max_results",
    ],
)
@pytest.mark.parametrize(
    ("value", "hits"), [(1, 1), ("2", 2), (1.0, 1), (0, 1), (None, 3), (99, 3)]
)
async def test_the_number_of_results_is_taken_under_every_trained_name(
    name: str, value: object, hits: int, tmp_path: Path
) -> None:
    query = "lighthouse Voss Ostrelund"
    result = await call(tmp_path, "web_search", {"query": query, name: value})
    assert result.structured_content is not None
    assert len(result.structured_content["results"]) == hits


@pytest.mark.parametrize("name", ["preview_char", "preview_chars"])
async def test_the_preview_length_is_taken_under_both_names(name: str, tmp_path: Path) -> None:
    result = await call(tmp_path, "web_search", {"query": "river Serrin", name: 60})
    assert result.structured_content is not None
    previews = [hit["preview"] for hit in result.structured_content["results"]]
    assert previews
    assert max(len(preview) for preview in previews) <= 60


@pytest.mark.parametrize("query", ["", "   ", "\u200b", "x" * 5_000])
async def test_a_query_that_cannot_be_asked_is_refused_with_advice(
    query: str, tmp_path: Path
) -> None:
    result = await call(tmp_path, "web_search", {"query": query})
    assert result.is_error
    assert "words" in text_of(result)


async def test_nothing_found_is_said_and_is_no_error(tmp_path: Path) -> None:
    result = await call(tmp_path, "web_search", {"query": "zyzzyva"})
    assert not result.is_error
    assert text_of(result).startswith("No results for 'zyzzyva'")
    assert "[search providers: local: no results]" in text_of(result)
    assert result.structured_content is not None
    assert result.structured_content["results"] == []
    assert result.structured_content["notes"][0].startswith("No results for 'zyzzyva'")


async def test_a_local_page_is_read_by_its_url_without_network(tmp_path: Path) -> None:
    result = await call(tmp_path, "web_visit", {"url": "https://facts.example/voss"})
    head, body = text_of(result).split("\n\n", 1)
    assert head.splitlines() == [
        "Title: Mara Voss",
        "URL: https://facts.example/voss",
        "Type: text/markdown",
        "Length: 44 characters; this part: 0 to 44",
    ]
    assert re.fullmatch(
        r"<(untrusted-page-[0-9a-f]{12})>\nMara Voss was an engineer born in Ostrelund.\n</\1>",
        body,
    )


async def test_programs_learn_from_the_meta_which_page_was_read(tmp_path: Path) -> None:
    result = await call(tmp_path, "web_visit", {"url": "https://facts.example/voss#birth"})
    assert result.meta is not None
    page = result.meta["seekling/pages"][0]
    assert (page["final_url"], page["title"]) == ("https://facts.example/voss", "Mara Voss")


async def test_a_long_page_comes_in_parts_that_lose_nothing(tmp_path: Path) -> None:
    url = "https://facts.example/ostrelund"
    whole, start, parts = "", 0, 0
    with anyio.fail_after(20):
        async with tools_server(tmp_path) as server, Client(server) as client:
            await client.list_tools()
            while True:
                arguments: dict[str, object] = {"url": url, "start": start, "max_chars": 200}
                result = await client.call_tool("web_visit", arguments)
                assert result.meta is not None
                page = result.meta["seekling/pages"][0]
                whole += page_text_of(result)
                parts += 1
                if page["end"] == page["total_chars"]:
                    break
                assert f"[The page goes on: call web_visit with start={page['end']}" in text_of(
                    result
                )
                start = page["end"]
    assert parts >= 3
    assert whole == ("The river Serrin flows through Ostrelund. " + "More text. " * 60).strip()


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://127.0.0.1/", "blocked"),
        ("http://169.254.169.254/latest/meta-data/", "blocked"),
        ("http://[::1]:80/", "blocked"),
        ("file:///etc/passwd", "http"),
        ("https://facts.example:22/", "blocked"),
        ("", "URL"),
        ("corpus://facts/none", "no such document"),
    ],
)
async def test_a_url_that_may_not_be_visited_is_an_error_that_says_what_next(
    url: str, says: str, tmp_path: Path
) -> None:
    result = await call(tmp_path, "web_visit", {"url": url})
    assert result.is_error
    assert says.lower() in text_of(result).lower()
    assert "Do not repeat the same call" in text_of(result)


async def test_arguments_are_taken_as_models_write_them(tmp_path: Path) -> None:
    nothing = dict.fromkeys(("query", "section", "start", "max_chars", "max_tokens", "links"))
    result = await call(tmp_path, "web_visit", {"url": "https://facts.example/voss", **nothing})
    assert "engineer born in Ostrelund" in page_text_of(result)
    arguments = {
        "url": "https://facts.example/ostrelund",
        "query": ["Serrin", "river"],
        "max_chars": "1,000",
    }
    result = await call(tmp_path, "web_visit", arguments)
    assert "The river Serrin flows" in page_text_of(result)


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize(
    ("tool", "arguments", "says"),
    [
        ("web_search", {}, "the argument 'query' is missing"),
        ("web_visit", {"url": 7}, "the argument 'url' is wrong: input should be a valid string"),
        ("web_visit", {"url": "x", "start": "soon"}, "the argument 'start' is wrong"),
        ("web_search", {"query": "x", "limit": {"a": [1] * 500}}, "the argument 'limit' is wrong"),
    ],
)
async def test_a_wrong_argument_is_an_error_of_one_line_that_names_it(
    tool: str, arguments: Mapping[str, object], says: str, mode: str
) -> None:
    async with Client(build_server(NoServices()), mode=mode) as client:
        result = await client.call_tool(tool, dict(arguments))
    assert result.is_error
    assert text_of(result).startswith(says)
    assert "\n" not in text_of(result)
    assert len(text_of(result)) < 200
    assert result.meta is not None
    assert result.meta["seekling/error"]["kind"] == "bad_request"


@pytest.mark.parametrize("mode", ["auto", "legacy"])
@pytest.mark.parametrize("name", ["fetch", "", "web_search\n" * 1_000])
async def test_a_tool_that_does_not_exist_is_an_error_of_the_protocol(name: str, mode: str) -> None:
    async with Client(build_server(NoServices()), mode=mode) as client:
        with pytest.raises(MCPError) as caught:
            await client.call_tool(name, {})
    assert caught.value.code == INVALID_PARAMS
    assert str(caught.value).endswith("Known: web_search, web_visit.")
    assert len(str(caught.value)) < 250


async def test_an_argument_that_does_not_exist_costs_nothing(tmp_path: Path) -> None:
    arguments = {"query": "Voss", "engine": "x", "context": {"a": 1}, "safe": None}
    result = await call(tmp_path, "web_search", arguments)
    assert not result.is_error


async def test_an_error_is_one_line_of_sentences(tmp_path: Path) -> None:
    result = await call(tmp_path, "web_visit", {"url": "corpus://facts/none"})
    assert text_of(result) == (
        "no such document in the local index."
        " Use a URL from the search results, or search again. Do not repeat the same call."
    )


async def test_a_page_that_is_named_twice_is_read_once(tmp_path: Path) -> None:
    urls = (
        "https://facts.example/voss https://facts.example/voss#birth <https://facts.example/voss>"
    )
    result = await call(tmp_path, "web_visit", {"url": urls})
    assert text_of(result).startswith("Title: Mara Voss")
    assert text_of(result).count("engineer") == 1


async def test_a_page_is_marked_with_a_name_that_follows_from_its_text_and_a_secret(
    tmp_path: Path,
) -> None:
    async def mark_of(page: str) -> str:
        result = await call(tmp_path, "web_visit", {"url": f"https://facts.example/{page}"})
        (mark,) = set(re.findall(r"untrusted-page-\w+", text_of(result)))
        return mark

    marks = [await mark_of(page) for page in ("voss", "ostrelund", "voss")]
    assert marks[0] == marks[2] != marks[1]


def test_each_process_has_a_secret_of_its_own_for_the_marks() -> None:
    script = "from mcp_server.tools import render; print(render._SECRET.hex())"
    secrets = {
        subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout
        for _ in range(2)
    }
    assert len(secrets) == 2


async def test_a_query_answers_with_the_passages_of_the_page_that_fit(tmp_path: Path) -> None:
    arguments = {"url": "https://facts.example/ostrelund", "query": "which river", "max_chars": 200}
    result = await call(tmp_path, "web_visit", arguments)
    assert "The river Serrin flows through Ostrelund." in page_text_of(result)
    assert "passages that match the query" in text_of(result)


@pytest.mark.parametrize(
    "url",
    [
        "https://facts.example/voss https://facts.example/lighthouse",
        "https://facts.example/voss, https://facts.example/lighthouse",
        ["https://facts.example/voss", "https://facts.example/lighthouse"],
        '["https://facts.example/voss", "https://facts.example/lighthouse"]',
    ],
)
@pytest.mark.parametrize("name", ["url", "urls"])
async def test_several_pages_are_read_by_one_call(url: object, name: str, tmp_path: Path) -> None:
    result = await call(tmp_path, "web_visit", {name: url})
    text = text_of(result)
    assert text.index("engineer born in Ostrelund") < text.index("designed by Mara Voss in 1871")
    assert result.meta is not None
    assert [page["title"] for page in result.meta["seekling/pages"]] == [
        "Mara Voss",
        "Brindlewick Lighthouse",
    ]


async def test_one_page_of_several_that_fails_costs_only_itself(tmp_path: Path) -> None:
    urls = "https://facts.example/voss http://127.0.0.1/"
    result = await call(tmp_path, "web_visit", {"url": urls})
    assert not result.is_error
    assert "engineer born in Ostrelund" in text_of(result)
    assert "Page 2 of 2\nURL: http://127.0.0.1/\nError: blocked" in text_of(result)


@pytest.mark.parametrize("count", [2, 6])
async def test_several_pages_that_all_fail_or_are_too_many_are_an_error(
    count: int, tmp_path: Path
) -> None:
    urls = " ".join(f"http://127.0.0.{number}/" for number in range(1, count + 1))
    result = await call(tmp_path, "web_visit", {"url": urls})
    assert result.is_error
    assert ("at most 5" if count == 6 else "blocked") in text_of(result)


@pytest.mark.parametrize("section", ["list", "Nowhere"])
async def test_a_section_that_is_not_there_is_told_in_words(section: str, tmp_path: Path) -> None:
    arguments = {"url": "https://facts.example/voss", "section": section}
    result = await call(tmp_path, "web_visit", arguments)
    assert "no headings" in text_of(result)


async def test_a_start_beyond_the_end_is_an_error_that_names_the_length(tmp_path: Path) -> None:
    arguments: dict[str, object] = {"url": "https://facts.example/voss", "start": 5_000}
    result = await call(tmp_path, "web_visit", arguments)
    assert result.is_error
    assert "44" in text_of(result)
