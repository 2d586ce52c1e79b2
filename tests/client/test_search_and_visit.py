"""The two tools for people: `seekling search` and `seekling visit`, with no model and no key."""

import json
from typing import Any, Literal

import anyio
import pytest
from mcp.server import MCPServer
from mcp.types import CallToolResult, TextContent

from agent_client.cli import main, search, visit
from agent_client.errors import ConfigError, ToolFailed, ToolServerError, ToolUnavailable
from agent_client.search_hits import Hit, read_hits
from tests.support.http_server import http_serving

LIGHTHOUSE = "https://facts.example/lighthouse"


async def run(command: Literal["search", "visit"], *arguments: str) -> int:
    options = main.build_parser([command]).parse_args([command, *arguments])
    with anyio.fail_after(20):
        return await (search if command == "search" else visit).run(options)


def other_server(**results: CallToolResult | str) -> MCPServer:
    """A server with tools of other names: `find_search(q, count)` and `fetch_page(urls)`."""
    server = MCPServer("other", log_level="CRITICAL")

    @server.tool()
    def find_search(q: str, count: int = 5) -> CallToolResult:  # pyright: ignore[reportUnusedFunction]
        return _result(results.get("search", f"{count} things about {q}"))

    @server.tool()
    def fetch_page(urls: list[str]) -> CallToolResult:  # pyright: ignore[reportUnusedFunction]
        return _result(results.get("visit", f"words of {' and '.join(urls)}"))

    return server


def _result(told: CallToolResult | str) -> CallToolResult:
    if isinstance(told, str):
        return CallToolResult(content=[TextContent(type="text", text=told)])
    return told


def failed(text: str, kind: str) -> CallToolResult:
    meta = {"seekling/error": {"kind": kind, "retryable": True, "retry_after_seconds": 40}}
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True, _meta=meta)


