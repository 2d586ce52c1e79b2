"""The bridge to MCP: starts or connects to a server, lists its tools, calls them."""

import logging
import os
import shlex
import tempfile
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import IO, TextIO, cast

import anyio
from anyio.abc import TaskGroup, TaskStatus
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.server import MCPServer
from mcp.types import CallToolResult, TextContent

from agent_client.conversation import ToolCall, ToolResult, ToolSpec
from agent_client.errors import ToolServerError
from agent_client.tool_meta import ERROR_META

logger = logging.getLogger(__name__)

_LOST_TEXTS = (
    "connection closed",
    "session terminated",  # of a server that was started anew, over HTTP
    "server returned an error response",  # HTTP 401, 502 and the like: no server of tools spoke
)
_NOT_FOUND = "not found"  # HTTP 404; of an unknown tool the servers say more
MAX_RESULT_CHARS = 400_000
"""A longer result is cut: no context window holds it, and it would fill the memory."""
RESPAWNS = 3
"""How often in a row, without a result between, a server that died is started again."""
PING_SECONDS = 5.0
"""How long a server that let a call run out of time may take to say that it lives."""
STDERR_TAIL_CHARS = 2_000


@dataclass(frozen=True, slots=True)
class StdioTarget:
    """A server that we start and own."""

    command: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]

    @staticmethod
    def parse(line: str, environment: Mapping[str, str]) -> "StdioTarget":
        """Read a command line as a shell would.

        Raises:
            ToolServerError: it is empty or its quotes do not match.
        """
        try:
            words = shlex.split(line)
        except ValueError as exc:
            raise ToolServerError(line, f"not a command line: {exc}") from exc
        if not words:
            raise ToolServerError(line, "the command is empty", hint="name it with --mcp")
        return StdioTarget(words[0], tuple(words[1:]), environment)

    def __str__(self) -> str:
        return shlex.join((self.command, *self.arguments))


Target = StdioTarget | str | MCPServer
"""A command to start, the URL of a running server, or a server in this process (for tests)."""


class McpToolbox:
    """The tools of one MCP server. Use `McpToolbox.open`."""

    def __init__(
        self, target: Target, tasks: TaskGroup, *, call_seconds: float, start_seconds: float
    ) -> None:
        self._target, self._tasks = target, tasks
        self._call_seconds, self._start_seconds = call_seconds, start_seconds
        self._connection: _Connection | None = None
        self._connecting = anyio.Lock()
        self._respawns = 0

    @staticmethod
    @asynccontextmanager
    async def open(
        target: Target, *, call_seconds: float = 60.0, start_seconds: float = 30.0
    ) -> "AsyncGenerator[McpToolbox]":
        """Connect, and disconnect afterwards; a server that we started is stopped.

        Args:
            target: what to connect to.
            call_seconds: longest time for one tool call.
            start_seconds: longest time until the server answers at first.

        Raises:
            ToolServerError: the server does not start, or speaks something else than MCP.
        """
        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:
            box = McpToolbox(target, tasks, call_seconds=call_seconds, start_seconds=start_seconds)
            try:
                await box._connected()
                yield box
            except Exception as exc:  # noqa: BLE001
                failure = exc  # raised below: leaving the task group would wrap it in a group
            finally:
                if box._connection:
                    box._connection.close()
        if failure is not None:
            raise failure

    async def list_tools(self) -> Sequence[ToolSpec]:
        """The server's tools, in its order."""
        connection = await self._connected()
        return connection.tools

    async def call(self, call: ToolCall) -> ToolResult:
        """Run one call; a server that dies in it is started again and asked once more.

        Both tools only read, so asking again does no harm. A call in which the server dies twice
        is one that the model reads as failed: a single page may be what kills it.

        Raises:
            ToolServerError: the server does not start again, or died again after `RESPAWNS` new
                starts without a result between.
        """
        for _ in range(2):
            connection = await self._connected()
            try:
                with anyio.fail_after(self._call_seconds):
                    result = await connection.client.call_tool(
                        call.name, dict(call.arguments), read_timeout_seconds=self._call_seconds
                    )
            except TimeoutError:
                return await self._timed_out(call, connection)
            except MCPError as exc:
                if "timed out" in str(exc).lower():
                    return await self._timed_out(call, connection)
                if not connection.is_lost(exc):
                    return ToolResult(call.id, call.name, f"Error: {exc}", is_error=True)
                logger.warning("the tool server was lost in a call: %s", exc)
            except (anyio.ClosedResourceError, anyio.BrokenResourceError) as exc:
                logger.warning("the tool server was lost in a call: %s", type(exc).__name__)
            else:
                self._respawns = 0
                return _tool_result(call, result)
            connection.close()
        text = "Error: the tool server was lost twice in this call. Try something else."
        return ToolResult(call.id, call.name, text, is_error=True, meta=_failure("unavailable"))

    @property
    def _name(self) -> str:
        return self._target.name if isinstance(self._target, MCPServer) else str(self._target)

    async def _timed_out(self, call: ToolCall, connection: "_Connection") -> ToolResult:
        """The result of a call that took too long.

        A server that does not even say that it lives is started anew for the next call.
        """
        if not await connection.is_alive():
            logger.warning("the tool server does not answer any more")
            connection.close()
        return ToolResult(
            call.id,
            call.name,
            f"Error: no result within {self._call_seconds:g} s. Try something else.",
            is_error=True,
            meta=_failure("timeout"),
        )

    async def _connected(self) -> "_Connection":
        async with self._connecting:
            if self._connection is None or self._connection.is_closed:
                if self._connection is not None:
                    if self._respawns == RESPAWNS:
                        self._respawns = 0  # the next question may try again
                        raise ToolServerError(self._name, f"it was lost {RESPAWNS + 1} times")
                    logger.warning("starting the tool server again")
                connection = _Connection(self._target, self._name)
                await connection.open_in(self._tasks, self._start_seconds)
                self._respawns += self._connection is not None
                self._connection = connection
            return self._connection


