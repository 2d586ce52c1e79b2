"""What comes out of a run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from agent_client.conversation import Message, Usage

StopReason = Literal[
    "answered",
    "turn_limit",
    "tool_call_limit",
    "time_limit",
    "token_limit",
    "no_answer",
    "model_error",
    "tool_error",
]
"""Why a run ended. The four limits come with the answer that was asked for at the end, if any;
`no_answer` means that the model kept answering nothing."""

LIMIT_REASONS: frozenset[StopReason] = frozenset(
    {"turn_limit", "tool_call_limit", "time_limit", "token_limit"}
)


@dataclass(frozen=True, slots=True)
class Source:
    """A page that was really visited."""

    number: int
    """Counts from 1, in the order of the first visit; what `[1]` in the answer refers to."""
    url: str
    title: str
    is_cited: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What a run used."""

    turns: int = 0
    searches: int = 0
    visits: int = 0
    tool_calls: int = 0
    tool_errors: int = 0
    malformed_calls: int = 0


def _no_timings() -> Mapping[str, float]:
    return {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The answer to one question, and how it came about."""

    question: str
    answer: str
    """Markdown with citations such as `[1]`; "" when there is none."""
    short_answer: str | None
    """What the model put into `\\boxed{}`; None when it boxed nothing."""
    stop_reason: StopReason
    sources: tuple[Source, ...]
    """Every page visited, cited or not."""
    counts: Counts
    usage: Usage
    """Summed over all turns; zeros where the endpoint does not count."""
    seconds: float
    timings: Mapping[str, float] = field(default_factory=_no_timings)
    """Seconds spent in the `model` and in `tools` (calls side by side count once each)."""
    messages: tuple[Message, ...] = ()
    """The whole conversation, for records."""
    error: Exception | None = None
    """What went wrong, with the reasons `model_error` and `tool_error`."""
