"""What a view costs: 4,326 questions as one HTML file, and the same run followed while it grows.

The run is made by the real agent on scripted models and tools: a search with ten hits, five visits
and an answer that cites two pages. Each of the 21,630 visits shows a page of its own of 10,000
characters, made of words in the proportions of a language, so that it is compressed about as well
as real pages are: the size is that of a run that never reads a page twice.

    python tests/bench/view_cost.py [--questions 4326] [--blocks]
    python tests/bench/view_cost.py --run runs/simpleqa     # a run of your own

CPU and peak memory are those of `seekling view`, a process of its own. Needs Unix.
"""

import argparse
import base64
import gzip
import itertools
import json
import os
import random
import resource
import string
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import anyio

from agent_client.agent.agent import Agent
from agent_client.conversation import Message, ModelReply, ToolCall, ToolResult, ToolSpec, Usage
from agent_client.evaluation.question import Question
from agent_client.evaluation.records.manifest import (
    DatasetStamp,
    ModelStamp,
    ProfileStamp,
    RunManifest,
)
from agent_client.evaluation.records.run_writer import RunWriter
from agent_client.evaluation.records.stored_run import read_run
from agent_client.evaluation.runner.episode import EpisodeSettings, solver
from agent_client.evaluation.statistics.judged import default_grader
from agent_client.evaluation.verdict import GradeRecord, Verdict
from agent_client.profiles import load_profile
from agent_client.sessions.lenient_json import encoded
from agent_client.viewer.followed_run import LEAST_PAUSE_SECONDS, REST_PER_WORK, FollowedRun
from agent_client.viewer.run_episodes import RunEpisodes

PAGE_CHARS = 10_000
VISITS = 5
HITS = 10
WORDS = 20_000
BLOCK_SIZES = (1, 2, 4, 8, 16, 32, 64)
BLOCK_EPISODES = 256
MADE = "2026-11-23T12:00:00Z"
ENVIRONMENT = {**os.environ, "SEEKLING_CONFIG": os.devnull}


class Language:
    """Made-up words, the n-th as often as 1/n."""

    def __init__(self) -> None:
        dice = random.Random(1)
        self._dice = dice
        self._words = [
            "".join(dice.choices(string.ascii_lowercase, k=dice.randint(2, 11)))
            for _ in range(WORDS)
        ]
        self._weights = list(itertools.accumulate(1 / n for n in range(1, WORDS + 1)))

    def sentences(self, chars: int) -> Iterator[str]:
        """Sentences of about so many characters, in paragraphs."""
        while chars > 0:
            words = self._dice.choices(
                self._words, cum_weights=self._weights, k=self._dice.randint(6, 24)
            )
            sentence = f"{' '.join(words).capitalize()} {self._dice.randint(1, 2_000)}."
            chars -= len(sentence) + 1
            yield sentence

    def page(self) -> str:
        """A page in paragraphs of about five sentences."""
        sentences = list(self.sentences(PAGE_CHARS))
        paragraphs = [" ".join(sentences[n : n + 5]) for n in range(0, len(sentences), 5)]
        return "\n\n".join(paragraphs)


@dataclass
class PagesOfTheirOwn:
    """Tools whose every visit shows another page, as our server writes it."""

    language: Language
    shown: int = 0
    last: str = ""

    async def list_tools(self) -> Sequence[ToolSpec]:
        return (_spec("web_search", "query"), _spec("web_visit", "url"))

    async def call(self, call: ToolCall) -> ToolResult:
        await anyio.lowlevel.checkpoint()
        if call.name == "web_search":
            hits = (
                f"Index: {n}\nURL: https://pages.example/{self.shown + n}\nTitle: Page {n}\n"
                f"Preview: {' '.join(self.language.sentences(150))}"
                for n in range(HITS)
            )
            return ToolResult(call.id, call.name, "\n\n".join(hits))
        self.shown += 1
        self.last = self.language.page()
        url, mark = call.arguments["url"], "untrusted-page-0123456789ab"
        text = f"URL: {url}\nTitle: Page {self.shown}\n\n<{mark}>\n{self.last}\n</{mark}>"
        told = {"final_url": url, "start": 0, "end": len(self.last)}
        return ToolResult(call.id, call.name, text, meta={"seekling/pages": [told]})


def _spec(name: str, argument: str) -> ToolSpec:
    schema = {"type": "object", "properties": {argument: {"type": "string"}}}
    return ToolSpec(name, "", {**schema, "required": [argument]})


@dataclass
class Reader:
    """A model that searches, reads five pages and cites the second and the last one."""

    tools: PagesOfTheirOwn
    language: Language
    name: str = "bench"
    context_tokens: int = 0

    async def complete(self, request: object, *, emit: object) -> ModelReply:
        await anyio.lowlevel.checkpoint()
        messages: Sequence[Message] = request.messages  # pyright: ignore[reportAttributeAccessIssue]
        turn = sum(message.role == "assistant" for message in messages)
        thought = " ".join(self.language.sentences(400))
        calls: tuple[ToolCall, ...] = ()
        text = ""
        if turn == 0:
            calls = (ToolCall(f"s{turn}", "web_search", {"query": thought[:60]}),)
        elif turn <= VISITS:
            url = f"https://pages.example/{self.tools.shown}"
            calls = (ToolCall(f"v{turn}", "web_visit", {"url": url}),)
        else:
            first, second = self.tools.shown - VISITS + 1, self.tools.shown - 1
            said = self.tools.last.split(". ")
            text = (
                f"{said[1]} [https://pages.example/{first}]. {said[9]}"
                f" [https://pages.example/{second}]. \\boxed{{{said[9].split()[0]}}}"
            )
        message = Message("assistant", text, reasoning=thought, tool_calls=calls)
        return ModelReply(message, "tool_calls" if calls else "stop", Usage(9_000, 120, 8_000))


