"""Shares, means and percentiles with their intervals."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_client.evaluation.statistics.intervals import (
    Interval,
    clustered_error,
    mean_by,
    mean_share,
    proportion,
    wilson,
)
from agent_client.evaluation.statistics.percentiles import percentile, percentiles_of

COUNTS = st.tuples(st.integers(0, 5_000), st.integers(0, 5_000)).map(sorted).map(tuple[int, ...])
CLUSTERS = st.lists(st.tuples(st.integers(0, 3), st.integers(3, 4)), min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (25, 111, 0.1575, 0.3114),  # SEAL-0 on the model card
        (3_971, 4_326, 0.9094, 0.9258),  # SimpleQA on the model card
        # Newcombe 1998, Statistics in Medicine 17:857-872, table I, method 3.
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (20, 20, 0.8389, 1.0),
    ],
)
def test_wilsons_interval_is_the_published_one(
    successes: int, trials: int, low: float, high: float
) -> None:
    interval = wilson(successes, trials)
    assert (round(interval.low, 4), round(interval.high, 4)) == (low, high)


def test_the_interval_grows_with_the_confidence() -> None:
    assert wilson(25, 111, 0.8).low > wilson(25, 111, 0.95).low > wilson(25, 111, 0.99).low


def test_of_nothing_nothing_is_known() -> None:
    assert wilson(0, 0) == Interval(0.0, 1.0)


@pytest.mark.parametrize(("successes", "trials"), [(2, 1), (-1, 5)])
def test_more_successes_than_trials_are_no_share(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match="is no share"):
        wilson(successes, trials)


@given(COUNTS)
def test_wilsons_interval_holds_the_share_and_stays_within_bounds(counts: tuple[int, int]) -> None:
    successes, trials = counts
    interval = wilson(successes, trials)
    share = successes / trials if trials else 0.5
    assert 0 <= interval.low <= share <= interval.high <= 1
    assert interval.low < interval.high


@given(st.lists(st.booleans(), min_size=1, max_size=20))
def test_without_repeats_a_share_has_wilsons_interval(answers: list[bool]) -> None:
    told = proportion([int(answer) for answer in answers], [1] * len(answers))
    expected = wilson(sum(answers), len(answers))
    assert (told.count, told.of) == (sum(answers), len(answers))
    assert told.interval is not None
    assert told.interval.low == pytest.approx(expected.low)
    assert told.interval.high == pytest.approx(expected.high)


@given(CLUSTERS)
def test_the_interval_of_repeats_holds_the_share_and_is_never_empty(
    clusters: list[tuple[int, int]],
) -> None:
    told = proportion([s for s, _ in clusters], [n for _, n in clusters])
    assert told.share is not None
    assert told.interval is not None
    assert 0 <= told.interval.low <= told.share <= told.interval.high <= 1
    assert told.interval.low < told.interval.high


def test_repeats_that_always_agree_count_once() -> None:
    once = proportion([1] * 25 + [0] * 86, [1] * 111)
    four_times = proportion([4] * 25 + [0] * 86, [4] * 111)
    assert (four_times.count, four_times.of) == (100, 444)
    assert four_times.interval is not None
    assert once.interval is not None
    assert four_times.interval.low == pytest.approx(once.interval.low)
    assert four_times.interval.high == pytest.approx(once.interval.high)


def test_repeats_that_differ_tell_more_than_one_answer() -> None:
    once = proportion([1, 0] * 50, [1] * 100)
    repeated = proportion([2, 1, 2, 3] * 25, [4] * 100)
    assert once.interval is not None
    assert repeated.interval is not None
    assert repeated.interval.low > once.interval.low


def test_repeats_of_one_question_tell_as_much_as_one_answer() -> None:
    assert proportion([3], [8]).interval == wilson(0.375, 1)


def test_questions_without_a_trial_do_not_count() -> None:
    assert proportion([2, 0, 2], [2, 0, 2]) == proportion([2, 2], [2, 2])
    assert proportion([0], [0]).share is None


def test_the_clustered_error_is_that_of_miller() -> None:
    # Three questions, mean 0.5: residual sums -1, 0 and 1 over 6 answers.
    assert clustered_error([0, 1, 2], [2, 2, 2]) == pytest.approx(math.sqrt(2) / 6)
    # Without repeats: the usual standard error.
    assert clustered_error([1.0, 2.0, 3.0], [1, 1, 1]) == pytest.approx(math.sqrt(2) / 3)


def test_a_mean_says_over_how_many_and_how_sure_it_is() -> None:
    told = mean_by(["a", "b", "c"], [1, 2, 3])
    assert (told.of, told.value) == (3, 2.0)
    assert told.interval is not None
    assert told.interval.high - 2 == pytest.approx(1.959964 * math.sqrt(2) / 3)


def test_repeats_of_one_question_say_nothing_about_others() -> None:
    assert mean_by(["a", "a"], [1, 3]).interval is None
    assert mean_by([], []).value is None


def test_a_mean_of_repeats_is_clustered() -> None:
    repeated = mean_by(["a", "a", "b", "b"], [1, 1, 3, 3])
    once = mean_by(["a", "b"], [1, 3])
    assert repeated.of == 4
    assert repeated.interval == once.interval


@given(
    st.lists(
        st.tuples(st.sampled_from("abcdef"), st.floats(0, 1, allow_subnormal=False)),
        min_size=1,
        max_size=8,
    )
)
def test_a_mean_of_shares_has_an_interval_within_bounds(values: list[tuple[str, float]]) -> None:
    told = mean_share([question for question, _ in values], [value for _, value in values])
    assert told.value is not None
    assert told.interval is not None
    assert 0 <= told.interval.low <= told.value <= told.interval.high <= 1
    assert told.interval.low < told.interval.high


def test_a_mean_of_yes_and_no_has_the_interval_of_a_share() -> None:
    told = mean_share(list("abcd"), [1, 0, 0, 1])
    share = proportion([1, 0, 0, 1], [1, 1, 1, 1])
    assert told.interval is not None
    assert share.interval is not None
    assert told.interval.low == pytest.approx(share.interval.low)


def test_percentiles_lie_between_neighbours() -> None:
    assert percentile([1, 2, 3, 4], 0.5) == 2.5
    assert percentile([1, 2, 3, 4], 0.9) == pytest.approx(3.7)
    assert percentile([5], 0.99) == 5
    assert percentile([1, 9], 0) == 1
    assert percentile([1, 9], 1) == 9


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=12))
def test_percentiles_rise_and_stay_within_the_values(values: list[float]) -> None:
    told = percentiles_of(values)
    assert told is not None
    assert min(values) <= told.p50 <= told.p90 <= told.p99 <= max(values)
