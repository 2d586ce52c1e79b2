"""What the page knows of a stored session: an episode for each of its questions."""

from collections.abc import Iterator

from agent_client.agent.outcome import LIMIT_REASONS, Outcome
from agent_client.errors import SeeklingClientError
from agent_client.events import Finished
from agent_client.sessions.stored_session import StoredRun, StoredSession
from agent_client.timeline.markup import nodes_of
from agent_client.timeline.shown_text import short, shown
from agent_client.timeline.timeline import steps_of
from agent_client.timeline.used_passages import used_passages
from agent_client.viewer.document import EpisodeView, SessionIndex
from agent_client.viewer.episode_view import source_views, spent_facts, told_facts

MAX_QUESTION_CHARS = 300
_NO_END = Finished(outcome=None)
"""Closes what a run that was cut off left open."""


def session_view(session: StoredSession) -> tuple[SessionIndex, tuple[EpisodeView, ...]]:
    """The session, and an episode for each of its questions."""
    index = SessionIndex(
        id=shown(session.id),
        about=tuple((label, shown(value)) for label, value in _about(session) if value),
        questions=tuple(short(run.question, MAX_QUESTION_CHARS) for run in session.runs),
    )
    episodes = (question_view(asked, number) for number, asked in enumerate(session.runs, start=1))
    return index, tuple(episodes)


def question_view(asked: StoredRun, number: int) -> EpisodeView:
    """One question of a session.

    Args:
        asked: with its events.
        number: counts from 1.
    """
    events = [entry.event for entry in asked.events]
    is_over = any(isinstance(event, Finished) for event in events)
    steps = steps_of(events if is_over else (*events, _NO_END))
    outcome = asked.outcome
    if outcome is None:
        return EpisodeView(
            id=str(number),
            question=shown(asked.question),
            status="" if is_over else "cancelled",
            steps=steps,
        )
    used = used_passages(
        steps,
        answer=outcome.answer,
        short_answer=outcome.short_answer,
        sources=outcome.sources,
    )
    error = outcome.error
    return EpisodeView(
        id=str(number),
        question=shown(asked.question),
        answer=nodes_of(shown(outcome.answer)),
        answer_text=shown(outcome.answer),
        short_answer=None if outcome.short_answer is None else shown(outcome.short_answer),
        status=_status(outcome),
        stop_reason=outcome.stop_reason,
        error=shown(f"{type(error).__name__}: {error}") if error else "",
        hint=shown(error.hint) if isinstance(error, SeeklingClientError) else "",
        facts=told_facts(_facts(asked, outcome)),
        sources=source_views(outcome.sources, used),
        answer_seen_step=used.answer_seen_step,
        steps=used.steps,
    )


def _status(outcome: Outcome) -> str:
    if outcome.error is not None:
        return "infra_error"
    return "budget" if outcome.stop_reason in LIMIT_REASONS else "ok"


def _about(session: StoredSession) -> Iterator[tuple[str, str]]:
    yield "Command", session.kind
    yield "Model", session.model
    yield "Profile", session.profile
    yield "Began", session.created
    yield "Seekling", session.version
    if session.unreadable:
        yield "Damaged lines", f"{session.unreadable:,}; something may be missing"


def _facts(asked: StoredRun, outcome: Outcome) -> Iterator[tuple[str, str]]:
    yield "Taken back", "later questions do not build on it" if asked.is_undone else ""
    yield "Ended", outcome.stop_reason.replace("_", " ")
    yield "Seconds", f"{outcome.seconds:,.1f}"
    for name, label in (("model", "of the model"), ("tools", "of the tools")):
        if seconds := outcome.timings.get(name):
            yield label, f"{seconds:,.1f} s"
    yield from spent_facts(outcome.counts, outcome.usage, outcome.cost_usd)
    yield "Profile", outcome.profile
    yield "Run id", outcome.run_id
