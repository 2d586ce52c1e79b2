"""Run the official conformance suite and the MCP Inspector, print what they found, and keep it.

    python -m tests.conformance.run [--report FOLDER] [--only LEG]

Exit code 1 when anything fails that is not excused below with its reason, when an excuse is not
needed any more, or when a scenario could not have failed.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.conformance import inspector, suite
from tests.conformance.inspector import Inspection
from tests.conformance.servers import shipped, shipped_command, with_fixtures
from tests.conformance.suite import ERAS, ROOT, Scenario
from tests.support.tools_server import build_small_index

LEGS = ("shipped", "fixtures", "client", "inspector")
APPLY_TO_ANY_SERVER: Mapping[str, Sequence[str]] = {
    "2026-07-28": (
        "server-stateless",
        "tools-list",
        "resources-list",
        "prompts-list",
        "sep-2164-resource-not-found",
        "caching",
        "http-header-validation",
        "dns-rebinding-protection",
        "server-sse-multiple-streams",
        "input-required-result-unsupported-methods",
    ),
    "2025-11-25": (
        "server-initialize",
        "server-session-lifecycle",
        "ping",
        "tools-list",
        "resources-list",
        "prompts-list",
        "server-sse-multiple-streams",
        "dns-rebinding-protection",
    ),
}
"""What can be asked of a server without the suite's fixtures. Not those that pass when a tool is
missing, because the error is all that they look at: they say nothing of what ships."""
NEEDS_A_FIXTURE = "needs a tool that only the fixtures have; tested in the leg `fixtures`"
NEVER_CHANGES = "the lists of what ships never change; tested in the leg `fixtures`"
EXCUSED: Mapping[tuple[str, str], str] = {
    ("2026-07-28", "sep-2575-server-rejects-undeclared-capability"): NEEDS_A_FIXTURE,
    ("2026-07-28", "sep-2575-missing-capability-http-400"): NEEDS_A_FIXTURE,
    ("2026-07-28", "sep-2575-http-server-no-independent-requests-on-stream"): NEEDS_A_FIXTURE,
    ("2026-07-28", "sep-2575-server-no-log-without-loglevel"): NEEDS_A_FIXTURE,
    ("2026-07-28", "sep-2575-server-sends-prompts-list-changed-on-subscription"): NEVER_CHANGES,
    ("2026-07-28", "sep-2575-server-sends-tools-list-changed-on-subscription"): NEVER_CHANGES,
}
"""Check of the leg `shipped`, as (era, check), and why it cannot pass."""
CLIENT = ("env", f"PYTHONPATH={ROOT}", sys.executable, "-m", "tests.conformance.client_in_turn")
FIXTURES_ASKED_IN_VAIN = frozenset({"test://nonexistent-resource-for-conformance-testing"})
"""What a scenario asks for because it is not there."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One run of the suite."""

    name: str
    era: str
    scenarios: tuple[Scenario, ...]
    problems: tuple[str, ...]
    seconds: float

    @property
    def passed(self) -> int:
        """How many checks succeeded."""
        return sum(scenario.passed for scenario in self.scenarios)

    @property
    def skipped(self) -> int:
        """How many checks the suite left out."""
        return sum(scenario.skipped for scenario in self.scenarios)


def main() -> int:
    """Run it all."""
    parser = argparse.ArgumentParser(description="Run the official conformance suite.")
    parser.add_argument("--report", type=Path, default=ROOT / "conformance-report")
    parser.add_argument("--only", choices=LEGS, action="append", help="these legs (all)")
    options = parser.parse_args()
    shutil.rmtree(options.report, ignore_errors=True)
    options.report.mkdir(parents=True)
    suite.install()
    chosen = options.only or LEGS
    legs: list[Leg] = []
    inspections: tuple[Inspection, ...] = ()
    with tempfile.TemporaryDirectory(prefix="seekling-conformance-") as temporary:
        index = build_small_index(Path(temporary))
        for era in ERAS:
            if "shipped" in chosen:
                legs.append(_run_shipped(era, index, options.report / f"shipped-{era}"))
            if "fixtures" in chosen:
                legs.append(_run_fixtures(era, options.report / f"fixtures-{era}"))
            if "client" in chosen:
                legs.append(_run_client(era, options.report / f"client-{era}"))
        if "inspector" in chosen:
            inspections = _inspect(index, options.report / "inspector")
    table = _table(legs, inspections)
    print(table)  # noqa: T201
    _write(options.report, legs, inspections, table)
    is_passed = all(not leg.problems and leg.scenarios for leg in legs) and all(
        inspection.is_passed for inspection in inspections
    )
    return 0 if is_passed else 1


