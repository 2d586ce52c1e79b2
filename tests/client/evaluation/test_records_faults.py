"""What a run's directory survives: torn and damaged files, two writers, a disk that is full."""

import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent_client.conversation import ToolCall
from agent_client.errors import EvaluationError, RunInUse, StorageFailed
from agent_client.evaluation.episode_record import EpisodeKey, EpisodeRecord
from agent_client.evaluation.question import Question
from agent_client.evaluation.records.run_writer import RunWriter
from agent_client.evaluation.records.stored_run import StoredRun, read_episode, read_run
from agent_client.events import Note
from tests.support.cut_episodes import PAGES, TurnModel, TurnTools, work_on
from tests.support.run_directories import ToldEpisode, manifest, stored_run

QUESTION = Question(id="q1", question="What is in the pages?", answers=("it",))
IDS = ("q1", "q2", "q3")
HOLDER = """
import sys
from pathlib import Path
from agent_client.evaluation.records.run_writer import RunWriter
with RunWriter.resume(Path(sys.argv[1])):
    print("open", flush=True)
    sys.stdin.read()
"""


def three_episodes(tmp_path: Path) -> StoredRun:
    return stored_run(tmp_path, [ToldEpisode(id=id_, grade="correct") for id_ in IDS])


def child(script: str, *arguments: object) -> "subprocess.Popen[str]":
    root = str(Path(__file__).parents[3])
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": root},
    )


@contextmanager
def held_by_another_process(directory: Path) -> Generator[int]:
    with child(HOLDER, directory) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process.pid
        process.kill()


