"""Searches and visits per question."""

from collections.abc import Iterable
from dataclasses import dataclass

from agent_client.evaluation.episode_record import EpisodeRecord
from agent_client.evaluation.statistics.intervals import Mean, mean_by


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolMeans:
    """The means of calls that were sent to a tool; repeated and refused ones are none."""

    searches: Mean
    visits: Mean
    total: Mean
    """Of all tools, also of those that neither search nor visit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolUse:
    """Tool calls per question, over which questions: model cards do not say, so both are told."""

    settled: ToolMeans
    """Over all episodes that are over."""
    answered: ToolMeans
    """Over those that the model itself ended with an answer."""


def tool_use(records: Iterable[EpisodeRecord]) -> ToolUse:
    """The means of settled episodes."""
    told = tuple(records)
    answered = tuple(r for r in told if r.status == "ok" and r.answer.strip())
    return ToolUse(settled=_means(told), answered=_means(answered))


def _means(records: tuple[EpisodeRecord, ...]) -> ToolMeans:
    questions = [record.id for record in records]
    return ToolMeans(
        searches=mean_by(questions, [record.counts.searches for record in records]),
        visits=mean_by(questions, [record.counts.visits for record in records]),
        total=mean_by(questions, [record.counts.tool_calls for record in records]),
    )
