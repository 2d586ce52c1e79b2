"""One episode: the shipped agent on one question, and the record of it.

Nothing that goes wrong in one episode reaches another: whatever is raised, but a cancellation,
becomes a record. What a server, a tool or a bug of ours did is an `infra_error` and says nothing
about the agent. A question that the agent does not take, because it is empty or too long, is the
agent's own refusal: it would refuse it each time. So the episode is settled, without an answer, and
counts in every denominator; the record's error says why.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol

import anyio
import msgspec

from agent_client.agent.agent import Agent
from agent_client.agent.outcome import LIMIT_REASONS, Outcome
from agent_client.conversation import ToolCall, ToolResult
from agent_client.errors import ConfigError, SeeklingClientError
from agent_client.evaluation.episode_record import (
    EpisodeRecord,
    Evidence,
    RecordedError,
    Status,
)
from agent_client.evaluation.ports import Episode, EpisodeJournal, Solve
from agent_client.evaluation.records.resume_plan import WAITED, WEB_OUT_OF_REACH
from agent_client.evaluation.runner.continued import (
    ContinuedModel,
    ContinuedTools,
    EarlierLeft,
    EpisodeClock,
    ReplayDiverged,
)
from agent_client.evaluation.runner.pace import Pace
from agent_client.evaluation.runner.page_outage import PageOutage
from agent_client.evaluation.runner.search_outage import SearchOutage
from agent_client.evaluation.runner.tool_failures import (
    NO_PAGE,
    NO_PAGE_HINT,
    RetriedTools,
    ToolRetryPolicy,
)
from agent_client.evaluation.waiting import waits_go_to
from agent_client.ports import Toolbox
from agent_client.sessions.journal import now_iso

logger = logging.getLogger(__name__)

RESTART = ReplayDiverged.__name__
"""Type of the error of an attempt that could not go on as the one before it had begun."""
DEADLINE = "EpisodeDeadline"
"""Type of the error of an attempt that was cut off by its hard deadline."""
NO_PAGE_YET = "no page that it visited could be read, and none has been read since"
"""Said of an attempt that ended before it was clear whether its pages were dead or the web away."""
MAX_ERROR_CHARS = 2_000
"""Of an error's message in a record."""
MAX_SILENT_SHARE = 0.5
"""Of the limit of time: where it ends during a request to the model that has brought no token for
longer than that, the model's server hangs. Less says nothing: on a CPU a long prompt takes long."""
_WAITED_HINT = (
    "see whether the servers hang, or resume with fewer questions at once (--concurrency)"
)
_DEADLINE_HINT = "see whether the model's server or a tool hangs, and resume the run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Noticed:
    """What was noticed about the pages and results of one episode."""

    leaks: tuple[str, ...] = ()
    blocked_mirrors: int = 0
    replay_misses: int = 0
    evidence: Evidence | None = None


class EpisodeTools(Toolbox, Protocol):
    """The tools of one episode, which also watch what they give."""

    def took_over(self, call: ToolCall, result: ToolResult) -> None:
        """See a result that an attempt before has stored: the tool is not called for it."""
        ...

    def noticed(self, outcome: Outcome | None) -> Noticed:
        """What was noticed until now; with the outcome also what the answer cites."""
        ...


ToolsFor = Callable[[Episode, Toolbox], EpisodeTools]
"""Makes the tools of an episode from those of the agent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EpisodeSettings:
    """How an episode is run, besides the agent's profile."""

    question_seconds: float = 1_800.0
    """Longest time of one attempt. The agent's own limits end it earlier; where they do not,
    something hangs."""
    retries: ToolRetryPolicy = field(default_factory=ToolRetryPolicy)


def solver(
    agent: Agent,
    settings: EpisodeSettings,
    *,
    tools_for: ToolsFor | None = None,
    search_pace: Pace | None = None,
) -> Solve:
    """Works on episodes with the shipped agent.

    Args:
        agent: of every episode; its tools as they come from the server.
        settings: how.
        tools_for: puts something between the agent and its tools: a recording, a guard. None
            leaves them as they are.
        search_pace: of all searches together; None sets none.
    """
    outages = PageOutage(), SearchOutage()

    async def solve(episode: Episode, journal: EpisodeJournal) -> EpisodeRecord:
        attempt = _Attempt(agent, settings, episode, journal, tools_for, search_pace, outages)
        return await attempt.record()

    return solve


def unfinished(
    episode: Episode, status: Status, error: RecordedError | None = None
) -> EpisodeRecord:
    """The record of an attempt of which there is no outcome."""
    question = episode.question
    return EpisodeRecord(
        id=question.id,
        repeat=episode.repeat,
        attempt=episode.attempt,
        status=status,
        question=question.question,
        answers=question.answers,
        fields=question.fields,
        error=error,
        run_id=episode.run_id,
        seed=episode.seed,
        ended=now_iso(),
    )


