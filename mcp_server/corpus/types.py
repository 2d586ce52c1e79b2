"""The values of a corpus: documents, and where they come from."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from mcp_server.visit.types import Link


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """One document to index."""

    id: str
    """Unique within an index; the same id again replaces the document."""
    url: str
    """What `web_visit` opens; `corpus://SOURCE/ID` where the source names none."""
    title: str
    text: str
    """Cleaned; links reduced to their text. Markdown headings (`## `) mark sections."""
    links: tuple[Link, ...] = ()
    published: str = ""
    """ISO date (`2024-05-17`) where the source knows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A piece of a document: what is searched. The pieces of a document in order are its text."""

    document_id: str
    url: str
    title: str
    """The document's."""
    text: str
    part: int
    """0 for the first passage of the document."""
    published: str = ""


@dataclass(frozen=True, slots=True)
class Position:
    """How far a source has been read."""

    cursor: str
    """Opaque to others; reading goes on after it, also in another process."""
    done: int
    """How much was read, in the unit of `DocumentSource.total`."""


@dataclass(frozen=True, slots=True)
class SourceItem:
    """One document, and the position after it."""

    document: Document
    position: Position


class DocumentSource(Protocol):
    """Something that documents are read from: a file, a folder, a web site."""

    @property
    def name(self) -> str:
        """For people and for `corpus://NAME/` URLs, such as the file's stem."""
        ...

    @property
    def fingerprint(self) -> str:
        """Changes when the content may have: a build is resumed only over the same content."""
        ...

    @property
    def total(self) -> int | None:
        """How much there is to read, in bytes, rows or pages; None where nobody knows."""
        ...

    @property
    def skipped(self) -> int:
        """Documents that could not be read so far, by this object; each is logged."""
        ...

    def read(self, after: str = "") -> Iterator[SourceItem]:
        """Read the documents in a fixed order with bounded memory.

        Args:
            after: the cursor of the last item that was kept; "" starts at the beginning.

        Raises:
            CorpusError: the source cannot be read; the message names file and line or row.
        """
        ...
