"""Files of an export: whole or not there, and readable by others."""

import errno
import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from agent_client.agent.profile import ToolOffer
from agent_client.errors import ConfigError, StorageFailed
from agent_client.evaluation.episode_record import EpisodeKey
from agent_client.evaluation.export import row_files
from agent_client.evaluation.export.export import export_run, write_export
from agent_client.evaluation.export.formats import (
    FORMAT_LINES,
    FORMATS,
    INSPECT,
    RowSettings,
    settings_for,
)
from agent_client.evaluation.export.row_files import INTEGER, JSON, TEXT, Columns, open_rows
from agent_client.evaluation.export.selection import Selection
from agent_client.evaluation.export.text_rows import read_tokenizer
from agent_client.evaluation.question import Question
from agent_client.evaluation.records.manifest import ProfileStamp, ToolsStamp
from agent_client.model.qwen3_template import Qwen3Template
from agent_client.profiles import load_profile
from tests.support.exported_runs import LIGHTHOUSE, PlayedRun, played, usual_steps
from tests.support.loop_fakes import says, search
from tests.support.run_directories import ToldEpisode, stored_run
from tests.support.scripted_generate import tokenize

COLUMNS: Columns = {"id": TEXT, "numbers": [INTEGER], "extra": JSON}
ROW: dict[str, object] = {"id": "a", "numbers": [1, 2], "extra": {"any": [None, "é"]}}
ALL = Selection()


def write(run: PlayedRun, path: Path, name: str, **more: Any) -> Any:
    more.setdefault("selection", ALL)
    return write_export(run.exported(), path, format_name=name, **more)


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
@pytest.mark.parametrize("failure", [KeyboardInterrupt(), RuntimeError("a bug")])
def test_what_is_cut_off_leaves_no_file(
    failure: BaseException, suffix: str, tmp_path: Path
) -> None:
    with (
        pytest.raises(type(failure)),
        open_rows(tmp_path / f"rows.{suffix}", COLUMNS) as sink,
    ):
        sink.write(ROW)
        raise failure
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_a_full_disk_leaves_no_file(suffix: str, tmp_path: Path) -> None:
    full = OSError(errno.ENOSPC, "No space left on device")
    with (
        pytest.raises(StorageFailed, match="No space left"),
        open_rows(tmp_path / f"rows.{suffix}", COLUMNS) as sink,
    ):
        sink.write(ROW)
        raise full
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_is_not_written_over(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text("mine")
    with pytest.raises(ConfigError, match="there already"), open_rows(path, COLUMNS):
        pass
    assert path.read_text() == "mine"


@pytest.mark.parametrize("name", ["rows.csv", "rows", "rows.json"])
def test_another_suffix_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\.jsonl or \.parquet"):
        open_rows(tmp_path / name, COLUMNS).__enter__()


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        open_rows(tmp_path / "absent" / "rows.jsonl", COLUMNS).__enter__()


def test_half_a_surrogate_pair_gets_through(tmp_path: Path) -> None:
    row = ROW | {"id": "\ud800", "extra": {"\udc00": 1}}
    for suffix in ("jsonl", "parquet"):
        with open_rows(tmp_path / f"rows.{suffix}", COLUMNS) as sink:
            sink.write(row)
    assert json.loads((tmp_path / "rows.jsonl").read_text()) == row


def test_parquet_is_written_in_groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr(row_files, "GROUP_CHARS", 100)
    path = tmp_path / "rows.parquet"
    with open_rows(path, COLUMNS) as sink:
        for n in range(5):
            sink.write(ROW | {"id": str(n)})
    file = parquet.ParquetFile(path)
    assert file.num_row_groups == 3
    rows = file.read().to_pylist()
    assert [row["id"] for row in rows] == ["0", "1", "2", "3", "4"]
    assert json.loads(rows[0]["extra"]) == ROW["extra"]
    assert rows[0]["numbers"] == [1, 2]


@pytest.mark.parametrize("name", FORMATS)
async def test_every_format_is_the_same_in_both_kinds_of_files(name: str, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    run = await played()
    settings = RowSettings(encode=tokenize)
    for suffix in ("jsonl", "parquet"):
        report = write(run, tmp_path / f"rows.{suffix}", name, settings=settings)
        assert report.written == 1
    (line,) = (tmp_path / "rows.jsonl").read_text().splitlines()
    (row,) = parquet.read_table(tmp_path / "rows.parquet").to_pylist()
    told = json.loads(line)
    kinds = FORMATS[name].columns(run.exported(), settings)
    assert list(told) == list(kinds)
    for column, kind in kinds.items():
        value = json.loads(row[column]) if kind == JSON else _without_nulls(row[column])
        assert value == (told[column] if kind == JSON else _without_nulls(told[column])), column


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_nulls(v) for k, v in value.items() if v is not None}  # pyright: ignore[reportUnknownVariableType]
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value  # pyright: ignore[reportUnknownVariableType]


async def test_what_is_left_out_is_counted_by_the_reason(tmp_path: Path) -> None:
    other = Question(id="q2", question="Who?", answers=("x",))
    run = await played(
        (LIGHTHOUSE, usual_steps()), (other, [says("", search("x")), *[says("")] * 9])
    )
    report = write(run, tmp_path / "rows.jsonl", "hermes")
    assert report.written == 1
    assert report.left_out == {
        "cannot be said in this format: it does not end with a reply of the model": 1
    }


async def test_prompts_of_one_question_are_one_row(tmp_path: Path) -> None:
    run = await played(*[(LIGHTHOUSE, usual_steps())] * 3)
    report = write(run, tmp_path / "rows.jsonl", "verl")
    assert (report.written, sum(report.left_out.values())) == (1, 2)


async def test_an_unknown_format_or_grader_is_named(tmp_path: Path) -> None:
    run = await played()
    path = tmp_path / "rows.jsonl"
    with pytest.raises(ConfigError, match="no format 'alpaca'") as caught:
        write(run, path, "alpaca")
    assert all(name in caught.value.hint for name in FORMAT_LINES)
    run.grade(EpisodeKey("q1"), "correct")
    with pytest.raises(ConfigError, match="'frames' has graded nothing") as caught:
        write_export(run.exported("frames"), path, format_name="trl", selection=ALL)
    assert "eval grade" in caught.value.hint


def test_the_tokenizer_of_a_model_adds_no_tokens_and_brings_its_template(tmp_path: Path) -> None:
    tokenizers: Any = pytest.importorskip("tokenizers")
    words = {"[UNK]": 0, "[BOS]": 1, "Mara": 2, "Voss": 3}
    model = tokenizers.Tokenizer(tokenizers.models.WordLevel(words, unk_token="[UNK]"))
    model.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    model.post_processor = tokenizers.processors.TemplateProcessing(
        single="[BOS] $A", special_tokens=[("[BOS]", 1)]
    )
    model.add_special_tokens(["<|im_end|>"])
    model.save(str(tmp_path / "tokenizer.json"))
    assert list(read_tokenizer(tmp_path)("Mara Voss<|im_end|>")) == [2, 3, 4]
    assert isinstance(settings_for(tmp_path).template, Qwen3Template)
    chatml = "{% for m in messages %}<{{ m.role }}>{{ m.content }}</turn>{% endfor %}"
    opening = "{% if add_generation_prompt %}<assistant>{% endif %}"
    (tmp_path / "chat_template.jinja").write_text(chatml + opening)
    assert settings_for(tmp_path).template.stops == ("</turn>",)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ConfigError, match="no tokenizer"):
        read_tokenizer(tmp_path)


