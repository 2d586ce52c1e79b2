"""`seekling-mcp extract`: local files through the extraction of a visit, without network.

This is how the quality and the speed of extraction are measured from outside, so it imports and
does little beside the reading itself.
"""

import argparse
import json
import os
import sys
import time
import zlib
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, BinaryIO

from mcp_server.clean import clean, clean_line
from mcp_server.cli.json_output import print_json
from mcp_server.errors import (
    ConfigError,
    CorpusError,
    ExtractionError,
    SeeklingServerError,
    UnsupportedMediaType,
)
from mcp_server.extract import EXTRACTORS
from mcp_server.extract.types import Extracted, SourceInfo
from mcp_server.extract.workers.worker import DocumentReader, Reading, available_processors
from mcp_server.visit.media_type import sniff
from mcp_server.visit.types import Resource

DEADLINE_SECONDS = 20.0
"""Longest time for one document."""
MAX_FILE_BYTES = 50_000_000
"""Longest document, also after it was unpacked."""

_GZIP_MAGIC = b"\x1f\x8b"
_GZIP_WINDOW = 16 + zlib.MAX_WBITS
_MAX_LINE_CHARS = 300
_MAX_URL_CHARS = 4_096
_READ_AHEAD = 1_000
"""Documents that may be read before an earlier, slow one is written."""
_PROGRESS_SECONDS = 0.2
_DECLARED_TYPES = {
    ".htm": "text/html",
    ".html": "text/html",
    ".xhtml": "application/xhtml+xml",
    ".txt": "text/plain",
    ".md": "text/markdown",
    ".csv": "text/csv",
    ".tsv": "text/tab-separated-values",
    ".json": "application/json",
    ".jsonl": "application/x-ndjson",
    ".xml": "application/xml",
    ".rss": "application/rss+xml",
    ".atom": "application/atom+xml",
}
"""What a web server says of files with these names; judged like any Content-Type header."""


def run(options: argparse.Namespace) -> int:
    """Read one file, or a folder of them."""
    if options.batch is not None:
        if options.file is not None:
            raise ConfigError("both FILE and --batch are given", hint="name one of them")
        if options.out is None:
            raise ConfigError("--out FILE.jsonl is missing", hint="say where the lines go")
        if str(options.out) == "-":
            raise ConfigError("--out - would be a file of that name", hint="use /dev/stdout")
        return _read_folder(options)
    if options.file is None:
        raise ConfigError("no file is named", hint="name a FILE, or use --batch DIR")
    if options.out is not None:
        raise ConfigError("--out is for --batch only", hint="redirect stdout instead")
    return _read_file(options)


def _read_file(options: argparse.Namespace) -> int:
    name: str = options.file
    try:
        body = _load(sys.stdin.buffer if name == "-" else Path(name))
    except OSError as exc:
        raise CorpusError(f"cannot read {name}: {exc.strerror or exc}") from exc
    info = _judge(body, Path(name).name, options)
    reader = DocumentReader()
    try:
        reading = reader.read(body, info, deadline_seconds=DEADLINE_SECONDS)
    finally:
        reader.close()
    told = _told(reading, info)
    if not told["markdown"]:
        raise _no_text(reading.extracted)
    if options.json:
        print_json({"id": _id_of(Path(name)), **told})
    else:
        print(_as_text(told))
    return 0


def _load(source: Path | BinaryIO) -> bytes:
    """The bytes of a file or stream, unpacked when they are gzip.

    Raises:
        OSError: they cannot be read.
        CorpusError: they are too many, or damaged.
    """
    if isinstance(source, Path):
        with source.open("rb") as file:
            body = file.read(MAX_FILE_BYTES + 1)
    else:
        body = source.read(MAX_FILE_BYTES + 1)
    if body.startswith(_GZIP_MAGIC):
        body = _unpacked(body)
    if len(body) > MAX_FILE_BYTES:
        raise CorpusError(f"the document is larger than {MAX_FILE_BYTES:,} bytes")
    return body


