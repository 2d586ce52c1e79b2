"""What the answers took: turns, tokens, money and time."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from agent_client.evaluation.episode_record import EpisodeRecord
from agent_client.evaluation.statistics.intervals import Mean, mean_by
from agent_client.evaluation.statistics.percentiles import Percentiles, percentiles_of


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixMeans:
    """How much of each prompt a prefix cache could take over."""

    of: int
    """Episodes of more than one turn whose prompts are known."""
    mean: float
    """Over all their turns, each turn counting the same."""
    worst: float
    """The worst single turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """Per question, over the episodes that are over. Every mean says over how many."""

    turns: Mean
    prompt_tokens: Mean
    """Of a whole episode; only where the endpoint counts, which `of` shows."""
    completion_tokens: Mean
    """Likewise; with the reasoning."""
    cached_share: float | None
    """Of all prompt tokens of the episodes whose endpoint tells it."""
    cost_usd: Mean
    """Only where prices are known."""
    total_cost_usd: float | None
    """The sum of these."""
    seconds: Mean
    """From the question to the answer."""
    seconds_percentiles: Percentiles | None
    model_share: float | None
    """Of all seconds, those that the model took."""
    tool_share: float | None
    """Likewise of the tools. Calls side by side count once each, so that it can exceed 1."""
    prefix: PrefixMeans | None
    """None where no prompt is known."""


def effort(records: Sequence[EpisodeRecord]) -> Effort:
    """The means of settled episodes."""
    counted = [r for r in records if r.usage.prompt_tokens or r.usage.completion_tokens]
    paid = {i: r.cost_usd for i, r in enumerate(records) if r.cost_usd is not None}
    seconds = [r.seconds for r in records]
    all_seconds = math.fsum(seconds)
    questions = [r.id for r in records]
    asked = [r.id for r in counted]
    return Effort(
        turns=mean_by(questions, [r.counts.turns for r in records]),
        prompt_tokens=mean_by(asked, [r.usage.prompt_tokens for r in counted]),
        completion_tokens=mean_by(asked, [r.usage.completion_tokens for r in counted]),
        cached_share=_cached_share(counted),
        cost_usd=mean_by([questions[i] for i in paid], list(paid.values())),
        total_cost_usd=math.fsum(paid.values()) if paid else None,
        seconds=mean_by(questions, seconds),
        seconds_percentiles=percentiles_of(seconds),
        model_share=_part(all_seconds, [r.model_seconds for r in records]),
        tool_share=_part(all_seconds, [r.tool_seconds for r in records]),
        prefix=_prefix(records),
    )


def _part(whole: float, parts: Sequence[float]) -> float | None:
    return math.fsum(parts) / whole if whole else None


def _cached_share(records: Sequence[EpisodeRecord]) -> float | None:
    told = [r.usage for r in records if r.usage.cached_tokens is not None]
    prompts = sum(usage.prompt_tokens for usage in told)
    return sum(usage.cached_tokens or 0 for usage in told) / prompts if prompts else None


def _prefix(records: Sequence[EpisodeRecord]) -> PrefixMeans | None:
    told = [r.prefix for r in records if r.prefix is not None and r.prefix.turns]
    if not told:
        return None
    turns = sum(prefix.turns for prefix in told)
    return PrefixMeans(
        of=len(told),
        mean=math.fsum(prefix.mean * prefix.turns for prefix in told) / turns,
        worst=min(prefix.worst for prefix in told),
    )
