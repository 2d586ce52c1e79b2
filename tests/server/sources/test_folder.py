import gzip
import logging
from pathlib import Path

import pytest

from mcp_server.corpus.sources.folder import FolderSource
from mcp_server.corpus.sources.opening import open_source
from mcp_server.corpus.types import Document
from mcp_server.errors import CorpusError
from tests.server.sources.samples import html_page, json_lines, write_json_lines, write_parquet


def documents(path: Path, base_url: str = "") -> list[Document]:
    return [item.document for item in open_source(path, base_url=base_url).read()]


def test_a_folder_is_read_in_order_with_urls_from_its_paths(tmp_path: Path) -> None:
    site = tmp_path / "site"
    (site / "b").mkdir(parents=True)
    (site / ".git").mkdir()
    (site / ".git" / "x.md").write_text("hidden")
    (site / "a.txt").write_text("Plain text.")
    (site / "b" / "c.md").write_text("# See\n\nGo [up](../a.txt) or [out](https://w.example/q).\n")
    (site / "d.html").write_text(
        "<html><title>D</title><body><main><p>Body text of D.</p></main></body></html>"
    )
    (site / "picture.png").write_bytes(b"\x89PNG")
    (site / "style.css").write_text("p { color: red }")
    (site / "search.js").write_text("var index = {};")
    found = documents(site, "https://docs.example/v1")
    assert [(page.url, page.title) for page in found] == [
        ("https://docs.example/v1/a", "a"),
        ("https://docs.example/v1/b/c", "See"),
        ("https://docs.example/v1/d", "D"),
    ]
    assert found[1].text == "Go up or out."
    assert [link.url for link in found[1].links] == [
        "https://docs.example/v1/a",
        "https://w.example/q",
    ]
    assert "Body text of D." in found[2].text


def test_a_link_to_another_page_of_the_folder_is_that_pages_url(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        "<title>A</title><main><p>See <a href='sub/b.html'>the other page</a> for more.</main>"
    )
    (found,) = documents(tmp_path, "https://docs.example/")
    assert [link.url for link in found.links] == ["https://docs.example/sub/b"]


def test_pages_of_one_name_stay_apart(tmp_path: Path) -> None:
    for suffix in ("html", "md", "txt"):
        (tmp_path / f"a.{suffix}").write_text("Words that say something.")
    assert [page.id for page in documents(tmp_path)] == ["a", "a.md", "a.txt"]


def test_an_empty_folder_is_an_error_that_says_what_is_read(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no pages") as caught:
        documents(tmp_path)
    assert ".md" in caught.value.hint


def test_packed_pages_and_files_of_rows_are_read_where_they_lie(tmp_path: Path) -> None:
    (tmp_path / "a.html.gz").write_bytes(gzip.compress(html_page(1).encode()))
    write_json_lines(tmp_path / "b.jsonl", 2)
    write_parquet(tmp_path / "c.parquet", 2)
    assert [page.id for page in documents(tmp_path)] == [
        "a",
        "d0",
        "d1",
        "<urn:uuid:0>",
        "<urn:uuid:1>",
    ]


@pytest.mark.shared_data
def test_a_pdf_is_read_whatever_its_name(tmp_path: Path, shared_data: Path) -> None:
    pdf = next(iter(sorted((shared_data / "nasty" / "pdf").glob("*.pdf"))))
    (tmp_path / "report.data").write_bytes(pdf.read_bytes())
    source = open_source(tmp_path)
    assert isinstance(source, FolderSource)
    found = list(source.read())
    assert len(found) + source.skipped == 1


def test_pages_that_cannot_be_read_are_counted_and_the_others_are_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.pdf").write_bytes(b"%PDF-1.7\nnot a document\n%%EOF")
    (tmp_path / "b.gz").write_bytes(gzip.compress(b"words " * 99)[:-20])
    (tmp_path / "c.html").write_text("<title>Empty</title><body></body>")
    (tmp_path / "d.txt").write_text("Words.")
    source = open_source(tmp_path)
    assert isinstance(source, FolderSource)
    with caplog.at_level(logging.WARNING):
        assert [item.document.id for item in source.read()] == ["d"]
    assert source.skipped == 3
    assert "a.pdf" in caplog.text
    assert "b.gz" in caplog.text


def test_a_bad_row_in_a_folder_is_an_error_and_not_a_skipped_page(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_text(json_lines({"_id": "a", "text": "x"}) + "{no\n")
    with pytest.raises(CorpusError, match=r"rows\.jsonl:2: "):
        documents(tmp_path)


def test_links_out_of_the_folder_and_to_folders_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "a.txt").write_text("Words.")
    (inside / "b.txt").symlink_to(inside / "a.txt")
    (inside / "out.txt").symlink_to(tmp_path / "secret.txt")
    (inside / "round").symlink_to(tmp_path)
    assert [page.id for page in documents(inside)] == ["a", "b"]


def test_a_name_that_is_no_text_is_read_and_read_on_after(tmp_path: Path) -> None:
    for name in (b"a\xff.txt", b"b\n|.txt", b"c.txt"):
        (tmp_path / name.decode("utf-8", "surrogateescape")).write_text("Words.")
    items = list(open_source(tmp_path).read())
    assert len(items) == 3
    for stop, item in enumerate(items):
        item.position.cursor.encode("ascii")
        item.document.url.encode("ascii")
        assert list(open_source(tmp_path).read(item.position.cursor)) == items[stop + 1 :]
