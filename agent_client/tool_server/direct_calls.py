"""Tool calls that go past the SDK's session, over the same pipe to a server that we started.

The SDK negotiates, lists the tools and answers what the server asks. A call through its session is
put together, copied and checked in six layers, most of it for parts that no agent reads, and takes
several times as long as to write and to read its two lines. So the lines of `tools/call` are
written and read here, under ids that the session never uses; everything else passes through.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Any, Self, cast

import anyio
import msgspec
from mcp import MCPError
from mcp.shared.message import SessionMessage
from mcp.types import (
    CallToolResult,
    ErrorData,
    JSONRPCError,
    JSONRPCNotification,
    JSONRPCRequest,
    JSONRPCResponse,
    TextContent,
)

CANCEL_SECONDS = 5.0
"""How long it may take to tell the server that nobody waits for a result any more."""
_ID_START = "call-"
"""The session counts its requests, and names its subscriptions `listen-…`."""
_PROTOCOL_META = "io.modelcontextprotocol/"
"""What newer protocols say of the client in every request."""

Streams = tuple[Any, Any]
"""The reading and the writing stream of a transport of the SDK."""


class Block(msgspec.Struct, frozen=True):
    """One piece of a result."""

    type: str
    text: str = ""


class CallReply(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent reads of the result of a call."""

    content: list[Block]
    is_error: bool = msgspec.field(name="isError", default=False)
    meta: dict[str, object] | None = msgspec.field(name="_meta", default=None)
    result_type: str = msgspec.field(name="resultType", default="complete")
    """Anything else asks for something before there is a result."""


def reply_of(result: CallToolResult) -> CallReply:
    """The same of a result that the SDK has read."""
    blocks = [
        Block(block.type, block.text if isinstance(block, TextContent) else "")
        for block in result.content
    ]
    meta = cast(dict[str, object], result.meta or {})
    return CallReply(content=blocks, is_error=bool(result.is_error), meta=meta)


class _Waiting:
    """A call whose answer has not come."""

    __slots__ = ("answer", "has_come")

    def __init__(self) -> None:
        self.answer: Mapping[str, Any] | ErrorData | None = None
        """None where the connection ended before it."""
        self.has_come = anyio.Event()


class DirectCalls:
    """The calls of one connection. Its session gets the streams that `around` gives."""

    def __init__(self) -> None:
        self._writing: Any = None
        self._meta: dict[str, object] = {}
        self._waiting: dict[object, _Waiting] = {}
        self._is_over = False
        self._calls = 0

    @asynccontextmanager
    async def around(
        self, transport: AbstractAsyncContextManager[Streams]
    ) -> AsyncGenerator[Streams]:
        """Open a transport; the streams for the session."""
        async with transport as (reading, writing):
            self._writing = writing
            yield _Reading(reading, self), _Writing(writing, self)

    async def call(self, name: str, arguments: Mapping[str, object]) -> CallReply | None:
        """Run one call; the server is told when the caller is cancelled meanwhile.

        Args:
            name: of the tool.
            arguments: JSON values.

        Returns:
            The result, or None where the server asks for something first, which the session knows
            how to answer.

        Raises:
            MCPError: the server says that it cannot run the call.
            msgspec.ValidationError: what came is no result of a call.
            anyio.ClosedResourceError, anyio.BrokenResourceError: the connection is over.
        """
        self._calls += 1
        request_id = f"{_ID_START}{self._calls}"
        params: dict[str, object] = {"name": name, "arguments": dict(arguments)}
        if self._meta:
            params["_meta"] = self._meta
        request = JSONRPCRequest(jsonrpc="2.0", id=request_id, method="tools/call", params=params)
        answer = await self._answer(request)
        if isinstance(answer, ErrorData):
            raise MCPError(answer.code, answer.message, answer.data)
        if answer.get("resultType", "complete") != "complete":
            return None
        return msgspec.convert(answer, CallReply)

    async def _answer(self, request: JSONRPCRequest) -> Mapping[str, Any] | ErrorData:
        if self._is_over:
            raise anyio.ClosedResourceError
        waiting = self._waiting[request.id] = _Waiting()
        try:
            await self._writing.send(SessionMessage(request))
            await waiting.has_come.wait()
        except anyio.get_cancelled_exc_class():
            if waiting.answer is None:
                await self._cancel(request.id)
            raise
        finally:
            del self._waiting[request.id]
        if waiting.answer is None:
            raise anyio.ClosedResourceError
        return waiting.answer

    async def _cancel(self, request_id: object) -> None:
        params = {"requestId": request_id, "reason": "caller cancelled"}
        told = JSONRPCNotification(jsonrpc="2.0", method="notifications/cancelled", params=params)
        with anyio.move_on_after(CANCEL_SECONDS, shield=True):
            try:
                await self._writing.send(SessionMessage(told))
            except (anyio.ClosedResourceError, anyio.BrokenResourceError):
                return  # nobody is left to be told

    def takes(self, item: SessionMessage | Exception) -> bool:
        """Whether what was read is the answer to a call of ours, which then goes on."""
        if not isinstance(item, SessionMessage):
            return False
        message = item.message
        if not isinstance(message, JSONRPCResponse | JSONRPCError):
            return False
        if (waiting := self._waiting.get(message.id)) is None:
            # Too late for its call: the session would not know the id either.
            return isinstance(message.id, str) and message.id.startswith(_ID_START)
        is_result = isinstance(message, JSONRPCResponse)
        waiting.answer = message.result if is_result else message.error
        waiting.has_come.set()
        return True

    def learns_from(self, message: SessionMessage) -> None:
        """Note what the session says of this client in its requests, to say the same."""
        request = message.message
        if isinstance(request, JSONRPCRequest) and request.method == "tools/list":
            meta = cast(Mapping[str, object], (request.params or {}).get("_meta") or {})
            self._meta = {
                key: value for key, value in meta.items() if key.startswith(_PROTOCOL_META)
            }

    def end(self) -> None:
        """Nothing is read any more: whoever waits, waits in vain."""
        self._is_over = True
        for waiting in self._waiting.values():
            waiting.has_come.set()


class _Stream:
    """A stream that the session closes as a context."""

    async def aclose(self) -> None:
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()


class _Reading(_Stream):
    """What the server writes, without the answers to direct calls."""

    def __init__(self, inner: Any, calls: DirectCalls) -> None:
        self._inner, self._calls = inner, calls

    async def receive(self) -> SessionMessage | Exception:
        try:
            while True:
                item = await self._inner.receive()
                if not self._calls.takes(item):
                    return item
        except (anyio.EndOfStream, anyio.ClosedResourceError, anyio.BrokenResourceError):
            self._calls.end()
            raise

    async def aclose(self) -> None:
        self._calls.end()
        await self._inner.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SessionMessage | Exception:
        try:
            return await self.receive()
        except anyio.EndOfStream:
            raise StopAsyncIteration from None


class _Writing(_Stream):
    """What the session writes, seen on its way."""

    def __init__(self, inner: Any, calls: DirectCalls) -> None:
        self._inner, self._calls = inner, calls

    async def send(self, item: SessionMessage, /) -> None:
        self._calls.learns_from(item)
        await self._inner.send(item)

    async def aclose(self) -> None:
        await self._inner.aclose()
