"""Who may fetch now: bounds on visits in all and per host, and a pace per host."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import anyio

from mcp_server.errors import FetchError


class _Host:
    """What one host is busy with."""

    __slots__ = ("next_start", "slots", "users")

    def __init__(self, slots: int) -> None:
        self.slots = anyio.Semaphore(slots, fast_acquire=True)
        self.users = 0
        """Visits under way or waiting."""
        self.next_start = 0.0
        """On the event loop's clock; no visit may start before."""


class VisitSlots:
    """Admits visits in the order of arrival, as many at once as sites and memory bear.

    A visit that waits for a busy host holds no slot of the others, and is not in the way of
    visits to other hosts. Hosts without visits are forgotten.
    """

    def __init__(
        self,
        *,
        max_visits: int = 16,
        visits_per_host: int = 4,
        max_waiting: int = 64,
        min_interval_seconds: float = 0.0,
    ) -> None:
        """Set the bounds.

        Args:
            max_visits: at once, over all hosts.
            visits_per_host: at once, to one host.
            max_waiting: further visits that wait for their turn; the next one is refused.
            min_interval_seconds: between the starts of two visits to one host.
        """
        self._visits_per_host = visits_per_host
        self._max_waiting = max_waiting
        self._min_interval_seconds = min_interval_seconds
        self._slots = anyio.Semaphore(max_visits, fast_acquire=True)
        self._hosts: dict[str, _Host] = {}
        self._waiting: set[object] = set()
        self._next_sweep = 0.0

    @property
    def known_hosts(self) -> int:
        """How many hosts are kept in mind."""
        return len(self._hosts)

    @asynccontextmanager
    async def visit(self, host: str) -> AsyncGenerator[None]:
        """Hold a slot for a host until the block ends; waiting costs the caller's deadline.

        Args:
            host: name or address as in the URL; letter case and a final dot do not matter.

        Raises:
            FetchError: too many visits are waiting already. Trying again can succeed.
        """
        state = self._host(host.lower().removesuffix("."))
        if len(self._waiting) >= self._max_waiting and self._would_wait(state):
            reason = "busy: too many other visits are under way or waiting"
            raise FetchError(host, reason, retryable=True, hint="try again in a moment")
        ticket = object()
        self._waiting.add(ticket)
        state.users += 1
        try:
            async with state.slots:
                await self._keep_pace(state)
                async with self._slots:
                    self._waiting.discard(ticket)
                    yield
        finally:
            self._waiting.discard(ticket)
            state.users -= 1

    def _host(self, key: str) -> _Host:
        now = anyio.current_time()
        if now >= self._next_sweep:
            self._next_sweep = now + self._min_interval_seconds
            self._hosts = {
                name: host
                for name, host in self._hosts.items()
                if host.users or host.next_start > now
            }
        return self._hosts.setdefault(key, _Host(self._visits_per_host))

    def _would_wait(self, state: _Host) -> bool:
        return (
            not state.slots.value
            or not self._slots.value
            or state.next_start > anyio.current_time()
        )

    async def _keep_pace(self, state: _Host) -> None:
        now = anyio.current_time()
        start = max(now, state.next_start)
        state.next_start = start + self._min_interval_seconds
        if start > now:
            await anyio.sleep(start - now)
