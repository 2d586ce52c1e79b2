"""Share a few warm document readers among all tasks of the server."""

import logging
import math
import time
from functools import partial
from types import TracebackType
from typing import Self

import anyio
import anyio.to_thread
from anyio.abc import TaskGroup

from mcp_server.extract import extract
from mcp_server.extract.types import Extracted, SourceInfo
from mcp_server.extract.workers.child_process import Document
from mcp_server.extract.workers.worker import (
    DocumentReader,
    available_processors,
    is_read_at_once,
    read_without_child,
)

IDLE_SECONDS = 300.0
"""A reader that nobody needed for this long gives its memory back."""
MAX_WORKERS = 4

_SHORTEST_SECONDS = 0.01

_logger = logging.getLogger(__name__)


def default_workers() -> int:
    """One reader per processor, within bounds; two, so that a hostile page stops nobody else."""
    return max(2, min(MAX_WORKERS, available_processors()))


class ExtractionPool:
    """Reads documents in warm child processes, as many at a time as there are readers.

    Use it as an async context manager: leaving it kills every child. Processes start when they
    are needed; from the second document on one more is kept ready, so that the next one does not
    wait for a start.
    """

    def __init__(
        self, *, max_workers: int | None = None, idle_seconds: float = IDLE_SECONDS
    ) -> None:
        """Make a pool; nothing starts yet.

        Args:
            max_workers: documents read at the same time; by default `default_workers()`.
            idle_seconds: how long an unused process is kept.
        """
        self._max_workers = default_workers() if max_workers is None else max_workers
        self._idle_seconds = idle_seconds
        self._free = anyio.Semaphore(self._max_workers)
        self._threads = anyio.CapacityLimiter(math.inf)
        self._readers = [DocumentReader() for _ in range(self._max_workers)]
        self._idle = list(self._readers)
        self._has_been_used = False
        self._is_closed = False
        self._tasks: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        self._tasks.start_soon(self._end_idle_processes)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._tasks is not None
        self._is_closed = True
        for reader in self._readers:
            reader.stop()
        with anyio.CancelScope(shield=True):
            for reader in self._readers:
                await anyio.to_thread.run_sync(reader.close, limiter=self._threads)
        self._tasks.cancel_scope.cancel()
        # Without the exception, which the group would wrap into another one.
        await self._tasks.__aexit__(None, None, None)

    @property
    def pids(self) -> tuple[int, ...]:
        """Process ids of the children that run now."""
        return tuple(reader.pid for reader in self._readers if reader.pid is not None)

    async def extract(self, body: bytes, info: SourceInfo, *, deadline_seconds: float) -> Extracted:
        """Read a body with the extractor of its media type.

        Small plain text is read at once. When a child fails, only the tags are stripped, from the
        first two million bytes. When the call is cancelled, its child is killed.

        Args:
            body: the document; it is let go of as soon as a child has it.
            info: its media type has to be a key of `EXTRACTORS`.
            deadline_seconds: includes waiting for a free reader.

        Raises:
            ExtractionError: the extractor raised it, or neither way found any text, or the pool
                was closed.
        """
        if is_read_at_once(body, info):
            return extract(body, info)
        give_up_at = anyio.current_time() + deadline_seconds
        try:
            with anyio.fail_after(deadline_seconds):
                await self._free.acquire()
        except TimeoutError:
            _logger.info("no reader was free for a %s document", info.media_type)
            reason = "other documents kept all readers busy"
            strip = partial(read_without_child, body, info, reason, retryable=True)
            return await anyio.to_thread.run_sync(strip)
        document = Document(body)
        del body
        try:
            return await self._read(document, info, give_up_at)
        finally:
            self._free.release()

    async def _read(self, document: Document, info: SourceInfo, give_up_at: float) -> Extracted:
        assert self._tasks is not None, "the pool has to be entered first"
        reader = self._take_reader()
        seconds_left = max(_SHORTEST_SECONDS, give_up_at - anyio.current_time())
        read = partial(reader.read, document, info, deadline_seconds=seconds_left)
        try:
            reading = await anyio.to_thread.run_sync(
                read, abandon_on_cancel=True, limiter=self._threads
            )
        except anyio.get_cancelled_exc_class():
            await self._replace(reader)
            raise
        finally:
            if reader in self._readers:
                self._idle.append(reader)
            self._has_been_used = True
            self._keep_one_ready()
        if reading.failure:
            _logger.info("a %s document was hard to read: %s", info.media_type, reading.failure)
        return reading.extracted

    def _take_reader(self) -> DocumentReader:
        """The idle reader that was used last, of those with a process if there are any."""
        reader = max(self._idle, key=lambda reader: (reader.pid is not None, reader.idle_since))
        self._idle.remove(reader)
        if self._has_been_used:
            self._keep_one_ready()
        return reader

    def _keep_one_ready(self) -> None:
        """Start a process ahead of need when no idle reader has one."""
        assert self._tasks is not None
        if self._is_closed:
            return
        if self._idle and all(reader.pid is None for reader in self._idle):
            self._tasks.start_soon(self._start, self._idle[-1])

    async def _start(self, reader: DocumentReader) -> None:
        await anyio.to_thread.run_sync(reader.start, limiter=self._threads)

    async def _replace(self, reader: DocumentReader) -> None:
        """Put a reader without a process in the place of this one, and end this one."""
        fresh = DocumentReader()
        if self._is_closed:
            fresh.stop()
        self._readers[self._readers.index(reader)] = fresh
        self._idle.append(fresh)
        reader.stop()
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(reader.close, limiter=self._threads)

    async def _end_idle_processes(self) -> None:
        while True:
            await anyio.sleep(self._idle_seconds / 4)
            long_ago = time.monotonic() - self._idle_seconds
            for reader in [reader for reader in self._idle if reader.pid is not None]:
                if reader in self._idle and reader.idle_since <= long_ago:
                    self._idle.remove(reader)
                    await self._replace(reader)
