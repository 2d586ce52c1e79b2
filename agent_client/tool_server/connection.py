"""One connection to an MCP server, and the tools that it lists."""

import logging
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from importlib.metadata import version
from typing import IO, Any, TextIO, cast

import anyio
from anyio.abc import TaskGroup, TaskStatus
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.session import ElicitationFnT
from mcp.client.stdio import stdio_client
from mcp.types import Implementation

from agent_client.conversation import ToolCall, ToolSpec
from agent_client.errors import ToolServerError
from agent_client.tool_server.direct_calls import CallReply, DirectCalls, reply_of
from agent_client.tool_server.remote import HttpAnswer, http_transport, noted_in, refusal
from agent_client.tool_server.targets import HttpTarget, StdioTarget, Target

logger = logging.getLogger(__name__)

PING_SECONDS = 5.0
"""How long a server that let a call run out of time may take to say that it lives."""
STDERR_TAIL_CHARS = 2_000
MAX_TOOL_PAGES = 100
"""A server that lists its tools in more pages than that would go on for ever."""
_LOST_TEXTS = ("connection closed", "sse stream ended")


class Connection:
    """One connection, which lives in a task of its own: the SDK's scopes may not cross tasks."""

    client: Client
    tools: tuple[ToolSpec, ...]

    def __init__(self, target: Target, name: str, elicitation: ElicitationFnT | None) -> None:
        """Prepare it; `open_in` makes it.

        Args:
            target: what to connect to.
            name: how errors call it.
            elicitation: answers the server's questions to the user; None: it cannot ask.
        """
        self._target, self._name, self._elicitation = target, name, elicitation
        self._close = anyio.Event()
        self._error: ToolServerError | None = None
        self._stderr: IO[str] | None = None
        self._direct: DirectCalls | None = None
        self.is_closed = False
        self.may_come_back = False
        """Whether it failed to open in a way that a server does that is just being started."""

    def close(self) -> None:
        """Ask the connection's task to end."""
        self.is_closed = True
        self._close.set()

    def is_lost(self, error: MCPError, answer: HttpAnswer) -> bool:
        """Whether the error says that the connection is gone, and nothing about the call."""
        text = str(error).lower()
        return self.is_closed or answer.is_no_mcp or any(lost in text for lost in _LOST_TEXTS)

    async def is_alive(self) -> bool:
        """Whether the server still answers anything at all."""
        answer = HttpAnswer()
        try:
            with noted_in(answer), anyio.fail_after(PING_SECONDS):
                await self.client.list_tools()  # newer protocols have no ping
        except MCPError as exc:
            return not self.is_lost(exc, answer)
        except (TimeoutError, anyio.ClosedResourceError, anyio.BrokenResourceError):
            return False
        return True

    async def call(self, call: ToolCall, answer: HttpAnswer) -> CallReply:
        """Run one call.

        Args:
            call: of a tool that is listed.
            answer: gets what HTTP said to it, where the server is reached over HTTP.

        Raises:
            MCPError: the server says that it cannot run the call, or the connection is gone.
            msgspec.ValidationError: what came is no result of a call.
            anyio.ClosedResourceError, anyio.BrokenResourceError: the connection is gone.
        """
        if self._direct:
            reply = await self._direct.call(call.name, call.arguments)
            if reply is not None:
                return reply
        with noted_in(answer):
            return reply_of(await self.client.call_tool(call.name, dict(call.arguments)))

    async def open_in(self, tasks: TaskGroup, start_seconds: float) -> None:
        """Start the connection's task and wait until the tools are listed.

        Raises:
            ToolServerError: the server does not start, does not let us in or is no MCP server.
        """
        await tasks.start(self._run, start_seconds)
        if self._error:
            raise self._error

    async def _run(
        self, start_seconds: float, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED
    ) -> None:
        is_up = False
        answer = HttpAnswer()
        with (
            tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as stderr,
            noted_in(answer),
        ):
            self._stderr = stderr
            try:
                with anyio.fail_after(start_seconds) as starting:
                    async with self._new_client(stderr) as self.client:
                        # Before the first call: the SDK would list them in it, unasked.
                        self.tools = await _list_tools(self.client)
                        starting.deadline = float("inf")
                        is_up = True
                        task_status.started()
                        await self._close.wait()
            except Exception as exc:  # noqa: BLE001
                # Whatever went wrong leaves the SDK's client as nested groups.
                if not is_up:
                    self._error = self._start_error(exc, start_seconds, answer)
                    self.may_come_back = isinstance(self._target, HttpTarget) and answer.is_away
                    task_status.started()
                elif not self._close.is_set():
                    logger.warning("the tool server's connection broke: %r", _leaf(exc))
            finally:
                self.is_closed = True

    def _new_client(self, stderr: IO[str]) -> Client:
        options: dict[str, Any] = {
            "client_info": Implementation(name="seekling", version=version("seekling")),
            "elicitation_callback": self._elicitation,
            "cache": None,  # we list once per connection; and `is_alive` must ask the server
        }
        if isinstance(self._target, StdioTarget):
            parameters = StdioServerParameters(
                command=self._target.command,
                args=list(self._target.arguments),
                env=dict(self._target.environment),
                # A stray byte of its output costs that line: "strict" would end the reading of all.
                encoding_error_handler="replace",
            )
            self._direct = DirectCalls()
            transport = stdio_client(parameters, errlog=cast(TextIO, stderr))
            return Client(self._direct.around(transport), **options)
        if isinstance(self._target, HttpTarget):
            return Client(http_transport(self._target), **options)
        return Client(self._target, **options)

    def _tail(self) -> str:
        """The last that the server wrote to stderr."""
        if self._stderr is None or self._stderr.closed:
            return ""
        with suppress(OSError, ValueError):
            self._stderr.flush()
            size = self._stderr.seek(0, os.SEEK_END)
            self._stderr.seek(max(0, size - STDERR_TAIL_CHARS))
            return self._stderr.read()
        return ""

    def _start_error(
        self, exc: BaseException, start_seconds: float, answer: HttpAnswer
    ) -> ToolServerError:
        leaf = _leaf(exc)
        tail = self._tail().strip()
        if isinstance(leaf, FileNotFoundError):
            reason, hint = "command not found", "check --mcp, or give the full path"
        elif isinstance(leaf, PermissionError):
            reason, hint = "command may not be run", "check --mcp"
        elif isinstance(leaf, TimeoutError):
            said = f" (it wrote: {_last_line(tail)})" if tail else ""
            reason, hint = f"no answer within {start_seconds:g} s{said}", "is it an MCP server?"
        elif isinstance(self._target, HttpTarget):
            reason, hint = refusal(self._target, answer) or _unreachable(leaf)
        else:
            said = _last_line(tail) or _said(leaf)
            reason, hint = f"did not start ({said})", "" if tail else "is it an MCP server?"
        return ToolServerError(self._name, reason, stderr_tail=tail, hint=hint)


def _last_line(tail: str) -> str:
    return tail.splitlines()[-1] if tail else ""


def _unreachable(leaf: BaseException) -> tuple[str, str]:
    said = _said(leaf)
    if "CERTIFICATE_VERIFY_FAILED" in said:
        return (
            "its certificate is not one that this machine trusts",
            "name the file of your certificate authority in SSL_CERT_FILE",
        )
    return f"cannot be reached ({said})", "is it an MCP server?"


def _said(exc: BaseException) -> str:
    return " ".join(str(exc).split())[:200] or type(exc).__name__


def _leaf(exc: BaseException) -> BaseException:
    while isinstance(exc, BaseExceptionGroup) and exc.exceptions:
        exc = exc.exceptions[0]
    return exc


async def _list_tools(client: Client) -> tuple[ToolSpec, ...]:
    specs: list[ToolSpec] = []
    cursor: str | None = None
    for _ in range(MAX_TOOL_PAGES):
        page = await client.list_tools(cursor=cursor)
        for tool in page.tools:
            schema = cast(Mapping[str, object], tool.input_schema)
            specs.append(ToolSpec(tool.name, tool.description or "", schema))
        cursor = page.next_cursor
        if not cursor:
            break
    return tuple(specs)
