"""Every episode that a run is to have, with what is known of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from agent_client.errors import EvaluationError
from agent_client.evaluation.episode_record import SETTLED, EpisodeKey, EpisodeRecord
from agent_client.evaluation.question import Question
from agent_client.evaluation.records.stored_run import StoredRun
from agent_client.evaluation.verdict import GradeRecord

Standing = Literal["correct", "incorrect", "not_attempted", "ungraded", "owed"]
"""Where an episode stands; each has exactly one. `owed`: it is not over, or never began."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One episode that the run is to have."""

    question: Question
    record: EpisodeRecord | None
    """None where it has not ended yet."""
    grade: GradeRecord | None
    """None where it is not graded yet, or owed."""
    standing: Standing

    @property
    def settled(self) -> EpisodeRecord | None:
        """The record of an episode that is over."""
        return None if self.standing == "owed" else self.record


def default_grader(run: StoredRun) -> str:
    """The grader whose verdicts a table shows unless another one is named."""
    return (*run.manifest.graders, *_graded_by(run), run.manifest.dataset.grader)[0]


def judged(run: StoredRun, grader: str) -> tuple[Judged, ...]:
    """All episodes of a run in the order of its questions, as one grader sees them.

    Raises:
        EvaluationError: the run knows no such grader.
    """
    known = {default_grader(run), *run.manifest.graders, *_graded_by(run)}
    if grader not in known:
        raise EvaluationError(
            f"{run.directory} has no verdicts of a grader {grader!r}",
            hint=f"it knows: {', '.join(sorted(known))}; `seekling eval grade DIR --grader NAME`"
            " adds others",
        )
    return tuple(_episodes(run, grader))


def _graded_by(run: StoredRun) -> list[str]:
    return sorted({grader for _, grader in run.grades})


def _episodes(run: StoredRun, grader: str) -> Iterator[Judged]:
    for question in _questions(run):
        for repeat in range(run.manifest.repeats):
            key = EpisodeKey(question.id, repeat)
            record = run.records.get(key)
            if record is None or record.status not in SETTLED:
                yield Judged(question, record, None, "owed")
                continue
            grade = run.grades.get((key, grader))
            yield Judged(question, record, grade, grade.verdict.grade if grade else "ungraded")


def _questions(run: StoredRun) -> Iterator[Question]:
    """As many as were asked: damage to their file may not make the denominator smaller."""
    yield from run.questions
    known = {question.id for question in run.questions}
    for record in run.records.values():
        if record.id not in known:
            known.add(record.id)
            yield Question(
                id=record.id,
                question=record.question,
                answers=record.answers,
                fields=record.fields,
            )
    for number in range(run.manifest.dataset.picked - len(known)):
        yield Question(id=f"\0lost {number}", question="", answers=())  # as no id of a dataset
