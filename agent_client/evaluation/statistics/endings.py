"""How the episodes of a run ended, and what went wrong on the way."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from agent_client.evaluation.episode_record import EpisodeRecord, Status
from agent_client.evaluation.statistics.judged import Judged


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """One way in which episodes ended."""

    status: Status | Literal["not_ended"]
    """`not_ended`: it never began, is at work, or was cut off; there is no record of it."""
    stop_reason: str
    """"" where it was stopped from outside."""
    error: str
    """The class of the error; "" where there is none."""
    episodes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """What had to be put right, over the episodes that are over."""

    of: int
    """How many these are: what the numbers below are divided by, per question."""
    tool_errors: float
    """Per question, as all of these: results that were failures."""
    malformed_calls: float
    """Calls that could not be read."""
    resamples: float
    """Replies that were thrown away and asked for again."""
    retries: float
    """Model requests that failed and were sent again."""
    tool_retries: float
    """Calls that were made again because the tool's side had failed."""
    compactions: float
    """Changes of what the model had been shown."""
    repairs: Mapping[str, float]
    """Calls that needed a repair, by its kind."""
    guards: Mapping[str, float]
    """What the loop stepped in for, by its kind."""
    continued_episodes: int
    """Episodes that went on in the middle after a crash or a failure."""
    continued_turns: int
    """The turns that these took over."""


def endings(episodes: Iterable[Judged]) -> tuple[Ending, ...]:
    """All ways in which episodes ended, the most frequent first."""
    counts = Counter(_ending(episode.record) for episode in episodes)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return tuple(
        Ending(status=status, stop_reason=reason, error=error, episodes=number)
        for (status, reason, error), number in ordered
    )


def budget_stops(records: Iterable[EpisodeRecord]) -> dict[str, int]:
    """How many episodes each limit of the profile ended."""
    counts = Counter(r.stop_reason for r in records if r.status == "budget")
    return {reason: counts[reason] for reason in sorted(counts)}


def trouble(records: Sequence[EpisodeRecord]) -> Trouble:
    """What had to be put right in settled episodes."""
    of = len(records)
    repairs: Counter[str] = Counter()
    guards: Counter[str] = Counter()
    for record in records:
        repairs.update(record.counts.repairs)
        guards.update(record.counts.guards)

    def each(values: Iterable[int]) -> float:
        return sum(values) / of if of else 0.0

    return Trouble(
        of=of,
        tool_errors=each(r.counts.tool_errors for r in records),
        malformed_calls=each(r.counts.malformed_calls for r in records),
        resamples=each(r.counts.resamples for r in records),
        retries=each(r.counts.retries for r in records),
        tool_retries=each(r.tool_retries for r in records),
        compactions=each(r.counts.compactions for r in records),
        repairs={name: repairs[name] / of for name in sorted(repairs)},
        guards={name: guards[name] / of for name in sorted(guards)},
        continued_episodes=sum(r.continued_turns > 0 for r in records),
        continued_turns=sum(r.continued_turns for r in records),
    )


def _ending(record: EpisodeRecord | None) -> tuple[Status | Literal["not_ended"], str, str]:
    if record is None:
        return "not_ended", "", ""
    return record.status, record.stop_reason, record.error.type if record.error else ""
