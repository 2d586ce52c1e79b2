"""Whether the agent could read the answers instead of finding them."""

from collections.abc import Sequence
from dataclasses import dataclass

from agent_client.evaluation.statistics.judged import Judged
from agent_client.evaluation.statistics.score import Score, score_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Contamination:
    """Pages that publish the benchmark, over the episodes that are over."""

    leaked_episodes: int
    """Episodes in which the agent was shown such a page."""
    leaked_pages: int
    """The pages shown, each counted once per episode."""
    without_leaked: Score
    """The score of all other episodes."""
    blocked_mirrors: int
    """Hits and visits of such pages that were kept from the model."""
    blocked_episodes: int
    """Episodes that had any of these."""


def contamination(episodes: Sequence[Judged], score: Score) -> Contamination:
    """Count the pages that publish the benchmark.

    Args:
        episodes: of the run.
        score: of all of them.
    """
    records = [record for episode in episodes if (record := episode.settled)]
    leaked = sum(bool(r.leaks) for r in records)
    return Contamination(
        leaked_episodes=leaked,
        leaked_pages=sum(len(r.leaks) for r in records),
        without_leaked=score_of(e for e in episodes if not (e.settled and e.settled.leaks))
        if leaked
        else score,
        blocked_mirrors=sum(r.blocked_mirrors for r in records),
        blocked_episodes=sum(r.blocked_mirrors > 0 for r in records),
    )
