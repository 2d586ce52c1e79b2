"""Calls whose client has gone are cancelled, in the older protocol's sessions too.

There a call belongs to the session and outlives its connection, so that the client could come back
for the answer. We keep no answers: what goes on is work for nobody, and a client that lets go of
its calls one after the other would have any number of them under way. (The newer protocol, and the
older one without sessions, end a call with its connection.)
"""

import json
from typing import Any, cast

from mcp.server.streamable_http import MCP_SESSION_ID_HEADER
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class CancelDropped:
    """Tells a session that a call of its is cancelled when the client closes the connection."""

    def __init__(self, app: ASGIApp) -> None:
        """Args: app: answers MCP; it gets bodies in one piece."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["method"] != "POST" or MCP_SESSION_ID_HEADER not in Headers(scope=scope):
            await self._app(scope, receive, send)
            return
        body = b""
        is_dropped = is_answered = False

        async def watch_receive() -> Message:
            nonlocal body, is_dropped
            message = await receive()
            if message["type"] == "http.request":
                body = message["body"]
            elif not is_answered:
                is_dropped = True
            return message

        async def watch_send(message: Message) -> None:
            nonlocal is_answered
            if message["type"] == "http.response.body" and not message.get("more_body", False):
                is_answered = True
            await send(message)

        await self._app(scope, watch_receive, watch_send)
        if is_dropped and not is_answered:
            await self._cancel(scope, body)

    async def _cancel(self, scope: Scope, body: bytes) -> None:
        try:
            request = json.loads(body)
        except (ValueError, RecursionError):
            return
        if not isinstance(request, dict) or "id" not in request:
            return
        cancelled = {
            "jsonrpc": "2.0",
            "method": "notifications/cancelled",
            "params": {
                "requestId": cast(dict[str, Any], request)["id"],
                "reason": "the client closed the connection",
            },
        }
        message: Message = {
            "type": "http.request",
            "body": json.dumps(cancelled).encode(),
            "more_body": False,
        }

        async def receive() -> Message:
            return message

        async def discard(_: Message) -> None:
            pass

        headers = [(name, value) for name, value in scope["headers"] if name != b"content-length"]
        await self._app({**scope, "headers": headers}, receive, discard)
