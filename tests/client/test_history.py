"""History policies, the size of the context, and what happens when it is too small."""

from dataclasses import replace

import pytest

from agent_client.agent.context_size import ContextSize, message_bytes, utf8_bytes
from agent_client.agent.limits import Limits
from agent_client.agent.notes import BUDGET_NOTE, OMITTED_RESULT
from agent_client.agent.profile import HistoryPolicy, ReplyPolicy, ResearchRules
from agent_client.conversation import (
    Message,
    ModelReply,
    ModelRequest,
    Sampling,
    ToolCall,
    Usage,
)
from agent_client.errors import ContextOverflow
from agent_client.events import Compacted, Emit, Event
from agent_client.model.qwen3_template import render
from tests.support.loop_fakes import Model, Step, Tools, agent, rendered, says, search, visit

CHARS_PER_TOKEN = 4


class CountingModel(Model):
    """Counts tokens, and refuses what does not fit, as a server does."""

    refuses_beyond: int = 0

    async def complete(self, request: ModelRequest, *, emit: Emit) -> ModelReply:
        prompt = sum(len(rendered(m)) for m in request.messages) // CHARS_PER_TOKEN
        if self.refuses_beyond and prompt + request.sampling.max_tokens > self.refuses_beyond:
            self.requests.append(request)
            raise ContextOverflow("http://m/v1", f"{prompt} tokens are too many", status=400)
        reply = await super().complete(request, emit=emit)
        written = len(rendered(reply.message)) // CHARS_PER_TOKEN
        return replace(reply, usage=Usage(prompt, written))


