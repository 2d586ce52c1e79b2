"""What providers are asked and what that costs, and budgets that end it for the day."""

import math
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mcp_server.errors import ProviderBlocked
from mcp_server.search.named_values import bad_value, read_named_values
from mcp_server.search.skip import Skip
from mcp_server.shared_file import SharedFile

_BUDGET_EXAMPLE = "serper=1000 (calls a day) or exa=$2.50 (a day)"
_PRICE_EXAMPLE = "serper=0.001 (US dollars a call)"
_KEPT_DAYS = 62
_TABLE = "usage_1"
_SCHEMA = f"""
    CREATE TABLE IF NOT EXISTS {_TABLE} (
        day TEXT NOT NULL, provider TEXT NOT NULL, calls INTEGER NOT NULL, usd REAL NOT NULL,
        PRIMARY KEY (day, provider)
    ) WITHOUT ROWID;
"""
_ROUNDING_USD = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What a provider may be used for in one day, UTC; None is no bound."""

    calls: int | None = None
    usd: float | None = None

    def __str__(self) -> str:
        calls = [] if self.calls is None else [f"{self.calls:,} calls"]
        return " and ".join([*calls, *([] if self.usd is None else [f"${self.usd:.2f}"])])


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderUsage:
    """What one provider was used for today."""

    provider: str
    day: str
    """ISO date, UTC."""
    calls: int
    usd: float
    budget: Budget


@dataclass(frozen=True, slots=True)
class Call:
    """One call that was counted."""

    provider: str
    day: str
    reserved_usd: float


def read_budgets(entries: Iterable[str], *, known: Collection[str]) -> dict[str, Budget]:
    """Budgets such as `serper=1000` and `exa=$2.50`; a provider may have one of each kind.

    Args:
        entries: one provider and budget each.
        known: the names of all providers.

    Raises:
        ConfigError: an entry is malformed or names no provider.
    """
    budgets: dict[str, Budget] = {}
    for name, value in read_named_values("budgets", entries, known=known, example=_BUDGET_EXAMPLE):
        old = budgets.get(name, Budget())
        if value.startswith("$"):
            usd = _amount("budgets", name, value[1:], example=_BUDGET_EXAMPLE)
            budgets[name] = Budget(calls=old.calls, usd=usd)
        elif value.isascii() and value.isdigit() and len(value) < 12:
            budgets[name] = Budget(calls=int(value), usd=old.usd)
        else:
            raise bad_value("budgets", name, value, example=_BUDGET_EXAMPLE)
    return budgets


def read_prices(entries: Iterable[str], *, known: Collection[str]) -> dict[str, float]:
    """Prices such as `serper=0.001`, in US dollars a call; `$` may stand before the number.

    Args:
        entries: one provider and price each.
        known: the names of all providers.

    Raises:
        ConfigError: an entry is malformed or names no provider.
    """
    return {
        name: _amount("prices", name, value.removeprefix("$"), example=_PRICE_EXAMPLE)
        for name, value in read_named_values("prices", entries, known=known, example=_PRICE_EXAMPLE)
    }


class Usage:
    """Counts calls and cost by provider and UTC day, and refuses what is over a budget.

    With a file the counts survive restarts and are shared by processes. This process's own counts
    since its start hold beside it, so that a file that cannot be used lifts no budget.
    """

    def __init__(
        self,
        *,
        budgets: Mapping[str, Budget] | None = None,
        prices: Mapping[str, float] | None = None,
        file: SharedFile | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Start counting.

        Args:
            budgets: by provider.
            prices: US dollars a call, by provider; what a provider states itself comes first.
            file: may also hold the reply cache.
            clock: seconds since the epoch.
        """
        self._budgets = dict(budgets or {})
        self._prices = dict(prices or {})
        self._file = file
        self._clock = clock
        self._counts: dict[tuple[str, str], tuple[int, float]] = {}
        if file is not None:
            file.declare(_TABLE, _SCHEMA)

    async def begin(self, provider: str) -> Call:
        """Count a call that is about to be made, and set its known price aside.

        Raises:
            Skip: the day's budget is used up.
        """
        day = self._today()
        budget = self._budgets.get(provider, Budget())
        price = self._prices.get(provider, 0.0)
        is_within: bool | None = None
        if self._file is not None:
            is_within = await self._file.write(
                lambda connection: _begin(connection, day, provider, budget, price)
            )
        calls, usd = self._counts.get((day, provider), (0, 0.0))
        if is_within is False or not _allows(budget, calls, usd, price):
            raise self._used_up(provider, budget)
        self._add(day, provider, 1, price)
        return Call(provider, day, price)

    async def settle(self, call: Call, stated_usd: float | None) -> float | None:
        """Note what a call cost in the end, once it was answered.

        Args:
            call: from `begin`.
            stated_usd: what the provider says, or None.

        Returns:
            What it cost, or None where nobody knows.
        """
        if stated_usd is not None and 0 <= stated_usd < math.inf:
            await self._correct(call, stated_usd)
            return stated_usd
        return self._prices.get(call.provider)

    async def refund(self, call: Call) -> None:
        """Note that a call was refused or failed: it counts, and costs nothing.

        A call that we gave up waiting for is not refunded: its provider may charge for it.
        """
        await self._correct(call, 0.0)

    async def snapshot(self) -> tuple[ProviderUsage, ...]:
        """Today's counts of every provider that was asked or has a budget, by name."""
        day = self._today()
        counts = {name: count for (on, name), count in self._counts.items() if on == day}
        if self._file is not None:
            counts = await self._file.read(lambda connection: _counts(connection, day)) or counts
        return tuple(
            ProviderUsage(
                provider=name,
                day=day,
                calls=counts.get(name, (0, 0.0))[0],
                usd=counts.get(name, (0, 0.0))[1],
                budget=self._budgets.get(name, Budget()),
            )
            for name in sorted(counts.keys() | self._budgets.keys())
        )

    def own(self, provider: str) -> ProviderUsage:
        """Today's counts of one provider by this process alone, without a look into the file."""
        day = self._today()
        calls, usd = self._counts.get((day, provider), (0, 0.0))
        budget = self._budgets.get(provider, Budget())
        return ProviderUsage(provider=provider, day=day, calls=calls, usd=usd, budget=budget)

    def _today(self) -> str:
        return datetime.fromtimestamp(self._clock(), UTC).date().isoformat()

    def _add(self, day: str, provider: str, calls: int, usd: float) -> None:
        for key in [key for key in self._counts if key[0] < day]:
            del self._counts[key]
        old_calls, old_usd = self._counts.get((day, provider), (0, 0.0))
        self._counts[day, provider] = (old_calls + calls, old_usd + usd)

    async def _correct(self, call: Call, usd: float) -> None:
        more = usd - call.reserved_usd
        if not more:
            return
        self._add(call.day, call.provider, 0, more)
        if self._file is not None:
            await self._file.write(
                lambda connection: _add(connection, call.day, call.provider, 0, more)
            )

    def _used_up(self, provider: str, budget: Budget) -> Skip:
        now = datetime.fromtimestamp(self._clock(), UTC)
        midnight = datetime(now.year, now.month, now.day, tzinfo=UTC) + timedelta(days=1)
        return Skip(
            ProviderBlocked(
                provider,
                f"budget of {budget} a day is used up until 00:00 UTC",
                retryable=True,
                retry_after_seconds=(midnight - now).total_seconds(),
            )
        )


