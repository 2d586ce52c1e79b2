"""The composition root: the only place that builds models, tools and agents."""

import os
import re
import shlex
import shutil
import sys
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from agent_client.agent.agent import Agent
from agent_client.agent.limits import Prices
from agent_client.agent.profile import Profile
from agent_client.config import SECRETS, ClientConfig
from agent_client.engine import llama_cpp
from agent_client.engine.weights import (
    DEFAULT_MODEL,
    MODELS,
    is_verified,
    models_dir,
)
from agent_client.errors import ModelError, NoModel, ToolServerError
from agent_client.model.chat_completions import ChatCompletions
from agent_client.model.discovery import (
    LOCAL_PORTS,
    Endpoint,
    find_local,
    models_at,
    normalise_base_url,
)
from agent_client.model.guided import GuidedModel
from agent_client.ports import ModelClient
from agent_client.profiles import load_profile, with_overrides
from agent_client.profiles.sections import LimitsSection
from agent_client.toolbox import McpToolbox, StdioTarget, Target

EMBEDDED = "embedded"
"""The name for the default embedded model."""
SERVER_SCRIPT = "seekling-mcp"

EMBEDDED_GUIDANCE = "staged"
"""How the embedded models are led. Of the first nine demo questions the 1.5B answered eight so, and
five when it chose its steps itself (`schema`), which also took more than twice the time."""

Tell = Callable[[str], None]
"""Takes one line about what is being set up."""


