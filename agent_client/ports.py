"""The two things an agent talks to: a model and a box of tools."""

from collections.abc import Sequence
from typing import Protocol

from agent_client.conversation import ModelReply, ModelRequest, ToolCall, ToolResult, ToolSpec
from agent_client.events import Emit


class ModelClient(Protocol):
    """A model that continues a conversation."""

    @property
    def name(self) -> str:
        """The model's name, as the endpoint knows it."""
        ...

    @property
    def context_tokens(self) -> int:
        """How many tokens prompt and reply may have together; 0 where it is not known."""
        ...

    async def complete(self, request: ModelRequest, *, emit: Emit) -> ModelReply:
        """Write the next message of the conversation.

        Emits `ReasoningDelta` and `AnswerDelta` while the reply comes in, and `Note` for each
        retry. It sets no deadline for the whole reply: the caller does.

        Raises:
            ModelError: the endpoint refused, failed or sent nonsense.
        """
        ...


class Toolbox(Protocol):
    """Tools that can be listed and called."""

    async def list_tools(self) -> Sequence[ToolSpec]:
        """List the tools that exist now.

        Raises:
            ToolServerError: the connection to the tool server is broken.
        """
        ...

    async def call(self, call: ToolCall) -> ToolResult:
        """Run one tool. A tool that fails, or does not exist, is a result with `is_error`.

        Raises:
            ToolServerError: the connection to the tool server is broken.
        """
        ...
