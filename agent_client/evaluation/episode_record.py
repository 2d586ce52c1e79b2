"""What is stored of one episode: the agent's work on one question, once."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

import msgspec

from agent_client.agent.outcome import Counts, PrefixStability, Source, StopReason
from agent_client.conversation import Usage

Status = Literal["ok", "budget", "infra_error", "cancelled"]
"""How an episode ended, apart from whether its answer is right.

`ok`: the model ended it, with an answer or without; `budget`: a limit of the profile did, and what
the model then answered counts; `infra_error`: a server, a tool or the network failed, which says
nothing about the agent; `cancelled`: somebody stopped the run. The last two are owed: `resume` goes
on with them, and no table counts them as wrong answers.
"""

SETTLED: frozenset[Status] = frozenset({"ok", "budget"})
"""Episodes that are over and are graded."""


class EpisodeKey(NamedTuple):
    """Which episode: a question, and which of its repeats."""

    id: str
    """The question's id."""
    repeat: int = 0
    """Counts from 0."""


class RecordedError(msgspec.Struct, frozen=True, kw_only=True):
    """What ended an episode that failed."""

    type: str
    """The class of the error, such as "ModelUnreachable"; the taxonomy counts these."""
    message: str
    hint: str = ""


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the pages that hold the evidence, one entry per gold page."""

    retrieved: tuple[bool, ...]
    """Whether it was among the hits of a search."""
    visited: tuple[bool, ...]
    """Whether it was read."""
    cited: tuple[bool, ...]
    """Whether the answer cites it."""


class Span(NamedTuple):
    """Where a line stands: the number of a segment, the line's first byte, its length."""

    segment: int
    offset: int
    length: int


class EpisodeRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One episode that ended, well or badly. Everything that tables and graders need."""

    id: str
    repeat: int = 0
    attempt: int = 1
    """Counts from 1; an episode that ended with `infra_error` or was cut off has a further one."""
    status: Status
    stop_reason: StopReason | Literal[""] = ""
    """Why the agent stopped; "" where it was stopped from outside."""
    question: str
    answers: tuple[str, ...]
    """The reference answer and its aliases."""
    fields: Mapping[str, object] = {}
    """What the dataset says about the question."""
    answer: str = ""
    """The agent's whole answer; "" where there is none."""
    short_answer: str | None = None
    r"""What stands in its `\boxed{}`."""
    error: RecordedError | None = None
    counts: Counts = Counts()
    usage: Usage = Usage(0, 0)
    cost_usd: float | None = None
    seconds: float = 0.0
    """Of all attempts that this one continues, replayed turns with the time that they took."""
    model_seconds: float = 0.0
    tool_seconds: float = 0.0
    prefix: PrefixStability | None = None
    sources: tuple[Source, ...] = ()
    evidence: Evidence | None = None
    """None where the dataset names no pages."""
    leaks: tuple[str, ...] = ()
    """Contamination: pages that publish the benchmark and that the agent was shown."""
    blocked_mirrors: int = 0
    """Visits and hits of such pages that were kept from the model."""
    replay_misses: int = 0
    """Calls that a replayed recording does not hold."""
    tool_retries: int = 0
    """Calls that were made again because the tool's side had failed."""
    continued_turns: int = 0
    """Turns that were taken over from attempts before, and not asked for again."""
    run_id: str = ""
    """32 hexadecimal digits; the same over all attempts that continue each other."""
    endpoint: str = ""
    """The model server that answered last."""
    seed: int | None = None
    started: str = ""
    """ISO 8601 in UTC."""
    ended: str = ""
    events: tuple[Span, ...] = ()
    """Its lines in the segments of events, in order."""
    low: tuple[int, int] = (0, 0)
    """Segment and offset before which all events belong to episodes that have a record: whoever
    resumes reads the segments from here on."""

    @property
    def key(self) -> EpisodeKey:
        """Which episode it is."""
        return EpisodeKey(self.id, self.repeat)
