"""Where sessions are kept: one file each, in the user's data directory."""

import os
import re
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import platformdirs

from agent_client import __version__
from agent_client.conversation import Message
from agent_client.errors import SessionError
from agent_client.events import QuestionAsked
from agent_client.sessions import journal
from agent_client.sessions.event_codec import EventReader, UnknownEvent
from agent_client.sessions.session import Session, Warn, title_of, unsaved_session
from agent_client.sessions.stored_session import (
    CLOSED,
    FORMAT,
    FORMAT_VERSION,
    Kind,
    StoredRun,
    StoredSession,
    read_object,
    read_session,
)

DIRECTORY_MODE = 0o700
LAST = "last"
"""The name for the session that was written last; to go on with, the last one but reports."""
SUMMARY_BYTES = 8_192
"""What is read of each end of a file for a list of sessions."""
_FILE_NAME = re.compile(r"\d{8}T\d{6}Z-([0-9a-f]{12})\.jsonl")


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSummary:
    """What a list of sessions says about one."""

    id: str
    """12 hexadecimal digits."""
    kind: str
    created: str
    """ISO 8601 in UTC; "" where the file's beginning is damaged."""
    model: str
    title: str
    """The first question, shortened."""
    runs: int | None
    """Questions asked; None for a session that was cut off, whose file would have to be read."""
    ended: str
    """The last run's stop reason, `cut_off`, `being_written`, or "" where nothing was asked."""
    size_bytes: int


class SessionStore:
    """A directory of sessions."""

    def __init__(self, directory: Path) -> None:
        """Use a directory, which is made when the first session is written."""
        self.directory = directory

    def start(
        self,
        kind: Kind,
        *,
        warn: Warn,
        model: str = "",
        profile: str = "",
        profile_digest: str = "",
    ) -> Session:
        """Begin a session. An answer is worth more than its record.

        Where its file cannot be made, because the disk is full, say, it is forgotten at its end.

        Args:
            kind: the command that it belongs to.
            warn: told once when the session cannot be stored, or not any further.
            model: name of the model.
            profile: name of the profile.
            profile_digest: of all that the profile pins.
        """
        session_id = secrets.token_hex(6)
        stamp = re.sub(r"[-:]|\.\d+", "", journal.now_iso())
        header = {
            "format": FORMAT,
            "version": FORMAT_VERSION,
            "id": session_id,
            "kind": kind,
            "model": model,
            "profile": profile,
            "profile_digest": profile_digest,
            "seekling": __version__,
        }
        path = self.directory / f"{stamp}-{session_id}.jsonl"
        try:
            file = self._new_file(path, header)
        except SessionError as exc:
            warn(f"this session is not stored: {exc}")
            return unsaved_session(warn)
        stored = StoredSession(
            id=session_id,
            kind=kind,
            created=file.opened_at,
            model=model,
            profile=profile,
            profile_digest=profile_digest,
            version=__version__,
            path=path,
            runs=(),
            unreadable=0,
        )
        return Session(stored, file, reader=EventReader(), warn=warn)

    def _new_file(self, path: Path, header: Mapping[str, object]) -> journal.Journal:
        try:
            self.directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        except OSError as exc:
            raise SessionError(
                f"cannot make the directory {str(self.directory)!r}: {exc.strerror}"
            ) from exc
        try:
            return journal.Journal(path, header)
        except SessionError:
            with suppress(OSError):  # on a full disk its name may be all that there was room for
                path.unlink()
            raise

    def resume(self, name: str, *, warn: Warn) -> Session:
        """Go on with a session.

        Args:
            name: its id, the beginning of it, or `last`.
            warn: told once when the session cannot be stored any further.

        Raises:
            SessionError: there is no such session, another process writes it, or it is damaged in
                its first line.
        """
        path = self._path_of(name, is_to_go_on=True)
        read_session(path)  # before the file is touched: it may be no session
        file = journal.Journal(path, {"seekling": __version__})
        try:
            stored, reader = read_session(path)
        except BaseException:
            file.close()
            raise
        return Session(stored, file, reader=reader, warn=warn)

    def load(self, name: str) -> StoredSession:
        """Read a session, also one that is being written.

        Args:
            name: its id, the beginning of it, or `last`.

        Raises:
            SessionError: there is no such session, or it cannot be read.
        """
        return read_session(self._path_of(name))[0]

    def list(self, limit: int | None = None) -> list[SessionSummary]:
        """The sessions, the one written last first.

        Args:
            limit: most sessions; the others are not opened.

        Raises:
            SessionError: the directory cannot be read.
        """
        summaries: list[SessionSummary] = []
        for path, session_id in self._files():
            if limit is not None and len(summaries) >= limit:
                break
            try:
                summaries.append(_summary(path, session_id))
            except OSError:  # deleted meanwhile, or not ours to read
                continue
        return summaries

    def id_of(self, name: str) -> str:
        """The id of a session, be its file readable or not.

        Args:
            name: its id, the beginning of it, or `last`.

        Raises:
            SessionError: there is no such session.
        """
        return self._path_of(name).stem[-12:]

    def delete(self, name: str) -> str:
        """Delete a session and return its id.

        Args:
            name: its id or the beginning of it.

        Raises:
            SessionError: there is no such session, or a process is writing it.
        """
        path = self._path_of(name)
        try:
            journal.delete(path)
        except OSError as exc:
            raise SessionError(f"cannot delete {str(path)!r}: {exc.strerror}") from exc
        return path.stem[-12:]

    def _files(self) -> Sequence[tuple[Path, str]]:
        """Files and ids, the one written last first."""
        found: list[tuple[float, str, str]] = []
        try:
            with os.scandir(self.directory) as entries:
                for entry in entries:
                    name = _FILE_NAME.fullmatch(entry.name)
                    if name and entry.is_file(follow_symlinks=False):
                        written = entry.stat(follow_symlinks=False).st_mtime
                        found.append((written, entry.name, name[1]))
        except FileNotFoundError:
            return []
        except OSError as exc:
            raise SessionError(f"cannot read {str(self.directory)!r}: {exc.strerror}") from exc
        found.sort(reverse=True)
        return [(self.directory / name, session_id) for _, name, session_id in found]

    def _path_of(self, name: str, *, is_to_go_on: bool = False) -> Path:
        files = self._files()
        if not files:
            raise SessionError("no session is stored", hint='begin one with: seekling ask "…"')
        if name == LAST:
            paths = (path for path, _ in files)
            found = next(
                (path for path in paths if not is_to_go_on or _is_conversation(path)), None
            )
            if found is None:
                raise SessionError("no conversation is stored", hint="reports cannot be asked on")
            return found
        matching = [path for path, session_id in files if name and session_id.startswith(name)]
        if len(matching) == 1:
            return matching[0]
        if matching:
            ids = ", ".join(path.stem[-12:] for path in matching[:5])
            raise SessionError(f"{len(matching)} sessions begin with {name!r}: {ids}")
        raise SessionError(
            f"there is no session {name[:100]!r}", hint="see them with: seekling sessions list"
        )


