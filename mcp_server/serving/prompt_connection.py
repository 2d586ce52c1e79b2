"""Connections that come to the point: none of them can keep a place that others need."""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, cast

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle


class PromptConnection(H11Protocol):
    """A connection that ends when its client is silent, slow or in the way.

    Some hundreds of them, silent or one byte at a time, would keep everybody else out for ever.
    When as many are open as may be (`limit_concurrency` of uvicorn), a new one takes the place of
    the one that has been idle longest; those with a request under way are left alone.
    """

    head_seconds = 10.0
    """Longest wait for the head of a request that has begun, or of a connection's first one."""
    unread_seconds = 30.0
    """How long a client may leave unread what was sent, once the buffers are full."""
    _give_up: Callable[[], None] | None = None
    """Cancels the end of the wait for a head."""
    _cut: Callable[[], None] | None = None
    """Cancels the end of the wait for a reader."""
    idle_since = 0.0
    """When the connection came or its last answer was complete, in the time of the loop."""

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for the first head, and make room."""
        super().connection_made(transport)
        self.idle_since = self.loop.time()
        self._watch_head()
        if self.limit_concurrency is not None and len(self.connections) >= self.limit_concurrency:
            self._make_room()

    def data_received(self, data: bytes) -> None:
        """Go on waiting while a head has begun and is not whole."""
        super().data_received(data)
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        super().connection_lost(exc)
        self._stop_watching()
        self._stop_cutting()

    def on_response_complete(self) -> None:
        """Be idle from now on."""
        self.idle_since = self.loop.time()
        super().on_response_complete()

    def pause_writing(self) -> None:
        """Begin to wait for the client to read."""
        super().pause_writing()
        self._cut = self.loop.call_later(self.unread_seconds, self.transport.abort).cancel

    def resume_writing(self) -> None:
        """Wait no longer for the client to read."""
        super().resume_writing()
        self._stop_cutting()

    @property
    def _is_idle(self) -> bool:
        cycle = cast(RequestResponseCycle | None, self.cycle)  # None before the first request
        return cycle is None or cycle.response_complete

    def _make_room(self) -> None:
        others = (
            connection
            for connection in self.connections
            if isinstance(connection, PromptConnection)
            and connection is not self
            and connection._is_idle
            and not connection.transport.is_closing()
        )
        longest = min(others, key=attrgetter("idle_since"), default=None)
        if longest is not None:
            longest.transport.close()

    def _watch_head(self) -> None:
        if not self._is_idle:
            self._stop_watching()
        elif self._give_up is None:
            self._give_up = self.loop.call_later(self.head_seconds, self.transport.close).cancel

    def _stop_watching(self) -> None:
        if self._give_up is not None:
            self._give_up()
            self._give_up = None

    def _stop_cutting(self) -> None:
        if self._cut is not None:
            self._cut()
            self._cut = None
