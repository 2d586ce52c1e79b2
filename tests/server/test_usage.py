"""Counts, costs and budgets."""

import sqlite3
from contextlib import aclosing
from pathlib import Path

import pytest

from mcp_server.errors import ConfigError, ProviderBlocked
from mcp_server.search.skip import Skip
from mcp_server.search.usage import Budget, Usage, read_budgets, read_prices
from mcp_server.shared_file import SharedFile

DAY_SECONDS = 86_400.0


class Clock:
    now = 20_000 * DAY_SECONDS + 3_600

    def __call__(self) -> float:
        return self.now


async def is_refused(usage: Usage, provider: str = "a") -> bool:
    try:
        await usage.begin(provider)
    except Skip:
        return True
    return False


async def counts(usage: Usage) -> list[tuple[str, int, float]]:
    return [(used.provider, used.calls, used.usd) for used in await usage.snapshot()]


async def test_a_budget_of_calls_ends_at_midnight_utc() -> None:
    clock = Clock()
    usage = Usage(budgets={"a": Budget(calls=2)}, clock=clock)
    assert [await is_refused(usage) for _ in range(3)] == [False, False, True]
    with pytest.raises(Skip, match="budget of 2 calls a day is used up until 00:00 UTC") as caught:
        await usage.begin("a")
    assert isinstance(caught.value.error, ProviderBlocked)
    assert caught.value.error.retry_after_seconds == 23 * 3_600
    assert not await is_refused(usage, "b")
    clock.now += 23 * 3_600
    assert not await is_refused(usage)
    assert await counts(usage) == [("a", 1, 0.0)]


@pytest.mark.parametrize("usd", [0.3, 0.39])
async def test_a_budget_of_money_is_not_exceeded_where_the_price_is_known(usd: float) -> None:
    usage = Usage(budgets={"a": Budget(usd=usd)}, prices={"a": 0.1}, clock=Clock())
    assert [await is_refused(usage) for _ in range(4)] == [False, False, False, True]


async def test_a_budget_of_money_ends_after_the_call_that_uses_it_up() -> None:
    usage = Usage(budgets={"a": Budget(usd=0.3)}, clock=Clock())
    for cost in (0.2, 0.2):
        assert await usage.settle(await usage.begin("a"), cost) == cost
    with pytest.raises(Skip, match=r"budget of \$0\.30 a day"):
        await usage.begin("a")


async def test_what_the_provider_states_comes_before_the_price() -> None:
    usage = Usage(prices={"a": 0.5}, clock=Clock())
    assert await usage.settle(await usage.begin("a"), 0.125) == 0.125
    assert await usage.settle(await usage.begin("a"), None) == 0.5
    assert await usage.settle(await usage.begin("a"), float("nan")) == 0.5
    assert await usage.settle(await usage.begin("b"), None) is None
    await usage.refund(await usage.begin("a"))
    assert await counts(usage) == [("a", 4, 1.125), ("b", 1, 0.0)]


async def test_providers_with_a_budget_stand_in_the_snapshot_before_they_are_used() -> None:
    (used,) = await Usage(budgets={"a": Budget(calls=5)}, clock=Clock()).snapshot()
    assert (used.provider, used.day, used.calls, str(used.budget)) == (
        "a",
        "2024-10-04",
        0,
        "5 calls",
    )


async def test_counts_survive_a_restart_and_are_shared(tmp_path: Path) -> None:
    budgets = {"a": Budget(calls=3, usd=9.0)}
    clock = Clock()

    def start() -> tuple[Usage, SharedFile]:
        file = SharedFile(tmp_path / "search" / "search.sqlite", max_bytes=10_000_000)
        return Usage(budgets=budgets, file=file, clock=clock), file

    one, one_file = start()
    other, other_file = start()
    async with aclosing(one_file), aclosing(other_file):
        await one.settle(await one.begin("a"), 0.5)
        await other.settle(await other.begin("a"), 0.25)
        assert await counts(one) == await counts(other) == [("a", 2, 0.75)]
        assert not await is_refused(one)
        assert await is_refused(other)
    again, again_file = start()
    async with aclosing(again_file):
        assert await is_refused(again)
        clock.now += DAY_SECONDS
        assert not await is_refused(again)


@pytest.fixture
def open_folder(tmp_path: Path) -> Path:
    tmp_path.chmod(0o777)
    return tmp_path


async def test_a_file_that_cannot_be_used_lifts_no_budget(
    open_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = SharedFile(open_folder / "search.sqlite", max_bytes=10_000_000)
    usage = Usage(budgets={"a": Budget(calls=1)}, file=file, clock=Clock())
    async with aclosing(file):
        assert [await is_refused(usage) for _ in range(3)] == [False, True, True]
        assert await counts(usage) == [("a", 1, 0.0)]
    assert len(caplog.records) == 1


def test_budgets_and_prices_are_read_from_settings() -> None:
    known = ("serper", "exa")
    assert read_budgets(["serper=1000", "exa=$2.50", "exa = 7"], known=known) == {
        "serper": Budget(calls=1000),
        "exa": Budget(calls=7, usd=2.5),
    }
    assert read_prices(["serper=0.001", "exa=$0.005"], known=known) == {
        "serper": 0.001,
        "exa": 0.005,
    }


@pytest.mark.parametrize("value", ["", "many", "-1", "$", "$-1", "$1e9", "1.5", "$1,000", "²"])
def test_a_malformed_budget_is_named_with_an_example(value: str) -> None:
    with pytest.raises(ConfigError, match="setting 'budgets'") as caught:
        read_budgets([f"exa={value}"], known=("exa",))
    assert "exa=$2.50" in caught.value.hint


@pytest.mark.parametrize("entry", ["exa=free", "exa=-1", "exa", "eax=1", "exa=nan", "exa=1e5"])
def test_a_malformed_price_is_an_error(entry: str) -> None:
    with pytest.raises(ConfigError, match="setting 'prices'"):
        read_prices([entry], known=("exa",))


async def test_counts_that_cannot_be_read_stop_no_search_and_lift_no_budget(
    tmp_path: Path,
) -> None:
    path = tmp_path / "cache.sqlite"
    first = Usage(file=SharedFile(path, max_bytes=10_000_000))
    await first.begin("serper")
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE usage_1 SET calls = 'many'")
    connection.close()
    usage = Usage(budgets={"serper": Budget(calls=2)}, file=SharedFile(path, max_bytes=10_000_000))
    await usage.begin("serper")
    await usage.begin("serper")
    with pytest.raises(Skip):
        await usage.begin("serper")
