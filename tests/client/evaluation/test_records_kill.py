"""Killed at random instants, a run loses no more than the turns that were at work."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def test_kills_at_random_instants_lose_and_double_nothing() -> None:
    """A quick version of `tests/bench/eval_kill.py`, which kills a hundred times."""
    command = [sys.executable, str(ROOT / "tests/bench/eval_kill.py")]
    options = ["--kills", "6", "--questions", "24", "--concurrency", "6"]
    done = subprocess.run(
        [*command, *options],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 kills" in done.stdout
