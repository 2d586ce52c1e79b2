"""A report as an installed browser prints it, read with PDFium."""

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import anyio
import pypdfium2

from agent_client.report.pdf_form import find_browser, to_pdf
from tests.pages.long_report import LONG_PASSAGE, LONG_URL, long_report


def test_the_pdf_has_every_word_once_and_none_of_the_machine() -> None:
    with ThreadPoolExecutor(1) as thread:  # the tests' browser has the event loop of this one
        printed = thread.submit(anyio.run, to_pdf, long_report(), find_browser()).result()
    with pypdfium2.PdfDocument(printed) as document:
        pages = [page.get_textpage().get_text_range() for page in document]
        text = re.sub(r"\s+", " ", " ".join(pages).replace("\ufffe", ""))
        told = document.get_metadata_dict()
        headings = [entry.get_title() for entry in document.get_toc()]
        assert document.is_tagged()
    assert 3 <= len(pages) <= 12
    assert all(f"{number} / {len(pages)}" in page for number, page in enumerate(pages, start=1))
    assert (told["Title"], told["Creator"]) == ("Vell Dam", "Seekling")
    assert headings[:4] == ["Vell Dam", "Part 0", "Part 1", "Sources"]
    assert text.count("Sentence 3 of the report says") == 2 * 2  # in both parts, and the table
    assert text.count(LONG_PASSAGE.strip()) == 20  # in the table, and no tip
    assert text.replace(" ", "").count(f"{LONG_URL}/1") == 1
    assert "Who? (turn limit)" in text  # though it is folded on the screen
    heads = [page for page in pages if "Best passage of the source" in page]
    assert len(heads) >= 2  # a table goes on under its head
    for private in ("file:", "seekling-pdf", str(Path.home())):
        assert private.encode() not in printed
        assert private not in text
