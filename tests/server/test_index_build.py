import dataclasses
import multiprocessing
import shutil
import signal
import subprocess
import sys
import textwrap
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from mcp_server.corpus.build import build_index
from mcp_server.corpus.embedded import build_embedded_index
from mcp_server.corpus.index import LocalIndex
from mcp_server.corpus.storage.folder import writing
from mcp_server.corpus.storage.manifest import read_manifest
from mcp_server.corpus.storage.writer import IndexWriter
from mcp_server.corpus.types import Document
from mcp_server.corpus.verify import verify_index
from mcp_server.errors import ConfigError, CorpusError
from mcp_server.search.types import SearchQuery
from tests.support.document_list import Clock, DocumentList

ROOT = Path(__file__).parents[2]


def numbered(count: int, *, repeat_every: int = 0) -> list[Document]:
    """Documents in which each number is a word; every nth id is that of a document before it."""
    return [
        Document(
            id=f"d{number - 1 if repeat_every and number % repeat_every == 1 else number}",
            url=f"https://numbers.example/{number}",
            title=f"Number {number}",
            text=f"alpha n{number} " + f"This is about {number}. " * (number % 97),
        )
        for number in range(count)
    ]


def content(directory: Path, queries: int = 40) -> list[object]:
    """What can be seen of an index: its counts, and for some queries the best hit and its page."""
    index = LocalIndex(directory)
    manifest = index.manifest
    seen: list[object] = [manifest.documents, manifest.passages, manifest.text_bytes]
    for number in range(queries):
        hits = index.search_plain(SearchQuery(text=f"n{number * 7}", limit=1))
        seen.append([(hit.url, hit.title, hit.preview) for hit in hits])
        page = index.page_at(f"https://numbers.example/{number * 7}")
        seen.append(page and page.text)
    return seen


BUILD_AND_DIE = textwrap.dedent(
    """
    import os, signal, sys
    from pathlib import Path
    from mcp_server.corpus.build import build_index
    from tests.server.test_index_build import two_sources
    from tests.support.document_list import Clock

    directory, die_at = Path(sys.argv[1]), int(sys.argv[2])
    clock = Clock()
    tick = clock.tick_each(50)

    def tick_or_die(number):
        tick(number)
        if number == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    build_index(two_sources(tick_or_die), directory, clock=clock)
    """
)


def build_killed_at(directory: Path, number: int) -> None:
    died = subprocess.run(
        [sys.executable, "-c", BUILD_AND_DIE, str(directory), str(number)], cwd=ROOT
    )
    assert died.returncode == -signal.SIGKILL


