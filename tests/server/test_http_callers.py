"""Who may call over HTTP: names of this server, web pages, and tokens."""

from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server.auth.provider import AccessToken
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.types import TextContent

from mcp_server.access.door import Door, ProtectedResource
from mcp_server.errors import ConfigError, KeysUnavailable
from mcp_server.serving.cross_origin import origin_checks
from mcp_server.serving.http_app import build_http_app
from mcp_server.serving.http_options import HttpOptions
from mcp_server.serving.traffic import Traffic
from tests.support.http_server import (
    ACCEPT,
    Bench,
    Names,
    http_serving,
    initialize,
    modern_headers,
    open_session,
    request,
)

PAGE = "https://app.example"
PUBLIC = "https://search.example/tools/mcp"
RESOURCE = ProtectedResource(url=PUBLIC, issuer="https://login.example", scopes=("search", "visit"))
METADATA = "https://search.example/.well-known/oauth-protected-resource/tools/mcp"
ROUTES = ("/mcp", "/health", "/metrics", "/status", "/.well-known/oauth-protected-resource", "/x")


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_foreign_names_and_pages_are_refused_on_every_route() -> None:
    async with (
        http_serving(
            Bench().server(),
            door=Door(verifier=Names(PUBLIC), resource=RESOURCE),
            metrics=lambda: (b"", "text/plain"),
            status=dict,
        ) as served,
        served.http(**bearer("ann-token+search+visit")) as http,
    ):
        for route in ROUTES:
            foreign = await http.get(route, headers={"Host": "evil.example"})
            page = await http.get(route, headers={"Origin": "https://evil.example"})
            preflight = await http.options(
                route, headers={"Origin": PAGE, "Access-Control-Request-Method": "POST"}
            )
            assert (foreign.status_code, page.status_code, preflight.status_code) == (421, 403, 403)
            assert "access-control-allow-origin" not in page.headers


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        ("127.0.0.1", True),
        ("LOCALHOST:1", True),
        ("[::1]:8848", True),
        ("127.9.9.9:80", True),
        ("search.example", True),
        ("Search.Example:8443", True),
        ("other.example:8443", True),
        ("other.example", False),
        ("other.example:443", False),
        ("search.example.evil", False),
        ("evil.search.example", False),
        ("search.example:8443:1", False),
        ("search.example@evil.example", False),
        ("localhost.evil.example", False),
        ("10.0.0.1", False),
        ("", False),
    ],
)
async def test_the_server_answers_to_its_own_names_only(host: str, is_ours: bool) -> None:
    reply = await health({"Host": host}, allowed_hosts=("search.example", "other.example:8443"))
    assert reply.status_code == (200 if is_ours else 421)


async def health(headers: dict[str, str], **options: Any) -> httpx.Response:
    chosen = HttpOptions(**options)
    app = build_http_app(Bench().server(), chosen, Traffic(chosen), door=None)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
        return await http.get("/health", headers=headers)


async def test_the_address_that_was_dialled_is_a_name_of_the_server() -> None:
    app = build_http_app(Bench().server(), HttpOptions(), Traffic(HttpOptions()), door=None)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://10.0.0.1:8848") as http:
        assert (await http.get("/health")).status_code == 200
        assert (await http.get("/health", headers={"Host": "10.0.0.2"})).status_code == 421


@pytest.mark.parametrize(
    ("origin", "may_call"),
    [
        (PAGE, True),
        ("https://app.example:8443", False),
        ("http://app.example", False),
        ("https://app.example.evil", False),
        ("http://localhost:3000", False),
        ("http://127.0.0.1", True),
        ("https://127.0.0.1", False),
        ("null", False),
        ("", False),
    ],
)
async def test_only_listed_pages_and_our_own_address_may_call(origin: str, may_call: bool) -> None:
    reply = await health({"Origin": origin}, allowed_origins=[PAGE + "/"])
    assert reply.status_code == (200 if may_call else 403)
    assert reply.headers.get("access-control-allow-origin") == (PAGE if origin == PAGE else None)
    if origin == PAGE:
        assert "mcp-session-id" in reply.headers["access-control-expose-headers"].lower()
        assert "origin" in reply.headers["vary"].lower()


