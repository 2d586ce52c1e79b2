"""A socket, and the server under an application: who gets a connection, and how it all ends."""

import logging
import os
import signal
import socket
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

import anyio
import uvicorn
from starlette.types import ASGIApp

from mcp_server.errors import ConfigError
from mcp_server.loopback import is_loopback
from mcp_server.serving.prompt_connection import PromptConnection

KEEP_ALIVE_SECONDS = 30
"""Longer than clients keep a connection, so that they are the ones who close it."""
MAX_HEAD_BYTES = 32_768
"""Longest head of a request; the longest that is useful carries an OAuth token."""
BACKLOG = 512
"""Connections that the system keeps until they are accepted."""
CUT_SECONDS = 1.0
"""How long what was cut off may take to end."""
INTERRUPTED = 130
"""Exit code after a second signal."""

_FILES_BESIDE = 128
"""Open files that the process needs beside its connections."""


def check_exposure(host: str, *, is_guarded: bool, hint: str) -> None:
    """Refuse to let other machines in when nobody has to show who they are.

    Args:
        host: the name or address to listen on.
        is_guarded: whether callers need a token.
        hint: how to get one.

    Raises:
        ConfigError: the address can be reached by others, and no token is needed.
    """
    if not is_guarded and not is_loopback(host):
        raise ConfigError(f"host {host} would let other machines in without a token", hint=hint)


def listen(host: str, port: int) -> socket.socket:
    """Open the socket that callers connect to.

    Args:
        host: a name or an address of this machine; `::` listens on IPv4 as well.
        port: 0 takes a free one.

    Raises:
        ConfigError: the port is taken or out of range, or the address is not this machine's.
    """
    if not 0 <= port <= 65_535:
        raise ConfigError(f"--port {port} is out of range", hint="use 1 to 65535, 0 for a free one")
    try:
        family, address = _resolve(host, port)
        return _open(family, address)
    except (OSError, UnicodeError) as exc:
        told = (exc.strerror if isinstance(exc, OSError) else "") or str(exc)
        raise ConfigError(
            f"cannot listen on {host or 'no address'} port {port}: {told}",
            hint="name another --port or --host",
        ) from exc


def url_of(listener: socket.socket, path: str = "") -> str:
    """Where a socket answers: `http://127.0.0.1:8848` and the path."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}{path}" if ":" in host else f"http://{host}:{port}{path}"


async def serve_app(
    app: ASGIApp,
    listener: socket.socket,
    *,
    max_connections: int,
    drain_seconds: float,
    has_lifespan: bool = False,
    on_drain: Callable[[], None] | None = None,
    on_cut: Callable[[], None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM, then let what is under way come to its end.

    From the signal on nobody is let in, and connections without a request are closed; a second
    signal ends the process at once, with `INTERRUPTED`.

    Args:
        app: the application.
        listener: where; closed at the end.
        max_connections: open at the same time. One more takes the place of an idle one.
        drain_seconds: how long requests may go on after the signal.
        has_lifespan: whether the application wants to be told of the start and the end.
        on_drain: called at the signal.
        on_cut: called after `drain_seconds`, to end what is still under way.
    """
    server = _Server(
        uvicorn.Config(
            app,
            http=PromptConnection,
            ws="none",
            lifespan="on" if has_lifespan else "off",
            log_config=None,
            log_level="error",  # or strangers could fill the log with their mistakes
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=_allowed_connections(max_connections),
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            h11_max_incomplete_event_size=MAX_HEAD_BYTES,
            backlog=BACKLOG,
        ),
        drain_seconds=drain_seconds,
        on_drain=on_drain,
        on_cut=on_cut,
    )
    await server.serve([listener])


class _Server(uvicorn.Server):
    """Ends on a signal; it does not raise it again, since to stop as asked is no failure."""

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        drain_seconds: float,
        on_drain: Callable[[], None] | None,
        on_cut: Callable[[], None] | None,
    ) -> None:
        super().__init__(config)
        self._drain_seconds = drain_seconds
        self._on_drain = on_drain
        self._on_cut = on_cut

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Stop at SIGINT and SIGTERM, and end at once at the second."""
        if threading.current_thread() is not threading.main_thread():
            yield  # signals belong to the main thread; an embedding program has its own
            return

        # Not a method of ours: the library that writes event streams asks whose method handles
        # the signal, and would end the streams of calls that are still under way.
        def stop(_signal: int, _frame: FrameType | None) -> None:
            if self.should_exit:
                os._exit(INTERRUPTED)
            self.should_exit = True

        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve until a signal comes; when cancelled, end without waiting for anybody."""
        try:
            await super().serve(sockets)
        except anyio.get_cancelled_exc_class():
            if self.started:
                with anyio.CancelScope(shield=True), _quiet():
                    await self._end_now()
            raise

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let nobody in, wait for what is under way, and cut off what takes too long."""
        if self._on_drain is not None:
            self._on_drain()
        with _quiet():
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._cut_off)
                await super().shutdown(sockets)
                tasks.cancel_scope.cancel()

    async def _cut_off(self) -> None:
        await anyio.sleep(self._drain_seconds)
        if self._on_cut is not None:
            self._on_cut()
            await anyio.sleep(CUT_SECONDS)  # for the answers that say so
        self._abort()

    async def _end_now(self) -> None:
        for server in self.servers:
            server.close()
        if self._on_cut is not None:
            self._on_cut()
        self._abort()
        await self.lifespan.shutdown()

    def _abort(self) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        for task in list(self.server_state.tasks):
            task.cancel()


@contextmanager
def _quiet() -> Generator[None]:
    """What is cut off is no failure, and does not fill the log with its traceback."""
    log = logging.getLogger("uvicorn.error")
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)


def _resolve(host: str, port: int) -> tuple[socket.AddressFamily, tuple[str, int]]:
    if not host:
        raise OSError("no address given")  # which would be taken for every address
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    # `localhost` is often both: who is told to come to 127.0.0.1 would not find us at ::1.
    family, *_, address = min(found, key=lambda entry: entry[0] != socket.AF_INET)
    return family, (str(address[0]), port)


def _open(family: socket.AddressFamily, address: tuple[str, int]) -> socket.socket:
    # With the protocol named, which `socket.create_server` does not do, asyncio switches Nagle's
    # algorithm off: it costs each reply on a kept connection 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)
    except BaseException:
        listener.close()
        raise
    return listener


def _allowed_connections(wanted: int) -> int:
    """As many as wanted, or as the system lets a process have open files."""
    try:
        import resource  # not on Windows
    except ImportError:
        return wanted
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + _FILES_BESIDE
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        return max(1, min(wanted, soft - _FILES_BESIDE))
    return wanted
