"""Find out where a model endpoint is and which models it has."""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import anyio
import httpx
from pydantic import BaseModel, ValidationError

from agent_client.errors import (
    ConfigError,
    MalformedReply,
    ModelError,
    ModelUnauthorized,
    ModelUnreachable,
)

LOCAL_PORTS: Mapping[int, str] = {
    30000: "SGLang",
    8000: "vLLM",
    1234: "LM Studio",
    11434: "Ollama",
    8080: "llama.cpp",
}
"""Default ports of local model servers, in the order of preference."""

PROBE_SECONDS = 0.3
"""For what a server says of itself beyond its list of models."""
LISTING_SECONDS = 1.0
"""For the list of models of a server on this machine: it may be busy. Where nothing listens, that
is known at once."""

_MAX_DOCUMENT_BYTES = 4_000_000
_OWNERS = {
    "sglang": "SGLang",
    "vllm": "vLLM",
    "llamacpp": "llama.cpp",
    "library": "Ollama",
    "organization_owner": "LM Studio",
}


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model that can be called."""

    base_url: str
    """Ends in "/v1"."""
    model: str
    server: str
    """Which software serves it, such as "SGLang": as it says itself, else as its port suggests."""


@dataclass(frozen=True, slots=True)
class ModelServer:
    """What is at an address where models may be."""

    base_url: str
    """Ends in "/v1"."""
    server: str
    """Its software: as it says itself, else as its port suggests."""
    models: tuple["ListedModel", ...] = ()
    """Everything that it lists."""
    failure: str = ""
    """Why it lists no model, on one line; "" where it does."""
    is_there: bool = True
    """Whether anything answers."""

    @property
    def chat_models(self) -> tuple[str, ...]:
        """The names of those that write, in its order."""
        return tuple(model.id for model in self.models if not model.is_embedding)


class _Meta(BaseModel):
    n_ctx: int | None = None
    n_ctx_train: int | None = None


class ListedModel(BaseModel):
    """One entry of an endpoint's list of models."""

    id: str
    owned_by: str | None = None
    max_model_len: int | None = None  # SGLang, vLLM
    context_length: int | None = None  # OpenRouter
    meta: _Meta | None = None  # llama.cpp

    @property
    def server(self) -> str:
        """Which software serves it, as it says itself; "" where it is not known."""
        return _OWNERS.get(self.owned_by or "", "")

    @property
    def context_tokens(self) -> int:
        """How many tokens prompt and reply may have together; 0 where it is not said."""
        meta = self.meta or _Meta()
        told = (self.max_model_len, self.context_length, meta.n_ctx, meta.n_ctx_train)
        return next((tokens for tokens in told if tokens and tokens > 0), 0)

    @property
    def is_embedding(self) -> bool:
        """Whether it is no chat model, to judge by its name."""
        return "embed" in self.id.lower()


class _Listing(BaseModel):
    data: list[ListedModel] | None = None


async def models_at(
    base_url: str, http: httpx.AsyncClient, *, api_key: str | None = None
) -> list[str]:
    """List the names of the models at an endpoint, in its order; can be empty.

    Raises:
        ModelUnreachable: no connection.
        MalformedReply: something answers that is not a model server.
        ModelError: the endpoint refuses, for example for want of a key.
    """
    return [model.id for model in await list_models(base_url, http, api_key=api_key)]


async def look_at_local(
    http: httpx.AsyncClient, *, ports: Mapping[int, str] = LOCAL_PORTS
) -> tuple[ModelServer, ...]:
    """Look at ports of this machine, all at once, for about a second at most.

    Args:
        http: for the requests; no key is sent, since any program may live there.
        ports: with the software that is usual at each.

    Returns:
        One entry for each port, in their order.
    """
    seen: dict[int, ModelServer] = {}

    async def look(port: int, server: str) -> None:
        seen[port] = await look_at(f"http://127.0.0.1:{port}/v1", http, server=server)

    async with anyio.create_task_group() as tasks:
        for port, server in ports.items():
            tasks.start_soon(look, port, server)
    return tuple(seen[port] for port in ports)


async def look_at(
    base_url: str,
    http: httpx.AsyncClient,
    *,
    server: str = "",
    api_key: str | None = None,
    seconds: float | None = None,
) -> ModelServer:
    """Look which models are at an address; that there are none is no error.

    Args:
        base_url: see `normalise_base_url`.
        http: for the request.
        server: its software, where it does not say so itself.
        api_key: of the endpoint.
        seconds: longest time; by default that for this machine.
    """
    seconds = LISTING_SECONDS if seconds is None else seconds
    try:
        with anyio.fail_after(seconds):
            models = tuple(await list_models(base_url, http, api_key=api_key))
    except TimeoutError:
        return ModelServer(base_url, server, failure=f"no list of models within {seconds:g} s")
    except ModelUnreachable as exc:
        is_there = not isinstance(exc.__cause__, httpx.ConnectError | httpx.ConnectTimeout)
        failure = exc.reason if is_there else "nothing answers"
        return ModelServer(base_url, server, failure=failure, is_there=is_there)
    except ModelError as exc:
        return ModelServer(base_url, server, failure=exc.reason)
    if not models:
        return ModelServer(base_url, server, failure="it lists no model: load one")
    said = next((model.server for model in models if model.server), server)
    has_chat = not all(model.is_embedding for model in models)
    failure = "" if has_chat else f"no model that writes: {models[0].id}"
    return ModelServer(base_url, said, models, failure)


