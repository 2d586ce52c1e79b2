"""PDF documents: paragraphs, pages, running lines, limits and honest errors."""

import zlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from mcp_server.errors import ExtractionError
from mcp_server.extract.pdf import document
from mcp_server.extract.pdf.document import read_pdf
from mcp_server.extract.types import Extracted, SourceInfo

INFO = SourceInfo(url="https://example.com/a", media_type="application/pdf", charset="utf_8")
TextAt = tuple[float, float, float, str]
"""Left, baseline and size in points, and the text."""


def pdf_of(pages: Sequence[Sequence[TextAt]], *, title: str = "", image: bool = False) -> bytes:
    """A small PDF that draws texts in Helvetica; with `image`, a black dot on each page."""
    contents = [
        "".join(f"BT /F {size} Tf {x} {y} Td ({text}) Tj ET\n" for x, y, size, text in page)
        + ("q 9 0 0 9 9 9 cm BI /W 1 /H 1 /CS /G /BPC 8 ID \x00 EI Q" if image else "")
        for page in pages
    ]
    kids = " ".join(f"{5 + 2 * number} 0 R" for number in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        f"<< /Title ({title}) /Author (Ann Author) /CreationDate (D:20240302101500+01'00') >>",
    ]
    for number, content in enumerate(contents):
        objects += [
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] "
            f"/Resources << /Font << /F 3 0 R >> >> /Contents {6 + 2 * number} 0 R >>",
            f"<< /Length {len(content)} >>\nstream\n{content}\nendstream",
        ]
    return assembled([one.encode("latin-1") for one in objects])


def assembled(objects: Sequence[bytes]) -> bytes:
    body = b"%PDF-1.4\n"
    offsets: list[int] = []
    for number, one in enumerate(objects, 1):
        offsets.append(len(body))
        body += b"%d 0 obj\n%b\nendobj\n" % (number, one)
    table = b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    size = len(objects) + 1
    return (
        body
        + b"xref\n0 %d\n0000000000 65535 f \n%btrailer\n" % (size, table)
        + (b"<< /Size %d /Root 1 0 R /Info 4 0 R >>\nstartxref\n%d\n%%%%EOF" % (size, len(body)))
    )


def lines(*texts: str, top: float = 700, size: float = 12) -> list[TextAt]:
    """Texts below each other at the usual distance."""
    return [(50, top - 14 * number, size, text) for number, text in enumerate(texts)]


def read(body: bytes) -> Extracted:
    return read_pdf(body, INFO)


FULL = "These words fill the line up to its right margin, so that the next"


def test_lines_become_paragraphs_and_a_larger_font_a_heading() -> None:
    page = [
        (50.0, 750.0, 20.0, "The Title"),
        *lines(FULL, "word begins a new line. And it ends here.", "A short line", "x = 1", "y = 2"),
        *lines("A new block.", top=600),
    ]
    found = read(pdf_of([page]))
    assert found.text.split("\n\n") == [
        "### The Title",
        f"{FULL} word begins a new line. And it ends here.\nA short line\nx = 1\ny = 2",
        "A new block.",
    ]
    assert found.title == "The Title"


def test_metadata_is_read_and_titles_that_name_files_are_not() -> None:
    found = read(pdf_of([lines("Hello")], title="On Search"))
    assert (found.title, found.metadata.author) == ("On Search", "Ann Author")
    assert found.metadata.published == "2024-03-02"
    assert read(pdf_of([lines("Hello")], title="Microsoft Word - a.doc")).title == ""


def test_damaged_metadata_costs_only_itself() -> None:
    lone_surrogate = pdf_of([lines("Hello")], title="8 letter").replace(
        b"(8 letter)", b"<FEFFD800>"
    )
    assert read(lone_surrogate).text == "Hello"
    assert read(lone_surrogate).metadata.author == "Ann Author"


def test_pages_are_marked_where_there_are_several() -> None:
    body = pdf_of([lines("first"), lines("second")])
    assert read(body).text == "## Page 1\n\nfirst\n\n## Page 2\n\nsecond"
    assert read(pdf_of([lines("only")])).text == "only"


def test_running_heads_stay_once_and_page_numbers_go() -> None:
    pages = [
        [
            (50.0, 780.0, 10.0, "Annual Report 2024"),
            *lines(f"Body of page number {number}."),
            (300.0, 20.0, 10.0, f"{number}"),
        ]
        for number in range(1, 7)
    ]
    text = read(pdf_of(pages)).text
    assert text.count("Annual Report 2024") == 1
    assert text.count("Body of page number") == 6
    assert "## Page 6\n\nBody of page number 6." in text
    assert text.endswith("number 6.")


def test_lines_that_only_look_alike_are_kept() -> None:
    pages = [lines(f"Chapter {number}", "Words.") for number in (1, 2)]
    pages += [lines("Other words.", f"Step {number}: more.") for number in range(30)]
    text = read(pdf_of(pages)).text
    assert text.count("Chapter") == 2
    assert text.count("more.") == 30


