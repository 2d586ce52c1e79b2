"""What a path is, is told by its bytes."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from mcp_server.corpus.sources.opening import open_source
from mcp_server.errors import ConfigError, CorpusError
from tests.server.sources.samples import (
    PACKERS,
    WRITERS,
    write_json_lines,
    write_parquet,
    write_zim,
)


@pytest.mark.parametrize(
    ("name", "write"), [(n, w) for n, w in WRITERS if n not in ("pages", "site", "a.zim")]
)
def test_a_misleading_suffix_changes_nothing(
    name: str, write: Callable[[Path, int], Path], tmp_path: Path
) -> None:
    path = write(tmp_path / name, 3)
    renamed = path.rename(tmp_path / "data.bin")
    assert len(list(open_source(renamed).read())) == 3


def test_a_missing_source_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="does not exist"):
        open_source(tmp_path / "nothing")


@pytest.mark.parametrize(
    "body",
    [
        b"\x89PNG\r\n\x1a\n" + bytes(100),
        b"\x7fELF" + bytes(100),
        gzip.compress(bytes(range(256)) * 9, mtime=0),
        b"SQLite format 3\0" + bytes(100),
    ],
)
def test_what_cannot_be_read_is_told_what_can(tmp_path: Path, body: bytes) -> None:
    path = tmp_path / "thing"
    path.write_bytes(body)
    with pytest.raises(CorpusError, match="nothing that can be read") as caught:
        open_source(path)
    for kind in ("JSON Lines", "Parquet", "MediaWiki", "ZIM", "WARC", "PDF"):
        assert kind in caught.value.hint


def test_a_file_that_should_be_json_lines_is_not_taken_for_a_page_of_text(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("once upon a time\n")
    with pytest.raises(CorpusError, match=r"rows\.jsonl:1: not a JSON line"):
        list(open_source(path).read())


@pytest.mark.parametrize(
    ("name", "body", "title", "text"),
    [
        ("a.md", "# Head\n\nBody.", "Head", "Body."),
        ("notes", "Just words.", "notes", "Just words."),
        ("server.log", "Just words.", "server.log", "Just words."),
        ("a.html", "<title>T</title><p>Words in a page.", "T", "Words in a page."),
    ],
)
def test_a_single_page_is_a_source_of_one_document(
    tmp_path: Path, name: str, body: str, title: str, text: str
) -> None:
    path = tmp_path / name
    path.write_text(body)
    (item,) = open_source(path).read()
    assert (item.document.title, item.document.text) == (title, text)


def test_an_empty_file_has_no_documents(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.touch()
    assert list(open_source(path).read()) == []


@pytest.mark.parametrize("packing", PACKERS)
@pytest.mark.parametrize("cut", [3, 12, 200])
def test_a_packed_file_that_ends_too_early_is_an_error(
    tmp_path: Path, packing: str, cut: int
) -> None:
    body = write_json_lines(tmp_path / "plain", 800).read_bytes()
    packed = PACKERS[packing](body)
    source = tmp_path / "cut.jsonl"
    source.write_bytes(packed[:-cut])
    with pytest.raises(CorpusError, match="cannot read"):
        list(open_source(source).read())


@pytest.mark.parametrize("packing", PACKERS)
def test_other_bytes_after_packed_ones_are_an_error_and_zeros_are_not(
    tmp_path: Path, packing: str
) -> None:
    body = write_json_lines(tmp_path / "plain", 3).read_bytes()
    source = tmp_path / "a.jsonl"
    source.write_bytes(PACKERS[packing](body) + bytes(1_000))
    assert len(list(open_source(source).read())) == 3
    source.write_bytes(PACKERS[packing](body) + b"more words")
    with pytest.raises(CorpusError, match="something else after the packed data"):
        list(open_source(source).read())


@pytest.mark.parametrize("packing", PACKERS)
def test_damage_inside_packed_data_is_an_error(tmp_path: Path, packing: str) -> None:
    body = write_json_lines(tmp_path / "plain", 3_000).read_bytes()
    packed = bytearray(PACKERS[packing](body))
    packed[len(packed) // 2 : len(packed) // 2 + 30] = bytes(30)
    source = tmp_path / "a.jsonl"
    source.write_bytes(packed)
    with pytest.raises(CorpusError):
        list(open_source(source).read())


@pytest.mark.parametrize(
    ("write", "module"), [(write_parquet, "pyarrow.parquet"), (write_zim, "libzim.reader")]
)
def test_without_the_extra_the_error_says_how_to_get_it(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    write: Callable[[Path, int], Path],
    module: str,
) -> None:
    path = write(tmp_path / "a", 1)
    monkeypatch.setitem(__import__("sys").modules, module, None)
    with pytest.raises(ConfigError) as caught:
        open_source(path)
    assert "pip install 'seekling[corpus]'" in caught.value.hint
