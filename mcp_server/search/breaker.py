"""Leave a provider alone that refuses us or is broken, and find out when it is well again."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from mcp_server.errors import ProviderBlocked, ProviderError, ProviderFailed
from mcp_server.search.skip import Skip

BLOCKED_PAUSE_SECONDS = 60.0
"""A provider that refused us is left alone this long, unless it says how long itself."""
FAILED_PAUSE_SECONDS = 20.0
"""One that broke twice is left alone this long: an offline machine is not slow each time."""
MAX_PAUSE_SECONDS = 600.0
"""Each pause in a row is twice as long, up to this."""
MAX_ASKED_PAUSE_SECONDS = 3_600.0
"""The longest pause that a provider can ask for."""
FAILURES_TO_OPEN = 2

Position = Literal["closed", "open", "probing"]
"""`open`: the provider is left alone. `probing`: the next call, or one under way, finds out."""


class Breakers:
    """A circuit breaker for each provider (M. Nygard, Release It!, 2007).

    Closed, it lets all calls through. A block opens it at once, and so do two failures in a row.
    Open, it skips all calls until the pause is over; then one call goes through as a probe while
    the others are still skipped. Its success closes the breaker, its failure opens it again.

    A failure that is not retryable is about the one query and counts neither way.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """All closed; `clock` gives monotonic seconds."""
        self._clock = clock
        self._states: dict[str, _State] = {}

    @contextmanager
    def attempt(self, provider: str) -> Generator[None]:
        """Surround a call to a provider, and learn from how it ends.

        A `ProviderError` is held against it; any other exception, such as a cancellation or our
        own haste, says nothing about it.

        Raises:
            Skip: it is left alone for now.
        """
        state = self._states.setdefault(provider, _State())
        is_probe = self._enter(state)
        try:
            yield
        except ProviderError as error:
            if is_probe or state.error is None:  # else another call in flight opened it already
                self._learn(state, error)
            raise
        else:
            if is_probe or state.error is None:
                state.close()
        finally:
            if is_probe:
                state.is_probed = False

    def position(self, provider: str) -> tuple[Position, float]:
        """Where the breaker of a provider stands, and for how many more seconds it is open."""
        state = self._states.get(provider)
        if state is None or state.error is None:
            return "closed", 0.0
        left = state.until - self._clock()
        return ("open", left) if left > 0 else ("probing", 0.0)

    def _enter(self, state: "_State") -> bool:
        """Whether the call is a probe."""
        if state.error is None:
            return False
        left = state.until - self._clock()
        if left > 0:
            raise _skip(state.error, f"left alone for {left:.0f} s more", left)
        if state.is_probed:
            raise _skip(state.error, "left alone until the call that probes it is over", None)
        state.is_probed = True
        return True

    def _learn(self, state: "_State", error: ProviderError) -> None:
        is_block = isinstance(error, ProviderBlocked)
        asked = error.retry_after_seconds
        if not is_block:
            if not error.retryable:
                return
            state.failures += 1
            if state.failures < FAILURES_TO_OPEN and asked is None:
                return
        if asked is None:
            first = BLOCKED_PAUSE_SECONDS if is_block else FAILED_PAUSE_SECONDS
            seconds = min(first * 2.0**state.pauses, MAX_PAUSE_SECONDS)
        else:
            seconds = min(max(asked, 0.0), MAX_ASKED_PAUSE_SECONDS)
        state.pauses = min(state.pauses + 1, 10)
        state.until = self._clock() + seconds
        state.error = error


@dataclass(slots=True)
class _State:
    failures: int = 0
    """In a row."""
    pauses: int = 0
    """In a row."""
    error: ProviderError | None = None
    """What opened the breaker; None while it is closed."""
    until: float = 0.0
    is_probed: bool = False

    def close(self) -> None:
        self.failures = self.pauses = 0
        self.error = None


def _skip(error: ProviderError, what: str, seconds: float | None) -> Skip:
    kind = ProviderBlocked if isinstance(error, ProviderBlocked) else ProviderFailed
    again = kind(
        error.provider,
        f"{what} after: {error.reason}",
        retryable=True,
        retry_after_seconds=seconds,
        hint=error.hint,
    )
    return Skip(again)
