"""The loop on a scripted model and scripted tools: no network, no process."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import anyio
import pytest

from agent_client.agent.agent import Agent
from agent_client.agent.limits import Limits
from agent_client.agent.prompts import BUDGET_NOTE, SHORT_SUFFIX, wants_short_answer
from agent_client.conversation import (
    Message,
    ModelReply,
    ModelRequest,
    ToolCall,
    ToolResult,
    ToolSpec,
    Usage,
)
from agent_client.errors import ConfigError, ModelError, ModelUnreachable, ToolServerError
from agent_client.events import (
    Emit,
    Event,
    Finished,
    Note,
    QuestionAsked,
    ToolFinished,
    ToolStarted,
)

Step = ModelReply | Exception | Callable[[ModelRequest], ModelReply]


def says(text: str = "", *calls: tuple[str, dict[str, object]], malformed: str = "") -> ModelReply:
    made = tuple(ToolCall(f"c{n}", name, arguments) for n, (name, arguments) in enumerate(calls))
    return ModelReply(
        message=Message(role="assistant", text=text, tool_calls=made),
        finish_reason="tool_calls" if made else "stop",
        usage=Usage(10, 5),
        malformed_calls=(malformed,) if malformed else (),
    )


@dataclass
class Model:
    steps: list[Step]
    name: str = "scripted"
    requests: list[ModelRequest] = field(default_factory=list[ModelRequest])

    async def complete(self, request: ModelRequest, *, emit: Emit) -> ModelReply:
        step = self.steps[min(len(self.requests), len(self.steps) - 1)]
        self.requests.append(request)
        await anyio.lowlevel.checkpoint()
        if isinstance(step, Exception):
            raise step
        return step if isinstance(step, ModelReply) else step(request)


SPECS = (
    ToolSpec("web_search", "", {"type": "object"}),
    ToolSpec("web_visit", "", {"type": "object"}),
)


@dataclass
class Tools:
    """Pages by URL; a search finds them all; an exception is raised."""

    pages: dict[str, str | Exception] = field(default_factory=dict[str, str | Exception])
    calls: list[ToolCall] = field(default_factory=list[ToolCall])

    async def list_tools(self) -> Sequence[ToolSpec]:
        return SPECS

    async def call(self, call: ToolCall) -> ToolResult:
        self.calls.append(call)
        await anyio.lowlevel.checkpoint()
        if call.name == "web_search":
            text = "\n\n".join(f"Index: {n}\nURL: {url}" for n, url in enumerate(self.pages))
            return ToolResult(call.id, call.name, text)
        page = self.pages.get(str(call.arguments["url"]), "")
        if isinstance(page, Exception):
            raise page
        if not page:
            return ToolResult(call.id, call.name, "Error: 404", is_error=True)
        return ToolResult(call.id, call.name, f"Title: T\nURL: x\n\n{page}")


def agent(model: Model, tools: Tools | None = None, **limits: float) -> Agent:
    bounds = replace(Limits(), **limits)  # type: ignore[arg-type]
    return Agent(model=model, tools=tools or Tools(), limits=bounds, style="cited")


VISIT: tuple[str, dict[str, object]] = ("web_visit", {"url": "https://a.example/"})
SEARCH: tuple[str, dict[str, object]] = ("web_search", {"query": "x"})


async def test_a_question_goes_through_search_and_visit_to_a_cited_answer() -> None:
    model = Model([says("", SEARCH), says("", VISIT), says("It is so [https://a.example/].")])
    outcome = await agent(model, Tools({"https://a.example/": "It is so."})).ask("Is it so?")
    assert (outcome.stop_reason, outcome.answer) == ("answered", "It is so [1].")
    assert [(s.number, s.url, s.is_cited) for s in outcome.sources] == [
        (1, "https://a.example/", True)
    ]
    counts = outcome.counts
    assert (counts.turns, counts.searches, counts.visits, counts.tool_calls) == (3, 1, 1, 2)
    assert outcome.usage == Usage(30, 15)


async def test_the_conversation_only_grows_at_its_end() -> None:
    model = Model([says("", SEARCH), says("", VISIT, SEARCH), says("done")])
    await agent(model).ask("Q?")
    for before, after in zip(model.requests, model.requests[1:], strict=False):
        assert after.messages[: len(before.messages)] == before.messages


async def test_calls_of_one_turn_run_side_by_side_and_answer_in_order() -> None:
    started: list[str] = []
    both = anyio.Event()

    class Slow(Tools):
        async def call(self, call: ToolCall) -> ToolResult:
            started.append(call.id)
            if len(started) == 2:
                both.set()
            await both.wait()  # neither ends before the other has begun
            return ToolResult(call.id, call.name, f"result of {call.id}")

    model = Model([says("", SEARCH, VISIT), says("done")])
    with anyio.fail_after(5):
        await agent(model, Slow()).ask("Q?")
    results = [m for m in model.requests[1].messages if m.role == "tool"]
    assert [m.tool_call_id for m in results] == ["c0", "c1"]


async def test_a_failed_visit_is_a_result_and_no_source() -> None:
    model = Model([says("", VISIT), says("not found")])
    outcome = await agent(model).ask("Q?")
    assert outcome.stop_reason == "answered"
    assert outcome.sources == ()
    assert (outcome.counts.visits, outcome.counts.tool_errors) == (1, 1)


async def test_an_unknown_tool_is_answered_with_the_tools_that_exist() -> None:
    model = Model([says("", ("shell", {"command": "ls"})), says("ok")])
    tools = Tools()
    await agent(model, tools).ask("Q?")
    answer = model.requests[1].messages[-1]
    assert answer.role == "tool"
    assert "no tool 'shell'" in answer.text
    assert "web_search, web_visit" in answer.text
    assert tools.calls == []


async def test_an_unreadable_call_is_answered_and_counted_and_never_dropped() -> None:
    model = Model([says("", malformed='{"name": "web_search", "argum'), says("ok")])
    outcome = await agent(model).ask("Q?")
    call = model.requests[1].messages[-2].tool_calls[0]
    answer = model.requests[1].messages[-1]
    assert answer.tool_call_id == call.id
    assert "could not be read" in answer.text
    assert outcome.counts.malformed_calls == 1


async def test_an_empty_reply_is_asked_for_again_on_the_same_conversation() -> None:
    model = Model([says(""), says("now")])
    outcome = await agent(model).ask("Q?")
    assert outcome.answer == "now"
    assert model.requests[0].messages == model.requests[1].messages


async def test_a_model_that_stays_silent_ends_without_an_answer() -> None:
    outcome = await agent(Model([says("")])).ask("Q?")
    assert (outcome.stop_reason, outcome.answer) == ("no_answer", "")
    assert outcome.counts.turns == 3


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        ({"turns": 3}, "turn_limit"),
        ({"tool_calls": 2}, "tool_call_limit"),
        ({"total_tokens": 30}, "token_limit"),
    ],
)
async def test_at_a_limit_the_answer_is_asked_for_inside_the_last_tool_result(
    limits: dict[str, float], reason: str
) -> None:
    def go(request: ModelRequest) -> ModelReply:
        return says("best guess") if not request.tools else says("", SEARCH)

    model = Model([go])
    outcome = await agent(model, None, **limits).ask("Q?")
    assert (outcome.stop_reason, outcome.answer) == (reason, "best guess")
    last = model.requests[-1]
    assert last.messages[-1].role == "tool"
    assert last.messages[-1].text.endswith(BUDGET_NOTE)
    assert outcome.counts.turns <= 3


async def test_calls_beyond_the_budget_of_one_turn_are_refused() -> None:
    model = Model([says("", SEARCH, SEARCH, SEARCH), says("done")])
    tools = Tools()
    outcome = await agent(model, tools, tool_calls=2).ask("Q?")
    assert len(tools.calls) == 2
    assert outcome.stop_reason == "tool_call_limit"


async def test_a_deadline_cancels_the_call_in_flight_and_still_takes_an_answer() -> None:
    was_cancelled = False

    class Stuck(Tools):
        async def call(self, call: ToolCall) -> ToolResult:
            nonlocal was_cancelled
            try:
                await anyio.sleep_forever()
            finally:
                was_cancelled = True
            raise AssertionError

    model = Model([says("", SEARCH), says("from memory")])
    with anyio.fail_after(5):
        outcome = await agent(model, Stuck(), seconds=0.05).ask("Q?")
    assert (outcome.stop_reason, outcome.answer) == ("time_limit", "from memory")
    assert was_cancelled
    cut_off = model.requests[-1].messages[-1]
    assert (cut_off.role, "cut off" in cut_off.text) == ("tool", True)


async def test_a_failing_model_ends_the_run_with_what_was_read() -> None:
    error = ModelUnreachable("http://m/v1", "connection refused", retryable=False)
    model = Model([says("", VISIT), error])
    outcome = await agent(model, Tools({"https://a.example/": "text"})).ask("Q?")
    assert (outcome.stop_reason, outcome.error) == ("model_error", error)
    assert [source.url for source in outcome.sources] == ["https://a.example/"]


async def test_a_reply_that_broke_off_is_asked_for_once_more() -> None:
    broken = ModelError("http://m/v1", "the stream broke off", retryable=True)
    outcome = await agent(Model([broken, says("fine")])).ask("Q?")
    assert outcome.answer == "fine"
    outcome = await agent(Model([broken])).ask("Q?")
    assert outcome.stop_reason == "model_error"


async def test_a_lost_tool_server_ends_the_run_as_a_tool_error() -> None:
    lost = ToolServerError("seekling-mcp serve", "it died")
    model = Model([says("", VISIT)])
    outcome = await agent(model, Tools({"https://a.example/": lost})).ask("Q?")
    assert (outcome.stop_reason, outcome.error) == ("tool_error", lost)


async def test_events_tell_the_run_in_order() -> None:
    events: list[Event] = []
    model = Model([says("", SEARCH), says("done")])
    outcome = await agent(model).ask("Q?", emit=events.append)
    kinds = [type(event) for event in events]
    assert kinds[0] is QuestionAsked
    assert kinds.index(ToolStarted) < kinds.index(ToolFinished)
    last = events[-1]
    assert isinstance(last, Finished)
    assert last.outcome is outcome


async def test_a_stream_gives_the_same_events_and_leaving_it_stops_the_run() -> None:
    def forever(request: ModelRequest) -> ModelReply:
        return says("", SEARCH)

    model = Model([forever])
    seen: list[Event] = []
    with anyio.fail_after(5):
        async with agent(model, turns=10_000).stream("Q?") as events:
            async for event in events:
                seen.append(event)
                if isinstance(event, ToolFinished):
                    break
    asked = len(model.requests)
    await anyio.lowlevel.checkpoint()
    assert len(model.requests) == asked
    assert isinstance(seen[0], QuestionAsked)


@pytest.mark.parametrize("question", ["", "  \n ", "x" * 30_000])
async def test_a_question_that_cannot_be_asked_is_refused(question: str) -> None:
    with pytest.raises(ConfigError):
        await agent(Model([says("x")])).ask(question)


@pytest.mark.parametrize(
    ("question", "is_short"),
    [
        ("Who designed the Eiffel Tower?", True),
        ("Lise Meitner was born in a city on a river. Which one?", True),
        ("Are Paris and Rome both capitals?", True),
        ("Why is the sky blue?", False),
        ("Explain how tides work", False),
        ("What are the advantages of tantivy?", False),
        ("Write about Rome.", False),
    ],
)
async def test_short_questions_are_asked_with_the_card_s_suffix(
    question: str, is_short: bool
) -> None:
    assert wants_short_answer(question, "auto") is is_short
    model = Model([says("x")])
    await replace(agent(model), style="auto").ask(question)
    assert model.requests[0].messages[-1].text == question + (SHORT_SUFFIX if is_short else "")


async def test_an_unanswered_call_never_stays_in_the_conversation() -> None:
    model = Model([says("", SEARCH, VISIT, malformed="junk"), says("done")])
    outcome = await agent(model).ask("Q?")
    asked = {call.id for m in outcome.messages for call in m.tool_calls}
    answered = {m.tool_call_id for m in outcome.messages if m.role == "tool"}
    assert asked == answered


async def test_retries_are_told_to_the_person() -> None:
    events: list[Event] = []
    await agent(Model([says(""), says("now")])).ask("Q?", emit=events.append)
    assert any(isinstance(event, Note) and "again" in event.text for event in events)
