"""What happens while a question is worked on, told to whoever shows or records it.

`Event` is a closed union: a renderer matches on it and ends with `assert_never`, so a new event
fails the type check wherever it is not handled.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from agent_client.conversation import Message, ModelReply, ToolCall, ToolResult

Guard = Literal[
    "repeated_call",
    "repeated_page",
    "repeated_reply",
    "unknown_url",
    "unknown_tool",
    "cut_result",
    "early_answer",
    "empty_reply",
    "malformed_call",
]
"""What a guard of the loop acted on; counted in the outcome and in every record."""


@dataclass(frozen=True, slots=True)
class QuestionAsked:
    """A person asked; the first event of a run."""

    question: str
    run_id: str = ""
    """32 hexadecimal digits."""
    profile: str = ""
    """The profile's name."""
    profile_digest: str = ""
    """SHA-256 of everything the profile pins, as 64 hexadecimal digits."""
    model: str = ""


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """The model is about to be called."""

    turn: int
    """Counts from 1."""


@dataclass(frozen=True, slots=True)
class ReasoningDelta:
    """The model thought some more; a piece of text of any length."""

    text: str


@dataclass(frozen=True, slots=True)
class AnswerDelta:
    """The model wrote some more, outside of its reasoning; a piece of text of any length.

    It is what the person may watch, not the record: text of tool calls is left out where it is
    recognised in time, and only `ModelReplied` has the final text.
    """

    text: str


@dataclass(frozen=True, slots=True)
class ModelReplied:
    """The model finished its reply."""

    turn: int
    reply: ModelReply
    seconds: float = 0.0
    """From the request to the end of the reply, retries included."""


@dataclass(frozen=True, slots=True)
class ToolStarted:
    """A tool call was sent."""

    call: ToolCall


@dataclass(frozen=True, slots=True)
class ToolFinished:
    """A tool call came back, well or badly."""

    call: ToolCall
    result: ToolResult
    seconds: float


@dataclass(frozen=True, slots=True)
class Note:
    """Something that the person should see: a retry, a repaired call, a forced answer."""

    text: str


@dataclass(frozen=True, slots=True)
class Guarded:
    """A guard of the loop acted: something was not done, done otherwise, or marked."""

    guard: Guard
    text: str
    """One line for a person."""
    call: ToolCall | None = None


@dataclass(frozen=True, slots=True)
class Resampled:
    """A reply was thrown away and is asked for again on the same conversation."""

    turn: int
    reason: str
    reply: ModelReply


@dataclass(frozen=True, slots=True)
class Compacted:
    """The history policy changed what was already said; the prefix starts anew."""

    policy: str
    before: tuple[Message, ...]
    after: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class Stage:
    """A longer piece of work, such as a report, came to its next stage."""

    name: str
    """Such as "outline"."""
    text: str
    """One line for a person."""


@dataclass(frozen=True, slots=True)
class Finished:
    """The run ended; the last event."""

    outcome: object
    """An `agent_client.agent` outcome; opaque here, as events lie below the loop."""


Event = (
    QuestionAsked
    | TurnStarted
    | ReasoningDelta
    | AnswerDelta
    | ModelReplied
    | ToolStarted
    | ToolFinished
    | Note
    | Guarded
    | Resampled
    | Compacted
    | Stage
    | Finished
)

Emit = Callable[[Event], None]
"""Takes one event. Called in the order in which things happen; must not block and not raise."""
