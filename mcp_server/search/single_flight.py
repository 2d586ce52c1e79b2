"""Ask the same thing once, however many want to know it at the same time."""

from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import anyio

from mcp_server.errors import ProviderError

Answer = TypeVar("Answer")


class _Flight(Generic[Answer]):
    def __init__(self) -> None:
        self.has_landed = anyio.Event()
        self.answer: Answer | None = None
        self.error: ProviderError | None = None


class SingleFlight(Generic[Answer]):
    """Shares the answer of the first asker with those that ask the same before it is there.

    There is no task of its own: the first asker does the work, and when it is cancelled the next
    one in line does it again.
    """

    def __init__(self) -> None:
        self._flights: dict[str, _Flight[Answer]] = {}

    async def run(
        self, key: str, ask: Callable[[], Awaitable[Answer]], *, longest_seconds: float
    ) -> tuple[Answer, bool]:
        """Ask, or wait for the one who asks.

        Args:
            key: equal for what is the same question.
            ask: does the work; what it returns or raises as `ProviderError` is shared. Anything
                else, such as a `Skip` for want of time, is the first asker's alone.
            longest_seconds: how long to wait for someone else's answer.

        Returns:
            The answer, and whether it is someone else's.

        Raises:
            TimeoutError: the other one took too long.
            ProviderError: from `ask`, this one's or the other one's.
        """
        with anyio.fail_after(longest_seconds):
            while (flight := self._flights.get(key)) is not None:
                await flight.has_landed.wait()
                if flight.error is not None:
                    raise flight.error
                if flight.answer is not None:
                    return flight.answer, True
        flight = self._flights[key] = _Flight[Answer]()
        try:
            flight.answer = await ask()
        except ProviderError as error:
            flight.error = error
            raise
        finally:
            del self._flights[key]
            flight.has_landed.set()
        return flight.answer, False
