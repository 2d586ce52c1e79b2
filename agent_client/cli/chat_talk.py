"""The conversation of `seekling chat`: lines in, runs and their answers out."""

import argparse
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from agent_client.agent.agent import Agent
from agent_client.agent.outcome import Outcome
from agent_client.cli.ask import short_id
from agent_client.cli.chat_commands import obey
from agent_client.cli.ending import ended_by
from agent_client.cli.event_stream import json_line
from agent_client.cli.failure import failure_of, single_leaf, tell_error
from agent_client.cli.line_input import LineReader, stoppable
from agent_client.cli.outcome_form import exit_code, outcome_json
from agent_client.cli.render import Terminal
from agent_client.errors import SeeklingClientError, SessionError
from agent_client.events import Note
from agent_client.sessions.session import Session, unsaved_session
from agent_client.sessions.store import SessionStore

PROMPT = "> "
INTERRUPTED = 130

OpenAgent = Callable[
    [argparse.Namespace, Callable[[str], None]], AbstractAsyncContextManager[Agent]
]
"""Opens an agent with the settings of a command line; tells what is being set up."""


class Chat:
    """A conversation with a person.

    Attributes:
        options: of the command line, with what `/model` and `/profile` changed.
        store: where the session is stored.
        agent: that answers now; None until `talk` has opened it.
        session: the conversation; None before its first question.
        is_leaving: whether the person wants to go.
        exit_code: of the last question.
    """

    def __init__(
        self,
        options: argparse.Namespace,
        reader: LineReader,
        store: SessionStore,
        open_agent: OpenAgent,
        *,
        is_saved: bool,
    ) -> None:
        """Take over what was opened.

        Args:
            options: of the command line.
            reader: of the person's lines.
            store: for sessions.
            open_agent: also opens the next one, when the person wants another model or profile.
            is_saved: whether this one is stored.
        """
        self.options = options
        self.store = store
        self.agent: Agent | None = None
        self.session: Session | None = None
        self.is_leaving = False
        self.exit_code = 0
        self._reader, self._open_agent, self._is_saved = reader, open_agent, is_saved
        self._wanted: argparse.Namespace | None = options
        self._terminal = Terminal(
            out=sys.stdout,
            err=sys.stderr,
            is_silent=options.json or options.quiet,
            shows_thinking=options.show_thinking,
            shows_all_sources=options.all_sources,
        )

    def resume(self, name: str) -> None:
        """Go on with a stored session.

        Raises:
            SessionError: it cannot be opened, or is a report.
        """
        self.session = self.store.resume(name, warn=self.tell)
        if self.session.kind == "report":
            raise SessionError(f"session {self.session.id} is a report, which cannot be asked on")
        asked = [run.question for run in self.session.runs if not run.is_undone]
        count = f"{len(asked)} question{'' if len(asked) == 1 else 's'}"
        self.tell(f"session {self.session.id}, {count} so far")
        if self.session.cut_bytes:
            self.tell(f"its last line was torn: {self.session.cut_bytes:,} bytes were cut off")
        for question in asked[-1:]:
            self._terminal.question(question)

    async def talk(self) -> None:
        """Read lines and answer them until the person leaves.

        Raises:
            SeeklingClientError: the model or the tools cannot be opened at the start.
        """
        await self._terminal.while_moving(self._talk)

    async def _talk(self) -> None:
        while self._wanted is not None:
            options, self._wanted = self._wanted, None
            self._terminal.wait_for("starting")
            try:
                async with self._open_agent(options, self.tell) as agent:
                    self.agent, self.options = agent, options
                    await self._converse(agent)
            except Exception as exc:
                leaf = single_leaf(exc)
                self._terminal.clear()
                if not isinstance(leaf, SeeklingClientError) or options is self.options:
                    raise
                self.fail(leaf)  # what was asked for cannot be had: back to what worked
                self._wanted = self.options

    def reopen(self, setting: str, value: str) -> None:
        """Go on with another value of a setting after this line."""
        self._wanted = argparse.Namespace(**vars(self.options) | {setting: value})

    def close_session(self) -> None:
        """End the conversation; the next question begins a new one."""
        if self.session is not None:
            self.session.close()
            self.session = None

    def tell(self, line: str) -> None:
        """Say on stderr what is going on."""
        self._terminal.tell(line)

    def fail(self, error: SeeklingClientError) -> None:
        """Say on stderr what went wrong and go on."""
        self.exit_code = error.exit_code
        tell_error(error)

    async def _converse(self, agent: Agent) -> None:
        while self._wanted is None and not self.is_leaving:
            self._terminal.clear()
            try:
                line = self._reader.read(PROMPT).strip()
            except (EOFError, KeyboardInterrupt):
                if self._reader.is_interactive:
                    print(file=sys.stderr)  # the shell's prompt begins on a line of its own
                return
            if line.startswith("/"):
                line = obey(self, line)
            elif line and not self._reader.is_interactive:
                self._terminal.question(line)
            if line:
                await self._answer(agent, line)

    async def _answer(self, agent: Agent, question: str) -> None:
        """Answer one question and show what happens; Ctrl-C stops it."""
        terminal = self._terminal
        try:
            session = self.session = self.session or self._new_session(agent)
            history, emit = session.next_run(question, agent.model.context_tokens, terminal.show)
            outcome = await stoppable(lambda: agent.ask(question, emit=emit, history=history))
        except SeeklingClientError as exc:
            terminal.clear()
            self.fail(exc)
            if self.options.json:
                print(json_line({"error": failure_of(exc).as_json()}), flush=True)
            return
        terminal.clear()  # of a run that was stopped nothing may be left
        if outcome is None:
            emit(Note("stopped; /retry asks again"))
            self.exit_code = INTERRUPTED
            self.is_leaving = ended_by() > 0
        else:
            self._show_end(outcome, agent, session)

    def _new_session(self, agent: Agent) -> Session:
        if not self._is_saved:
            return unsaved_session(self.tell)
        return self.store.start(
            "chat",
            warn=self.tell,
            model=agent.model.name,
            profile=agent.profile.name,
            profile_digest=agent.profile.digest,
        )

    def _show_end(self, outcome: Outcome, agent: Agent, session: Session) -> None:
        if self.options.json:
            print(json_line(outcome_json(outcome, agent.model.name)), flush=True)
        else:
            name = short_id(self.store, session.id)
            self._terminal.answer(outcome, with_sources=not self.options.quiet, session_name=name)
        self.exit_code = exit_code(outcome)
        if outcome.error is not None:
            tell_error(outcome.error)
        if outcome.stop_reason == "tool_error":
            self._wanted = self.options  # the tool server is gone: start another one
