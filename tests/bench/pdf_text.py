"""Text of PDF files: speed, and how much of the words and their order is kept.

    python tests/bench/pdf_text.py FILE.pdf[.gz]… [--html FOLDER]

Compares our reader with PDFium's bare text and, where it is installed, pypdf. FOLDER holds the
same document as HTML pages, the yardstick of word F1 and of 4-gram recall.
"""

import argparse
import gzip
import importlib.util
import io
import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pypdfium2

from mcp_server.extract.pdf.document import MAX_PAGES, read_pdf
from mcp_server.extract.plain_text import strip_tags
from mcp_server.extract.types import SourceInfo

INFO = SourceInfo(url="", media_type="application/pdf", charset="utf_8")


def ours(body: bytes) -> str:
    """The extractor of this project."""
    return read_pdf(body, INFO).text


def bare_pdfium(body: bytes) -> str:
    """What PDFium gives, page after page."""
    document = pypdfium2.PdfDocument(body)
    pages = [document[number] for number in range(min(len(document), MAX_PAGES))]
    return "\n".join(page.get_textpage().get_text_range() for page in pages)


def by_pypdf(body: bytes) -> str:
    """What pypdf gives, page after page."""
    from pypdf import PdfReader  # pyright: ignore[reportMissingImports]

    pages = PdfReader(io.BytesIO(body)).pages[:MAX_PAGES]
    return "\n".join(page.extract_text() for page in pages)


def grams(text: str, length: int) -> Counter[tuple[str, ...]]:
    """Runs of words, lower case."""
    words = re.findall(r"\w+", text.lower())
    return Counter(zip(*(words[start:] for start in range(length)), strict=False))


def told_quality(text: str, truth: str) -> str:
    """Word F1 and 4-gram recall of a text."""
    found, gold = grams(text, 1), grams(truth, 1)
    f1 = 2 * (found & gold).total() / max(1, found.total() + gold.total())
    kept, runs = grams(text, 4) & grams(truth, 4), grams(truth, 4)
    return f"word F1 {f1:.3f}  4-gram recall {kept.total() / max(1, runs.total()):.3f}"


def main() -> None:
    """Measure each file with each reader."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--html", type=Path)
    arguments = parser.parse_args()
    pages = sorted(arguments.html.glob("*.html")) if arguments.html else []
    truth = "\n".join(strip_tags(page.read_text("utf-8", "replace")) for page in pages)
    readers: list[Callable[[bytes], str]] = [ours, bare_pdfium]
    if importlib.util.find_spec("pypdf"):
        readers.append(by_pypdf)
    for path in arguments.files:
        body = path.read_bytes()
        body = gzip.decompress(body) if path.suffix == ".gz" else body
        count = min(len(pypdfium2.PdfDocument(body)), MAX_PAGES)
        for reader in readers:
            started = time.process_time()
            text = reader(body)
            speed = count / (time.process_time() - started)
            quality = told_quality(text, truth) if truth else f"{len(text):,} characters"
            print(f"{path.name:28} {reader.__name__:12} {speed:6.0f} pages/CPU-s  {quality}")


if __name__ == "__main__":
    main()