def _run_shipped(era: str, index: Path, folder: Path) -> Leg:
    begun = time.monotonic()
    wanted = APPLY_TO_ANY_SERVER[era]
    with shipped(index, folder) as url:
        scenarios = suite.run_on_server(url, era, folder, wanted)
    excused = {check: why for (of, check), why in EXCUSED.items() if of == era}
    problems = problems_of(scenarios, excused)
    problems += [f"{name}: not run" for name in set(wanted) - {s.name for s in scenarios}]
    return Leg("shipped", era, scenarios, tuple(problems), time.monotonic() - begun)


def _run_fixtures(era: str, folder: Path) -> Leg:
    begun = time.monotonic()
    with with_fixtures(folder) as (url, missing):
        scenarios = suite.run_on_server(url, era, folder)
    problems = problems_of(scenarios, {})
    problems += [
        f"{name}: asked for, and no fixture"
        for name in missing
        if name not in FIXTURES_ASKED_IN_VAIN
    ]
    return Leg("fixtures", era, scenarios, tuple(problems), time.monotonic() - begun)


def _run_client(era: str, folder: Path) -> Leg:
    begun = time.monotonic()
    folder.mkdir()
    scenarios = suite.run_on_client((*CLIENT, str(folder)), era, folder)
    return Leg(
        "client", era, scenarios, tuple(problems_of(scenarios, {})), time.monotonic() - begun
    )


def problems_of(scenarios: Sequence[Scenario], excused: Mapping[str, str]) -> list[str]:
    """What failed without an excuse, what could not fail, and excuses that nobody needs."""
    failed = [(scenario, check) for scenario in scenarios for check in scenario.failures]
    return [
        *(f"{s.name}: {c.id}: {c.says}" for s, c in failed if c.id not in excused),
        *(f"{s.name}: nothing in it could fail" for s in scenarios if s.is_vacuous),
        *(f"{check}: excused, and passes" for check in excused.keys() - {c.id for _, c in failed}),
    ]


def _inspect(index: Path, folder: Path) -> tuple[Inspection, ...]:
    over_stdio = inspector.inspect("stdio", shipped_command(index), folder)
    with shipped(index, folder) as url:
        return over_stdio + inspector.inspect("http", (url, "--transport", "http"), folder)


def _table(legs: Sequence[Leg], inspections: Sequence[Inspection]) -> str:
    lines = ["leg        era         scenarios  passed  problems  skipped  seconds"]
    lines += [
        f"{leg.name:<10} {leg.era:<10} {len(leg.scenarios):>10} {leg.passed:>7}"
        f" {len(leg.problems):>9} {leg.skipped:>8} {leg.seconds:>8.0f}"
        for leg in legs
    ]
    lines += [f"  {leg.name} {leg.era}: {problem}" for leg in legs for problem in leg.problems]
    for transport, era in dict.fromkeys((i.transport, i.era) for i in inspections):
        steps = [i for i in inspections if (i.transport, i.era) == (transport, era)]
        lines.append(
            f"inspector  {transport:<5} {era:<6}"
            + "".join(f"  {i.step}: {_outcome(i)}" for i in steps)
        )
    return "\n".join(lines)


def _outcome(inspection: Inspection) -> str:
    if inspection.is_passed:
        return "ok"
    return f"exit {inspection.exit_code}" if inspection.exit_code else "wrong answer"


def _write(
    folder: Path, legs: Sequence[Leg], inspections: Sequence[Inspection], table: str
) -> None:
    (folder / "summary.txt").write_text(table + "\n", encoding="utf-8")
    report = {
        "suite": _version("conformance"),
        "inspector": _version("inspector"),
        "legs": [
            {
                "leg": leg.name,
                "era": leg.era,
                "passed": leg.passed,
                "skipped": leg.skipped,
                "problems": leg.problems,
                "scenarios": {s.name: s.passed for s in leg.scenarios},
            }
            for leg in legs
        ],
        "excused": [
            {"era": era, "check": check, "why": why} for (era, check), why in EXCUSED.items()
        ],
        "inspections": [asdict(inspection) for inspection in inspections],
    }
    (folder / "summary.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def _version(package: str) -> str:
    file = suite.PACKAGES / f"node_modules/@modelcontextprotocol/{package}/package.json"
    return json.loads(file.read_text(encoding="utf-8"))["version"]


if __name__ == "__main__":
    sys.exit(main())
