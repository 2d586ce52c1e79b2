"""The commands of `seekling`: one line for each, so that the list needs no command's module."""

from collections.abc import Mapping
from types import MappingProxyType

PROGRAM = "seekling"

GROUPS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "ask": {
            "ask": "answer one question (the default command)",
            "chat": "ask, and follow up",
            "report": "write a report with checked citations on a topic",
            "web": "the agent in your browser",
            "search": "search the web as the agent does; needs no model and no key",
            "visit": "read a page as the agent does; needs no model and no key",
        },
        "look at": {
            "sessions": "list, show, export and continue stored conversations",
            "view": "look at a run or a session in the browser",
        },
        "measure": {
            "eval": "measure the agent on questions with known answers",
        },
        "serve": {
            "serve": "offer the agent as a model, over the OpenAI protocol",
            "mcp": "offer the agent to MCP hosts, as the tool `research`",
        },
        "set up": {
            "doctor": "check the model server and the tools, and say what to change",
            "models": "which models answer here, and whether they call tools",
            "engine": "the embedded model, and commands that serve others",
            "config": "show and change the settings",
            "completion": "print the completion script of your shell",
        },
    }
)
"""Commands by what they are for, in the order of the list."""

COMMANDS = tuple(name for group in GROUPS.values() for name in group)


def command_list() -> str:
    """All commands by group, as `--help` shows them."""
    lines: list[str] = []
    for title, commands in GROUPS.items():
        lines.append(f"{title}:")
        lines.extend(f"  {name:<11} {line}" for name, line in commands.items())
    return "\n".join(lines)
