"""The requests that are under way: how many may be, and how they end when the server does."""

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcp_server.serving.refusals import busy


class Traffic:
    """Lets so many requests in, and ends them when the server stops.

    Calls and streams have limits of their own: a stream stays open for as long as its client
    listens, and many that listen must not keep out those that call.
    """

    def __init__(self, *, max_calls: int, max_streams: int) -> None:
        self._max_calls = max_calls
        self._max_streams = max_streams
        self._calls: set[anyio.CancelScope] = set()
        self._streams: set[anyio.CancelScope] = set()
        self._is_draining = False

    @property
    def is_draining(self) -> bool:
        """Whether the server has been told to stop."""
        return self._is_draining

    @property
    def calls(self) -> int:
        """Calls that are under way."""
        return len(self._calls)

    @property
    def streams(self) -> int:
        """Streams that are open."""
        return len(self._streams)

    def drain(self) -> None:
        """Let nobody in any more, and close the streams: they would never end by themselves."""
        self._is_draining = True
        for scope in tuple(self._streams):
            scope.cancel()

    def cut(self) -> None:
        """End what is still under way."""
        self.drain()
        for scope in tuple(self._calls):
            scope.cancel()

    async def admit(
        self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, *, is_stream: bool
    ) -> None:
        """Run one request to its end, or say why not."""
        inside, most = (
            (self._streams, self._max_streams) if is_stream else (self._calls, self._max_calls)
        )
        if self._is_draining:
            await busy("the server is stopping")(scope, receive, send)
            return
        if len(inside) >= most:
            what = "streams are open" if is_stream else "requests are under way"
            await busy(f"busy: {most:,} {what}; try again in a moment")(scope, receive, send)
            return
        answer = _Answer(send)
        with anyio.CancelScope() as under_way:
            inside.add(under_way)
            try:
                await app(scope, receive, answer.send)
            finally:
                inside.discard(under_way)
        if under_way.cancelled_caught:
            await answer.end(scope, receive)


class _Answer:
    """Knows how far an answer has come, to end it decently."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._has_begun = False
        self._is_open_ended = False
        self._is_whole = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._has_begun = True
            self._is_open_ended = all(
                name.lower() != b"content-length" for name, _ in message["headers"]
            )
        else:
            self._is_whole = not message.get("more_body", False)
        await self._send(message)

    async def end(self, scope: Scope, receive: Receive) -> None:
        if not self._has_begun:
            await busy("the server stopped before the answer was there")(scope, receive, self._send)
        elif self._is_open_ended and not self._is_whole:
            await self._send({"type": "http.response.body", "body": b"", "more_body": False})