def test_words_that_were_divided_are_whole_again() -> None:
    page = lines(
        "This long line ends with a word that does not fit any more: extrac-",
        "tion of text. A well-known compound at the end of a line: well-",
        "known. That was all of it.",
    )
    text = read(pdf_of([page])).text
    assert "extraction of text" in text
    assert "line: well-known. That" in text


def test_list_items_start_their_own_lines() -> None:
    page = lines(
        "1. " + FULL,
        "word is still of the first item.",
        "2. The second item",
        "3. The third item",
    )
    assert read(pdf_of([page])).text == (
        f"1. {FULL} word is still of the first item.\n2. The second item\n3. The third item"
    )


def test_rows_of_a_table_keep_their_lines() -> None:
    rows = [
        f"{name} costs and other amounts of the year 20{n}" for n, name in enumerate("ABCDEF", 10)
    ]
    assert read(pdf_of([lines(*rows)])).text.split("\n") == rows


def test_text_in_two_columns_is_read_column_by_column() -> None:
    left = [(50.0, 700.0 - 14 * n, 12.0, f"left {n} words of the column") for n in range(4)]
    right = [(320.0, 700.0 - 14 * n, 12.0, f"right {n} words of the column") for n in range(4)]
    text = read(pdf_of([left + right])).text
    assert text.index("left 3") < text.index("right 0")


def test_a_document_is_read_up_to_the_limits_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    body = pdf_of([lines(f"on page {number}") for number in range(5)])
    monkeypatch.setattr(document, "MAX_PAGES", 3)
    found = read(body)
    assert found.notes == ("pages 1-3 of 5 were read",)
    assert "on page 2" in found.text
    assert "on page 3" not in found.text
    monkeypatch.setattr(document, "MAX_CHARS", 1)
    assert read(body).notes == ("pages 1-1 of 5 were read (the document is very long)",)


def test_scanned_pages_are_named_as_such() -> None:
    with pytest.raises(ExtractionError, match="scanned images without text; 2 pages"):
        read(pdf_of([[], []], image=True))
    with pytest.raises(ExtractionError, match=r"the PDF has no text; 1 page$"):
        read(pdf_of([[]]))
    assert read(pdf_of([lines("words"), []], image=True)).notes == ("images without text: page 2",)


@pytest.mark.parametrize("body", [b"", b"%PDF-1.7\n", b"%PDF-1.4\n" + b"junk " * 1_000])
def test_a_damaged_document_is_an_error(body: bytes) -> None:
    with pytest.raises(ExtractionError, match="damaged"):
        read(body)


def test_a_document_cut_off_in_the_middle_is_read_or_an_error() -> None:
    body = pdf_of([lines("first"), lines("second")])
    try:
        assert "first" in read(body[: len(body) - 400]).text
    except ExtractionError as exc:
        assert "damaged" in str(exc)


def test_junk_before_the_document_is_skipped() -> None:
    assert read(b"\n\njunk\n" + pdf_of([lines("words")])).text == "words"


def test_a_page_that_unpacks_to_much_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    content = zlib.compress(b"BT /F 9 Tf 9 9 Td (aaaa) Tj ET\n" * 20_000)
    body = assembled(
        [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [5 0 R] /Count 1 >>",
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
            b"<< >>",
            b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] /Resources << /Font << /F 3 0 R >> "
            b">> /Contents 6 0 R >>",
            b"<< /Length %d /Filter /FlateDecode >>\nstream\n%b\nendstream"
            % (len(content), content),
        ]
    )
    assert len(read(body).text) < 400_000


@pytest.mark.shared_data
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("minimal-document.pdf", "no sea takimata sanctus est Lorem ipsum dolor sit amet."),
        (
            "multicolumn.pdf",
            "consectetuer adipiscing elit. Ut purus elit, vestibulum ut, placerat ac",
        ),
        ("pdflatex-outline.pdf", "### 1 Foo\n\nHello, here is some text without a meaning."),
        ("google-doc-document.pdf", "Beautiful is better than ugly.\nExplicit is better than"),
        ("libreoffice-form.pdf", "Agree to privacy policy"),
        ("habibi.pdf", "habibi"),
    ],
)
def test_real_documents_read_well(shared_data: Path, name: str, expected: str) -> None:
    assert expected in read((shared_data / "nasty" / "pdf" / name).read_bytes()).text


@pytest.mark.shared_data
def test_an_encrypted_document_is_named_as_such(shared_data: Path) -> None:
    body = (shared_data / "nasty" / "pdf" / "libreoffice-writer-password.pdf").read_bytes()
    with pytest.raises(ExtractionError, match="encrypted: it needs a password"):
        read(body)


@pytest.mark.shared_data
def test_every_real_document_is_read_or_refused_clearly(shared_data: Path) -> None:
    read_count = 0
    for path in sorted((shared_data / "nasty" / "pdf").glob("*.pdf")):
        try:
            read_count += bool(read(path.read_bytes()).text)
        except ExtractionError as exc:
            assert "encrypted" in str(exc) or "scanned" in str(exc), path.name
    assert read_count >= 20
