"""Find out where a model endpoint is and which models it has."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import anyio
import httpx
from pydantic import BaseModel, ValidationError

from agent_client.errors import ConfigError, MalformedReply, ModelError, ModelUnreachable

LOCAL_PORTS: Mapping[int, str] = {
    30000: "SGLang",
    8000: "vLLM",
    1234: "LM Studio",
    11434: "Ollama",
    8080: "llama.cpp",
}
"""Default ports of local model servers, in the order of preference."""

PROBE_SECONDS = 0.3

_MAX_LISTING_BYTES = 4_000_000
_OWNERS = {
    "sglang": "SGLang",
    "vllm": "vLLM",
    "llamacpp": "llama.cpp",
    "library": "Ollama",
    "organization_owner": "LM Studio",
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A model that can be called."""

    base_url: str
    """Ends in "/v1"."""
    model: str
    server: str
    """Which software serves it, such as "SGLang": as it says itself, else as its port suggests."""


class _Model(BaseModel):
    id: str
    owned_by: str | None = None


class _Listing(BaseModel):
    data: list[_Model] | None = None


async def models_at(
    base_url: str, http: httpx.AsyncClient, *, api_key: str | None = None
) -> list[str]:
    """List the names of the models at an endpoint, in its order; can be empty.

    Raises:
        ModelUnreachable: no connection.
        MalformedReply: something answers that is not a model server.
        ModelError: the endpoint refuses, for example for want of a key.
    """
    return [model.id for model in await _list_models(base_url, http, api_key)]


async def find_local(
    http: httpx.AsyncClient, *, ports: Mapping[int, str] = LOCAL_PORTS
) -> Endpoint | None:
    """Look for a model server on this machine, at most 0.3 s.

    All ports are asked at once; the first one of `ports` that lists a model wins, however late it
    answers. Embedding models do not count.
    """
    found: dict[int, Endpoint] = {}

    async def probe(port: int, server: str) -> None:
        base_url = f"http://127.0.0.1:{port}/v1"
        with anyio.move_on_after(PROBE_SECONDS):
            try:
                models = await _list_models(base_url, http, None)
            except ModelError:
                return  # any other program may live at these ports
            for model in models:
                if "embed" not in model.id.lower():
                    name = _OWNERS.get(model.owned_by or "", server)
                    found[port] = Endpoint(base_url, model.id, name)
                    return

    async with anyio.create_task_group() as tasks:
        for port, server in ports.items():
            tasks.start_soon(probe, port, server)
    return next((found[port] for port in ports if port in found), None)


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


async def _list_models(base_url: str, http: httpx.AsyncClient, api_key: str | None) -> list[_Model]:
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    body = b""
    try:
        async with http.stream("GET", f"{base_url}/models", headers=headers) as response:
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > _MAX_LISTING_BYTES:
                    raise MalformedReply(base_url, "the list of models is too long")
    except (httpx.RequestError, httpx.InvalidURL) as exc:
        raise ModelUnreachable(
            base_url,
            f"no connection: {exc or type(exc).__name__}",
            retryable=True,
            hint=f"start a model server at {base_url}, or give another address",
        ) from exc
    if response.status_code != 200:
        has_key_problem = response.status_code in (401, 403)
        raise ModelError(
            base_url,
            f"HTTP {response.status_code} for the list of models",
            status=response.status_code,
            retryable=response.status_code >= 500,
            hint="set SEEKLING_API_KEY to the key of this endpoint" if has_key_problem else "",
        )
    try:
        return _Listing.model_validate_json(body).data or []
    except ValidationError as exc:
        raise MalformedReply(base_url, "the list of models is not one") from exc
