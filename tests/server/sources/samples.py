"""Small files of every kind that an index can be built from, written here."""

import bz2
import gzip
import json
import lzma
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from libzim.writer import Creator, Hint, Item, StringProvider

from mcp_server.corpus.sources.crawl_store import CrawlStore
from mcp_server.visit.types import Link, Page

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PACKERS: Mapping[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "bz2": bz2.compress,
    "xz": lzma.compress,
    "zst": zstd.compress,
}


def json_lines(*rows: object) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def words(number: int) -> str:
    return f"Text of the document {number}, which is about the topic {number * 7}."


def html_page(number: int) -> str:
    return (
        f"<html><head><title>Page {number}</title></head><body><main><h1>Page {number}</h1>"
        f"<p>{words(number)}</p></main></body></html>"
    )


def write_json_lines(path: Path, count: int) -> Path:
    rows = ({"_id": f"d{n}", "title": f"T {n}", "text": words(n)} for n in range(count))
    path.write_text(json_lines(*rows))
    return path


def write_table(path: Path, count: int) -> Path:
    rows = (f'd{n},T {n},"{words(n)}\nand ""more"", on a second line"\n' for n in range(count))
    path.write_text("id,title,text\n" + "".join(rows))
    return path


def write_parquet(path: Path, count: int, *, group_rows: int = 10) -> Path:
    columns = {
        "text": [words(n) for n in range(count)],
        "id": [f"<urn:uuid:{n}>" for n in range(count)],
        "url": [f"https://web.example/{n}" for n in range(count)],
        "date": ["2019-03-21T10:00:00Z"] * count,
        "token_count": list(range(count)),
    }
    pq.write_table(pa.table(columns), path, row_group_size=group_rows)
    return path


def write_arxiv(path: Path, count: int) -> Path:
    rows = (
        {
            "id": f"0704.{n:04}",
            "authors": "A. Author, B. Author",
            "title": f"On the\n  topic {n}",
            "categories": "cs.IR cs.CL",
            "abstract": f"  {words(n)}\nIt goes on.\n",
            "versions": [{"version": "v1", "created": "Mon, 2 Apr 2007 19:18:42 GMT"}],
            "update_date": "2008-11-26",
        }
        for n in range(count)
    )
    path.write_text(json_lines(*rows))
    return path


DUMP_HEAD = """<mediawiki xmlns="http://www.mediawiki.org/xml/export-0.11/" version="0.11">
  <siteinfo>
    <sitename>Wiki</sitename>
    <base>https://en.wiki.example/wiki/Main_Page</base>
    <namespaces>
      <namespace key="0" case="first-letter" />
      <namespace key="6" case="first-letter">Datei</namespace>
      <namespace key="14" case="first-letter">Category</namespace>
    </namespaces>
  </siteinfo>
"""


def dump_page(title: str, text: str, *, namespace: int = 0, redirect: str = "") -> str:
    target = f'<redirect title="{redirect}" />' if redirect else ""
    return f"""  <page>
    <title>{title}</title><ns>{namespace}</ns><id>1</id>{target}
    <revision>
      <id>5</id><timestamp>2024-05-17T01:02:03Z</timestamp>
      <contributor><username>Somebody</username><id>9</id></contributor>
      <text bytes="9" xml:space="preserve">{text}</text>
    </revision>
  </page>
"""


def dump_pages(start: int, end: int) -> str:
    """Articles with a redirect and a talk page between any two of them."""
    return "".join(
        dump_page(f"Article {n}", f"'''Article {n}''': {words(n)} [[Other {n}|that]]")
        + dump_page(f"Redirect {n}", "#REDIRECT [[x]]", redirect="x")
        + dump_page(f"Talk:Article {n}", "talk", namespace=1)
        for n in range(start, end)
    )


def write_dump(path: Path, count: int) -> Path:
    path.write_text(DUMP_HEAD + dump_pages(0, count) + "</mediawiki>\n")
    return path


