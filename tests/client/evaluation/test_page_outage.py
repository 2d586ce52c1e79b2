"""A page that does not load is for the model to read about; where none loads, nobody is graded."""

from collections.abc import Mapping
from dataclasses import replace

import anyio
import pytest

from agent_client.conversation import ToolCall, ToolResult
from agent_client.errors import ToolServerError
from agent_client.evaluation.records.resume_plan import SPOILT, WEB_OUT_OF_REACH
from agent_client.evaluation.runner.episode import EpisodeSettings, solver
from agent_client.evaluation.runner.page_outage import MAX_DOUBTS, PAGES_IN_A_ROW, PageOutage
from agent_client.evaluation.runner.tool_failures import RetriedTools, ToolRetryPolicy
from tests.support.episodes import (
    MemoryJournal,
    StepTools,
    TurnModel,
    episode,
    evaluated,
)
from tests.support.loop_fakes import says

Said = Mapping[str, object]
UNREACHABLE: Said = {"kind": "unavailable", "retryable": True}


async def no_time(_: float) -> None:
    await anyio.lowlevel.checkpoint()


NO_WAIT = ToolRetryPolicy(sleep=no_time)


async def visit(outage: PageOutage, number: int, said: Said | None) -> ToolResult:
    """One page, in an episode of its own."""
    tools = RetriedTools(StepTools(fault=lambda _: said), NO_WAIT, outage=outage)
    await tools.list_tools()
    url = f"https://a.example/p{number}"
    return await tools.call(ToolCall("c1", "web_visit", {"url": url}))


async def test_many_pages_in_a_row_that_nobody_answers_for_are_an_outage() -> None:
    outage = PageOutage()
    for number in range(PAGES_IN_A_ROW - 1):
        assert (await visit(outage, number, UNREACHABLE)).is_error
    with pytest.raises(ToolServerError, match="no page can be read"):
        await visit(outage, PAGES_IN_A_ROW, UNREACHABLE)
    assert not (await visit(outage, 1, None)).is_error
    assert (await visit(outage, 2, UNREACHABLE)).is_error


@pytest.mark.parametrize(
    "said",
    [
        {"kind": "not_found", "retryable": False},
        {"kind": "blocked", "retryable": False},
        {"kind": "rate_limited", "retryable": True},
        {"kind": "unavailable", "retryable": False},
    ],
)
async def test_pages_that_are_gone_or_kept_from_us_are_none(said: Said) -> None:
    outage = PageOutage()
    for number in range(2 * PAGES_IN_A_ROW):
        assert (await visit(outage, number, said)).is_error


async def test_one_dead_page_that_is_visited_again_and_again_is_none() -> None:
    outage = PageOutage()
    for _ in range(2 * PAGES_IN_A_ROW):
        assert (await visit(outage, 1, UNREACHABLE)).is_error


async def test_an_episode_that_met_dead_pages_only_is_owed_and_not_gone_on_with() -> None:
    urls = [f"https://a.example/p{n}" for n in range(PAGES_IN_A_ROW)]
    model = TurnModel(
        [
            says("", ("web_search", {"query": "one"})),
            *(says("", ("web_visit", {"url": url})) for url in urls),
            says("It was \\boxed{nobody}."),
        ]
    )
    dead = StepTools(fault=lambda call: UNREACHABLE if call.name == "web_visit" else None)
    agent = evaluated(model, dead)
    agent = replace(
        agent,
        profile=replace(agent.profile, rules=replace(agent.profile.rules, unknown_urls="off")),
    )
    record = await solver(agent, EpisodeSettings(retries=NO_WAIT))(episode(), MemoryJournal())
    assert record.status == "infra_error"
    assert record.error is not None
    assert (record.error.type, record.error.type in SPOILT) == (WEB_OUT_OF_REACH, True)


def test_an_episode_that_read_nothing_is_doubted_until_somebody_reads_a_page() -> None:
    outage = PageOutage()
    outage.failed({"url": "https://a.example/"})
    assert outage.doubts("one", reads_before=outage.reads)
    outage.read()
    assert not outage.doubts("one", reads_before=0)
    assert outage.doubts("one", reads_before=outage.reads)


def test_an_episode_is_not_doubted_for_ever_where_nobody_else_reads() -> None:
    outage = PageOutage()
    doubted = [outage.doubts("one", reads_before=0) for _ in range(MAX_DOUBTS + 1)]
    assert doubted == [True] * MAX_DOUBTS + [False]


async def test_an_episode_whose_only_page_is_dead_is_settled_after_it_was_worked_on_again() -> None:
    def model() -> TurnModel:
        return TurnModel(
            [
                says("", ("web_search", {"query": "one"})),
                says("", ("web_visit", {"url": "https://a.example/p1"})),
                says("It was \\boxed{nobody}."),
            ]
        )

    dead = StepTools(fault=lambda call: UNREACHABLE if call.name == "web_visit" else None)
    agent = evaluated(model(), dead)
    rules = replace(agent.profile.rules, unknown_urls="off")
    agent = replace(agent, profile=replace(agent.profile, rules=rules))
    solve = solver(agent, EpisodeSettings(retries=NO_WAIT))
    records = [await solve(episode(), MemoryJournal()) for _ in range(MAX_DOUBTS + 1)]
    assert [record.status for record in records] == ["infra_error"] * MAX_DOUBTS + ["ok"]
    assert {record.error.type for record in records if record.error} == {WEB_OUT_OF_REACH}
