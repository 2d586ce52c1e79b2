"""When a run has to end, and when the model is told that the end is near."""

from collections.abc import Callable

from agent_client.agent.context_size import ContextSize
from agent_client.agent.limits import Limits
from agent_client.agent.outcome import StopReason
from agent_client.agent.tally import Tally

NEAR_SHARE = 0.85
"""The share of a budget from which on the model is told."""
NEAR_COUNT = 2
"""The same for budgets that are counted: so many are left."""


class Budget:
    """The limits of one run against what it has used."""

    def __init__(
        self, limits: Limits, tally: Tally, size: ContextSize, clock: Callable[[], float]
    ) -> None:
        self._limits, self._tally, self._size, self._clock = limits, tally, size, clock
        self._started = clock()
        self._told: set[str] = set()

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return self._clock() - self._started

    def reached(self) -> StopReason | None:
        """The limit that leaves nothing but the answer, if any."""
        limits, tally = self._limits, self._tally
        if tally.turns >= limits.turns - 1:
            return "turn_limit"  # the last turn is the answer's
        if tally.tool_calls >= limits.tool_calls or self._no_call_is_left:
            return "tool_call_limit"
        if (
            self._used_tokens
            and 0 < limits.total_tokens < self._used_tokens + 2 * self._size.tokens
        ):
            return "token_limit"  # one more turn, and the answer would go beyond it
        if 0 < limits.cost_usd < tally.cost_usd + 2 * tally.last_cost_usd:
            return "cost_limit"
        if self.seconds >= limits.seconds:
            return "time_limit"
        return "context_limit" if self._size.is_full else None

    def near(self) -> str:
        """What is left when that is little, as words for the model; "" when there is enough.

        The numbers of turns and calls are told each time, other budgets once.
        """
        turns = self._limits.turns - 1 - self._tally.turns
        if turns <= NEAR_COUNT:
            return f"{_count(turns, 'turn')} left before the answer"
        calls = self._limits.tool_calls - self._tally.tool_calls
        if calls <= NEAR_COUNT:
            return f"{_count(calls, 'tool call')} left"
        for name, share in self._shares():
            if share >= NEAR_SHARE and name not in self._told:
                self._told.add(name)
                return f"the {name} for this question is nearly used up"
        return ""

    @property
    def _no_call_is_left(self) -> bool:
        """Whether searches and visits, each with a bound of its own, are used up."""
        limits, done = self._limits, self._tally.by_kind
        return 0 < limits.searches <= done["search"] and 0 < limits.visits <= done["visit"]

    @property
    def _used_tokens(self) -> int:
        return self._tally.usage.prompt_tokens + self._tally.usage.completion_tokens

    def _shares(self) -> tuple[tuple[str, float], ...]:
        limits = self._limits
        return (
            ("room", self._size.share),
            ("time", self.seconds / limits.seconds if limits.seconds > 0 else 1.0),
            ("number of tokens", _share(self._used_tokens, limits.total_tokens)),
            ("money", _share(self._tally.cost_usd, limits.cost_usd)),
        )


def _share(used: float, limit: float) -> float:
    return used / limit if limit > 0 else 0.0


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
