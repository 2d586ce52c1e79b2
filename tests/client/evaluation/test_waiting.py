"""The time that an episode waits for busy servers is not the agent's."""

from dataclasses import dataclass, field, replace

from agent_client.agent.limits import Limits
from agent_client.evaluation.runner.continued import EpisodeClock
from agent_client.evaluation.runner.episode import WAITED, EpisodeSettings, solver
from agent_client.evaluation.runner.pace import Pace
from agent_client.evaluation.runner.paced_model import PacedModel
from agent_client.events import Event, Note
from tests.support.episodes import (
    MemoryJournal,
    StepTools,
    TurnModel,
    episode,
    evaluated,
    researching,
)


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
