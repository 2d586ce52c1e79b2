"""A run: what is worked on when, what is tried again, when it stops, how it goes on."""

import logging
import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import anyio
import msgspec
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_client.agent.agent import Agent
from agent_client.agent.profile import ToolOffer
from agent_client.conversation import ModelReply, ModelRequest, ToolCall, ToolResult
from agent_client.errors import ModelError, ModelUnreachable
from agent_client.evaluation.episode_record import (
    SETTLED,
    EpisodeKey,
    EpisodeRecord,
    RecordedError,
)
from agent_client.evaluation.ports import Episode, EpisodeJournal, Solve
from agent_client.evaluation.records.manifest import (
    DatasetStamp,
    ModelStamp,
    ProfileStamp,
    RunManifest,
)
from agent_client.evaluation.records.run_writer import RunWriter
from agent_client.evaluation.runner.episode import EpisodeSettings, solver, unfinished
from agent_client.evaluation.runner.progress import Progress
from agent_client.evaluation.runner.runner import (
    MIN_WAVE,
    AttemptPolicy,
    RunEnd,
    Runner,
    episode_seed,
)
from agent_client.evaluation.runner.tool_failures import ToolRetryPolicy
from agent_client.events import Emit
from tests.support.episodes import StepTools, TurnModel, evaluated, question, researching

STEPS = researching()
Fault = Callable[[ModelRequest, int], Exception | None]


async def no_time(_: float) -> None:
    await checkpoint()


POLICY = AttemptPolicy(first_seconds=0.0, sleep=no_time)
SETTINGS = EpisodeSettings(retries=ToolRetryPolicy(sleep=no_time))


def run_in(directory: Path, names: Sequence[str], *, seed: int | None = None) -> RunWriter:
    manifest = RunManifest(
        dataset=DatasetStamp(name="test"),
        profile=ProfileStamp(name="test"),
        model=ModelStamp(name="scripted"),
        seed=seed,
    )
    questions = [question(name, f"Who built {name}?") for name in names]
    return RunWriter.create(directory, manifest, questions)


@dataclass
class FaultyModel(TurnModel):
    """Follows the conversation; errors come by the request and by how often it was asked."""

    errors: Fault = lambda request, number: None
    asked: Counter[str] = field(default_factory=Counter[str])
    """Requests by the question's name."""

    async def complete(self, request: ModelRequest, *, emit: Emit) -> ModelReply:
        name = next(m.text for m in request.messages if m.role == "user").split()[2].rstrip("?")
        self.asked[name] += 1
        await checkpoint()
        if (error := self.errors(request, len(self.requests) + 1)) is not None:
            self.requests.append(request)
            raise error
        return await TurnModel.complete(self, request, emit=emit)


def is_about(request: ModelRequest, name: str) -> bool:
    return any(f"built {name}?" in m.text for m in request.messages if m.role == "user")


def dead() -> ModelError:
    return ModelUnreachable("http://m/v1", "nobody there", hint="start it")


def solving(model: TurnModel, tools: StepTools | None = None) -> Solve:
    return solver(evaluated(model, tools or StepTools()), SETTINGS)


async def worked(
    writer: RunWriter, solve: Solve, *, concurrency: int = 4, policy: AttemptPolicy = POLICY
) -> tuple[RunEnd, Progress]:
    progress = Progress()
    runner = Runner(writer, solve, None, concurrency=concurrency, progress=progress, policy=policy)
    with anyio.fail_after(20):
        return await runner.run(), progress


def timeless(records: dict[EpisodeKey, EpisodeRecord]) -> dict[EpisodeKey, str]:
    """What may not depend on faults, interruptions and luck."""
    return {
        key: repr(
            (one.status, one.stop_reason, one.answer, replace(one.counts, retries=0), one.usage)
        )
        for key, one in records.items()
    }


def names(number: int) -> list[str]:
    return [f"q{n}" for n in range(number)]


async def test_every_question_is_settled_once(tmp_path: Path) -> None:
    model, tools = TurnModel(STEPS), StepTools()
    with run_in(tmp_path / "run", names(10)) as writer:
        end, progress = await worked(writer, solving(model, tools))
        assert end == RunEnd(reason="done", settled=10, owed=0, ungraded=10)
        assert {key.id for key in writer.records} == set(names(10))
        assert {one.status for one in writer.records.values()} == {"ok"}
    assert len(model.requests) == progress.turns == 40
    assert (progress.searches, progress.visits, progress.tool_errors) == (20, 40, 0)
    assert progress.tokens == 600
    assert (progress.done, progress.running, progress.infra_errors) == (10, 0, 0)