def _unpacked(packed: bytes) -> bytes:
    pieces: list[bytes] = []
    room = MAX_FILE_BYTES + 1
    while packed.startswith(_GZIP_MAGIC) and room > 0:
        inflater = zlib.decompressobj(_GZIP_WINDOW)
        try:
            pieces.append(inflater.decompress(packed, room))
        except zlib.error as exc:
            raise CorpusError("the gzip file is damaged") from exc
        room -= len(pieces[-1])
        if not inflater.eof and room > 0:
            raise CorpusError("the gzip file ends early")
        packed = inflater.unused_data
    return b"".join(pieces)


def _judge(body: bytes, name: str, options: argparse.Namespace) -> SourceInfo:
    """What a document is, as a visit would find out.

    Raises:
        UnsupportedMediaType: no extractor reads it.
    """
    suffix = Path(name.removesuffix(".gz")).suffix.lower()
    content_type = options.content_type or _DECLARED_TYPES.get(suffix, "")
    info = sniff(
        Resource(
            url=options.url,
            final_url=options.url,
            status=200,
            content_type=content_type,
            body=body,
        )
    )
    if info.media_type not in EXTRACTORS:
        raise UnsupportedMediaType(options.url or name, info.media_type, len(body))
    return info


def _told(reading: Reading, info: SourceInfo) -> dict[str, Any]:
    """One document as plain data, cleaned like the pages of a visit."""
    extracted = reading.extracted
    markdown = clean(extracted.text)
    metadata = asdict(extracted.metadata)
    return {
        "url": info.url,
        "title": clean_line(extracted.title, _MAX_LINE_CHARS),
        "text": clean(extracted.plain_text) if extracted.plain_text else markdown,
        "markdown": markdown,
        "media_type": info.media_type,
        "metadata": {name: clean_line(value, _MAX_URL_CHARS) for name, value in metadata.items()},
        "notes": [clean_line(note, _MAX_LINE_CHARS) for note in extracted.notes],
        "needs_javascript": extracted.needs_javascript,
        "seconds": round(reading.cpu_seconds, 6),
    }


def _no_text(extracted: Extracted) -> ExtractionError:
    if extracted.needs_javascript:
        return ExtractionError("the page has no text without JavaScript")
    return ExtractionError("the document has no readable text")


def _as_text(told: dict[str, Any]) -> str:
    header = {
        "Title": told["title"],
        "URL": told["url"],
        "Type": told["media_type"],
        **{name.replace("_", " ").capitalize(): value for name, value in told["metadata"].items()},
    }
    lines = [f"{name}: {value}" for name, value in header.items() if value]
    lines += [f"Note: {note}" for note in told["notes"]]
    return "\n".join(lines) + "\n\n" + told["markdown"]


@dataclass(frozen=True, slots=True)
class _Outcome:
    """One line of the output file and what is counted of it."""

    line: bytes
    cpu_seconds: float
    is_failed: bool


def _read_folder(options: argparse.Namespace) -> int:
    started = time.monotonic()
    paths = _files_of(options.batch, besides=options.out)
    documents = failed = 0
    cpu_seconds = 0.0
    progress = _Progress(len(paths), is_quiet=options.quiet)
    try:
        with options.out.open("wb") as out, closing(_outcomes(paths, options)) as outcomes:
            for outcome in outcomes:
                out.write(outcome.line)
                out.flush()
                documents += 1
                failed += outcome.is_failed
                cpu_seconds += outcome.cpu_seconds
                progress.show(documents)
    except OSError as exc:
        raise CorpusError(f"cannot write {options.out}: {exc.strerror or exc}") from exc
    finally:
        progress.finish()
    spent = sum(os.times()[:4])  # ours and that of all children, from the start of the process
    summary = {
        "documents": documents,
        "failed": failed,
        "seconds": round(time.monotonic() - started, 3),
        "extraction_cpu_seconds": round(cpu_seconds, 3),
        "cpu_seconds": round(spent, 3),
        "pages_per_cpu_second": round(documents / spent, 1),
    }
    if not options.quiet:
        print(
            f"{documents:,} documents, {failed:,} failed, in {summary['seconds']:.1f} s;"
            f" CPU seconds: {cpu_seconds:.2f} of extraction, {spent:.2f} in all;"
            f" {summary['pages_per_cpu_second']:.0f} pages per CPU-second",
            file=sys.stderr,
        )
    if options.json:
        print(json.dumps(summary))
    return 0


