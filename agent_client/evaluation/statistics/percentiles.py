"""Percentiles of measured values."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentiles:
    """Where half, nine tenths and 99 hundredths of the values end."""

    p50: float
    p90: float
    p99: float


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value below which a share of the values lies, interpolated between neighbours.

    Definition 7 of Hyndman and Fan 1996 (The American Statistician 50:361-365), which NumPy and R
    take as their default: position `share * (n - 1)` in the order.

    Args:
        ordered: ascending, at least one.
        share: in [0, 1].
    """
    position = share * (len(ordered) - 1)
    lower = floor(position)
    upper = min(lower + 1, len(ordered) - 1)
    between = ordered[lower] + (position - lower) * (ordered[upper] - ordered[lower])
    return min(between, ordered[upper])  # rounding may pass it


def percentiles_of(values: Sequence[float]) -> Percentiles | None:
    """The percentiles of values in any order; None of no values."""
    if not values:
        return None
    ordered = sorted(values)
    return Percentiles(
        p50=percentile(ordered, 0.50),
        p90=percentile(ordered, 0.90),
        p99=percentile(ordered, 0.99),
    )
