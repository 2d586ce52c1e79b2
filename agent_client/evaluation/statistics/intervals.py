"""Shares and means with 95 % confidence intervals, of questions that may be asked repeatedly.

The questions are taken for a sample of all questions of their kind, and repeats of one question
are not independent of each other: errors are clustered by question (Miller 2024, "Adding error bars
to evals", arXiv:2411.00640).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from statistics import NormalDist

CONFIDENCE = 0.95
"""Of every interval in the tables."""
_NO_ERROR = 1e-9
"""A standard error of shares below this is what rounding leaves of none."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A confidence interval; both ends belong to it."""

    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Proportion:
    """A share of things that are yes or no."""

    count: int
    """How many are."""
    of: int
    """The denominator."""
    share: float | None
    """`count / of`; None where there is nothing to count."""
    interval: Interval | None
    """At 95 %, within [0, 1] and around the share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mean:
    """A mean of measured values."""

    of: int
    """Of how many values; those that are not known are not among them."""
    value: float | None
    """None where there are none."""
    interval: Interval | None
    """At 95 %. Of shares it is Wilson's; else it is normal, and None below two questions."""


@cache
def normal_quantile(confidence: float) -> float:
    """How many standard errors a two-sided interval spans to each side.

    Args:
        confidence: in (0, 1).
    """
    return NormalDist().inv_cdf(0.5 + confidence / 2)


def wilson(successes: float, trials: float, confidence: float = CONFIDENCE) -> Interval:
    """The score interval of a share (Wilson 1927, JASA 22:209-212).

    Unlike the interval of the textbooks it stays within [0, 1] and is not empty at 0 % and 100 %.

    Args:
        successes: in [0, trials]; not whole where `trials` is an effective size.
        trials: at least 0; with 0 nothing is known, and the interval is [0, 1].
        confidence: in (0, 1).
    """
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} of {trials} is no share")
    if not trials:
        return Interval(0.0, 1.0)
    return _score_interval(successes / trials, trials, normal_quantile(confidence))


def _score_interval(share: float, trials: float, z: float) -> Interval:
    weight = z * z / trials
    centre = (share + weight / 2) / (1 + weight)
    half = z / (1 + weight) * math.sqrt(share * (1 - share) / trials + weight / (4 * trials))
    # The ends meet the share at 0 % and 100 %, where rounding could put them beside it.
    return Interval(max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half)))


def clustered_error(sums: Sequence[float], sizes: Sequence[int]) -> float:
    """The standard error of the mean of all values, clustered (Miller 2024, section 2.2).

    With one value per cluster it is the usual one, `sqrt(sum((x - mean)^2)) / n`.

    Args:
        sums: of each cluster's values.
        sizes: how many values each cluster has; at least one in all.
    """
    number = sum(sizes)
    mean = math.fsum(sums) / number
    squares = [(total - mean * size) ** 2 for total, size in zip(sums, sizes, strict=True)]
    return math.sqrt(math.fsum(squares)) / number


def proportion(successes: Sequence[int], trials: Sequence[int]) -> Proportion:
    """A share, with Wilson's interval for as many trials as the clusters are worth.

    An answer that is the same in each repeat of its question counts as one trial: the effective
    size is `p (1 - p) / SE^2` with the clustered standard error, at most the number of trials.
    Where all clusters agree, so that there is no error to see, it is the number of clusters. With
    one trial per cluster this is Wilson's interval as it stands. (Effective sizes in Wilson's
    interval: Franco et al. 2019, J. Survey Statistics and Methodology 7:334-364.)

    Args:
        successes: of each question how many trials succeeded.
        trials: how many there were; questions with none do not count.
    """
    count, of = sum(successes), sum(trials)
    if not of:
        return Proportion(count=0, of=0, share=None, interval=None)
    share = count / of
    # SE^2 = spread / of^4, in whole numbers: an error of zero is then seen as zero.
    spread = sum((s * of - count * t) ** 2 for s, t in zip(successes, trials, strict=True))
    clusters = len(trials) - trials.count(0)
    size = min(of, count * (of - count) * of**2 / spread) if spread else clusters
    interval = _score_interval(share, size, normal_quantile(CONFIDENCE))
    return Proportion(count=count, of=of, share=share, interval=interval)


def mean_by(questions: Sequence[str], values: Sequence[float]) -> Mean:
    """The mean of measured values, with the normal interval, clustered by question.

    Args:
        questions: which question each value belongs to.
        values: as many.
    """
    if not values:
        return Mean(of=0, value=None, interval=None)
    sums, sizes = _clusters(questions, values)
    value = math.fsum(sums) / len(values)
    if len(sums) == 1:
        return Mean(of=len(values), value=value, interval=None)
    half = normal_quantile(CONFIDENCE) * clustered_error(sums, sizes)
    return Mean(of=len(values), value=value, interval=Interval(value - half, value + half))


def mean_share(questions: Sequence[str], values: Sequence[float]) -> Mean:
    """The mean of values in [0, 1], clustered by question, with an interval that is never empty.

    It is Wilson's for the effective size of `proportion`. Of values that are 0 or 1 it is that of a
    share; of values in between, which vary less, it is wider than it had to be.

    Args:
        questions: which question each value belongs to.
        values: as many, each in [0, 1].
    """
    if not values:
        return Mean(of=0, value=None, interval=None)
    sums, sizes = _clusters(questions, values)
    value = min(1.0, math.fsum(sums) / len(values))
    error = clustered_error(sums, sizes)
    is_varied = error > _NO_ERROR
    size = min(len(values), value * (1 - value) / error**2) if is_varied else len(sums)
    interval = _score_interval(value, size, normal_quantile(CONFIDENCE))
    return Mean(of=len(values), value=value, interval=interval)


def _clusters(questions: Sequence[str], values: Sequence[float]) -> tuple[list[float], list[int]]:
    """Of each question the sum of its values, and how many they are."""
    if len(set(questions)) == len(questions):
        return list(values), [1] * len(values)
    grouped: dict[str, list[float]] = {}
    for question, value in zip(questions, values, strict=True):
        grouped.setdefault(question, []).append(value)
    return [math.fsum(cluster) for cluster in grouped.values()], list(map(len, grouped.values()))
