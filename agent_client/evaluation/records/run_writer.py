"""The one writer of a run's directory."""

import errno
import uuid
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from msgspec.structs import replace

from agent_client.conversation import ToolResult
from agent_client.errors import EvaluationError, StorageFailed
from agent_client.evaluation.episode_record import SETTLED, EpisodeKey, EpisodeRecord, Span
from agent_client.evaluation.ports import EarlierTurns, Episode
from agent_client.evaluation.question import Question
from agent_client.evaluation.records.earlier_chain import EarlierChain, read_chain
from agent_client.evaluation.records.episode_log import EpisodeLog
from agent_client.evaluation.records.event_segments import EventSegments
from agent_client.evaluation.records.manifest import RunManifest, manifest_bytes, read_manifest
from agent_client.evaluation.records.result_store import ResultStore
from agent_client.evaluation.records.resume_plan import (
    SPOILT,
    Owed,
    ResumePlan,
    find_unfinished,
)
from agent_client.evaluation.records.run_directory import (
    FOLDER_MODE,
    GRADES,
    MANIFEST,
    QUESTIONS,
    RECORDS,
    REMARKS,
    DirectoryLock,
    check_is_empty,
    open_lines,
    storage_failed,
    write_whole,
    writing,
)
from agent_client.evaluation.records.stored_lines import (
    Ended,
    decoded_records,
    read_grades,
    read_questions,
    read_record_lines,
)
from agent_client.evaluation.verdict import GradeRecord
from agent_client.sessions.event_codec import EventReader
from agent_client.sessions.journal import LineFile, now_iso
from agent_client.sessions.known import Known
from agent_client.sessions.lenient_json import encoded


