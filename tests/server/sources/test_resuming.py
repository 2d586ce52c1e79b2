"""Every source gives each document once, also to a reader that starts in the middle."""

from collections.abc import Callable
from pathlib import Path

import pytest

from mcp_server.corpus.sources.json_lines import JsonLinesSource
from mcp_server.corpus.sources.opening import open_source
from tests.server.sources.samples import PACKERS, WRITERS, write_dump, write_json_lines, write_table

COUNT = 23


@pytest.mark.parametrize(("name", "write"), WRITERS, ids=[name for name, _ in WRITERS])
def test_reading_on_gives_exactly_the_rest_and_progress_grows(
    name: str, write: Callable[[Path, int], Path], tmp_path: Path
) -> None:
    path = write(tmp_path / name, COUNT)
    items = list(open_source(path).read())
    assert len(items) == COUNT + (5 if name == "pages" else 0)
    assert len({item.document.id for item in items}) == len(items)
    assert len({item.document.url for item in items}) == len(items)
    starts_processes = name in ("a.zim", "pages", "a.warc", "a.warc.gz")
    for stop in (COUNT // 2, len(items) - 1) if starts_processes else range(len(items)):
        rest = list(open_source(path).read(after=items[stop].position.cursor))
        assert rest == items[stop + 1 :], f"after document {stop}"
    done = [item.position.done for item in items]
    total = open_source(path).total
    assert total is not None
    assert done == sorted(done)
    assert 0 < done[0] <= done[-1] <= total


@pytest.mark.parametrize(("name", "write"), WRITERS, ids=[name for name, _ in WRITERS])
def test_the_fingerprint_changes_with_the_content_only(
    name: str, write: Callable[[Path, int], Path], tmp_path: Path
) -> None:
    path = write(tmp_path / name, 3)
    before = open_source(path).fingerprint
    assert open_source(path).fingerprint == before
    other = write(tmp_path / "other" / name if path.is_dir() else tmp_path / f"other-{name}", 4)
    assert open_source(other).fingerprint != before


@pytest.mark.parametrize("packing", PACKERS)
@pytest.mark.parametrize("write", [write_json_lines, write_table, write_dump])
@pytest.mark.parametrize("is_cut", [False, True])
def test_packed_files_of_one_member_or_many_are_read_on(
    packing: str, write: Callable[[Path, int], Path], is_cut: bool, tmp_path: Path
) -> None:
    plain = write(tmp_path / "a.txt", COUNT)
    body, half = plain.read_bytes(), plain.stat().st_size // 2
    packed = tmp_path / "a"  # no suffix: the bytes tell
    pack = PACKERS[packing]
    packed.write_bytes(pack(body[:half]) + pack(body[half:]) if is_cut else pack(body))
    items = list(open_source(packed).read())
    assert len(items) == COUNT
    for stop in range(0, COUNT, 4):
        rest = list(open_source(packed).read(after=items[stop].position.cursor))
        assert rest == items[stop + 1 :]


def test_reading_on_in_a_member_leaves_the_ones_before_packed(tmp_path: Path) -> None:
    path = write_json_lines(tmp_path / "plain", COUNT)
    body = path.read_bytes()
    packed = tmp_path / "a.jsonl.gz"
    first = PACKERS["gz"](body)
    packed.write_bytes(first + PACKERS["gz"](body))
    items = list(open_source(packed).read())
    damaged = bytearray(packed.read_bytes())
    damaged[20 : len(first) - 20] = bytes(len(first) - 40)
    packed.write_bytes(damaged)
    rest = JsonLinesSource(packed).read(items[COUNT].position.cursor)
    assert [item.document for item in rest] == [item.document for item in items[COUNT + 1 :]]
