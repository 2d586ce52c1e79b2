"""Read an XML document as an outline of its elements."""

from collections.abc import Iterator

from mcp_server.extract.plain_text import decoded
from mcp_server.extract.types import Extracted, SourceInfo
from mcp_server.extract.xml_tree import XmlElement, parse_xml

_MAX_ATTRIBUTES = 20
_MAX_TITLE_CHARS = 300


def read_xml(body: bytes, info: SourceInfo) -> Extracted:
    """Write an XML document as indented lines `name (attribute=value): text`.

    An element whose text is mixed with elements (a paragraph with emphasis) becomes one line;
    levels that hold nothing but one other element are written into one line.
    """
    root = parse_xml(decoded(body, info))
    lines: list[str] = []
    for part in root.content:
        if isinstance(part, XmlElement):
            lines.extend(_lines(part, ""))
        elif part.strip():
            lines.append(" ".join(part.split()))
    return Extracted(title=_title(root), text="\n".join(lines))


def _lines(element: XmlElement, indent: str) -> Iterator[str]:
    """One line for the element, or one for its name and more for what it holds."""
    label = indent + element.written_name + _attribute_note(element)
    children = list(element.children())
    is_mixed = any(isinstance(part, str) and part.strip() for part in element.content)
    if not children or is_mixed:
        text = " ".join(element.text().split())
        if text or element.attributes:
            yield f"{label}: {text}" if text else label
        return
    yield label
    for child in children:
        yield from _lines(child, indent + " ")


def _attribute_note(element: XmlElement) -> str:
    attributes = list(element.attributes.items())[:_MAX_ATTRIBUTES]
    told = ", ".join(f"{name}={' '.join(value.split())}" for name, value in attributes if value)
    return f" ({told})" if told else ""


def _title(root: XmlElement) -> str:
    """The first `title` of the document's element or one level below it."""
    for document in root.children():
        for parent in (document, *document.children()):
            for title in parent.children("title"):
                return " ".join(title.text().split())[:_MAX_TITLE_CHARS]
    return ""
