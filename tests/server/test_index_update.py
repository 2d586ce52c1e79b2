import multiprocessing
import threading
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from mcp_server.corpus.build import build_index
from mcp_server.corpus.index import LocalIndex
from mcp_server.corpus.storage.folder import writing
from mcp_server.corpus.storage.manifest import read_manifest
from mcp_server.corpus.types import Document
from mcp_server.corpus.update import add_documents, delete_documents
from mcp_server.corpus.verify import verify_index
from mcp_server.errors import CorpusError
from mcp_server.search.types import SearchQuery
from tests.support.document_list import Clock, DocumentList


def document(identity: str, text: str) -> Document:
    return Document(
        id=identity, url=f"https://x.example/{identity}", title=identity.upper(), text=text
    )


def ids(index: LocalIndex, text: str) -> list[str]:
    return [hit.document_id for hit in index.search_plain(SearchQuery(text=text))]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    documents = [document("a", "apples"), document("b", "bread " * 600), document("c", "cheese")]
    build_index([DocumentList(documents, name="food")], tmp_path / "index")
    return tmp_path / "index"


def test_added_documents_are_found_and_the_same_id_replaces(directory: Path) -> None:
    more = DocumentList([document("b", "butter"), document("d", "dates")], name="more")
    report = add_documents([more], directory)
    assert (report.added, report.replaced) == (1, 1)
    index = LocalIndex(directory)
    assert ids(index, "bread") == []
    assert ids(index, "butter") == ["b"]
    assert ids(index, "dates") == ["d"]
    assert index.manifest.documents == index.manifest.passages == 4
    assert [source.name for source in index.manifest.sources] == ["food", "more"]
    assert verify_index(directory).documents == 4


def test_the_same_document_added_twice_changes_nothing_more(directory: Path) -> None:
    first = add_documents([DocumentList([document("d", "dates")])], directory)
    second = add_documents([DocumentList([document("d", "dates")])], directory)
    assert (second.added, second.replaced) == (0, 1)
    assert second.manifest.text_bytes == first.manifest.text_bytes


def test_deleted_documents_are_gone_with_all_their_passages(directory: Path) -> None:
    report = delete_documents(["b", "nobody", "b"], directory)
    assert (report.deleted, report.missing) == (1, 1)
    index = LocalIndex(directory)
    assert ids(index, "bread") == []
    assert index.page_at("https://x.example/b") is None
    assert (index.manifest.documents, index.manifest.passages) == (2, 2)
    assert index.manifest.text_bytes == len("Aapples" + "Ccheese")


def test_a_failed_update_leaves_the_index_as_it_was(directory: Path) -> None:
    before = read_manifest(directory)
    bad = [document("a", "changed"), document("", "no id")]
    with pytest.raises(CorpusError, match="has no id"):
        add_documents([DocumentList(bad)], directory)
    with pytest.raises(CorpusError, match="no documents"):
        add_documents([DocumentList([])], directory)
    assert read_manifest(directory) == before
    assert ids(LocalIndex(directory), "apples") == ["a"]
    assert verify_index(directory).documents == 3


def test_an_update_needs_an_index_and_the_only_writer(directory: Path, tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no index at"):
        delete_documents(["a"], tmp_path / "none")
    assert not (tmp_path / "none").exists()
    with writing(directory), pytest.raises(CorpusError, match="another process is building"):
        delete_documents(["a"], directory)


def test_an_open_index_sees_a_change_after_a_second_and_not_before(directory: Path) -> None:
    clock = Clock()
    index = LocalIndex(directory, clock=clock)
    add_documents([DocumentList([document("d", "dates")])], directory)
    clock.now = 0.9
    assert ids(index, "dates") == []
    clock.now = 1.1
    assert ids(index, "dates") == ["d"]
    assert index.manifest.documents == 4


def test_an_open_index_goes_on_to_a_new_generation(directory: Path) -> None:
    clock = Clock()
    index = LocalIndex(directory, clock=clock)
    snapshot = index.snapshot()
    build_index([DocumentList([document("z", "zucchini")])], directory)
    assert ids(index, "apples") == ["a"], "the old files are gone, but they are open"
    clock.now = 2.0
    assert ids(index, "zucchini") == ["z"]
    assert snapshot.searcher.num_docs > 1, "who began with the old state ends with it"


def test_an_index_that_is_removed_goes_on_answering_where_it_is_open(directory: Path) -> None:
    clock = Clock()
    index = LocalIndex(directory, clock=clock)
    (directory / "manifest.json").unlink()
    clock.now = 2.0
    assert ids(index, "apples") == ["a"]


def read_while_it_changes(directory: Path, started: Connection, stop: Connection) -> None:
    """Ask again and again: each answer must be one of the whole states."""
    clock = Clock()
    index = LocalIndex(directory, clock=clock)
    seen: set[tuple[str, ...]] = set()
    started.send(True)
    while not stop.poll():
        clock.now += 2.0
        found = index.search_plain(SearchQuery(text="round", limit=20))
        seen.add(tuple(sorted(hit.preview for hit in found)))
        page = index.page_at("https://x.example/0")
        assert page is not None
        assert page.text.count("round") == page.text.count(page.text.split()[1])
    started.send(seen)


def test_readers_see_whole_states_while_a_writer_changes_the_index(tmp_path: Path) -> None:
    def state(number: int) -> list[Document]:
        text = f"round r{number} " * 400  # several passages that must change together
        return [document("0", text), *(document(str(n), f"round r{number}") for n in range(1, 6))]

    directory = tmp_path / "index"
    build_index([DocumentList(state(0))], directory)
    context = multiprocessing.get_context("fork")
    readers: list[tuple[Connection, Connection]] = []
    processes: list[BaseProcess] = []
    for _ in range(2):
        started, started_there = context.Pipe()
        stop, stop_there = context.Pipe()
        process = context.Process(
            target=read_while_it_changes, args=(directory, started_there, stop_there)
        )
        process.start()
        processes.append(process)
        readers.append((started, stop))
    for started, _ in readers:
        assert started.recv()
    for number in range(1, 9):
        if number == 5:
            build_index([DocumentList(state(number))], directory)
        else:
            add_documents([DocumentList(state(number))], directory)
    for process, (started, stop) in zip(processes, readers, strict=True):
        stop.send(True)
        seen = started.recv()
        process.join(10)
        assert process.exitcode == 0
        assert len(seen) > 1, "the reader saw changes"
        for previews in seen:
            assert len(previews) == 6
            rounds = {preview.split()[1] for preview in previews}
            assert len(rounds) == 1, f"states are mixed: {previews}"
    assert verify_index(directory).documents == 6


def test_threads_share_one_open_index(directory: Path) -> None:
    clock = Clock()
    index = LocalIndex(directory, clock=clock)
    failures: list[object] = []

    def ask() -> None:
        for _ in range(30):
            clock.now += 1.5
            if ids(index, "apples") != ["a"]:
                failures.append("apples are missing")

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(3):
        add_documents([DocumentList([document("d", f"dates {number}")])], directory)
    for thread in threads:
        thread.join()
    assert not failures