async def make_run(directory: Path, count: int) -> None:
    """Write a run of so many questions."""
    language, profile = Language(), load_profile("default")
    questions = [
        Question(
            id=f"q{n}",
            question=" ".join(language.sentences(90)),
            answers=(f"answer {n}",),
            fields={"hops": n % 4, "topic": f"topic {n % 11}"},
        )
        for n in range(count)
    ]
    manifest = RunManifest(
        created=MADE,
        dataset=DatasetStamp(name="made up", total=count, picked=count),
        profile=ProfileStamp(name=profile.name, digest=profile.digest),
        model=ModelStamp(name="bench"),
        graders=("exact",),
    )
    with RunWriter.create(directory, manifest, questions) as writer:
        for number, owed in enumerate(writer.plan().owed):
            episode = owed.episode(seed=1)
            log, tools = writer.begin(episode), PagesOfTheirOwn(language, number * VISITS)
            agent = Agent(model=Reader(tools, language), tools=tools, profile=profile)  # pyright: ignore[reportArgumentType]
            record = writer.add_record(await solver(agent, EpisodeSettings())(episode, log), log)
            grade = "correct" if number % 3 else "incorrect"
            writer.add_grade(
                GradeRecord(
                    id=record.id,
                    repeat=0,
                    attempt=1,
                    grader="exact",
                    digest="ef" * 32,
                    verdict=Verdict(grade=grade),
                    at=MADE,
                )
            )


def view_figures(directory: Path, out: Path) -> list[tuple[str, str]]:
    """What `seekling view` takes and makes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "agent_client", "view", str(directory), "-o", str(out)]
    done = subprocess.run([*command, "--json"], env=ENVIRONMENT, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    told = json.loads(done.stdout)
    stored = sum(path.stat().st_size for path in directory.iterdir() if path != out)
    return [
        ("episodes", f"{told['episodes']:,}"),
        ("bytes stored", f"{stored / 1e6:,.1f} MB"),
        ("the file", f"{told['bytes'] / 1e6:,.1f} MB"),
        ("CPU", f"{cpu:,.1f} s ({1_000 * cpu / max(1, told['episodes']):.1f} ms per episode)"),
        ("peak memory", f"{after.ru_maxrss / 1_024:,.0f} MB"),
    ]


def live_figures(directory: Path) -> list[tuple[str, str]]:
    """What one reading of a run takes that is followed, and how much of a core that is at most."""
    run = FollowedRun(directory, default_grader(read_run(directory)))
    took = run.latest.cpu_seconds
    rest = max(LEAST_PAUSE_SECONDS, REST_PER_WORK * took)
    return [
        ("live: one reading", f"{1_000 * took:,.0f} ms CPU"),
        ("live: at most", f"{100 * took / (took + rest):.1f} % of a core"),
        ("live: the index as sent", f"{len(run.latest.index) / 1e3:,.0f} kB"),
    ]


def block_rows(directory: Path) -> Iterator[tuple[str, ...]]:
    """Size and time to unpack, by episodes per block."""
    run = read_run(directory)
    episodes = RunEpisodes(run, default_grader(run))
    views = [encoded(episodes.view(row)) for row in range(min(BLOCK_EPISODES, len(episodes)))]
    for size in BLOCK_SIZES:
        blocks = [b"[%s]" % b",".join(views[n : n + size]) for n in range(0, len(views), size)]
        packed = [base64.b64encode(gzip.compress(block, 6, mtime=0)) for block in blocks]
        began = time.process_time()
        for block in packed:
            json.loads(gzip.decompress(base64.b64decode(block)))
        took = (time.process_time() - began) / len(packed)
        stored = sum(map(len, packed)) / len(views)
        yield str(size), f"{stored / 1e3:,.2f} kB", f"{1_000 * took:.1f} ms"


def main() -> None:
    """Make the run, look at it, and print tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=4_326)
    parser.add_argument("--run", type=Path, help="a run that is there")
    parser.add_argument("--blocks", action="store_true", help="compare sizes of blocks")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="seekling-bench-") as name:
        directory = options.run or Path(name) / "run"
        if options.run is None:
            anyio.run(make_run, directory, options.questions)
        rows = [*view_figures(directory, Path(name) / "view.html"), *live_figures(directory)]
        print("| | |\n|---|---|")
        print("\n".join(f"| {label} | {value} |" for label, value in rows))
        if options.blocks:
            print("\n| episodes per block | bytes per episode | to open one |\n|---|---|---|")
            print("\n".join(f"| {' | '.join(row)} |" for row in block_rows(directory)))


if __name__ == "__main__":
    main()
