"""Counts what happens in an episode on its way into the journal."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Protocol, cast

import anyio

from agent_client.agent.offered_tools import ToolKind, kind_of
from agent_client.conversation import ToolCall, ToolResult, ToolSpec
from agent_client.evaluation.ports import EpisodeJournal
from agent_client.evaluation.runner.progress import Progress
from agent_client.events import AnswerDelta, Event, ModelReplied, ReasoningDelta
from agent_client.tool_meta import SEARCH_META


class CheckedJournal(EpisodeJournal, Protocol):
    """A journal that compares what is done again with what it holds."""

    diverged: str
    """Why the agent does not do again what is stored of it; "" as long as it does."""


class WatchedJournal:
    """The journal of one attempt, and the run's counters. Implements `EpisodeJournal`.

    Attributes:
        scope: of the attempt; cancelled as soon as the agent does not do again what is stored, so
            that nothing is asked for in vain.
    """

    def __init__(self, journal: CheckedJournal, progress: Progress, *, taken_over: int) -> None:
        """Pass everything on to `journal`; the first `taken_over` replies were counted before."""
        self.scope = anyio.CancelScope()
        self._journal, self._progress = journal, progress
        self._taken_over = taken_over

    def emit(self, event: Event) -> None:
        """Pass an event on; what a person would watch goes nowhere."""
        kind = type(event)
        if kind is ReasoningDelta or kind is AnswerDelta:
            return
        self._journal.emit(event)
        if isinstance(event, ModelReplied):
            self._count_reply(event)
        if self._journal.diverged:
            self.scope.cancel()

    def tool_returned(self, call: ToolCall, result: ToolResult) -> None:
        """Pass a result on."""
        self._journal.tool_returned(call, result)
        progress = self._progress
        kind = _kind(call.name)
        if kind == "search":
            progress.searches += 1
        elif kind == "visit":
            progress.visits += 1
        if result.is_error:
            progress.tool_errors += 1
        told = result.meta.get(SEARCH_META)
        if isinstance(told, Mapping) and cast(Mapping[str, object], told).get("cached") is True:
            progress.cache_hits += 1

    def _count_reply(self, event: ModelReplied) -> None:
        if self._taken_over:
            self._taken_over -= 1
            return
        progress = self._progress
        progress.turns += 1
        if usage := event.reply.usage:
            progress.prompt_tokens += usage.prompt_tokens
            progress.completion_tokens += usage.completion_tokens


@lru_cache(maxsize=64)
def _kind(name: str) -> ToolKind:
    """What a tool counts as, by its name alone."""
    return kind_of(ToolSpec(name, "", {}))
