"""How much one question may cost."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of one run. When one is reached, the model is asked for its answer at once."""

    turns: int = 30
    """Most model calls, the last of which has to answer; at least 1. A model that calls tools, or
    says nothing, where it has to answer is asked again: up to twice more."""
    tool_calls: int = 60
    """Most tool calls; 0 means that the model has to answer from what it knows."""
    searches: int = 0
    """Most searches among them; 0 is no bound of their own."""
    visits: int = 0
    """Most page visits among them; 0 is no bound of their own."""
    seconds: float = 600.0
    """Longest time until the answer is asked for."""
    answer_seconds: float = 120.0
    """Longest time for that last answer."""
    total_tokens: int = 0
    """Most prompt and completion tokens over all turns; 0 is no bound."""
    context_tokens: int = 0
    """Most tokens of one prompt with its reply; 0 is what the model's endpoint says, if it does."""
    result_chars: int = 40_000
    """Longest tool result that the model is given; at least 1,000."""
    cost_usd: float = 0.0
    """Most money for model calls, by `Prices`; 0 is no bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What the model costs, in US dollars for a million tokens."""

    prompt: float = 0.0
    cached_prompt: float | None = None
    """None is the same as `prompt`."""
    completion: float = 0.0
