"""The last events of a conversation, as lines that any number of readers follow."""

import secrets
from collections import deque
from collections.abc import Iterator

import anyio

MAX_LOG_BYTES = 3_000_000
"""Of what is kept for readers that are behind; the last event is kept in any case."""


class EventLog:
    """Grows at one end and forgets at the other.

    A reader is nothing but the id of the event that it read last, so that a slow one costs nothing.
    Ids are `EPOCH-NUMBER`; the epoch tells the ids of this log from those of an earlier one.
    """

    def __init__(self, max_bytes: int = MAX_LOG_BYTES) -> None:
        """Begin an empty log.

        Args:
            max_bytes: of the events that are kept.
        """
        self.is_closed = False
        self._epoch = secrets.token_hex(4)
        self._max_bytes, self._bytes = max_bytes, 0
        self._events: deque[bytes] = deque()
        self._count = 0
        """Events so far, those included that are forgotten."""
        self._grown = anyio.Event()

    @property
    def last_id(self) -> str:
        """Of the event that was added last; of the beginning where there is none."""
        return f"{self._epoch}-{self._count}"

    def add(self, event: bytes) -> None:
        """Add an event: JSON on one line."""
        self._count += 1
        frame = b"id: %s\ndata: %s\n\n" % (self.last_id.encode(), event)
        self._events.append(frame)
        self._bytes += len(frame)
        while self._bytes > self._max_bytes and len(self._events) > 1:
            self._bytes -= len(self._events.popleft())
        self._wake()

    def close(self) -> None:
        """Let all readers go."""
        self.is_closed = True
        self._wake()

    def after(self, event_id: str) -> bytes | None:
        """The frames behind an event, in the form of server-sent events; None if some are lost."""
        epoch, _, number = event_id.partition("-")
        if epoch != self._epoch or not (number.isascii() and number.isdigit()):
            return None
        missing = self._count - int(number[:20])
        if not 0 <= missing <= len(self._events):
            return None
        return b"".join(self._last(missing))

    async def wait(self, event_id: str) -> None:
        """Return when there is more than this event, or nothing will come any more."""
        while not self.is_closed and event_id == self.last_id:
            await self._grown.wait()

    def _last(self, count: int) -> Iterator[bytes]:
        first = len(self._events) - count
        return (self._events[index] for index in range(first, len(self._events)))

    def _wake(self) -> None:
        self._grown.set()
        self._grown = anyio.Event()
