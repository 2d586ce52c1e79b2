import gzip
from pathlib import Path

import pytest

from mcp_server.corpus.sources import lines
from mcp_server.corpus.sources.opening import open_source
from mcp_server.corpus.types import Document
from mcp_server.errors import CorpusError
from mcp_server.visit.types import Link
from tests.server.sources.samples import PACKERS, json_lines, write_arxiv


def documents(path: Path, base_url: str = "") -> list[Document]:
    return [item.document for item in open_source(path, base_url=base_url).read()]


def only_document(folder: Path, row: object) -> Document:
    source = folder / "rows.jsonl"
    source.write_text(json_lines(row))
    (found,) = documents(source)
    return found


def test_a_json_line_with_an_id_gets_a_corpus_url(tmp_path: Path) -> None:
    source = tmp_path / "facts.jsonl"
    source.write_text(json_lines({"_id": "a 1", "title": "One", "text": "First."}))
    assert documents(source) == [
        Document(id="a 1", url="corpus://facts/a%201", title="One", text="First.")
    ]


def test_a_base_url_takes_the_place_of_the_corpus(tmp_path: Path) -> None:
    source = tmp_path / "facts.jsonl"
    source.write_text(json_lines({"_id": "a", "text": "x"}))
    (found,) = documents(source, "https://docs.example/v1")
    assert found.url == "https://docs.example/v1/a"


def test_a_json_line_with_a_url_keeps_it_and_is_known_by_it(tmp_path: Path) -> None:
    found = only_document(tmp_path, {"url": "https://a.example/x", "title": "X", "text": "Text."})
    assert (found.id, found.url) == ("https://a.example/x", "https://a.example/x")


@pytest.mark.parametrize("name", ["text", "contents", "content", "body"])
def test_text_goes_by_several_names(tmp_path: Path, name: str) -> None:
    assert only_document(tmp_path, {"id": 7, name: "Some words."}).text == "Some words."


@pytest.mark.parametrize("name", ["date", "published", "created"])
def test_dates_go_by_several_names_and_lose_their_time(tmp_path: Path, name: str) -> None:
    row = {"id": 7, "text": "x", name: "2024-05-17T10:11:12Z"}
    assert only_document(tmp_path, row).published == "2024-05-17"


def test_what_is_no_date_is_none(tmp_path: Path) -> None:
    row = {"id": 7, "text": "x", "date": "next Tuesday"}
    assert only_document(tmp_path, row).published == ""


def test_contents_of_search_r1_start_with_their_title(tmp_path: Path) -> None:
    found = only_document(tmp_path, {"id": "0", "contents": '"Aaron Burr"\nAaron was "one" man.'})
    assert (found.title, found.text) == ("Aaron Burr", 'Aaron was "one" man.')


def test_links_of_a_row_are_kept_and_other_things_in_their_place_ignored(tmp_path: Path) -> None:
    links = [["up", "https://a.example/"], ["no url", ""], "x", [1, 2]]
    found = only_document(tmp_path, {"id": 1, "text": "x", "links": links})
    assert found.links == (Link(text="up", url="https://a.example/"),)


@pytest.mark.parametrize("packing", PACKERS)
def test_packed_json_lines_are_read_whatever_their_name(tmp_path: Path, packing: str) -> None:
    source = tmp_path / "dump.data"
    row = json_lines({"_id": 7, "title": "T", "text": "x"}).encode()
    source.write_bytes(PACKERS[packing](row))
    assert [found.id for found in documents(source)] == ["7"]


def test_the_name_of_a_packed_file_is_that_of_what_is_in_it(tmp_path: Path) -> None:
    source = tmp_path / "dump.jsonl.gz"
    source.write_bytes(gzip.compress(json_lines({"_id": 7, "text": "x"}).encode()))
    assert documents(source)[0].url == "corpus://dump/7"


def test_blank_lines_and_a_byte_order_mark_are_no_documents(tmp_path: Path) -> None:
    source = tmp_path / "a.jsonl"
    source.write_text("\ufeff\n" + json_lines({"_id": "a", "text": "x"}) + "  \n")
    assert [found.id for found in documents(source)] == ["a"]


