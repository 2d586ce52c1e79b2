"""The text lines of a PDF page, each with where it stands."""

import ctypes
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import pypdfium2
import pypdfium2.raw as pdfium

MAX_LINES = 2_000
"""Lines of one page; a page of a real document has about a hundred."""
DIVISION = "\ufffe"
"""What PDFium gives for a hyphen that divides a word at the end of a line."""

_WORD_SPACE = 0.15
"""Of the height: a wider gap is a space."""
_SAME_HEIGHT = 0.1
"""Points by which heights of one font may differ."""
_ROW_TOLERANCE = 0.5
"""Of the height: by how much superscripts and subscripts leave the line."""

_ONE_CHAR = str.maketrans({"\x02": DIVISION, "\x00": " "})
_LIGATURES = str.maketrans(
    {
        "ﬀ": "ff",
        "ﬁ": "fi",
        "ﬂ": "fl",
        "ﬃ": "ffi",
        "ﬄ": "ffl",
        "ﬅ": "st",
        "ﬆ": "st",
        "\uf0b7": "•",  # the bullet of the Symbol font
        "\u00ad": None,
    }
)
_PRINTED_LINE = re.compile(f"[^\n{DIVISION}]+{DIVISION}?")
_LEADERS = re.compile(r" ?(?:\.[ .]?){5,}+")
"""The dots between a title and its page number in a table of contents."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line as it is printed; lengths are points from the lower left corner of the page."""

    text: str
    """Ends in `DIVISION` where a word is divided at the line's end."""
    left: float
    right: float
    baseline: float
    height: float
    """Of the font, from its ascent to its descent."""

    @property
    def char_width(self) -> float:
        """Average width of a character."""
        return (self.right - self.left) / len(self.text)


def page_lines(page: pypdfium2.PdfPage) -> list[Line]:
    """The lines of a page in PDFium's reading order, without empty ones.

    Raises:
        pypdfium2.PdfiumError: the page's text cannot be loaded.
    """
    text_page = page.get_textpage()
    try:
        text = text_page.get_text_range().translate(_ONE_CHAR)
        return list(_rows(islice(_lines(text_page, text), MAX_LINES)))
    finally:
        text_page.close()


def _lines(text_page: pypdfium2.PdfTextPage, text: str) -> Iterator[Line]:
    for found in _PRINTED_LINE.finditer(text):
        stripped = found[0].strip()
        if not stripped:
            continue
        first = found.start() + found[0].index(stripped[0])
        last = first + len(stripped) - 1
        start, end = _box(text_page, first), _box(text_page, last)
        height = start.top - start.bottom
        if abs(height - (end.top - end.bottom)) > _SAME_HEIGHT:
            # A symbol of another font must not pass for the height of the line.
            middle = _box(text_page, (first + last) // 2)
            height = sorted((height, middle.top - middle.bottom, end.top - end.bottom))[1]
        yield Line(
            text=_readable(stripped),
            left=start.left,
            right=max(end.right, start.left),
            baseline=_baseline(text_page, first),
            height=height,
        )


def _readable(text: str) -> str:
    if not text.isascii():
        text = text.translate(_LIGATURES)
    if "..." in text or ". ." in text:
        text = _LEADERS.sub(" … ", text)
    return " ".join(text.split())


def _rows(lines: Iterable[Line]) -> Iterator[Line]:
    """Put together what stands in one row: PDFium starts a line for each superscript."""
    row: Line | None = None
    for line in lines:
        if row is not None and _is_right_of(row, line):
            space = " " if line.left - row.right > _WORD_SPACE * row.height else ""
            main = row if len(row.text) >= len(line.text) else line
            row = Line(
                row.text + space + line.text, row.left, line.right, main.baseline, main.height
            )
            continue
        if row is not None:
            yield row
        row = line
    if row is not None:
        yield row


def _is_right_of(row: Line, line: Line) -> bool:
    is_same_height = abs(row.baseline - line.baseline) < _ROW_TOLERANCE * max(
        row.height, line.height
    )
    return is_same_height and line.left >= row.right - row.char_width / 2


def _box(text_page: pypdfium2.PdfTextPage, text_index: int) -> pdfium.FS_RECTF:
    """Where a character stands, as high as its font makes every character; zeros if unknown."""
    box = pdfium.FS_RECTF()
    index = pdfium.FPDFText_GetCharIndexFromTextIndex(text_page, text_index)
    if index >= 0:
        pdfium.FPDFText_GetLooseCharBox(text_page, index, ctypes.byref(box))
    return box


def _baseline(text_page: pypdfium2.PdfTextPage, text_index: int) -> float:
    x, y = ctypes.c_double(), ctypes.c_double()
    index = pdfium.FPDFText_GetCharIndexFromTextIndex(text_page, text_index)
    if index >= 0:
        pdfium.FPDFText_GetCharOrigin(text_page, index, ctypes.byref(x), ctypes.byref(y))
    return y.value
