"""`seekling-mcp completion SHELL`: print the script that completes the command line."""

import argparse

from mcp_server.cli.commands import PROGRAM
from mcp_server.cli.completion_script import HOW_TO, completion_script
from mcp_server.cli.grammar import build_parser


def run(options: argparse.Namespace) -> int:
    """Print the script, or how to install it."""
    if options.shell is None:
        print(HOW_TO.format(program=PROGRAM), end="")
        return 0
    from mcp_server.cli.settings import fixed_values
    from mcp_server.hosts.catalog import HOSTS

    hosts = tuple(host.name for host in HOSTS)
    script = completion_script(
        build_parser(),
        options.shell,
        choices=fixed_values() | {"HOST": hosts},
        commands={},
    )
    print(script)
    return 0
