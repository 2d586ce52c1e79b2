"""What reading web pages costs: our server beside others that read a URL, and beside the limits.

    python -m tests.bench.visiting [--quick] [--ours]

All servers are asked through MCP over stdio, one after the other in each round, for pages of a site
on this machine that nobody has asked for before. Real pages are read too if the checkout stands
beside the shared data. Linux only: CPU time and memory of whole process trees come from /proc.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.bench.results import Aim, Chart, Section, Table, ratio, save, shown, spread
from tests.bench.visit_limits import EXTRACTOR, NOOP, PARSER, SOCKET, Limits, measure_limits
from tests.bench.visit_peers import MAX_CHARS, OURS, ours, peer_versions, peers
from tests.bench.visit_round import (
    AT_ONCE,
    BATCH_SECONDS,
    CALLS,
    Figures,
    measure_round,
    middle,
)
from tests.bench.visit_site import SIZES_KB, Pages, running_site

ROUNDS = 3
REAL_PAGES = Path(__file__).resolve().parents[3] / "shared/data/extraction/html"
SIZES = tuple(map(str, SIZES_KB))
KINDS = (*SIZES, "real", "cached")
COLUMNS = ("17 KB", "67 KB", "460 KB", "real pages", "page again")
AIM_MS = {"67": 20.0, "460": 150.0, "cached": 1.5}
AIM_TIMES = 1.8
ABOUT = (
    "Each server runs over stdio and reads pages of a site on loopback: made ones of three sizes"
    " (scripts, navigation, article with lists, tables and code, teasers, footer), each with a URL"
    " of its own, and {real}. A page counts as read only if its own first sentence came back, a"
    f" real one with 200 characters. The tools are asked for {MAX_CHARS:,} characters (ddgs has no"
    " such bound). CPU time is that of the server and all its children, after a warm-up; the site"
    " and the client are other processes. Servers take turns inside each of {rounds} rounds; one"
    f" that is slow makes fewer calls, as none begins after {BATCH_SECONDS:g} s of a batch."
)
Measured = Mapping[str, Figures]


def measure(rounds: int, *, with_peers: bool, turns: int) -> tuple[Measured, Limits, int]:
    """Run the rounds: figures by server, ours first, the limits, and how many real pages there are.

    Args:
        rounds: how many are run.
        with_peers: whether servers of others take part.
        turns: into how many parts the real pages go; each round reads one.
    """
    folder = REAL_PAGES if REAL_PAGES.is_dir() else None
    if folder is None:
        sys.stderr.write(f"real pages left out: no {REAL_PAGES.parent}\n")
    visitors = {OURS: ours(), **(peers() if with_peers else {})}
    figures = {name: Figures() for name in visitors}
    limits, pages = Limits(), Pages(folder)
    with running_site(folder) as site:
        for number in range(rounds):
            real = _part_of(pages, number, turns)
            for name, visitor in visitors.items():
                sys.stderr.write(f"round {number + 1} of {rounds}: {name}\n")
                measure_round(visitor, site, number, real, figures[name])
            measure_limits(site, pages, number, real, limits)
    return figures, limits, pages.real_count


def _part_of(pages: Pages, number: int, turns: int) -> range:
    each = pages.real_count // turns
    return range(number * each, (number + 1) * each)


def cpu_table(figures: Measured, limits: Limits) -> Table:
    """CPU time per call, the limits below."""
    rows = [
        (name, *(_cell(each.cpu_ms(kind), _fault(each, kind)) for kind in KINDS))
        for name, each in figures.items()
    ]
    rows += [
        (limit, *(_cell(limits.cpu_ms.get((limit, kind), [])) for kind in KINDS))
        for limit in (EXTRACTOR, PARSER, SOCKET)
    ]
    noop = _cell(limits.noop.cpu_ms("noop"))
    rows.append((NOOP, *[noop] * len(KINDS)))
    return Table(
        title="CPU ms per page, one call at a time",
        columns=("", *COLUMNS),
        rows=tuple(rows),
        note=(
            "The last four are limits: what our extractor takes without a server, selectolax to"
            " build the tree, a plain socket to bring the bytes, and an SDK server to answer a"
            " call that does nothing. “page again” is the page of 67 KB from the server's cache;"
            " – stands where there is none."
        ),
    )


def cpu_at_once_table(figures: Measured) -> Table:
    """CPU time per call, many at a time."""
    rows = [
        (name, *(_cell(each.cpu_ms(kind, AT_ONCE)) for kind in KINDS))
        for name, each in figures.items()
    ]
    return Table(
        title=f"CPU ms per page, {AT_ONCE} calls at once",
        columns=("", *COLUMNS),
        rows=tuple(rows),
        note="What did not come back is counted with the characters below.",
    )


def ratio_table(figures: Measured, limits: Limits) -> Table:
    """Ours by theirs."""
    own = figures[OURS]
    others: dict[str, Callable[[str], list[float]]] = {
        name: each.cpu_ms for name, each in figures.items() if name != OURS
    }
    for limit in (EXTRACTOR, PARSER, SOCKET):
        others[limit] = lambda kind, limit=limit: limits.cpu_ms.get((limit, kind), [])
    others[NOOP] = lambda _: limits.noop.cpu_ms("noop")
    rows = [
        (name, *(_ratio_cell(own.cpu_ms(kind), theirs(kind)) for kind in KINDS))
        for name, theirs in others.items()
    ]
    return Table(
        title=f"CPU of {OURS} divided by theirs, one call at a time",
        columns=("", *COLUMNS),
        rows=tuple(rows),
        note="Medians of the rounds; less than ×1 is less than theirs.",
    )


def rate_table(figures: Measured, limits: Limits) -> Table:
    """Calls per second, one and many at a time."""
    rows = [
        (name, *(_rates(each, kind) for kind in KINDS), times_text(each))
        for name, each in figures.items()
    ]
    noop = _rates(limits.noop, "noop")
    rows.append((NOOP, *[noop] * len(KINDS), "–"))
    return Table(
        title=f"Calls per second, one at a time → {AT_ONCE} at once",
        columns=("", *COLUMNS, f"{AT_ONCE} at once by one, 67 KB"),
        rows=tuple(rows),
        note="The site and the client that asks share the processors with the servers.",
    )


def start_table(figures: Measured, limits: Limits) -> Table:
    """Start and memory."""
    rows = [
        (
            name,
            _cell(each.start_ms),
            _cell(each.start_cpu_ms),
            _cell(each.idle_mb),
            _cell(each.peak_mb),
        )
        for name, each in {**figures, NOOP: limits.noop}.items()
    ]
    return Table(
        title="Start and memory",
        columns=("", "start, wall ms", "start, CPU ms", "idle MB", "peak MB"),
        rows=tuple(rows),
        note=(
            "From the start of the process to the answer of the first `tools/list`. Resident memory"
            " of the server and its children together: 1.5 s after that, and the most at any time"
            " of a round; pages that processes share count in each."
        ),
    )


def text_table(figures: Measured) -> Table:
    """What came back."""
    rows = [
        (name, *(_texts(each, kind) for kind in (*SIZES, "real"))) for name, each in figures.items()
    ]
    return Table(
        title="Characters that came back",
        columns=("", *COLUMNS[:-1]),
        rows=tuple(rows),
        note="The median; pages that were asked for in brackets, and how many did not come back.",
    )


def times(figures: Figures) -> float:
    """How many times as many pages of 67 KB a second many at once are as one at a time."""
    alone = middle(figures.per_second("67"))
    return middle(figures.per_second("67", AT_ONCE)) / alone if alone else 0.0


def times_text(figures: Figures) -> str:
    """The same, as a cell."""
    found = times(figures)
    return f"×{found:.2f}" if found else "–"


def aims(own: Figures, limits: Limits) -> tuple[Aim, ...]:
    """What was to be reached."""
    named = {
        "67": "web_visit of a new page of 67 KB",
        "460": "web_visit of a new page of 460 KB",
        "cached": "web_visit of a cached page",
    }
    found: list[Aim] = []
    for kind, name in named.items():
        values, most = own.cpu_ms(kind), AIM_MS[kind]
        met = bool(values) and middle(values) <= most
        why = "" if met else _why_dear(kind, limits)
        found.append(
            Aim(
                aim=f"{name}: at most {most:g} ms of CPU",
                measured=f"{_cell(values)} ms",
                met=met,
                why=why,
            )
        )
    gain = times(own)
    met = gain >= AIM_TIMES
    found.append(
        Aim(
            aim=f"{AT_ONCE} visits at once: at least {AIM_TIMES:g} × as many pages a second",
            measured=times_text(own),
            met=met,
            why="" if met else _why_slow(own),
        )
    )
    return tuple(found)


def _why_dear(kind: str, limits: Limits) -> str:
    """How much of a call's CPU the limits of the same run explain."""
    if kind == "cached":
        noop = middle(limits.noop.cpu_ms("noop"))
        return f"a call that does nothing takes {shown(noop)} ms in a bare SDK server"
    extractor = middle(limits.cpu_ms.get((EXTRACTOR, kind), []))
    return (
        f"the extractor alone takes {shown(extractor)} ms; the rest is the connection, the way"
        " to the child process and back, and the protocol"
    )


