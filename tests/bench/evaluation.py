"""An evaluation beside that of inspect_ai, and what a stored run takes.

    python -m tests.bench.evaluation [--quick]

Contestants take turns inside each round, each in a process of its own with a model server and a
tool server of its own: Seekling's whole evaluation, its agent alone, which is the limit, and
inspect_ai's evaluation (`eval_cost.py`, `agent_cost.py`, `eval_peer.py`). Then all 4,326 questions
are asked once, and the run that this leaves is planned, graded again and put into a table. At the
end `eval_kill.py` kills a run again and again. A fault there is the exit status 1.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.bench.agent_case import Case
from tests.bench.agent_cost import build_pages, measured
from tests.bench.agent_episode import ENVIRONMENT, TURNS
from tests.bench.environments import versions_of
from tests.bench.eval_cost import (
    AT_ONCE,
    Afterwards,
    Took,
    figures_afterwards,
    run_ours,
    run_peer,
    size_of,
)
from tests.bench.results import Aim, Chart, Section, Table, ratio, save, shown, spread

ALL = 4_326
"""Questions of the large run: as many as SimpleQA has."""
QUESTIONS = 300
"""Of each contestant in a round."""
ROUNDS = 3
TIMES = 5
"""How often the stored run is planned, graded and shown."""
KILLS = 25
QUICK_ALL = 60
QUICK_QUESTIONS = 20
QUICK_KILLS = 2
MAX_PLAN_MS = 100.0
MAX_GRADE_S = 2.0

OURS = "Seekling"
AGENT = "limit: Seekling's agent alone"
PEER = "inspect_ai"

Figures = dict[str, list[float]]
"""One value per round, by the figure's name."""


def all_rounds(folder: Path, index: str, count: int, rounds: int) -> dict[str, Figures]:
    """The figures of each contestant, by its name."""
    alone = Case(name=AGENT, concurrency=AT_ONCE, tools="mcp", records=False, is_command=True)

    def with_log(run: Callable[[Path], dict[str, float]], logs: Path) -> dict[str, float]:
        told = run(logs)
        return told | {"kb_per_question": size_of(logs) / 1_000 / count}

    taking_part: dict[str, Callable[[int], dict[str, float]]] = {
        OURS: lambda number: with_log(
            lambda logs: run_ours(folder, logs, index, count), folder / f"ours-{number}"
        ),
        AGENT: lambda _: measured(alone, index, count),
        PEER: lambda number: with_log(
            lambda logs: run_peer(logs, index, count), folder / f"theirs-{number}"
        ),
    }
    figures: defaultdict[str, Figures] = defaultdict(lambda: defaultdict(list))
    for number in range(rounds):
        for name, run in taking_part.items():
            for figure, value in run(number).items():
                figures[name][figure].append(value)
        sys.stderr.write(f"round {number + 1}: done\n")
    return figures


def contest_table(figures: dict[str, Figures], count: int) -> Table:
    """What the same questions took of everyone."""
    ours = statistics.median(figures[OURS]["cpu_ms_per_turn"])
    return Table(
        title=f"{count} questions, {AT_ONCE} at once, through MCP",
        columns=(
            "contestant",
            "CPU ms/turn",
            "Seekling ÷ this",
            "tool server ms",
            "turns/s",
            "questions/s",
            "peak MB",
            "log kB/question",
        ),
        rows=tuple(
            (
                name,
                spread(told["cpu_ms_per_turn"]),
                ratio(ours, statistics.median(told["cpu_ms_per_turn"])),
                spread(told["server_ms_per_turn"]),
                spread(told["turns_per_second"]),
                spread([each / TURNS for each in told["turns_per_second"]]),
                spread(told["peak_mb"]),
                spread(logged) if (logged := told.get("kb_per_question")) else "",
            )
            for name, told in figures.items()
        ),
        note="CPU of the evaluation's own process, and of the tool server beside it, which is "
        "Seekling's for all three; the scripted model server shares the machine's cores too. The "
        "limit runs the same episodes without recording, grading, plan or guards of a run.",
    )


def large_table(large: dict[str, float], seconds: Afterwards, count: int) -> Table:
    """The large run, end to end."""
    turns = count * TURNS
    client, server = large["cpu_ms_per_turn"], large["server_ms_per_turn"]
    stored, payload, distinct = seconds.stored, seconds.payload, seconds.distinct
    rows = (
        ("turns", f"{turns:,}"),
        ("wall time, first question to last verdict", f"{turns / large['turns_per_second']:.0f} s"),
        ("turns/s", shown(large["turns_per_second"])),
        ("CPU of the evaluation", f"{client * turns / 1_000:.0f} s, {shown(client)} ms per turn"),
        ("CPU of the tool server", f"{server * turns / 1_000:.0f} s, {shown(server)} ms per turn"),
        ("peak memory of the evaluation", f"{large['peak_mb']:.0f} MB"),
        ("stored", f"{stored / 1e6:,.1f} MB, {stored / 1_000 / count:.0f} kB per question"),
        ("payload", f"{payload / 1e6:,.1f} MB, {distinct / 1e6:,.1f} MB of it distinct"),
        ("stored per byte of payload", f"{stored / payload:.2f}, {stored / distinct:.2f} distinct"),
    )
    return Table(
        title=f"{count:,} questions, end to end",
        columns=("figure", "value"),
        rows=rows,
        note="Measured once. Payload is what was asked, written by the model and returned by "
        "tools; distinct payload counts what a tool returned once, as it is stored.",
    )


