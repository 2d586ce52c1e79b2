"""Grading as episodes end, and again from what is stored: through the real writer."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import cycle
from pathlib import Path

import anyio
import pytest

from agent_client.conversation import Message, ModelReply, ModelRequest
from agent_client.errors import (
    MalformedReply,
    ModelError,
    ModelOverloaded,
    ModelTimeout,
    ModelUnreachable,
    StorageFailed,
)
from agent_client.evaluation.episode_record import EpisodeKey, EpisodeRecord, Status
from agent_client.evaluation.graders import grader_named
from agent_client.evaluation.graders.grader import Grader
from agent_client.evaluation.graders.grading import LEAST_FAILURES, Grading, grade_run
from agent_client.evaluation.graders.judge import Judge
from agent_client.evaluation.ports import Episode, GradedAnswer
from agent_client.evaluation.question import Question
from agent_client.evaluation.records.run_writer import RunWriter
from agent_client.evaluation.records.stored_run import StoredRun, read_run
from agent_client.evaluation.runner.progress import Progress
from agent_client.evaluation.verdict import Grade, Verdict
from agent_client.events import Emit
from tests.support.agents import Step, StepModel
from tests.support.run_directories import manifest

EM = "em_f1"
"""Answers are "right", "wrong" or "" in these tests."""


def settle(
    writer: RunWriter, id_: str, answer: str = "right", status: Status = "ok", attempt: int = 1
) -> EpisodeRecord:
    (question,) = (one for one in writer.questions if one.id == id_)
    log = writer.begin(Episode(question=question, run_id="0" * 32, attempt=attempt))
    record = EpisodeRecord(
        id=id_,
        attempt=attempt,
        status=status,
        question=question.question,
        answers=question.answers,
        answer=answer,
    )
    return writer.add_record(record, log)


def opened(tmp_path: Path, ids: Sequence[str]) -> RunWriter:
    questions = [Question(id=id_, question=f"{id_}?", answers=("right",)) for id_ in ids]
    return RunWriter.create(tmp_path / "run", manifest(len(ids)), questions)


def letters(count: int) -> list[str]:
    return [f"q{n}" for n in range(count)]


def grades_of(run: StoredRun | RunWriter, grader: str) -> dict[str, Grade]:
    return {
        key.id: grade.verdict.grade for (key, name), grade in run.grades.items() if name == grader
    }


def reply(text: str) -> ModelReply:
    return ModelReply(message=Message("assistant", text), finish_reason="stop", usage=None)


async def no_wait(_: float) -> None:
    await anyio.lowlevel.checkpoint()


def judge_of(model: "StepModel | CountingModel") -> Judge:
    return Judge(model, sleep=no_wait)


@dataclass
class CountingModel:
    """A judge that takes everything for correct, when it is let; counts who asks at once."""

    gate: anyio.Event = field(default_factory=anyio.Event)
    at_once: int = 0
    most_at_once: int = 0
    asked: int = 0
    name: str = "judge"
    context_tokens: int = 0

    async def complete(self, request: ModelRequest, *, emit: Emit) -> ModelReply:
        self.asked += 1
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.gate.wait()
        finally:
            self.at_once -= 1
        return reply("A")


@dataclass(frozen=True)
class BrokenGrader:
    """A bug in a grader."""

    name: str = "broken"
    digest: str = "00" * 32
    needs_judge: bool = False

    async def grade(self, asked: GradedAnswer) -> Verdict:
        raise ZeroDivisionError("a bug")


@asynccontextmanager
async def grading_into(
    writer: RunWriter, *graders: Grader, judges_at_once: int = 8
) -> AsyncGenerator[tuple[Grading, Progress]]:
    progress = Progress()
    async with anyio.create_task_group() as tasks:
        yield (
            Grading(writer, graders, progress, tasks=tasks, judges_at_once=judges_at_once),
            progress,
        )


async def test_settled_episodes_are_graded_as_they_end_and_owed_ones_never(tmp_path: Path) -> None:
    with opened(tmp_path, letters(5)) as writer:
        async with grading_into(writer, grader_named(EM)) as (grading, progress):
            await grading.take(settle(writer, "q0"))
            await grading.take(settle(writer, "q1", "wrong", "budget"))
            await grading.take(settle(writer, "q2", ""))
            await grading.take(settle(writer, "q3", "right", "infra_error"))
            await grading.take(settle(writer, "q4", "right", "cancelled"))
            await grading.drain()

    stored = grades_of(read_run(tmp_path / "run"), EM)
    assert stored == {"q0": "correct", "q1": "incorrect", "q2": "not_attempted"}
    assert (progress.correct, progress.incorrect, progress.not_attempted) == (1, 1, 1)
    assert (progress.ungraded, progress.waiting_for_judge) == (0, 0)


async def test_a_stored_verdict_says_whose_it_is(tmp_path: Path) -> None:
    grader = grader_named(EM)
    with opened(tmp_path, ["q0"]) as writer:
        async with grading_into(writer, grader) as (grading, _):
            await grading.take(settle(writer, "q0", "right [1].", attempt=3))

    grade = read_run(tmp_path / "run").grades[EpisodeKey("q0"), EM]
    assert (grade.digest, grade.attempt, grade.repeat) == (grader.digest, 3, 0)
    assert (grade.verdict.graded, grade.verdict.score) == ("right", 1.0)
    assert grade.at.endswith("+00:00")


async def test_who_hands_over_an_episode_does_not_wait_for_the_judge(tmp_path: Path) -> None:
    model = CountingModel()
    graders = (grader_named("simpleqa", judge=judge_of(model)), grader_named("exact"))
    with opened(tmp_path, letters(20)) as writer:
        async with grading_into(writer, *graders, judges_at_once=3) as (grading, progress):
            for id_ in letters(20):
                await grading.take(settle(writer, id_, "wrong"))
            assert progress.waiting_for_judge == 20
            assert len(grades_of(writer, "exact")) == 20
            model.gate.set()
            await grading.drain()
            assert (progress.waiting_for_judge, progress.correct) == (0, 20)

        assert set(grades_of(writer, "simpleqa").values()) == {"correct"}
    assert (model.most_at_once, model.asked) == (3, 20)
    assert [(one.correct, one.incorrect) for one in grading.counts] == [(20, 0), (0, 20)]


async def test_draining_waits_for_what_is_handed_over_meanwhile(tmp_path: Path) -> None:
    model = CountingModel()
    with opened(tmp_path, letters(2)) as writer:
        async with grading_into(writer, grader_named("simpleqa", judge=judge_of(model))) as (
            grading,
            progress,
        ):
            await grading.take(settle(writer, "q0"))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(grading.drain)
                await anyio.wait_all_tasks_blocked()
                await grading.take(settle(writer, "q1"))
                model.gate.set()
            assert progress.correct == 2


async def test_a_run_that_is_stopped_leaves_waiting_episodes_without_a_verdict(
    tmp_path: Path,
) -> None:
    model = CountingModel()
    grader = grader_named("simpleqa", judge=judge_of(model))
    with opened(tmp_path, letters(4)) as writer:
        async with anyio.create_task_group() as tasks:
            grading = Grading(writer, (grader,), Progress(), tasks=tasks, judges_at_once=2)
            for id_ in letters(4):
                await grading.take(settle(writer, id_))
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()

    assert grades_of(read_run(tmp_path / "run"), "simpleqa") == {}
    model.gate.set()
    with RunWriter.resume(tmp_path / "run") as writer:
        await grade_run(writer, [grader], progress=Progress())
    assert len(grades_of(read_run(tmp_path / "run"), "simpleqa")) == 4


async def test_a_bug_in_a_grader_costs_its_verdict_and_not_the_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with opened(tmp_path, letters(2)) as writer:
        async with grading_into(writer, BrokenGrader(), grader_named(EM)) as (grading, progress):
            for id_ in letters(2):
                await grading.take(settle(writer, id_))

        assert set(grades_of(writer, "broken").values()) == {"ungraded"}
        assert set(grades_of(writer, EM).values()) == {"correct"}
        assert writer.grades[EpisodeKey("q0"), "broken"].verdict.error == (
            "ZeroDivisionError: a bug"
        )
    assert progress.ungraded == 2
    assert "the grader broken failed on q0" in caplog.text


async def test_stored_verdicts_of_the_same_grader_are_kept_unless_all_are_asked_for(
    tmp_path: Path,
) -> None:
    grader = grader_named(EM)
    with opened(tmp_path, letters(3)) as writer:
        for id_, answer in zip(letters(3), ("right", "wrong", ""), strict=True):
            settle(writer, id_, answer)
        progress = Progress()
        (first,) = await grade_run(writer, [grader], progress=progress)
    with RunWriter.resume(tmp_path / "run") as writer:
        size = (tmp_path / "run" / "grades.jsonl").stat().st_size
        (second,) = await grade_run(writer, [grader], progress=Progress())
        assert (tmp_path / "run" / "grades.jsonl").stat().st_size == size
        (third,) = await grade_run(writer, [grader], only_ungraded=False, progress=Progress())
        assert (tmp_path / "run" / "grades.jsonl").stat().st_size == 2 * size

    for counts, kept in ((first, 0), (second, 3), (third, 0)):
        assert (counts.correct, counts.incorrect, counts.not_attempted) == (1, 1, 1)
        assert (counts.ungraded, counts.kept) == (0, kept)
    assert (progress.correct, progress.incorrect, progress.not_attempted) == (1, 1, 1)


async def test_verdicts_of_another_digest_or_attempt_are_not_kept(tmp_path: Path) -> None:
    def grader(model: str) -> Grader:
        return grader_named("simpleqa", judge=judge_of(StepModel([reply("A")], name=model)))

    with opened(tmp_path, ["q0"]) as writer:
        settle(writer, "q0")
        await grade_run(writer, [grader("one")], progress=Progress())
        (other,) = await grade_run(writer, [grader("two")], progress=Progress())
        (same,) = await grade_run(writer, [grader("two")], progress=Progress())
        settle(writer, "q0", attempt=2)
        (later,) = await grade_run(writer, [grader("two")], progress=Progress())

    assert [counts.kept for counts in (other, same, later)] == [0, 1, 0]


async def test_what_a_judge_left_ungraded_is_graded_by_the_next_call(tmp_path: Path) -> None:
    down = ModelUnreachable("http://judge.example/v1", "down", retryable=True)
    steps: list[Step] = [down, down, down, reply("A"), reply("B")]
    grader = grader_named("simpleqa", judge=judge_of(StepModel(steps)))
    with opened(tmp_path, letters(2)) as writer:
        for id_ in letters(2):
            settle(writer, id_)
        (first,) = await grade_run(writer, [grader], progress=Progress(), judges_at_once=1)
        assert grades_of(writer, "simpleqa") == {"q0": "ungraded", "q1": "correct"}
        (second,) = await grade_run(writer, [grader], progress=Progress(), judges_at_once=1)

    assert (first.correct, first.ungraded) == (1, 1)
    assert (second.correct, second.incorrect, second.ungraded, second.kept) == (1, 1, 0, 1)


async def test_faults_of_the_judge_leave_the_same_verdicts(tmp_path: Path) -> None:
    """One request in twenty fails: refused, overloaded, torn, cut off, or without a verdict."""
    at = "http://judge.example/v1"
    faults = cycle(
        [
            ModelOverloaded(at, "busy", status=429),
            ModelError(at, "503", status=503, retryable=True),
            ModelTimeout(at, "no token", retryable=True),
            MalformedReply(at, "torn JSON"),
            replace(reply("A"), finish_reason="length"),
            reply("CORRECT, INCORRECT, who knows"),
        ]
    )

    def step(n: int) -> Step:
        def answer(request: ModelRequest) -> ModelReply:
            return reply("A" if "\nright\n</answer" in request.messages[0].text else "B")

        return next(faults) if n % 20 == 7 else answer

    grader = grader_named("simpleqa", judge=judge_of(StepModel([step(n) for n in range(400)])))
    ids = letters(200)
    with opened(tmp_path, ids) as writer:
        for n, id_ in enumerate(ids):
            settle(writer, id_, "right" if n % 3 else "wrong")
        (counts,) = await grade_run(writer, [grader], progress=Progress())
        tries = sum(grade.verdict.tries for grade in writer.grades.values())

        assert grades_of(writer, "simpleqa") == {
            id_: "correct" if n % 3 else "incorrect" for n, id_ in enumerate(ids)
        }
    assert counts.ungraded == 0
    assert tries > 205


async def test_a_dead_judge_is_not_asked_thousands_of_times(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = StepModel([ModelUnreachable("http://judge.example/v1", "no route")])
    ids = letters(3 * LEAST_FAILURES)
    with opened(tmp_path, ids) as writer:
        for id_ in ids:
            settle(writer, id_)
        progress = Progress()
        (counts,) = await grade_run(
            writer,
            [grader_named("simpleqa", judge=judge_of(model))],
            progress=progress,
            judges_at_once=1,
        )

    assert len(model.requests) == LEAST_FAILURES
    assert counts.ungraded == progress.ungraded == len(ids)
    assert progress.waiting_for_judge == 0
    assert "16 answers stay ungraded" in caplog.text


async def test_a_directory_that_takes_nothing_more_ends_the_grading(tmp_path: Path) -> None:
    model = CountingModel()
    model.gate.set()
    with opened(tmp_path, letters(40)) as writer:
        for id_ in letters(40):
            settle(writer, id_)
        writer.failure = StorageFailed("the disk is full")
        for grader in (grader_named(EM), grader_named("simpleqa", judge=judge_of(model))):
            with pytest.raises(StorageFailed, match="full"):
                await grade_run(writer, [grader], progress=Progress())

    assert model.asked == 0
