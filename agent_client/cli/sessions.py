"""`seekling sessions`: list, show, resume, export and delete stored conversations."""

import argparse
import json
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from agent_client.cli.chat import add_display
from agent_client.cli.options import SETTINGS, add_settings, load_config

if TYPE_CHECKING:
    from agent_client.sessions.store import SessionStore, SessionSummary
    from agent_client.sessions.stored_session import StoredSession

LISTED_SESSIONS = 20
TITLE_CHARS = 100
FORMATS = ("md", "json", "jsonl", "messages")


_EXAMPLES = """examples:
  seekling sessions list
  seekling sessions show last
  seekling sessions export last -o notes.md
  seekling sessions resume 2e62
"""


_PURPOSES = {
    "list": (
        "the sessions, latest first",
        "List id, date, command, ending and first question, latest first.",
        "example:\n  seekling sessions list --limit 5",
    ),
    "show": (
        "a session's steps and answers",
        "Print the questions, steps and answers of a session.",
        "example:\n  seekling sessions show last",
    ),
    "export": (
        "write a session for others",
        "Write a session as Markdown, JSON or chat messages, to stdout or a new file.",
        "example:\n  seekling sessions export last --format messages -o messages.json",
    ),
    "delete": (
        "delete sessions",
        "Delete sessions for good, without asking.",
        "example:\n  seekling sessions delete 2e62 91f0",
    ),
}


def add_parser(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",  # pyright: ignore[reportPrivateUsage]
) -> None:
    """Add the command group `sessions` with its commands."""
    group = subparsers.add_parser(
        "sessions",
        help="list, show, export and continue stored conversations",
        description="Each run is stored in the user's data directory. ID is a session's id, the\n"
        "beginning of it, or `last`.",
        epilog=_EXAMPLES,
    )
    commands = group.add_subparsers(dest="sessions_command", metavar="COMMAND", required=True)
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="one JSON object on stdout")
    common.add_argument("--config", metavar="FILE", help="a TOML settings file")
    listing, show, export, delete = [
        commands.add_parser(
            name, parents=[common], help=purpose, description=description, epilog=example
        )
        for name, (purpose, description, example) in _PURPOSES.items()
    ]
    listing.add_argument(
        "--limit",
        type=int,
        default=LISTED_SESSIONS,
        metavar="N",
        help=f"most sessions; 0 lists all ({LISTED_SESSIONS})",
    )
    show.add_argument("id", metavar="ID")
    export.add_argument("id", metavar="ID")
    export.add_argument(
        "--format",
        choices=FORMATS,
        default="md",
        help="md: questions and answers; json: with every outcome; jsonl: every event;"
        " messages: OpenAI's chat format (md)",
    )
    export.add_argument("-o", "--output", metavar="FILE", help="a new file (stdout)")
    delete.add_argument("ids", metavar="ID", nargs="+")
    resume = commands.add_parser(
        "resume",
        help="chat on with a session",
        description="Chat on with a session, as `seekling chat --resume ID` does.",
        usage="seekling sessions resume [options] ID",
        epilog="example:\n  seekling sessions resume last",
    )
    resume.add_argument("resume", metavar="ID")
    add_display(resume)
    add_settings(resume)


async def run(options: argparse.Namespace) -> int:
    """Run the chosen subcommand and return the exit code.

    Raises:
        SessionError: there is no such session, or it cannot be read, written or deleted.
        ConfigError: a setting is unknown or malformed.
    """
    if options.sessions_command == "resume":
        from agent_client.cli import chat

        return await chat.run(options)
    store = _store(options)
    match options.sessions_command:
        case "list":
            _list(store, options)
        case "show":
            _show(store, options)
        case "export":
            _export(store, options)
        case _:
            _delete(store, options)
    return 0


