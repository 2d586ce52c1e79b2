"""A session that is being written."""

import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from agent_client import __version__
from agent_client.clean import terminal_line
from agent_client.conversation import Message
from agent_client.events import (
    AnswerDelta,
    Compacted,
    Emit,
    Event,
    ModelReplied,
    QuestionAsked,
    ReasoningDelta,
    Resampled,
    ToolStarted,
    TurnStarted,
)
from agent_client.sessions.event_codec import EventReader, EventWriter, Recorded
from agent_client.sessions.history import fit_history, messages_after
from agent_client.sessions.journal import Journal, now_iso
from agent_client.sessions.stored_session import (
    CLOSED,
    UNDONE,
    StoredRun,
    StoredSession,
    add_to_runs,
)

TITLE_CHARS = 120

Warn = Callable[[str], None]
"""Takes one line for the person."""


class Session:
    """A session that is being written. As a context manager it is closed at the end.

    Attributes:
        id: 12 hexadecimal digits.
        kind: the command that it belongs to.
        cut_bytes: what was cut off the end of its file, where the last writer died in a line.
        runs: what was asked so far; the last one may be at work.
    """

    def __init__(
        self, stored: StoredSession, file: Journal | None, *, reader: EventReader, warn: Warn
    ) -> None:
        """Use `SessionStore.start`, `SessionStore.resume` and `unsaved_session`.

        Args:
            stored: what was said before.
            file: where events go; None stores nothing.
            reader: that has read the events before.
            warn: told once when the session cannot be stored any further.
        """
        self.id, self.kind = stored.id, stored.kind
        self.cut_bytes = file.cut_bytes if file else 0
        self.runs = list(stored.runs)
        self._stored, self._file, self._warn = stored, file, warn
        self._writer = EventWriter(reader.known)
        self._number = reader.known.next_number
        self._waiting: list[bytes] = []
        self._run_started = time.monotonic()

    def emit(self, event: Event) -> None:
        """Store an event. Never raises: on a full disk the person is told once, the run goes on."""
        if isinstance(event, ReasoningDelta | AnswerDelta):
            return
        if isinstance(event, QuestionAsked):
            self._run_started = time.monotonic()
        at, seconds = now_iso(), time.monotonic() - self._run_started
        add_to_runs(self.runs, Recorded(self._number, at, seconds, _as_stored(event)))
        try:
            line = self._writer.line(event, at=at, seconds=seconds)
        except ValueError as exc:
            self._warn(f"an event is missing in the stored session: {exc}")
            return
        if line is not None:
            self._number += 1
            if isinstance(event, TurnStarted | ToolStarted):
                self._waiting.append(line)  # no loss by itself: it goes out with the next line
            else:
                self._append(line)

    def undo(self) -> StoredRun | None:
        """Take the last run back that is not taken back yet: later questions ignore it."""
        for number, run in reversed(list(enumerate(self.runs, start=1))):
            if not run.is_undone:
                run.is_undone = True
                self._append(msgspec.json.encode({UNDONE: number}))
                return run
        return None

    def content(self) -> StoredSession:
        """The session as it is now."""
        return replace(self._stored, runs=tuple(self.runs))

    def history(self) -> tuple[Message, ...]:
        """The messages that the next question builds on, without the system message."""
        return messages_after(self.runs)

    def next_run(
        self, question: str, context_tokens: int, show: Emit
    ) -> tuple[tuple[Message, ...], Emit]:
        """What the next question builds on, and whom its run has to tell its events.

        Args:
            question: that is asked next.
            context_tokens: of the model; 0 where it is not known.
            show: told each event after it was stored; behind the question also how the history was
                shortened, where it did not fit.

        Returns:
            `history` and `emit` of `Agent.ask`.
        """
        before = self.history()
        history, shortening = fit_history(before, context_tokens)
        asked = Message(role="user", text=question)
        change = Compacted(shortening, (*before, asked), (*history, asked))

        def emit(event: Event) -> None:
            self.emit(event)
            show(event)
            if shortening and isinstance(event, QuestionAsked):
                self.emit(change)
                show(change)

        return history, emit

    def close(self) -> None:
        """End the file and let others write it."""
        last = self.runs[-1] if self.runs else None
        closing = {
            "at": now_iso(),
            "runs": len(self.runs),
            "title": title_of(self.runs),
            "ended": ending_of(last),
        }
        self._append(msgspec.json.encode({CLOSED: closing}))
        if self._file:
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _append(self, line: bytes) -> None:
        if self._file is None:
            return
        lines = (*self._waiting, line)
        self._waiting.clear()
        try:
            self._file.append(*lines)
        except OSError as exc:
            self._warn(f"this session is not stored any further: {exc.strerror}")
            self._file.close()
            self._file = None


def _as_stored(event: Event) -> Event:
    """An event as its file gives it back: each prompt repeats all before it, and is not kept."""
    match event:
        case ModelReplied(turn=turn, reply=reply, seconds=seconds) if reply.prompt:
            return ModelReplied(turn, replace(reply, prompt="", completion=""), seconds)
        case Resampled(turn=turn, reason=reason, reply=reply) if reply.prompt:
            return Resampled(turn, reason, replace(reply, prompt="", completion=""))
        case _:
            return event


def title_of(runs: Iterable[StoredRun]) -> str:
    """The first question, on one line of at most `TITLE_CHARS` characters."""
    return next((terminal_line(run.question, TITLE_CHARS) for run in runs), "")


def ending_of(run: StoredRun | None) -> str:
    """How a session's last run ended: a stop reason, "cut_off", or "" where nothing was asked."""
    if run is None:
        return ""
    return run.outcome.stop_reason if run.outcome else "cut_off"


def unsaved_session(warn: Warn) -> Session:
    """A session that is forgotten at its end."""
    nothing = StoredSession(
        id="",
        kind="chat",
        created=now_iso(),
        model="",
        profile="",
        profile_digest="",
        version=__version__,
        path=Path(),
        runs=(),
        unreadable=0,
    )
    return Session(nothing, None, reader=EventReader(), warn=warn)
