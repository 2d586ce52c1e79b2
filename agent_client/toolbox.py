"""The bridge to MCP: starts or connects to a server, lists its tools, calls them."""

import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager

import anyio
import msgspec
from anyio.abc import TaskGroup
from mcp import MCPError
from mcp.client.session import ElicitationFnT
from mcp.server import MCPServer

from agent_client.conversation import ToolCall, ToolResult, ToolSpec
from agent_client.errors import ToolServerError
from agent_client.tool_meta import ERROR_META
from agent_client.tool_server.connection import Connection
from agent_client.tool_server.direct_calls import CallReply
from agent_client.tool_server.remote import HttpAnswer
from agent_client.tool_server.targets import HttpTarget, Target

logger = logging.getLogger(__name__)

MAX_RESULT_CHARS = 400_000
"""A longer result is cut: no context window holds it, and it would fill the memory."""
RESPAWNS = 3
"""How often in a row, without a result between, a server that died is started again."""
RETURN_SECONDS = 15.0
"""How long a server at a URL may be away that answered before: it may be started anew."""
RETURN_PAUSES_SECONDS = (0.2, 0.5, 1.0, 2.0)
"""Between two attempts to reach it again; then the last one over and over."""
MAX_BUSY_SECONDS = 10.0
"""How long we wait by ourselves when a server asks to come back later."""


class McpToolbox:
    """The tools of one MCP server. Use `McpToolbox.open`."""

    def __init__(
        self,
        target: Target,
        tasks: TaskGroup,
        *,
        call_seconds: float,
        start_seconds: float,
        elicitation: ElicitationFnT | None,
    ) -> None:
        self._target, self._tasks = target, tasks
        self._call_seconds, self._start_seconds = call_seconds, start_seconds
        self._elicitation = elicitation
        self._connection: Connection | None = None
        self._connecting = anyio.Lock()
        self._respawns = 0

    @staticmethod
    @asynccontextmanager
    async def open(
        target: Target | str,
        *,
        call_seconds: float = 60.0,
        start_seconds: float = 30.0,
        elicitation: ElicitationFnT | None = None,
    ) -> "AsyncGenerator[McpToolbox]":
        """Connect, and disconnect afterwards; a server that we started is stopped.

        Args:
            target: what to connect to; a URL is that of a server that asks for no token.
            call_seconds: longest time for one tool call.
            start_seconds: longest time until the server answers at first.
            elicitation: answers what the server's tools ask the user in a call. Without it the
                server is told that nobody can be asked, as is right for an agent that works alone.

        Raises:
            ToolServerError: the server does not start, does not let us in, or speaks something
                else than MCP.
        """
        failure: Exception | None = None
        async with anyio.create_task_group() as tasks:
            box = McpToolbox(
                HttpTarget(target) if isinstance(target, str) else target,
                tasks,
                call_seconds=call_seconds,
                start_seconds=start_seconds,
                elicitation=elicitation,
            )
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
            ToolServerError: the server does not start again, came back with other tools, or died
                again after `RESPAWNS` new starts without a result between.
        """
        for attempt in range(2):
            connection = await self._connected()
            answer = HttpAnswer()
            try:
                with anyio.fail_after(self._call_seconds):
                    reply = await connection.call(call, answer)
            except TimeoutError:
                return await self._timed_out(call, connection)
            except MCPError as exc:
                if answer.is_busy:
                    wait = answer.retry_after_seconds or 1.0
                    if attempt or wait > MAX_BUSY_SECONDS:
                        return _busy(call, answer)
                    await anyio.sleep(wait)
                    continue
                if not connection.is_lost(exc, answer):
                    return ToolResult(call.id, call.name, f"Error: {exc}", is_error=True)
                logger.warning("the tool server was lost in a call: %s", exc)
            except (anyio.ClosedResourceError, anyio.BrokenResourceError) as exc:
                logger.warning("the tool server was lost in a call: %s", type(exc).__name__)
            except msgspec.ValidationError as exc:
                text = f"Error: the tool server's result cannot be read: {exc}"
                return ToolResult(call.id, call.name, text, is_error=True)
            else:
                self._respawns = 0
                return _tool_result(call, reply)
            connection.close()
        text = "Error: the tool server was lost twice in this call. Try something else."
        return ToolResult(call.id, call.name, text, is_error=True, meta=_failure("unavailable"))

    @property
    def _name(self) -> str:
        return self._target.name if isinstance(self._target, MCPServer) else str(self._target)

    async def _timed_out(self, call: ToolCall, connection: Connection) -> ToolResult:
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

    async def _connected(self) -> Connection:
        if self._connection is not None and not self._connection.is_closed:
            return self._connection
        async with self._connecting:
            if self._connection is None:
                self._connection = await self._new_connection(give_up_at=0.0)
            elif self._connection.is_closed:
                if self._respawns == RESPAWNS:
                    self._respawns = 0  # the next question may try again
                    raise ToolServerError(self._name, f"it was lost {RESPAWNS + 1} times")
                logger.warning("connecting to the tool server again")
                connection = await self._new_connection(
                    give_up_at=anyio.current_time() + RETURN_SECONDS
                )
                self._respawns += 1
                if connection.tools != self._connection.tools:
                    connection.close()  # the model was promised others, and so was the run's record
                    raise ToolServerError(
                        self._name,
                        "it came back with other tools than before",
                        hint="start again to use those",
                    )
                self._connection = connection
            return self._connection

    async def _new_connection(self, *, give_up_at: float) -> Connection:
        """Connect; until then (on the clock of anyio) again where the server may come back."""
        pauses = iter(RETURN_PAUSES_SECONDS)
        while True:
            connection = Connection(self._target, self._name, self._elicitation)
            pause = next(pauses, RETURN_PAUSES_SECONDS[-1])
            try:
                await connection.open_in(self._tasks, self._start_seconds)
            except ToolServerError:
                if not connection.may_come_back or anyio.current_time() + pause > give_up_at:
                    raise
                await anyio.sleep(pause)
            else:
                return connection


def _tool_result(call: ToolCall, reply: CallReply) -> ToolResult:
    texts = [
        block.text if block.type == "text" else f"[{block.type} left out]"
        for block in reply.content
    ]
    text = "\n".join(texts)
    if len(text) > MAX_RESULT_CHARS:
        text = text[:MAX_RESULT_CHARS] + "\n[cut: the result is too long]"
    if reply.is_error and not text.startswith("Error"):
        text = f"Error: {text}"
    return ToolResult(call.id, call.name, text, is_error=reply.is_error, meta=reply.meta or {})


def _busy(call: ToolCall, answer: HttpAnswer) -> ToolResult:
    seconds = answer.retry_after_seconds
    when = f"in {seconds:g} s" if seconds is not None else "later"
    text = f"Error: the tool server has too many requests. Try again {when}."
    meta = _failure("rate_limited", seconds)
    return ToolResult(call.id, call.name, text, is_error=True, meta=meta)


def _failure(kind: str, retry_after_seconds: float | None = None) -> Mapping[str, object]:
    """What our server says of its own failures, of one that it could not say."""
    return {
        ERROR_META: {
            "kind": kind,
            "retryable": True,
            "retry_after_seconds": retry_after_seconds,
        }
    }
