"""How many requests a provider is given at once: fewer when it refuses, slowly more again.

Additive increase, multiplicative decrease: what lets many clients share a resource of unknown size
fairly and without collapse (Chiu and Jain, "Analysis of the Increase and Decrease Algorithms for
Congestion Avoidance in Computer Networks", 1989). As in TCP, a window grows only where it is used,
it shrinks by what was really under way, and once per round trip at most: all requests that were
under way when it shrank say the same (RFC 5681, RFC 6582). `inspect_ai` adapts the connections of
an evaluation in the same way.
"""

import random
import time
from collections import deque
from collections.abc import Callable

import anyio

from agent_client.evaluation.runner.progress import Progress, ProviderState
from agent_client.evaluation.waiting import waiting
from agent_client.model.retries import MAX_RETRY_AFTER_SECONDS

DECREASE = 0.8
"""What is left of the limit after a refusal."""
ROUND_TRIPS_TO_MOST = 32
"""So many round trips without a refusal lead from one request at once to the most."""
PAUSE_SECONDS = 1.0
"""Longest pause after a refusal that names none; its length is random."""


class _Turn:
    """A request that waits for a place."""

    __slots__ = ("event", "has_place")

    def __init__(self) -> None:
        self.event = anyio.Event()
        self.has_place = False

    async def changed(self, seconds: float | None) -> None:
        """Wait until it was woken, for at most so long."""
        with anyio.move_on_after(seconds):
            await self.event.wait()
        if not self.has_place:
            self.event = anyio.Event()


class Pace:
    """Places at one provider, given in the order in which they were asked for."""

    def __init__(
        self,
        most: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        random: Callable[[], float] = random.random,
    ) -> None:
        """Begin with the most.

        Args:
            most: requests at once while nothing is refused; at least 1.
            clock: monotonic seconds.
            random: gives numbers in [0, 1).
        """
        self.state = ProviderState(most=most, limit=float(most))
        self._step = max(1.0, most / ROUND_TRIPS_TO_MOST)
        self._clock, self._random = clock, random
        self._waiting: deque[_Turn] = deque()
        self._number = 0
        self._shrunk_at = 0
        """The last request that had a place when the limit shrank."""

    async def acquire(self) -> int:
        """Wait for a place, which has to be given back by `release`.

        Returns:
            The number of the request, for `refused`.
        """
        if self._waiting or not self._has_room():
            with waiting():
                await self._wait()
        else:
            self.state.in_flight += 1
        self._number += 1
        return self._number

    def release(self) -> None:
        """Give a place back."""
        self.state.in_flight -= 1
        self._fill()

    def succeeded(self) -> None:
        """Take in, before the place is given back, that a request was answered at once."""
        state = self.state
        # Half of it is used enough: else a few episodes at a run's end would seem slowed down.
        if state.limit < state.most and (self._waiting or 2 * state.in_flight >= state.limit):
            state.limit = min(float(state.most), state.limit + self._step / state.limit)
            self._fill()

    def refused(self, number: int, retry_after_seconds: float | None = None) -> None:
        """Take in, before the place is given back, that there were too many requests.

        Nothing is sent for as long as the provider asks, for at most 60 s.

        Args:
            number: what `acquire` gave.
            retry_after_seconds: as the provider said; None where it did not.
        """
        state = self.state
        state.refusals += 1
        is_news = number > self._shrunk_at
        if is_news:
            self._shrunk_at = self._number
            state.limit = max(1.0, min(state.limit, float(state.in_flight)) * DECREASE)
        if is_news or retry_after_seconds is not None:
            told = retry_after_seconds
            seconds = PAUSE_SECONDS * self._random() if told is None else told
            until = self._clock() + min(max(seconds, 0.0), MAX_RETRY_AFTER_SECONDS)
            state.waits_until = max(state.waits_until, until)
            self._wake_first()

    def _has_room(self) -> bool:
        state = self.state
        return state.in_flight < int(state.limit) and self._pause() is None

    def _pause(self) -> float | None:
        """How long nothing may be sent; None when that is no matter of time."""
        if not self.state.waits_until:
            return None
        left = self.state.waits_until - self._clock()
        if left > 0:
            return left
        self.state.waits_until = 0.0
        return None

    async def _wait(self) -> None:
        turn = _Turn()
        self._waiting.append(turn)
        try:
            while not turn.has_place:
                # Only the first one watches the clock; who follows it is woken to do so.
                is_first = self._waiting[0] is turn
                await turn.changed(self._pause() if is_first else None)
                self._fill()
        except BaseException:
            if turn.has_place:
                self.release()
            else:
                self._waiting.remove(turn)
                self._wake_first()
            raise

    def _fill(self) -> None:
        """Give places to those who wait, as far as there are any."""
        while self._waiting and self._has_room():
            turn = self._waiting.popleft()
            turn.has_place = True
            self.state.in_flight += 1
            turn.event.set()

    def _wake_first(self) -> None:
        if self._waiting:
            self._waiting[0].event.set()


class Paces:
    """The paces of a run by provider; its progress shows them."""

    def __init__(
        self, progress: Progress, most: int, *, random: Callable[[], float] = random.random
    ) -> None:
        """Every provider may get `most` requests at once; `random` is that of `Pace`."""
        self._progress, self._most, self._random = progress, most, random
        self._paces: dict[str, Pace] = {}

    def at(self, provider: str) -> Pace:
        """The pace of a provider, by its address or name; the same one each time."""
        pace = self._paces.get(provider)
        if pace is None:
            pace = self._paces[provider] = Pace(self._most, random=self._random)
            self._progress.providers[provider] = pace.state
        return pace
