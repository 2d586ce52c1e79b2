"""Nodes as actors of a Ray cluster. The only module that knows Ray, which is loaded when needed."""

import logging
import os
import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import anyio

from agent_client.errors import EvaluationError
from agent_client.evaluation.cluster.cluster import Node, NodeFailed, StartNode
from agent_client.evaluation.cluster.node import NodeWorker

CONNECT_SECONDS = 5.0
"""Within which the cluster's port has to answer; Ray itself tries for minutes."""
CALLS_AT_ONCE = 1_000
"""Of one actor: each episode begins with a short one, and two last."""
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",  # nothing is told to Ray's makers
    "RAY_IGNORE_UNHANDLED_ERRORS": "1",  # what a lost node was sent is lost with it
}
_HOST_AND_PORT = re.compile(r"(?:ray://)?(?P<host>[^/]+):(?P<port>\d{1,5})")


@asynccontextmanager
async def joined_cluster(address: str) -> AsyncGenerator[StartNode]:
    """Join a Ray cluster, and leave it afterwards; what was started there ends.

    Args:
        address: `HOST:PORT` of a cluster that this machine belongs to, `auto` for the one that runs
            here, `ray://HOST:PORT` through a Ray client server, or `local` to start one on this
            machine alone.

    Raises:
        EvaluationError: Ray is not installed, or there is no such cluster.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    _expect_ray()
    ray: Any = import_module("ray")
    logging.getLogger("ray").setLevel(logging.ERROR)  # it warns that we keep our signals
    # Ray reports the death of a machine on stdout, which is for results; we tell of it ourselves.
    worker: Any = import_module("ray._private.worker")
    worker._worker_logs_enabled = False
    await _check_port(address)
    # In a thread: it takes seconds, and leaves our handlers of signals alone there.
    join = partial(
        ray.init,
        address=address,
        include_dashboard=False,
        configure_logging=False,
        log_to_driver=False,
    )
    try:
        await anyio.to_thread.run_sync(join)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as exc:
        raise EvaluationError(f"the Ray cluster {address!r} cannot be joined: {exc}") from exc
    actor_class = ray.remote(
        num_cpus=1, max_restarts=0, max_concurrency=CALLS_AT_ONCE, scheduling_strategy="SPREAD"
    )(NodeWorker)

    @asynccontextmanager
    async def start_node() -> AsyncGenerator[Node]:
        actor = actor_class.remote()
        try:
            yield _RayNode(actor, ray.exceptions.RayError)
        finally:
            with suppress(ray.exceptions.RayError):
                ray.kill(actor)

    try:
        yield start_node
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(ray.shutdown)


async def expect_cluster(address: str) -> None:
    """See, without joining it, that there can be such a cluster.

    Raises:
        EvaluationError: Ray is not installed, or nothing answers at the address.
    """
    _expect_ray()
    await _check_port(address)


def _expect_ray() -> None:
    if find_spec("ray") is None:
        raise EvaluationError(
            "Ray is not installed", hint='install it with: pip install "seekling[ray]"'
        )


async def _check_port(address: str) -> None:
    if not (found := _HOST_AND_PORT.fullmatch(address)):
        return
    try:
        with anyio.fail_after(CONNECT_SECONDS):
            stream = await anyio.connect_tcp(found["host"], int(found["port"]))
            await stream.aclose()
    except (OSError, TimeoutError) as exc:
        raise EvaluationError(
            f"no Ray cluster answers at {address!r}",
            hint="start one with `ray start --head`, and join it on each machine with"
            " `ray start --address HOST:PORT`",
        ) from exc


class _RayNode:
    """A `Node` that is an actor."""

    def __init__(self, actor: Any, failure: type[Exception]) -> None:
        self._actor, self._failure = actor, failure
        self._serving: Any = None

    async def hello(self) -> bytes:
        return await self._result(self._actor.hello.remote())

    def serve(self, plan: bytes) -> None:
        self._serving = self._actor.serve.remote(plan)

    def start(self, ticket: int, episode: bytes) -> None:
        self._actor.start.remote(ticket, episode)

    def cancel(self, ticket: int) -> None:
        self._actor.cancel.remote(ticket)

    async def take(self, received: int) -> bytes:
        return await self._result(self._actor.take.remote(received))

    def close(self) -> None:
        self._actor.close.remote()

    async def closed(self) -> None:
        if self._serving is not None:
            await self._result(self._serving)

    async def _result(self, reference: Any) -> Any:
        try:
            return await reference
        except self._failure as exc:
            raise NodeFailed(_last_line(str(exc)) or type(exc).__name__) from exc


def _last_line(text: str) -> str:
    """What a report of Ray's comes to."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else ""
