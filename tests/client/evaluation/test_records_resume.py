"""A run that was cut off goes on in the middle of its episodes."""

import shutil
from collections import Counter
from pathlib import Path

import pytest
from msgspec.structs import replace

from agent_client.conversation import ToolCall, ToolResult
from agent_client.evaluation.episode_record import EpisodeKey, EpisodeRecord
from agent_client.evaluation.ports import EarlierTurns, Episode
from agent_client.evaluation.question import Question
from agent_client.evaluation.records.run_writer import RunWriter
from agent_client.evaluation.records.stored_run import read_episode, read_run
from agent_client.events import ModelReplied, QuestionAsked, ToolFinished, TurnStarted
from tests.support.cut_episodes import ANSWER_TURN, TurnModel, TurnTools, work_on
from tests.support.run_directories import manifest

QUESTION = Question(id="q/1", question="What is in the pages?", answers=("it",))
TIMES = {"seconds": 0.0, "model_seconds": 0.0, "tool_seconds": 0.0, "started": "", "ended": ""}


async def whole_run(directory: Path) -> EpisodeRecord:
    with RunWriter.create(directory, manifest(), [QUESTION]) as writer:
        return await work_on(writer, writer.plan().owed[0], TurnModel())


def told(directory: Path) -> Counter[tuple[str, object]]:
    """The events of the one episode, in any order: calls side by side end as they like."""
    run = read_run(directory)
    (record,) = run.records.values()
    stored = read_episode(run, record)
    assert stored.unreadable == 0
    numbers = [entry.number for entry in stored.events]
    assert numbers == sorted(set(numbers))
    returned = sorted(one.call.id for one in stored.returned)
    assert returned == ["a0", "b0", "b1", "b2", "c0", "c1"]
    events = Counter[tuple[str, object]]()
    for entry in stored.events:
        event = entry.event
        if isinstance(event, ToolFinished):
            events["ToolFinished", (str(event.call), str(event.result))] += 1
        elif isinstance(event, ModelReplied):
            events["ModelReplied", (event.turn, str(event.reply.message))] += 1
        elif not isinstance(event, QuestionAsked):
            events[type(event).__name__, ""] += 1
    return events


async def test_an_episode_cut_off_at_any_byte_goes_on_to_the_same_end(tmp_path: Path) -> None:
    undisturbed = await whole_run(tmp_path / "whole")
    events = tmp_path / "whole" / "events-00001.jsonl"
    data = events.read_bytes()
    ends = [at + 1 for at, byte in enumerate(data) if byte == ord("\n")]
    cuts = sorted({0, *ends, *(end - 30 for end in ends[::5])})
    assert len(cuts) > 30
    for cut in cuts:
        directory = tmp_path / f"cut-{cut}"
        shutil.copytree(tmp_path / "whole", directory)
        (directory / "records.jsonl").write_bytes(b"")
        (directory / events.name).write_bytes(data[:cut])
        model, tools = TurnModel(), TurnTools()
        with RunWriter.resume(directory) as writer:
            assert writer.unreadable == 0
            (owed,) = writer.plan().owed
            record = await work_on(writer, owed, model, tools)
        whole_lines = data[: data.rfind(b"\n", 0, cut) + 1].splitlines()
        replies = sum(b'"type":"ModelReplied"' in line for line in whole_lines)
        returned = sum(b'"type":"ToolReturned"' in line for line in whole_lines)
        assert model.asked == list(range(replies + 1, ANSWER_TURN + 1)), cut
        assert len(tools.calls) == 6 - returned, cut
        assert record.continued_turns == replies
        assert record.attempt == (2 if whole_lines else 1)
        same = {"run_id": undisturbed.run_id} if replies == 0 else {}
        expected = {
            **TIMES,
            **same,
            "attempt": 1,
            "continued_turns": 0,
            "events": (),
            "low": (0, 0),
        }
        assert replace(record, **expected) == replace(undisturbed, **expected)
        assert told(directory) == told(tmp_path / "whole"), cut


async def test_an_episode_cut_off_again_and_again_goes_on_each_time(tmp_path: Path) -> None:
    undisturbed = await whole_run(tmp_path / "whole")
    directory = tmp_path / "cut"
    with RunWriter.create(directory, manifest(), [QUESTION]) as writer:
        await work_on(writer, writer.plan().owed[0], TurnModel())
    for lines_more in (4, 3, 5, 2, 6):
        (directory / "records.jsonl").write_bytes(b"")
        last = max(directory.glob("events-*.jsonl"))
        last.write_bytes(b"".join(last.read_bytes().splitlines(keepends=True)[:lines_more]))
        with RunWriter.resume(directory) as writer:
            record = await work_on(writer, writer.plan().owed[0], TurnModel())
    assert record.attempt == 6
    assert (record.answer, record.counts) == (undisturbed.answer, undisturbed.counts)
    assert told(directory) == told(tmp_path / "whole")


async def test_a_failed_episode_goes_on_from_its_record(tmp_path: Path) -> None:
    model = TurnModel(fails_in=3)
    with RunWriter.create(tmp_path / "run", manifest(), [QUESTION]) as writer:
        failed = await work_on(writer, writer.plan().owed[0], model)
        assert failed.status == "infra_error"
        owed = writer.owed(failed.key)
        assert (owed.attempt, owed.is_begun) == (2, True)
        record = await work_on(writer, owed, model)
    assert (record.status, record.attempt, record.continued_turns) == ("ok", 2, 2)
    assert record.run_id == failed.run_id
    assert model.asked == [1, 2, 3, 3, 4]
    await whole_run(tmp_path / "whole")
    assert told(tmp_path / "run") == told(tmp_path / "whole")


