"""WARC files (ISO 28500), such as Common Crawl's: the HTML and text pages that were answers.

The records are read here: both libraries for it (`warcio`, `fastwarc`) take a file that was cut
short for a whole one. A packed file has a member for each record, so that reading goes on at any
record at no cost.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from io import BufferedIOBase, BytesIO
from pathlib import Path

from mcp_server.corpus.sources.fields import fingerprint_of, iso_date, name_of
from mcp_server.corpus.sources.packed import PackedFile, Place, damage_named
from mcp_server.corpus.sources.pages import MAX_PAGE_BYTES, RawPage, read_pages
from mcp_server.corpus.sources.skipping import Skipped
from mcp_server.corpus.types import Position, SourceItem
from mcp_server.errors import CorpusError
from mcp_server.visit.fetching.decoder import BodyDecoder, DamagedBody, TooLarge, UnknownCoding

_MAX_LINE_BYTES = 64 * 1024
_MAX_HEADER_LINES = 1_000
_SKIPPED_BYTES = 1024 * 1024
_STATUS_LINE = re.compile(rb"HTTP/\d(?:\.\d)?\s{1,9}(\d{3})")
_READ_TYPES = ("text/html", "application/xhtml+xml", "text/plain", "application/pdf", "")


class WarcSource:
    """The pages in a WARC file; those that cannot be read are counted in `skipped`."""

    def __init__(self, path: Path) -> None:
        """Name a file; it is opened by `read`."""
        self._path = path
        self._skipped = Skipped()
        self.name = name_of(path)

    @property
    def fingerprint(self) -> str:
        """Size, time, first and last bytes of the file."""
        return fingerprint_of(self._path)

    @property
    def total(self) -> int:
        """Bytes of the file."""
        return self._path.stat().st_size

    @property
    def skipped(self) -> int:
        """Pages that could not be read so far."""
        return self._skipped.count

    def read(self, after: str = "") -> Iterator[SourceItem]:
        """Read the pages that were answered with status 200, in the order of the file.

        Raises:
            CorpusError: the file is damaged.
        """
        return read_pages(self._pages(after), self._skipped)

    def _pages(self, after: str) -> Iterator[RawPage]:
        with PackedFile(self._path, Place.parse(after)) as file:
            records = _Records(self._path, file.bytes)
            while True:
                with damage_named(self._path):
                    record = records.next()
                if record is None:
                    return
                headers, block = record
                if headers.get("warc-type") != "response" or block is None:
                    continue
                url = headers.get("warc-target-uri", "").strip("<>")
                answer = _answer(block) if url.startswith(("http://", "https://")) else None
                if answer is None:
                    continue
                place, done = file.position(records.count)
                yield RawPage(
                    id=url,
                    url=url,
                    body=answer[1],
                    content_type=answer[0],
                    published=iso_date(headers.get("warc-date", "")),
                    position=Position(str(place), done),
                )


class _Records:
    """The records of an open file."""

    def __init__(self, path: Path, stream: BufferedIOBase) -> None:
        self._path = path
        self._stream = stream
        self.count = 0
        """Bytes that were read; between records, where the next one starts."""

    def next(self) -> tuple[dict[str, str], bytes | None] | None:
        """The headers and the block of the next record; None at the end of the file.

        The block is None where it is longer than a page may be.

        Raises:
            CorpusError: this is no record.
            EOFError: the file ends in the record.
        """
        line = self._line()
        while line in (b"\r\n", b"\n"):
            line = self._line()
        if not line:
            return None
        if not line.startswith(b"WARC/"):
            raise CorpusError(
                f"{self._path}: no record where one has to start, {self.count:,} unpacked bytes on"
            )
        headers = _headers(self._header_lines())
        length = headers.get("content-length", "")
        if not length.isdecimal():
            raise CorpusError(f"{self._path}: a record without its length")
        block = self._block(int(length))
        for _ in range(2):  # they belong to the record, so to its member of a packed file
            if self._line().strip():
                raise CorpusError(f"{self._path}: a record is longer than it says")
        return headers, block

    def _line(self) -> bytes:
        line = self._stream.readline(_MAX_LINE_BYTES)
        self.count += len(line)
        return line

    def _header_lines(self) -> Iterator[bytes]:
        for _ in range(_MAX_HEADER_LINES):
            line = self._line()
            if not line.endswith(b"\n"):
                raise EOFError("it ends in a record, or a header is too long")
            if not line.strip():
                return
            yield line
        raise CorpusError(f"{self._path}: a record of too many headers")

    def _block(self, length: int) -> bytes | None:
        if length <= MAX_PAGE_BYTES:
            block = self._stream.read(length)
            self.count += len(block)
            if len(block) < length:
                raise EOFError("it ends in a record")
            return block
        while length:
            piece = self._stream.read(min(length, _SKIPPED_BYTES))
            if not piece:
                raise EOFError("it ends in a record")
            self.count += len(piece)
            length -= len(piece)
        return None


def _headers(lines: Iterator[bytes]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(b":")
        if colon:
            key = name.strip().lower().decode("ascii", "replace")
            headers.setdefault(key, value.strip().decode("utf-8", "replace"))
    return headers


def _answer(block: bytes) -> tuple[str, bytes] | None:
    """Content type and decoded body of an HTTP answer; None where it is no page to read."""
    stream = BytesIO(block)
    status = _STATUS_LINE.match(stream.readline(_MAX_LINE_BYTES))
    if status is None or status[1] != b"200":
        return None
    lines: list[bytes] = []
    while (line := stream.readline(_MAX_LINE_BYTES)).strip() and len(lines) < _MAX_HEADER_LINES:
        lines.append(line)
    headers = _headers(iter(lines))
    content_type = headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() not in _READ_TYPES:
        return None
    body = stream.read()
    if headers.get("transfer-encoding", "").lower() == "chunked":
        body = _unchunked(body)
    # Archives often hold decoded bodies under the headers of encoded ones: both are read.
    with suppress(DamagedBody, TooLarge, UnknownCoding):
        decoder = BodyDecoder(headers.get("content-encoding", ""), max_bytes=MAX_PAGE_BYTES)
        decoder.feed(body)
        body = decoder.finish()
    return content_type, body


def _unchunked(body: bytes) -> bytes:
    """The chunks of a body joined; a body that is not in chunks as it is."""
    chunks: list[bytes] = []
    position = 0
    while (end := body.find(b"\r\n", position, position + 100)) >= 0:
        try:
            size = int(body[position:end].partition(b";")[0], 16)
        except ValueError:
            return body
        if size <= 0:
            return b"".join(chunks)
        chunks.append(body[end + 2 : end + 2 + size])
        position = end + 2 + size + 2
    return b"".join(chunks) or body
