"""Call a model with a prompt that we render: SGLang's `/generate`, or `/v1/completions` elsewhere.

An episode is one growing buffer. What the model wrote goes back to the byte, and what comes after
it is put behind it, so that each prompt begins with the whole of the one before.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from agent_client.conversation import Message, ModelReply, ModelRequest, Sampling, ToolSpec
from agent_client.errors import BadModelRequest, ContextOverflow
from agent_client.events import Emit
from agent_client.model.chat_template import ChatTemplate, TemplateError
from agent_client.model.endpoint import Endpoint
from agent_client.model.prompt_tokens import Piece, PromptTokens
from agent_client.model.raw_reply import CompletionsReader, GenerateReader, RawReply
from agent_client.model.reply_parser import ReplyParser

RawApi = Literal["generate", "completions", "llama_cpp"]
"""`generate` is SGLang's own; `completions` is `/v1/completions` as SGLang and vLLM have it, and
`llama_cpp` the same with llama.cpp's name for the schema of a reply."""

MAX_EVENTS = 256
"""How many events SGLang may make of the longest reply that is asked for. Each of its events
repeats the whole reply: with one token each, 2,048 tokens would be a stream of 24 MB."""
MIN_EVENT_TOKENS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class RawCompletions:
    """A model that continues the prompts that we render. Implements `ModelClient`.

    Assistant messages with `raw` go in verbatim, by `token_ids` where the server can take tokens;
    others, of a history from elsewhere, are rendered by the template. Nothing is kept between
    calls but the ids of texts, so that one value serves any number of concurrent runs.
    """

    endpoint: Endpoint
    model: str
    template: ChatTemplate
    api: RawApi = "generate"
    tokens: PromptTokens | None = None
    """Sends token ids, where the server allows it; None always sends text."""
    context_tokens: int = 0
    """How many tokens prompt and reply may have together; 0 where it is not known."""

    @property
    def name(self) -> str:
        """The model's name, as the endpoint knows it."""
        return self.model

    async def complete(self, request: ModelRequest, *, emit: Emit) -> ModelReply:
        """Write the next message of the conversation; see `ModelClient.complete`.

        Raises:
            ContextOverflow: prompt and `max_tokens` do not fit the model; where the number of
                tokens is known it is raised before anything is sent.
            BadModelRequest: the chat template cannot express the conversation.
            ModelError: as `Endpoint.stream_reply`.
        """
        try:
            pieces = prompt_pieces(self.template, request.messages, request.tools)
        except TemplateError as exc:
            raise BadModelRequest(self.endpoint.base_url, str(exc), hint=exc.hint) from exc
        prompt = "".join(piece.text for piece in pieces)
        ids = None if self.tokens is None else await self.tokens.encode(pieces)
        if ids is not None:
            self._check_room(len(ids), request.sampling.max_tokens)
        stop_ids = self.tokens.stop_ids if self.tokens else frozenset[int]()
        stops = self.template.stops

        def new_reply() -> RawReply:
            parser = ReplyParser(
                request.tools,
                starts_in_reasoning=pieces[-1].text.rstrip().endswith("<think>"),
                reads_calls=request.response_schema is None,
            )
            return RawReply(prompt, stops, parser, stop_ids)

        address = self.endpoint.base_url
        if self.api == "generate":
            return await self.endpoint.stream_reply(
                "/generate",
                generate_body(request, prompt if ids is None else ids, stops),
                lambda: GenerateReader(new_reply(), address),
                emit=emit,
            )
        body = completions_body(request, prompt if ids is None else ids, stops, self.model)
        if self.api == "llama_cpp" and request.response_schema is not None:
            body["json_schema"] = dict(request.response_schema)  # a text in SGLang
        return await self.endpoint.stream_reply(
            "completions",
            body,
            lambda: CompletionsReader(new_reply()),
            emit=emit,
        )

    def _check_room(self, prompt_tokens: int, max_tokens: int) -> None:
        if 0 < self.context_tokens < prompt_tokens + max_tokens:
            raise ContextOverflow(
                self.endpoint.base_url,
                f"the prompt has {prompt_tokens:,} tokens and the reply may have {max_tokens:,}, "
                f"but the model takes {self.context_tokens:,} together",
                hint="shorten the conversation or lower max_tokens",
            )


def prompt_pieces(
    template: ChatTemplate, messages: Sequence[Message], tools: Sequence[ToolSpec]
) -> list[Piece]:
    """Put the prompt together: what the model wrote verbatim, the template around it.

    Raises:
        TemplateError: the template cannot express the conversation.
    """
    pieces: list[Piece] = []
    start = 0
    for position, message in enumerate(messages):
        if message.role == "assistant" and message.raw:
            between = messages[start:position]
            text = template.extend(between) if pieces else template.begin(between, tools)
            pieces += (Piece(text), Piece(message.raw, message.token_ids))
            start = position + 1
    rest = messages[start:]
    pieces.append(Piece(template.extend(rest) if pieces else template.begin(rest, tools)))
    return pieces


def generate_body(
    request: ModelRequest, prompt: str | list[int], stops: Sequence[str]
) -> dict[str, object]:
    """Build the body of a request to SGLang's `/generate`."""
    sampling = request.sampling
    params: dict[str, object] = {
        **_sampling_json(sampling),
        "max_new_tokens": sampling.max_tokens,
        "stop": list(stops),
        "skip_special_tokens": False,
        "spaces_between_special_tokens": False,
        "stream_interval": max(MIN_EVENT_TOKENS, sampling.max_tokens // MAX_EVENTS),
    }
    if sampling.seed is not None:
        params["sampling_seed"] = sampling.seed
    if request.response_schema is not None:
        params["json_schema"] = json.dumps(dict(request.response_schema))
    key = "text" if isinstance(prompt, str) else "input_ids"
    return {key: prompt, "sampling_params": params, "stream": True}


def completions_body(
    request: ModelRequest, prompt: str | list[int], stops: Sequence[str], model: str
) -> dict[str, object]:
    """Build the body of a request to `/v1/completions`.

    Servers pass over the fields that they do not know.
    """
    sampling = request.sampling
    body: dict[str, object] = {
        "model": model,
        "prompt": prompt,
        **_sampling_json(sampling),
        "repeat_penalty": sampling.repetition_penalty,  # llama.cpp's name of it
        "max_tokens": sampling.max_tokens,
        "stop": list(stops),
        "stream": True,
        "stream_options": {"include_usage": True},
        "skip_special_tokens": False,
        "spaces_between_special_tokens": False,
        "add_special_tokens": False,  # vLLM: a beginning-of-text token is the template's business
        "return_token_ids": True,
    }
    if sampling.seed is not None:
        body["seed"] = sampling.seed
    if request.response_schema is not None:
        schema = {"name": "reply", "schema": dict(request.response_schema), "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


def _sampling_json(sampling: Sampling) -> dict[str, object]:
    return {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "repetition_penalty": sampling.repetition_penalty,
    }
