"""One extractor over many pages, in a process of its own: `extraction.py` starts this.

    PYTHON -m tests.bench.extraction_peer NAME [WEIGHTS.json] < pages.jsonl

PYTHON is that of the environment that has the extractor. Each line of the input names a page by
`id`, `file` (packed or not) and `url`; each line of the output gives its `id`, the `text` and the
`cpu_seconds` that the extractor took, reading and unpacking the file not counted. A page that an
extractor fails on has no text. WEIGHTS.json are weights of our model instead of those it has.
"""

# pyright: basic, reportMissingImports=false

import gzip
import json
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path

Extractor = Callable[[bytes, str], str]
"""From a page's bytes and URL to its text."""


def seekling() -> Extractor:
    """Our plain text."""
    from mcp_server.extract import SourceInfo, extract

    def read(html: bytes, url: str) -> str:
        found = extract(html, SourceInfo(url=url, media_type="text/html", charset="utf-8"))
        return found.plain_text or found.text

    return read


def seekling_markdown() -> Extractor:
    """Our Markdown, which is what a model gets; the same call makes both."""
    from mcp_server.extract import SourceInfo, extract

    def read(html: bytes, url: str) -> str:
        return extract(html, SourceInfo(url=url, media_type="text/html", charset="utf-8")).text

    return read


def parser() -> Extractor:
    """The limit: the parser that we use, which chooses and writes nothing."""
    from selectolax.lexbor import LexborHTMLParser

    def read(html: bytes, _url: str) -> str:
        LexborHTMLParser(html)
        return ""

    return read


def trafilatura() -> Extractor:
    """Its default: plain text."""
    import trafilatura

    return lambda html, url: trafilatura.extract(html, url=url) or ""


def trafilatura_markdown() -> Extractor:
    """Markdown with all that it can keep."""
    import trafilatura

    return lambda html, url: (
        trafilatura.extract(
            html, url=url, output_format="markdown", include_links=True, include_formatting=True
        )
        or ""
    )


def readability() -> Extractor:
    """The text of its summary."""
    import lxml.html
    from readability import Document

    def read(html: bytes, _url: str) -> str:
        summary = Document(html.decode("utf-8", "replace")).summary()
        return str(lxml.html.fromstring(summary).text_content())

    return read


def resiliparse() -> Extractor:
    """Plain text of the main content."""
    from resiliparse.extract.html2text import extract_plain_text

    return lambda html, _url: extract_plain_text(html.decode("utf-8", "replace"), main_content=True)


def chromerag() -> Extractor:
    """Its Markdown without the header that it writes."""
    from chromerag import ChromeRAG

    reader = ChromeRAG()

    def read(html: bytes, url: str) -> str:
        text = reader.extract(html.decode("utf-8", "replace"), url=url or None).markdown
        return text.split("\n---\n", 1)[-1] if text.startswith("---\n") else text

    return read


def mcp_server_fetch() -> Extractor:
    """What its tool `fetch` returns of a page."""
    from mcp_server_fetch.server import extract_content_from_html

    return lambda html, _url: extract_content_from_html(html.decode("utf-8", "replace"))


EXTRACTORS = (
    seekling,
    seekling_markdown,
    parser,
    trafilatura,
    trafilatura_markdown,
    readability,
    resiliparse,
    chromerag,
    mcp_server_fetch,
)


def use_weights(file: Path) -> None:
    """Judge by these weights from here on."""
    from mcp_server.extract.html import main_content
    from mcp_server.extract.html.content_model import ContentModel

    model = ContentModel(json.loads(file.read_text(encoding="utf-8")))
    main_content.content_model = lambda: model


def main() -> None:
    """Extract what standard input names."""
    logging.disable(logging.CRITICAL)
    if len(sys.argv) > 2:
        use_weights(Path(sys.argv[2]))
    read = {each.__name__: each for each in EXTRACTORS}[sys.argv[1]]()
    read(b"<html><body><p>Whatever is made at the first call is made now.</p></body></html>", "")
    for line in sys.stdin:
        page = json.loads(line)
        html = Path(page["file"]).read_bytes()
        html = gzip.decompress(html) if page["file"].endswith(".gz") else html
        text = ""
        started = time.process_time()
        try:
            text = read(html, page["url"])
        except Exception as error:  # noqa: BLE001 - of a peer anything is possible
            sys.stderr.write(f"{page['id']}: {type(error).__name__}\n")
        spent = time.process_time() - started
        print(json.dumps({"id": page["id"], "text": text, "cpu_seconds": spent}))


if __name__ == "__main__":
    main()
