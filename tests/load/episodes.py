"""A soak of the agent: thousands of scripted episodes in one process, and what stays behind.

    python -m tests.load.episodes [--count 10000] [--quick]

The evaluation is the shipped one: the agent with its recording and its graders, 64 episodes at
once, and the real `seekling-mcp` over stdio. The model, the judge, the search engine and its pages
are scripted and speak HTTP, in another process (`tests/support/faulty_servers.py`). Every episode
takes four turns, two searches and two visits, and is graded twice, once by the judge.

Behind the first fifth memory may grow by what the records take alone; at the end no descriptor,
thread or child may be left, and every episode must be settled once, with its own answer. The exit
status is 1 when one of these fails.
"""

import argparse
import gc
import json
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio

from agent_client.evaluation.records.stored_run import StoredRun, read_run
from agent_client.evaluation.runner.progress import Progress
from tests.bench.eval_faults import evaluate
from tests.bench.machine import cpu_seconds_of, descriptors_of, resident_mb_of
from tests.bench.results import Aim, Chart, Section, Table, save, shown
from tests.support.faulty_servers import Faults, FaultyServers, questions, token
from tests.support.stdio_server import family

EPISODES = 10_000
AT_ONCE = 64
LOOKS = 20
"""How often the process is looked at on the way."""
TOKEN_SECONDS = 60.0
"""Longest wait for a token: none of these models is silent, but the machine may be busy."""
MAX_GROWN_KB = 12.0
"""Of memory per episode: its record and its two verdicts are kept, some 6 KB in all."""
MAX_GROWN_OBJECTS = 60.0
"""That the collector knows, per episode: those of its record and its verdicts."""


@dataclass(frozen=True, slots=True)
class Look:
    """What the process holds at a moment."""

    done: int
    seconds: float
    mb: float
    tools_mb: float
    """Of the tool server with its children."""
    descriptors: int
    threads: int
    objects: int
    """That the collector knows."""