def session_lines(summaries: "Iterable[SessionSummary]") -> list[str]:
    """One line for each session."""
    from agent_client.clean import terminal_line, terminal_text

    lines: list[str] = []
    for summary in summaries:
        when = f"{summary.created[:10]} {summary.created[11:16]}"
        ended = summary.ended.replace("_", " ") or "empty"
        fields = (f"{summary.id:12}", f"{when:16}", f"{summary.kind:6}", f"{ended:13}")
        cleaned = [terminal_text(field).replace("\n", " ") for field in fields]
        lines.append("  ".join((*cleaned, terminal_line(summary.title, TITLE_CHARS))))
    return lines


def _store(options: argparse.Namespace) -> "SessionStore":
    from agent_client.sessions.store import SessionStore, sessions_directory

    unset = {setting: None for _, setting, _, _ in SETTINGS}
    config = load_config(argparse.Namespace(config=options.config, **unset))
    return SessionStore(sessions_directory(config.data_dir))


def _list(store: "SessionStore", options: argparse.Namespace) -> None:
    from dataclasses import asdict

    from agent_client.errors import ConfigError

    if options.limit < 0:
        raise ConfigError(f"--limit {options.limit} is below 0", hint="0 lists all")
    summaries = store.list(options.limit or None)
    if options.json:
        print(json.dumps({"sessions": [asdict(summary) for summary in summaries]}))
    elif summaries:
        print("\n".join(session_lines(summaries)))
    else:
        print(f"no session is stored in {store.directory}", file=sys.stderr)


def _show(store: "SessionStore", options: argparse.Namespace) -> None:
    from agent_client.clean import terminal_json
    from agent_client.cli.render import Terminal
    from agent_client.events import ModelReplied, ReasoningDelta
    from agent_client.sessions.export import json_text, to_document

    session = store.load(options.id)
    if options.json:
        print(terminal_json(json_text(to_document(session))))
        return
    terminal = Terminal(out=sys.stdout, err=sys.stdout, is_silent=False)  # steps are asked for
    terminal.tell(" · ".join(_about(session)))
    for run in session.runs:
        terminal.question(run.question)
        if run.is_undone:
            terminal.tell("taken back with /undo or /retry")
        for event in (recorded.event for recorded in run.events):
            if isinstance(event, ModelReplied):
                terminal.show(ReasoningDelta(event.reply.message.reasoning))
            terminal.show(event)
        if run.outcome is None:
            terminal.tell("this run was cut off")
        else:
            terminal.answer(run.outcome, with_sources=True)


def _about(session: "StoredSession") -> list[str]:
    parts = [f"session {session.id}", session.kind, session.created, session.model, session.profile]
    if session.unreadable:
        parts.append(f"{session.unreadable} lines are damaged or of a newer version")
    return [part for part in parts if part]


def _export(store: "SessionStore", options: argparse.Namespace) -> None:
    from pathlib import Path

    from agent_client.clean import terminal_text
    from agent_client.errors import SessionError

    text = _exported(store.load(options.id), "json" if options.json else options.format)
    if options.output is None:
        print(terminal_text(text) if sys.stdout.isatty() else text, end="")
        return
    try:
        with Path(options.output).open("x", encoding="utf-8", errors="replace") as file:
            file.write(text)
    except OSError as exc:
        raise SessionError(f"cannot write {options.output!r}: {exc.strerror}") from exc


def _exported(session: "StoredSession", how: str) -> str:
    from agent_client.sessions import export

    match how:
        case "md":
            return export.to_markdown(session).encode("utf-8", "replace").decode()
        case "jsonl":
            return "".join(f"{line}\n" for line in export.to_event_lines(session))
        case _:
            value: Any = (
                export.to_messages(session) if how == "messages" else export.to_document(session)
            )
            return export.json_text(value) + "\n"


def _delete(store: "SessionStore", options: argparse.Namespace) -> None:
    # All names before any file goes: `last` means one session, and a typing mistake loses none.
    ids = dict.fromkeys(store.id_of(name) for name in options.ids)
    deleted = [store.delete(session_id) for session_id in ids]
    if options.json:
        print(json.dumps({"deleted": deleted}))
    else:
        print(f"deleted {', '.join(deleted)}", file=sys.stderr)
