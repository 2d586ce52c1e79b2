"""The bridge to MCP servers at a URL: tokens, refusals, restarts, certificates, proxies."""

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from mcp.client import ClientRequestContext
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.types import ElicitRequestParams, ElicitResult
from pydantic import BaseModel
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from agent_client.conversation import ToolCall, ToolResult
from agent_client.errors import ToolServerError
from agent_client.tool_meta import ERROR_META
from agent_client.tool_server.targets import HttpTarget
from agent_client.toolbox import McpToolbox
from tests.support.certificates import Authority
from tests.support.serving import serving

TOKEN = "correct-horse-battery-staple"
ECHO = ToolCall("c1", "echo", {"text": "hello"})


@asynccontextmanager
async def echo_app() -> AsyncGenerator[ASGIApp]:
    """An MCP server with one tool, as an application that runs."""
    server = MCPServer("echo")

    @server.tool()
    async def echo(text: str) -> str:
        return text

    app = server.streamable_http_app(host="127.0.0.1")
    async with server.session_manager.run():
        yield app


class Gateway:
    """Stands before an application, and answers by itself when it is told to."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.refuse: Callable[[dict[str, str]], Response | None] = lambda headers: None
        self.refused = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        refusal = self.refuse(headers)
        self.refused += refusal is not None
        await (refusal or self.app)(scope, receive, send)


@asynccontextmanager
async def gateway() -> AsyncGenerator[tuple[Gateway, str]]:
    async with echo_app() as app:
        before = Gateway(app)
        async with serving(before) as address:
            yield before, f"{address}/mcp"


def wants_token(headers: dict[str, str]) -> Response | None:
    is_known = headers.get("authorization") == f"Bearer {TOKEN}"
    return None if is_known else Response(status_code=401)


async def ask(target: HttpTarget | str) -> ToolResult:
    async with McpToolbox.open(target) as tools:
        return await tools.call(ECHO)


async def test_a_token_opens_a_server_that_asks_for_one() -> None:
    with anyio.fail_after(20):
        async with gateway() as (before, url):
            before.refuse = wants_token
            assert (await ask(HttpTarget(url, TOKEN))).text == "hello"


@pytest.mark.parametrize(
    ("token", "says"), [("", "asks for a token"), ("a-wrong-token", "does not accept the token")]
)
async def test_a_server_that_wants_another_token_says_so_and_the_token_is_nowhere(
    token: str, says: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with anyio.fail_after(20):
        async with gateway() as (before, url):
            before.refuse = wants_token
            target = HttpTarget(url, token)
            with pytest.raises(ToolServerError, match=says) as caught:
                await ask(target)
    assert caught.value.hint.endswith("SEEKLING_TOOLS_TOKEN")
    for text in (str(caught.value), repr(caught.value), repr(target), str(target), caplog.text):
        assert "a-wrong-token" not in text


async def test_a_token_that_would_be_a_header_of_its_own_is_refused_unshown() -> None:
    with pytest.raises(ToolServerError, match="the token has") as caught:
        HttpTarget("https://tools.example/mcp", "secret\r\nX-Other: 1")
    assert "secret" not in str(caught.value)


def test_a_url_is_shown_without_what_may_be_secret() -> None:
    target = HttpTarget("https://me:pass@tools.example:8443/mcp?apiKey=abc")
    assert str(target) == "https://tools.example:8443/mcp?…"


@pytest.mark.parametrize("url", ["https://", "ftp://tools.example", "http://host:port/", "mcp"])
def test_what_is_no_url_is_refused_at_once(url: str) -> None:
    with pytest.raises(ToolServerError, match="not a URL"):
        HttpTarget(url)


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (401, "asks for a token"),
        (403, "does not let us in"),
        (404, "no MCP server at this path"),
        (421, "this host name"),
        (503, r"cannot be reached \(HTTP 503\)"),
    ],
)
async def test_a_server_behind_a_broken_gateway_is_no_result_that_a_model_reads(
    status: int, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agent_client.toolbox.RETURN_SECONDS", 0.0)
    with anyio.fail_after(20):
        async with gateway() as (before, url), McpToolbox.open(url) as tools:
            before.refuse = lambda _: Response(status_code=status)
            with pytest.raises(ToolServerError, match=says):
                await tools.call(ECHO)
            before.refuse = lambda _: None
            assert (await tools.call(ECHO)).text == "hello"


async def test_a_server_that_is_away_for_a_moment_is_waited_for() -> None:
    with anyio.fail_after(30):
        async with gateway() as (before, url), McpToolbox.open(url) as tools:
            before.refuse = lambda _: Response(status_code=502) if before.refused < 5 else None
            assert (await tools.call(ECHO)).text == "hello"
            assert before.refused == 5


async def test_a_server_that_forgot_our_session_is_connected_to_anew() -> None:
    with anyio.fail_after(30):
        async with echo_app() as app, echo_app() as app_started_anew:
            before = Gateway(app)
            before.refuse = speaks_the_older_protocol_only
            async with serving(before) as address, McpToolbox.open(f"{address}/mcp") as tools:
                assert (await tools.call(ECHO)).text == "hello"
                before.app = app_started_anew
                assert (await tools.call(ECHO)).text == "hello"


def speaks_the_older_protocol_only(headers: dict[str, str]) -> Response | None:
    if headers.get("mcp-method") != "server/discover":
        return None
    error = {"code": -32601, "message": "Method not found"}
    return JSONResponse({"jsonrpc": "2.0", "id": None, "error": error}, 404)


async def test_a_busy_server_is_asked_again_after_the_time_that_it_names() -> None:
    busy = Response(status_code=429, headers={"Retry-After": "0"})
    with anyio.fail_after(20):
        async with gateway() as (before, url), McpToolbox.open(url) as tools:
            before.refuse = lambda _: busy if before.refused < 1 else None
            assert (await tools.call(ECHO)).text == "hello"
            assert before.refused == 1


async def test_a_server_that_stays_busy_is_a_result_that_says_when_to_come_back() -> None:
    with anyio.fail_after(20):
        async with gateway() as (before, url), McpToolbox.open(url) as tools:
            before.refuse = lambda _: Response(status_code=429, headers={"Retry-After": "90"})
            result = await tools.call(ECHO)
    assert result.is_error
    assert "Try again in 90 s" in result.text
    assert result.meta[ERROR_META] == {
        "kind": "rate_limited",
        "retryable": True,
        "retry_after_seconds": 90.0,
    }


async def test_a_server_on_this_machine_is_not_asked_through_a_proxy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # where nothing listens
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with anyio.fail_after(20):
        async with gateway() as (_, url):
            assert (await ask(url)).text == "hello"


async def test_a_certificate_of_ones_own_authority_is_accepted_once_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    with anyio.fail_after(30):
        async with (
            echo_app() as app,
            serving(app, tls=authority.server_context("localhost")) as address,
        ):
            with pytest.raises(ToolServerError, match="not one that this machine trusts") as caught:
                await ask(f"{address}/mcp")
            assert "SSL_CERT_FILE" in caught.value.hint
            monkeypatch.setenv("SSL_CERT_FILE", str(authority.file))
            assert (await ask(f"{address}/mcp")).text == "hello"


class Colour(BaseModel):
    colour: str


def asking_server() -> MCPServer:
    server = MCPServer("asking")

    @server.tool()
    async def paint(context: Context) -> str:
        answer = await context.elicit("Which colour?", Colour)
        return answer.data.colour if answer.action == "accept" else answer.action

    return server


async def test_a_tool_may_ask_the_user_when_the_embedding_program_answers() -> None:
    asked: list[str] = []

    async def user(context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        _ = context
        asked.append(params.message)
        return ElicitResult(action="accept", content={"colour": "blue"})

    with anyio.fail_after(20):
        server = asking_server()
        async with serving_older(server) as url:
            async with McpToolbox.open(url, elicitation=user) as tools:
                painted = await tools.call(ToolCall("c1", "paint", {}))
            async with McpToolbox.open(url) as tools:
                alone = await tools.call(ToolCall("c2", "paint", {}))
    assert (painted.text, asked) == ("blue", ["Which colour?"])
    assert alone.is_error


@asynccontextmanager
async def serving_older(server: MCPServer) -> AsyncGenerator[str]:
    """Serve it in the protocol in which a tool can ask in the middle of a call."""
    before = Gateway(server.streamable_http_app(host="127.0.0.1"))
    before.refuse = speaks_the_older_protocol_only
    async with server.session_manager.run(), serving(before) as address:
        yield f"{address}/mcp"
