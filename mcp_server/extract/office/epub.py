"""Read EPUB books: the chapters in reading order."""

from collections.abc import Iterator

from mcp_server.extract.html.fragment import html_to_markdown
from mcp_server.extract.office.zip_package import ZipPackage, member_name
from mcp_server.extract.types import Extracted, SourceInfo
from mcp_server.extract.xml_tree import XmlElement
from mcp_server.visit.charset import charset_of
from mcp_server.visit.types import Metadata

_MAX_CHAPTERS = 2_000
_MAX_CHARS = 4_000_000
_MAX_CHAPTER_BYTES = 5_000_000
_MAX_FIELD_CHARS = 300
_PAGE_TYPES = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml")


def read_epub(body: bytes, info: SourceInfo) -> Extracted:
    """Read the chapters of an EPUB in the order of its spine, without its table of contents.

    Raises:
        ExtractionError: it is damaged or encrypted, or unpacks to too much.
    """
    package = ZipPackage(body, "e-book")
    container = package.read_xml("META-INF/container.xml")
    root_files = (file.attributes.get("full-path", "") for file in _find(container, "rootfile"))
    book_name = next(root_files, "")
    book = package.read_xml(book_name)
    chapters: list[str] = []
    notes: tuple[str, ...] = ()
    for name in _spine(book, book_name.rpartition("/")[0]):
        page = package.read(name)[:_MAX_CHAPTER_BYTES]
        markup = page.decode(charset_of(page, is_html=True), "replace")
        chapters.append(html_to_markdown(markup, ""))
        if sum(map(len, chapters)) > _MAX_CHARS:
            notes = (f"the book was cut after its first {len(chapters)} parts",)
            break
    text = "\n\n".join(chapter for chapter in chapters if chapter)
    if not text:
        if package.read("META-INF/encryption.xml"):
            raise package.encrypted()
        raise package.damaged()
    return Extracted(
        title=_stated(book, "title"),
        text=text,
        has_inline_links=True,
        metadata=Metadata(
            author=_stated(book, "creator"),
            published=_stated(book, "date")[:10],
            language=_stated(book, "language")[:35],
            site=_stated(book, "publisher"),
        ),
        notes=notes,
    )


def _spine(book: XmlElement, folder: str) -> list[str]:
    """The members that make up the book, in reading order."""
    pages = {
        item.attributes.get("id", ""): member_name(folder, item.attributes.get("href", ""))
        for manifest in _find(book, "manifest")
        for item in manifest.children("item")
        if item.attributes.get("media-type", "").lower() in _PAGE_TYPES
        and "nav" not in item.attributes.get("properties", "").split()
    }
    order = (
        reference.attributes.get("idref", "")
        for spine in _find(book, "spine")
        for reference in spine.children("itemref")
    )
    names = dict.fromkeys(pages[key] for key in order if key in pages)
    return list(names)[:_MAX_CHAPTERS]


def _stated(book: XmlElement, name: str) -> str:
    for metadata in _find(book, "metadata"):
        for element in _find(metadata, name):
            return " ".join(element.text().split())[:_MAX_FIELD_CHARS]
    return ""


def _find(element: XmlElement, name: str) -> Iterator[XmlElement]:
    for child in element.children():
        if child.name == name:
            yield child
        else:
            yield from _find(child, name)
