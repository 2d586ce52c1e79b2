"""How messages, replies and outcomes are laid out in a file of events."""

from typing import Any

import msgspec

from agent_client.agent.outcome import Outcome
from agent_client.conversation import MalformedCall, Role, ToolCall, Usage
from agent_client.sessions.repeats import Address, StoredText

NOT_SET = msgspec.UNSET


class StoredMessage(msgspec.Struct, kw_only=True):
    """A message: what is not set is as in the message `like`, or its default."""

    like: Address | msgspec.UnsetType = NOT_SET
    role: Role | msgspec.UnsetType = NOT_SET
    text: StoredText | msgspec.UnsetType = NOT_SET
    reasoning: StoredText | msgspec.UnsetType = NOT_SET
    tool_calls: tuple[ToolCall, ...] | msgspec.UnsetType = NOT_SET
    tool_call_id: str | msgspec.UnsetType | None = NOT_SET
    name: str | msgspec.UnsetType | None = NOT_SET
    raw: StoredText | msgspec.UnsetType = NOT_SET
    token_ids: tuple[int, ...] | msgspec.UnsetType = NOT_SET


class StoredReply(msgspec.Struct, omit_defaults=True):
    """A `ModelReply` without prompt and completion."""

    message: StoredMessage
    finish_reason: str
    usage: Usage | None
    malformed_calls: tuple[MalformedCall, ...] = ()
    request_id: str = ""
    retries: int = 0
    endpoint: str = ""


class StoredQuestion(msgspec.Struct, omit_defaults=True):
    """A `QuestionAsked`."""

    question: StoredText
    run_id: str = ""
    profile: str = ""
    profile_digest: str = ""
    model: str = ""


class StoredReplied(msgspec.Struct):
    """A `ModelReplied`."""

    turn: int
    reply: StoredReply
    seconds: float = 0.0


class StoredStarted(msgspec.Struct, omit_defaults=True):
    """A `ToolStarted`."""

    id: str = ""
    """Of a call that was told before, by a reply or as it was sent."""
    call: ToolCall | None = None
    """In place of `id`."""


class StoredResult(msgspec.Struct, omit_defaults=True):
    """A `ToolResult`."""

    text: StoredText
    call_id: str | None = None
    """None is the id of the call."""
    name: str | None = None
    """None is the name of the call."""
    is_error: bool = False
    meta: dict[str, Any] | None = None
    meta_of: int | None = None
    """The line of type `ToolReturned` that has the same meta."""


class StoredReturned(msgspec.Struct, omit_defaults=True):
    """What a tool returned, as it came from the server."""

    digest: str
    """Names the result in the store of results."""
    id: str = ""
    """Of a call that was told before."""
    call: ToolCall | None = None
    """In place of `id`."""


class StoredFinishedTool(msgspec.Struct, omit_defaults=True):
    """A `ToolFinished`."""

    result: StoredResult
    seconds: float
    id: str = ""
    """Of a call that was told before."""
    call: ToolCall | None = None
    """In place of `id`."""


class StoredResampled(msgspec.Struct):
    """A `Resampled`."""

    turn: int
    reason: str
    reply: StoredReply


class StoredCompacted(msgspec.Struct):
    """A `Compacted`."""

    policy: str
    before: tuple[StoredMessage, ...]
    after: tuple[StoredMessage, ...]


class StoredPage(msgspec.Struct):
    """A `VisitedPage`."""

    url: str
    title: str
    text: StoredText


class StoredError(msgspec.Struct):
    """The error of an outcome, with the attributes that are JSON values."""

    type: str
    message: str
    attributes: dict[str, str | int | float | bool | None]


class StoredFinished(msgspec.Struct):
    """A `Finished`."""

    outcome: Outcome | None
    """Without what follows; None for what is no `Outcome`."""
    question: StoredText = ""
    answer: StoredText = ""
    messages: tuple[StoredMessage, ...] = ()
    pages: tuple[StoredPage, ...] = ()
    error: StoredError | None = None
