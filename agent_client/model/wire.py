"""The chat-completions JSON: requests that we send and stream chunks that come back."""

import json

import msgspec

from agent_client.conversation import Message, ModelReply, ModelRequest, Usage
from agent_client.model.chat_template import message_json, tool_json
from agent_client.model.json_text import plain_json
from agent_client.model.reply_parser import ReplyParser, ServedCall, dropped_call


def request_body(request: ModelRequest, *, model: str) -> dict[str, object]:
    """Build the body of a streaming request.

    All sampling parameters are named: what a server fills in differs between servers and even
    between checkpoints.
    """
    sampling = request.sampling
    body: dict[str, object] = {
        "model": model,
        "messages": [message_json(message, plain_json) for message in request.messages],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "repetition_penalty": sampling.repetition_penalty,
        "repeat_penalty": sampling.repetition_penalty,  # llama.cpp's and Ollama's name of it
        "max_tokens": sampling.max_tokens,
    }
    if sampling.seed is not None:
        body["seed"] = sampling.seed
    if request.tools:
        body["tools"] = [tool_json(tool) for tool in request.tools]
    if request.response_schema is not None:
        schema = {"name": "reply", "schema": dict(request.response_schema), "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


# What comes back. A missing key and a null mean the same: servers mix both in one stream. msgspec
# reads a chunk in a fifth of pydantic's time, and a reply has hundreds.


class _FunctionDelta(msgspec.Struct):
    name: str | None = None
    arguments: str | dict[str, object] | None = None


class _CallDelta(msgspec.Struct):
    index: int | None = None
    id: str | None = None
    function: _FunctionDelta | None = None


class _Delta(msgspec.Struct):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None  # OpenRouter's, Ollama's and newer vLLM's name of it
    tool_calls: list[_CallDelta] | None = None


class _Choice(msgspec.Struct):
    delta: _Delta | None = None
    message: _Delta | None = None  # a server that does not stream
    finish_reason: str | None = None


class _PromptDetails(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None


class _Chunk(msgspec.Struct):
    """One `data:` of the stream, or a whole reply."""

    choices: list[_Choice] | None = None
    usage: _Usage | None = None


_CHUNKS = msgspec.json.Decoder(_Chunk)


def _read_chunk(payload: str) -> _Chunk:
    try:
        return _CHUNKS.decode(payload)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        pass
    try:
        # once more by the standard library, which reads lone surrogates; they become question marks
        mended = json.dumps(json.loads(payload), ensure_ascii=False).encode(errors="replace")
        return _CHUNKS.decode(mended)
    except (ValueError, RecursionError) as exc:
        raise ValueError("not a chunk of a chat completion") from exc


class _PartialCall:
    """A call of which fragments have arrived."""

    __slots__ = ("arguments", "id", "name")

    def __init__(self) -> None:
        self.id = self.name = ""
        self.arguments: list[str] = []


class ChatReader:
    """Reads the chunks of one chat completion. Implements `endpoint.ReplyReader`."""

    def __init__(self, request: ModelRequest) -> None:
        self.has_begun = False
        self.finish_reason: str | None = None
        self._tools = request.tools
        self._reads_calls = request.response_schema is None
        self._parser = ReplyParser(request.tools, reads_calls=self._reads_calls)
        self._usage: Usage | None = None
        self._calls: list[_PartialCall] = []
        self._call_at: dict[int, _PartialCall] = {}

    def take(self, payload: str) -> tuple[str, str]:
        """Take one chunk; see `ReplyReader.take`."""
        chunk = _read_chunk(payload)
        if chunk.usage is not None:
            self._usage = _usage(chunk.usage)  # running totals: the last one counts
        if not chunk.choices:
            return "", ""
        choice = chunk.choices[0]
        self.finish_reason = choice.finish_reason or self.finish_reason
        delta = choice.delta or choice.message
        return ("", "") if delta is None else self._add(delta)

    def _add(self, delta: _Delta) -> tuple[str, str]:
        reasoning = delta.reasoning_content or delta.reasoning or ""
        content = delta.content or ""
        for position, call in enumerate(delta.tool_calls or ()):
            self._add_call(position, call)
        self.has_begun = self.has_begun or bool(reasoning or content or delta.tool_calls)
        return self._parser.feed(content, reasoning=reasoning)

    def _add_call(self, position: int, delta: _CallDelta) -> None:
        index = position if delta.index is None else delta.index
        call = self._call_at.get(index)
        # Ollama sends every call with the index 0; only the id tells them apart
        if call is None or (delta.id and call.id and delta.id != call.id):
            call = self._call_at[index] = _PartialCall()
            self._calls.append(call)
        call.id = call.id or delta.id or ""
        if delta.function is not None:
            call.name = call.name or delta.function.name or ""
            arguments = delta.function.arguments or ""
            is_text = isinstance(arguments, str)
            call.arguments.append(arguments if is_text else json.dumps(arguments))

    def finish(self, request_id: str) -> ModelReply:
        """Build the reply; see `ReplyReader.finish`.

        `prompt` and `completion` are left empty: this does not know the conversation.
        """
        reason = self.finish_reason or "stop"
        served = [ServedCall(call.name, "".join(call.arguments), call.id) for call in self._calls]
        parsed = self._parser.finish(reason, served=served)
        malformed = parsed.malformed
        is_empty = not (parsed.text or parsed.calls or malformed)
        if is_empty and self._tools and self._reads_calls and reason in ("stop", "tool_calls"):
            malformed = (dropped_call(self._tools),)
        return ModelReply(
            Message("assistant", parsed.text, parsed.reasoning, parsed.calls),
            "tool_calls" if parsed.calls and reason == "stop" else reason,
            self._usage,
            malformed,
            request_id,
        )


def _usage(read: _Usage) -> Usage:
    details = read.prompt_tokens_details
    cached = details.cached_tokens if details is not None else None
    return Usage(read.prompt_tokens or 0, read.completion_tokens or 0, cached)
