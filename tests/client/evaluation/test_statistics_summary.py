"""What is said of one run: every number with its denominator."""

import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_client.agent.outcome import Counts, PrefixStability
from agent_client.conversation import Usage
from agent_client.errors import EvaluationError
from agent_client.evaluation.episode_record import Evidence, RecordedError
from agent_client.evaluation.statistics.evidence_paths import EvidencePath, evidence_path
from agent_client.evaluation.statistics.intervals import mean_share
from agent_client.evaluation.statistics.judged import default_grader
from agent_client.evaluation.statistics.summary import RunSummary, summarise
from tests.support.graded_runs import graded_run

LETTERS = "cinusex-"


def summary_of(answers: dict[str, str], **changes: Any) -> RunSummary:
    return summarise(graded_run(answers, **changes), "exact")


def each(letters: str) -> dict[str, str]:
    """One question per letter."""
    return {f"q{i}": letter for i, letter in enumerate(letters)}


def test_a_final_score_is_correct_of_all() -> None:
    score = summary_of(each("ccin")).score
    assert (score.accuracy.count, score.accuracy.of, score.accuracy.share) == (2, 4, 0.5)
    assert score.accuracy == score.accuracy_of_asked
    assert score.is_final


def test_what_is_owed_or_ungraded_is_in_no_score_but_the_cautious_one() -> None:
    score = summary_of(each("ccinusex-")).score
    assert (score.asked, score.owed, score.settled) == (9, 3, 6)
    assert (score.graded, score.ungraded) == (4, 2)
    assert (score.accuracy.count, score.accuracy.of) == (2, 4)
    assert (score.accuracy_of_asked.count, score.accuracy_of_asked.of) == (2, 9)
    assert not score.is_final


@pytest.mark.parametrize("letter", "usex-")
def test_one_missing_verdict_keeps_the_score_from_being_final(letter: str) -> None:
    assert not summary_of(each("ccc" + letter)).score.is_final


def test_damage_to_the_questions_does_not_make_the_denominator_smaller() -> None:
    run = graded_run(each("cci-"))
    damaged = replace(run, questions=run.questions[:1])
    score = summarise(damaged, "exact").score
    assert (score.correct, score.graded, score.owed, score.asked) == (2, 3, 1, 4)
    assert score == summarise(run, "exact").score


@given(
    st.lists(st.text(LETTERS, min_size=2, max_size=2), max_size=8),
)
def test_each_answer_is_counted_exactly_once(answers: list[str]) -> None:
    run = graded_run({f"q{i}": letters for i, letters in enumerate(answers)})
    score = summarise(run, "exact").score
    assert score.settled + score.owed == score.asked
    assert score.graded + score.ungraded == score.settled
    counted = score.correct + score.incorrect + score.not_attempted + score.ungraded + score.owed
    assert counted == score.asked == run.expected
    assert score.correct == "".join(answers).count("c")
    assert score.accuracy.of == score.correct + score.incorrect + score.not_attempted
    cautious, headline = score.accuracy_of_asked.share, score.accuracy.share
    assert headline is None or (cautious is not None and cautious <= headline)


def test_accuracy_given_attempted_and_f_are_those_of_simpleqa() -> None:
    score = summary_of(each("cccinn")).score
    assert (score.accuracy_given_attempted.count, score.accuracy_given_attempted.of) == (3, 4)
    assert score.f_score == pytest.approx(2 * 0.5 * 0.75 / 1.25)


def test_without_a_verdict_there_is_no_score() -> None:
    score = summary_of(each("se")).score
    assert score.accuracy.share is None
    assert score.f_score is None


def test_an_unknown_grader_is_refused_and_the_known_ones_are_named() -> None:
    run = graded_run(each("c"), grader="em_f1")
    with pytest.raises(EvaluationError, match="no verdicts of a grader 'simpleqa'") as caught:
        summarise(run, "simpleqa")
    assert "em_f1" in caught.value.hint


@pytest.mark.parametrize(
    ("letters", "graders", "expected"),
    [("c", ("numbers",), "numbers"), ("c", (), "em_f1"), ("s", (), "exact")],
)
def test_the_runs_own_grader_is_taken_unless_one_is_named(
    letters: str, graders: tuple[str, ...], expected: str
) -> None:
    run = graded_run(each(letters), grader="em_f1", manifest={"graders": graders})
    assert default_grader(run) == expected
    summarise(run, expected)


def test_measures_are_means_over_the_graded_answers() -> None:
    run = graded_run(each("cise"), verdict={"metrics": {"em": 0.0, "f1": 0.5}, "score": 0.5})
    measures = summarise(run, "exact").measures
    assert {name: (mean.value, mean.of) for name, mean in measures.items()} == {
        "em": (0.0, 2),
        "f1": (0.5, 2),
    }


def test_a_score_without_metrics_is_a_measure_of_its_own() -> None:
    measures = summary_of(each("ci"), verdict={"score": 2.5}).measures
    assert measures["score"].value == 2.5