def two_sources(before_each: Callable[[int], None] = lambda _: None) -> list[DocumentList]:
    documents = numbered(600, repeat_every=50)
    return [
        DocumentList(documents[:300], name="first"),
        DocumentList(documents[300:], name="second", before_each=before_each),
    ]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a build that was killed in its second source."""
    folder = tmp_path_factory.mktemp("killed") / "index"
    build_killed_at(folder, 120)
    return folder


@pytest.fixture
def unfinished(killed: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(killed, tmp_path / "unfinished"))


def test_a_build_that_was_killed_goes_on_and_gives_the_same_index(
    unfinished: Path, tmp_path: Path
) -> None:
    whole = build_index(two_sources(), tmp_path / "whole")
    assert whole.duplicates == 12
    build_killed_at(unfinished, 290)  # killed a second time
    notes: list[str] = []
    report = build_index(two_sources(), unfinished, note=notes.append)
    assert report.resumed_documents == 551, "the last commit came after these"
    assert notes == [
        f"going on with an unfinished build: {report.resumed_documents:,} documents are in"
    ]
    assert (report.duplicates, report.manifest.sources) == (
        whole.duplicates,
        whole.manifest.sources,
    )
    assert content(unfinished) == content(tmp_path / "whole")
    assert verify_index(unfinished).documents == whole.manifest.documents
    assert len(list(unfinished.iterdir())) == 2, "nothing unfinished is left"


def test_an_unfinished_build_of_other_sources_is_discarded_and_said(unfinished: Path) -> None:
    target = unfinished
    notes: list[str] = []
    report = build_index(
        [DocumentList(numbered(5), fingerprint="changed")], target, note=notes.append
    )
    assert report.resumed_documents == 0
    assert notes == ["an unfinished build of other sources or options was discarded"]
    assert [path.name for path in target.glob("gen-*")] == [report.manifest.generation]


def test_an_unfinished_build_with_other_options_is_not_gone_on_with(unfinished: Path) -> None:
    report = build_index(two_sources(), unfinished, language="de")
    assert report.resumed_documents == 0
    assert report.manifest.documents == 588


def test_a_stopped_build_keeps_what_was_read_and_says_how_to_go_on(tmp_path: Path) -> None:
    target = tmp_path / "index"
    build_index([DocumentList(numbered(3))], target)

    clock = Clock()

    def stop(number: int) -> None:
        clock.tick_each(50)(number)
        if number == 60:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="60 documents are kept: run the same command"):
        build_index([DocumentList(numbered(100), before_each=stop)], target, clock=clock)
    assert read_manifest(target).documents == 3, "the old index stays"
    report = build_index([DocumentList(numbered(100))], target)
    assert (report.resumed_documents, report.manifest.documents) == (60, 100)


def test_a_source_that_breaks_after_a_commit_can_be_gone_on_with(tmp_path: Path) -> None:
    clock = Clock()

    def fail(number: int) -> None:
        clock.tick_each(50)(number)
        if number == 120:
            raise CorpusError("the site is away")

    with pytest.raises(CorpusError, match="the site is away"):
        build_index(
            [DocumentList(numbered(150), before_each=fail)], tmp_path / "index", clock=clock
        )
    report = build_index([DocumentList(numbered(150))], tmp_path / "index")
    assert (report.resumed_documents, report.manifest.documents) == (101, 150)


def test_two_builds_into_one_folder_are_refused_and_the_first_is_not_harmed(
    tmp_path: Path,
) -> None:
    target = tmp_path / "index"
    refused: list[CorpusError] = []

    def build_another(number: int) -> None:
        if number == 5:
            with pytest.raises(CorpusError, match="another process is building") as caught:
                build_index([DocumentList(numbered(2))], target)
            refused.append(caught.value)

    report = build_index([DocumentList(numbered(10), before_each=build_another)], target)
    assert refused[0].retryable
    assert report.manifest.documents == 10
    assert len(list(target.iterdir())) == 2


def test_a_build_can_wait_for_another_one(tmp_path: Path) -> None:
    target = tmp_path / "index"
    context = multiprocessing.get_context("fork")
    with writing(target):
        waiting = context.Process(target=build_embedded_index, args=(target,))
        waiting.start()
        waiting.join(0.2)
        assert waiting.is_alive()
    waiting.join(20)
    assert waiting.exitcode == 0
    assert read_manifest(target).documents > 60


def test_a_lock_that_a_dead_process_left_does_not_matter(unfinished: Path) -> None:
    assert (unfinished / ".lock").exists()
    build_index(two_sources(), unfinished)
    assert not (unfinished / ".lock").exists()


def test_the_language_decides_what_is_a_word_form(tmp_path: Path) -> None:
    document = Document(
        id="h", url="https://de.example/h", title="Häuser", text="Die Häuser der Stadt brannten."
    )
    for language, is_found in (("de", True), ("none", False)):
        build_index([DocumentList([document])], tmp_path / language, language=language)
        index = LocalIndex(tmp_path / language)
        assert index.manifest.language == language
        assert bool(index.search_plain(SearchQuery(text="Haus"))) == is_found
    with pytest.raises(ConfigError, match="'xx'"):
        build_index([DocumentList([document])], tmp_path / "xx", language="xx")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", ""),
        ("id", "x" * 20_000),
        ("url", "u" * 20_000),
        ("title", "a\0b"),
        ("text", "\ud800"),
    ],
)
def test_a_document_that_cannot_be_kept_is_refused_by_name(
    field: str, value: str, tmp_path: Path
) -> None:
    sound = Document(id="a", url="https://a.example/", title="A", text="text")
    with pytest.raises(CorpusError):
        build_index(
            [DocumentList([dataclasses.replace(sound, **{field: value})])], tmp_path / "index"
        )
    assert not (tmp_path / "index").exists()


def test_a_writer_remembers_ids_in_bounded_memory(tmp_path: Path) -> None:
    folder = tmp_path / "gen-1"
    folder.mkdir()
    writer = IndexWriter.create(folder, language="en")
    kept: list[int] = []
    tracemalloc.start()
    try:
        for number in range(6_000):
            if number % 3_000 == 1_000:
                writer.commit()  # documents wait in a queue of bounded length
                kept.append(tracemalloc.get_traced_memory()[0])
            identity = f"{number:0100}"
            writer.add(Document(id=identity, url=f"u://x/{identity}", title="", text="a"))
    finally:
        tracemalloc.stop()
        writer.abandon()
    assert kept[1] - kept[0] < 60_000, "20 bytes for each document would be kept"
