"""How much one question may cost."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one run. When one is reached, the model is asked for its answer at once."""

    turns: int = 30
    """Most model calls, the last of which has to answer; at least 1."""
    tool_calls: int = 60
    """Most tool calls; 0 means that the model has to answer from what it knows."""
    seconds: float = 600.0
    """Longest time until the answer is asked for."""
    answer_seconds: float = 120.0
    """Longest time for that last answer."""
    total_tokens: int = 0
    """Most prompt and completion tokens over all turns; 0 is no bound."""
