"""`research` over MCP, in memory: the real protocol, a scripted model."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio
from mcp import Client
from mcp.types import CallToolResult, TextContent

from agent_client.agent.agent import Agent
from agent_client.errors import ModelUnreachable
from agent_client.service.research_tool import ResearchServer
from tests.support.agents import URL, StepModel, scripted_agent


@asynccontextmanager
async def connected(agent: Agent) -> AsyncGenerator[Client]:
    @asynccontextmanager
    async def opened() -> AsyncGenerator[Agent]:
        yield agent

    server = ResearchServer(opened)
    async with Client(server.mcp) as client:
        yield client


def text_of(result: CallToolResult) -> str:
    (block,) = result.content
    assert isinstance(block, TextContent)
    return block.text


async def test_research_gives_the_answer_with_its_sources() -> None:
    async with connected(scripted_agent()) as client:
        result = await client.call_tool("research", {"question": "Who designed the lighthouse?"})
    assert not result.is_error
    assert text_of(result) == (
        f"Mara Voss designed it [1].\n\nSources\n[1] Brindlewick Lighthouse {URL}"
    )


async def test_progress_is_told_while_it_waits() -> None:
    told: list[tuple[float, str | None]] = []

    async def watch(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, message))
        assert total is None

    async with connected(scripted_agent()) as client:
        await client.call_tool("research", {"question": "Who?"}, progress_callback=watch)
    assert any("web_visit" in (message or "") for _, message in told)


async def test_a_wait_that_ends_gives_a_job_to_come_back_for() -> None:
    gate = anyio.Event()
    async with connected(scripted_agent(gate=gate)) as client:
        first = text_of(await client.call_tool("research", {"question": "Who?", "wait": 0}))
        assert "Not finished yet" in first
        job_id = first.partition('job_id "')[2].partition('"')[0]
        gate.set()
        second = await client.call_tool("research_result", {"job_id": job_id})
        assert "Mara Voss designed it [1]." in text_of(second)
        again = await client.call_tool("research_result", {"job_id": job_id, "wait": 0})
        assert text_of(again) == text_of(second)


async def test_a_stopped_job_says_so_and_an_unknown_one_too() -> None:
    async with connected(scripted_agent(gate=anyio.Event())) as client:
        text = text_of(await client.call_tool("research", {"question": "Who?", "wait": 0}))
        job_id = text.partition('job_id "')[2].partition('"')[0]
        assert "is stopped" in text_of(
            await client.call_tool("research_cancel", {"job_id": job_id})
        )
        result = await client.call_tool("research_result", {"job_id": job_id})
        assert (result.is_error, "was stopped" in text_of(result)) == (True, True)
        unknown = await client.call_tool("research_result", {"job_id": "zzz"})
        assert (unknown.is_error, "there is no job 'zzz'" in text_of(unknown)) == (True, True)


async def test_a_host_that_gives_the_call_up_stops_the_research() -> None:
    agent = scripted_agent(gate=anyio.Event())
    assert isinstance(agent.model, StepModel)
    async with connected(agent) as client:
        async with anyio.create_task_group() as calls:
            calls.start_soon(client.call_tool, "research", {"question": "Who?"})
            await agent.model.is_asked.wait()
            calls.cancel_scope.cancel()
        with anyio.fail_after(10):
            while not agent.model.cancelled:
                await anyio.lowlevel.checkpoint()


async def test_a_failure_is_an_error_with_its_reason() -> None:
    failing = scripted_agent([ModelUnreachable("http://m/v1", "no connection", hint="start it")])
    async with connected(failing) as client:
        result = await client.call_tool("research", {"question": "Who?"})
        assert result.is_error
        assert "no connection" in text_of(result)
        assert "start it" in text_of(result)
        empty = await client.call_tool("research", {"question": "  "})
        assert (empty.is_error, text_of(empty)) == (True, "Error: the question is empty.")


async def test_the_tools_have_small_schemas_that_every_host_accepts() -> None:
    async with connected(scripted_agent()) as client:
        tools = (await client.list_tools()).tools
    assert [tool.name for tool in tools] == ["research", "research_result", "research_cancel"]
    written = " ".join(tool.model_dump_json() for tool in tools)
    assert "$ref" not in written
    assert "anyOf" not in written
    assert len(written) < 3_000