def test_tools_are_counted_over_all_settled_and_over_answered_questions() -> None:
    records: dict[str, dict[str, object]] = {
        "q1": {"answer": "  ", "counts": Counts(searches=8, visits=0, tool_calls=9)},
        "q2": {"status": "budget", "counts": Counts(searches=5, visits=6, tool_calls=11)},
    }
    tools = summary_of(each("cicex-"), records=records).tools
    assert (tools.settled.searches.value, tools.settled.searches.of) == (5.0, 3)
    assert (tools.settled.visits.value, tools.settled.visits.of) == (3.0, 3)
    assert tools.settled.total.value == pytest.approx((5 + 9 + 11) / 3)
    assert (tools.answered.searches.value, tools.answered.searches.of) == (2.0, 1)
    assert (tools.answered.total.value, tools.answered.total.of) == (5.0, 1)


def test_tokens_and_money_are_means_over_those_who_count_them() -> None:
    records: dict[str, dict[str, object]] = {
        "q0": {"usage": Usage(0, 0)},
        "q1": {"usage": Usage(3_000, 400), "cost_usd": 0.5},
        "q2": {"cost_usd": 0.25},
    }
    effort = summary_of(each("ccc"), records=records).effort
    assert (effort.prompt_tokens.value, effort.prompt_tokens.of) == (2_000.0, 2)
    assert (effort.completion_tokens.value, effort.completion_tokens.of) == (300.0, 2)
    assert effort.cached_share == 0.6  # q1 does not tell
    assert (effort.cost_usd.value, effort.cost_usd.of, effort.total_cost_usd) == (0.375, 2, 0.75)


def test_time_is_told_as_mean_percentiles_and_shares() -> None:
    records: dict[str, dict[str, object]] = {"q0": {"seconds": 30.0}}
    effort = summary_of(each("cci"), records=records).effort
    assert effort.seconds.value == pytest.approx(50 / 3)
    assert effort.seconds_percentiles is not None
    assert effort.seconds_percentiles.p50 == 10.0
    assert effort.seconds_percentiles.p90 == pytest.approx(26.0)
    assert effort.model_share == pytest.approx(21 / 50)
    assert effort.tool_share == pytest.approx(7.5 / 50)


def test_prefix_stability_weighs_each_turn_the_same() -> None:
    records: dict[str, dict[str, object]] = {
        "q0": {"prefix": PrefixStability(mean=1.0, worst=1.0, turns=9)},
        "q1": {"prefix": PrefixStability(mean=0.5, worst=0.2, turns=1)},
        "q2": {"prefix": PrefixStability(mean=1.0, worst=1.0, turns=0)},
    }
    prefix = summary_of(each("ccc"), records=records).effort.prefix
    assert prefix is not None
    assert (prefix.of, prefix.mean, prefix.worst) == (2, 0.95, 0.2)


def test_nothing_settled_is_no_division_by_zero() -> None:
    summary = summary_of(each("e-"))
    assert summary.tools.settled.total.value is None
    assert summary.effort.model_share is None
    assert summary.trouble.of == 0


def test_endings_are_counted_by_status_reason_and_error() -> None:
    records: dict[str, dict[str, object]] = {
        "q1": {"status": "budget", "stop_reason": "turn_limit"},
        "q2": {"status": "budget", "stop_reason": "token_limit"},
        "q5": {"error": RecordedError(type="ToolServerError", message="gone")},
    }
    summary = summary_of(each("cccceexx--"), records=records)
    assert [(e.status, e.stop_reason, e.error, e.episodes) for e in summary.endings] == [
        ("cancelled", "", "", 2),
        ("not_ended", "", "", 2),
        ("ok", "answered", "", 2),
        ("budget", "token_limit", "", 1),
        ("budget", "turn_limit", "", 1),
        ("infra_error", "model_error", "ModelUnreachable", 1),
        ("infra_error", "model_error", "ToolServerError", 1),
    ]
    assert summary.budget_stops == {"token_limit": 1, "turn_limit": 1}
    assert sum(ending.episodes for ending in summary.endings) == summary.score.asked


def test_what_was_put_right_is_told_per_question() -> None:
    counts = Counts(
        turns=1,
        retries=3,
        resamples=1,
        repairs={"relaxed_form": 2},
        guards={"repeated_call": 1, "unknown_url": 4},
    )
    records: dict[str, dict[str, object]] = {
        "q0": {"counts": counts, "tool_retries": 2, "continued_turns": 5},
        "q1": {"continued_turns": 2},
    }
    trouble = summary_of(each("cccc"), records=records).trouble
    assert (trouble.of, trouble.retries, trouble.resamples) == (4, 0.75, 0.25)
    assert trouble.repairs == {"relaxed_form": 0.5}
    assert trouble.guards == {"repeated_call": 0.25, "unknown_url": 1.0}
    assert trouble.tool_retries == 0.5
    assert (trouble.continued_episodes, trouble.continued_turns) == (2, 7)


