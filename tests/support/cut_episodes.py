"""An agent whose replies follow from the conversation, so that it can be cut off and go on."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import anyio

from agent_client.agent.agent import Agent
from agent_client.conversation import ModelReply, ModelRequest, ToolCall, ToolResult, ToolSpec
from agent_client.evaluation.episode_record import EpisodeRecord
from agent_client.evaluation.records.resume_plan import Owed
from agent_client.evaluation.records.run_writer import RunWriter
from agent_client.evaluation.runner.episode import EpisodeSettings, solver
from agent_client.events import Emit
from agent_client.profiles import load_profile
from tests.support.agents import PageTools, says

PAGES = tuple(f"https://pages.example/{number}" for number in range(1, 6))
ANSWER_TURN = 4
"""Search; read three pages side by side; read two more, one of which is not there; answer."""


def visit(url: str) -> tuple[str, dict[str, object]]:
    """A call of the tool that reads a page."""
    return "web_visit", {"url": url}


def steps(question: str) -> tuple[ModelReply, ...]:
    """The replies to a question, by turn."""
    first, second, third, fourth, fifth = PAGES
    return (
        says("", ("web_search", {"query": question}), reasoning=f"{question} I search.", tag="a"),
        says("", visit(first), visit(second), visit(third), tag="b"),
        says("I read on.", visit(fourth), visit(f"{fifth}/gone"), visit(first), tag="c"),
        says(f"It is in the third page [{third}]. \\boxed{{{len(question)}}}", reasoning="I know."),
    )


@dataclass
class TurnModel:
    """A model that answers by the turn that a conversation has come to."""

    name: str = "scripted"
    context_tokens: int = 0
    asked: list[int] = field(default_factory=list[int])
    """The turns it was asked for."""
    fails_in: int = 0
    """A turn in which it fails, once."""

    async def complete(self, request: ModelRequest, *, emit: Emit) -> ModelReply:
        turn = 1 + sum(message.role == "assistant" for message in request.messages)
        question = next(message for message in request.messages if message.role == "user").text
        self.asked.append(turn)
        await anyio.lowlevel.checkpoint()
        if turn == self.fails_in:
            self.fails_in = 0
            raise RuntimeError("a bug")
        return steps(question.partition("?")[0])[turn - 1]


@dataclass
class TurnTools:
    """Pages; those that are read side by side come back in the opposite order."""

    calls: list[ToolCall] = field(default_factory=list[ToolCall])

    async def list_tools(self) -> Sequence[ToolSpec]:
        return await PageTools().list_tools()

    async def call(self, call: ToolCall) -> ToolResult:
        self.calls.append(call)
        if call.name == "web_search":
            found = "\n".join(f"URL: {url}" for url in PAGES)
            return ToolResult(call.id, call.name, found, meta={"seekling/search": {"urls": PAGES}})
        url = str(call.arguments["url"])
        for _ in range(len(PAGES) - int(url[-1]) if url in PAGES else 1):
            await anyio.lowlevel.checkpoint()
        if url not in PAGES:
            return ToolResult(call.id, call.name, "Error: 404", is_error=True)
        text = f"Title: {url}\n\n" + f"What stands in {url}, word for word. " * 30
        meta = {"seekling/pages": [{"url": url, "final_url": url, "title": url}]}
        return ToolResult(call.id, call.name, text, meta=meta)


async def work_on(
    writer: RunWriter, owed: Owed, model: TurnModel, tools: TurnTools | None = None
) -> EpisodeRecord:
    """Work on one episode as the runner does."""
    agent = Agent(model=model, tools=tools or TurnTools(), profile=load_profile("default"))
    episode = owed.episode(seed=7)
    log = writer.begin(episode)
    record = await solver(agent, EpisodeSettings())(episode, log)
    assert not log.diverged, log.diverged
    return writer.add_record(record, log)
