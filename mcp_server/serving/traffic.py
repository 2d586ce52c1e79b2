"""The requests that are under way: how many may be, and how they end when the server does."""

from collections import Counter

import anyio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mcp_server.access.callers import current_caller
from mcp_server.serving.http_options import HttpOptions
from mcp_server.serving.refusals import busy


def share_of(places: int) -> int:
    """How many of them one caller may have: a quarter, at least one, is left for the others."""
    return max(1, places - max(1, places // 4))


class _Places:
    """Requests of one kind that are inside, and whose they are."""

    def __init__(self, most: int, what: str) -> None:
        self._most = most
        self._what = what
        self._callers = Counter[str]()
        self.inside: set[anyio.CancelScope] = set()

    def lacking(self, caller: str) -> str:
        """Why one more request of a caller cannot be let in; "" if it can."""
        if len(self.inside) >= self._most:
            return f"{self._most:,} {self._what}"
        if caller and self._callers[caller] >= share_of(self._most):
            return f"{share_of(self._most):,} {self._what} for you alone"
        return ""

    def enter(self, request: anyio.CancelScope, caller: str) -> None:
        self.inside.add(request)
        self._callers[caller] += 1

    def leave(self, request: anyio.CancelScope, caller: str) -> None:
        self.inside.discard(request)
        self._callers[caller] -= 1
        if not self._callers[caller]:
            del self._callers[caller]


class Traffic:
    """Lets so many requests in, and ends them when the server stops.

    Calls and streams have limits of their own: a stream stays open for as long as its client
    listens, and many that listen must not keep out those that call. Nor may one caller take all
    places, where callers are known.
    """

    def __init__(self, options: HttpOptions) -> None:
        """Make places for `max_requests` calls and `max_sessions` streams."""
        self._calls = _Places(options.max_requests, "requests are under way")
        self._streams = _Places(options.max_sessions, "streams are open")
        self._is_draining = False

    @property
    def is_draining(self) -> bool:
        """Whether the server has been told to stop."""
        return self._is_draining

    @property
    def calls(self) -> int:
        """Calls that are under way."""
        return len(self._calls.inside)

    @property
    def streams(self) -> int:
        """Streams that are open."""
        return len(self._streams.inside)

    def drain(self) -> None:
        """Let nobody in any more, and close the streams: they would never end by themselves."""
        self._is_draining = True
        for scope in tuple(self._streams.inside):
            scope.cancel()

    def cut(self) -> None:
        """End what is still under way."""
        self.drain()
        for scope in tuple(self._calls.inside):
            scope.cancel()

    async def admit(
        self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, *, is_stream: bool
    ) -> None:
        """Run one request to its end, or say why not."""
        places = self._streams if is_stream else self._calls
        caller = current_caller()
        if self._is_draining:
            await busy("the server is stopping")(scope, receive, send)
            return
        if lacking := places.lacking(caller):
            await busy(f"busy: {lacking}; try again in a moment")(scope, receive, send)
            return
        answer = _Answer(send)
        with anyio.CancelScope() as under_way:
            places.enter(under_way, caller)
            try:
                await app(scope, receive, answer.send)
            finally:
                places.leave(under_way, caller)
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
