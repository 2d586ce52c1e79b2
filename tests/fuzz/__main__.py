"""Look for inputs that break a promise, guided by the code that they reach.

    python -m tests.fuzz [--seconds N] [TARGET …]    # N for each target, all without a name
    python -m tests.fuzz --replay TARGET FILE        # one input again, with its traceback

atheris makes the inputs, in an environment of its own that sees the packages of this one; what
reached new code is kept in `.venv-bench/fuzz-corpus` for the next time. A finding is a file in
`fuzz-findings/`; the program then ends with status 1. One that is fixed belongs into the suite.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from sysconfig import get_path

from tests.bench.environments import FOLDER, ROOT, python_of, versions_of
from tests.bench.results import Aim, Section, Table, save, shown
from tests.fuzz.target import Target
from tests.fuzz.targets import TARGETS

CORPUS = FOLDER / "fuzz-corpus"
FINDINGS = ROOT / "fuzz-findings"
DEFAULT_SECONDS = 60
MAX_MEMORY_MB = 2_048
START_SECONDS = 300
"""What importing and instrumenting may take at most, on a busy machine."""

_PROGRESS = re.compile(r"^#(\d+)\s+\S+\s+cov: (\d+) ft: \d+ corp: (\d+)/", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Searched:
    """What became of one target."""

    name: str
    inputs: int
    """How many were tried."""
    reached: int
    """Places of the instrumented code that an input has come to."""
    kept: int
    """Inputs that each reach something that no other one does."""
    seconds: float
    findings: tuple[Path, ...]
    failure: str
    """How the search ended where it was not by its time or a finding; else ""."""


def main() -> int:
    """Search, or replay; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=DEFAULT_SECONDS, metavar="N")
    parser.add_argument("--replay", nargs=2, metavar=("TARGET", "FILE"))
    parser.add_argument("--quick", action="store_true", help="print the results, keep none")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    given = parser.parse_args()
    if given.replay:
        name, path = given.replay
        TARGETS[name].check(Path(path).read_bytes())
        sys.stdout.write("it holds\n")
        return 0
    if unknown := set(given.targets) - TARGETS.keys():
        parser.error(f"no such target: {', '.join(sorted(unknown))}")
    chosen = [TARGETS[name] for name in given.targets or TARGETS]
    searched = list(_searches(chosen, given.seconds))
    # A search of a few targets is no measurement of all.
    save(_section(searched, given.seconds), keep=not (given.quick or given.targets))
    return 1 if any(one.findings or one.failure for one in searched) else 0


def _searches(targets: list[Target], seconds: int) -> Iterator[Searched]:
    for target in targets:
        one = _search(target, seconds)
        told = f"{one.inputs:,} inputs, {one.reached:,} places, {len(one.findings)} findings"
        sys.stdout.write(f"{one.name}: {told}{'; ' + one.failure if one.failure else ''}\n")
        for path in one.findings:
            sys.stdout.write(f"    python -m tests.fuzz --replay {one.name} {path}\n")
        sys.stdout.flush()
        yield one


def _search(target: Target, seconds: int) -> Searched:
    corpus, findings = CORPUS / target.name, FINDINGS / target.name
    for folder in (corpus, findings):
        folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(seed)
    known = set(findings.iterdir())
    command = [str(python_of("fuzz")), "-m", "tests.fuzz.driver", target.name]
    command += [f"-max_total_time={seconds}", f"-max_len={target.max_bytes}"]
    command += [f"-timeout={target.max_seconds}", f"-rss_limit_mb={MAX_MEMORY_MB}"]
    command += ["-len_control=20", f"-artifact_prefix={findings}{os.sep}", str(corpus)]
    started = time.monotonic()
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT), get_path("purelib")))},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=seconds + START_SECONDS,
            check=False,
        )
        said, status = done.stdout.decode(errors="replace"), done.returncode
    except subprocess.TimeoutExpired as late:
        said, status = (late.stdout or b"").decode(errors="replace"), -1
    found = tuple(sorted(set(findings.iterdir()) - known))
    if found:
        (findings / "last.log").write_text(said, encoding="utf-8")
    progress = _PROGRESS.findall(said) or [("0", "0", "0")]
    inputs, reached, kept = map(int, progress[-1])
    failure = "" if found or (status == 0 and inputs) else f"status {status}: {said[-400:].strip()}"
    return Searched(target.name, inputs, reached, kept, time.monotonic() - started, found, failure)


def _section(searched: list[Searched], seconds: int) -> Section:
    rows = tuple(
        (
            one.name,
            TARGETS[one.name].about,
            f"{one.inputs:,}",
            shown(one.inputs / one.seconds),
            f"{one.reached:,}",
            f"{one.kept:,}",
            "did not run" if one.failure else str(len(one.findings)),
        )
        for one in searched
    )
    found = sum(len(one.findings) + bool(one.failure) for one in searched)
    return Section(
        name="fuzz",
        title="Fuzzing",
        command=f"make fuzz SECONDS={seconds}",
        about=(
            "Readers of hostile input are given inputs that atheris makes and changes further "
            "wherever they reach new code of ours or of the parsers behind it. Each target states "
            "what has to hold for every input; the property tests of the suite state the same."
        ),
        tables=(
            Table(
                title="Targets",
                columns=("Target", "Holds", "Inputs", "Inputs/s", "Places", "Kept", "Findings"),
                rows=rows,
                note=(
                    f"{seconds} seconds for each, the start included in the rate. Places are "
                    "instrumented edges; what a child process reaches is not counted."
                ),
            ),
        ),
        aims=(
            Aim(
                aim="no input that breaks a promise",
                measured=f"{found} in {sum(one.inputs for one in searched):,} inputs",
                met=found == 0,
                why="see the findings" if found else "",
            ),
        ),
        versions=versions_of("fuzz", "atheris"),
    )


if __name__ == "__main__":
    sys.exit(main())
