"""Read PDF documents with PDFium: the text page by page, with headings and whole paragraphs.

PDFium is native code that reads hostile bytes, so this runs in child processes only. What is
drawn as a table keeps one line per row; nothing cheap finds its cells reliably.
"""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import pypdfium2
import pypdfium2.raw as pdfium

from mcp_server.errors import ExtractionError
from mcp_server.extract.pdf.layout import PageText, title_of, written_pages
from mcp_server.extract.pdf.lines import Line, page_lines
from mcp_server.extract.types import Extracted, SourceInfo
from mcp_server.visit.types import Metadata

MAX_PAGES = 300
MAX_CHARS = 2_000_000
MAX_SECONDS = 6.0
"""After these no further page is begun: half of a document is more than a killed process."""

_MAX_FIELD_CHARS = 300
_LISTED_PAGES = 10
_IMAGE_SEARCH_DEPTH = 3

_PDF_DATE = re.compile(r"(?:D:)?(\d{4})(?:(\d\d)(?:(\d\d))?)?")
_NO_TITLE = re.compile(
    r"untitled.{0,20}|.{0,200}\.(?:docx?|pdf|tex|dvi|indd|pptx?|xlsx?|odt|rtf|qxd|ps)"
    r"|microsoft (?:word|powerpoint|excel) - .{0,300}|slide 1|title|document\d*",
    re.I | re.S,
)


@dataclass(slots=True)
class _Reading:
    """What came of reading the pages."""

    pages: list[list[Line]] = field(default_factory=list[list[Line]])
    damaged: list[int] = field(default_factory=list[int])
    pictures: list[int] = field(default_factory=list[int])
    """Pages with images and without text, from 1."""
    why_ended: str = ""
    """Why the last pages were left out, or ""."""


def read_pdf(body: bytes, info: SourceInfo) -> Extracted:
    """Read the text of a PDF, `## Page N` before each page where there are several.

    Raises:
        ExtractionError: it is encrypted, damaged, or holds no text (scanned pages).
    """
    document = _opened(body)
    try:
        count = len(document)
        fields = {name: _field(document, name) for name in ("Title", "Author", "CreationDate")}
        reading = _read(document, count)
    finally:
        document.close()
    pages = written_pages(reading.pages)
    if not any(page.text for page in pages):
        raise _no_text(reading, count)
    title = "" if _NO_TITLE.fullmatch(fields["Title"]) else fields["Title"]
    return Extracted(
        title=title or title_of(reading.pages[0])[:_MAX_FIELD_CHARS],
        text=_joined(pages, count),
        metadata=Metadata(author=fields["Author"], published=_iso_date(fields["CreationDate"])),
        notes=_notes(reading, count),
    )


def _opened(body: bytes) -> pypdfium2.PdfDocument:
    start = body.find(b"%PDF-", 0, 1024)
    try:
        return pypdfium2.PdfDocument(body[max(start, 0) :])
    except pypdfium2.PdfiumError as exc:
        if exc.err_code in (pdfium.FPDF_ERR_PASSWORD, pdfium.FPDF_ERR_SECURITY):
            message = "the PDF is encrypted: it needs a password"
        else:
            message = "the PDF is damaged or incomplete: it cannot be opened"
        raise ExtractionError(message, hint="try another result") from None


def _read(document: pypdfium2.PdfDocument, count: int) -> _Reading:
    reading = _Reading()
    end = time.monotonic() + MAX_SECONDS
    chars = 0
    for index in range(min(count, MAX_PAGES)):
        try:
            page = document[index]
            try:
                lines = page_lines(page)
                if not lines and _has_image(page):
                    reading.pictures.append(index + 1)
            finally:
                page.close()
        except pypdfium2.PdfiumError:
            lines = []
            reading.damaged.append(index + 1)
        reading.pages.append(lines)
        chars += sum(len(line.text) for line in lines)
        if chars > MAX_CHARS:
            reading.why_ended = "the document is very long"
            break
        if time.monotonic() > end:
            reading.why_ended = "its pages take long to read"
            break
    return reading


def _has_image(page: pypdfium2.PdfPage) -> bool:
    kinds = [pdfium.FPDF_PAGEOBJ_IMAGE]
    return any(True for _ in page.get_objects(filter=kinds, max_depth=_IMAGE_SEARCH_DEPTH))


def _no_text(reading: _Reading, count: int) -> ExtractionError:
    pages = f"{count:,} page" + ("s" if count != 1 else "")
    if reading.pictures:
        message = f"the PDF holds scanned images without text; {pages}"
    elif len(reading.damaged) == len(reading.pages):
        message = f"the PDF is damaged: none of its pages can be read; {pages}"
    else:
        message = f"the PDF has no text; {pages}"
    return ExtractionError(message, hint="try another result, or an HTML version of the document")


def _joined(pages: Sequence[PageText], count: int) -> str:
    if count == 1:
        return pages[0].text
    return "\n\n".join(f"## Page {page.number}\n\n{page.text}" for page in pages if page.text)


def _notes(reading: _Reading, count: int) -> tuple[str, ...]:
    notes: list[str] = []
    read = len(reading.pages)
    if read < count:
        why = f" ({reading.why_ended})" if reading.why_ended else ""
        notes.append(f"pages 1-{read} of {count} were read{why}")
    for numbers, what in (
        (reading.pictures, "images without text"),
        (reading.damaged, "damaged and left out"),
    ):
        if numbers:
            listed = ", ".join(map(str, numbers[:_LISTED_PAGES]))
            more = ", …" if len(numbers) > _LISTED_PAGES else ""
            notes.append(f"{what}: page{'s' if len(numbers) > 1 else ''} {listed}{more}")
    return tuple(notes)


def _field(document: pypdfium2.PdfDocument, name: str) -> str:
    """A field of the document's information on one line; "" where it is missing or damaged."""
    try:
        value = document.get_metadata_value(name)
    except UnicodeDecodeError:
        return ""
    return " ".join(value.replace("\x00", "").split())[:_MAX_FIELD_CHARS]


def _iso_date(date: str) -> str:
    """A PDF date (`D:20240302…`) as ISO 8601; "" for what is none."""
    match = _PDF_DATE.match(date)
    if not match or not "1970" <= match[1] <= "2100":
        return ""
    return "-".join(part for part in match.groups() if part)
