"""How the turns of a conversation become the text that a model continues."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Protocol

from agent_client.conversation import Message, ToolCall, ToolSpec
from agent_client.errors import ConfigError
from agent_client.untrusted import neutralise


class TemplateError(ConfigError):
    """A chat template cannot be read, or cannot express what the raw mode needs."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            f"this chat template cannot be used in raw mode: {reason}",
            hint="use the chat mode, in which the server renders the prompt",
        )


class ChatTemplate(Protocol):
    """A chat template for a prompt that only ever grows at its end.

    An episode's prompt is `begin(…)`, then what the model wrote, then `extend(…)`, then what the
    model wrote, and so on. Control tokens in what others wrote (questions, tool results, what tool
    servers say of their tools) are broken by `untrusted.neutralise`; the system message is trusted.
    """

    @property
    def stops(self) -> tuple[str, ...]:
        """The texts that end the model's turn, the end-of-turn token first; at least one."""
        ...

    def begin(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> str:
        """Render a conversation up to the place where the model writes.

        Raises:
            TemplateError: the template cannot express it.
        """
        ...

    def extend(self, messages: Sequence[Message]) -> str:
        """Render what stands between the end of one completion and the next place to write.

        Args:
            messages: what came after the completion, at least one, in order.

        Raises:
            TemplateError: the template cannot express it, or would change what stands before.
        """
        ...


def made_safe(message: Message) -> Message:
    """Break the control tokens in a message that the template is about to render.

    The system message is ours and stays. Everything else was written by others, or, in a history
    without the model's own bytes, may repeat what they wrote.
    """
    if message.role == "system":
        return message
    text, reasoning = neutralise(message.text), neutralise(message.reasoning)
    calls = tuple(_safe_call(call) for call in message.tool_calls)
    if text == message.text and reasoning == message.reasoning and calls == message.tool_calls:
        return message
    return replace(message, text=text, reasoning=reasoning, tool_calls=calls)


def _safe_call(call: ToolCall) -> ToolCall:
    if "<" not in call.name and "<" not in str(call.arguments):
        return call  # by far the most
    safe = neutralise(json.dumps([call.name, dict(call.arguments)], ensure_ascii=False))
    name, arguments = json.loads(safe)
    return replace(call, name=name, arguments=arguments)


def safe_tools(tools: Sequence[ToolSpec]) -> list[ToolSpec]:
    """Break the control tokens in what a tool server says of its tools."""
    return [_safe_tool(tool) for tool in tools]


def _safe_tool(tool: ToolSpec) -> ToolSpec:
    said = (tool.name, tool.description, dict(tool.parameters))
    if "<" not in str(said):
        return tool
    return ToolSpec(*json.loads(neutralise(json.dumps(said, ensure_ascii=False))))


def message_json(
    message: Message, write_arguments: Callable[[dict[str, object]], object]
) -> dict[str, object]:
    """Write a message the way templates and chat-completions servers expect it.

    Reasoning goes back too: templates keep it within a tool loop. `write_arguments` gives those of
    a call: a mapping for templates, JSON text for servers.
    """
    body: dict[str, object] = {"role": message.role, "content": message.text}
    if message.reasoning:
        body["reasoning_content"] = message.reasoning
    if message.tool_calls:
        body["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {
                    "name": call.name,
                    "arguments": write_arguments(dict(call.arguments)),
                },
            }
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        body["tool_call_id"] = message.tool_call_id
    if message.name is not None:
        body["name"] = message.name
    return body


def tool_json(tool: ToolSpec) -> dict[str, object]:
    """Write a tool the way templates and chat-completions servers expect it."""
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": dict(tool.parameters),
    }
    return {"type": "function", "function": function}
