"""Which node an episode goes to: the one with the least work, as soon as one has room."""

from collections import deque
from typing import Generic, TypeVar

import anyio

T = TypeVar("T")


class _Turn(Generic[T]):
    """Somebody who waits for a seat."""

    __slots__ = ("event", "node")

    def __init__(self) -> None:
        self.event = anyio.Event()
        self.node: T | None = None


class Seats(Generic[T]):
    """Room for episodes at nodes, given in the order in which it was asked for."""

    def __init__(self, per_node: int) -> None:
        """Each node works on `per_node` episodes at once."""
        self._per_node = per_node
        self._taken: dict[T, int] = {}
        self._waiting: deque[_Turn[T]] = deque()

    @property
    def nodes(self) -> int:
        """Nodes that are at work."""
        return len(self._taken)

    def add(self, node: T) -> None:
        """A node came."""
        self._taken[node] = 0
        self._fill()

    def remove(self, node: T) -> None:
        """A node went, with all its seats."""
        self._taken.pop(node, None)

    async def take(self) -> T:
        """Wait for a seat, which has to be given back."""
        turn = _Turn[T]()
        self._waiting.append(turn)
        self._fill()
        try:
            await turn.event.wait()
        except BaseException:
            if turn.node is None:
                self._waiting.remove(turn)
            else:
                self.give_back(turn.node)
            raise
        assert turn.node is not None  # what it was woken for
        return turn.node

    def give_back(self, node: T) -> None:
        """A seat is free again."""
        if node in self._taken:  # else the node went in between
            self._taken[node] -= 1
            self._fill()

    def _fill(self) -> None:
        while self._waiting and self._taken:
            node = min(self._taken, key=self._taken.__getitem__)
            if self._taken[node] >= self._per_node:
                return
            turn = self._waiting.popleft()
            turn.node = node
            self._taken[node] += 1
            turn.event.set()
