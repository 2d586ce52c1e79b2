"""The file of finished steps: torn, damaged, locked, forgotten."""

import stat
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent_client.errors import ReportError
from agent_client.report.store import ReportStore, step_key


@dataclass(frozen=True, slots=True)
class Step:
    text: str
    count: int


def test_a_step_is_found_by_another_run(tmp_path: Path) -> None:
    with ReportStore.open(tmp_path / "a" / "steps.jsonl") as store:
        store.put("one", Step("ä \u2028 \ud7ff", 1))
    with ReportStore.open(tmp_path / "a" / "steps.jsonl") as store:
        assert store.get("one", Step) == Step("ä \u2028 \ud7ff", 1)
        assert store.get("two", Step) is None
        assert store.kept == 1
    assert stat.S_IMODE((tmp_path / "a" / "steps.jsonl").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b'{"step": "tw',
        b"\x00\xff\xfe",
        b"[1, 2]",
        b'{"step": 3, "value": 1}',
        b'{"step": "two"}',
        b"[" * 100_000,
        b'{"step": "two", "value": {"text": "x"}}',
        b'{"step": "two", "value": {"text": "x", "count": "many"}}',
    ],
)
def test_a_damaged_line_is_a_step_still_owed_and_spoils_no_other(
    tmp_path: Path, damage: bytes
) -> None:
    path = tmp_path / "steps.jsonl"
    with ReportStore.open(path) as store:
        store.put("one", Step("a", 1))
    with path.open("ab") as file:
        file.write(damage)
    with ReportStore.open(path) as store:
        assert store.get("one", Step) == Step("a", 1)
        assert store.get("two", Step) is None
        store.put("two", Step("b", 2))
    with ReportStore.open(path) as store:
        assert store.get("one", Step) == Step("a", 1)
        assert store.get("two", Step) == Step("b", 2)


def test_two_processes_cannot_write_one_report(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    with (
        ReportStore.open(path),
        pytest.raises(ReportError, match="another seekling"),
        ReportStore.open(path),
    ):
        pass
    with ReportStore.open(path):
        pass  # it is free again


def test_fresh_forgets_what_was_done(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    with ReportStore.open(path) as store:
        store.put("one", Step("a", 1))
    with ReportStore.open(path, fresh=True) as store:
        assert store.get("one", Step) is None
        assert store.kept == 0


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(ReportError, match="cannot be written"),
        ReportStore.open(tmp_path / "file" / "steps.jsonl"),
    ):
        pass


def test_the_key_of_a_step_depends_on_all_its_inputs() -> None:
    keys = {step_key("a", 1), step_key("b", 1), step_key("a", 2), step_key("a", 1, 2)}
    assert len(keys) == 4
    assert step_key("a", {"x": 1, "y": 2}) == step_key("a", {"y": 2, "x": 1})
    assert step_key("a", "\ud800") != step_key("a", "\ud801")  # no text is too broken for a key
