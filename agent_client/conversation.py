"""The values of a conversation between a person, a model and tools."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Role = Literal["system", "user", "assistant", "tool"]

Repair = Literal["relaxed_form", "tolerant_json", "closed_brackets", "coerced_arguments"]
"""A rung of the repair ladder that a call needed; a call without any was strictly right.

`relaxed_form`: no tags, a code fence, `parameters` for `arguments` and the like;
`tolerant_json`: JSON with a repair inside, such as single quotes or a trailing comma;
`closed_brackets`: brackets or a quote that were never closed;
`coerced_arguments`: values turned into what the tool's schema asks for.
"""

MalformedKind = Literal["unreadable", "cut_off", "dropped"]
"""`cut_off`: the token limit ended it; `dropped`: the server swallowed it and sent nothing."""


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
    repairs: tuple[Repair, ...] = ()
    """What it took to read the call, in the order of the ladder."""


@dataclass(frozen=True, slots=True)
class MalformedCall:
    """A call that could not be read; it is never executed and never dropped silently."""

    raw: str
    """The model's own text; "" when the server swallowed it."""
    reason: str
    """What is wrong, in one sentence that lets the model correct itself."""
    name: str = ""
    """The tool that it names, as far as it can be read."""
    kind: MalformedKind = "unreadable"


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
    raw: str = ""
    """Exactly what the model wrote, tags, reasoning and calls included, without the end-of-turn
    token; only with the role "assistant", and "" where the server does not say it."""
    token_ids: tuple[int, ...] = ()
    """The tokens of `raw`, where the server names them; the end-of-turn token is not among them."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one or several model calls, as counted by the endpoint."""

    prompt_tokens: int
    completion_tokens: int
    """Includes the tokens of the reasoning."""
    cached_tokens: int | None = None
    """The part of `prompt_tokens` that came from the prefix cache; None where it is not told."""

    def __add__(self, other: "Usage") -> "Usage":
        told = [n for n in (self.cached_tokens, other.cached_tokens) if n is not None]
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            sum(told) if told else None,
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
    must_answer: bool = False
    """Whether the research is over. The tools stay in the request so that the prompt stays the
    same; the conversation itself tells the model not to call them."""
    episode: str = ""
    """Which run this is a turn of: all its turns go to the same endpoint; "" belongs to none."""


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
    malformed_calls: tuple[MalformedCall, ...] = ()
    """The calls that could not be read or were cut off, in the order written."""
    request_id: str = ""
    """Our id of the request, 32 hexadecimal digits."""
    prompt: str = ""
    """The prompt: as sent where we render it, else as the model's template would render the
    messages; "" where neither is known. What the prefix stability is computed from."""
    completion: str = ""
    """What the next prompt should repeat after `prompt`: the model's own bytes, or the reply as
    the template would render it."""
    retries: int = 0
    """Requests that failed before this one was answered."""
    endpoint: str = ""
    """Base URL of the endpoint that answered."""
