"""The conversations of the chat page: asked, watched, stopped, stored, listed and deleted."""

import logging
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import anyio
import msgspec
from anyio.abc import TaskGroup

from agent_client.agent.agent import MAX_QUESTION_CHARS, Agent
from agent_client.agent.outcome import Outcome
from agent_client.agent.profile import Style
from agent_client.conversation import Message
from agent_client.errors import ConfigError, SeeklingClientError, SessionError
from agent_client.events import Emit
from agent_client.sessions.journal import now_iso
from agent_client.sessions.lenient_json import encoded
from agent_client.sessions.session import Session, ending_of, title_of, unsaved_session
from agent_client.sessions.store import SessionStore, SessionSummary
from agent_client.sessions.stored_session import StoredSession
from agent_client.web_chat.agent_keeper import AgentKeeper
from agent_client.web_chat.event_log import EventLog
from agent_client.web_chat.live_run import LiveRun
from agent_client.web_chat.page_protocol import (
    ConversationView,
    Deleted,
    Ended,
    ListedConversation,
    RunView,
)
from agent_client.web_chat.run_views import as_undone, run_view, run_views

MAX_RUNNING = 4
"""Questions that are worked on at the same time; one more is refused."""
MAX_LIVE = 24
"""Conversations whose last events are kept; of unsaved ones, that are kept at all."""
LISTED = 200
CONVERSATIONS = ("ask", "chat")
"""Kinds of sessions that are listed."""

logger = logging.getLogger(__name__)


class UnknownConversation(SeeklingClientError):
    """There is no such conversation."""


class ConversationBusy(SeeklingClientError):
    """A question of the conversation is being worked on."""


class TooManyRuns(SeeklingClientError):
    """As many questions are worked on as may be."""


@dataclass(slots=True, eq=False)
class _Live:
    """A conversation that somebody uses."""

    id: str
    log: EventLog = field(default_factory=EventLog)
    session: Session | None = None
    """Held while a question is worked on; for ever if it is not stored."""
    views: list[RunView] = field(default_factory=list[RunView])
    """The runs of `session` that are over."""
    run: LiveRun | None = None
    is_busy: bool = False


@dataclass(frozen=True, slots=True)
class _Work:
    """All that a run needs."""

    run: LiveRun
    kept: Agent
    """The keeper's."""
    agent: Agent
    """The same, in the style that was asked for."""
    session: Session
    question: str
    history: Sequence[Message]
    emit: Emit


