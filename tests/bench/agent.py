"""The agent beside its peers and its limits, in one session.

    python -m tests.bench.agent [--quick]

Contestants take turns inside each round, each in a process of its own with a model server of its
own: Seekling with tools in-process and through the real MCP server, with everything recorded as
shipped and without; what the same requests and calls cost alone (`agent_limits.py`); inspect_ai,
smolagents and Qwen-Agent. Then the prefix stability of prompts by history policy.
"""

import argparse
import statistics
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import anyio

from tests.bench.agent_case import Case
from tests.bench.agent_cost import build_pages, measured, measured_by
from tests.bench.agent_limits import LIMITS
from tests.bench.agent_model import model_server
from tests.bench.agent_prefix import COLUMNS, all_policies
from tests.bench.environments import python_of, versions_of
from tests.bench.results import Aim, Chart, Section, Table, ratio, save, shown, spread

HERE = Path(__file__).parent
AT_ONCE = (1, 32, 256)
MOST = AT_ONCE[-1]
ROUNDS = 2
QUICK_ROUNDS = 1
OUR_EPISODES = {1: 40, 32: 192, 256: 512}
PEER_EPISODES = {1: 5, 32: 32, 256: 256}
QUICK_EPISODES = {1: 5, 32: 32}
"""A quick look leaves out the most."""
MAX_CPU_MS = 1.0
MIN_TURNS_PER_S = 1_000
MIN_TURNS_PER_S_MCP = 400

SHIPPED = "Seekling"
LIBRARY = "Seekling as a library"
UNRECORDED = "Seekling, not recorded"
MCP = "Seekling through MCP"
MCP_UNRECORDED = "Seekling through MCP, not recorded"
OUR_CASES = {
    LIBRARY: Case(name=LIBRARY, concurrency=1),
    SHIPPED: Case(name=SHIPPED, concurrency=1, is_command=True),
    UNRECORDED: Case(name=UNRECORDED, concurrency=1, records=False, is_command=True),
    MCP: Case(name=MCP, concurrency=1, tools="mcp", is_command=True),
    MCP_UNRECORDED: Case(
        name=MCP_UNRECORDED, concurrency=1, tools="mcp", records=False, is_command=True
    ),
}
LIMIT_NAMES = dict(
    zip(
        LIMITS,
        (
            "limit: the requests on raw sockets",
            "limit: the requests by httpx",
            "limit: no-op calls by the MCP SDK",
            "limit: raw sockets, and the pages by the MCP SDK",
        ),
        strict=True,
    )
)
THROUGH_MCP = (MCP, MCP_UNRECORDED, LIMIT_NAMES["noop"], LIMIT_NAMES["page"])
PEERS = {
    "inspect_ai": ("inspect", "agent_peer.py"),
    "smolagents": ("smolagents", "agent_peer_smolagents.py"),
    "qwen-agent": ("qwen-agent", "agent_peer_qwen.py"),
}
"""Environment and program of each, by the name of its package."""

