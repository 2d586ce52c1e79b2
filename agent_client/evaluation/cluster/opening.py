"""Opens a `Solve` that works on the machines of a Ray cluster."""

import math
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from agent_client.agent.profile import Profile
from agent_client.config import ClientConfig
from agent_client.evaluation.cluster.cluster import Cluster, Tell
from agent_client.evaluation.cluster.node_agent import node_plan
from agent_client.evaluation.cluster.ray_nodes import joined_cluster
from agent_client.evaluation.ports import Solve

EPISODES_PER_NODE = 32
"""By default: what one agent and its MCP server take on one or two cores, with pages to read."""


@asynccontextmanager
async def open_ray_solve(
    address: str,
    config: ClientConfig,
    profile: Profile,
    *,
    question_seconds: float,
    allow_mirrors: bool,
    concurrency: int,
    per_node: int = EPISODES_PER_NODE,
    tell: Tell,
) -> AsyncGenerator[Solve]:
    """Join a cluster, and start as many nodes as it takes.

    Args:
        address: of the cluster; see `ray_nodes.joined_cluster`.
        config: the settings; addresses and commands in them have to work on all machines.
        profile: of the run.
        question_seconds: hard deadline of one episode.
        allow_mirrors: whether mirrors of benchmarks are shown, and only marked.
        concurrency: episodes at once in the whole cluster.
        per_node: episodes at once at one node, which takes one CPU of the cluster.
        tell: told when a node comes or goes.

    Raises:
        EvaluationError: Ray is not installed, there is no such cluster, or no node can work.
    """
    per_node = min(per_node, concurrency)
    plan = node_plan(
        config,
        profile,
        question_seconds=question_seconds,
        allow_mirrors=allow_mirrors,
        per_node=per_node,
        environ=os.environ,
    )
    nodes = math.ceil(concurrency / per_node)
    async with (
        joined_cluster(address) as start_node,
        Cluster.open(start_node, plan, nodes=nodes, per_node=per_node, tell=tell) as cluster,
    ):
        yield cluster.solve
