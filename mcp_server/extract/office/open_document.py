"""Read OpenDocument texts and presentations (ODT, ODP)."""

import re
from collections.abc import Iterator

from mcp_server.extract.office.zip_package import ZipPackage
from mcp_server.extract.types import Extracted, SourceInfo
from mcp_server.extract.xml_tree import XmlElement
from mcp_server.visit.types import Metadata

_MAX_COLUMNS = 200
_MAX_FIELD_CHARS = 300
_SKIPPED = frozenset("tracked-changes annotation sequence-decls forms bookmark-ref".split())
_LINK_TARGET = re.compile(r"https?://[^\s()<>]{1,2000}")
_BREAKS_LINKS = re.compile(r"([\[\]`])")


def read_open_document(body: bytes, info: SourceInfo) -> Extracted:
    """Read headings, lists, tables, links, footnotes, and slides with their notes.

    Raises:
        ExtractionError: it is damaged or encrypted, or unpacks to too much.
    """
    package = ZipPackage(body, "OpenDocument file")
    if b"encryption-data" in package.read("META-INF/manifest.xml"):
        raise package.encrypted()
    content = package.read("content.xml")
    if not content:
        raise package.damaged()
    writer = _Writer()
    blocks = [
        block
        for document in package.read_xml("content.xml").children()
        for office_body in document.children("body")
        for block in writer.blocks(office_body)
    ]
    title, metadata = _properties(package)
    return Extracted(
        title=title,
        text="\n\n".join(block for block in blocks + writer.notes if block),
        has_inline_links=True,
        metadata=metadata,
    )


def _properties(package: ZipPackage) -> tuple[str, Metadata]:
    properties = {
        element.name: " ".join(element.text().split())[:_MAX_FIELD_CHARS]
        for document in package.read_xml("meta.xml").children()
        for meta in document.children("meta")
        for element in meta.children()
    }
    return properties.get("title", ""), Metadata(
        author=properties.get("initial-creator") or properties.get("creator", ""),
        published=(properties.get("creation-date") or properties.get("date", ""))[:10],
        language=properties.get("language", "")[:35],
    )


class _Writer:
    """One walk over a document; collects its notes, which go to the end."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._slides = 0

    def blocks(self, element: XmlElement) -> Iterator[str]:
        """The Markdown blocks of what is below an element."""
        for child in element.children():
            if child.name == "h":
                text = self._text(child)
                yield f"{'#' * _heading_level(child)} {text}" if text else ""
            elif child.name == "p":
                yield self._text(child)
                yield from self._frames(child)
            elif child.name == "list":
                yield "\n".join(self._items(child, ""))
            elif child.name == "table":
                yield self._table(child)
            elif child.name == "page":
                self._slides += 1
                yield f"## Slide {self._slides}"
                yield from self.blocks(child)
            elif child.name == "notes":
                notes = " ".join(block for block in self.blocks(child) if block)
                yield f"Notes: {notes}" if notes else ""
            elif child.name not in _SKIPPED:
                yield from self.blocks(child)

    def _frames(self, paragraph: XmlElement) -> Iterator[str]:
        """Text boxes are anchored in paragraphs."""
        for child in paragraph.children("frame", "custom-shape", "g"):
            yield from self.blocks(child)

    def _items(self, listed: XmlElement, indent: str) -> Iterator[str]:
        for item in listed.children("list-item", "list-header"):
            mark = "- "
            for child in item.children():
                if child.name == "list":
                    yield from self._items(child, indent + "  ")
                    continue
                text = self._text(child)
                if text:
                    yield f"{indent}{mark}{text}"
                    mark = "  "

    def _table(self, table: XmlElement) -> str:
        rows = [
            [
                " ".join(block for block in self.blocks(cell) if block).replace("|", "\\|")
                for cell in row.children("table-cell")
            ][:_MAX_COLUMNS]
            for row in _rows(table)
        ]
        rows = [[" ".join(cell.split()) for cell in row] for row in rows if any(row)]
        lines = ["| " + " | ".join(row) + " |" for row in rows]
        return "\n".join((lines[0], "|" + " --- |" * len(rows[0]), *lines[1:])) if lines else ""

    def _text(self, element: XmlElement) -> str:
        """A paragraph on one line."""
        return " ".join("".join(self._pieces(element)).split())

    def _pieces(self, element: XmlElement) -> Iterator[str]:
        for part in element.content:
            if isinstance(part, str):
                yield _BREAKS_LINKS.sub(r"\\\1", part)
            elif part.name in ("s", "tab", "line-break"):
                yield " "
            elif part.name == "note":
                yield self._note_mark(part)
            elif part.name == "a":
                yield _link("".join(self._pieces(part)), part.attributes.get("href", ""))
            elif part.name not in _SKIPPED and part.name not in ("frame", "custom-shape", "g"):
                yield from self._pieces(part)

    def _note_mark(self, note: XmlElement) -> str:
        number = len(self.notes) + 1
        self.notes.append("")  # a note within this one has the next number
        text = " ".join(block for part in note.children("note-body") for block in self.blocks(part))
        self.notes[number - 1] = f"({number}) {text}"
        return f" ({number})"


def _heading_level(heading: XmlElement) -> int:
    level = heading.attributes.get("outline-level", "1")
    return min(int(level), 6) if level.isdecimal() and 0 < len(level) < 3 and int(level) else 1


def _rows(table: XmlElement) -> Iterator[XmlElement]:
    for child in table.children():
        if child.name == "table-row":
            yield child
        elif child.name in ("table-header-rows", "table-rows", "table-row-group"):
            yield from _rows(child)


def _link(text: str, target: str) -> str:
    label = " ".join(text.split())
    return f"[{label}]({target})" if label and _LINK_TARGET.fullmatch(target) else text
