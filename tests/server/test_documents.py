import gzip
import json
from pathlib import Path

import pytest

from mcp_server.corpus.documents import Document, read_source, source_bytes
from mcp_server.errors import CorpusError


def documents(path: Path, base_url: str = "") -> list[Document]:
    return list(read_source(path, base_url=base_url, read=lambda _: None))


def lines(*rows: object) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def test_a_json_line_with_an_id_gets_a_corpus_url(tmp_path: Path) -> None:
    source = tmp_path / "facts.jsonl"
    source.write_text(lines({"_id": "a 1", "title": "One", "text": "First."}))
    assert documents(source) == [
        Document(id="a 1", url="corpus://facts/a%201", title="One", text="First.")
    ]


def test_a_json_line_with_a_url_keeps_it_and_is_known_by_it(tmp_path: Path) -> None:
    source = tmp_path / "pages.jsonl"
    source.write_text(lines({"url": "https://a.example/x", "title": "X", "text": "Text."}))
    (found,) = documents(source)
    assert (found.id, found.url) == ("https://a.example/x", "https://a.example/x")


def test_gzipped_json_lines_are_read_whatever_their_name(tmp_path: Path) -> None:
    source = tmp_path / "dump.jsonl.gz"
    source.write_bytes(gzip.compress(lines({"_id": 7, "title": "T", "text": "x"}).encode()))
    (found,) = documents(source)
    assert (found.id, found.url) == ("7", "corpus://dump/7")


def test_blank_lines_are_no_documents(tmp_path: Path) -> None:
    source = tmp_path / "a.jsonl"
    source.write_text("\n" + lines({"_id": "a", "text": "x"}) + "  \n")
    assert [found.id for found in documents(source)] == ["a"]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{not json", "not a JSON line"),
        ("[1, 2]", "a JSON object is needed"),
        ('{"_id": "a"}', '"text" is missing'),
        ('{"text": "x"}', 'neither "_id" nor "url"'),
        ('{"_id": "a", "text": 5}', '"text" is missing or is not a string'),
        ("[" * 100_000, "not a JSON line"),
    ],
)
def test_a_bad_line_is_named_by_file_and_number(tmp_path: Path, line: str, complaint: str) -> None:
    source = tmp_path / "bad.jsonl"
    source.write_text(lines({"_id": "ok", "text": "x"}) + line + "\n")
    with pytest.raises(CorpusError) as caught:
        documents(source)
    assert f"{source}:2" in str(caught.value)
    assert complaint in str(caught.value)


def test_a_gzip_file_that_ends_too_early_is_an_error(tmp_path: Path) -> None:
    source = tmp_path / "cut.jsonl.gz"
    body = gzip.compress(lines(*({"_id": n, "text": "x" * 50} for n in range(500))).encode())
    source.write_bytes(body[: len(body) // 2])
    with pytest.raises(CorpusError, match="cannot read"):
        documents(source)


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


def test_an_empty_folder_is_an_error_that_says_what_is_read(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no pages") as caught:
        documents(tmp_path)
    assert ".md" in caught.value.hint


def test_a_missing_source_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="does not exist"):
        documents(tmp_path / "nothing")
    with pytest.raises(CorpusError, match="does not exist"):
        source_bytes(tmp_path / "nothing")


def test_text_is_cleaned_of_what_no_terminal_or_wire_may_see(tmp_path: Path) -> None:
    source = tmp_path / "a.jsonl"
    source.write_text('{"_id": "a", "title": "T\\u001b]0;x", "text": "a\\ud800b\\u202ec"}\n')
    (found,) = documents(source)
    assert (found.title, found.text) == ("T]0;x", "abc")
