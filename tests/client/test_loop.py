"""The loop on a scripted model and scripted tools: no network, no process."""

import gc
import weakref
from dataclasses import replace

import anyio
import pytest

from agent_client.agent.limits import Limits, Prices
from agent_client.agent.loop import LATE_NOTE, Run
from agent_client.agent.notes import BUDGET_NOTE
from agent_client.agent.profile import ReplyPolicy, ResearchRules
from agent_client.agent.prompts import wants_short_answer
from agent_client.conversation import (
    Message,
    ModelReply,
    ModelRequest,
    ToolCall,
    ToolResult,
    Usage,
)
from agent_client.errors import (
    ConfigError,
    ModelError,
    ModelTimeout,
    ModelUnreachable,
    ToolServerError,
)
from agent_client.events import (
    AnswerDelta,
    Compacted,
    Emit,
    Event,
    Finished,
    Note,
    QuestionAsked,
    Resampled,
    ToolFinished,
    ToolStarted,
)
from tests.support.loop_fakes import (
    SEARCH,
    VISIT,
    Model,
    Tools,
    agent,
    profile,
    says,
    search,
    visit,
)


async def test_a_question_goes_through_search_and_visit_to_a_cited_answer() -> None:
    model = Model([says("", SEARCH), says("", VISIT), says("It is so [https://a.example/].")])
    outcome = await agent(model, Tools({"https://a.example/": "It is so."})).ask("Is it so?")
    assert (outcome.stop_reason, outcome.answer) == ("answered", "It is so [1].")
    assert [(s.number, s.url, s.is_cited) for s in outcome.sources] == [
        (1, "https://a.example/", True)
    ]
    assert "It is so." in outcome.pages[0].text
    counts = outcome.counts
    assert (counts.turns, counts.searches, counts.visits, counts.tool_calls) == (3, 1, 1, 2)
    assert outcome.usage == Usage(30, 15)


async def test_the_conversation_only_grows_at_its_end() -> None:
    model = Model([says("", SEARCH), says("", VISIT, search("y")), says("done")])
    outcome = await agent(model).ask("Q?")
    for before, after in zip(model.requests, model.requests[1:], strict=False):
        assert after.messages[: len(before.messages)] == before.messages
    assert outcome.prefix is not None
    assert (outcome.prefix.worst, outcome.prefix.turns) == (1.0, 2)


async def test_a_run_names_itself_its_profile_and_its_episode() -> None:
    events: list[Event] = []
    model = Model([says("x")])
    asked = agent(model)
    outcome = await asked.ask("Q?", emit=events.append)
    first = events[0]
    assert isinstance(first, QuestionAsked)
    assert len(outcome.run_id) == 32
    assert outcome.run_id == first.run_id == model.requests[0].episode
    assert outcome.profile_digest == first.profile_digest == asked.profile.digest
    assert (await asked.ask("Q?", run_id="ab" * 16)).run_id == "ab" * 16


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

    asks = says("", SEARCH, VISIT)
    model = Model([asks, says("done")])
    with anyio.fail_after(5):
        await agent(model, Slow()).ask("Q?")
    results = [m for m in model.requests[1].messages if m.role == "tool"]
    assert [m.tool_call_id for m in results] == [call.id for call in asks.message.tool_calls]


@pytest.mark.parametrize(("order", "ran"), [("in_order", 3), ("first", 1)])
async def test_calls_run_one_after_another_or_only_the_first(order: str, ran: int) -> None:
    in_flight = 0

    class Alone(Tools):
        async def call(self, call: ToolCall) -> ToolResult:
            nonlocal in_flight
            in_flight += 1
            assert in_flight == 1
            result = await super().call(call)
            in_flight -= 1
            return result

    model = Model([says("", search("a"), search("b"), search("c")), says("done")])
    tools = Alone()
    rules = ResearchRules(calls_per_turn=order)  # type: ignore[arg-type]
    await agent(model, tools, rules=rules).ask("Q?")
    assert len(tools.calls) == ran
    refused = [m for m in model.requests[1].messages if "at most one call" in m.text]
    assert len(refused) == 3 - ran


async def test_a_failed_visit_is_a_result_and_no_source() -> None:
    model = Model([says("", VISIT), says("not found")])
    outcome = await agent(model).ask("Q?")
    assert outcome.stop_reason == "answered"
    assert outcome.sources == ()
    assert (outcome.counts.visits, outcome.counts.tool_errors) == (1, 1)


