"""Tests and intervals for two runs on the same questions; pass@k."""

from fractions import Fraction
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent_client.evaluation.statistics.paired import (
    EXACT_FLIPS,
    mcnemar,
    paired_difference,
    sign_flip,
)
from agent_client.evaluation.statistics.repeats import pass_at_k, repeats_of

CELLS = st.tuples(*[st.integers(0, 60)] * 4).filter(any)
ONE = Fraction(1)


@pytest.mark.parametrize(
    ("only_first", "only_second", "p_value"),
    [
        (0, 0, 1.0),
        (1, 0, 1.0),
        (6, 0, 0.03125),  # 2 / 2^6
        (1, 7, 0.0703125),  # airway hyper-responsiveness, Bentur et al. 2009
        (5, 15, 0.04138947),
        (50, 50, 1.0),
    ],
)
def test_mcnemars_p_value_is_that_of_fair_coins(
    only_first: int, only_second: int, p_value: float
) -> None:
    assert mcnemar(only_first, only_second) == pytest.approx(p_value)


@given(st.integers(0, 400), st.integers(0, 400))
def test_mcnemars_test_does_not_care_which_run_comes_first(a: int, b: int) -> None:
    assert mcnemar(a, b) == mcnemar(b, a)
    assert 0 < mcnemar(a, b) <= 1


def test_mcnemars_test_takes_thousands_of_questions() -> None:
    assert mcnemar(2_000, 2_326) == pytest.approx(7.6724e-07, rel=1e-4)
    assert mcnemar(0, 4_326) == 0.0


@pytest.mark.parametrize(
    ("cells", "low", "high"),
    [
        ((1, 1, 7, 12), -0.507, -0.026),  # Fagerland et al. 2014, Bentur's data
        ((14, 5, 0, 22), 0.011, 0.226),  # Altman et al. 2000, table 6.2
    ],
)
def test_the_paired_interval_is_the_published_one(
    cells: tuple[int, int, int, int], low: float, high: float
) -> None:
    interval = paired_difference(*cells)
    assert (round(interval.low, 3), round(interval.high, 3)) == (low, high)


@given(CELLS)
def test_the_paired_interval_holds_the_difference_and_mirrors(
    cells: tuple[int, int, int, int],
) -> None:
    both, only_first, only_second, neither = cells
    interval = paired_difference(both, only_first, only_second, neither)
    mirrored = paired_difference(both, only_second, only_first, neither)
    difference = (only_first - only_second) / sum(cells)
    assert -1 <= interval.low <= difference <= interval.high <= 1
    assert interval.low < interval.high
    assert (mirrored.low, mirrored.high) == pytest.approx((-interval.high, -interval.low))


@given(st.lists(st.booleans(), max_size=EXACT_FLIPS))
def test_sign_flips_of_single_answers_are_mcnemars_test(signs: list[bool]) -> None:
    differences = [ONE if sign else -ONE for sign in signs]
    assert sign_flip(differences) == mcnemar(sum(signs), len(signs) - sum(signs))


def test_differences_of_zero_say_nothing() -> None:
    third = Fraction(1, 3)
    told = [third, -Fraction(1, 4), third, third]
    assert sign_flip([*told, Fraction(0), Fraction(0)]) == sign_flip(told)
    assert sign_flip([Fraction(0)]) == sign_flip([]) == 1.0


def test_many_sign_flips_are_sampled_and_agree_with_the_exact_test() -> None:
    differences = [ONE] * 30 + [-ONE] * 15
    assert sign_flip(differences) == sign_flip(differences)
    assert sign_flip(differences) == pytest.approx(mcnemar(30, 15), abs=0.005)


def test_a_sampled_p_value_is_never_zero() -> None:
    assert 0 < sign_flip([Fraction(1, 2)] * 200) < 0.001


@given(st.integers(1, 9).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))))
def test_pass_at_k_is_the_share_of_draws_that_hold_a_right_answer(counts: tuple[int, int]) -> None:
    graded, correct = counts
    answers = [True] * correct + [False] * (graded - correct)
    chances: list[float] = []
    for k in range(1, graded + 1):
        draws = [any(draw) for draw in combinations(answers, k)]
        assert pass_at_k(graded, correct, k) == pytest.approx(sum(draws) / len(draws))
        chances.append(pass_at_k(graded, correct, k))
    assert chances == sorted(chances)
    assert chances[0] == pytest.approx(correct / graded)


@pytest.mark.parametrize(("graded", "correct", "k"), [(2, 1, 3), (2, 3, 1), (2, 1, 0)])
def test_there_is_no_pass_at_k_of_fewer_answers(graded: int, correct: int, k: int) -> None:
    with pytest.raises(ValueError, match="no pass@"):
        pass_at_k(graded, correct, k)


def test_every_measure_of_repeats_says_over_how_many_questions() -> None:
    told = repeats_of({"a": (3, 4), "b": (0, 4), "c": (1, 2), "d": (0, 0)}, repeats=4)
    assert told.complete == 2
    assert (told.mean_at_k.count, told.mean_at_k.of) == (3, 8)
    assert [(one.k, one.chance.of) for one in told.pass_at] == [(1, 3), (2, 3), (4, 2)]
    assert [one.chance.value for one in told.pass_at] == pytest.approx(
        [(0.75 + 0 + 0.5) / 3, (1 + 0 + 1) / 3, 0.5]
    )


@pytest.mark.parametrize(
    ("repeats", "ks"), [(2, [1, 2]), (3, [1, 2, 3]), (5, [1, 2, 4, 5]), (8, [1, 2, 4, 8])]
)
def test_k_doubles_up_to_the_repeats(repeats: int, ks: list[int]) -> None:
    assert [one.k for one in repeats_of({}, repeats).pass_at] == ks