async def test_a_slow_question_holds_up_no_other(tmp_path: Path) -> None:
    gate = anyio.Event()
    running: set[str] = set()
    most = 0
    done: list[str] = []

    async def solve(episode: Episode, journal: EpisodeJournal) -> EpisodeRecord:
        nonlocal most
        name = episode.question.id
        running.add(name)
        most = max(most, len(running))
        await (gate.wait() if name == "q0" else checkpoint())
        running.discard(name)
        done.append(name)
        if len(done) == 19:
            gate.set()
        return unfinished(episode, "ok")

    with run_in(tmp_path / "run", names(20)) as writer:
        end, _ = await worked(writer, solve, concurrency=3)
    assert end.reason == "done"
    assert most == 3
    assert done == [*names(20)[1:], "q0"]


async def test_a_failed_episode_goes_on_in_the_middle_in_the_same_run(tmp_path: Path) -> None:
    failures = 0

    def errors(request: ModelRequest, number: int) -> Exception | None:
        nonlocal failures
        turn = sum(message.role == "assistant" for message in request.messages)
        if is_about(request, "q1") and turn == 2 and failures < 2:
            failures += 1
            return dead()
        return None

    model, tools = FaultyModel(STEPS, errors=errors), StepTools()
    with run_in(tmp_path / "run", names(3)) as writer:
        end, progress = await worked(writer, solving(model, tools))
        record = writer.records[EpisodeKey("q1")]
    assert end.reason == "done"
    assert (record.status, record.attempt, record.continued_turns) == ("ok", 3, 2)
    assert model.asked["q1"] == len(STEPS) + 2  # the failing turn alone was asked for again
    assert len(tools.calls) == 3 * 6
    assert (progress.retried, progress.continued, progress.infra_errors) == (2, 2, 0)
    assert progress.turns == 3 * len(STEPS)


async def test_what_fails_thrice_is_owed_and_never_settled(tmp_path: Path) -> None:
    model = FaultyModel(STEPS, errors=lambda r, _: dead() if is_about(r, "q1") else None)
    with run_in(tmp_path / "run", names(4)) as writer:
        end, progress = await worked(writer, solving(model))
        assert (end.reason, end.settled, end.owed) == ("owed", 3, 1)
        assert "1 episode failed, the last one with ModelUnreachable" in end.what
        assert writer.records[EpisodeKey("q1")].status == "infra_error"
        assert EpisodeKey("q1") not in writer.plan().settled
    assert model.asked["q1"] == POLICY.tries
    assert (progress.done, progress.infra_errors) == (3, 1)

    with RunWriter.resume(tmp_path / "run") as writer:
        end, progress = await worked(writer, solving(TurnModel(STEPS)))
        assert (end.reason, end.settled, end.owed) == ("done", 4, 0)
    assert progress.turns == len(STEPS)


@pytest.mark.parametrize(("works_for", "settled", "waves"), [(0, 0, 1), (10, 2, 3)])
async def test_a_run_with_nothing_but_failures_stops_and_says_what_is_dead(
    tmp_path: Path, works_for: int, settled: int, waves: int
) -> None:
    """At once when nothing ever worked; else it might have come back."""

    def errors(request: ModelRequest, number: int) -> Exception | None:
        return dead() if number > works_for else None

    model = FaultyModel(STEPS, errors=errors)
    with run_in(tmp_path / "run", names(100)) as writer:
        end, progress = await worked(writer, solving(model), concurrency=2)
        owed = [key for key, one in writer.records.items() if one.status not in SETTLED]
        assert writer.plan().settled.isdisjoint(owed)
    assert end.reason == "infrastructure"
    assert "http://m/v1: nobody there (start it)" in end.what
    assert progress.note == end.what
    assert 0 <= len(model.requests) - works_for - waves * MIN_WAVE <= 2
    assert (end.settled, end.owed) == (settled, 100 - settled)