@dataclass(frozen=True, slots=True)
class Soaked:
    """What came of a soak."""

    count: int
    looks: Sequence[Look]
    before: Look
    after: Look
    reason: str
    cpu_seconds: float
    faults: Sequence[str]
    """What is wrong with the records."""
    children_left: int

    @property
    def steady(self) -> tuple[Look, Look]:
        """Two looks between which nothing but records may grow."""
        return self.looks[len(self.looks) // 5], self.looks[-1]

    @property
    def grown_kb(self) -> float:
        """Memory per episode, behind the first fifth."""
        early, late = self.steady
        return (late.mb - early.mb) * 1e3 / max(1, late.done - early.done)

    @property
    def grown_objects(self) -> float:
        """Objects per episode, behind the first fifth."""
        early, late = self.steady
        return (late.objects - early.objects) / max(1, late.done - early.done)


def _look(done: int, started: float) -> Look:
    gc.collect()
    children = family(os.getpid())[1:]
    return Look(
        done=done,
        seconds=time.monotonic() - started,
        mb=resident_mb_of(os.getpid(), alone=True),
        tools_mb=sum(resident_mb_of(pid, alone=True) for pid in children if _is_tools(pid)),
        descriptors=descriptors_of(os.getpid()),
        threads=threading.active_count(),
        objects=len(gc.get_objects()),
    )


def _is_tools(pid: int) -> bool:
    """Whether a child is the tool server or belongs to it, and is no scripted server."""
    try:
        return b"faulty_servers" not in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


async def soak(count: int, folder: Path) -> Soaked:
    """Evaluate many questions, and watch what stays behind.

    Args:
        count: of the questions.
        folder: for the records, which need some 30 KB for each.
    """
    looks: list[Look] = []
    started = time.monotonic()

    async def watch(progress: Progress) -> None:
        while len(looks) <= LOOKS:
            await anyio.sleep(0.1)
            if progress.done >= count * len(looks) // (LOOKS + 1):
                looks.append(_look(progress.done, started))
                _tell(looks[-1])

    command = [sys.executable, "-m", "tests.support.faulty_servers", "0", "0", "0"]
    async with await anyio.open_process(command, stderr=None) as process:
        assert process.stdout is not None
        servers = FaultyServers(Faults(), *(await process.stdout.receive()).decode().split())
        cpu = cpu_seconds_of(os.getpid()) - cpu_seconds_of(process.pid)
        before, children = _look(0, started), len(family(os.getpid()))
        end, _ = await evaluate(
            folder / "soak",
            questions(count),
            servers,
            concurrency=AT_ONCE,
            token_seconds=TOKEN_SECONDS,
            watch=watch,
        )
        after, left = _look(count, started), len(family(os.getpid())) - children
        cpu = cpu_seconds_of(os.getpid()) - cpu_seconds_of(process.pid) - cpu
        _tell(after)
        process.terminate()
    faults = _wrong(folder / "soak", count)
    return Soaked(count, looks, before, after, end.reason, cpu, faults, left)


def _tell(look: Look) -> None:
    sys.stdout.write(
        f"{look.done:>6,} episodes after {look.seconds:5.0f} s: {look.mb:.1f} MB, tools "
        f"{look.tools_mb:.0f} MB, {look.descriptors} descriptors, {look.threads} threads, "
        f"{look.objects:,} objects\n"
    )
    sys.stdout.flush()


def _wrong(directory: Path, count: int) -> list[str]:
    """What is wrong with the records; one sentence each."""
    lines = (directory / "records.jsonl").read_bytes().splitlines()
    settled = Counter(r["id"] for r in map(json.loads, lines) if r["status"] == "ok")
    run = read_run(directory)
    told = [f"{run.unreadable} unreadable lines"] if run.unreadable else []
    if twice := [id_ for id_, times in settled.items() if times > 1]:
        told.append(f"{len(twice)} episodes are settled twice, such as {twice[0]}")
    if len(settled) != count:
        told.append(f"{count - len(settled)} episodes are not settled")
    return told + _others_answers(run)


def _others_answers(run: StoredRun) -> list[str]:
    wrong = [key.id for key, r in run.records.items() if not _is_own(key.id, r.short_answer or "")]
    return [f"{len(wrong)} have another's answer, such as {wrong[0]}"] if wrong else []


def _is_own(id_: str, answer: str) -> bool:
    """Whether an answer is what the pages of this question say."""
    number = int(id_[1:])
    return answer == ("unknown" if number % 5 == 4 else token(number))


def run(count: int = EPISODES, *, keep: bool = True) -> bool:
    """Soak the agent and keep the section.

    Args:
        count: of the episodes.
        keep: whether the page is drawn anew.

    Returns:
        Whether all is as it must be.
    """
    with tempfile.TemporaryDirectory(prefix="seekling-soak-") as folder:
        soaked = anyio.run(soak, count, Path(folder))
    aims = _aims(soaked)
    save(_section(soaked, aims), keep=keep)
    sys.stdout.write("ended: " + "; ".join(aim.measured for aim in aims) + "\n")
    return all(aim.met for aim in aims)


def _aims(soaked: Soaked) -> tuple[Aim, ...]:
    left = soaked.after.descriptors - soaked.before.descriptors
    threads = soaked.after.threads - soaked.before.threads
    done = not soaked.faults and soaked.reason == "done"
    kept = "all settled once, each with its own answer"
    return (
        Aim(
            aim=f"{soaked.count:,} scripted episodes: none lost, doubled or mixed up",
            measured=kept if done else f"{soaked.reason}: {'; '.join(soaked.faults)}",
            met=done,
            why="see the records",
        ),
        Aim(
            aim=f"memory grows by what records take alone, at most {MAX_GROWN_KB:g} KB an episode",
            measured=f"{soaked.grown_kb:.1f} KB and {soaked.grown_objects:.0f} objects an episode",
            met=soaked.grown_kb <= MAX_GROWN_KB and soaked.grown_objects <= MAX_GROWN_OBJECTS,
            why="something else is kept",
        ),
        Aim(
            aim="no descriptor, thread or child is left",
            measured=f"{left} descriptors, {threads} threads, {soaked.children_left} children left",
            met=left <= 0 and threads <= 1 and soaked.children_left <= 0,
            why="something is not closed",
        ),
    )


def _section(soaked: Soaked, aims: tuple[Aim, ...]) -> Section:
    rows = tuple(
        (
            f"{look.done:,}",
            shown(look.seconds),
            f"{look.mb:.1f}",
            f"{look.tools_mb:.0f}",
            str(look.descriptors),
            str(look.threads),
            f"{look.objects:,}",
        )
        for look in (soaked.before, *soaked.looks, soaked.after)
    )
    seconds = soaked.after.seconds
    return Section(
        name="load-episodes",
        title="Load: a soak of the agent",
        command=f"python -m tests.load.episodes --count {soaked.count}",
        about=(
            f"{soaked.count:,} episodes of four turns, two searches and two visits each, recorded "
            f"and graded twice, {AT_ONCE} at once in one process, with the real tool server over "
            "stdio. Model, judge, search engine and pages are scripted, speak HTTP and run in "
            "another process."
        ),
        tables=(
            Table(
                title="What stays behind",
                columns=(
                    "Episodes",
                    "s",
                    "MB",
                    "MB, tool server",
                    "Descriptors",
                    "Threads",
                    "Objects",
                ),
                rows=rows,
                note=(
                    f"{soaked.count / seconds:.1f} episodes/s; "
                    f"{soaked.cpu_seconds * 1e3 / soaked.count:.1f} ms CPU an episode, the tool "
                    "server included. The first row is before the run, the last after it is closed;"
                    " the limit is the size of the records that a run keeps for its scores, some "
                    "6 KB an episode."
                ),
            ),
        ),
        aims=aims,
        charts=(
            Chart(
                name="soak-memory",
                title="Memory of the agent and its tool server over a soak",
                unit="MB",
                kind="lines",
                lines={
                    "agent": tuple((look.done, look.mb) for look in soaked.looks),
                    "tool server": tuple((look.done, look.tools_mb) for look in soaked.looks),
                },
                x_unit="episodes",
            ),
            Chart(
                name="soak-descriptors",
                title="Descriptors and threads of the agent over a soak",
                unit="open",
                kind="lines",
                lines={
                    "descriptors": tuple((look.done, look.descriptors) for look in soaked.looks),
                    "threads": tuple((look.done, look.threads) for look in soaked.looks),
                },
                x_unit="episodes",
            ),
        ),
    )


def main() -> None:
    """Soak."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=EPISODES)
    parser.add_argument("--quick", action="store_true", help="show it, keep nothing")
    options = parser.parse_args()
    raise SystemExit(0 if run(options.count, keep=not options.quick) else 1)


if __name__ == "__main__":
    main()
