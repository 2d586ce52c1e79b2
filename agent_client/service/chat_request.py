"""What an application sends to `/v1/chat/completions`, and what of it becomes a question."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from agent_client.conversation import Message

MAX_MESSAGES = 500


class _Part(BaseModel):
    type: str = "text"
    text: str = ""


class _Message(BaseModel):
    role: str
    content: str | list[_Part] | None = None

    def plain_text(self) -> str:
        """The text; parts are joined.

        Raises:
            UnusableRequest: there is something else than text in it.
        """
        if not isinstance(self.content, list):
            return self.content or ""
        for part in self.content:
            if part.type not in ("text", "input_text"):
                raise UnusableRequest(f"a message has a part of type {part.type!r}: only text")
        return "\n".join(part.text for part in self.content)


class _StreamOptions(BaseModel):
    include_usage: bool = False


class ChatRequest(BaseModel):
    """The fields that are used; sampling and tools are the agent's own business."""

    model: str = ""
    messages: Annotated[list[_Message], Field(min_length=1, max_length=MAX_MESSAGES)]
    stream: bool = False
    stream_options: _StreamOptions | None = None
    n: Literal[1] | None = None
    user: Any = None


class UnusableRequest(ValueError):
    """The request is well-formed, but holds nothing that can be answered; says why."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as the agent takes it."""

    question: str
    instructions: str
    """What the application wants to be kept to: its system messages; often ""."""
    history: tuple[Message, ...]
    """Earlier questions and answers."""


def read_messages(request: ChatRequest) -> Asked:
    """Take the last user message as the question and what comes before as its history.

    Tool messages of the application, and its own calls, are left out: the agent has its own tools.

    Raises:
        UnusableRequest: the last message is not a user's, or has no text.
    """
    messages = request.messages
    if messages[-1].role != "user":
        raise UnusableRequest("the last message must be of the role 'user'")
    question = messages[-1].plain_text().strip()
    if not question:
        raise UnusableRequest("the last message is empty")
    system = [m.plain_text() for m in messages if m.role in ("system", "developer")]
    return Asked(question, "\n\n".join(filter(None, system)), _history(messages[:-1]))


def _history(messages: Sequence[_Message]) -> tuple[Message, ...]:
    kept: list[Message] = []
    for message in messages:
        text = message.plain_text()
        if message.role == "user" and text:
            kept.append(Message("user", text))
        elif message.role == "assistant" and text:
            kept.append(Message("assistant", text))
    return tuple(kept)
