"""One case of what the agent costs: its tools, its model client, and its run."""

import sys
import tempfile
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx

from agent_client.agent.agent import Agent
from agent_client.cli.main import collect_rarely
from agent_client.conversation import ToolCall, ToolResult, ToolSpec
from agent_client.model.chat_completions import ChatCompletions
from agent_client.model.endpoint import Endpoint
from agent_client.model.lean_http import LeanHttp
from agent_client.model.qwen3_template import Qwen3Template
from agent_client.model.raw_completions import RawCompletions
from agent_client.model.transport import HttpxTransport, Transport
from agent_client.ports import ModelClient, Toolbox
from agent_client.profiles import load_profile
from agent_client.sessions.store import SessionStore
from agent_client.tool_server.targets import StdioTarget
from agent_client.toolbox import McpToolbox
from tests.bench.agent_episode import (
    ENVIRONMENT,
    FILLER,
    FIRST,
    PAGE_CHARS,
    TURNS,
    WARM_UPS,
    Meter,
    found_hits,
    question_of,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One row of the table."""

    name: str
    concurrency: int
    wire: str = "chat"
    tools: str = "in-process"
    pieces: str = "whole"
    """`whole`: one event per reply; `tokens`: one per four characters, as servers stream."""
    records: bool = True
    http: str = "lean"
    profile: str = "default"
    is_command: bool = False
    """Whether the process collects garbage as `seekling` does, not as Python does by itself."""


def _spec(name: str, argument: str) -> ToolSpec:
    properties = {argument: {"type": "string"}}
    schema = {"type": "object", "properties": properties, "required": [argument]}
    return ToolSpec(name, f"The tool {name}.", schema)


class PagesInProcess:
    """Tools without a protocol between: the least that any tool can cost."""

    def __init__(self) -> None:
        self._specs = (_spec("web_search", "query"), _spec("web_visit", "url"))

    async def list_tools(self) -> Sequence[ToolSpec]:
        """Both tools, with schemas like the real ones."""
        return self._specs

    async def call(self, call: ToolCall) -> ToolResult:
        """A list of ten hits, or a page of 10,000 characters."""
        await anyio.lowlevel.checkpoint()
        if call.name == "web_search":
            return ToolResult(call.id, call.name, found_hits(str(call.arguments["query"])))
        url = str(call.arguments["url"])
        mark, text = "untrusted-page-0123456789ab", FILLER[:PAGE_CHARS]
        shown = f"Title: {url}\nURL: {url}\n\n<{mark}>\n{text}\n</{mark}>"
        page = {"url": url, "final_url": url, "title": url, "start": 0, "end": len(text)}
        return ToolResult(call.id, call.name, shown, meta={"seekling/pages": [page]})


@asynccontextmanager
async def opened_tools(kind: str, index: str) -> AsyncGenerator[Toolbox]:
    """The tools of a case."""
    if kind == "in-process":
        yield PagesInProcess()
        return
    command = f"{sys.executable} -m mcp_server serve --providers local --index {index}"
    async with McpToolbox.open(StdioTarget.parse(command, ENVIRONMENT)) as tools:
        yield tools


@asynccontextmanager
async def opened_model(case: Case, port: int) -> AsyncGenerator[ModelClient]:
    """The model client of a case."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with AsyncExitStack() as stack:
        transport: Transport
        if case.http == "httpx":
            http = await stack.enter_async_context(
                httpx.AsyncClient(trust_env=False, limits=limits)
            )
            transport = HttpxTransport(http)
        else:
            transport = await stack.enter_async_context(LeanHttp())
        yield model_over(transport, case.wire, port)


def model_over(transport: Transport, wire: str, port: int) -> ModelClient:
    """The model client of a wire, over a transport of its owner."""
    endpoint = Endpoint(transport=transport, base_url=f"http://127.0.0.1:{port}/v1")
    if wire == "raw":
        return RawCompletions(endpoint=endpoint, model="bench", template=Qwen3Template())
    return ChatCompletions(endpoint=endpoint, model="bench")


async def run_case(case: Case, port: int, index: str, episodes: int) -> dict[str, float]:
    """Run a case; its figures."""
    if case.is_command:
        collect_rarely()
    prefixes: list[float] = []
    with tempfile.TemporaryDirectory(prefix="seekling-bench-") as stored:
        store = SessionStore(Path(stored))
        async with opened_tools(case.tools, index) as tools, opened_model(case, port) as model:
            agent = Agent(model=model, tools=tools, profile=load_profile(case.profile))

            async def episode(number: int) -> None:
                question = question_of(number)
                if not case.records:
                    outcome = await agent.ask(question, emit=_no_one)
                else:
                    with store.start("bench", warn=print) as session:
                        outcome = await agent.ask(question, emit=session.emit)
                assert outcome.short_answer == "fox", (outcome.answer, outcome.error)
                assert outcome.counts.turns == TURNS, outcome.counts
                prefixes.append(outcome.prefix.worst if outcome.prefix else 0.0)

            async def worker(numbers: Iterator[int]) -> None:
                for number in numbers:
                    await episode(number)

            for number in range(WARM_UPS):
                await episode(number)
            numbers = iter(range(FIRST, FIRST + episodes))
            meter = Meter()
            async with anyio.create_task_group() as tasks:
                for _ in range(case.concurrency):
                    tasks.start_soon(worker, numbers)
            figures = meter.figures(episodes, case.concurrency)
        kept = size_of(Path(stored)) / (episodes + WARM_UPS)
    return figures | {"prefix_worst": min(prefixes), "stored_bytes_per_episode": kept}


def _no_one(_: object) -> None:
    return None


def size_of(folder: Path) -> int:
    """All bytes in a folder's records."""
    return sum(file.stat().st_size for file in folder.rglob("*.jsonl"))
