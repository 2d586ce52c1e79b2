"""Read documents where reading can be killed: a child process behind a synchronous face.

No HTML parser is safe to run in the server: a few hundred kilobytes of hostile markup keep the
best of them busy for a minute, and native code cannot be interrupted. So every document is read
in a child process with limits of memory, processor time and wall time. A document that breaks
them costs its own structure only: its tags are stripped here, in linear time, and the next
document gets a new child. `pool` shares several readers among many tasks.

This is not `anyio.to_process`: its workers put the current directory on the import path (an MCP
host starts us inside the user's project, where a file `anyio.py` would then run), inherit API
keys with the environment, and send pickles to the parent from the process that reads hostile
bytes. Here the child gets no environment, `-P`, `-S`, and JSON.
"""

import os
import threading
import time
from contextlib import suppress
from dataclasses import dataclass

from mcp_server.errors import ExtractionError
from mcp_server.extract import extract
from mcp_server.extract.plain_text import strip_tags
from mcp_server.extract.types import Extracted, SourceInfo
from mcp_server.extract.workers.child_process import ChildFailed, ChildProcess, Document
from mcp_server.visit.media_type import is_text

_SMALL_BYTES = 32 * 1024
_READ_AT_ONCE = frozenset(
    "text/plain text/markdown text/csv text/tab-separated-values application/json".split()
)
_FALLBACK_BYTES = 2_000_000
"""What the tag stripper, which runs in this process, is given at most: what `Document` keeps."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One document, read."""

    extracted: Extracted
    cpu_seconds: float
    """Processor time of the extraction alone; wall time where the child had to be killed."""
    failure: str = ""
    """Why only the tags were stripped; "" when all went well."""


class DocumentReader:
    """Reads documents one after the other, in a child process that is kept and replaced.

    `start`, `read` and `close` wait for each other; `stop` works from any thread at any time.
    """

    def __init__(self) -> None:
        self._in_use = threading.Lock()
        self._swapping = threading.Lock()
        self._child: ChildProcess | None = None
        self._is_stopped = False
        self.idle_since = time.monotonic()
        """When it was started or last used, on the clock of `time.monotonic`."""

    @property
    def pid(self) -> int | None:
        """The child's process id, or None while there is no child."""
        child = self._child
        return None if child is None else child.pid

    def start(self) -> None:
        """Start the child ahead of its first document; a failure shows at that document."""
        with self._in_use, suppress(ChildFailed):
            self._living_child()
            self.idle_since = time.monotonic()

    def read(self, body: bytes | Document, info: SourceInfo, *, deadline_seconds: float) -> Reading:
        """Read a body with the extractor of its media type. Blocks.

        Small plain text is read in this process. When the child fails, the tags are stripped from
        the first two million bytes instead, if the document is text at all.

        Args:
            body: the document; a `Document` is let go of as soon as the child has it.
            info: its media type has to be a key of `EXTRACTORS`.
            deadline_seconds: the child is killed after this time; starting it counts.

        Raises:
            ExtractionError: the extractor raised it, or neither way found any text, or the reader
                was stopped.
        """
        document = body if isinstance(body, Document) else Document(body)
        if is_read_at_once(document.body, info):
            started = time.thread_time()
            return Reading(extract(document.body, info), time.thread_time() - started)
        started = time.monotonic()
        with self._in_use:
            try:
                child = self._living_child()
                reply = child.ask(document, info, deadline_seconds=deadline_seconds)
            except ChildFailed as exc:
                self._end_child()
                failure = str(exc)
            else:
                if child.is_worn:
                    self._end_child()
                if isinstance(reply.outcome, ExtractionError):
                    raise reply.outcome
                return Reading(reply.outcome, reply.cpu_seconds)
            finally:
                self.idle_since = time.monotonic()
        if self._is_stopped:
            raise ExtractionError("reading was stopped")
        extracted = read_without_child(document.body, info, failure)
        return Reading(extracted, time.monotonic() - started, failure)

    def stop(self) -> None:
        """Kill the child, now and for ever; a `read` that is under way raises."""
        with self._swapping:
            self._is_stopped = True
            if self._child is not None:
                self._child.kill()

    def close(self) -> None:
        """Stop, and wait until the child is gone and a `read` under way has ended."""
        self.stop()
        with self._in_use:
            self._end_child()

    def _living_child(self) -> ChildProcess:
        if self._child is not None and not self._child.is_alive:
            self._end_child()  # the system killed it while it was idle: no document's fault
        if self._child is not None:
            return self._child
        child = ChildProcess()
        with self._swapping:
            if not self._is_stopped:
                self._child = child
                return child
        child.end()
        raise ChildFailed("reading was stopped")

    def _end_child(self) -> None:
        with self._swapping:
            child, self._child = self._child, None
        if child is not None:
            child.end()


def available_processors() -> int:
    """Processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def is_read_at_once(body: bytes, info: SourceInfo) -> bool:
    """Whether a document is small plain text, which no child has to read."""
    return len(body) <= _SMALL_BYTES and info.media_type in _READ_AT_ONCE


def read_without_child(
    body: bytes, info: SourceInfo, failure: str, *, retryable: bool = False
) -> Extracted:
    """Strip the tags of the first two million bytes, in linear time.

    Args:
        body: the document.
        info: its media type decides whether there are tags to strip.
        failure: why no child has read it.
        retryable: whether a child may well read it another time.

    Raises:
        ExtractionError: the document is not text, or has none.
    """
    if not is_text(info.media_type):
        raise ExtractionError(
            f"the document ({info.media_type}) could not be read: {failure}",
            hint="" if retryable else "try another result, or another version of this document",
            retryable=retryable,
        )
    text = strip_tags(body[:_FALLBACK_BYTES].decode(info.charset, "replace"))
    if not text:
        raise ExtractionError(
            f"the page could not be read, its markup is damaged or hostile: {failure}",
            hint="try another result",
        )
    note = f"this is the bare text of the page, with its menus and without structure: {failure}"
    return Extracted(title="", text=text, notes=(note,), is_stripped=True)
