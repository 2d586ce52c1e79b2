"""How many tokens the next prompt will have, without a tokenizer.

The server counts the tokens of each prompt and reply; what was added since is measured in UTF-8
bytes, by the bytes per token of this very conversation. Bytes fit several alphabets at once: a
token of Chinese is about three bytes, one of English about four.
"""

import json
from collections.abc import Iterable, Sequence
from typing import cast

from agent_client.conversation import Message, ToolSpec, Usage

BYTES_PER_TOKEN = 3.5
"""Until the server has counted: rather too many tokens than too few."""
_MIN_BYTES_PER_TOKEN, _MAX_BYTES_PER_TOKEN = 1.5, 4.5
_MESSAGE_BYTES = 32
"""The template's marks around one message."""
MARGIN_TOKENS = 64
"""For what an estimate cannot know."""
UNBOUNDED_BYTES = 1 << 40
_MIN_RESULT_BYTES = 1_000
"""A turn that could bring less is not worth it."""


class ContextSize:
    """Follows the size of one conversation."""

    def __init__(self, context_tokens: int, reply_tokens: int) -> None:
        """Start with an empty conversation.

        Args:
            context_tokens: what prompt and reply may have together; 0 is no bound.
            reply_tokens: the longest reply.
        """
        self._context = context_tokens
        self._reply_tokens = reply_tokens
        # In a small context the replies may not take up everything.
        self._reply_room = min(reply_tokens, context_tokens // 4)
        self._bytes_per_token = BYTES_PER_TOKEN
        self._counted_tokens = 0
        self._new_bytes = 0
        self._shown_bytes = 0
        self._tool_bytes = 0

    def tools(self, specs: Iterable[ToolSpec]) -> None:
        """Take in the tools, which stand in every prompt."""
        for spec in specs:
            schema = json.dumps(cast(object, spec.parameters), ensure_ascii=False, default=str)
            self._tool_bytes += len(spec.name) + utf8_bytes(spec.description) + utf8_bytes(schema)
        self._new_bytes += self._tool_bytes

    def grew(self, added: int) -> None:
        """Take in bytes that the conversation grew by."""
        self._new_bytes += added
        self._shown_bytes += added

    def counted(self, usage: Usage | None) -> None:
        """Take in what the server counted for the prompt that holds all of it so far."""
        if usage is None or usage.prompt_tokens <= 0:
            return
        measured = (self._shown_bytes + self._tool_bytes) / usage.prompt_tokens
        self._bytes_per_token = min(max(measured, _MIN_BYTES_PER_TOKEN), _MAX_BYTES_PER_TOKEN)
        self._counted_tokens, self._new_bytes = usage.prompt_tokens, 0

    def replied(self, usage: Usage | None, message_bytes: int, *, is_whole: bool) -> None:
        """Take in a reply that is kept.

        Args:
            usage: of the reply.
            message_bytes: its size as the next prompt shows it.
            is_whole: whether all tokens of the reply stay in the conversation.
        """
        if usage is not None and is_whole:
            self._counted_tokens += usage.completion_tokens
            self._shown_bytes += message_bytes
        else:
            self.grew(message_bytes)

    def restarted(self, shown_bytes: int) -> None:
        """Take in that the conversation was shortened to this size."""
        self._counted_tokens = 0
        self._shown_bytes = shown_bytes
        self._new_bytes = shown_bytes + self._tool_bytes

    @property
    def tokens(self) -> int:
        """The tokens of the next prompt, estimated."""
        return self._counted_tokens + int(self._new_bytes / self._bytes_per_token)

    @property
    def share(self) -> float:
        """How much of what research may use is used; 0.0 where there is no bound."""
        if not self._context:
            return 0.0
        return self.tokens / max(1, self._context - 2 * self._reply_room - MARGIN_TOKENS)

    @property
    def is_full(self) -> bool:
        """Whether one more turn of research has no room for a result, with an answer after it."""
        return bool(self._context) and self.room_bytes < _MIN_RESULT_BYTES

    @property
    def room_bytes(self) -> int:
        """What results may still add, with room left for another turn and the answer."""
        return max(0, self.whole_room_bytes - int(self.tokens * self._bytes_per_token))

    @property
    def whole_room_bytes(self) -> int:
        """What results could add to an empty conversation."""
        if not self._context:
            return UNBOUNDED_BYTES
        tokens = self._context - 2 * self._reply_room - MARGIN_TOKENS
        return max(0, int(tokens * self._bytes_per_token))

    @property
    def reply_tokens(self) -> int:
        """The longest reply that fits behind the next prompt."""
        if not self._context:
            return self._reply_tokens
        room = self._context - self.tokens - MARGIN_TOKENS
        return min(self._reply_tokens, max(room, self._reply_room // 2, 1))


def message_bytes(message: Message) -> int:
    """The size of a message in a prompt, nearly."""
    size = _MESSAGE_BYTES + utf8_bytes(message.raw or message.text)
    if message.role == "assistant" and not message.raw:
        size += utf8_bytes(message.reasoning)
        for call in message.tool_calls:
            size += _MESSAGE_BYTES + utf8_bytes(call.raw or str(call.arguments))
    return size


def messages_bytes(messages: Sequence[Message]) -> int:
    """The size of several messages."""
    return sum(message_bytes(message) for message in messages)


def utf8_bytes(text: str) -> int:
    """The length of a text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