def pages(number: int, chars: int = 4_000) -> dict[str, str]:
    return {f"https://a.example/{n}": f"page {n}. " + "word " * (chars // 5) for n in range(number)}


def reading(number: int) -> list[Step]:
    """Visits page after page, then answers; answers at once when it is told to."""

    def step(position: int) -> Step:
        def go(request: ModelRequest) -> ModelReply:
            if request.messages[-1].text.endswith(BUDGET_NOTE):
                return says("told to answer")
            thought = f"thought {position} " + "hm " * 50
            return says("", visit(f"https://a.example/{position}"), reasoning=thought)

        return go

    return [*map(step, range(number)), says("read it all")]


async def test_before_the_context_is_full_the_answer_is_asked_for() -> None:
    model = CountingModel(reading(20), context_tokens=6_000)
    model.refuses_beyond = 6_000
    events: list[Event] = []
    outcome = await agent(model, Tools(pages(20))).ask("Q?", emit=events.append)
    assert (outcome.stop_reason, outcome.answer) == ("context_limit", "told to answer")
    assert 4 <= outcome.counts.visits <= 6
    assert not [event for event in events if isinstance(event, Compacted)]
    assert outcome.prefix is not None
    assert outcome.prefix.worst == 1.0
    assert any("the room for this question" in m.text for m in outcome.messages)


async def test_results_are_cut_to_what_fits_the_context() -> None:
    calls = [visit(url) for url in pages(4)]
    model = CountingModel([says("", *calls), says("done")], context_tokens=4_000)
    model.refuses_beyond = 4_000
    outcome = await agent(model, Tools(pages(4, 20_000))).ask("Q?")
    assert outcome.counts.guards["cut_result"] == 4
    assert outcome.error is None


async def test_old_results_are_left_out_at_the_limit_and_the_record_keeps_them() -> None:
    model = CountingModel(reading(12), context_tokens=6_000)
    model.refuses_beyond = 6_000
    events: list[Event] = []
    policy = HistoryPolicy(kind="omit_old_results", keep_results=2)
    outcome = await agent(model, Tools(pages(12)), history=policy).ask("Q?", emit=events.append)
    assert (outcome.stop_reason, outcome.answer) == ("answered", "read it all")
    compacted = [event for event in events if isinstance(event, Compacted)]
    assert len(compacted) == outcome.counts.compactions >= 2
    first = compacted[0]
    assert first.policy == "omit_old_results"
    assert sum(m.text == OMITTED_RESULT for m in first.after) > 0
    assert next(m.text for m in first.before if m.role == "tool").startswith("Title: T")
    results = [m.text for m in outcome.messages if m.role == "tool"]
    assert all(f"page {n}." in text for n, text in enumerate(results))
    # 100 % but for what was announced.
    assert outcome.prefix is not None
    assert outcome.prefix.worst == 1.0


async def test_a_result_that_was_left_out_is_given_in_full_when_it_is_asked_for_again() -> None:
    again = says("", visit("https://a.example/0"))
    model = CountingModel([*reading(8)[:-1], again, says("done")], context_tokens=6_000)
    tools = Tools(pages(9))
    policy = HistoryPolicy(kind="omit_old_results", keep_results=2)
    await agent(model, tools, history=policy).ask("Q?")
    assert len(tools.calls) == 8
    assert "page 0." in model.last.text
    assert len(model.last.text) > 4_000


async def test_reasoning_of_earlier_turns_can_be_left_out() -> None:
    events: list[Event] = []
    model = Model(reading(3))
    policy = HistoryPolicy(kind="drop_reasoning")
    outcome = await agent(model, Tools(pages(3)), history=policy).ask("Q?", emit=events.append)
    assert not any(m.reasoning or m.raw for m in model.requests[-1].messages)
    assert [bool(m.reasoning) for m in outcome.messages if m.tool_calls] == [True] * 3
    compacted = [event for event in events if isinstance(event, Compacted)]
    assert [event.policy for event in compacted] == ["drop_reasoning"]
    assert compacted[0].before[-1].reasoning
    assert not compacted[0].after[-1].reasoning
    # The price of a policy that always holds is not hidden by having been announced.
    assert outcome.prefix is not None
    assert outcome.prefix.worst < 1.0


@pytest.mark.parametrize("kind", ["append", "omit_old_results"])
async def test_an_overflow_on_the_server_still_gives_an_answer(kind: str) -> None:
    events: list[Event] = []
    model = CountingModel(reading(8))  # its context is not known here
    model.refuses_beyond = 3_000
    policy = HistoryPolicy(kind=kind, keep_results=1)  # type: ignore[arg-type]
    tools = Tools(pages(8))
    outcome = await agent(model, tools, history=policy).ask("Q?", emit=events.append)
    assert outcome.error is None
    if kind == "append":
        assert (outcome.stop_reason, outcome.answer) == ("context_limit", "told to answer")
        assert [e.policy for e in events if isinstance(e, Compacted)] == ["shortened_for_answer"]
        assert model.last.role == "tool"
        assert model.last.text.endswith(BUDGET_NOTE)
    else:
        assert outcome.answer == "read it all"
    assert "page 0." in "".join(m.text for m in outcome.messages)


async def test_a_reply_that_fills_the_context_by_itself_does_not_cost_the_answer() -> None:
    def go(request: ModelRequest) -> ModelReply:
        if any(m.text.endswith(BUDGET_NOTE) for m in request.messages):
            return says("told to answer")
        return says("", search("x" * 60_000))

    model = CountingModel([go])
    model.refuses_beyond = 3_000
    outcome = await agent(model).ask("Q?")
    assert (outcome.stop_reason, outcome.answer) == ("context_limit", "told to answer")
    asked = {call.id for m in model.requests[-1].messages for call in m.tool_calls}
    assert asked == {m.tool_call_id for m in model.requests[-1].messages if m.role == "tool"}


async def test_a_long_history_is_shortened_too_where_only_the_server_knows_its_bound() -> None:
    def go(request: ModelRequest) -> ModelReply:
        has_read = request.messages[-1].role == "tool"
        return says("done") if has_read else says("", visit("https://a.example/0"))

    events: list[Event] = []
    history = [Message("user", "before"), Message("assistant", "word " * 600)] * 20
    model = CountingModel([go])
    model.refuses_beyond = 6_000
    asked = agent(model, Tools(pages(1)))
    outcome = await asked.ask("Q?", emit=events.append, history=history)
    assert (outcome.stop_reason, outcome.counts.visits) == ("answered", 1)
    policies = [event.policy for event in events if isinstance(event, Compacted)]
    assert policies
    assert set(policies) == {"shortened_history"}


async def test_a_long_history_is_shortened_so_that_the_question_can_be_worked_on() -> None:
    events: list[Event] = []
    history: list[Message] = []
    for n in range(10):
        history += [
            Message("user", f"question {n}"),
            Message("assistant", "", tool_calls=(ToolCall(f"h{n}", "web_visit", {"url": "x"}),)),
            Message("tool", "word " * 1_000, tool_call_id=f"h{n}", name="web_visit"),
            Message("assistant", f"answer {n} " + "word " * 600),
        ]
    model = CountingModel(reading(1), context_tokens=6_000)
    model.refuses_beyond = 6_000
    asked = agent(model, Tools(pages(1)))
    outcome = await asked.ask("Q?", emit=events.append, history=history)
    assert (outcome.stop_reason, outcome.counts.visits) == ("answered", 1)
    assert [e.policy for e in events if isinstance(e, Compacted)] == ["shortened_history"]
    shown = model.requests[0].messages
    assert (shown[0].role, shown[1].role, shown[-1].text) == ("system", "user", "Q?")
    assert shown[-2].text.startswith("answer 9")
    asked_for = {call.id for m in shown for call in m.tool_calls}
    assert asked_for == {m.tool_call_id for m in shown if m.role == "tool"}
    assert outcome.messages[1 : 1 + len(history)] == tuple(history)


async def test_an_overflow_that_no_shortening_ends_is_an_error_of_the_model() -> None:
    model = CountingModel([says("x")])
    model.refuses_beyond = 1
    outcome = await agent(model).ask("Q?")
    assert outcome.stop_reason == "model_error"
    assert isinstance(outcome.error, ContextOverflow)
    assert outcome.counts.turns <= 7


async def test_the_reply_is_shortened_rather_than_refused_when_room_is_short() -> None:
    model = Model([says("done")], context_tokens=400)
    sampling = Sampling(max_tokens=2_048)
    limits = Limits(turns=1)
    await agent(model, sampling=sampling, limits=limits).ask("word " * 200)
    assert 50 <= model.requests[0].sampling.max_tokens < 300


def test_the_size_is_what_the_server_counted_and_what_was_added_since() -> None:
    size = ContextSize(10_000, 1_000)
    size.grew(4_000)
    assert 1_000 <= size.tokens <= 1_300
    size.counted(Usage(1_000, 100))
    assert size.tokens == 1_000
    size.replied(Usage(1_000, 100), 400, is_whole=True)
    size.grew(4_000)
    assert size.tokens == 2_100  # four bytes a token, as measured
    assert not size.is_full
    size.grew(4 * 6_000)
    assert size.is_full
    assert size.room_bytes == 0


def test_a_context_without_a_bound_is_never_full() -> None:
    size = ContextSize(0, 1_000)
    size.grew(1 << 30)
    assert (size.is_full, size.share, size.reply_tokens) == (False, 0.0, 1_000)


def test_bytes_are_those_of_utf8() -> None:
    assert [utf8_bytes(text) for text in ("abc", "äb", "中", "\ud800")] == [3, 3, 3, 3]
    thought = Message("assistant", "text", reasoning="hm")
    assert message_bytes(replace(thought, raw="<think>hm</think>text")) > message_bytes(thought)


class TemplateModel(Model):
    """Tells prompt and completion as the chat template of Qwen3 renders them."""

    async def complete(self, request: ModelRequest, *, emit: Emit) -> ModelReply:
        reply = await super().complete(request, emit=emit)
        prompt = render(request.messages, request.tools)
        following = render([*request.messages, reply.message], request.tools)
        completion = following[len(prompt) :].split("<|im_end|>")[0]
        return replace(reply, prompt=prompt, completion=completion)


async def test_with_a_real_template_nothing_but_a_compaction_breaks_the_prefix() -> None:
    steps: list[Step] = [
        says(""),
        says("too early", reasoning="no"),
        says("", search("a"), reasoning="thought a"),
        says("", reasoning="thought b", malformed='{"name": "web_s'),
        says("", search("a"), ("shell", {"x": 1}), reasoning="thought c"),
        says("long", reasoning="thought d", finish="length"),
        says("", visit("https://made.up/"), reasoning="thought e"),
        says("", search("b"), reasoning="thought f"),
        says("text and a call", search("c"), reasoning="thought g"),
        says("the answer", reasoning="thought h"),
    ]
    outcome = await agent(
        TemplateModel(steps),
        limits=Limits(turns=9),
        rules=ResearchRules(min_searches=1),
        replies=ReplyPolicy(max_resamples=5),
    ).ask("Q?")
    assert (outcome.stop_reason, outcome.answer) == ("turn_limit", "the answer")
    assert outcome.counts.resamples == 3
    assert outcome.counts.compactions == 1, "the note on the answer that was cut off"
    assert outcome.prefix is not None
    assert (outcome.prefix.worst, outcome.prefix.turns) == (1.0, 8)
