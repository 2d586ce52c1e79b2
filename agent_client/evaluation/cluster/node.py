"""A node: works on the episodes that it is sent, and tells what happens.

Knows nothing of Ray: `ray_nodes` makes an actor of `NodeWorker`, tests call it directly.
"""

import logging
import os
import pkgutil
import socket
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field

import anyio
from anyio.abc import TaskGroup

from agent_client import __version__
from agent_client.conversation import ToolCall, ToolResult
from agent_client.evaluation.cluster.outbox import Outbox
from agent_client.evaluation.cluster.wire import (
    Broken,
    Ended,
    EventTold,
    Failed,
    NodeFacts,
    Ready,
    ResultTold,
    code_digest,
    episode_of,
    packed,
    packed_record,
    plan_of,
)
from agent_client.evaluation.ports import Solve
from agent_client.events import Event, ToolFinished
from agent_client.sessions.event_codec import EventWriter

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 5.0
"""A node with nothing to tell says that much this often."""

Delivered = Callable[[str], Awaitable[None]]
"""Waits until the driver has all that was told of the run with this id."""

Opener = Callable[[bytes, Delivered], AbstractAsyncContextManager[Solve]]
"""Opens what works on episodes, from its settings. Whoever wants at most one turn repeated after
the loss of a node awaits the second argument before each request to the model."""


class NodeWorker:
    """Works on episodes, several at once, with one `Solve`.

    All methods run in one event loop; `serve` runs for as long as the node works.
    """

    def __init__(self) -> None:
        self._outbox = Outbox()
        self._scopes: dict[int, anyio.CancelScope] = {}
        self._closing = anyio.Event()
        self._tasks: TaskGroup | None = None
        self._solve: Solve | None = None

    async def hello(self) -> bytes:
        """Who this is: packed `NodeFacts`."""
        facts = NodeFacts(
            seekling=__version__, code=code_digest(), host=socket.gethostname(), pid=os.getpid()
        )
        return packed(facts)

    async def serve(self, plan: bytes) -> None:
        """Open the `Solve`, say `Ready`, and work until `close`; or say `Failed`.

        Args:
            plan: a packed `NodePlan`.
        """
        try:
            told = plan_of(plan)
            opener: Opener = pkgutil.resolve_name(told.opener)
            async with (
                opener(told.settings, self._outbox.delivered) as self._solve,
                anyio.create_task_group() as self._tasks,
            ):
                self._outbox.put(Ready())
                await self._closing.wait()
                self._tasks.cancel_scope.cancel()
        except Exception as exc:
            logger.exception("this node works no more")
            hint = str(getattr(exc, "hint", ""))
            self._outbox.put(Failed(type(exc).__name__, str(exc), hint))

    async def start(self, ticket: int, episode: bytes) -> None:
        """Begin an episode.

        Args:
            ticket: stands for it in all messages; never used twice.
            episode: as `packed_episode` makes it.
        """
        if self._tasks is not None:
            self._scopes[ticket] = anyio.CancelScope()
            self._tasks.start_soon(self._work, ticket, episode)

    async def cancel(self, ticket: int) -> None:
        """Stop an episode, if it is at work."""
        if scope := self._scopes.get(ticket):
            scope.cancel()

    async def take(self, received: int) -> bytes:
        """A batch of messages: what came after the first `received`, which are the driver's now."""
        return packed(await self._outbox.take(received, HEARTBEAT_SECONDS))

    async def close(self) -> None:
        """Stop all episodes, and then close what `serve` has opened."""
        self._closing.set()

    async def _work(self, ticket: int, data: bytes) -> None:
        assert self._solve is not None  # episodes come after `Ready`
        run_id = ""
        try:
            with self._scopes[ticket]:
                episode = episode_of(data)
                run_id = episode.run_id
                journal = _TellingJournal(ticket, run_id, self._outbox)
                record = await self._solve(episode, journal)
                self._outbox.put(Ended(ticket, packed_record(record)))
        except Exception as exc:
            logger.exception("an episode broke")
            self._outbox.put(Broken(ticket, type(exc).__name__, str(exc)))
        finally:
            self._outbox.forget(run_id)
            del self._scopes[ticket]


@dataclass(slots=True)
class _TellingJournal:
    """Tells the driver what it is to store."""

    ticket: int
    run_id: str
    outbox: Outbox
    writer: EventWriter = field(default_factory=EventWriter)

    def emit(self, event: Event) -> None:
        """See `EpisodeJournal.emit`."""
        if line := self._line(event):
            self.outbox.put(EventTold(self.ticket, line), self.run_id)

    def tool_returned(self, call: ToolCall, result: ToolResult) -> None:
        """See `EpisodeJournal.tool_returned`."""
        if line := self._line(ToolFinished(call, result, 0.0)):
            self.outbox.put(ResultTold(self.ticket, line), self.run_id)

    def _line(self, event: Event) -> bytes | None:
        try:
            return self.writer.line(event, at="", seconds=0.0)
        except ValueError as exc:
            logger.warning("an event cannot be sent: %s", exc)
            return None
