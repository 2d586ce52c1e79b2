"""Tools whose own side fails: what is tried again, what ends the episode, what the model reads."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_client.conversation import ToolCall, ToolResult
from agent_client.errors import ToolServerError
from agent_client.evaluation.runner.pace import Pace
from agent_client.evaluation.runner.search_outage import SearchOutage
from agent_client.evaluation.runner.tool_failures import (
    MAX_PAGE_WAIT_SECONDS,
    PAGE_TRIES,
    SEARCH_TRIES,
    RetriedTools,
    ToolFailure,
    ToolRetryPolicy,
)
from agent_client.tool_meta import ERROR_META
from tests.support.episodes import StepTools

SEARCH = ToolCall("c1", "web_search", {"query": "x"})
PAGE = ToolCall("c2", "web_visit", {"url": "https://a.example/"})
Said = Mapping[str, object]


@dataclass
class Waits:
    """How long was waited; no time passes."""

    seconds: list[float] = field(default_factory=list[float])

    async def sleep(self, seconds: float) -> None:
        self.seconds.append(seconds)
        await anyio.lowlevel.checkpoint()


def failing(times: int, **said: object) -> tuple[RetriedTools, StepTools, Waits]:
    """Tools that fail so often before they work."""
    left = times

    def fault(_: ToolCall) -> Said | None:
        nonlocal left
        left -= 1
        return said if left >= 0 else None

    inner, waits = StepTools(fault=fault), Waits()
    policy = ToolRetryPolicy(random=lambda: 0.5, sleep=waits.sleep)
    return RetriedTools(inner, policy), inner, waits


async def call(tools: RetriedTools, what: ToolCall) -> ToolResult:
    await tools.list_tools()
    return await tools.call(what)


@pytest.mark.parametrize("kind", ["rate_limited", "blocked", "unavailable", "timeout"])
async def test_a_search_that_fails_for_a_while_is_found_out_by_nobody(kind: str) -> None:
    tools, inner, waits = failing(SEARCH_TRIES - 1, kind=kind, retryable=True)
    result = await call(tools, SEARCH)
    assert not result.is_error
    assert len(inner.calls) == SEARCH_TRIES
    assert tools.retries == SEARCH_TRIES - 1
    assert waits.seconds == [0.5, 1.0, 2.0, 4.0]


async def test_a_search_that_keeps_failing_ends_the_episode_and_says_who_failed() -> None:
    said = {"brave": "blocked", "local": "timeout"}
    tools, inner, _ = failing(99, kind="unavailable", retryable=True, providers=said)
    with pytest.raises(ToolServerError, match=r"5 times: unavailable \(brave: blocked, local"):
        await call(tools, SEARCH)
    assert len(inner.calls) == SEARCH_TRIES


async def test_a_search_that_cannot_work_later_is_not_tried_again() -> None:
    tools, inner, _ = failing(99, kind="blocked", retryable=False)
    with pytest.raises(ToolServerError, match="the search failed: blocked"):
        await call(tools, SEARCH)
    assert len(inner.calls) == 1


async def test_the_models_own_mistakes_in_a_search_are_its_to_read() -> None:
    tools, inner, _ = failing(99, kind="bad_request", retryable=False)
    assert (await call(tools, SEARCH)).is_error
    assert len(inner.calls) == 1


async def test_a_page_is_tried_twice_more_and_then_the_model_reads_the_failure() -> None:
    tools, inner, _ = failing(99, kind="unavailable", retryable=True)
    assert (await call(tools, PAGE)).text == "Error: failed"
    assert len(inner.calls) == PAGE_TRIES
    assert tools.retries == PAGE_TRIES - 1


async def test_a_page_that_is_not_there_is_not_asked_for_again() -> None:
    tools, inner, _ = failing(99, kind="not_found", retryable=False)
    assert (await call(tools, PAGE)).is_error
    assert len(inner.calls) == 1


@pytest.mark.parametrize("what", [SEARCH, PAGE])
async def test_without_a_word_on_whose_fault_it_was_the_model_reads_it(what: ToolCall) -> None:
    class Foreign(StepTools):
        async def call(self, call: ToolCall) -> ToolResult:
            self.calls.append(call)
            return ToolResult(call.id, call.name, "Error: oops", is_error=True)

    inner = Foreign()
    result = await call(RetriedTools(inner, ToolRetryPolicy()), what)
    assert result.text == "Error: oops"
    assert len(inner.calls) == 1


@pytest.mark.parametrize(
    ("told", "waited"),
    [(2, 2.0), (3600, 60.0), (-1, 0.0), (True, 0.5), ("soon", 0.5), (float("nan"), 0.5)],
)
async def test_a_search_waits_as_long_as_it_is_told_to_but_no_minute_longer(
    told: object, waited: float
) -> None:
    tools, _, waits = failing(1, kind="rate_limited", retryable=True, retry_after_seconds=told)
    await call(tools, SEARCH)
    assert waits.seconds == [waited]


async def test_a_page_does_not_take_up_the_agents_time() -> None:
    tools, _, waits = failing(1, kind="rate_limited", retryable=True, retry_after_seconds=60)
    await call(tools, PAGE)
    assert waits.seconds == [MAX_PAGE_WAIT_SECONDS]


async def test_searches_slow_down_when_they_are_refused_and_pages_do_not() -> None:
    pace = Pace(8, random=lambda: 0.0)
    left = 1

    def fault(call: ToolCall) -> Said | None:
        nonlocal left
        left -= call is SEARCH
        return {"kind": "rate_limited", "retryable": True} if left >= 0 else None

    policy = ToolRetryPolicy(sleep=Waits().sleep)
    tools = RetriedTools(StepTools(fault=fault), policy, search_pace=pace)
    await call(tools, SEARCH)
    assert pace.state.refusals == 1
    assert pace.state.limit < 8
    left = 1
    await call(tools, PAGE)
    assert pace.state.refusals == 1
    assert pace.state.in_flight == 0


@settings(max_examples=40)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
    | st.dictionaries(
        st.sampled_from(["kind", "retryable", "retry_after_seconds", "providers"]),
        st.integers() | st.floats() | st.text() | st.dictionaries(st.text(), st.text()),
    )
)
def test_whatever_a_server_sends_is_read_without_an_error(told: object) -> None:
    failure = ToolFailure.of(ToolResult("c", "t", "", is_error=True, meta={ERROR_META: told}))
    if failure is not None:
        assert failure.retry_after_seconds is None or 0 <= failure.retry_after_seconds <= 60
        assert len(failure.text) < 1_000


@pytest.mark.parametrize(
    ("provider", "providers", "tries"),
    [
        ("local", {"duckduckgo": "blocked", "local": "answered"}, SEARCH_TRIES),
        ("local", {"searxng": "skipped", "local": "answered"}, SEARCH_TRIES),
        ("local", {"local": "answered"}, 1),
        ("local", {"brave": "no results", "local": "answered"}, 1),
        ("brave", {"searxng": "failed", "brave": "answered"}, 1),
    ],
)
async def test_an_index_that_stands_in_for_a_web_that_fails_is_no_answer(
    provider: str, providers: Said, tries: int
) -> None:
    class Answering(StepTools):
        async def call(self, call: ToolCall) -> ToolResult:
            self.calls.append(call)
            meta = {"seekling/search": {"provider": provider, "providers": providers}}
            return ToolResult(call.id, call.name, "hits", meta=meta)

    inner, waits = Answering(), Waits()
    tools = RetriedTools(inner, ToolRetryPolicy(sleep=waits.sleep))
    if tries == 1:
        assert (await call(tools, SEARCH)).text == "hits"
    else:
        with pytest.raises(ToolServerError, match=r"5 times: unavailable \(.+: answered\)"):
            await call(tools, SEARCH)
    assert len(inner.calls) == tries


async def test_a_search_that_never_worked_is_waited_for_by_one_episode_only() -> None:
    outage, waits = SearchOutage(), Waits()
    inner = StepTools(fault=lambda _: {"kind": "unavailable", "retryable": True})
    policy = ToolRetryPolicy(random=lambda: 0.5, sleep=waits.sleep)
    for _ in range(3):  # episodes
        with pytest.raises(ToolServerError):
            await call(RetriedTools(inner, policy, search_outage=outage), SEARCH)
    assert len(waits.seconds) == SEARCH_TRIES - 1
    outage.worked()
    with pytest.raises(ToolServerError):
        await call(RetriedTools(inner, policy, search_outage=outage), SEARCH)
    assert len(waits.seconds) == 2 * (SEARCH_TRIES - 1)