@contextmanager
def files_of_at_most(size_bytes: int) -> Generator[None]:
    """Writes beyond fail as on a full disk: after a part of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("name", ["records.jsonl", "grades.jsonl", "events-00001.jsonl"])
@pytest.mark.parametrize("tail", [b'{"id":"q9","sta', b"\0" * 5_000, b'{"id":"q9"}', b"\xff\xfe"])
def test_a_torn_end_is_cut_off_and_counted(tmp_path: Path, name: str, tail: bytes) -> None:
    run = three_episodes(tmp_path)
    path = run.directory / name
    whole = path.read_bytes()
    path.write_bytes(whole + tail)
    seen = read_run(run.directory)
    assert (seen.records, seen.grades, seen.unreadable) == (run.records, run.grades, 0)
    with RunWriter.resume(run.directory) as writer:
        assert (writer.cut_bytes, writer.unreadable) == (len(tail), 0)
        assert writer.plan().owed == ()
    assert path.read_bytes() == whole


def test_a_torn_record_is_work_still_owed(tmp_path: Path) -> None:
    run = three_episodes(tmp_path)
    path = run.directory / "records.jsonl"
    path.write_bytes(path.read_bytes()[:-5])
    assert read_run(run.directory).owed == 1
    with RunWriter.resume(run.directory) as writer:
        (owed,) = writer.plan().owed
        assert (owed.key.id, owed.is_begun) == ("q3", True)
        earlier = owed.episode().earlier
        assert earlier is not None
        assert (len(earlier.replies), len(earlier.results)) == (3, 2)


def test_the_episode_of_a_damaged_record_goes_on_from_its_events(tmp_path: Path) -> None:
    run = three_episodes(tmp_path)
    path = run.directory / "records.jsonl"
    lines = path.read_bytes().splitlines()
    path.write_bytes(b"\n".join((lines[0], lines[1][:99] + b"\0" + lines[1][99:], lines[2], b"")))
    with RunWriter.resume(run.directory) as writer:
        (owed,) = writer.plan().owed
        assert (owed.key.id, owed.attempt) == ("q2", 2)  # so that its old verdict stays void
        earlier = owed.episode().earlier
        assert earlier is not None
        assert len(earlier.replies) == 3


@pytest.mark.parametrize(
    "line", [b"not json", b'{"id":', b'{"e":"q1"}', b"[1,2]", b"\xff\xfe\x00", b"[" * 100_000]
)
@pytest.mark.parametrize("name", ["records.jsonl", "grades.jsonl", "events-00001.jsonl"])
def test_an_unreadable_line_costs_only_itself(tmp_path: Path, name: str, line: bytes) -> None:
    run = three_episodes(tmp_path)
    path = run.directory / name
    lines = path.read_bytes().split(b"\n")
    is_of_events = name.startswith("events")
    # Events are found by their place: there the line stands behind those of all episodes.
    lines[-1 if is_of_events else 1 : -1 if is_of_events else 2] = [line]
    path.write_bytes(b"\n".join(lines) + (b"\n" if is_of_events else b""))
    seen = read_run(run.directory)
    assert seen.unreadable == (0 if is_of_events else 1)
    lost = {"records.jsonl": 1}.get(name, 0)
    assert (len(seen.records), seen.owed) == (3 - lost, lost)
    assert len(seen.grades) == (3 if is_of_events else 2)
    with RunWriter.resume(run.directory) as writer:
        assert len(writer.plan().owed) == lost
        assert writer.records == seen.records
        assert writer.grades == seen.grades
        assert writer.unreadable == 1


def test_a_damaged_event_is_counted_and_the_others_are_read(tmp_path: Path) -> None:
    run = three_episodes(tmp_path)
    record = run.records[EpisodeKey("q2")]
    path = run.directory / "events-00001.jsonl"
    data = bytearray(path.read_bytes())
    at = data.index(b'"type":"Finished"', record.events[0].offset)
    data[at : at + 4] = b"\0\0\0\0"
    path.write_bytes(data)
    whole = read_episode(run, run.records[EpisodeKey("q1")])
    stored = read_episode(run, record)
    assert (whole.unreadable, stored.unreadable) == (0, 1)
    assert len(stored.events) == len(whole.events) - 1


def test_lost_segments_cost_the_events_and_not_the_records(tmp_path: Path) -> None:
    run = three_episodes(tmp_path)
    (run.directory / "events-00001.jsonl").unlink()
    seen = read_run(run.directory)
    assert seen.records == run.records
    for record in seen.records.values():
        stored = read_episode(seen, record)
        assert (stored.events, stored.unreadable) == ((), 1)


@pytest.mark.parametrize("name", ["records.jsonl", "grades.jsonl", "questions.jsonl"])
@pytest.mark.parametrize("ending", [b"\r\n", b"\n\n", b" \n"])
def test_files_that_an_editor_wrote_anew_are_read(tmp_path: Path, name: str, ending: bytes) -> None:
    run = three_episodes(tmp_path)
    path = run.directory / name
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", ending))
    assert read_run(run.directory) == run
    with RunWriter.resume(run.directory) as writer:
        assert (writer.records, writer.unreadable) == (run.records, 0)


async def test_events_that_an_editor_wrote_anew_can_be_gone_on_from(tmp_path: Path) -> None:
    run = three_episodes(tmp_path)
    (run.directory / "records.jsonl").unlink()
    path = run.directory / "events-00001.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    with RunWriter.resume(run.directory) as writer:
        owed = writer.plan().owed
        assert writer.unreadable == 0
        assert [len(one.episode().earlier.replies) for one in owed if one.is_begun] == [3, 3, 3]  # pyright: ignore[reportOptionalMemberAccess]


@pytest.mark.parametrize("name", ["records.jsonl", "grades.jsonl", "events-00001.jsonl"])
def test_an_empty_or_lost_file_loses_no_more_than_it_held(tmp_path: Path, name: str) -> None:
    run = three_episodes(tmp_path)
    for is_lost in (False, True):
        (run.directory / name).write_bytes(b"")
        if is_lost:
            (run.directory / name).unlink()
        seen = read_run(run.directory)
        assert (seen.owed, seen.unreadable) == (3 if name == "records.jsonl" else 0, 0)
        with RunWriter.resume(run.directory) as writer:
            assert len(writer.plan().owed) == seen.owed


def test_lost_questions_are_told_of(tmp_path: Path) -> None:
    run = three_episodes(tmp_path)
    (run.directory / "questions.jsonl").write_bytes(b"{}\n")
    with pytest.raises(EvaluationError, match=r"questions\.jsonl .* damaged"):
        RunWriter.resume(run.directory)
    shutil.rmtree(run.directory)


def test_a_second_writer_is_turned_away_with_the_process_id(tmp_path: Path) -> None:
    directory = three_episodes(tmp_path).directory
    with held_by_another_process(directory) as pid:
        assert read_run(directory).is_being_written
        with pytest.raises(RunInUse, match=f"process {pid}") as caught:
            RunWriter.resume(directory)
        assert (caught.value.pid, caught.value.exit_code) == (pid, 4)
        with pytest.raises(EvaluationError, match="holds a run"):
            RunWriter.create(directory, manifest(), [QUESTION])
    assert not read_run(directory).is_being_written  # a killed one holds nothing
    RunWriter.resume(directory).close()


def test_readers_do_not_disturb_the_writer(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path / "run", manifest(), [QUESTION]) as writer:
        run = read_run(tmp_path / "run")
        assert (run.is_being_written, run.records, run.owed) == (True, {}, 1)
        log = writer.begin(writer.plan().owed[0].episode())
        log.emit(Note("a"))
        assert read_run(tmp_path / "run").unreadable == 0
        record = EpisodeRecord(id="q1", status="ok", question="?", answers=("x",))
        writer.add_record(record, log)
        assert len(read_run(tmp_path / "run").records) == 1


@pytest.mark.parametrize("most_bytes", [500, 2_000, 6_000])
async def test_a_full_disk_stops_the_run_and_later_it_goes_on(
    tmp_path: Path, most_bytes: int
) -> None:
    questions = [Question(id=id_, question="What is it?", answers=("it",)) for id_ in IDS]
    with RunWriter.create(tmp_path / "run", manifest(3), questions) as writer:
        told: list[StorageFailed] = []
        writer.on_failure(told.append)
        with files_of_at_most(most_bytes):
            for owed in writer.plan().owed:
                await work_on(writer, owed, TurnModel())
        writer.on_failure(told.append)
        assert told == [writer.failure] * 2
    assert told[0].exit_code == 3
    assert "File too large" in str(told[0])
    assert f"seekling eval resume {tmp_path / 'run'}" in told[0].hint
    run = read_run(tmp_path / "run")
    assert (run.unreadable, run.owed > 0) == (0, True)
    with RunWriter.resume(run.directory) as writer:
        assert (writer.cut_bytes, writer.unreadable) == (0, 0)
        for owed in writer.plan().owed:
            assert (await work_on(writer, owed, TurnModel())).status == "ok"
    assert read_run(run.directory).owed == 0


async def test_a_directory_that_is_deleted_stops_the_run(tmp_path: Path) -> None:
    questions = [Question(id=id_, question="What is it?", answers=("it",)) for id_ in IDS]
    with RunWriter.create(tmp_path / "run", manifest(3), questions) as writer:
        told: list[StorageFailed] = []
        writer.on_failure(told.append)
        first, second, third = writer.plan().owed
        await work_on(writer, first, TurnModel())
        assert not told
        shutil.rmtree(tmp_path / "run")
        await work_on(writer, second, TurnModel())
        await work_on(writer, third, TurnModel())
        assert len(told) == 1
        assert "No such file" in str(told[0]) or "deleted" in str(told[0])
        assert set(writer.records) == {("q1", 0)}
    assert not (tmp_path / "run").exists()


async def test_nothing_is_written_after_a_failure(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path / "run", manifest(), [QUESTION]) as writer:
        log = writer.begin(writer.plan().owed[0].episode())
        log.emit(Note("a"))
        (tmp_path / "run" / "records.jsonl").unlink()
        record = EpisodeRecord(id="q1", status="ok", question="?", answers=("x",))
        writer.add_record(record, log)
        assert writer.failure is not None
        before = {path: path.stat().st_size for path in (tmp_path / "run").rglob("*")}
        log.emit(Note("b"))
        tools = TurnTools()
        call = ToolCall("c1", "web_visit", {"url": PAGES[0]})
        result = await tools.call(call)
        log.tool_returned(call, result)
        writer.add_record(record, log)
        assert before == {path: path.stat().st_size for path in (tmp_path / "run").rglob("*")}
        assert writer.records == {}


@pytest.mark.parametrize(
    "name", [".lock", "records.jsonl", "grades.jsonl", "events-00001.jsonl", "events-00002.jsonl"]
)
async def test_a_planted_link_is_refused(tmp_path: Path, name: str) -> None:
    directory = three_episodes(tmp_path).directory
    aim = tmp_path / "precious"
    aim.write_bytes(b"precious")
    (directory / name).unlink(missing_ok=True)
    (directory / name).symlink_to(aim)
    if name == "events-00002.jsonl":
        aim.unlink()  # a segment is new: a link to nothing would make a file elsewhere
    with pytest.raises(StorageFailed, match=r"cannot be written"):
        RunWriter.resume(directory)
    assert not aim.exists() or aim.read_bytes() == b"precious"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_directory_that_cannot_be_written_is_told_of(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(StorageFailed, match="Permission denied"):
        RunWriter.create(tmp_path / "run", manifest(), [QUESTION])


def test_a_file_in_place_of_the_directory_is_told_of(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file")
    with pytest.raises(StorageFailed, match="File exists"):
        RunWriter.create(tmp_path / "run", manifest(), [QUESTION])
