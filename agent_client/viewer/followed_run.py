"""A run that is being written, read again as it grows without slowing down the one who writes."""

import gzip
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import anyio

from agent_client.errors import EvaluationError
from agent_client.evaluation.records.run_directory import GRADES, RECORDS, is_being_written
from agent_client.evaluation.records.stored_run import StoredRun, read_run
from agent_client.evaluation.statistics.judged import default_grader
from agent_client.sessions.journal import now_iso
from agent_client.sessions.lenient_json import encoded
from agent_client.viewer.run_episodes import RunEpisodes
from agent_client.viewer.view_index import index_of_runs

LOOK_SECONDS = 1.0
"""How often the sizes of the files are looked at."""
LEAST_PAUSE_SECONDS = 2.0
REST_PER_WORK = 15.0
"""Seconds of rest for each second of CPU that reading took: 6 % of a core."""
_COMPRESSION_LEVEL = 6

Signature = tuple[tuple[int, int], tuple[int, int], bool]
"""Size and time of change of the records and of the grades, and whether somebody writes them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What the files said at one moment."""

    number: int
    """Counts the readings from 1."""
    signature: Signature
    episodes: RunEpisodes
    index: bytes
    """JSON of the index, compressed with gzip."""
    title: str
    is_being_written: bool
    settled: int
    """Episodes that are over."""
    expected: int
    cpu_seconds: float
    """What it took."""


class FollowedRun:
    """One run and its latest reading.

    Attributes:
        latest: the latest reading.
    """

    def __init__(self, directory: Path, grader: str = "") -> None:
        """Read the run for the first time.

        Args:
            directory: of the run.
            grader: whose verdicts count; "" is the run's own.

        Raises:
            EvaluationError: the directory holds no run, or the run knows no such grader.
        """
        self._directory, self._grader = directory, grader
        self._changed = anyio.Event()
        self._reads = anyio.CapacityLimiter(1)
        self.latest = self._read(1)

    async def follow(self, *, tell: Callable[[Reading], None]) -> None:
        """Read again whenever something was written; ends only by being cancelled.

        Args:
            tell: called after each reading.
        """
        pause = self._rest()
        while True:
            await anyio.sleep(pause)
            pause = LOOK_SECONDS
            if self._signature() == self.latest.signature:
                continue
            try:
                self.latest = await anyio.to_thread.run_sync(
                    self._read, self.latest.number + 1, limiter=self._reads
                )
            except EvaluationError:  # its directory is gone, or being replaced: look again later
                continue
            pause = self._rest()
            tell(self.latest)
            changed, self._changed = self._changed, anyio.Event()
            changed.set()

    def _rest(self) -> float:
        return max(LEAST_PAUSE_SECONDS, REST_PER_WORK * self.latest.cpu_seconds)

    async def wait(self, number: int) -> int:
        """Wait for a reading behind this one; its number."""
        while self.latest.number <= number:
            await self._changed.wait()
        return self.latest.number

    async def episode(self, row: int) -> bytes | None:
        """JSON of the episode of a row, as far as it is stored by now; None where there is none."""
        return await anyio.to_thread.run_sync(self._episode, row, limiter=self._reads)

    def _episode(self, row: int) -> bytes | None:
        episodes = self.latest.episodes
        if not 0 <= row < len(episodes):
            return None
        episodes.look_again()
        return encoded(episodes.view(row))

    def _read(self, number: int) -> Reading:
        began = time.thread_time()
        signature = self._signature()  # before the files: what comes meanwhile is read next time
        run: StoredRun = read_run(self._directory)
        grader = self._grader or default_grader(run)
        index = index_of_runs((run,), grader, made=now_iso(), shard_rows=0, is_live=True)
        packed = gzip.compress(encoded(index), _COMPRESSION_LEVEL, mtime=0)
        return Reading(
            number=number,
            signature=signature,
            episodes=RunEpisodes(run, grader),
            index=packed,
            title=index.title,
            is_being_written=run.is_being_written,
            settled=run.expected - run.owed,
            expected=run.expected,
            cpu_seconds=time.thread_time() - began,
        )

    def _signature(self) -> Signature:
        records, grades = (_size_and_time(self._directory / name) for name in (RECORDS, GRADES))
        return records, grades, is_being_written(self._directory)


def _size_and_time(path: Path) -> tuple[int, int]:
    try:
        told = path.stat()
    except OSError:
        return 0, 0
    return told.st_size, told.st_mtime_ns
