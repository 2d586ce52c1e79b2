"""The composition root: the only place that builds models, tools and agents."""

import logging
import os
import re
import shlex
import shutil
import sys
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from agent_client.agent.agent import Agent
from agent_client.agent.limits import Prices
from agent_client.agent.profile import Profile
from agent_client.config import SECRETS, ClientConfig
from agent_client.engine import llama_cpp
from agent_client.errors import ConfigError, ToolServerError
from agent_client.events import Emit
from agent_client.model.chat_completions import ChatCompletions
from agent_client.model.chat_template import ChatTemplate, TemplateError
from agent_client.model.endpoint import Endpoint
from agent_client.model.guided import GuidedModel
from agent_client.model.lean_http import LeanHttp
from agent_client.model.pool import EndpointPool
from agent_client.model.prompt_tokens import PromptTokens
from agent_client.model.raw_completions import RawApi, RawCompletions
from agent_client.model.retries import RetryBudget, RetryPolicy
from agent_client.model.server_facts import ServerFacts
from agent_client.model.template_choice import template_for
from agent_client.model.transport import HttpxTransport
from agent_client.model_choice import (
    LocalFile,
    addresses,
    api_key,
    choose_model,
    looks_like_url,
)
from agent_client.ports import ModelClient, Toolbox
from agent_client.profiles import load_profile, with_overrides
from agent_client.profiles.sections import LimitsSection
from agent_client.service.recording import Recording, no_recording
from agent_client.sessions.store import SessionStore, sessions_directory
from agent_client.sessions.stored_session import Kind
from agent_client.tool_server.targets import HttpTarget, StdioTarget, Target
from agent_client.toolbox import McpToolbox

logger = logging.getLogger(__name__)

SERVER_SCRIPT = "seekling-mcp"
OWN_SERVER = f"{SERVER_SCRIPT} serve"
"""What is told of the server that comes with this client."""

_RAW_APIS: Mapping[str, RawApi] = {"SGLang": "generate", "llama.cpp": "llama_cpp"}
"""What raw mode speaks to each server; to all others `/v1/completions`."""

Tell = Callable[[str], None]
"""Takes one line about what is being set up."""


def _tell_no_one(_: str) -> None:
    return None


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
    async with (
        open_found_model(config, tell=tell) as model,
        open_tools(config, tell=tell) as tools,
    ):
        yield new_agent(config, profile, model, tools)


@asynccontextmanager
async def open_model(
    config: ClientConfig, *, tell: Tell = _tell_no_one
) -> AsyncGenerator[ModelClient]:
    """Find or start the model alone, as it is: not led step by step.

    Raises what `open_agent` raises for a model.
    """
    async with open_found_model(config, tell=tell) as model:
        yield model.client


def new_agent(config: ClientConfig, profile: Profile, model: "FoundModel", tools: Toolbox) -> Agent:
    """The agent of these settings, on a model and tools that are open."""
    return Agent(
        model=_guided(model, config),
        tools=tools,
        profile=profile,
        prices=_prices(config),
        writer=model.client,
    )


@asynccontextmanager
async def open_tools(
    config: ClientConfig,
    *,
    tell: Tell = _tell_no_one,
    environ: Mapping[str, str] | None = None,
) -> AsyncGenerator[McpToolbox]:
    """Start or connect to the tool server alone.

    Args:
        config: the settings.
        tell: told what is being set up.
        environ: of a server that we start; ours by default.

    Raises:
        ToolServerError: it does not start.
    """
    target = tool_server_target(config, os.environ if environ is None else environ)
    # Of our own server, where it lies says nothing that anybody wants to read with each question.
    tell(f"tools: {target if config.mcp else OWN_SERVER}")
    async with McpToolbox.open(target, call_seconds=config.limits.tool_seconds) as tools:
        yield tools


def session_recorder(config: ClientConfig, kind: Kind) -> Recording:
    """Opens a session for each question that a service works on, when runs are to be stored."""
    if not config.save:
        return no_recording
    store = SessionStore(sessions_directory(config.data_dir))

    @contextmanager
    def recorder(agent: Agent) -> Generator[Emit]:
        profile = agent.profile
        with store.start(
            kind,
            warn=logger.warning,
            model=agent.model.name,
            profile=profile.name,
            profile_digest=profile.digest,
        ) as session:
            yield session.emit

    return recorder


