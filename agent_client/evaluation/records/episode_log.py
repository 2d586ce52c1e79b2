"""Stores one episode as it happens."""

import logging
import time
from collections.abc import Callable, Sequence

from agent_client.conversation import ToolCall, ToolResult
from agent_client.evaluation.episode_record import EpisodeKey, Span
from agent_client.evaluation.records.earlier_chain import EarlierChain
from agent_client.evaluation.records.event_segments import add_span
from agent_client.evaluation.records.stored_already import Diverged, StoredAlready
from agent_client.evaluation.waiting import seconds_waited
from agent_client.events import (
    AnswerDelta,
    Event,
    Finished,
    QuestionAsked,
    ReasoningDelta,
    ToolStarted,
    TurnStarted,
)
from agent_client.sessions.event_codec import EventWriter
from agent_client.sessions.journal import now_iso
from agent_client.sessions.known import Known
from agent_client.sessions.lenient_json import encoded

logger = logging.getLogger(__name__)

Append = Callable[[EpisodeKey, Sequence[bytes]], Span | None]
"""Writes lines of an episode, and says where they stand; None when they could not be written."""
Put = Callable[[ToolResult], str | None]
"""Stores what a tool returned, and says its digest; None when it could not be stored."""

_PATIENT = (QuestionAsked, TurnStarted, ToolStarted, Finished)
"""No loss by themselves, as the agent tells them again: they go out with the next line, which
behind `Finished` is the record."""


class EpisodeLog:
    """The journal of one episode (`agent_client.evaluation.ports.EpisodeJournal`).

    Attributes:
        key: of the episode.
        attempt: counts from 1.
        spans: where its lines stand, with those of the attempts that it continues.
        diverged: why what the agent does again is not what is stored of it; "" as long as it is.
            From then on nothing is stored: begin the episode afresh, with the next attempt's number
            and without `earlier`. Look before the live model is asked, or a live tool called.
    """

    def __init__(
        self,
        key: EpisodeKey,
        attempt: int,
        *,
        append: Append,
        put: Put,
        known: Known,
        chain: EarlierChain | None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Use `RunWriter.begin`.

        Args:
            key: of the episode.
            attempt: counts from 1.
            append: writes its lines.
            put: stores what its tools returned.
            known: what its lines may refer to.
            chain: what it goes on from, if it does.
            clock: monotonic seconds.
        """
        self.key, self.attempt, self.diverged = key, attempt, ""
        self.spans = list(chain.spans) if chain else list[Span]()
        self._append, self._put, self._clock = append, put, clock
        self._began = clock() - (chain.seconds if chain else 0.0)
        self._told_seconds = 0.0
        self._writer = EventWriter(known)
        self._stored = StoredAlready(chain.events) if chain else None
        self._waiting: list[bytes] = []
        # Each line begins so, and then goes on with its number.
        self._head = b'{"e":%s,"r":%d,"a":%d,' % (encoded(key.id), key.repeat, attempt)

    def emit(self, event: Event) -> None:
        """Store an event of the agent. What is stored already is not stored again."""
        if isinstance(event, ReasoningDelta | AnswerDelta) or self._is_stored(event):
            return
        try:
            line = self._writer.line(event, at=now_iso(), seconds=self._seconds())
        except ValueError as exc:
            logger.warning("an event of episode %r cannot be stored: %s", self.key.id[:80], exc)
            return
        if line is not None:
            self._waiting.append(self._head + line[1:])
            if not isinstance(event, _PATIENT):
                self.flush()

    def tool_returned(self, call: ToolCall, result: ToolResult) -> None:
        """Store what a tool returned live; of a replayed result it is not told again."""
        if self.diverged:
            return
        try:
            digest = self._put(result)
            if digest is None:
                return
            line = self._writer.returned_line(
                call, result, digest, at=now_iso(), seconds=self._seconds()
            )
        except ValueError as exc:
            logger.warning("a result of episode %r cannot be stored: %s", self.key.id[:80], exc)
            return
        self._waiting.append(self._head + line[1:])  # the event that tells of it follows at once

    def flush(self) -> None:
        """Write what waits for the next line."""
        if not self._waiting:
            return
        span = self._append(self.key, self._waiting)
        self._waiting.clear()
        if span:
            add_span(self.spans, span)

    def _seconds(self) -> float:
        """Since the episode began, by its own time: waits for servers left out; never back."""
        now = self._clock() - self._began - seconds_waited()
        self._told_seconds = max(self._told_seconds, now)
        return self._told_seconds

    def _is_stored(self, event: Event) -> bool:
        """Whether an event is stored already, or is not to be stored at all."""
        if self.diverged:
            return True
        if self._stored is None:
            return False
        try:
            is_stored = self._stored.has(event)
        except Diverged as exc:
            self.diverged = str(exc)
            return True
        if self._stored.is_over:
            self._stored = None
        return is_stored