async def test_an_unknown_tool_is_answered_with_the_tools_that_exist() -> None:
    model = Model([says("", ("shell", {"command": "ls"})), says("ok")])
    tools = Tools()
    outcome = await agent(model, tools).ask("Q?")
    answer = model.last
    assert answer.role == "tool"
    assert "no tool 'shell'" in answer.text
    assert "web_search, web_visit" in answer.text
    assert tools.calls == []
    assert outcome.counts.guards == {"unknown_tool": 1}


async def test_an_unreadable_call_is_answered_with_the_reason_and_never_dropped() -> None:
    model = Model([says("", malformed='{"name": "web_search", "argum'), says("ok")])
    outcome = await agent(model).ask("Q?")
    call = model.requests[1].messages[-2].tool_calls[0]
    assert model.last.tool_call_id == call.id
    assert "could not be read. A brace is missing." in model.last.text
    assert outcome.counts.malformed_calls == 1


async def test_an_unreadable_call_can_be_sampled_again_or_count_as_an_answer() -> None:
    def broken(text: str) -> Model:
        return Model([says(text, malformed="{"), says("second")])

    replies = ReplyPolicy(on_malformed="resample", max_resamples=1)
    model = broken("first")
    outcome = await agent(model, replies=replies).ask("Q?")
    assert (outcome.answer, outcome.counts.resamples) == ("second", 1)
    assert model.requests[0].messages == model.requests[1].messages
    outcome = await agent(broken("first"), replies=ReplyPolicy(on_malformed="answer")).ask("Q?")
    assert (outcome.answer, outcome.counts.malformed_calls) == ("first", 1)


async def test_strict_profiles_refuse_calls_that_needed_a_repair() -> None:
    asks = says("", SEARCH)
    repaired = replace(asks.message.tool_calls[0], repairs=("tolerant_json",))
    asks = replace(asks, message=replace(asks.message, tool_calls=(repaired,)))
    tools = Tools()
    outcome = await agent(Model([asks, says("ok")]), tools).ask("Q?")
    assert (len(tools.calls), outcome.counts.repairs) == (1, {"tolerant_json": 1})
    tools = Tools()
    strict = ReplyPolicy(repair="strict")
    outcome = await agent(Model([asks, says("ok")]), tools, replies=strict).ask("Q?")
    assert (tools.calls, outcome.counts.malformed_calls) == ([], 1)
    assert outcome.counts.repairs == {"tolerant_json": 1}


async def test_an_empty_reply_is_asked_for_again_on_the_same_conversation() -> None:
    events: list[Event] = []
    model = Model([says(""), says("now")])
    outcome = await agent(model).ask("Q?", emit=events.append)
    assert outcome.answer == "now"
    assert model.requests[0].messages == model.requests[1].messages
    thrown_away = [event for event in events if isinstance(event, Resampled)]
    assert [(event.turn, "again" in event.reason) for event in thrown_away] == [(1, True)]


async def test_a_model_that_stays_silent_ends_without_an_answer() -> None:
    model = Model([says("")])
    outcome = await agent(model).ask("Q?")
    assert (outcome.stop_reason, outcome.answer) == ("no_answer", "")
    assert outcome.counts.turns == len(model.requests) == 6  # two more, and three for the answer


async def test_a_model_that_is_silent_until_it_is_told_to_answer_has_answered() -> None:
    def reply(request: ModelRequest) -> ModelReply:
        return says("at last" if BUDGET_NOTE in request.messages[-1].text else "")

    outcome = await agent(Model([reply])).ask("Q?")
    assert (outcome.stop_reason, outcome.answer) == ("answered", "at last")


async def test_a_reply_without_reasoning_is_asked_for_again_where_reasoning_is_needed() -> None:
    replies = ReplyPolicy(needs_reasoning=True, max_resamples=1)
    model = Model([says("hasty"), says("thought", reasoning="Hm.")])
    assert (await agent(model, replies=replies).ask("Q?")).answer == "thought"
    # It is taken in the end: an answer is never lost.
    assert (await agent(Model([says("hasty")]), replies=replies).ask("Q?")).answer == "hasty"


async def test_an_early_answer_is_asked_for_again_and_taken_in_the_end() -> None:
    rules = ResearchRules(min_searches=1)
    model = Model([says("early"), says("", SEARCH), says("late")])
    outcome = await agent(model, rules=rules).ask("Q?")
    assert (outcome.answer, outcome.counts.guards) == ("late", {"early_answer": 1})
    outcome = await agent(Model([says("early")]), rules=rules).ask("Q?")
    assert (outcome.answer, outcome.stop_reason) == ("early", "answered")
    assert outcome.counts.resamples == 2


