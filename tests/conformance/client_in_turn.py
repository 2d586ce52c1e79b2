"""Run the client when it is its turn.

    python -m tests.conformance.client_in_turn FOLDER URL

The suite starts a process for every scenario at the same moment. On a small machine none of them
would answer in time then: the SDK takes a server that is silent for ten seconds for an old one.
So each waits, before it imports anything heavy, for one of a few files in FOLDER that it can lock.
"""

import fcntl
import os
import sys
from pathlib import Path

AT_THE_SAME_TIME = 2


def main() -> int:
    """Wait, then run."""
    turn = Path(sys.argv[1]) / f"turn{os.getpid() % AT_THE_SAME_TIME}"
    with turn.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # given back when this process ends
        from tests.conformance.client import main as run_client

        return run_client()


if __name__ == "__main__":
    sys.exit(main())
