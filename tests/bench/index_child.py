"""What a search engine is asked to do in a process of its own, and how that is timed.

    PYTHON -m tests.bench.index_engines|index_peer < job.json

Nothing here needs more than the standard library: the environments of other engines use it too.
Figures of a build are CPU time of all threads, reading included; of a query CPU time of its thread
and wall time, stored fields of the hits included where the engine stores them.
"""

import gzip
import json
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

REPEATS = 2
"""Each query is asked so often, and its best time counts: the other had company on the core."""
LIMIT = 10
DEPTH = 20
"""Hits for the judged questions."""

Row = dict[str, str]
Ask = Callable[[str, int], Sequence[str]]
"""From a question and a number of hits to the ids of the best documents, best first."""


@dataclass(frozen=True)
class Engine:
    """How an engine builds and opens an index in a folder."""

    build: Callable[[Path, Path], int]
    """From a corpus and a new folder to the number of passages."""
    open: Callable[[Path], Callable[[], Ask]]
    """Opens the index; what it returns makes what a thread asks with."""


class Job(TypedDict):
    """What standard input says."""

    engine: str
    action: str
    """`build`, `time` or `answer`."""
    corpus: str
    folder: str
    queries: list[str]


def rows(corpus: Path) -> Iterator[Row]:
    """The documents of a JSON Lines file, packed or not."""
    is_packed = corpus.suffix == ".gz"
    with (
        gzip.open(corpus, "rt", encoding="utf-8")
        if is_packed
        else corpus.open(encoding="utf-8") as lines
    ):
        for line in lines:
            yield json.loads(line)


def words_of(text: str) -> list[str]:
    """The words of a query or a text, for engines that take them so."""
    return "".join(char if char.isalnum() else " " for char in text.lower()).split()


def built(engine: Engine, corpus: Path, folder: Path) -> dict[str, float]:
    """Build an index; passages, those per CPU second, bytes and peak memory in MB."""
    started, wall = time.process_time(), time.perf_counter()
    count = engine.build(corpus, folder)
    seconds = time.process_time() - started
    return {
        "passages": count,
        "passages_per_cpu_s": count / seconds,
        "wall_s": time.perf_counter() - wall,
        "bytes": sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_000,
    }


def timed(engine: Engine, folder: Path, queries: Sequence[str]) -> dict[str, float]:
    """Open an index and ask; milliseconds, and queries per second of one and of two threads."""
    started = time.perf_counter()
    connect = engine.open(folder)
    ask = connect()
    opened = time.perf_counter() - started
    ask(queries[0], LIMIT)
    first = time.perf_counter() - started
    for query in queries[:50]:
        ask(query, LIMIT)
    times = [float("inf")] * len(queries)
    rates: list[float] = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        for number, query in enumerate(queries):
            before = time.thread_time()
            ask(query, LIMIT)
            times[number] = min(times[number], time.thread_time() - before)
        rates.append(len(queries) / (time.perf_counter() - started))
    cuts = [cut * 1_000 for cut in statistics.quantiles(times, n=100)]
    return {
        "open_ms": opened * 1_000,
        "with_first_ms": first * 1_000,
        "p50_ms": cuts[49],
        "p99_ms": cuts[98],
        "qps_1": max(rates),
        "qps_2": _rate_of_threads(connect, queries, 2),
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_000,
    }


def _rate_of_threads(connect: Callable[[], Ask], queries: Sequence[str], threads: int) -> float:
    """Queries per second of wall time, each thread asking its share of them all."""

    def work(share: Iterable[str]) -> None:
        ask = connect()
        for query in share:
            ask(query, LIMIT)

    shares = [queries[start::threads] for start in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        started = time.perf_counter()
        list(pool.map(work, shares))
        return len(queries) / (time.perf_counter() - started)


def serve(engines: Mapping[str, Engine]) -> None:
    """Do the job of standard input with one of the engines and print what came of it as JSON."""
    job: Job = json.load(sys.stdin)
    engine, folder = engines[job["engine"]], Path(job["folder"])
    if job["action"] == "build":
        said: object = built(engine, Path(job["corpus"]), folder)
    elif job["action"] == "time":
        said = timed(engine, folder, job["queries"])
    else:
        ask = engine.open(folder)()
        said = [list(ask(query, DEPTH)) for query in job["queries"]]
    print(json.dumps(said))
