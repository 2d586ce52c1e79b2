"""Which episode is next, how often it is tried, and when a run stops."""

import hashlib
import heapq
import logging
import random
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

import anyio

from agent_client.errors import StorageFailed, ToolServerError
from agent_client.evaluation.episode_record import (
    SETTLED,
    EpisodeKey,
    EpisodeRecord,
    RecordedError,
)
from agent_client.evaluation.ports import Episode, Solve
from agent_client.evaluation.records.resume_plan import Owed
from agent_client.evaluation.records.run_writer import RunWriter
from agent_client.evaluation.runner.continued import SEEDS
from agent_client.evaluation.runner.episode import RESTART, recorded_error, unfinished
from agent_client.evaluation.runner.progress import Progress
from agent_client.evaluation.runner.watched_journal import WatchedJournal

logger = logging.getLogger(__name__)

MIN_WAVE = 8
"""So many failures in a row, or as many as run at once if those are more, mean an outage."""

LASTING = frozenset({"ReplayMiss"})
"""Errors that are the same at each try, and no outage: a recording does not change."""

StopReason = Literal["done", "owed", "infrastructure", "storage", "cancelled"]
"""`done`: all episodes are settled; `owed`: some failed as often as they may in one opening;
`infrastructure`: everything failed, so that nothing more was tried; `storage`: the directory takes
nothing more; `cancelled`: somebody stopped it."""


class Grades(Protocol):
    """Who grades episodes as they end (`agent_client.evaluation.graders.grading.Grading`)."""

    async def take(self, record: EpisodeRecord) -> None:
        """Grade a settled episode, without waiting for a judge."""
        ...

    async def take_stored(self) -> None:
        """Grade what was settled before and has no verdict."""
        ...

    async def drain(self) -> None:
        """Wait for the judges."""
        ...

    @property
    def ungraded(self) -> int:
        """Answers that one of the graders has failed on."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnd:
    """How a run ended. Whatever is owed, `seekling eval resume` goes on with."""

    reason: StopReason
    settled: int
    """Episodes of the whole run."""
    owed: int
    ungraded: int
    """Settled ones without a verdict: `seekling eval grade` asks for it again."""
    what: str = ""
    """What is dead or full, in one or two sentences; "" where nothing is."""
    error: StorageFailed | None = None
    """With the reason `storage`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptPolicy:
    """How often a failed episode is tried in one opening of a run, and how long after.

    Before try n + 1 it waits a random time between the half and the whole of
    `first_seconds * 2 ** (n - 1)`, at most `max_seconds`; meanwhile others are worked on. When
    everything fails, nothing is begun for a while; so a model's server may be started anew.
    """

    tries: int = 3
    """At least 1."""
    first_seconds: float = 5.0
    max_seconds: float = 60.0
    outage_seconds: tuple[float, ...] = (15.0, 90.0)
    """The pauses of an outage, each between the half and the whole of it; then the run stops."""
    random: Callable[[], float] = random.random
    """Gives numbers in [0, 1)."""
    sleep: Callable[[float], Awaitable[None]] = anyio.sleep

    def seconds_after(self, tries: int) -> float:
        """How long to wait after so many tries."""
        doublings = max(0, tries - 1)
        return self._jittered(min(self.max_seconds, self.first_seconds * 2**doublings))

    def outage_pause(self, wave: int) -> float | None:
        """How long to wait after so many waves of failures, at least 1; None to stop."""
        if wave > len(self.outage_seconds):
            return None
        return self._jittered(self.outage_seconds[wave - 1])

    def _jittered(self, longest: float) -> float:
        return longest * (1 + self.random()) / 2


def episode_seed(run_seed: int | None, key: EpisodeKey) -> int | None:
    """The seed of an episode, in [0, 2^31); the same in each attempt. None without a run's seed."""
    if run_seed is None:
        return None
    text = f"{run_seed}\n{key.repeat}\n{key.id}"
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") % SEEDS


@dataclass(slots=True, eq=False)
class _Work:
    """An episode that is owed, and what became of it in this opening."""

    owed: Owed
    tries: int = 0
    """Those in an outage do not count."""
    has_failed: bool = False
    cost_usd: float = 0.0
    """What it had cost at the end of its last try."""


