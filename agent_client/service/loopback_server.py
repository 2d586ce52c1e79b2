"""Serve an ASGI application until a signal, and end what it has under way before it stops."""

import logging
import socket
from collections.abc import Awaitable, Callable

import anyio
import uvicorn
from starlette.types import ASGIApp

from agent_client.errors import ConfigError

MAX_CONNECTIONS = 256
STOP_SECONDS = 3
"""How long work and connections may go on after a signal to stop."""


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Args:
        host: a name or address of this machine; IPv6 without brackets.
        port: 0 takes a free one.

    Raises:
        ConfigError: the port is no port, or the address cannot be listened on.
    """
    if not 0 <= port <= 65_535:
        raise ConfigError(f"--port {port} is out of range", hint="use 1 to 65535, 0 for a free one")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
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


def url_of(listener: socket.socket) -> str:
    """Where a socket listens: `http://HOST:PORT`, without a path."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


async def serve(
    app: ASGIApp, listener: socket.socket, *, stop: Callable[[], Awaitable[None]]
) -> None:
    """Answer requests until SIGINT or SIGTERM; returns when all is over.

    Args:
        app: answers; its lifespan is not used.
        listener: of `listen`.
        stop: ends what is under way, such as runs and streams that would go on for ever; called
            once after the signal, and cut off after `STOP_SECONDS`.
    """
    settings = uvicorn.Config(
        app,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=STOP_SECONDS,
    )
    await _Server(settings, stop).serve([listener])


class _Server(uvicorn.Server):
    """Ends on a signal without raising it again: to stop as asked is no failure."""

    def __init__(self, settings: uvicorn.Config, stop: Callable[[], Awaitable[None]]) -> None:
        super().__init__(settings)
        self._stop = stop

    def handle_exit(self, sig: int, frame: object) -> None:
        self.should_exit = True
        # Else it logs a traceback for each request that the stop cuts off.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        with anyio.move_on_after(STOP_SECONDS):
            await self._stop()
        await super().shutdown(sockets)
