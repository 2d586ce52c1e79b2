"""Nodes in this process: what a cluster does with episodes, and with nodes that fail."""

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial

import anyio
import pytest
from anyio.abc import TaskGroup

from agent_client.conversation import ToolCall, ToolResult
from agent_client.errors import EvaluationError, ToolServerError
from agent_client.evaluation.cluster import cluster as cluster_module
from agent_client.evaluation.cluster import node as node_module
from agent_client.evaluation.cluster.cluster import Cluster, Node, NodeFailed
from agent_client.evaluation.cluster.delivered_model import DeliveredModel
from agent_client.evaluation.cluster.node import Delivered, NodeWorker
from agent_client.evaluation.cluster.wire import NodeFacts, NodePlan, facts_of, packed
from agent_client.evaluation.episode_record import EpisodeRecord, RecordedError
from agent_client.evaluation.ports import Episode, EpisodeJournal, Solve
from agent_client.evaluation.runner.episode import EpisodeSettings, solver
from agent_client.events import Event, ModelReplied
from tests.support.episodes import (
    MemoryJournal,
    StepTools,
    TurnModel,
    episode,
    evaluated,
    question,
    researching,
)

OPENER = f"{__name__}:open_solve"
PLAN = NodePlan(opener=OPENER, settings=b"")
STEPS = researching()
SETTINGS = EpisodeSettings(question_seconds=30.0)


@dataclass
class Machines:
    """What the nodes of one test work with; they are all in this process."""

    model: TurnModel = field(default_factory=lambda: TurnModel(STEPS))
    tools: StepTools = field(default_factory=StepTools)
    opening_error: Exception | None = None
    solve: Solve | None = None
    """Instead of the agent's."""
    started: list["LocalNode"] = field(default_factory=list["LocalNode"])
    change_facts: Callable[[bytes], bytes] = lambda facts: facts
    told: list[str] = field(default_factory=list[str])

    tasks: TaskGroup | None = None

    @asynccontextmanager
    async def start_node(self) -> AsyncGenerator[Node]:
        assert self.tasks is not None
        node = LocalNode(NodeWorker(), self.tasks, self.change_facts)
        self.started.append(node)
        try:
            yield node
        finally:
            node.kill()

    @asynccontextmanager
    async def cluster(self, *, nodes: int = 1, per_node: int = 4) -> AsyncGenerator[Cluster]:
        global _machines
        _machines = self
        async with (
            anyio.create_task_group() as self.tasks,
            Cluster.open(
                self.start_node, PLAN, nodes=nodes, per_node=per_node, tell=self.told.append
            ) as cluster,
        ):
            yield cluster


_machines = Machines()


@asynccontextmanager
async def open_solve(_: bytes, delivered: Delivered) -> AsyncGenerator[Solve]:
    machines = _machines
    if machines.opening_error:
        raise machines.opening_error
    agent = evaluated(machines.model, machines.tools)
    agent = replace(agent, model=DeliveredModel(agent.model, delivered))
    yield machines.solve or solver(agent, SETTINGS)


@dataclass(eq=False)
class LocalNode:
    """A node that can be killed."""

    worker: NodeWorker
    tasks: TaskGroup
    change_facts: Callable[[bytes], bytes]
    scopes: list[anyio.CancelScope] = field(default_factory=list[anyio.CancelScope])
    is_dead: anyio.Event = field(default_factory=anyio.Event)
    is_closed: anyio.Event = field(default_factory=anyio.Event)
    is_mute: bool = False

    def kill(self) -> None:
        self.is_dead.set()
        for scope in self.scopes:
            scope.cancel()

    async def hello(self) -> bytes:
        return self.change_facts(await self.worker.hello())

    def serve(self, plan: bytes) -> None:
        async def serve() -> None:
            await self.worker.serve(plan)
            self.is_closed.set()

        self._send(serve)

    def start(self, ticket: int, episode: bytes) -> None:
        self._send(partial(self.worker.start, ticket, episode))

    def cancel(self, ticket: int) -> None:
        self._send(partial(self.worker.cancel, ticket))

    async def take(self, received: int) -> bytes:
        if self.is_mute:
            await anyio.sleep_forever()
        batch = b""
        async with anyio.create_task_group() as tasks:

            async def take() -> None:
                nonlocal batch
                batch = await self.worker.take(received)
                tasks.cancel_scope.cancel()

            tasks.start_soon(take)
            await self.is_dead.wait()
            tasks.cancel_scope.cancel()
        if self.is_dead.is_set():
            raise NodeFailed("killed")
        return batch

    def close(self) -> None:
        self._send(self.worker.close)

    async def closed(self) -> None:
        if not self.is_dead.is_set():
            await self.is_closed.wait()

    def _send(self, method: Callable[[], Awaitable[None]]) -> None:
        async def run() -> None:
            with anyio.CancelScope() as scope:
                self.scopes.append(scope)
                if not self.is_dead.is_set():
                    await method()

        self.tasks.start_soon(run)


