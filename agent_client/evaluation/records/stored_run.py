"""Reads the directory of a run: no lock, and damage is counted and passed over."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from agent_client.errors import EvaluationError
from agent_client.evaluation.episode_record import SETTLED, EpisodeKey, EpisodeRecord
from agent_client.evaluation.ports import EarlierResult
from agent_client.evaluation.question import Question
from agent_client.evaluation.records.event_segments import lines_in
from agent_client.evaluation.records.manifest import RunManifest, read_manifest
from agent_client.evaluation.records.result_store import ResultStore
from agent_client.evaluation.records.run_directory import is_being_written
from agent_client.evaluation.records.stored_lines import (
    no_collection,
    read_grades,
    read_questions,
    read_records,
    read_remarks,
)
from agent_client.evaluation.verdict import GradeRecord
from agent_client.sessions.event_codec import EventReader, Recorded, Returned, UnknownEvent
from agent_client.sessions.known import Known
from agent_client.sessions.lenient_json import encoded


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """What a run's directory says at this moment."""

    directory: Path
    manifest: RunManifest
    questions: tuple[Question, ...]
    records: Mapping[EpisodeKey, EpisodeRecord]
    """The last one of each episode that ended; also of those that are still owed."""
    grades: Mapping[tuple[EpisodeKey, str], GradeRecord]
    """The valid verdicts, by episode and grader."""
    unreadable: int
    """Lines that were damaged or are of a newer version."""
    is_being_written: bool
    remarks: tuple[str, ...] = ()
    """What else has to be known about how it was made, in order."""
    results: ResultStore = field(init=False, repr=False, compare=False)
    """What the tools returned: opened once, since it looks where everything stands."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "results", ResultStore(self.directory))

    @property
    def expected(self) -> int:
        """How many episodes the run has when it is done."""
        return len(self.questions) * self.manifest.repeats

    @property
    def owed(self) -> int:
        """How many episodes are not settled."""
        settled = sum(record.status in SETTLED for record in self.records.values())
        return self.expected - settled


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEpisode:
    """Everything that is stored of one episode."""

    record: EpisodeRecord
    events: tuple[Recorded, ...]
    """In order, without those of attempts that it does not continue."""
    returned: tuple[EarlierResult, ...]
    """What the tools returned, as it came from the server, in the order in which it came."""
    unreadable: int
    """Lines that are damaged or refer to damaged ones."""


def read_run(directory: Path) -> StoredRun:
    """Read a run, also one that is being written.

    Raises:
        EvaluationError: the directory holds no run, or it cannot be read.
    """
    manifest = read_manifest(directory)
    try:
        with no_collection():
            questions, damaged_questions = read_questions(directory)
            records, damaged_records = read_records(directory)
            grades, damaged_grades = read_grades(directory, records)
            remarks = read_remarks(directory)
    except OSError as exc:
        raise EvaluationError(f"cannot read run {str(directory)!r}: {exc.strerror}") from exc
    return StoredRun(
        directory=directory,
        manifest=manifest,
        questions=tuple(questions),
        records=records,
        grades=grades,
        unreadable=damaged_questions + damaged_records + damaged_grades,
        is_being_written=is_being_written(directory),
        remarks=remarks,
    )


def read_episode(run: StoredRun, record: EpisodeRecord) -> StoredEpisode:
    """Read the events of one episode: only its lines are read."""
    known = Known(run.manifest.profile.texts)
    reader = EventReader(run.results.get, known=known)
    events: list[Recorded] = []
    returned: list[EarlierResult] = []
    unreadable = 0
    begins = b'{"e":%s,' % encoded(record.id)
    for _, line in lines_in(run.directory, record.events):
        try:
            if not line.startswith(begins):
                raise UnknownEvent("a line of another episode, or none")
            entry = reader.read_entry(line)
        except UnknownEvent:
            unreadable += 1
            continue
        if isinstance(entry, Returned):
            returned.append(EarlierResult(entry.call, entry.result, entry.seconds))
        else:
            events.append(entry)
    return StoredEpisode(
        record=record, events=tuple(events), returned=tuple(returned), unreadable=unreadable
    )
