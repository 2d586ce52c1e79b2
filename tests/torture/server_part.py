"""The server half: plays all cases against the installed server and keeps what came of them."""

import fnmatch
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TypeVar

from tests.bench.results import Aim, Section, Table, save, shown
from tests.torture import content, exhausting, http_callers, peer, processes, reaching
from tests.torture.case import SKIPPED, Case, Result, Stage, Visit, new_stage
from tests.torture.network import is_inside
from tests.torture.watched import Watched

COMMAND = (
    str(Path(sys.executable).with_name("seekling-mcp")),
    *("serve", "--providers", "local"),
)
OPENED = ("--allow-private", "127.0.0.1/32", "--allow-ports", "any")
"""Without a network of our own: the hostile web is on loopback, the inner page beside it."""
_GROUPS = {
    "S": "Reaching what should not be reached",
    "R": "Using up time and memory",
    "C": "Text that is more than text",
    "P": "Keys, files, callers, processes",
}
_SLOW_AT_ONCE = 10
_KEPT_MB = 10.0
Played = TypeVar("Played", Visit, Case)


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which cases are played."""

    only: str = "*"
    """A pattern of their names."""
    is_quick: bool = False
    with_peer: bool = False
    """Whether some are played against another server too."""

    @property
    def is_all(self) -> bool:
        """Whether what comes of it is worth keeping."""
        return self.only == "*" and not self.is_quick

    def among(self, cases: Iterable[Played]) -> list[Played]:
        """Those that are."""
        return [
            case
            for case in cases
            if fnmatch.fnmatchcase(case.name, self.only) and (case.is_quick or not self.is_quick)
        ]


def run(folder: Path, chosen: Chosen) -> bool:
    """Play the cases and keep the section, unless it is of a choice of them.

    Args:
        folder: for what they need.
        chosen: which ones.

    Returns:
        Whether all is well with our server.
    """
    started = time.monotonic()
    stage = new_stage(folder, COMMAND if is_inside() else (*COMMAND, *OPENED))
    stage.site.scripts |= reaching.scripts()
    visits = (*reaching.visits(), *content.visits(), *exhausting.heavy())
    results = play_in_turn(stage, chosen.among(visits))
    results += play_side_by_side(stage, chosen.among(exhausting.slow()))
    alone = (reaching.cases, content.cases, processes.cases, http_callers.cases)
    for case in chosen.among(case for part in alone for case in part()):
        results.append(_twice_if_late(lambda case=case: case.play(stage)))
        tell(results[-1])
    results += left_out() if chosen.is_all else []
    took_seconds = time.monotonic() - started
    others: list[Result] = []
    if chosen.with_peer:
        sys.stdout.write(f"{peer.PEER}:\n")
        others = play_in_turn(peer.stage_of(stage), chosen.among(peer.cases()))
    save(section_of(results, others, took_seconds), keep=chosen.is_all)
    return all(result.is_good for result in results)


def left_out() -> list[Result]:
    """A line for each collection of cases that is not at hand: it should not just be missing."""
    results: list[Result] = []
    for name, collection in (*reaching.COLLECTED.items(), *content.COLLECTED.items()):
        if not collection.exists():
            told = f"{SKIPPED}: the shared data is not beside the checkout"
            results.append(Result(name=name, expected="", outcome=told))
            tell(results[-1])
    return results


def play_in_turn(stage: Stage, cases: Sequence[Visit]) -> list[Result]:
    """One after another with the same server, which has to bear all of them.

    One that failed is replaced, and so is one that still holds more than it did at first: what a
    case makes it grow is always measured from there.
    """
    results: list[Result] = []
    server: Watched | None = None
    for case in cases:
        if case.script is not None:
            stage.site.scripts[case.path] = case.script
        server = server or stage.start()
        playing = server
        result = _twice_if_late(lambda case=case, playing=playing: case.play(stage, playing))
        results.append(result)
        tell(result)
        stage.site.scripts.pop(case.path, None)  # some are large
        if not result.is_good or server.holds_more(_KEPT_MB):
            server.kill()
            server = None
    if server is not None:
        server.end()
    return results


def _play_alone(stage: Stage, case: Visit) -> Result:
    if case.script is not None:
        stage.site.scripts[case.path] = case.script
    server = stage.start()
    try:
        return case.play(stage, server)
    finally:
        server.kill()


def play_side_by_side(stage: Stage, cases: Sequence[Visit]) -> list[Result]:
    """At the same time, each with a server of its own: most of it is waiting."""

    def play(case: Visit) -> Result:
        result = _play_alone(stage, case)
        tell(result)
        return result

    with ThreadPoolExecutor(_SLOW_AT_ONCE) as players:
        results = list(players.map(play, cases))
    for at, case in enumerate(cases):
        if results[at].is_late_only:
            results[at] = replace(_play_alone(stage, case), tries=2)
            tell(results[at])
    return results


def _twice_if_late(play: Callable[[], Result]) -> Result:
    result = play()
    return replace(play(), tries=2) if result.is_late_only else result


def tell(result: Result) -> None:
    """One line."""
    mark = "skip " if result.outcome.startswith(SKIPPED) else "ok   " if result.is_good else "WRONG"
    why = "" if result.is_good else "  <- " + "; ".join(result.faults)
    cells = ", ".join(cell for cell in _figures(result) if cell != "–")
    line = _printable(f"{mark} {result.name}: {result.outcome} ({cells}){why}", 600)
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _figures(result: Result) -> tuple[str, str, str, str]:
    def cell(value: float | None, unit: str, scale: float = 1) -> str:
        return "–" if value is None else f"{shown(value * scale)} {unit}"

    return (
        cell(result.seconds, "s"),
        cell(result.growth_mb, "MB"),
        cell(result.tree_mb, "MB"),
        cell(result.ping_seconds, "ms", 1_000),
    )


def section_of(results: Sequence[Result], others: Sequence[Result], took_seconds: float) -> Section:
    """What is kept: of our server, and of another one beside it."""
    results = sorted(results, key=lambda result: ("SRCP".index(result.name[0]), _order(result)))
    tables = [
        Table(title=_GROUPS[letter], columns=_COLUMNS, rows=tuple(map(_row, group)))
        for letter, group in groupby(results, key=lambda result: result.name[0])
    ]
    if others:
        tables.append(_beside(results, others))
    failed = [result for result in results if not result.is_good]
    summary = _summary(results, took_seconds)
    aim = Aim(
        aim="zero failures in the torture of the server",
        measured=summary,
        met=not failed,
        why="; ".join(f"{result.name}: {result.faults[0]}" for result in failed[:5]),
    )
    return Section(
        name="torture-server",
        title="Torture of the server",
        command="python -m tests.torture --part server --peer mcp-server-fetch",
        about=_ABOUT + summary + ".",
        tables=tuple(tables),
        aims=(aim,),
        versions=peer.version() if others else {},
    )


def _order(result: Result) -> tuple[int, str]:
    row, _, rest = result.name.partition(".")
    return int(row[1:]), rest


def _row(result: Result) -> tuple[str, ...]:
    return (_printable(result.name), _outcome(result), *_figures(result))


def _outcome(result: Result) -> str:
    told = result.outcome if result.is_good else f"**{'; '.join(result.faults)}**"
    return _printable(told + " (second try)" * (result.tries > 1))


def _beside(results: Sequence[Result], others: Sequence[Result]) -> Table:
    """The cases that both servers had: what the other one fails, ours could have failed."""
    ours = {result.name: result for result in results}
    rows = tuple(
        (other.name, _outcome(ours[other.name]), _outcome(other), *_figures(other)[:3])
        for other in others
        if other.name in ours
    )
    failed = sum(not other.is_good for other in others)
    return Table(
        title=f"Some of the cases, and {peer.PEER}",
        columns=("Case", "Ours", peer.PEER, "Seconds", "Growth", "All processes"),
        rows=rows,
        note=f"It fails {failed} of {len(others)} by the same rules: the cases can be failed. "
        "A server that outgrew 3 GB was ended.",
    )


def _summary(results: Sequence[Result], took_seconds: float) -> str:
    skipped = sum(result.outcome.startswith(SKIPPED) for result in results)
    return (
        f"{len(results)} cases, {sum(not result.is_good for result in results)} failures, "
        f"{skipped} not shown here, "
        f"{sum(result.tries > 1 for result in results)} tried twice for being late; "
        f"longest {max((result.seconds or 0 for result in results), default=0):.1f} s, "
        f"largest growth {max((result.growth_mb or 0 for result in results), default=0):.0f} MB, "
        f"longest ping {max((result.ping_seconds or 0 for result in results), default=0):.2f} s; "
        f"all in {took_seconds / 60:.1f} minutes"
    )


_COLUMNS = ("Case", "Outcome", "Seconds", "Growth", "All processes", "Ping")


def _printable(text: str, max_chars: int = 160) -> str:
    """Names and texts hold what no terminal and no table should be shown."""
    shown_text = text.encode("unicode_escape").decode()
    return shown_text if len(shown_text) <= max_chars else shown_text[: max_chars - 1] + "…"


_ABOUT = (
    "A hostile web, an inner network with a page that nobody may see, and a name server that lies,"
    " against the installed `seekling-mcp serve`. A case is named after the threat that it shows:"
    " S reaching, R exhaustion, C content, P process. Each is judged by its outcome, its time, the"
    " growth of the server's own process (at most 50 MB above what it held after its first page),"
    " the longest wait for a ping meanwhile (at most 1 s), connections to the inner network (none,"
    " also blind ones), stdout (messages only), and whether the server goes on. What was only late"
    " is tried once more, and the table says so. *All processes*"
    " counts its readers too, each of which may hold 1 GiB and is killed beyond. "
)
