"""Grade episodes as they end, or stored ones again."""

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import anyio
from anyio.abc import TaskGroup

from agent_client.evaluation.episode_record import SETTLED, EpisodeRecord
from agent_client.evaluation.graders.grader import Grader
from agent_client.evaluation.ports import GradedAnswer
from agent_client.evaluation.verdict import Grade, GradeRecord, Verdict

if TYPE_CHECKING:
    from agent_client.evaluation.records.run_writer import RunWriter
    from agent_client.evaluation.runner.progress import Progress

JUDGES_AT_ONCE = 32
LEAST_FAILURES = 8
"""After so many failures of the judge in a row, and as many as are asked at once, those that wait
are not asked any more: a dead judge would keep a run of thousands for hours."""
_RECORDS_PER_PAUSE = 64
"""So many stored records are graded offline before others get a turn: some milliseconds."""

logger = logging.getLogger(__name__)


@dataclass(slots=True, kw_only=True)
class GradeCounts:
    """What became of the settled episodes with one grader."""

    grader: str
    kept: int = 0
    """Verdicts of the same grader that were there and were not asked for again; they are in the
    following counts too."""
    correct: int = 0
    incorrect: int = 0
    not_attempted: int = 0
    ungraded: int = 0

    def add(self, grade: Grade) -> None:
        """Count one verdict."""
        setattr(self, grade, getattr(self, grade) + 1)


class Grading:
    """Grades settled episodes: offline graders at once, judges beside each other in tasks.

    Whoever runs an evaluation calls `take_stored` when it begins, `take` for each episode that
    ends, and `drain` at the end.
    """

    def __init__(
        self,
        writer: "RunWriter",
        graders: Sequence[Grader],
        progress: "Progress",
        *,
        tasks: TaskGroup,
        judges_at_once: int = JUDGES_AT_ONCE,
    ) -> None:
        """Grade into a run's directory.

        Args:
            writer: takes the verdicts.
            graders: all are asked; `progress` counts the verdicts of the first one.
            progress: its `correct`, `incorrect`, `not_attempted`, `ungraded` and
                `waiting_for_judge` are kept up to date.
            tasks: where judges are asked; cancelling it leaves their episodes without a verdict,
                and a later `take_stored` grades them.
            judges_at_once: questions to judges at the same time.
        """
        self._writer = writer
        self._graders = tuple(_Pinned(grader, grader.digest) for grader in graders)
        self._progress = progress
        self._tasks = tasks
        self._judges_at_once = judges_at_once
        # Waiting episodes cost nothing but their place: the writer holds the records anyway.
        self._queue: deque[tuple[_Pinned, EpisodeRecord]] = deque()
        self._workers = 0
        self._unheard = 0
        """Verdicts in a row for which no judge could be heard."""
        self._idle = anyio.Event()
        self.counts: tuple[GradeCounts, ...] = tuple(
            GradeCounts(grader=grader.name) for grader in graders
        )
        """In the order of the graders."""

    @property
    def ungraded(self) -> int:
        """Answers without a verdict of the grader that has failed most often."""
        return max((count.ungraded for count in self.counts), default=0)

    async def take(self, record: EpisodeRecord) -> None:
        """Grade an episode. Returns without waiting for a judge; an owed episode is left alone."""
        if record.status in SETTLED:
            for grader in self._graders:
                await self._start(grader, record)

    async def take_stored(self, *, again: bool = False) -> None:
        """Grade the settled episodes that the run holds already, and count their verdicts.

        A verdict that has the grader's digest and is not `ungraded` is kept.

        Args:
            again: keep none.
        """
        settled = [one for one in self._writer.records.values() if one.status in SETTLED]
        for place, record in enumerate(settled, start=1):
            for grader in self._graders:
                kept = None if again else self._stored(grader, record)
                if kept is None:
                    await self._start(grader, record)
                else:
                    self._count(grader, kept.grade).kept += 1
            if place % _RECORDS_PER_PAUSE == 0:
                await anyio.lowlevel.checkpoint()

    async def drain(self) -> None:
        """Wait until no judge is at work and none is waited for, or nothing can be stored."""
        while self._workers:
            self._idle = anyio.Event()
            await self._idle.wait()

    def _stored(self, grader: "_Pinned", record: EpisodeRecord) -> Verdict | None:
        """The verdict that is there and stays valid."""
        grade = self._writer.grades.get((record.key, grader.by.name))
        if grade is None or grade.attempt != record.attempt or grade.digest != grader.digest:
            return None
        return grade.verdict if grade.verdict.grade != "ungraded" else None

    async def _start(self, grader: "_Pinned", record: EpisodeRecord) -> None:
        if self._writer.failure:
            return
        if not grader.by.needs_judge:
            self._store(grader, record, await _verdict(grader.by, record))
            return
        self._queue.append((grader, record))
        self._waiting(grader, 1)
        if self._workers < self._judges_at_once:
            self._workers += 1
            self._tasks.start_soon(self._ask_judges)

    async def _ask_judges(self) -> None:
        """Work through the queue, side by side with others that do."""
        try:
            while self._queue and not self._writer.failure:
                grader, record = self._queue.popleft()
                try:
                    verdict = await _verdict(grader.by, record)
                finally:
                    self._waiting(grader, -1)
                self._store(grader, record, verdict)
                self._watch(verdict)
        finally:
            self._workers -= 1
            if not self._workers:
                self._idle.set()

    def _watch(self, verdict: Verdict) -> None:
        """Stop waiting for a judge that is not there. The next episode that ends asks it again."""
        is_unheard = verdict.grade == "ungraded" and not verdict.said
        self._unheard = self._unheard + 1 if is_unheard else 0
        if self._unheard < max(LEAST_FAILURES, self._judges_at_once) or not self._queue:
            return
        logger.warning(
            "%d answers stay ungraded: the judge failed %d times in a row (%s)",
            len(self._queue),
            self._unheard,
            verdict.error,
        )
        while self._queue:
            grader, _ = self._queue.popleft()
            self._waiting(grader, -1)
            self._count(grader, "ungraded")

    def _store(self, grader: "_Pinned", record: EpisodeRecord, verdict: Verdict) -> None:
        self._writer.add_grade(
            GradeRecord(
                id=record.id,
                repeat=record.repeat,
                attempt=record.attempt,
                grader=grader.by.name,
                digest=grader.digest,
                verdict=verdict,
                at=datetime.now(UTC).isoformat(timespec="seconds"),
            )
        )
        self._count(grader, verdict.grade)

    def _count(self, grader: "_Pinned", grade: Grade) -> GradeCounts:
        place = self._graders.index(grader)
        self.counts[place].add(grade)
        if place == 0:
            setattr(self._progress, grade, getattr(self._progress, grade) + 1)
        return self.counts[place]

    def _waiting(self, grader: "_Pinned", change: int) -> None:
        if grader is self._graders[0]:
            self._progress.waiting_for_judge += change


