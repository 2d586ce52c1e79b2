"""What a node has to tell, until the driver has it."""

from collections import deque

import anyio

from agent_client.evaluation.cluster.wire import Ended, EventTold, ResultTold, Told

BATCH_BYTES = 4 * 2**20
"""A batch ends with the message that goes beyond it."""


class Outbox:
    """Messages in order, each kept until the driver says that it has come."""

    def __init__(self) -> None:
        self._messages: deque[Told] = deque()
        self._put = 0
        self._received = 0
        self._last_of: dict[str, int] = {}
        self._news = anyio.Event()
        self._receipt = anyio.Event()

    def put(self, message: Told, run_id: str = "") -> None:
        """Tell the driver, soon.

        Args:
            message: what to tell.
            run_id: of the episode that it belongs to; "" for none.
        """
        self._messages.append(message)
        self._put += 1
        if run_id:
            self._last_of[run_id] = self._put
        self._news.set()

    def forget(self, run_id: str) -> None:
        """Nothing more comes from this episode."""
        self._last_of.pop(run_id, None)

    async def take(self, received: int, wait_seconds: float) -> list[Told]:
        """What came after the first `received` messages; empty when nothing did for long.

        Args:
            received: how many the driver has; they are dropped here.
            wait_seconds: longest time to wait for a message.
        """
        while self._received < received and self._messages:
            self._messages.popleft()
            self._received += 1
        self._receipt.set()
        self._receipt = anyio.Event()
        if not self._messages:
            self._news = anyio.Event()
            with anyio.move_on_after(wait_seconds):
                await self._news.wait()
        batch: list[Told] = []
        size = 0
        for message in self._messages:
            batch.append(message)
            size += _size(message)
            if size > BATCH_BYTES:
                break
        return batch

    async def delivered(self, run_id: str) -> None:
        """Wait until the driver has all that was told of an episode so far."""
        while self._received < self._last_of.get(run_id, 0):
            await self._receipt.wait()


def _size(message: Told) -> int:
    match message:
        case EventTold() | ResultTold():
            return len(message.line)
        case Ended():
            return len(message.record)
        case _:
            return 0
