"""Logs for inspect_ai, looked at as the archives of JSON that they are.

`tests/inspect` reads them with inspect_ai itself.
"""

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import pytest

from agent_client.agent.limits import Limits
from agent_client.errors import ConfigError
from agent_client.evaluation.episode_record import EpisodeKey
from agent_client.evaluation.export.export import write_export
from agent_client.evaluation.export.selection import Selection
from agent_client.evaluation.question import Question
from agent_client.evaluation.verdict import Grade
from tests.support.exported_runs import LIGHTHOUSE, PlayedRun, played, usual_steps
from tests.support.loop_fakes import Step, says, search, visit

FIRST = EpisodeKey("q1")
OTHER = Question(id="q2", question="Who was first?", answers=("x",))
ODD_ID = Question(id="a/b\ud800", question="Who?", answers=("x",))


def log_of(run: PlayedRun, folder: Path) -> Mapping[str, Any]:
    """The members of the log of a run."""
    path = folder / "run.eval"
    write_export(
        run.exported(), path, format_name="inspect", selection=Selection(also_unsettled=True)
    )
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        return {name: json.loads(archive.read(name)) for name in archive.namelist()}


async def test_an_episode_is_a_sample_with_its_conversation(tmp_path: Path) -> None:
    run = await played()
    run.grade(FIRST, "correct", graded="Mara Voss", rule="boxed", metrics={"f1": 1.0})
    sample = log_of(run, tmp_path)["samples/q1_epoch_1.json"]
    assert (sample["input"], sample["target"]) == (LIGHTHOUSE.question, list(LIGHTHOUSE.answers))
    roles = [message["role"] for message in sample["messages"]]
    assert roles == [
        "system",
        "user",
        "assistant",
        "tool",
        "assistant",
        "tool",
        "tool",
        "assistant",
    ]
    turn = sample["messages"][4]
    assert turn["content"][0] == {"type": "reasoning", "reasoning": "I read."}
    assert [call["function"] for call in turn["tool_calls"]] == ["web_search", "web_visit"]
    assert sample["messages"][6]["tool_call_id"] == turn["tool_calls"][1]["id"]
    assert sample["output"]["completion"].startswith("Mara Voss [1]")
    score = sample["scores"]["exact"]
    assert (score["value"], score["answer"], score["metadata"]["f1"]) == ("C", "Mara Voss", 1.0)
    usage = sample["model_usage"]["scripted"]
    assert usage["total_tokens"] == 300 + usage["output_tokens"]
    assert usage["input_tokens"] == usage["input_tokens_cache_read"] + 60


async def test_accuracy_is_that_of_the_graded_ones_and_says_how_many(tmp_path: Path) -> None:
    questions = [Question(id=f"q{n}", question="Who?", answers=("x",)) for n in range(5)]
    run = await played(*[(question, [says("x")]) for question in questions])
    grades: tuple[Grade, ...] = ("correct", "incorrect", "not_attempted", "correct", "ungraded")
    for question, grade in zip(questions, grades, strict=True):
        run.grade(EpisodeKey(question.id), grade)
    members = log_of(run, tmp_path)
    (score,) = members["header.json"]["results"]["scores"]
    assert (score["scored_samples"], score["unscored_samples"]) == (4, 1)
    assert score["metrics"]["accuracy"]["value"] == 0.5
    assert score["metrics"]["stderr"]["value"] == pytest.approx((1 / 3) ** 0.5 / 2)
    scores = [row.get("scores", {}).get("exact", {}) for row in members["summaries.json"]]
    assert [score.get("value") for score in scores] == ["C", "I", "N", "C", None]


async def test_repeats_are_epochs_and_count_as_one_question(tmp_path: Path) -> None:
    run = await played(*[(LIGHTHOUSE, usual_steps())] * 3, (OTHER, [says("x")]))
    for repeat, grade in enumerate(("correct", "incorrect", "incorrect")):
        run.grade(EpisodeKey("q1", repeat), cast(Grade, grade))
    run.grade(EpisodeKey(OTHER.id), "correct")
    members = log_of(run, tmp_path)
    assert [row["epoch"] for row in members["summaries.json"]] == [1, 2, 3, 1]
    assert members["header.json"]["eval"]["config"]["epochs"] == 3
    (score,) = members["header.json"]["results"]["scores"]
    assert score["metrics"]["accuracy"]["value"] == pytest.approx((1 / 3 + 1) / 2)


async def test_an_error_and_a_limit_are_told(tmp_path: Path) -> None:
    searches: list[Step] = [says("", search("x")), says("", visit("https://gone.example/"))]
    run = await played(
        (LIGHTHOUSE, [*searches, says("x")]),
        (LIGHTHOUSE, [RuntimeError("gone")]),
        limits=Limits(turns=3),
    )
    members = log_of(run, tmp_path)
    limited, failed = (members[f"samples/q1_epoch_{epoch}.json"] for epoch in (1, 2))
    assert limited["limit"] == {"type": "turn", "limit": 3, "reason": "turn_limit"}
    assert limited["messages"][-2]["error"]["type"] == "unknown"
    assert failed["error"]["message"] == "RuntimeError: gone"
    assert failed["messages"] == []
    assert members["header.json"]["status"] == "cancelled"  # one is owed
    assert members["header.json"]["results"]["completed_samples"] == 1


async def test_a_part_of_a_run_says_that_it_is_one(tmp_path: Path) -> None:
    run = await played(*[(LIGHTHOUSE, usual_steps())] * 2)
    run.grade(FIRST, "correct")
    path = tmp_path / "run.eval"
    write_export(run.exported(), path, format_name="inspect", selection=Selection(where="correct"))
    with zipfile.ZipFile(path) as archive:
        header = json.loads(archive.read("header.json"))
    assert (header["status"], header["results"]["total_samples"]) == ("success", 1)
    told = header["eval"]["metadata"]
    assert (told["episodes"], told["exported_where"]) == (2, "correct")


async def test_an_odd_id_is_the_same_everywhere(tmp_path: Path) -> None:
    members = log_of(await played((ODD_ID, [says("x")])), tmp_path)
    assert members["samples/a/b?_epoch_1.json"]["id"] == "a/b?"
    assert members["summaries.json"][0]["id"] == "a/b?"


async def test_a_log_has_a_name_of_its_own(tmp_path: Path) -> None:
    run = await played()
    with pytest.raises(ConfigError, match=r"end in \.eval"):
        write_export(
            run.exported(), tmp_path / "run.jsonl", format_name="inspect", selection=Selection()
        )
    (tmp_path / "run.eval").touch()
    with pytest.raises(ConfigError, match="there already"):
        log_of(run, tmp_path)