def _why_slow(own: Figures) -> str:
    """How many processors the server kept busy, one at a time and many at once."""
    alone, together = (
        middle(own.cpu_ms("67", at_once)) * middle(own.per_second("67", at_once)) / 1e3
        for at_once in (1, AT_ONCE)
    )
    return (
        f"the server keeps {alone:.2f} processors busy with one call at a time and"
        f" {together:.2f} with {AT_ONCE}; the site and the client take their share of the rest"
    )


def charts(figures: Measured, limits: Limits) -> tuple[Chart, ...]:
    """CPU per page of each size, and pages per second."""
    found = [
        Chart(
            name=f"visiting-cpu-{size}",
            title=f"CPU of a new page of {size} KB",
            unit="ms",
            bars=_bars(figures, lambda each, size=size: each.cpu_ms(size)),
            log=True,
            limit=("parser alone", middle(limits.cpu_ms[PARSER, size])),
        )
        for size in SIZES
    ]
    found.append(
        Chart(
            name="visiting-rate",
            title=f"New pages of 67 KB a second, {AT_ONCE} at once",
            unit="pages/s",
            bars=_bars(figures, lambda each: each.per_second("67", AT_ONCE)),
        )
    )
    return tuple(found)


def _bars(figures: Measured, values: Callable[[Figures], list[float]]) -> dict[str, float]:
    return {name: middle(values(each)) for name, each in figures.items() if values(each)}


