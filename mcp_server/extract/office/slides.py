"""Read PowerPoint presentations (PPTX): slide by slide, with the speaker's notes."""

from collections.abc import Iterator

from mcp_server.extract.office.zip_package import ZipPackage
from mcp_server.extract.types import Extracted, SourceInfo
from mcp_server.extract.xml_tree import XmlElement

_MAX_SLIDES = 2_000
_PRESENTATION = "ppt/presentation.xml"
_TITLES = ("title", "ctrtitle")
_NO_CONTENT = ("dt", "ftr", "sldnum", "hdr", "sldimg")
"""Placeholders of dates, footers, slide numbers and pictures."""


def read_slides(body: bytes, info: SourceInfo) -> Extracted:
    """Read a PPTX in the order of its slides; `## Slide N: title` before each one.

    Raises:
        ExtractionError: it is damaged or encrypted, unpacks to too much, or has no slides.
    """
    package = ZipPackage(body, "presentation")
    names = _slide_names(package)[:_MAX_SLIDES]
    if not names:
        raise package.damaged()
    blocks: list[str] = []
    for number, name in enumerate(names, 1):
        blocks.extend(_slide(package, name, number))
    title, metadata = package.office_properties()
    return Extracted(title=title, text="\n\n".join(blocks), metadata=metadata)


def _slide_names(package: ZipPackage) -> list[str]:
    relations = package.relations(_PRESENTATION)
    slides = {key: name for key, (kind, name) in relations.items() if kind == "slide"}
    order = [
        slides[value]
        for presentation in package.read_xml(_PRESENTATION).children("presentation")
        for listed in presentation.children("sldidlst")
        for entry in listed.children()
        for value in entry.attributes.values()
        if value in slides
    ]
    return order or sorted(slides.values())


def _slide(package: ZipPackage, name: str, number: int) -> Iterator[str]:
    title, blocks = "", list[str]()
    for shape in _shapes(package.read_xml(name)):
        kind = _placeholder(shape)
        if kind in _TITLES and not title:
            title = " ".join(_paragraph_texts(shape))
        elif kind not in _NO_CONTENT:
            blocks.append(_table(shape) or _outline(shape, is_list=kind is not None))
    yield f"## Slide {number}" + (f": {title}" if title else "")
    yield from filter(None, blocks)
    for kind, target in package.relations(name).values():
        if kind == "notesSlide":
            notes = _notes(package.read_xml(target))
            if notes:
                yield f"Notes: {notes}"


def _notes(slide: XmlElement) -> str:
    return "\n".join(
        text
        for shape in _shapes(slide)
        if _placeholder(shape) == "body"
        for text in _paragraph_texts(shape)
    )


def _shapes(element: XmlElement) -> Iterator[XmlElement]:
    """The shapes with text and the tables below an element, also those in groups."""
    for child in element.children():
        if child.name in ("sp", "graphicframe"):
            yield child
        elif child.name != "fallback":  # the same again, for old programs
            yield from _shapes(child)


def _placeholder(shape: XmlElement) -> str | None:
    """The kind of a placeholder, "" for the slide's content; None for a free shape."""
    found = next(_descendants(shape, "ph"), None)
    return None if found is None else found.attributes.get("type", "").lower()


def _outline(shape: XmlElement, *, is_list: bool) -> str:
    paragraphs = [
        (_level(paragraph), text)
        for paragraph in _descendants(shape, "p")
        if (text := _text(paragraph))
    ]
    if not is_list or len(paragraphs) < 2:
        return "\n".join(text for _, text in paragraphs)
    return "\n".join(f"{'  ' * level}- {text}" for level, text in paragraphs)


def _level(paragraph: XmlElement) -> int:
    for properties in paragraph.children("ppr"):
        level = properties.attributes.get("lvl", "0")
        return int(level) if level in "012345678" and level else 0
    return 0


def _table(shape: XmlElement) -> str:
    rows = [
        [" ".join(_paragraph_texts(cell)).replace("|", "\\|") for cell in row.children("tc")]
        for row in _descendants(shape, "tr")
    ]
    if not rows:
        return ""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join((lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]))


def _paragraph_texts(element: XmlElement) -> list[str]:
    texts = (_text(paragraph) for paragraph in _descendants(element, "p"))
    return [text for text in texts if text]


def _text(paragraph: XmlElement) -> str:
    pieces = (
        " " if part.name == "br" else "".join(text.text() for text in part.children("t"))
        for part in paragraph.children("r", "br", "fld")
    )
    return " ".join("".join(pieces).split())


def _descendants(element: XmlElement, name: str) -> Iterator[XmlElement]:
    for child in element.children():
        if child.name == name:
            yield child
        else:
            yield from _descendants(child, name)
