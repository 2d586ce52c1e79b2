"""The program's name, and what all of its commands have in common."""

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mcp_server.cli.parser import Parser

    Commands = argparse._SubParsersAction[Parser]  # pyright: ignore[reportPrivateUsage]

PROGRAM = "seekling-mcp"


def add_command(commands: "Commands", name: str, help_text: str, epilog: str) -> "Parser":
    """A command with `--json`, which all of them have.

    Args:
        commands: where it is added.
        name: the word for it.
        help_text: what it does, without a capital and a full stop.
        epilog: examples, and what else there is to know.
    """
    command = commands.add_parser(
        name,
        help=help_text,
        description=help_text[0].upper() + help_text[1:] + ".",
        epilog=epilog,
    )
    command.add_argument("--json", action="store_true", help="one JSON object on stdout")
    return command


def add_quiet(command: argparse.ArgumentParser, help_text: str = "no progress on stderr") -> None:
    """Add `--quiet` to a command that tells how far it is."""
    command.add_argument("-q", "--quiet", action="store_true", help=help_text)
