"""A stored conversation: its file, read, and the messages that a follow-up builds on."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

import msgspec

from agent_client.agent.outcome import Outcome
from agent_client.errors import SessionError
from agent_client.events import Finished, QuestionAsked
from agent_client.sessions.event_codec import EventReader, Recorded, UnknownEvent
from agent_client.sessions.journal import read_lines

Kind = Literal["ask", "chat", "report", "api", "research", "bench"]
"""The command that a session belongs to; `api` is `serve`, `research` is `mcp`."""

FORMAT = "seekling-session"
FORMAT_VERSION = 1
UNDONE = "undone"
"""Key of the line that takes a run back; its value is the run's number, from 1."""
CLOSED = "closed"
"""Key of the line that a session ends with, so that a list of sessions need not read it all."""
MAX_SESSION_BYTES = 2**30


@dataclass(slots=True)
class StoredRun:
    """One question and what came of it."""

    question: str
    events: list[Recorded] = field(default_factory=list[Recorded])
    outcome: Outcome | None = None
    """None while it runs, and for a run that was cut off."""
    is_undone: bool = False
    """Whether the person took it back: later questions do not build on it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSession:
    """Everything that a session's file says."""

    id: str
    """12 hexadecimal digits."""
    kind: Kind
    created: str
    """ISO 8601 in UTC."""
    model: str
    profile: str
    profile_digest: str
    version: str
    """Of Seekling, that began it."""
    path: Path
    runs: tuple[StoredRun, ...]
    unreadable: int
    """Lines that were damaged or are of a newer version."""


def read_session(path: Path) -> tuple[StoredSession, EventReader]:
    """Read a session's file, damaged or not.

    Returns:
        The session, and the reader from which a writer goes on.

    Raises:
        SessionError: it is not there, cannot be read, or is no session.
    """
    where = f"session file {str(path)!r}"
    try:
        if path.stat().st_size > MAX_SESSION_BYTES:
            raise SessionError(f"{where} has more than {MAX_SESSION_BYTES:,} bytes")
        lines = read_lines(path)
        header = read_object(next(lines, b""))
        if header.get("format") != FORMAT:
            raise SessionError(f"{where} is no session")
        if header.get("version") != FORMAT_VERSION:
            raise SessionError(
                f"{where} has the format version {header.get('version')!r}",
                hint=f"this Seekling reads version {FORMAT_VERSION}: install a newer one",
            )
        reader, runs, unreadable = EventReader(), list[StoredRun](), 0
        for line in lines:
            unreadable += not _take_in(line, runs, reader)
    except OSError as exc:
        raise SessionError(f"cannot read {where}: {exc.strerror}") from exc
    opened = cast(Mapping[str, object], header.get("opened") or {})
    named = {key: str(header.get(key, "")) for key in ("id", "model", "profile", "profile_digest")}
    session = StoredSession(
        kind=cast(Kind, str(header.get("kind", "ask"))),
        created=str(opened.get("at", "")),
        version=str(header.get("seekling", "")),
        path=path,
        runs=tuple(runs),
        unreadable=unreadable,
        **named,
    )
    return session, reader


def _take_in(line: bytes, runs: list[StoredRun], reader: EventReader) -> bool:
    """Add what a line says to the runs; False where it cannot be read."""
    if not line.startswith(b'{"n":'):
        told = read_object(line)
        number = told.get(UNDONE)
        if isinstance(number, int) and 1 <= number <= len(runs):
            runs[number - 1].is_undone = True
        return bool(told)
    try:
        recorded = reader.read(line)
    except UnknownEvent:
        return False
    add_to_runs(runs, recorded)
    return True


def add_to_runs(runs: list[StoredRun], recorded: Recorded) -> None:
    """Add the next event of a session to the run that it belongs to."""
    event = recorded.event
    if isinstance(event, QuestionAsked) or not runs:
        runs.append(StoredRun(event.question if isinstance(event, QuestionAsked) else ""))
    runs[-1].events.append(recorded)
    if isinstance(event, Finished) and isinstance(event.outcome, Outcome):
        runs[-1].outcome = event.outcome


def read_object(line: bytes) -> Mapping[str, object]:
    """The JSON object of a line that is no event; empty where it is none."""
    try:
        return msgspec.json.decode(line, type=dict[str, object], dec_hook=lambda _, value: value)
    except (ValueError, RecursionError):
        return {}
