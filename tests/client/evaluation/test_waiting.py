"""The time that an episode waits for busy servers is not the agent's."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import anyio
import pytest

from agent_client.agent.limits import Limits
from agent_client.conversation import ModelReply, ModelRequest, ToolCall
from agent_client.errors import ModelError
from agent_client.evaluation.episode_record import EpisodeKey, Span
from agent_client.evaluation.records.episode_log import EpisodeLog
from agent_client.evaluation.records.run_writer import RunWriter
from agent_client.evaluation.runner.continued import ContinuedModel, EarlierLeft, EpisodeClock
from agent_client.evaluation.runner.episode import WAITED, EpisodeSettings, solver
from agent_client.evaluation.runner.pace import Pace
from agent_client.evaluation.runner.paced_model import PacedModel
from agent_client.evaluation.runner.tool_failures import RetriedTools, ToolRetryPolicy
from agent_client.evaluation.waiting import waited, waits_go_to
from agent_client.events import AnswerDelta, Emit, Event, ModelReplied, Note
from agent_client.sessions.known import Known
from tests.support.episodes import (
    MemoryJournal,
    StepTools,
    TurnModel,
    episode,
    evaluated,
    question,
    researching,
)
from tests.support.loop_fakes import says
from tests.support.run_directories import manifest


@dataclass
class ReleasingJournal(MemoryJournal):
    """Gives a place back as soon as the time limit has come."""

    pace: Pace = field(default_factory=lambda: Pace(1))

    def emit(self, event: Event) -> None:
        super().emit(event)
        if isinstance(event, Note) and "time limit" in event.text:
            self.pace.release()


async def test_a_time_limit_that_comes_in_a_wait_for_a_place_leaves_the_episode_owed() -> None:
    journal = ReleasingJournal()
    await journal.pace.acquire()  # by somebody else
    agent = evaluated(TurnModel(researching()), StepTools(), Limits(seconds=0.02))
    agent = replace(agent, model=PacedModel(agent.model, journal.pace))
    record = await solver(agent, EpisodeSettings())(episode(), journal)
    assert (record.status, record.stop_reason) == ("infra_error", "time_limit")
    assert record.error is not None
    assert record.error.type == WAITED


async def test_a_run_without_waits_keeps_its_time_limit_as_a_budget() -> None:
    agent = evaluated(TurnModel(researching()), StepTools(), Limits(seconds=1e-9))
    record = await solver(agent, EpisodeSettings())(episode(), MemoryJournal())
    assert (record.status, record.stop_reason) == ("budget", "time_limit")


def test_a_wait_is_left_out_of_the_time_of_an_episode() -> None:
    now = [100.0]
    clock = EpisodeClock(lambda: now[0])
    now[0] += 5
    clock.hold(3.0, False)
    now[0] += 1
    assert (clock(), clock.waited_seconds, clock.was_cut) == (3.0, 3.0, False)


def test_the_time_of_an_episode_never_goes_back() -> None:
    now = [100.0]
    clock = EpisodeClock(lambda: now[0])
    now[0] += 5
    assert clock() == 5.0
    clock.hold(3.0, True)
    assert (clock(), clock.was_cut) == (5.0, True)


@dataclass
class SilentAtFirst(TurnModel):
    """Says nothing to its first request until that is given up."""

    async def complete(self, request: ModelRequest, *, emit: Emit) -> ModelReply:
        if not self.requests:
            self.requests.append(request)
            await anyio.sleep_forever()
        return await super().complete(request, emit=emit)


async def test_a_time_limit_that_ends_a_long_silence_of_the_model_leaves_the_episode_owed() -> None:
    agent = evaluated(
        SilentAtFirst([says("It was \\boxed{nobody}.")]), StepTools(), Limits(seconds=0.02)
    )
    record = await solver(agent, EpisodeSettings())(episode(), MemoryJournal())
    assert (record.status, record.stop_reason) == ("infra_error", "time_limit")
    assert record.error is not None
    assert (record.error.type, "said nothing" in record.error.message) == (WAITED, True)


async def test_an_answer_that_was_forced_by_waiting_is_asked_for_afresh(tmp_path: Path) -> None:
    """Else the next attempt would be given it as the agent's own."""
    model = SilentAtFirst([says("It was \\boxed{nobody}.")])
    agent = evaluated(model, StepTools(), Limits(seconds=0.02))
    asked = [question()]
    with RunWriter.create(tmp_path / "run", manifest(1), asked) as writer:
        (owed,) = writer.plan().owed
        log = writer.begin(owed.episode())
        record = await solver(agent, EpisodeSettings())(owed.episode(), log)
        assert (record.status, record.short_answer) == ("infra_error", "nobody")
        writer.add_record(record, log)
        episode = writer.owed(owed.key).episode()
        assert (episode.attempt, episode.earlier) == (2, None)
    with RunWriter.resume(tmp_path / "run") as writer:
        assert writer.owed(owed.key).episode().earlier is None


