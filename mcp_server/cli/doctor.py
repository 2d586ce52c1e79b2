"""`seekling-mcp doctor`."""

import argparse


def run(options: argparse.Namespace) -> int:
    """Not there yet."""
    raise NotImplementedError(options)
