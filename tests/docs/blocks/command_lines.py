"""Every command and flag of both programs, from their parsers."""

import argparse
from collections.abc import Iterator, Sequence

from agent_client.cli.options import SETTINGS as CLIENT_FLAGS
from mcp_server.cli.grammar import SETTINGS as SERVER_FLAGS
from tests.docs.markdown import code, fenced, table

SETTING_FLAGS = {
    "seekling": frozenset(flag for flag, *_ in CLIENT_FLAGS),
    "seekling-mcp": frozenset(flag for flag, *_ in SERVER_FLAGS),
}
MANY_SETTINGS = 5
"""From so many on, a command lists the flags of settings by name only."""


def client_commands() -> str:
    """The grammar of `seekling`."""
    from agent_client.cli.main import build_parser

    return "\n\n".join(_commands(build_parser()))


def server_commands() -> str:
    """The grammar of `seekling-mcp`."""
    from mcp_server.cli.grammar import build_parser

    return "\n\n".join(_commands(build_parser()))


def subcommands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The commands below a parser, by name and in order."""
    found: dict[str, argparse.ArgumentParser] = {}
    for action in actions_of(parser):
        if isinstance(action, argparse._SubParsersAction):  # pyright: ignore[reportPrivateUsage]
            found |= action.choices
    return found


def actions_of(parser: argparse.ArgumentParser) -> Sequence[argparse.Action]:
    """All arguments and flags; argparse has no public name for them."""
    return parser._actions  # pyright: ignore[reportPrivateUsage]


def _commands(parser: argparse.ArgumentParser) -> Iterator[str]:
    for each in subcommands(parser).values():
        yield _command(each, "##")
        for inner in subcommands(each).values():
            yield _command(inner, "###")


def _command(parser: argparse.ArgumentParser, level: str) -> str:
    parts = [f"{level} `{parser.prog}`", fenced(_usage(parser))]
    if parser.description:
        parts.append(" ".join(parser.description.split()))
    settings = _settings_of(parser)
    if rows := list(_rows(parser, without=settings)):
        parts.append(table(("argument", "meaning"), rows))
    if settings:
        told = ", ".join(map(code, settings))
        parts.append(f"And these [settings](configuration.md) as flags: {told}.")
    if parser.epilog:
        parts.append(fenced(parser.epilog % {"prog": parser.prog}, "text"))
    return "\n\n".join(parts)


def _usage(parser: argparse.ArgumentParser) -> str:
    if parser.usage:
        return parser.usage.replace("%(prog)s", parser.prog)
    places = [_place(it) for it in actions_of(parser) if not it.option_strings]
    return " ".join([parser.prog, "[options]", *places])


def _place(action: argparse.Action) -> str:
    name = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if action.nargs == "?":
        return f"[{name}]"
    return f"{name}…" if action.nargs in ("+", "*") else name


def _settings_of(parser: argparse.ArgumentParser) -> list[str]:
    """The flags that are settings, where there are many: another page explains them."""
    flags = SETTING_FLAGS[parser.prog.partition(" ")[0]]
    found = [
        action.option_strings[0]
        for action in actions_of(parser)
        if action.option_strings and action.option_strings[0] in flags
    ]
    return found if len(found) >= MANY_SETTINGS else []


def _rows(parser: argparse.ArgumentParser, *, without: Sequence[str]) -> Iterator[tuple[str, str]]:
    for action in actions_of(parser):
        if action.option_strings and action.option_strings[0] in without:
            continue
        is_group = isinstance(action, argparse._SubParsersAction)  # pyright: ignore[reportPrivateUsage]
        if (
            is_group
            or action.dest in ("help", "help_all")
            or not action.help
            or action.help == argparse.SUPPRESS
        ):
            continue
        choices = f" ({', '.join(map(str, action.choices))})" if action.choices else ""
        told = (action.help % {"prog": parser.prog, "default": action.default}).strip()
        yield code(_name(action)), told + (choices if choices.strip(" ()") not in told else "")


def _name(action: argparse.Action) -> str:
    if not action.option_strings:
        return _place(action)
    value = action.metavar if isinstance(action.metavar, str) else ""
    if not value and action.nargs != 0:
        value = action.dest.upper()
    return f"{', '.join(action.option_strings)} {value}".strip()
