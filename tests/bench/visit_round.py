"""One server under load: it is asked for pages, and what each took is noted. Linux: reads /proc."""

import statistics
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.bench.visit_peers import Visitor
from tests.bench.visit_site import SIZES_KB, Site, mark
from tests.support.stdio_server import StdioServer

AT_ONCE = 16
CALLS = {17: 48, 67: 48, 460: 16}
"""Most calls for each size and round."""
BATCH_SECONDS = 3.0
"""After this a batch begins no further call, so that a slow server does not take the day."""
REAL_SECONDS = 6.0
"""The same of real pages one at a time, of which as many as possible should be read."""
FEWEST_CALLS = 3
CACHED_CALLS = 200
HANG_SECONDS = 120.0
"""A server that keeps a batch waiting for so long is killed."""
IDLE_SECONDS = 1.5
SAMPLE_SECONDS = 0.1
MIN_REAL_CHARS = 200
"""A real page of which less text comes back counts as not read."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A page to ask for."""

    url: str
    mark: str = ""
    """What a text of it holds, whatever the case of its letters; "" for a real page."""


@dataclass(slots=True)
class Batch:
    """Calls of one kind."""

    cpu_ms: float = 0.0
    """CPU time of the server and its children, by page that came back."""
    per_second: float = 0.0
    """Pages that came back."""
    chars: list[int] = field(default_factory=list[int])
    """How long the text of each page was that came back."""
    failed: int = 0

    @property
    def calls(self) -> int:
        """How many calls there were."""
        return len(self.chars) + self.failed


@dataclass(slots=True)
class Figures:
    """What all rounds found about one server."""

    batches: dict[tuple[str, int], list[Batch]] = field(
        default_factory=dict[tuple[str, int], list[Batch]]
    )
    """By what was read (`17`, `67`, `460`, `real`, `cached`) and how many calls at once."""
    start_ms: list[float] = field(default_factory=list[float])
    start_cpu_ms: list[float] = field(default_factory=list[float])
    idle_mb: list[float] = field(default_factory=list[float])
    peak_mb: list[float] = field(default_factory=list[float])
    hung: int = 0
    """Rounds that it did not live through."""

    def add(self, kind: str, at_once: int, batch: Batch) -> None:
        """Take one batch."""
        self.batches.setdefault((kind, at_once), []).append(batch)

    def cpu_ms(self, kind: str, at_once: int = 1) -> list[float]:
        """CPU milliseconds of a call, one of each batch in which a page came back."""
        return [each.cpu_ms for each in self.batches.get((kind, at_once), []) if each.chars]

    def per_second(self, kind: str, at_once: int = 1) -> list[float]:
        """Calls per second, likewise."""
        return [each.per_second for each in self.batches.get((kind, at_once), []) if each.chars]

    def chars(self, kind: str) -> list[int]:
        """Lengths of all texts that came back."""
        return [n for (name, _), found in self.batches.items() if name == kind
                for each in found for n in each.chars]  # fmt: skip

    def counts(self, kind: str) -> tuple[int, int]:
        """How many pages were asked for, and how many of those did not come back."""
        found = [each for (name, _), some in self.batches.items() if name == kind for each in some]
        return sum(each.calls for each in found), sum(each.failed for each in found)


def measure_start(server: StdioServer, began: float, into: Figures) -> None:
    """Shake hands, list the tools, and look at the server when it has nothing to do.

    Args:
        server: one that has just been started.
        began: `time.perf_counter()` before that.
        into: gets the figures.
    """
    server.list_tools()
    into.start_ms.append((time.perf_counter() - began) * 1e3)
    into.start_cpu_ms.append(server.cpu_seconds() * 1e3)
    time.sleep(IDLE_SECONDS)
    into.idle_mb.append(server.resident_mb())


def measure_round(visitor: Visitor, site: Site, number: int, real: range, into: Figures) -> None:
    """One round of one server: start, made pages, real pages, the same page again.

    Args:
        visitor: the server.
        site: where the pages are.
        number: of the round, from 0: no page is asked for twice.
        real: numbers of the real pages of this round; may be empty.
        into: gets the figures.
    """
    began = time.perf_counter()
    server = StdioServer(visitor.command)
    try:
        with _watched(server, into.peak_mb):
            measure_start(server, began, into)
            _measure_pages(server, visitor, site, number, real, into)
    except (EOFError, BrokenPipeError):
        into.hung += 1
    finally:
        server.end()