@pytest.fixture(autouse=True)
def nodes_come_back_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "RESTART_SECONDS", (0.0, 0.0))


async def solved_here(asked: Episode) -> tuple[EpisodeRecord, MemoryJournal]:
    journal = MemoryJournal()
    solve = solver(evaluated(TurnModel(STEPS), StepTools()), SETTINGS)
    return await solve(asked, journal), journal


async def refusal_of(machines: Machines) -> EvaluationError:
    with pytest.RaisesGroup(EvaluationError) as caught:  # the group is that of `cluster` here
        async with machines.cluster(nodes=2):
            pass
    (error,) = caught.value.exceptions
    assert isinstance(error, EvaluationError)
    return error


def timeless(record: EpisodeRecord) -> dict[str, object]:
    times = {"started", "ended", "seconds", "model_seconds", "tool_seconds"}
    return {name: getattr(record, name) for name in record.__struct_fields__ if name not in times}


async def test_a_node_does_what_would_be_done_here() -> None:
    machines = Machines()
    expected, stored = await solved_here(episode())
    journal = MemoryJournal()
    async with machines.cluster() as cluster:
        record = await cluster.solve(episode(), journal)
    assert timeless(record) == timeless(expected)
    assert [type(event) for event in journal.events] == [type(event) for event in stored.events]
    assert journal.earlier().replies == stored.earlier().replies
    assert journal.earlier().results == stored.earlier().results


async def test_episodes_go_to_the_node_with_the_least_work() -> None:
    machines = Machines()
    async with machines.cluster(nodes=3, per_node=2) as cluster:
        async with anyio.create_task_group() as tasks:
            for number in range(12):
                asked = episode(f"q{number}", run_id=f"{number:032x}")
                tasks.start_soon(cluster.solve, asked, MemoryJournal())
        assert len(machines.started) == 3
    assert len(machines.model.requests) == 12 * len(STEPS)
    assert sum("is at work" in line for line in machines.told) == 3


async def test_a_lost_node_costs_its_episodes_one_turn_and_another_one_goes_on() -> None:
    machines = Machines()
    second = MemoryJournal()

    class KillsInTurnThree(MemoryJournal):
        def emit(self, event: Event) -> None:
            super().emit(event)
            if isinstance(event, ModelReplied) and event.turn == 2:
                machines.started[0].kill()

    first = KillsInTurnThree()
    async with machines.cluster() as cluster:
        lost = await cluster.solve(episode(), first)
        record = await cluster.solve(replace(episode(), attempt=2, earlier=first.earlier()), second)
    expected, _ = await solved_here(episode())
    assert (lost.status, lost.error and lost.error.type) == ("infra_error", "NodeLost")
    assert len(first.earlier().replies) == 2
    assert (record.status, record.answer) == ("ok", expected.answer)
    assert record.continued_turns == 2
    assert len(machines.model.requests) <= len(STEPS) + 1
    assert len(machines.started) == 2


async def test_a_turn_begins_when_the_driver_has_the_turn_before() -> None:
    machines = Machines()
    journal = MemoryJournal()
    had: list[int] = []

    def count() -> Exception | None:
        had.append(len(journal.earlier().replies))
        return None

    machines.model.fault = count
    async with machines.cluster() as cluster:
        await cluster.solve(episode(), journal)
    assert had == [0, 1, 2, 3]


async def test_a_cancelled_episode_ends_at_its_node_and_frees_its_place() -> None:
    stopped = anyio.Event()
    begun = anyio.Event()

    async def solve(asked: Episode, _: EpisodeJournal) -> EpisodeRecord:
        if asked.question.id == "q1":
            begun.set()
            try:
                await anyio.sleep_forever()
            finally:
                stopped.set()
        return EpisodeRecord(id=asked.question.id, status="ok", question="", answers=("a",))

    machines = Machines(solve=solve)
    async with machines.cluster(per_node=1) as cluster:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(cluster.solve, episode(), MemoryJournal())
            await begun.wait()
            tasks.cancel_scope.cancel()
        with anyio.fail_after(5):
            await stopped.wait()
        record = await cluster.solve(episode("q2"), MemoryJournal())
    assert record.id == "q2"