async def test_the_first_question_of_a_conversation_is_told_once(tmp_path: Path) -> None:
    model = TurnModel(fails_in=3)
    with RunWriter.create(tmp_path / "run", manifest(), [QUESTION]) as writer:
        for _ in range(2):
            await work_on(writer, writer.owed(EpisodeKey("q/1")), model)
    run = read_run(tmp_path / "run")
    (record,) = run.records.values()
    events = [entry.event for entry in read_episode(run, record).events]
    assert sum(isinstance(event, QuestionAsked) for event in events) == 1
    turns = [event.turn for event in events if isinstance(event, TurnStarted)]
    assert turns == [1, 2, 3, 4]


@pytest.mark.parametrize("resume", ["turn", "question"])
async def test_a_profile_can_ask_for_the_whole_question_again(tmp_path: Path, resume: str) -> None:
    plain = manifest()
    stamp = replace(plain.profile, content={**plain.profile.content, "resume": resume})
    model = TurnModel(fails_in=3)
    with RunWriter.create(tmp_path / "run", replace(plain, profile=stamp), [QUESTION]) as writer:
        failed = await work_on(writer, writer.plan().owed[0], model)
        record = await work_on(writer, writer.owed(failed.key), model)
    assert record.continued_turns == (2 if resume == "turn" else 0)
    assert (record.run_id == failed.run_id) == (resume == "turn")
    assert record.attempt == 2
    await whole_run(tmp_path / "whole")
    assert told(tmp_path / "run") == told(tmp_path / "whole")


@pytest.mark.parametrize(
    "damage", [b"{", b'{"e":"other","r":0,"a":1,"n":11,"type":"Note"}', b"\0" * 9]
)
async def test_behind_a_damaged_line_nothing_is_gone_on_from(tmp_path: Path, damage: bytes) -> None:
    undisturbed = await whole_run(tmp_path / "run")
    (tmp_path / "run" / "records.jsonl").write_bytes(b"")
    path = tmp_path / "run" / "events-00001.jsonl"
    lines = path.read_bytes().splitlines()
    at = next(n for n, line in enumerate(lines) if b'"ToolReturned"' in line and b'"b' in line)
    path.write_bytes(b"\n".join((*lines[:at], damage, *lines[at + 1 :], b"")))
    model, tools = TurnModel(), TurnTools()
    with RunWriter.resume(tmp_path / "run") as writer:
        owed = next(one for one in writer.plan().owed if one.key.id == "q/1")
        record = await work_on(writer, owed, model, tools)
    assert (record.answer, record.counts) == (undisturbed.answer, undisturbed.counts)
    assert model.asked == [3, 4]
    assert [call.id for call in tools.calls] == ["b0", "b1", "b2", "c0", "c1"]
    await whole_run(tmp_path / "whole")
    assert told(tmp_path / "run") == told(tmp_path / "whole")


async def test_a_lost_result_is_asked_for_again(tmp_path: Path) -> None:
    undisturbed = await whole_run(tmp_path / "run")
    (tmp_path / "run" / "records.jsonl").write_bytes(b"")
    results = tmp_path / "run" / "results.jsonl"
    lines = results.read_bytes().splitlines(keepends=True)
    lost = [
        line for line in lines if b"https://pages.example/2" in line and b"word for word" in line
    ]
    assert len(lost) == 1
    results.write_bytes(b"".join(line for line in lines if line not in lost))
    model, tools = TurnModel(), TurnTools()
    with RunWriter.resume(tmp_path / "run") as writer:
        record = await work_on(writer, writer.plan().owed[0], model, tools)
    assert record.answer == undisturbed.answer
    assert model.asked == [3, 4]
    await whole_run(tmp_path / "whole")
    assert told(tmp_path / "run") == told(tmp_path / "whole")


async def test_where_nothing_is_stored_nothing_is_gone_on_from(tmp_path: Path) -> None:
    with RunWriter.create(tmp_path / "run", manifest(), [QUESTION]) as writer:
        nothing = EarlierTurns(replies=(), results=())
        episode = Episode(question=QUESTION, run_id="0" * 32, earlier=nothing)
        assert "nothing is stored" in writer.begin(episode).diverged


async def test_an_agent_that_does_something_else_than_before_is_told_of(tmp_path: Path) -> None:
    await whole_run(tmp_path / "run")
    (tmp_path / "run" / "records.jsonl").write_bytes(b"")
    with RunWriter.resume(tmp_path / "run") as writer:
        owed = writer.plan().owed[0]
        episode = owed.episode()
        assert episode.earlier
        log = writer.begin(episode)
        size = sum(path.stat().st_size for path in (tmp_path / "run").glob("events-*"))
        log.emit(QuestionAsked("Another question?"))
        assert "QuestionAsked" in log.diverged
        log.emit(TurnStarted(1))
        log.tool_returned(ToolCall("x", "web_visit", {}), ToolResult("x", "web_visit", "text"))
        log.flush()
        assert size == sum(path.stat().st_size for path in (tmp_path / "run").glob("events-*"))
