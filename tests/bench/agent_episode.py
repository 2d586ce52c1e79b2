"""The episode that every contestant does, and what it takes: nothing but Python's own library.

An episode is a question, a search, five visits of pages of 10,000 characters, and an answer: seven
turns. Peers import this in environments of their own.
"""

import os
import re
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

VISITS = 5
TURNS = VISITS + 2
CALLS = VISITS + 1
PAGE_CHARS = 10_000
PAGES = 600
"""In the index that the real tool server answers from."""
HITS = 10
FILLER = "The quick brown fox jumps over the lazy dog while the river flows to the sea. " * 140
ANSWER = "boxed{fox}"
"""What a right answer has in it."""
WARM_UPS = 3
"""Episodes before any is measured."""
FIRST = 1_000
"""Number of the first one that is measured."""
ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "SEEKLING_CONFIG": ""}
"""Of every process that is started: what a user of this machine has configured does not count."""
_KB = 1_024


def question_of(episode: int) -> str:
    """What is asked; the model server knows the episode by it."""
    return f"Which animal jumps in episode {episode}?"


def url_of(episode: int, visit: int) -> str:
    """The page that an episode visits."""
    return f"https://pages.example/{(episode * VISITS + visit) % PAGES}"


def found_hits(query: str) -> str:
    """What a search returns: ten hits."""
    episode = int(query.rpartition(" ")[2])
    return "\n\n".join(
        f"Index: {n}\nURL: {url_of(episode, n)}\nTitle: Page {n}\nPreview: {FILLER[:250]}"
        for n in range(HITS)
    )


def visited_page(url: str) -> str:
    """What a visit returns to a peer: a page of 10,000 characters."""
    return f"Title: {url}\nURL: {url}\n\n{FILLER[:PAGE_CHARS]}"


def memory_peak_mb() -> float:
    """The most memory that this process has held, in MB; Linux only.

    Not `getrusage`: what that says of a process begins with the memory of the one that started it.
    """
    status = Path("/proc/self/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) * _KB / 1e6 if found else 0.0


def children_cpu() -> float:
    """CPU seconds of the processes that this one has started and that still run; Linux only."""
    ticks = 0
    for task in Path("/proc/self/task").iterdir():
        for child in (task / "children").read_text().split():
            fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Meter:
    """What this process takes from the moment that the meter is made."""

    cpu: float = field(default_factory=time.process_time)
    wall: float = field(default_factory=time.perf_counter)
    served: float = field(default_factory=children_cpu)
    peak_mb: float = field(default_factory=memory_peak_mb)

    def figures(self, episodes: int, at_once: int) -> dict[str, float]:
        """What these episodes have taken, by the turn.

        Memory per episode is how much the peak has grown over that of one episode at a time.
        """
        cpu, wall = time.process_time() - self.cpu, time.perf_counter() - self.wall
        served, peak_mb = children_cpu() - self.served, memory_peak_mb()
        turns = episodes * TURNS
        return {
            "cpu_ms_per_turn": 1_000 * cpu / turns,
            "server_ms_per_turn": 1_000 * served / turns,
            "turns_per_second": turns / wall,
            "mb_per_episode": (peak_mb - self.peak_mb) / max(1, at_once - 1),
            "peak_mb": peak_mb,
        }


def measured_in_threads(
    episode: Callable[[int], None], episodes: int, at_once: int
) -> dict[str, float]:
    """Run episodes of an agent that blocks, each in a thread; the figures."""
    for number in range(WARM_UPS):
        episode(number)
    with ThreadPoolExecutor(at_once) as pool:
        meter = Meter()
        done: Iterable[None] = pool.map(episode, range(FIRST, FIRST + episodes))
        for _ in done:
            pass
        return meter.figures(episodes, at_once)
