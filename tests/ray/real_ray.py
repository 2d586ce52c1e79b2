"""A run on a real Ray cluster of two nodes, one of which is killed in the middle of it.

Run by `make test-ray`. The name keeps it out of `make test`: it needs Ray (a wheel of 76 MB, 200 MB
installed) and starts some twenty processes.

The model server is in this process and counts what it is asked; the tools are our real MCP server
on a small index, one at each node.
"""

import re
import sys
import time
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from agent_client.app import chosen_profile, new_agent, open_found_model, open_tools
from agent_client.config import ClientConfig, load
from agent_client.errors import EvaluationError
from agent_client.evaluation.cluster.opening import open_ray_solve
from agent_client.evaluation.episode_record import EpisodeRecord
from agent_client.evaluation.ports import Solve
from agent_client.evaluation.question import Question
from agent_client.evaluation.records.run_writer import RunWriter
from agent_client.evaluation.records.stored_run import read_run
from agent_client.evaluation.runner.episode import EpisodeSettings, solver
from agent_client.evaluation.runner.progress import Progress
from agent_client.evaluation.runner.runner import AttemptPolicy, RunEnd, Runner
from agent_client.evaluation.web.episode_web import WebSettings
from tests.ray.ray_machines import START_SECONDS, ray_machines
from tests.support.run_directories import manifest
from tests.support.scripted_model import Json, Reply, ScriptedModel, scripted_model
from tests.support.tools_server import PAGES, build_small_index

QUESTIONS = tuple(
    Question(id=f"q{number}", question=f"Who is behind case {number}?", answers=("Mara Voss",))
    for number in range(40)
)
TURNS = 5
AT_ONCE = 12
SOON = AttemptPolicy(first_seconds=0.5)
STOP_SECONDS = 10.0


def case_and_turn(request: Json) -> tuple[int, int]:
    text = str(request["messages"])
    found = re.search(r"behind case (\d+)", text)
    assert found
    return int(found[1]), 1 + sum(message["role"] == "assistant" for message in request["messages"])


class CountedEvent:
    """An event that happens when something was counted often enough."""

    def __init__(self, times: int) -> None:
        self.event = anyio.Event()
        self._left = times

    def count(self) -> None:
        self._left -= 1
        if self._left == 0:
            self.event.set()


