"""Which model the settings mean: one or more endpoints, or a file for the embedded engine."""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from agent_client.config import ClientConfig
from agent_client.engine.weights import DEFAULT_MODEL, MODELS, is_verified, models_dir
from agent_client.errors import ConfigError, ModelError, ModelUnreachable, NoModel
from agent_client.model.discovery import (
    LOCAL_PORTS,
    ModelServer,
    first_model,
    look_at_local,
    normalise_base_url,
)
from agent_client.model.server_facts import ServerFacts, facts_about

logger = logging.getLogger(__name__)

EMBEDDED = "embedded"
"""The name for the default embedded model."""

SERVER_NAMES = {
    "sglang": "SGLang",
    "vllm": "vLLM",
    "lmstudio": "LM Studio",
    "ollama": "Ollama",
    "llama.cpp": "llama.cpp",
}
"""Names for whatever answers at the usual port of that software on this machine."""

EMBEDDED_GUIDANCE = "staged"
"""How the embedded models are led. Of the first nine demo questions the 1.5B answered eight so, and
five when it chose its steps itself (`schema`), which also took more than twice the time."""


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A model file for the embedded engine."""

    name: str
    path: Path
    guidance: str
    """How it is led unless the settings say otherwise."""


Choice = tuple[ServerFacts, ...] | LocalFile
"""Endpoints that serve the same model, at least one; or a file."""


async def choose_model(config: ClientConfig, http: httpx.AsyncClient) -> Choice:
    """Find the model that the settings mean.

    Raises:
        ConfigError: an address is malformed.
        NoModel: no model is configured, running, or there to be started.
        ModelError: the configured endpoint cannot be used.
    """
    if not config.model:
        servers = await look_at_local(http, ports=LOCAL_PORTS)
        if (found := first_model(servers)) is None:
            return _embedded_file(DEFAULT_MODEL, servers)
        return (await facts_about(found.base_url, http, model=found.model),)
    if looks_like_url(config.model):
        return await _facts_at_all(addresses(config), config, http)
    if config.model == EMBEDDED or config.model in MODELS:
        name = DEFAULT_MODEL if config.model == EMBEDDED else config.model
        return _embedded_file(name)
    if config.model.endswith(".gguf"):
        return _named_file(config.model)
    if config.model in SERVER_NAMES:
        return (await _facts_at_server(config, http),)
    return (await _endpoint_serving(config.model, http),)


def looks_like_url(model: str) -> bool:
    """Whether a `--model` is one or more addresses, and not a name."""
    return "://" in model or re.match(r"[\w.-]+:\d{1,5}(/|,|$)", model) is not None


def addresses(config: ClientConfig) -> list[str]:
    """The base URLs of the settings' endpoints, once each.

    Raises:
        ConfigError: one is malformed.
    """
    parts = [part for part in re.split(r"[,\s]+", config.model) if part]
    if not parts:
        raise ConfigError("no model endpoint is named", hint="--model URL, or URL,URL")
    return list(dict.fromkeys(normalise_base_url(part) for part in parts))


def api_key(config: ClientConfig) -> str | None:
    """The key of the model's endpoint."""
    return config.api_key.get_secret_value() if config.api_key else None


async def _facts_at_all(
    base_urls: list[str], config: ClientConfig, http: httpx.AsyncClient
) -> tuple[ServerFacts, ...]:
    """What is known of each endpoint; one that is down is taken to be like the first that is not.

    All serve the same model, so the pool can leave it alone until it comes back.
    """
    answers: list[ServerFacts | ModelUnreachable] = []
    for base_url in base_urls:
        try:
            answers.append(await _facts_at(base_url, config, http))
        except ModelUnreachable as exc:
            answers.append(exc)
    known = next((answer for answer in answers if isinstance(answer, ServerFacts)), None)
    found: list[ServerFacts] = []
    for base_url, answer in zip(base_urls, answers, strict=True):
        if isinstance(answer, ServerFacts):
            found.append(answer)
        elif known is None:
            raise answer
        else:
            logger.warning("%s; the other endpoints go on without it", answer)
            found.append(replace(known, base_url=base_url))
    return tuple(found)


