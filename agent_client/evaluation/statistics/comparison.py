"""Two runs on the same questions: what differs, and whether chance explains it."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Literal

from agent_client.evaluation.episode_record import EpisodeRecord
from agent_client.evaluation.question import Question
from agent_client.evaluation.records.stored_run import StoredRun
from agent_client.evaluation.statistics.comparability import incomparable
from agent_client.evaluation.statistics.intervals import (
    Interval,
    Mean,
    Proportion,
    mean_by,
    proportion,
)
from agent_client.evaluation.statistics.judged import Judged
from agent_client.evaluation.statistics.paired import (
    EXACT_FLIPS,
    mcnemar,
    paired_difference,
    sign_flip,
)
from agent_client.evaluation.statistics.summary import About, about_run

Test = Literal["mcnemar_exact", "sign_flip_exact", "sign_flip_sampled"]
"""McNemar's where both runs ask each question once, sign flips of the questions' means else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut:
    """Questions that are not compared."""

    only_in_a: int
    only_in_b: int
    changed: int
    """The same id, but another question or other reference answers."""
    unfinished_in_a: int
    """Not one answer of it is over and graded in A; in B it may be likewise."""
    unfinished_in_b: int
    """The same in B, where A has one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PairTable:
    """The compared questions by who got them right."""

    both: int
    only_a: int
    only_b: int
    neither: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Flip:
    """A question that one run got right more often than the other."""

    id: str
    question: str
    reference: str
    correct_a: float
    """The share of right answers, 0 or 1 where there is one answer."""
    correct_b: float
    answer_a: str
    """The short answer of the first one graded, else all of it."""
    answer_b: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A measure of both runs, over the compared questions for which both know it."""

    name: str
    a: float
    """Mean over the questions of A, and of B."""
    b: float
    difference: Mean
    """B less A, of the same questions, with the interval of the pairs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """B against A, question by question."""

    a: About
    b: About
    compared: int
    """Questions that both have answered, and that are graded in both."""
    left_out: LeftOut
    accuracy_a: Proportion
    """Of the compared questions only."""
    accuracy_b: Proportion
    table: PairTable | None
    """None where a run asks a question several times."""
    difference: float | None
    """Accuracy of B less that of A, each question counting the same, in [-1, 1]; None where
    nothing can be compared."""
    interval: Interval | None
    """Of the difference, paired, at 95 %; None where all repeated questions differ by the same, so
    that nothing tells how sure it is."""
    test: Test
    p_value: float
    """Two-sided, that A and B are equally good; 1.0 where nothing differs."""
    flips: tuple[Flip, ...]
    """The largest differences first, then in the order of A's questions."""
    changes: tuple[Change, ...]
    warnings: tuple[str, ...]
    """What keeps the difference from being the model's, as Markdown."""


@dataclass(frozen=True, slots=True)
class _Pair:
    """One question as both runs answered it; at least one graded answer each."""

    question: Question
    a: Sequence[Judged]
    b: Sequence[Judged]
    difference: Fraction
    """The share of right answers of B less that of A."""


def compare(a: StoredRun, b: StoredRun, grader: str) -> Comparison:
    """Compare B with A on the questions that both have answered and that are graded in both.

    Args:
        a: the run to compare with.
        b: the run that is compared.
        grader: whose verdicts count, in both.

    Raises:
        EvaluationError: a run knows no such grader.
    """
    about_a, episodes_a = about_run(a, grader)
    about_b, episodes_b = about_run(b, grader)
    pairs, left_out = _pairs(a.questions, _graded(episodes_a), b.questions, _graded(episodes_b))
    once = a.manifest.repeats == b.manifest.repeats == 1
    table = _pair_table(pairs) if once else None
    test, p_value = _tested(pairs, table)
    difference = mean_by(
        [pair.question.id for pair in pairs], [float(pair.difference) for pair in pairs]
    )
    return Comparison(
        a=about_a,
        b=about_b,
        compared=len(pairs),
        left_out=left_out,
        accuracy_a=_accuracy([pair.a for pair in pairs]),
        accuracy_b=_accuracy([pair.b for pair in pairs]),
        table=table,
        difference=difference.value,
        interval=_interval(pairs, table, difference),
        test=test,
        p_value=p_value,
        flips=_flips(pairs),
        changes=_changes(pairs),
        warnings=_warnings(about_a, episodes_a, about_b, episodes_b),
    )


def _graded(episodes: Sequence[Judged]) -> dict[str, list[Judged]]:
    """The graded answers by question."""
    found: dict[str, list[Judged]] = {}
    for episode in episodes:
        if episode.standing not in ("ungraded", "owed"):
            found.setdefault(episode.question.id, []).append(episode)
    return found


def _pairs(
    of_a: Sequence[Question],
    graded_a: Mapping[str, list[Judged]],
    of_b: Sequence[Question],
    graded_b: Mapping[str, list[Judged]],
) -> tuple[list[_Pair], LeftOut]:
    in_b = {question.id: question for question in of_b}
    shared = [(question, in_b[question.id]) for question in of_a if question.id in in_b]
    same = [
        question
        for question, other in shared
        if (question.question, question.answers) == (other.question, other.answers)
    ]
    over_in_a = [question for question in same if question.id in graded_a]
    pairs = [
        _pair(question, graded_a[question.id], graded_b[question.id])
        for question in over_in_a
        if question.id in graded_b
    ]
    return pairs, LeftOut(
        only_in_a=len(of_a) - len(shared),
        only_in_b=len(of_b) - len(shared),
        changed=len(shared) - len(same),
        unfinished_in_a=len(same) - len(over_in_a),
        unfinished_in_b=len(over_in_a) - len(pairs),
    )