async def test_a_listed_page_asks_beforehand_without_a_token() -> None:
    asked = {
        "Origin": PAGE,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": (
            "authorization,content-type,last-event-id,mcp-method,mcp-name,mcp-protocol-version,"
            "mcp-session-id"
        ),
    }
    door = Door(verifier=Names())
    async with (
        http_serving(Bench().server(), door=door, allowed_origins=[PAGE]) as served,
        served.http() as http,
    ):
        allowed = await http.options("/mcp", headers=asked)
        assert allowed.status_code == 200
        assert allowed.headers["access-control-allow-origin"] == PAGE
        for method in ("GET", "POST", "DELETE"):
            assert method in allowed.headers["access-control-allow-methods"]
        refused = await http.post("/mcp", json=initialize(), headers={**ACCEPT, "Origin": PAGE})
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == PAGE
        assert "www-authenticate" in refused.headers["access-control-expose-headers"].lower()


@pytest.mark.parametrize(
    ("hosts", "origins", "told"),
    [
        (("https://search.example",), (), "is not a host"),
        (("*",), (), "is not a host"),
        ((), ("*",), "is not an origin"),
        ((), ("null",), "is not an origin"),
        ((), ("app.example",), "is not an origin"),
        ((), ("https://app.example/page",), "is not an origin"),
    ],
)
def test_entries_that_could_not_match_are_refused(
    hosts: tuple[str, ...], origins: tuple[str, ...], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        origin_checks(hosts, origins)


@pytest.mark.parametrize("modern", [True, False])
async def test_tools_know_who_calls(modern: bool) -> None:
    async with (
        http_serving(Bench().server(), door=Door(verifier=Names())) as served,
        create_mcp_http_client(bearer("ann-token")) as http,
        Client(
            streamable_http_client(served.url, http_client=http),
            mode="auto" if modern else "legacy",
        ) as client,
    ):
        (content,) = (await client.call_tool("who", {})).content
    assert isinstance(content, TextContent)
    assert content.text == "ann"


@pytest.mark.parametrize(
    "given", ["", "Bearer", "Bearer wrong", "Basic ann-token", "ann-token", "Bearer ü"]
)
async def test_nobody_comes_in_without_a_token(given: str) -> None:
    bench = Bench()
    door = Door(verifier=Names())
    async with (
        http_serving(
            bench.server(), door=door, metrics=lambda: (b"", "text/plain"), status=dict
        ) as served,
        served.http() as http,
    ):
        headers = [(name.encode(), value.encode()) for name, value in ACCEPT.items()]
        headers += [(b"Authorization", given.encode())] if given else []
        for method, path in (("POST", "/mcp"), ("GET", "/mcp"), ("GET", "/metrics")):
            reply = await http.request(method, path, headers=headers)
            assert reply.status_code == 401
            assert ("invalid_token" in reply.headers["www-authenticate"]) == bool(given)
        assert (await http.get("/status", headers=headers)).status_code == 401
        assert (await http.get("/health", headers=headers)).status_code == 200
        assert (await http.get("/metrics", headers=bearer("ann-token"))).status_code == 200


async def test_a_session_is_its_caller_s_alone() -> None:
    async with (
        http_serving(Bench().server(), door=Door(verifier=Names())) as served,
        served.http(**bearer("ann-token")) as ann,
        served.http(**bearer("bob-token")) as bob,
    ):
        session = await open_session(ann)
        for method in ("POST", "DELETE"):
            body = request("ping") if method == "POST" else None
            stolen = await bob.request(method, "/mcp", json=body, headers=session)
            assert stolen.status_code == 404
        assert (await bob.get("/mcp", headers=session)).status_code == 404
        assert (await ann.post("/mcp", json=request("ping"), headers=session)).status_code == 200


async def test_oauth_clients_are_told_where_to_get_a_token() -> None:
    door = Door(verifier=Names(PUBLIC), resource=RESOURCE)
    async with http_serving(Bench().server(), door=door) as served, served.http() as http:
        refused = await http.post("/mcp", json=initialize(), headers=ACCEPT)
        challenge = refused.headers["www-authenticate"]
        assert challenge.startswith("Bearer ")
        assert f'resource_metadata="{METADATA}"' in challenge
        assert 'scope="search visit"' in challenge
        assert "error=" not in challenge
        for path in ("", "/mcp", "/tools/mcp"):
            told = await http.get(f"/.well-known/oauth-protected-resource{path}")
            assert told.json() == {
                "resource": PUBLIC,
                "authorization_servers": ["https://login.example"],
                "bearer_methods_supported": ["header"],
                "resource_name": "Seekling web search",
                "scopes_supported": ["search", "visit"],
            }


async def test_a_token_that_allows_too_little_is_told_what_is_lacking() -> None:
    door = Door(verifier=Names(PUBLIC), resource=RESOURCE)
    async with http_serving(Bench().server(), door=door) as served, served.http() as http:
        headers = {**ACCEPT, **bearer("ann-token+search")}
        refused = await http.post("/mcp", json=initialize(), headers=headers)
        assert refused.status_code == 403
        challenge = refused.headers["www-authenticate"]
        assert 'error="insufficient_scope"' in challenge
        assert 'scope="search visit"' in challenge
        assert f'resource_metadata="{METADATA}"' in challenge
        headers |= bearer("ann-token+search+visit")
        assert (await http.post("/mcp", json=initialize(), headers=headers)).status_code == 200


async def test_a_token_that_names_another_resource_is_refused() -> None:
    door = Door(verifier=Names("https://other.example/mcp"), resource=RESOURCE)
    async with http_serving(Bench().server(), door=door) as served, served.http() as http:
        headers = {**ACCEPT, **bearer("ann-token+search+visit")}
        reply = await http.post("/mcp", json=initialize(), headers=headers)
    assert reply.status_code == 401


async def test_while_tokens_cannot_be_checked_callers_are_told_to_come_back() -> None:
    class Blind(Names):
        async def verify_token(self, token: str) -> AccessToken | None:
            raise KeysUnavailable(6.5)

    door = Door(verifier=Blind())
    async with http_serving(Bench().server(), door=door) as served, served.http() as http:
        headers = {**modern_headers("server/discover"), **bearer("ann-token")}
        reply = await http.post(
            "/mcp", json=request("server/discover", modern=True), headers=headers
        )
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "7")