async def test_a_run_outlives_a_server_that_is_started_anew(tmp_path: Path) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await checkpoint()

    def errors(request: ModelRequest, number: int) -> Exception | None:
        is_down = number >= 10 and not any(seconds > 20 for seconds in waits)
        return dead() if is_down else None

    policy = AttemptPolicy(first_seconds=0.0, random=lambda: 0.0, sleep=sleep)
    with run_in(tmp_path / "run", names(30)) as writer:
        model = FaultyModel(STEPS, errors=errors)
        end, progress = await worked(writer, solving(model), policy=policy)
    assert (end.reason, end.settled) == ("done", 30)
    assert any(5 < seconds <= 7.5 for seconds in waits)
    assert any(40 < seconds <= 45 for seconds in waits)
    assert progress.note == ""


async def test_one_poisoned_question_ends_no_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def errors(request: ModelRequest, number: int) -> Exception | None:
        if is_about(request, "q2"):
            raise RecursionError("poison")
        return None

    with caplog.at_level(logging.CRITICAL), run_in(tmp_path / "run", names(5)) as writer:
        end, _ = await worked(writer, solving(FaultyModel(STEPS, errors=errors)))
        record = writer.records[EpisodeKey("q2")]
    assert (end.settled, end.owed) == (4, 1)
    assert record.error is not None
    assert (record.status, record.error.type) == ("infra_error", "RecursionError")


async def test_a_solver_that_breaks_its_word_ends_no_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def solve(episode: Episode, journal: EpisodeJournal) -> EpisodeRecord:
        raise OSError("the cluster is gone")

    with caplog.at_level(logging.CRITICAL), run_in(tmp_path / "run", names(1)) as writer:
        end, _ = await worked(writer, solve)
        error = writer.records[EpisodeKey("q0")].error
    assert (end.reason, end.owed) == ("owed", 1)
    assert error is not None
    assert error.message == "the cluster is gone"


async def test_faults_that_pass_change_no_verdict(tmp_path: Path) -> None:
    def errors(request: ModelRequest, number: int) -> Exception | None:
        return ModelError("http://m/v1", "HTTP 502", retryable=True) if number % 20 == 0 else None

    searches = 0

    def fault(call: ToolCall) -> dict[str, object] | None:
        nonlocal searches
        searches += call.name == "web_search"
        is_hit = call.name == "web_search" and searches % 20 == 0
        return {"kind": "rate_limited", "retryable": True} if is_hit else None

    with run_in(tmp_path / "clean", names(20)) as clean:
        await worked(clean, solving(TurnModel(STEPS)))
    with run_in(tmp_path / "faulty", names(20)) as faulty:
        model = FaultyModel(STEPS, errors=errors)
        end, _ = await worked(faulty, solving(model, StepTools(fault=fault)), concurrency=8)
    assert end.reason == "done"
    assert timeless(faulty.records) == timeless(clean.records)
    assert sum(one.tool_retries for one in faulty.records.values()) > 0
    assert sum(one.counts.retries for one in faulty.records.values()) > 0


@pytest.mark.parametrize("after", [1, 2, 5, 9, 14, 22, 31])
async def test_a_run_that_is_cancelled_and_resumed_ends_as_if_it_had_not_been(
    tmp_path: Path, after: int
) -> None:
    with run_in(tmp_path / "whole", names(8), seed=1) as whole:
        await worked(whole, solving(TurnModel(STEPS)), concurrency=3)

    scope = anyio.CancelScope()

    def cancel(request: ModelRequest, number: int) -> None:
        if number == after:
            scope.cancel()

    first = FaultyModel(STEPS, errors=cancel)
    with run_in(tmp_path / "cut", names(8), seed=1) as writer:
        with scope:
            await worked(writer, solving(first), concurrency=3)
        statuses = Counter(one.status for one in writer.records.values())
    assert scope.cancelled_caught
    assert 0 < statuses["cancelled"] <= 3
    assert set(statuses) <= {"ok", "cancelled"}

    second = FaultyModel(STEPS)
    with RunWriter.resume(tmp_path / "cut") as writer:
        end, progress = await worked(writer, solving(second), concurrency=3)
        assert timeless(writer.records) == timeless(whole.records)
        assert end.reason == "done"
    assert progress.restarted == 0
    repeated = (first.asked + second.asked).total() - 8 * len(STEPS)
    assert 0 <= repeated <= statuses["cancelled"]  # at most the turn in flight of each