class _Connection:
    """One connection, which lives in a task of its own: the SDK's scopes may not cross tasks."""

    client: Client
    tools: tuple[ToolSpec, ...]

    def __init__(self, target: Target, name: str) -> None:
        self._target, self._name = target, name
        self._close = anyio.Event()
        self._error: ToolServerError | None = None
        self._stderr: IO[str] | None = None
        self.is_closed = False

    def close(self) -> None:
        """Ask the connection's task to end."""
        self.is_closed = True
        self._close.set()

    def is_lost(self, error: MCPError) -> bool:
        """Whether the error says that the connection is gone, and nothing about the call."""
        text = str(error).lower()
        return self.is_closed or text == _NOT_FOUND or any(lost in text for lost in _LOST_TEXTS)

    async def is_alive(self) -> bool:
        """Whether the server still answers anything at all."""
        try:
            with anyio.fail_after(PING_SECONDS):
                await self.client.list_tools()  # newer protocols have no ping
        except MCPError as exc:
            return not self.is_lost(exc)
        except (TimeoutError, anyio.ClosedResourceError, anyio.BrokenResourceError):
            return False
        return True

    def tail(self) -> str:
        """The last that the server wrote to stderr."""
        if self._stderr is None or self._stderr.closed:
            return ""
        with suppress(OSError, ValueError):
            self._stderr.flush()
            size = self._stderr.seek(0, os.SEEK_END)
            self._stderr.seek(max(0, size - STDERR_TAIL_CHARS))
            return self._stderr.read()
        return ""

    async def open_in(self, tasks: TaskGroup, start_seconds: float) -> None:
        """Start the connection's task and wait until the tools are listed."""
        await tasks.start(self._run, start_seconds)
        if self._error:
            raise self._error

    async def _run(
        self, start_seconds: float, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        is_up = False
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as stderr:
            self._stderr = stderr
            try:
                with anyio.fail_after(start_seconds) as starting:
                    async with self._new_client(stderr) as self.client:
                        self.tools = await _list_tools(self.client)
                        starting.deadline = float("inf")
                        is_up = True
                        task_status.started()
                        await self._close.wait()
            except Exception as exc:  # noqa: BLE001
                # Whatever went wrong leaves the SDK's client as nested groups.
                if not is_up:
                    self._error = self._start_error(exc, start_seconds)
                    task_status.started()
                elif not self._close.is_set():
                    logger.warning("the tool server's connection broke: %r", _leaf(exc))
            finally:
                self.is_closed = True

    def _new_client(self, stderr: IO[str]) -> AbstractAsyncContextManager[Client]:
        if isinstance(self._target, StdioTarget):
            parameters = StdioServerParameters(
                command=self._target.command,
                args=list(self._target.arguments),
                env=dict(self._target.environment),
            )
            return Client(stdio_client(parameters, errlog=cast(TextIO, stderr)))
        return Client(self._target)

    def _start_error(self, exc: BaseException, start_seconds: float) -> ToolServerError:
        leaf = _leaf(exc)
        tail = self.tail().strip()
        if isinstance(leaf, FileNotFoundError):
            reason, hint = "command not found", "check --mcp, or give the full path"
        elif isinstance(leaf, PermissionError):
            reason, hint = "command may not be run", "check --mcp"
        elif isinstance(leaf, TimeoutError):
            reason, hint = f"no answer within {start_seconds:g} s", "is it an MCP server?"
        else:
            said = tail.splitlines()[-1] if tail else ""
            what = "cannot be reached" if isinstance(self._target, str) else "did not start"
            said = said or " ".join(str(leaf).split())[:200] or type(leaf).__name__
            reason = f"{what} ({said})"
            hint = "" if tail else "is it an MCP server?"
        return ToolServerError(self._name, reason, stderr_tail=tail, hint=hint)


async def _list_tools(client: Client) -> tuple[ToolSpec, ...]:
    specs: list[ToolSpec] = []
    cursor: str | None = None
    while True:
        page = await client.list_tools(cursor=cursor)
        for tool in page.tools:
            schema = cast(Mapping[str, object], tool.input_schema)
            specs.append(ToolSpec(tool.name, tool.description or "", schema))
        cursor = page.next_cursor
        if not cursor:
            return tuple(specs)


def _tool_result(call: ToolCall, result: CallToolResult) -> ToolResult:
    texts = [
        block.text if isinstance(block, TextContent) else f"[{block.type} left out]"
        for block in result.content
    ]
    text = "\n".join(texts)
    if len(text) > MAX_RESULT_CHARS:
        text = text[:MAX_RESULT_CHARS] + "\n[cut: the result is too long]"
    if result.is_error and not text.startswith("Error"):
        text = f"Error: {text}"
    meta = cast(Mapping[str, object], result.meta or {})
    return ToolResult(call.id, call.name, text, is_error=bool(result.is_error), meta=meta)


def _failure(kind: str) -> Mapping[str, object]:
    """What our server says of its own failures, of one that it could not say."""
    return {ERROR_META: {"kind": kind, "retryable": True, "retry_after_seconds": None}}


def _leaf(exc: BaseException) -> BaseException:
    while isinstance(exc, BaseExceptionGroup) and exc.exceptions:
        exc = exc.exceptions[0]
    return exc
