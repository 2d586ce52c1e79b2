"""`seekling mcp`: the agent as an MCP server with the tool `research`, over stdio."""

import argparse
import os
import signal
from typing import TYPE_CHECKING

from agent_client.cli.options import add_settings, load_config
from agent_client.cli.stderr_lines import tell

if TYPE_CHECKING:
    from agent_client.service.research_tool import ResearchServer

STOP_SECONDS = 3.0
"""How long a signal to end waits for the models to be told."""


def add_parser(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",  # pyright: ignore[reportPrivateUsage]
) -> None:
    """Add the command to the grammar."""
    parser = subparsers.add_parser(
        "mcp",
        help="offer the agent to MCP hosts, as the tool `research`",
        description="An MCP server over stdio with the tools research, research_result and\n"
        "research_cancel: the host's model asks a question, and ours does the research.",
        usage="seekling mcp [options]",
        epilog="example:\n  claude mcp add research -- seekling mcp --model http://127.0.0.1:30000",
    )
    parser.add_argument(
        "--wait", type=int, metavar="S", help="seconds before a call gives a job id instead (45)"
    )
    add_settings(parser)


async def run(options: argparse.Namespace) -> int:
    """Serve until stdin closes.

    Raises:
        ConfigError: a setting is unknown or malformed.
    """
    import anyio

    from agent_client.app import open_agent, session_recorder
    from agent_client.errors import ConfigError
    from agent_client.service.research_tool import (
        DEFAULT_WAIT_SECONDS,
        MAX_WAIT_SECONDS,
        ResearchServer,
    )

    config = load_config(options)
    wait = DEFAULT_WAIT_SECONDS if options.wait is None else options.wait
    if not 0 <= wait <= MAX_WAIT_SECONDS:
        raise ConfigError(f"--wait {wait} is not between 0 and {MAX_WAIT_SECONDS}")
    server = ResearchServer(
        lambda: open_agent(config, tell=tell),
        recording=session_recorder(config, "research"),
        wait_seconds=wait,
    )
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_end_at_signal, server)
        tasks.start_soon(_end_with_parent, server, os.getppid())
        await server.mcp.run_stdio_async()
        tasks.cancel_scope.cancel()
    return 0


async def _end_at_signal(server: "ResearchServer") -> None:
    import anyio

    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            await _end(server, 130)


async def _end_with_parent(server: "ResearchServer", parent: int) -> None:
    import anyio

    while os.getppid() == parent:  # noqa: ASYNC110 - nothing tells of a parent's death
        await anyio.sleep(1)
    await _end(server, 0)


async def _end(server: "ResearchServer", code: int) -> None:
    """Stop the generations and leave: the SDK's loop waits for stdin and cannot be cancelled."""
    import anyio

    with anyio.move_on_after(STOP_SECONDS):
        await server.stop()
    os._exit(code)
