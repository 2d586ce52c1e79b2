"""Reading a local index from its first to its last passage."""

import json
from collections import defaultdict
from pathlib import Path

import pytest

from mcp_server.corpus.build import build_index
from mcp_server.corpus.cluster.push import PushSource
from mcp_server.corpus.cluster.push_source import open_push_source
from mcp_server.corpus.sources.opening import open_source
from mcp_server.corpus.update import add_documents, delete_documents
from mcp_server.errors import CorpusError

Texts = dict[str, str]


def jsonl(file: Path, texts: Texts) -> Path:
    rows = [{"_id": id_, "title": f"Title {id_}", "text": text} for id_, text in texts.items()]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def book(word: str) -> str:
    """Long enough for several passages."""
    return "\n\n".join(f"Paragraph {n} {word}" + " and so on" * 40 for n in range(8))


def texts_of(source: PushSource) -> Texts:
    parts: dict[str, dict[int, str]] = defaultdict(dict)
    for _, passage in source.read(-1):
        assert passage.part not in parts[passage.document_id]
        parts[passage.document_id][passage.part] = passage.text
    return {id_: "".join(text for _, text in sorted(found.items())) for id_, found in parts.items()}


@pytest.fixture
def index(tmp_path: Path) -> Path:
    texts = {f"d{n}": f"text {n}" for n in range(30)} | {"book": book("one")}
    build_index([open_source(jsonl(tmp_path / "a.jsonl", texts))], tmp_path / "index")
    return tmp_path / "index"


def test_all_passages_are_read_and_join_to_the_documents(index: Path) -> None:
    source = open_push_source(index)
    texts = texts_of(source)
    assert texts["book"] == book("one")
    assert len(texts) == 31
    assert source.passages == len(list(source.read(-1))) > 31
    assert source.language == "en"


def test_deleted_and_replaced_documents_are_not_read_any_more(index: Path, tmp_path: Path) -> None:
    before = open_push_source(index)
    changed = {"d3": "new text", "book": book("two"), "d99": "added"}
    add_documents([open_source(jsonl(tmp_path / "b.jsonl", changed))], index)
    delete_documents(["d4", "d5"], index)
    after = open_push_source(index)
    texts = texts_of(after)
    assert texts["book"] == book("two")
    assert (texts["d3"], texts["d99"]) == ("new text", "added")
    assert set(texts) == {f"d{n}" for n in range(30)} - {"d4", "d5"} | {"book", "d99"}
    assert after.passages == len(list(after.read(-1)))
    assert after.snapshot != before.snapshot
    assert after.order != before.order
    assert len(texts_of(before)) == 31  # what is open goes on to be read as it was


def test_reading_goes_on_after_any_position(index: Path, tmp_path: Path) -> None:
    add_documents([open_source(jsonl(tmp_path / "b.jsonl", {"d3": "new", "x": "y"}))], index)
    source = open_push_source(index)
    whole = list(source.read(-1))
    positions = [position for position, _ in whole]
    assert positions == sorted(set(positions))
    for cut in (0, 1, len(whole) // 2, len(whole) - 1):
        assert list(source.read(positions[cut])) == whole[cut + 1 :]


def test_the_same_state_is_told_the_same_each_time(index: Path) -> None:
    first, second = open_push_source(index), open_push_source(index)
    assert (first.snapshot, first.order) == (second.snapshot, second.order)
    assert first.snapshot.replace("-", "").isalnum()
    assert first.snapshot.islower()


def test_an_index_that_is_missing_or_damaged_is_told(index: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no index"):
        open_push_source(tmp_path / "none")
    (meta,) = index.glob("*/meta.json")
    meta.write_text("{}")
    with pytest.raises(CorpusError, match="damaged"):
        open_push_source(index)
