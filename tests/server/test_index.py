import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mcp_server.corpus.build import BuildProgress, build_index
from mcp_server.corpus.embedded import build_embedded_index
from mcp_server.corpus.index import LocalIndex
from mcp_server.corpus.sources.json_lines import JsonLinesSource
from mcp_server.corpus.storage.manifest import read_manifest
from mcp_server.errors import CorpusError
from mcp_server.search.types import SearchQuery
from tests.support.damage import rewrite


def write_source(path: Path, *rows: tuple[str, str, str]) -> Path:
    path.write_text(
        "".join(
            json.dumps({"_id": key, "title": title, "text": text}) + "\n"
            for key, title, text in rows
        )
    )
    return path


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_source(
        tmp_path / "facts.jsonl",
        ("eiffel", "Eiffel Tower", "The tower in Paris was built by the engineers of Eiffel."),
        ("louvre", "Louvre", "The Louvre is a museum in Paris. " + "Filler sentence. " * 60),
        ("nile", "Nile", "The Nile is a river in Africa."),
    )


def ids(index: LocalIndex, text: str, limit: int = 10) -> list[str]:
    return [hit.document_id for hit in index.search(SearchQuery(text=text, limit=limit))]


def test_what_was_built_is_found_and_read_whole(source: Path, tmp_path: Path) -> None:
    report = build_index([JsonLinesSource(source)], tmp_path / "index")
    assert (report.manifest.documents, report.duplicates) == (3, 0)
    index = LocalIndex(tmp_path / "index")
    assert ids(index, "Which engineers built the Eiffel tower?")[0] == "eiffel"
    page = index.page_at("corpus://facts/louvre")
    assert page is not None
    assert page.text.endswith("Filler sentence.")
    assert len(page.text) > 1_000


def test_hits_are_limited_ordered_and_previewed(source: Path, tmp_path: Path) -> None:
    build_index([JsonLinesSource(source)], tmp_path / "index")
    hits = LocalIndex(tmp_path / "index").search(
        SearchQuery(text="Paris museum", limit=2, preview_chars=80)
    )
    assert [hit.document_id for hit in hits] == ["louvre", "eiffel"]
    assert all(len(hit.preview) <= 80 for hit in hits)
    assert hits[0].score is not None
    assert hits[1].score is not None
    assert hits[0].score >= hits[1].score


@pytest.mark.parametrize(
    "query",
    ['"unbalanced', "title:nile AND (", "C++ & node.js:", "+-*/~^", "the of and", "", "\x00", "😀"],
)
def test_no_query_breaks_the_index(query: str, source: Path, tmp_path: Path) -> None:
    build_index([JsonLinesSource(source)], tmp_path / "index")
    LocalIndex(tmp_path / "index").search(SearchQuery(text=query))


def test_a_query_of_stop_words_alone_is_still_asked(tmp_path: Path) -> None:
    source = write_source(tmp_path / "s.jsonl", ("who", "The Who", "The Who are a band."))
    build_index([JsonLinesSource(source)], tmp_path / "index")
    assert ids(LocalIndex(tmp_path / "index"), "the who") == ["who"]


def test_an_id_that_comes_again_replaces_the_document_and_is_counted(tmp_path: Path) -> None:
    source = write_source(tmp_path / "s.jsonl", ("a", "One", "first"), ("a", "Two", "second"))
    report = build_index([JsonLinesSource(source)], tmp_path / "index")
    assert (report.manifest.documents, report.duplicates) == (1, 1)
    index = LocalIndex(tmp_path / "index")
    assert (ids(index, "first"), ids(index, "second")) == ([], ["a"])
    assert report.manifest.text_bytes == len("Two" + "second")


def test_a_new_build_replaces_the_old_one_and_leaves_nothing_behind(
    source: Path, tmp_path: Path
) -> None:
    target = tmp_path / "index"
    build_index([JsonLinesSource(source)], target)
    reader = LocalIndex(target)
    other = write_source(tmp_path / "other.jsonl", ("x", "Xylophone", "A xylophone has bars."))
    build_index([JsonLinesSource(other)], target)
    assert ids(LocalIndex(target), "xylophone") == ["x"]
    assert ids(reader, "nile") == ["nile"], "a reader of the old index keeps working"
    assert len(list(target.iterdir())) == 2


def test_a_failed_build_leaves_the_old_index_as_it_was(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "index"
    build_index([JsonLinesSource(source)], target)
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"_id": "a", "text": "x"}\nnot json\n')
    with pytest.raises(CorpusError):
        build_index([JsonLinesSource(bad)], target)
    assert ids(LocalIndex(target), "nile") == ["nile"]
    assert len(list(target.iterdir())) == 2


def test_a_failed_first_build_leaves_no_folder(tmp_path: Path) -> None:
    bad = tmp_path / "bad.jsonl"
    bad.write_text("not json\n")
    with pytest.raises(CorpusError):
        build_index([JsonLinesSource(bad)], tmp_path / "new" / "index")
    assert not (tmp_path / "new" / "index").exists()


