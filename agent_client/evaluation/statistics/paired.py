"""Tests and intervals for two runs on the same questions."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import product
from random import Random

from agent_client.evaluation.statistics.intervals import CONFIDENCE, Interval, wilson

EXACT_FLIPS = 12
"""Differences up to which all their signs are tried: 4,096 cases."""
SAMPLED_FLIPS = 20_000
"""Else so many are drawn: p = 0.05 is then known to within 0.003 (two standard errors)."""
_SEED = 20_250_727


def mcnemar(only_first: int, only_second: int) -> float:
    """The exact two-sided p-value that both runs are equally good (McNemar 1947).

    Only the questions that one run alone got right say something: if the runs are equal, each falls
    to either side like a coin. This is the binomial test on them; 1.0 where there are none.
    (McNemar 1947, Psychometrika 12:153-157.)

    Args:
        only_first: questions that the first run alone got right.
        only_second: questions that the second run alone got right.
    """
    tosses, fewer = only_first + only_second, min(only_first, only_second)
    ways = term = 1
    for i in range(fewer):
        term = term * (tosses - i) // (i + 1)
        ways += term
    return min(1.0, 2 * ways / (1 << tosses))


def paired_difference(
    both: int, only_first: int, only_second: int, neither: int, confidence: float = CONFIDENCE
) -> Interval:
    """The interval of the first share less the second, of the same questions.

    Method 10 of Newcombe 1998 (Statistics in Medicine 17:2635-2650): the Wilson intervals of both
    shares, put together with the correlation of the answers. It stays within [-1, 1], and is not
    empty where the runs never differ.

    Args:
        both: questions that both runs got right.
        only_first: those that the first run alone got right.
        only_second: those that the second run alone got right.
        neither: those that both got wrong; the four together are at least 1.
        confidence: in (0, 1).
    """
    number = both + only_first + only_second + neither
    first, second = both + only_first, both + only_second
    p, q = first / number, second / number
    of_p, of_q = wilson(first, number, confidence), wilson(second, number, confidence)
    phi = _correlation(both, only_first, only_second, neither)
    difference = (only_first - only_second) / number
    down = _joined(p - of_p.low, of_q.high - q, phi)
    up = _joined(of_p.high - p, q - of_q.low, phi)
    return Interval(max(-1.0, difference - down), min(1.0, difference + up))


def _correlation(both: int, only_first: int, only_second: int, neither: int) -> float:
    """Newcombe's phi, drawn towards 0 by a continuity correction where it is positive."""
    number = both + only_first + only_second + neither
    sides = (
        (both + only_first)
        * (only_second + neither)
        * (both + only_second)
        * (only_first + neither)
    )
    if not sides:
        return 0.0
    covariance = float(both * neither - only_first * only_second)
    if covariance > 0:
        covariance = max(0.0, covariance - number / 2)
    return covariance / math.sqrt(sides)


def _joined(a: float, b: float, correlation: float) -> float:
    return math.sqrt(max(0.0, a * a - 2 * correlation * a * b + b * b))


def sign_flip(differences: Sequence[Fraction]) -> float:
    """The two-sided p-value that the differences of pairs lie around zero.

    If the two of each pair are alike, every difference could as well have had the other sign: the
    p-value is the share of all choices of signs whose sum is at least as far from zero (Fisher's
    randomisation test). Up to `EXACT_FLIPS` differences all are tried; else `SAMPLED_FLIPS` are
    drawn, always the same ones, and the observed one is counted among them, so that the p-value is
    never 0 (Phipson and Smyth 2010, arXiv:1603.05766).

    Args:
        differences: one per pair, exact; zeros say nothing and are left out.
    """
    scale = math.lcm(*(difference.denominator for difference in differences))
    sizes = [int(difference * scale) for difference in differences if difference]
    observed = abs(sum(sizes))
    if len(sizes) <= EXACT_FLIPS:
        sums = (sum(signed) for signed in product(*((size, -size) for size in sizes)))
        return sum(abs(total) >= observed for total in sums) / (1 << len(sizes))
    hits = sum(abs(total) >= observed for total in _drawn_sums(map(abs, sizes)))
    return (1 + hits) / (1 + SAMPLED_FLIPS)


def _drawn_sums(sizes: Iterable[int]) -> Iterable[int]:
    """Sums of the sizes with signs drawn by a fair coin.

    Of `n` equal sizes only how many are positive counts: one draw of `n` bits.
    """
    draw = Random(_SEED).getrandbits  # noqa: S311 - no secret
    counted = sorted(Counter(sizes).items())
    for _ in range(SAMPLED_FLIPS):
        yield sum(size * (2 * draw(number).bit_count() - number) for size, number in counted)