class RunWriter:
    """The one writer of a run's directory. As a context manager it is closed at the end.

    Attributes:
        directory: of the run.
        manifest: what `run.json` says.
        questions: the questions asked, in order.
        results: what tools returned.
        cut_bytes: torn ends of files that were cut off at opening; 0 where the last writer ended
            well.
        unreadable: damaged lines that were passed over at opening.
        failure: why nothing more can be stored; set once, and from then on nothing is written.
    """

    def __init__(self, directory: Path, opened: ExitStack) -> None:
        """Use `RunWriter.create` and `RunWriter.resume`.

        Args:
            directory: holds a whole run and is locked.
            opened: closes what is opened here, when the caller says so.

        Raises:
            EvaluationError: `run.json` or the questions cannot be read.
            OSError: the directory cannot be written.
        """
        self.directory, self._opened = directory, ExitStack()
        self.manifest = read_manifest(directory)
        questions, unreadable = read_questions(directory)
        if unreadable or not questions:
            raise EvaluationError(
                f"{QUESTIONS} of run {str(directory)!r} is damaged or missing",
                hint="restore it from a copy: without it nobody knows what is owed",
            )
        self.questions = tuple(questions)
        self._by_id = {question.id: question for question in questions}
        self.results = ResultStore(directory)
        opened.callback(self.results.close)
        self.failure: StorageFailed | None = None
        self._tell: list[Callable[[StorageFailed], None]] = []
        self._records_file = open_lines(directory, RECORDS)
        opened.callback(self._records_file.close)
        self._grades_file = open_lines(directory, GRADES)
        opened.callback(self._grades_file.close)
        self._segments = EventSegments(directory)
        opened.callback(self._segments.close)
        files = (self._records_file, self._grades_file, self._segments)
        self.cut_bytes = sum(file.cut_bytes for file in files)
        self._stored = read_record_lines(directory)
        self._records: dict[EpisodeKey, EpisodeRecord] | None = None
        self._grades: dict[tuple[EpisodeKey, str], GradeRecord] | None = None
        self._unfinished, unreadable = find_unfinished(
            directory, self._stored.ended, self._stored.low
        )
        self.unreadable = self._stored.unreadable + unreadable
        # Of each episode without a record, where its first line stands: in the order of the lines.
        self._first_lines = {
            key: (found.spans[0].segment, found.spans[0].offset)
            for key, found in self._unfinished.items()
        }
        self._chains: dict[EpisodeKey, EarlierChain] = {}

    @staticmethod
    def create(
        directory: Path, manifest: RunManifest, questions: Sequence[Question]
    ) -> "RunWriter":
        """Begin a run.

        Args:
            directory: is made; one that exists has to be empty.
            manifest: what `run.json` is to say.
            questions: at least one, with ids that are unique.

        Raises:
            EvaluationError: the directory holds a run or something else, or there are no questions.
            RunInUse: another process is at it.
            StorageFailed: it cannot be written.
        """
        if not questions:
            raise EvaluationError("there are no questions to ask")
        if len({question.id for question in questions}) < len(questions):
            raise EvaluationError("two questions have the same id")
        lines = b"".join(encoded(question) + b"\n" for question in questions)
        with writing(directory), ExitStack() as opened:
            directory.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
            check_is_empty(directory)  # before the lock: nothing is left in somebody's folder
            opened.callback(DirectoryLock(directory).close)
            check_is_empty(directory)
            write_whole(directory, {QUESTIONS: lines, MANIFEST: manifest_bytes(manifest)})
            return RunWriter._opened_in(directory, opened)

    @staticmethod
    def resume(directory: Path) -> "RunWriter":
        """Go on with a run.

        Raises:
            EvaluationError: the directory holds no run, or one that cannot be read.
            RunInUse: another process writes it.
            StorageFailed: it cannot be written.
        """
        read_manifest(directory)
        with writing(directory), ExitStack() as opened:
            opened.callback(DirectoryLock(directory).close)
            return RunWriter._opened_in(directory, opened)

    @staticmethod
    def _opened_in(directory: Path, opened: ExitStack) -> "RunWriter":
        writer = RunWriter(directory, opened)
        writer._opened = opened.pop_all()
        return writer

    @property
    def records(self) -> dict[EpisodeKey, EpisodeRecord]:
        """The last record of each episode that ended; they are read when first asked for."""
        if self._records is None:
            self._records, unreadable = decoded_records(self._stored.lines.values())
            self.unreadable += unreadable
            self._stored.lines.clear()
        return self._records

    @property
    def grades(self) -> dict[tuple[EpisodeKey, str], GradeRecord]:
        """The valid verdicts, by episode and grader."""
        if self._grades is None:
            self._grades, unreadable = read_grades(self.directory, self.records)
            self.unreadable += unreadable
        return self._grades

    def on_failure(self, tell: Callable[[StorageFailed], None]) -> None:
        """Have a function told when nothing more can be stored: at once if that is so already."""
        self._tell.append(tell)
        if self.failure:
            tell(self.failure)

    def plan(self) -> ResumePlan:
        """What is settled and what is owed. Takes milliseconds: turns are read later."""
        settled = {key for key, end in self._stored.ended.items() if end.status in SETTLED}
        owed = tuple(
            self.owed(key)
            for repeat in range(self.manifest.repeats)
            for question in self.questions
            if (key := EpisodeKey(question.id, repeat)) not in settled
        )
        return ResumePlan(settled=frozenset(settled), owed=owed)

    def owed(self, key: EpisodeKey) -> Owed:
        """One episode that is owed, such as one that just ended with `infra_error`."""
        end, unfinished = self._stored.ended.get(key), self._unfinished.get(key)
        attempts = max(end.attempt if end else 0, unfinished.attempt if unfinished else 0)
        return Owed(
            key=key,
            question=self._by_id[key.id],
            attempt=attempts + 1,
            is_begun=attempts > 0,
            load=self._load,
        )

    def begin(self, episode: Episode) -> EpisodeLog:
        """The journal of an episode that begins, or goes on where `episode.earlier` is set."""
        key = episode.key
        chain = self._chains.pop(key, None)
        if episode.earlier is None:
            chain = None
            self._first_lines.pop(key, None)  # what is stored of it is no longer of use
        elif chain is None:
            chain = self._read_chain(key)
        log = EpisodeLog(
            key,
            episode.attempt,
            append=self._append_events,
            put=self._put,
            known=chain.known if chain else Known(self.manifest.profile.texts),
            chain=chain,
        )
        if episode.earlier is not None and chain is None:
            log.diverged = "nothing is stored of it"
        self._unfinished.pop(key, None)
        return log

    def add_record(self, record: EpisodeRecord, log: EpisodeLog) -> EpisodeRecord:
        """Store the record of an episode that ended. Never raises: see `failure`.

        Returns:
            The record with its spans and `low`.
        """
        log.flush()
        self._first_lines.pop(record.key, None)
        low = next(iter(self._first_lines.values()), self._segments.position)
        record = replace(record, events=tuple(log.spans), low=low)
        if self._write(self._records_file, record):
            self.records[record.key] = record
            self._stored.ended[record.key] = Ended(
                record.id, record.status, record.repeat, record.attempt
            )
        return record

    def add_grade(self, grade: GradeRecord) -> None:
        """Store a verdict. Never raises: see `failure`."""
        key = EpisodeKey(grade.id, grade.repeat)
        end = self._stored.ended.get(key)
        if self._write(self._grades_file, grade) and end and end.attempt == grade.attempt:
            self.grades[key, grade.grader] = grade

    def add_remark(self, remark: str) -> None:
        """Store what readers of the run have to know about how it was made.

        Raises:
            StorageFailed: it cannot be written.
        """
        with writing(self.directory):
            file = open_lines(self.directory, REMARKS)
            try:
                file.append(encoded({"at": now_iso(), "remark": remark}))
            finally:
                file.close()

    def close(self) -> None:
        """Let the next writer in."""
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _load(self, key: EpisodeKey) -> tuple[str, EarlierTurns | None]:
        """The run id and the earlier turns of an episode that begins now."""
        chain = None
        if self._may_go_on(key):
            chain = self._read_chain(key)
        if chain is None:
            return uuid.uuid4().hex, None
        self._chains[key] = chain
        return chain.run_id, chain.turns

    def _may_go_on(self, key: EpisodeKey) -> bool:
        """Whether the next attempt goes on from what the last one has stored."""
        if self.manifest.profile.content.get("resume") == "question":
            return False
        record = self.records.get(key)
        is_spoilt = record and record.error and record.error.type in SPOILT
        return not is_spoilt or key in self._unfinished

    def _read_chain(self, key: EpisodeKey) -> EarlierChain | None:
        record, unfinished = self.records.get(key), self._unfinished.get(key)
        spans = list(record.events) if record else list[Span]()
        if unfinished:
            spans += unfinished.spans
        return read_chain(
            self.directory,
            key,
            spans,
            lambda: EventReader(self.results.get, known=Known(self.manifest.profile.texts)),
        )

    def _append_events(self, key: EpisodeKey, lines: Sequence[bytes]) -> Span | None:
        if self.failure:
            return None
        try:
            span = self._segments.append(lines)
        except OSError as exc:
            self._fail(exc)
            return None
        self._first_lines.setdefault(key, (span.segment, span.offset))
        return span

    def _put(self, result: ToolResult) -> str | None:
        if self.failure:
            return None
        try:
            return self.results.put(result)
        except OSError as exc:
            self._fail(exc)
            return None

    def _write(self, file: LineFile, value: EpisodeRecord | GradeRecord) -> bool:
        if self.failure:
            return False
        try:
            if file.is_deleted or self._segments.is_deleted or self.results.is_deleted:
                raise FileNotFoundError(errno.ENOENT, "it was deleted")
            file.append(encoded(value))
        except (OSError, TypeError, ValueError, RecursionError) as exc:
            self._fail(exc)
            return False
        return True

    def fail(self, failure: StorageFailed) -> None:
        """Store nothing more, since what belongs to the run cannot be stored elsewhere."""
        self.failure = self.failure or failure
        for tell in self._tell:
            tell(self.failure)

    def _fail(self, exc: Exception) -> None:
        self.fail(storage_failed(self.directory, exc))
