"""Look the locked packages up among known vulnerabilities: `make audit`.

    python -m tests.release.real_audit [LOCK …]

Exit status: 0 when all were looked up and nothing is known; 1 when something is known; 2 when the
advisories could not be asked. Without `--strict` pip-audit passes in that last case, having looked
up nothing.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.bench.environments import program_of
from tests.release.artifacts import ROOT
from tests.release.locks import pins_of

AUDITED = ("requirements.lock", "requirements-dev.lock", "configs/deploy/requirements.lock")
MOST_SECONDS = 120
CLEAN, VULNERABLE, NOT_AUDITED = 0, 1, 2


def main() -> int:
    """Audit each lock and say what became of it."""
    return worst([audit(lock) for lock in sys.argv[1:] or AUDITED])


def worst(outcomes: Sequence[int]) -> int:
    """What several locks come to: what is known counts, also where others were not looked up."""
    return VULNERABLE if VULNERABLE in outcomes else max(outcomes)


def audit(lock: str) -> int:
    """Audit one lock file; its exit status, and a line that says it."""
    wanted = {pin.name for pin in pins_of(lock)}
    command = [program_of("audit", "pip-audit"), "--strict", "--disable-pip", "--require-hashes"]
    command += ["--progress-spinner", "off", "--format", "json", "-r", str(ROOT / lock)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=MOST_SECONDS, check=False
        )
        outcome, says = judged(done.stdout, done.stderr, len(wanted))
    except subprocess.TimeoutExpired:
        outcome, says = NOT_AUDITED, f"NOT AUDITED: no answer within {MOST_SECONDS} s"
    sys.stdout.write(f"{Path(lock)}: {says}\n")
    return outcome


def judged(stdout: str, stderr: str, most: int) -> tuple[int, str]:
    """What pip-audit's output means.

    Args:
        stdout: its JSON, if it came to that.
        stderr: why not, else.
        most: packages of the lock; those of other systems are not looked up.
    """
    try:
        packages: list[dict[str, Any]] = json.loads(stdout)["dependencies"]
    except (ValueError, LookupError, TypeError):
        reason = stderr.strip().splitlines()[-1:] or ["it said nothing"]
        return NOT_AUDITED, f"NOT AUDITED: {reason[0]}"
    skipped = [package["name"] for package in packages if "vulns" not in package]
    if skipped or not packages:
        return NOT_AUDITED, f"NOT AUDITED: {len(skipped)} of {most} were skipped"
    known = [
        f"{package['name']} {package['version']} ({', '.join(v['id'] for v in package['vulns'])})"
        for package in packages
        if package["vulns"]
    ]
    if known:
        return VULNERABLE, f"VULNERABLE: {'; '.join(known)}"
    return CLEAN, f"nothing is known of {len(packages)} packages (the lock has {most})"


if __name__ == "__main__":
    sys.exit(main())
