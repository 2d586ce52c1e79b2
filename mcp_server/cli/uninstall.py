"""`seekling-mcp uninstall`: take our entry out of the settings of hosts."""

import argparse

from mcp_server.cli.host_choice import chosen, list_hosts, make_changes
from mcp_server.hosts.changes import leaving


def run(options: argparse.Namespace) -> int:
    """Take the entry out of each host that was named; without one, list the hosts.

    Raises:
        UsageError: a host is unknown.
        UnusableSettings: a file cannot be read or edited safely; none is changed then.
    """
    if not options.host:
        return list_hosts(options)
    changes = [leaving(host, file, options.name) for host, file in chosen(options)]
    return make_changes(changes, options)
