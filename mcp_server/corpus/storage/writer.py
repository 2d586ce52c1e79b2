"""Write documents into one generation of an index, passage by passage."""

from contextlib import suppress
from pathlib import Path

import tantivy

from mcp_server.corpus.storage.folder import cannot_write, reason_of
from mcp_server.corpus.storage.manifest import committed
from mcp_server.corpus.storage.passages import split_passages
from mcp_server.corpus.storage.records import pack
from mcp_server.corpus.storage.schema import (
    create_index,
    day_of,
    domains_of,
    is_spaced,
    name_of,
    open_index,
    searchable,
)
from mcp_server.corpus.types import Document
from mcp_server.errors import CorpusError

HEAP_BYTES = 128_000_000
"""Memory of the one indexing thread; tantivy starts a new segment when it is full."""
MAX_TERM_BYTES = 16_000
"""A longer id or URL is refused: tantivy would drop it and the document could not be found."""
_ADDED_BYTES = 1 << 25
"""Of the filter of ids: 32 MB; after 10 million documents, 4 % of deletions are in vain."""


class IndexWriter:
    """Adds and deletes documents; nothing is visible before `commit`. One thread, one process."""

    def __init__(self, index: tantivy.Index, folder: Path, *, is_new: bool) -> None:
        """Take over an index in `folder`; see `create` and `open`."""
        self._folder = folder
        # An older document is deleted only where there may be one: its id was added by this writer,
        # which one bit for the hash of each tells with few mistakes, or was there before.
        self._added = bytearray(_ADDED_BYTES)
        self._before = None if is_new else index.searcher()
        try:
            self._writer = index.writer(heap_size=HEAP_BYTES, num_threads=1)
        except (ValueError, OSError) as exc:
            raise cannot_write(folder.parent, reason_of(exc, folder)) from exc

    @classmethod
    def create(cls, folder: Path, *, language: str) -> "IndexWriter":
        """Start an empty index in an empty folder.

        Raises:
            CorpusError: it cannot be written.
        """
        try:
            index = create_index(folder, language)
        except (ValueError, OSError) as exc:
            raise cannot_write(folder.parent, reason_of(exc, folder)) from exc
        return cls(index, folder, is_new=True)

    @classmethod
    def open(cls, folder: Path, *, language: str) -> "IndexWriter":
        """Go on with the last commit in a folder.

        Raises:
            CorpusError: it is damaged or cannot be written.
        """
        try:
            index = open_index(folder, language)
        except (ValueError, OSError) as exc:
            raise cannot_write(folder.parent, reason_of(exc, folder)) from exc
        return cls(index, folder, is_new=False)

    def add(self, document: Document) -> int:
        """Add a document in place of the one with its id; returns the number of its passages.

        Raises:
            CorpusError: it cannot be indexed, or the disk is full.
        """
        _check_terms(document)
        replaces = self._may_replace(document.id)
        passages = split_passages(document.text)
        records = pack(document, passages)
        size = _utf8_bytes(document.title) + _utf8_bytes(document.text)
        texts = passages if is_spaced(document.text) else map(searchable, passages)
        shown_as = searchable(document.title)
        name = name_of(document.title)
        hosts = domains_of(document.url)
        day = day_of(document.published) if document.published else 0
        try:
            if replaces:
                self._writer.delete_documents_by_term("doc", document.id)
            for part, (text, record) in enumerate(zip(texts, records, strict=True)):
                # Field by field takes half the time of keywords; each field left out saves some.
                passage = tantivy.Document()
                passage.add_text("doc", document.id)
                passage.add_text("url", document.url)
                for host in hosts:
                    passage.add_text("host", host)
                if not part:
                    passage.add_unsigned("size", size)
                    if name:
                        passage.add_text("name", name)
                passage.add_text("title", shown_as)
                passage.add_text("text", text)
                passage.add_unsigned("part", part)
                if day:
                    passage.add_unsigned("day", day)
                passage.add_bytes("record", record)
                self._writer.add_document(passage)
        except (ValueError, OSError) as exc:
            raise cannot_write(self._folder.parent, reason_of(exc, self._folder)) from exc
        return len(passages)

    def _may_replace(self, identity: str) -> bool:
        return self._was_added(hash(identity)) or (
            self._before is not None and self._before.doc_freq("doc", identity) > 0
        )

    def _was_added(self, key: int) -> bool:
        """Note a key; whether it, or seldom another one in its place, was noted before."""
        place, mask = (key >> 3) & (_ADDED_BYTES - 1), 1 << (key & 7)
        noted = self._added[place]
        self._added[place] = noted | mask
        return bool(noted & mask)

    def delete(self, identity: str) -> None:
        """Delete the document with this id, if there is one.

        Raises:
            CorpusError: the writer broke before, as by a full disk.
        """
        try:
            self._writer.delete_documents_by_term("doc", identity)
        except (ValueError, OSError) as exc:
            raise cannot_write(self._folder.parent, reason_of(exc, self._folder)) from exc

    def commit(self) -> int:
        """Make everything so far visible and durable in one step; returns the commit's number.

        Raises:
            CorpusError: the disk is full or the folder cannot be written.
        """
        try:
            self._writer.commit()
        except (ValueError, OSError) as exc:
            raise cannot_write(self._folder.parent, reason_of(exc, self._folder)) from exc
        return committed(self._folder)

    def close(self) -> None:
        """Let running merges end. What was not committed is gone; the writer cannot be used again.

        Raises:
            CorpusError: a merge could not be written.
        """
        try:
            self._writer.wait_merging_threads()
        except (ValueError, OSError) as exc:
            raise cannot_write(self._folder.parent, reason_of(exc, self._folder)) from exc

    def abandon(self) -> None:
        """Close after an error: end the threads, which would go on to write into the folder."""
        with suppress(ValueError, OSError):
            self._writer.rollback()
        with suppress(ValueError, OSError):
            self._writer.wait_merging_threads()


def _utf8_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _check_terms(document: Document) -> None:
    if not document.id:
        raise CorpusError(f"a document has no id: {document.title[:80]!r}")
    for name, value in (("id", document.id), ("URL", document.url)):
        if len(value) * 4 > MAX_TERM_BYTES and len(value.encode()) > MAX_TERM_BYTES:
            raise CorpusError(
                f"the {name} {value[:80]!r}… has more than {MAX_TERM_BYTES:,} bytes",
                hint="give the document a shorter one",
            )
