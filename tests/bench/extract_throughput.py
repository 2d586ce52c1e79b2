"""How fast pages are read in warm children: alone, sixteen at a time, and beside hostile ones.

    python tests/bench/extract_throughput.py DIR [--pages N] [--rounds N]

DIR holds pages as `*.html` or `*.html.gz`. The peer, one child process per page, runs in the same
rounds; rates are medians of the rounds, so that a busy machine changes the ratios little.
"""

import argparse
import gzip
import os
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import anyio

from mcp_server.extract import EXTRACTORS
from mcp_server.extract.types import SourceInfo
from mcp_server.extract.workers.pool import ExtractionPool
from mcp_server.visit.media_type import sniff
from mcp_server.visit.types import Resource

Document = tuple[bytes, SourceInfo]
Read = Callable[[bytes, SourceInfo], Awaitable[object]]

CONCURRENCY = 16
PEER_PAGES = 20
DEADLINE_SECONDS = 20.0
HOSTILE_PAGES = 4
HOSTILE_SECONDS = 1.5
"""After this a hostile page is given up; its parser would need half a minute."""
PING_SECONDS = 0.005


def pages_of(folder: Path, count: int) -> list[Document]:
    """The first pages of a folder with what is known about them."""
    pages: list[Document] = []
    for path in sorted(folder.glob("*.html*"))[:count]:
        body = path.read_bytes()
        body = gzip.decompress(body) if path.suffix == ".gz" else body
        info = sniff(
            Resource(url="", final_url="", status=200, content_type="text/html", body=body)
        )
        if info.media_type in EXTRACTORS:
            pages.append((body, info))
    return pages


async def timed(pages: Sequence[Document], read: Read, concurrency: int) -> list[float]:
    """Read all pages, so many at a time; the latency of each in seconds."""
    latencies: list[float] = []
    waiting = iter(pages)

    async def read_some() -> None:
        for body, info in waiting:
            started = time.perf_counter()
            await read(body, info)
            latencies.append(time.perf_counter() - started)

    async with anyio.create_task_group() as tasks:
        for _ in range(concurrency):
            tasks.start_soon(read_some)
    return latencies


async def read_alone(body: bytes, info: SourceInfo) -> object:
    """The peer: a new child process for each page."""
    async with ExtractionPool(max_workers=1) as pool:
        return await pool.extract(body, info, deadline_seconds=DEADLINE_SECONDS)


class Measured:
    """Rates and latencies of one way of reading, over the rounds."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.rates: list[float] = []
        self.latencies: list[float] = []
        self.own_cpu_seconds: list[float] = []

    async def run(self, pages: Sequence[Document], read: Read, concurrency: int) -> None:
        """One round."""
        started, cpu = time.perf_counter(), time.process_time()
        self.latencies += await timed(pages, read, concurrency)
        self.rates.append(len(pages) / (time.perf_counter() - started))
        self.own_cpu_seconds.append((time.process_time() - cpu) / len(pages))

    @property
    def rate(self) -> float:
        """Pages per second."""
        return statistics.median(self.rates)

    def __str__(self) -> str:
        cuts = statistics.quantiles(self.latencies, n=20)
        return (
            f"{self.name:28} {self.rate:8.1f} pages/s   p50 {cuts[9] * 1e3:7.1f} ms"
            f"   p95 {cuts[18] * 1e3:7.1f} ms"
            f"   own CPU {statistics.median(self.own_cpu_seconds) * 1e3:5.2f} ms/page"
        )


async def ping_beside_hostile_pages(pages: Sequence[Document]) -> list[float]:
    """How late the event loop wakes up, in seconds, while hostile and good pages are read."""
    body = b"<div></x>" * 100_000  # deep, and not known as such ahead of the parser
    info = SourceInfo(url="", media_type="text/html", charset="utf_8")
    late: list[float] = []

    async def ping() -> None:
        while True:
            before = time.perf_counter()
            await anyio.sleep(PING_SECONDS)
            late.append(time.perf_counter() - before - PING_SECONDS)

    async with ExtractionPool() as pool, anyio.create_task_group() as tasks:
        tasks.start_soon(ping)

        async def read(body: bytes, info: SourceInfo) -> object:
            return await pool.extract(body, info, deadline_seconds=DEADLINE_SECONDS)

        async def read_hostile() -> None:
            await pool.extract(body + b"x", info, deadline_seconds=HOSTILE_SECONDS)

        async with anyio.create_task_group() as reading:
            for _ in range(HOSTILE_PAGES):
                reading.start_soon(read_hostile)
            reading.start_soon(timed, pages, read, CONCURRENCY)
        tasks.cancel_scope.cancel()
    return late


async def measure(pages: Sequence[Document], rounds: int) -> None:
    """Run all ways in turn and print a table."""
    alone = Measured("one child per page")
    sequential = Measured("pool, one at a time")
    concurrent = Measured(f"pool, {CONCURRENCY} at a time")
    async with ExtractionPool() as pool:

        async def read(body: bytes, info: SourceInfo) -> object:
            return await pool.extract(body, info, deadline_seconds=DEADLINE_SECONDS)

        await timed(pages[:CONCURRENCY], read, CONCURRENCY)  # starts every child
        for _ in range(rounds):
            await sequential.run(pages, read, 1)
            await concurrent.run(pages, read, CONCURRENCY)
            await alone.run(pages[:: max(1, len(pages) // PEER_PAGES)], read_alone, 1)
    late = await ping_beside_hostile_pages(pages)
    print(f"{len(pages)} pages, {os.cpu_count()} processors, {rounds} rounds")
    for measured in (alone, sequential, concurrent):
        print(measured)
    print(f"pool / one child per page: {sequential.rate / alone.rate:.1f} times")
    print(f"{CONCURRENCY} at a time / one at a time: {concurrent.rate / sequential.rate:.2f} times")
    print(
        f"event loop beside {HOSTILE_PAGES} hostile pages: late by"
        f" {statistics.median(late) * 1e3:.2f} ms (p50), {max(late) * 1e3:.1f} ms (worst)"
    )


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--pages", type=int, default=200, metavar="N")
    parser.add_argument("--rounds", type=int, default=3, metavar="N")
    options = parser.parse_args()
    anyio.run(measure, pages_of(options.folder, options.pages), options.rounds)


if __name__ == "__main__":
    main()