async def find_local(
    http: httpx.AsyncClient, *, ports: Mapping[int, str] = LOCAL_PORTS
) -> FoundModel | None:
    """Look for a model server on this machine, for about a second at most.

    The first one of `ports` that lists a model wins, however late it answers. Embedding models do
    not count.
    """
    return first_model(await look_at_local(http, ports=ports))


def first_model(servers: Iterable[ModelServer]) -> FoundModel | None:
    """The model that is taken when none is named: the first that writes, of the first server."""
    for server in servers:
        if names := server.chat_models:
            return FoundModel(server.base_url, names[0], server.server)
    return None


def normalise_base_url(address: str) -> str:
    """Make a base URL that ends in an API version out of what a person types.

    `localhost:30000` becomes `http://localhost:30000/v1`. Without a scheme it is https only for a
    public name without a port. A pasted `…/chat/completions` is cut off.

    Raises:
        ConfigError: it is not an http(s) address, or has a user name, a query or a fragment.
    """
    text = address.strip()
    scheme, separator, rest = text.partition("://")
    if not separator:
        scheme, rest = ("http" if _is_private(text) else "https"), text
    scheme = scheme.lower()
    try:
        parts = urlsplit(f"{scheme}://{rest}")
        is_valid = bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_valid, parts = False, urlsplit("")
    if scheme not in ("http", "https") or not is_valid or any(map(str.isspace, text)):
        raise ConfigError(
            f"not an address of a model endpoint: {address!r}",
            hint="write it like http://localhost:30000/v1",
        )
    if parts.query or parts.fragment or "@" in parts.netloc:
        # the address is printed and recorded: a key must not hide in it
        raise ConfigError(
            "the address of a model endpoint has a user name, a query or a fragment",
            hint="give a key in SEEKLING_API_KEY",
        )
    path = parts.path.rstrip("/").removesuffix("/chat/completions").rstrip("/")
    has_version = any(_is_version(segment) for segment in path.split("/"))
    return f"{scheme}://{parts.netloc}{path if has_version else path + '/v1'}"


def _is_version(segment: str) -> bool:
    return segment[:1] == "v" and segment[1:2].isdecimal()


def _is_private(address: str) -> bool:
    """Whether an address without a scheme is more likely a machine at hand than a public site."""
    netloc = address.partition("/")[0]
    if ":" in netloc or "." not in netloc:
        return True
    try:
        ipaddress.ip_address(netloc)
    except ValueError:
        return netloc.endswith((".local", ".lan", ".internal", ".localhost"))
    return True


async def list_models(
    base_url: str, http: httpx.AsyncClient, *, api_key: str | None = None
) -> list[ListedModel]:
    """List the models at an endpoint with what it says of them; see `models_at`.

    Raises:
        ModelError: as for `models_at`.
    """
    status, body = await get_bounded(f"{base_url}/models", base_url, http, api_key=api_key)
    if status in (401, 403):
        hint = "set SEEKLING_API_KEY to the key of this endpoint"
        raise ModelUnauthorized(
            base_url, f"HTTP {status} for the list of models", status=status, hint=hint
        )
    if status != 200:
        reason = f"HTTP {status} for the list of models"
        raise ModelError(base_url, reason, status=status, retryable=status >= 500)
    try:
        return _Listing.model_validate_json(body).data or []
    except ValidationError as exc:
        raise MalformedReply(base_url, "the list of models is not one") from exc


async def get_bounded(
    url: str, base_url: str, http: httpx.AsyncClient, *, api_key: str | None = None
) -> tuple[int, bytes]:
    """Get a small document of a model server; gives the status and the body.

    Raises:
        ModelUnreachable: no connection.
        MalformedReply: the body has more than 4 MB.
    """
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    body = bytearray()
    try:
        async with http.stream("GET", url, headers=headers) as response:
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _MAX_DOCUMENT_BYTES:
                    raise MalformedReply(base_url, f"the document {url} is too long")
    except (httpx.RequestError, httpx.InvalidURL) as exc:
        raise ModelUnreachable(
            base_url,
            f"no connection: {exc or type(exc).__name__}",
            retryable=True,
            hint=f"start a model server at {base_url}, or give another address",
        ) from exc
    return response.status_code, bytes(body)
