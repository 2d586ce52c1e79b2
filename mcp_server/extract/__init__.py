"""Extraction: from the bytes of one document to its text.

To read another media type, write a pure function `(bytes, SourceInfo) -> Extracted` and add one
line to `EXTRACTORS`.
"""

from collections.abc import Callable, Mapping

from mcp_server.extract.plain_text import read_feed, read_json, read_plain_text, read_xml
from mcp_server.extract.types import Extracted, SourceInfo

Extractor = Callable[[bytes, SourceInfo], Extracted]
"""Pure and synchronous; may be slow, so it runs in a child process (see `worker`)."""


def read_webpage(body: bytes, info: SourceInfo) -> Extracted:
    """`webpage.read_webpage`, imported at first use: it runs in child processes only."""
    from mcp_server.extract import webpage

    return webpage.read_webpage(body, info)


EXTRACTORS: Mapping[str, Extractor] = {
    "text/html": read_webpage,
    "application/xhtml+xml": read_webpage,
    "text/plain": read_plain_text,
    "text/markdown": read_plain_text,
    "text/csv": read_plain_text,
    "application/json": read_json,
    "application/xml": read_xml,
    "application/rss+xml": read_feed,
    "application/atom+xml": read_feed,
}


def extract(body: bytes, info: SourceInfo) -> Extracted:
    """Read a body with the extractor of its media type.

    Raises:
        KeyError: `EXTRACTORS` has no such media type; the caller knows the URL and the size that
            `UnsupportedMediaType` wants.
    """
    return EXTRACTORS[info.media_type](body, info)


__all__ = ["EXTRACTORS", "Extracted", "Extractor", "SourceInfo", "extract"]