def test_a_run_on_disk_is_exported_in_every_format(tmp_path: Path) -> None:
    offers = (ToolOffer(name="web_search", description="Look."), ToolOffer(name="web_visit"))
    profile = replace(load_profile("default"), tools=offers)
    schemas = (
        {"name": "web_visit", "description": "Reads.", "parameters": {"type": "object"}},
        {"name": "web_search", "description": "Searches.", "parameters": {"type": "object"}},
    )
    run = stored_run(
        tmp_path,
        [ToldEpisode(grade="correct"), ToldEpisode(repeat=1, grade="incorrect")],
        profile=ProfileStamp(name=profile.name, content=asdict(profile)),
        tools=ToolsStamp(schemas=schemas),
    )
    for name in FORMAT_LINES:
        path = tmp_path / f"{name}{'.eval' if name == INSPECT else '.jsonl'}"
        selection = Selection(where="correct and visited_from_results")
        report = export_run(run, path, format_name=name, selection=selection)
        expected = 0 if name == "tokens" else 1  # the scripted server names none
        assert report.written == expected, name
        assert report.left_out["does not meet the condition"] == 1
    row = json.loads((tmp_path / "openai.jsonl").read_text())
    offered = [tool["function"] for tool in row["tools"]]
    assert [tool["name"] for tool in offered] == ["web_search", "web_visit"]
    assert [tool["description"] for tool in offered] == ["Look.", "Reads."]
    assert row["messages"][-1]["reasoning_content"] == "I know."
    full = json.loads((tmp_path / "jsonl.jsonl").read_text())
    assert [call["was_run"] for call in full["calls"]] == [True, True]
    assert all(call["returned_chars"] for call in full["calls"])
