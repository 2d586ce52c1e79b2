"""What fails on the side of servers changes no verdict: with real HTTP and the real tool server."""

import os
import signal
from pathlib import Path

import anyio
import pytest

from agent_client.evaluation.episode_record import SETTLED
from agent_client.evaluation.records.stored_run import StoredRun, read_run
from agent_client.evaluation.runner.progress import Progress
from agent_client.evaluation.runner.runner import RunEnd
from agent_client.evaluation.runner.tool_failures import ToolRetryPolicy
from tests.bench.eval_faults import SOON, differences, evaluate
from tests.support.faulty_servers import (
    PAGE_FAULTS,
    Faults,
    FaultyServers,
    faulty_servers,
    questions,
)

ASKED = questions(12)
BRIEF = ("429", "500", "502", "503", "hang_up", "cut", "junk", "full")
"""Faults of a model for which nobody has to wait."""
BUSY_SECONDS = 60.0
"""Longest wait for a token: none of these models is silent, but the machine may be busy."""
KINDS = {"model": BRIEF, "judge": BRIEF, "search": ("429",), "page": PAGE_FAULTS[:-1]}
"""A search that fails otherwise twice in a row is left alone for 20 s."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> StoredRun:
    """The run in which nothing fails."""
    directory = tmp_path_factory.mktemp("undisturbed") / "run"

    async def run() -> None:
        async with faulty_servers(Faults()) as servers:
            end, _ = await evaluating(directory, servers, is_in_process=True)
            assert (end.reason, end.ungraded) == ("done", 0)

    anyio.run(run)
    return read_run(directory)


def tool_servers() -> set[int]:
    """The process ids of the tool servers that are children of this process."""
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    return {
        int(pid) for pid in children if b"seekling-mcp" in Path(f"/proc/{pid}/cmdline").read_bytes()
    }


async def test_faults_of_model_search_pages_and_judge_change_no_verdict(
    tmp_path: Path, undisturbed: StoredRun
) -> None:
    killed: list[int] = []
    others = tool_servers()  # such as one that other tests share

    def kill(side: str, count: int) -> None:
        if (side, count) == ("page", 12):
            killed.extend(tool_servers() - others)
            (server,) = killed
            os.kill(server, signal.SIGKILL)

    faults = Faults(rate=0.15, kinds=KINDS, came=kill)
    async with faulty_servers(faults) as servers:
        end, _ = await evaluating(tmp_path / "run", servers)

    assert (end.reason, end.owed, end.ungraded) == ("done", 0, 0)
    assert killed and {side for side, _ in faults.made} == {"model", "judge", "search", "page"}
    assert differences(read_run(tmp_path / "run"), undisturbed) == []


async def test_without_search_nothing_is_graded_and_without_judge_nothing_is_lost(
    tmp_path: Path, undisturbed: StoredRun
) -> None:
    faults = Faults(dead={"search"})
    async with faulty_servers(faults) as servers:
        end, progress = await opening(tmp_path, servers)
        assert end.reason == "infrastructure" and "searxng" in end.what
        assert progress.retried < 8  # one wave: what never worked is not waited for
        run = read_run(tmp_path / "run")
        assert (end.settled, len(run.grades), progress.incorrect) == (0, 0, 0)
        assert not {record.status for record in run.records.values()} & SETTLED

        faults.dead = {"judge"}
        end, _ = await opening(tmp_path, servers)
        assert (end.reason, end.owed, end.ungraded) == ("done", 0, len(ASKED))
        run = read_run(tmp_path / "run")
        judged = [grade for (_, grader), grade in run.grades.items() if grader == "simpleqa"]
        assert {grade.verdict.grade for grade in judged} <= {"ungraded"}

        faults.dead = set()
        end, progress = await opening(tmp_path, servers)
    assert (end.reason, progress.turns) == ("done", 0)
    assert differences(read_run(tmp_path / "run"), undisturbed) == []


async def test_where_no_page_can_be_read_nothing_is_graded(
    tmp_path: Path, undisturbed: StoredRun
) -> None:
    faults = Faults(dead={"page"})
    async with faulty_servers(faults) as servers:
        end, progress = await opening(tmp_path, servers)
        assert end.reason == "infrastructure" and "no page" in end.what
        assert (end.settled, progress.incorrect, progress.not_attempted) == (0, 0, 0)

        faults.dead = set()
        end, _ = await opening(tmp_path, servers)
    assert end.reason == "done"
    assert differences(read_run(tmp_path / "run"), undisturbed) == []


async def opening(folder: Path, servers: FaultyServers) -> tuple[RunEnd, Progress]:
    """Begin the run or go on with it, without waits for the tools."""
    retries = ToolRetryPolicy(sleep=no_time)
    return await evaluating(folder / "run", servers, retries=retries, is_in_process=True)


async def evaluating(
    directory: Path,
    servers: FaultyServers,
    *,
    retries: ToolRetryPolicy = SOON,
    is_in_process: bool = False,
) -> tuple[RunEnd, Progress]:
    return await evaluate(
        directory,
        ASKED,
        servers,
        concurrency=8,
        retries=retries,
        is_in_process=is_in_process,
        token_seconds=BUSY_SECONDS,
    )


async def no_time(_: float) -> None:
    await anyio.lowlevel.checkpoint()
