import gzip
from pathlib import Path

import pytest

from mcp_server.corpus.sources.opening import open_source
from mcp_server.corpus.types import Document
from mcp_server.errors import CorpusError
from tests.server.sources.samples import (
    PACKERS,
    html_page,
    http_answer,
    warc_record,
    warc_records,
    write_warc,
)

PAGE = html_page(1).encode()


def documents(path: Path, *records: bytes) -> list[Document]:
    path.write_bytes(b"".join(records))
    return [item.document for item in open_source(path).read()]


def test_an_answer_becomes_a_page_under_its_url(tmp_path: Path) -> None:
    (found,) = documents(tmp_path / "a.warc", *warc_records(1))
    assert (found.id, found.url) == ("https://web.example/0", "https://web.example/0")
    assert found.title == "Page 0"
    assert "Text of the document 0" in found.text
    assert found.published == "2024-05-17"


def test_other_records_and_answers_are_left_out(tmp_path: Path) -> None:
    url = "https://web.example/"
    found = documents(
        tmp_path / "a.warc",
        warc_record("metadata", url, http_answer(PAGE)),
        warc_record("response", url + "404", http_answer(PAGE, status="404 Not Found")),
        warc_record("response", url + "png", http_answer(b"x", content_type="image/png")),
        warc_record("response", "dns:web.example", b"20240517\nweb.example. 1 IN A 192.0.2.1"),
        warc_record("response", url + "broken", b"\xff\xfe\x00"),
        warc_record("response", f"<{url}good>", http_answer(PAGE)),
    )
    assert [page.url for page in found] == [url + "good"]


def test_bodies_are_read_as_sent_and_as_decoded(tmp_path: Path) -> None:
    bodies = [
        (gzip.compress(PAGE, mtime=0), "Content-Encoding: gzip\r\n"),
        (PACKERS["zst"](PAGE), "Content-Encoding: zstd\r\n"),
        (b"%x\r\n%s\r\n0\r\n\r\n" % (len(PAGE), PAGE), "Transfer-Encoding: chunked\r\n"),
        (PAGE, "Transfer-Encoding: chunked\r\n"),
        (PAGE, "Content-Encoding: gzip\r\n"),
    ]
    records = [
        warc_record("response", f"https://a.example/{n}", http_answer(body, more=more))
        for n, (body, more) in enumerate(bodies)
    ]
    found = documents(tmp_path / "a.warc", *records)
    assert len(found) == len(bodies)
    for page in found:
        assert "Text of the document 1" in page.text


@pytest.mark.parametrize("name", ["a.warc", "a.warc.gz"])
@pytest.mark.parametrize("cut", [5, 40, 300])
def test_a_file_that_was_cut_short_is_an_error(tmp_path: Path, name: str, cut: int) -> None:
    path = write_warc(tmp_path / name, 3)
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(CorpusError, match="cannot read"):
        list(open_source(path).read())


@pytest.mark.parametrize(
    ("record", "complaint"),
    [
        (b"WARC/1.0\r\nWARC-Type: response\r\n\r\n", "without its length"),
        (b"WARC/1.0\r\nContent-Length: 3\r\n\r\nabcdef\r\n\r\n", "longer than it says"),
        (b"NOT A RECORD\r\n", "no record where one has to start"),
        (b"WARC/1.0\r\n" + b"x" * 100_000, "cannot read"),
        (b"WARC/1.0\r\n" + b"a: b\r\n" * 2_000, "too many headers"),
    ],
)
def test_what_is_no_record_is_an_error(tmp_path: Path, record: bytes, complaint: str) -> None:
    with pytest.raises(CorpusError, match=complaint):
        documents(tmp_path / "a.warc", warc_records(0)[0], record)
