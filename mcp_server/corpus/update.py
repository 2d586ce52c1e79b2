"""Change an index in place: add or replace documents, delete documents.

A change is one commit of tantivy: readers see all of it or nothing of it, and never wait. When it
fails or is stopped the index stays as it was, and the same change can simply be made again.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mcp_server.corpus.build import BuildProgress, describe, progress_of, write_manifest
from mcp_server.corpus.storage.folder import writing
from mcp_server.corpus.storage.manifest import Manifest, SourceRecord, read_manifest
from mcp_server.corpus.storage.writer import IndexWriter
from mcp_server.corpus.types import DocumentSource
from mcp_server.errors import CorpusError

_TELL_SECONDS = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateReport:
    """What a change did."""

    manifest: Manifest
    """After it."""
    added: int
    """Documents with a new id."""
    replaced: int
    deleted: int
    missing: int
    """Ids to delete that no document had."""
    seconds: float


def add_documents(
    sources: Sequence[DocumentSource],
    directory: Path,
    *,
    progress: Callable[[BuildProgress], None] = lambda _: None,
    wait_seconds: float = 0.0,
) -> UpdateReport:
    """Add the documents of `sources` to an index, each in place of the one with its id.

    Args:
        sources: read one after the other.
        directory: a finished index.
        progress: called at most about ten times a second.
        wait_seconds: how long to wait for another process that writes to the index.

    Raises:
        CorpusError: there is no index, it is damaged or written to by another process, a source
            cannot be read, or the disk is full. The index is unchanged then.
    """
    started = told = time.monotonic()
    totals = [source.total for source in sources]
    counts = [0] * len(sources)

    def change(writer: IndexWriter) -> None:
        nonlocal told
        before = 0
        for number, source in enumerate(sources):
            for item in source.read():
                writer.add(item.document)
                counts[number] += 1
                now = time.monotonic()
                if now - told >= _TELL_SECONDS:
                    told = now
                    done = before + item.position.done
                    told_progress = progress_of(
                        totals, done=done, documents=sum(counts), seconds=now - started
                    )
                    progress(told_progress)
            before += totals[number] or 0
        if not sum(counts):
            raise CorpusError("the sources hold no documents", hint="nothing was changed")

    records = [SourceRecord(name=source.name, documents=0) for source in sources]
    before, after = _change(directory, change, records, counts, wait_seconds)
    added = after.documents - before.documents
    return UpdateReport(
        manifest=after,
        added=added,
        replaced=sum(counts) - added,
        deleted=0,
        missing=0,
        seconds=time.monotonic() - started,
    )


def delete_documents(
    ids: Iterable[str], directory: Path, *, wait_seconds: float = 0.0
) -> UpdateReport:
    """Delete the documents with these ids from an index.

    Args:
        ids: of documents; repeated ones count once.
        directory: a finished index.
        wait_seconds: how long to wait for another process that writes to the index.

    Raises:
        CorpusError: there is no index, it is damaged or written to by another process, or the disk
            is full. The index is unchanged then.
    """
    started = time.monotonic()
    unique = set(ids)

    def change(writer: IndexWriter) -> None:
        for identity in unique:
            writer.delete(identity)

    before, after = _change(directory, change, [], [], wait_seconds)
    deleted = before.documents - after.documents
    return UpdateReport(
        manifest=after,
        added=0,
        replaced=0,
        deleted=deleted,
        missing=len(unique) - deleted,
        seconds=time.monotonic() - started,
    )


def _change(
    directory: Path,
    change: Callable[[IndexWriter], None],
    records: list[SourceRecord],
    counts: list[int],
    wait_seconds: float,
) -> tuple[Manifest, Manifest]:
    """Make a change in one commit; returns the manifests before and after it."""
    read_manifest(directory)  # before the lock makes a folder
    with writing(directory, wait_seconds=wait_seconds):
        before = read_manifest(directory)
        folder = directory / before.generation
        writer = IndexWriter.open(folder, language=before.language)
        try:
            change(writer)
            writer.commit()
            writer.close()
        except BaseException:
            writer.abandon()
            raise
        for record, count in zip(records, counts, strict=True):
            record.documents = count
        after = describe(
            folder,
            name=before.name,
            sources=[*before.sources, *records],
            language=before.language,
            digest="",  # the content is no longer that of the sources alone
            created=before.created,
        )
        write_manifest(directory, after)
    return before, after
