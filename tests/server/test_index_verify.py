import shutil
from pathlib import Path

import pytest

from mcp_server.corpus.build import build_index
from mcp_server.corpus.storage.manifest import read_manifest
from mcp_server.corpus.types import Document
from mcp_server.corpus.update import add_documents, delete_documents
from mcp_server.corpus.verify import verify_index
from mcp_server.errors import CorpusError
from tests.support.damage import rewrite
from tests.support.document_list import DocumentList


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of several segments with a deleted document."""
    directory = tmp_path_factory.mktemp("sound") / "index"
    documents = [
        Document(id=str(n), url=f"https://x.example/{n}", title=f"T{n}", text=f"w{n:x} " * 300)
        for n in range(400)
    ]
    build_index([DocumentList(documents)], directory)
    add_documents([DocumentList(documents[:3])], directory)
    delete_documents(["7"], directory)
    return directory


@pytest.fixture
def directory(sound: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(sound, tmp_path / "index"))


def test_a_sound_index_is_read_to_its_end(directory: Path) -> None:
    told: list[tuple[int, int]] = []
    report = verify_index(directory, progress=lambda done, total: told.append((done, total)))
    assert report.documents == 399
    assert report.passages == report.manifest.passages
    assert report.passages_read >= report.passages, "deleted ones may still be in the files"
    assert told[-1] == (report.passages_read, report.passages_read)
    assert report.files > 6
    quick = verify_index(directory, quick=True)
    assert (quick.documents, quick.notes) == (399, ())


def test_every_file_of_the_index_is_watched(directory: Path) -> None:
    generation = directory / read_manifest(directory).generation
    names = [file.name for file in generation.iterdir() if not file.name.startswith(".")]
    assert len(names) > 10
    for name in names:
        file = generation / name
        content = file.read_bytes()
        middle = len(content) // 2
        flipped = content[:middle] + bytes([content[middle] ^ 0x10]) + content[middle + 1 :]
        for damage in (flipped, content[:-3], None):
            if damage is None:
                file.unlink()
            else:
                rewrite(file, damage)
            with pytest.raises(CorpusError, match="damaged") as caught:
                verify_index(directory)
            assert name in str(caught.value) or name.partition(".")[0] in str(caught.value)
        file.write_bytes(content)
    verify_index(directory)


def test_a_manifest_with_other_counts_is_a_fault(directory: Path) -> None:
    manifest = directory / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"documents": 399', '"documents": 400'))
    with pytest.raises(CorpusError, match="399 documents"):
        verify_index(directory)


def test_a_change_that_was_killed_before_its_counts_is_no_fault(directory: Path) -> None:
    manifest = (directory / "manifest.json").read_bytes()
    delete_documents(["9"], directory)
    (directory / "manifest.json").write_bytes(manifest)
    report = verify_index(directory)
    assert report.documents == 398
    assert report.notes
    assert delete_documents(["10"], directory).manifest.documents == 397
