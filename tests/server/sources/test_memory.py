"""A large file costs no more memory than a small one."""

import gzip
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from mcp_server.corpus.sources.opening import open_source
from tests.server.sources.samples import DUMP_HEAD, dump_page

COUNT = 1_500
TEXT = "some words of a document, " * 150  # 4 KB


def write_rows(path: Path) -> None:
    with gzip.open(path, "wt", compresslevel=1) as file:
        for n in range(COUNT):
            file.write(json.dumps({"_id": n, "text": TEXT}) + "\n")


def write_dump(path: Path) -> None:
    with gzip.open(path, "wt", compresslevel=1) as file:
        file.write(DUMP_HEAD)
        for n in range(COUNT):
            file.write(dump_page(f"Page {n}", TEXT))
        file.write("</mediawiki>")


@pytest.mark.parametrize("write", [write_rows, write_dump])
def test_six_megabytes_are_read_with_two(tmp_path: Path, write: Callable[[Path], None]) -> None:
    path = tmp_path / "large"
    write(path)
    source = open_source(path)
    next(source.read())  # imports
    tracemalloc.start()
    try:
        count = sum(1 for _ in source.read())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert count == COUNT
    assert peak < 2_000_000
