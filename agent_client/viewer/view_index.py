"""The index of a view: of a run, of two that are compared, or of a session."""

from collections.abc import Sequence

import msgspec

from agent_client import __version__
from agent_client.errors import EvaluationError
from agent_client.evaluation.records.stored_run import StoredRun
from agent_client.sessions.stored_session import StoredSession
from agent_client.timeline.shown_text import short, shown
from agent_client.viewer.comparison_index import comparison_index
from agent_client.viewer.document import RunIndex, SessionIndex, ViewIndex
from agent_client.viewer.run_index import run_index

MAX_TITLE_CHARS = 100


def index_of_runs(
    runs: Sequence[StoredRun], grader: str, *, made: str, shard_rows: int, is_live: bool = False
) -> ViewIndex:
    """The index of one run, or of two that are compared.

    Args:
        runs: one or two.
        grader: whose verdicts count, in both.
        made: now, ISO 8601 in UTC.
        shard_rows: episodes per block of data; 0 where a server is asked for each.
        is_live: whether a server tells of changes.

    Raises:
        EvaluationError: a run knows no such grader.
    """
    if len(runs) not in (1, 2):
        raise EvaluationError(f"{len(runs)} runs cannot be shown beside each other")
    manifest = runs[0].manifest
    names = " and ".join(dict.fromkeys(run.manifest.model.name for run in runs))
    return ViewIndex(
        kind="run",
        title=short(f"{names} on {manifest.dataset.name}", MAX_TITLE_CHARS),
        made=made,
        seekling=__version__,
        runs=tuple(_told_apart([run_index(run, grader) for run in runs], runs)),
        comparison=comparison_index(runs[0], runs[1], grader) if len(runs) == 2 else None,
        shard_rows=shard_rows,
        is_live=is_live,
    )


def _told_apart(indices: Sequence[RunIndex], runs: Sequence[StoredRun]) -> list[RunIndex]:
    """The same with their whole paths as names where these are the same."""
    if len({index.name for index in indices}) == len(indices):
        return list(indices)
    return [
        msgspec.structs.replace(index, name=shown(str(run.directory)))
        for index, run in zip(indices, runs, strict=True)
    ]


def index_of_session(
    stored: StoredSession, session: SessionIndex, *, made: str, shard_rows: int
) -> ViewIndex:
    """The index of a session.

    Args:
        stored: the session.
        session: what the page knows of it.
        made: now, ISO 8601 in UTC.
        shard_rows: episodes per block of data.
    """
    first = next((run.question for run in stored.runs), "") or f"session {stored.id}"
    return ViewIndex(
        kind="session",
        title=short(" ".join(first.split()), MAX_TITLE_CHARS),
        made=made,
        seekling=__version__,
        session=session,
        shard_rows=shard_rows,
    )
