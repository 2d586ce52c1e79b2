"""A run's directory, written and read back."""

import gc
import stat
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from agent_client.conversation import ToolCall, ToolResult
from agent_client.errors import EvaluationError
from agent_client.evaluation.episode_record import EpisodeKey, EpisodeRecord
from agent_client.evaluation.ports import Episode
from agent_client.evaluation.question import Question
from agent_client.evaluation.records import event_segments
from agent_client.evaluation.records.manifest import (
    RunManifest,
    differences,
    read_manifest,
    write_manifest,
)
from agent_client.evaluation.records.result_store import ResultStore
from agent_client.evaluation.records.run_writer import RunWriter
from agent_client.evaluation.records.stored_run import read_episode, read_run
from agent_client.evaluation.verdict import GradeRecord, Verdict
from agent_client.events import Finished, ModelReplied, Note, QuestionAsked, ToolFinished
from tests.support.cut_episodes import TurnModel, work_on
from tests.support.run_directories import ToldEpisode, manifest, stored_run

CALL = ToolCall("c1", "web_visit", {"url": "https://a.example/"})
STRANGE = ["a/b", 'q"uo\\te', "line\nbreak", "🙂", "\ud800 half", "\0", "../../etc", " ", "e" * 999]


def question(id_: str) -> Question:
    return Question(id=id_, question="Who?", answers=("x",))


def ended(id_: str, attempt: int = 1) -> EpisodeRecord:
    return EpisodeRecord(id=id_, attempt=attempt, status="ok", question="Who?", answers=("x",))


def graded(id_: str, attempt: int, *, is_correct: bool) -> GradeRecord:
    verdict = Verdict(grade="correct" if is_correct else "incorrect")
    return GradeRecord(
        id=id_, repeat=0, attempt=attempt, grader="exact", digest="0", verdict=verdict, at=""
    )


def test_a_run_is_read_back_with_its_records_and_events(tmp_path: Path) -> None:
    run = stored_run(tmp_path, [ToldEpisode(grade="correct"), ToldEpisode(id="q2")])
    assert (run.expected, run.owed, run.unreadable, run.is_being_written) == (2, 0, 0, False)
    assert [grade.verdict.grade for grade in run.grades.values()] == ["correct"]
    for record in run.records.values():
        stored = read_episode(run, record)
        assert stored.unreadable == 0
        events = [recorded.event for recorded in stored.events]
        assert isinstance(events[0], QuestionAsked)
        assert isinstance(events[-1], Finished)
        assert sum(isinstance(event, ModelReplied) for event in events) == 3
        results = [event.result for event in events if isinstance(event, ToolFinished)]
        assert [one.result for one in stored.returned] == results


def test_nobody_else_may_read_a_run(tmp_path: Path) -> None:
    run = stored_run(tmp_path)
    for path in (run.directory, *run.directory.rglob("*")):
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == (0o700 if path.is_dir() else 0o600), path


@pytest.mark.parametrize("id_", STRANGE)
async def test_any_id_comes_back(tmp_path: Path, id_: str) -> None:
    with RunWriter.create(tmp_path / "run", manifest(), [question(id_)]) as writer:
        record = await work_on(writer, writer.plan().owed[0], TurnModel())
        writer.add_grade(graded(id_, 1, is_correct=True))
    run = read_run(tmp_path / "run")
    assert [one.id for one in run.questions] == [id_]
    assert run.records == {EpisodeKey(id_): record}
    assert set(run.grades) == {(EpisodeKey(id_), "exact")}
    stored = read_episode(run, record)
    assert (len(stored.returned), stored.unreadable) == (6, 0)
    (run.directory / "records.jsonl").write_bytes(b"")
    with RunWriter.resume(run.directory) as writer:
        record = await work_on(writer, writer.plan().owed[0], TurnModel())
    assert record.continued_turns == 4


def test_the_last_record_and_the_verdict_on_it_are_valid(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path / "run", manifest(), [question("a"), question("b")]) as writer:
        for attempt in (1, 2):
            episode = Episode(question=question("a"), attempt=attempt, run_id="0" * 32)
            writer.add_record(ended("a", attempt), writer.begin(episode))
            writer.add_grade(graded("a", attempt, is_correct=attempt == 1))
        writer.add_grade(graded("a", 1, is_correct=True))
        assert writer.owed(EpisodeKey("a")).attempt == 3
    run = read_run(tmp_path / "run")
    assert run.records[EpisodeKey("a")].attempt == 2
    assert run.grades[EpisodeKey("a"), "exact"].verdict.grade == "incorrect"
    with RunWriter.resume(tmp_path / "run") as writer:
        assert [owed.key for owed in writer.plan().owed] == [EpisodeKey("b")]
        assert writer.grades == run.grades


def test_all_questions_are_owed_once_before_any_is_owed_again(tmp_path: Path) -> None:
    questions = [question("a"), question("b")]
    with RunWriter.create(tmp_path / "run", manifest(repeats=2), questions) as writer:
        plan = writer.plan()
    assert [owed.key for owed in plan.owed] == [("a", 0), ("b", 0), ("a", 1), ("b", 1)]
    assert not any(owed.is_begun for owed in plan.owed)
    assert len({owed.episode().run_id for owed in plan.owed}) == 4


