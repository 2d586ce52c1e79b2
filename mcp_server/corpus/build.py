"""Build an index from sources and put it in place in one step."""

import hashlib
import json
import shutil
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from mcp_server.corpus.storage.checkpoint import CHECKPOINT, Checkpoint, Progress, resume_point
from mcp_server.corpus.storage.folder import (
    cannot_write,
    current_generation,
    new_generation,
    unfinished_generations,
    writing,
)
from mcp_server.corpus.storage.manifest import (
    FORMAT,
    MANIFEST,
    META,
    Manifest,
    SourceRecord,
    committed,
    write_durably,
)
from mcp_server.corpus.storage.schema import analyzer
from mcp_server.corpus.storage.snapshot import Snapshot
from mcp_server.corpus.storage.writer import IndexWriter
from mcp_server.corpus.types import DocumentSource, Position, SourceItem
from mcp_server.errors import CorpusError

COMMIT_SECONDS = 60.0
"""The work that a kill can cost."""
_TELL_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildProgress:
    """How far a build has come."""

    documents: int
    """Read so far, those of an earlier process included."""
    done: int
    """Of `total`, in the sources' own unit: bytes, rows or pages."""
    total: int | None
    """None where a source does not know."""
    seconds: float
    """Since this process began."""
    documents_per_second: float
    """Of this process."""
    seconds_left: float | None
    """None while nobody can say."""

    @property
    def share(self) -> float | None:
        """From 0 to 1; None when the total is not known."""
        return min(1.0, self.done / self.total) if self.total else None


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildReport:
    """What a finished build did."""

    manifest: Manifest
    duplicates: int
    """Documents that were replaced because their id came again."""
    resumed_documents: int
    """Documents that an earlier process had added; 0 for a build in one go."""
    seconds: float
    """Of this process."""


def build_index(
    sources: Sequence[DocumentSource],
    directory: Path,
    *,
    name: str = "",
    digest: str = "",
    language: str = "en",
    options: str = "",
    progress: Callable[[BuildProgress], None] = lambda _: None,
    note: Callable[[str], None] = lambda _: None,
    wait_seconds: float = 0.0,
    clock: Callable[[], float] = time.monotonic,
) -> BuildReport:
    """Index every document of `sources` into `directory`, replacing an index that is there.

    The old index answers until the new one is complete, and stays when the build fails. A build
    that was stopped or killed goes on where it was when the same is built again.

    Args:
        sources: read one after the other; a document whose id comes again replaces the first.
        directory: made when missing; must be empty or an index.
        name: what results call the index; the first source's name by default.
        digest: identifies the content of the sources, kept in the manifest.
        language: of the stemmer, one of `schema.LANGUAGES`.
        options: what else changes the documents, such as a base URL: only a build with the same
            options goes on with an unfinished one.
        progress: called at most about ten times a second.
        note: told in a sentence when an unfinished build is found.
        wait_seconds: how long to wait for another process that writes to `directory`.
        clock: tells seconds from any start; every `COMMIT_SECONDS` what was read is made durable.

    Raises:
        CorpusError: a source cannot be read, `directory` holds something else or is written to by
            another process, or the disk is full.
        ConfigError: the language is unknown.
        KeyboardInterrupt: with a message that says what was kept and how to go on.
    """
    analyzer(language)
    with writing(directory, wait_seconds=wait_seconds):
        build = _Build(sources, directory, language, progress, clock)
        build.find_unfinished(_key(sources, language, options), note)
        folder = build.run()
        read = build.read_counts
        records = [
            SourceRecord(name=source.name, documents=count)
            for source, count in zip(sources, read, strict=True)
        ]
        manifest = describe(
            folder, name=name or records[0].name, sources=records, language=language, digest=digest
        )
        if not manifest.documents:
            shutil.rmtree(folder, ignore_errors=True)
            raise CorpusError("the sources hold no documents", hint="nothing was written")
        _switch(directory, manifest)
    return BuildReport(
        manifest=manifest,
        duplicates=sum(read) - manifest.documents,
        resumed_documents=build.resumed_documents,
        seconds=build.seconds,
    )


def describe(
    folder: Path,
    *,
    name: str,
    sources: list[SourceRecord],
    language: str,
    digest: str,
    created: str = "",
) -> Manifest:
    """The manifest of the last commit in a generation's folder, counted from the index itself.

    Raises:
        CorpusError: the generation is damaged.
    """
    now = datetime.now(UTC).isoformat(timespec="seconds")
    snapshot = Snapshot(folder, language)
    with snapshot.damage_named():
        documents, passages, text_bytes = snapshot.count()
    return Manifest(
        format=FORMAT,
        name=name,
        generation=folder.name,
        created=created or now,
        updated=now,
        documents=documents,
        passages=passages,
        text_bytes=text_bytes,
        sources=sources,
        language=language,
        commit=committed(folder),
        files={
            file.name: file.stat().st_size
            for file in sorted(folder.iterdir())
            if file.name != CHECKPOINT and file.suffix != ".lock"
        },
        checksums={META: zlib.crc32((folder / META).read_bytes())},
        digest=digest,
    )


def _key(sources: Sequence[DocumentSource], language: str, options: str) -> str:
    told = [FORMAT, language, options, *([source.name, source.fingerprint] for source in sources)]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


