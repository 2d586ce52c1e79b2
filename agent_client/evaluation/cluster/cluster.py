"""The driver's side of a cluster: a `Solve` that lets nodes work, and stores what they tell."""

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Protocol

import anyio
import msgspec

from agent_client import __version__
from agent_client.errors import EvaluationError
from agent_client.evaluation.cluster.seats import Seats
from agent_client.evaluation.cluster.wire import (
    Broken,
    Ended,
    EventTold,
    Failed,
    NodePlan,
    Ready,
    ResultTold,
    Told,
    code_digest,
    facts_of,
    messages_of,
    packed,
    packed_episode,
    record_of,
)
from agent_client.evaluation.episode_record import EpisodeRecord, RecordedError
from agent_client.evaluation.ports import Episode, EpisodeJournal
from agent_client.evaluation.runner.episode import recorded_error, unfinished
from agent_client.events import ToolFinished
from agent_client.sessions.event_codec import EventReader, UnknownEvent

logger = logging.getLogger(__name__)

SILENCE_SECONDS = 30.0
"""A node that says nothing for so long, not even that there is nothing to say, counts as lost."""
OPENING_SECONDS = 120.0
"""Within which the first node has to be at work."""
NO_NODE_SECONDS = 120.0
"""How long an episode waits while no node is at work."""
RESTART_SECONDS = (1.0, 60.0)
"""Shortest and longest wait before a node that failed is replaced; it doubles each time."""
SAME_HINT = "install the same Seekling on all machines"
CLOSE_SECONDS = 5.0
"""Within which nodes that are told to close stop their episodes and what they have opened."""


