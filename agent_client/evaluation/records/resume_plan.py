"""What a run still owes, and from where each episode goes on."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from agent_client.evaluation.episode_record import SETTLED, EpisodeKey, Span
from agent_client.evaluation.ports import EarlierTurns, Episode
from agent_client.evaluation.question import Question
from agent_client.evaluation.records.event_segments import add_span, content, lines_from
from agent_client.evaluation.records.stored_lines import Ended, no_collection
from agent_client.sessions.lenient_json import decoded

WAITED = "WaitedTooLong"
"""Type of the error of an attempt whose time limit came while it waited for a server. Its last
reply is the answer that the limit forced, which nobody may take for the agent's own."""
WEB_OUT_OF_REACH = "WebOutOfReach"
"""Type of the error of an attempt that could read no page, as no other one could at that time.
What its tools returned are those failures."""
SPOILT = frozenset({WAITED, WEB_OUT_OF_REACH})
"""Types of errors of attempts that nothing goes on from: the next one begins afresh."""


class Owed(msgspec.Struct, frozen=True, kw_only=True):
    """An episode that has to be worked on, for the first time or again."""

    key: EpisodeKey
    question: Question
    attempt: int
    """Of the attempt to come; counts from 1."""
    is_begun: bool
    """Whether an attempt before it has left something that it may go on from."""
    load: Callable[[EpisodeKey], tuple[str, EarlierTurns | None]]
    """Reads the run id and the earlier turns; use `episode`."""

    def episode(self, *, seed: int | None = None) -> Episode:
        """The episode, with what is stored of it: read now, so call it when the episode begins.

        Where nothing can be gone on from, `earlier` is None and the run id is a new one.
        """
        run_id, earlier = self.load(self.key)
        return Episode(
            question=self.question,
            repeat=self.key.repeat,
            attempt=self.attempt,
            run_id=run_id,
            seed=seed,
            earlier=earlier,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumePlan:
    """Which episodes are over, and which are owed."""

    settled: frozenset[EpisodeKey]
    owed: tuple[Owed, ...]
    """In the order of the questions, repeat by repeat: first all questions once."""


@dataclass(slots=True)
class Unfinished:
    """An episode that was at work when the last writer ended."""

    attempt: int
    """The last one."""
    spans: list[Span]
    """Of all its lines since its last record, in order."""


class _Whose(msgspec.Struct, gc=False):
    """Whose line it is. What else it says is read only when the episode goes on."""

    e: str
    r: int
    a: int


_WHOSE = msgspec.json.Decoder(_Whose)


def find_unfinished(
    directory: Path, ended: Mapping[EpisodeKey, Ended], low: tuple[int, int]
) -> tuple[dict[EpisodeKey, Unfinished], int]:
    """Find the episodes that have lines but no record of them.

    Args:
        directory: of the run.
        ended: the episodes that have a record.
        low: segment and offset before which there are none.

    Returns:
        The episodes, in the order of their first lines, and how many lines are unreadable.

    Raises:
        OSError: the segments cannot be read.
    """
    found: dict[EpisodeKey, Unfinished] = {}
    unreadable = 0
    with no_collection():
        for segment, offset, line in lines_from(directory, low):
            try:
                whose = _whose(line)
            except (ValueError, TypeError, LookupError, RecursionError):
                unreadable += bool(content(line))
                continue
            key = EpisodeKey(whose.e, whose.r)
            end = ended.get(key)
            if end and (end.status in SETTLED or whose.a <= end.attempt):
                continue
            span = Span(segment, offset, len(line))
            if episode := found.get(key):
                episode.attempt = max(episode.attempt, whose.a)
                add_span(episode.spans, span)
            else:
                found[key] = Unfinished(whose.a, [span])
    return found, unreadable


def _whose(line: bytes) -> _Whose:
    try:
        return _WHOSE.decode(line)
    except ValueError:
        return decoded(content(line), _WHOSE)