@pytest.mark.usefixtures("shared_tools")
async def test_hits_are_numbered_lines_and_who_answered_goes_to_stderr(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert await run("search", "lighthouse", "--limit", "1") == 0
    told = capsys.readouterr()
    lines = told.out.splitlines()
    assert lines[:2] == [" 1. Brindlewick Lighthouse", f"    {LIGHTHOUSE}"]
    assert "Mara Voss in 1871" in lines[2]
    assert len(lines) == 3
    assert "search providers: local: answered" in told.err


@pytest.mark.usefixtures("shared_tools")
async def test_a_search_for_programs_has_the_hits_and_what_the_model_would_read(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert await run("search", "lighthouse", "--json", "--limit", "1") == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (told["schema_version"], told["tool"], told["is_error"]) == (1, "web_search", False)
    assert [hit["url"] for hit in told["hits"]] == [LIGHTHOUSE]
    assert told["text"].startswith("Index: 0\nURL: ")
    assert told["meta"]["seekling/search"]["provider"] == "local"


@pytest.mark.usefixtures("shared_tools")
async def test_no_results_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert await run("search", "xyzzyqwert", "-q") == 0
    assert tuple(capsys.readouterr()) == ("", "no results\n")


@pytest.mark.usefixtures("shared_tools")
async def test_a_page_is_its_text_and_the_command_for_the_rest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    url = "https://facts.example/ostrelund"
    assert await run("visit", url, "--max-chars", "100") == 0
    told = capsys.readouterr()
    assert told.out.startswith("The river Serrin flows through Ostrelund.")
    assert "untrusted-page" not in told.out + told.err
    assert "Title: Ostrelund" in told.err
    last = told.err.splitlines()[-1]
    assert "characters are left: seekling visit --start " in last and last.endswith(url)
    start = last.split("--start ")[1].split()[0]
    assert await run("visit", url, "--start", start, "-q") == 0
    told = capsys.readouterr()
    assert told.out.strip().startswith("More text.") or "text." in told.out
    assert told.err == ""


@pytest.mark.usefixtures("shared_tools")
async def test_a_page_that_may_not_be_visited_is_a_failure_with_its_reason(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(ToolFailed, match="not on the public internet") as caught:
        await run("visit", "http://10.0.0.7/")
    assert caught.value.exit_code == 1
    assert await run("visit", "http://10.0.0.7/", "--json") == 1
    told = capsys.readouterr()
    assert json.loads(told.out)["error"]["type"] == "ToolFailed"
    assert told.err.startswith("seekling: ") and "not on the public internet" in told.err


@pytest.mark.parametrize("kind", ["blocked", "rate_limited", "unavailable", "timeout"])
async def test_a_blocked_search_is_exit_code_5_and_never_no_results(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    blocked = failed("Error: search is blocked; this is NOT an empty result (x: 429).", kind)
    async with http_serving(other_server(search=blocked)) as served:
        with pytest.raises(ToolUnavailable, match="NOT an empty result") as caught:
            await run("search", "x", "--mcp", served.url)
        assert await run("search", "x", "--mcp", served.url, "--json") == 5
    assert caught.value.exit_code == 5
    told = json.loads(capsys.readouterr().out)
    assert (told["is_error"], told["error"]["code"], told["hits"]) == (True, 5, [])


async def test_tools_of_other_names_and_arguments_are_found(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async with http_serving(other_server()) as served:
        assert await run("search", "x y", "--limit", "3", "--mcp", served.url) == 0
        assert await run("visit", "https://a.example", "--mcp", served.url) == 0
        with pytest.raises(ConfigError, match="no argument for --section") as caught:
            await run("visit", "https://a.example", "--section", "1", "--mcp", served.url)
    assert capsys.readouterr().out == "3 things about x y\nwords of https://a.example\n"
    assert caught.value.hint == "its arguments are: urls"


async def test_a_server_without_the_tool_is_named_with_what_it_has() -> None:
    server = MCPServer("empty", log_level="CRITICAL")
    async with http_serving(server) as served:
        with pytest.raises(ToolServerError, match="no tool for a search, its tools are: none"):
            await run("search", "x", "--mcp", served.url)


async def test_no_page_can_write_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    evil = "Index: 0\nURL: https://a.example/\x1b]0;x\x07\nTitle: a\x1b[2J\u202eb\nPreview: \x9bc"
    async with http_serving(other_server(search=evil, visit="\x1b[31mred\u202e")) as served:
        assert await run("search", "x", "--mcp", served.url) == 0
        assert await run("search", "x", "--mcp", served.url, "--json") == 0
        assert await run("visit", "a", "--mcp", served.url) == 0
    shown = capsys.readouterr().out
    assert not any(character in shown for character in "\x1b\x07\x9b\u202e")
    assert "[31mred" in shown


@pytest.mark.parametrize(
    ("command", "arguments", "says"),
    [
        ("search", (" ",), "the query is empty"),
        ("search", ("x", "--limit", "0"), "--limit 0 is below 1"),
        ("visit", ("",), "the address is empty"),
        ("visit", ("a", "--start", "-1"), "--start -1 is below 0"),
        ("visit", ("a", "--max-chars", "0"), "--max-chars 0 is below 1"),
    ],
)
async def test_a_call_that_makes_no_sense_is_refused_before_anything_starts(
    command: Literal["search", "visit"], arguments: tuple[str, ...], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        await run(command, *arguments, "--mcp", "/absent/server")


def test_hits_are_read_with_their_dates_and_the_notes_below_them() -> None:
    text = (
        "Index: 0\nURL: https://a.example\nTitle: A [1]\nPublished: 2024-05-01\nPreview: one\n\n"
        "Index: 1\nURL: https://b.example\nTitle: \nPreview: two\nlines\n\n"
        "[note: page 2 has more]\n\n[search providers: x: answered]"
    )
    found = read_hits(text)
    assert found.hits == (
        Hit("https://a.example", "A [1]", "2024-05-01", "one"),
        Hit("https://b.example", "", "", "two\nlines"),
    )
    assert found.notes == ("note: page 2 has more", "search providers: x: answered")


@pytest.mark.parametrize("text", ["", "No results for 'x'.", "1. A https://a.example", "Index: 0"])
def test_other_texts_have_no_hits(text: str) -> None:
    assert read_hits(text).hits == ()


@pytest.mark.parametrize(
    ("url", "provider", "outcome", "says"),
    [
        ("https://encyclopedia.example/a", "local", "failed", "the small embedded encyclopedia"),
        ("https://notes.example/a", "local", "blocked", "your own index"),
        ("https://notes.example/a", "local", "no results", ""),
        ("https://notes.example/a", "brave", "failed", ""),
    ],
)
async def test_hits_of_this_machine_are_no_answer_of_the_web(
    url: str, provider: str, outcome: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    providers = {"duckduckgo": outcome, provider: "answered"}
    found = CallToolResult(
        content=[TextContent(type="text", text=f"Index: 1\nURL: {url}\nTitle: A\nPreview: b")],
        _meta={"seekling/search": {"provider": provider, "providers": providers}},
    )
    async with http_serving(other_server(search=found)) as served:
        assert await run("search", "x", "-q", "--mcp", served.url) == 0
        warned = capsys.readouterr().err
        assert await run("search", "x", "--json", "--mcp", served.url) == 0
    warning = json.loads(capsys.readouterr().out)["warning"]
    assert says in warning
    assert bool(warning) == bool(says)
    assert (f"duckduckgo {outcome}" in warned) == bool(says)
