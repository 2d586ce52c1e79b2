"""The MCP Inspector as a strict client: does it list our tools without a complaint, and call them?

It is a client of the TypeScript SDK with a check of its own, whether hosts and models can use the
schemas (`--strict`). It exits 0 only when there is nothing to complain about.
"""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.conformance.suite import INSPECTOR, ROOT
from tests.support.node import NODE, environment

ERAS = ("legacy", "modern")
"""What the Inspector calls the protocol of 2025-11-25 and that of 2026-07-28."""
CALL_SECONDS = 120
STEPS = {
    "tools/list --strict": ("--method", "tools/list", "--strict"),
    "web_search": (
        *("--method", "tools/call", "--tool-name", "web_search"),
        *("--tool-args-json", '{"query": "who designed the lighthouse", "limit": 3}'),
    ),
    "web_visit": (
        *("--method", "tools/call", "--tool-name", "web_visit"),
        *("--tool-args-json", '{"url": "https://facts.example/voss"}'),
    ),
}
"""What is done over each transport, in each era."""
SAYS = {
    "tools/list --strict": ("web_search", "web_visit"),
    "web_search": ("https://facts.example/lighthouse",),
    "web_visit": ("born in Ostrelund",),
}
"""What the answer has in it."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """One step over one transport in one era."""

    transport: str
    era: str
    step: str
    exit_code: int
    has_answer: bool

    @property
    def is_passed(self) -> bool:
        """Whether it went through without a complaint and with the right answer."""
        return self.exit_code == 0 and self.has_answer


def inspect(transport: str, target: Sequence[str], folder: Path) -> tuple[Inspection, ...]:
    """Do all steps with one server.

    Args:
        transport: how it is called in the report.
        target: a command line, or a URL with the Inspector's options for it.
        folder: where its output is kept.
    """
    return tuple(
        _step(transport, target, era, step, folder / f"{transport}-{era}-{number}.txt")
        for era in ERAS
        for number, step in enumerate(STEPS)
    )


def _step(transport: str, target: Sequence[str], era: str, step: str, output: Path) -> Inspection:
    output.parent.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        (NODE, INSPECTOR, "--cli", *target, "--protocol-era", era, *STEPS[step]),
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=CALL_SECONDS,
    )
    output.write_text(f"{done.stdout}\n{done.stderr}\n(exit code {done.returncode})\n")
    has_answer = all(word in done.stdout for word in SAYS[step])
    return Inspection(transport, era, step, done.returncode, has_answer)
