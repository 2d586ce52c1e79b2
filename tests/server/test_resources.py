"""The status, and pages as resources."""

import json
import re
from pathlib import Path

import anyio
import pytest
from mcp import Client, MCPError
from mcp.types import INTERNAL_ERROR, INVALID_PARAMS, METHOD_NOT_FOUND, TextResourceContents

from mcp_server.resources.recent_pages import MAX_RECENT_PAGES
from mcp_server.server import STATUS_URI, Face, build_server
from tests.support.fake_web import reply, serve, silent
from tests.support.tools_server import NoServices, tools_server, visiting_server

MODES = ("auto", "legacy")
VOSS = "https://facts.example/voss"


async def text_of(client: Client, uri: str) -> str:
    (content,) = (await client.read_resource(uri)).contents
    assert isinstance(content, TextResourceContents)
    assert content.uri == uri
    return content.text


@pytest.mark.parametrize("mode", MODES)
async def test_the_status_is_json_where_there_is_one(mode: str) -> None:
    server = build_server(NoServices(), status=lambda: {"calls": 3, "where": Path("x")})
    async with Client(server, mode=mode) as client:
        (listed,) = (await client.list_resources()).resources
        assert (listed.uri, listed.mime_type) == (STATUS_URI, "application/json")
        assert json.loads(await text_of(client, STATUS_URI)) == {"calls": 3, "where": "x"}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("uri", [STATUS_URI, "test://nothing", "page:/x"])
async def test_a_resource_that_does_not_exist_is_an_error_of_the_protocol(
    uri: str, mode: str
) -> None:
    async with Client(build_server(NoServices()), mode=mode) as client:
        with pytest.raises(MCPError) as caught:
            await client.read_resource(uri)
    assert caught.value.code == INVALID_PARAMS
    assert caught.value.data == {"uri": uri}


async def test_a_page_is_read_by_its_address_as_a_visit_reads_it(tmp_path: Path) -> None:
    async with tools_server(tmp_path) as server, Client(server) as client:
        (template,) = (await client.list_resource_templates()).resource_templates
        assert template.uri_template == "page://{+url}"
        text = await text_of(client, f"page://{VOSS}")
    assert text.startswith("Title: Mara Voss\n")
    assert re.search(r"<(untrusted-page-\w+)>\nMara Voss was an engineer.*\n</\1>", text)


async def test_the_address_of_a_page_is_taken_as_it_is() -> None:
    async with serve({"/a%2Fb/../c": reply("no"), "/a%2Fb": reply("<p>the page</p>")}) as web:
        async with visiting_server() as server, Client(server) as client:
            text = await text_of(client, "page://" + web.url("/a%2Fb?x=%20y&z=1#part"))
        assert web.requests[0].startswith("GET /a%2Fb?x=%20y&z=1 HTTP")
    assert "the page" in text


@pytest.mark.parametrize("uri", ["page://", "page://http://127.0.0.1/", "page:///etc/passwd"])
async def test_a_page_that_may_not_be_visited_is_no_resource(uri: str, tmp_path: Path) -> None:
    async with tools_server(tmp_path) as server, Client(server) as client:
        with pytest.raises(MCPError) as caught:
            await client.read_resource(uri)
    assert caught.value.code == INVALID_PARAMS
    assert caught.value.data == {"uri": uri}


async def test_a_page_that_does_not_come_is_an_error_that_says_so() -> None:
    async with (
        serve({"/": silent}) as web,
        visiting_server(face=Face(call_seconds=0.2)) as server,
        Client(server) as client,
    ):
        with pytest.raises(MCPError, match=r"within 0\.2 seconds") as caught:
            await client.read_resource("page://" + web.url("/"))
    assert caught.value.code == INTERNAL_ERROR


async def test_a_long_page_is_cut_to_what_a_host_takes_and_says_how_to_go_on() -> None:
    markup = "<main>" + "<p>ein Satz mit Wörtern 日本語の文章</p>" * 3_000
    face = Face(result_tokens=2_000)
    async with (
        serve({"/": reply(markup)}) as web,
        visiting_server(face=face) as server,
        Client(server) as client,
    ):
        text = await text_of(client, "page://" + web.url("/"))
    assert 4_000 < len(text.encode()) <= 6_000
    assert "call web_visit with start=" in text


@pytest.mark.parametrize("mode", MODES)
async def test_pages_that_were_read_are_listed_the_last_one_first(
    mode: str, tmp_path: Path
) -> None:
    async with tools_server(tmp_path) as server, Client(server, mode=mode) as client:
        assert (await client.list_resources()).resources == []
        await client.call_tool("web_visit", {"url": "https://facts.example/lighthouse"})
        await client.call_tool("web_visit", {"url": "corpus://facts/none"})
        await client.call_tool("web_visit", {"url": VOSS})
        await client.read_resource("page://https://facts.example/ostrelund")
        await client.read_resource(f"page://{VOSS}")
        listed = (await client.list_resources()).resources
        assert [(each.uri, each.name) for each in listed] == [
            (f"page://{VOSS}", "Mara Voss"),
            ("page://https://facts.example/ostrelund", "Ostrelund"),
            ("page://https://facts.example/lighthouse", "Brindlewick Lighthouse"),
        ]
        assert "engineer" in await text_of(client, str(listed[0].uri))


async def test_a_host_that_listens_hears_of_a_page_that_is_new_in_the_list(tmp_path: Path) -> None:
    async with (
        tools_server(tmp_path) as server,
        Client(server) as client,
        client.listen(resources_list_changed=True) as changes,
    ):
        for page in (VOSS, "https://facts.example/ostrelund"):
            await client.call_tool("web_visit", {"url": page})
            with anyio.fail_after(5):
                heard = await anext(changes)
            assert type(heard).__name__ == "ResourcesListChanged"


async def test_the_list_of_pages_is_bounded() -> None:
    pages = {f"/{n}": reply(f"<title>Page {n}</title><p>text") for n in range(25)}
    async with serve(pages) as web, visiting_server() as server, Client(server) as client:
        for first in range(0, 25, 5):
            urls = " ".join(web.url(f"/{n}") for n in range(first, first + 5))
            await client.call_tool("web_visit", {"url": urls})
        listed = (await client.list_resources()).resources
    assert len(listed) == MAX_RECENT_PAGES
    assert listed[0].name == "Page 24"


async def test_callers_of_a_shared_server_do_not_see_what_others_read(tmp_path: Path) -> None:
    async with tools_server(tmp_path, face=Face(is_shared=True)) as server:
        async with Client(server) as client:
            await client.call_tool("web_visit", {"url": VOSS})
            assert "engineer" in await text_of(client, f"page://{VOSS}")
        async with Client(server) as other:
            assert (await other.list_resources()).resources == []


@pytest.mark.parametrize("mode", MODES)
async def test_resources_that_are_switched_off_do_not_exist(mode: str, tmp_path: Path) -> None:
    face = Face(resources=False)
    async with tools_server(tmp_path, face=face) as server, Client(server, mode=mode) as client:
        for ask in (
            client.list_resources(),
            client.list_resource_templates(),
            client.read_resource(f"page://{VOSS}"),
        ):
            with pytest.raises(MCPError) as caught:
                await ask
            assert caught.value.code == METHOD_NOT_FOUND
        assert not (await client.call_tool("web_visit", {"url": VOSS})).is_error