def _pair(question: Question, a: Sequence[Judged], b: Sequence[Judged]) -> _Pair:
    return _Pair(question, a, b, _difference(_correct(a), len(a), _correct(b), len(b)))


@cache
def _difference(correct_a: int, of_a: int, correct_b: int, of_b: int) -> Fraction:
    return Fraction(correct_b, of_b) - Fraction(correct_a, of_a)


def _correct(answers: Sequence[Judged]) -> int:
    return sum(answer.standing == "correct" for answer in answers)


def _accuracy(answers: Sequence[Sequence[Judged]]) -> Proportion:
    return proportion([_correct(of_one) for of_one in answers], [len(of_one) for of_one in answers])


def _share(answers: Sequence[Judged]) -> float:
    return _correct(answers) / len(answers)


def _pair_table(pairs: Sequence[_Pair]) -> PairTable:
    only_a = sum(pair.difference < 0 for pair in pairs)
    only_b = sum(pair.difference > 0 for pair in pairs)
    both = sum(_correct(pair.a) for pair in pairs) - only_a
    return PairTable(
        both=both, only_a=only_a, only_b=only_b, neither=len(pairs) - both - only_a - only_b
    )


def _interval(pairs: Sequence[_Pair], table: PairTable | None, difference: Mean) -> Interval | None:
    if table and pairs:
        return paired_difference(table.both, table.only_b, table.only_a, table.neither)
    return difference.interval if len({pair.difference for pair in pairs}) > 1 else None


def _tested(pairs: Sequence[_Pair], table: PairTable | None) -> tuple[Test, float]:
    if table:
        return "mcnemar_exact", mcnemar(table.only_a, table.only_b)
    differences = [pair.difference for pair in pairs if pair.difference]
    test: Test = "sign_flip_exact" if len(differences) <= EXACT_FLIPS else "sign_flip_sampled"
    return test, sign_flip(differences)


def _flips(pairs: Sequence[_Pair]) -> tuple[Flip, ...]:
    return tuple(
        Flip(
            id=pair.question.id,
            question=pair.question.question,
            reference=pair.question.answers[0] if pair.question.answers else "",
            correct_a=_share(pair.a),
            correct_b=_share(pair.b),
            answer_a=_first_answer(pair.a),
            answer_b=_first_answer(pair.b),
        )
        for pair in sorted(pairs, key=lambda pair: -abs(pair.difference))
        if pair.difference
    )


def _first_answer(answers: Sequence[Judged]) -> str:
    record = answers[0].record
    return (record.short_answer or record.answer) if record else ""


_MEASURES: Mapping[str, Callable[[EpisodeRecord], float | None]] = {
    "searches": lambda r: r.counts.searches,
    "visits": lambda r: r.counts.visits,
    "tool_calls": lambda r: r.counts.tool_calls,
    "turns": lambda r: r.counts.turns,
    "prompt_tokens": lambda r: r.usage.prompt_tokens or None,
    "completion_tokens": lambda r: r.usage.completion_tokens or None,
    "seconds": lambda r: r.seconds,
    "cost_usd": lambda r: r.cost_usd,
}


def _changes(pairs: Sequence[_Pair]) -> tuple[Change, ...]:
    return tuple(
        change for name, value in _MEASURES.items() if (change := _change(name, value, pairs))
    )


def _change(
    name: str, value: Callable[[EpisodeRecord], float | None], pairs: Sequence[_Pair]
) -> Change | None:
    """None where no question has the measure in both runs."""
    questions: list[str] = []
    of_a: list[float] = []
    of_b: list[float] = []
    for pair in pairs:
        told_a = [number for answer in pair.a if (number := _told(value, answer)) is not None]
        told_b = [number for answer in pair.b if (number := _told(value, answer)) is not None]
        if told_a and told_b:
            questions.append(pair.question.id)
            of_a.append(sum(told_a) / len(told_a))
            of_b.append(sum(told_b) / len(told_b))
    if not questions:
        return None
    return Change(
        name=name,
        a=math.fsum(of_a) / len(of_a),
        b=math.fsum(of_b) / len(of_b),
        difference=mean_by(questions, [b - a for a, b in zip(of_a, of_b, strict=True)]),
    )


def _told(value: Callable[[EpisodeRecord], float | None], answer: Judged) -> float | None:
    return value(answer.record) if answer.record else None


def _warnings(
    about_a: About, episodes_a: Sequence[Judged], about_b: About, episodes_b: Sequence[Judged]
) -> tuple[str, ...]:
    found = incomparable((about_a, about_b), ("A", "B"))
    if about_a.dataset != about_b.dataset:
        found.append("the datasets have different names")
    for label, about, episodes in (("A", about_a, episodes_a), ("B", about_b, episodes_b)):
        open_ones = sum(e.standing in ("ungraded", "owed") for e in episodes)
        if open_ones:
            found.append(
                f"{label} is not final: {open_ones:,} of {len(episodes):,} answers are owed or"
                " ungraded"
            )
        if len(about.grader_digests) > 1 or len(about.judges) > 1:
            found.append(f"the verdicts of {label} were not all made in the same way")
    return tuple(found)
