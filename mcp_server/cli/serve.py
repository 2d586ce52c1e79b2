"""`seekling-mcp serve`: the two tools over stdio."""

import argparse
import os
import signal
import threading
import time

from mcp_server.cli.settings import load_settings
from mcp_server.config import ServerConfig


def run(options: argparse.Namespace) -> int:
    """Serve until stdin closes."""
    end_with_parent()
    config = load_settings(options)
    if options.json:
        from mcp_server.log import log_as_json

        log_as_json()
    # Heavy imports come after the settings are known to be right.
    import anyio

    anyio.run(_serve, config)
    return 0


async def _serve(config: ServerConfig) -> None:
    from mcp_server.app import open_services
    from mcp_server.server import build_server
    from mcp_server.services import Ready

    async with open_services(config) as services:
        await build_server(Ready(services)).run_stdio_async()


def end_with_parent() -> None:
    """End this process on SIGINT and when its parent dies.

    The SDK's stdio loop waits for stdin only: it does not end on SIGINT, and lives on as an orphan
    when another process holds its stdin. Page-reading children end by themselves when we do.
    """
    if threading.current_thread() is not threading.main_thread():
        return  # signals belong to the main thread; an embedding program has its own

    def interrupted(_signal: int, _frame: object) -> None:
        os._exit(130)

    signal.signal(signal.SIGINT, interrupted)
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(0)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()
