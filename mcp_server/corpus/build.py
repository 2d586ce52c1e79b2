"""Build an index from documents and put it in place in one step."""

import json
import os
import shutil
import time
import uuid
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import tantivy

from mcp_server.corpus.documents import Document, read_source, source_bytes
from mcp_server.corpus.index import FORMAT, MANIFEST, Manifest, SourceRecord, index_schema
from mcp_server.errors import CorpusError

MIN_FREE_BYTES = 1_000_000
"""A disk with less free space is called full: segments are written in blocks about this large."""
WRITER_MEMORY_BYTES = 128_000_000
"""Heap of the one indexing thread; tantivy starts a new segment when it is full."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildProgress:
    """How far a build has come."""

    documents: int
    done_bytes: int
    total_bytes: int
    seconds: float

    @property
    def seconds_left(self) -> float | None:
        """Estimated from the bytes read so far; None before the first ones."""
        if not self.done_bytes:
            return None
        return self.seconds * max(0, self.total_bytes - self.done_bytes) / self.done_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildReport:
    """What a finished build did."""

    manifest: Manifest
    duplicates: int
    """Documents left out because their id came before."""
    seconds: float


def build_index(
    sources: Sequence[Path],
    directory: Path,
    *,
    base_url: str = "",
    name: str = "",
    digest: str = "",
    progress: Callable[[BuildProgress], None] = lambda _: None,
) -> BuildReport:
    """Index every document of `sources` into `directory`, replacing an index that is there.

    The old index answers until the new one is complete, and stays when the build fails.

    Args:
        sources: files or folders, see `documents.read_source`.
        directory: made when missing; must be empty or an index.
        base_url: URL prefix for documents that name no URL.
        name: what results call the index; the first source's name by default.
        digest: identifies the content of the sources, kept in the manifest.
        progress: called at most about ten times a second.

    Raises:
        CorpusError: a source cannot be read, `directory` holds something else, or the disk is
            full. Nothing half-written is left behind.
    """
    started = time.monotonic()
    sizes = [source_bytes(source) for source in sources]
    _check_target(directory)
    records: list[SourceRecord] = []
    counter = _Counter(sum(sizes), started, progress)

    def documents() -> Iterator[Document]:
        for source, size in zip(sources, sizes, strict=True):
            before = counter.documents
            for document in read_source(source, base_url=base_url, read=counter.read):
                if counter.is_new(document):
                    yield document
            counter.finished_bytes += size
            records.append(SourceRecord(name=source.name, documents=counter.documents - before))

    with _generation(directory) as folder:
        _write(documents(), folder)
        if not counter.documents:
            raise CorpusError("the sources hold no documents", hint="nothing was written")
        manifest = Manifest(
            format=FORMAT,
            name=name or records[0].name,
            generation=folder.name,
            created=datetime.now(UTC).isoformat(timespec="seconds"),
            documents=counter.documents,
            text_bytes=counter.text_bytes,
            sources=records,
            files={file.name: file.stat().st_size for file in sorted(folder.iterdir())},
            digest=digest,
        )
        _switch(directory, manifest)
    return BuildReport(
        manifest=manifest, duplicates=counter.duplicates, seconds=time.monotonic() - started
    )


class _Counter:
    """Counts documents and bytes, drops repeated ids, reports progress."""

    def __init__(
        self, total: int, started: float, progress: Callable[[BuildProgress], None]
    ) -> None:
        self.documents = self.text_bytes = self.duplicates = self.finished_bytes = 0
        self._total, self._started, self._progress = total, started, progress
        self._seen: set[int] = set()
        self._told = started

    def is_new(self, document: Document) -> bool:
        # 64 bits: a collision among 10 million ids has odds of 1 in 400,000.
        key = hash(document.id)
        if key in self._seen:
            self.duplicates += 1
            return False
        self._seen.add(key)
        self.documents += 1
        self.text_bytes += len(document.title.encode()) + len(document.text.encode())
        return True

    def read(self, position: int) -> None:
        now = time.monotonic()
        if now - self._told >= 0.1:
            self._told = now
            self._progress(
                BuildProgress(
                    documents=self.documents,
                    done_bytes=self.finished_bytes + position,
                    total_bytes=self._total,
                    seconds=now - self._started,
                )
            )


def _check_target(directory: Path) -> None:
    if directory.is_file():
        raise CorpusError(f"{str(directory)!r} is a file", hint="--out names a folder")
    if directory.is_dir() and not (directory / MANIFEST).exists():
        others = [entry.name for entry in directory.iterdir() if not _is_generation(entry.name)]
        if others:
            raise CorpusError(
                f"{str(directory)!r} holds other files ({others[0]!r}), not an index",
                hint="name an empty or a new folder with --out",
            )


def _is_generation(name: str) -> bool:
    return name.startswith(("gen-", ".manifest-"))


@contextmanager
def _generation(directory: Path) -> Generator[Path]:
    """A folder for a new generation; removed again unless the manifest came to name it."""
    folder = directory / f"gen-{uuid.uuid4().hex[:12]}"
    made_directory = not directory.exists()
    try:
        try:
            folder.mkdir(parents=True)
        except OSError as exc:
            raise _cannot_write(directory, exc.strerror or str(exc)) from exc
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        (directory / f".manifest-{folder.name}").unlink(missing_ok=True)
        if made_directory and directory.is_dir() and not any(directory.iterdir()):
            directory.rmdir()
        raise


def _write(documents: Iterable[Document], folder: Path) -> None:
    try:
        index = tantivy.Index(index_schema(), path=str(folder))
        writer = index.writer(heap_size=WRITER_MEMORY_BYTES, num_threads=1)
    except (ValueError, OSError) as exc:
        raise _cannot_write(folder.parent, _reason(exc, folder)) from exc
    try:
        _add_all(documents, writer, folder)
    except BaseException:
        # Ends the writer's threads: one that still runs would write into the folder as it goes.
        with suppress(ValueError, OSError):
            writer.rollback()
        with suppress(ValueError, OSError):
            writer.wait_merging_threads()
        raise
    for lock in folder.glob(".tantivy-*.lock"):
        lock.unlink(missing_ok=True)


def _add_all(documents: Iterable[Document], writer: tantivy.IndexWriter, folder: Path) -> None:
    for document in documents:  # errors of the sources pass through as they are
        links = [[link.text, link.url] for link in document.links]
        stored = tantivy.Document(
            id=document.id,
            url=document.url,
            title=document.title,
            text=document.text,
            links=json.dumps(links, ensure_ascii=False) if links else "",
        )
        try:
            writer.add_document(stored)
        except (ValueError, OSError) as exc:
            raise _cannot_write(folder.parent, _reason(exc, folder)) from exc
    try:
        writer.commit()
        writer.wait_merging_threads()
    except (ValueError, OSError) as exc:
        raise _cannot_write(folder.parent, _reason(exc, folder)) from exc


def _switch(directory: Path, manifest: Manifest) -> None:
    """Make the generation current by replacing the manifest, atomically and durably.

    Only the generation that was current before is removed: another one may be a build that runs
    beside this one, as when two hosts start a server for the first time.
    """
    before = _current_generation(directory)
    temporary = directory / f".manifest-{manifest.generation}"
    try:
        with temporary.open("wb") as file:
            file.write(manifest.model_dump_json(indent=2).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(directory / MANIFEST)
    except OSError as exc:
        raise _cannot_write(directory, exc.strerror or str(exc)) from exc
    if before:
        shutil.rmtree(directory / before, ignore_errors=True)


def _current_generation(directory: Path) -> str:
    """The generation that the manifest names; "" when there is none or it cannot be read."""
    try:
        return Manifest.model_validate_json((directory / MANIFEST).read_bytes()).generation
    except (OSError, ValueError):
        return ""


def _reason(exc: Exception, folder: Path) -> str:
    # tantivy reports a write that failed in its thread only as "the writer was killed".
    if "os error 28" in str(exc) or shutil.disk_usage(folder).free < MIN_FREE_BYTES:
        return "no space left on device"
    return str(exc).splitlines()[0][:200]


def _cannot_write(directory: Path, reason: str) -> CorpusError:
    return CorpusError(
        f"cannot write the index at {str(directory)!r}: {reason}",
        hint="an index that was there is untouched; free some space or name another --out",
    )