@settings(max_examples=10)
@given(
    cuts=st.lists(st.integers(1, 10), max_size=4),
    fails_at=st.integers(3, 12),
    concurrency=st.integers(1, 3),
)
def test_whatever_interrupts_a_run_its_records_are_those_of_an_undisturbed_one(
    cuts: list[int], fails_at: int, concurrency: int
) -> None:
    asked: Counter[str] = Counter()
    failures = 0

    async def opening(writer: RunWriter, cut: int | None) -> RunEnd | None:
        scope = anyio.CancelScope()

        def errors(request: ModelRequest, number: int) -> Exception | None:
            nonlocal failures
            if number == cut:
                scope.cancel()
            elif number % fails_at == 0 and failures < 3:
                failures += 1
                return dead()
            return None

        model = FaultyModel(STEPS, errors=errors)
        end: RunEnd | None = None
        with scope:
            end, _ = await worked(writer, solving(model), concurrency=concurrency)
        asked.update(model.asked)
        return end

    with tempfile.TemporaryDirectory() as folder:
        run_in(Path(folder) / "run", names(3)).close()
        for cut in cuts:
            with RunWriter.resume(Path(folder) / "run") as writer:
                anyio.run(opening, writer, cut)
        with RunWriter.resume(Path(folder) / "run") as writer:
            end = anyio.run(opening, writer, None)
            found = timeless(writer.records)
        assert end is not None
        assert (end.reason, end.settled) == ("done", 3)
        assert set(found.values()) == set(undisturbed().values())
        assert asked.total() <= 3 * len(STEPS) + failures + len(cuts) * concurrency


@cache
def undisturbed() -> dict[EpisodeKey, str]:
    async def run(writer: RunWriter) -> None:
        await worked(writer, solving(TurnModel(STEPS)))

    with tempfile.TemporaryDirectory() as folder, run_in(Path(folder) / "run", names(3)) as writer:
        anyio.run(run, writer)
        return timeless(writer.records)


def test_ctrl_c_stores_what_is_at_work_as_cancelled(tmp_path: Path) -> None:
    def interrupt(request: ModelRequest, number: int) -> None:
        if number == 6:
            signal.raise_signal(signal.SIGINT)

    model = FaultyModel(STEPS, errors=interrupt)
    with run_in(tmp_path / "run", names(5)) as writer:

        async def run() -> None:
            await worked(writer, solving(model), concurrency=2)

        with pytest.raises(KeyboardInterrupt):
            anyio.run(run)
        statuses = Counter(one.status for one in writer.records.values())
    assert statuses["cancelled"] == 2


async def test_a_stopped_run_returns_and_its_episodes_are_cancelled(tmp_path: Path) -> None:
    model = TurnModel(STEPS)
    with run_in(tmp_path / "run", names(8)) as writer:
        runner = Runner(writer, solving(model), None, concurrency=2, progress=Progress())

        def stop() -> None:
            if len(model.requests) >= 5:
                runner.stop()

        model.fault = stop
        end = await runner.run()
        statuses = Counter(one.status for one in writer.records.values())
    assert end.reason == "cancelled"
    assert statuses["cancelled"] == 2
    assert end.owed == 8 - statuses["ok"]


async def test_a_directory_that_takes_nothing_more_stops_the_run_at_once(tmp_path: Path) -> None:
    class Deleting(StepTools):
        async def call(self, call: ToolCall) -> ToolResult:
            if len(self.calls) == 8:
                shutil.rmtree(tmp_path / "run")
            return await StepTools.call(self, call)

    model = TurnModel(STEPS)
    with run_in(tmp_path / "run", names(50)) as writer:
        end, _ = await worked(writer, solving(model, Deleting()), concurrency=2)
        assert end.settled == sum(one.status in SETTLED for one in writer.records.values())
    assert end.reason == "storage"
    assert end.error is writer.failure
    assert end.error is not None
    assert str(end.error) in end.what
    assert len(model.requests) < 20


