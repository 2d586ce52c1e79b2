"""What an evaluation costs: 4,326 questions at 256 at once, through the real MCP server.

The model server is `agent_model.py`: it answers without delay, in a process of its own. A
question is a search, five visits of pages of 10,000 characters, and an answer: seven turns. The
run is what `seekling eval run` opens: the shipped agent, its web without mirrors, recording of
everything, grading as it goes. Then the stored run is planned, graded and put into a table.

    python tests/bench/eval_cost.py [--questions 4326]
    python tests/bench/eval_cost.py --peer [--peer-questions 400]    # beside inspect_ai

With `--peer`, inspect_ai does the same work in the same session: its `react` agent with the same
model server, and its own MCP client to the same tool server and index (`eval_peer.py`). It has an
environment of its own (`environments.py`). It asks fewer questions, as it takes longer, and writes
its own log of every sample. `python -m tests.bench.evaluation` measures all of it several times.

CPU is that of the client's process alone (`time.process_time`), without its set-up; the tool
server's is a column of its own. Other work on the machine raises CPU too (two threads of one core,
caches), so the first line says how long a fixed piece of Python takes before and after. Log bytes
are all bytes of the run's directory; the payload is the UTF-8 bytes of all that was asked, written
by the model and returned by tools; the distinct payload counts what a tool returned once however
often it came, as it is stored.
Needs Linux.
"""

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio

from agent_client.cli.main import collect_rarely
from agent_client.config import load
from agent_client.evaluation.datasets import load_dataset
from agent_client.evaluation.graders import grader_named
from agent_client.evaluation.graders.grading import Grading, grade_run
from agent_client.evaluation.records.run_writer import RunWriter
from agent_client.evaluation.records.stored_run import read_episode, read_run
from agent_client.evaluation.run_settings import RunSettings
from agent_client.evaluation.runner.progress import Progress
from agent_client.evaluation.runner.runner import Runner
from agent_client.evaluation_app import open_run
from agent_client.events import ModelReplied
from tests.bench.agent_cost import build_pages
from tests.bench.agent_episode import ENVIRONMENT, TURNS, Meter, question_of
from tests.bench.agent_model import model_server
from tests.bench.environments import python_of
from tests.bench.machine import fixed_work_ms

ME = (sys.executable, str(Path(__file__).resolve()))
PEER = Path(__file__).with_name("eval_peer.py")
AT_ONCE = 256
GRADER = "exact"


def write_questions(folder: Path, count: int) -> Path:
    """A dataset whose questions the model server knows how to answer."""
    path = folder / "questions.jsonl"
    lines = ({"id": str(n), "question": question_of(n), "answer": "fox"} for n in range(count))
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


# Seekling: the run in a process of its own.


async def run_here(port: int, questions: str, index: str, directory: str) -> dict[str, float]:
    """Run an evaluation to its end; its figures."""

    def tell(_: str) -> None:
        return None

    place = Path(directory)
    dataset = load_dataset(questions, cache_dir=place, tell=tell)
    config = load(
        flags={
            "model": f"http://127.0.0.1:{port}/v1",
            "model_name": "bench",
            "mcp": f"{sys.executable} -m mcp_server serve --providers local --index {index}",
        }
    )
    settings = RunSettings(graders=(GRADER,), concurrency=AT_ONCE)
    figures: dict[str, float] = {}
    async with open_run(config, settings, place, tell=tell) as opened:
        manifest = opened.manifest(dataset, where="", seed=1, repeats=1)
        with RunWriter.create(place, manifest, dataset.questions) as writer:
            async with (
                opened.solver(writer, tell=tell) as solve,
                anyio.create_task_group() as tasks,
            ):
                progress = opened.progress
                grading = Grading(writer, opened.graders, progress, tasks=tasks)
                runner = Runner(writer, solve, grading, concurrency=AT_ONCE, progress=progress)
                meter = Meter()
                end = await runner.run()
                figures = meter.figures(progress.total, AT_ONCE)
                assert end.reason == "done", end
                assert progress.correct == progress.total == len(dataset.questions), progress
                assert progress.turns == TURNS * progress.total, progress
    return figures


