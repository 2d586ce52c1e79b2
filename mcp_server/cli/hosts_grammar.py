"""The grammar of `seekling-mcp install` and `uninstall`."""

from pathlib import Path
from typing import TYPE_CHECKING

from mcp_server.cli.parser import add_command

if TYPE_CHECKING:
    from mcp_server.cli.parser import Commands


def add_hosts(commands: "Commands") -> None:
    """Add `install` and `uninstall`."""
    for name, told in (
        ("install", "enter the server into the settings of an MCP host"),
        ("uninstall", "take the server out of the settings of an MCP host"),
    ):
        command = add_command(commands, name, told)
        command.add_argument("host", nargs="?", metavar="HOST", help="claude-desktop, cursor, …")
        command.add_argument(
            "--dry-run", action="store_true", help="show the change, write nothing"
        )
        command.add_argument("--file", type=Path, metavar="FILE", help="settings file of the host")