def recorded_error(error: BaseException) -> RecordedError:
    """An error as it is recorded; of a group of them the first one."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return RecordedError(
        type=type(error).__name__,
        message=str(error)[:MAX_ERROR_CHARS],
        hint=error.hint if isinstance(error, SeeklingClientError) else "",
    )


class _Attempt:
    """The work on one episode, once."""

    def __init__(
        self,
        agent: Agent,
        settings: EpisodeSettings,
        episode: Episode,
        journal: EpisodeJournal,
        tools_for: ToolsFor | None,
        search_pace: Pace | None,
        outages: tuple[PageOutage, SearchOutage],
    ) -> None:
        self._episode, self._journal, self._settings = episode, journal, settings
        self._started = now_iso()
        self._clock = EpisodeClock()
        self._left = EarlierLeft(episode.earlier, self._clock)
        self._watch = tools_for(episode, agent.tools) if tools_for else None
        inner = self._watch or agent.tools
        self._outage, search_outage = outages
        self._tools = RetriedTools(
            inner,
            settings.retries,
            search_pace=search_pace,
            outage=self._outage,
            search_outage=search_outage,
        )
        self._model = ContinuedModel(agent.model, self._left, seed=episode.seed)
        saw = self._watch.took_over if self._watch else None
        tools = ContinuedTools(self._tools, self._left, journal, saw)
        self._agent = replace(agent, model=self._model, tools=tools, clock=self._clock)

    async def record(self) -> EpisodeRecord:
        """Work, and say what came of it. Raises nothing but a cancellation."""
        seconds = self._settings.question_seconds
        try:
            with anyio.move_on_after(seconds), waits_go_to(self._clock.hold):
                return self._of_outcome(
                    await self._agent.ask(
                        self._episode.question.question,
                        emit=self._journal.emit,
                        run_id=self._episode.run_id,
                    )
                )
            message = f"not done within {seconds:g} s"
            error = RecordedError(type=DEADLINE, message=message, hint=_DEADLINE_HINT)
        except ConfigError as exc:
            error = recorded_error(exc)
            if not self._model.requests:  # the agent does not take the question
                return msgspec.structs.replace(self._record("ok", error), stop_reason="no_answer")
        except Exception as exc:  # noqa: BLE001 - one bad question does not end the run
            error = self._unexpected(exc)
        return self._record("infra_error", error)

    def _unexpected(self, exc: Exception) -> RecordedError:
        if self._left.diverged:
            return RecordedError(type=RESTART, message=self._left.diverged)
        key = self._episode.key
        logger.error("question %r, repeat %d: an unexpected error", *key, exc_info=exc)
        return recorded_error(exc)

    def _of_outcome(self, outcome: Outcome) -> EpisodeRecord:
        reason = outcome.stop_reason
        status: Status = "budget" if reason in LIMIT_REASONS else "ok"
        if reason in ("model_error", "tool_error"):
            status = "infra_error"
        error = recorded_error(outcome.error) if outcome.error else None
        if reason == "time_limit" and (waited := self._waited()):
            error = RecordedError(type=WAITED, message=waited, hint=_WAITED_HINT)
            status = "infra_error"
        if self._tools.unread and self._outage.is_on:
            error = RecordedError(type=WEB_OUT_OF_REACH, message=NO_PAGE, hint=NO_PAGE_HINT)
            status = "infra_error"
        elif status != "infra_error" and self._is_doubted():
            error = RecordedError(type=WEB_OUT_OF_REACH, message=NO_PAGE_YET, hint=NO_PAGE_HINT)
            status = "infra_error"
        return msgspec.structs.replace(
            self._record(status, error, outcome),
            stop_reason=reason,
            answer=outcome.answer,
            short_answer=outcome.short_answer,
            counts=outcome.counts,
            usage=outcome.usage,
            cost_usd=outcome.cost_usd,
            seconds=outcome.seconds,
            model_seconds=outcome.timings.get("model", 0.0),
            tool_seconds=outcome.timings.get("tools", 0.0),
            prefix=outcome.prefix,
            sources=outcome.sources,
        )

    def _is_doubted(self) -> bool:
        """Whether the episode read nothing, and it is not known yet whether anybody could."""
        tools = self._tools
        if tools.has_read or not tools.unread:
            return False
        return self._outage.doubts(self._episode.key, tools.reads_before)

    def _waited(self) -> str:
        """What was waited for when the time ran out; "" where the agent was at work."""
        clock = self._clock
        if clock.was_cut:
            return f"waited {clock.waited_seconds:,.0f} s until its servers took more"
        if clock.silent_seconds > MAX_SILENT_SHARE * self._agent.profile.limits.seconds:
            return f"the model had said nothing for {clock.silent_seconds:,.0f} s"
        return ""

    def _record(
        self, status: Status, error: RecordedError | None, outcome: Outcome | None = None
    ) -> EpisodeRecord:
        noticed = self._watch.noticed(outcome) if self._watch else Noticed()
        return msgspec.structs.replace(
            unfinished(self._episode, status, error),
            seconds=self._clock(),
            evidence=noticed.evidence,
            leaks=noticed.leaks,
            blocked_mirrors=noticed.blocked_mirrors,
            replay_misses=noticed.replay_misses,
            tool_retries=self._tools.retries,
            continued_turns=self._model.taken_over,
            endpoint=self._model.endpoint,
            started=self._started,
        )
