"""The files of questions, records and grades, read."""

import gc
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec

from agent_client.evaluation.episode_record import EpisodeKey, EpisodeRecord, Status
from agent_client.evaluation.question import Question
from agent_client.evaluation.records.run_directory import GRADES, QUESTIONS, RECORDS, REMARKS
from agent_client.evaluation.verdict import GradeRecord
from agent_client.sessions.journal import read_lines
from agent_client.sessions.lenient_json import decoded, plain_value

_Kind = TypeVar("_Kind")
_DAMAGE = (ValueError, TypeError, LookupError, RecursionError)

_QUESTIONS = msgspec.json.Decoder(Question, dec_hook=plain_value)
_RECORDS = msgspec.json.Decoder(EpisodeRecord, dec_hook=plain_value)
_GRADES = msgspec.json.Decoder(GradeRecord, dec_hook=plain_value)


class Ended(msgspec.Struct, gc=False):
    """What has to be known of a record to go on with a run; read in a fraction of the time."""

    id: str
    status: Status
    repeat: int = 0
    attempt: int = 1
    low: tuple[int, int] = (0, 0)


_ENDED = msgspec.json.Decoder(Ended)

MAX_NUMBER = 2**53
"""Of a record; beyond it sums overflow, and a browser has no such number."""


@dataclass(slots=True)
class RecordLines:
    """The file of records, of which each line is read as far as a plan needs it."""

    ended: dict[EpisodeKey, Ended] = field(default_factory=dict[EpisodeKey, Ended])
    """Of the last record of each episode."""
    lines: dict[EpisodeKey, bytes] = field(default_factory=dict[EpisodeKey, bytes])
    low: tuple[int, int] = (0, 0)
    """Of the last record; the beginning where a line is unreadable, since then there may be events
    of an episode whose record is lost."""
    unreadable: int = 0


def read_questions(directory: Path) -> tuple[list[Question], int]:
    """The questions of a run, in order, and how many lines are unreadable.

    Raises:
        OSError: the file cannot be read.
    """
    return _read(directory / QUESTIONS, _QUESTIONS)


def read_record_lines(directory: Path) -> RecordLines:
    """The records as far as a plan needs them.

    Raises:
        OSError: the file cannot be read.
    """
    found = RecordLines()
    with suppress(FileNotFoundError):
        for line in read_lines(directory / RECORDS):
            try:
                ended = decoded(line, _ENDED)
            except _DAMAGE:
                found.unreadable += 1
                continue
            key = EpisodeKey(ended.id, ended.repeat)
            found.ended[key], found.lines[key], found.low = ended, line, ended.low
    if found.unreadable:
        found.low = (0, 0)
    return found


def read_records(directory: Path) -> tuple[dict[EpisodeKey, EpisodeRecord], int]:
    """The last record of each episode that ended, and how many lines are unreadable.

    Raises:
        OSError: the file cannot be read.
    """
    records, unreadable = _read(directory / RECORDS, _RECORDS)
    return _by_key(records, unreadable)


def decoded_records(lines: Iterable[bytes]) -> tuple[dict[EpisodeKey, EpisodeRecord], int]:
    """The records of lines, and how many lines are unreadable."""
    records, unreadable = _decoded(lines, _RECORDS)
    return _by_key(records, unreadable)


def _by_key(
    records: Sequence[EpisodeRecord], unreadable: int
) -> tuple[dict[EpisodeKey, EpisodeRecord], int]:
    """The records that can be counted with, and how many lines are of no use."""
    sound = [record for record in records if _is_sound(record)]
    by_key = {EpisodeKey(record.id, record.repeat): record for record in sound}
    return by_key, unreadable + len(records) - len(sound)


def _is_sound(record: EpisodeRecord) -> bool:
    """Whether its numbers are such as an episode has: a run can come from a stranger."""
    found = record.evidence
    if found and not len(found.retrieved) == len(found.visited) == len(found.cited):
        return False
    return all(0 <= number <= MAX_NUMBER for number in _numbers(record))


def _numbers(record: EpisodeRecord) -> tuple[float, ...]:
    counts, usage, prefix = record.counts, record.usage, record.prefix
    return (
        *(record.repeat, record.attempt, record.cost_usd or 0),
        *(record.seconds, record.model_seconds, record.tool_seconds),
        *(record.blocked_mirrors, record.replay_misses),
        *(record.tool_retries, record.continued_turns),
        *(counts.turns, counts.searches, counts.visits, counts.tool_calls, counts.tool_errors),
        *(counts.malformed_calls, counts.resamples, counts.retries, counts.compactions),
        *counts.repairs.values(),
        *counts.guards.values(),
        *(usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens or 0),
        *((prefix.mean, prefix.worst, prefix.turns) if prefix else ()),
    )


class _Remark(msgspec.Struct):
    remark: str


_REMARKS = msgspec.json.Decoder(_Remark)


def read_remarks(directory: Path) -> tuple[str, ...]:
    """What else has to be known about how a run was made.

    Raises:
        OSError: the file cannot be read.
    """
    remarks, _ = _read(directory / REMARKS, _REMARKS)
    return tuple(one.remark for one in remarks)


def read_grades(
    directory: Path, records: Mapping[EpisodeKey, EpisodeRecord]
) -> tuple[dict[tuple[EpisodeKey, str], GradeRecord], int]:
    """The last verdict on each record by each grader, and how many lines are unreadable.

    Raises:
        OSError: the file cannot be read.
    """
    grades, unreadable = _read(directory / GRADES, _GRADES)
    valid: dict[tuple[EpisodeKey, str], GradeRecord] = {}
    for grade in grades:
        key = EpisodeKey(grade.id, grade.repeat)
        record = records.get(key)
        if record and record.attempt == grade.attempt:
            valid[key, grade.grader] = grade
    return valid, unreadable


def _read(path: Path, decoder: "msgspec.json.Decoder[_Kind]") -> tuple[list[_Kind], int]:
    """What the lines of a file say; nothing where there is no file, as before the first record."""
    try:
        return _decoded(read_lines(path), decoder)
    except FileNotFoundError:
        return [], 0


def _decoded(
    lines: Iterable[bytes], decoder: "msgspec.json.Decoder[_Kind]"
) -> tuple[list[_Kind], int]:
    found: list[_Kind] = []
    unreadable = 0
    with no_collection():
        for line in lines:
            try:
                found.append(decoded(line, decoder))
            except _DAMAGE:
                unreadable += 1
    return found, unreadable


@contextmanager
def no_collection() -> Generator[None]:
    """Have no cycles looked for: thousands of records have none, and it takes longer than them."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
