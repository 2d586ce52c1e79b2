"""Counts and rates per caller, in memory and over HTTP with several tokens at once."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from mcp import Client, MCPError
from mcp.server.auth.provider import AccessToken
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.types import CallToolResult, TextContent

from mcp_server.access import callers as callers_module
from mcp_server.access.callers import Callers, caller_name, current_caller
from mcp_server.access.door import Door
from mcp_server.access.tokens import TokenFile
from mcp_server.app import open_services
from mcp_server.config import ServerConfig
from mcp_server.server import build_server
from mcp_server.services import Ready
from tests.support.guarded_server import Era, connected, guarded_server
from tests.support.tools_server import NoServices, build_small_index

TOKENS = {"ann": "ann-0123456789abcdef", "bob": "bob-0123456789abcdef"}
QUERY = {"query": "lighthouse"}
MISSING = {"url": "https://facts.example/absent"}
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "test", "version": "1"},
    },
}


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Watch:
    """Notes who is seen to call what."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []

    async def __call__(
        self, ctx: ServerRequestContext[Any, Any], call_next: CallNext
    ) -> HandlerResult:
        self.seen.append((current_caller(), ctx.method))
        return await call_next(ctx)


def door_of(folder: Path) -> Door:
    path = folder / "tokens"
    path.write_text("".join(f"{name} {token}\n" for name, token in TOKENS.items()))
    path.chmod(0o600)
    return Door(verifier=TokenFile(path))


def text_of(result: CallToolResult) -> str:
    assert isinstance(result.content[0], TextContent)
    return result.content[0].text


async def opened(stack: AsyncExitStack, folder: Path, callers: Callers) -> Client:
    config = ServerConfig.model_validate(
        {"providers": ("local",), "index": build_small_index(folder)}
    )
    services = await stack.enter_async_context(open_services(config))
    server = build_server(Ready(services), middleware=[callers.middleware()])
    return await stack.enter_async_context(Client(server))


async def test_over_the_rate_a_call_fails_with_the_time_to_wait(tmp_path: Path) -> None:
    clock = Clock()
    callers = Callers(3, clock=clock)
    async with AsyncExitStack() as stack:
        client = await opened(stack, tmp_path, callers)
        for _ in range(3):  # a minute's calls at once
            assert not (await client.call_tool("web_search", QUERY)).is_error
        over = await client.call_tool("web_search", QUERY)
        assert over.is_error
        assert "Wait 20 s" in text_of(over)
        assert over.meta is not None
        assert over.meta["seekling/error"] == {
            "kind": "rate_limited",
            "retryable": True,
            "retry_after_seconds": 20.0,
        }
        await client.list_tools()  # costs nothing
        clock.now += 19.9
        assert (await client.call_tool("web_search", QUERY)).is_error
        clock.now += 0.1
        assert not (await client.call_tool("web_search", QUERY)).is_error
        assert (await client.call_tool("web_search", QUERY)).is_error
        clock.now += 3_600.0  # no more than a minute's calls are saved up
        outcomes = [(await client.call_tool("web_search", QUERY)).is_error for _ in range(4)]
        assert outcomes == [False, False, False, True]
    assert callers.snapshot()[""]["refused"] == 4
    assert callers.refused() == {"": 4}


async def test_calls_are_counted_by_tool_and_outcome(tmp_path: Path) -> None:
    clock = Clock()
    callers = Callers(clock=clock)
    async with AsyncExitStack() as stack:
        client = await opened(stack, tmp_path, callers)
        for _ in range(20):  # without a rate there is no limit
            assert not (await client.call_tool("web_search", QUERY)).is_error
        await client.call_tool("web_visit", {"url": "https://facts.example/voss"})
        await client.call_tool("web_visit", {"url": "http://127.0.0.1/"})
        assert (await client.call_tool("web_search", {"query": ""})).is_error
    clock.now += 5.0
    assert callers.snapshot() == {
        "": {
            "calls": 23,
            "searches": 21,
            "visits": 2,
            "errors": 2,
            "refused": 0,
            "last_call_seconds_ago": 5.0,
        }
    }


async def test_to_read_a_page_as_a_resource_is_a_call_too(tmp_path: Path) -> None:
    callers = Callers(2, clock=Clock())
    async with AsyncExitStack() as stack:
        client = await opened(stack, tmp_path, callers)
        await client.read_resource("page://https://facts.example/voss")
        with pytest.raises(MCPError, match="absent"):
            await client.read_resource("page://https://facts.example/absent")
        with pytest.raises(MCPError, match="Wait 30 s"):
            await client.read_resource("page://https://facts.example/voss")
        assert (await client.call_tool("web_search", QUERY)).is_error
    counts = callers.snapshot()[""]
    assert (counts["calls"], counts["visits"], counts["errors"]) == (2, 2, 1)
    assert counts["refused"] == 2


