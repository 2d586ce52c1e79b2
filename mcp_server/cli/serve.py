"""`seekling-mcp serve`: the two tools over stdio or HTTP."""

import argparse
import gc
import json
import logging
import sys
from collections.abc import Callable
from functools import partial

from mcp_server.cli.settings import load_settings
from mcp_server.config import ServerConfig
from mcp_server.errors import ConfigError
from mcp_server.log import FIELDS
from mcp_server.serving.allocator import give_memory_back
from mcp_server.settings_check import check_settings

logger = logging.getLogger(__name__)

_FOR_A_PERSON = (
    "seekling-mcp: waiting for an MCP host on stdin; Ctrl-C ends it.\n"
    "Enter it into a host: seekling-mcp install HOST. Try it here: seekling-mcp search WORDS"
)


def run(options: argparse.Namespace) -> int:
    """Serve until the host goes away, or over HTTP until a signal comes.

    Raises:
        ConfigError: a setting is wrong, or would let strangers in.
        CorpusError: an index is missing or damaged.
    """
    if options.json and options.log_format is None:
        options.log_format = "json"  # stdout is the protocol's: what there is to tell is in the log
    if sys.platform == "win32":
        raise ConfigError("the server does not run on Windows itself", hint="run it in WSL")
    config = load_settings(options)
    check_settings(config)
    give_memory_back()
    if config.transport == "http":
        announce = _tell_program if options.json else partial(_tell_person, config)
        return _serve_over_http(config, announce)
    return _serve_over_stdio(config)


def _serve_over_stdio(config: ServerConfig) -> int:
    from mcp_server.serving.host import meet_host

    if sys.stdin is not None and sys.stdin.isatty():
        print(_FOR_A_PERSON, file=sys.stderr)
    host = meet_host()
    gc.disable()  # imports leave no garbage; `serve_stdio` switches it on again
    # Heavy imports come after the settings are known to be right, and the protocol is safe.
    import anyio

    from mcp_server.serving_app import serve_over_stdio

    return anyio.run(serve_over_stdio, config, host)


def _serve_over_http(config: ServerConfig, announce: Callable[[str], None]) -> int:
    import anyio

    from mcp_server.serving_app import serve_over_http

    anyio.run(serve_over_http, config, announce)
    return 0


def _tell_program(url: str) -> None:
    print(json.dumps({"url": url}), flush=True)


def _tell_person(config: ServerConfig, url: str) -> None:
    if config.log_format == "json":  # whoever collects such lines can read no other
        logger.info("serving", extra={FIELDS: {"url": url}})
        return
    public = f", for callers: {config.public_url}" if config.public_url else ""
    print(f"MCP over streamable HTTP at {url}{public}", file=sys.stderr, flush=True)