class Researcher:
    """Searches, reads three pages, answers; each turn takes a quarter of a second or so."""

    def __init__(self) -> None:
        self.begin_anew()

    def begin_anew(self) -> None:
        self.asked = Counter[tuple[int, int]]()
        self.last_asked = 0.0
        self.is_in_the_middle = CountedEvent(len(QUESTIONS) * TURNS // 3)

    def __call__(self, request: Json) -> Reply:
        case, turn = case_and_turn(request)
        self.asked[case, turn] += 1
        self.last_asked = time.monotonic()
        self.is_in_the_middle.count()
        pause = 0.01 + 0.01 * (case % 3)
        if turn == 1:
            calls = [("web_search", {"query": f"Mara Voss {case}"})]
            return Reply(reasoning="I search. " * 8, tool_calls=calls, pause_seconds=pause)
        if turn < TURNS:
            page = PAGES[turn - 2][0]
            calls = [("web_visit", {"url": f"https://facts.example/{page}"})]
            return Reply(reasoning="I read. " * 8, tool_calls=calls, pause_seconds=pause)
        return Reply(text=f"It was \\boxed{{Mara Voss {case}}}.", pause_seconds=pause)


@pytest.fixture
def mcp(tmp_path: Path) -> str:
    index = build_small_index(tmp_path)
    return f"{sys.executable} -m mcp_server serve --providers local --index {index}"


def settings(model: ScriptedModel, mcp: str) -> ClientConfig:
    return load(flags={"model": model.base_url, "mcp": mcp, "style": "short"})


@asynccontextmanager
async def ray_solve(address: str, config: ClientConfig) -> AsyncGenerator[Solve]:
    """Two nodes, both at work."""
    are_up = CountedEvent(2)

    def tell(line: str) -> None:
        if "is at work" in line:
            are_up.count()

    async with open_ray_solve(
        address,
        config,
        chosen_profile(config),
        question_seconds=60.0,
        allow_mirrors=False,
        concurrency=AT_ONCE,
        per_node=AT_ONCE // 2,
        tell=tell,
    ) as solve:
        with anyio.fail_after(START_SECONDS):
            await are_up.event.wait()
        yield solve


@asynccontextmanager
async def local_solve(config: ClientConfig) -> AsyncGenerator[Solve]:
    async with open_found_model(config) as model, open_tools(config) as tools:
        agent = new_agent(config, chosen_profile(config), model, tools)
        yield solver(agent, EpisodeSettings(question_seconds=60.0), tools_for=WebSettings())


def new_run(directory: Path) -> RunWriter:
    return RunWriter.create(directory, manifest(len(QUESTIONS)), QUESTIONS)


async def run(writer: RunWriter, solve: Solve, progress: Progress | None = None) -> RunEnd:
    with writer:
        runner = Runner(
            writer,
            solve,
            None,
            concurrency=AT_ONCE,
            progress=progress or Progress(),
            policy=SOON,
        )
        return await runner.run()


def results(directory: Path) -> dict[str, tuple[object, ...]]:
    """What of the records has to be the same wherever the work was done."""

    def result(record: EpisodeRecord) -> tuple[object, ...]:
        counts = record.counts
        numbers = (counts.turns, counts.searches, counts.visits, counts.tool_errors)
        return record.status, record.answer, record.short_answer, record.sources, numbers

    stored = read_run(directory)
    assert stored.unreadable == 0
    assert stored.owed == 0
    return {key.id: result(record) for key, record in stored.records.items()}


def times_settled(directory: Path) -> Counter[str]:
    lines = (directory / "records.jsonl").read_text().splitlines()
    settled = (re.search(r'"id":"(q\d+)".*"status":"ok"', line) for line in lines)
    return Counter(found[1] for found in settled if found)


async def test_a_killed_node_costs_its_episodes_one_turn_each(
    tmp_path: Path, mcp: str, capfd: pytest.CaptureFixture[str]
) -> None:
    here, there = tmp_path / "here", tmp_path / "cluster"
    progress = Progress()
    script = Researcher()
    async with scripted_model(script, keeps_alive=True) as model, ray_machines() as machines:
        config = settings(model, mcp)
        async with local_solve(config) as solve:
            await run(new_run(here), solve)
        expected = set(script.asked)
        script.begin_anew()

        async def kill_in_the_middle() -> None:
            await script.is_in_the_middle.event.wait()
            machines.kill_other()

        async with (
            ray_solve(machines.address, config) as solve,
            anyio.create_task_group() as tasks,
        ):
            tasks.start_soon(kill_in_the_middle)
            await run(new_run(there), solve, progress)
    assert capfd.readouterr().out == "", "Ray talks where results belong"
    assert results(there) == results(here)
    assert set(times_settled(there).values()) == {1}
    assert set(script.asked) == expected
    repeated = Counter(case for (case, _), times in script.asked.items() if times > 1)
    assert repeated, "the kill hit nothing"
    assert len(repeated) <= AT_ONCE // 2
    assert max(repeated.values()) == 1, "more than one turn of an episode was repeated"
    assert max(script.asked.values()) == 2
    assert progress.retried >= len(repeated)
    assert progress.retried <= AT_ONCE // 2


async def test_a_run_that_is_stopped_stops_at_the_nodes_and_goes_on(
    tmp_path: Path, mcp: str
) -> None:
    script = Researcher()
    async with (
        scripted_model(script, keeps_alive=True) as model,
        ray_machines() as machines,
        ray_solve(machines.address, settings(model, mcp)) as solve,
    ):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run, new_run(tmp_path / "run"), solve)
            await script.is_in_the_middle.event.wait()
            tasks.cancel_scope.cancel()
        assert time.monotonic() - script.last_asked < STOP_SECONDS
        await anyio.sleep(1.0)
        asked = script.asked.total()
        await anyio.sleep(2.0)
        assert script.asked.total() == asked, "the nodes went on"
        stored = read_run(tmp_path / "run")
        assert "cancelled" in {record.status for record in stored.records.values()}
        end = await run(RunWriter.resume(tmp_path / "run"), solve)
        assert end.reason == "done"
    assert max(script.asked.values()) <= 2
    assert set(times_settled(tmp_path / "run").values()) == {1}


async def test_an_address_where_no_cluster_answers_is_told_at_once(mcp: str) -> None:
    config = load(flags={"model": "http://127.0.0.1:1/v1", "mcp": mcp})
    with pytest.raises(EvaluationError, match="no Ray cluster answers"):
        async with ray_solve("127.0.0.1:1", config):
            pass
