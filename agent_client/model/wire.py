"""The chat-completions JSON: requests that we send and stream chunks that come back."""

import json
from collections.abc import Collection
from dataclasses import dataclass, field

from pydantic import BaseModel, ValidationError

from agent_client.conversation import Message, ModelReply, ModelRequest, ToolCall, ToolSpec, Usage
from agent_client.model.reasoning import ReasoningSplitter, ShownText
from agent_client.model.tool_calls import (
    CALL_OPEN,
    ParsedText,
    new_call_id,
    parse_arguments,
    parse_tool_calls,
)

DROPPED_CALL = "(the server dropped a tool call that it could not read)"
"""Stands in `malformed_calls` for text that never reached us."""


def request_body(request: ModelRequest, *, model: str, request_id: str | None) -> dict[str, object]:
    """Build the body of a streaming request.

    All sampling parameters are named: what a server fills in differs between servers and even
    between checkpoints. `request_id` becomes SGLang's `rid`; None leaves it out.
    """
    sampling = request.sampling
    body: dict[str, object] = {
        "model": model,
        "messages": [message_json(message) for message in request.messages],
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
    if request_id is not None:
        body["rid"] = request_id
    if request.tools:
        body["tools"] = [tool_json(tool) for tool in request.tools]
    if request.response_schema is not None:
        schema = {"name": "reply", "schema": dict(request.response_schema), "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


def message_json(message: Message) -> dict[str, object]:
    """Render one message. Reasoning goes back too: templates keep it within a tool loop."""
    body: dict[str, object] = {"role": message.role, "content": message.text}
    if message.reasoning:
        body["reasoning_content"] = message.reasoning
    if message.tool_calls:
        body["tool_calls"] = [_call_json(call) for call in message.tool_calls]
    if message.tool_call_id is not None:
        body["tool_call_id"] = message.tool_call_id
    if message.name is not None:
        body["name"] = message.name
    return body


def _call_json(call: ToolCall) -> dict[str, object]:
    arguments = json.dumps(dict(call.arguments), ensure_ascii=False)
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }


def tool_json(tool: ToolSpec) -> dict[str, object]:
    """Render one tool offer."""
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": dict(tool.parameters),
    }
    return {"type": "function", "function": function}


# What comes back. A missing key and a null mean the same: servers mix both in one stream.


class _FunctionDelta(BaseModel):
    name: str | None = None
    arguments: str | dict[str, object] | None = None


class _CallDelta(BaseModel):
    index: int | None = None
    id: str | None = None
    function: _FunctionDelta | None = None


class _Delta(BaseModel):
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None  # OpenRouter's, Ollama's and newer vLLM's name of it
    tool_calls: list[_CallDelta] | None = None


class _Choice(BaseModel):
    index: int | None = None
    delta: _Delta | None = None
    message: _Delta | None = None  # a server that does not stream
    finish_reason: str | None = None


class _PromptDetails(BaseModel):
    cached_tokens: int | None = None


class _Usage(BaseModel):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: _PromptDetails | None = None


class Chunk(BaseModel):
    """One `data:` of the stream, or a whole reply."""

    choices: list[_Choice] | None = None
    usage: _Usage | None = None


class _ErrorDetail(BaseModel):
    message: str | None = None
    type: str | None = None
    code: int | str | None = None


class _ErrorBody(_ErrorDetail):
    object: str | None = None
    error: _ErrorDetail | str | None = None
    detail: str | None = None


@dataclass(frozen=True, slots=True)
class WireError:
    """An error as the server words it."""

    message: str
    type: str = ""
    code: int | None = None


def read_error(body: str | bytes) -> WireError | None:
    """Read an error in any of the usual shapes; None when the body is not an error.

    SGLang's is flat or `{"error": {…}}` or `{"error": "…"}`, FastAPI's has a `detail`.
    """
    try:
        read = _ErrorBody.model_validate_json(body)
    except ValidationError:
        return None
    if isinstance(read.error, str):
        return WireError(read.error)
    detail = read.error or (read if read.object == "error" else None)
    if detail is None:
        return WireError(read.detail) if read.detail else None
    code = str(detail.code or "")
    return WireError(
        detail.message or detail.type or "error without a message",
        detail.type or "",
        int(code) if code.isdecimal() else None,
    )


@dataclass(slots=True)
class _PartialCall:
    id: str = ""
    name: str = ""
    arguments: str = ""


