"""What an evaluation costs: 4,326 questions at 256 at once, through the real MCP server.

The model server is that of `agent_cost.py`: it answers without delay, in a process of its own. A
question is a search, five visits of pages of 10,000 characters, and an answer: seven turns. The
run is what `seekling eval run` opens: the shipped agent, its web without mirrors, recording of
everything, grading as it goes. Then the stored run is planned, graded and put into a table.

    python tests/bench/eval_cost.py [--questions 4326]
    python tests/bench/eval_cost.py --peer [--peer-questions 400]    # beside inspect_ai

With `--peer`, inspect_ai does the same work in the same session: its `react` agent with the same
model server, and its own MCP client to the same tool server and index (`eval_peer.py`). It gets an
environment of its own under the user's cache directory at the first time, about 380 MB. It asks
fewer questions, as it takes longer, and writes its own log of every sample.

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
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import agent_cost
import anyio
import platformdirs

ME = (sys.executable, str(Path(__file__).resolve()))
PEER = Path(__file__).with_name("eval_peer.py")
PEER_PACKAGES = ("inspect_ai==0.3.285", "openai", "mcp<2", "platformdirs")
AT_ONCE = 256
GRADER = "exact"


def write_questions(folder: Path, count: int) -> Path:
    """A dataset whose questions the model server knows how to answer."""
    path = folder / "questions.jsonl"
    lines = (
        {"id": str(n), "question": f"Which animal jumps in episode {n}?", "answer": "fox"}
        for n in range(count)
    )
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


# Seekling: the run in a process of its own.


async def run_here(port: int, questions: str, index: str, directory: str) -> dict[str, float]:
    """Run an evaluation to its end; its figures."""
    from agent_client.config import load
    from agent_client.evaluation.datasets import load_dataset
    from agent_client.evaluation.graders.grading import Grading
    from agent_client.evaluation.records.run_writer import RunWriter
    from agent_client.evaluation.run_settings import RunSettings
    from agent_client.evaluation.runner.runner import Runner
    from agent_client.evaluation_app import open_run

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
                served, cpu, wall = agent_cost.children_cpu(), time.process_time(), time.time()
                end = await runner.run()
                cpu, wall = time.process_time() - cpu, time.time() - wall
                served = agent_cost.children_cpu() - served
                assert end.reason == "done", end
                assert progress.correct == progress.total == len(dataset.questions), progress
                assert progress.turns == agent_cost.TURNS * progress.total, progress
                figures = {
                    "turns_per_second": progress.turns / wall,
                    "cpu_ms_per_turn": 1_000 * cpu / progress.turns,
                    "server_ms_per_turn": 1_000 * served / progress.turns,
                    "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_024,
                }
    return figures


def payload_bytes(directory: Path) -> tuple[int, int]:
    """UTF-8 bytes of all that was said and returned, and the same with each result once."""
    from agent_client.evaluation.records.stored_run import read_episode, read_run
    from agent_client.events import ModelReplied

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


def plan_seconds(directory: Path) -> tuple[float, float]:
    """Until a run is opened to go on, and then until the plan is there; of a warm process."""
    from agent_client.evaluation.records.run_writer import RunWriter

    started = time.process_time()
    with RunWriter.resume(directory) as writer:
        opened = time.process_time()
        writer.plan()
        planned = time.process_time()
    return opened - started, planned - opened


def command_seconds(*arguments: str) -> float:
    """How long a command of `seekling` takes, from its start to its end."""
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "agent_client", *arguments],
        env=agent_cost.ENVIRONMENT,
        check=True,
        capture_output=True,
    )
    return time.perf_counter() - started


def size_of(directory: Path) -> int:
    """All bytes of a folder's files."""
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())


# The peer: in an environment of its own.


def peer_python() -> str:
    """The interpreter of the peer's environment, which is made where it is missing."""
    folder = platformdirs.user_cache_path("seekling") / "bench" / "inspect"
    python = folder / "bin" / "python"
    stamp = folder / "packages"
    if not stamp.exists() or stamp.read_text() != "\n".join(PEER_PACKAGES):
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
        command = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
        subprocess.run([*command, "anyio", *PEER_PACKAGES], check=True)
        stamp.write_text("\n".join(PEER_PACKAGES))
    return str(python)


def in_child(command: list[str]) -> dict[str, float]:
    """The figures that a process of its own prints last."""
    done = subprocess.run(
        command, capture_output=True, text=True, env=agent_cost.ENVIRONMENT, check=False
    )
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
        told: dict[str, Any] = json.loads(options.run)
        print(json.dumps(anyio.run(lambda: run_here(**told))))
        return
    python = peer_python() if options.peer else ""
    print(f"A fixed piece of Python: {agent_cost.calibration():.0f} ms before", end="", flush=True)
    with tempfile.TemporaryDirectory(prefix="seekling-bench-") as name:
        folder = Path(name)
        index = str(agent_cost.build_pages(folder))
        questions = str(write_questions(folder, options.questions))
        directory = folder / "run"
        with agent_cost.model_server("whole") as port:
            told = {"port": port, "questions": questions, "index": index}
            told |= {"directory": str(directory)}
            ours = in_child([*ME, "--run", json.dumps(told)])
        theirs = None
        if python:
            with agent_cost.model_server("whole") as port:
                command = [python, str(PEER), str(port), str(options.peer_questions), index]
                theirs = in_child([*command, str(AT_ONCE), sys.executable, str(folder / "peer")])
        afterwards = figures_afterwards(directory)
    print(f", {agent_cost.calibration():.0f} ms after\n")
    print_tables(options.questions, options.peer_questions, ours, theirs, afterwards)


def figures_afterwards(directory: Path) -> list[tuple[str, str]]:
    """What the stored run takes: room, and time to be read."""
    size = size_of(directory)
    payload, distinct = payload_bytes(directory)
    plan_seconds(directory)  # to warm up
    opening, planning = plan_seconds(directory)
    grade = command_seconds("eval", "grade", str(directory), "--grader", GRADER, "--again")
    table = command_seconds("eval", "table", str(directory))
    return [
        ("bytes stored", f"{size / 1e6:,.1f} MB"),
        ("payload", f"{payload / 1e6:,.1f} MB ({distinct / 1e6:,.1f} MB of it distinct)"),
        ("log bytes per payload byte", f"{size / payload:.2f} ({size / distinct:.2f} of distinct)"),
        ("to open it for `resume`", f"{1_000 * opening:.0f} ms CPU"),
        ("to plan what is owed", f"{1_000 * planning:.0f} ms CPU"),
        ("`eval grade --again`, whole command", f"{grade:.2f} s"),
        ("`eval table`, whole command", f"{table:.2f} s"),
    ]


def print_tables(
    asked: int,
    peer_asked: int,
    ours: dict[str, float],
    theirs: dict[str, float] | None,
    afterwards: list[tuple[str, str]],
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
    print(f"\n| the stored run of {asked:,} questions | |\n|---|---|")
    for name, value in afterwards:
        print(f"| {name} | {value} |")


if __name__ == "__main__":
    os.environ["SEEKLING_CONFIG"] = ""
    main()