async def test_the_first_reply_is_asked_for_again_with_the_profile_s_nudge() -> None:
    prompts = replace(profile().prompts, nudge=" Use the tools.")
    model = Model([says(""), says(""), says("done")])
    outcome = await agent(model, prompts=prompts).ask("Q?")
    asked = [request.messages[-1].text for request in model.requests]
    assert asked == ["Q?", "Q? Use the tools.", "Q? Use the tools."]
    assert outcome.counts.compactions == 1


async def test_an_answer_cut_off_by_the_token_limit_is_asked_for_once_more_in_fewer_words() -> None:
    model = Model([says("", SEARCH), says("long and", finish="length"), says("short")])
    outcome = await agent(model).ask("Q?")
    assert outcome.answer == "short"
    assert model.last.role == "tool"
    assert "fewer words" in model.last.text
    assert outcome.prefix is not None
    assert outcome.prefix.worst == 1.0
    outcome = await agent(Model([says("long and", finish="length")])).ask("Q?")
    assert outcome.answer == "long and […]"
    boxed = says("So \\boxed{42} and", finish="length")
    assert (await agent(Model([boxed])).ask("Q?")).short_answer == "42"


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(turns=3), "turn_limit"),
        (Limits(tool_calls=2), "tool_call_limit"),
        (Limits(total_tokens=30), "token_limit"),
    ],
)
async def test_at_a_limit_the_answer_is_asked_for_inside_the_last_tool_result(
    limits: Limits, reason: str
) -> None:
    model: Model

    def go(request: ModelRequest) -> ModelReply:
        is_told = request.messages[-1].text.endswith(BUDGET_NOTE)
        return says("best guess") if is_told else says("", search(str(len(model.requests))))

    model = Model([go])
    outcome = await agent(model, limits=limits).ask("Q?")
    assert (outcome.stop_reason, outcome.answer) == (reason, "best guess")
    assert model.last.role == "tool"
    assert outcome.counts.turns <= 3
    # The prompt stays what it was: tools at its beginning, and nothing but more at its end.
    assert model.requests[-1].tools == model.requests[0].tools
    assert outcome.prefix is not None
    assert outcome.prefix.worst == 1.0


async def test_without_any_tool_result_the_model_is_told_behind_the_question() -> None:
    model = Model([says("from memory")])
    outcome = await agent(model, limits=Limits(turns=1)).ask("Q?")
    assert (outcome.stop_reason, outcome.answer) == ("turn_limit", "from memory")
    assert model.last.text == "Q?" + BUDGET_NOTE
    outcome = await agent(Model([says("yes")]), limits=Limits(tool_calls=0)).ask("Q?")
    assert (outcome.stop_reason, outcome.counts.turns) == ("tool_call_limit", 1)


async def test_a_model_that_calls_at_the_end_is_refused_and_its_words_are_taken() -> None:
    tools = Tools()
    model = Model([says("maybe this", SEARCH)])
    outcome = await agent(model, tools, limits=Limits(turns=2)).ask("Q?")
    assert (outcome.stop_reason, outcome.answer) == ("turn_limit", "maybe this")
    assert len(tools.calls) == 1
    assert [bool(request.tools) for request in model.requests] == [True, True, True, False]
    asked = {call.id for m in outcome.messages for call in m.tool_calls}
    assert asked == {m.tool_call_id for m in outcome.messages if m.role == "tool"}


async def test_an_answer_that_was_thrown_away_is_taken_when_no_other_comes() -> None:
    model = Model([says("early"), says("")])
    outcome = await agent(model, rules=ResearchRules(min_searches=1)).ask("Q?")
    assert (outcome.answer, outcome.stop_reason) == ("early", "answered")


async def test_the_model_is_told_when_little_is_left() -> None:
    steps = [says("", search(str(n))) for n in range(4)]
    model = Model([*steps, says("done")])
    await agent(model, limits=Limits(turns=6)).ask("Q?")
    results = [m.text for m in model.requests[-1].messages if m.role == "tool"]
    assert ["left before the answer" in text for text in results] == [False, False, True, True]
    assert "1 turn left before the answer" in results[-1]


async def test_calls_beyond_the_budget_of_one_turn_are_refused() -> None:
    model = Model([says("", search("a"), search("b"), search("c")), says("done")])
    tools = Tools()
    outcome = await agent(model, tools, limits=Limits(tool_calls=2)).ask("Q?")
    assert len(tools.calls) == 2
    assert outcome.stop_reason == "tool_call_limit"