@dataclass(slots=True)
class ReplyAssembler:
    """Puts the chunks of one stream together."""

    tool_names: Collection[str] = ()
    """The tools that were offered."""
    reads_calls: bool = True
    """Whether calls are looked for in the text; not when the text follows a schema of our own."""
    finish_reason: str | None = None
    """What the server said last; None until it says it."""
    has_begun: bool = False
    """Whether any token has arrived."""
    _usage: Usage | None = None
    _reasoning: list[str] = field(default_factory=list[str])
    _content: list[str] = field(default_factory=list[str])
    _calls: list[_PartialCall] = field(default_factory=list[_PartialCall])
    _call_at: dict[int, _PartialCall] = field(default_factory=dict[int, _PartialCall])
    _splitter: ReasoningSplitter = field(default_factory=ReasoningSplitter)
    _shown: ShownText = field(default_factory=lambda: ShownText(CALL_OPEN))

    def add(self, chunk: Chunk) -> tuple[str, str]:
        """Take one chunk; give the reasoning and the text in it that can be shown already."""
        if chunk.usage is not None:
            self._usage = _usage(chunk.usage)  # running totals: the last one counts
        reasoning = text = ""
        for choice in (chunk.choices or [])[:1]:
            self.finish_reason = choice.finish_reason or self.finish_reason
            delta = choice.delta or choice.message
            if delta is not None:
                reasoning, text = self._add_delta(delta)
        return reasoning, text

    def _add_delta(self, delta: _Delta) -> tuple[str, str]:
        reasoning = delta.reasoning_content or delta.reasoning or ""
        content = delta.content or ""
        if reasoning:
            self._reasoning.append(reasoning)
        if content:
            self._content.append(content)
        for position, call in enumerate(delta.tool_calls or []):
            self._add_call(position, call)
        self.has_begun = self.has_begun or bool(reasoning or content or delta.tool_calls)
        if not self._reasoning:  # else the server has separated it, and tags are data
            piece = self._splitter.feed(content)
            reasoning, content = piece.reasoning, piece.text
        return reasoning, self._shown.feed(content)

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
            call.arguments += arguments if isinstance(arguments, str) else json.dumps(arguments)

    def finish(self, request_id: str) -> ModelReply:
        """Build the reply from everything that was added; call it once, at the end."""
        content = "".join(self._content)
        if self._reasoning:
            reasoning, text = "".join(self._reasoning).strip(), content.strip()
        else:
            piece = self._splitter.finish()
            reasoning, text = piece.reasoning, piece.text
        calls, malformed = self._served_calls()
        if self.reads_calls:
            parsed = self._parse(text, () if calls or malformed else self.tool_names)
            if not (calls or malformed or parsed.calls or parsed.malformed or parsed.text):
                # the model never closed its reasoning, but what it ends in is a call
                inner = self._parse(reasoning, ())
                if inner.calls or inner.malformed:
                    reasoning, parsed = inner.text, ParsedText("", inner.calls, inner.malformed)
            text, calls = parsed.text, calls + parsed.calls
            malformed += parsed.malformed
        # Content that is only layout is what SGLang leaves of a call that it could not parse.
        is_hollow = bool(content) or self.finish_reason == "tool_calls"
        if self.tool_names and is_hollow and not (calls or malformed or text):
            malformed = (DROPPED_CALL,)
        finish_reason = self.finish_reason or "stop"
        return ModelReply(
            Message("assistant", text, reasoning, calls),
            "tool_calls" if calls and finish_reason == "stop" else finish_reason,
            self._usage,
            malformed,
            request_id,
        )

    def _parse(self, text: str, tool_names: Collection[str]) -> ParsedText:
        return parse_tool_calls(text, tool_names, is_complete=self.finish_reason != "length")

    def _served_calls(self) -> tuple[tuple[ToolCall, ...], tuple[str, ...]]:
        calls: list[ToolCall] = []
        malformed: list[str] = []
        for partial in self._calls:
            # cut off by the token limit, a call looks whole but has lost arguments (SGLang: "{}")
            is_whole = self.finish_reason != "length" and partial.name
            arguments = parse_arguments(partial.arguments) if is_whole else None
            if arguments is None:
                malformed.append(f'{{"name": "{partial.name}", "arguments": {partial.arguments}}}')
            else:
                calls.append(ToolCall(partial.id or new_call_id(), partial.name, arguments))
        return tuple(calls), tuple(malformed)


def _usage(read: _Usage) -> Usage:
    details = read.prompt_tokens_details
    cached = details.cached_tokens if details is not None else None
    return Usage(read.prompt_tokens or 0, read.completion_tokens or 0, cached or 0)
