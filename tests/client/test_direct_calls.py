"""Calls that go past the SDK's session: what passes by, what is answered, what is lost."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import anyio
import msgspec
import pytest
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp import MCPError
from mcp.shared.message import SessionMessage
from mcp.types import JSONRPCError, JSONRPCNotification, JSONRPCRequest, JSONRPCResponse

from agent_client.tool_server.direct_calls import CallReply, DirectCalls, Streams

RESULT = {"content": [{"type": "text", "text": "found"}], "_meta": {"a": 1}}


@dataclass
class Server:
    """The other end of the pipe, and what the session is left to read."""

    says: MemoryObjectSendStream[Any]
    hears: MemoryObjectReceiveStream[Any]
    session: Streams
    calls: DirectCalls
    replies: list[CallReply | None] = field(default_factory=list[CallReply | None])

    async def heard(self) -> Any:
        """The next message that the client wrote."""
        return (await self.hears.receive()).message

    async def answer(self, number: Any, result: dict[str, Any]) -> None:
        """Answer a request."""
        await self.says.send(
            SessionMessage(JSONRPCResponse(jsonrpc="2.0", id=number, result=result))
        )

    async def ask(self) -> None:
        """Make a direct call and keep its reply."""
        self.replies.append(await self.calls.call("echo", {"text": "x"}))

    async def fail(self, kind: type[Exception], says: str | None) -> None:
        """Make a direct call that fails."""
        with pytest.raises(kind, match=says):
            await self.calls.call("echo", {"text": "x"})

    async def left_to_the_session(self) -> list[Any]:
        """End the server; what the session reads until then."""
        await self.says.aclose()
        return [item.message async for item in self.session[0]]


@asynccontextmanager
async def served() -> AsyncGenerator[Server]:
    says, reading = anyio.create_memory_object_stream[Any](8)
    writing, hears = anyio.create_memory_object_stream[Any](8)

    @asynccontextmanager
    async def transport() -> AsyncGenerator[Streams]:
        yield reading, writing

    calls = DirectCalls()
    with says, reading, writing, hears:
        async with calls.around(transport()) as session:
            yield Server(says, hears, session, calls)


async def test_an_answer_goes_to_its_call_and_all_else_to_the_session() -> None:
    note = JSONRPCNotification(jsonrpc="2.0", method="notifications/message", params={})
    async with served() as server, anyio.create_task_group() as tasks:
        tasks.start_soon(server.ask)
        asked = await server.heard()
        assert asked.method == "tools/call"
        assert asked.params == {"name": "echo", "arguments": {"text": "x"}}
        await server.says.send(SessionMessage(note))
        await server.answer(1, {"of": "the session"})
        await server.answer(asked.id, RESULT)
        left = await server.left_to_the_session()
        assert [type(message) for message in left] == [JSONRPCNotification, JSONRPCResponse]
    reply = server.replies[0]
    assert reply is not None
    assert [block.text for block in reply.content] == ["found"]
    assert (reply.is_error, reply.meta) == (False, {"a": 1})


async def test_a_call_says_of_the_client_what_the_session_says() -> None:
    meta = {"io.modelcontextprotocol/protocolVersion": "2026-07-28", "progressToken": 7}
    listing = JSONRPCRequest(jsonrpc="2.0", id=1, method="tools/list", params={"_meta": meta})
    async with served() as server, anyio.create_task_group() as tasks:
        await server.session[1].send(SessionMessage(listing))
        assert (await server.heard()).id == 1
        tasks.start_soon(server.ask)
        asked = await server.heard()
        assert asked.params["_meta"] == {"io.modelcontextprotocol/protocolVersion": "2026-07-28"}
        await server.answer(asked.id, RESULT)
        assert await server.left_to_the_session() == []


async def test_a_server_that_asks_first_is_left_to_the_session() -> None:
    async with served() as server, anyio.create_task_group() as tasks:
        tasks.start_soon(server.ask)
        asked = await server.heard()
        await server.answer(asked.id, {"resultType": "input_required", "inputRequests": {}})
        assert await server.left_to_the_session() == []
    assert server.replies == [None]


async def test_what_is_no_result_of_a_call_is_an_error_and_not_a_result() -> None:
    async with served() as server, anyio.create_task_group() as tasks:
        tasks.start_soon(server.fail, msgspec.ValidationError, "content")
        asked = await server.heard()
        await server.answer(asked.id, {"content": "none"})
        assert await server.left_to_the_session() == []


async def test_an_error_of_the_protocol_is_raised_with_its_words() -> None:
    async with served() as server, anyio.create_task_group() as tasks:
        tasks.start_soon(server.fail, MCPError, "no such tool")
        asked = await server.heard()
        refused = {"code": -32602, "message": "no such tool"}
        error = JSONRPCError.model_validate({"jsonrpc": "2.0", "id": asked.id, "error": refused})
        await server.says.send(SessionMessage(error))
        assert await server.left_to_the_session() == []


async def test_a_call_that_nobody_waits_for_is_cancelled_and_its_late_answer_dropped() -> None:
    async with served() as server:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(server.ask)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        asked, told = await server.heard(), await server.heard()
        assert told.method == "notifications/cancelled"
        assert told.params["requestId"] == asked.id
        await server.answer(asked.id, RESULT)
        assert await server.left_to_the_session() == []
    assert server.replies == []


async def test_a_connection_that_ends_ends_the_calls_that_wait_and_those_to_come() -> None:
    async with served() as server, anyio.create_task_group() as tasks:
        tasks.start_soon(server.fail, anyio.ClosedResourceError, None)
        await server.heard()
        assert await server.left_to_the_session() == []
        await server.fail(anyio.ClosedResourceError, None)