async def test_searches_and_visits_have_budgets_of_their_own() -> None:
    page = {"https://a.example/": "text"}
    model = Model([says("", search("a")), says("", search("b"), VISIT), says("done")])
    tools = Tools(page)
    outcome = await agent(model, tools, limits=Limits(searches=1)).ask("Q?")
    assert [call.name for call in tools.calls] == ["web_search", "web_visit"]
    assert any("no search is left" in m.text for m in model.requests[-1].messages)
    assert outcome.stop_reason == "answered"


async def test_when_searches_and_visits_are_used_up_the_answer_is_asked_for() -> None:
    model = Model([says("", search("a"), VISIT), says("done")])
    outcome = await agent(model, limits=Limits(searches=1, visits=1)).ask("Q?")
    assert (outcome.stop_reason, outcome.answer) == ("tool_call_limit", "done")


async def test_money_is_counted_with_cached_tokens_priced_apart_and_ends_the_run() -> None:
    def go(request: ModelRequest) -> ModelReply:
        told = request.messages[-1].text.endswith(BUDGET_NOTE)
        usage = Usage(1_000_000, 100_000, 500_000)
        call = search(str(len(model.requests)))
        return says("best", usage=usage) if told else says("", call, usage=usage)

    model = Model([go])
    asked = agent(model, limits=Limits(cost_usd=5.0))
    prices = Prices(prompt=1.0, cached_prompt=0.5, completion=5.0)
    outcome = await replace(asked, prices=prices).ask("Q?")
    assert outcome.stop_reason == "cost_limit"
    assert outcome.counts.turns == 4  # 1.25 each: a fifth would go beyond
    assert outcome.cost_usd == pytest.approx(5.0)
    assert (await agent(Model([says("x")])).ask("Q?")).cost_usd is None


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

    model = Model([says("", SEARCH, VISIT), says("from memory")])
    with anyio.fail_after(5):
        outcome = await agent(model, Stuck(), limits=Limits(seconds=0.05)).ask("Q?")
    assert (outcome.stop_reason, outcome.answer) == ("time_limit", "from memory")
    assert was_cancelled
    assert (model.last.role, "cut off" in model.last.text) == ("tool", True)


async def test_cancelling_the_scope_stops_the_call_in_flight_and_nothing_more_is_done() -> None:
    events: list[Event] = []
    was_cancelled = False

    class Stuck(Tools):
        async def call(self, call: ToolCall) -> ToolResult:
            nonlocal was_cancelled
            try:
                scope.cancel()
                await anyio.sleep_forever()
            finally:
                was_cancelled = True
            raise AssertionError

    model = Model([says("", SEARCH, VISIT), says("never")])
    with anyio.CancelScope() as scope:
        await agent(model, Stuck()).ask("Q?", emit=events.append)
    assert scope.cancelled_caught
    assert was_cancelled
    assert len(model.requests) == 1
    assert not any(isinstance(event, Finished) for event in events)


async def test_a_failing_model_ends_the_run_with_what_was_read() -> None:
    error = ModelUnreachable("http://m/v1", "connection refused", retryable=False)
    model = Model([says("", VISIT), error])
    outcome = await agent(model, Tools({"https://a.example/": "text"})).ask("Q?")
    assert (outcome.stop_reason, outcome.error) == ("model_error", error)
    assert [source.url for source in outcome.sources] == ["https://a.example/"]


async def test_a_reply_that_broke_off_is_asked_for_once_more() -> None:
    broken = ModelError("http://m/v1", "the stream broke off", retryable=True)
    events: list[Event] = []
    outcome = await agent(Model([broken, says("fine")])).ask("Q?", emit=events.append)
    assert (outcome.answer, outcome.counts.retries) == ("fine", 1)
    assert any(isinstance(event, Note) and "again" in event.text for event in events)
    outcome = await agent(Model([broken])).ask("Q?")
    assert outcome.stop_reason == "model_error"


async def test_a_note_in_a_message_that_was_shown_before_is_announced() -> None:
    events: list[Event] = []
    model = Model([says("", SEARCH), says("too lo", finish="length"), says("done")])
    outcome = await agent(model).ask("Q?", emit=events.append)
    changes = [event for event in events if isinstance(event, Compacted)]
    assert [change.policy for change in changes] == [LATE_NOTE]
    assert changes[0].after[-1].text.startswith(changes[0].before[-1].text)
    assert outcome.prefix is not None
    assert (outcome.prefix.worst, outcome.prefix.turns) == (1.0, 1)


class Unfinished(Model):
    """Begins to write, and never comes to an end."""

    begins_with = ""

    async def complete(self, request: ModelRequest, *, emit: Emit) -> ModelReply:
        if request.must_answer:
            for word in self.begins_with.split():
                emit(AnswerDelta(f"{word} "))
            await anyio.sleep_forever()
        return await super().complete(request, emit=emit)


