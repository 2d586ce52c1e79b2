"""Serve the one host that started us, over its pipes.

The SDK's own stdio transport hands every line through threads and streams. Here the event loop
reads and writes the pipes itself, which takes less processor time for a call, bounds a line, tells
the host about messages that cannot be read, and answers what stood before the end of its input.
"""

import fcntl
import gc
import os
import select
import sys
import termios
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

import anyio
import anyio.from_thread
import anyio.lowlevel
from mcp.server import MCPServer
from mcp.shared.message import SessionMessage
from mcp.types import (
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    RequestId,
)

from mcp_server.serving.host import DRAIN_SECONDS, Host, HostWatch
from mcp_server.serving.wire import Lines, read_message, write_message

_READ_BYTES = 65_536
_NO_BYTES = bytes(4)
"""The count 0 as `FIONREAD` tells it."""


async def serve_stdio(
    server: MCPServer, host: Host, *, once_listed: Callable[[], None] = lambda: None
) -> int:
    """Serve until the host goes away or has the process end.

    Args:
        server: what to serve.
        host: from `meet_host`.
        once_listed: called when a list of tools has been written.

    Returns:
        The exit code of the process, which is cut off if it takes much longer (see `HostWatch`).
    """
    token = anyio.lowlevel.current_token()
    serving = anyio.CancelScope()

    def close() -> None:
        with suppress(RuntimeError):  # the loop has ended meanwhile
            anyio.from_thread.run_sync(serving.cancel, token=token)

    watch = HostWatch(host, close)
    pipes = _Pipes(host, watch, once_listed)
    # The public ways in bring the SDK's own transport with them.
    lowlevel = server._lowlevel_server  # pyright: ignore[reportPrivateUsage]
    gc.freeze()  # what was imported stays: nothing is to be found there
    gc.enable()
    with serving:
        await lowlevel.run(
            _Incoming(pipes), _Outgoing(pipes), lowlevel.create_initialization_options()
        )
    gc.freeze()  # the interpreter would look through everything as it ends, for 0.2 s
    return watch.exit_code


class _Pipes:
    """Both pipes, and which requests of the host are not answered yet."""

    def __init__(self, host: Host, watch: HostWatch, once_listed: Callable[[], None]) -> None:
        self._host = host
        self._watch = watch
        self._once_listed = once_listed
        self._lines = Lines()
        self._is_over = False
        self._writing = anyio.Lock(fast_acquire=True)
        self._unanswered: dict[RequestId, str] = {}
        """Methods by the ids of requests."""
        self._all_answered = anyio.Event()

    async def receive(self) -> JSONRPCMessage:
        """The next message; lines that are none are answered with an error.

        Raises:
            EndOfStream: the host has closed its end, and has its answers.
        """
        while True:
            while self._lines.whole:
                message = read_message(self._lines.whole.popleft())
                if isinstance(message, JSONRPCError):
                    await self.send(message)
                elif message is not None:
                    self._expect(message)
                    return message
            if self._is_over:
                await self._finish()
                raise anyio.EndOfStream
            await self._read()

    async def _read(self) -> None:
        with suppress(PermissionError):  # a file is always ready, and cannot be waited for
            await anyio.wait_readable(self._host.stdin)
        try:
            data = os.read(self._host.stdin, _READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._lines.add(data)
        self._is_over = not data

    def _expect(self, message: JSONRPCMessage) -> None:
        if isinstance(message, JSONRPCRequest):
            self._unanswered[message.id] = message.method
        elif isinstance(message, JSONRPCNotification) and (
            message.method == "notifications/cancelled" and message.params
        ):
            self._answered(message.params.get("requestId"))

    def _answered(self, request: RequestId | None) -> str:
        method = self._unanswered.pop(request, "") if isinstance(request, str | int) else ""
        if not self._unanswered:
            self._all_answered.set()
        return method

    async def _finish(self) -> None:
        """Let the calls that are under way go on for a moment."""
        self._watch.end("stdin was closed", after_seconds=DRAIN_SECONDS)
        self._all_answered = anyio.Event()
        if self._unanswered:
            with anyio.move_on_after(DRAIN_SECONDS):
                await self._all_answered.wait()

    async def send(self, message: JSONRPCMessage) -> None:
        """Write a message; a failure to write ends the server."""
        # Whole or not at all: half a message would spoil all that follow.
        async with self._writing:
            with anyio.CancelScope(shield=True):
                try:
                    await self._write(memoryview(write_message(message)))
                except OSError as exc:
                    self._watch.end(f"stdout cannot be written ({exc.strerror})")
        is_answer = isinstance(message, JSONRPCResponse | JSONRPCError)
        if is_answer and self._answered(message.id) == "tools/list":
            self._once_listed()

    async def _write(self, data: memoryview) -> None:
        poll = select.poll()
        poll.register(self._host.stdout, select.POLLOUT)
        while data:
            if not poll.poll(0):
                await anyio.wait_writable(self._host.stdout)
            data = data[os.write(self._host.stdout, data[: _free_bytes(self._host.stdout)]) :]


def _free_bytes(pipe: int) -> int:
    """How many bytes a pipe that can be written takes without blocking."""
    if sys.platform == "linux":
        # An empty one takes all it can hold, and most answers are written when it is empty.
        with suppress(OSError):  # it is no pipe
            capacity_bytes = fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ)
            if fcntl.ioctl(pipe, termios.FIONREAD, _NO_BYTES) == _NO_BYTES:
                return capacity_bytes
    return select.PIPE_BUF


class _End:
    """What both ends of a connection of the SDK have to have: they live as long as the process."""

    def __init__(self, pipes: _Pipes) -> None:
        self._pipes = pipes

    async def aclose(self) -> None:
        pass

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc_val: BaseException | None,
        exc_tb: TracebackType | None,
    ) -> None:
        pass


class _Incoming(_End):
    """A `ReadStream` of the SDK."""

    async def receive(self) -> SessionMessage | Exception:
        return SessionMessage(await self._pipes.receive())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None


class _Outgoing(_End):
    """A `WriteStream` of the SDK."""

    async def send(self, item: SessionMessage) -> None:
        await self._pipes.send(item.message)