class _Build:
    """One run of a build: where it is, and what it tells and keeps on the way."""

    def __init__(
        self,
        sources: Sequence[DocumentSource],
        directory: Path,
        language: str,
        progress: Callable[[BuildProgress], None],
        clock: Callable[[], float],
    ) -> None:
        totals = [source.total for source in sources]
        self._sources, self._totals = sources, totals
        self._directory, self._language = directory, language
        self._progress, self._clock = progress, clock
        self._started = self._told = self._committed_at = clock()
        self._source, self._position = 0, Position("", 0)
        self._documents = [0] * len(sources)
        self._done_before = self.resumed_documents = 0
        self._folder: Path | None = None

    @property
    def read_counts(self) -> list[int]:
        """Documents read from each source."""
        return self._documents

    @property
    def seconds(self) -> float:
        return self._clock() - self._started

    def find_unfinished(self, key: str, note: Callable[[str], None]) -> None:
        """Take over what an earlier process left of this build; discard what others left."""
        self._checkpoint = Checkpoint(key=key)
        for folder in unfinished_generations(self._directory):
            point = resume_point(folder, key) if self._folder is None else None
            if point is None:
                shutil.rmtree(folder, ignore_errors=True)
                note("an unfinished build of other sources or options was discarded")
                continue
            self._folder = folder
            self._source, self._position = point.source, Position(point.cursor, point.done)
            self._documents = list(point.documents)
            self._checkpoint.commit = committed(folder)
            self._checkpoint.at_commit = point
            self.resumed_documents = sum(point.documents)
            self._done_before = self._done()
            note(f"going on with an unfinished build: {self.resumed_documents:,} documents are in")

    def run(self) -> Path:
        """Read the rest of the sources; returns the folder of the finished generation."""
        items = self._items()
        try:
            if self._folder is None:
                self._folder = new_generation(self._directory)
                writer = IndexWriter.create(self._folder, language=self._language)
            else:
                writer = IndexWriter.open(self._folder, language=self._language)
        except BaseException:
            self._drop_empty()
            raise
        try:
            self._add_all(items, writer)
            self._commit(writer)
            writer.close()
        except KeyboardInterrupt as exc:
            raise self._stopped(writer) from exc
        except BaseException:
            writer.abandon()
            self._drop_empty()
            raise
        return self._folder

    def _items(self) -> Iterator[tuple[int, SourceItem]]:
        """What has not been read, with the number of its source."""
        first, cursor = self._source, self._position.cursor
        for number in range(first, len(self._sources)):
            for item in self._sources[number].read(cursor if number == first else ""):
                yield number, item

    def _add_all(self, items: Iterator[tuple[int, SourceItem]], writer: IndexWriter) -> None:
        for number, item in items:
            writer.add(item.document)
            self._source, self._position = number, item.position
            self._documents[number] += 1
            now = self._clock()
            if now - self._told >= _TELL_SECONDS:
                self._told = now
                self._progress(self._so_far(now))
            if now - self._committed_at >= COMMIT_SECONDS:
                self._commit(writer)

    def _commit(self, writer: IndexWriter) -> None:
        if self._folder is None:
            return
        point = Progress(
            source=self._source,
            cursor=self._position.cursor,
            done=self._position.done,
            documents=list(self._documents),
        )
        self._checkpoint.after_commit = point
        try:
            self._checkpoint.write(self._folder)
        except OSError as exc:
            raise cannot_write(self._directory, exc.strerror or str(exc)) from exc
        self._checkpoint.commit = writer.commit()
        self._checkpoint.at_commit = point
        self._committed_at = self._clock()

    def _stopped(self, writer: IndexWriter) -> KeyboardInterrupt:
        """Keep what was read and say so."""
        with suppress(CorpusError):  # a full disk keeps what was committed before
            self._commit(writer)
        writer.abandon()
        self._drop_empty()
        kept = sum(self._checkpoint.at_commit.documents)
        return KeyboardInterrupt(
            f"stopped; {kept:,} documents are kept: run the same command again to go on"
        )

    def _drop_empty(self) -> None:
        """Remove a generation without a commit; one with a commit can be gone on with."""
        if self._folder is not None and not self._checkpoint.commit:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _done(self) -> int:
        return sum(total or 0 for total in self._totals[: self._source]) + self._position.done

    def _so_far(self, now: float) -> BuildProgress:
        return progress_of(
            self._totals,
            done=self._done(),
            documents=sum(self._documents),
            seconds=now - self._started,
            done_before=self._done_before,
            documents_before=self.resumed_documents,
        )


def progress_of(
    totals: Sequence[int | None],
    *,
    done: int,
    documents: int,
    seconds: float,
    done_before: int = 0,
    documents_before: int = 0,
) -> BuildProgress:
    """What a build or an update tells; `…_before` is what an earlier process did of it."""
    total = None if None in totals else sum(total or 0 for total in totals)
    read = done - done_before
    left = None
    if total is not None and read > 0:
        left = seconds * max(0, total - done) / read
    return BuildProgress(
        documents=documents,
        done=done,
        total=total,
        seconds=seconds,
        documents_per_second=(documents - documents_before) / max(seconds, 1e-9),
        seconds_left=left,
    )


def _switch(directory: Path, manifest: Manifest) -> None:
    """Make the generation current by replacing the manifest, and remove the one before."""
    before = current_generation(directory)
    write_manifest(directory, manifest)
    (directory / manifest.generation / CHECKPOINT).unlink(missing_ok=True)
    if before and before != manifest.generation:
        shutil.rmtree(directory / before, ignore_errors=True)


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Put the manifest in place in one step.

    Raises:
        CorpusError: it cannot be written.
    """
    try:
        write_durably(directory / MANIFEST, manifest.model_dump_json(indent=2).encode() + b"\n")
    except OSError as exc:
        raise cannot_write(directory, exc.strerror or str(exc)) from exc
