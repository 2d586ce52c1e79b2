"""The shipped agent on a node: what the driver sends of its settings, and what is opened there."""

import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import msgspec

from agent_client.agent.profile import Profile
from agent_client.app import new_agent, open_found_model, open_tools
from agent_client.config import SECRETS, SERVER_ENV_PREFIX, ClientConfig
from agent_client.evaluation.cluster.delivered_model import DeliveredModel
from agent_client.evaluation.cluster.node import Delivered
from agent_client.evaluation.cluster.wire import NodePlan
from agent_client.evaluation.ports import Solve
from agent_client.evaluation.runner.episode import EpisodeSettings, solver
from agent_client.evaluation.runner.pace import Paces
from agent_client.evaluation.runner.paced_model import PacedModel
from agent_client.evaluation.runner.progress import Progress
from agent_client.evaluation.web.episode_web import WebSettings
from agent_client.evaluation_app import tool_environment
from agent_client.ports import ModelClient
from agent_client.sessions.lenient_json import decoded, encoded, plain_value


class NodeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a node needs besides the episodes."""

    config: Mapping[str, Any]
    """Of `ClientConfig`, without secrets."""
    api_key: str | None
    """For the model."""
    tools_token: str | None
    """For an MCP server at a URL."""
    environment: Mapping[str, str]
    """Settings of our MCP server. Keys of search services are read on each node."""
    profile: Profile
    """As resolved on the driver: its file need not be on the nodes."""
    question_seconds: float
    allow_mirrors: bool
    per_node: int


def node_plan(
    config: ClientConfig,
    profile: Profile,
    *,
    question_seconds: float,
    allow_mirrors: bool,
    per_node: int,
    environ: Mapping[str, str],
) -> NodePlan:
    """What each node works with.

    Args:
        config: the settings; addresses and commands in them have to work on the nodes.
        profile: of the run.
        question_seconds: hard deadline of one episode.
        allow_mirrors: whether mirrors of benchmarks are shown, and only marked.
        per_node: episodes at once.
        environ: the driver's environment, of which the MCP server's settings go along.
    """
    settings = NodeSettings(
        config=config.model_dump(mode="json", exclude=set(SECRETS)),
        api_key=config.api_key.get_secret_value() if config.api_key else None,
        tools_token=config.tools_token.get_secret_value() if config.tools_token else None,
        environment={
            name: value for name, value in environ.items() if name.startswith(SERVER_ENV_PREFIX)
        },
        profile=profile,
        question_seconds=question_seconds,
        allow_mirrors=allow_mirrors,
        per_node=per_node,
    )
    opener = f"{open_node_agent.__module__}:{open_node_agent.__name__}"
    return NodePlan(opener=opener, settings=encoded(settings))


@asynccontextmanager
async def open_node_agent(settings: bytes, delivered: Delivered) -> AsyncGenerator[Solve]:
    """Open the agent: connections to the model, and an MCP server of the node's own.

    Raises what `agent_client.app.open_agent` raises.
    """
    told = decoded(settings, _SETTINGS)
    environ = tool_environment({**os.environ, **told.environment}, allow_mirrors=told.allow_mirrors)
    config = ClientConfig.model_validate(
        {**told.config, "api_key": told.api_key, "tools_token": told.tools_token}
    )
    paces = Paces(Progress(), most=told.per_node)

    def around(address: str, client: ModelClient) -> ModelClient:
        return PacedModel(client, paces.at(address))

    async with (
        open_found_model(config, around=around) as model,
        open_tools(config, environ=environ) as tools,
    ):
        agent = new_agent(config, told.profile, model, tools)
        agent = replace(agent, model=DeliveredModel(agent.model, delivered))
        yield solver(
            agent,
            EpisodeSettings(question_seconds=told.question_seconds),
            tools_for=WebSettings(allow_mirrors=told.allow_mirrors),
            search_pace=paces.at("search"),
        )


_SETTINGS = msgspec.json.Decoder(NodeSettings, dec_hook=plain_value)