def _files_of(folder: Path, *, besides: Path) -> list[Path]:
    """The regular files of a folder, sorted by ID."""
    try:
        paths = [path for path in folder.iterdir() if path.is_file() and path.name[0] != "."]
    except OSError as exc:
        raise CorpusError(f"cannot list {folder}: {exc.strerror or exc}") from exc
    return sorted(
        (path for path in paths if not besides.exists() or not path.samefile(besides)),
        key=lambda path: (_id_of(path), path.name),
    )


def _id_of(path: Path) -> str:
    return Path(path.name.removesuffix(".gz")).stem


def _outcomes(paths: Sequence[Path], options: argparse.Namespace) -> Generator[_Outcome]:
    """Read files on all processors; outcomes come in the order of the files."""
    with _readers(available_processors()) as readers:
        # One thread more than readers prepares or finishes a document while the readers read.
        threads = ThreadPoolExecutor(readers.qsize() + 1)
        pending: deque[Future[_Outcome]] = deque()
        try:
            for path in paths:
                pending.append(threads.submit(_outcome, path, options, readers))
                if len(pending) >= _READ_AHEAD:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            threads.shutdown(wait=False, cancel_futures=True)


@contextmanager
def _readers(count: int) -> Generator[SimpleQueue[DocumentReader]]:
    queue: SimpleQueue[DocumentReader] = SimpleQueue()
    readers = [DocumentReader() for _ in range(count)]
    for reader in readers:
        queue.put(reader)
    try:
        yield queue
    finally:
        for reader in readers:
            reader.close()


def _outcome(
    path: Path, options: argparse.Namespace, readers: SimpleQueue[DocumentReader]
) -> _Outcome:
    told: dict[str, Any] = {"title": "", "text": "", "markdown": "", "seconds": 0.0}
    error = ""
    try:
        body = _load(path)
        info = _judge(body, path.name, options)
        reader = readers.get()
        try:
            reading = reader.read(body, info, deadline_seconds=DEADLINE_SECONDS)
        finally:
            readers.put(reader)
        told = _told(reading, info)
        if not told["markdown"]:
            error = str(_no_text(reading.extracted))
    except SeeklingServerError as exc:
        error = str(exc)
    except OSError as exc:
        error = f"cannot read the file: {exc.strerror or exc}"
    line = {"id": _id_of(path).encode("utf-8", "replace").decode()}
    line |= {name: told[name] for name in ("title", "text", "markdown", "seconds")}
    if error:
        line["error"] = error
    encoded = json.dumps(line, ensure_ascii=False).encode("utf-8", "replace") + b"\n"
    return _Outcome(encoded, told["seconds"], bool(error))


class _Progress:
    """One rewritten line on stderr, if that is a terminal."""

    def __init__(self, total: int, *, is_quiet: bool) -> None:
        self._total = total
        self._is_shown = sys.stderr.isatty() and not is_quiet
        self._last_shown_at = 0.0

    def show(self, done: int) -> None:
        now = time.monotonic()
        if self._is_shown and now - self._last_shown_at >= _PROGRESS_SECONDS:
            self._last_shown_at = now
            line = f"reading: {done:,} of {self._total:,}"
            print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)

    def finish(self) -> None:
        if self._is_shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