def _tell_no_one(_: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class _LocalFile:
    """A model file for the embedded engine."""

    name: str
    path: Path
    guidance: str
    """How it is led unless the settings say otherwise."""


@asynccontextmanager
async def open_agent(config: ClientConfig, *, tell: Tell = _tell_no_one) -> AsyncGenerator[Agent]:
    """Find or start the model, start the tools, and close both afterwards.

    Args:
        config: the settings.
        tell: told what is being set up, for people who wait.

    Raises:
        ConfigError: the settings contradict each other, or the profile is malformed.
        NoModel: no model is configured, running, or there to be started.
        ModelError: the configured endpoint cannot be used.
        EngineError: the embedded engine does not start.
        ToolServerError: the MCP server does not start.
    """
    profile = chosen_profile(config)
    async with _opened(config, tell) as model, open_tools(config, tell=tell) as tools:
        yield Agent(
            model=_guided(model, config),
            tools=tools,
            profile=profile,
            prices=_prices(config),
            writer=model.client,
        )


@asynccontextmanager
async def open_model(
    config: ClientConfig, *, tell: Tell = _tell_no_one
) -> AsyncGenerator[ModelClient]:
    """Find or start the model alone, as it is: not led step by step.

    Raises what `open_agent` raises for a model.
    """
    async with _opened(config, tell) as model:
        yield model.client


@asynccontextmanager
async def open_tools(
    config: ClientConfig, *, tell: Tell = _tell_no_one
) -> AsyncGenerator[McpToolbox]:
    """Start or connect to the tool server alone.

    Raises:
        ToolServerError: it does not start.
    """
    target = tool_server_target(config, os.environ)
    tell(f"tools: {target}")
    async with McpToolbox.open(target, call_seconds=config.limits.tool_seconds) as tools:
        yield tools


def open_http(config: ClientConfig) -> httpx.AsyncClient:
    """A client for the model's endpoint, to be used as a context manager."""
    return httpx.AsyncClient(trust_env=_wants_proxy(config))


def chosen_profile(config: ClientConfig) -> Profile:
    """The profile of the settings, with what they change of it.

    Raises:
        ConfigError: there is no such profile, or it is malformed.
    """
    return with_overrides(
        load_profile(config.profile),
        sampling=config.sampling,
        limits=LimitsSection(**config.limits.model_dump(exclude={"tool_seconds"})),
        style=config.style,
        unknown_urls=config.unknown_urls,
    )


def _wants_proxy(config: ClientConfig) -> bool:
    """A model elsewhere is reached as the environment says; one on this machine is not proxied."""
    return _looks_like_url(config.model) and not re.search(
        r"(?i)//(localhost|127\.|\[::1\])", normalise_base_url(config.model)
    )


def _looks_like_url(model: str) -> bool:
    return "://" in model or re.fullmatch(r"[\w.-]+:\d{1,5}(/.*)?", model) is not None


async def _find_model(config: ClientConfig, http: httpx.AsyncClient) -> Endpoint | _LocalFile:
    if not config.model:
        found = await find_local(http, ports=LOCAL_PORTS)
        return found or _embedded_file(DEFAULT_MODEL, was_asked_for=False)
    if _looks_like_url(config.model):
        return await _endpoint_at(config, http)
    if config.model == EMBEDDED or config.model in MODELS:
        name = DEFAULT_MODEL if config.model == EMBEDDED else config.model
        return _embedded_file(name, was_asked_for=True)
    if config.model.endswith(".gguf"):
        return _named_file(config.model)
    return await _endpoint_serving(config.model, http)


async def _endpoint_at(config: ClientConfig, http: httpx.AsyncClient) -> Endpoint:
    base_url = normalise_base_url(config.model)
    if config.model_name:
        return Endpoint(base_url=base_url, model=config.model_name, server="")
    names = await models_at(base_url, http, api_key=_api_key(config))
    if not names:
        raise NoModel(f"the endpoint {base_url} lists no model", hint="name one with --model-name")
    return Endpoint(base_url=base_url, model=names[0], server="")


async def _endpoint_serving(name: str, http: httpx.AsyncClient) -> Endpoint:
    seen: list[str] = []
    for port, server in LOCAL_PORTS.items():
        base_url = f"http://127.0.0.1:{port}/v1"
        try:
            names = await models_at(base_url, http)
        except ModelError:
            continue
        if name in names:
            return Endpoint(base_url=base_url, model=name, server=server)
        seen += names
    served = f"local servers offer {', '.join(seen)}" if seen else "no local server answers"
    raise NoModel(
        f"no model named {name!r}: {served}",
        hint="--model takes a URL, the name of a served model, or one of:"
        f" {', '.join((EMBEDDED, *MODELS))}",
    )


def _named_file(name: str) -> _LocalFile:
    for path in (Path(name).expanduser(), models_dir() / name):
        if path.is_file():
            # A model that somebody chose for itself is taken to call tools on its own.
            return _LocalFile(name=path.stem, path=path.absolute(), guidance="none")
    raise NoModel(
        f"there is no model file {name!r}, neither here nor in {str(models_dir())!r}",
        hint="fetch one with: seekling engine pull --url URL --sha256 HEX",
    )


def _embedded_file(name: str, *, was_asked_for: bool) -> _LocalFile:
    file = MODELS[name]
    path = models_dir() / file.file_name
    if is_verified(path, file.sha256):
        return _LocalFile(name=name, path=path, guidance=EMBEDDED_GUIDANCE)
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


@dataclass(frozen=True, slots=True)
class _OpenedModel:
    client: ModelClient
    guidance: str
    """How it is led unless the settings say otherwise."""


@asynccontextmanager
async def _opened(config: ClientConfig, tell: Tell) -> AsyncGenerator[_OpenedModel]:
    async with open_http(config) as http:
        place = await _find_model(config, http)
        if isinstance(place, Endpoint):
            at = f"{place.server} at " if place.server else ""
            tell(f"model: {place.model} ({at}{place.base_url})")
            model = ChatCompletions(
                http=http, base_url=place.base_url, model=place.model, api_key=_api_key(config)
            )
            yield _OpenedModel(model, guidance="none")
            return
        tell(f"model: {place.name}, embedded, on the CPU")
        engine = config.engine
        async with llama_cpp.serve(
            place.path, context_tokens=engine.context_tokens, threads=engine.threads or None
        ) as base_url:
            model = ChatCompletions(
                http=http, base_url=base_url, model=place.name, sglang_extras=False
            )
            yield _OpenedModel(model, place.guidance)


def _guided(model: _OpenedModel, config: ClientConfig) -> ModelClient:
    mode = model.guidance if config.guidance == "auto" else config.guidance
    if mode == "none":
        return model.client
    return GuidedModel(
        model.client, "schema" if mode == "schema" else "staged", max_hops=config.max_hops
    )


def _prices(config: ClientConfig) -> Prices | None:
    prices = config.prices
    return Prices(**prices.model_dump()) if prices.prompt or prices.completion else None


def _api_key(config: ClientConfig) -> str | None:
    return config.api_key.get_secret_value() if config.api_key else None


def tool_server_target(config: ClientConfig, environ: Mapping[str, str]) -> Target:
    """What to start or connect to for the tools.

    A server that we start gets our environment without the model's key.

    Raises:
        ToolServerError: no command is given and ours is not installed.
    """
    if re.match(r"(?i)https?://", config.mcp):
        return config.mcp
    secrets = {name for names in SECRETS.values() for name in names}
    passed = {name: value for name, value in environ.items() if name not in secrets}
    return StdioTarget.parse(config.mcp or _own_server(), passed)


def _own_server() -> str:
    # Beside this interpreter first: a virtual environment that is not activated is not on PATH.
    beside = Path(sys.executable).parent
    found = shutil.which(SERVER_SCRIPT, path=str(beside)) or shutil.which(SERVER_SCRIPT)
    if not found:
        raise ToolServerError(
            SERVER_SCRIPT, "is not installed beside seekling", hint="name a server with --mcp"
        )
    return shlex.join([found, "serve"])
