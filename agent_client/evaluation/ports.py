"""What the parts of an evaluation are to each other."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from agent_client.conversation import ModelReply, ToolCall, ToolResult
from agent_client.evaluation.episode_record import EpisodeKey, EpisodeRecord
from agent_client.evaluation.question import Question
from agent_client.events import Event


@dataclass(frozen=True, slots=True)
class EarlierReply:
    """A reply of the model that an attempt before this one has stored."""

    reply: ModelReply
    """Without prompt and completion."""
    at_seconds: float
    """When it came, since the episode began."""


@dataclass(frozen=True, slots=True)
class EarlierResult:
    """What a tool returned in an attempt before this one, as it came from the server."""

    call: ToolCall
    """As sent."""
    result: ToolResult
    at_seconds: float
    """When it came, since the episode began."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EarlierTurns:
    """What is stored of an episode that was cut off or failed; the next attempt goes on from it.

    The agent works through the question again, and is given these replies and results instead of
    asking for them, until they are used up: so it is in the very state in which it was cut off.
    """

    replies: tuple[EarlierReply, ...]
    """In order."""
    results: tuple[EarlierResult, ...]
    """In the order in which they came."""


class EpisodeJournal(Protocol):
    """Where an episode that is at work is stored, as it happens.

    Neither method raises: who writes the run learns of a full disk in another way, and stops.
    """

    def emit(self, event: Event) -> None:
        """Store an event of the agent. What is stored already is not stored again."""
        ...

    def tool_returned(self, call: ToolCall, result: ToolResult) -> None:
        """Store what a tool returned, before the agent shortens it or adds to it.

        Args:
            call: as sent.
            result: as it came from the server.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """One question to be worked on once."""

    question: Question
    repeat: int = 0
    attempt: int = 1
    run_id: str
    """32 hexadecimal digits; of an episode that goes on, the one it began with."""
    seed: int | None = None
    """For the model's sampling; None leaves it to the server."""
    earlier: EarlierTurns | None = None
    """What it goes on from."""

    @property
    def key(self) -> EpisodeKey:
        """Which episode of the run it is."""
        return EpisodeKey(self.question.id, self.repeat)


Solve = Callable[[Episode, EpisodeJournal], Awaitable[EpisodeRecord]]
"""Works on one episode, here or on another machine. It raises nothing but cancellation: what goes
wrong is in the record's status and error. Who stores the record fills in its spans and `low`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GradedAnswer:
    """What a grader is given; it never sees more of an episode."""

    question: str
    answers: Sequence[str]
    """The reference answer and its aliases."""
    answer: str
    """The agent's whole answer; "" where there is none."""
    short_answer: str | None = None
    fields: Mapping[str, object] = field(default_factory=dict[str, object])
    """What the dataset says about the question."""