def _cell(values: Sequence[float], fault: str = "") -> str:
    return (spread(values) if values else "–") + fault


def _fault(figures: Figures, kind: str) -> str:
    asked, failed = figures.counts(kind)
    return f", {failed} of {asked} not read" if failed else ""


def _ratio_cell(own: Sequence[float], theirs: Sequence[float]) -> str:
    return ratio(middle(own), middle(theirs)) if own and theirs else "–"


def _rates(figures: Figures, kind: str) -> str:
    alone, together = figures.per_second(kind), figures.per_second(kind, AT_ONCE)
    return f"{shown(middle(alone))} → {shown(middle(together))}" if alone and together else "–"


def _texts(figures: Figures, kind: str) -> str:
    asked, failed = figures.counts(kind)
    if not asked:
        return "–"
    lost = f", {failed} not" if failed else ""
    return f"{middle(figures.chars(kind)):,.0f} ({asked}{lost})"


def remarks(figures: Measured) -> tuple[str, ...]:
    """What a reader should know of these figures."""
    hung = [
        f"{name} ended or hung in {each.hung} of {len(each.idle_mb)} rounds."
        for name, each in figures.items()
        if each.hung
    ]
    return (
        "mcp-server-fetch reads with Readability in a new Node process for each page where it finds"
        " Node, else with a Python port of it, in its event loop both times: it is shown as both.",
        "ddgs extract turns the whole page into Markdown, with navigation and footer: it does less"
        " than the others. It takes part as `ddgs mcp`, over stdio as all do.",
        "mcp-searxng is the one on npm, with the Node that the development tools bring.",
        f"At most {CALLS[67]} calls of a batch one at a time ({CALLS[460]} with 460 KB), and twice"
        f" as many {AT_ONCE} at once.",
        "A server that is slow reads only the first of the real pages, as the time of a batch is"
        " bounded: how many stands with the characters.",
        *hung,
    )


def main() -> None:
    """Measure, and keep the section."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="one round, and keep nothing")
    parser.add_argument("--ours", action="store_true", help="without peers, and keep nothing")
    options = parser.parse_args()
    rounds = 1 if options.quick else ROUNDS
    figures, limits, real = measure(rounds, with_peers=not options.ours, turns=ROUNDS)
    read = f"{real} real ones, a third in each round" if real else "no real ones (no shared data)"
    section = Section(
        name="visiting",
        title="Visiting pages",
        command="python -m tests.bench.visiting",
        about=ABOUT.format(real=read, rounds=rounds),
        tables=(
            cpu_table(figures, limits),
            cpu_at_once_table(figures),
            ratio_table(figures, limits),
            rate_table(figures, limits),
            start_table(figures, limits),
            text_table(figures),
        ),
        aims=aims(figures[OURS], limits),
        charts=charts(figures, limits),
        versions={} if options.ours else peer_versions(),
        remarks=remarks(figures),
    )
    save(section, keep=not options.quick and not options.ours)


if __name__ == "__main__":
    main()
