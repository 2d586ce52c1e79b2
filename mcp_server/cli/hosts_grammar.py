"""The grammar of `seekling-mcp install` and `uninstall`."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mcp_server.cli.commands import add_command

if TYPE_CHECKING:
    from mcp_server.cli.commands import Commands

DEFAULT_NAME = "seekling"
INSTALL_HELP = """without HOST, lists the hosts, which of them are here and where we are entered

examples:
  seekling-mcp install cursor vscode --dry-run
  seekling-mcp install codex --setting providers=brave --env BRAVE_API_KEY
  seekling-mcp install codex --url https://search.corp.example/mcp

Hosts give servers no environment: name the keys with --env. Where a host can
take a key from its own environment, only the variable's name is written.
"""


def add_hosts(commands: "Commands") -> None:
    """Add `install` and `uninstall`."""
    install = add_command(
        commands, "install", "enter the server into the settings of MCP hosts", INSTALL_HELP
    )
    _add_place(install)
    install.add_argument(
        "--setting",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="a setting of `serve`, as in providers=brave; may be repeated",
    )
    install.add_argument(
        "--env",
        action="append",
        default=[],
        metavar="NAME[=VALUE]",
        help="a variable for the server, its value from this environment; may be repeated",
    )
    install.add_argument(
        "--url", default="", metavar="URL", help="a server over HTTP, in place of this program"
    )
    install.add_argument(
        "--token-env", default="", metavar="NAME", help="the variable that holds its token"
    )
    install.add_argument(
        "--replace", action="store_true", help="replace an entry of that name that says otherwise"
    )
    install.add_argument(
        "--link", action="store_true", help="print a link that opens the host, write nothing"
    )
    _add_place(
        add_command(
            commands,
            "uninstall",
            "take the server out of the settings of MCP hosts",
            "example:\n  seekling-mcp uninstall cursor --dry-run",
        )
    )


def _add_place(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "host", nargs="*", metavar="HOST", help="claude-desktop, cursor, vscode, …"
    )
    command.add_argument(
        "--name", default=DEFAULT_NAME, metavar="NAME", help=f"of the entry ({DEFAULT_NAME})"
    )
    command.add_argument(
        "--project", action="store_true", help="the settings of the project in this folder"
    )
    command.add_argument("--file", type=Path, metavar="FILE", help="settings file of the host")
    command.add_argument("--dry-run", action="store_true", help="show the change, write nothing")