async def test_a_broken_episode_leaves_the_others_alone() -> None:
    async def solve(asked: Episode, _: EpisodeJournal) -> EpisodeRecord:
        if asked.question.id == "bad":
            raise RuntimeError("a bug")
        return EpisodeRecord(id=asked.question.id, status="ok", question="", answers=("a",))

    machines = Machines(solve=solve)
    async with machines.cluster() as cluster:
        bad = await cluster.solve(episode("bad"), MemoryJournal())
        good = await cluster.solve(episode("good"), MemoryJournal())
    assert (bad.status, bad.error) == (
        "infra_error",
        RecordedError(type="RuntimeError", message="a bug"),
    )
    assert good.status == "ok"
    assert len(machines.started) == 1


async def test_a_question_that_cannot_be_sent_ends_alone() -> None:
    nested: object = 1
    for _ in range(5_000):
        nested = [nested]
    asked = replace(episode(), question=replace(question(), fields={"deep": nested}))
    async with Machines().cluster() as cluster:
        record = await cluster.solve(asked, MemoryJournal())
    assert (record.status, record.error and record.error.type) == ("infra_error", "ValueError")


async def test_any_text_travels() -> None:
    async def solve(asked: Episode, journal: EpisodeJournal) -> EpisodeRecord:
        call = ToolCall("c", "web_visit", {"url": asked.question.id})
        journal.tool_returned(call, ToolResult("c", "web_visit", asked.question.question))
        return EpisodeRecord(
            id=asked.question.id, status="ok", question=asked.question.question, answers=("a",)
        )

    text = "half \ud800 of a pair,\n\x00 and \U0001f600"
    asked = replace(episode(), question=replace(question(text, text), fields={"n": [1, None]}))
    journal = MemoryJournal()
    async with Machines(solve=solve).cluster() as cluster:
        record = await cluster.solve(asked, journal)
    assert (record.id, record.question) == (text, text)
    assert journal.returned[0].arguments == {"url": text}


async def test_a_node_with_other_sources_is_refused() -> None:
    def change(facts: bytes) -> bytes:
        told = facts_of(facts)
        return packed(NodeFacts(seekling=told.seekling, code="0" * 64, host="h", pid=7))

    error = await refusal_of(Machines(change_facts=change))
    assert "h:7 runs other sources" in str(error)
    assert "same Seekling" in error.hint


async def test_a_node_that_speaks_otherwise_is_refused() -> None:
    error = await refusal_of(Machines(change_facts=lambda _: b"\xc1"))
    assert "another version" in str(error)


async def test_what_does_not_open_on_any_node_is_told() -> None:
    reason = ToolServerError("seekling-mcp", "did not start", hint="check --mcp")
    error = await refusal_of(Machines(opening_error=reason))
    assert "did not start" in str(error)
    assert error.hint == "check --mcp"


async def test_a_silent_node_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    machines = Machines()

    async def solve(_: Episode, __: EpisodeJournal) -> EpisodeRecord:
        machines.started[0].is_mute = True
        await anyio.sleep_forever()
        raise AssertionError

    machines.solve = solve
    monkeypatch.setattr(cluster_module, "CLOSE_SECONDS", 0.01)
    async with machines.cluster() as cluster:
        monkeypatch.setattr(cluster_module, "SILENCE_SECONDS", 0.05)
        monkeypatch.setattr(node_module, "HEARTBEAT_SECONDS", 0.01)
        record = await cluster.solve(episode(), MemoryJournal())
    assert record.error is not None
    assert record.error.type == "NodeLost"


async def test_an_episode_waits_for_a_node_for_a_while_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cluster_module, "NO_NODE_SECONDS", 0.01)
    machines = Machines()
    async with machines.cluster() as cluster:
        machines.opening_error = ToolServerError("x", "is gone")
        machines.started[0].kill()
        lost = await cluster.solve(episode(), MemoryJournal())
        while lost.error and lost.error.type == "NodeLost":
            lost = await cluster.solve(episode(), MemoryJournal())
    assert lost.error is not None
    assert lost.error.type == "NoNode"


async def test_the_cluster_says_when_it_has_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_module, "OPENING_SECONDS", 0.01)

    @asynccontextmanager
    async def never() -> AsyncGenerator[Node]:
        await anyio.sleep_forever()
        yield LocalNode(NodeWorker(), anyio.create_task_group(), bytes)

    with pytest.raises(EvaluationError, match="no room"):
        async with Cluster.open(never, PLAN, nodes=2, per_node=1):
            pass
