"""What a run has used so far."""

from collections import Counter
from dataclasses import dataclass, field

from agent_client.agent.limits import Prices
from agent_client.agent.offered_tools import ToolKind
from agent_client.agent.outcome import Counts
from agent_client.conversation import ModelReply, Repair, Usage
from agent_client.events import Guard


@dataclass(slots=True)
class Tally:
    """The counts of one run."""

    prices: Prices | None = None
    turns: int = 0
    tool_calls: int = 0
    """Calls that were sent to a tool; refused and repeated ones are not among them."""
    tool_errors: int = 0
    malformed_calls: int = 0
    resamples: int = 0
    retries: int = 0
    compactions: int = 0
    usage: Usage = field(default_factory=lambda: Usage(0, 0))
    cost_usd: float = 0.0
    last_cost_usd: float = 0.0
    model_seconds: float = 0.0
    tool_seconds: float = 0.0
    by_kind: Counter[ToolKind] = field(default_factory=Counter[ToolKind])
    repairs: Counter[Repair] = field(default_factory=Counter[Repair])
    guards: Counter[Guard] = field(default_factory=Counter[Guard])

    def add_reply(self, reply: ModelReply) -> None:
        """Take in one reply, kept or not."""
        self.retries += reply.retries
        for call in reply.message.tool_calls:
            if call.repairs:
                self.repairs.update(call.repairs)
        if reply.usage is not None:
            self.usage += reply.usage
            self.last_cost_usd = cost_usd(reply.usage, self.prices)
            self.cost_usd += self.last_cost_usd

    def add_call(self, kind: ToolKind) -> None:
        """Take in one call that is sent to a tool."""
        self.tool_calls += 1
        self.by_kind[kind] += 1

    def counts(self) -> Counts:
        """The counts for the outcome."""
        return Counts(
            turns=self.turns,
            searches=self.by_kind["search"],
            visits=self.by_kind["visit"],
            tool_calls=self.tool_calls,
            tool_errors=self.tool_errors,
            malformed_calls=self.malformed_calls,
            resamples=self.resamples,
            retries=self.retries,
            compactions=self.compactions,
            repairs=dict(self.repairs),
            guards=dict(self.guards),
        )


def cost_usd(usage: Usage, prices: Prices | None) -> float:
    """What the tokens of one reply cost; 0 without prices."""
    if prices is None:
        return 0.0
    cached = min(usage.cached_tokens or 0, usage.prompt_tokens)
    cached_price = prices.prompt if prices.cached_prompt is None else prices.cached_prompt
    dollars = (
        (usage.prompt_tokens - cached) * prices.prompt
        + cached * cached_price
        + usage.completion_tokens * prices.completion
    )
    return dollars / 1_000_000
