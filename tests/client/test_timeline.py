"""Events become the steps that a page shows."""

import msgspec
import pytest

from agent_client.conversation import (
    MalformedCall,
    Message,
    ModelReply,
    ToolCall,
    ToolResult,
    Usage,
)
from agent_client.events import (
    AnswerDelta,
    Event,
    Finished,
    Guarded,
    ModelReplied,
    QuestionAsked,
    ReasoningDelta,
    Resampled,
    ToolFinished,
    ToolStarted,
    TurnStarted,
)
from agent_client.search_hits import Hit
from agent_client.timeline.shown_text import MAX_TEXT_CHARS
from agent_client.timeline.steps import AnyStep, Call, Mark, Search, Turn, Visit
from agent_client.timeline.timeline import Timeline, call_step, steps_of
from agent_client.tool_meta import ERROR_META, SEARCH_META
from tests.support import agents, loop_fakes

SEARCH = ToolCall("c1", "web_search", {"query": "who"})
FOUND = """Index: 0
URL: https://a.example/
Title: A
Published: 2024-05-01
Preview: First.

Index: 1
URL: https://b.example/
Title: B
Preview: Second.

[search providers: brave: rate limited; local: answered]"""


def visit(url: object) -> ToolCall:
    return ToolCall("c2", "web_visit", {"url": url})


async def run_steps() -> tuple[AnyStep, ...]:
    told: list[Event] = []
    await agents.scripted_agent().ask("Who designed the lighthouse?", emit=told.append)
    return steps_of(told)


async def test_a_run_is_its_turns_each_followed_by_its_calls() -> None:
    steps = await run_steps()
    assert [type(step) for step in steps] == [Turn, Search, Turn, Visit, Turn]
    last = steps[-1]
    assert isinstance(last, Turn)
    assert (last.turn, last.thinking, last.completion_tokens, last.is_open) == (
        3,
        "I know.",
        10,
        False,
    )


def test_a_step_is_told_as_open_and_again_when_it_has_ended() -> None:
    timeline = Timeline()
    assert timeline.take(QuestionAsked("who?")) == []
    assert timeline.take(TurnStarted(1)) == [0]
    assert timeline.steps == [Turn(turn=1, is_open=True)]
    assert timeline.take(ReasoningDelta("hm")) == timeline.take(AnswerDelta("so")) == []
    reply = agents.says("so", ("web_search", {"query": "who"}), reasoning="hm")
    assert timeline.take(ModelReplied(1, reply, 2.5)) == [0]
    assert timeline.take(ToolStarted(SEARCH)) == [1]
    assert isinstance(opened := timeline.steps[1], Search)
    assert (opened.is_open, opened.query) == (True, "who")
    assert timeline.take(ToolFinished(SEARCH, ToolResult("c1", "web_search", FOUND), 0.5)) == [1]
    assert isinstance(ended := timeline.steps[1], Search)
    assert (ended.is_open, ended.seconds, len(ended.hits)) == (False, 0.5, 2)


def test_calls_side_by_side_keep_the_places_in_which_they_began() -> None:
    other = ToolCall("c9", "web_search", {"query": "what"})
    result = ToolResult("c9", "web_search", "No results for 'what'.")
    steps = steps_of([ToolStarted(SEARCH), ToolStarted(other), ToolFinished(other, result, 0.1)])
    assert [(type(step), step.is_open) for step in steps if isinstance(step, Call)] == [
        (Search, True),
        (Search, False),
    ]


def test_hits_are_read_with_all_that_is_told_of_them() -> None:
    meta = {SEARCH_META: {"cached": True}}
    step = call_step(SEARCH, ToolResult("c1", "web_search", FOUND, meta=meta), 0.5)
    assert isinstance(step, Search)
    assert step.hits == (
        Hit(
            url="https://a.example/",
            title="A",
            published="2024-05-01",
            preview="First.",
        ),
        Hit(url="https://b.example/", title="B", preview="Second."),
    )
    assert step.notes == ("search providers: brave: rate limited; local: answered",)
    assert step.is_cached


def test_a_search_without_hits_keeps_the_words_of_the_server() -> None:
    step = call_step(SEARCH, ToolResult("c1", "web_search", "No results for 'who'."), 0.5)
    assert isinstance(step, Search)
    assert (step.hits, step.text) == ((), "No results for 'who'.")


def test_a_failed_call_says_why() -> None:
    meta = {ERROR_META: {"kind": "blocked"}}
    result = ToolResult("c1", "web_search", "blocked", is_error=True, meta=meta)
    step = call_step(SEARCH, result, 0.5)
    assert (step.is_error, step.error_kind, step.text) == (True, "blocked", "blocked")


def test_the_words_of_a_page_come_without_the_servers_header() -> None:
    call = visit("https://a.example/")
    result = loop_fakes.page_result(call, "https://b.example/", "Words.", start=40, total=90)
    step = call_step(call, result, 0.5)
    assert isinstance(step, Visit)
    assert step.asked == ("https://a.example/",)
    (page,) = step.pages
    assert (page.url, page.title, page.text) == ("https://b.example/", "T", "Words.")
    assert (page.start, page.total_chars) == (40, 90)


def test_a_page_of_another_server_is_its_whole_result() -> None:
    step = call_step(visit("https://a.example/"), ToolResult("c2", "web_visit", "Any words."), 0.5)
    assert isinstance(step, Visit)
    assert [(page.url, page.text) for page in step.pages] == [("https://a.example/", "Any words.")]


def test_a_reply_that_was_thrown_away_stays_with_the_reason() -> None:
    bad, good = agents.says("?"), agents.says("!")
    steps = steps_of(
        [
            TurnStarted(1),
            ModelReplied(1, bad, 1.0),
            Resampled(1, "empty", bad),
            TurnStarted(1),
            ModelReplied(1, good, 1.0),
        ]
    )
    assert [(step.text, step.discarded) for step in steps if isinstance(step, Turn)] == [
        ("?", "empty"),
        ("!", ""),
    ]


def test_guards_are_marked_where_they_acted() -> None:
    steps = steps_of([TurnStarted(1), Guarded("repeated_call", "the same again")])
    assert steps[-1] == Mark(name="repeated_call", text="the same again")


def test_unreadable_calls_are_told_with_their_reasons() -> None:
    reply = ModelReply(
        message=Message("assistant", ""),
        finish_reason="stop",
        usage=Usage(7, 3, 2),
        malformed_calls=(MalformedCall("{", "a brace is missing"),),
    )
    (step,) = steps_of([ModelReplied(4, reply, 1.0)])
    assert isinstance(step, Turn)
    assert (step.turn, step.malformed, step.cached_tokens) == (4, ("a brace is missing",), 2)


def test_what_was_cut_off_is_not_shown_as_still_at_work() -> None:
    steps = steps_of([TurnStarted(1), ToolStarted(SEARCH), Finished(None)])
    assert [step.is_open for step in steps if isinstance(step, Turn | Call)] == [False, False]


@pytest.mark.parametrize("text", ["\ud800", "x" * (MAX_TEXT_CHARS + 7)])
def test_any_text_becomes_json_of_bounded_size(text: str) -> None:
    step = call_step(ToolCall("c", "other", {}), ToolResult("c", "other", text), 0.1)
    assert len(msgspec.json.encode(step)) < MAX_TEXT_CHARS + 200
