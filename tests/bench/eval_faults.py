"""Evaluate with servers that fail now and then, and compare with a run in which nothing fails.

    python tests/bench/eval_faults.py [--questions 300] [--rate 0.05] [--seed 1] [--concurrency 16]

The agent is the shipped one, the tool server the real `seekling-mcp` in a process of its own. The
model, the judge, the search engine and its pages are scripted (`tests/support/faulty_servers.py`)
and speak HTTP: each fails the share `--rate` of all requests, by HTTP 429, 500, 502 and 503, by a
connection that is closed, reset or silent, by a stream that stops or is cut inside of its JSON, by
JSON that is broken, and by a 200 that says "full" inside. Waits are short, else they are those of
`seekling eval run`: the search service leaves a provider alone for 20 s after two failures in a
row, which is most of the time that it takes. What is still owed at the end is gone on with, once.

A verdict, an answer, or a number of searches or visits that differs from those of the run without
faults is a failure, as is an episode that is owed or ungraded; the exit status is then 1.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import anyio

from agent_client.app import chosen_profile, new_agent, open_found_model, open_tools
from agent_client.config import load
from agent_client.evaluation.episode_record import SETTLED, EpisodeKey, EpisodeRecord
from agent_client.evaluation.graders import grader_named
from agent_client.evaluation.graders.grading import Grading
from agent_client.evaluation.graders.judge import Judge
from agent_client.evaluation.ports import Solve
from agent_client.evaluation.question import Question
from agent_client.evaluation.records.run_writer import RunWriter
from agent_client.evaluation.records.stored_run import StoredRun, read_run
from agent_client.evaluation.runner.episode import EpisodeSettings, solver
from agent_client.evaluation.runner.pace import Paces
from agent_client.evaluation.runner.paced_model import PacedModel
from agent_client.evaluation.runner.progress import Progress
from agent_client.evaluation.runner.runner import AttemptPolicy, RunEnd, Runner
from agent_client.evaluation.runner.tool_failures import ToolRetryPolicy
from agent_client.evaluation.web.episode_web import WebSettings
from agent_client.model.chat_completions import ChatCompletions
from agent_client.model.retries import RetryPolicy
from agent_client.ports import ModelClient
from agent_client.toolbox import McpToolbox
from mcp_server.app import open_services
from mcp_server.config import load as load_server
from mcp_server.server import build_server
from mcp_server.services import Ready
from tests.support.faulty_servers import Faults, FaultyServers, faulty_servers, questions
from tests.support.run_directories import manifest

GRADERS = ("em_f1", "simpleqa")
SOON = ToolRetryPolicy(first_seconds=0.1)
MODEL_SECONDS = 1.0
"""Longest wait for a token: what is silent fails by it, and so does a machine that is too busy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenEvaluation:
    """What a run is worked on with."""

    solve: Solve
    judge: Judge


def _impatient(client: ModelClient, token_seconds: float) -> ModelClient:
    """The client of an endpoint with short waits."""
    assert isinstance(client, ChatCompletions)
    retry = RetryPolicy(first_seconds=0.02, max_seconds=0.2)
    endpoint = replace(
        client.endpoint, first_token_seconds=token_seconds, idle_seconds=token_seconds, retry=retry
    )
    return replace(client, endpoint=endpoint)


@asynccontextmanager
async def open_evaluation(
    servers: FaultyServers,
    progress: Progress,
    *,
    concurrency: int,
    retries: ToolRetryPolicy = SOON,
    is_in_process: bool = False,
    token_seconds: float = MODEL_SECONDS,
) -> AsyncGenerator[OpenEvaluation]:
    """Open what `seekling eval run` opens, with short waits.

    Args:
        servers: who answers.
        progress: of the run.
        concurrency: questions at once.
        retries: of failed searches and visits.
        is_in_process: have the tool server here, not in a process of its own: that is sooner there.
        token_seconds: longest wait for a token of the model or the judge.
    """
    paces = Paces(progress, concurrency)

    def tell(_: str) -> None:
        return None

    def paced(address: str, client: ModelClient) -> ModelClient:
        return PacedModel(_impatient(client, token_seconds), paces.at(address))

    config = load(environ={}, flags={"model": servers.model_url, "style": "short"})
    judging = load(environ={}, flags={"model": servers.judge_url})
    environ = {**os.environ, **servers.environment()}
    opened = _tools_here(servers) if is_in_process else open_tools(config, environ=environ)
    async with (
        open_found_model(config, tell=tell, around=paced) as model,
        open_found_model(judging, tell=tell, around=paced) as judge,
        opened as tools,
    ):
        yield OpenEvaluation(
            solve=solver(
                new_agent(config, chosen_profile(config), model, tools),
                EpisodeSettings(retries=retries),
                tools_for=WebSettings(),
                search_pace=paces.at("searches"),
            ),
            judge=Judge(judge.client, sleep=_shortly),
        )


@asynccontextmanager
async def _tools_here(servers: FaultyServers) -> AsyncGenerator[McpToolbox]:
    settings = load_server(environ=servers.environment())
    async with (
        open_services(settings) as services,
        McpToolbox.open(build_server(Ready(services))) as tools,
    ):
        yield tools


