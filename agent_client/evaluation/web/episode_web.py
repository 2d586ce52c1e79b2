"""Puts the parts together: the tools of one episode, as the runner asks for them."""

from collections.abc import Sequence
from dataclasses import dataclass

from agent_client.agent.outcome import Outcome
from agent_client.conversation import ToolCall, ToolResult, ToolSpec
from agent_client.evaluation.ports import Episode
from agent_client.evaluation.runner.episode import EpisodeTools, Noticed
from agent_client.evaluation.web.evidence import evidence_of
from agent_client.evaluation.web.mirrors import MirrorGuard
from agent_client.evaluation.web.recorded_web import RecordedWeb
from agent_client.evaluation.web.recording import (
    OnMiss,
    Recording,
    RecordingTools,
    ReplayedTools,
)
from agent_client.ports import Toolbox


@dataclass(frozen=True, slots=True, kw_only=True)
class WebSettings:
    """How the web is given to the episodes of a run. Call it to get the tools of one."""

    replay: RecordedWeb | None = None
    """Answers from a recording; with `record` only what it does not hold is fetched."""
    record: Recording | None = None
    """Stores every answer, also those of `replay`, so that the new run can be replayed too."""
    on_miss: OnMiss = "stop"
    allow_mirrors: bool = False
    """Whether mirrors of benchmarks are shown, and only marked."""

    def __call__(self, episode: Episode, tools: Toolbox) -> EpisodeTools:
        """The tools of an episode; a `runner.episode.ToolsFor`."""
        return EpisodeWeb(episode, tools, self)


class EpisodeWeb:
    """The tools of one episode: recorded or replayed, without mirrors, and watched."""

    def __init__(self, episode: Episode, tools: Toolbox, settings: WebSettings) -> None:
        """Stand between the agent and its tools; what is replayed never calls them."""
        self._gold_pages = episode.question.gold_pages
        self._replayed: ReplayedTools | None = None
        if settings.replay is not None:
            self._replayed = tools = ReplayedTools(
                settings.replay,
                episode.key,
                live=tools if settings.record else None,
                on_miss=settings.on_miss,
            )
        if settings.record is not None:
            tools = RecordingTools(tools, settings.record, episode)
        question = episode.question.question
        self._guard = MirrorGuard(tools, question, blocks=not settings.allow_mirrors)

    async def list_tools(self) -> Sequence[ToolSpec]:
        """List the tools.

        Raises:
            ToolServerError: the connection to the tool server is broken.
        """
        return await self._guard.list_tools()

    async def call(self, call: ToolCall) -> ToolResult:
        """Run a call.

        Raises:
            ToolServerError: the connection to the tool server is broken, or the call is not
                recorded.
        """
        return await self._guard.call(call)

    def took_over(self, call: ToolCall, result: ToolResult) -> None:
        """See a result that an attempt before has stored: the tool is not called for it."""
        if self._replayed is not None:
            self._replayed.took_over(call)
        self._guard.saw(call, result)

    def noticed(self, outcome: Outcome | None) -> Noticed:
        """What was noticed until now; with the outcome also what the answer cites."""
        return Noticed(
            leaks=self._guard.leaks,
            blocked_mirrors=self._guard.blocked,
            replay_misses=self._replayed.misses if self._replayed else 0,
            evidence=evidence_of(self._gold_pages, self._guard.shown, outcome),
        )
