"""Rows about other programs than the running server: a test of the suite shows them."""

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.torture.case import SKIPPED, Case, Result, Stage

ROOT = Path(__file__).resolve().parents[2]
_LONGEST_SECONDS = 240.0


def shown_by(name: str, files: str, which: str = "", *, is_quick: bool = False) -> Case:
    """A case that runs tests.

    Args:
        name: of the case.
        files: of the tests, separated by spaces.
        which: a selection, as pytest's `-k` takes it; all without one.
        is_quick: whether it is part of a quick run.
    """

    def run(_: Stage) -> Result:
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
        command += [*files.split(), *(("-k", which) if which else ())]
        started = time.monotonic()
        environment = {key: value for key, value in os.environ.items() if key != "TORTURE_NETWORK"}
        try:
            ended = subprocess.run(
                command,
                cwd=ROOT,
                check=False,
                capture_output=True,
                text=True,
                timeout=_LONGEST_SECONDS,
                env=environment,
            )
        except subprocess.TimeoutExpired:
            faults = [f"not done after {_LONGEST_SECONDS:g} s"]
            return Result(name=name, expected="tests pass", outcome="NO END", faults=faults)
        said = (ended.stdout.strip().splitlines() or [ended.stderr.strip()[-200:]])[-1]
        passed = said.strip("= ").partition(" in ")[0]
        result = Result(
            name=name,
            expected="tests pass",
            outcome=f"{passed} ({files})",
            seconds=time.monotonic() - started,
        )
        if ended.returncode == 0 and "passed" not in said and "skipped" in said:
            result.outcome = f"{SKIPPED}: {passed} ({files})"
        elif ended.returncode:
            result.faults.append(f"{command[-1]}: {said}")
        return result

    return Case(name=name, expected="tests pass", run=run, is_quick=is_quick)