def _measure_pages(
    server: StdioServer, visitor: Visitor, site: Site, number: int, real: range, into: Figures
) -> None:
    first = number * 1_000 + 1

    def made(size_kb: int, count: int) -> list[Wanted]:
        nonlocal first
        numbers, first = range(first, first + count), first + count
        return [Wanted(site.made(size_kb, each), mark(each)) for each in numbers]

    # All that starts late (children, parsers, connections) is there before anything counts.
    drive(server, visitor, made(SIZES_KB[0], 2 * AT_ONCE), at_once=AT_ONCE)
    for size in SIZES_KB:
        alone = drive(server, visitor, made(size, CALLS[size]), at_once=1)
        into.add(str(size), 1, alone)
        together = made(size, _calls_at_once(alone, 2 * CALLS[size]))
        into.add(str(size), AT_ONCE, drive(server, visitor, together, at_once=AT_ONCE))
    if real:
        alone = drive(
            server, visitor, _real_pages(site, 2 * number, real), at_once=1, seconds=REAL_SECONDS
        )
        into.add("real", 1, alone)
        together = _real_pages(site, 2 * number + 1, real)[: _calls_at_once(alone, len(real))]
        into.add("real", AT_ONCE, drive(server, visitor, together, at_once=AT_ONCE))
    if visitor.keeps_pages:
        same = made(67, 1)
        drive(server, visitor, same, at_once=1)
        for at_once in (1, AT_ONCE):
            batch = drive(server, visitor, same * CACHED_CALLS, at_once=at_once)
            into.add("cached", at_once, batch)


def _real_pages(site: Site, turn: int, numbers: range) -> list[Wanted]:
    return [Wanted(site.real(turn, number)) for number in numbers]


def _calls_at_once(alone: Batch, most: int) -> int:
    """How many calls a batch of many at once gets: about twice as many as one at a time made."""
    return min(most, max(FEWEST_CALLS, int(2 * BATCH_SECONDS * alone.per_second)))


def drive(
    server: StdioServer,
    visitor: Visitor,
    pages: Sequence[Wanted],
    *,
    at_once: int,
    seconds: float = BATCH_SECONDS,
) -> Batch:
    """Ask for pages.

    Args:
        server: who is asked.
        visitor: how it is asked.
        pages: what for.
        at_once: how many calls are under way at a time.
        seconds: after this no further call begins.

    Raises:
        EOFError: the server ended, or had to be killed as it did not answer.
        BrokenPipeError: the same, as it was asked.
    """
    batch = Batch()
    waiting: dict[int, Wanted] = {}
    left = iter(pages)
    hang = threading.Timer(HANG_SECONDS, server.process.kill)
    hang.start()
    cpu, began = server.cpu_seconds(), time.perf_counter()

    def begin() -> None:
        page = next(left, None) if time.perf_counter() - began < seconds else None
        if page:
            waiting[server.begin_call(visitor.tool, visitor.arguments(page.url))] = page

    try:
        for _ in range(at_once):
            begin()
        while waiting:
            message = server.read()
            page = waiting.pop(message.get("id", 0), None)
            if page is None:  # a notification
                continue
            begin()
            text = page_text(message, page)
            if text is None:
                batch.failed += 1
            else:
                batch.chars.append(len(text))
    finally:
        hang.cancel()
    wall = time.perf_counter() - began
    batch.cpu_ms = (server.cpu_seconds() - cpu) * 1e3 / max(1, len(batch.chars))
    batch.per_second = len(batch.chars) / wall
    return batch


def page_text(message: dict[str, Any], page: Wanted) -> str | None:
    """The text that a call brought; `None` if it is an error or does not hold the page."""
    result = message.get("result")
    if not result or result.get("isError"):
        return None
    text = "".join(block.get("text", "") for block in result.get("content", ()))
    found = page.mark in text.lower() if page.mark else len(text) >= MIN_REAL_CHARS
    return text if found else None


@contextmanager
def _watched(server: StdioServer, into: list[float]) -> Generator[None]:
    """Note the most memory that a server and its children hold at one time, in MB."""
    over = threading.Event()
    peak = 0.0

    def watch() -> None:
        nonlocal peak
        while not over.wait(SAMPLE_SECONDS):
            peak = max(peak, server.resident_mb())

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        yield
    finally:
        over.set()
        watching.join()
        into.append(peak)


def middle(values: Sequence[float]) -> float:
    """Their median; 0 if there are none."""
    return statistics.median(values) if values else 0.0