def payload_bytes(directory: Path) -> tuple[int, int]:
    """UTF-8 bytes of all that was said and returned, and the same with each result once."""
    run = read_run(directory)
    said = results = 0
    returned: set[str] = set()
    for record in run.records.values():
        episode = read_episode(run, record)
        said += len(record.question.encode())
        for stored in episode.events:
            if isinstance(stored.event, ModelReplied):
                message = stored.event.reply.message
                said += len(message.text.encode()) + len(message.reasoning.encode())
                for call in message.tool_calls:
                    said += len(json.dumps(call.arguments).encode()) + len(call.name)
        texts = [one.result.text for one in episode.returned]
        results += sum(len(text.encode()) for text in texts)
        returned.update(texts)
    return said + results, said + sum(len(text.encode()) for text in returned)


@dataclass(frozen=True, slots=True)
class Took:
    """Seconds of something that was done."""

    wall: float
    cpu: float


@contextmanager
def timed(into: list[Took]) -> Generator[None]:
    """Note what the body takes of this process and of those that it starts and waits for."""
    wall, cpu = time.perf_counter(), _cpu_seconds()
    yield
    into.append(Took(time.perf_counter() - wall, _cpu_seconds() - cpu))


def _cpu_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def plan_seconds(directory: Path) -> tuple[Took, Took]:
    """Until a run is opened to go on, and then until the plan is there; of a warm process."""
    took: list[Took] = []
    with ExitStack() as stack:
        with timed(took):
            writer = stack.enter_context(RunWriter.resume(directory))
        with timed(took):
            plan = writer.plan()
        assert len(plan.settled) == len(writer.records), plan.owed
    opening, planning = took
    return opening, planning


def grade_seconds(directory: Path) -> Took:
    """Until a run is opened and every answer graded again, in this process."""
    took: list[Took] = []

    async def grade() -> None:
        with timed(took), RunWriter.resume(directory) as writer:
            grader = grader_named(GRADER)
            (count,) = await grade_run(writer, [grader], only_ungraded=False, progress=Progress())
            assert count.correct == len(writer.records), count

    anyio.run(grade)
    return took[0]


def command_seconds(*arguments: str) -> Took:
    """How long a command of `seekling` takes, from its start to its end."""
    took: list[Took] = []
    with timed(took):
        subprocess.run(
            [sys.executable, "-m", "agent_client", *arguments],
            env=ENVIRONMENT,
            check=True,
            capture_output=True,
        )
    return took[0]


