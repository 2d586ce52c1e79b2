"""Kill an evaluation at random instants, resume it each time, and compare with an undisturbed one.

    python tests/bench/eval_kill.py [--kills 100] [--seed 1] [--questions 60] [--concurrency 8]

The model is scripted: its replies follow from the conversation, each after a small random delay;
it calls tools side by side, and these take random times as well. Every turn that the model is asked
for, and every call, is written down by process, so that it can be told what was done twice. A run
that is done before its next kill is checked, and a new one begins. The checks:

- every episode is settled once, and no line of the directory is torn or unreadable;
- a kill costs an episode at most the turn that was at work: no other one is asked for, and no call
  made, a second time;
- answers, counts, tokens and events are those of the undisturbed run.

The exit status is 1 when one of them fails.
"""

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import anyio

from agent_client.agent.agent import Agent
from agent_client.agent.outcome import Outcome
from agent_client.conversation import ModelReply, ModelRequest, ToolCall, ToolResult
from agent_client.evaluation.episode_record import SETTLED, EpisodeKey
from agent_client.evaluation.ports import Episode
from agent_client.evaluation.question import Question
from agent_client.evaluation.records.run_writer import RunWriter
from agent_client.evaluation.records.stored_run import StoredRun, read_episode, read_run
from agent_client.evaluation.runner.episode import EpisodeSettings, Noticed, solver
from agent_client.evaluation.runner.progress import Progress
from agent_client.evaluation.runner.runner import Runner
from agent_client.events import Emit
from agent_client.ports import Toolbox
from agent_client.profiles import load_profile
from tests.support.cut_episodes import TurnTools, steps
from tests.support.run_directories import manifest

MODEL_SECONDS = 0.02
"""Longest delay of a reply."""
TOOL_SECONDS = 0.01
SHORTEST_SECONDS = 0.01
"""Of a process before it is killed."""


@dataclass
class WrittenDown:
    """The file of what was done: a line each, also of what a kill cut off."""

    path: Path
    number: int = 0
    """Of the process."""

    def add(self, question: str, what: str) -> None:
        """Write a line at once: a kill must not lose it."""
        line = json.dumps([self.number, question, what]) + "\n"
        fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(fd, line.encode())
        os.close(fd)

    def lines(self) -> list[tuple[int, str, str]]:
        """All lines, of all processes."""
        return [tuple(json.loads(line)) for line in self.path.read_text().splitlines()]


@dataclass
class SlowModel:
    """Answers by the turn that a conversation has come to, after a while."""

    done: WrittenDown
    chance: random.Random
    name: str = "scripted"
    context_tokens: int = 0

    async def complete(self, request: ModelRequest, *, emit: Emit) -> ModelReply:
        """The reply of this turn."""
        turn = 1 + sum(message.role == "assistant" for message in request.messages)
        said = next(message for message in request.messages if message.role == "user").text
        question = said.partition("?")[0]
        self.done.add(question, f"turn {turn}")
        await anyio.sleep(self.chance.random() * MODEL_SECONDS)
        return steps(question)[turn - 1]


@dataclass
class SlowTools(TurnTools):
    """The pages, after a while, for one episode."""

    question: str = ""
    done: WrittenDown = field(default_factory=lambda: WrittenDown(Path(os.devnull)))
    chance: random.Random = field(default_factory=random.Random)

    async def call(self, call: ToolCall) -> ToolResult:
        """What the tool returns."""
        self.done.add(self.question, f"turn {ord(call.id[0]) - ord('a') + 1}, call {call.id}")
        await anyio.sleep(self.chance.random() * TOOL_SECONDS)
        return await super().call(call)

    def took_over(self, call: ToolCall, result: ToolResult) -> None:
        """A stored result is no call."""

    def noticed(self, outcome: Outcome | None) -> Noticed:
        """Nothing."""
        return Noticed()


def questions(count: int) -> list[Question]:
    """Questions whose ids need care."""
    return [
        Question(id=f'q/{n} "é\n', question=f"What is in page {n}?", answers=(str(n),))
        for n in range(count)
    ]


async def evaluate(directory: Path, options: argparse.Namespace, done: WrittenDown) -> None:
    """Begin the run or go on with it, to its end."""
    chance = random.Random(options.seed * 1_000 + done.number)
    if (directory / "run.json").exists():
        writer = RunWriter.resume(directory)
    else:
        asked = questions(options.questions)
        writer = RunWriter.create(directory, manifest(len(asked)), asked)

    def tools_for(episode: Episode, _: Toolbox) -> SlowTools:
        return SlowTools(question=episode.question.question[:-1], done=done, chance=chance)

    with writer:
        agent = Agent(
            model=SlowModel(done, chance), tools=TurnTools(), profile=load_profile("default")
        )
        progress = Progress()
        runner = Runner(
            writer,
            solver(agent, EpisodeSettings(), tools_for=tools_for),
            None,
            concurrency=options.concurrency,
            progress=progress,
        )
        end = await runner.run()
        assert (end.reason, progress.restarted) == ("done", 0), (end, progress)
        assert writer.unreadable == 0


