"""Put the server and the agent before everything hostile that we know.

    python -m tests.torture [--part server|agent] [--only 'R1.*'] [--quick] [--peer NAME|none]

Prints a line per case; the exit status is 1 if any is wrong. As root, the server half runs in a
network of its own that has nothing but loopback; else what needs one is counted as skipped. With
`--peer`, as by default, a few cases are played against somebody else's server too: that shows that
they can fail.
"""

import argparse
import importlib.util
import sys
import tempfile
from pathlib import Path

from tests.torture import network

_AGENT_PART = "tests.torture.agent"
_QUICK_AGENT = "F[1-5] *"
"""Faults of the model and the tool server; a part of them keeps nothing."""


def main() -> int:
    """Run the parts that were asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture")
    parser.add_argument("--part", choices=("server", "agent"), help="one half only")
    parser.add_argument("--only", default="*", help="a pattern of names of cases")
    parser.add_argument("--quick", action="store_true", help="a choice of cases; keeps nothing")
    parser.add_argument(
        "--peer",
        choices=("mcp-server-fetch", "none"),
        help="a few cases against another server too (mcp-server-fetch, but not with --quick)",
    )
    chosen = parser.parse_args()
    if chosen.peer is None:
        chosen.peer = "none" if chosen.quick else "mcp-server-fetch"
    chosen.peer = "" if chosen.peer == "none" else chosen.peer
    is_good = True
    if chosen.part != "agent":
        is_good = _server_part(chosen) and is_good
    if chosen.part != "server":
        is_quick = chosen.quick and chosen.only == "*"
        is_good = _agent_part(_QUICK_AGENT if is_quick else chosen.only) and is_good
    return 0 if is_good else 1


def _server_part(chosen: argparse.Namespace) -> bool:
    if network.is_inside() or not network.can_enter():
        from tests.torture.server_part import Chosen, run

        with tempfile.TemporaryDirectory(prefix="torture-") as folder:
            if network.is_inside():
                network.set_up(Path(folder))
            chosen_ones = Chosen(chosen.only, chosen.quick, with_peer=bool(chosen.peer))
            return run(Path(folder), chosen_ones)
    if chosen.peer:  # from in there no package index is reached
        from tests.bench.environments import python_of

        python_of(chosen.peer)
    arguments = ["tests.torture", "--part", "server", "--only", chosen.only]
    arguments += ["--quick"] * chosen.quick + ["--peer", chosen.peer or "none"]
    return network.run_inside(arguments) == 0


def _agent_part(only: str) -> bool:
    if importlib.util.find_spec(_AGENT_PART) is None:
        sys.stdout.write("the agent half is not there\n")
        return False
    from tests.torture.agent import run

    return run(only)


if __name__ == "__main__":
    sys.exit(main())
