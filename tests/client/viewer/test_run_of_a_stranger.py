"""A run that a stranger sent is shown or refused: nothing hangs, breaks, or leads out of it."""

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent_client.errors import EvaluationError
from agent_client.evaluation.episode_record import RecordedError, Span
from agent_client.evaluation.records.event_segments import lines_in
from agent_client.evaluation.records.stored_run import StoredRun, read_run
from agent_client.sessions.lenient_json import encoded
from agent_client.viewer.run_episodes import RunEpisodes
from agent_client.viewer.run_index import MAX_ENDINGS
from agent_client.viewer.view_file import SHARD_ROWS, write_view
from agent_client.viewer.view_index import index_of_runs
from tests.support.graded_runs import graded_run

FILES = ("questions", "records", "grades", "results", "remarks", "events-00001")
Edit = Callable[[dict[str, Any]], None]


def stored(run: StoredRun, directory: Path, edit: Edit = lambda _: None) -> Path:
    """The run as files; `edit` changes its first record."""
    directory.mkdir()
    records: list[Any] = msgspec.to_builtins(list(run.records.values()))
    edit(records[0])
    (directory / "run.json").write_bytes(encoded(run.manifest))
    (directory / "questions.jsonl").write_bytes(lines(run.questions))
    (directory / "grades.jsonl").write_bytes(lines(run.grades.values()))
    text = "".join(json.dumps(record) + "\n" for record in records)  # NaN as it should not be
    (directory / "records.jsonl").write_text(text)
    return directory


def lines(values: Any) -> bytes:
    return b"".join(encoded(value) + b"\n" for value in values)


def viewed(directory: Path) -> bytes:
    run = read_run(directory)
    index = index_of_runs([run], "exact", made="", shard_rows=SHARD_ROWS)
    out = directory.parent / "view.html"
    write_view(out, index, [RunEpisodes(run, "exact")])
    return out.read_bytes()


NUMBERS: Mapping[str, Any] = {
    "beyond a float": 10**400,
    "beyond its square": 1e308,
    "of 65 bits": 2**64,
    "below zero": -5,
    "no number": float("nan"),
    "without end": float("inf"),
}


@pytest.mark.parametrize("what", NUMBERS)
@pytest.mark.parametrize(
    "place", [("seconds",), ("cost_usd",), ("counts", "searches"), ("usage", "prompt_tokens")]
)
def test_a_record_whose_numbers_no_episode_has_is_counted_as_damaged(
    tmp_path: Path, place: tuple[str, ...], what: str
) -> None:
    def edit(record: dict[str, Any]) -> None:
        for name in place[:-1]:
            record = record.setdefault(name, {"prompt_tokens": 0, "completion_tokens": 0})
        record[place[-1]] = NUMBERS[what]

    directory = stored(graded_run({"a": "c", "b": "i"}), tmp_path / "run", edit)
    run = read_run(directory)
    assert (run.unreadable, len(run.records)) == (1, 1)
    assert viewed(directory)


def test_the_same_lines_are_read_once_however_often_a_record_names_them(tmp_path: Path) -> None:
    (tmp_path / "events-00001.jsonl").write_bytes(b"1\n2\n3\n")
    spans = [Span(1, 0, 4), Span(1, 0, 4), Span(1, 2, 4), Span(1, 4, -9), Span(1, 4, 2)]
    found = [line for _, line in lines_in(tmp_path, spans)]
    assert found == [b"1", b"2", b"", b"", b"", b"3"]


def test_evidence_of_unequal_lengths_is_damaged(tmp_path: Path) -> None:
    def edit(record: dict[str, Any]) -> None:
        record["evidence"] = {"retrieved": [], "visited": [True], "cited": []}

    directory = stored(graded_run({"a": "c", "b": "i"}), tmp_path / "run", edit)
    assert read_run(directory).unreadable == 1
    assert viewed(directory)


@pytest.mark.parametrize("name", FILES)
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path: Path, name: str) -> None:
    directory = stored(graded_run({"a": "c"}), tmp_path / "run")
    pipe = directory / f"{name}.jsonl"
    pipe.unlink(missing_ok=True)
    os.mkfifo(pipe)
    try:
        assert viewed(directory)
    except EvaluationError as exc:
        assert "it is no file" in str(exc)


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/full"])
def test_a_device_in_the_place_of_the_records_is_not_read(tmp_path: Path, device: str) -> None:
    directory = stored(graded_run({"a": "c"}), tmp_path / "run")
    (directory / "records.jsonl").unlink()
    (directory / "records.jsonl").symlink_to(device)
    with pytest.raises(EvaluationError, match="it is no file"):
        read_run(directory)


def test_a_manifest_without_end_is_refused(tmp_path: Path) -> None:
    directory = stored(graded_run({"a": "c"}), tmp_path / "run")
    os.truncate(directory / "run.json", 5 * 2**30)
    with pytest.raises(EvaluationError, match="too large"):
        read_run(directory)


def test_the_view_takes_the_place_of_a_link_and_leaves_what_it_leads_to(tmp_path: Path) -> None:
    directory = stored(graded_run({"a": "c"}), tmp_path / "run")
    secret = tmp_path / "secret"
    secret.write_text("mine")
    (tmp_path / "view.html").symlink_to(secret)
    assert viewed(directory).startswith(b"<!doctype html>")
    assert secret.read_text() == "mine"


def test_of_thousands_of_made_up_errors_the_page_gets_a_few(tmp_path: Path) -> None:
    answers = {f"q{number}": "e" for number in range(3 * MAX_ENDINGS)}
    errors = {id_: {"error": RecordedError(type=f"{id_} __proto__", message="")} for id_ in answers}
    run = graded_run(answers, records=errors)
    index = index_of_runs([run], "exact", made="", shard_rows=SHARD_ROWS)
    assert len(index.runs[0].troubles) == MAX_ENDINGS