@dataclass
class SlowAtFirst(TurnModel):
    """Its first request is sent again after a while, as an endpoint does it, or fails."""

    now: list[float] = field(default_factory=lambda: [0.0])
    fails: bool = False

    async def complete(self, request: ModelRequest, *, emit: Emit) -> ModelReply:
        if not self.requests:
            emit(Note("retrying in 50 s: busy"))
            self.now[0] += 50.0
            if self.fails:
                self.requests.append(request)
                raise ModelError("http://m/v1", "broke", retryable=True)
        emit(AnswerDelta("It"))
        self.now[0] += 7.0
        return await super().complete(request, emit=emit)


@pytest.mark.parametrize("fails", [False, True])
async def test_what_requests_that_failed_took_is_left_out_of_the_time(fails: bool) -> None:
    now = [100.0]
    clock = EpisodeClock(lambda: now[0])
    left = EarlierLeft(None, clock)
    model = ContinuedModel(SlowAtFirst([says("done")], now=now, fails=fails), left, seed=None)
    told: list[Event] = []
    with waits_go_to(clock.hold):
        if fails:
            with pytest.raises(ModelError):
                await model.complete(ModelRequest(messages=()), emit=told.append)
        else:
            await model.complete(ModelRequest(messages=()), emit=told.append)
    assert clock() == (0.0 if fails else 7.0)
    assert clock.waited_seconds == 50.0
    assert isinstance(told[0], Note)


async def test_what_a_search_took_that_failed_is_left_out_of_the_time() -> None:
    held: list[float] = []
    left = 2

    def fault(_: ToolCall) -> Mapping[str, object] | None:
        nonlocal left
        left -= 1
        return {"kind": "timeout", "retryable": True} if left >= 0 else None

    async def no_time(_: float) -> None:
        await anyio.lowlevel.checkpoint()

    tools = RetriedTools(StepTools(fault=fault), ToolRetryPolicy(sleep=no_time))
    await tools.list_tools()
    with waits_go_to(lambda seconds, _: held.append(seconds)):
        await tools.call(ToolCall("c1", "web_search", {"query": "one"}))
    assert len(held) == 4  # two tries that failed, each with the pause behind it


def test_what_is_stored_of_an_episode_has_its_own_time() -> None:
    """Else one that goes on would find its time used up by the waits before."""
    now = [100.0]
    lines: list[bytes] = []

    def append(_: EpisodeKey, added: Sequence[bytes]) -> Span:
        lines.extend(added)
        return Span(1, 0, 1)

    log = EpisodeLog(
        EpisodeKey("q1"),
        1,
        append=append,
        put=lambda _: None,
        known=Known(()),
        chain=None,
        clock=lambda: now[0],
    )
    with waits_go_to(lambda seconds, was_cut: None):
        for seconds in (3.0, 900.0, 4.0):
            now[0] += seconds
            if seconds == 900.0:
                waited(seconds)
            log.emit(ModelReplied(turn=1, reply=says("done"), seconds=1.0))
    assert [json.loads(line)["s"] for line in lines] == [3.0, 3.0, 7.0]
