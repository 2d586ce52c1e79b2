"""Tell what kind of source a path is, by its bytes and structure, and open it."""

import json
import re
from pathlib import Path
from typing import cast

from mcp_server.corpus.sources.arxiv import arxiv_source, is_arxiv_row
from mcp_server.corpus.sources.crawl_store import CRAWL_FILE, CrawledSite, is_crawl_file
from mcp_server.corpus.sources.fields import TEXT_FIELDS
from mcp_server.corpus.sources.folder import PAGE_SUFFIXES, FolderSource, page_suffix
from mcp_server.corpus.sources.json_lines import JsonLinesSource, Row
from mcp_server.corpus.sources.mediawiki import MediaWikiSource
from mcp_server.corpus.sources.packed import unpacked_head
from mcp_server.corpus.sources.parquet import ParquetSource
from mcp_server.corpus.sources.tables import TableSource, delimiter_of
from mcp_server.corpus.sources.warc import WarcSource
from mcp_server.corpus.sources.zim import ZimSource
from mcp_server.corpus.types import DocumentSource
from mcp_server.errors import CorpusError
from mcp_server.extract import EXTRACTORS
from mcp_server.visit.media_type import sniff
from mcp_server.visit.types import Resource

READABLE = (
    "JSON Lines, CSV and TSV with column names, Parquet, MediaWiki XML dumps, arXiv's metadata,"
    " Kiwix ZIM, WARC, a crawl's folder, a folder of pages, or one page (HTML, Markdown, text, PDF,"
    " office files, e-books); files of lines, dumps and WARC also packed with gzip, bzip2, xz, zstd"
)
"""What `open_source` takes, for people."""

_HEAD_BYTES = 256 * 1024
_JSON_SUFFIXES = frozenset({".jsonl", ".ndjson"})
_JSON_OBJECT = re.compile(rb'\s{0,100}\{\s{0,100}["}]')
_DUMP = re.compile(rb"\s{0,100}(?:<\?xml[^>]{0,200}>\s{0,100})?<mediawiki[\s>]")


def open_source(path: str | Path, *, base_url: str = "") -> DocumentSource:
    """Open whatever documents can be read from.

    Args:
        path: a file or a folder.
        base_url: URL prefix for documents that name no URL; `corpus://NAME/` by default.

    Raises:
        CorpusError: the path does not exist, or is nothing that can be read.
        ConfigError: reading it needs the extra `corpus`, which is not installed.
    """
    path = Path(path)
    if path.is_dir():
        if (path / CRAWL_FILE).is_file():
            return CrawledSite(path / CRAWL_FILE)
        return FolderSource(path, _open_data_set, base_url=base_url)
    if not path.is_file():
        raise CorpusError(f"source {str(path)!r} does not exist", hint="name a file or a folder")
    source = _open_data_set(path, base_url)
    if source is not None:
        return source
    head = unpacked_head(path, _HEAD_BYTES).removeprefix(b"\xef\xbb\xbf")
    suffix = page_suffix(path.name)
    if suffix in _JSON_SUFFIXES or not head.strip() or _looks_like_json_lines(head, suffix):
        return JsonLinesSource(path, base_url=base_url)
    if _is_page(head):
        return FolderSource(path, _no_data_set, base_url=base_url)
    raise CorpusError(
        f"{str(path)!r} is nothing that can be read", hint=f"readable are: {READABLE}"
    )


def _open_data_set(path: Path, base_url: str) -> DocumentSource | None:
    """The source in a file that is unmistakably one of many documents; else None."""
    head = unpacked_head(path, _HEAD_BYTES).removeprefix(b"\xef\xbb\xbf")
    if head.startswith(b"PAR1"):
        return ParquetSource(path, base_url=base_url)
    if head.startswith(b"ZIM\x04"):
        return ZimSource(path, base_url=base_url)
    if head.startswith(b"WARC/"):
        return WarcSource(path)
    if is_crawl_file(head):
        return CrawledSite(path)
    if _DUMP.match(head):
        return MediaWikiSource(path, base_url=base_url)
    row = _first_row(head)
    if row is not None:
        if is_arxiv_row(row):
            return arxiv_source(path)
        if any(isinstance(row.get(name), str) for name in TEXT_FIELDS):
            return JsonLinesSource(path, base_url=base_url)
    if page_suffix(path.name) not in PAGE_SUFFIXES and delimiter_of(head):
        return TableSource(path, base_url=base_url)
    return None


def _first_row(head: bytes) -> Row | None:
    """The object on the first line; None where there is none, or it is longer than the head."""
    line = head.lstrip().partition(b"\n")[0]
    if not line.startswith(b"{"):
        return None
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return cast(Row, row) if isinstance(row, dict) else None


def _looks_like_json_lines(head: bytes, suffix: str) -> bool:
    return suffix not in PAGE_SUFFIXES and _JSON_OBJECT.match(head) is not None


def _is_page(head: bytes) -> bool:
    resource = Resource(url="", final_url="", status=200, content_type="", body=head)
    media_type = sniff(resource).media_type
    is_archive = media_type.startswith(("application/zip", "application/x-ole-storage"))
    return is_archive or media_type in EXTRACTORS


def _no_data_set(_: Path, __: str) -> DocumentSource | None:
    return None
