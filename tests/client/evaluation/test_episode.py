"""One episode: what its record says, however it ended."""

import logging
from collections.abc import Callable
from dataclasses import replace

import anyio
import pytest

from agent_client.agent.agent import MAX_QUESTION_CHARS
from agent_client.agent.limits import Limits, Prices
from agent_client.agent.outcome import Outcome
from agent_client.conversation import ToolCall, ToolResult
from agent_client.errors import ModelError, ModelUnreachable, ToolServerError
from agent_client.evaluation.episode_record import EpisodeRecord, Evidence
from agent_client.evaluation.ports import Episode
from agent_client.evaluation.runner.episode import (
    DEADLINE,
    MAX_ERROR_CHARS,
    EpisodeSettings,
    Noticed,
    solver,
)
from agent_client.evaluation.runner.tool_failures import ToolRetryPolicy
from agent_client.model.chat_template import TemplateError
from agent_client.ports import Toolbox
from tests.support.episodes import (
    RUN_ID,
    MemoryJournal,
    StepTools,
    TurnModel,
    episode,
    evaluated,
    question,
    researching,
)
from tests.support.loop_fakes import says, search, visit

STEPS = researching()


async def solved(
    model: TurnModel,
    tools: StepTools | None = None,
    limits: Limits | None = None,
    settings: EpisodeSettings | None = None,
    asked: Episode | None = None,
) -> EpisodeRecord:
    agent = evaluated(model, tools or StepTools(), limits)
    return await solver(agent, settings or EpisodeSettings())(asked or episode(), MemoryJournal())


async def test_the_record_holds_what_tables_and_graders_need() -> None:
    agent = replace(evaluated(TurnModel(STEPS), StepTools()), prices=Prices(prompt=1.0))
    asked = episode("a/b", repeat=2, attempt=3, seed=7)
    record = await solver(agent, EpisodeSettings())(asked, MemoryJournal())
    assert (record.id, record.repeat, record.attempt, record.seed) == ("a/b", 2, 3, 7)
    assert (record.status, record.stop_reason) == ("ok", "answered")
    assert record.short_answer == "Mara Voss"
    assert record.answers == ("Mara Voss",)
    assert record.fields == {"hops": 2}
    assert (record.counts.turns, record.counts.searches, record.counts.visits) == (4, 2, 4)
    assert record.usage.prompt_tokens == 40
    assert record.cost_usd == pytest.approx(40e-6)
    assert record.run_id == RUN_ID
    assert record.endpoint == "http://m/v1"
    assert len(record.sources) > 0
    assert record.started <= record.ended
    assert record.error is None


async def test_a_limit_that_ends_an_episode_is_a_budget_and_its_answer_counts() -> None:
    steps = [STEPS[0], says("It was \\boxed{Mara}.")]
    record = await solved(TurnModel(steps), limits=Limits(turns=2))
    assert (record.status, record.stop_reason) == ("budget", "turn_limit")
    assert record.short_answer == "Mara"


async def test_an_agent_that_answers_nothing_is_settled() -> None:
    record = await solved(TurnModel([says("")]))
    assert (record.status, record.stop_reason, record.answer) == ("ok", "no_answer", "")


async def test_a_model_that_fails_is_no_fault_of_the_agent() -> None:
    error = ModelUnreachable("http://m", "nobody there", hint="start it")
    record = await solved(TurnModel(STEPS, fault=lambda: error))
    assert (record.status, record.stop_reason) == ("infra_error", "model_error")
    assert record.error is not None
    assert (record.error.type, record.error.hint) == ("ModelUnreachable", "start it")


async def test_a_search_that_is_down_is_no_fault_of_the_agent() -> None:
    async def no_time(_: float) -> None:
        await anyio.lowlevel.checkpoint()

    tools = StepTools(fault=lambda _: {"kind": "unavailable", "retryable": True})
    settings = EpisodeSettings(retries=ToolRetryPolicy(sleep=no_time))
    record = await solved(TurnModel(STEPS), tools, settings=settings)
    assert (record.status, record.stop_reason) == ("infra_error", "tool_error")
    assert record.error is not None
    assert record.error.type == ToolServerError.__name__
    assert record.tool_retries == 4


async def test_an_episode_that_hangs_ends_at_its_deadline() -> None:
    class Hanging(StepTools):
        async def call(self, call: ToolCall) -> ToolResult:
            await anyio.sleep_forever()
            raise AssertionError

    record = await solved(
        TurnModel(STEPS), Hanging(), settings=EpisodeSettings(question_seconds=0.02)
    )
    assert record.status == "infra_error"
    assert record.error is not None
    assert record.error.type == DEADLINE
    assert 0.02 <= record.seconds < 5


