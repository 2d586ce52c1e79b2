"""Two hundred visits at once through one HTTP server, of real and hostile pages, for ten minutes.

    python -m tests.load.visits [--minutes 10] [--at-once 200]

The site (`tests/load/site.py`), the server and the callers are processes of their own on loopback.
Each caller visits a page, waits for the reply and visits the next, at an address that nobody has
visited before; who is told that the server is busy waits a second. The server's bounds are those of
its defaults: 16 pages at once, 64 that wait. Meanwhile `tests/load/others.py` lists the tools and
searches the embedded encyclopedia, from one more process. A reply is lost if there is none, or if
it is of another page. Memory and descriptors are compared between the second fifth of the time and
the last.
"""

import argparse
import json
import random
import statistics
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import anyio
import httpx

from tests.bench.results import Aim, Chart, Section, Table, save, shown, spread
from tests.load.loaded_server import LoadedServer, Sample, call, loaded_server
from tests.load.site import HOSTS

SEED = 1
SAMPLE_SECONDS = 5.0
BUSY_SECONDS = 1.0
"""What a caller waits who was told to try again in a moment."""
DRAIN_SECONDS = 70.0
"""After the time is over no caller begins a visit; those that are under way may end."""
OTHERS_END_SECONDS = 60.0
"""How long the process of the other calls may take to tell what it saw."""
MOST_SECONDS_OF_OTHERS = 1.0
MOST_GROWTH_MB = 50.0
MOST_MORE_DESCRIPTORS = 20
SHARES = {
    "real": 640,
    "large": 40,
    "missing": 40,
    "failing": 30,
    "limited": 30,
    "reset": 30,
    "loop": 30,
    "inside": 30,
    "surrogate": 30,
    "binary": 30,
    "headers": 20,
    "bomb": 10,
    "twice": 10,
    "endless": 10,
    "silent": 8,
    "trickle": 8,
    "nested": 2,
    "attributes": 2,
}
"""Of a thousand visits. The last two keep a core busy for seconds each."""
PAGES = ("real", "large", "surrogate")
"""Kinds whose text is a reply; the others fail, in words."""
FLAGS = (
    *("--allow-private", "127.0.0.0/8", "--allow-ports", "any"),
    *("--providers", "local"),
)


@dataclass(slots=True)
class Tally:
    """What the callers got."""

    outcomes: dict[str, Counter[str]] = field(
        default_factory=lambda: defaultdict[str, Counter[str]](Counter)
    )
    seconds: dict[str, list[float]] = field(
        default_factory=lambda: defaultdict[str, list[float]](list)
    )
    lost: list[str] = field(default_factory=list[str])
    others: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    """Seconds of other calls meanwhile, by their name."""

    @property
    def replies(self) -> int:
        """All of them."""
        return sum(counts.total() for counts in self.outcomes.values())


class Site:
    """The site's process."""

    def __init__(self) -> None:
        """Start it."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.load.site"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def end(self) -> None:
        """End it with its input."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)


async def visit_on(
    http: httpx.AsyncClient, port: int, kinds: Callable[[], tuple[str, int]], tally: Tally
) -> None:
    """Visit one page after the other until the kinds end."""
    while True:
        kind, number = kinds()
        if not kind:
            return
        host = HOSTS[number % len(HOSTS)]
        url = f"http://{host}:{port}/{kind}/{number}"
        began = time.monotonic()
        try:
            failed, text = await call(http, "web_visit", url=url)
        except (httpx.HTTPError, ValueError) as error:
            tally.lost.append(f"{kind}: {error!r}"[:300])
            continue
        tally.seconds[kind].append(time.monotonic() - began)
        outcome = _outcome(kind, failed, text)
        tally.outcomes[kind][outcome] += 1
        if not failed and f"/{kind}/{number}" not in text:
            tally.lost.append(f"{kind}: the reply is of another page: {text[:200]!r}")
        if outcome == "busy":
            await anyio.sleep(BUSY_SECONDS)


def _outcome(kind: str, failed: bool, text: str) -> str:
    if not failed:
        return "text" if kind in PAGES else "text (of a hostile page)"
    if "busy" in text:
        return "busy"
    return "said that it was too late" if "in time" in text else "said why not"