def test_where_something_lies_no_run_is_begun(tmp_path: Path) -> None:
    run = stored_run(tmp_path)
    before = {path: path.read_bytes() for path in run.directory.rglob("*") if path.is_file()}
    with pytest.raises(EvaluationError, match="holds a run") as caught:
        RunWriter.create(run.directory, manifest(), [question("a")])
    assert "eval resume" in caught.value.hint
    after = {path: path.read_bytes() for path in run.directory.rglob("*") if path.is_file()}
    assert after == before
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "questions.jsonl").write_text("mine")
    with pytest.raises(EvaluationError, match=r"not empty.*'questions\.jsonl'"):
        RunWriter.create(folder, manifest(), [question("a")])
    assert [path.read_text() for path in folder.iterdir()] == ["mine"]


def test_what_a_creation_left_that_was_cut_off_is_no_obstacle(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    for name in (".lock", "run.json.new", "questions.jsonl.new", "questions.jsonl"):
        (folder / name).write_text("half of it")
    with pytest.raises(EvaluationError, match="no run"):
        RunWriter.resume(folder)
    with RunWriter.create(folder, manifest(), [question("a")]) as writer:
        assert [owed.key for owed in writer.plan().owed] == [("a", 0)]


@pytest.mark.parametrize("questions", [[], [question("a"), question("a")]])
def test_questions_have_to_be_there_and_differ(tmp_path: Path, questions: list[Question]) -> None:
    with pytest.raises(EvaluationError, match=r"no questions|same id"):
        RunWriter.create(tmp_path / "run", manifest(), questions)
    assert not (tmp_path / "run").exists()


async def test_a_full_segment_is_followed_by_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_segments, "SEGMENT_BYTES", 2_000)
    with RunWriter.create(tmp_path / "run", manifest(), [question("a")]) as writer:
        record = await work_on(writer, writer.plan().owed[0], TurnModel())
    run = read_run(tmp_path / "run")
    assert len(list(run.directory.glob("events-*"))) > 2
    assert read_episode(run, record).unreadable == 0
    (run.directory / "records.jsonl").write_bytes(b"")
    with RunWriter.resume(run.directory) as writer:
        assert (await work_on(writer, writer.plan().owed[0], TurnModel())).continued_turns == 4


async def test_what_was_said_is_stored_once(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path / "run", manifest(2), [question("a"), question("b")]) as writer:
        for owed in writer.plan().owed:
            await work_on(writer, owed, TurnModel())
    events = b"".join(path.read_bytes() for path in (tmp_path / "run").glob("events-*"))
    assert b"word for word" not in events  # stands in the results, also what is told again of it
    assert b"careful research assistant" not in events  # stands in the manifest
    assert events.count(b'"final_url"') == 0
    results = (tmp_path / "run" / "results.jsonl").read_bytes()
    assert results.count(b"Title: https://pages.example/3") == 1


def test_results_are_told_apart_by_all_that_they_say(tmp_path: Path) -> None:
    store = ResultStore(tmp_path)
    results = [
        ToolResult("c1", "web_visit", "text"),
        ToolResult("c1", "web_visit", "text", is_error=True),
        ToolResult("c1", "web_visit", "text", meta={"b": 1, "a": [2]}),
    ]
    digests = [store.put(result) for result in results]
    assert len(set(digests)) == 3
    assert [store.get(digest, CALL) for digest in digests] == results
    store.close()
    swapped = ToolResult("other", "other", "text", meta={"a": [2], "b": 1})
    assert ResultStore(tmp_path).put(swapped) == digests[2]
    assert len((tmp_path / "results.jsonl").read_bytes().splitlines()) == 3


@settings(max_examples=50)
@given(text=st.text(), name=st.sampled_from(["", "x", "../run", "A" * 64, "é" * 64, "0" * 63]))
def test_no_digest_but_a_digest_is_looked_for(text: str, name: str) -> None:
    store = ResultStore(Path("/nowhere"))
    assert store.get(text, CALL) is None
    assert store.get(name, CALL) is None


DAMAGES: tuple[Callable[[bytes], bytes], ...] = (
    lambda line: b"",
    lambda line: b"{}\n",
    lambda line: line.replace(b"text", b"tExt"),
    lambda line: line[:-9],  # torn: the next one may not begin behind it
    lambda line: line[:-9] + b"\0" * 8,
)


@pytest.mark.parametrize("is_read_first", [True, False])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_result_is_missing_until_it_is_stored_again(
    tmp_path: Path, damage: Callable[[bytes], bytes], is_read_first: bool
) -> None:
    result = ToolResult("c1", "web_visit", "text \ud83d")
    digest = ResultStore(tmp_path).put(result)
    path = tmp_path / "results.jsonl"
    path.write_bytes(damage(path.read_bytes()))
    store = ResultStore(tmp_path)
    if is_read_first:
        assert store.get(digest, CALL) is None
    assert store.put(result) == digest
    assert store.get(digest, CALL) == result
    assert ResultStore(tmp_path).get(digest, CALL) == result