@pytest.mark.parametrize("text", ["", " \n", "x" * (MAX_QUESTION_CHARS + 1)])
async def test_a_question_that_the_agent_does_not_take_is_settled_without_an_answer(
    text: str,
) -> None:
    model = TurnModel(STEPS)
    asked = Episode(question=question(text=text), run_id=RUN_ID)
    record = await solved(model, asked=asked)
    assert (record.status, record.stop_reason, record.answer) == ("ok", "no_answer", "")
    assert record.error is not None
    assert record.error.type == "ConfigError"
    assert not model.requests


async def test_a_template_that_fails_is_no_refusal_of_the_question() -> None:
    record = await solved(TurnModel(STEPS, fault=lambda: TemplateError("no such block")))
    assert record.status == "infra_error"


async def test_an_unexpected_error_is_kept_in_its_episode_and_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def poison() -> Exception | None:
        raise ZeroDivisionError("poison" + "!" * 10_000)

    with caplog.at_level(logging.ERROR):
        record = await solved(TurnModel(STEPS, fault=poison))
    assert record.status == "infra_error"
    assert record.error is not None
    assert record.error.type == "ZeroDivisionError"
    assert len(record.error.message) == MAX_ERROR_CHARS
    assert "Traceback" in caplog.text
    assert "'q1'" in caplog.text


async def test_an_error_in_one_of_several_calls_is_named_and_not_its_group() -> None:
    class Broken(StepTools):
        async def call(self, call: ToolCall) -> ToolResult:
            raise KeyError("lost")

    steps = [says("", search("a"), visit("https://a.example/1")), STEPS[-1]]
    record = await solved(TurnModel(steps), Broken())
    assert record.error is not None
    assert record.error.type == "KeyError"


async def test_a_cancelled_episode_leaves_nothing_but_the_cancellation() -> None:
    model = TurnModel(STEPS)
    reached = False
    with anyio.CancelScope() as scope:
        model.fault = lambda: scope.cancel()
        await solved(model)
        reached = True
    assert not reached
    assert scope.cancelled_caught


async def test_what_watches_the_tools_is_heard() -> None:
    class Watching(StepTools):
        took: int = 0

        def took_over(self, call: ToolCall, result: ToolResult) -> None:
            self.took += 1

        def noticed(self, outcome: Outcome | None) -> Noticed:
            cited = (bool(outcome and outcome.answer),)
            return Noticed(
                leaks=("https://leak.example/",),
                blocked_mirrors=2,
                replay_misses=self.took,
                evidence=Evidence(retrieved=(True,), visited=(False,), cited=cited),
            )

    watching = Watching()

    def tools_for(asked: Episode, tools: Toolbox) -> Watching:
        assert asked.question.id == "q1"
        assert isinstance(tools, StepTools)
        return watching

    solve = solver(evaluated(TurnModel(STEPS), StepTools()), EpisodeSettings(), tools_for=tools_for)
    journal = MemoryJournal()
    record = await solve(episode(), journal)
    assert record.leaks == ("https://leak.example/",)
    assert record.blocked_mirrors == 2
    assert record.evidence == Evidence(retrieved=(True,), visited=(False,), cited=(True,))
    assert len(watching.calls) == 6

    record = await solve(episode(earlier=journal.earlier()), MemoryJournal())
    assert record.replay_misses == 6  # every stored result was seen
    assert len(watching.calls) == 6


def every(number: int, error: Callable[[], Exception]) -> Callable[[], Exception | None]:
    """An error in place of each so-manieth reply."""
    count = 0

    def fault() -> Exception | None:
        nonlocal count
        count += 1
        return error() if count % number == 0 else None

    return fault


def broken() -> ModelError:
    return ModelError("http://m", "the stream broke", retryable=True)


async def test_faults_that_pass_change_no_answer() -> None:
    async def no_time(_: float) -> None:
        await anyio.lowlevel.checkpoint()

    calls = 0

    def fault(call: ToolCall) -> dict[str, object] | None:
        nonlocal calls
        calls += 1
        return {"kind": "timeout", "retryable": True} if calls % 20 == 0 else None

    model = TurnModel(STEPS, fault=every(20, broken))
    settings = EpisodeSettings(retries=ToolRetryPolicy(sleep=no_time))
    solve = solver(evaluated(model, StepTools(fault=fault)), settings)
    faulty = [await solve(episode(), MemoryJournal()) for _ in range(30)]
    clean = await solved(TurnModel(STEPS))

    def verdict(record: EpisodeRecord) -> tuple[object, ...]:
        return record.status, record.answer, replace(record.counts, retries=0), record.usage

    assert {str(verdict(record)) for record in faulty} == {str(verdict(clean))}
    assert sum(record.counts.retries for record in faulty) > 0
    assert sum(record.tool_retries for record in faulty) > 0
