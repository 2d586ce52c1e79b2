"""`seekling ask "…"`: one question, one answer with sources."""

import argparse
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent_client.cli.options import add_settings, load_config

if TYPE_CHECKING:
    from agent_client.agent.agent import Agent
    from agent_client.agent.outcome import Outcome
    from agent_client.cli.event_stream import EventStream
    from agent_client.cli.render import Terminal
    from agent_client.config import ClientConfig
    from agent_client.events import Event
    from agent_client.sessions.session import Session
    from agent_client.sessions.store import SessionStore

FORMATS = ("text", "json", "jsonl", "md")
SHORTEST_ID_CHARS = 4

_EXAMPLES = """examples:
  seekling ask "Which river flows through the city where Marie Curie was born?"
  seekling ask -c "And who ruled there then?"
  seekling ask --json --model http://127.0.0.1:30000 "…" | jq .answer
"""


def add_parser(
    subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]",  # pyright: ignore[reportPrivateUsage]
) -> None:
    """Add the command to the grammar."""
    parser = subparsers.add_parser(
        "ask",
        help="answer one question (the default command)",
        description="Answer one question. The answer goes to stdout, everything else to stderr.",
        usage="seekling ask [options] QUESTION",
        epilog=_EXAMPLES,
    )
    parser.add_argument("question", metavar="QUESTION", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument(
        "--format", choices=FORMATS, default="text", help="jsonl: every event; md: Markdown (text)"
    )
    parser.add_argument("--show-thinking", action="store_true", help="what the model thinks, whole")
    parser.add_argument("--all-sources", action="store_true", help="list uncited sources too")
    parser.add_argument("-q", "--quiet", action="store_true", help="the answer only")
    parser.add_argument(
        "-c", "--continue", dest="follows_up", action="store_true", help="continue the last session"
    )
    add_settings(parser)


async def run(options: argparse.Namespace) -> int:
    """Ask, show what happens, print the answer; the exit code tells how it ended.

    Raises:
        ConfigError: the question is empty, or a setting is wrong.
        SeeklingClientError: the model or the tools cannot be opened, or failed.
        OSError: stdout takes nothing more.
    """
    from agent_client.cli.failure import tell_error
    from agent_client.cli.outcome_form import exit_code
    from agent_client.errors import ConfigError

    config = load_config(options)
    if not options.question.strip():
        raise ConfigError("the question is empty", hint='try: seekling ask "Who …?"')
    form = "json" if options.json else options.format
    terminal = _terminal(options, form)
    if form == "jsonl":
        return await _streamed(options, config, terminal)
    asked = await terminal.while_moving(lambda: _asked(options, config, terminal))
    outcome = asked.outcome
    _print(asked, form, terminal, with_sources=not options.quiet)
    if outcome.error is not None and form == "json":
        tell_error(outcome.error)
    elif outcome.error is not None:
        raise outcome.error
    return exit_code(outcome)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What came of the question."""

    outcome: "Outcome"
    model: str
    session_name: str
    """The id of the session, or enough of it; "" where it is not stored."""


def _terminal(options: argparse.Namespace, form: str) -> "Terminal":
    from agent_client.cli.render import Terminal

    # A person who sends JSON elsewhere still waits in front of a terminal.
    is_for_programs = form in ("json", "jsonl")
    is_watched = sys.stderr.isatty() and not sys.stdout.isatty()
    return Terminal(
        out=sys.stdout,
        err=sys.stderr,
        is_silent=options.quiet or (is_for_programs and not is_watched),
        shows_thinking=options.show_thinking,
        shows_all_sources=options.all_sources,
    )


def _print(asked: _Asked, form: str, terminal: "Terminal", *, with_sources: bool) -> None:
    if form == "json":
        from agent_client.cli.event_stream import json_line
        from agent_client.cli.outcome_form import outcome_json

        print(json_line(outcome_json(asked.outcome, asked.model)))
    elif form == "md":
        from agent_client.cli.markdown_answer import to_markdown

        if asked.outcome.answer or asked.outcome.error is None:
            print(to_markdown(asked.outcome), end="")
    else:
        terminal.answer(asked.outcome, with_sources=with_sources, session_name=asked.session_name)


async def _streamed(
    options: argparse.Namespace, config: "ClientConfig", terminal: "Terminal"
) -> int:
    """Ask, and print each event as a line of JSON; the last one tells how it ended."""
    import signal

    import anyio

    from agent_client.cli.ending import ended_by
    from agent_client.cli.event_stream import EventStream
    from agent_client.cli.failure import failure_of, single_leaf, tell_error
    from agent_client.cli.outcome_form import exit_code, outcome_json
    from agent_client.errors import SeeklingClientError

    scope = anyio.CancelScope()
    stream = EventStream(sys.stdout, give_up=scope.cancel)
    code = 0
    with scope:
        try:
            asked = await terminal.while_moving(lambda: _asked(options, config, terminal, stream))
        except anyio.get_cancelled_exc_class():
            code = 128 + (ended_by() or signal.SIGINT)
            stream.end({"error": {"type": "Interrupted", "message": "interrupted", "code": code}})
            raise
        except Exception as exc:
            leaf = single_leaf(exc)
            if not isinstance(leaf, SeeklingClientError):
                raise
            stream.end({"error": failure_of(leaf).as_json()})
            tell_error(leaf)
            code = leaf.exit_code
        else:
            stream.end(outcome_json(asked.outcome, asked.model))
            code = exit_code(asked.outcome)
            if asked.outcome.error is not None:
                tell_error(asked.outcome.error)
    if stream.failure is not None:
        raise stream.failure
    return code


async def _asked(
    options: argparse.Namespace,
    config: "ClientConfig",
    terminal: "Terminal",
    stream: "EventStream | None" = None,
) -> _Asked:
    if not sys.stderr.isatty():  # on a terminal it was typed just above
        terminal.question(options.question)
    terminal.wait_for("starting")  # also while the next lines are imported, which takes a second
    from anyio import get_cancelled_exc_class

    from agent_client.app import open_agent
    from agent_client.sessions.store import SessionStore, sessions_directory

    def show(event: "Event") -> None:
        terminal.show(event)
        if stream:
            stream.emit(event)

    store = SessionStore(sessions_directory(config.data_dir))
    async with open_agent(config, tell=terminal.tell) as agent:
        with _session(options, config, agent, terminal, store) as session:
            if stream:
                stream.session_id = session.id
            history, emit = session.next_run(options.question, agent.model.context_tokens, show)
            name = short_id(store, session.id)
            try:
                outcome = await agent.ask(options.question, emit=emit, history=history)
            except get_cancelled_exc_class():
                terminal.clear()
                _tell_what_is_kept(session, name, terminal)
                raise
            finally:
                terminal.clear()
        return _Asked(outcome, agent.model.name, name)


def _tell_what_is_kept(session: "Session", name: str, terminal: "Terminal") -> None:
    """What a question that was stopped has left behind, and how to go on with it."""
    from agent_client.cli.tool_lines import count
    from agent_client.events import ModelReplied

    events = session.runs[-1].events if session.runs else ()
    steps = sum(isinstance(recorded.event, ModelReplied) for recorded in events)
    if name and steps:
        terminal.advise(
            f'kept: {count(steps, "step")} in session {name}; seekling ask -c "…" goes on'
        )


def _session(
    options: argparse.Namespace,
    config: "ClientConfig",
    agent: "Agent",
    terminal: "Terminal",
    store: "SessionStore",
) -> "Session":
    """The session that this question belongs to.

    Raises:
        SessionError: there is none to continue, or the one to continue cannot be written.
    """
    from agent_client.sessions.session import unsaved_session
    from agent_client.sessions.store import continue_last

    if options.follows_up:
        return continue_last(store, warn=terminal.tell)[0]
    if not config.save:
        return unsaved_session(terminal.tell)
    return store.start(
        "ask",
        warn=terminal.tell,
        model=agent.model.name,
        profile=agent.profile.name,
        profile_digest=agent.profile.digest,
    )


def short_id(store: "SessionStore", session_id: str) -> str:
    """The beginning of a session's id that names it among those that are stored."""
    from agent_client.errors import SessionError

    for length in range(SHORTEST_ID_CHARS, len(session_id)):
        with suppress(SessionError):
            if store.id_of(session_id[:length]) == session_id:
                return session_id[:length]
    return session_id
