"""Which models there are at some addresses, and which of them call tools."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import anyio
import httpx

from agent_client.doctor.trial_call import TrialCall
from agent_client.errors import ModelError
from agent_client.model.discovery import ListedModel, ModelServer
from agent_client.model.server_facts import facts_about

MAX_TRIED = 3
"""Models of one server that are asked for a call: each costs seconds."""
MAX_LISTED = 30
"""Models of one server that are looked at: gateways list hundreds."""
FACTS_SECONDS = 1.0
_LOADS_ON_DEMAND = ("Ollama", "LM Studio")
"""These list what lies on the disk too; of what is loaded they tell the context."""
_TELL_MORE = (*_LOADS_ON_DEMAND, "llama.cpp")
"""These tell the context as it runs in another document than the list."""

Try = Callable[[ModelServer, str], Awaitable[TrialCall]]
"""Lets a model of a server try a call."""


@dataclass(frozen=True, slots=True)
class SurveyedModel:
    """One model that writes."""

    name: str
    context_tokens: int
    """How many tokens prompt and reply may have together; 0 where it is not told."""
    is_loaded: bool
    """Whether it is known to be in memory, or its server has nothing else."""
    trial: TrialCall | None = None
    """None where it was not asked."""


@dataclass(frozen=True, slots=True)
class SurveyedServer:
    """One address, and its models in the server's order."""

    found: ModelServer
    models: tuple[SurveyedModel, ...] = ()


async def survey(
    servers: Sequence[ModelServer],
    http: httpx.AsyncClient,
    *,
    api_key: str | None = None,
    try_call: Try | None = None,
) -> tuple[SurveyedServer, ...]:
    """Look at servers side by side; the models of one are asked one after another.

    A model that is not in memory is asked only where none of its server's is, and then only the
    first: each would take the memory of the machine for itself.

    Args:
        servers: from `discovery.look_at`.
        http: for what a server says of a model.
        api_key: of these servers.
        try_call: lets a model call a tool; None leaves that out.
    """
    seen: dict[int, SurveyedServer] = {}

    async def look(index: int, server: ModelServer) -> None:
        listed = [model for model in server.models if not model.is_embedding][:MAX_LISTED]
        models = [await _known(server, entry, http, api_key) for entry in listed]
        if try_call is not None:
            for place in _worth_a_try(models):
                trial = await try_call(server, models[place].name)
                models[place] = replace(models[place], trial=trial)
        seen[index] = SurveyedServer(server, tuple(models))

    async with anyio.create_task_group() as tasks:
        for index, server in enumerate(servers):
            tasks.start_soon(look, index, server)
    return tuple(seen[index] for index in range(len(servers)))


async def _known(
    server: ModelServer, entry: ListedModel, http: httpx.AsyncClient, api_key: str | None
) -> SurveyedModel:
    tokens = entry.context_tokens
    if server.server in _TELL_MORE:
        with suppress(ModelError):  # it was there a moment ago; the trial will tell
            facts = await facts_about(
                server.base_url, http, model=entry.id, api_key=api_key, seconds=FACTS_SECONDS
            )
            tokens = facts.context_tokens
    is_loaded = server.server not in _LOADS_ON_DEMAND or tokens > 0
    return SurveyedModel(entry.id, tokens, is_loaded)


def _worth_a_try(models: Sequence[SurveyedModel]) -> list[int]:
    loaded = [place for place, model in enumerate(models) if model.is_loaded]
    return loaded[:MAX_TRIED] or list(range(len(models)))[:1]
