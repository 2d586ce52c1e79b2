"""How many answers are right, and of how many."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agent_client.evaluation.graders.measures import simpleqa_measures
from agent_client.evaluation.statistics.intervals import (
    Mean,
    Proportion,
    mean_by,
    mean_share,
    proportion,
)
from agent_client.evaluation.statistics.judged import Judged, Standing


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """The counts of some episodes and the shares that follow.

    `correct + incorrect + not_attempted + ungraded + owed == asked`.
    """

    asked: int
    """Questions times repeats."""
    owed: int
    """Episodes that failed for a reason outside of the agent, were stopped, or never ran."""
    settled: int
    """Episodes that are over: all others."""
    ungraded: int
    """Episodes that are over and that no grader could judge yet."""
    graded: int
    """Episodes that have a verdict: `correct + incorrect + not_attempted`."""
    correct: int
    incorrect: int
    not_attempted: int
    accuracy: Proportion
    """The headline: correct answers among the episodes that are over and graded."""
    accuracy_of_asked: Proportion
    """The same among all that were asked: what is owed or ungraded counts as not correct."""
    accuracy_given_attempted: Proportion
    """Correct answers among those that were correct or incorrect."""
    f_score: float | None
    """Harmonic mean of `accuracy` and `accuracy_given_attempted`, SimpleQA's F; None where nothing
    is graded."""
    is_final: bool
    """Whether everything that was asked is answered and graded."""


def score_of(episodes: Iterable[Judged]) -> Score:
    """Count the episodes."""
    by_question: dict[str, list[Standing]] = {}
    for episode in episodes:
        by_question.setdefault(episode.question.id, []).append(episode.standing)
    correct = [standings.count("correct") for standings in by_question.values()]
    wrong = [standings.count("incorrect") for standings in by_question.values()]
    passed = [standings.count("not_attempted") for standings in by_question.values()]
    asked = [len(standings) for standings in by_question.values()]
    ungraded = sum(standings.count("ungraded") for standings in by_question.values())
    tried = [right + incorrect for right, incorrect in zip(correct, wrong, strict=True)]
    graded = [attempted + more for attempted, more in zip(tried, passed, strict=True)]
    owed = sum(asked) - sum(graded) - ungraded
    measures = simpleqa_measures(sum(correct), sum(wrong), sum(passed))
    return Score(
        asked=sum(asked),
        owed=owed,
        settled=sum(asked) - owed,
        ungraded=ungraded,
        graded=sum(graded),
        correct=sum(correct),
        incorrect=sum(wrong),
        not_attempted=sum(passed),
        accuracy=proportion(correct, graded),
        accuracy_of_asked=proportion(correct, asked),
        accuracy_given_attempted=proportion(correct, tried),
        f_score=measures.f if sum(graded) else None,
        is_final=not owed and not ungraded,
    )


def measured(episodes: Sequence[Judged]) -> dict[str, Mean]:
    """The means of what the grader measures (`em`, `f1`), over the graded episodes.

    A grader that names no metrics but scores is told as `score`.
    """
    questions: dict[str, list[str]] = {}
    values: dict[str, list[float]] = {}
    for episode in episodes:
        if episode.grade is None or episode.standing == "ungraded":
            continue
        verdict = episode.grade.verdict
        told = verdict.metrics
        if not told and verdict.score is not None:
            told = {"score": verdict.score}
        for name, value in told.items():
            questions.setdefault(name, []).append(episode.question.id)
            values.setdefault(name, []).append(value)
    return {name: _mean(questions[name], values[name]) for name in sorted(values)}


def _mean(questions: Sequence[str], values: Sequence[float]) -> Mean:
    are_shares = all(0 <= value <= 1 for value in values)
    return mean_share(questions, values) if are_shares else mean_by(questions, values)