def _allows(budget: Budget, calls: int, usd: float, price: float) -> bool:
    if budget.calls is not None and calls >= budget.calls:
        return False
    # Without a known price the call that goes over the budget is the last one.
    over = usd + price - _ROUNDING_USD if price else usd + _ROUNDING_USD
    return budget.usd is None or over < budget.usd


def _begin(
    connection: sqlite3.Connection, day: str, provider: str, budget: Budget, price: float
) -> bool:
    calls, usd = _counts(connection, day).get(provider, (0, 0.0))
    if not _allows(budget, calls, usd, price):
        return False
    if not calls:
        oldest = (datetime.fromisoformat(day) - timedelta(days=_KEPT_DAYS)).date().isoformat()
        connection.execute(f"DELETE FROM {_TABLE} WHERE day < ?", (oldest,))  # noqa: S608
    _add(connection, day, provider, 1, price)
    return True


def _add(connection: sqlite3.Connection, day: str, provider: str, calls: int, usd: float) -> None:
    connection.execute(
        f"""INSERT INTO {_TABLE} VALUES (?, ?, ?, ?) ON CONFLICT (day, provider)
            DO UPDATE SET calls = calls + excluded.calls, usd = usd + excluded.usd""",  # noqa: S608
        (day, provider, calls, usd),
    )


def _counts(connection: sqlite3.Connection, day: str) -> dict[str, tuple[int, float]]:
    rows = connection.execute(
        f"SELECT provider, calls, usd FROM {_TABLE} WHERE day = ?",  # noqa: S608 - a constant
        (day,),
    )
    try:
        return {str(name): (int(calls), float(usd)) for name, calls, usd in rows}
    except ValueError as exc:
        raise sqlite3.DataError("the usage counts cannot be read") from exc


def _amount(setting: str, name: str, value: str, *, example: str) -> float:
    whole, _, part = value.partition(".")
    if not (
        whole.isdecimal() and (part or "0").isdecimal() and value.isascii() and len(value) < 20
    ):
        raise bad_value(setting, name, value, example=example)
    return float(value)
