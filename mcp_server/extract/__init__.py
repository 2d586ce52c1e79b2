"""Extraction: from the bytes of one document to its text.

To read another media type, write a pure function `(bytes, SourceInfo) -> Extracted` and add one
line to `EXTRACTORS`.
"""

import importlib
from collections.abc import Callable, Mapping

from mcp_server.extract.plain_text import read_json, read_json_lines, read_plain_text
from mcp_server.extract.types import Extracted, SourceInfo

Extractor = Callable[[bytes, SourceInfo], Extracted]
"""Pure and synchronous; may be slow, so it runs in a child process (see `workers`).

Raises:
    ExtractionError: the document is encrypted, damaged, without text, or needs an extra.
"""


def _late(module: str, name: str) -> Extractor:
    """A function of a module of this package that is imported at first use, in a child process.

    Its parsers are heavy, and most documents need only one of them.
    """

    def read(body: bytes, info: SourceInfo) -> Extracted:
        reader: Extractor = getattr(importlib.import_module(f"{__name__}.{module}"), name)
        return reader(body, info)

    return read


read_webpage = _late("html.webpage", "read_webpage")
_read_feed = _late("feed", "read_feed")
_OFFICE = "application/vnd.openxmlformats-officedocument."
_OPEN_DOCUMENT = "application/vnd.oasis.opendocument."
_read_spreadsheet = _late("office.spreadsheet", "read_spreadsheet")

EXTRACTORS: Mapping[str, Extractor] = {
    "text/html": read_webpage,
    "application/xhtml+xml": read_webpage,
    "text/plain": read_plain_text,
    "text/markdown": read_plain_text,
    "text/csv": read_plain_text,
    "text/tab-separated-values": read_plain_text,
    "application/json": read_json,
    "application/jsonl": read_json_lines,
    "application/xml": _late("xml_outline", "read_xml"),
    "application/rss+xml": _read_feed,
    "application/atom+xml": _read_feed,
    "application/feed+json": _late("feed", "read_json_feed"),
    "application/pdf": _late("pdf.document", "read_pdf"),
    "application/epub+zip": _late("office.epub", "read_epub"),
    _OFFICE + "wordprocessingml.document": _late("office.word", "read_word"),
    _OFFICE + "presentationml.presentation": _late("office.slides", "read_slides"),
    _OFFICE + "spreadsheetml.sheet": _read_spreadsheet,
    "application/vnd.ms-excel": _read_spreadsheet,
    "application/vnd.ms-excel.sheet.binary.macroenabled.12": _read_spreadsheet,
    _OPEN_DOCUMENT + "spreadsheet": _read_spreadsheet,
    _OPEN_DOCUMENT + "text": _late("office.open_document", "read_open_document"),
    _OPEN_DOCUMENT + "presentation": _late("office.open_document", "read_open_document"),
}


def extract(body: bytes, info: SourceInfo) -> Extracted:
    """Read a body with the extractor of its media type.

    Raises:
        KeyError: `EXTRACTORS` has no such media type; the caller knows the URL and the size that
            `UnsupportedMediaType` wants.
        ExtractionError: the document is encrypted, damaged, without text, or needs an extra.
    """
    return EXTRACTORS[info.media_type](body, info)


__all__ = ["EXTRACTORS", "Extracted", "Extractor", "SourceInfo", "extract"]