def test_a_folder_with_other_files_is_never_overwritten(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "thesis"
    target.mkdir()
    (target / "chapter.tex").write_text("precious")
    with pytest.raises(CorpusError, match="holds other files"):
        build_index([JsonLinesSource(source)], target)
    assert (target / "chapter.tex").read_text() == "precious"


def test_sources_without_documents_are_an_error(tmp_path: Path) -> None:
    empty = tmp_path / "empty.jsonl"
    empty.write_text("\n")
    with pytest.raises(CorpusError, match="no documents"):
        build_index([JsonLinesSource(empty)], tmp_path / "index")


def test_a_missing_index_says_how_to_build_one(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no index at") as caught:
        LocalIndex(tmp_path / "none")
    assert "seekling-mcp index build" in caught.value.hint


@pytest.mark.parametrize("damage", ["manifest", "missing", "cut", "format", "garbled"])
def test_a_damaged_index_is_named_as_such(damage: str, source: Path, tmp_path: Path) -> None:
    target = tmp_path / "index"
    build_index([JsonLinesSource(source)], target)
    manifest = target / "manifest.json"
    generation = target / read_manifest(target).generation
    files = sorted(generation.glob("*.store"))
    if damage == "manifest":
        manifest.write_text("{")
    elif damage == "missing":
        files[0].unlink()
    elif damage == "cut":
        rewrite(files[0], files[0].read_bytes()[:-10])
    elif damage == "format":
        manifest.write_text(manifest.read_text().replace('"format": 3', '"format": 99'))
    else:
        for file in list(generation.iterdir()):
            rewrite(file, b"\xff" * file.stat().st_size)
    with pytest.raises(CorpusError, match=r"damaged|format 99") as caught:
        LocalIndex(target).search(SearchQuery(text="nile"))
    assert "index build" in caught.value.hint


def test_progress_is_told_in_documents_and_bytes(tmp_path: Path) -> None:
    source = write_source(
        tmp_path / "many.jsonl", *((str(n), f"T{n}", "word " * 200) for n in range(300))
    )
    told: list[BuildProgress] = []
    seconds = itertools.count()  # however fast the machine is
    build_index(
        [JsonLinesSource(source)],
        tmp_path / "index",
        progress=told.append,
        clock=lambda: float(next(seconds)),
    )
    assert told
    assert all(0 < progress.done <= (progress.total or 0) for progress in told)
    assert all(progress.share and progress.share <= 1 for progress in told)
    assert [progress.documents for progress in told] == sorted(
        progress.documents for progress in told
    )


def test_the_embedded_encyclopedia_is_large_and_all_its_links_resolve(tmp_path: Path) -> None:
    report = build_embedded_index(tmp_path / "index")
    assert report.manifest.documents >= 60
    index = LocalIndex(tmp_path / "index")
    pages = Path(sys.modules["mcp_server.corpus.embedded"].__file__ or "").parent / "encyclopedia"
    assert len(list(pages.iterdir())) >= 8, "subject areas"
    for file in pages.rglob("*.md"):
        name = file.relative_to(pages).with_suffix("").as_posix()
        page = index.page_at(f"https://encyclopedia.example/{name}")
        assert page is not None
        assert page.links, f"{name} links to nothing"
        for link in page.links:
            assert index.page_at(link.url) is not None, f"{name} links to {link.url}"


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0 or shutil.which("mount") is None,
    reason="a full disk is made with a small tmpfs, which needs root on Linux",
)
def test_a_full_disk_stops_the_build_cleanly(tmp_path: Path) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("tmpfs cannot be mounted here")
    try:
        old = write_source(tmp_path / "old.jsonl", ("a", "Alpha", "alpha"))
        build_index([JsonLinesSource(old)], disk / "index")
        words = (f"{n * 7919 % 1_000_003:x}" for n in range(2_000_000))
        big = write_source(
            tmp_path / "big.jsonl",
            *((str(n), f"T{n}", " ".join(next(words) for _ in range(200))) for n in range(4_000)),
        )
        with pytest.raises(CorpusError, match="no space left on device") as caught:
            build_index([JsonLinesSource(big)], disk / "index")
        assert "untouched" in caught.value.hint
        assert ids(LocalIndex(disk / "index"), "alpha") == ["a"]
        assert len(list((disk / "index").iterdir())) == 2
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


@pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0 or shutil.which("mount") is None,
    reason="a read-only disk is made with a bind mount, which needs root on Linux",
)
def test_an_index_on_a_read_only_disk_is_searched(source: Path, tmp_path: Path) -> None:
    build_index([JsonLinesSource(source)], tmp_path / "index")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "--bind", str(tmp_path / "index"), str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(disk)], check=True)
        index = LocalIndex(disk)
        assert ids(index, "nile") == ["nile"]
        assert index.page_at("corpus://facts/louvre") is not None
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)
