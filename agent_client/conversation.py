"""The values of a conversation between a person, a model and tools."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Role = Literal["system", "user", "assistant", "tool"]


def _nothing() -> Mapping[str, object]:
    return {}


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool that the model may call."""

    name: str
    description: str
    parameters: Mapping[str, object]
    """JSON schema of the arguments; always of type "object"."""


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call that the model asked for. The tool may not exist."""

    id: str
    """Unique within the conversation; the result refers to it."""
    name: str
    arguments: Mapping[str, object]
    raw: str = ""
    """The model's own text, when the call was read from text or repaired; else ""."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What came back from one call, in words for the model."""

    call_id: str
    name: str
    text: str
    is_error: bool = False
    meta: Mapping[str, object] = field(default_factory=_nothing)
    """Structured data for programs; never shown to the model."""


@dataclass(frozen=True, slots=True)
class Message:
    """One entry of the conversation."""

    role: Role
    text: str
    reasoning: str = ""
    """What the model thought before `text`; only with the role "assistant"."""
    tool_calls: tuple[ToolCall, ...] = ()
    """In the order asked for; only with the role "assistant"."""
    tool_call_id: str | None = None
    """The call that this message answers; only with the role "tool"."""
    name: str | None = None
    """The tool's name; only with the role "tool"."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one or several model calls, as counted by the endpoint."""

    prompt_tokens: int
    completion_tokens: int
    """Includes the tokens of the reasoning."""
    cached_tokens: int = 0
    """The part of `prompt_tokens` that came from the prefix cache; 0 where it is not reported."""

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_tokens + other.cached_tokens,
        )


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen. The defaults are those of the II-Search-4B model card."""

    temperature: float = 0.6
    """At least 0; 0 is greedy."""
    top_p: float = 0.95
    """In (0, 1]."""
    top_k: int = 20
    """At least 1, or -1 for the whole vocabulary."""
    repetition_penalty: float = 1.1
    """In (0, 2]; 1 is none."""
    max_tokens: int = 2048
    """Bound of one reply, reasoning included."""
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """Everything that one model call depends on."""

    messages: tuple[Message, ...]
    """At least one, in order."""
    tools: tuple[ToolSpec, ...] = ()
    sampling: Sampling = Sampling()
    response_schema: Mapping[str, object] | None = None
    """JSON schema that the answer's text must follow; None leaves it free."""


@dataclass(frozen=True, slots=True)
class ModelReply:
    """One finished reply of a model."""

    message: Message
    """Of role "assistant"; its calls are complete and can be executed."""
    finish_reason: str
    """"stop", "length", "tool_calls" or what else the endpoint says. Replies whose calls we read
    from text say "tool_calls" too."""
    usage: Usage | None
    """None when the endpoint does not count."""
    malformed_calls: tuple[str, ...] = ()
    """Raw text of the calls that could not be read or were cut off; never executed."""
    request_id: str = ""
    """Our id of the request, 32 hexadecimal digits."""
