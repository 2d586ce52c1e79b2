"""Bodies of requests: read whole, within bounds, before anybody works on them."""

import anyio
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcp_server.serving.refusals import refusal

BODY_SECONDS = 10.0
"""Longest wait for the body of a request."""


class WholeBody:
    """Hands on requests whose body has come, is not too long, and did not take too long."""

    def __init__(self, app: ASGIApp, *, max_bytes: int, seconds: float = BODY_SECONDS) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        declared = Headers(scope=scope).get("content-length", "0")
        if len(declared) > 15 or int(declared) > self._max_bytes:
            await self._too_long()(scope, receive, send)
            return
        try:
            with anyio.fail_after(self._seconds):
                body = await self._read(receive)
        except TimeoutError:
            told = f"no whole request within {self._seconds:g} s"
            await refusal(408, told, {"Connection": "close"})(scope, receive, send)
            return
        except _TooLong:
            await self._too_long()(scope, receive, send)
            return
        if body is None:
            return  # the client has gone
        messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

        async def replay() -> Message:
            return messages.pop() if messages else await receive()

        await self._app(scope, replay, send)

    async def _read(self, receive: Receive) -> bytes | None:
        read = bytearray()
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return None
            read += message.get("body", b"")
            if len(read) > self._max_bytes:
                raise _TooLong
            if not message.get("more_body", False):
                return bytes(read)

    def _too_long(self) -> Response:
        # The connection stays, and lets the rest pass for a while: closed with something unread,
        # it would be reset, and the client would not get to read this.
        return refusal(413, f"the request is longer than {self._max_bytes:,} bytes")


class _TooLong(Exception):
    pass
