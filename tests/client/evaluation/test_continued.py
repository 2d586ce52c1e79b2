"""Episodes that go on in the middle: the agent does again what it did, then the work is real."""

from collections import Counter
from dataclasses import replace

import anyio
import pytest

from agent_client.evaluation.episode_record import EpisodeRecord
from agent_client.evaluation.ports import EarlierTurns, Episode
from agent_client.evaluation.runner.continued import EpisodeClock
from agent_client.evaluation.runner.episode import RESTART, EpisodeSettings, solver
from agent_client.events import Event, ModelReplied, ToolFinished, ToolStarted
from tests.support.episodes import (
    MemoryJournal,
    StepTools,
    TurnModel,
    episode,
    evaluated,
    researching,
)
from tests.support.loop_fakes import says, search

STEPS = [
    *researching()[:-1],
    # made before, unknown, unreadable: what the guards do is done again, too
    says("Once more.", search("one"), ("web_guess", {"at": 1}), malformed="<tool_call>{"),
    says("", search("three"), reasoning="So."),
    says(""),
    researching()[-1],
]


async def solved(
    asked: Episode, journal: MemoryJournal
) -> tuple[EpisodeRecord, TurnModel, StepTools]:
    model, tools = TurnModel(STEPS), StepTools()
    record = await solver(evaluated(model, tools), EpisodeSettings())(asked, journal)
    return record, model, tools


def shape(events: list[Event]) -> list[tuple[object, ...]]:
    """What happened, without times."""
    return [
        (type(event).__name__, event.call.id)
        if isinstance(event, ToolStarted | ToolFinished)
        else (type(event).__name__, getattr(event, "turn", None))
        for event in events
    ]


def timeless(record: EpisodeRecord) -> tuple[object, ...]:
    return record.status, record.stop_reason, record.answer, record.counts, record.usage


def undisturbed() -> tuple[EpisodeRecord, MemoryJournal]:
    journal = MemoryJournal()
    record, _, _ = anyio.run(solved, episode(), journal)
    return record, journal


RECORD, JOURNAL = undisturbed()


async def test_an_episode_cut_off_anywhere_ends_as_if_it_had_not_been() -> None:
    for cut in range(len(JOURNAL.told) + 1):
        stored, journal = JOURNAL.earlier(cut), MemoryJournal()
        record, model, tools = await solved(episode(attempt=2, earlier=stored), journal)

        assert timeless(record) == timeless(RECORD)
        assert record.continued_turns == len(stored.replies)
        assert shape(journal.events) == shape(JOURNAL.events)
        # nothing stored is asked for again, and nothing else is left out
        assert len(model.requests) == len(JOURNAL.earlier().replies) - len(stored.replies)
        ids = Counter(result.call.id for result in stored.results)
        assert ids + Counter(call.id for call in tools.calls) == Counter(
            call.id for call in JOURNAL.returned
        )
        # and the journal is told of live results only
        assert Counter(c.id for c in journal.returned) == Counter(c.id for c in tools.calls)


def test_results_come_back_in_the_order_in_which_they_came() -> None:
    finished = [e.call.arguments for e in JOURNAL.events if isinstance(e, ToolFinished)]
    assert finished[1:5] != [call.arguments for call in STEPS[1].message.tool_calls]
    journal = MemoryJournal()
    anyio.run(solved, episode(earlier=JOURNAL.earlier()), journal)
    assert finished == [e.call.arguments for e in journal.events if isinstance(e, ToolFinished)]


def test_the_live_model_is_shown_what_it_would_have_been_shown() -> None:
    model = TurnModel(STEPS)
    anyio.run(solver(evaluated(model, StepTools()), EpisodeSettings()), episode(), MemoryJournal())
    last = [n for n, one in enumerate(JOURNAL.told) if isinstance(one, ModelReplied)][-1]
    _, again, _ = anyio.run(solved, episode(earlier=JOURNAL.earlier(last)), MemoryJournal())
    assert [request.messages for request in again.requests] == [model.requests[-1].messages]


@pytest.mark.parametrize("missing", ["result", "reply", "other arguments"])
def test_an_agent_that_does_something_else_ends_the_attempt(missing: str) -> None:
    stored = JOURNAL.earlier()
    replies, results = stored.replies, stored.results
    if missing == "result":
        results = results[1:]
    elif missing == "reply":
        replies = replies[:1]
    else:
        call = replace(results[0].call, arguments={"query": "something else"})
        results = (replace(results[0], call=call), *results[1:])
    earlier = EarlierTurns(replies=replies, results=results)
    record, model, tools = anyio.run(solved, episode(earlier=earlier), MemoryJournal())
    assert record.status == "infra_error"
    assert record.error is not None
    assert record.error.type == RESTART
    assert not model.requests
    assert not tools.calls


def test_two_calls_of_the_same_id_get_their_own_results() -> None:
    first, second = STEPS[1].message.tool_calls[:2]
    twins = replace(
        STEPS[1],
        message=replace(STEPS[1].message, tool_calls=(first, replace(second, id=first.id))),
    )
    steps = [STEPS[0], twins, STEPS[-1]]
    journal, again = MemoryJournal(), MemoryJournal()

    async def run() -> None:
        with anyio.fail_after(5):
            for earlier, into in ((None, journal), (journal, again)):
                solve = solver(evaluated(TurnModel(steps), StepTools()), EpisodeSettings())
                stored = earlier.earlier() if earlier else None
                assert (await solve(episode(earlier=stored), into)).status == "ok"

    anyio.run(run)
    assert [e.result.text for e in journal.events if isinstance(e, ToolFinished)] == [
        e.result.text for e in again.events if isinstance(e, ToolFinished)
    ]


def test_a_continued_episode_has_taken_the_time_before_as_well() -> None:
    journal = MemoryJournal(seconds=10.0)
    anyio.run(solved, episode(), journal)
    whole = 10.0 * (len(journal.told) - 2)  # the last reply comes before the end
    record, _, _ = anyio.run(solved, episode(earlier=journal.earlier()), MemoryJournal())
    assert record.seconds == pytest.approx(whole, abs=5)
    assert record.model_seconds + record.tool_seconds == pytest.approx(record.seconds, abs=5)


def test_the_clock_never_goes_back() -> None:
    now = 100.0
    clock = EpisodeClock(lambda: now)
    clock.catch_up(30.0)
    clock.catch_up(20.0)
    assert clock() == 30
    now += 5
    assert clock() == 35


def seeds(model: TurnModel) -> list[int | None]:
    return [request.sampling.seed for request in model.requests]


def test_each_turn_has_its_own_seed_and_keeps_it_when_the_episode_goes_on() -> None:
    _, model, _ = anyio.run(solved, episode(seed=2**31 - 2), MemoryJournal())
    assert seeds(model)[:4] == [2**31 - 2, 2**31 - 1, 0, 1]
    assert len(set(seeds(model))) == len(model.requests)
    cut = JOURNAL.earlier(len(JOURNAL.told) // 2)
    _, later, _ = anyio.run(solved, episode(seed=2**31 - 2, earlier=cut), MemoryJournal())
    assert seeds(later) == seeds(model)[len(cut.replies) :]


def test_without_a_seed_the_profile_decides() -> None:
    _, model, _ = anyio.run(solved, episode(), MemoryJournal())
    assert set(seeds(model)) == {None}
