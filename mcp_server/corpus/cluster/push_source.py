"""Read all passages of a local index in a fixed order, to copy them elsewhere."""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import tantivy
from pydantic import BaseModel, ValidationError

from mcp_server.corpus.cluster.push import PushSource
from mcp_server.corpus.storage.manifest import META, damaged, read_manifest
from mcp_server.corpus.storage.snapshot import Snapshot
from mcp_server.corpus.types import Passage
from mcp_server.errors import CorpusError

_OPEN_ATTEMPTS = 5


class _Deletes(BaseModel):
    num_deleted_docs: int
    opstamp: int


class _Segment(BaseModel):
    segment_id: str
    max_doc: int
    deletes: _Deletes | None


class _Commit(BaseModel):
    """tantivy's list of the segments of the last commit."""

    opstamp: int
    segments: list[_Segment]


def open_push_source(directory: Path) -> PushSource:
    """Open the present state of an index.

    Raises:
        CorpusError: it is missing, damaged, of another format, or just being changed.
    """
    for _ in range(_OPEN_ATTEMPTS):
        manifest = read_manifest(directory)
        folder = directory / manifest.generation
        commit = _read_commit(folder)
        snapshot = Snapshot(folder, manifest.language)
        if _read_commit(folder) == commit:
            break  # no other commit or merge came between the list and what was opened
    else:
        raise CorpusError(
            f"the index at {str(directory)!r} is being changed",
            hint="try again when that is done",
            retryable=True,
        )

    def read(after: int) -> Iterator[tuple[int, Passage]]:
        with snapshot.damage_named():
            yield from _passages(snapshot, commit.segments, after)

    return PushSource(
        snapshot=f"{manifest.generation}-{commit.opstamp}",
        order=hashlib.sha256(commit.model_dump_json().encode()).hexdigest()[:16],
        language=manifest.language,
        passages=snapshot.searcher.num_docs,
        read=read,
    )


def _read_commit(folder: Path) -> _Commit:
    try:
        return _Commit.model_validate_json((folder / META).read_bytes())
    except (OSError, ValidationError) as exc:
        raise damaged(folder.parent, f"{META} is missing or not readable") from exc


def _passages(
    snapshot: Snapshot, segments: Sequence[_Segment], after: int
) -> Iterator[tuple[int, Passage]]:
    """The passages with their positions: segment by segment, deleted ones counted and left out."""
    first = 0
    living: tuple[str, frozenset[tuple[int, int]]] = ("", frozenset())
    for ordinal, segment in enumerate(segments):
        for number in range(max(0, after + 1 - first), segment.max_doc):
            passage = snapshot.passage(tantivy.DocAddress(ordinal, number))
            if segment.deletes is not None:
                if living[0] != passage.document_id:
                    living = passage.document_id, _addresses(snapshot, passage.document_id)
                if (ordinal, number) not in living[1]:
                    continue
            yield first + number, passage
        first += segment.max_doc


def _addresses(snapshot: Snapshot, document_id: str) -> frozenset[tuple[int, int]]:
    """Where the passages of a document are that are not deleted."""
    query = tantivy.Query.term_query(snapshot.schema, "doc", document_id, "basic")
    limit = 1_000
    while len(hits := snapshot.searcher.search(query, limit, count=False).hits) == limit:
        limit *= 10
    return frozenset((address.segment_ord, address.doc) for _, address in hits)