def test_the_last_line_needs_no_end(tmp_path: Path) -> None:
    source = tmp_path / "a.jsonl"
    source.write_text(json_lines({"_id": "a", "text": "x"}).strip())
    assert [found.id for found in documents(source)] == ["a"]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{not json", "not a JSON line"),
        ('{"_id": "a", "text": "x"} {}', "not a JSON line"),
        ("[1, 2]", "a JSON object is needed"),
        ('{"_id": "a"}', '"text" is missing'),
        ('{"text": "x"}', 'neither "_id" nor "url"'),
        ('{"_id": {}, "text": "x"}', 'neither "_id" nor "url"'),
        ('{"_id": "a", "text": 5}', '"text" is missing or is not a string'),
        ("[" * 100_000, "not a JSON line"),
    ],
)
def test_a_bad_line_is_named_by_file_and_number(tmp_path: Path, line: str, complaint: str) -> None:
    source = tmp_path / "bad.jsonl"
    source.write_text(json_lines({"_id": "ok", "text": "x"}) + line + "\n")
    with pytest.raises(CorpusError) as caught:
        documents(source)
    assert f"{source}:2" in str(caught.value)
    assert complaint in str(caught.value)


def test_a_bad_line_is_named_by_its_number_after_going_on_too(tmp_path: Path) -> None:
    source = tmp_path / "bad.jsonl"
    rows = json_lines({"_id": "a", "text": "x"}, {"_id": "b", "text": "x"})
    source.write_text(rows + "{no\n")
    reading = open_source(source).read()
    next(reading)
    cursor = next(reading).position.cursor
    with pytest.raises(CorpusError, match=r"bad\.jsonl:3: "):
        list(open_source(source).read(cursor))


@pytest.mark.parametrize("cursor", ["x", "-1+0:0", "5:5", "é+1:2"])
def test_a_cursor_of_something_else_is_an_error(tmp_path: Path, cursor: str) -> None:
    source = tmp_path / "a.jsonl"
    source.write_text(json_lines({"_id": "a", "text": "x"}))
    with pytest.raises(CorpusError, match="is no place in this source"):
        list(open_source(source).read(cursor))


def test_a_line_without_end_is_an_error_and_not_a_gigabyte(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 1_000_000)
    source = tmp_path / "long.jsonl.gz"
    good = json_lines({"_id": "ok", "text": "x"})
    source.write_bytes(gzip.compress((good + '{"text": "' + "a" * 2_000_000).encode()))
    reading = open_source(source).read()
    assert next(reading).document.id == "ok"
    with pytest.raises(CorpusError, match=r"long\.jsonl\.gz:2: the line is longer"):
        next(reading)


def test_text_is_cleaned_of_what_no_terminal_or_wire_may_see(tmp_path: Path) -> None:
    source = tmp_path / "a.jsonl"
    source.write_text('{"_id": "a", "title": "T\\u001b]0;x", "text": "a\\ud800b\\u202ec"}\n')
    (found,) = documents(source)
    assert (found.title, found.text) == ("T]0;x", "abc")


def test_a_paper_of_arxiv_gets_its_page_and_its_first_date(tmp_path: Path) -> None:
    (found,) = documents(write_arxiv(tmp_path / "arxiv-metadata.json", 1))
    assert found == Document(
        id="0704.0000",
        url="https://arxiv.org/abs/0704.0000",
        title="On the topic 0",
        text="Text of the document 0, which is about the topic 0. It goes on.\n\n"
        "Authors: A. Author, B. Author\n\nCategories: cs.IR cs.CL",
        published="2007-04-02",
    )


def test_an_old_paper_of_arxiv_keeps_the_slash_of_its_id(tmp_path: Path) -> None:
    row = {"id": "hep-th/9901001", "abstract": "A.", "categories": "hep-th", "title": "T"}
    found = only_document(tmp_path, row | {"update_date": "2009-10-31"})
    assert found.url == "https://arxiv.org/abs/hep-th/9901001"
    assert found.published == "2009-10-31"