def killed(directory: Path, options: argparse.Namespace, done: WrittenDown, after: float) -> bool:
    """Go on in a process of its own and kill it; False when it was done before."""
    done.number += 1
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            anyio.run(evaluate, directory, options, done)
            status = 0
        finally:
            os._exit(status)
    time.sleep(after)
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise SystemExit(f"the evaluation failed in {directory}")
    return os.WIFSIGNALED(status)


def faults(directory: Path, undisturbed: StoredRun, done: WrittenDown) -> list[str]:
    """What is wrong with a run that was killed; one sentence each."""
    run = read_run(directory)
    told = damage(directory)
    if run.unreadable or run.owed or len(run.records) != run.expected:
        told.append(f"{run.unreadable} unreadable lines, {run.owed} episodes owed")
    settled = Counter[EpisodeKey]()
    for line in (directory / "records.jsonl").read_text().splitlines():
        record = json.loads(line)
        settled[EpisodeKey(record["id"], record.get("repeat", 0))] += record["status"] in SETTLED
    told += [f"{key} is settled {count} times" for key, count in settled.items() if count != 1]
    for key, record in run.records.items():
        before = undisturbed.records[key]
        for name in ("status", "stop_reason", "answer", "short_answer", "counts", "usage"):
            if getattr(record, name) != getattr(before, name):
                told.append(f"{key}: {name} is {getattr(record, name)}")
        if told_events(run, key) != told_events(undisturbed, key):
            told.append(f"{key}: the events differ")
    return told + done_twice(done.lines())


def damage(directory: Path) -> list[str]:
    """Lines that are torn or no JSON."""
    told: list[str] = []
    for path in directory.glob("*.jsonl"):
        for line in path.read_bytes().splitlines(keepends=True):
            try:
                json.loads(line)
            except ValueError:
                told.append(f"{path.name} has an unreadable line")
            if not line.endswith(b"\n"):
                told.append(f"{path.name} has a torn line")
    return told


def told_events(run: StoredRun, key: EpisodeKey) -> tuple[int, int, Counter[str]]:
    """The events of an episode, in any order: what runs side by side ends as it likes."""
    stored = read_episode(run, run.records[key])
    kinds = Counter(type(entry.event).__name__ for entry in stored.events)
    return stored.unreadable, len(stored.returned), kinds


def done_twice(lines: Sequence[tuple[int, str, str]]) -> list[str]:
    """Where a process did again what belongs to more than one turn of an episode."""
    known = set[tuple[str, str]]()
    repeated: defaultdict[tuple[int, str], list[str]] = defaultdict(list)
    for process, question, what in lines:
        if (question, what) in known:
            repeated[process, question].append(what)
        known.add((question, what))
    return [
        f"process {process} repeated {whats} of {question!r}"
        for (process, question), whats in repeated.items()
        if len({what.partition(",")[0] for what in whats}) > 1 or len(set(whats)) < len(whats)
    ]


def main() -> None:
    """Kill, go on, compare."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--questions", type=int, default=120)
    parser.add_argument("--concurrency", type=int, default=8)
    options = parser.parse_args()
    moments = random.Random(options.seed)
    kills = runs = needed = done_in_all = 0
    found: list[str] = []
    with tempfile.TemporaryDirectory(prefix="seekling-kill-") as folder:
        done = WrittenDown(Path(folder) / "undisturbed.txt")
        started = time.monotonic()
        anyio.run(evaluate, Path(folder) / "undisturbed", options, done)
        whole_seconds = time.monotonic() - started
        undisturbed = read_run(Path(folder) / "undisturbed")
        for_one_run = len(done.lines())
        while kills < options.kills:
            runs += 1
            directory = Path(folder) / f"killed-{runs}"
            done = WrittenDown(Path(folder) / f"killed-{runs}.txt")
            done.path.touch()
            before = kills
            while kills < options.kills:
                after = SHORTEST_SECONDS + moments.random() * whole_seconds / 3
                if not killed(directory, options, done, after):
                    break
                kills += 1
            else:
                done.number += 1
                anyio.run(evaluate, directory, options, done)
            found += faults(directory, undisturbed, done)
            needed += for_one_run
            done_in_all += len(done.lines())
            print(f"run {runs}: {kills - before} kills, {len(found)} faults", flush=True)
    print(f"{kills} kills, {runs} runs of {undisturbed.expected} episodes")
    print(f"{needed:,} turns and calls needed, {done_in_all - needed} were made again")
    print(*found, sep="\n", file=sys.stderr)
    raise SystemExit(1 if found else 0)


if __name__ == "__main__":
    main()