async def test_strangers_take_no_place_of_callers() -> None:
    is_stuck = anyio.Event()

    async def never_ending() -> AsyncIterator[bytes]:
        yield b"{"
        is_stuck.set()
        await anyio.sleep_forever()

    async with (
        http_serving(Bench().server(), door=Door(verifier=Names()), max_requests=1) as served,
        served.http() as stranger,
        served.http(**bearer("ann-token")) as ann,
        anyio.create_task_group() as group,
    ):
        group.start_soon(lambda: stranger.post("/mcp", content=never_ending(), headers=ACCEPT))
        await is_stuck.wait()
        await open_session(ann)
        group.cancel_scope.cancel()


async def test_one_caller_cannot_keep_the_others_from_beginning_sessions() -> None:
    async with (
        http_serving(Bench().server(), door=Door(verifier=Names()), max_sessions=4) as served,
        served.http(**bearer("ann-token")) as ann,
        served.http(**bearer("bob-token")) as bob,
    ):
        hers = [await open_session(ann) for _ in range(4)]
        his = await open_session(bob)
        ping = request("ping")
        assert (await ann.post("/mcp", json=ping, headers=hers[0])).status_code == 404
        assert (await ann.post("/mcp", json=ping, headers=hers[3])).status_code == 200
        assert (await bob.post("/mcp", json=ping, headers=his)).status_code == 200


