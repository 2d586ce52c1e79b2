"""When a failed request is sent again: how often, how long after, and how many times in all."""

import math
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import anyio

from agent_client.errors import ModelError, ModelOverloaded

MAX_RETRY_AFTER_SECONDS = 60.0
"""However long a server asks us to wait."""

_SHARE_OF_CALLS = 0.1
_FREE_RETRIES = 5


@dataclass(slots=True)
class RetryBudget:
    """Bounds the retries of a client to 5 and a tenth of its calls.

    A dead server then ends a run of many questions instead of stretching each of them. Share one
    value among everything that calls the same server.
    """

    calls: int = 0
    """Requests that were asked for, without the retries."""
    retries: int = 0

    def allows(self) -> bool:
        """Whether one more retry is within the budget."""
        return self.retries < _FREE_RETRIES + _SHARE_OF_CALLS * self.calls


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How one request is repeated: exponential backoff with equal jitter.

    Before try n + 1 it waits a random time between the half and the whole of
    `first_seconds * 2 ** (n - 1)`, at most `max_seconds`: clients that failed together do not come
    back together, and a server that is back after 7 seconds is always found. A server's own
    `Retry-After` goes before that. (Brooker, "Exponential Backoff And Jitter", AWS 2015.)
    """

    tries: int = 5
    """At least 1: the first one counts."""
    first_seconds: float = 1.0
    max_seconds: float = 30.0
    random: Callable[[], float] = random.random
    """Gives numbers in [0, 1)."""
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep

    def seconds_before(self, retry: int, error: ModelError) -> float:
        """How long to wait before a retry (counted from 1) because of the error before it."""
        if isinstance(error, ModelOverloaded) and error.retry_after_seconds is not None:
            return error.retry_after_seconds
        longest = min(self.max_seconds, self.first_seconds * 2 ** (retry - 1))
        return longest * (1 + self.random()) / 2


def read_retry_after(value: str, clock: Callable[[], float] = time.time) -> float | None:
    """Read a `Retry-After` header: seconds or a date (RFC 9110, section 10.2.3).

    Returns seconds from now in [0, 60]; None for what is neither. `clock` gives Unix time.
    """
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - clock()
        except (ValueError, OverflowError):
            return None
    return None if math.isnan(seconds) else min(max(seconds, 0.0), MAX_RETRY_AFTER_SECONDS)