def stored_table(seconds: Afterwards, count: int) -> Table:
    """What is done with the stored run."""
    bare = statistics.median(each.wall for each in seconds.bare_command)
    steps = (
        ("resume: open the run", seconds.opening),
        ("resume: plan what is owed", seconds.planning),
        ("grade all again, in a warm process", seconds.grading),
        ("`eval grade --again`, whole command", seconds.grade_command),
        ("`eval table`, whole command", seconds.table_command),
        ("limit: `seekling --version`", seconds.bare_command),
    )
    return Table(
        title=f"The stored run of {count:,} questions",
        columns=("step", "wall ms", "CPU ms", "÷ limit"),
        rows=tuple(
            (
                name,
                spread(_ms(took, "wall")),
                spread(_ms(took, "cpu")),
                ratio(statistics.median(each.wall for each in took), bare)
                if name.startswith("`")
                else "",
            )
            for name, took in steps
        ),
        note="Grading is that of the rule `exact`, with the opening; each time on a copy of the "
        "run. Files are in the system's cache.",
    )


def _ms(took: Sequence[Took], clock: str) -> list[float]:
    return [1_000 * getattr(each, clock) for each in took]


def kill(kills: int) -> tuple[str, bool]:
    """Kill a run and go on, again and again; what was said last, and whether all was well."""
    command = [sys.executable, "-m", "tests.bench.eval_kill", "--kills", str(kills)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    sys.stderr.write(done.stderr)
    said = [line for line in done.stdout.splitlines() if not line.startswith("run ")]
    return "; ".join(said), not done.returncode


def aims(seconds: Afterwards, count: int) -> tuple[Aim, ...]:
    """What was to be reached with the stored run."""
    plan_ms = statistics.median(
        1_000 * (opening.wall + planning.wall)
        for opening, planning in zip(seconds.opening, seconds.planning, strict=True)
    )
    command, here = (
        statistics.median(each.wall for each in took)
        for took in (seconds.grade_command, seconds.grading)
    )
    why = f"{count:,} lines of the run are read, decoded and checked"
    return (
        Aim(
            aim=f"resume plan ≤ {MAX_PLAN_MS:.0f} ms",
            measured=f"{shown(plan_ms)} ms for {count:,} questions, open and plan",
            met=plan_ms <= MAX_PLAN_MS,
            why=why,
        ),
        Aim(
            aim=f"re-grade ≤ {MAX_GRADE_S:.0f} s",
            measured=f"{shown(command)} s for {count:,} answers, the whole command; "
            f"{shown(here)} s in a warm process",
            met=command <= MAX_GRADE_S,
            why=why,
        ),
    )


def charts(figures: dict[str, Figures]) -> tuple[Chart, ...]:
    """Bars by contestant."""

    def bars(name: str, figure: str, title: str, unit: str) -> Chart:
        values = {who: statistics.median(told[figure]) for who, told in figures.items()}
        return Chart(name=name, title=title, unit=unit, bars=values)

    return (
        bars("evaluation-cpu", "cpu_ms_per_turn", "CPU of the evaluation per turn", "ms"),
        bars("evaluation-speed", "turns_per_second", "Speed of the evaluation", "turns per second"),
    )


def main() -> None:
    """Measure, and keep the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="once, few questions; is not kept")
    quick: bool = parser.parse_args().quick
    count, whole = (QUICK_QUESTIONS, QUICK_ALL) if quick else (QUESTIONS, ALL)
    with tempfile.TemporaryDirectory(prefix="seekling-bench-") as name:
        folder = Path(name)
        index = str(build_pages(folder))
        figures = all_rounds(folder, index, count, 1 if quick else ROUNDS)
        large = run_ours(folder, folder / "large", index, whole)
        seconds = figures_afterwards(folder / "large", 1 if quick else TIMES)
    kills = QUICK_KILLS if quick else KILLS
    killed, is_well = kill(kills)
    section = Section(
        name="evaluation",
        title="Evaluation",
        command="python -m tests.bench.evaluation",
        about=f"Questions with known answers, {AT_ONCE} at once, asked through the real tool "
        "server over stdio: each is a search, five visits of pages of 10,000 characters, and an "
        "answer, with a scripted model server that answers without delay. Everything is recorded "
        "and graded. inspect_ai does the same with its `react` agent, its MCP client and its log.",
        tables=(
            contest_table(figures, count),
            large_table(large, seconds, whole),
            stored_table(seconds, whole),
        ),
        aims=aims(seconds, whole),
        charts=charts(figures),
        versions=versions_of("inspect", "inspect_ai"),
        remarks=(
            f"`eval_kill.py --kills {kills}` in the same session: {killed}: "
            f"{'no fault' if is_well else '**faults**'}.",
            "One connection to the tool server serves all samples of inspect_ai, as with Seekling; "
            "left to itself, `react` starts a server for each sample.",
        ),
    )
    save(section, keep=not quick)
    raise SystemExit(0 if is_well else 1)


if __name__ == "__main__":
    main()