@contextmanager
def others_calling(base: str, tally: Tally) -> Generator[None]:
    """Meanwhile, calls of `tests/load/others.py`, which are in the tally at the end."""
    calling = subprocess.Popen(
        [sys.executable, "-m", "tests.load.others", base],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield
        told = json.loads(calling.communicate(timeout=OTHERS_END_SECONDS)[0])
        tally.others |= told["seconds"]
        tally.lost += told["lost"]
    finally:
        calling.kill()
        calling.wait()


async def load(minutes: float, at_once: int) -> tuple[Tally, Sequence[Sample]]:
    """Load a server."""
    site, tally, chance = Site(), Tally(), random.Random(SEED)
    names, weights = list(SHARES), list(SHARES.values())
    number = 0
    try:
        async with loaded_server(*FLAGS) as server, server.http() as http:
            ends = time.monotonic() + minutes * 60

            def kinds() -> tuple[str, int]:
                nonlocal number
                number += 1
                over = time.monotonic() >= ends
                return ("" if over else chance.choices(names, weights)[0]), number

            with others_calling(server.base, tally):
                async with anyio.create_task_group() as aside:
                    aside.start_soon(server.keep_sampling, SAMPLE_SECONDS)
                    aside.start_soon(_tell, server, tally)
                    with anyio.fail_after(minutes * 60 + DRAIN_SECONDS):
                        async with anyio.create_task_group() as callers:
                            for _ in range(at_once):
                                callers.start_soon(visit_on, http, site.port, kinds, tally)
                    aside.cancel_scope.cancel()
            server.sample()
            return tally, server.samples
    finally:
        site.end()


async def _tell(server: LoadedServer, tally: Tally) -> None:
    while True:
        await anyio.sleep(30)
        now = server.samples[-1]
        sys.stdout.write(
            f"{now.seconds:4.0f} s: {tally.replies} replies, {len(tally.lost)} lost, server "
            f"{now.server_mb:.0f} MB, {now.descriptors} descriptors, {now.children} children\n"
        )
        sys.stdout.flush()


def section_of(tally: Tally, samples: Sequence[Sample], minutes: float, at_once: int) -> Section:
    """What the page shows of it."""
    fifth = len(samples) // 5
    early, late = samples[fifth : 2 * fifth] or samples[:1], samples[-fifth:] or samples[-1:]
    growth = _middle(late, "server_mb") - _middle(early, "server_mb")
    more = _middle(late, "descriptors") - _middle(early, "descriptors")
    slowest = max(max(times) for times in tally.others.values())
    rows = tuple(
        (
            kind,
            f"{counts.total():,}",
            ", ".join(f"{name} {count:,}" for name, count in counts.most_common()),
            spread(tally.seconds[kind]),
            shown(max(tally.seconds[kind])),
        )
        for kind, counts in ((kind, tally.outcomes[kind]) for kind in SHARES)
        if counts
    )
    held = tuple(
        (
            label,
            *(shown(_middle(part, name)) for part in (early, late)),
            shown(_most(samples, name)),
        )
        for label, name in (
            ("server, MB", "server_mb"),
            ("server and children, MB", "tree_mb"),
            ("descriptors", "descriptors"),
            ("children", "children"),
        )
    )
    others = tuple(
        (name, f"{len(times):,}", spread(times), shown(_share(times, 0.99)), shown(max(times)))
        for name, times in tally.others.items()
    )
    whole = samples[-1].seconds
    return Section(
        name="load-visits",
        title=f"Load: {at_once} visits at once",
        command="python -m tests.load.visits",
        about=(
            f"{at_once} callers visited {tally.replies:,} pages in {minutes:g} minutes through one "
            f"server over HTTP ({tally.replies / whole:.0f} a second, "
            f"{1000 * samples[-1].cpu_seconds / max(tally.replies, 1):.0f} ms of the server's CPU "
            "each, hostile ones included): real pages, and one in three that fails or attacks. "
            "The server has its default bounds: 16 pages at once and 64 visits that wait; whoever "
            "comes then is told that it is busy. "
            "Server, site and callers share the cores."
        ),
        tables=(
            Table(
                title="Replies",
                columns=("page", "visits", "outcomes", "seconds", "slowest"),
                rows=rows,
                note=f"Lost replies: {len(tally.lost)}.",
            ),
            Table(
                title="What the server holds",
                columns=("", "second fifth", "last fifth", "most"),
                rows=held,
                note="Medians of samples, one each five seconds.",
            ),
            Table(
                title="Other calls meanwhile, seconds",
                columns=("call", "calls", "seconds", "99 of 100", "slowest"),
                rows=others,
            ),
        ),
        aims=(
            Aim(
                aim="no lost reply under load",
                measured=f"{len(tally.lost)} of {tally.replies:,}",
                met=not tally.lost,
                why="; ".join(tally.lost[:2]),
            ),
            Aim(
                aim="no growth of memory or descriptors under load",
                measured=f"{growth:+.1f} MB, {more:+.0f} descriptors",
                met=growth < MOST_GROWTH_MB and more < MOST_MORE_DESCRIPTORS,
                why="see the table",
            ),
            Aim(
                aim="other calls within a second under load",
                measured=f"slowest {slowest:.2f} s",
                met=slowest < MOST_SECONDS_OF_OTHERS,
                why="callers, site and server share two cores",
            ),
        ),
        charts=(
            Chart(
                name="load-memory",
                title=f"Memory under {at_once} visits at once",
                unit="MB",
                x_unit="seconds",
                kind="lines",
                lines={
                    "server": tuple((each.seconds, each.server_mb) for each in samples),
                    "with children": tuple((each.seconds, each.tree_mb) for each in samples),
                },
            ),
        ),
    )


def _middle(samples: Sequence[Sample], name: str) -> float:
    return statistics.median(getattr(each, name) for each in samples)


def _most(samples: Sequence[Sample], name: str) -> float:
    return max(getattr(each, name) for each in samples)


def _share(times: Sequence[float], share: float) -> float:
    return sorted(times)[min(len(times) - 1, int(len(times) * share))]


def run(minutes: float = 10, at_once: int = 200, *, keep: bool = True) -> bool:
    """Load a server and keep what was measured; whether all aims are met."""
    tally, samples = anyio.run(load, minutes, at_once)
    section = section_of(tally, samples, minutes, at_once)
    save(section, keep=keep)
    sys.stdout.writelines(f"lost: {lost}\n" for lost in tally.lost[:20])
    return all(aim.met for aim in section.aims)


def main() -> int:
    """Run it as a program."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--at-once", type=int, default=200)
    options = parser.parse_args()
    whole = options.minutes >= 10
    return 0 if run(options.minutes, options.at_once, keep=whole) else 1


if __name__ == "__main__":
    sys.exit(main())