class Conversations:
    """All conversations.

    Attributes:
        is_stopping: whether the server ends.
    """

    def __init__(
        self,
        keeper: AgentKeeper,
        store: SessionStore | None,
        tasks: TaskGroup,
        *,
        max_running: int = MAX_RUNNING,
    ) -> None:
        """Begin with those that are stored.

        Args:
            keeper: of the agent that answers.
            store: for sessions; None keeps them in memory only.
            tasks: runs go on in there, whether somebody watches or not.
            max_running: how many questions are worked on at the same time.
        """
        self.is_stopping = False
        self._keeper, self._store, self._tasks = keeper, store, tasks
        self._max_running = max_running
        self._live: dict[str, _Live] = {}
        """The one used last stands last."""
        self._ended = anyio.Event()

    @property
    def are_saved(self) -> bool:
        """Whether conversations are stored."""
        return self._store is not None

    async def listed(self) -> Sequence[ListedConversation]:
        """The conversations, the one used last first.

        Raises:
            SessionError: the stored ones cannot be read.
        """
        if self._store is None:
            return [
                _listed_unsaved(live, live.session)
                for live in reversed(self._live.values())
                if live.session and live.session.runs
            ]
        summaries = await anyio.to_thread.run_sync(self._store.list, LISTED)
        return [
            self._listed(summary)
            for summary in summaries
            if summary.kind in CONVERSATIONS and summary.title
        ]

    async def start(self) -> str:
        """Begin a conversation and give its id.

        Raises:
            NoAgent: nobody could answer.
        """
        agent = self._keeper.agent()
        if self._store is None:
            session = unsaved_session(logger.warning)
        else:
            start = partial(
                self._store.start,
                "chat",
                warn=logger.warning,
                model=agent.model.name,
                profile=agent.profile.name,
                profile_digest=agent.profile.digest,
            )
            session = await anyio.to_thread.run_sync(start)
        live = _Live(session.id or secrets.token_hex(6), session=session)
        self._admit(live)
        return live.id

    async def view(self, conversation_id: str) -> ConversationView:
        """A conversation with everything that was done in it.

        Raises:
            UnknownConversation: there is none of this id.
            SessionError: it cannot be read.
        """
        live = await self._found(conversation_id)
        if live.session is not None:
            views = [*live.views, *([live.run.view()] if live.run else [])]
            return self._told(live, live.session.content(), views)
        last_event = live.log.last_id
        stored, views = await anyio.to_thread.run_sync(self._load, conversation_id)
        return self._told(live, stored, views, last_event)

    async def content(self, conversation_id: str) -> StoredSession:
        """A conversation as it is stored.

        Raises:
            UnknownConversation: there is none of this id.
            SessionError: it cannot be read.
        """
        live = await self._found(conversation_id)
        if live.session is not None or self._store is None:
            assert live.session is not None  # what is not stored is held
            return live.session.content()
        return await anyio.to_thread.run_sync(self._store.load, conversation_id)

    async def log(self, conversation_id: str) -> EventLog:
        """What happens in a conversation.

        Raises:
            UnknownConversation: there is none of this id.
        """
        return (await self._found(conversation_id)).log

    async def ask(
        self, conversation_id: str, question: str, style: Style | None, *, again: bool
    ) -> str:
        """Begin to work on a question and give the run's id.

        Args:
            conversation_id: which conversation it follows up on.
            question: at most `MAX_QUESTION_CHARS` characters.
            style: how it is to be answered; None as the profile says.
            again: whether it takes the place of the last question, which is taken back.

        Raises:
            ConfigError: the question is empty or too long.
            UnknownConversation: there is none of this id.
            ConversationBusy: one is worked on there.
            TooManyRuns: as many are worked on as may be.
            NoAgent: nobody can answer.
            SessionError: the session is a report, is written by another process, or cannot be read.
        """
        question = question.strip()
        if not question:
            raise ConfigError("the question is empty")
        if len(question) > MAX_QUESTION_CHARS:
            raise ConfigError(f"the question is longer than {MAX_QUESTION_CHARS:,} characters")
        live = await self._found(conversation_id)
        kept = self._free_agent(live)
        agent = _in_style(kept, style)
        live.is_busy = True
        try:
            session = await self._opened(live)
            run, history, emit = self._begun(live, session, agent, question, again=again)
        except BaseException:
            live.is_busy = False
            raise
        work = _Work(run, kept, agent, session, question, history, emit)
        self._tasks.start_soon(self._work, live, work)
        return run.id

    async def stop(self, conversation_id: str) -> None:
        """Stop what is worked on in a conversation, if anything; what was found stays.

        Raises:
            UnknownConversation: there is none of this id.
        """
        live = await self._found(conversation_id)
        if live.run is not None:
            live.run.scope.cancel()

    async def delete(self, conversation_id: str) -> None:
        """Delete a conversation for good.

        Raises:
            UnknownConversation: there is none of this id.
            ConversationBusy: a question is worked on there.
            SessionError: another process writes it.
        """
        live = await self._found(conversation_id)
        if live.is_busy:
            raise ConversationBusy("a question is worked on here", hint="stop it first")
        live.is_busy = True  # nobody asks in between
        try:
            if live.session is not None:
                live.session.close()
            is_stored = live.session is None or live.session.id
            if self._store is not None and is_stored:
                await anyio.to_thread.run_sync(self._store.delete, conversation_id)
        finally:
            live.is_busy = False
        live.log.add(encoded(Deleted()))
        live.log.close()
        self._live.pop(conversation_id, None)

    async def stop_all(self) -> None:
        """Stop all runs, wait until the model was told of each, and let all readers go."""
        self.is_stopping = True
        for live in self._live.values():
            if live.run is not None:
                live.run.scope.cancel()
        while any(live.is_busy for live in self._live.values()):
            await self._ended.wait()
        for live in list(self._live.values()):
            self._release(live)

    def _free_agent(self, live: _Live) -> Agent:
        if live.is_busy:
            raise ConversationBusy(
                "a question of this conversation is being worked on", hint="stop it, or wait"
            )
        running = sum(other.is_busy for other in self._live.values())
        if running >= self._max_running or self.is_stopping:
            raise TooManyRuns(
                f"{running} questions are being worked on", hint="stop one of them, or wait"
            )
        return self._keeper.agent()

    async def _opened(self, live: _Live) -> Session:
        """The session of a conversation, opened to go on."""
        if live.session is None:
            assert self._store is not None  # what is not stored is held
            resume = partial(self._store.resume, live.id, warn=logger.warning)
            session = await anyio.to_thread.run_sync(resume)
            if session.kind == "report":
                session.close()
                raise SessionError("a report cannot be asked on", hint="begin a new conversation")
            live.views = await anyio.to_thread.run_sync(run_views, session.runs)
            live.session = session
        return live.session

    def _begun(
        self, live: _Live, session: Session, agent: Agent, question: str, *, again: bool
    ) -> tuple[LiveRun, Sequence[Message], Emit]:
        if again and session.undo() is not None:
            last = max(view.index for view in live.views if not view.is_undone)
            live.views[last] = as_undone(live.views[last])
        run = LiveRun(len(session.runs), uuid.uuid4().hex, question, now_iso(), live.log)
        history, emit = session.next_run(question, agent.model.context_tokens, run.emit)
        live.run = run
        run.begin(again=again)
        return run, history, emit

    async def _work(self, live: _Live, work: _Work) -> None:
        """Run one question to its end, whatever that is."""
        failure, outcome = "", None
        try:
            with work.run.scope:
                outcome = await _answer(work)
        except Exception as exc:  # of one question; the others go on
            logger.exception("a question could not be worked on")
            failure = f"{type(exc).__name__}: the terminal that runs seekling says more"
        finally:
            with anyio.CancelScope(shield=True):
                await self._end(live, work, failure)
        if outcome is not None and outcome.stop_reason == "tool_error":
            self._keeper.give_up(work.kept)

    async def _end(self, live: _Live, work: _Work, failure: str) -> None:
        work.run.flush()
        view = await anyio.to_thread.run_sync(_ended_view, work, failure)
        live.views.append(view)
        live.run, live.is_busy = None, False
        live.log.add(encoded(Ended(run=view)))
        if work.session.id:  # what is not stored is held
            work.session.close()
            live.session, live.views = None, []
        self._ended.set()
        self._ended = anyio.Event()

    async def _found(self, conversation_id: str) -> _Live:
        live = self._live.get(conversation_id)
        if live is None:
            if self._store is None:
                raise UnknownConversation("there is no such conversation")
            try:
                await anyio.to_thread.run_sync(self._store.id_of, conversation_id)
            except SessionError as exc:
                raise UnknownConversation("there is no such conversation") from exc
            live = self._live.get(conversation_id) or _Live(conversation_id)
        self._admit(live)
        return live

    def _admit(self, live: _Live) -> None:
        self._live.pop(live.id, None)
        self._live[live.id] = live
        idle = [other for other in self._live.values() if not other.is_busy]
        for other in idle[: max(0, len(self._live) - MAX_LIVE)]:
            self._release(other)

    def _release(self, live: _Live) -> None:
        """Let a conversation go that nobody works on; what is stored can be found again."""
        self._live.pop(live.id, None)
        live.log.close()
        if live.session is None:
            return
        live.session.close()
        if self._store is not None and not live.session.runs:
            self._store.delete(live.id)  # nothing was asked

    def _load(self, conversation_id: str) -> tuple[StoredSession, list[RunView]]:
        assert self._store is not None  # what is not stored is held
        stored = self._store.load(conversation_id)
        return stored, run_views(stored.runs)

    def _told(
        self,
        live: _Live,
        stored: StoredSession,
        views: Sequence[RunView],
        last_event: str | None = None,
    ) -> ConversationView:
        return ConversationView(
            id=live.id,
            title=title_of(stored.runs),
            kind=stored.kind,
            created=stored.created,
            model=stored.model,
            is_saved=self.are_saved,
            is_over=stored.kind == "report",
            last_event=last_event or live.log.last_id,
            runs=tuple(views),
        )

    def _listed(self, summary: SessionSummary) -> ListedConversation:
        live = self._live.get(summary.id)
        return ListedConversation(
            id=summary.id,
            title=summary.title,
            created=summary.created,
            ended=summary.ended,
            is_running=live is not None and live.is_busy,
        )


