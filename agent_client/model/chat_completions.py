"""Call a model behind a chat-completions endpoint: SGLang, llama.cpp, vLLM and their like."""

from dataclasses import dataclass, replace

from agent_client.conversation import Message, ModelReply, ModelRequest
from agent_client.events import Emit
from agent_client.model.chat_template import made_safe
from agent_client.model.endpoint import Endpoint
from agent_client.model.qwen3_template import END_OF_TURN, render
from agent_client.model.wire import ChatReader, request_body

_QUESTION = Message("user", "")
_RESULT = Message("tool", "")
_CHARS_BEFORE = len(render((_QUESTION,), ()))
_CHARS_AFTER = len(render((_RESULT,), (), add_generation_prompt=False)) + len(f"{END_OF_TURN}\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatCompletions:
    """A model behind a chat-completions endpoint. Implements `ModelClient`.

    The server renders the conversation, so the `prompt` and the `completion` of a reply are
    estimates: what Qwen3's chat template would make of the messages. They serve to compare one
    turn with the next, in which the same template cancels out.
    """

    endpoint: Endpoint
    model: str
    context_tokens: int = 0
    """How many tokens prompt and reply may have together; 0 where it is not known."""

    @property
    def name(self) -> str:
        """The model's name, as the endpoint knows it."""
        return self.model

    async def complete(self, request: ModelRequest, *, emit: Emit) -> ModelReply:
        """Write the next message of the conversation; see `ModelClient.complete`.

        Raises:
            ModelError: see `Endpoint.stream_reply`.
        """
        messages = tuple(map(_safe, request.messages))
        safe = replace(request, messages=messages)
        reply = await self.endpoint.stream_reply(
            "chat/completions",
            request_body(safe, model=self.model),
            lambda: ChatReader(request),
            emit=emit,
        )
        prompt = render(messages, request.tools)
        return replace(reply, prompt=prompt, completion=_rendered(reply.message))


def _safe(message: Message) -> Message:
    """Break control tokens in what others wrote: the server's tokenizer would obey them."""
    return made_safe(message) if message.role in ("user", "tool") else message


def _rendered(message: Message) -> str:
    """What the template makes of a reply once something follows it, without the end of the turn."""
    whole = render((_QUESTION, message, _RESULT), (), add_generation_prompt=False)
    return whole[_CHARS_BEFORE : len(whole) - _CHARS_AFTER]