def test_a_reader_finds_what_is_stored_after_it_was_opened(tmp_path: Path) -> None:
    writer, reader = ResultStore(tmp_path), ResultStore(tmp_path)
    for text in ("one", "two", "three"):
        result = ToolResult("c1", "web_visit", text)
        digest = writer.put(result)
        assert reader.get(digest, CALL) == result


def test_a_link_in_place_of_the_results_is_not_followed(tmp_path: Path) -> None:
    result = ToolResult("c1", "web_visit", "text")
    digest = ResultStore(tmp_path).put(result)
    path = tmp_path / "results.jsonl"
    path.symlink_to(path.rename(tmp_path / "elsewhere"))
    assert ResultStore(tmp_path).get(digest, CALL) is None
    with pytest.raises(OSError, match="symbolic links"):
        ResultStore(tmp_path).put(result)


def test_a_remark_stands_in_the_run_that_it_is_about(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path / "run", manifest(), [question("a")]) as writer:
        writer.add_remark("resumed although the model is another one")
    assert read_run(tmp_path / "run").remarks == ("resumed although the model is another one",)


def test_the_texts_of_an_episode_are_freed_with_it(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path / "run", manifest(), [question("a")]) as writer:
        log = writer.begin(writer.plan().owed[0].episode())
        log.emit(Note("a text that is long enough to be known and referred to again " * 9))
        freed = weakref.ref(log)
        writer.add_record(ended("a"), log)
        gc.disable()
        try:
            del log
            assert freed() is None
        finally:
            gc.enable()


def test_an_event_that_is_no_json_costs_only_itself(tmp_path: Path) -> None:
    nested: object = 1
    for _ in range(3_000):
        nested = [nested]
    with RunWriter.create(tmp_path / "run", manifest(), [question("a")]) as writer:
        log = writer.begin(writer.plan().owed[0].episode())
        log.emit(Note("before"))
        call = ToolCall("c1", "web_visit", {"url": nested})
        log.tool_returned(call, ToolResult("c1", "web_visit", "text", meta={"x": nested}))
        log.emit(ToolFinished(call, ToolResult("c1", "web_visit", "text"), 0.1))
        log.emit(Note("after"))
        record = writer.add_record(ended("a"), log)
        assert writer.failure is None
    stored = read_episode(read_run(tmp_path / "run"), record)
    assert [entry.event for entry in stored.events] == [Note("before"), Note("after")]
    assert stored.unreadable == 0


def test_a_manifest_is_read_back(tmp_path: Path) -> None:
    told = manifest(3, config={"model": "x", "é": [1, None]}, judge="judge", seed=None)
    write_manifest(tmp_path, told)
    assert read_manifest(tmp_path) == told
    assert [path.name for path in tmp_path.iterdir()] == ["run.json"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "damaged"),
        (b"[]", "damaged"),
        (b'{"format":"seekling-run","version":1}', "damaged"),
        (b'{"format":"other","version":1}', "something else"),
        (b'{"format":"seekling-run","version":2,"new":1}', "format version 2"),
    ],
)
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "run.json").write_bytes(data)
    for open_ in (read_run, RunWriter.resume):
        with pytest.raises(EvaluationError, match=message):
            open_(tmp_path)


@pytest.mark.parametrize("where", ["nothing", "file"])
def test_where_no_run_is_none_is_read(tmp_path: Path, where: str) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(EvaluationError, match="holds no run"):
        read_run(tmp_path / where)


def changed(**changes: object) -> list[str]:
    before = manifest(3)
    return differences(before, replace(before, **changes))


def test_what_makes_another_run_is_named() -> None:
    plain = manifest(3)
    profile = other_profile(plain)
    assert differences(plain, plain) == []
    assert changed(concurrency=99, graders=("boxed",), judge="x", argv=()) == []
    assert changed(model=replace(plain.model, endpoints=({"url": "x"},))) == []
    assert changed(seed=2) == ["seed is 2, and was 1"]
    assert changed(repeats=4) == ["repeats is 4, and was 1"]
    assert changed(model=replace(plain.model, name="m")) == [
        "the model is another one: scripted -> m"
    ]
    (told,) = changed(dataset=replace(plain.dataset, picked=2, where="hops=2"))
    assert told == "other questions were picked: 3 questions -> 2 questions where hops=2"
    (told,) = changed(dataset=replace(plain.dataset, digest="ff" * 32))
    assert told.startswith("the dataset is another one: abab")
    (told,) = changed(profile=replace(plain.profile, digest="00", content=profile))
    assert told == "the profile differs in limits.turns (30 -> 5), prompts.system"
    schemas = ({"name": "web_visit", "description": "x"},)
    (told,) = changed(tools=replace(plain.tools, digest="00", schemas=schemas))
    assert told == "the tools are described otherwise: web_visit"


def other_profile(told: RunManifest) -> dict[str, object]:
    content = dict(told.profile.content)
    for part, key, value in (("limits", "turns", 5), ("prompts", "system", "Other words.")):
        inner = content[part]
        assert isinstance(inner, dict)
        content[part] = {**inner, key: value}
    return content
