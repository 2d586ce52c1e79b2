"""What the doctor says about the machine."""

import os
from pathlib import Path

import pytest

from mcp_server.doctor import machine
from mcp_server.errors import ConfigError, CorpusError
from tests.support.tools_server import build_small_index


async def test_the_page_reading_process_reads_what_is_made_for_it() -> None:
    (found,) = await machine.reading()
    assert (found.outcome, found.told) == ("ok", "its process reads text/html and application/pdf")


async def test_a_process_that_cannot_start_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/no/such/python")
    (found,) = await machine.reading()
    assert found.outcome == "problem"
    assert found.told.startswith("text/html: ")
    assert "memory" in found.advice


def test_a_sound_index_is_told_with_its_size(tmp_path: Path) -> None:
    (found,) = machine.index(build_small_index(tmp_path))
    assert (found.check, found.outcome) == ("index", "ok")
    assert found.told == f"3 documents in {tmp_path / 'index'}, sound"


def test_a_damaged_index_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    directory = build_small_index(tmp_path)
    store = next(path for path in directory.rglob("*.store"))
    store.write_bytes(store.read_bytes()[:-20])
    with pytest.raises(CorpusError, match=store.name):
        machine.index(directory)


def test_a_large_index_is_not_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "VERIFY_BYTES", 10)
    (found,) = machine.index(build_small_index(tmp_path))
    assert found.told.endswith("not read whole")
    assert "index verify" in found.advice


@pytest.mark.parametrize(
    ("limit", "outcome", "told"),
    [
        ("max\n", "ok", "no limit is set"),
        ("268435456\n", "note", "the container gives 256 MiB"),
        ("2147483648\n", "ok", "the container gives 2.0 GiB"),
        ("9223372036854771712\n", "ok", "no limit is set"),
    ],
)
def test_the_memory_of_a_container_is_told(
    tmp_path: Path, limit: str, outcome: str, told: str
) -> None:
    file = tmp_path / "memory.max"
    file.write_text(limit)
    (found,) = machine.memory([str(tmp_path / "absent"), str(file)])
    assert (found.outcome, found.told) == (outcome, told)


def test_folders_that_can_be_made_are_well(tmp_path: Path) -> None:
    (found,) = machine.folders([tmp_path / "new" / "cache", tmp_path / "new" / "cache"])
    assert (found.outcome, found.told) == ("ok", f"writable: {tmp_path / 'new' / 'cache'}")


def test_a_folder_that_cannot_be_made_is_noted(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (found,) = machine.folders([tmp_path / "file" / "cache"])
    assert found.outcome == "note"
    assert str(tmp_path / "file") in found.advice


def test_a_browser_is_asked_for_or_left(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("mcp_server.visit.browser.browser._PLACES", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.browser("off")[0].told == "off, and none is installed"
    with pytest.raises(ConfigError, match="no browser is installed"):
        machine.browser("auto")
    program = tmp_path / "chromium"
    program.touch()
    os.chmod(program, 0o755)  # noqa: PTH101
    assert machine.browser("auto")[0].told == f"auto; {program}"