async def _shortly(seconds: float) -> None:
    await anyio.sleep(min(seconds, 0.05))


async def evaluate(
    directory: Path,
    asked: Sequence[Question],
    servers: FaultyServers,
    *,
    concurrency: int,
    retries: ToolRetryPolicy = SOON,
    is_in_process: bool = False,
    token_seconds: float = MODEL_SECONDS,
    watch: Callable[[Progress], Coroutine[object, object, None]] | None = None,
) -> tuple[RunEnd, Progress]:
    """Begin a run, or go on with it.

    Args:
        directory: of the run.
        asked: the questions, where it begins.
        servers: who answers.
        concurrency: questions at once.
        retries: of failed searches and visits.
        is_in_process: see `open_evaluation`.
        token_seconds: see there.
        watch: runs beside it.
    """
    if (directory / "run.json").exists():
        writer = RunWriter.resume(directory)
    else:
        writer = RunWriter.create(directory, manifest(len(asked)), asked)
    ends: list[RunEnd] = []
    progress = Progress()
    with writer:
        async with (
            open_evaluation(
                servers,
                progress,
                concurrency=concurrency,
                retries=retries,
                is_in_process=is_in_process,
                token_seconds=token_seconds,
            ) as opened,
            anyio.create_task_group() as tasks,
        ):
            named = [grader_named(name, judge=opened.judge, template=None) for name in GRADERS]
            runner = Runner(
                writer,
                opened.solve,
                Grading(writer, named, progress, tasks=tasks),
                concurrency=concurrency,
                progress=progress,
                policy=AttemptPolicy(first_seconds=0.05, outage_seconds=(0.1, 0.2)),
            )
            if watch:
                tasks.start_soon(watch, progress)
            ends.append(await runner.run())
            tasks.cancel_scope.cancel()
    return ends[0], progress


def differences(run: StoredRun, undisturbed: StoredRun) -> list[str]:
    """What is not as in the run without faults; one sentence each."""
    told: list[str] = []
    for key, before in undisturbed.records.items():
        record = run.records.get(key)
        if record is None or record.status not in SETTLED:
            told.append(f"{key.id} is not settled")
            continue
        now, was = (
            (*_outcome(r), *_verdicts(of, key)) for of, r in ((run, record), (undisturbed, before))
        )
        told += [
            f"{key.id}: {a!r} instead of {b!r}" for a, b in zip(now, was, strict=True) if a != b
        ]
    return told


def _outcome(record: EpisodeRecord) -> tuple[object, ...]:
    counts = record.counts
    calls = (counts.turns, counts.searches, counts.visits, counts.tool_calls, counts.tool_errors)
    return record.status, record.stop_reason, record.answer, record.short_answer, calls


def _verdicts(run: StoredRun, key: EpisodeKey) -> list[str]:
    found = (run.grades.get((key, grader)) for grader in GRADERS)
    return [grade.verdict.grade if grade else "no verdict" for grade in found]


async def compare(options: argparse.Namespace, folder: Path) -> int:
    """Run without faults and with; print a table of both."""
    asked = questions(options.questions)
    rows: list[tuple[str, float, RunEnd, Progress, StoredRun]] = []
    faults = Faults()
    for name, rate in (("without faults", 0.0), ("with faults", options.rate)):
        faults = Faults(rate=rate, seed=options.seed)
        async with faulty_servers(faults) as servers:
            for opening in (name, f"{name}, gone on with"):
                started = time.monotonic()
                end, progress = await evaluate(
                    folder / name, asked, servers, concurrency=options.concurrency
                )
                seconds = time.monotonic() - started
                rows.append((opening, seconds, end, progress, read_run(folder / name)))
                if end.reason == "done" and not end.ungraded:
                    break
    print("| run | ended | settled | owed | ungraded | correct | tried again | tools again | s |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for name, seconds, end, progress, run in rows:
        again = sum(record.tool_retries for record in run.records.values())
        print(
            f"| {name} | {end.reason} | {end.settled} | {end.owed} | {end.ungraded} |"
            f" {progress.correct} | {progress.retried} | {again} | {seconds:.0f} |"
        )
    print("\n| side | requests | faults | of them |\n| --- | ---: | ---: | --- |")
    for side, count in faults.requests.items():
        made = {kind: n for (at, kind), n in sorted(faults.made.items()) if at == side}
        kinds = ", ".join(f"{kind} {n}" for kind, n in made.items())
        print(f"| {side} | {count} | {sum(made.values())} | {kinds} |")
    told = differences(rows[-1][4], rows[0][4])
    end = rows[-1][2]
    print(f"\n{len(told)} differences, {end.owed} owed, {end.ungraded} ungraded, {end.what}")
    print(*told[:40], sep="\n", file=sys.stderr)
    return 1 if told or end.owed or end.ungraded else 0


def main() -> None:
    """Compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument("--rate", type=float, default=0.05)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--work", type=Path, help="keep the runs in this new directory")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="seekling-faults-") as folder:
        work = options.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        raise SystemExit(anyio.run(compare, options, work))


if __name__ == "__main__":
    main()
