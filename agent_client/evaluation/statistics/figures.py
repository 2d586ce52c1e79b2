"""Numbers as tables print them: one decimal, never without the denominator."""

from agent_client.evaluation.statistics.intervals import Mean, Proportion

DIGEST_CHARS = 12
"""As many digits of a digest tell profiles, graders and files apart."""
UNKNOWN = "–"


def percent(share: float) -> str:
    """One decimal; only what is whole reads as 100.0 %, and only what is nothing as 0.0 %."""
    if 0 < share < 1:
        share = min(max(share, 0.001), 0.999)
    return f"{100 * share:.1f} %"


def points(difference: float) -> str:
    """A difference of shares in percentage points, with its sign."""
    return f"{100 * difference:+.1f}"


def share_of(proportion: Proportion) -> str:
    """Such as `22.5 % (25/111; 15.7–31.1)`: the share, its counts and its 95 % interval."""
    if proportion.share is None or proportion.interval is None:
        return "no share (0/0)"
    low, high = 100 * proportion.interval.low, 100 * proportion.interval.high
    counts = f"{proportion.count:,}/{proportion.of:,}"
    return f"{percent(proportion.share)} ({counts}; {low:.1f}–{high:.1f})"


def number(mean: Mean, decimals: int = 1) -> str:
    """The mean alone; its denominator is printed beside it."""
    return UNKNOWN if mean.value is None else f"{mean.value:,.{decimals}f}"


def share_mean(mean: Mean) -> str:
    """A mean of shares, such as `42.3 % (n = 417; 38.0–46.6)`."""
    if mean.value is None or mean.interval is None:
        return f"{UNKNOWN} (n = {mean.of:,})"
    low, high = 100 * mean.interval.low, 100 * mean.interval.high
    return f"{percent(mean.value)} (n = {mean.of:,}; {low:.1f}–{high:.1f})"


def plain_mean(mean: Mean) -> str:
    """A mean of other values, such as `3.2 (n = 417; 2.8–3.6)`."""
    ends = f"; {mean.interval.low:,.1f}–{mean.interval.high:,.1f}" if mean.interval else ""
    return f"{number(mean)} (n = {mean.of:,}{ends})"


def short_digest(digest: str) -> str:
    """The first digits of a digest."""
    return f"`{digest[:DIGEST_CHARS]}`" if digest.isalnum() else "no digest"


def counted(number: int, one: str, many: str = "") -> str:
    """A number with its noun: `1 question`, `2 questions`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"
