"""`seekling-mcp index serve`: an index over HTTP, for other agents and training stacks."""

import argparse
import json
import logging
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, cast

import anyio
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from mcp_server.corpus.index import LocalIndex
from mcp_server.corpus.server import build_index_app, is_loopback
from mcp_server.errors import ConfigError
from mcp_server.log import configure_logging

MAX_CONNECTIONS = 512
KEEP_ALIVE_SECONDS = 30
"""Longer than clients keep a connection, so that they are the ones who close it."""
STOP_SECONDS = 1
"""How long requests may go on after a signal to stop."""


def run(options: argparse.Namespace) -> int:
    """Serve an index until SIGINT or SIGTERM.

    Raises:
        ConfigError: the address cannot be used, or is open to others without a token.
        CorpusError: the index is missing or damaged.
    """
    configure_logging("warning")  # to stderr, uvicorn's too
    token = _read_token(options.token_file)
    if not token and not is_loopback(options.host):
        raise ConfigError(
            f"--host {options.host} would open the index to other machines without a token",
            hint="name a file that holds one with --token-file",
        )
    index = LocalIndex(options.directory)
    with _listen(options.host, options.port) as listener:
        _announce(index, listener, as_json=options.json)
        server = _Server(
            uvicorn.Config(
                build_index_app(index, token=token),
                http=PromptConnection,
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=MAX_CONNECTIONS,
                timeout_keep_alive=KEEP_ALIVE_SECONDS,
                timeout_graceful_shutdown=STOP_SECONDS,
            )
        )
        anyio.run(server.serve, [listener])
    return 0


class PromptConnection(H11Protocol):
    """Closes connections that do not come to the point.

    Some hundreds of them, silent or one byte at a time, would keep everybody else out for ever.
    """

    head_seconds = 10.0
    """Longest wait for the head of a request that has begun, or of a connection's first one."""
    _give_up: Callable[[], None] | None = None
    """Cancels the end of the wait for a head."""

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self._watch_head()

    def data_received(self, data: bytes) -> None:
        """Go on waiting while a head has begun and is not whole."""
        super().data_received(data)
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        super().connection_lost(exc)
        self._stop_watching()

    def _watch_head(self) -> None:
        cycle = cast(RequestResponseCycle | None, self.cycle)  # None before the first request
        if cycle is not None and not cycle.response_complete:
            self._stop_watching()
        elif self._give_up is None:
            self._give_up = self.loop.call_later(self.head_seconds, self.transport.close).cancel

    def _stop_watching(self) -> None:
        if self._give_up is not None:
            self._give_up()
            self._give_up = None


class _Server(uvicorn.Server):
    """Ends on a signal; it does not raise it again, since to stop as asked is no failure."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop within `STOP_SECONDS`."""
        self.should_exit = True
        # Else it logs a traceback for each request that the stop cuts off.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)


def _announce(index: LocalIndex, listener: socket.socket, *, as_json: bool) -> None:
    host, port = listener.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    manifest = index.manifest
    if as_json:
        told = {
            "url": url,
            "name": manifest.name,
            "documents": manifest.documents,
            "generation": manifest.generation,
        }
        print(json.dumps(told, ensure_ascii=False), flush=True)
    else:
        print(
            f"{manifest.name}, {manifest.documents:,} documents, at {url}:"
            " POST /search, /visit, /retrieve; GET /health",
            file=sys.stderr,
            flush=True,
        )


def _listen(host: str, port: int) -> socket.socket:
    if not 0 <= port <= 65_535:
        raise ConfigError(f"--port {port} is out of range", hint="use 1 to 65535, 0 for a free one")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, which `socket.create_server` does not do, asyncio switches Nagle's
    # algorithm off: it costs each reply on a kept connection 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(MAX_CONNECTIONS)
    except OSError as exc:
        listener.close()
        raise ConfigError(
            f"cannot listen on {host} port {port}: {exc.strerror or exc}",
            hint="name another --port or --host",
        ) from exc
    return listener


def _read_token(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        token = file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigError(f"cannot read the token file {str(file)!r}: {exc}") from exc
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ConfigError(
            f"the token file {str(file)!r} does not hold one word of ASCII characters",
            hint=f"make one: openssl rand -hex 32 > {file}",
        )
    return token
