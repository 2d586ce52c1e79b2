"""The least that an episode can cost: its requests and its calls, and nothing else.

    python tests/bench/agent_limits.py socket|httpx|noop|page [--at-once N] [--episodes N]

The bytes that Seekling sends in an episode are noted once and sent again and again; replies are
read to their end and not looked at.

- `socket`: the seven requests over plain sockets, one connection for each episode at once;
- `httpx`: the same with an `httpx.AsyncClient`;
- `noop`: the six calls alone, through the MCP SDK's client over stdio, of a tool that returns
  "ok", in a server that is nothing but the SDK's;
- `page`: the seven requests over sockets and six calls of a tool of that server that returns the
  10,000 characters: all the input and output of an episode through MCP.
"""

import argparse
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import anyio
import httpx
from anyio.abc import SocketStream
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client

from agent_client.agent.agent import Agent
from agent_client.model.lean_http import LeanHttp
from agent_client.model.transport import HttpReply, HttpRequest
from agent_client.profiles import load_profile
from tests.bench.agent_case import PagesInProcess, model_over
from tests.bench.agent_episode import (
    CALLS,
    ENVIRONMENT,
    FIRST,
    PAGE_CHARS,
    TURNS,
    WARM_UPS,
    Meter,
    question_of,
)
from tests.bench.agent_model import run_peer

LIMITS = ("socket", "httpx", "noop", "page")
BARE_SERVER = """
from mcp.server import MCPServer
server = MCPServer("bare", log_level="WARNING")
@server.tool(structured_output=False)
async def text(characters: int) -> str:
    return "x" * characters or "ok"
server.run()
"""
_LAST_CHUNK = b"\r\n0\r\n\r\n"
_RECEIVE_BYTES = 65_536

Episode = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Noting:
    """A transport that keeps what it sends."""

    transport: LeanHttp
    sent: list[HttpRequest] = field(default_factory=list[HttpRequest])

    @asynccontextmanager
    async def send(self, request: HttpRequest) -> AsyncGenerator[HttpReply]:
        """See `Transport.send`."""
        self.sent.append(request)
        async with self.transport.send(request) as reply:
            yield reply


async def requests_of_an_episode(port: int) -> Sequence[HttpRequest]:
    """What Seekling asks the model server for in one episode."""
    async with LeanHttp() as http:
        noting = _Noting(http)
        model = model_over(noting, "chat", port)
        agent = Agent(model=model, tools=PagesInProcess(), profile=load_profile("default"))
        outcome = await agent.ask(question_of(FIRST))
    assert outcome.counts.turns == len(noting.sent) == TURNS, outcome
    return noting.sent


async def _over_socket(stream: SocketStream, wires: Sequence[bytes]) -> None:
    for wire in wires:
        await stream.send(wire)
        tail = b""
        while not tail.endswith(_LAST_CHUNK):
            tail = (tail + await stream.receive(_RECEIVE_BYTES))[-len(_LAST_CHUNK) :]


async def _over_httpx(http: httpx.AsyncClient, requests: Sequence[HttpRequest]) -> None:
    for each in requests:
        async with http.stream(
            each.method, each.url, content=each.content, headers=dict(each.headers)
        ) as reply:
            async for _ in reply.aiter_raw():
                pass


async def _calls(client: Client, characters: int) -> None:
    for _ in range(CALLS):
        result = await client.call_tool("text", {"characters": characters})
        assert not result.is_error


async def _both(one: Episode, other: Episode) -> None:
    await one()
    await other()


def _wire(request: HttpRequest, port: int) -> bytes:
    fields = {**request.headers, "Host": f"127.0.0.1:{port}"}
    fields["Content-Length"] = str(len(request.content))
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    path = request.url.partition(str(port))[2]
    return f"{request.method} {path} HTTP/1.1\r\n{head}\r\n".encode() + request.content


@asynccontextmanager
async def _opened(kind: str, port: int, at_once: int) -> AsyncGenerator[Sequence[Episode]]:
    """What each of the episodes at once repeats."""
    async with AsyncExitStack() as stack:
        workers: list[Episode] = []
        if kind == "httpx":
            limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
            client = httpx.AsyncClient(trust_env=False, limits=limits, timeout=None)
            http = await stack.enter_async_context(client)
            asked = await requests_of_an_episode(port)
            workers = [partial(_over_httpx, http, asked)] * at_once
        elif kind != "noop":
            wires = [_wire(each, port) for each in await requests_of_an_episode(port)]
            for _ in range(at_once):
                stream = await stack.enter_async_context(await anyio.connect_tcp("127.0.0.1", port))
                workers.append(partial(_over_socket, stream, wires))
        if kind in ("noop", "page"):
            parameters = StdioServerParameters(
                command=sys.executable, args=["-c", BARE_SERVER], env=dict(ENVIRONMENT)
            )
            server = await stack.enter_async_context(Client(stdio_client(parameters), cache=None))
            await server.list_tools()
            calls = partial(_calls, server, PAGE_CHARS if kind == "page" else 0)
            workers = [partial(_both, one, calls) for one in workers] or [calls] * at_once
        yield workers


async def run(kind: str, port: int, at_once: int, episodes: int) -> dict[str, float]:
    """Run the episodes; the figures."""
    async with _opened(kind, port, at_once) as workers:

        async def worker(repeat: Episode, numbers: Iterator[int]) -> None:
            for _ in numbers:
                await repeat()

        for _ in range(WARM_UPS):
            await workers[0]()
        numbers = iter(range(episodes))
        meter = Meter()
        async with anyio.create_task_group() as tasks:
            for repeat in workers:
                tasks.start_soon(worker, repeat, numbers)
        return meter.figures(episodes, at_once)


def main() -> None:
    """Read which limit it is."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("kind", choices=LIMITS)
    options, rest = parser.parse_known_args()
    sys.argv[1:] = rest
    kind: str = options.kind
    run_peer(__doc__, lambda port, at_once, episodes: anyio.run(run, kind, port, at_once, episodes))


if __name__ == "__main__":
    main()
