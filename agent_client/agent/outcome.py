"""What comes out of a run."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from agent_client.conversation import Message, Repair, Usage
from agent_client.events import Guard

StopReason = Literal[
    "answered",
    "turn_limit",
    "tool_call_limit",
    "time_limit",
    "token_limit",
    "context_limit",
    "cost_limit",
    "repeated_reply",
    "no_answer",
    "model_error",
    "tool_error",
]
"""Why a run ended. The limits come with the answer that was asked for at the end, if any;
`repeated_reply` means that the model wrote the same twice in a row, or called nothing new for long;
`no_answer` that it kept answering nothing."""

LIMIT_REASONS: frozenset[StopReason] = frozenset(
    {
        "turn_limit",
        "tool_call_limit",
        "time_limit",
        "token_limit",
        "context_limit",
        "cost_limit",
        "repeated_reply",
    }
)


@dataclass(frozen=True, slots=True)
class Source:
    """A page that was really visited."""

    number: int
    """Counts from 1, in the order in which the answer cites; what it does not cite follows in the
    order of the visits. What `[1]` in the answer refers to."""
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
    """Calls that were sent to a tool; repeated and refused ones are in `guards`."""
    tool_errors: int = 0
    malformed_calls: int = 0
    resamples: int = 0
    """Replies that were thrown away and asked for again."""
    retries: int = 0
    """Model requests that failed and were sent again."""
    compactions: int = 0
    repairs: Mapping[Repair, int] = field(default_factory=dict[Repair, int])
    """How many calls needed each rung of the repair ladder."""
    guards: Mapping[Guard, int] = field(default_factory=dict[Guard, int])
    """How often each guard acted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitedPage:
    """One page that was read, with the text of all parts that were read."""

    url: str
    title: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixStability:
    """How much of each prompt repeats the previous prompt and its completion, in characters.

    For turn t it is |common prefix of P(t) and P(t-1) + G(t-1)| / |P(t-1) + G(t-1)|: what a prefix
    cache can take over. 1.0 throughout unless a compaction was announced.
    """

    mean: float
    """Over all turns but the first; 1.0 for a run of one turn."""
    worst: float
    turns: int
    """Turns that were compared."""


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
    pages: tuple[VisitedPage, ...] = ()
    """What was read, in the order of `sources`."""
    prefix: PrefixStability | None = None
    """None where no prompt is known."""
    cost_usd: float | None = None
    """None without prices."""
    run_id: str = ""
    profile: str = ""
    profile_digest: str = ""
    error: Exception | None = None
    """What went wrong, with the reasons `model_error` and `tool_error`."""