def test_leaked_episodes_are_counted_and_taken_out_of_a_second_score() -> None:
    records: dict[str, dict[str, object]] = {
        "q0": {"leaks": ("https://a.example/", "https://b.example/"), "blocked_mirrors": 3},
        "q3": {"blocked_mirrors": 2},
    }
    seen = summary_of(each("ccii"), records=records).contamination
    assert (seen.leaked_episodes, seen.leaked_pages) == (1, 2)
    assert (seen.blocked_mirrors, seen.blocked_episodes) == (5, 2)
    assert (seen.without_leaked.accuracy.count, seen.without_leaked.accuracy.of) == (1, 3)


def test_replay_misses_are_counted() -> None:
    missed = {"q0": {"replay_misses": 4}, "q3": {"replay_misses": 1}}  # the latter's is owed
    summary = summary_of(each("ccie"), records=missed)
    assert (summary.replay_misses, summary.replay_miss_episodes) == (5, 2)


@pytest.mark.parametrize(
    ("retrieved", "visited", "cited", "path"),
    [
        ((True, False), (True, False), (True, False), "not_retrieved"),
        ((True, True), (True, False), (True, False), "not_opened"),
        ((True, True), (True, True), (True, False), "not_cited"),
        ((True, True), (True, True), (True, True), "all_cited"),
        ((False, True), (True, True), (True, True), "all_cited"),  # opened without a search
    ],
)
def test_the_path_to_the_evidence_ends_where_a_gold_page_is_lost(
    retrieved: tuple[bool, ...],
    visited: tuple[bool, ...],
    cited: tuple[bool, ...],
    path: EvidencePath,
) -> None:
    assert evidence_path(Evidence(retrieved=retrieved, visited=visited, cited=cited)) == path


def test_recall_of_gold_pages_is_a_mean_over_questions() -> None:
    found = Evidence(retrieved=(True,) * 4, visited=(True,) * 4, cited=(True,) * 4)
    lost = Evidence(retrieved=(True, True), visited=(True, False), cited=(False, False))
    records: dict[str, dict[str, object]] = {
        "q0": {"evidence": found},
        "q1": {"evidence": lost},
        "q2": {"evidence": Evidence(retrieved=(), visited=(True,), cited=())},  # damaged
        "q4": {"evidence": found},  # owed
    }
    evidence = summary_of(each("cicce"), records=records).evidence
    assert evidence is not None
    assert evidence.of == 2
    assert evidence.visited.recall == mean_share(["q0", "q1"], [1.0, 0.5])
    assert evidence.visited.recall.value == 0.75
    assert (evidence.visited.complete.count, evidence.visited.complete.of) == (1, 2)
    assert evidence.retrieved.complete.count == 2
    assert evidence.cited.recall.value == 0.5
    assert {path: told for path, told in evidence.paths.items() if told} == {
        "all_cited": {"correct": 1},
        "not_opened": {"incorrect": 1},
    }


def test_questions_without_gold_pages_have_no_evidence() -> None:
    assert summary_of(each("ci")).evidence is None


def test_a_breakdown_has_every_value_and_adds_up() -> None:
    fields: dict[str, dict[str, object]] = {
        "q0": {"hops": 10},
        "q1": {"hops": 2},
        "q2": {"hops": 2},
        "q3": {"hops": "many"},
        "q4": {"hops": ["a", "é"]},
    }
    run = graded_run(each("ci-ccn"), fields=fields)
    (told,) = summarise(run, "exact", by=["hops"]).breakdowns
    assert [(g.value, g.score.accuracy.count, g.score.accuracy.of) for g in told.groups] == [
        ("2", 0, 1),
        ("10", 1, 1),
        ("", 0, 1),
        ('["a", "é"]', 1, 1),
        ("many", 1, 1),
    ]
    assert sum(group.score.asked for group in told.groups) == run.expected


def test_an_unknown_field_is_refused_and_the_known_ones_are_named() -> None:
    run = graded_run(each("c"), fields={"q0": {"topic": "x", "hops": 1}})
    with pytest.raises(EvaluationError, match="field 'topics'") as caught:
        summarise(run, "exact", by=["topics"])
    assert caught.value.hint == "fields: hops, topic"


def test_repeats_are_measured_over_questions_and_clustered() -> None:
    summary = summary_of({"a": "ccci", "b": "iiii", "c": "cs--"})
    assert summary.repeats is not None
    assert summary.repeats.complete == 2
    assert (summary.score.accuracy.count, summary.score.accuracy.of) == (4, 9)
    assert summary.score.accuracy_of_asked.of == 12
    assert summary_of(each("ci")).repeats is None


def test_verdicts_made_in_different_ways_are_seen() -> None:
    about = summary_of(each("ccc"), grader_digests=("aa", "bb")).about
    assert about.grader_digests == ("aa", "bb")


def test_the_summary_of_4326_answers_takes_little_time() -> None:
    run = graded_run(
        {f"q{i}": "cin"[i % 3] for i in range(4_326)},
        fields={f"q{i}": {"hops": i % 4} for i in range(4_326)},
        verdict={"metrics": {"em": 0.0, "f1": 0.5}},
    )
    started = time.process_time()
    summary = summarise(run, "exact", by=["hops"])
    seconds = time.process_time() - started
    assert summary.score.asked == 4_326
    assert seconds < 0.5  # 0.1 s on a busy machine
