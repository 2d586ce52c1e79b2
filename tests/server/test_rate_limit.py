"""How often a provider is asked."""

import anyio
import pytest

from mcp_server.errors import ConfigError, ProviderBlocked
from mcp_server.search.rate_limit import PUBLISHED_RATES, Rate, RateLimits, read_rates
from mcp_server.search.skip import Skip


class Clock:
    def __init__(self) -> None:
        self.now = 0.0
        self.waits: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds


def limits(clock: Clock, rate: Rate) -> RateLimits:
    return RateLimits({"a": rate}, clock=clock, sleep=clock.sleep)


async def test_calls_are_spread_evenly() -> None:
    clock = Clock()
    paced = limits(clock, Rate(20, 60))
    for _ in range(3):
        await paced.wait("a", longest_seconds=10)
    assert clock.now == pytest.approx(6)
    await paced.wait("b", longest_seconds=0)
    assert len(clock.waits) == 2


async def test_a_burst_is_free_and_grows_back() -> None:
    clock = Clock()
    paced = limits(clock, Rate(1, 1, burst=5))
    for _ in range(5):
        await paced.wait("a", longest_seconds=0)
    assert clock.waits == []
    await paced.wait("a", longest_seconds=1)
    assert clock.waits == [1]
    clock.now += 100
    for _ in range(5):
        await paced.wait("a", longest_seconds=0)
    with pytest.raises(Skip):
        await paced.wait("a", longest_seconds=0.9)


async def test_who_would_wait_too_long_is_skipped_and_takes_no_turn() -> None:
    clock = Clock()
    paced = limits(clock, Rate(1, 3))
    await paced.wait("a", longest_seconds=0)
    for _ in range(3):
        with pytest.raises(Skip, match=r"our own limit of 1 call per 3 s is reached") as caught:
            await paced.wait("a", longest_seconds=2)
        assert isinstance(caught.value.error, ProviderBlocked)
        assert caught.value.error.retry_after_seconds == 3
    clock.now += 3
    await paced.wait("a", longest_seconds=0)


async def test_those_who_wait_at_once_wait_one_after_another() -> None:
    clock = Clock()
    waits: list[float] = []
    turn = anyio.Event()

    async def sleep(seconds: float) -> None:
        waits.append(seconds)
        await turn.wait()

    paced = RateLimits({"a": Rate(1, 2)}, clock=clock, sleep=sleep)
    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(lambda: paced.wait("a", longest_seconds=100))
        await anyio.wait_all_tasks_blocked()
        turn.set()
    assert waits == [2, 4, 6]


async def test_a_cancelled_wait_gives_its_turn_back() -> None:
    clock = Clock()

    async def sleep(seconds: float) -> None:
        await anyio.sleep_forever()

    paced = RateLimits({"a": Rate(1, 2)}, clock=clock, sleep=sleep)
    await paced.wait("a", longest_seconds=0)
    with anyio.move_on_after(0):
        await paced.wait("a", longest_seconds=5)
    clock.now += 2
    await paced.wait("a", longest_seconds=0)


def test_settings_are_read_over_the_published_rates() -> None:
    rates = read_rates(
        ["brave=1/s", "arxiv = 20/min", "exa=1/3s", "kagi=100/d:10"],
        known=("brave", "arxiv", "exa", "kagi"),
    )
    assert rates == {
        **PUBLISHED_RATES,
        "brave": Rate(1, 1),
        "arxiv": Rate(20, 60),
        "exa": Rate(1, 3),
        "kagi": Rate(100, 86_400, burst=10),
    }
    assert [str(rates[name]) for name in ("brave", "arxiv")] == [
        "1 call per s",
        "20 calls per 60 s",
    ]


@pytest.mark.parametrize(
    "entry",
    ["a", "a=", "=1/s", "a=fast", "a=0/s", "a=1/0s", "a=1/s:0", "a=-1/s", "a=1/year"],
)
def test_a_malformed_rate_is_named_with_an_example(entry: str) -> None:
    with pytest.raises(ConfigError, match="setting 'rate_limits'") as caught:
        read_rates([entry], known=("a",))
    assert "brave=1/s" in caught.value.hint


def test_a_rate_for_an_unknown_provider_is_an_error() -> None:
    with pytest.raises(ConfigError, match="unknown search provider 'brvae'"):
        read_rates(["brvae=1/s"], known=("brave",))