def write_multistream_dump(path: Path, count: int) -> Path:
    streams = [dump_pages(n, min(n + 5, count)) for n in range(0, count, 5)]
    parts = [DUMP_HEAD, *streams, "</mediawiki>\n"]
    path.write_bytes(b"".join(bz2.compress(part.encode()) for part in parts))
    return path


class ZimPage(Item):
    def __init__(self, path: str, title: str, content: str, media_type: str) -> None:
        super().__init__()
        self._told = (path, title, media_type)
        self._content = content

    def get_path(self) -> str:
        return self._told[0]

    def get_title(self) -> str:
        return self._told[1]

    def get_mimetype(self) -> str:
        return self._told[2]

    def get_contentprovider(self) -> StringProvider:
        return StringProvider(self._content)

    def get_hints(self) -> dict[Hint, int]:
        return {Hint.FRONT_ARTICLE: 1}


def write_zim(path: Path, count: int, metadata: Mapping[str, str] | None = None) -> Path:
    with Creator(path).config_indexing(False, "eng").config_nbworkers(1) as creator:
        creator.set_mainpath("Page_0")
        for n in range(count):
            creator.add_item(ZimPage(f"Page_{n:03}", f"Page {n}", html_page(n), "text/html"))
        creator.add_item(ZimPage("style.css", "", "p {}", "text/css"))
        creator.add_redirection("Alias", "Alias", "Page_000", {Hint.FRONT_ARTICLE: 0})
        for name, value in {"Title": "Sample", "Language": "eng", **(metadata or {})}.items():
            creator.add_metadata(name, value)
    return path


def warc_record(kind: str, url: str, block: bytes, *, date: str = "2024-05-17T01:02:03Z") -> bytes:
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {url}\r\nWARC-Date: {date}\r\n"
        f"Content-Length: {len(block)}\r\n\r\n"
    )
    return head.encode() + block + b"\r\n\r\n"


def http_answer(
    body: bytes, *, status: str = "200 OK", content_type: str = "text/html", more: str = ""
) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\n{more}\r\n".encode() + body


def warc_records(count: int) -> list[bytes]:
    records = [warc_record("warcinfo", "", b"software: test\r\n")]
    for n in range(count):
        url = f"https://web.example/{n}"
        records += [
            warc_record("request", url, b"GET / HTTP/1.1\r\n\r\n"),
            warc_record("response", url, http_answer(html_page(n).encode())),
        ]
    return records


def write_warc(path: Path, count: int) -> Path:
    pack = gzip.compress if path.suffix == ".gz" else bytes
    path.write_bytes(b"".join(map(pack, warc_records(count))))
    return path


def write_folder(path: Path, count: int) -> Path:
    """Markdown, text, HTML and a file of JSON Lines, in folders."""
    for n in range(count):
        folder = path / f"part{n % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        if n % 3 == 0:
            (folder / f"p{n:03}.md").write_text(f"# Page {n}\n\n{words(n)}\n")
        elif n % 3 == 1:
            (folder / f"p{n:03}.html").write_text(html_page(n))
        else:
            (folder / f"p{n:03}.txt").write_text(words(n))
    write_json_lines(path / "part1" / "rows.jsonl", 5)
    return path


def write_crawl(path: Path, count: int) -> Path:
    with CrawlStore(path, "https://web.example/") as store:
        for n in range(count):
            url = f"https://web.example/{n}"
            page = Page(
                url=url,
                final_url=url,
                title=f"Page {n}",
                text=words(n),
                media_type="text/html",
                links=(Link(text="next", url=f"https://web.example/{n + 1}"),),
            )
            store.keep(url, page, [], published="2024-05-17")
    return path


WRITERS: Sequence[tuple[str, Callable[[Path, int], Path]]] = (
    ("a.jsonl", write_json_lines),
    ("a.csv", write_table),
    ("a.parquet", write_parquet),
    ("arxiv.json", write_arxiv),
    ("dump.xml", write_dump),
    ("dump.xml.bz2", write_multistream_dump),
    ("a.zim", write_zim),
    ("a.warc", write_warc),
    ("a.warc.gz", write_warc),
    ("pages", write_folder),
    ("site", write_crawl),
)
"""File name and writer of each kind of source."""
