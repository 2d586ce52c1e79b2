"""`seekling-mcp index …`: one module per action, imported when it is asked for."""

import argparse
import importlib

_MODULES = {
    "build": "index_build",
    "add": "index_update",
    "delete": "index_update",
    "info": "index_info",
    "verify": "index_info",
    "search": "index_search",
    "serve": "index_serve",
    "push": "index_push",
}


def run(options: argparse.Namespace) -> int:
    """Run one action on an index."""
    return importlib.import_module(f"mcp_server.cli.{_MODULES[options.action]}").run(options)
