"""The official conformance suite and the Inspector: installed with their lock, run, and read.

Both are npm packages; what npm installs is named with its hashes in `npm/package-lock.json`.
"""

import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from tests.support.node import NODE, environment, npm

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ROOT / ".venv-conformance"
LOCK = Path(__file__).with_name("npm")
SUITE = PACKAGES / "node_modules/@modelcontextprotocol/conformance/dist/index.js"
INSPECTOR = PACKAGES / "node_modules/.bin/mcp-inspector"
ERAS = ("2026-07-28", "2025-11-25")
RUN_SECONDS = 600
SCENARIO_MILLISECONDS = 240_000
"""The suite starts all clients at once: on a small or busy machine they take a while."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that the suite looked at."""

    id: str
    status: str
    """SUCCESS, FAILURE, WARNING, SKIPPED or INFO."""
    says: str
    is_testable: bool
    """False where the suite says that it found nothing to test."""

    @property
    def is_failed(self) -> bool:
        """As the suite counts it; a warning is a SHOULD that is not kept."""
        return self.status in ("FAILURE", "WARNING")


@dataclass(frozen=True, slots=True)
class Scenario:
    """One scenario with what was found."""

    name: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> int:
        """How many checks succeeded."""
        return sum(check.status == "SUCCESS" for check in self.checks)

    @property
    def skipped(self) -> int:
        """How many the suite left out."""
        return sum(check.status == "SKIPPED" for check in self.checks)

    @property
    def failures(self) -> tuple[Check, ...]:
        """What failed, or could not be tested."""
        return tuple(check for check in self.checks if check.is_failed or not check.is_testable)

    @property
    def is_vacuous(self) -> bool:
        """Whether nothing in it can have failed."""
        return not self.passed and not self.failures


def install() -> None:
    """Install the packages that the lock names, once for each lock."""
    lock = (LOCK / "package-lock.json").read_bytes()
    mark = PACKAGES / f".{sha256(lock).hexdigest()[:16]}"
    if mark.exists():
        return
    PACKAGES.mkdir(exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(LOCK / name, PACKAGES / name)
    npm("ci", "--ignore-scripts", folder=PACKAGES)
    mark.touch()


def run_on_server(
    url: str, era: str, folder: Path, scenarios: Sequence[str] = ()
) -> tuple[Scenario, ...]:
    """Let the suite test a server.

    Args:
        url: where it answers; the suite sends no headers of ours.
        era: the version of the protocol that it speaks to it.
        folder: where the suite's own output is kept.
        scenarios: which; all of the era when none is named.
    """
    chosen = [("--scenario", name) for name in scenarios] or [("--suite", "all")]
    for which in chosen:
        _suite(folder, "server", "--url", url, *which, "--spec-version", era)
    return tuple(read_results(folder))


def run_on_client(command: Sequence[str], era: str, folder: Path) -> tuple[Scenario, ...]:
    """Let the suite test a client, which it starts once per scenario with a URL at the end."""
    _suite(
        folder,
        "client",
        "--command",
        " ".join(command),
        "--suite",
        "all",
        "--spec-version",
        era,
        "--timeout",
        str(SCENARIO_MILLISECONDS),
    )
    return tuple(read_results(folder))


def _suite(folder: Path, *arguments: str) -> None:
    """Run it; its exit code is not ours, since the files say more."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "output.txt").open("a", encoding="utf-8") as output:
        subprocess.run(
            (NODE, SUITE, *arguments, "--output-dir", folder / "results"),
            cwd=ROOT,
            env=environment(),
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=RUN_SECONDS,
        )


def read_results(folder: Path) -> Iterator[Scenario]:
    """What the suite wrote: a folder for each scenario, named after it and the time."""
    results = folder / "results"
    for file in sorted(results.rglob("checks.json")):
        name = file.parent.relative_to(results).as_posix()
        found: Sequence[Mapping[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
        yield Scenario(_without_time(name), tuple(map(_check, found)))


def _without_time(name: str) -> str:
    """`server-ping-2026-11-23T14-58-21-308Z` without the time."""
    bare, _, _ = name.rpartition("T")
    return bare[: -len("-2026-11-23")].removeprefix("server-")


def _check(found: Mapping[str, Any]) -> Check:
    details = found.get("details") or {}
    says = str(found.get("errorMessage") or found.get("description") or "")
    is_testable = not (isinstance(details, dict) and details.get("untestable"))
    return Check(str(found["id"]), str(found["status"]), says, is_testable)