@dataclass(frozen=True, slots=True, eq=False)
class _Pinned:
    """A grader and its digest, which is computed once."""

    by: Grader
    digest: str


async def grade_run(
    writer: "RunWriter",
    graders: Sequence[Grader],
    *,
    only_ungraded: bool = True,
    progress: "Progress",
    judges_at_once: int = JUDGES_AT_ONCE,
) -> tuple[GradeCounts, ...]:
    """Grade the stored episodes of a run; no agent is run.

    Args:
        writer: the run.
        graders: in the order in which the counts come back.
        only_ungraded: keep the verdicts that have the same grader's digest and are not
            `ungraded`. Else everything is graded again.
        progress: see `Grading`.
        judges_at_once: see `Grading`.

    Raises:
        StorageFailed: the run's directory takes nothing more.
    """
    counts: tuple[GradeCounts, ...] = ()
    async with anyio.create_task_group() as tasks:
        grading = Grading(writer, graders, progress, tasks=tasks, judges_at_once=judges_at_once)
        counts = grading.counts
        await grading.take_stored(again=not only_ungraded)
    if writer.failure:
        raise writer.failure
    return counts


async def _verdict(grader: Grader, record: EpisodeRecord) -> Verdict:
    """Grade one answer, whatever a grader does."""
    asked = GradedAnswer(
        question=record.question,
        answers=record.answers,
        answer=record.answer,
        short_answer=record.short_answer,
        fields=record.fields,
    )
    try:
        return await grader.grade(asked)
    except Exception as exc:  # one poisoned answer must not end the run of thousands
        logger.exception("the grader %s failed on %s", grader.name, record.id)
        return Verdict(grade="ungraded", error=f"{type(exc).__name__}: {exc}")