async def test_of_an_answer_that_takes_too_long_what_came_is_kept() -> None:
    model = Unfinished([says("", SEARCH)])
    model.begins_with = "It was Mara"
    outcome = await agent(model, limits=Limits(turns=2, answer_seconds=0.05)).ask("Who?")
    assert (outcome.stop_reason, outcome.answer) == ("turn_limit", "It was Mara […]")


async def test_a_model_that_falls_silent_before_the_answer_is_a_failure_and_no_answer() -> None:
    model = Unfinished([says("", SEARCH)])
    outcome = await agent(model, limits=Limits(turns=2, answer_seconds=0.05)).ask("Who?")
    assert (outcome.stop_reason, outcome.answer) == ("model_error", "")
    assert isinstance(outcome.error, ModelTimeout)


async def test_a_lost_tool_server_ends_the_run_as_a_tool_error() -> None:
    lost = ToolServerError("seekling-mcp serve", "it died")
    other = visit("https://b.example/")
    for calls in ([VISIT], [VISIT, other]):
        model = Model([says("", *calls)])
        outcome = await agent(model, Tools({"https://a.example/": lost})).ask("Q?")
        assert (outcome.stop_reason, outcome.error) == ("tool_error", lost)


async def test_events_tell_the_run_in_order() -> None:
    events: list[Event] = []
    model = Model([says("", SEARCH), says("done")])
    outcome = await agent(model).ask("Q?", emit=events.append)
    kinds = [type(event).__name__ for event in events]
    assert kinds == [
        "QuestionAsked",
        "TurnStarted",
        "ModelReplied",
        "ToolStarted",
        "ToolFinished",
        "TurnStarted",
        "ModelReplied",
        "Finished",
    ]
    last = events[-1]
    assert isinstance(last, Finished)
    assert last.outcome is outcome


async def test_every_result_of_the_conversation_was_told_as_an_event() -> None:
    events: list[Event] = []
    calls = [search("a"), search("a"), ("nothing", {}), visit("https://b.example/")]
    model = Model([says("", *calls, malformed="{"), says("done")])
    outcome = await agent(model).ask("Q?", emit=events.append)
    told = {e.call.id: e.result.text for e in events if isinstance(e, ToolFinished)}
    assert told == {m.tool_call_id: m.text for m in outcome.messages if m.role == "tool"}


async def test_a_stream_gives_the_same_events_and_leaving_it_stops_the_run() -> None:
    def forever(request: ModelRequest) -> ModelReply:
        return says("", search(str(len(model.requests))))

    model = Model([forever])
    seen: list[Event] = []
    with anyio.fail_after(5):
        limits = Limits(turns=10_000, tool_calls=10_000)
        async with agent(model, limits=limits).stream("Q?") as events:
            async for event in events:
                seen.append(event)
                if isinstance(event, ToolFinished):
                    break
    asked = len(model.requests)
    await anyio.lowlevel.checkpoint()
    assert len(model.requests) == asked
    assert isinstance(seen[0], QuestionAsked)
    assert any(isinstance(event, ToolStarted) for event in seen)


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
async def test_short_questions_are_asked_with_the_profile_s_suffix(
    question: str, is_short: bool
) -> None:
    assert wants_short_answer(question, "auto") is is_short
    model = Model([says("x")])
    await agent(model, style="auto").ask(question)
    assert model.last.text == question + (" Box it." if is_short else "")


async def test_an_unanswered_call_never_stays_in_the_conversation() -> None:
    model = Model([says("", SEARCH, VISIT, malformed="junk"), says("done")])
    outcome = await agent(model).ask("Q?")
    asked = {call.id for m in outcome.messages for call in m.tool_calls}
    answered = {m.tool_call_id for m in outcome.messages if m.role == "tool"}
    assert asked == answered


async def test_a_run_is_freed_as_soon_as_it_is_over() -> None:
    """In a cycle all its texts would wait for the garbage collector, 0.2 MB a run."""
    asked = agent(Model([says("", SEARCH), says("done")]))
    run = Run(
        [Message(role="user", text="Q?")],
        model=asked.model,
        tools=asked.tools,
        profile=asked.profile,
        prices=None,
        emit=lambda _: None,
        run_id="",
    )
    freed = weakref.ref(run)
    gc.disable()
    try:
        assert await run.to_the_end() == ("answered", "done")
        del run
        assert freed() is None
    finally:
        gc.enable()
