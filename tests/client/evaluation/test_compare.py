"""Two runs on the same questions."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_client.agent.outcome import Counts
from agent_client.conversation import Usage
from agent_client.errors import EvaluationError
from agent_client.evaluation.records.manifest import DatasetStamp, ProfileStamp
from agent_client.evaluation.statistics.comparison import Comparison, LeftOut, PairTable, compare
from agent_client.evaluation.statistics.comparison_forms import (
    MAX_FLIPS,
    comparison_json,
    comparison_markdown,
)
from agent_client.evaluation.statistics.paired import mcnemar
from tests.support.graded_runs import graded_run

LETTERS = "cinuse-"


def compared(a: dict[str, str], b: dict[str, str], **changes_of_b: Any) -> Comparison:
    return compare(graded_run(a), graded_run(b, **changes_of_b), "exact")


def each(letters: str) -> dict[str, str]:
    return {f"q{i}": letter for i, letter in enumerate(letters)}


def test_only_questions_that_both_answered_and_that_are_graded_in_both_count() -> None:
    told = compared(each("ccciiuse-cn"), each("cicicccccec"))
    assert told.table == PairTable(both=2, only_a=1, only_b=2, neither=1)
    assert told.compared == 6
    assert told.left_out == LeftOut(
        only_in_a=0, only_in_b=0, changed=0, unfinished_in_a=4, unfinished_in_b=1
    )
    assert (told.accuracy_a.count, told.accuracy_a.of) == (3, 6)
    assert (told.accuracy_b.count, told.accuracy_b.of) == (4, 6)
    assert told.difference == pytest.approx(1 / 6)
    assert told.p_value == mcnemar(1, 2) == 1.0
    assert told.test == "mcnemar_exact"


@given(st.lists(st.tuples(st.sampled_from(LETTERS), st.sampled_from(LETTERS)), max_size=12))
def test_the_cells_add_up_and_the_runs_can_change_places(pairs: list[tuple[str, str]]) -> None:
    a, b = each("".join(a for a, _ in pairs)), each("".join(b for _, b in pairs))
    told, mirrored = compared(a, b), compared(b, a)
    assert told.table is not None
    assert mirrored.table is not None
    cells = (told.table.both, told.table.only_a, told.table.only_b, told.table.neither)
    assert sum(cells) == told.compared == mirrored.compared
    assert told.compared + told.left_out.unfinished_in_a + told.left_out.unfinished_in_b == len(a)
    assert (told.table.only_a, told.table.only_b) == (mirrored.table.only_b, mirrored.table.only_a)
    assert told.p_value == mirrored.p_value
    assert len(told.flips) == told.table.only_a + told.table.only_b
    if told.difference is not None:
        assert told.interval is not None
        assert told.interval.low <= told.difference <= told.interval.high


def test_flips_are_listed_with_both_answers() -> None:
    told = compared(
        each("cci"),
        each("cic"),
        records={"q1": {"answer": "A long story.", "short_answer": "B"}},
    )
    assert [(flip.id, flip.correct_a, flip.correct_b) for flip in told.flips] == [
        ("q1", 1.0, 0.0),
        ("q2", 0.0, 1.0),
    ]
    lost = told.flips[0]
    assert (lost.question, lost.reference) == ("What is q1?", "the q1")
    assert (lost.answer_a, lost.answer_b) == ("It is the q1.", "B")


def test_questions_of_one_run_alone_are_left_out() -> None:
    told = compared({"a": "c", "b": "c"}, {"b": "c", "c": "i", "d": "i"})
    assert (told.compared, told.left_out.only_in_a, told.left_out.only_in_b) == (1, 1, 2)


def test_a_question_that_has_changed_is_another_one() -> None:
    a, b = graded_run({"a": "c", "b": "c"}), graded_run({"a": "c", "b": "i"})
    revised = replace(b.questions[1], answers=("something new",))
    told = compare(a, replace(b, questions=(b.questions[0], revised)), "exact")
    assert (told.compared, told.left_out.changed) == (1, 1)


def test_measures_are_compared_question_by_question() -> None:
    a = graded_run(each("cci"))
    b = graded_run(
        each("cci"),
        records={
            "q0": {"counts": Counts(searches=5, visits=3, tool_calls=8), "seconds": 13.0},
            "q1": {"usage": Usage(0, 0), "cost_usd": 0.5},
        },
    )
    changes = {change.name: change for change in compare(a, b, "exact").changes}
    searches = changes["searches"]
    assert (searches.a, searches.b, searches.difference.value) == (2.0, 3.0, 1.0)
    assert searches.difference.of == 3
    assert searches.difference.interval is not None
    assert changes["seconds"].difference.value == 1.0
    assert changes["prompt_tokens"].difference.of == 2  # q1 of B does not count them
    assert "cost_usd" not in changes  # A knows no prices


def test_repeats_are_compared_by_the_questions_means() -> None:
    told = compared({"a": "cc", "b": "ii", "c": "ci"}, {"a": "cccc", "b": "ciii", "c": "iius"})
    assert told.table is None
    assert told.test == "sign_flip_exact"
    assert [(flip.id, flip.correct_a, flip.correct_b) for flip in told.flips] == [
        ("c", 0.5, 0.0),
        ("b", 0.0, 0.25),
    ]
    assert told.difference == pytest.approx((0.25 - 0.5) / 3)
    assert told.p_value == 1.0
    assert (told.accuracy_b.count, told.accuracy_b.of) == (5, 10)


def test_many_repeated_questions_are_tested_by_sampling() -> None:
    a = {f"q{i}": "ii" for i in range(40)}
    told = compared(a, dict.fromkeys(a, "ci"))
    assert told.test == "sign_flip_sampled"
    assert told.p_value < 0.001


def test_repeats_that_all_differ_by_the_same_do_not_make_the_difference_sure() -> None:
    told = compared({"a": "ii", "b": "ii"}, {"a": "ci", "b": "ci"})
    assert (told.difference, told.interval) == (0.5, None)
    assert "**B − A: +50.0 points**, p = 0.500" in comparison_markdown(told)
    varied = compared({"a": "ii", "b": "ii"}, {"a": "ci", "b": "cc"})
    assert varied.interval is not None
    assert varied.interval.low < 0.75 < varied.interval.high


def test_nothing_in_common_is_said_and_not_computed() -> None:
    told = compared({"a": "c"}, {"b": "c"})
    assert (told.compared, told.difference, told.interval, told.p_value) == (0, None, None, 1.0)
    assert "**Nothing to compare**" in comparison_markdown(told)
    assert "1 only in A, 1 only in B" in comparison_markdown(told)


def test_other_datasets_graders_and_profiles_are_warned_of() -> None:
    told = compared(
        each("cc"),
        each("ci"),
        grader_digests=("77" * 32,),
        manifest={
            "dataset": DatasetStamp(name="seal0", digest="99" * 32),
            "profile": ProfileStamp(name="fathom", digest="88" * 32),
        },
    )
    assert len(told.warnings) == 3
    text = comparison_markdown(told)
    assert (
        "- **Mind**: different profiles (A: clean `efefefefefef`; B: fathom `888888888888`)."
        in (text)
    )
    assert "different questions of seal0 (A: 2 questions of `cdcdcdcdcdcd`; B:" in text
    assert "different graders of seal0 (A: exact `abababababab`; B: exact `777777777777`)" in text


def test_runs_that_are_not_final_or_graded_in_several_ways_are_warned_of() -> None:
    told = compared(each("cec"), each("ciu"), grader_digests=("aa", "bb"))
    assert "A is not final: 1 of 3 answers are owed or ungraded" in told.warnings
    assert "B is not final: 1 of 3 answers are owed or ungraded" in told.warnings
    assert "the verdicts of B were not all made in the same way" in told.warnings


def test_verdicts_of_several_judges_are_warned_of() -> None:
    told = compared(each("ci"), each("ci"), judges=("judge-1", "judge-2"))
    assert told.warnings[-1] == "the verdicts of B were not all made in the same way"


def test_like_runs_need_no_warning() -> None:
    assert compared(each("ci"), each("cc")).warnings == ()


def test_both_runs_need_the_grader() -> None:
    with pytest.raises(EvaluationError, match="'exact'"):
        compare(graded_run(each("c")), graded_run(each("c"), grader="frames"), "exact")


def test_the_text_tells_difference_interval_test_and_counts() -> None:
    text = comparison_markdown(compared(each("c" * 20 + "i" * 10), each("i" * 2 + "c" * 28)))
    assert "| correct by exact (n/N; 95 % CI) | 66.7 % (20/30; 48.8–80.8) | 93.3 % (28/30;" in text
    assert (
        "**B − A: +26.7 points** (95 % CI +4.5 to +46.1), p = 0.039 (exact McNemar test;"
        " 12 questions that one run got right more often), over 30 questions that both answered"
        " and that are graded in both." in text
    )
    assert "| A correct | 18 | 2 |" in text
    assert "| A not | 10 | 0 |" in text
    assert "| searches | 2.00 | 2.00 | +0.00 | +0.00 to +0.00 | 30 |" in text
    assert "**Right more often in B: 10 questions**" in text


def test_hostile_texts_stay_in_their_cells() -> None:
    hostile = "a | b\n| c |\x1b[31m <img src=x> \ud800 `"
    told = compared(
        {hostile: "c"}, {hostile: "i"}, records={hostile: {"answer": hostile, "short_answer": None}}
    )
    text = comparison_markdown(told)
    text.encode()
    assert "\x1b" not in text
    (row,) = [line for line in text.splitlines() if line.startswith("| a ")]
    assert row.replace(r"\|", "").count("|") == 8
    assert "<img" not in row.replace(r"\<", "")
    document = json.loads(comparison_json(told))
    assert (document["format"], document["version"]) == ("seekling-comparison", 1)
    assert document["flips"][0]["id"] == document["flips"][0]["answer_b"] == hostile


def test_long_lists_are_cut_in_text_and_whole_in_json() -> None:
    told = compared(each("c" * (MAX_FLIPS + 5)), each("i" * (MAX_FLIPS + 5)))
    text = comparison_markdown(told)
    assert "… and 5 more; JSON has them all." in text
    assert text.count("| 100.0 % | 0.0 % |") == MAX_FLIPS
    assert "p < 0.001" in text
    assert len(json.loads(comparison_json(told))["flips"]) == MAX_FLIPS + 5
