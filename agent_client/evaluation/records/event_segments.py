"""The lines of all episodes, in files that only grow."""

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from agent_client.evaluation.episode_record import Span
from agent_client.evaluation.records.run_directory import (
    open_lines,
    segment_name,
    segment_numbers,
)
from agent_client.sessions.journal import LineFile, open_to_read

SEGMENT_BYTES = 256 * 2**20
"""A segment that has grown to this size is followed by the next one."""
MAX_SPAN_BYTES = 2**30
_BOM = b"\xef\xbb\xbf"


class EventSegments:
    """Appends lines. Each opening of a run begins a segment of its own, with its first line.

    Attributes:
        cut_bytes: torn end of the last segment before, which was cut off.
    """

    def __init__(self, directory: Path) -> None:
        """Go on behind the segments that are there.

        Raises:
            OSError: the directory cannot be read, or its last segment not be mended.
        """
        self._directory = directory
        numbers = segment_numbers(directory)
        self._number = numbers[-1] if numbers else 0
        self._file: LineFile | None = None
        self.cut_bytes = 0
        if numbers:
            last = open_lines(directory, segment_name(self._number))
            self.cut_bytes = last.cut_bytes
            last.close()

    @property
    def position(self) -> tuple[int, int]:
        """Segment and offset of the line to come, at the least."""
        return (self._number, self._file.end) if self._file else (self._number + 1, 0)

    @property
    def is_deleted(self) -> bool:
        """Whether nobody will find what is written."""
        return self._file is not None and self._file.is_deleted

    def append(self, lines: Sequence[bytes]) -> Span:
        """Write lines, all or none; where they stand.

        Args:
            lines: at least one, each without its newline.

        Raises:
            OSError: nothing was written.
        """
        if self._file is None or self._file.end >= SEGMENT_BYTES:
            following = open_lines(self._directory, segment_name(self._number + 1), is_new=True)
            self.close()
            self._file, self._number = following, self._number + 1
        offset = self._file.end
        self._file.append(*lines)
        return Span(self._number, offset, self._file.end - offset)

    def close(self) -> None:
        """End the segment."""
        if self._file:
            self._file.close()
        self._file = None


def add_span(spans: list[Span], span: Span) -> None:
    """Add where further lines stand; what follows the last span makes it longer."""
    if spans:
        last = spans[-1]
        if last.segment == span.segment and last.offset + last.length == span.offset:
            spans[-1] = Span(last.segment, last.offset, last.length + span.length)
            return
    spans.append(span)


def lines_in(directory: Path, spans: Iterable[Span]) -> Iterator[tuple[Span, bytes]]:
    """The lines of spans, each with its place; an empty line for a span that is not there.

    Spans are in order. One that reaches back is not there: else a short record of a stranger makes
    us read the same bytes thousands of times.
    """
    opened, fd = 0, -1
    behind = (0, 0)
    try:
        for span in spans:
            if (span.segment, span.offset) < behind:
                yield span, b""
                continue
            behind = span.segment, span.offset + max(0, span.length)
            if span.segment != opened:
                if fd >= 0:
                    os.close(fd)
                opened, fd = span.segment, _opened(directory, span.segment)
            offset = span.offset
            for line in _read(fd, span).splitlines(keepends=True) or [b""]:
                yield Span(span.segment, offset, len(line)), content(line)
                offset += len(line)
    finally:
        if fd >= 0:
            os.close(fd)


def lines_from(directory: Path, low: tuple[int, int]) -> Iterator[tuple[int, int, bytes]]:
    """All whole lines from a segment and an offset on: segment, offset, and the line as it stands.

    Raises:
        OSError: a segment cannot be read.
    """
    for number in segment_numbers(directory):
        if number < low[0]:
            continue
        fd = open_to_read(directory / segment_name(number), os.O_NOFOLLOW)
        with open(fd, "rb") as file:  # noqa: PTH123 - a descriptor has no path
            offset = low[1] if number == low[0] else 0
            file.seek(offset)
            for line in file:
                if line.endswith(b"\n"):  # else it is being written, or torn
                    yield number, offset, line
                offset += len(line)


def content(line: bytes) -> bytes:
    """A line without what editors, and file systems after a power cut, put around it."""
    return line.removeprefix(_BOM).strip(b"\r\n\0 ")


def _opened(directory: Path, segment: int) -> int:
    with suppress(OSError, ValueError):
        return open_to_read(directory / segment_name(segment), os.O_NOFOLLOW)
    return -1


def _read(fd: int, span: Span) -> bytes:
    """The bytes of a span, as far as they are there; a forged length reads no more than is."""
    with suppress(OSError, OverflowError, ValueError):
        there = os.fstat(fd).st_size - span.offset
        return os.pread(fd, max(0, min(span.length, there, MAX_SPAN_BYTES)), span.offset)
    return b""