async def _facts_at(base_url: str, config: ClientConfig, http: httpx.AsyncClient) -> ServerFacts:
    try:
        facts = await facts_about(base_url, http, model=config.model_name, api_key=api_key(config))
    except ModelError:
        if config.model_name:  # it may list nothing; the first question will tell
            return ServerFacts(base_url, config.model_name)
        raise
    if not facts.model:
        raise NoModel(f"the endpoint {base_url} lists no model", hint="name one with --model-name")
    return facts


async def _facts_at_server(config: ClientConfig, http: httpx.AsyncClient) -> ServerFacts:
    """What is known of the server that was named by its software."""
    wanted = SERVER_NAMES[config.model]
    seen = await look_at_local(http, ports=usual_ports(wanted))
    if (found := first_model(seen)) is None:
        told = "; ".join(f"{server.base_url}: {server.failure}" for server in seen)
        raise NoModel(
            f"no model of {wanted} to talk to ({told})",
            hint="start it and load a model, or see what there is: seekling models",
        )
    return await facts_about(
        found.base_url, http, model=config.model_name or found.model, api_key=api_key(config)
    )


async def _endpoint_serving(name: str, http: httpx.AsyncClient) -> ServerFacts:
    servers = await look_at_local(http, ports=LOCAL_PORTS)
    seen = [(model.id, server.base_url) for server in servers for model in server.models]
    for model, base_url in seen:
        if model == name:
            return await facts_about(base_url, http, model=name)
    served = f"local servers offer {', '.join(model for model, _ in seen)}"
    raise NoModel(
        f"no model named {name!r}: {served if seen else 'no local server answers'}",
        hint="--model takes a URL, the name of a served model, or one of:"
        f" {', '.join((*SERVER_NAMES, EMBEDDED, *MODELS))}",
    )


def usual_ports(server: str) -> dict[int, str]:
    """The local ports at which this software is usual, as `look_at_local` takes them."""
    return {port: name for port, name in LOCAL_PORTS.items() if name == server}


def _named_file(name: str) -> LocalFile:
    for path in (Path(name).expanduser(), models_dir() / name):
        if path.is_file():
            # A model that somebody chose for itself is taken to call tools on its own.
            return LocalFile(name=path.stem, path=path.absolute(), guidance="none")
    raise NoModel(
        f"there is no model file {name!r}, neither here nor in {str(models_dir())!r}",
        hint="fetch one with: seekling engine pull --url URL --sha256 HEX",
    )


def _embedded_file(name: str, looked_at: Sequence[ModelServer] | None = None) -> LocalFile:
    """The file of an embedded model.

    Args:
        name: of the model.
        looked_at: the servers among which there was none, where no model was named.
    """
    if is_here(name):
        return LocalFile(name, models_dir() / MODELS[name].file_name, EMBEDDED_GUIDANCE)
    if looked_at is None:
        raise NoModel(
            f"the embedded model {name!r} is not on this machine",
            hint=f"run: seekling engine pull {name}",
        )
    raise NoModel(
        "no model is configured, and there is none on this machine",
        hint="run: seekling engine pull, or name one: seekling ask --model URL"
        " (to keep it: seekling config set model URL)",
        looked_at=[
            "--model, SEEKLING_MODEL, OPENAI_BASE_URL, settings file: not set",
            *(f"{it.server} {it.base_url.removesuffix('/v1')}: {it.failure}" for it in looked_at),
            f"embedded model {name}: not on this machine",
        ],
    )


def is_here(name: str) -> bool:
    """Whether the file of an embedded model is on this machine, as it should be."""
    file = MODELS[name]
    return is_verified(models_dir() / file.file_name, file.sha256)
