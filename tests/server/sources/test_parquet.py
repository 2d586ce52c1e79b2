import datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mcp_server.corpus.sources.opening import open_source
from mcp_server.corpus.types import Document
from mcp_server.errors import CorpusError
from tests.server.sources.samples import words, write_parquet


def test_a_row_of_fineweb_keeps_its_url_and_date(tmp_path: Path) -> None:
    first = next(iter(open_source(write_parquet(tmp_path / "a", 2)).read()))
    assert first.document == Document(
        id="<urn:uuid:0>",
        url="https://web.example/0",
        title="",
        text=words(0),
        published="2019-03-21",
    )


def test_dates_and_numbers_of_parquet_are_understood(tmp_path: Path) -> None:
    path = tmp_path / "wiki.parquet"
    created = [datetime.datetime(2020, 1, 2, 3), None]
    table = {"Title": ["A", None], "id": [12, 13], "TEXT": ["x", "y"], "created": created}
    pq.write_table(pa.table(table), path)
    found = [item.document for item in open_source(path).read()]
    assert found == [
        Document(id="12", url="corpus://wiki/12", title="A", text="x", published="2020-01-02"),
        Document(id="13", url="corpus://wiki/13", title="", text="y"),
    ]


def test_rows_without_an_identity_are_known_by_their_number(tmp_path: Path) -> None:
    path = tmp_path / "news.parquet"
    pq.write_table(pa.table({"text": ["x", "y", "z"]}), path, row_group_size=2)
    assert [item.document.id for item in open_source(path).read()] == ["news-1", "news-2", "news-3"]


def test_a_file_without_text_is_told_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"question": ["x"], "answer": ["y"]}), path)
    with pytest.raises(CorpusError, match="no column with text") as caught:
        open_source(path)
    assert "question, answer" in caught.value.hint


def test_a_row_without_text_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"id": ["1", "2"], "text": ["x", None]}), path)
    with pytest.raises(CorpusError, match=r"a\.parquet: row 2: "):
        list(open_source(path).read())


@pytest.mark.parametrize("keep", [8, 300, -8])
def test_a_file_that_was_cut_short_is_an_error(tmp_path: Path, keep: int) -> None:
    path = write_parquet(tmp_path / "a.parquet", 50)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(CorpusError, match="cannot read"):
        list(open_source(path).read())


def test_damage_in_the_data_is_an_error(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "a.parquet", 500, group_rows=500)
    body = bytearray(path.read_bytes())
    body[10:4_000] = b"\xa5" * 3_990
    path.write_bytes(body)
    with pytest.raises(CorpusError, match="cannot read"):
        list(open_source(path).read())