def sessions_directory(data_dir: str) -> Path:
    """Where sessions are kept.

    Args:
        data_dir: the setting; "" is the user's data directory.
    """
    base = Path(data_dir).expanduser() if data_dir else platformdirs.user_data_path("seekling")
    return base / "sessions"


def continue_last(store: SessionStore, *, warn: Warn) -> tuple[Session, tuple[Message, ...]]:
    """The session that was written last, opened to go on, and the messages to build on.

    Raises:
        SessionError: no session is stored, or another process writes it.
    """
    session = store.resume(LAST, warn=warn)
    return session, session.history()


def _is_conversation(path: Path) -> bool:
    try:
        head, _ = journal.read_ends(path, SUMMARY_BYTES)
    except OSError:
        return False
    return bool(head) and read_object(head[0]).get("kind") in ("ask", "chat")


def _summary(path: Path, session_id: str) -> SessionSummary:
    head, tail = journal.read_ends(path, SUMMARY_BYTES)
    header = read_object(head[0]) if head else {}
    closed = read_object(tail[-1]).get(CLOSED) if tail else None
    opened = cast(Mapping[str, object], header.get("opened") or {})
    if isinstance(closed, Mapping):
        told = cast(Mapping[str, object], closed)
        title, ended, runs = (
            str(told.get("title", "")),
            str(told.get("ended", "")),
            told.get("runs"),
        )
    else:
        title, runs = _first_question(head[1:]), None
        ended = "being_written" if journal.is_being_written(path) else "cut_off"
    return SessionSummary(
        id=session_id,
        kind=str(header.get("kind", "")),
        created=str(opened.get("at", "")),
        model=str(header.get("model", "")),
        title=title,
        runs=runs if isinstance(runs, int) else None,
        ended=ended,
        size_bytes=path.stat().st_size,
    )


def _first_question(lines: list[bytes]) -> str:
    reader = EventReader()
    for line in lines:
        try:
            event = reader.read(line).event
        except UnknownEvent:
            continue
        if isinstance(event, QuestionAsked):
            return title_of([StoredRun(event.question)])
    return ""
