"""Which model the settings mean: one or more endpoints, or a file for the embedded engine."""

import logging
import re
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from agent_client.config import ClientConfig
from agent_client.engine.weights import DEFAULT_MODEL, MODELS, is_verified, models_dir
from agent_client.errors import ConfigError, ModelError, ModelUnreachable, NoModel
from agent_client.model.discovery import LOCAL_PORTS, find_local, models_at, normalise_base_url
from agent_client.model.server_facts import ServerFacts, facts_about

logger = logging.getLogger(__name__)

EMBEDDED = "embedded"
"""The name for the default embedded model."""

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
        if (found := await find_local(http, ports=LOCAL_PORTS)) is None:
            return _embedded_file(DEFAULT_MODEL, was_asked_for=False)
        return (await facts_about(found.base_url, http, model=found.model),)
    if looks_like_url(config.model):
        return await _facts_at_all(addresses(config), config, http)
    if config.model == EMBEDDED or config.model in MODELS:
        name = DEFAULT_MODEL if config.model == EMBEDDED else config.model
        return _embedded_file(name, was_asked_for=True)
    if config.model.endswith(".gguf"):
        return _named_file(config.model)
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


async def _endpoint_serving(name: str, http: httpx.AsyncClient) -> ServerFacts:
    seen: list[str] = []
    for port in LOCAL_PORTS:
        base_url = f"http://127.0.0.1:{port}/v1"
        try:
            names = await models_at(base_url, http)
        except ModelError:
            continue
        if name in names:
            return await facts_about(base_url, http, model=name)
        seen += names
    served = f"local servers offer {', '.join(seen)}" if seen else "no local server answers"
    raise NoModel(
        f"no model named {name!r}: {served}",
        hint="--model takes a URL, the name of a served model, or one of:"
        f" {', '.join((EMBEDDED, *MODELS))}",
    )


def _named_file(name: str) -> LocalFile:
    for path in (Path(name).expanduser(), models_dir() / name):
        if path.is_file():
            # A model that somebody chose for itself is taken to call tools on its own.
            return LocalFile(name=path.stem, path=path.absolute(), guidance="none")
    raise NoModel(
        f"there is no model file {name!r}, neither here nor in {str(models_dir())!r}",
        hint="fetch one with: seekling engine pull --url URL --sha256 HEX",
    )


def _embedded_file(name: str, *, was_asked_for: bool) -> LocalFile:
    file = MODELS[name]
    path = models_dir() / file.file_name
    if is_verified(path, file.sha256):
        return LocalFile(name=name, path=path, guidance=EMBEDDED_GUIDANCE)
    if was_asked_for:
        raise NoModel(
            f"the embedded model {name!r} is not on this machine",
            hint=f"run: seekling engine pull {name}",
        )
    ports = ", ".join(f"{server} :{port}" for port, server in LOCAL_PORTS.items())
    raise NoModel(
        f"no model is configured, none answers on the usual local ports ({ports}), and the embedded"
        " one is not on this machine",
        hint="name an endpoint with --model URL, or run: seekling engine pull",
    )