class NodeFailed(Exception):
    """A node is lost, or cannot or must not work."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class Node(Protocol):
    """A `NodeWorker`, wherever it runs.

    What waits raises `NodeFailed` when the node is lost; what is sent to a lost node is lost.
    """

    async def hello(self) -> bytes:
        """See `NodeWorker.hello`; waits until the cluster has room for the node."""
        ...

    def serve(self, plan: bytes) -> None:
        """Begin `NodeWorker.serve`."""
        ...

    def start(self, ticket: int, episode: bytes) -> None:
        """Send for `NodeWorker.start`. What is sent arrives in order."""
        ...

    def cancel(self, ticket: int) -> None:
        """Send for `NodeWorker.cancel`."""
        ...

    async def take(self, received: int) -> bytes:
        """See `NodeWorker.take`."""
        ...

    def close(self) -> None:
        """Send for `NodeWorker.close`."""
        ...

    async def closed(self) -> None:
        """Wait until what `serve` began is over."""
        ...


StartNode = Callable[[], AbstractAsyncContextManager[Node]]
"""Asks for a node; it ends for good when the context is left."""

Tell = Callable[[str], None]
"""Takes one line about the nodes, for a person."""


def _tell_no_one(_: str) -> None:
    return None


@dataclass(slots=True)
class _Work:
    """An episode that a node works on."""

    journal: EpisodeJournal
    reader: EventReader = field(default_factory=EventReader)
    is_over: anyio.Event = field(default_factory=anyio.Event)
    record: EpisodeRecord | None = None
    error: RecordedError | None = None
    """Instead of a record."""

    def take(self, message: EventTold | ResultTold | Ended | Broken) -> None:
        """Store what was told."""
        match message:
            case Ended():
                self.record = record_of(message.record)
                self.is_over.set()
            case Broken():
                self.end(RecordedError(type=message.error, message=message.message))
            case EventTold() | ResultTold():
                try:
                    event = self.reader.read(message.line).event
                except UnknownEvent as exc:
                    logger.warning("an event of a node cannot be read: %s", exc)
                    return
                if isinstance(message, EventTold):
                    self.journal.emit(event)
                elif isinstance(event, ToolFinished):
                    self.journal.tool_returned(event.call, event.result)

    def end(self, error: RecordedError) -> None:
        """It is over without a record."""
        self.error = error
        self.is_over.set()


@dataclass(slots=True, eq=False)
class _Place:
    """A node that was greeted, until it is lost."""

    node: Node
    name: str
    works: dict[int, _Work] = field(default_factory=dict[int, _Work])
    was_at_work: bool = False
    is_lost: bool = False


class Cluster:
    """Nodes at work. Use `Cluster.open`."""

    def __init__(self, start_node: StartNode, plan: NodePlan, per_node: int, tell: Tell) -> None:
        self._start_node, self._plan, self._tell = start_node, packed(plan), tell
        self._seats = Seats[_Place](per_node)
        self._tickets = count(1)
        self._news = anyio.Event()
        self._failed = 0
        self._last_failure: NodeFailed | None = None

    @staticmethod
    @asynccontextmanager
    async def open(
        start_node: StartNode,
        plan: NodePlan,
        *,
        nodes: int,
        per_node: int,
        tell: Tell = _tell_no_one,
    ) -> "AsyncGenerator[Cluster]":
        """Start nodes, keep up their number, and end them afterwards.

        Args:
            start_node: asks for a node.
            plan: what each node works with.
            nodes: how many to ask for, at least 1; those for which there is no room come later.
            per_node: episodes that each works on at once, at least 1.
            tell: told when a node comes or goes.

        Raises:
            EvaluationError: no node can work, or none has come within `OPENING_SECONDS`.
        """
        cluster = Cluster(start_node, plan, per_node, tell)
        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:
            for _ in range(nodes):
                tasks.start_soon(cluster._keep_node)
            try:
                await cluster._wait_for_a_node(nodes)
                yield cluster
            except Exception as exc:  # noqa: BLE001
                failure = exc  # raised below, as the error it is and not in a group
            finally:
                tasks.cancel_scope.cancel()
        if failure is not None:
            raise failure

    async def solve(self, episode: Episode, journal: EpisodeJournal) -> EpisodeRecord:
        """Let a node work on an episode: a `Solve`.

        An episode whose node is lost ends with `infra_error`; what the node told is stored, so that
        the next attempt goes on from there, at another node.
        """
        try:
            data = packed_episode(episode)
        except ValueError as exc:
            return unfinished(episode, "infra_error", recorded_error(exc))
        place = await self._seat()
        if place is None:
            error = RecordedError(type="NoNode", message=f"no node for {NO_NODE_SECONDS:g} s")
            return unfinished(episode, "infra_error", error)
        ticket = next(self._tickets)
        work = place.works[ticket] = _Work(journal)
        try:
            place.node.start(ticket, data)
            await work.is_over.wait()
        except BaseException:
            place.node.cancel(ticket)
            raise
        finally:
            del place.works[ticket]
            self._seats.give_back(place)
        return work.record or unfinished(episode, "infra_error", work.error)

    async def _seat(self) -> "_Place | None":
        """Room at a node; None when there has been none at work for long."""
        while True:
            place = None
            with anyio.move_on_after(NO_NODE_SECONDS):
                place = await self._seats.take()
            if place is None and not self._seats.nodes:
                return None
            if place is not None and not place.is_lost:
                return place

    async def _wait_for_a_node(self, nodes: int) -> None:
        with anyio.move_on_after(OPENING_SECONDS):
            while not self._seats.nodes and self._failed < nodes:
                await self._news.wait()
        if self._seats.nodes:
            return
        if last := self._last_failure:
            raise EvaluationError(f"no node can work: {last}", hint=last.hint)
        raise EvaluationError(
            f"the cluster had no room for a node within {OPENING_SECONDS:g} s",
            hint="each takes one CPU; `ray status` shows what is free",
        )

    async def _keep_node(self) -> None:
        """Have one node at work, and another one when it is lost."""
        shortest, longest = RESTART_SECONDS
        wait = shortest
        while True:
            place: _Place | None = None
            try:
                async with self._start_node() as node:
                    place = _Place(node, await self._greet(node))
                    try:
                        await self._listen(place)
                    finally:
                        await self._leave(place)
            except NodeFailed as exc:
                self._failed += 1
                self._last_failure = exc
                self._change_news()
                self._tell(f"node {place.name} is lost: {exc}" if place else f"no node: {exc}")
            if place and place.was_at_work:
                wait = shortest
            await anyio.sleep(wait)
            wait = min(2 * wait, longest)

    async def _greet(self, node: Node) -> str:
        """The name of a node that may work here."""
        try:
            facts = facts_of(await node.hello())
        except msgspec.DecodeError as exc:
            raise NodeFailed("a node runs another version of Seekling", hint=SAME_HINT) from exc
        name = f"{facts.host}:{facts.pid}"
        if facts.code != code_digest():
            what = (
                f"Seekling {facts.seekling}, and this process {__version__}"
                if facts.seekling != __version__
                else f"other sources of Seekling {__version__} than this process"
            )
            raise NodeFailed(f"{name} runs {what}", hint=SAME_HINT)
        return name

    async def _listen(self, place: _Place) -> None:
        """Take what a node tells until it is lost, which raises `NodeFailed`."""
        place.node.serve(self._plan)
        received = 0
        while True:
            try:
                with anyio.fail_after(SILENCE_SECONDS):
                    batch = messages_of(await place.node.take(received))
                for message in batch:
                    self._take(place, message)
            except TimeoutError:
                raise NodeFailed(f"it said nothing for {SILENCE_SECONDS:g} s") from None
            except ValueError as exc:
                raise NodeFailed(f"it told nonsense: {exc}") from exc
            received += len(batch)

    def _take(self, place: _Place, message: Told) -> None:
        match message:
            case Ready():
                place.was_at_work = True
                self._seats.add(place)
                self._change_news()
                self._tell(f"node {place.name} is at work")
                return
            case Failed():
                raise NodeFailed(f"{message.error}: {message.message}", hint=message.hint)
            case _:
                pass
        if work := place.works.get(message.ticket):  # else it was cancelled
            work.take(message)

    async def _leave(self, place: _Place) -> None:
        """End a node, and give its episodes back."""
        self._seats.remove(place)
        place.is_lost = True
        error = RecordedError(type="NodeLost", message=f"the node {place.name} was lost")
        for work in place.works.values():
            work.end(error)
        with anyio.CancelScope(shield=True), anyio.move_on_after(CLOSE_SECONDS):
            place.node.close()
            with suppress(NodeFailed):
                await place.node.closed()

    def _change_news(self) -> None:
        self._news.set()
        self._news = anyio.Event()