@dataclass(slots=True)
class _Queue:
    """What is to be done: what failed when its time has come, else in the plan's order."""

    policy: AttemptPolicy
    fresh: deque[_Work]
    later: list[tuple[float, int, _Work]] = field(default_factory=list[tuple[float, int, _Work]])
    """A heap: when it is due, a number to tell equals apart, what."""
    _added: int = 0

    def try_later(self, work: _Work) -> None:
        """Put a failed one back, to be tried when its time has come."""
        self._added += 1
        due = time.monotonic() + self.policy.seconds_after(work.tries)
        heapq.heappush(self.later, (due, self._added, work))

    async def next(self) -> _Work | None:
        """The next one; None when nothing is left.

        Who gets none may go home: what still fails is taken up by the worker that it failed under.
        """
        wait = self.later[0][0] - time.monotonic() if self.later else 0.0
        if self.fresh and (wait > 0 or not self.later):
            return self.fresh.popleft()
        if not self.later:
            return None
        _, _, work = heapq.heappop(self.later)
        if wait > 0:
            await self.policy.sleep(wait)
        return work


class Runner:
    """One opening of a run: works on everything that is owed. Use it once.

    As soon as an episode ends, the next one begins, so that the slow ones hold nobody up. An
    episode that failed through no fault of the agent is tried again, from the middle, while others
    are worked on. When nothing but failures comes, something is dead: the run waits, and then
    stops. All of it can be stopped at any moment: by `stop`, or by cancelling the scope around
    `run`.
    """

    def __init__(
        self,
        writer: RunWriter,
        solve: Solve,
        grades: Grades | None,
        *,
        concurrency: int,
        progress: Progress,
        policy: AttemptPolicy | None = None,
    ) -> None:
        """Prepare.

        Args:
            writer: of the run's directory.
            solve: works on one episode.
            grades: is handed each episode that is settled; None grades nothing.
            concurrency: episodes at once; at least 1.
            progress: kept up to date.
            policy: for episodes that failed.
        """
        self._writer, self._solve, self._grades = writer, solve, grades
        self._concurrency, self._progress = concurrency, progress
        self._queue = _Queue(policy or AttemptPolicy(), deque())
        self._scope = anyio.CancelScope()
        self._stopped_by: StopReason | None = None
        self._failures = 0
        """In a row."""
        self._last_error: RecordedError | None = None
        self._closed_until = 0.0
        """Nothing is begun before, by `time.monotonic`."""

    async def run(self) -> RunEnd:
        """Work on everything that is owed; returns when it is done or cannot go on.

        Cancelled from outside, it stores what is at work as `cancelled`, within seconds.
        """
        self._writer.on_failure(lambda _: self._stop("storage"))
        plan = self._writer.plan()
        progress = self._progress
        progress.done = len(plan.settled)
        progress.total = len(plan.settled) + len(plan.owed)
        self._queue.fresh.extend(map(_Work, plan.owed))
        del plan  # an episode that is over leaves nothing behind
        with self._scope:
            if self._grades:
                await self._grades.take_stored()
            async with anyio.create_task_group() as workers:
                for _ in range(min(self._concurrency, len(self._queue.fresh))):
                    workers.start_soon(self._work)
        if self._grades and self._stopped_by in (None, "infrastructure"):
            await self._grades.drain()
        return self._end()

    def stop(self) -> None:
        """Stop as Ctrl-C does, but so that `run` returns, with the reason `cancelled`."""
        self._stop("cancelled")

    def _stop(self, reason: StopReason) -> None:
        self._stopped_by = self._stopped_by or reason
        self._scope.cancel()

    def _end(self) -> RunEnd:
        progress = self._progress
        graded = progress.correct + progress.incorrect + progress.not_attempted
        reason = self._stopped_by or ("owed" if progress.owed else "done")
        return RunEnd(
            reason=reason,
            settled=progress.done,
            owed=progress.owed,
            # The run's score is of the first grader; what a second one lacks is missing as well.
            ungraded=max(0, progress.done - graded, self._grades.ungraded if self._grades else 0),
            what=self._what_failed(reason),
            error=self._writer.failure,
        )

    def _what_failed(self, reason: StopReason) -> str:
        if failure := self._writer.failure:
            return f"{failure}; {failure.hint}" if failure.hint else str(failure)
        if reason == "infrastructure":
            what = f"the last {self._failures:,} attempts all failed"
        elif reason == "owed":
            failed = self._progress.infra_errors
            what = f"{failed:,} {'episode' if failed == 1 else 'episodes'} failed"
        else:
            return ""
        if error := self._last_error:
            what += f", the last one with {error.type}: {error.message}"
            what += f" ({error.hint})" if error.hint else ""
        return what

    async def _work(self) -> None:
        while (work := await self._queue.next()) is not None:
            if (closed := self._closed_until - time.monotonic()) > 0:
                await self._queue.policy.sleep(closed)
            work.tries += 1
            self._progress.retried += work.has_failed
            self._progress.running += 1
            try:
                record = await self._attempt(work)
            finally:
                self._progress.running -= 1
            await self._take_in(work, record)

    async def _attempt(self, work: _Work) -> EpisodeRecord:
        """Work on an episode, afresh if it cannot go on from the middle."""
        owed = work.owed
        episode = owed.episode(seed=episode_seed(self._writer.manifest.seed, owed.key))
        if episode.earlier is not None:
            self._progress.continued += 1
        record = await self._run_once(episode)
        if record is None:
            self._progress.restarted += 1
            logger.info("question %r, repeat %d: begun afresh", *owed.key)
            episode = replace(
                episode, attempt=episode.attempt + 1, run_id=uuid.uuid4().hex, earlier=None
            )
            record = await self._run_once(episode)
            assert record is not None  # without earlier turns nothing is begun afresh
        return record

    async def _run_once(self, episode: Episode) -> EpisodeRecord | None:
        """The stored record of one attempt; None when it has to be begun afresh."""
        log = self._writer.begin(episode)
        earlier = episode.earlier
        journal = WatchedJournal(
            log, self._progress, taken_over=len(earlier.replies) if earlier else 0
        )
        record: EpisodeRecord | None = None
        try:
            with journal.scope:
                record = await self._solve(episode, journal)
        except Exception as exc:
            logger.exception("question %r, repeat %d: the solver failed", *episode.key)
            record = unfinished(episode, "infra_error", recorded_error(exc))
        except BaseException:  # cancelled, or interrupted by a signal
            self._writer.add_record(unfinished(episode, "cancelled"), log)
            raise
        has_diverged = record is None or bool(log.diverged) or _is_restart(record)
        if has_diverged and earlier is not None:
            return None
        if record is None:
            error = RecordedError(type=RESTART, message=log.diverged)
            record = unfinished(episode, "infra_error", error)
        return self._writer.add_record(record, log)

    async def _take_in(self, work: _Work, record: EpisodeRecord) -> None:
        """Count an episode that ended; have it graded, or tried again."""
        if self._writer.failure:
            return  # it may not be stored: then it is owed
        progress = self._progress
        progress.cost_usd += (record.cost_usd or 0.0) - work.cost_usd
        work.cost_usd = record.cost_usd or 0.0
        progress.replay_misses += record.replay_misses
        progress.blocked_mirrors += record.blocked_mirrors
        if record.status in SETTLED:
            self._failures, progress.note = 0, ""
            progress.done += 1
            progress.infra_errors -= work.has_failed
            if self._grades:
                await self._grade(self._grades, record)
            return
        progress.infra_errors += not work.has_failed
        work.has_failed = True
        self._last_error = record.error
        if record.error and record.error.type in LASTING:
            return
        if self._is_outage(record.error):
            work.tries -= 1  # where everything fails, it says nothing about this one
        if work.tries < self._queue.policy.tries:
            work.owed = self._writer.owed(work.owed.key)
            self._queue.try_later(work)

    def _is_outage(self, error: RecordedError | None) -> bool:
        """Whether nothing but failures comes. Then nothing is begun for a while, or ever again."""
        self._failures += 1
        wave, rest = divmod(self._failures, max(MIN_WAVE, self._concurrency))
        if wave and not rest:
            pause = self._queue.policy.outage_pause(wave)
            if pause is None or self._never_worked(error):
                self._stop("infrastructure")
                self._progress.note = self._what_failed("infrastructure")
            else:
                self._closed_until = time.monotonic() + pause
                what = f"{error.type}: {error.message}" if error else "no error named"
                self._progress.note = f"everything fails, waiting {pause:.0f} s ({what})"
        return wave > 0

    def _never_worked(self, error: RecordedError | None) -> bool:
        """Whether what is dead was so from the start: then nobody waits for it to come back."""
        progress = self._progress
        if error is not None and error.type == ToolServerError.__name__:
            return not (progress.searches or progress.visits)
        return not progress.turns

    async def _grade(self, grades: Grades, record: EpisodeRecord) -> None:
        try:
            await grades.take(record)
        except Exception:
            logger.exception("question %r, repeat %d: not graded", *record.key)


def _is_restart(record: EpisodeRecord) -> bool:
    return record.error is not None and record.error.type == RESTART
