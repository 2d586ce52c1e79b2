"""How fast each source of an index is read: documents and megabytes of text per CPU-second.

    python tests/bench/sources_speed.py PASSAGES.jsonl.gz [HTML_FOLDER]

The passages are written in every format into a temporary folder and read back in a process of
their own, whose peak memory is told. A folder of HTML pages is also put into a ZIM and a WARC file.
"""

import gzip
import json
import resource
import subprocess
import sys
import tempfile
import time
from html import escape
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from libzim.writer import Creator

from mcp_server.corpus.sources.opening import open_source
from tests.server.sources.samples import (
    DUMP_HEAD,
    PACKERS,
    ZimPage,
    dump_page,
    http_answer,
    warc_record,
)

PASSAGES_PER_PAGE = 12
"""Passages in one article of the dump, each a section with markup around it."""
MARKUP = (
    "<ref name=x>{{{{cite book |last=A |title=B |url=https://a.example/?b=c |pages=16–26}}}}</ref>"
    " See [[{0}|that]] of {{{{convert|10|km|mi}}}} and '''[[Other {0}]]'''.\n* one [[item|two]]\n"
)


def write_rows(rows: list[dict[str, str]], folder: Path) -> None:
    body = "".join(json.dumps(row) + "\n" for row in rows).encode()
    (folder / "rows.jsonl").write_bytes(body)
    for name, pack in PACKERS.items():
        (folder / f"rows.jsonl.{name}").write_bytes(pack(body))
    columns = {name: [row.get(name, "") for row in rows] for name in rows[0]}
    pq.write_table(pa.table(columns), folder / "rows.parquet", row_group_size=1_000)
    with (folder / "rows.csv").open("w") as file:
        file.write("_id,title,text\n")
        for row in rows:
            cells = (row[name].replace('"', '""') for name in ("_id", "title", "text"))
            file.write(",".join(f'"{cell}"' for cell in cells) + "\n")


def write_dump(rows: list[dict[str, str]], path: Path) -> None:
    pages = [DUMP_HEAD]
    for start in range(0, len(rows), PASSAGES_PER_PAGE):
        group = rows[start : start + PASSAGES_PER_PAGE]
        sections = "\n".join(
            f"== {row['title']} ==\n{row['text']}{MARKUP.format(row['title'])}" for row in group
        )
        box = f"{{{{Infobox person\n| name = {start}\n| spouse = [[A]]\n}}}}\n"
        pages.append(dump_page(f"Page {start}", escape(box + sections)))
    path.write_text("".join(pages) + "</mediawiki>")


def write_archives(html: Path, folder: Path) -> None:
    pages = sorted(html.rglob("*.html"))
    with (
        Creator(folder / "pages.zim").config_indexing(False, "eng") as creator,
        gzip.open(folder / "pages.warc.gz", "wb") as warc,
    ):
        creator.set_mainpath(pages[0].relative_to(html).as_posix())
        for page in pages:
            path, body = page.relative_to(html).as_posix(), page.read_text(errors="replace")
            creator.add_item(ZimPage(path, path, body, "text/html"))
            url = f"https://docs.example/{path}"
            warc.write(warc_record("response", url, http_answer(body.encode())))


def resident_mb() -> float:
    """What this process holds; `ru_maxrss` counts the parent that it was forked from."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def read(path: str) -> None:
    """Read one source and print a line of the table."""
    source = open_source(path)
    before = peak = resident_mb()
    started = time.process_time()
    count = chars = 0
    for item in source.read():
        count += 1
        chars += len(item.document.text)
        if count % 50 == 0:
            peak = max(peak, resident_mb())
    seconds = time.process_time() - started
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds += children.ru_utime + children.ru_stime
    print(
        f"{Path(path).name:16} {count:7,} documents {count / seconds:9,.0f}/s"
        f" {chars / seconds / 1e6:6.1f} MB/s {seconds / count * 1e6:8,.1f} µs each"
        f" {peak - before:6.1f} MB grown",
        flush=True,
    )


def main(passages: str, html: str = "") -> None:
    with gzip.open(passages, "rt") as file:
        rows = [json.loads(line) for line in file]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_rows(rows, folder)
        write_dump(rows, folder / "dump.xml")
        (folder / "dump.xml.bz2").write_bytes(PACKERS["bz2"]((folder / "dump.xml").read_bytes()))
        if html:
            write_archives(Path(html), folder)
        for path in [*sorted(folder.iterdir()), *([Path(html)] if html else [])]:
            subprocess.run([sys.executable, __file__, "--read", str(path)], check=True)


if __name__ == "__main__":
    if sys.argv[1] == "--read":
        read(sys.argv[2])
    else:
        main(*sys.argv[1:])
