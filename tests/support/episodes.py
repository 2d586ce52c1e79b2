"""An episode of an evaluation without a network: what is asked, and a journal in memory."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from anyio.lowlevel import checkpoint

from agent_client.agent.agent import Agent
from agent_client.agent.limits import Limits
from agent_client.conversation import ModelReply, ModelRequest, ToolCall, ToolResult, ToolSpec
from agent_client.evaluation.ports import EarlierReply, EarlierResult, EarlierTurns, Episode
from agent_client.evaluation.question import Question
from agent_client.events import Emit, Event, ModelReplied
from tests.support.loop_fakes import SPECS, profile, says

RUN_ID = "0" * 32


def question(name: str = "q1", text: str = "Who built it?") -> Question:
    return Question(id=name, question=text, answers=("Mara Voss",), fields={"hops": 2})


def episode(name: str = "q1", **parts: object) -> Episode:
    plain = Episode(question=question(name), run_id=RUN_ID)
    return replace(plain, **parts)  # pyright: ignore[reportArgumentType]


@dataclass
class MemoryJournal:
    """Keeps what it is told, with the time since the first of it."""

    told: list[Event | EarlierResult] = field(default_factory=list[Event | EarlierResult])
    diverged: str = ""
    seconds: float = 0.0
    """How much later each thing comes than the one before."""

    def emit(self, event: Event) -> None:
        self.told.append(event)

    def tool_returned(self, call: ToolCall, result: ToolResult) -> None:
        self.told.append(EarlierResult(call, result, self.seconds * len(self.told)))

    @property
    def events(self) -> list[Event]:
        return [one for one in self.told if not isinstance(one, EarlierResult)]

    @property
    def returned(self) -> list[ToolCall]:
        return [one.call for one in self.told if isinstance(one, EarlierResult)]

    def earlier(self, upto: int | None = None) -> EarlierTurns:
        """What an attempt that was cut off behind the first `upto` entries has stored."""
        stored = self.told[:upto]
        return EarlierTurns(
            replies=tuple(
                EarlierReply(replace(one.reply, prompt="", completion=""), self.seconds * n)
                for n, one in enumerate(stored)
                if isinstance(one, ModelReplied)
            ),
            results=tuple(one for one in stored if isinstance(one, EarlierResult)),
        )


@dataclass
class TurnModel:
    """A model whose reply follows from the conversation alone: one step per turn."""

    steps: Sequence[ModelReply]
    name: str = "scripted"
    context_tokens: int = 0
    requests: list[ModelRequest] = field(default_factory=list[ModelRequest])
    fault: Callable[[], Exception | None] = lambda: None
    """Asked before each reply for an error to raise in its place."""

    async def complete(self, request: ModelRequest, *, emit: Emit) -> ModelReply:
        self.requests.append(request)
        await checkpoint()
        if (error := self.fault()) is not None:
            raise error
        turn = sum(message.role == "assistant" for message in request.messages)
        return replace(self.steps[min(turn, len(self.steps) - 1)], endpoint="http://m/v1")


@dataclass
class StepTools:
    """Searches and pages; a page takes as many steps of the event loop as its address says."""

    calls: list[ToolCall] = field(default_factory=list[ToolCall])
    fault: Callable[[ToolCall], Mapping[str, object] | None] = lambda _: None
    """Asked before each result for the `seekling/error` of a failure in its place."""

    async def list_tools(self) -> Sequence[ToolSpec]:
        return SPECS

    async def call(self, call: ToolCall) -> ToolResult:
        self.calls.append(call)
        asked = str(call.arguments.get("url") or call.arguments.get("query"))
        steps = asked.rpartition("/")[2]
        for _ in range(1 + (int(steps) if steps.isdigit() else 0)):
            await checkpoint()
        if (error := self.fault(call)) is not None:
            meta = {"seekling/error": error}
            return ToolResult(call.id, call.name, "Error: failed", is_error=True, meta=meta)
        return ToolResult(call.id, call.name, f"What {asked} says.\nURL: https://a.example/1")


def researching() -> list[ModelReply]:
    """Three turns with calls, several at once, then an answer."""
    return [
        says("", ("web_search", {"query": "one"}), reasoning="I search."),
        says(
            "",
            ("web_visit", {"url": "https://a.example/3"}),
            ("web_visit", {"url": "https://a.example/1"}),
            ("web_visit", {"url": "https://a.example/2"}),
            ("web_search", {"query": "two"}),
        ),
        says("Let me see.", ("web_visit", {"url": "https://a.example/0"})),
        says("It was \\boxed{Mara Voss}."),
    ]


def evaluated(model: TurnModel, tools: StepTools, limits: Limits | None = None) -> Agent:
    """The shipped agent on a model and tools."""
    return Agent(model, tools, profile(limits=limits or Limits(), style="short"))