def open_http(config: ClientConfig) -> httpx.AsyncClient:
    """A client for the model's endpoint, to be used as a context manager."""
    # Behind a proxy all of the model's streams go through this client, however many they are.
    limits = httpx.Limits(max_connections=None)
    return httpx.AsyncClient(trust_env=_wants_proxy(config), limits=limits)


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
    return looks_like_url(config.model) and not all(
        re.search(r"(?i)//(localhost|127\.|\[::1\])", url) for url in addresses(config)
    )


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A model that is open, and what is known of it."""

    client: ModelClient
    guidance: str
    """How it is led unless the settings say otherwise."""
    wire: str
    """`embedded`, `chat` or `raw`."""
    endpoints: tuple[ServerFacts, ...] = ()
    """Empty for the embedded engine."""


Around = Callable[[str, ModelClient], ModelClient]
"""Puts something around the client of one endpoint, whose address it is given."""


def _as_it_is(_: str, client: ModelClient) -> ModelClient:
    return client


@asynccontextmanager
async def open_found_model(
    config: ClientConfig, *, tell: Tell = _tell_no_one, around: Around = _as_it_is
) -> AsyncGenerator[FoundModel]:
    """Find or start the model, as it is, with what is known of it.

    Args:
        config: the settings.
        tell: told what is being set up.
        around: puts something around the client of each endpoint, below what several have in
            common.

    Raises what `open_agent` raises for a model.
    """
    async with open_http(config) as http, LeanHttp() as lean:
        choice = await choose_model(config, http)
        if isinstance(choice, LocalFile):
            tell(f"model: {choice.name}, embedded, on the CPU")
            if config.wire == "raw" or config.template:
                tell("raw mode and templates are for servers: the embedded model is asked as it is")
            engine = config.engine
            async with llama_cpp.serve(
                choice.path, context_tokens=engine.context_tokens, threads=engine.threads or None
            ) as base_url:
                endpoint = Endpoint(transport=lean, base_url=base_url, sglang_extras=False)
                model = ChatCompletions(
                    endpoint=endpoint, model=choice.name, context_tokens=engine.context_tokens
                )
                yield FoundModel(around(base_url, model), choice.guidance, "embedded")
            return
        transport = HttpxTransport(http) if _has_proxy(config) else lean
        # Another endpoint can take over sooner than a dead one comes back.
        retry = RetryPolicy(tries=2) if len(choice) > 1 else RetryPolicy()
        budget = RetryBudget()
        clients = {
            facts.base_url: _client(
                facts,
                config,
                Endpoint(
                    transport=transport,
                    base_url=facts.base_url,
                    api_key=api_key(config),
                    sglang_extras=facts.server in ("", "SGLang"),
                    retry=retry,
                    budget=budget,
                ),
            )
            for facts in choice
        }
        for facts, client in zip(choice, clients.values(), strict=True):
            at = f"{facts.server} at " if facts.server else ""
            wire = ", raw" if isinstance(client, RawCompletions) else ""
            tell(f"model: {facts.model} ({at}{facts.base_url}{wire})")
        wire = "raw" if any(isinstance(it, RawCompletions) for it in clients.values()) else "chat"
        clients = {address: around(address, client) for address, client in clients.items()}
        (first, *others) = clients.values()
        yield FoundModel(
            EndpointPool(clients) if others else first, guidance="none", wire=wire, endpoints=choice
        )


def _has_proxy(config: ClientConfig) -> bool:
    names = ("http_proxy", "https_proxy", "all_proxy")
    is_set = any(os.environ.get(name) or os.environ.get(name.upper()) for name in names)
    return is_set and _wants_proxy(config)


def _client(facts: ServerFacts, config: ClientConfig, endpoint: Endpoint) -> ModelClient:
    """The client for an endpoint, in the wire mode that the settings and the server ask for."""
    template = _raw_template(facts, config)
    if template is None:
        return ChatCompletions(
            endpoint=endpoint, model=facts.model, context_tokens=facts.context_tokens
        )
    return RawCompletions(
        endpoint=endpoint,
        model=facts.model,
        template=template,
        api=_RAW_APIS.get(facts.server, "completions"),
        tokens=PromptTokens(endpoint, facts.model, template.stops),
        context_tokens=facts.context_tokens,
    )


def _raw_template(facts: ServerFacts, config: ClientConfig) -> ChatTemplate | None:
    """The template to render prompts with; None in chat mode.

    Raises:
        ConfigError: raw mode is asked for, and no template is known or usable.
    """
    is_led = config.guidance in ("staged", "schema")
    if config.wire == "chat" or (config.wire == "auto" and (facts.server != "SGLang" or is_led)):
        return None
    if config.wire == "raw" and facts.server == "Ollama":
        raise ConfigError(
            "raw mode does not work with Ollama: it puts its own template around every prompt",
            hint="use --wire chat",
        )
    try:
        return template_for(
            config.template or "auto",
            model=facts.model,
            model_type=facts.model_type,
            tokenizer=facts.tokenizer_path,
            served=facts.chat_template,
        )
    except TemplateError:
        if config.wire == "raw" or config.template:
            raise
        return None


def _guided(model: FoundModel, config: ClientConfig) -> ModelClient:
    mode = model.guidance if config.guidance == "auto" else config.guidance
    if mode == "none":
        return model.client
    return GuidedModel(
        model.client, "schema" if mode == "schema" else "staged", max_hops=config.max_hops
    )


def _prices(config: ClientConfig) -> Prices | None:
    prices = config.prices
    return Prices(**prices.model_dump()) if prices.prompt or prices.completion else None


def tool_server_target(config: ClientConfig, environ: Mapping[str, str]) -> Target:
    """What to start or connect to for the tools.

    A server that we start gets our environment without the keys of models, and without the token
    for a server at a URL.

    Raises:
        ToolServerError: no command is given and ours is not installed; or the token is malformed.
    """
    if re.match(r"(?i)https?://", config.mcp):
        token = config.tools_token
        return HttpTarget(config.mcp, token.get_secret_value() if token else "")
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
