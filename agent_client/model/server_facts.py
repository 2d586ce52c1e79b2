"""What a model server says of itself: the length of its context, its parsers, its template."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace

import anyio
import httpx
from pydantic import BaseModel, ValidationError

from agent_client.errors import ModelError
from agent_client.model.discovery import PROBE_SECONDS, get_bounded, list_models


@dataclass(frozen=True, slots=True)
class ServerFacts:
    """What is known of a model and of the server that has it; "" and 0 stand for unknown."""

    base_url: str
    """Ends in an API version, such as "/v1"."""
    model: str = ""
    models: tuple[str, ...] = ()
    """Everything that it serves, in its order."""
    server: str = ""
    """Its software as it says itself: "SGLang", "vLLM", "llama.cpp", "Ollama", "LM Studio"."""
    context_tokens: int = 0
    """How many tokens prompt and reply may have together, as it runs now; of a server that only
    knows what the model was made for, that."""
    model_type: str = ""
    """The architecture, such as "qwen3"; SGLang only."""
    tool_call_parser: str = ""
    """SGLang only; "" there means that calls are left in the text."""
    reasoning_parser: str = ""
    """SGLang only; "" there means that reasoning is left in the text."""
    tokenizer_path: str = ""
    """A folder on the server's machine or a name on a model hub; SGLang only."""
    chat_template: str = ""
    """The Jinja source; llama.cpp only."""


async def facts_about(
    base_url: str,
    http: httpx.AsyncClient,
    *,
    model: str = "",
    api_key: str | None = None,
    seconds: float = PROBE_SECONDS,
) -> ServerFacts:
    """Ask a server about itself.

    The list of models must be there. One or two documents more are asked for where the server has
    them; what cannot be had in time is left unknown.

    Args:
        base_url: see `discovery.normalise_base_url`.
        http: for the requests.
        model: which of its models is meant; "" for the first one that is no embedding model.
        api_key: of the endpoint.
        seconds: for everything but the list of models.

    Raises:
        ModelUnreachable: no connection.
        MalformedReply: something answers that is not a model server.
        ModelError: the endpoint refuses, for example for want of a key.
    """
    listed = await list_models(base_url, http, api_key=api_key)
    chats = [entry for entry in listed if not entry.is_embedding]
    entry = next((entry for entry in listed if entry.id == model), None)
    if entry is None and not model and chats:
        entry = chats[0]
    facts = ServerFacts(base_url, model, tuple(entry.id for entry in listed))
    if entry is None:
        return facts
    facts = replace(facts, model=entry.id, server=entry.server, context_tokens=entry.context_tokens)

    async def get(path: str) -> bytes:
        status, body = await get_bounded(root + path, base_url, http, api_key=api_key)
        return body if status == 200 else b""

    root = base_url.removesuffix("/v1")
    if (ask := _QUESTIONS.get(facts.server)) is not None:
        with anyio.move_on_after(seconds):
            try:
                return await ask(facts, get)
            except (ModelError, ValidationError):
                pass  # an older server, or a gateway that passes on only a part of its API
    return facts


_Get = Callable[[str], Awaitable[bytes]]
"""Gets a document below the server's root; b"" where it is not there."""


class _ModelInfo(BaseModel):
    model_type: str | None = None
    tool_call_parser: str | None = None
    reasoning_parser: str | None = None
    tokenizer_path: str | None = None


async def _ask_sglang(facts: ServerFacts, get: _Get) -> ServerFacts:
    # sglang-router knows the older name only
    body = await get("/model_info") or await get("/get_model_info")
    read = _ModelInfo.model_validate_json(body)
    return replace(
        facts,
        model_type=read.model_type or "",
        tool_call_parser=read.tool_call_parser or "",
        reasoning_parser=read.reasoning_parser or "",
        tokenizer_path=read.tokenizer_path or "",
    )


class _Defaults(BaseModel):
    n_ctx: int = 0


class _Props(BaseModel):
    default_generation_settings: _Defaults = _Defaults()
    chat_template: str = ""


async def _ask_llama_cpp(facts: ServerFacts, get: _Get) -> ServerFacts:
    read = _Props.model_validate_json(await get("/props"))
    tokens = read.default_generation_settings.n_ctx or facts.context_tokens
    return replace(facts, context_tokens=tokens, chat_template=read.chat_template)


class _RunningModel(BaseModel):
    name: str = ""
    context_length: int = 0


class _Running(BaseModel):
    models: list[_RunningModel] = []


async def _ask_ollama(facts: ServerFacts, get: _Get) -> ServerFacts:
    read = _Running.model_validate_json(await get("/api/ps"))
    return _with_context(facts, {model.name: model.context_length for model in read.models})


class _LoadedModel(BaseModel):
    id: str
    loaded_context_length: int = 0


class _Loaded(BaseModel):
    data: list[_LoadedModel] = []


async def _ask_lm_studio(facts: ServerFacts, get: _Get) -> ServerFacts:
    read = _Loaded.model_validate_json(await get("/api/v0/models"))
    return _with_context(facts, {model.id: model.loaded_context_length for model in read.data})


def _with_context(facts: ServerFacts, tokens_of: Mapping[str, int]) -> ServerFacts:
    tokens = tokens_of.get(facts.model) or facts.context_tokens
    return replace(facts, context_tokens=tokens)


_QUESTIONS: Mapping[str, Callable[[ServerFacts, _Get], Awaitable[ServerFacts]]] = {
    "SGLang": _ask_sglang,
    "llama.cpp": _ask_llama_cpp,
    "Ollama": _ask_ollama,
    "LM Studio": _ask_lm_studio,
}
