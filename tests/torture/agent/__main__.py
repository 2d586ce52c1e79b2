"""Play the fault set: `python -m tests.torture.agent [--only GLOB]`, such as `--only 'F7*'`."""

import argparse
import sys

from tests.torture.agent.driver import run

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Play the fault set on agent and evaluation.")
    parser.add_argument("--only", default="*", metavar="GLOB", help="of 'F7 name of the case'")
    sys.exit(0 if run(parser.parse_args().only) else 1)
