"""How often we ask a provider, by its published rule or by the settings."""

import re
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass

import anyio

from mcp_server.errors import ProviderBlocked
from mcp_server.search.named_values import bad_value, read_named_values
from mcp_server.search.skip import Skip

_SETTING = "rate_limits"
_EXAMPLE = "brave=1/s, arxiv=20/min or duckduckgo=1/s:5 (5 at once)"
_RATE = re.compile(r"(\d{1,6})\s?/\s?(\d{0,4})\s?(s|min|h|d)(?::(\d{1,6}))?")
_UNIT_SECONDS = {"s": 1, "min": 60, "h": 3_600, "d": 86_400}


@dataclass(frozen=True, slots=True)
class Rate:
    """So many calls in so many seconds, evenly spread but for `burst` of them."""

    calls: int
    seconds: float
    burst: int = 1
    """Calls that may be made at once after a pause."""

    def __str__(self) -> str:
        what = "1 call" if self.calls == 1 else f"{self.calls} calls"
        return f"{what} per {'' if self.seconds == 1 else f'{self.seconds:g} '}s"


PUBLISHED_RATES: Mapping[str, Rate] = {
    "arxiv": Rate(1, 3.0),  # "no more than one request every three seconds", API terms of use
    "duckduckgo": Rate(1, 1.0, burst=5),  # no rule; faster brings a bot check
    "wikipedia": Rate(5, 1.0),  # etiquette: in series, not in parallel
}
"""For providers that are free for everybody and say, or show, what they bear."""


def read_rates(entries: Iterable[str], *, known: Collection[str]) -> dict[str, Rate]:
    """The published rates with those of the settings over them.

    Args:
        entries: such as `brave=1/s`, `arxiv=1/3s`, `exa=20/min`, `duckduckgo=1/s:5`, the number
            after the colon being the burst.
        known: the names of all providers.

    Raises:
        ConfigError: an entry is malformed or names no provider.
    """
    rates = dict(PUBLISHED_RATES)
    for name, value in read_named_values(_SETTING, entries, known=known, example=_EXAMPLE):
        found = _RATE.fullmatch(value)
        seconds = int(found[2] or 1) * _UNIT_SECONDS[found[3]] if found else 0
        if found is None or not (int(found[1]) and seconds and int(found[4] or 1)):
            raise bad_value(_SETTING, name, value, example=_EXAMPLE)
        rates[name] = Rate(int(found[1]), float(seconds), burst=int(found[4] or 1))
    return rates


class RateLimits:
    """A token bucket for each provider that has a rate. For one process."""

    def __init__(
        self,
        rates: Mapping[str, Rate] = PUBLISHED_RATES,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> None:
        """Start with full buckets.

        Args:
            rates: by provider; who has none may be asked at any time.
            clock: monotonic seconds.
            sleep: waits so many seconds of that clock.
        """
        self._buckets = {name: _Bucket(rate, clock()) for name, rate in rates.items()}
        self._clock = clock
        self._sleep = sleep

    async def wait(self, provider: str, *, longest_seconds: float) -> None:
        """Wait until the provider may be asked, in the order of arrival, and count the call.

        Raises:
            Skip: that would take longer than `longest_seconds`.
        """
        bucket = self._buckets.get(provider)
        if bucket is None:
            return
        seconds = bucket.seconds_until_free(self._clock())
        if seconds > longest_seconds:
            raise Skip(
                ProviderBlocked(
                    provider,
                    f"our own limit of {bucket.rate} is reached",
                    retryable=True,
                    retry_after_seconds=seconds,
                )
            )
        bucket.take()
        if seconds > 0:
            try:
                await self._sleep(seconds)
            except BaseException:
                bucket.give_back()  # cancelled: the call is not made
                raise


class _Bucket:
    """Tokens may be owed: whoever comes later then waits longer."""

    def __init__(self, rate: Rate, now: float) -> None:
        self.rate = rate
        self._tokens = float(rate.burst)
        self._filled_at = now

    def seconds_until_free(self, now: float) -> float:
        gained = (now - self._filled_at) * self.rate.calls / self.rate.seconds
        self._tokens = min(self._tokens + gained, float(self.rate.burst))
        self._filled_at = now
        missing = max(1.0 - self._tokens, 0.0)
        # A token that is missing by rounding alone is there.
        return missing * self.rate.seconds / self.rate.calls if missing > 1e-9 else 0.0

    def take(self) -> None:
        self._tokens -= 1.0

    def give_back(self) -> None:
        self._tokens += 1.0