async def _answer(work: _Work) -> Outcome | None:
    outcome: Outcome | None = None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(work.run.flush_often)
        outcome = await work.agent.ask(
            work.question, emit=work.emit, history=work.history, run_id=work.run.id
        )
        tasks.cancel_scope.cancel()
    return outcome


def _ended_view(work: _Work, failure: str) -> RunView:
    """The run with its highlights, which take 0.1 s of CPU after forty visits."""
    stored = work.session.runs[work.run.index :]
    if stored:
        view = run_view(stored[0], work.run.index)
    else:
        view = msgspec.structs.replace(work.run.view(), status="stopped")
    if not failure:
        return view
    episode = msgspec.structs.replace(view.episode, status="infra_error", error=failure)
    return msgspec.structs.replace(view, episode=episode)


def _in_style(agent: Agent, style: Style | None) -> Agent:
    profile = agent.profile
    if style is None or style == profile.style:
        return agent
    overrides = (*profile.overrides, f"style={style}")
    return replace(agent, profile=replace(profile, style=style, overrides=overrides))


def _listed_unsaved(live: _Live, session: Session) -> ListedConversation:
    return ListedConversation(
        id=live.id,
        title=title_of(session.runs),
        created=session.content().created,
        ended=ending_of(session.runs[-1]),
        is_running=live.is_busy,
    )
