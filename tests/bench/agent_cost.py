"""What the agent itself costs: CPU per turn, turns per second, memory per episode.

A model server in another process answers without delay (`agent_model.py`), so that what is measured
is ours: the HTTP, the parser, the loop with its guards, the tools' side, and the recording of every
event. An episode is that of `agent_episode.py`: seven turns.

    python tests/bench/agent_cost.py [--quick] [--runs N] [--cases NAME …]
    python tests/bench/agent_cost.py --guards     # what each guard costs
    python tests/bench/agent_cost.py --prefix     # how stable prompts are, by history policy

CPU is that of the client's process alone (`time.process_time`); the model server and, with real
MCP, the tool server have processes of their own; the tool server's CPU is a column of its own.
Memory per episode is how much the client's peak grows over that of one episode at a time. Each case
runs in a process of its own, `--runs` times; the medians are shown. Other work on the machine
raises CPU too (two threads of one core, caches), so the first line says how long a fixed piece of
Python takes before and after. `python -m tests.bench.agent` runs these cases beside peers and
limits.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import anyio

from tests.bench.agent_case import Case, run_case
from tests.bench.agent_episode import (
    ENVIRONMENT,
    FILLER,
    PAGE_CHARS,
    PAGES,
    TURNS,
    WARM_UPS,
    url_of,
)
from tests.bench.agent_guards import compare_guards
from tests.bench.agent_model import model_server
from tests.bench.agent_prefix import compare_policies
from tests.bench.machine import cpu_seconds_of, fixed_work_ms

ME = (sys.executable, str(Path(__file__).resolve()))
CASES = (
    Case(name="chat-1", concurrency=1),
    Case(name="chat-32", concurrency=32),
    Case(name="chat-256", concurrency=256),
    Case(name="chat-256-command", concurrency=256, is_command=True),
    Case(name="chat-1-not-recorded", concurrency=1, records=False),
    Case(name="chat-32-not-recorded", concurrency=32, records=False),
    Case(name="chat-256-not-recorded", concurrency=256, records=False),
    Case(name="chat-256-httpx", concurrency=256, http="httpx"),
    Case(name="chat-256-plain", concurrency=256, profile="plain"),
    Case(name="chat-256-tokens", concurrency=256, pieces="tokens"),
    Case(name="raw-1", concurrency=1, wire="raw"),
    Case(name="raw-32", concurrency=32, wire="raw"),
    Case(name="raw-256", concurrency=256, wire="raw"),
    Case(name="raw-256-tokens", concurrency=256, wire="raw", pieces="tokens"),
    Case(name="mcp-1", concurrency=1, tools="mcp"),
    Case(name="mcp-32", concurrency=32, tools="mcp"),
    Case(name="mcp-256", concurrency=256, tools="mcp"),
    Case(name="mcp-256-command", concurrency=256, tools="mcp", is_command=True),
    Case(name="mcp-1-not-recorded", concurrency=1, tools="mcp", records=False),
    Case(name="mcp-32-not-recorded", concurrency=32, tools="mcp", records=False),
    Case(name="mcp-256-not-recorded", concurrency=256, tools="mcp", records=False),
)
EPISODES = {1: 40, 32: 256, 256: 1_024}
"""How many a case has, by how many run at once."""


def build_pages(folder: Path) -> Path:
    """An index of the pages that the real tool server answers from."""
    source = folder / "pages.jsonl"
    lines = (
        {"url": url_of(0, n), "title": f"Page {n}", "text": f"topic {n}\n\n{FILLER[:PAGE_CHARS]}"}
        for n in range(PAGES)
    )
    source.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    command = [sys.executable, "-m", "mcp_server", "index", "build", str(source)]
    subprocess.run([*command, "--out", str(folder / "index")], check=True, capture_output=True)
    return folder / "index"


def measured_by(
    program: Sequence[str], episodes: int, *, pieces: str = "whole"
) -> dict[str, float]:
    """The figures that a process prints last, with those of a model server for it alone.

    Args:
        program: what to start; the model server's port is told it as `--port`.
        episodes: how many it runs, without those to warm up.
        pieces: in which the model server replies.
    """
    with model_server(pieces) as model:
        before = cpu_seconds_of(model.pid)
        done = subprocess.run(
            [*program, "--port", str(model.port)],
            capture_output=True,
            text=True,
            env=ENVIRONMENT,
            check=False,
        )
        took = cpu_seconds_of(model.pid) - before
    if done.returncode:
        sys.exit(f"{' '.join(program)}: {done.stderr}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures | {"model_ms_per_turn": 1_000 * took / TURNS / (episodes + WARM_UPS)}


def measured(case: Case, index: str, episodes: int) -> dict[str, float]:
    """Run a case and its model server in processes of their own."""
    told = json.dumps({"case": asdict(case), "index": index, "episodes": episodes})
    return measured_by([*ME, "--run", told], episodes, pieces=case.pieces)


def compare_cases(chosen: Sequence[Case], runs: int, *, quick: bool) -> None:
    """Print the table."""
    heads = ("case", "at once", "CPU ms/turn", "tool server", "turns/s", "MB/episode", "peak MB")
    print(f"A fixed piece of Python: {fixed_work_ms():.0f} ms before", end="", flush=True)
    rows: list[str] = []
    with tempfile.TemporaryDirectory(prefix="seekling-bench-") as folder:
        needs_index = any(case.tools == "mcp" for case in chosen)
        index = str(build_pages(Path(folder))) if needs_index else ""
        for case in chosen:
            episodes = EPISODES[case.concurrency] // (4 if quick else 1)
            told = [measured(case, index, episodes) for _ in range(runs)]
            row = {name: statistics.median(run[name] for run in told) for name in told[0]}
            served = f"{row['server_ms_per_turn']:.2f}" if case.tools == "mcp" else ""
            rows.append(
                f"| {case.name} | {case.concurrency} | {row['cpu_ms_per_turn']:.2f} | {served}"
                f" | {row['turns_per_second']:,.0f} | {row['mb_per_episode']:.3f}"
                f" | {row['peak_mb']:.0f} | {100 * row['prefix_worst']:.1f} %"
                f" | {row['stored_bytes_per_episode'] / 1_000:.0f} |"
            )
    print(f", {fixed_work_ms():.0f} ms after\n")
    print(f"| {' | '.join((*heads, 'prefix', 'kB stored'))} |")
    print("|---" * 9 + "|")
    print("\n".join(rows))


def main() -> None:
    """Run the cases, or one part of one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", nargs="*", default=[], help="only these")
    parser.add_argument("--quick", action="store_true", help="a quarter of the episodes")
    parser.add_argument("--runs", type=int, default=1, help="of each case; the median counts")
    parser.add_argument("--guards", action="store_true", help="what each guard costs")
    parser.add_argument("--prefix", action="store_true", help="how stable prompts are")
    parser.add_argument("--run", help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.run:
        told: dict[str, Any] = json.loads(options.run)
        told["case"] = Case(**told["case"])
        print(json.dumps(anyio.run(lambda: run_case(port=options.port, **told))))
        return
    if options.guards or options.prefix:
        with model_server() as model:
            if options.guards:
                anyio.run(compare_guards, model.port, 4 if options.quick else 16)
            if options.prefix:
                anyio.run(compare_policies, model.port)
        return
    chosen = [case for case in CASES if not options.cases or case.name in options.cases]
    compare_cases(chosen, options.runs, quick=options.quick)


if __name__ == "__main__":
    main()