async def test_an_agent_that_does_not_do_again_what_it_did_begins_afresh(tmp_path: Path) -> None:
    scope = anyio.CancelScope()

    def cancel(request: ModelRequest, number: int) -> None:
        if number == 7:
            scope.cancel()

    with run_in(tmp_path / "run", names(2)) as writer:
        with scope:
            await worked(writer, solving(FaultyModel(STEPS, errors=cancel)))
        assert {one.status for one in writer.records.values()} == {"cancelled"}

    def otherwise(agent: Agent) -> Agent:
        """Its searches get an argument that they did not have."""
        offers = (ToolOffer(name="web_search", fixed={"limit": "3"}), ToolOffer(name="web_visit"))
        return replace(agent, profile=replace(agent.profile, tools=offers))

    model = FaultyModel(STEPS)
    with RunWriter.resume(tmp_path / "run") as writer:
        solve = solver(otherwise(evaluated(model, StepTools())), SETTINGS)
        end, progress = await worked(writer, solve)
        records = list(writer.records.values())
    assert end.reason == "done"
    assert (progress.restarted, progress.retried) == (2, 0)
    assert [one.attempt for one in records] == [3, 3]
    assert {one.continued_turns for one in records} == {0}
    assert set(model.asked.values()) == {len(STEPS)}


@dataclass
class Listening:
    """A grader's side that keeps what it is handed."""

    taken: list[EpisodeRecord] = field(default_factory=list[EpisodeRecord])
    order: list[str] = field(default_factory=list[str])
    ungraded: int = 0

    async def take(self, record: EpisodeRecord) -> None:
        self.taken.append(record)
        if record.id == "q1":
            raise KeyError("a bug in a grader")

    async def take_stored(self) -> None:
        self.order.append("stored")

    async def drain(self) -> None:
        self.order.append("drained")


async def test_settled_episodes_are_handed_to_the_graders_and_no_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = FaultyModel(STEPS, errors=lambda r, _: dead() if is_about(r, "q3") else None)
    grades = Listening()
    with caplog.at_level(logging.CRITICAL), run_in(tmp_path / "run", names(6)) as writer:
        runner = Runner(
            writer, solving(model), grades, concurrency=2, progress=Progress(), policy=POLICY
        )
        await runner.run()
    assert {one.id for one in grades.taken} == set(names(6)) - {"q3"}
    assert all(one.status in SETTLED and one.events for one in grades.taken)
    assert grades.order == ["stored", "drained"]


async def test_a_failed_episode_waits_and_others_do_not(tmp_path: Path) -> None:
    waits: list[float] = []
    order: list[str] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await checkpoint()

    async def solve(episode: Episode, journal: EpisodeJournal) -> EpisodeRecord:
        order.append(episode.question.id)
        await checkpoint()
        is_bad = episode.question.id == "q0"
        return unfinished(episode, "infra_error" if is_bad else "ok")

    policy = AttemptPolicy(first_seconds=100.0, max_seconds=150.0, random=lambda: 1.0, sleep=sleep)
    with run_in(tmp_path / "run", names(5)) as writer:
        await worked(writer, solve, concurrency=1, policy=policy)
    assert order == [*names(5), "q0", "q0"]
    assert [round(seconds) for seconds in waits] == [100, 150]


def test_an_episodes_seed_is_the_same_everywhere_and_its_own() -> None:
    assert episode_seed(None, EpisodeKey("q")) is None
    assert episode_seed(7, EpisodeKey("q")) == episode_seed(7, EpisodeKey("q")) == 1874404273
    seeds = {
        episode_seed(seed, EpisodeKey(name, repeat))
        for seed in range(3)
        for name in ("a", "b\n", "é", "\ud800")
        for repeat in range(3)
    }
    assert len(seeds) == 36
    assert all(seed is not None and 0 <= seed < 2**31 for seed in seeds)


async def test_the_run_hands_its_episodes_their_seeds(tmp_path: Path) -> None:
    with run_in(tmp_path / "run", names(2), seed=7) as writer:
        await worked(writer, solving(TurnModel(STEPS)))
        for key, record in writer.records.items():
            assert record.seed == episode_seed(7, key)
            assert msgspec.json.encode(record)


async def test_a_call_that_a_recording_lacks_is_not_tried_again(tmp_path: Path) -> None:
    tried: list[str] = []

    async def solve(episode: Episode, journal: EpisodeJournal) -> EpisodeRecord:
        tried.append(episode.question.id)
        error = RecordedError(type="ReplayMiss", message="the recording holds no answer")
        return unfinished(episode, "infra_error", error)

    progress = Progress()
    names = [f"q{n}" for n in range(30)]
    with run_in(tmp_path / "run", names) as writer:
        end = await Runner(writer, solve, None, concurrency=4, progress=progress).run()
    assert (end.reason, end.owed) == ("owed", 30)
    assert sorted(tried) == sorted(names)
