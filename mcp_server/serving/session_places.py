"""Sessions of the older protocol: how many may be open, and whose give way to new ones."""

import json
from collections import OrderedDict
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast

from mcp.server.streamable_http import MCP_SESSION_ID_HEADER
from mcp.shared.inbound import MCP_PROTOCOL_VERSION_HEADER
from mcp.types.version import HANDSHAKE_PROTOCOL_VERSIONS
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcp_server.access.callers import current_caller
from mcp_server.serving.refusals import busy
from mcp_server.serving.traffic import share_of

_ID_HEADER = MCP_SESSION_ID_HEADER.encode()


@dataclass(slots=True, eq=False)
class _Session:
    caller: str
    user: object
    """Who opened it, as the SDK compares it; None where nobody has to say who he is."""
    id: str = ""
    under_way: int = 0
    """Requests; a session with some is in use."""


class SessionPlaces:
    """Lets a new session take the place of the one that has been unused longest.

    Many clients never end their sessions. Kept until they are idle for long enough, theirs would
    fill all places, and then nobody could begin one. Whoever comes back to a session that had to go
    is told so, and begins another, as the protocol has it.
    """

    def __init__(self, app: ASGIApp, *, max_sessions: int) -> None:
        """Begin with no sessions.

        Args:
            app: opens and ends them; it gets bodies in one piece.
            max_sessions: open at the same time. One caller gets his share of them at most, and
                gives way to himself.
        """
        self._app = app
        self._most = max_sessions
        self._sessions: OrderedDict[object, _Session] = OrderedDict()
        """By id, or by themselves while they are being opened; the one used last is last."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        headers = Headers(scope=scope)
        version = headers.get(MCP_PROTOCOL_VERSION_HEADER)
        if version is not None and version not in HANDSHAKE_PROTOCOL_VERSIONS:
            await self._app(scope, receive, send)
        elif (session_id := headers.get(MCP_SESSION_ID_HEADER)) is not None:
            await self._use(session_id, scope, receive, send)
        elif scope["method"] == "POST":
            await self._open(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _use(self, session_id: str, scope: Scope, receive: Receive, send: Send) -> None:
        session = self._sessions.get(session_id)
        if session is None or session.caller != current_caller():
            await self._app(scope, receive, send)  # says that there is none
            return
        is_over = False

        async def watch(message: Message) -> None:
            nonlocal is_over
            if message["type"] == "http.response.start":
                status = message["status"]
                has_ended = scope["method"] == "DELETE" and status == HTTPStatus.OK
                is_over = has_ended or status == HTTPStatus.NOT_FOUND
            await send(message)

        self._sessions.move_to_end(session_id)
        session.under_way += 1
        try:
            await self._app(scope, receive, watch)
        finally:
            session.under_way -= 1
            if is_over:
                self._sessions.pop(session_id, None)

    async def _open(self, scope: Scope, receive: Receive, send: Send) -> None:
        first = await receive()
        if not _may_open(first):
            await self._app(scope, _after(first, receive), send)
            return
        session = _Session(current_caller(), scope.get("user"), under_way=1)
        self._sessions[session] = session
        try:
            if not await self._make_room(session.caller, scope):
                await busy("busy: all sessions are in use; try again in a moment")(
                    scope, receive, send
                )
                return

            async def watch(message: Message) -> None:
                if message["type"] == "http.response.start":
                    self._remember(session, message)
                await send(message)

            await self._app(scope, _after(first, receive), watch)
        finally:
            session.under_way -= 1
            self._sessions.pop(session, None)  # unless it has its id

    def _remember(self, session: _Session, start: Message) -> None:
        session.id = Headers(raw=list(start["headers"])).get(MCP_SESSION_ID_HEADER, "")
        if start["status"] < HTTPStatus.BAD_REQUEST and session.id:
            del self._sessions[session]
            self._sessions[session.id] = session

    async def _make_room(self, caller: str, scope: Scope) -> bool:
        """End what has to give way to one more session of a caller; or say that nothing can."""
        own = [session for session in self._sessions.values() if session.caller == caller]
        if caller and len(own) > share_of(self._most):
            return await self._end_first(own, scope)
        if len(self._sessions) > self._most:
            return await self._end_first(list(self._sessions.values()), scope)
        return True

    async def _end_first(self, sessions: list[_Session], scope: Scope) -> bool:
        unused = next((session for session in sessions if not session.under_way), None)
        if unused is None:
            return False
        del self._sessions[unused.id]
        headers = [(name, value) for name, value in scope["headers"] if name == b"host"]
        ending = {
            **scope,
            "method": "DELETE",
            "headers": [*headers, (_ID_HEADER, unused.id.encode())],
            "user": unused.user,
        }
        await self._app(ending, _nothing, _discard)
        return True


def _may_open(first: Message) -> bool:
    """Whether it could begin a session: all else without one is refused, and ends none."""
    try:
        request = json.loads(first.get("body", b""))
    except (ValueError, RecursionError):
        return True  # for the SDK to say
    return isinstance(request, dict) and cast(dict[str, Any], request).get("method") == "initialize"


def _after(first: Message, receive: Receive) -> Receive:
    """What gives a message that has been read already, then those that follow."""
    messages = [first]

    async def replay() -> Message:
        return messages.pop() if messages else await receive()

    return replay


async def _nothing() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _discard(_: Message) -> None:
    pass
