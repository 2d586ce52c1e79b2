"""The chat template of Qwen3 and of the models trained from it: ChatML with Hermes tool calls.

The format is that of the `chat_template` in the tokenizers of Qwen3-0.6B to Qwen3-235B (April
2025), II-Search-4B among their descendants; tested byte for byte against the original.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from operator import is_not

from agent_client.conversation import Message, ToolCall, ToolSpec
from agent_client.model.chat_template import made_safe, safe_tools, tool_json
from agent_client.model.json_text import plain_json

END_OF_TURN = "<|im_end|>"
GENERATION_PROMPT = "<|im_start|>assistant\n"

_TOOLS_INTRO = (
    "# Tools\n\nYou may call one or more functions to assist with the user query.\n\n"
    "You are provided with function signatures within <tools></tools> XML tags:\n<tools>"
)
_TOOLS_OUTRO = (
    "\n</tools>\n\nFor each function call, return a json object with function name and arguments "
    "within <tool_call></tool_call> XML tags:\n<tool_call>\n"
    '{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>'
)


def render(
    messages: Sequence[Message], tools: Sequence[ToolSpec], *, add_generation_prompt: bool = True
) -> str:
    """Render a whole conversation as the model's own template does, byte for byte.

    Reasoning is shown for the assistant turns after the last question only, which is why a further
    question changes what stands before it. `Message.raw` is not used and nothing is neutralised.

    Args:
        messages: in order; a system message stands first, if there is one.
        tools: what may be called; none leaves their block out.
        add_generation_prompt: whether to end where the model writes.
    """
    parts = [_head(messages, tools)]
    _add_turns(parts, messages)
    if add_generation_prompt:
        parts.append(GENERATION_PROMPT)
    return "".join(parts)


@dataclass(frozen=True, slots=True)
class Qwen3Template:
    """Qwen3's template for a prompt that only grows. Implements `ChatTemplate`."""

    stops: tuple[str, ...] = (END_OF_TURN, "<|endoftext|>", "<|im_start|>")

    def begin(self, messages: Sequence[Message], tools: Sequence[ToolSpec]) -> str:
        """Render a conversation up to the place where the model writes."""
        return render([made_safe(message) for message in messages], safe_tools(tools))

    def extend(self, messages: Sequence[Message]) -> str:
        """Render what stands between the end of one completion and the next place to write."""
        parts = [f"{END_OF_TURN}\n"]
        _add_turns(parts, [made_safe(message) for message in messages], is_start=False)
        parts.append(GENERATION_PROMPT)
        return "".join(parts)


def _head(messages: Sequence[Message], tools: Sequence[ToolSpec]) -> str:
    system = messages[0].text if messages and messages[0].role == "system" else None
    if not tools:
        return "" if system is None else f"<|im_start|>system\n{system}{END_OF_TURN}\n"
    start = "" if system is None else f"{system}\n\n"
    listed = _listed(tools)
    return f"<|im_start|>system\n{start}{_TOOLS_INTRO}{listed}{_TOOLS_OUTRO}{END_OF_TURN}\n"


_latest_listed: tuple[tuple[ToolSpec, ...], str] = ((), "")


def _listed(tools: Sequence[ToolSpec]) -> str:
    """The tools as lines of JSON; the last ones are remembered, as all turns of a run share them.

    The same tools are those of the same identity: what is equal, as 1 and 1.0 are, can be written
    in different ways.
    """
    global _latest_listed
    known, text = _latest_listed
    if len(known) != len(tools) or any(map(is_not, known, tools)):
        text = "".join(f"\n{plain_json(tool_json(tool))}" for tool in tools)
        _latest_listed = (tuple(tools), text)
    return text


def _add_turns(parts: list[str], messages: Sequence[Message], *, is_start: bool = True) -> None:
    """Append the turns to `parts`: long texts go there as they are and are copied only once."""
    last = len(messages) - 1
    questions = (i for i in range(last, -1, -1) if _is_question(messages[i]))
    last_question = next(questions, last if is_start else -1)
    for i, message in enumerate(messages):
        if message.role == "tool":
            if i == 0 or messages[i - 1].role != "tool":
                parts.append("<|im_start|>user")
            parts += ("\n<tool_response>\n", message.text, "\n</tool_response>")
            if i == last or messages[i + 1].role != "tool":
                parts.append(f"{END_OF_TURN}\n")
        elif message.role == "assistant":
            parts.append(_assistant_turn(message, i > last_question, is_last=i == last))
        elif message.role == "user" or i > 0 or not is_start:  # else it is in the head
            parts += (f"<|im_start|>{message.role}\n", message.text, f"{END_OF_TURN}\n")


def _is_question(message: Message) -> bool:
    """Whether a person wrote it, as the template tells: it is no wrapped tool result."""
    text = message.text
    return message.role == "user" and not (
        text.startswith("<tool_response>") and text.endswith("</tool_response>")
    )


def _assistant_turn(message: Message, is_after_question: bool, *, is_last: bool) -> str:
    reasoning, text = message.reasoning, message.text
    if not reasoning and "</think>" in text:
        before, *_, text = text.split("</think>")
        reasoning = before.rstrip("\n").split("<think>")[-1].lstrip("\n")
        text = text.lstrip("\n")
    calls = "\n".join(_call_block(call) for call in message.tool_calls)
    if calls and text:
        calls = f"\n{calls}"
    if is_after_question and (is_last or reasoning):
        reasoning = reasoning.strip("\n")
        text = f"<think>\n{reasoning}\n</think>\n\n" + text.lstrip("\n")
    return f"{GENERATION_PROMPT}{text}{calls}{END_OF_TURN}\n"


def _call_block(call: ToolCall) -> str:
    arguments = plain_json(dict(call.arguments))
    return f'<tool_call>\n{{"name": "{call.name}", "arguments": {arguments}}}\n</tool_call>'