Figures = dict[str, list[float]]
"""One value per round, by the figure's name."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """Someone who runs episodes."""

    name: str
    run: Callable[[int, int], dict[str, float]]
    """Takes how many run at once and how many there are; gives the figures."""
    is_peer: bool = False


def contestants(index: str) -> list[Contestant]:
    """All of them, in the order of the table."""

    def ours(case: Case) -> Contestant:
        return Contestant(
            case.name,
            lambda at_once, count: measured(replace(case, concurrency=at_once), index, count),
        )

    def started(name: str, *program: str, is_peer: bool = False) -> Contestant:
        def run(at_once: int, count: int) -> dict[str, float]:
            asked = ("--at-once", str(at_once), "--episodes", str(count))
            return measured_by([*program, *asked], count)

        return Contestant(name, run, is_peer)

    limits = str(HERE / "agent_limits.py")
    return [
        *map(ours, OUR_CASES.values()),
        *(started(name, sys.executable, limits, kind) for kind, name in LIMIT_NAMES.items()),
        *(
            started(name, str(python_of(environment)), str(HERE / script), is_peer=True)
            for name, (environment, script) in PEERS.items()
        ),
    ]


def all_rounds(taking_part: list[Contestant], *, quick: bool) -> dict[tuple[str, int], Figures]:
    """The figures of each contestant, by its name and how many episodes ran at once."""
    figures: defaultdict[tuple[str, int], Figures] = defaultdict(lambda: defaultdict(list))
    for number in range(QUICK_ROUNDS if quick else ROUNDS):
        for at_once in QUICK_EPISODES if quick else AT_ONCE:
            for each in taking_part:
                if each.is_peer and at_once == MOST and number:
                    continue
                episodes = PEER_EPISODES if each.is_peer else OUR_EPISODES
                count = (QUICK_EPISODES if quick else episodes)[at_once]
                for name, value in each.run(at_once, count).items():
                    figures[each.name, at_once][name].append(value)
            sys.stderr.write(f"round {number + 1}, {at_once} at once: done\n")
    return figures


def cost_table(figures: dict[tuple[str, int], Figures]) -> Table:
    """What every contestant took."""
    rows: list[tuple[str, ...]] = []
    for (name, at_once), told in sorted(figures.items(), key=lambda item: item[0][1]):
        through_mcp = name in THROUGH_MCP
        cpu = figures[MCP if through_mcp else SHIPPED, at_once]["cpu_ms_per_turn"]
        compared = ratio(statistics.median(cpu), statistics.median(told["cpu_ms_per_turn"]))
        rows.append(
            (
                name,
                str(at_once),
                spread(told["cpu_ms_per_turn"]),
                compared,
                spread(told["server_ms_per_turn"]) if through_mcp else "",
                spread(told["model_ms_per_turn"]),
                spread(told["turns_per_second"]),
                spread(told["mb_per_episode"]) if at_once > 1 else "",
                spread(told["peak_mb"]),
            )
        )
    heads = ("at once", "CPU ms/turn", "Seekling ÷ this", "tool server ms", "model server ms")
    return Table(
        title="CPU per turn, speed and memory",
        columns=("contestant", *heads, "turns/s", "MB/episode", "peak MB"),
        rows=tuple(rows),
        note="CPU of the contestant's own process; that of the tool server and of the scripted "
        "model server beside it, which share the machine's cores, so that turns/s are those of "
        "all three. The ratio is that of the CPU, of Seekling as shipped, which records every "
        "event; rows through MCP are compared with Seekling through MCP. Memory per episode is "
        "how much the peak grows over that of one episode at a time.",
    )


def prefix_table() -> Table:
    """How stable prompts are."""
    with model_server() as model:
        rows = anyio.run(all_policies, model.port)
    return Table(
        title="Prefix stability of prompts",
        columns=COLUMNS,
        rows=tuple(rows),
        note="How much of each prompt repeats the one before and its reply: the mean and the worst "
        "turn between announced compactions, then over all prompts, which a cache sees.",
    )


def aims(figures: dict[tuple[str, int], Figures], most: int) -> tuple[Aim, ...]:
    """What was to be reached, at the most episodes at once that were run."""

    def median(name: str, figure: str) -> float:
        return statistics.median(figures[name, most][figure])

    cpu, unrecorded = (median(name, "cpu_ms_per_turn") for name in (SHIPPED, UNRECORDED))
    sockets = median(LIMIT_NAMES["socket"], "cpu_ms_per_turn")
    model = median(SHIPPED, "model_ms_per_turn")
    speed, bare_speed = (median(name, "turns_per_second") for name in (SHIPPED, UNRECORDED))
    client, server = (median(MCP, f"{side}_ms_per_turn") for side in ("cpu", "server"))
    mcp_speed, mcp_model = median(MCP, "turns_per_second"), median(MCP, "model_ms_per_turn")
    page = LIMIT_NAMES["page"]
    sdk = median(page, "server_ms_per_turn"), median(page, "turns_per_second")
    return (
        Aim(
            aim=f"agent ≤ {MAX_CPU_MS:.0f} ms CPU per turn in-process at {most} episodes",
            measured=f"{shown(cpu)} ms as shipped, recorded; {shown(unrecorded)} ms unrecorded",
            met=cpu <= MAX_CPU_MS,
            why=f"recording takes {shown(cpu - unrecorded)} ms, the requests alone on raw sockets "
            f"{shown(sockets)} ms, the loop, its guards and the parser the rest",
        ),
        Aim(
            aim=f"≥ {MIN_TURNS_PER_S:,} turns/s in-process",
            measured=f"{shown(speed)} recorded, {shown(bare_speed)} unrecorded",
            met=speed >= MIN_TURNS_PER_S,
            why=f"one core's work is {shown(cpu)} ms a turn; the scripted model server takes "
            f"{shown(model)} ms more beside it",
        ),
        Aim(
            aim=f"≥ {MIN_TURNS_PER_S_MCP} turns/s through MCP",
            measured=f"{shown(mcp_speed)} recorded",
            met=mcp_speed >= MIN_TURNS_PER_S_MCP,
            why=f"a turn takes {shown(client)} ms in the client, {shown(server)} ms in the tool "
            f"server and {shown(mcp_model)} ms in the model server, on two cores; a bare server of "
            f"the SDK takes {shown(sdk[0])} ms for the same pages, and with raw sockets instead of "
            f"an agent there are {shown(sdk[1])} turns/s",
        ),
    )


def charts(figures: dict[tuple[str, int], Figures], most: int) -> tuple[Chart, ...]:
    """Bars by contestant, at the most episodes at once."""

    def bars(name: str, figure: str, what: str, unit: str) -> Chart:
        values = {
            who: statistics.median(told[figure])
            for (who, at_once), told in figures.items()
            if at_once == most
        }
        title = f"{what}, {most} episodes at once"
        return Chart(name=name, title=title, unit=unit, bars=values)

    return (
        bars("agent-cpu", "cpu_ms_per_turn", "CPU of the agent per turn", "ms"),
        bars("agent-speed", "turns_per_second", "Speed", "turns per second"),
        bars("agent-memory", "mb_per_episode", "Memory per episode", "MB"),
    )


def main() -> None:
    """Measure, and keep the section."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="once, few episodes; is not kept")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="seekling-bench-") as folder:
        index = str(build_pages(Path(folder)))
        figures = all_rounds(contestants(index), quick=options.quick)
    most = max(at_once for _, at_once in figures)
    versions: dict[str, str] = {}
    for package, (environment, _) in PEERS.items():
        versions |= versions_of(environment, package.replace("_", "-"))
    section = Section(
        name="agent",
        title="Agent",
        command="python -m tests.bench.agent",
        about="An episode is a question, a search, five visits of pages of 10,000 characters, and "
        "an answer: seven turns with a scripted model server that answers without delay, in a "
        "process of its own. Contestants take turns in each round, each run in a new process. "
        "Limits are the same bytes sent and read without an agent.",
        tables=(cost_table(figures), prefix_table()),
        aims=aims(figures, most),
        charts=charts(figures, most),
        versions=versions,
        remarks=(
            "The command `seekling` has Python look for cycles of objects rarely, and so have the "
            "rows of Seekling, but for the one as a library, which leaves that as its user has it.",
            "Seekling streams, checks every call, address and page, measures the prefix of its "
            "prompts and, as shipped, records every event; the peers record nothing here.",
            "inspect_ai is asynchronous, and does not stream.",
            "smolagents blocks: a thread per episode. It does not stream here, needs a tool to "
            "answer with, and writes calls and results into its prompts as texts.",
            "Qwen-Agent blocks: a thread per episode. It makes a client for each request, which "
            "reads the authorities' certificates again: most of its CPU.",
            f"Peers run fewer episodes, as they take longer, {MOST} at once in the first round "
            "alone, and only with tools in-process; "
            "inspect_ai through MCP is in the evaluation's part.",
        ),
    )
    save(section, keep=not options.quick)


if __name__ == "__main__":
    main()