async def test_who_knows_the_id_of_anothers_session_can_neither_end_it_nor_keep_it() -> None:
    ping = request("ping")
    async with (
        http_serving(Bench().server(), door=Door(verifier=Names()), max_sessions=4) as served,
        served.http(**bearer("ann-token")) as ann,
        served.http(**bearer("bob-token")) as bob,
    ):
        first, second, _ = [await open_session(ann) for _ in range(3)]
        for session in (second, first):
            assert (await bob.delete("/mcp", headers=session)).status_code == 404
            assert (await bob.post("/mcp", json=ping, headers=session)).status_code == 404
        await open_session(ann)
        assert (await ann.post("/mcp", json=ping, headers=first)).status_code == 404
        assert (await ann.post("/mcp", json=ping, headers=second)).status_code == 200


async def test_one_caller_cannot_take_all_places_for_calls() -> None:
    bench = Bench()
    wait = request("tools/call", modern=True, name="wait", arguments={})
    headers = modern_headers("tools/call", "wait")
    async with (
        http_serving(bench.server(), door=Door(verifier=Names()), max_requests=4) as served,
        served.http(**bearer("ann-token")) as ann,
        served.http(**bearer("bob-token")) as bob,
        anyio.create_task_group() as calls,
    ):
        for _ in range(3):
            calls.start_soon(lambda: ann.post("/mcp", json=wait, headers=headers))
        await bench.until(started=3)
        refused = await ann.post("/mcp", json=wait, headers=headers)
        assert refused.status_code == 503
        assert "3 requests are under way for you alone" in refused.text
        calls.start_soon(lambda: bob.post("/mcp", json=wait, headers=headers))
        await bench.until(started=4)
        bench.release.set()


async def test_one_caller_cannot_take_all_places_for_streams() -> None:
    listen = request("subscriptions/listen", modern=True, notifications={"toolsListChanged": True})
    headers = modern_headers("subscriptions/listen")
    async with (
        http_serving(Bench().server(), door=Door(verifier=Names()), max_sessions=2) as served,
        served.http(**bearer("ann-token")) as ann,
        served.http(**bearer("bob-token")) as bob,
        ann.stream("POST", "/mcp", json=listen, headers=headers),
    ):
        await served.until(streams=1)
        refused = await ann.post("/mcp", json=listen, headers=headers)
        assert refused.status_code == 503
        assert "1 streams are open for you alone" in refused.text
        async with bob.stream("POST", "/mcp", json=listen, headers=headers) as his:
            assert his.status_code == 200


async def test_a_caller_with_two_tokens_in_one_request_is_refused() -> None:
    two = [("Authorization", "Bearer ann-token"), ("Authorization", "Bearer bob-token")]
    async with (
        http_serving(Bench().server(), door=Door(verifier=Names())) as served,
        served.http() as http,
    ):
        reply = await http.post("/mcp", json=initialize(), headers=[*ACCEPT.items(), *two])
    assert reply.status_code == 400
    assert 'error="invalid_request"' in reply.headers["www-authenticate"]


async def test_a_request_with_two_lengths_is_refused_and_its_connection_closed() -> None:
    two_lengths = (
        b"POST /mcp HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 4\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /health HTTP/1.1\r\n\r\n"
    )
    async with http_serving(Bench().server()) as served:
        port = httpx.URL(served.base).port or 0
        async with await anyio.connect_tcp("127.0.0.1", port) as stream:
            await stream.send(two_lengths)
            replies = b""
            with anyio.fail_after(5):
                try:
                    while True:
                        replies += await stream.receive()
                except (anyio.EndOfStream, anyio.BrokenResourceError):
                    pass
    assert replies.startswith(b"HTTP/1.1 400")
    assert replies.count(b"HTTP/1.1") == 1
