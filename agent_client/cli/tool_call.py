"""One call of a search or visit tool for a person, as the agent would make it."""

import argparse
import shlex
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, cast

from agent_client.cli.json_output import print_json
from agent_client.cli.options import load_config
from agent_client.cli.stderr_lines import error_line

if TYPE_CHECKING:
    from agent_client.conversation import ToolResult, ToolSpec
    from agent_client.errors import ToolFailed

OUR_TOOLS = ("web_search", "web_visit")
"""Taken before others of the same kind."""
PASSING_KINDS = ("rate_limited", "blocked", "unavailable", "timeout")
"""Failures that say nothing about what was looked for."""
_WHO_CAN_BE_ASKED = "see who can be asked: seekling-mcp doctor"
_FOR_MODELS = ". Do not repeat the same call"
_DIM, _OFF = "\x1b[2m", "\x1b[0m"

Wanted = Mapping[str, tuple[Sequence[str], object]]
"""By flag: the names that servers give the argument, and its value; None is not given."""


def add_common(parser: argparse.ArgumentParser) -> None:
    """Add the flags that both commands have."""
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("-q", "--quiet", action="store_true", help="the results only")
    parser.add_argument("--mcp", metavar="COMMAND|URL", help="another MCP server with the tools")
    parser.add_argument("--config", metavar="FILE", help="a TOML settings file")


async def call_once(
    options: argparse.Namespace, kind: Literal["search", "visit"], wanted: Wanted
) -> "ToolResult":
    """Open the tools, call the one of this kind, and give what came back, failures too.

    Args:
        options: with the flags of `add_common`.
        kind: of the tool; of several that of our own server is taken, else the first.
        wanted: its arguments.

    Raises:
        ConfigError: a setting is wrong, or the tool has no such argument.
        ToolServerError: the tools cannot be opened, or none is of this kind.
    """
    from agent_client.app import open_tools
    from agent_client.conversation import ToolCall

    config = load_config(options)
    if sys.stderr.isatty() and not (options.quiet or options.json):
        aside("searching …" if kind == "search" else "reading …")
    async with open_tools(config) as tools:
        tool = _tool_of(await tools.list_tools(), kind, config.mcp or "seekling-mcp serve")
        return await tools.call(ToolCall("1", tool.name, _arguments(tool, wanted)))


def _tool_of(
    listed: "Sequence[ToolSpec]", kind: Literal["search", "visit"], server: str
) -> "ToolSpec":
    from agent_client.agent.offered_tools import kind_of
    from agent_client.errors import ToolServerError

    fitting = [tool for tool in listed if kind_of(tool) == kind]
    if not fitting:
        names = ", ".join(tool.name for tool in listed) or "none"
        raise ToolServerError(
            server,
            f"it has no tool for a {kind}, its tools are: {names}",
            hint="name another server with --mcp",
        )
    return next((tool for tool in fitting if tool.name in OUR_TOOLS), fitting[0])


def _arguments(tool: "ToolSpec", wanted: Wanted) -> dict[str, object]:
    from agent_client.errors import ConfigError

    given = tool.parameters.get("properties")
    properties = cast(Mapping[str, object], given) if isinstance(given, Mapping) else {}
    arguments: dict[str, object] = {}
    for flag, (names, value) in wanted.items():
        if value is None:
            continue
        name = next((name for name in names if name in properties), None)
        if name is None:
            raise ConfigError(
                f"the tool {tool.name!r} has no argument for {flag}",
                hint=f"its arguments are: {', '.join(properties) or 'none'}",
            )
        schema = properties[name]
        is_list = isinstance(schema, Mapping) and schema.get("type") == "array"
        arguments[name] = [value] if is_list else value
    return arguments


def failure_in(result: "ToolResult") -> "ToolFailed | None":
    """The error that a result is; None where it is none.

    The message is the server's, without what it says to models only.
    """
    from agent_client.errors import ToolFailed, ToolUnavailable
    from agent_client.tool_meta import ERROR_META

    if not result.is_error:
        return None
    told = result.meta.get(ERROR_META)
    kind = cast(Mapping[str, object], told).get("kind") if isinstance(told, Mapping) else None
    message = " ".join(result.text.removeprefix("Error:").split()).rstrip(".")
    message = message.removesuffix(_FOR_MODELS)
    if kind not in PASSING_KINDS:
        return ToolFailed(message)
    is_search = "search" in result.name.lower()
    return ToolUnavailable(message, hint=_WHO_CAN_BE_ASKED if is_search else "")


def print_result(result: "ToolResult", more: Mapping[str, object]) -> int:
    """Print the whole result as one JSON object, an error told on stderr too; gives the code."""
    from agent_client.cli.failure import failure_of

    told: dict[str, object] = {
        "schema_version": 1,
        "tool": result.name,
        "is_error": result.is_error,
        **more,
        "text": result.text,
        "meta": dict(result.meta),
    }
    error = failure_in(result)
    if error is not None:
        failure = failure_of(error)
        told["error"] = failure.as_json()
        error_line(failure.message, failure.hint)
    print_json(told)
    return error.exit_code if error else 0


def aside(text: str) -> None:
    """Tell something beside the result, dim, on stderr."""
    from agent_client.clean import terminal_line
    from agent_client.cli.colour import has_colour

    line = terminal_line(text, 1_000)
    print(f"{_DIM}{line}{_OFF}" if has_colour(sys.stderr) else line, file=sys.stderr)


def again(command: str, *arguments: str) -> str:
    """A command line to go on with."""
    return shlex.join(["seekling", command, *arguments])