async def called(callers: Callers, name: object) -> HandlerResult:
    """A call past the protocol's own checks: middleware stands before them."""

    async def answer(_: ServerRequestContext[Any, Any]) -> HandlerResult:
        return {"content": []}

    session: Any = None
    context = ServerRequestContext[Any, Any](
        session=session,
        lifespan_context=None,
        protocol_version="2026-07-28",
        method="tools/call",
        params={"name": name},
    )
    return await callers.middleware()(context, answer)


@pytest.mark.parametrize("name", ["web_search", "x" * 1_000, ["web_search"], {}, None, 7])
async def test_invented_tool_names_are_counted_as_calls_only(name: object) -> None:
    callers = Callers()
    await called(callers, name)
    counts = callers.snapshot("")[""]
    assert (counts["calls"], counts["searches"]) == (1, int(name == "web_search"))


async def test_only_so_many_callers_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callers_module, "MAX_CALLERS", 2)
    names = iter(["ann", "bob", "ann", "cy"])
    monkeypatch.setattr(callers_module, "current_caller", lambda: next(names))
    callers = Callers(10)
    for _ in range(4):
        await called(callers, "web_search")
    assert {name: told["calls"] for name, told in callers.snapshot().items()} == {"ann": 2, "cy": 1}


def test_a_person_is_one_caller_whatever_programs_he_registers() -> None:
    def name(client: str, subject: str | None) -> str:
        issued = {"iss": "https://as.example"}
        return caller_name(
            AccessToken(token="", client_id=client, scopes=[], subject=subject, claims=issued)
        )

    assert name("app-1", "ann") == name("app-2", "ann") == "oauth:ann"
    assert name("app-1", "bob") != name("app-1", "ann")
    assert name("robot", None) == "oauth:robot"
    # A name in the token file has no colon, so that it never is one of these.
    assert caller_name(AccessToken(token="", client_id="ann", scopes=[])) == "ann"


@pytest.mark.parametrize(
    ("era", "sessions"), [("legacy", True), ("legacy", False), ("2026-07-28", True)]
)
async def test_every_request_over_http_is_known_by_its_own_token(
    tmp_path: Path, era: Era, sessions: bool
) -> None:
    watch, callers = Watch(), Callers(2)
    door = door_of(tmp_path)
    async with (
        guarded_server(
            tmp_path, lambda _: door, sessions=sessions, middleware=[watch, callers.middleware()]
        ) as url,
        connected(url, token=TOKENS["ann"], era=era) as ann,
        connected(url, token=TOKENS["bob"], era=era) as bob,
    ):
        watch.seen.clear()
        for client in (ann, bob, ann, bob, bob):
            await client.call_tool("web_search", QUERY)
    calls = [name for name, method in watch.seen if method == "tools/call"]
    assert calls == ["ann", "bob", "ann", "bob", "bob"]
    assert {name for name, _ in watch.seen} == {"ann", "bob"}
    assert callers.snapshot("ann").keys() == {"ann"}
    assert callers.snapshot("ann")["ann"]["refused"] == 0
    assert callers.snapshot("bob")["bob"]["refused"] == 1  # his calls are not hers


async def test_a_session_is_its_openers_alone(tmp_path: Path) -> None:
    door = door_of(tmp_path)
    accept = {"Accept": "application/json, text/event-stream"}
    async with (
        guarded_server(tmp_path, lambda _: door, source=NoServices()) as url,
        httpx.AsyncClient(headers=accept, trust_env=False) as http,
    ):
        ann, bob = ({"Authorization": f"Bearer {TOKENS[name]}"} for name in ("ann", "bob"))
        begun = await http.post(url, json=INITIALIZE, headers=ann)
        session = {"Mcp-Session-Id": begun.headers["mcp-session-id"]}
        ask = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
        assert (await http.post(url, json=ask, headers=ann | session)).status_code == 200
        assert (await http.post(url, json=ask, headers=bob | session)).status_code == 404
        assert (await http.get(url, headers=bob | session)).status_code == 404
        assert (await http.delete(url, headers=bob | session)).status_code == 404
        assert (await http.post(url, json=ask, headers=session)).status_code == 401
        assert (await http.post(url, json=ask, headers=ann | session)).status_code == 200


async def test_who_is_taken_out_of_the_file_loses_his_session_too(tmp_path: Path) -> None:
    clock = Clock()
    path = tmp_path / "tokens"
    door_of(tmp_path)
    door = Door(verifier=TokenFile(path, clock=clock))
    accept = {"Accept": "application/json, text/event-stream"}
    async with (
        guarded_server(tmp_path, lambda _: door, source=NoServices()) as url,
        httpx.AsyncClient(headers=accept, trust_env=False) as http,
    ):
        ann = {"Authorization": f"Bearer {TOKENS['ann']}"}
        begun = await http.post(url, json=INITIALIZE, headers=ann)
        ann |= {"Mcp-Session-Id": begun.headers["mcp-session-id"]}
        path.write_text(f"bob {TOKENS['bob']}\n")
        clock.now += 1.0
        ask = {"jsonrpc": "2.0", "id": 2, "method": "tools/list"}
        assert (await http.post(url, json=ask, headers=ann)).status_code == 401
