"""An agent on a scripted model and scripted tools, without a network."""

from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import anyio

from agent_client.agent.agent import Agent
from agent_client.conversation import (
    Message,
    ModelReply,
    ModelRequest,
    ToolCall,
    ToolResult,
    ToolSpec,
    Usage,
)
from agent_client.events import Emit, Event, ReasoningDelta
from agent_client.profiles import load_profile
from agent_client.service.recording import Recording

Step = ModelReply | Exception | Callable[[ModelRequest], ModelReply]

URL = "https://facts.example/lighthouse"
PAGE = "Title: Brindlewick Lighthouse\n\nThe lighthouse was designed by Mara Voss in 1871."


def says(
    text: str = "", *calls: tuple[str, dict[str, object]], reasoning: str = "", tag: str = "c"
) -> ModelReply:
    """A reply with these calls; `tag` keeps the ids of several turns apart."""
    made = tuple(ToolCall(f"{tag}{n}", name, given) for n, (name, given) in enumerate(calls))
    return ModelReply(
        message=Message("assistant", text, reasoning=reasoning, tool_calls=made),
        finish_reason="tool_calls" if made else "stop",
        usage=Usage(100, 10, 50),
    )


def research_steps() -> list[Step]:
    """Search, read the page, answer with it."""
    return [
        says("", ("web_search", {"query": "lighthouse"}), reasoning="I search.", tag="a"),
        says("", ("web_visit", {"url": URL}), reasoning="I read.", tag="b"),
        says(f"Mara Voss designed it [{URL}].", reasoning="I know."),
    ]


@dataclass
class StepModel:
    """A model port that follows its steps; the last one is repeated."""

    steps: Sequence[Step]
    name: str = "scripted"
    context_tokens: int = 0
    requests: list[ModelRequest] = field(default_factory=list[ModelRequest])
    cancelled: int = 0
    gate: anyio.Event | None = None
    """When set, every reply waits for it."""
    is_asked: anyio.Event = field(default_factory=anyio.Event)

    async def complete(self, request: ModelRequest, *, emit: Emit) -> ModelReply:
        self.requests.append(request)
        self.is_asked.set()
        step = self.steps[min(len(self.requests), len(self.steps)) - 1]
        try:
            await (self.gate.wait() if self.gate else anyio.lowlevel.checkpoint())
        except anyio.get_cancelled_exc_class():
            self.cancelled += 1
            raise
        if isinstance(step, Exception):
            raise step
        reply = step if isinstance(step, ModelReply) else step(request)
        if reply.message.reasoning:
            emit(ReasoningDelta(reply.message.reasoning))
        return reply


@dataclass
class PageTools:
    """A tool port with one page."""

    calls: list[ToolCall] = field(default_factory=list[ToolCall])

    async def list_tools(self) -> Sequence[ToolSpec]:
        def spec(name: str, argument: str) -> ToolSpec:
            properties = {argument: {"type": "string"}}
            schema = {"type": "object", "properties": properties, "required": [argument]}
            return ToolSpec(name, "", schema)

        return (spec("web_search", "query"), spec("web_visit", "url"))

    async def call(self, call: ToolCall) -> ToolResult:
        self.calls.append(call)
        await anyio.lowlevel.checkpoint()
        if call.name == "web_search":
            return ToolResult(call.id, call.name, f"Index: 0\nURL: {URL}\nTitle: Lighthouse")
        if call.arguments.get("url") != URL:
            return ToolResult(call.id, call.name, "Error: 404", is_error=True)
        return ToolResult(call.id, call.name, PAGE)


def scripted_agent(steps: Sequence[Step] | None = None, gate: anyio.Event | None = None) -> Agent:
    """An agent of the default profile."""
    model = StepModel(steps or research_steps(), gate=gate)
    return Agent(model=model, tools=PageTools(), profile=load_profile("default"))


def recording_into(told: list[Event]) -> Recording:
    """A recorder that puts all events into one list."""

    @contextmanager
    def recorder(_: Agent) -> Generator[Emit]:
        yield told.append

    return recorder
