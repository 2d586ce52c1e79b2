"""What is counted of verdicts, and where two graders disagree."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent_client.evaluation.episode_record import EpisodeKey
from agent_client.evaluation.graders.disagreements import disagreements
from agent_client.evaluation.graders.measures import simpleqa_measures
from agent_client.evaluation.records.stored_run import StoredRun
from agent_client.evaluation.verdict import Grade, GradeRecord, Verdict
from tests.support.graded_runs import graded_run

COUNTS = st.integers(min_value=0, max_value=10_000)


def test_the_measures_of_simpleqa_are_those_of_the_official_script() -> None:
    """With 4 correct, 4 incorrect and 2 not attempted the script prints 0.500 and 0.444."""
    found = simpleqa_measures(4, 4, 2)

    assert (found.correct, found.incorrect, found.not_attempted) == (0.4, 0.4, 0.2)
    assert found.accuracy_given_attempted == 0.5
    assert found.f == pytest.approx(4 / 9)


def test_without_attempts_every_measure_is_zero() -> None:
    assert simpleqa_measures(0, 0, 3).f == 0.0
    assert simpleqa_measures(0, 0, 0).correct == 0.0


@given(COUNTS, COUNTS, COUNTS)
@settings(max_examples=30)
def test_f_lies_between_accuracy_and_accuracy_given_attempted(c: int, i: int, n: int) -> None:
    found = simpleqa_measures(c, i, n)

    assert found.correct - 1e-9 <= found.f <= found.accuracy_given_attempted + 1e-9
    total = found.correct + found.incorrect + found.not_attempted
    assert total == pytest.approx(1.0 if c + i + n else 0.0)


def run_with(
    judge: Grade, rule: Grade, answer: str, reference: str = "Mara Voss", attempt: int = 1
) -> StoredRun:
    changes: dict[str, object] = {"answer": answer, "answers": (reference,)}
    run = graded_run({"q1": "s"}, records={"q1": changes})
    key = EpisodeKey("q1")
    by: dict[str, Grade] = {"simpleqa": judge, "em_f1": rule}
    grades = {
        (key, name): GradeRecord(
            id="q1",
            repeat=0,
            attempt=attempt,
            grader=name,
            digest="ab" * 32,
            verdict=Verdict(grade=grade, graded=answer, said="because"),
            at="2026-11-23T12:00:00Z",
        )
        for name, grade in by.items()
    }
    return StoredRun(
        directory=run.directory,
        manifest=run.manifest,
        questions=run.questions,
        records=run.records,
        grades=grades,
        unreadable=0,
        is_being_written=False,
    )


def test_an_exact_match_that_the_judge_refuses_is_listed() -> None:
    (one,) = disagreements(run_with("incorrect", "correct", "Mara Voss"), "simpleqa", "em_f1")

    assert (one.kind, one.grade, one.said) == ("exact_but_not_correct", "incorrect", "because")
    assert (one.key, one.answers, one.answer) == (EpisodeKey("q1"), ("Mara Voss",), "Mara Voss")


@pytest.mark.parametrize(
    ("answer", "reference", "is_listed"),
    [
        ("Somebody else did.", "Mara Voss", True),
        ("It was M. Voss.", "Mara Voss", False),
        ("これは大阪です", "東京", True),
        ("これは東京です", "東京", False),
    ],
)
def test_a_correct_verdict_on_an_answer_without_any_word_of_the_reference_is_listed(
    answer: str, reference: str, is_listed: bool
) -> None:
    run = run_with("correct", "incorrect", answer, reference)

    found = disagreements(run, "simpleqa", "em_f1")

    assert [one.kind for one in found] == ["correct_without_reference"] * is_listed


def test_verdicts_that_agree_or_are_missing_are_not_listed() -> None:
    for run in (
        run_with("correct", "correct", "Mara Voss"),
        run_with("incorrect", "incorrect", "Somebody"),
        run_with("ungraded", "correct", "Mara Voss"),
        run_with("incorrect", "correct", "Mara Voss", attempt=2),
    ):
        assert disagreements(run, "simpleqa", "em_f1") == []
    assert disagreements(run_with("incorrect", "correct", "x"), "simpleqa", "exact") == []
