"""Keeps what was sent, so that a stream that broke can go on."""

from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp.types import JSONRPCMessage


class EventMemory(EventStore):
    """Events in the order sent; an event's id is its place."""

    def __init__(self) -> None:
        self._events: list[tuple[str, JSONRPCMessage | None]] = []

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        self._events.append((stream_id, message))
        return str(len(self._events) - 1)

    async def replay_events_after(
        self, last_event_id: str, send_callback: EventCallback
    ) -> str | None:
        if not last_event_id.isdecimal() or int(last_event_id) >= len(self._events):
            return None
        last = int(last_event_id)
        stream = self._events[last][0]
        for number, (of, message) in enumerate(self._events[last + 1 :], last + 1):
            if of == stream and message is not None:  # None opens a stream: nothing to send again
                await send_callback(EventMessage(message, str(number)))
        return stream
