"""Runs as the chat page shows them."""

from collections.abc import Iterable

import msgspec

from agent_client.sessions.stored_session import StoredRun
from agent_client.viewer.session_view import question_view
from agent_client.web_chat.page_protocol import RunView


def run_view(run: StoredRun, index: int) -> RunView:
    """A run that is over, or was cut off.

    Args:
        run: with all of its events.
        index: in its conversation, from 0.
    """
    seconds = run.events[-1].seconds if run.events else 0.0
    return RunView(
        index=index,
        status="ended" if run.outcome else "stopped",
        episode=question_view(run, index + 1),
        seconds=run.outcome.seconds if run.outcome else seconds,
        asked_at=run.events[0].at if run.events else "",
        is_undone=run.is_undone,
    )


def run_views(runs: Iterable[StoredRun]) -> list[RunView]:
    """All runs of a conversation, in order."""
    return [run_view(run, index) for index, run in enumerate(runs)]


def as_undone(view: RunView) -> RunView:
    """The same run, taken back."""
    return msgspec.structs.replace(view, is_undone=True)
