"""A call that takes long: it tells so, ends in time, and can be cancelled down to the socket."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest
from anyio.lowlevel import checkpoint
from mcp import Client, MCPError, StdioServerParameters
from mcp.types import CallToolResult, TextContent

from mcp_server.errors import ConfigError
from mcp_server.search.service import SearchService
from mcp_server.server import Face, build_server
from mcp_server.services import Services
from mcp_server.tools import attended
from mcp_server.tools.web_visit import waiting_for
from tests.server.test_search_service import Stub
from tests.support.fake_web import reply, serve, silent
from tests.support.stalled_site import stalled_site
from tests.support.tools_server import visiting_server

SCRIPT = str(Path(sys.executable).with_name("seekling-mcp"))
MODES = ("auto", "legacy")
SLOW_PAGE = reply(b"<div></x>" * 100_000 + b"after the attributes")
"""Keeps a page reader busy for more than half a minute."""


def text_of(result: CallToolResult) -> str:
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text


@dataclass
class News:
    """Progress notifications as a host gets them."""

    told: list[tuple[float, str | None]] = field(default_factory=list[tuple[float, str | None]])
    enough: anyio.Event = field(default_factory=anyio.Event)
    wanted: int = 3

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None:
        self.told.append((progress, message))
        if len(self.told) == self.wanted:
            self.enough.set()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attended, "FIRST_NEWS_SECONDS", 0.05)
    monkeypatch.setattr(attended, "NEWS_SECONDS", 0.11)


@pytest.mark.usefixtures("impatient")
async def test_a_slow_page_tells_again_and_again_what_is_waited_for() -> None:
    news = News()
    async with (
        stalled_site() as site,
        visiting_server() as server,
        Client(server, mode="legacy") as client,
        anyio.create_task_group() as tasks,
    ):

        async def visit() -> None:
            await client.call_tool("web_visit", {"url": site.url}, progress_callback=news)

        tasks.start_soon(visit)
        with anyio.fail_after(5):
            await news.enough.wait()
        tasks.cancel_scope.cancel()
    waited = [progress for progress, _ in news.told]
    assert waited == sorted(set(waited))
    assert {message for _, message in news.told} == {
        f"waiting for {site.url.removeprefix('http://').removesuffix('/slow')}"
    }


@pytest.mark.usefixtures("impatient")
async def test_news_ends_with_the_result() -> None:
    first, second = News(wanted=1), News(wanted=3)
    waits = iter((first.enough, second.enough))

    async def when_told() -> None:
        await next(waits).wait()

    chain = SearchService([Stub("a", [[]], before=when_told)])
    async with visiting_server(search=chain) as server, Client(server, mode="legacy") as client:
        with anyio.fail_after(5):
            await client.call_tool("web_search", {"query": "x"}, progress_callback=first)
            told = list(first.told)
            await client.call_tool("web_search", {"query": "y"}, progress_callback=second)
    assert first.told == told, "while the second call told three times"
    assert told[0][1] == "searching"


async def test_a_fast_call_and_one_that_did_not_ask_get_no_news() -> None:
    news = News()
    async with (
        serve({"/": reply("<p>text")}) as web,
        visiting_server() as server,
        Client(server, mode="legacy") as client,
    ):
        await client.call_tool("web_visit", {"url": web.url("/")}, progress_callback=news)
        await client.call_tool("web_visit", {"url": web.url("/")})
    assert news.told == []


@pytest.mark.parametrize(
    ("urls", "told"),
    [
        (["https://me:secret@a.example/x"], "waiting for a.example"),
        (["https://a.example/x", "https://b.example/", "b"], "waiting for a.example and 2 more"),
        (["see [this](https://a.example:8443/x?y)"], "waiting for a.example:8443"),
        (["no page at all"], "waiting for the page"),
        ([], "waiting for the page"),
    ],
)
def test_the_site_that_is_waited_for_is_named(urls: Sequence[str], told: str) -> None:
    assert waiting_for(urls) == told


@pytest.mark.parametrize("mode", MODES)
async def test_cancelling_a_visit_reaches_the_socket_at_once(mode: str) -> None:
    async with (
        stalled_site() as site,
        visiting_server() as server,
        Client(server, mode=mode) as client,
    ):
        await cancel_a_visit(client, site.url, site.asked)
        with anyio.fail_after(4):
            await site.left.wait()
        assert (await client.list_tools()).tools, "the server goes on"


async def cancel_a_visit(client: Client, url: str, asked: anyio.Event) -> None:
    """Call `web_visit`, and cancel the call when its request is on the way."""
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.call_tool, "web_visit", {"url": url})
            await asked.wait()
            tasks.cancel_scope.cancel()


async def test_over_stdio_too_news_comes_and_cancelling_and_a_time_out_reach_the_socket() -> None:
    arguments = ["serve", "--allow-private", "127.0.0.1/32", "--allow-ports", "any"]
    parameters = StdioServerParameters(command=SCRIPT, args=arguments)
    news = News(wanted=1)
    async with (
        stalled_site() as site,
        stalled_site() as other,
        Client(parameters) as client,
    ):
        await cancel_a_visit(client, site.url, site.asked)
        with anyio.fail_after(4):
            await site.left.wait()
        with pytest.raises(MCPError, match="timed out"):
            await client.call_tool(
                "web_visit", {"url": other.url}, read_timeout_seconds=4, progress_callback=news
            )
        with anyio.fail_after(4):
            await other.left.wait()
    assert news.told[0][1] == f"waiting for {other.url.removeprefix('http://')[:-5]}"


async def test_cancelling_a_visit_frees_the_page_reader() -> None:
    routes = {"/slow": SLOW_PAGE, "/": reply("<p>the next page")}
    async with (
        serve(routes) as web,
        visiting_server(page_readers=1) as server,
        Client(server) as client,
    ):
        with anyio.move_on_after(0.5):
            await client.call_tool("web_visit", {"url": web.url("/slow")})
        with anyio.fail_after(15):
            result = await client.call_tool("web_visit", {"url": web.url("/")})
    assert "the next page" in text_of(result)


@pytest.mark.parametrize("mode", MODES)
async def test_a_call_that_takes_too_long_says_so_and_what_to_do(mode: str) -> None:
    chain = SearchService([Stub("a", [[]], before=anyio.sleep_forever)])
    async with (
        stalled_site() as site,
        visiting_server(search=chain, face=Face(call_seconds=0.2)) as server,
        Client(server, mode=mode) as client,
    ):
        with anyio.fail_after(5):
            search = await client.call_tool("web_search", {"query": "x"})
            visit = await client.call_tool("web_visit", {"url": site.url})
            await site.left.wait()
    for result in (search, visit):
        assert result.is_error
        assert "within 0.2 seconds. Try again later" in text_of(result)
        assert result.meta is not None
        assert result.meta["seekling/error"] == {
            "kind": "timeout",
            "retryable": True,
            "retry_after_seconds": None,
        }


async def test_of_several_pages_those_that_are_ready_are_given() -> None:
    routes = {"/fast": reply("<p>the fast page"), "/slow": silent, "/slower": silent}
    async with (
        serve(routes) as web,
        visiting_server(face=Face(call_seconds=1)) as server,
        Client(server) as client,
    ):
        with anyio.fail_after(10):  # on a busy machine the first page may take long
            while (await client.call_tool("web_visit", {"url": web.url("/fast")})).is_error:
                pass
        urls = " ".join(map(web.url, ("/slow", "/fast", "/slower")))
        result = await client.call_tool("web_visit", {"url": urls})
    assert not result.is_error
    assert "the fast page" in text_of(result)
    assert text_of(result).count("Error: the page was not there within 1 seconds") == 2
    assert result.meta is not None
    assert [(each["url"], each["kind"]) for each in result.meta["seekling/errors"]] == [
        (web.url("/slow"), "timeout"),
        (web.url("/slower"), "timeout"),
    ]


class BrokenSource:
    """Services that cannot be opened."""

    async def services(self) -> Services:
        await checkpoint()
        raise ConfigError("the index is gone", hint="build it")


class NeverReady:
    """Services that take for ever to open."""

    async def services(self) -> Services:
        await anyio.sleep_forever()
        raise AssertionError


async def test_services_that_do_not_open_are_an_error_of_the_call_and_not_of_the_start() -> None:
    async with Client(build_server(BrokenSource())) as client:
        assert (await client.list_tools()).tools
        for tool, arguments in (("web_search", {"query": "x"}), ("web_visit", {"url": "a.org"})):
            result = await client.call_tool(tool, arguments)
            assert result.is_error
            assert text_of(result).startswith("the index is gone. Build it.")
    async with Client(build_server(NeverReady(), face=Face(call_seconds=0.1))) as client:
        result = await client.call_tool("web_visit", {"url": "a.org"})
        assert "within 0.1 seconds" in text_of(result)