def size_of(directory: Path) -> int:
    """All bytes of a folder's files."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


def in_child(command: list[str]) -> dict[str, float]:
    """The figures that a process of its own prints last."""
    done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Run everything and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=4_326)
    parser.add_argument("--peer", action="store_true", help="inspect_ai does the same work")
    parser.add_argument("--peer-questions", type=int, default=400)
    parser.add_argument("--run", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        collect_rarely()
        told: dict[str, Any] = json.loads(options.run)
        print(json.dumps(anyio.run(lambda: run_here(**told))))
        return
    print(f"A fixed piece of Python: {fixed_work_ms():.0f} ms before", end="", flush=True)
    with tempfile.TemporaryDirectory(prefix="seekling-bench-") as name:
        folder = Path(name)
        index = str(build_pages(folder))
        directory = folder / "run"
        ours = run_ours(folder, directory, index, options.questions)
        theirs = None
        if options.peer:
            theirs = run_peer(folder / "peer", index, options.peer_questions)
        afterwards = figures_afterwards(directory)
    print(f", {fixed_work_ms():.0f} ms after\n")
    print_tables(options.questions, options.peer_questions, ours, theirs, afterwards)


def run_ours(folder: Path, directory: Path, index: str, count: int) -> dict[str, float]:
    """Evaluate in a process of its own; the figures.

    Args:
        folder: where the questions are written.
        directory: of the run; it is made.
        index: that the tool server answers from.
        count: of the questions.
    """
    questions = str(write_questions(folder, count))
    with model_server() as model:
        told = {"port": model.port, "questions": questions, "index": index}
        told |= {"directory": str(directory)}
        return in_child([*ME, "--run", json.dumps(told)])


def run_peer(logs: Path, index: str, count: int) -> dict[str, float]:
    """The same with inspect_ai, which writes into a folder of logs."""
    python = str(python_of("inspect"))
    with model_server() as model:
        command = [python, str(PEER), str(model.port), str(count), index]
        return in_child([*command, str(AT_ONCE), sys.executable, str(logs)])


@dataclass(frozen=True, slots=True, kw_only=True)
class Afterwards:
    """What a stored run takes: room in bytes, and time to be read, once per repetition."""

    stored: int
    payload: int
    distinct: int
    """Of the payload, with each result once."""
    opening: Sequence[Took]
    planning: Sequence[Took]
    grading: Sequence[Took]
    """In a warm process, with the opening."""
    grade_command: Sequence[Took]
    table_command: Sequence[Took]
    bare_command: Sequence[Took]
    """`seekling --version`: the least that a command takes."""


def figures_afterwards(directory: Path, times: int = 1) -> Afterwards:
    """Measure what the stored run takes.

    Args:
        directory: of the run, which stays as it is: a copy is graded, as that adds verdicts.
        times: how often each step is done, after once to warm up.
    """
    size = size_of(directory)
    payload, distinct = payload_bytes(directory)
    plan_seconds(directory)
    plans = [plan_seconds(directory) for _ in range(times)]
    with tempfile.TemporaryDirectory(prefix="seekling-bench-") as folder:

        def copied(name: str) -> Path:
            return Path(shutil.copytree(directory, Path(folder) / name))

        grade_seconds(copied("to-warm-up"))
        grading = [grade_seconds(copied(f"here-{n}")) for n in range(times)]
        grade = ("--grader", GRADER, "--again")
        graded = [
            command_seconds("eval", "grade", str(copied(f"command-{n}")), *grade)
            for n in range(times)
        ]
    return Afterwards(
        stored=size,
        payload=payload,
        distinct=distinct,
        opening=[opening for opening, _ in plans],
        planning=[planning for _, planning in plans],
        grading=grading,
        grade_command=graded,
        table_command=[command_seconds("eval", "table", str(directory)) for _ in range(times)],
        bare_command=[command_seconds("--version") for _ in range(times)],
    )


def print_tables(
    asked: int,
    peer_asked: int,
    ours: dict[str, float],
    theirs: dict[str, float] | None,
    afterwards: Afterwards,
) -> None:
    """Markdown."""
    heads = ("", "questions", "turns/s", "CPU ms/turn", "tool server", "peak MB")
    print(f"| {' | '.join(heads)} |\n{'|---' * len(heads)}|")
    for name, count, row in (("Seekling", asked, ours), ("inspect_ai", peer_asked, theirs)):
        if row:
            print(
                f"| {name} | {count:,} | {row['turns_per_second']:,.0f}"
                f" | {row['cpu_ms_per_turn']:.2f} | {row['server_ms_per_turn']:.2f}"
                f" | {row['peak_mb']:.0f} |"
            )
    if theirs:
        speed = ours["turns_per_second"] / theirs["turns_per_second"]
        cpu = theirs["cpu_ms_per_turn"] / ours["cpu_ms_per_turn"]
        print(f"| ratio | | {speed:.1f} | {cpu:.1f} | | |")
    stored = afterwards.stored
    of_payload, of_distinct = stored / afterwards.payload, stored / afterwards.distinct
    payload, distinct = afterwards.payload / 1e6, afterwards.distinct / 1e6
    print(f"\n| the stored run of {asked:,} questions | |\n|---|---|")
    print(f"| bytes stored | {stored / 1e6:,.1f} MB |")
    print(f"| payload | {payload:,.1f} MB ({distinct:,.1f} MB of it distinct) |")
    print(f"| log bytes per payload byte | {of_payload:.2f} ({of_distinct:.2f} of distinct) |")
    print(f"| to open it for `resume` | {1_000 * afterwards.opening[0].cpu:.0f} ms CPU |")
    print(f"| to plan what is owed | {1_000 * afterwards.planning[0].cpu:.0f} ms CPU |")
    grade, table = afterwards.grade_command[0], afterwards.table_command[0]
    print(f"| `eval grade --again`, whole command | {grade.wall:.2f} s |")
    print(f"| `eval table`, whole command | {table.wall:.2f} s |")


if __name__ == "__main__":
    main()
