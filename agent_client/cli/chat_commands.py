"""The `/commands` of `seekling chat`."""

import difflib
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from agent_client.cli.answer_form import Look, source_lines
from agent_client.cli.colour import can_link
from agent_client.cli.sessions import session_lines
from agent_client.errors import SeeklingClientError
from agent_client.sessions.export import to_markdown

if TYPE_CHECKING:
    from agent_client.cli.chat_talk import Chat
    from agent_client.sessions.stored_session import StoredRun

LISTED_SESSIONS = 10


def obey(chat: "Chat", line: str) -> str:
    """Do what a line such as `/save notes.md` says.

    Returns:
        A question to ask next; "" for none.
    """
    name, _, argument = line.partition(" ")
    command = COMMANDS.get(name)
    if command is None:
        close = difflib.get_close_matches(name, COMMANDS, n=1, cutoff=0.4)
        hint = f"did you mean {close[0]}?" if close else "see /help"
        chat.tell(f"there is no command {name}: {hint}")
        return ""
    try:
        return command[0](chat, argument.strip()) or ""
    except SeeklingClientError as exc:
        chat.fail(exc)
        return ""


def _help(chat: "Chat", _: str) -> None:
    for name, (_do, argument, purpose) in COMMANDS.items():
        print(f"{f'{name} {argument}':22} {purpose}", file=sys.stderr)  # `tell` folds blanks


def _sources(chat: "Chat", _: str) -> None:
    run = _last_run(chat)
    sources = run.outcome.sources if run and run.outcome else ()
    for line in source_lines(sources, Look(has_links=can_link(sys.stdout))):
        print(line, flush=True)
    if not sources:
        chat.tell("no page was read for the last answer")


def _model(chat: "Chat", name: str) -> None:
    if name:
        chat.reopen("model", name)
    elif chat.agent is not None:
        chat.tell(f"model: {chat.agent.model.name}")


def _profile(chat: "Chat", name: str) -> None:
    if name:
        chat.reopen("profile", name)
    elif chat.agent is not None:
        profile = chat.agent.profile
        chat.tell(f"profile: {profile.name} {profile.digest[:12]}")


def _new(chat: "Chat", _: str) -> None:
    chat.close_session()
    chat.tell("a new conversation")


def _sessions(chat: "Chat", _: str) -> None:
    summaries = chat.store.list(LISTED_SESSIONS)
    for line in session_lines(summaries):
        print(line, flush=True)
    if not summaries:
        chat.tell("no session is stored")


def _save(chat: "Chat", name: str) -> None:
    if not name:
        chat.tell("name a file, such as: /save notes.md")
    elif chat.session is None:
        chat.tell("nothing was asked yet")
    else:
        path = Path(name).expanduser()
        text = to_markdown(chat.session.content())
        try:
            with path.open("x", encoding="utf-8", errors="replace") as file:
                file.write(text)
        except OSError as exc:
            chat.tell(f"cannot write {name!r}: {os.strerror(exc.errno or 0)}")
        else:
            chat.tell(f"saved to {name}")


def _retry(chat: "Chat", _: str) -> str:
    run = chat.session.undo() if chat.session else None
    if run is None:
        chat.tell("nothing was asked yet")
        return ""
    chat.tell(f"again: {run.question}")
    return run.question


def _undo(chat: "Chat", _: str) -> None:
    run = chat.session.undo() if chat.session else None
    chat.tell(f"forgotten: {run.question}" if run else "there is nothing to take back")


def _quit(chat: "Chat", _: str) -> None:
    chat.is_leaving = True


def _last_run(chat: "Chat") -> "StoredRun | None":
    runs = chat.session.runs if chat.session else []
    return next((run for run in reversed(runs) if not run.is_undone), None)


_Do = Callable[["Chat", str], str | None]

COMMANDS: Mapping[str, tuple[_Do, str, str]] = {
    "/help": (_help, "", "this list"),
    "/sources": (_sources, "", "the pages behind the last answer"),
    "/model": (_model, "[URL|NAME]", "say or change the model"),
    "/profile": (_profile, "[NAME]", "say or change the protocol profile"),
    "/new": (_new, "", "begin a new conversation"),
    "/sessions": (_sessions, "", "the latest stored conversations"),
    "/save": (_save, "FILE", "write the conversation as Markdown"),
    "/retry": (_retry, "", "ask the last question again"),
    "/undo": (_undo, "", "take the last question and its answer back"),
    "/quit": (_quit, "", "leave, as Ctrl-D does"),
}
"""Name: what it does, its argument, its purpose."""
