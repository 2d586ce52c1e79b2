"""How a passage is stored: its fields as one string of UTF-8, with NUL between them.

tantivy packs its stored fields in blocks with LZ4, to 73 % of the text of an encyclopedia. A
Zstandard frame for each passage takes 20 % of the text less, but reading a passage would take three
times as long, and most of that to make ready for so small a frame.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from mcp_server.corpus.types import Document, Passage
from mcp_server.errors import CorpusError
from mcp_server.visit.types import Link

_END = "\0"
_DOCUMENT_FIELDS = 4
_HEAD_FIELDS = 6


@dataclass(frozen=True, slots=True)
class Record:
    """A stored passage, and what part 0 keeps of the whole document."""

    passage: Passage
    links: tuple[Link, ...]
    """The document's, in part 0; empty in the other parts."""


def pack(document: Document, passages: Sequence[str]) -> list[bytes]:
    """The passages of a document as bytes, in order.

    Raises:
        CorpusError: a field holds a NUL or a character that has no UTF-8 form.
    """
    shared = f"{document.id}\0{document.url}\0{document.title}\0{document.published}\0"
    if shared.count(_END) != _DOCUMENT_FIELDS:
        raise CorpusError(f"document {document.id!r} holds a NUL in its id, URL, title or date")
    links = ""
    if document.links:
        pairs = [[link.text, link.url] for link in document.links]
        links = json.dumps(pairs, separators=(",", ":"))
    try:
        return [
            f"{shared}{part}\0{'' if part else links}\0{text}".encode()
            for part, text in enumerate(passages)
        ]
    except UnicodeEncodeError as exc:
        raise CorpusError(f"document {document.id!r} holds text without a UTF-8 form") from exc


def unpack(packed: bytes) -> Record:
    """One of the passages that `pack` was given.

    Raises:
        CorpusError: the bytes are damaged.
    """
    try:
        identity, url, title, published, part, links, body = packed.decode().split(
            _END, _HEAD_FIELDS
        )
        pairs = cast(list[list[str]], json.loads(links)) if links else []
        return Record(
            Passage(
                document_id=identity,
                url=url,
                title=title,
                text=body,
                part=int(part),
                published=published,
            ),
            tuple(Link(text=shown, url=target) for shown, target in pairs),
        )
    except ValueError as exc:
        raise CorpusError(f"a stored passage is damaged: {exc}") from exc
