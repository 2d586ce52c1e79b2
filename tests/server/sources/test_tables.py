import csv
from pathlib import Path

import pytest

from mcp_server.corpus.sources import tables
from mcp_server.corpus.sources.opening import open_source
from mcp_server.corpus.types import Document
from mcp_server.errors import CorpusError


def documents(path: Path) -> list[Document]:
    return [item.document for item in open_source(path).read()]


@pytest.mark.parametrize("delimiter", [",", "\t", ";", "|"])
def test_columns_are_found_by_name_whatever_separates_them(tmp_path: Path, delimiter: str) -> None:
    path = tmp_path / "rows"
    rows = [
        ("Title", "score", "ID", "Body", "date"),
        ("One, two", "1", "a", 'He said "no";\nthen | left\there.', "2024-05-17 10:00"),
    ]
    with path.open("w", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    assert documents(path) == [
        Document(
            id="a",
            url="corpus://rows/a",
            title="One, two",
            text='He said "no";\nthen | left\there.',
            published="2024-05-17",
        )
    ]


def test_rows_without_an_identity_are_known_by_their_number(tmp_path: Path) -> None:
    path = tmp_path / "news.csv"
    path.write_text("title,text\nA,x\n\nB,y\n")
    assert [(row.id, row.title) for row in documents(path)] == [("news-1", "A"), ("news-3", "B")]


def test_a_short_row_and_an_empty_cell_have_empty_text(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,title,contents\n1,One\n2,Two,\n3,Three,x\n")
    assert [(row.id, row.text) for row in documents(path)] == [("1", ""), ("2", ""), ("3", "x")]


def test_a_table_in_another_charset_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(
        "id,text\n1,Größe und Maß der Straße, schön wäre es für Käse\n".encode("cp1252")
    )
    assert documents(path)[0].text == "Größe und Maß der Straße"


def test_a_quote_that_never_closes_is_an_error_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "MAX_LINE_BYTES", 10_000)
    path = tmp_path / "a.csv"
    path.write_text('id,text\n1,fine\n2,"open\n' + "and on\n" * 5_000)
    with pytest.raises(CorpusError, match=r"a\.csv:\d+: field larger"):
        documents(path)


def test_a_row_without_its_id_is_an_error_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("id,text\n1,x\n,y\n")
    with pytest.raises(CorpusError, match=r"a\.csv:3: neither"):
        documents(path)
